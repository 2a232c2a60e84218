//! Store and forward (P10, P11, M19–M22): what permitted callers leave for a callee that cannot be called. Ciphertext to the broker.
//!
//! Only who is on the callee's list is asked (M19), and only for a callee that has said by HELLO's `Frame` that it knows deposits. A deposit's number
//! is random and says which one is meant; what somebody may do with it goes by the key of its link, and lanes by one-time tokens.
//!
//! A deposit ends when its callee has collected it, refuses it or takes the depositor off its list, when its depositor takes it back, when a key is
//! revoked, or by age. However it ends, other than by its depositor or a revocation, the depositor is told, once: now or after its next HELLO.

mod collect;
mod framing;
mod lanes;
mod take;

pub(super) use take::{Question, frame_of};

use super::timers::Timer;
use super::{
    Broker, ConnectionId, DepositNotice, DepositRecord, Level, Name, StoreOperation, StoredDeposit, What,
};
use crate::identifier;
use crate::link::PublicKey;
use crate::message::DepositId;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use lanes::DepositLanes;

/// Deposits in the order in which they were opened.
pub(super) type DepositNumber = u64;
pub(super) type LaneNumber = u64;

/// When a deposit's end is tried again that the store could not write.
const RETRY_MS: u64 = 60_000;

const NOT_HERE: &str = "this broker keeps no deposits";
const TOO_LARGE: &str = "larger than the broker keeps of one deposit";
const CALLER_FULL: &str = "the broker keeps no more of this depositor";
const CALLEE_FULL: &str = "the broker keeps no more for this callee";
const FULL: &str = "the broker's place for deposits is full";
const CALLER_MANY: &str = "the broker keeps no more deposits of this depositor";
const CALLEE_MANY: &str = "the broker keeps no more deposits for this callee";
const PAIR_MANY: &str = "the broker keeps no more deposits of this depositor for this callee";

pub(super) struct Deposit {
    record: DepositRecord,
    /// Where each part that is kept starts, in the recording and in the file.
    parts: Vec<(u64, u64)>,
    kept: u64,
    stored: u64,
    state: State,
    /// Parts that are on their way to disk.
    keeping: usize,
    lane: Option<LaneNumber>,
    /// The depositor's link, which is told what is kept.
    link: Option<ConnectionId>,
    /// A DEPOSIT to be answered once nothing is on its way to disk any more: its number.
    asked: Option<Option<u32>>,
    /// When it is to be looked after.
    due: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// On its way into the store.
    Opening,
    /// It has not its last part yet.
    Filling,
    /// It waits for its callee.
    Whole,
    /// On its way out of the store.
    Ending(Option<DepositNotice>),
    /// The depositor has to be told.
    Over(DepositNotice),
}

impl Deposit {
    fn new(record: DepositRecord, due: u64) -> Self {
        Self {
            record,
            parts: Vec::new(),
            kept: 0,
            stored: 0,
            state: State::Opening,
            keeping: 0,
            lane: None,
            link: None,
            asked: None,
            due,
        }
    }

    /// Whether it counts: it is there, or comes.
    fn is_kept(&self) -> bool {
        matches!(self.state, State::Opening | State::Filling | State::Whole)
    }
}

#[derive(Default)]
pub(super) struct Deposits {
    deposits: BTreeMap<DepositNumber, Deposit>,
    ids: BTreeMap<DepositId, DepositNumber>,
    callers: BTreeMap<Name, BTreeSet<DepositNumber>>,
    callees: BTreeMap<Name, BTreeSet<DepositNumber>>,
    lanes: DepositLanes,
    /// Payload bytes of all that count.
    total: u64,
}

impl Deposits {
    pub fn len(&self) -> usize {
        self.deposits.values().filter(|deposit| deposit.is_kept()).count()
    }

    pub fn total(&self) -> u64 {
        self.total
    }

    fn get(&self, number: DepositNumber) -> Option<&Deposit> {
        self.deposits.get(&number)
    }

    fn get_mut(&mut self, number: DepositNumber) -> Option<&mut Deposit> {
        self.deposits.get_mut(&number)
    }

    fn find(&self, id: &DepositId) -> Option<(DepositNumber, &Deposit)> {
        let number = *self.ids.get(id)?;
        Some((number, self.deposits.get(&number)?))
    }

    fn insert(&mut self, number: DepositNumber, deposit: Deposit) {
        let record = &deposit.record;
        self.ids.insert(record.deposit, number);
        self.callers.entry(record.caller.clone()).or_default().insert(number);
        self.callees.entry(record.callee.clone()).or_default().insert(number);
        if deposit.is_kept() {
            self.total = self.total.saturating_add(record.size);
        }
        self.deposits.insert(number, deposit);
    }

    fn remove(&mut self, number: DepositNumber) -> Option<Deposit> {
        let deposit = self.deposits.remove(&number)?;
        let record = &deposit.record;
        self.ids.remove(&record.deposit);
        for (index, name) in [(&mut self.callers, &record.caller), (&mut self.callees, &record.callee)] {
            if let Some(numbers) = index.get_mut(name) {
                numbers.remove(&number);
                if numbers.is_empty() {
                    index.remove(name);
                }
            }
        }
        if deposit.is_kept() {
            self.total = self.total.saturating_sub(record.size);
        }
        Some(deposit)
    }

