//! The deposits' files, one each, written by a thread of their own.
//!
//! A file is only ever appended to. What the index does not have yet is nothing: it is cut off when the next lane comes, and at the start.

use crate::Error;
use crate::folder::Folder;
use p2pgate::broker::{ConnectionId, RequestId, StoreOperation, StoredDeposit};
use p2pgate::message::DepositId;
use std::collections::HashMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// Written to see whether the disk takes anything. Like every file here that is no deposit's, it is removed at the start.
const PROBE: &str = "probe";

/// What the thread is to do, in this order.
pub(crate) enum Work {
    /// A lane brings what comes behind `start` bytes.
    Open {
        lane: ConnectionId,
        deposit: DepositId,
        start: u64,
    },
    Write {
        lane: ConnectionId,
        deposit: DepositId,
        bytes: Vec<u8>,
    },
    /// A part is whole: everything so far is to be durable before the index has it.
    Sync {
        request: RequestId,
        deposit: DepositId,
        operation: StoreOperation,
    },
    /// The lane is over.
    Close {
        lane: ConnectionId,
        deposit: DepositId,
    },
    /// The index has forgotten it.
    Remove {
        deposit: DepositId,
    },
    /// Whether the disk takes anything again, and what could not be removed can be now.
    Probe,
}

/// What is done.
pub(crate) enum Done {
    Written {
        lane: ConnectionId,
        length: usize,
    },
    Synced {
        request: RequestId,
        operation: StoreOperation,
        durable: bool,
    },
    /// A file is still there.
    NotRemoved,
    Probed {
        works: bool,
    },
}

/// The thread, and what it is asked and answers.
pub(crate) struct Files {
    folder: PathBuf,
    work: Option<Sender<Work>>,
    done: Receiver<Done>,
    /// Parts that are not answered yet, and bytes that are not written.
    syncing: usize,
    unwritten: usize,
    thread: Option<JoinHandle<()>>,
}

impl Files {
    /// Takes the folder of deposits, brings its files to what the index says, and starts the thread. Gives those deposits that are lost.
    pub(crate) fn start(
        folder: &Folder,
        deposits: &[StoredDeposit],
        wake: impl Fn() + Send + 'static,
    ) -> Result<(Self, Vec<DepositId>), Error> {
        let path = folder.deposits();
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(Error::file("create", &path))?;
        let lost = recover(&path, deposits).map_err(Error::file("recover", &path))?;
        sync_folder(folder.path()).map_err(Error::file("sync", folder.path()))?;
        let (work, asked) = channel();
        let (told, done) = channel();
        let mut keeper = Keeper { folder: path.clone(), open: HashMap::new(), remaining: Vec::new() };
        let thread = std::thread::Builder::new().name("deposits".into()).spawn(move || {
            while let Ok(work) = asked.recv() {
                if let Some(done) = keeper.perform(work) {
                    if told.send(done).is_err() {
                        return;
                    }
                    wake();
                }
            }
        });
        let thread = thread.map_err(Error::system("start a thread"))?;
        let files =
            Self { folder: path, work: Some(work), done, syncing: 0, unwritten: 0, thread: Some(thread) };
        Ok((files, lost))
    }

    pub(crate) fn submit(&mut self, work: Work) {
        match &work {
            Work::Write { bytes, .. } => self.unwritten += bytes.len(),
            Work::Sync { .. } => self.syncing += 1,
            _ => {}
        }
        if self.work.as_ref().is_none_or(|sender| sender.send(work).is_err()) {
            tracing::error!("the deposits' thread has ended");
        }
    }

