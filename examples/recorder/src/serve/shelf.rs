//! What is served: the recordings in the folder and the ones on their way into it, by name, for reading only.
//!
//! The folder is flat, as the receiver leaves it. Hidden, temporary and non-regular files are none of its recordings, and a
//! name with a separator in it is no name. A recording on its way has the name that it is going to get.

use std::collections::hash_map::DefaultHasher;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::hash::{Hash, Hasher};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use tokio::sync::{broadcast, watch};

use super::flow::{Flow, Source};
use super::kind::Kind;
use crate::names;

/// Recordings that are listed.
const MOST_LISTED: usize = 10_000;
/// Recordings that may begin while nobody asks which did.
const NEWCOMERS: usize = 16;

/// The recordings of a folder.
#[derive(Debug)]
pub struct Shelf {
    folder: File,
    growing: Mutex<Vec<Arc<Growth>>>,
    newcomers: broadcast::Sender<String>,
    /// The last listing's hash, and how often it has changed.
    version: Mutex<(u64, u32)>,
    started: u64,
    numbers: AtomicU64,
}

/// A recording as it is listed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Its name, without any separator or control character.
    pub name: String,
    /// Its whole length in bytes.
    pub size: u64,
    /// How many of them are there; `None` if it is whole.
    pub arrived: Option<u64>,
    /// When it was last written to.
    pub modified: SystemTime,
    /// What is in it.
    pub kind: Kind,
}

/// A recording that is open.
#[derive(Debug)]
pub struct Recording {
    /// What it is.
    pub item: Item,
    /// A strong entity tag, quotes included: another one as soon as any byte may be another one.
    pub tag: String,
    source: Source,
}

/// How far a recording on its way has come.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reach {
    pub(super) bytes: u64,
    pub(super) ended: bool,
}

#[derive(Debug)]
struct Growth {
    name: String,
    size: u64,
    tag: String,
    file: Arc<File>,
    reach: watch::Sender<Reach>,
}

/// The writer's side of a recording on its way: it is served until this is dropped.
#[derive(Debug)]
pub struct Arriving {
    shelf: Arc<Shelf>,
    growth: Arc<Growth>,
}

impl Shelf {
    /// Opens a folder that exists.
    pub fn open(folder: &Path) -> io::Result<Arc<Self>> {
        let opened = File::open(folder)?;
        if !opened.metadata()?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let mut hash = DefaultHasher::new();
        (std::process::id(), SystemTime::now()).hash(&mut hash);
        Ok(Arc::new(Self {
            folder: opened,
            growing: Mutex::default(),
            newcomers: broadcast::channel(NEWCOMERS).0,
            version: Mutex::default(),
            started: hash.finish(),
            numbers: AtomicU64::new(0),
        }))
    }

