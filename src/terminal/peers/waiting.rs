//! The callee's list of depositors (P11, Fig. 28, 29): one deposit of each, until the broker knows that it has been collected.

use super::{Peer, Peers, Standing};
use crate::identifier::Identifier;
use crate::link::PublicKey;
use crate::message::DepositId;

/// What is known of a caller's deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum Waiting {
    Nothing,
    /// Told in an earlier connection to the broker.
    Remembered(DepositId),
    /// Told in this connection.
    Told(DepositId),
    /// Not to be collected in this connection.
    PutOff(DepositId),
    /// It is stored here. The broker must hear so.
    Collected(DepositId),
}

impl Waiting {
    pub(super) const fn deposit(&self) -> Option<&DepositId> {
        match self {
            Self::Nothing => None,
            Self::Remembered(deposit)
            | Self::Told(deposit)
            | Self::PutOff(deposit)
            | Self::Collected(deposit) => Some(deposit),
        }
    }
}

impl Peers<'_> {
    /// M21 from a permitted caller with a key that fits, which is pinned: whether it is new, and is to be stored.
    pub(in crate::terminal) fn told(
        &mut self,
        caller: &Identifier,
        key: &PublicKey,
        deposit: &DepositId,
    ) -> bool {
        let Ok(peer) = self.place(caller) else { return false };
        if matches!(peer.standing, Standing::Deleted | Standing::Again) {
            return false;
        }
        peer.key.get_or_insert(*key);
        match peer.waiting {
            Waiting::Remembered(known) if known == *deposit => {
                peer.waiting = Waiting::Told(known);
                false
            }
            // Of the others the broker tells again.
            Waiting::Told(_) | Waiting::Collected(_) => false,
            Waiting::PutOff(known) if known == *deposit => false,
            // What was put off holds up no other: of that the broker tells again as well.
            Waiting::Nothing | Waiting::Remembered(_) | Waiting::PutOff(_) => {
                peer.waiting = Waiting::Told(*deposit);
                true
            }
        }
    }

    /// What another program of this device knows: that something is collected, or more than is known here. What is out of date is found out by asking
    /// for it, and what loses its place the broker tells of again; but what is collected must not be forgotten, nor what is being collected. `alike`:
    /// their list has the same number.
    pub(super) fn adopt_waiting(
        &mut self,
        caller: &str,
        theirs: Waiting,
        alike: bool,
        collects: &dyn Fn(&DepositId) -> bool,
    ) {
        let Some(peer) = self.find(caller).and_then(|index| self.places.get_mut(index)) else { return };
        let rank = |waiting: &Waiting| match waiting {
            Waiting::Collected(_) => 3,
            other if other.deposit().is_some_and(collects) => 2,
            Waiting::Nothing => 0,
            _ => 1,
        };
        let (known, new) = (rank(&peer.waiting), rank(&theirs));
        if new > known && (new == 3 || alike || peer.is_permitted()) {
            peer.waiting = theirs;
        }
    }

    /// A new connection to the broker: it tells anew what there is, and what was put off is tried again.
    pub(in crate::terminal) fn remember(&mut self) {
        for peer in self.places.iter_mut() {
            if let Waiting::Told(deposit) | Waiting::PutOff(deposit) = peer.waiting {
                peer.waiting = Waiting::Remembered(deposit);
            }
        }
    }

    /// An entry is struck off. If it is a group's, its members' deposits are not to be collected: the broker tells anew of those that still are.
    pub(super) fn forget_by_group(&mut self) {
        for peer in self.places.iter_mut().filter(|peer| peer.standing == Standing::Known) {
            if !matches!(peer.waiting, Waiting::Collected(_)) {
                peer.waiting = Waiting::Nothing;
            }
        }
    }

    /// Whether it is still to be collected.
    pub(in crate::terminal) fn waits(&self, deposit: &DepositId) -> bool {
        self.places.iter().any(|peer| peer.waiting.deposit() == Some(deposit))
    }

    /// What waits to be collected, and of whom. Nothing waits of those that are not permitted.
    pub(in crate::terminal) fn next_waiting(&self) -> Option<(&Identifier, &PublicKey, DepositId)> {
        self.places.iter().find_map(|peer| match peer.waiting {
            Waiting::Told(deposit) | Waiting::Remembered(deposit) => {
                Some((peer.identifier.as_ref()?, peer.key.as_ref()?, deposit))
            }
            _ => None,
        })
    }

    /// A deposit that is here and that the broker still has.
    pub(in crate::terminal) fn next_collected(&self) -> Option<DepositId> {
        self.places.iter().find_map(|peer| match peer.waiting {
            Waiting::Collected(deposit) => Some(deposit),
            _ => None,
        })
    }

    /// The broker doesn't hand it over. The second time it is struck off; `true`: that is to be stored.
    pub(in crate::terminal) fn refused(&mut self, deposit: &DepositId) -> bool {
        let mut places = self.places.iter_mut();
        let Some(peer) = places.find(|peer| peer.waiting.deposit() == Some(deposit)) else { return false };
        let again = matches!(peer.waiting, Waiting::Told(_));
        peer.waiting = if again { Waiting::Remembered(*deposit) } else { Waiting::Nothing };
        !again
    }

    /// Whether it is on the list: what becomes of it is to be stored.
    pub(in crate::terminal) fn set_waiting(
        &mut self,
        deposit: &DepositId,
        becomes: fn(DepositId) -> Waiting,
    ) -> bool {
        let Some(peer) = self.places.iter_mut().find(|peer| peer.waiting.deposit() == Some(deposit)) else {
            return false;
        };
        peer.waiting = becomes(*deposit);
        if peer.waiting == Waiting::Nothing && peer.standing == Standing::Known && peer.key.is_none() {
            *peer = Peer::NONE;
        }
        true
    }
}

impl Peer {
    /// It is struck off. That is remembered until the broker knows: it may have the entry even if it hasn't said so.
    pub(super) fn strike_off(&mut self) {
        let (identifier, listed) = (self.identifier.clone(), self.standing != Standing::Known);
        self.forget();
        if listed {
            (self.identifier, self.standing) = (identifier, Standing::Deleted);
        }
    }

    /// It is struck off, and its key goes too: whoever is permitted anew is pinned anew. Only that a deposit of it is here already is remembered until the broker
    /// knows, lest it be collected once more.
    pub(super) fn forget(&mut self) {
        let forgotten = core::mem::replace(self, Self::NONE);
        if matches!(forgotten.waiting, Waiting::Collected(_)) {
            (self.identifier, self.waiting) = (forgotten.identifier, forgotten.waiting);
        }
    }
}

/// Who has deposited something that isn't collected yet.
pub(in crate::terminal) fn depositors(places: &[Peer]) -> impl Iterator<Item = (&Identifier, &DepositId)> {
    let waiting = places.iter().filter(|peer| !matches!(peer.waiting, Waiting::Collected(_)));
    waiting.filter_map(|peer| Some((peer.identifier.as_ref()?, peer.waiting.deposit()?)))
}