    /// The next thing that is done; an error: the thread has ended before its time.
    pub(crate) fn outcome(&mut self) -> io::Result<Option<Done>> {
        match self.done.try_recv() {
            Ok(done) => {
                match &done {
                    Done::Written { length, .. } => self.unwritten -= length,
                    Done::Synced { .. } => self.syncing -= 1,
                    Done::NotRemoved | Done::Probed { .. } => {}
                }
                Ok(Some(done))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Bytes that wait for the disk.
    pub(crate) fn unwritten(&self) -> usize {
        self.unwritten
    }

    /// Parts that wait for the disk.
    pub(crate) fn syncing(&self) -> usize {
        self.syncing
    }

    /// A deposit's file, to be read.
    pub(crate) fn open(&self, deposit: &DepositId) -> io::Result<File> {
        File::open(self.folder.join(name(deposit)))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        self.work = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the deposits' thread has failed");
        }
    }
}

/// The thread's own.
struct Keeper {
    folder: PathBuf,
    open: HashMap<DepositId, Open>,
    /// Files that the index has forgotten and the disk did not let go.
    remaining: Vec<DepositId>,
}

struct Open {
    lane: ConnectionId,
    /// `None` once something of it has failed: nothing behind that is durable.
    file: Option<File>,
    /// Its name is not durable yet.
    new: bool,
}

impl Keeper {
    fn perform(&mut self, work: Work) -> Option<Done> {
        match work {
            Work::Open { lane, deposit, start } => {
                let file = self.file(&deposit, start).map_err(|error| failed(&deposit, &error)).ok();
                self.open.insert(deposit, Open { lane, file, new: start == 0 });
                None
            }
            Work::Write { lane, deposit, bytes } => {
                if let Some(open) = self.open.get_mut(&deposit).filter(|open| open.lane == lane)
                    && let Some(file) = &mut open.file
                    && let Err(error) = file.write_all(&bytes)
                {
                    failed(&deposit, &error);
                    open.file = None;
                }
                Some(Done::Written { lane, length: bytes.len() })
            }
            Work::Sync { request, deposit, operation } => {
                let durable = self.sync(&deposit).map_err(|error| failed(&deposit, &error)).is_ok();
                Some(Done::Synced { request, operation, durable })
            }
            Work::Close { lane, deposit } => {
                if self.open.get(&deposit).is_some_and(|open| open.lane == lane) {
                    self.open.remove(&deposit);
                }
                None
            }
            Work::Remove { deposit } => {
                self.open.remove(&deposit);
                let error = self.remove(&deposit).err()?;
                failed(&deposit, &error);
                self.remaining.push(deposit);
                Some(Done::NotRemoved)
            }
            Work::Probe => Some(Done::Probed { works: self.probe().is_ok() }),
        }
    }

    fn remove(&self, deposit: &DepositId) -> io::Result<()> {
        remove(&self.folder.join(name(deposit)))
    }

    fn probe(&mut self) -> io::Result<()> {
        let path = self.folder.join(PROBE);
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&path)?;
        file.write_all(&[0; 4096])?;
        file.sync_all()?;
        remove(&path)?;
        while let Some(deposit) = self.remaining.last() {
            self.remove(deposit)?;
            self.remaining.pop();
        }
        Ok(())
    }

    fn file(&self, deposit: &DepositId, start: u64) -> io::Result<File> {
        let path = self.folder.join(name(deposit));
        let mut file =
            OpenOptions::new().create(start == 0).write(true).truncate(false).mode(0o600).open(path)?;
        if file.metadata()?.len() < start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        file.set_len(start)?;
        file.seek(SeekFrom::Start(start))?;
        Ok(file)
    }

    fn sync(&mut self, deposit: &DepositId) -> io::Result<()> {
        let open = self.open.get_mut(deposit).ok_or(io::ErrorKind::NotFound)?;
        let result = match &open.file {
            Some(file) => file.sync_data(),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if result.is_err() {
            // The system may have dropped what it could not write: nothing of this lane counts from here on.
            open.file = None;
            return result;
        }
        if open.new {
            sync_folder(&self.folder)?;
            open.new = false;
        }
        Ok(())
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn failed(deposit: &DepositId, error: &io::Error) {
    tracing::error!(%error, "the deposit {} was not written: check that the disk has room", name(deposit));
}

/// A deposit's file name: its number in hexadecimal.
pub(crate) fn name(deposit: &DepositId) -> String {
    deposit.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Cuts what is not in the index; gives those deposits of which less is there than the index has.
fn recover(path: &Path, deposits: &[StoredDeposit]) -> io::Result<Vec<DepositId>> {
    let kept = deposits.iter().filter(|deposit| deposit.notice.is_none());
    let mut missing: HashMap<String, &StoredDeposit> =
        kept.map(|deposit| (name(&deposit.record.deposit), deposit)).collect();
    for entry in path.read_dir()? {
        let entry = entry?;
        let known = entry.file_name().to_str().and_then(|name| missing.get(name).copied());
        let Some(deposit) = known else {
            tracing::info!("removed {}: it belongs to no deposit", entry.path().display());
            std::fs::remove_file(entry.path())?;
            continue;
        };
        let length = entry.metadata()?.len();
        if length > deposit.stored {
            let file = OpenOptions::new().write(true).open(entry.path())?;
            file.set_len(deposit.stored)?;
            file.sync_all()?;
        }
        if length >= deposit.stored {
            missing.remove(&name(&deposit.record.deposit));
        }
    }
    let lost = missing.into_values().filter(|deposit| deposit.stored > 0);
    Ok(lost.map(|deposit| deposit.record.deposit).collect())
}
