//! The store's thread, so that no disk ever holds the network up.

use super::{Operation, Store};
use p2pgate::broker::Stored;
use std::io;
use std::sync::mpsc::{Receiver, Sender, TryRecvError, channel};
use std::thread::JoinHandle;

/// The most that one sync makes durable.
const GROUP: usize = 256;

/// The most that may wait for the disk; what comes beyond it fails at once.
const QUEUE: usize = 16_384;

/// A store on a thread of its own. `T` says who asked.
pub(crate) struct Worker<T> {
    operations: Option<Sender<(T, Operation)>>,
    outcomes: Receiver<(T, Operation, Stored)>,
    pending: usize,
    thread: Option<JoinHandle<()>>,
}

/// The store's thread has ended before its time.
#[derive(Debug)]
pub(crate) struct Gone;

impl<T: Send + 'static> Worker<T> {
    /// Starts the thread; `wake` is called when there are outcomes.
    pub(crate) fn start(mut store: Box<dyn Store>, wake: impl Fn() + Send + 'static) -> io::Result<Self> {
        let (operations, asked) = channel::<(T, Operation)>();
        let (told, outcomes) = channel();
        let thread = std::thread::Builder::new().name("store".into()).spawn(move || {
            while let Ok(first) = asked.recv() {
                let group = std::iter::once(first).chain(asked.try_iter().take(GROUP - 1));
                let (askers, operations): (Vec<T>, Vec<Operation>) = group.unzip();
                let results = store.apply(&operations);
                for ((asker, operation), result) in askers.into_iter().zip(operations).zip(results) {
                    if told.send((asker, operation, result)).is_err() {
                        return;
                    }
                }
                wake();
            }
        })?;
        Ok(Self { operations: Some(operations), outcomes, pending: 0, thread: Some(thread) })
    }

    /// Whether half of what may wait for the disk waits.
    pub(crate) fn is_behind(&self) -> bool {
        self.pending >= QUEUE / 2
    }

    /// How many operations are not answered yet.
    pub(crate) fn pending(&self) -> usize {
        self.pending
    }

    /// Queues an operation, or gives the asker back if too many wait.
    pub(crate) fn submit(&mut self, asker: T, operation: Operation) -> Result<(), T> {
        let Some(sender) = self.operations.as_ref().filter(|_| self.pending < QUEUE) else {
            return Err(asker);
        };
        sender.send((asker, operation)).map_err(|refused| refused.0.0)?;
        self.pending += 1;
        Ok(())
    }

    /// The next outcome, in the order in which the operations were queued.
    pub(crate) fn outcome(&mut self) -> Result<Option<(T, Operation, Stored)>, Gone> {
        match self.outcomes.try_recv() {
            Ok(outcome) => {
                self.pending -= 1;
                Ok(Some(outcome))
            }
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Err(Gone),
        }
    }
}

impl<T> Drop for Worker<T> {
    /// Waits until everything that was queued is on disk.
    fn drop(&mut self) {
        self.operations = None;
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the store's thread has failed");
        }
    }
}
