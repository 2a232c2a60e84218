//! What the broker's process has on disk, by the contract of `StoreOperation`.

use p2pgate::broker::{
    Broker, Config, DepositNotice, DepositRecord, KeptPart, Name, StoreOperation, Stored, StoredAddress,
    StoredDeposit,
};
use p2pgate::link::{PublicKey, SecretKey};
use p2pgate::message::DepositId;
use std::collections::BTreeMap;

pub type List = BTreeMap<Name, Option<PublicKey>>;

pub struct KeptDeposit {
    pub record: DepositRecord,
    pub parts: Vec<KeptPart>,
    pub notice: Option<DepositNotice>,
    /// When it was last written, by the broker's clock.
    pub written: u64,
}

impl KeptDeposit {
    pub fn is_whole(&self) -> bool {
        self.notice.is_none() && self.parts.last().is_some_and(|part| part.complete)
    }
}

#[derive(Default)]
pub struct Store {
    pub tickets: BTreeMap<[u8; 32], Name>,
    pub keys: BTreeMap<Name, PublicKey>,
    pub lists: BTreeMap<Name, (u64, List)>,
    addresses: BTreeMap<Name, StoredAddress>,
    frames: BTreeMap<Name, u32>,
    /// By its name: whose, and who is in it.
    pub groups: BTreeMap<Name, (Name, List)>,
    pub deposits: BTreeMap<DepositId, KeptDeposit>,
    /// A deposit's file, and how much of it outlasts a crash.
    pub files: BTreeMap<DepositId, (Vec<u8>, usize)>,
}

impl Store {
    pub fn apply(&mut self, operation: StoreOperation, now: u64) -> Stored {
        let is_still =
            |keys: &BTreeMap<Name, PublicKey>, name: &Name, key: &PublicKey| keys.get(name) == Some(key);
        match operation {
            StoreOperation::Enrol { identifier, ticket_digest, key } => {
                let other = self.keys.get(&identifier).is_some_and(|bound| *bound != key);
                // No certificates here: there is always a ticket.
                let ticket = ticket_digest.filter(|digest| self.tickets.get(digest) == Some(&identifier));
                let Some(ticket) = ticket.filter(|_| !other) else { return Stored::Refused };
                self.tickets.remove(&ticket);
                let lists = self.lists.values_mut().map(|(_, list)| list);
                for list in lists.chain(self.groups.values_mut().map(|(_, members)| members)) {
                    list.entry(identifier.clone()).and_modify(|entry| *entry = entry.or(Some(key)));
                }
                self.keys.insert(identifier, key);
            }
            StoreOperation::SaveList { identifier, key, revision, list } => {
                if !is_still(&self.keys, &identifier, &key) {
                    return Stored::Refused;
                }
                let bind = |(name, key): (Name, Option<PublicKey>)| {
                    let owner = self.groups.get(&name).map(|(owner, _)| owner);
                    let key = key.or_else(|| self.keys.get(owner.unwrap_or(&name)).copied());
                    (name, key)
                };
                let list = list.into_iter().map(bind).collect();
                self.lists.insert(identifier, (revision, list));
            }
            StoreOperation::SaveAddress { identifier, key, address } => {
                if !is_still(&self.keys, &identifier, &key) {
                    return Stored::Refused;
                }
                self.addresses.insert(identifier, address);
            }
            StoreOperation::SaveFrame { identifier, key, frame } => {
                if !is_still(&self.keys, &identifier, &key) {
                    return Stored::Refused;
                }
                self.frames.insert(identifier, frame);
            }
            StoreOperation::OpenDeposit(record) => {
                if !is_still(&self.keys, &record.caller, &record.caller_key)
                    || !is_still(&self.keys, &record.callee, &record.callee_key)
                {
                    return Stored::Refused;
                }
                let deposit = KeptDeposit { record, parts: Vec::new(), notice: None, written: now };
                self.deposits.insert(deposit.record.deposit, deposit);
            }
            StoreOperation::KeepPart { deposit, part } => {
                let Some(kept) = self.deposits.get_mut(&deposit).filter(|kept| kept.notice.is_none()) else {
                    return Stored::Refused;
                };
                let Some((file, durable)) = self.files.get_mut(&deposit) else { return Stored::Refused };
                if kept.parts.len() != part.number as usize || (file.len() as u64) < part.end {
                    return Stored::Refused;
                }
                *durable = part.end as usize;
                kept.parts.push(part);
                kept.written = now;
            }
            StoreOperation::SaveGroup { group, owner, key, members } => {
                if !is_still(&self.keys, &owner, &key) {
                    return Stored::Refused;
                }
                let Some(members) = members else {
                    self.groups.remove(&group);
                    return Stored::Done;
                };
                for (_, list) in self.lists.values_mut() {
                    list.entry(group.clone()).and_modify(|entry| *entry = entry.or(Some(key)));
                }
                let bind = |(name, key): (Name, Option<PublicKey>)| {
                    let key = key.or_else(|| self.keys.get(&name).copied());
                    (name, key)
                };
                let members = members.into_iter().map(bind).collect();
                self.groups.insert(group, (owner, members));
            }
            StoreOperation::SaveResolved { .. } => unreachable!("that is the resolver's"),
            StoreOperation::EndDeposit { deposit, notice } => {
                self.files.remove(&deposit);
                match (self.deposits.get_mut(&deposit), notice) {
                    (Some(kept), Some(_)) => (kept.notice, kept.written) = (notice, now),
                    _ => drop(self.deposits.remove(&deposit)),
                }
            }
        }
        Stored::Done
    }

    /// The operator takes the identifier's key away, or its ticket.
    pub fn revoke(&mut self, identifier: &str) {
        self.tickets.retain(|_, whose| **whose != *identifier);
        self.keys.remove(identifier);
        self.lists.remove(identifier);
        self.addresses.remove(identifier);
        self.frames.remove(identifier);
        self.groups.retain(|_, (owner, _)| **owner != *identifier);
    }

    /// A new process on what there is.
    pub fn start(&self, config: Config, key: SecretKey, entropy: [u8; 32], now: u64) -> Broker {
        let mut broker = Broker::new(config, key, entropy);
        for (identifier, key) in &self.keys {
            let (revision, list) = self.lists.get(identifier).cloned().unwrap_or_default();
            let address = self.addresses.get(identifier).cloned();
            broker.restore_terminal(identifier, Some(*key), revision, list, address).unwrap();
            if let Some(frame) = self.frames.get(identifier) {
                broker.restore_frame(identifier, *frame);
            }
        }
        for (group, (owner, members)) in &self.groups {
            broker.restore_group(group, owner, members.clone()).unwrap();
        }
        for kept in self.deposits.values() {
            let last = kept.parts.last();
            let stored = StoredDeposit {
                record: kept.record.clone(),
                parts: kept.parts.iter().map(|part| (part.offset, part.start)).collect(),
                kept: last.map_or(0, |part| part.kept),
                stored: last.map_or(0, |part| part.end),
                complete: last.is_some_and(|part| part.complete),
                notice: kept.notice,
                age_ms: now.saturating_sub(kept.written),
            };
            broker.restore_deposit(stored, now);
        }
        broker
    }
}
