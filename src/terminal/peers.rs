//! The terminals that this one knows: who may connect to it, and which keys they had (rows P2, V5; `docs/design.md`, Identity).

mod waiting;

pub(super) use waiting::{Waiting, depositors};

use crate::identifier::Identifier;
use crate::link::PublicKey;
use crate::message::DepositId;
use crate::permitted;
use sha2::{Digest, Sha256};
use thiserror::Error;

/// A terminal that may connect, that was called before, or that is about to be struck off the broker's list.
#[derive(Clone, Debug)]
pub struct Peer {
    pub(super) identifier: Option<Identifier>,
    key: Option<PublicKey>,
    standing: Standing,
    waiting: Waiting,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not on the list: its key is remembered from a call.
    Known,
    /// On the list, and the broker has it.
    Permitted,
    /// On the list since the last registration.
    Added,
    /// Struck off since the last registration.
    Deleted,
    /// Struck off since the last registration, and put on again: the broker has to strike it off first, with all that hung on it, and admits nobody by it
    /// until then.
    Again,
}

impl Peer {
    /// An empty place.
    pub const NONE: Self =
        Self { identifier: None, key: None, standing: Standing::Known, waiting: Waiting::Nothing };

    fn is_permitted(&self) -> bool {
        matches!(self.standing, Standing::Permitted | Standing::Added | Standing::Again)
    }

    /// Whether the next registration leaves it on the broker's list.
    fn is_registered(&self) -> bool {
        matches!(self.standing, Standing::Permitted | Standing::Added)
    }
}

/// How many bytes a stored place takes at most.
const RECORD: usize = 1 + 1 + 128 + 32 + 16;
/// Version 1 had no deposits, version 2 nobody who was struck off and put on again.
const VERSION: u8 = 3;
/// Behind the identifier comes a key.
const HAS_KEY: u8 = 0x80;
/// Then a deposit's number.
const HAS_DEPOSIT: u8 = 0x40;
/// It is collected.
const COLLECTED: u8 = 0x20;
/// In the number of records: deletions were forgotten.
const FORGOTTEN: u64 = 1 << 63;
/// Version, revision, number of records.
const HEAD: usize = 1 + 8 + 8;
/// The start of SHA-256 over all before it: flash forgets, and no altered entry may let somebody in.
const CHECK: usize = 8;

/// The list and the pins, over the caller's storage.
pub(super) struct Peers<'a> {
    places: &'a mut [Peer],
    book: &'a mut Book,
}

/// What is known of the list as a whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    /// The list's number: it grows by one with each change.
    pub(super) revision: u64,
    /// The revision that the broker has acknowledged in this connection, with nothing changed besides.
    pub(super) registered: Option<u64>,
    /// The broker refused it: it isn't sent again as it is, in this connection.
    pub(super) refused: bool,
    /// It is sent again in a while all the same: the broker could not store it.
    pub(super) put_off: bool,
    /// The next registration must be of the whole list.
    pub(super) whole: bool,
    /// There was no place to remember all that was struck off since the last registration: it may be anybody who is put on the list now.
    forgotten: bool,
}

impl Book {
    /// The list is to be registered.
    pub(super) fn unregister(&mut self) {
        (self.registered, self.refused, self.put_off) = (None, false, false);
    }

    /// The list was refused. What the broker has now is not known.
    pub(super) fn refuse(&mut self) {
        (self.registered, self.refused, self.whole) = (Some(self.revision), true, true);
    }
}

impl<'a> Peers<'a> {
    pub(super) fn new(places: &'a mut [Peer], book: &'a mut Book) -> Self {
        Self { places, book }
    }

    fn find(&self, identifier: &str) -> Option<usize> {
        self.places
            .iter()
            .position(|peer| peer.identifier.as_ref().is_some_and(|known| known.as_str() == identifier))
    }

