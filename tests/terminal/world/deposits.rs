//! Deposits: the files of the broker's process, and what depositing applications do.

use super::{End, World};
use p2pgate::broker::{
    DepositNotice, DepositRecord, Event as BrokerEvent, KeptPart, StoreOperation, Stored, StoredDeposit,
};
use p2pgate::lane::{HEADROOM, TAILROOM};
use p2pgate::link::MAX_PART_HEADER;
use p2pgate::message::DepositId;
use p2pgate::mpeg::Class;
use p2pgate::terminal::{Deposit, FrameError, Piece, SessionId};
use std::collections::{BTreeMap, HashMap};

/// What the broker's process has of deposits.
#[derive(Default)]
pub struct Shelf {
    pub files: BTreeMap<DepositId, Vec<u8>>,
    pub deposits: BTreeMap<DepositId, (DepositRecord, Vec<KeptPart>, Option<DepositNotice>)>,
    pub frames: BTreeMap<String, u32>,
    takes: HashMap<u64, DepositId>,
}

/// A recording that a node deposits wherever it may.
#[derive(Clone)]
pub struct ToDeposit {
    pub data: Vec<u8>,
    pub name: &'static str,
    pub source: &'static [u8],
    pub hash: Option<[u8; 32]>,
}

impl World {
    pub(super) fn shelve(&mut self, event: BrokerEvent) {
        match event {
            BrokerEvent::Deposit { connection, deposit, start } => {
                let file = self.shelf.files.entry(deposit).or_default();
                assert!(file.len() >= start as usize, "what is kept is there");
                file.truncate(start as usize);
                self.shelf.takes.insert(connection, deposit);
            }
            BrokerEvent::Collect { connection, deposit, start, end } => {
                let part = self.shelf.files[&deposit][start as usize..end as usize].to_vec();
                self.write(End::Broker(connection), &part);
                if let Some((pipe, side)) = self.find(End::Broker(connection)) {
                    self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                }
            }
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn store_deposit(&mut self, operation: StoreOperation) -> Stored {
        let shelf = &mut self.shelf;
        match operation {
            StoreOperation::SaveFrame { identifier, frame, .. } => {
                shelf.frames.insert(identifier.to_string(), frame);
            }
            StoreOperation::OpenDeposit(record) => {
                shelf.deposits.insert(record.deposit, (record, Vec::new(), None));
            }
            StoreOperation::KeepPart { deposit, part } => {
                shelf.deposits.get_mut(&deposit).unwrap().1.push(part);
            }
            StoreOperation::EndDeposit { deposit, notice } => {
                shelf.files.remove(&deposit);
                match (shelf.deposits.get_mut(&deposit), notice) {
                    (Some(entry), Some(_)) => entry.2 = notice,
                    _ => drop(shelf.deposits.remove(&deposit)),
                }
            }
            other => panic!("{other:?}"),
        }
        Stored::Done
    }

    /// A new broker learns what the old one's store has.
    pub(super) fn restore_deposits(&mut self) {
        for (name, frame) in &self.shelf.frames {
            self.broker.restore_frame(name, *frame);
        }
        for (record, parts, notice) in self.shelf.deposits.values() {
            let last = parts.last();
            let stored = StoredDeposit {
                record: record.clone(),
                parts: parts.iter().map(|part| (part.offset, part.start)).collect(),
                kept: last.map_or(0, |part| part.kept),
                stored: last.map_or(0, |part| part.end),
                complete: last.is_some_and(|part| part.complete),
                notice: *notice,
                age_ms: 0,
            };
            self.broker.restore_deposit(stored, self.now);
        }
    }

    pub(super) fn shelf_takes(&self, connection: u64) -> bool {
        self.shelf.takes.contains_key(&connection)
    }

    /// What came on a depositor's lane; `None`: it is none.
    pub(super) fn fill(&mut self, connection: u64, held: &mut Vec<u8>) -> Option<bool> {
        let deposit = *self.shelf.takes.get(&connection)?;
        if held.is_empty() {
            return Some(false);
        }
        let taken = self.broker.deposit_input(connection, held, self.now);
        self.shelf.files.entry(deposit).or_default().extend_from_slice(&held[..taken]);
        held.clear();
        Some(true)
    }

    /// The answer to M19.
    pub(super) fn answer_question(&mut self, node: usize, session: SessionId) {
        let now = self.now;
        let place = &mut self.nodes[node];
        match &place.deposit {
            Some(what) => {
                let deposit =
                    Deposit { size: what.data.len() as u64, source: what.source, hash: what.hash.is_some() };
                place.terminal.deposit(session, &deposit, now).unwrap();
            }
            None if place.undecided => {}
            None => place.terminal.decline_deposit(session, now).unwrap(),
        }
    }

    /// Sends as much of a deposit as can be sent now.
    pub(super) fn deposit_from(&mut self, node: usize, session: SessionId, start: u64) {
        let now = self.now;
        let Some(what) = self.nodes[node].deposit.clone() else { return };
        let terminal = &mut self.nodes[node].terminal;
        let most = terminal.max_payload(session);
        let mut buffer = vec![0; (HEADROOM + most + TAILROOM).max(MAX_PART_HEADER)];
        let mut offset = start as usize;
        let mut frames = Vec::new();
        loop {
            let piece = &what.data[offset..what.data.len().min(offset + most)];
            let sealed = if piece.is_empty() {
                terminal.seal_end(session, Class::Sealed, 1, what.hash.as_ref(), &mut buffer, now)
            } else {
                buffer[HEADROOM..HEADROOM + piece.len()].copy_from_slice(piece);
                let piece =
                    Piece { class: Class::Sealed, segment: 0, offset: offset as u64, length: piece.len() };
                terminal.seal(session, piece, &mut buffer, now)
            };
            let sealed = match sealed {
                Err(FrameError::PartDue) => terminal.seal_part(session, what.name, &mut buffer, now),
                Ok((link, range)) => {
                    frames.push((link, buffer[range].to_vec()));
                    if piece.is_empty() {
                        break;
                    }
                    offset += piece.len();
                    continue;
                }
                // Sent already.
                Err(FrameError::Gap { next }) => {
                    offset = next as usize;
                    continue;
                }
                error => error,
            };
            match sealed {
                Ok((link, range)) => frames.push((link, buffer[range].to_vec())),
                Err(FrameError::NotYet | FrameError::NoLane) => break,
                Err(error) => panic!("{error}"),
            }
        }
        if let Some(tamper) = &mut self.tamper {
            tamper(&mut frames);
        }
        for (link, frame) in frames {
            self.write(End::Node(node, link), &frame);
        }
    }
}
