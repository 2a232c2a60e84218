//! A recording on its way in: hidden until it is whole.
//!
//! It grows under a temporary name made of its own name and of who sends which state of it, so that the same
//! recording from the same recorder goes on where it stopped; at the end it is synced and gets its own name,
//! or the next free one, never replacing a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::names;
use crate::serve::{Arriving, Shelf};
use crate::sharing::attributes::Attributes;
use crate::state::sync_folder;

/// Bytes gathered before they are written: a frame may be as small as a packet of a transport stream.
const BUFFER: usize = 128 << 10;
/// Bytes that may be unsynced: the last sync must not take longer than the sender waits, and as much is lost at most
/// when the power fails.
const UNSYNCED: u64 = 64 << 20;

/// What tells one recording from another.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Who sends it.
    pub peer: &'a str,
    /// What the sender calls it.
    pub name: &'a str,
    /// Its length in bytes.
    pub size: u64,
    /// The sender's word for this state of its source.
    pub source: &'a [u8],
}

/// An unfinished recording.
#[derive(Debug)]
pub struct Incoming {
    file: BufWriter<File>,
    path: PathBuf,
    name: String,
    size: u64,
    written: u64,
    /// Bytes written since the last sync.
    unsynced: u64,
    hash: Option<Sha256>,
    /// It can be seen while it comes.
    arriving: Option<Arriving>,
}

/// Why a recording can't be taken.
#[derive(Debug)]
pub enum Refusal {
    /// It doesn't fit on the disk.
    NoRoom,
    /// It is coming in already.
    Busy,
    /// The folder can't be written to.
    Local(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Local(error)
    }
}

impl Incoming {
    /// Opens the unfinished file for this recording in `folder`, new or with what has come before.
    /// `hash` asks for a SHA-256 over all of it, the part that is there already included.
    pub fn open(folder: &Path, what: &Description<'_>, hash: bool) -> Result<Self, Refusal> {
        let name = names::sanitise(what.name);
        let path = Self::path(folder, what);
        let mut file = open_locked(&path)?;
        let mut metadata = file.metadata()?;
        if metadata.nlink() > 1 {
            // `finish` was cut off: it has its own name already, under which not a byte may change.
            fs::remove_file(&path)?;
            file = open_locked(&path)?;
            metadata = file.metadata()?;
        }
        let mut written = metadata.len();
        if written > what.size {
            written = 0;
        } else if !is_since_boot(&metadata) {
            // The machine may have gone down before the last bytes were on the disk.
            written = written.saturating_sub(UNSYNCED);
        }
        if written != metadata.len() {
            file.set_len(written)?;
        }
        if !has_room(folder, what.size - written)? {
            if written == 0 {
                let _ = fs::remove_file(&path);
            }
            return Err(Refusal::NoRoom);
        }
        let hash = if hash { Some(hash_of(&mut file)?) } else { None };
        file.seek(SeekFrom::Start(written))?;
        Ok(Self {
            file: BufWriter::with_capacity(BUFFER, file),
            path,
            name,
            size: what.size,
            written,
            // Nobody knows what the process before has synced.
            unsynced: written.min(UNSYNCED),
            hash,
            arriving: None,
        })
    }

    /// Lets it be seen on `shelf` from now on until it is whole or given up.
    pub fn show_on(&mut self, shelf: &Arc<Shelf>) -> io::Result<()> {
        self.arriving = Some(shelf.expect(&self.path, &self.name, self.size)?);
        Ok(())
    }

    /// Where the unfinished file of this recording is.
    pub fn path(folder: &Path, what: &Description<'_>) -> PathBuf {
        folder.join(names::partial(&names::sanitise(what.name), &tag(what)))
    }

    /// Whether a recording that was being put in its place is there, `finish` having been cut off.
    pub fn is_placed(folder: &Path, what: &Description<'_>) -> bool {
        let path = Self::path(folder, what);
        match path.symlink_metadata() {
            Err(error) => error.kind() == io::ErrorKind::NotFound,
            // It has its name already, only the temporary one is still there.
            Ok(metadata) => metadata.nlink() > 1 && fs::remove_file(path).is_ok(),
        }
    }