    /// The place of `identifier`, taken anew if need be: an empty one, or one that only remembers a struck entry.
    fn place(&mut self, identifier: &Identifier) -> Result<&mut Peer, PermitError> {
        let index = self
            .find(identifier.as_str())
            .or_else(|| self.places.iter().position(|peer| peer.identifier.is_none()))
            .or_else(|| {
                // The deletion that it stands for must not be forgotten: the whole list is registered instead.
                let deleted =
                    (0..self.places.len()).filter(|&index| self.places[index].standing == Standing::Deleted);
                let index = deleted
                    .min_by_key(|&index| matches!(self.places[index].waiting, Waiting::Collected(_)))?;
                self.places[index] = Peer::NONE;
                (self.book.whole, self.book.forgotten) = (true, true);
                Some(index)
            })
            .ok_or(PermitError::Full)?;
        let peer = &mut self.places[index];
        peer.identifier.get_or_insert_with(|| identifier.clone());
        Ok(peer)
    }

    /// Whether there are places for `additions` besides what stays.
    fn check_room(&self, additions: &dyn Entries, replace: bool) -> Result<(), PermitError> {
        let mut kept = 0;
        for peer in self.places.iter() {
            let listed =
                peer.identifier.as_ref().is_some_and(|known| names(additions).any(|new| new == *known));
            let stays = match peer.standing {
                Standing::Known => peer.identifier.is_some(),
                Standing::Permitted | Standing::Added | Standing::Again => !replace,
                Standing::Deleted => false,
            };
            kept += usize::from(stays && !listed);
        }
        let distinct = names(additions)
            .enumerate()
            .filter(|(index, identifier)| {
                !names(additions).take(*index).any(|earlier| earlier == *identifier)
            })
            .count();
        if kept + distinct > self.places.len() { Err(PermitError::Full) } else { Ok(()) }
    }

    /// Changes the list (P2): with `replace` to `add` and no others. Nothing changes if it fails.
    pub(super) fn change(
        &mut self,
        replace: bool,
        add: &dyn Entries,
        delete: &dyn Entries,
    ) -> Result<(), PermitError> {
        self.check_room(add, replace)?;
        if replace || delete.count() > 0 {
            self.forget_by_group();
        }
        if replace {
            for peer in self.places.iter_mut().filter(|peer| peer.standing != Standing::Known) {
                if !names(add).any(|identifier| peer.identifier.as_ref() == Some(&identifier)) {
                    peer.strike_off();
                }
            }
        }
        self.add(add)?;
        for identifier in names(delete) {
            let Some(index) = self.find(identifier.as_str()) else { continue };
            self.places[index].strike_off();
        }
        self.book.whole |= replace;
        self.book.revision = self.book.revision.saturating_add(1);
        self.book.unregister();
        Ok(())
    }

    fn add(&mut self, entries: &dyn Entries) -> Result<(), PermitError> {
        // What gives its place up for one of these is none of them.
        let forgotten = self.book.forgotten;
        for (identifier, pin) in (0..entries.count()).filter_map(|index| entries.entry(index)) {
            let peer = self.place(&identifier)?;
            peer.standing = match peer.standing {
                Standing::Deleted => Standing::Again,
                Standing::Known if forgotten => Standing::Again,
                Standing::Known => Standing::Added,
                standing => standing,
            };
            if pin.is_some() {
                peer.key = pin;
            }
        }
        Ok(())
    }

    /// The broker has the list of `revision`, which is without those who were put on it again: these are registered next. `true`: there are some, and the
    /// list has another number.
    pub(super) fn registered(&mut self, revision: u64) -> bool {
        if revision != self.book.revision {
            return false;
        }
        let mut again = false;
        for peer in self.places.iter_mut() {
            match peer.standing {
                Standing::Deleted => peer.forget(),
                Standing::Added => peer.standing = Standing::Permitted,
                Standing::Again => (peer.standing, again) = (Standing::Added, true),
                Standing::Known | Standing::Permitted => {}
            }
        }
        let revision = revision.saturating_add(again.into());
        let registered = Some(revision).filter(|_| !again);
        *self.book = Book { revision, registered, ..Book::default() };
        again
    }

    /// Whether an entry of the list permits `identifier`: its own, or that of the group by which the broker says that it is permitted. An entry with a key is
    /// a terminal's, and no group's. One that the broker has to strike off first permits nobody: what it says of it rests on what was struck off.
    pub(super) fn admits(&self, identifier: &str, group: Option<Mark>) -> bool {
        let is_it = |name: &str| group == Some(mark(name)) && self.key_of(name).is_none();
        let own = self.find(identifier).is_some_and(|index| self.places[index].is_registered());
        own || (group.is_some() && self.permitted().any(is_it))
    }

