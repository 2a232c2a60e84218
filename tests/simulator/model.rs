//! The reference model: who may know which address, which grants are alive, what is deposited and delivered. Small and obvious, and nothing of the
//! core's logic: sets, counts and times.

use super::app::Recording;
use super::deeds::group_of;
use super::store::{List, Store};
use p2pgate::broker::{DepositNotice, LogRecord, Name, Outcome, StoreOperation, Stored, What};
use p2pgate::link::PublicKey;
use p2pgate::message::DepositId;
use p2pgate::terminal::OfflineCause;
use std::collections::{BTreeMap, BTreeSet};

/// A list as a device has it, with the keys that it has seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listed {
    pub names: BTreeSet<String>,
    pub pins: BTreeMap<String, PublicKey>,
    /// Were struck off, and when, which the broker has not said to know; some have been put on again since.
    pub struck: BTreeMap<String, u64>,
}

/// Whether somebody is on a list, and when that last changed.
#[derive(Clone, Copy, Default)]
pub struct Access {
    pub on: bool,
    pub since: u64,
}

impl Access {
    fn set(&mut self, on: bool, now: u64) {
        if self.on != on {
            *self = Self { on, since: now };
        }
    }

    /// On the list at some moment from `start` on.
    pub fn was_on(&self, start: u64) -> bool {
        self.on || self.since >= start
    }

    /// On it all the time from `start` on.
    pub fn stayed_on(&self, start: u64) -> bool {
        self.on && self.since < start
    }
}

pub struct Call {
    pub caller: usize,
    pub callee: usize,
    pub session: u32,
    pub start: u64,
    pub permitted: bool,
}

pub struct Deposited {
    pub caller: usize,
    pub callee: usize,
    pub callee_key: PublicKey,
    pub opened: u64,
    pub opened_by_clock: u64,
    /// The depositor was told that it is kept.
    pub acknowledged: bool,
    pub ended: bool,
    pub withdrawn: bool,
}

#[derive(Default)]
pub struct Model {
    pub names: Vec<String>,
    /// Every device's key, and the one that is enrolled for its identifier at the broker.
    pub keys: Vec<PublicKey>,
    pub enrolled: BTreeMap<usize, PublicKey>,
    pub tickets: Vec<String>,
    /// When the operator last gave or took away a key.
    pub changed: Vec<u64>,
    pub lists: Vec<Listed>,
    /// The lists as the broker has them, and what follows from them; the lists as their owners have them.
    pub served: BTreeMap<usize, List>,
    pub at_broker: BTreeMap<(usize, usize), Access>,
    pub at_home: BTreeMap<(usize, usize), Access>,
    /// The lists on their way to the broker's disk, and who is permitted by what its owner has said and the broker knows of groups.
    coming: BTreeMap<usize, List>,
    wanted: BTreeMap<(usize, usize), Access>,
    pub calls: Vec<Call>,
    /// Between caller and callee, in this order: M12s accepted, M11s sent, M11s received, sessions that came about at the callee.
    pub expected: BTreeMap<(usize, usize), u64>,
    pub granted: BTreeMap<(usize, usize), u64>,
    pub told: BTreeMap<(usize, usize), u64>,
    pub connected: BTreeMap<(usize, usize), u64>,
    /// A callee's sessions that wait for their caller: until when, by its clock.
    pub waiting: BTreeMap<(usize, u32), u64>,
    pub recordings: Vec<Recording>,
    pub arrived: BTreeSet<u64>,
    pub recorded: BTreeSet<(usize, u64)>,
    /// Who met another's key first in whose name: a lying broker's attacker, where it was told of no earlier one. It takes that for the key from then on.
    pub deceived: BTreeSet<(usize, usize)>,
    pub deposits: BTreeMap<DepositId, Deposited>,
    pub last_offline: BTreeMap<usize, OfflineCause>,
    /// The groups as the broker has them, by their names: whose, and who is in them with which key.
    pub groups: BTreeMap<String, (usize, List)>,
    /// Who has ever been in which: a callee has the broker's word for more than that.
    pub joined: BTreeSet<(String, usize)>,
    /// What owners have said, and whether it was acknowledged.
    said: BTreeMap<usize, (BTreeSet<String>, bool)>,
    /// Whose key has been replaced, and the one before.
    pub rekeyed: BTreeMap<usize, PublicKey>,
    pub counted: Counted,
}

