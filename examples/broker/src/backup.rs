//! Copies the store while it is served.

use crate::Error;
use crate::folder::Folder;
use crate::store::Sqlite;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Copies the store of a data folder, whose broker may be running, into one file as it is at one moment; a file of that name is replaced once the copy
/// is whole, verified and on disk. The broker's key and the deposits' files are not in it. The store may
/// be another release's: it is copied before an upgrade.
///
/// # Errors
/// The store cannot be read, or the file cannot be written.
pub fn backup(data: &Path, file: &Path) -> Result<(), Error> {
    let path = Folder::new(data).store();
    let unusable = |source| Error::Store { path: path.clone(), source };
    let store = Sqlite::read_any(&path).map_err(unusable)?;
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = Path::new(&temporary);
    let result = (|| {
        create(temporary).map_err(Error::file("create", temporary))?;
        let copied = store.copy_to(temporary);
        copied.map_err(|source| Error::Store { path: temporary.to_path_buf(), source })?;
        place(temporary, file).map_err(Error::file("write", file))
    })();
    if result.is_err() {
        let _ = std::fs::remove_file(temporary);
    }
    result
}

/// Empty, and for this user alone.
fn create(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map(drop)
}

fn place(temporary: &Path, path: &Path) -> io::Result<()> {
    File::open(temporary)?.sync_all()?;
    std::fs::rename(temporary, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