    fn key_of(&self, identifier: &str) -> Option<PublicKey> {
        self.find(identifier).and_then(|index| self.places[index].key)
    }

    /// Whether `identifier` may have `key`: it has it already, or has none yet.
    pub(super) fn key_fits(&self, identifier: &str, key: &PublicKey) -> bool {
        self.key_of(identifier).is_none_or(|pinned| pinned == *key)
    }

    /// First use pins. `Ok(true)`: this is new, store it.
    pub(super) fn pin(&mut self, identifier: &Identifier, key: &PublicKey) -> Result<bool, PermitError> {
        let peer = self.place(identifier)?;
        if peer.key.is_some() {
            return Ok(false);
        }
        peer.key = Some(*key);
        if peer.standing == Standing::Deleted {
            // The deletion must not be forgotten, nor the key with it: the whole list is registered instead.
            peer.standing = Standing::Known;
            (self.book.whole, self.book.forgotten) = (true, true);
        }
        Ok(true)
    }

    /// Whether `identifier` is known or can be.
    pub(super) fn has_place(&self, identifier: &str) -> bool {
        self.find(identifier).is_some()
            || self.places.iter().any(|peer| peer.identifier.is_none() || peer.standing == Standing::Deleted)
    }

    fn with_standing(&self, wanted: fn(Standing) -> bool) -> Identifiers<'_> {
        Identifiers { places: self.places.iter(), wanted }
    }

    /// The list as the next registration leaves it.
    pub(super) fn permitted(&self) -> Identifiers<'_> {
        self.with_standing(|standing| matches!(standing, Standing::Permitted | Standing::Added))
    }

    pub(super) fn added(&self) -> Identifiers<'_> {
        self.with_standing(|standing| standing == Standing::Added)
    }

    pub(super) fn deleted(&self) -> Identifiers<'_> {
        self.with_standing(|standing| matches!(standing, Standing::Deleted | Standing::Again))
    }

    /// The list's digest, as the broker makes it of its own.
    pub(super) fn digest(&self) -> [u8; 32] {
        // The places are in no order, and there is nowhere to sort them: the next one is looked for each time.
        let mut last = None;
        permitted::digest(core::iter::from_fn(|| {
            let next = self.permitted().filter(|identifier| last.is_none_or(|last| *identifier > last)).min();
            last = next;
            next
        }))
    }

    /// Writes version, revision, number of records, a record for each place that is in use, and a check.
    pub(super) fn encode(&self, out: &mut [u8]) -> Result<usize, BlobTooSmall> {
        let needed = blob_size(self.places.len());
        let out = out.get_mut(..needed).ok_or(BlobTooSmall { needed })?;
        out[0] = VERSION;
        out[1..9].copy_from_slice(&self.book.revision.to_be_bytes());
        let mut at = HEAD;
        let mut count = 0_u64;
        for peer in self.places.iter() {
            let Some(identifier) = peer.identifier.as_ref().map(Identifier::as_str) else { continue };
            let standing = match peer.standing {
                Standing::Known => 0,
                Standing::Permitted => 1,
                Standing::Added => 2,
                Standing::Deleted => 3,
                Standing::Again => 4,
            };
            let deposit = match peer.waiting {
                Waiting::Nothing => 0,
                Waiting::Collected(_) => HAS_DEPOSIT | COLLECTED,
                Waiting::Remembered(_) | Waiting::Told(_) | Waiting::PutOff(_) => HAS_DEPOSIT,
            };
            out[at] = standing | deposit | if peer.key.is_some() { HAS_KEY } else { 0 };
            out[at + 1] = identifier.len() as u8; // at most 128
            at += 2;
            out[at..at + identifier.len()].copy_from_slice(identifier.as_bytes());
            at += identifier.len();
            if let Some(key) = peer.key {
                out[at..at + 32].copy_from_slice(key.as_bytes());
                at += 32;
            }
            if let Some(deposit) = peer.waiting.deposit() {
                out[at..at + 16].copy_from_slice(deposit);
                at += 16;
            }
            count += 1;
        }
        let flag = if self.book.forgotten { FORGOTTEN } else { 0 };
        out[9..HEAD].copy_from_slice(&(count | flag).to_be_bytes());
        let check = check(&out[..at]);
        out[at..at + CHECK].copy_from_slice(&check);
        Ok(at + CHECK)
    }

    /// Takes over what [`Self::encode`] wrote; nothing is known after a failure.
    pub(super) fn decode(&mut self, blob: &[u8]) -> Result<(), RestoreError> {
        let result = self.decode_all(blob);
        if result.is_err() {
            self.places.fill(Peer::NONE);
        }
        result
    }

    fn decode_all(&mut self, blob: &[u8]) -> Result<(), RestoreError> {
        let (revision, count, mut rest) = records(blob)?;
        let (count, forgotten) = (count & !FORGOTTEN, count & FORGOTTEN != 0);
        if count > self.places.len() as u64 {
            return Err(RestoreError::TooMany);
        }
        self.places.fill(Peer::NONE);
        for place in self.places.iter_mut().take(count as usize) {
            (*place, rest) = decode_peer(rest).ok_or(RestoreError::Damaged)?;
        }
        if !rest.is_empty() {
            return Err(RestoreError::Damaged);
        }
        *self.book = Book { revision, whole: forgotten, forgotten, ..Book::default() };
        Ok(())
    }

    /// Takes over the keys of what [`Self::encode`] wrote, for terminals that have none here. The list stays as it is.
    /// A deposit that is being collected keeps its place.
    pub(super) fn adopt_pins(
        &mut self,
        blob: &[u8],
        collects: &dyn Fn(&DepositId) -> bool,
    ) -> Result<(), RestoreError> {
        let (revision, count, mut rest) = records(blob)?;
        // Of those whom a list permits by a group the broker tells anew if it is another list: they may be gone.
        let alike = revision == self.book.revision;
        for _ in 0..count & !FORGOTTEN {
            let (peer, further) = decode_peer(rest).ok_or(RestoreError::Damaged)?;
            rest = further;
            let Some(identifier) = peer.identifier else { continue };
            // Who was on a list there and is on none here was struck off: its key went with it.
            let here = self.find(identifier.as_str()).map(|index| self.places[index].standing);
            let kept = !matches!(here, Some(Standing::Deleted | Standing::Again))
                && (peer.standing == Standing::Known || here.is_some());
            if let Some(key) = peer.key.filter(|_| kept) {
                self.pin(&identifier, &key).map_err(|_| RestoreError::TooMany)?;
            }
            self.adopt_waiting(identifier.as_str(), peer.waiting, alike, collects);
        }
        Ok(())
    }
}

