//! What is due when.

use super::deposits::{DepositNumber, LaneNumber};
use super::{ConnectionId, grants::GrantId, lanes::PairId, query::QueryId};
use alloc::collections::BTreeSet;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    Connection(ConnectionId),
    Query(QueryId),
    GrantEnd(GrantId),
    GrantAbsent(GrantId),
    Pair(PairId),
    Deposit(DepositNumber),
    DepositLane(LaneNumber),
    /// The resolver is tried again.
    Resolver,
    /// It is told again of everybody who is here.
    Refresh,
    /// It is told again what it could not store.
    Telling,
    /// A resolver forgets addresses.
    Addresses,
}

/// Deadlines in the order of time, each in monotonic milliseconds.
#[derive(Default)]
pub(super) struct Timers(BTreeSet<(u64, Timer)>);

impl Timers {
    pub fn arm(&mut self, at: u64, timer: Timer) {
        self.0.insert((at, timer));
    }

    pub fn disarm(&mut self, at: u64, timer: Timer) {
        self.0.remove(&(at, timer));
    }

    pub fn next(&self) -> Option<u64> {
        self.0.first().map(|&(at, _)| at)
    }

    /// Takes the first one that is due.
    pub fn pop_due(&mut self, now: u64) -> Option<Timer> {
        self.0.first().filter(|(at, _)| *at <= now)?;
        self.0.pop_first().map(|(_, timer)| timer)
    }
}