    /// Where this one is while unfinished.
    pub fn temporary(&self) -> &Path {
        &self.path
    }

    /// How many bytes are there.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// How many bytes there will be.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends the bytes that belong at `offset`.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if offset != self.written || bytes.len() as u64 > self.size - self.written {
            return Err(io::Error::other("bytes came out of order"));
        }
        let length = bytes.len() as u64;
        if self.unsynced + length > UNSYNCED {
            self.file.flush()?;
            self.file.get_ref().sync_data()?;
            self.unsynced = 0;
        }
        self.file.write_all(bytes)?;
        self.unsynced += length;
        self.written += length;
        if let Some(hash) = &mut self.hash {
            hash.update(bytes);
        }
        self.tell();
        Ok(())
    }

    /// What the buffer still has can't be seen.
    fn tell(&self) {
        if let Some(arriving) = &self.arriving {
            arriving.reach(self.written - self.file.buffer().len() as u64);
        }
    }

    /// The SHA-256 of what is there, if asked for at the start.
    pub fn sha256(&self) -> Option<[u8; 32]> {
        self.hash.clone().map(|hash| hash.finalize().into())
    }

    /// Throws away what has come: it is not what the sender has.
    pub fn discard(self) {
        let _ = fs::remove_file(&self.path);
    }

    /// Makes the whole recording durable under its own name, and says which that became.
    pub fn finish(mut self) -> io::Result<PathBuf> {
        if self.written != self.size {
            return Err(io::Error::other("the recording isn't whole"));
        }
        self.file.flush()?;
        self.tell();
        self.file.get_ref().sync_all()?;
        let folder = self.path.parent().unwrap_or(&self.path);
        for number in 0..10_000 {
            let name = names::numbered(&self.name, number);
            // Before it can be asked for: the folder may be shared, by this process or another.
            Attributes::forget(folder, &name)?;
            let place = folder.join(name);
            match place_without_replacing(&self.path, &place) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
                Ok(()) => {
                    sync_folder(&place)?;
                    return Ok(place);
                }
            }
        }
        Err(io::Error::other("ten thousand recordings have this name"))
    }
}

/// Never through a link that somebody laid there, and nobody else writes to it meanwhile.
fn open_locked(path: &Path) -> Result<File, Refusal> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(rustix::fs::OFlags::NOFOLLOW.bits() as i32)
        .open(path)?;
    file.try_lock().map_err(|error| match error {
        fs::TryLockError::WouldBlock => Refusal::Busy,
        fs::TryLockError::Error(error) => Refusal::Local(error),
    })?;
    Ok(file)
}

/// A hard link fails where the name is taken, which a rename doesn't; file systems without links get the rename.
fn place_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
        Err(_) => fs::rename(from, to),
    }
}

/// Sixteen characters for peer, name, size and source together.
fn tag(what: &Description<'_>) -> String {
    let mut hash = Sha256::new();
    for field in [what.peer.as_bytes(), what.name.as_bytes(), &what.size.to_be_bytes(), what.source] {
        hash.update((field.len() as u64).to_be_bytes());
        hash.update(field);
    }
    hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a file was last written to since the machine started. `false` if nobody knows.
fn is_since_boot(metadata: &fs::Metadata) -> bool {
    boot_time().is_some_and(|boot| metadata.mtime() >= boot)
}

/// When the machine started, in seconds since 1970.
fn boot_time() -> Option<i64> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn hash_of(file: &mut File) -> io::Result<Sha256> {
    file.seek(SeekFrom::Start(0))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash),
            n => hash.update(&buffer[..n]),
        }
    }
}

fn has_room(folder: &Path, bytes: u64) -> io::Result<bool> {
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize) >= bytes)
}