/// How much of what there was, to see that a simulator does what it is for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counted {
    pub calls: u64,
    pub connected: u64,
    pub delivered: u64,
    pub deposited: u64,
    pub collected: u64,
    pub registered: u64,
    pub key_changed: u64,
    pub grouped: u64,
    pub fetched: u64,
    pub unresolved: u64,
}

impl Counted {
    pub fn add(&mut self, other: &Self) {
        for (all, one) in self.each().into_iter().zip({ *other }.each()) {
            *all += *one;
        }
    }

    fn each(&mut self) -> [&mut u64; 10] {
        let Self { calls, connected, delivered, deposited, collected, registered, key_changed, .. } = self;
        let Self { grouped, fetched, unresolved, .. } = self;
        [
            calls,
            connected,
            delivered,
            deposited,
            collected,
            registered,
            key_changed,
            grouped,
            fetched,
            unresolved,
        ]
    }

    /// There was something of everything; of worlds that were cut short, of what takes no long story: a changed key, say, is noticed by who has met the
    /// earlier one.
    pub fn check(&self, cut_short: bool) {
        let Self { calls, connected, delivered, registered, .. } = *self;
        let there = match cut_short {
            true => [calls, connected, delivered, registered].iter().all(|count| *count > 0),
            false => { *self }.each().iter().all(|count| **count > 0),
        };
        assert!(there, "{self:?}");
    }
}