    /// Those of a depositor, oldest first.
    fn of_caller(&self, caller: &str) -> impl Iterator<Item = (DepositNumber, &Deposit)> {
        self.those(self.callers.get(caller))
    }

    /// Those for a callee, oldest first.
    fn for_callee(&self, callee: &str) -> impl Iterator<Item = (DepositNumber, &Deposit)> {
        self.those(self.callees.get(callee))
    }

    fn those<'a>(
        &'a self,
        numbers: Option<&'a BTreeSet<DepositNumber>>,
    ) -> impl Iterator<Item = (DepositNumber, &'a Deposit)> {
        numbers.into_iter().flatten().filter_map(|number| Some((*number, self.deposits.get(number)?)))
    }
}

/// How many of them count, and their payload bytes.
fn sum<'a>(deposits: impl Iterator<Item = (DepositNumber, &'a Deposit)>) -> (usize, u64) {
    let kept = deposits.filter(|(_, deposit)| deposit.is_kept());
    kept.fold((0, 0), |(count, bytes): (usize, u64), (_, deposit)| {
        (count + 1, bytes.saturating_add(deposit.record.size))
    })
}

impl Broker {
    /// Brings a deposit back from the store (P13), behind the terminals that [`restore_terminal`](Self::restore_terminal) brought. What belongs to a
    /// key that is no longer there, or to a caller that the callee no longer permits, ends at once.
    pub fn restore_deposit(&mut self, stored: StoredDeposit, now: u64) {
        let StoredDeposit { record, parts, kept, stored, complete, notice, age_ms } = stored;
        let sound = [&record.caller, &record.callee].iter().all(|name| identifier::check(name).is_ok())
            && self.registry.key_of(&record.caller) == Some(record.caller_key);
        let permitted = self.registry.key_of(&record.callee) == Some(record.callee_key)
            && self.registry.permits(&record.callee, &record.caller, &record.caller_key);
        let state = match (notice, complete) {
            (Some(notice), _) => State::Over(notice),
            (None, true) => State::Whole,
            (None, false) => State::Filling,
        };
        let number = self.next_id();
        let life =
            if state == State::Filling { self.config.unfinished_deposit_ms } else { self.config.deposit_ms };
        let due = now.saturating_add(life.saturating_sub(age_ms));
        self.deposits.insert(number, Deposit { parts, kept, stored, state, ..Deposit::new(record, due) });
        self.timers.arm(due, Timer::Deposit(number));
        if !sound {
            self.end_deposit(number, None, None);
        } else if notice.is_none() && !permitted {
            self.end_deposit(number, Some(DepositNotice::Unwanted), None);
        }
    }

    /// The process cannot give a deposit's bytes: its file is lost. The depositor is told.
    pub fn deposit_lost(&mut self, deposit: &DepositId, now: u64) {
        if let Some((number, _)) = self.deposits.find(deposit).filter(|(_, deposit)| deposit.is_kept()) {
            self.end_deposit(number, Some(DepositNotice::Lost), None);
        }
        self.close_condemned(now);
    }

