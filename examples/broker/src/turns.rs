//! Who has a turn when.
//!
//! Strangers, whose first word costs a handshake, come after those that are through. Links that send more than honest terminals do take their turns behind the others.
//! They are not refused, and where nobody else is about they are not slowed down. Else they share one turn every few milliseconds: what they send beyond
//! that waits at their own end, and takes neither the others' time nor this machine's.

use p2pgate::broker::ConnectionId;
use std::collections::BTreeSet;
use std::ops::Bound;
use std::time::{Duration, Instant};

/// What a link may send at once, bytes: several of the longest messages.
const BURST: u64 = 64 << 10;
/// What it may send all the time, bytes a millisecond.
const RATE: u64 = 100;
/// How long those behind wait after a turn, while others are about, milliseconds.
const PAUSE: u64 = 5;
/// So long after the last turn of one of them the others are about, milliseconds.
const ABOUT: u64 = 100;

/// How long strangers wait for what follows once one who is through was served, such as the callee's answer.
const FOLLOWING: Duration = Duration::from_micros(100);
/// How long they wait at most, however busy the others are.
const PATIENCE: Duration = Duration::from_millis(1);

/// Connections that have said nothing yet.
pub(crate) struct Strangers {
    waiting: BTreeSet<ConnectionId>,
    /// When the last of the others was served, and when a stranger last had a turn.
    served: Instant,
    heard: Instant,
}

impl Strangers {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self { waiting: BTreeSet::new(), served: now, heard: now }
    }

    pub(crate) fn push(&mut self, connection: ConnectionId) {
        self.waiting.insert(connection);
    }

    pub(crate) fn pop(&mut self) -> Option<ConnectionId> {
        self.waiting.pop_first()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// One of the others has had its turn.
    pub(crate) fn others_served(&mut self) {
        self.served = Instant::now();
    }

    /// Whether it is their turn, which is then had.
    pub(crate) fn have_their_turn(&mut self) -> bool {
        let now = Instant::now();
        let due = now - self.served >= FOLLOWING || now - self.heard >= PATIENCE;
        if due {
            self.heard = now;
        }
        due
    }
}

/// How much a link has sent lately.
#[derive(Default)]
pub(crate) struct Spent {
    bytes: u64,
    at: u64,
}

impl Spent {
    pub(crate) fn add(&mut self, bytes: usize, now: u64) {
        self.bytes = self.left(now).saturating_add(bytes as u64);
        self.at = now;
    }

    fn left(&self, now: u64) -> u64 {
        self.bytes.saturating_sub(now.saturating_sub(self.at).saturating_mul(RATE))
    }

    pub(crate) fn is_much(&self, now: u64) -> bool {
        self.left(now) > BURST
    }
}

/// The links that wait behind the others.
#[derive(Default)]
pub(crate) struct Behind {
    links: BTreeSet<ConnectionId>,
    /// Whose turn was last.
    last: ConnectionId,
    /// When the next turn is, while others are about, and until when they are.
    next: u64,
    about: u64,
}

impl Behind {
    pub(crate) fn push(&mut self, link: ConnectionId) {
        self.links.insert(link);
    }

    /// One of the others has its turn.
    pub(crate) fn others_served(&mut self, now: u64) {
        self.about = now.saturating_add(ABOUT);
    }

    /// When one of these has its turn.
    pub(crate) fn due(&self, now: u64) -> Option<u64> {
        let due = if self.about > now { self.next.min(self.about) } else { 0 };
        (!self.links.is_empty()).then_some(due)
    }

    /// Whose turn it is, one after the other.
    pub(crate) fn pop(&mut self, now: u64) -> Option<ConnectionId> {
        self.due(now).filter(|due| *due <= now)?;
        let after = (Bound::Excluded(self.last), Bound::Unbounded);
        let link = self.links.range(after).next().or(self.links.first()).copied()?;
        self.links.remove(&link);
        (self.last, self.next) = (link, now.saturating_add(PAUSE));
        Some(link)
    }
}
