//! M19 and M20: the question, the answer, and what comes of it.

use super::framing::Framing;
use super::lanes::Role;
use super::{Deposit, DepositNumber, State};
use crate::broker::registration::Pending;
use crate::broker::timers::Timer;
use crate::broker::{
    Broker, ConnectionId, DepositRecord, KeptPart, Level, Name, StoreOperation, Stored, What,
};
use crate::link::PublicKey;
use crate::message::{self, DepositGoAhead, DepositKept, DepositQuestion, Message};

/// Smaller frames than this would hold nothing.
const MIN_FRAME: u32 = 128;
/// Larger ones than this hold more than a part.
const MAX_FRAME: u32 = (1 << 20) + crate::lane::OVERHEAD as u32;

const NO_QUESTION: &str = "there was no such question";
const NOT_PERMITTED: &str = "the callee no longer permits it";
const TOO_OFTEN: &str = "too many deposits in a minute";
const ELSEWHERE: &str = "another link of this terminal goes on with it";
const STORE_FAILED: &str = "the broker cannot store it now";
const REVOKED: &str = "a key was taken away";

/// M19 that is not answered yet.
pub(in crate::broker) struct Question {
    callee: Name,
    callee_key: PublicKey,
}

/// What counts as a terminal's largest frame.
pub(in crate::broker) fn frame_of(said: u32) -> Option<u32> {
    (said >= MIN_FRAME).then_some(said.min(MAX_FRAME))
}

impl Broker {
    /// M19 instead of M10, if the caller knows deposits, the callee does, it permits the caller, and there is room.
    pub(in crate::broker) fn ask_deposit(
        &mut self,
        link: ConnectionId,
        transaction: Option<u32>,
        callee: &Name,
        cause: &'static str,
    ) -> bool {
        let Some(session) = self.net.session(link).filter(|session| session.frame.is_some()) else {
            return false;
        };
        let (caller, key) = (session.identifier.clone(), session.secured.key);
        let Some((callee_key, frame)) = self.registry.get(callee).and_then(|it| it.key.zip(it.frame)) else {
            return false;
        };
        if !self.config.deposits || !self.registry.permits(callee, &caller, &key) {
            return false;
        }
        // One that is unfinished has its place already.
        let unfinished = self.deposits.of_caller(&caller).filter(|(_, deposit)| {
            matches!(deposit.state, State::Opening | State::Filling) && deposit.record.callee == *callee
        });
        let unfinished = unfinished.map(|(_, deposit)| deposit.record.size).max();
        let room = self.deposit_room(&caller, callee).unwrap_or(0).max(unfinished.unwrap_or(0));
        if room == 0 {
            return false;
        }
        let most = self.config.max_queries_per_link;
        if let Some(session) = self.net.session(link) {
            if session.offers.len() >= most {
                session.offers.pop_first();
            }
            session.offers.insert(transaction, Question { callee: callee.clone(), callee_key });
        }
        let question = DepositQuestion {
            transaction,
            callee_key: Some(*callee_key.as_bytes()),
            frame: Some(frame),
            largest_transfer: Some(room),
            cause: (!self.config.deny_without_cause).then_some(cause),
        };
        self.net.send(link, &Message::DepositQuestion(question));
        true
    }

    /// The no to M19. `false` if nothing was asked.
    pub(in crate::broker) fn deposit_declined(
        &mut self,
        link: ConnectionId,
        transaction: Option<u32>,
    ) -> bool {
        self.net.session(link).is_some_and(|session| session.offers.remove(&transaction).is_some())
    }

    /// The yes to M19.
    pub(in crate::broker) fn deposit(
        &mut self,
        link: ConnectionId,
        deposit: &message::Deposit<'_>,
        now: u64,
    ) {
        if let Err(cause) = self.start_deposit(link, deposit, now) {
            self.refuse_lane(link, deposit.transaction, cause);
        }
    }

