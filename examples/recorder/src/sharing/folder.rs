//! The folder that is shared: what in it is a recording, and their list.

use std::fs::File;
use std::io::{self, BufWriter, Seek, Write};
use std::path::PathBuf;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, openat, statat};

use super::attributes::{Attributes, kind};

/// The most recordings that are listed.
const MOST: usize = 100_000;
/// The longest name, bytes.
const LONGEST: usize = 255;

/// A folder of recordings: the files in it that aren't hidden, none of those in folders below it or behind links.
#[derive(Clone, Debug)]
pub struct Folder {
    /// Where it is.
    pub path: PathBuf,
}

/// Whether a file of this name can be a recording that is shared: not hidden, not one that a program is about to replace another by, and a name that fits a
/// message.
pub fn is_shareable(name: &str) -> bool {
    let barred = |c: char| c.is_control() || matches!(c, '/' | '\\');
    let hidden = name.is_empty() || name.starts_with('.');
    !hidden && name.len() <= LONGEST && !name.contains(barred) && !is_temporary(name)
}

/// `NAME.new-PROCESS-NUMBER`, as `state::Fresh` calls what isn't whole yet.
fn is_temporary(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    name.rsplit_once(".new-")
        .and_then(|(_, numbers)| numbers.split_once('-'))
        .is_some_and(|(process, number)| is_number(process) && is_number(number))
}

impl Folder {
    /// The folder as it is now: it may be on a disk that comes and goes.
    fn open(&self) -> io::Result<std::os::fd::OwnedFd> {
        Ok(rustix::fs::open(&self.path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    }

    /// The recording of this name, and where it is for people. Whatever is no recording is not found.
    pub fn recording(&self, name: &str) -> io::Result<(File, PathBuf)> {
        if !is_shareable(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        // Not through a link, and without waiting at a pipe that nobody writes to.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file =
            File::from(openat(self.open()?, name, flags, Mode::empty()).map_err(|error| match error {
                rustix::io::Errno::LOOP | rustix::io::Errno::NXIO => io::ErrorKind::NotFound.into(),
                error => io::Error::from(error),
            })?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok((file, self.path.join(name)))
    }

    /// How its recordings travel.
    pub fn attributes(&self) -> io::Result<Attributes> {
        Attributes::read(&self.path)
    }

    /// Its recordings, in no order, as lines of JSON in a file without a name: `{"name":…,"size":BYTES,"attribute":…,"modified":SECONDS SINCE 1970}`.
    pub fn list(&self) -> io::Result<File> {
        let folder = self.open()?;
        // If the table can't be read, everything is confidential.
        let attributes = self.attributes().unwrap_or_default();
        let mut out = BufWriter::new(tempfile::tempfile()?);
        let mut listed = 0;
        for entry in Dir::read_from(&folder)? {
            let entry = entry?;
            let Some(name) = entry.file_name().to_str().ok().filter(|name| is_shareable(name)) else {
                continue;
            };
            // Gone meanwhile, perhaps.
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
                continue;
            }
            listed += 1;
            if listed > MOST {
                return Err(io::Error::other(format!("there are more than {MOST} recordings in it")));
            }
            let attribute = kind(&attributes.of(name));
            let line = serde_json::json!({
                "name": name, "size": stat.st_size, "attribute": attribute, "modified": stat.st_mtime,
            });
            writeln!(out, "{line}")?;
        }
        let mut file = out.into_inner().map_err(|error| error.into_error())?;
        file.rewind()?;
        Ok(file)
    }
}
