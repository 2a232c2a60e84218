//! How much of each recording is of which class. Found by reading it from end to end, which takes minutes for a long one: once for each state of a file, and
//! nobody waits for more of it than a little.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use p2pgate::mpeg::Selection;

use crate::outgoing::Source;
use crate::recording::Scan;

/// So many recordings' figures are kept; then the oldest go.
const KEPT: usize = 4096;
/// So many recordings are read at once at most.
const READERS: usize = 2;

/// A state of a file, and what counts as sealed in it.
type Key = (Vec<u8>, Selection, bool);

#[derive(Default)]
struct Known {
    found: HashMap<Key, Scan>,
    /// The keys of `found`, oldest first.
    order: VecDeque<Key>,
    /// What is being read.
    reading: Vec<Key>,
    /// What could not be read, to be told once.
    failed: Vec<(Key, io::Error)>,
}

/// The figures that are known.
#[derive(Clone, Default)]
pub struct Figures(Arc<(Mutex<Known>, Condvar)>);

impl Figures {
    /// What a recording consists of if it travels by its plan. `None`: reading it takes longer than `patience`, and goes on.
    pub fn of(&self, source: &Source, patience: Duration) -> io::Result<Option<Scan>> {
        let deadline = Instant::now() + patience;
        let key = (source.tag().to_vec(), source.plan.selection, source.plan.seal_rest);
        let mut known = self.lock();
        loop {
            if let Some(scan) = known.found.get(&key) {
                return Ok(Some(*scan));
            }
            if let Some(at) = known.failed.iter().position(|(failed, _)| *failed == key) {
                return Err(known.failed.swap_remove(at).1);
            }
            if !known.reading.contains(&key) && known.reading.len() < READERS {
                let scan = source.scanner()?;
                known.reading.push(key.clone());
                let (figures, key) = (self.clone(), key.clone());
                std::thread::Builder::new().name("figures".into()).spawn(move || {
                    let scanned = scan();
                    figures.keep(key, scanned);
                })?;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            known = self.0.1.wait_timeout(known, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn keep(&self, key: Key, scanned: io::Result<Scan>) {
        let mut known = self.lock();
        known.reading.retain(|reading| *reading != key);
        match scanned {
            Ok(scan) => {
                if known.order.len() >= KEPT
                    && let Some(oldest) = known.order.pop_front()
                {
                    known.found.remove(&oldest);
                }
                known.order.push_back(key.clone());
                known.found.insert(key, scan);
            }
            Err(error) => {
                known.failed.truncate(READERS);
                known.failed.push((key, error));
            }
        }
        self.0.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