    fn start_deposit(
        &mut self,
        link: ConnectionId,
        message: &message::Deposit<'_>,
        now: u64,
    ) -> Result<(), &'static str> {
        let transaction = message.transaction;
        let session = self.net.session(link).ok_or(NO_QUESTION)?;
        let (caller, caller_key) = (session.identifier.clone(), session.secured.key);
        let question = session.offers.remove(&transaction).ok_or(NO_QUESTION)?;
        if *question.callee != *message.callee || *caller != *message.caller {
            return Err(NO_QUESTION);
        }
        let Question { callee, callee_key } = question;
        if !self.registry.permits(&callee, &caller, &caller_key) || !self.is_still(&callee, &callee_key) {
            return Err(NOT_PERMITTED);
        }
        let same = |deposit: &Deposit| {
            let record = &deposit.record;
            deposit.is_kept()
                && message.source.is_some()
                && record.source == message.source
                && record.callee == callee
                && record.size == message.size
        };
        let same = self.deposits.of_caller(&caller).find(|(_, deposit)| same(deposit));
        if let Some((number, _)) = same {
            self.resume_deposit(number, link, transaction, now);
            return Ok(());
        }
        if let Some(limit) = self.deposit_limit(&caller, &callee, message.size) {
            return Err(limit);
        }
        let (terminal, limit) = (self.registry.get_mut(&caller), self.config.writes_per_minute);
        terminal.ok_or(NOT_PERMITTED)?.writes.take(limit, now).map_err(|_| TOO_OFTEN)?;
        let frame = self.registry.get(&callee).and_then(|it| it.frame).ok_or(NOT_PERMITTED)?;
        let record = DepositRecord {
            deposit: self.entropy.draw(),
            caller,
            caller_key,
            callee,
            callee_key,
            size: message.size,
            frame,
            source: message.source.clone(),
        };
        let number = self.next_id();
        let due = now.saturating_add(self.config.unfinished_deposit_ms);
        let deposit =
            Deposit { link: Some(link), asked: Some(transaction), ..Deposit::new(record.clone(), due) };
        self.deposits.insert(number, deposit);
        self.timers.arm(due, Timer::Deposit(number));
        self.store(StoreOperation::OpenDeposit(record), Pending::DepositOpen { number });
        Ok(())
    }

    /// Goes on with a deposit of the same recording, once nothing of it is on its way to disk.
    fn resume_deposit(
        &mut self,
        number: DepositNumber,
        link: ConnectionId,
        transaction: Option<u32>,
        now: u64,
    ) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        if deposit.state == State::Whole {
            // The depositor has not heard of it. What the callee is collecting goes on.
            deposit.link = Some(link);
            let kept = DepositKept {
                deposit: Some(deposit.record.deposit),
                part: u32::try_from(deposit.parts.len().saturating_sub(1)).ok(),
                offset: Some(deposit.kept),
                digest: None,
                complete: true,
                transaction,
            };
            return self.net.send(link, &Message::DepositKept(kept));
        }
        let earlier = deposit.link.replace(link).zip(deposit.asked.replace(transaction));
        let lane = deposit.lane.take();
        if let Some(lane) = lane {
            self.end_deposit_lane(lane);
        }
        if let Some((earlier, transaction)) = earlier {
            self.refuse_lane(earlier, transaction, ELSEWHERE);
        }
        self.go_ahead(number, now);
    }

    /// M20, if somebody waits for it and it can be.
    fn go_ahead(&mut self, number: DepositNumber, now: u64) {
        if !self.deposit_is_still(number) {
            return;
        }
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        let (Some(transaction), Some(link)) = (deposit.asked.take(), deposit.link) else { return };
        let (id, size) = (deposit.record.deposit, deposit.record.size);
        let (offset, stored) = (deposit.kept, deposit.stored);
        // As M19 has told it, which may have changed since the deposit was opened.
        let frame = self.registry.get(&deposit.record.callee).and_then(|callee| callee.frame);
        let frame = frame.unwrap_or(deposit.record.frame);
        let part = u32::try_from(deposit.parts.len()).unwrap_or(u32::MAX);
        let framing = Framing::new(frame, size, stored, part, offset);
        let token = self.issue_deposit_lane(number, Role::Take(framing.into()), now);
        let go_ahead =
            DepositGoAhead { deposit: id, token, transaction, offset: Some(offset), part: Some(part) };
        self.net.send(link, &Message::DepositGoAhead(go_ahead));
    }

    pub(in crate::broker) fn deposit_opened(&mut self, number: DepositNumber, outcome: Stored, now: u64) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        if deposit.state != State::Opening {
            return;
        }
        if outcome == Stored::Done {
            deposit.state = State::Filling;
            return self.go_ahead(number, now);
        }
        let asker = deposit.link.zip(deposit.asked);
        let due = deposit.due;
        self.timers.disarm(due, Timer::Deposit(number));
        self.deposits.remove(number);
        if let Some((link, transaction)) = asker {
            let cause = if outcome == Stored::Refused { REVOKED } else { STORE_FAILED };
            self.refuse_lane(link, transaction, cause);
        }
    }

    pub(in crate::broker) fn part_stored(
        &mut self,
        number: DepositNumber,
        part: &KeptPart,
        outcome: Stored,
        now: u64,
    ) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        deposit.keeping = deposit.keeping.saturating_sub(1);
        if deposit.state != State::Filling {
            return;
        }
        let (link, lane) = (deposit.link, deposit.lane);
        if outcome == Stored::Done {
            deposit.parts.push((part.offset, part.start));
            (deposit.kept, deposit.stored) = (part.kept, part.end);
            let kept = DepositKept {
                deposit: Some(deposit.record.deposit),
                part: Some(part.number),
                offset: Some(part.kept),
                digest: Some(part.digest),
                complete: part.complete,
                transaction: None,
            };
            if let Some(link) = link {
                self.net.send(link, &Message::DepositKept(kept));
            }
            if part.complete {
                return self.deposit_whole(number, now);
            }
            self.deposit_again(number, now.saturating_add(self.config.unfinished_deposit_ms));
        } else if let Some(lane) = lane {
            // What is behind it in the file is cut off when the next lane comes.
            self.break_off(lane, STORE_FAILED);
        }
        self.go_ahead(number, now);
    }

    /// The last part is on disk.
    fn deposit_whole(&mut self, number: DepositNumber, now: u64) {
        let Some(deposit) = self.deposits.get_mut(number) else { return };
        deposit.state = State::Whole;
        let lane = deposit.lane.take();
        let asked = deposit.link.zip(deposit.asked.take());
        if let Some(lane) = lane {
            self.end_deposit_lane(lane);
        }
        self.deposit_again(number, now.saturating_add(self.config.deposit_ms));
        self.log_deposit(Level::Info, number, What::Deposited);
        if let Some((link, transaction)) = asked {
            self.resume_deposit(number, link, transaction, now);
        }
        self.tell_callee(number);
    }
}
