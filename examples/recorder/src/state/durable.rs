//! Files that are either the old or the new one, whatever happens in between.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Temporary files of one name that may have been left behind.
const MOST_LEFT: u32 = 10_000;

/// Replaces `path` by `content`, readable by its owner only: temporary file, sync, rename, sync of the folder.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut fresh = Fresh::create(path)?;
    fresh.file.write_all(content)?;
    fresh.commit()
}

/// A file being written beside its final place. Unless committed it goes away.
#[derive(Debug)]
pub struct Fresh {
    /// Where to write.
    pub file: File,
    temporary: PathBuf,
    path: PathBuf,
    committed: bool,
}

impl Fresh {
    /// Starts a file that is to become `path`, readable by its owner only.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut number = 0;
        loop {
            let mut name = path.file_name().map(std::ffi::OsStr::to_owned).unwrap_or_default();
            name.push(format!(".new-{}-{number}", std::process::id()));
            let temporary = path.with_file_name(name);
            // Never over what is there: another's, or left by a process of this number that was killed.
            let opened =
                OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&temporary);
            match opened {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && number < MOST_LEFT => {
                    number += 1
                }
                Err(error) => return Err(error),
                Ok(file) => return Ok(Self { file, temporary, path: path.to_owned(), committed: false }),
            }
        }
    }

    /// Makes it durable and puts it in its place.
    pub fn commit(mut self) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.temporary, &self.path)?;
        self.committed = true;
        sync_folder(&self.path)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// Makes the entry of `path` in its folder durable.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}