/// The identifiers of one standing.
#[derive(Clone)]
pub(super) struct Identifiers<'p> {
    places: core::slice::Iter<'p, Peer>,
    wanted: fn(Standing) -> bool,
}

impl<'p> Iterator for Identifiers<'p> {
    type Item = &'p str;

    fn next(&mut self) -> Option<&'p str> {
        let wanted = self.wanted;
        self.places
            .by_ref()
            .filter(|peer| wanted(peer.standing))
            .find_map(|peer| peer.identifier.as_ref().map(Identifier::as_str))
    }
}

/// What a session keeps of a group's name: the start of its SHA-256. For the whole there is no room.
pub(super) type Mark = [u8; 8];

pub(super) fn mark(group: &str) -> Mark {
    check(group.as_bytes())
}

fn check(bytes: &[u8]) -> [u8; CHECK] {
    let digest = Sha256::digest(bytes);
    core::array::from_fn(|index| digest[index])
}

/// The list's number, the number of records with its flag, and the records, of a blob that is whole and of this version.
fn records(blob: &[u8]) -> Result<(u64, u64, &[u8]), RestoreError> {
    let (head, rest) = blob.split_first_chunk::<HEAD>().ok_or(RestoreError::Damaged)?;
    let (version, numbers) = head.split_first().ok_or(RestoreError::Damaged)?;
    if !(1..=VERSION).contains(version) {
        return Err(RestoreError::Version(*version));
    }
    let (records, stored) = rest.split_last_chunk::<CHECK>().ok_or(RestoreError::Damaged)?;
    if *stored != check(&blob[..blob.len() - CHECK]) {
        return Err(RestoreError::Damaged);
    }
    let (revision, count) = numbers.split_first_chunk::<8>().ok_or(RestoreError::Damaged)?;
    let count = count.first_chunk::<8>().ok_or(RestoreError::Damaged)?;
    Ok((u64::from_be_bytes(*revision), u64::from_be_bytes(*count), records))
}