impl Model {
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|other| other == name)
    }

    pub fn known(&self, name: &str) -> usize {
        self.index_of(name).expect("nobody hears of somebody who isn't there")
    }

    pub fn listed(&self, index: usize) -> Listed {
        self.lists[index].clone()
    }

    pub fn key(&self, index: usize) -> PublicKey {
        self.keys[index]
    }

    pub fn enrolled_key(&self, index: usize) -> Option<PublicKey> {
        self.enrolled.get(&index).copied()
    }

    pub fn used_ticket(&self, index: usize) -> &str {
        &self.tickets[index]
    }

    pub fn home(&self, owner: usize, other: usize) -> Access {
        self.at_home.get(&(owner, other)).copied().unwrap_or_default()
    }

    pub fn broker(&self, owner: usize, other: usize) -> Access {
        self.at_broker.get(&(owner, other)).copied().unwrap_or_default()
    }

    // --- who is who -----------------------------------------------------------------------------------------------

    pub fn commissioned(&mut self, index: usize, key: PublicKey, ticket: String, now: u64) {
        if index == self.keys.len() {
            self.keys.push(key);
            self.tickets.push(ticket);
            self.changed.push(now);
            self.lists.push(Listed::default());
        } else {
            self.rekeyed.insert(index, self.keys[index]);
            (self.keys[index], self.tickets[index], self.changed[index]) = (key, ticket, now);
        }
    }

    /// It has what it had on its disk.
    pub fn device_started(&mut self, index: usize, disk: &Listed, now: u64) {
        self.lists[index] = disk.clone();
        self.refresh_home(index, now);
        self.waiting.retain(|(whose, _), _| *whose != index);
    }

    /// The application changed the list: at once, here.
    pub fn permits(&mut self, index: usize, replace: bool, add: &[String], delete: &[String], now: u64) {
        let list = &mut self.lists[index];
        if replace {
            let gone: Vec<String> = list.names.iter().filter(|name| !add.contains(name)).cloned().collect();
            for name in gone {
                list.names.remove(&name);
                list.pins.remove(&name);
                list.struck.insert(name, now);
            }
        }
        for name in add {
            list.names.insert(name.clone());
        }
        for name in delete {
            list.pins.remove(name);
            if list.names.remove(name) {
                list.struck.insert(name.clone(), now);
            }
        }
        self.refresh_home(index, now);
    }

    fn refresh_home(&mut self, index: usize, now: u64) {
        self.refresh_list(index, now);
        self.refresh_wanted(now);
    }

    fn refresh_list(&mut self, index: usize, now: u64) {
        for other in 0..self.names.len() {
            let names = &self.lists[index].names;
            let joined = |name: &String| self.joined.contains(&(name.clone(), other));
            let on = names.contains(&self.names[other]) || names.iter().any(joined);
            self.at_home.entry((index, other)).or_default().set(on, now);
        }
    }

    pub fn refresh_wanted(&mut self, now: u64) {
        for (owner, list) in self.lists.iter().enumerate() {
            let counts = |name: &String| list.names.contains(name) && !list.struck.contains_key(name);
            let groups = self.groups.iter();
            let groups: Vec<&List> = groups
                .filter(|(group, (of, _))| counts(group) && !self.rekeyed.contains_key(of))
                .map(|(_, (_, members))| members)
                .collect();
            for (other, name) in self.names.iter().enumerate() {
                let on = counts(name) || groups.iter().any(|members| members.contains_key(name.as_str()));
                self.wanted.entry((owner, other)).or_default().set(on, now);
            }
        }
    }

    /// Whether the callee has wanted to hear of the caller all the time from `start` on, as far as lists say.
    pub fn stayed_wanted(&self, callee: usize, caller: usize, start: u64) -> bool {
        let wanted = self.wanted.get(&(callee, caller)).copied().unwrap_or_default();
        wanted.stayed_on(start) && !self.has_moved(caller)
    }

    /// Whether a list as the broker has it permits somebody, by itself or by a group.
    fn permits_by(&self, list: &List, other: usize) -> bool {
        let has = |list: &List, name: &str, key: &PublicKey| list.get(name) == Some(&Some(*key));
        self.enrolled.get(&other).is_some_and(|key| {
            let by_group = |(group, (of, members)): (&String, &(usize, List))| {
                self.enrolled.get(of).is_some_and(|owners| has(list, group, owners))
                    && has(members, &self.names[other], key)
            };
            has(list, &self.names[other], key) || self.groups.iter().any(by_group)
        })
    }

    fn refresh_broker(&mut self, now: u64) {
        self.refresh_wanted(now);
        for owner in 0..self.names.len() {
            for other in 0..self.names.len() {
                let on = self.enrolled.contains_key(&owner)
                    && self.served.get(&owner).is_some_and(|list| self.permits_by(list, other));
                self.at_broker.entry((owner, other)).or_default().set(on, now);
            }
        }
    }

    pub fn revoked(&mut self, name: &Name, now: u64) {
        let index = self.known(name);
        self.enrolled.remove(&index);
        self.served.remove(&index);
        self.groups.retain(|_, (owner, _)| *owner != index);
        self.said.remove(&index);
        self.changed[index] = now;
        self.refresh_broker(now);
    }

    /// A new process knows what is on the disk.
    pub fn broker_started(&mut self, store: &Store, now: u64) {
        self.coming.clear();
        let of = |name: &Name| self.names.iter().position(|other| **other == **name);
        self.served =
            store.lists.iter().filter_map(|(name, (_, list))| Some((of(name)?, list.clone()))).collect();
        self.enrolled = store.keys.iter().filter_map(|(name, key)| Some((of(name)?, *key))).collect();
        let groups = store.groups.iter();
        self.groups = groups
            .filter_map(|(group, (owner, list))| Some((group.to_string(), (of(owner)?, list.clone()))))
            .collect();
        self.refresh_broker(now);
    }

    // --- groups ---------------------------------------------------------------------------------------------------

    /// An owner tells the broker who is in its group now.
    pub fn says_group(&mut self, owner: usize, members: Vec<String>, now: u64) {
        let group = group_of(&self.names[owner]);
        for member in &members {
            self.joined.insert((group.clone(), self.known(member)));
        }
        self.said.insert(owner, (members.into_iter().collect(), false));
        (0..self.names.len()).for_each(|index| self.refresh_list(index, now));
        self.refresh_wanted(now);
    }

    /// What the broker has acknowledged last.
    pub fn group_said(&self, owner: usize) -> Option<&BTreeSet<String>> {
        self.said.get(&owner).filter(|(_, acknowledged)| *acknowledged).map(|(members, _)| members)
    }

    pub fn group_answered(&mut self, owner: usize, status: u16, store: &Store) {
        if let Some((_, acknowledged)) = self.said.get_mut(&owner)
            && status == 200
        {
            *acknowledged = true;
            self.counted.grouped += 1;
        }
        self.check_store(store);
    }

    // --- what the broker does -------------------------------------------------------------------------------------

    /// The broker hands something to its store: what takes away counts at once.
    pub fn storing(&mut self, operation: &StoreOperation, clock: u64, now: u64) {
        match operation {
            StoreOperation::SaveList { identifier, list, .. } => {
                let owner = self.known(identifier);
                let list: List = list.iter().cloned().collect();
                if let Some(served) = self.served.get_mut(&owner) {
                    served.retain(|name, key| list.get(name).is_some_and(|new| new.is_none() || new == key));
                }
                self.coming.insert(owner, list);
                self.refresh_broker(now);
            }
            StoreOperation::SaveGroup { group, members, .. } => {
                if let Some((_, here)) = self.groups.get_mut(&**group) {
                    let stays = |name: &Name| members.iter().flatten().any(|(other, _)| other == name);
                    here.retain(|name, _| stays(name));
                }
                self.refresh_broker(now);
            }
            StoreOperation::OpenDeposit(record) => {
                let (caller, callee) = (self.known(&record.caller), self.known(&record.callee));
                assert!(self.broker(callee, caller).on, "only who is permitted deposits");
                assert_eq!(self.enrolled.get(&caller), Some(&record.caller_key));
                let deposited = Deposited {
                    caller,
                    callee,
                    callee_key: record.callee_key,
                    opened: now,
                    opened_by_clock: clock,
                    acknowledged: false,
                    ended: false,
                    withdrawn: false,
                };
                self.deposits.insert(record.deposit, deposited);
            }
            StoreOperation::EndDeposit { deposit, notice } => self.deposit_ends(deposit, *notice, clock),
            _ => {}
        }
    }

    /// What came of it.
    pub fn stored(&mut self, operation: &StoreOperation, outcome: Stored, store: &Store, now: u64) {
        if let StoreOperation::SaveList { identifier, .. } = operation {
            self.coming.remove(&self.known(identifier));
        }
        if outcome != Stored::Done {
            return;
        }
        match operation {
            StoreOperation::Enrol { identifier, key, .. } => {
                let index = self.known(identifier);
                self.enrolled.insert(index, *key);
                for list in self.served.values_mut().chain(self.groups.values_mut().map(|(_, list)| list)) {
                    list.entry(identifier.clone()).and_modify(|entry| *entry = entry.or(Some(*key)));
                }
            }
            StoreOperation::SaveList { identifier, .. } => {
                let list = store.lists[identifier].1.clone();
                self.served.insert(self.known(identifier), list);
                self.counted.registered += 1;
            }
            StoreOperation::SaveGroup { group, owner, key, .. } => {
                let members = store.groups.get(group).map(|(_, members)| members.clone());
                match members {
                    Some(members) => {
                        // Entries that had no key have the owner's from then on.
                        for list in self.served.values_mut() {
                            list.entry(group.clone()).and_modify(|entry| *entry = entry.or(Some(*key)));
                        }
                        self.groups.insert(group.to_string(), (self.known(owner), members));
                    }
                    None => drop(self.groups.remove(&**group)),
                }
            }
            _ => return,
        }
        self.refresh_broker(now);
    }

    /// The broker's log tells when it gives credentials away.
    pub fn broker_said(&mut self, record: &LogRecord, now: u64, lying: bool) {
        let What::Query { callee, outcome } = &record.what else { return };
        if let Outcome::NotFound(cause) = outcome
            && cause.contains("resolution")
        {
            self.counted.unresolved += 1;
        }
        let Some(caller) = record.identifier.as_ref().and_then(|name| self.index_of(name)) else { return };
        let Some(callee) = self.index_of(callee) else { return };
        if *outcome == Outcome::Granted {
            let pair = (caller, callee);
            assert!(
                self.broker(callee, caller).on,
                "{} gets the address of {} without being on its list",
                self.names[caller],
                self.names[callee]
            );
            *self.granted.entry(pair).or_default() += 1;
            let (granted, expected) = (self.granted[&pair], self.expected.get(&pair).copied().unwrap_or(0));
            assert!(
                granted <= expected || lying,
                "the callee hears of the caller before the caller of it: {now}"
            );
        }
    }

    fn deposit_ends(&mut self, id: &DepositId, notice: Option<DepositNotice>, clock: u64) {
        let Some(deposit) = self.deposits.get(id) else { return };
        if deposit.ended {
            return;
        }
        let (caller, callee) = (deposit.caller, deposit.callee);
        let coming = self.coming.get(&callee).is_some_and(|list| self.permits_by(list, caller));
        let permitted =
            self.stayed_wanted(callee, caller, deposit.opened) && (self.broker(callee, caller).on || coming);
        let same = self.changed[caller] < deposit.opened && self.changed[callee] < deposit.opened;
        let unwanted = deposit.withdrawn || !permitted || !same;
        let age = clock.saturating_sub(deposit.opened_by_clock);
        let (day, aged) = (24 * 60 * 60 * 1_000, age >= 600_000 && !deposit.acknowledged);
        match notice {
            Some(DepositNotice::Collected) => {
                let has = self.recorded.iter().any(|(who, recording)| {
                    let recording = &self.recordings[*recording as usize];
                    *who == callee && recording.from == caller
                });
                assert!(has, "a deposit that the callee says it has is there");
                self.counted.collected += 1;
            }
            Some(DepositNotice::Unwanted) => assert!(unwanted, "a deposit was dropped though it is wanted"),
            Some(DepositNotice::Expired) => assert!(age >= 14 * day, "a deposit was dropped before its time"),
            Some(DepositNotice::Lost) => panic!("a deposit was lost"),
            // What was altered on its way is not acknowledged: its depositor takes it back.
            None => assert!(unwanted || aged || !deposit.acknowledged, "a deposit was forgotten"),
        }
        if let Some(deposit) = self.deposits.get_mut(id) {
            deposit.ended = true;
        }
    }

    /// What was acknowledged is on the disk.
    pub fn check_store(&self, store: &Store) {
        for (owner, (members, _)) in self.said.iter().filter(|(_, (_, acknowledged))| *acknowledged) {
            let kept = store.groups.get(group_of(&self.names[*owner]).as_str());
            let kept: BTreeSet<String> =
                kept.into_iter().flat_map(|(_, list)| list.keys().map(|name| name.to_string())).collect();
            assert_eq!(kept, *members, "the group of {} is as it was acknowledged", self.names[*owner]);
        }
        for (id, deposit) in
            self.deposits.iter().filter(|(_, deposit)| deposit.acknowledged && !deposit.ended)
        {
            let kept = store.deposits.get(id).expect("a deposit that was acknowledged is kept");
            assert!(kept.is_whole(), "a deposit that was acknowledged is whole");
            let (file, durable) = &store.files[id];
            let end = kept.parts.last().unwrap().end;
            assert!(
                *durable as u64 >= end && file.len() as u64 >= end,
                "and so is its file: {}",
                deposit.caller
            );
        }
    }
}
