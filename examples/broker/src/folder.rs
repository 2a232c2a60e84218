//! The data folder: who may use it, and the broker's key in it.

use crate::Error;
use p2pgate::link::{PublicKey, SecretKey};
use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The key by which others know the broker or the address resolution server of this folder. If it has none yet, it is made: the two can be told of each other
/// before they first run.
///
/// # Errors
/// The folder can't be used, or has lost its key.
pub fn key(data: &Path) -> Result<PublicKey, Error> {
    let folder = Folder::new(data);
    folder.create()?;
    // A server that starts makes the key under this lock; one that runs has it.
    let lock = folder.lock(Duration::ZERO)?;
    let key = folder.key(lock.is_some() && !folder.store().exists())?;
    Ok(key.public_key())
}

/// A data folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(path: &Path) -> Self {
        Self(path.to_path_buf())
    }

    /// Creates the folder, for this user alone, unless there is one.
    pub(crate) fn create(&self) -> Result<(), Error> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.0);
        made.map_err(Error::file("create", &self.0))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.0.join("broker.sqlite")
    }

    pub(crate) fn deposits(&self) -> PathBuf {
        self.0.join("deposits")
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.0.join("broker.sock")
    }

    /// Takes the folder for the only process that may write its store. The lock goes with the file that is given back, however the process ends.
    /// `None`: another process has had it for all of `patience`.
    pub(crate) fn lock(&self, patience: Duration) -> Result<Option<File>, Error> {
        let path = self.0.join("broker.lock");
        let open = OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&path);
        let file = open.map_err(Error::file("open", &path))?;
        let give_up = Instant::now() + patience;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(file)),
                Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                    std::thread::sleep(Duration::from_millis(10));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(Error::file("lock", &path)(error)),
            }
        }
    }

    /// The broker's static key: on first use a new one, durable before it is used.
    pub(crate) fn key(&self, new: bool) -> Result<SecretKey, Error> {
        let path = self.0.join("broker.key");
        let mut bytes = Zeroizing::new([0; 33]);
        match File::open(&path) {
            Ok(mut file) => {
                let mode = file.metadata().map_err(Error::file("read", &path))?.permissions().mode();
                if mode & 0o077 != 0 {
                    tracing::warn!("{} can be read by other users: chmod 600 it", path.display());
                }
                // One byte more than a key has shows what is too long.
                let length = read_up_to(&mut file, &mut *bytes).map_err(Error::file("read", &path))?;
                if length != 32 {
                    return Err(Error::Key(path));
                }
            }
            // A new key would turn every enrolled terminal away: better none than another.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !new => return Err(Error::Key(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fill_random(&mut bytes[..32])?;
                let temporary = self.0.join("broker.key.new");
                self.write_durably(&temporary, &path, &bytes[..32]).map_err(Error::file("write", &path))?;
            }
            Err(error) => return Err(Error::file("read", &path)(error)),
        }
        let mut key = Zeroizing::new([0; 32]);
        key.copy_from_slice(&bytes[..32]);
        Ok(SecretKey::new(*key))
    }

    fn write_durably(&self, temporary: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
        match std::fs::remove_file(temporary) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(temporary, path)?;
        File::open(&self.0)?.sync_all()
    }
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < bytes.len() {
        match file.read(&mut bytes[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// Fills `bytes` from the operating system's generator.
pub(crate) fn fill_random(bytes: &mut [u8]) -> Result<(), Error> {
    getrandom::fill(bytes).map_err(|error| Error::System {
        what: "give random bytes",
        source: io::Error::other(error.to_string()),
    })
}