fn decode_peer(bytes: &[u8]) -> Option<(Peer, &[u8])> {
    let (&[flags, length], rest) = bytes.split_first_chunk::<2>()?;
    let (identifier, rest) = rest.split_at_checked(length.into())?;
    let identifier = Identifier::new(core::str::from_utf8(identifier).ok()?).ok()?;
    let (key, rest) = if flags & HAS_KEY == 0 {
        (None, rest)
    } else {
        let (key, rest) = rest.split_first_chunk::<32>()?;
        (Some(PublicKey::new(*key)), rest)
    };
    let (waiting, rest) = if flags & HAS_DEPOSIT == 0 {
        (Waiting::Nothing, rest)
    } else {
        let (deposit, rest) = rest.split_first_chunk::<16>()?;
        let collected = flags & COLLECTED != 0;
        (if collected { Waiting::Collected(*deposit) } else { Waiting::Remembered(*deposit) }, rest)
    };
    let standing = match flags & !(HAS_KEY | HAS_DEPOSIT | COLLECTED) {
        0 => Standing::Known,
        1 => Standing::Permitted,
        2 => Standing::Added,
        3 => Standing::Deleted,
        4 => Standing::Again,
        _ => return None,
    };
    Some((Peer { identifier: Some(identifier), key, standing, waiting }, rest))
}

/// The bytes that a terminal with so many places for peers stores at most.
#[must_use]
pub const fn blob_size(peers: usize) -> usize {
    HEAD + peers * RECORD + CHECK
}

/// The terminals on the list, with the keys they must have or had at first use.
pub(super) fn listed(places: &[Peer]) -> impl Iterator<Item = (&Identifier, Option<&PublicKey>)> {
    places
        .iter()
        .filter(|peer| peer.is_permitted())
        .filter_map(|peer| peer.identifier.as_ref().map(|identifier| (identifier, peer.key.as_ref())))
}

/// A change of the list of permitted terminals (P2). A key given with an identifier pins it: only that key may call.
#[derive(Clone, Copy, Debug)]
pub enum Change<'a> {
    /// M1: these and no others.
    Create(&'a [(Identifier, Option<PublicKey>)]),
    /// M2–M4: add, then delete.
    Change {
        /// Put on the list.
        add: &'a [(Identifier, Option<PublicKey>)],
        /// Struck off it.
        delete: &'a [Identifier],
    },
}

/// Terminals with the keys they must have, wherever the application keeps them: what a [`Change`] holds as a slice.
pub trait Entries {
    /// How many there are.
    fn count(&self) -> usize;
    /// The entry with this number, from 0. It is asked for several times and must stay the same; `None` is passed over.
    fn entry(&self, index: usize) -> Option<(Identifier, Option<PublicKey>)>;
}

impl Entries for &[(Identifier, Option<PublicKey>)] {
    fn count(&self) -> usize {
        self.len()
    }

    fn entry(&self, index: usize) -> Option<(Identifier, Option<PublicKey>)> {
        self.get(index).cloned()
    }
}

impl Entries for &[Identifier] {
    fn count(&self) -> usize {
        self.len()
    }

    fn entry(&self, index: usize) -> Option<(Identifier, Option<PublicKey>)> {
        self.get(index).map(|identifier| (identifier.clone(), None))
    }
}

pub(super) fn names(entries: &dyn Entries) -> impl Iterator<Item = Identifier> + '_ {
    (0..entries.count()).filter_map(|index| entries.entry(index)).map(|(identifier, _)| identifier)
}

/// The list can't be changed so. It is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PermitError {
    /// There are as many terminals known as this one has places for.
    #[error("the list is full; delete an entry first")]
    Full,
}

/// The stored blob can't be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RestoreError {
    /// It was written by another version.
    #[error("the stored list has version {0}, which this library can't read; update it")]
    Version(u8),
    /// It has more entries than this terminal has places.
    #[error("the stored list has more entries than there are places; give the terminal more")]
    TooMany,
    /// It is cut short or altered.
    #[error("the stored list is damaged; register the list anew")]
    Damaged,
}

/// The buffer for the blob is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the buffer for the stored list is too small; it takes up to {needed} bytes")]
pub struct BlobTooSmall {
    /// The bytes that it may take.
    pub needed: usize,
}
