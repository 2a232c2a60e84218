//! The slots of connections that have not got through HELLO: when all are taken, whoever holds most gives one up.

use super::ConnectionId;
use alloc::collections::{BTreeMap, BTreeSet};
use core::cmp::Reverse;
use core::net::IpAddr;

/// A flood that fills all slots must not keep others out, wherever it comes from: a newcomer gets the slot of the longest waiting connection of the source
/// that has most of them. An honest terminal needs its slot for a few round trips, and a source of few connections is never the fullest while a flood lasts.
#[derive(Default)]
pub(super) struct Slots {
    sources: BTreeMap<IpAddr, BTreeSet<ConnectionId>>,
    /// The fullest source last, and among equals the one that has waited longest: connections are numbered in their order.
    ranks: BTreeSet<(usize, Reverse<ConnectionId>, IpAddr)>,
    taken: usize,
}

impl Slots {
    /// How many are taken.
    pub fn taken(&self) -> usize {
        self.taken
    }

    /// Takes one; how many its source has then.
    pub fn take(&mut self, source: IpAddr, connection: ConnectionId) -> usize {
        self.change(source, |held| held.insert(connection))
    }

    /// Gives one back.
    pub fn free(&mut self, source: IpAddr, connection: ConnectionId) {
        self.change(source, |held| held.remove(&connection));
    }

    /// Who has to give one up.
    pub fn longest_of_fullest(&self) -> Option<ConnectionId> {
        self.ranks.last().map(|(_, Reverse(connection), _)| *connection)
    }

    fn change(&mut self, source: IpAddr, change: impl FnOnce(&mut BTreeSet<ConnectionId>) -> bool) -> usize {
        let rank =
            |held: &BTreeSet<ConnectionId>| held.first().map(|oldest| (held.len(), Reverse(*oldest), source));
        let held = self.sources.entry(source).or_default();
        if let Some(rank) = rank(held) {
            self.ranks.remove(&rank);
            self.taken -= rank.0;
        }
        change(held);
        let count = held.len();
        self.taken += count;
        match rank(held) {
            Some(rank) => drop(self.ranks.insert(rank)),
            None => drop(self.sources.remove(&source)),
        }
        count
    }
}