    /// Serves from now on, too, what comes into `temporary`, `size` bytes in the end, under the name that it is going to get.
    pub fn expect(self: &Arc<Self>, temporary: &Path, name: &str, size: u64) -> io::Result<Arriving> {
        // Opened anew: a copy of the writer's handle would keep its lock.
        let nofollow = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::open(temporary, nofollow, Mode::empty())?);
        let bytes = file.metadata()?.len().min(size);
        let mut growing = self.growing();
        let free = |name: &String| {
            let taken = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok();
            !taken && growing.iter().all(|growth| growth.name != *name)
        };
        let name = (0..10_000).map(|number| names::numbered(name, number)).find(free);
        let name = name.ok_or(io::ErrorKind::AlreadyExists)?;
        // Of this process and this transfer: whether the next one brings the same bytes, nobody knows yet.
        let tag = format!("\"{:x}-{}\"", self.started, self.numbers.fetch_add(1, Ordering::Relaxed));
        let reach = watch::channel(Reach { bytes, ended: false }).0;
        let growth = Arc::new(Growth { name: name.clone(), size, tag, file: Arc::new(file), reach });
        growing.push(growth.clone());
        // Nobody may be waiting for it.
        let _ = self.newcomers.send(name);
        Ok(Arriving { shelf: self.clone(), growth })
    }

    /// The names of recordings that begin to arrive from now on.
    pub fn newcomers(&self) -> broadcast::Receiver<String> {
        self.newcomers.subscribe()
    }

    /// All recordings, by name. Reads the folder: not for a thread that others wait for.
    pub fn list(&self) -> io::Result<Vec<Item>> {
        let mut items: Vec<Item> = self.growing().iter().map(|growth| growth.item()).collect();
        for entry in rustix::fs::Dir::read_from(&self.folder)? {
            let entry = entry?;
            let Some(name) = recording_name(OsStr::new(entry.file_name().to_str().unwrap_or_default()))
            else {
                continue;
            };
            if items.len() == MOST_LISTED {
                break;
            }
            if items.iter().any(|item| item.arrived.is_some() && item.name == name) {
                continue;
            }
            // It may have gone meanwhile.
            let Ok(file) = self.open_regular(name) else { continue };
            if let Ok(metadata) = file.metadata() {
                items.push(whole(name, &metadata, &file));
            }
        }
        items.sort_by_cached_key(|item| (item.name.to_lowercase(), item.name.clone()));
        Ok(items)
    }

    /// One recording. `NotFound` for whatever is none.
    pub fn find(&self, name: &str) -> io::Result<Recording> {
        let name = recording_name(OsStr::new(name)).ok_or(io::ErrorKind::NotFound)?;
        if let Some(growth) = self.growing().iter().find(|growth| growth.name == name) {
            let source = Source { file: growth.file.clone(), reach: Some(growth.reach.subscribe()) };
            return Ok(Recording { item: growth.item(), tag: growth.tag.clone(), source });
        }
        let file = self.open_regular(name)?;
        let metadata = file.metadata()?;
        let item = whole(name, &metadata, &file);
        let tag = format!(
            "\"{:x}-{:x}-{:x}.{:x}\"",
            metadata.ino(),
            metadata.size(),
            metadata.mtime(),
            metadata.mtime_nsec()
        );
        Ok(Recording { item, tag, source: Source { file: Arc::new(file), reach: None } })
    }

    /// How often the listing has changed, as far as anybody looked: it counts up, and wraps.
    pub fn version(&self, items: &[Item]) -> u32 {
        let mut hash = DefaultHasher::new();
        for item in items {
            (&item.name, item.size, item.arrived.is_some(), item.modified).hash(&mut hash);
        }
        let now = hash.finish();
        let mut version = self.version.lock().unwrap_or_else(PoisonError::into_inner);
        if version.0 != now {
            *version = (now, version.1.wrapping_add(1));
        }
        version.1
    }

    /// A regular file of the folder itself. What is none is not even opened: opening a device or a pipe may have effects.
    fn open_regular(&self, name: &str) -> io::Result<File> {
        let is_regular = |mode| FileType::from_raw_mode(mode) == FileType::RegularFile;
        let before = rustix::fs::statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !is_regular(before.st_mode) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = File::from(rustix::fs::openat(&self.folder, name, flags, Mode::empty())?);
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(file)
    }

    fn growing(&self) -> MutexGuard<'_, Vec<Arc<Growth>>> {
        self.growing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Growth {
    fn item(&self) -> Item {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified());
        Item {
            name: self.name.clone(),
            size: self.size,
            arrived: Some(self.reach.borrow().bytes),
            modified: modified.unwrap_or(SystemTime::UNIX_EPOCH),
            kind: Kind::of(&self.name, &self.file),
        }
    }
}

impl Arriving {
    /// So many bytes are in the file now.
    pub fn reach(&self, bytes: u64) {
        self.growth.reach.send_if_modified(|reach| {
            let more = bytes > reach.bytes;
            reach.bytes = reach.bytes.max(bytes);
            more
        });
    }
}

/// Whole and in its place, or broken off: who reads gets what is there, and no more comes.
impl Drop for Arriving {
    fn drop(&mut self) {
        self.shelf.growing().retain(|growth| !Arc::ptr_eq(growth, &self.growth));
        self.growth.reach.send_modify(|reach| reach.ended = true);
    }
}

impl Recording {
    /// How many bytes are there now.
    pub fn there(&self) -> u64 {
        self.item.arrived.unwrap_or(self.item.size)
    }

    /// Its bytes from `range`, which lies within its size, as they come.
    pub fn flow(self, range: std::ops::Range<u64>, patience: std::time::Duration) -> Flow {
        Flow::start(self.source, range, patience)
    }
}

/// The name, if a file of this name may be a recording.
fn recording_name(name: &OsStr) -> Option<&str> {
    let name = name.to_str()?;
    let unprintable = |c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}');
    let fits = !name.is_empty()
        && name.len() <= 255
        && !name.starts_with('.')
        && !name.contains(['/', '\\'])
        && !name.contains(unprintable);
    (fits && !is_temporary(name)).then_some(name)
}

/// Names of files that somebody is still writing, ours and others'.
fn is_temporary(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    let ours = lower.rsplit_once(".new-").is_some_and(|(_, numbers)| {
        !numbers.is_empty() && numbers.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-')
    });
    ours || [".part", ".tmp", ".crdownload", "~"].iter().any(|end| lower.ends_with(end))
}

fn whole(name: &str, metadata: &Metadata, file: &File) -> Item {
    Item {
        name: name.to_owned(),
        size: metadata.len(),
        arrived: None,
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        kind: Kind::of(name, file),
    }
}

/// Reads where others write: never the handle's own position.
pub(super) fn read_at(file: &fs::File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, offset)?;
    Ok(bytes)
}
