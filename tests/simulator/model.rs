//! The reference model: who may know which address, which grants are alive, what is deposited and delivered. Small and obvious, and nothing of the
//! core's logic: sets, counts and times.

use super::app::Recording;
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
    /// Were struck off, which the broker has not said to know.
    pub struck: BTreeSet<String>,
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
    pub deposits: BTreeMap<DepositId, Deposited>,
    pub last_offline: BTreeMap<usize, OfflineCause>,
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
}

impl Counted {
    pub fn add(&mut self, other: &Self) {
        for (all, one) in self.each().into_iter().zip({ *other }.each()) {
            *all += *one;
        }
    }

    fn each(&mut self) -> [&mut u64; 7] {
        let Self { calls, connected, delivered, deposited, collected, registered, key_changed } = self;
        [calls, connected, delivered, deposited, collected, registered, key_changed]
    }

    /// There was something of everything.
    pub fn check(&self) {
        assert!({ *self }.each().iter().all(|count| **count > 0), "{self:?}");
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
            }
        }
        for name in add {
            list.names.insert(name.clone());
            list.struck.remove(name);
        }
        for name in delete {
            list.pins.remove(name);
            if list.names.remove(name) {
                list.struck.insert(name.clone());
            }
        }
        self.refresh_home(index, now);
    }

    fn refresh_home(&mut self, index: usize, now: u64) {
        for other in 0..self.names.len() {
            let on = self.lists[index].names.contains(&self.names[other]);
            self.at_home.entry((index, other)).or_default().set(on, now);
        }
    }

    fn refresh_broker(&mut self, now: u64) {
        for owner in 0..self.names.len() {
            for other in 0..self.names.len() {
                let key = self.enrolled.get(&other);
                let bound = self.served.get(&owner).and_then(|list| list.get(self.names[other].as_str()));
                let on = key.is_some()
                    && bound.and_then(Option::as_ref) == key
                    && self.enrolled.contains_key(&owner);
                self.at_broker.entry((owner, other)).or_default().set(on, now);
            }
        }
    }

    pub fn revoked(&mut self, name: &Name, now: u64) {
        let index = self.known(name);
        self.enrolled.remove(&index);
        self.served.remove(&index);
        self.changed[index] = now;
        self.refresh_broker(now);
    }

    /// A new process knows what is on the disk.
    pub fn broker_started(&mut self, store: &Store, now: u64) {
        let of = |name: &Name| self.names.iter().position(|other| **other == **name);
        self.served =
            store.lists.iter().filter_map(|(name, (_, list))| Some((of(name)?, list.clone()))).collect();
        self.enrolled = store.keys.iter().filter_map(|(name, key)| Some((of(name)?, *key))).collect();
        self.refresh_broker(now);
    }

    // --- what the broker does -------------------------------------------------------------------------------------

    /// The broker hands something to its store: what takes away counts at once.
    pub fn to_be_stored(&mut self, operation: &StoreOperation, clock: u64, now: u64) {
        match operation {
            StoreOperation::SaveList { identifier, list, .. } => {
                let owner = self.known(identifier);
                if let Some(served) = self.served.get_mut(&owner) {
                    served.retain(|name, _| list.iter().any(|(other, _)| other == name));
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
        if outcome != Stored::Done {
            return;
        }
        match operation {
            StoreOperation::Enrol { identifier, key, .. } => {
                let index = self.known(identifier);
                self.enrolled.insert(index, *key);
                for list in self.served.values_mut() {
                    list.entry(identifier.clone()).and_modify(|entry| *entry = entry.or(Some(*key)));
                }
            }
            StoreOperation::SaveList { identifier, .. } => {
                let list = store.lists[identifier].1.clone();
                self.served.insert(self.known(identifier), list);
                self.counted.registered += 1;
            }
            _ => return,
        }
        self.refresh_broker(now);
    }

    /// The broker's log tells when it gives credentials away.
    pub fn broker_said(&mut self, record: &LogRecord, now: u64, lying: bool) {
        let What::Query { callee, outcome } = &record.what else { return };
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
        let permitted = self.home(callee, caller).stayed_on(deposit.opened) && self.broker(callee, caller).on;
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
            None => assert!(unwanted || aged, "a deposit was forgotten"),
        }
        if let Some(deposit) = self.deposits.get_mut(id) {
            deposit.ended = true;
        }
    }

    /// What was acknowledged is on the disk.
    pub fn check_store(&self, store: &Store) {
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
<<<<<<< HEAD

    // --- what devices hear ----------------------------------------------------------------------------------------

    pub fn calls(&mut self, caller: usize, callee: usize, session: u32, now: u64) {
        self.counted.calls += 1;
        self.calls.retain(|call| call.start + 3 * FLIGHT > now);
        self.calls.push(Call { caller, callee, session, start: now, permitted: false });
    }

    fn call_of(&self, caller: usize, session: u32) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.caller == caller && call.session == session)
    }

    pub fn session_event(&mut self, index: usize, device: &Device, event: Event, now: u64, lying: bool) {
        let peer =
            |session| device.terminal.as_ref().and_then(|it| it.peer(session)).map(|peer| peer.as_str());
        let clock = now + device.ahead;
        match event {
            Event::Asked { .. } => {
                let asks = self
                    .calls
                    .iter()
                    .any(|call| call.callee == index && self.broker(index, call.caller).was_on(call.start));
                assert!(asks || lying, "{} is asked for nobody whom it permits", self.names[index]);
            }
            Event::Expected { session } => {
                // None: it has ended since.
                let Some(caller) = peer(session).map(|peer| self.known(peer)) else { return };
                assert!(self.home(index, caller).on, "who is announced is on the list");
                self.waiting.insert((index, session.number()), clock + GRANT);
                *self.expected.entry((caller, index)).or_default() += 1;
            }
            Event::Unexpected { key_changed } => self.unexpected(index, key_changed, now, lying),
            Event::Permitted { session } => {
                let found = self
                    .calls
                    .iter_mut()
                    .rev()
                    .find(|it| it.caller == index && it.session == session.number());
                if let Some(call) = found {
                    call.permitted = true;
                }
            }
            Event::Granted { session } => {
                let pair = (
                    index,
                    self.call_of(index, session.number()).expect("who is granted something has asked").callee,
                );
                *self.told.entry(pair).or_default() += 1;
                let granted = self.granted.get(&pair).copied().unwrap_or(0);
                assert!(
                    self.told[&pair] <= granted || lying,
                    "nobody is granted what the broker did not grant"
                );
            }
            Event::Connected { session, .. } => self.connects(index, device, session, clock, lying),
            Event::DepositOffered { session, .. } => {
                let Some(call) = self.call_of(index, session.number()) else { return };
                assert!(self.broker(call.callee, index).was_on(call.start), "only who is permitted is asked");
            }
            Event::Denied { session, denial, retry_after } => {
                self.denied(index, session, denial, retry_after, now, lying);
            }
            Event::Collecting { session } => {
                let terminal = device.terminal.as_ref().unwrap();
                let Some(deposit) = terminal.deposit_of(session) else { return };
                let known = &self.deposits[deposit];
                assert_eq!(known.callee, index, "a deposit goes to its callee only");
                assert!(self.home(index, known.caller).on, "who is not on the list leaves nothing");
                assert!(!device.collected.contains(deposit), "a deposit is collected once");
            }
            Event::DepositWaiting { deposit, .. } => {
                let (caller, callee) = (self.deposits[&deposit].caller, self.deposits[&deposit].callee);
                assert_eq!(callee, index, "a deposit is told to its callee only");
                self.pin(index, caller, self.key_seen(device, caller));
            }
            Event::DepositCollected { deposit } => {
                assert!(self.deposits[&deposit].ended, "what is told to be collected is");
                assert_eq!(self.deposits[&deposit].caller, index, "and told to whom it concerns");
            }
            Event::Registered { revision } => self.registered(index, device, revision),
            Event::Online { .. } => self.settled(index, device),
            Event::Closed {
                session,
                cause: ClosedCause::Withdrawn | ClosedCause::Idle | ClosedCause::OtherEnd,
            } => {
                self.waiting.remove(&(index, session.number()));
            }
            _ => {}
        }
    }

    fn key_seen(&self, device: &Device, caller: usize) -> PublicKey {
        let listed = device.terminal.as_ref().into_iter().flat_map(|terminal| terminal.permitted());
        let mut seen = listed
            .filter(|(name, _)| name.as_str() == self.names[caller])
            .filter_map(|(_, key)| key.copied());
        seen.next().unwrap_or(self.keys[caller])
    }

    fn pin(&mut self, index: usize, peer: usize, key: PublicKey) {
        let name = self.names[peer].clone();
        if self.lists[index].struck.contains(&name) {
            // Its place stands for the deletion.
            return;
        }
        let pinned = *self.lists[index].pins.entry(name).or_insert(key);
        assert_eq!(pinned, key, "{} takes another key for {}", self.names[index], self.names[peer]);
    }

    /// A peer link is up.
    fn connects(&mut self, index: usize, device: &Device, session: SessionId, clock: u64, lying: bool) {
        self.counted.connected += 1;
        let terminal = device.terminal.as_ref().unwrap();
        let (Some(peer), Some(key)) = (terminal.peer(session), terminal.peer_key(session).copied()) else {
            return;
        };
        let peer = self.known(peer.as_str());
        assert!(key == self.keys[peer] || lying, "nobody connects in another's name");
        self.pin(index, peer, key);
        if self.call_of(index, session.number()).is_some_and(|call| call.callee == peer)
            && device.jobs.contains_key(&session.number())
        {
            return;
        }
        let until = self.waiting.remove(&(index, session.number())).expect("a grant is used once");
        assert!(clock <= until, "a grant is used in its time");
        assert!(self.home(index, peer).on, "who was struck off does not come in");
        let pair = (peer, index);
        *self.connected.entry(pair).or_default() += 1;
        let told = self.told.get(&pair).copied().unwrap_or(0);
        assert!(self.connected[&pair] <= told || lying, "a grant works once, and for its two parties");
    }

    fn unexpected(&mut self, index: usize, key_changed: bool, now: u64, lying: bool) {
        let since = now.saturating_sub(FLIGHT);
        let mut others = 0..self.names.len();
        let reason = if key_changed {
            self.counted.key_changed += 1;
            others.any(|other| {
                let pinned = self.lists[index].pins.get(&self.names[other]);
                pinned.is_some_and(|pinned| {
                    self.enrolled.get(&other) != Some(pinned) || self.changed[other] >= since
                })
            })
        } else {
            others.any(|other| !self.home(index, other).on && self.broker(index, other).was_on(since))
        };
        assert!(reason || lying, "{} is bothered by somebody whom it does not permit", self.names[index]);
    }

    fn denied(
        &mut self,
        index: usize,
        session: SessionId,
        denial: Denied,
        retry_after: Option<u32>,
        now: u64,
        lying: bool,
    ) {
        let Some(call) = self.call_of(index, session.number()) else { return };
        let (callee, start) = (call.callee, call.start);
        let access = self.broker(callee, index);
        let own = [30, 60].contains(&retry_after.unwrap_or(60)) || retry_after.is_none();
        match denial {
            Denied::Broker(Denial::NotFound | Denial::NotConnected) => {
                // Too many questions are refused whoever asks.
                let limits = retry_after.is_some() && !own || retry_after == Some(30);
                assert!(
                    access.was_on(start) || limits,
                    "{} learns something of {} without being on its list",
                    self.names[index],
                    self.names[callee]
                );
            }
            Denied::Broker(Denial::NotPermitted) => {
                let stayed = access.stayed_on(start) && self.home(callee, index).stayed_on(start);
                let same = self.changed[index] + FLIGHT < start && self.changed[callee] + FLIGHT < start;
                let pinned = self.lists[callee]
                    .pins
                    .get(&self.names[index])
                    .is_none_or(|pin| *pin == self.keys[index]);
                let plain = stayed && same && pinned && !call.permitted && !lying;
                assert!(
                    !plain,
                    "{} was denied {} though it is permitted",
                    self.names[index], self.names[callee]
                );
                assert!(retry_after.is_none());
            }
            Denied::KeyChanged => {
                self.counted.key_changed += 1;
                let pinned = self.lists[index].pins.get(&self.names[callee]);
                let changed = pinned.is_some_and(|pinned| *pinned != self.keys[callee]);
                assert!(
                    changed || lying || self.changed[callee] + FLIGHT > now,
                    "a key that is the same has not changed"
                );
            }
            _ => {}
        }
    }

    /// The broker has the list: deletions are forgotten.
    fn settled(&mut self, index: usize, device: &Device) {
        if device.terminal.as_ref().is_some_and(|terminal| terminal.is_registered()) {
            self.lists[index].struck.clear();
        }
    }

    fn registered(&mut self, index: usize, device: &Device, revision: u64) {
        self.settled(index, device);
        let terminal = device.terminal.as_ref().unwrap();
        let name = self.names[index].as_str();
        let Some(served) =
            self.served.get(&index).filter(|_| self.enrolled.get(&index) == Some(&self.keys[index]))
        else {
            return;
        };
        if terminal.revision() == revision && terminal.is_registered() {
            let theirs: BTreeSet<String> = served.keys().map(|name| name.to_string()).collect();
            assert_eq!(theirs, self.lists[index].names, "what {name} was told to be registered is on disk");
        }
    }

    pub fn went_offline(&mut self, index: usize, cause: OfflineCause, now: u64) {
        self.last_offline.insert(index, cause);
        let enrolled = self.enrolled.get(&index) == Some(&self.keys[index]);
        assert!(cause != OfflineCause::Displaced, "nobody listens in {}'s place", self.names[index]);
        if cause == OfflineCause::NotEnrolled {
            assert!(!enrolled || self.changed[index] + FLIGHT > now, "{} is enrolled", self.names[index]);
        }
    }

    /// Someone connects to an address: it may know it.
    pub fn knows_address(&self, index: usize, whose: Option<usize>, lying: bool) {
        let Some(whose) = whose else { return assert!(lying, "an address that is nobody's") };
        let told = self.told.get(&(index, whose)).copied().unwrap_or(0);
        assert!(told > 0 || lying, "{} knows the address of {}", self.names[index], self.names[whose]);
    }

    pub fn check_sessions(&self, index: usize, device: &Device) {
        let Some(terminal) = &device.terminal else { return };
        for (number, session) in &device.sessions {
            let (Some(peer), false) =
                (terminal.peer(*session), device.jobs.get(number).is_some_and(|job| job.tries < 9))
            else {
                continue;
            };
            let peer = self.known(peer.as_str());
            assert!(
                self.home(index, peer).on,
                "a session with {} is open, who was struck off",
                self.names[peer]
            );
        }
    }

    // --- recordings -----------------------------------------------------------------------------------------------

    /// Bytes of recordings are readable only where their owner says so.
    pub fn on_the_wire(&self, through_broker: bool, bytes: &[u8]) {
        let marks = bytes.windows(24).filter(|window| window[..8] == MARK);
        for mark in marks {
            let number = |at: usize| u64::from_be_bytes(mark[at..at + 8].try_into().unwrap());
            let (id, block) = (number(8), number(16));
            // What was altered on its way is nobody's.
            let whole = |it: &&Recording| block < it.size / BLOCK;
            let Some(recording) = self.recordings.get(id as usize).filter(whole) else { continue };
            let clear = matches!(recording.attribute, Attribute::Public | Attribute::Split)
                && class_of(recording.attribute, block * BLOCK) == Class::Rest;
            assert!(
                !through_broker && clear,
                "block {block} of recording {id}, {:?}, can be read on the way: {through_broker}",
                recording.attribute
            );
        }
    }

    pub fn offered(&self, index: usize, peer: &str, id: u64, size: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!(recording.to, index, "a recording is offered to whom it is for");
        assert_eq!(self.names[recording.from], peer, "by whom it is from");
        assert_eq!(recording.size, size);
    }

    /// Nothing is heard any more of who was struck off.
    pub fn may_hear(&self, index: usize, device: &Device, session: SessionId, _lying: bool) {
        let called = device.jobs.get(&session.number()).is_some_and(|job| job.tries < 9);
        let peer = device.terminal.as_ref().and_then(|terminal| terminal.peer(session));
        let peer = self.known(peer.expect("bytes come from somebody").as_str());
        assert!(
            called || self.home(index, peer).on,
            "bytes come from {}, who was struck off",
            self.names[peer]
        );
    }

    pub fn arrived(&mut self, index: usize, id: u64, offset: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!((recording.to, recording.size), (index, offset), "what has arrived is whole");
        self.arrived.insert(id);
    }

    pub fn recorded(&mut self, index: usize, id: u64) {
        assert!(self.arrived.contains(&id));
        self.recorded.insert((index, id));
    }

    pub fn delivered(&mut self, index: usize, id: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!(recording.from, index);
        assert!(self.recorded.contains(&(recording.to, id)), "what is said to be delivered is stored there");
        self.counted.delivered += 1;
    }

    pub fn deposited(&mut self, index: usize, id: DepositId, recording: u64, store: &Store) {
        let to = self.recordings[recording as usize].to;
        let key = self.deposits.get(&id).expect("what is acknowledged was opened").callee_key;
        self.pin(index, to, key);
        let deposit = self.deposits.get_mut(&id).unwrap();
        assert_eq!((deposit.caller, deposit.callee), (index, to));
        deposit.acknowledged = true;
        self.counted.deposited += 1;
        self.check_store(store);
    }

    pub fn withdraws(&mut self, deposit: &DepositId) {
        if let Some(deposit) = self.deposits.get_mut(deposit) {
            deposit.withdrawn = true;
        }
    }

    /// What should have been collected by its callee.
    pub fn pending(&self) -> impl Iterator<Item = (&DepositId, usize, usize)> {
        let kept = self.deposits.iter().filter(|(_, deposit)| deposit.acknowledged && !deposit.ended);
        kept.map(|(id, deposit)| (id, deposit.caller, deposit.callee))
    }

    pub fn pins_fit(&self, index: usize, other: usize) -> bool {
        self.lists[index].pins.get(&self.names[other]).is_none_or(|pin| *pin == self.keys[other])
    }

    pub fn both_permit(&self, callee: usize, caller: usize) -> bool {
        self.home(callee, caller).on && self.broker(callee, caller).on
    }
=======
>>>>>>> sim
}