    /// The most payload bytes that could be kept of one more deposit, or which limit forbids any.
    fn deposit_room(&self, caller: &str, callee: &str) -> Result<u64, &'static str> {
        let config = &self.config;
        if !config.deposits {
            return Err(NOT_HERE);
        }
        let (by_caller, caller_bytes) = sum(self.deposits.of_caller(caller));
        let (for_callee, callee_bytes) = sum(self.deposits.for_callee(callee));
        let (of_pair, _) =
            sum(self.deposits.of_caller(caller).filter(|(_, it)| *it.record.callee == *callee));
        for (count, most, cause) in [
            (of_pair, config.max_deposits_per_pair, PAIR_MANY),
            (by_caller, config.max_deposits_per_terminal, CALLER_MANY),
            (for_callee, config.max_deposits_per_terminal, CALLEE_MANY),
        ] {
            if count >= most {
                return Err(cause);
            }
        }
        let mut room = config.max_deposit;
        for (bytes, most, cause) in [
            (caller_bytes, config.max_deposited_per_caller, CALLER_FULL),
            (callee_bytes, config.max_deposited_per_callee, CALLEE_FULL),
            (self.deposits.total, config.max_deposited, FULL),
        ] {
            room = room.min(most.saturating_sub(bytes));
            if room == 0 {
                return Err(cause);
            }
        }
        Ok(room)
    }

    /// Which limit a deposit of this size is over.
    fn deposit_limit(&self, caller: &str, callee: &str, size: u64) -> Option<&'static str> {
        match self.deposit_room(caller, callee) {
            Err(cause) => Some(cause),
            Ok(room) if size <= room => None,
            Ok(_) if size > self.config.max_deposit => Some(TOO_LARGE),
            Ok(_) => {
                let over = |(_, bytes): (usize, u64), most: u64| bytes.saturating_add(size) > most;
                let config = &self.config;
                Some(if over(sum(self.deposits.of_caller(caller)), config.max_deposited_per_caller) {
                    CALLER_FULL
                } else if over(sum(self.deposits.for_callee(callee)), config.max_deposited_per_callee) {
                    CALLEE_FULL
                } else {
                    FULL
                })
            }
        }
    }

    /// A deposit's time is up.
    pub(super) fn deposit_due(&mut self, number: DepositNumber, now: u64) {
        let Some(deposit) = self.deposits.get(number) else { return };
        if deposit.due > now {
            return;
        }
        match deposit.state {
            State::Whole => self.end_deposit(number, Some(DepositNotice::Expired), None),
            // While a lane brings parts their time goes on.
            State::Filling | State::Opening if deposit.lane.is_some() || deposit.keeping > 0 => {
                self.deposit_again(number, now.saturating_add(self.config.unfinished_deposit_ms));
            }
            State::Filling | State::Opening | State::Over(_) => self.end_deposit(number, None, None),
            State::Ending(notice) => self.send_off(number, notice, None),
        }
    }

    /// Looks after it at another time.
    fn deposit_again(&mut self, number: DepositNumber, due: u64) {
        if let Some(deposit) = self.deposits.get_mut(number) {
            self.timers.disarm(deposit.due, Timer::Deposit(number));
            deposit.due = due;
            self.timers.arm(due, Timer::Deposit(number));
        }
    }

    /// Ends a deposit: nothing more is done with it from now on, and the store forgets it. `asker` is answered then.
    fn end_deposit(
        &mut self,
        number: DepositNumber,
        notice: Option<DepositNotice>,
        asker: Option<(ConnectionId, Option<u32>)>,
    ) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        if matches!(deposit.state, State::Ending(_)) {
            return;
        }
        if deposit.is_kept() {
            let (lane, size) = (deposit.lane.take(), deposit.record.size);
            self.deposits.total = self.deposits.total.saturating_sub(size);
            if let Some(lane) = lane {
                self.end_deposit_lane(lane);
            }
        }
        self.send_off(number, notice, asker);
    }

    fn send_off(
        &mut self,
        number: DepositNumber,
        notice: Option<DepositNotice>,
        asker: Option<(ConnectionId, Option<u32>)>,
    ) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        deposit.state = State::Ending(notice);
        let operation = StoreOperation::EndDeposit { deposit: deposit.record.deposit, notice };
        self.store(operation, super::registration::Pending::DepositEnd { number, notice, asker });
    }

    /// The callee's list has changed: all deposits for it, by depositors whom it no longer permits, go.
    pub(super) fn deposits_unwanted(&mut self, callee: &str) {
        let gone = self.not_permitted(self.deposits.for_callee(callee));
        self.not_wanted(gone);
    }

    /// The depositor left a group: all that it has deposited for those who permit it by that alone goes.
    pub(super) fn deposits_left(&mut self, caller: &str) {
        let gone = self.not_permitted(self.deposits.of_caller(caller));
        self.not_wanted(gone);
    }

    fn not_permitted<'a>(
        &'a self,
        deposits: impl Iterator<Item = (DepositNumber, &'a Deposit)>,
    ) -> Vec<DepositNumber> {
        let gone = |record: &DepositRecord| {
            let (callee, caller, key) = (&record.callee, &record.caller, &record.caller_key);
            !self.registry.permits(callee, caller, key) && !self.registry.will_permit(callee, caller, key)
        };
        deposits
            .filter(|(_, deposit)| deposit.is_kept() && gone(&deposit.record))
            .map(|(number, _)| number)
            .collect()
    }

    fn not_wanted(&mut self, gone: Vec<DepositNumber>) {
        for number in gone {
            self.end_deposit(number, Some(DepositNotice::Unwanted), None);
        }
    }

    /// A key was revoked: what it has deposited goes, and what was deposited for it.
    pub(super) fn deposits_revoked(&mut self, identifier: &str) {
        let own: Vec<_> = self.deposits.of_caller(identifier).map(|(number, _)| number).collect();
        let others = self.deposits.for_callee(identifier).filter(|(_, deposit)| deposit.is_kept());
        let others: Vec<_> =
            others.map(|(number, _)| number).filter(|number| !own.contains(number)).collect();
        for number in own {
            self.end_deposit(number, None, None);
        }
        for number in others {
            self.end_deposit(number, Some(DepositNotice::Unwanted), None);
        }
    }

    fn log_deposit(&mut self, level: Level, number: DepositNumber, told: impl FnOnce(Name) -> What) {
        if let Some(deposit) = self.deposits.get(number) {
            let (caller, callee) = (deposit.record.caller.clone(), deposit.record.callee.clone());
            self.net.log(level, deposit.link, Some(caller), told(callee));
        }
    }

    /// Whether the identifier is this with this key still.
    fn is_still(&self, identifier: &str, key: &PublicKey) -> bool {
        self.registry.key_of(identifier) == Some(*key)
    }
}
