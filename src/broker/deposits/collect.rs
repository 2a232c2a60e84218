//! M21 and M22: the callee hears of its deposits and collects them; the depositor hears of it, asks for its own and takes them back.

use super::lanes::Role;
use super::{Deposit, DepositNumber, State};
use crate::Secret;
use crate::broker::control::status;
use crate::broker::relay::answer;
use crate::broker::timers::Timer;
use crate::broker::{Broker, ConnectionId, DepositNotice, Level, Name, Stored, What};
use crate::message::{
    self, Delivered, DepositId, DepositedFor, Depositor, Message, Status, StatusCode, TransferAnswer,
    Withdraw,
};
use alloc::vec::Vec;

const NO_DEPOSIT: &str = "there is no such deposit for this terminal";
const NO_PLACE: &str = "the recording is shorter than that";
const TOO_OFTEN: &str = "too many questions in a minute";
const STORE_FAILED: &str = "The broker cannot store it now.";

/// After how many seconds the store may be there again.
const STORE_RETRY: u32 = 10;

impl Broker {
    /// M21, if the callee listens and knows deposits.
    pub(super) fn tell_callee(&mut self, number: DepositNumber) {
        let Some(deposit) = self.deposits.get(number).filter(|deposit| deposit.state == State::Whole) else {
            return;
        };
        let record = &deposit.record;
        let Some(link) = self.registry.get(&record.callee).and_then(|terminal| terminal.listener) else {
            return;
        };
        if self.net.session(link).is_none_or(|session| session.frame.is_none()) {
            return;
        }
        // None: only the list that is on its way to disk permits it.
        let by = self.registry.admission(&record.callee, &record.caller, &record.caller_key);
        let Some(by) = by else { return };
        let depositor = Depositor {
            caller: &record.caller,
            deposit: Some(record.deposit),
            size: Some(record.size),
            caller_key: Some(*record.caller_key.as_bytes()),
            group: by.group().map(|group| &**group),
        };
        self.net.send(link, &Message::Depositor(depositor));
    }

    /// A terminal's HELLO is through: M21 for what waits for it if it listens, and what became of its own deposits.
    pub(in crate::broker) fn deposits_at_hello(&mut self, link: ConnectionId, listens: bool) {
        let Some(session) = self.net.session(link).filter(|session| session.frame.is_some()) else { return };
        let identifier = session.identifier.clone();
        if listens {
            self.tell_of_all(&identifier);
        }
        let own: Vec<_> = self.deposits.of_caller(&identifier).map(|(number, _)| number).collect();
        for number in own {
            self.tell_depositor(number);
        }
    }

    /// A callee's list is another. Whoever changes it forgets what waits of those that an entry may have stood for, though it is still permitted by another, or
    /// permitted again: what does wait is told again.
    pub(in crate::broker) fn deposits_at_register(&mut self, callee: &Name, now: u64) {
        let limit = self.config.queries_per_minute;
        let waits = self.deposits.for_callee(callee).any(|(_, it)| it.state == State::Whole);
        let asker = self.registry.get_mut(callee).filter(|_| waits);
        if asker.is_some_and(|terminal| terminal.queries.take(limit, now).is_ok()) {
            self.tell_of_all(callee);
        }
    }

    /// M21 for whatever waits for a callee.
    fn tell_of_all(&mut self, callee: &str) {
        let waiting: Vec<_> = self.deposits.for_callee(callee).map(|(number, _)| number).collect();
        for number in waiting {
            self.tell_callee(number);
        }
    }

    /// What became of a deposit, once, if the depositor has a link that knows deposits.
    fn tell_depositor(&mut self, number: DepositNumber) {
        let Some(deposit) = self.deposits.get(number) else { return };
        let State::Over(notice) = deposit.state else { return };
        let id = deposit.record.deposit;
        if !self.is_still(&deposit.record.caller, &deposit.record.caller_key) {
            return self.end_deposit(number, None, None);
        }
        let links = self.registry.get(&deposit.record.caller).map(|terminal| terminal.links.clone());
        let mut links = links.unwrap_or_default().into_iter();
        let knows = |link: &ConnectionId| self.net.session(*link).is_some_and(|it| it.frame.is_some());
        let Some(link) = links.find(knows) else { return };
        let message = match notice {
            DepositNotice::Collected => Message::Delivered(Delivered { deposit: Some(id) }),
            DepositNotice::Expired | DepositNotice::Unwanted | DepositNotice::Lost => {
                Message::Withdraw(Withdraw { handle: id, cause: Some(notice.cause()), transaction: None })
            }
        };
        self.net.send(link, &message);
        self.end_deposit(number, None, None);
    }

    /// M22.
    pub(in crate::broker) fn collect(
        &mut self,
        link: ConnectionId,
        collect: &message::Collect<'_>,
        now: u64,
    ) {
        let transaction = collect.transaction;
        match self.start_collect(link, collect, now) {
            Ok(token) => {
                let accepted = TransferAnswer { accepted: true, token: Some(token), ..answer(transaction) };
                self.net.send(link, &Message::TransferAnswer(accepted));
            }
            Err(cause) => {
                self.refuse_lane(link, transaction, cause);
                if cause == NO_DEPOSIT {
                    self.tell_next(link, collect.caller);
                }
            }
        }
    }

    /// What the callee keeps in mind of a depositor is gone: it is told of the oldest that is there.
    fn tell_next(&mut self, link: ConnectionId, caller: &str) {
        let Some(callee) = self.net.session(link).map(|session| session.identifier.clone()) else { return };
        let waits = |it: &Deposit| it.state == State::Whole && *it.record.caller == *caller;
        let next = self.deposits.for_callee(&callee).find(|(_, it)| waits(it)).map(|(number, _)| number);
        if let Some(number) = next {
            self.tell_callee(number);
        }
    }

    fn start_collect(
        &mut self,
        link: ConnectionId,
        collect: &message::Collect<'_>,
        now: u64,
    ) -> Result<Secret<32>, &'static str> {
        let session = self.net.session(link).ok_or(NO_DEPOSIT)?;
        let (callee, key) = (session.identifier.clone(), session.secured.key);
        let (terminal, limit) = (self.registry.get_mut(&callee), self.config.queries_per_minute);
        terminal.ok_or(NO_DEPOSIT)?.queries.take(limit, now).map_err(|_| TOO_OFTEN)?;
        if *callee != *collect.callee {
            return Err(NO_DEPOSIT);
        }
        let (number, deposit) = self
            .deposits
            .for_callee(&callee)
            .find(|(_, deposit)| {
                let record = &deposit.record;
                deposit.state == State::Whole
                    && *record.caller == *collect.caller
                    && record.callee_key == key
                    && collect.deposit.is_none_or(|id| id == record.deposit)
            })
            .ok_or(NO_DEPOSIT)?;
        let offset = collect.offset.unwrap_or(0);
        if offset > deposit.record.size {
            return Err(NO_PLACE);
        }
        // The last part that starts at or before it: the first one starts at 0, and the last one has the end.
        let behind = deposit.parts.partition_point(|(start, _)| *start <= offset);
        let (_, start) = *behind.checked_sub(1).and_then(|at| deposit.parts.get(at)).ok_or(NO_DEPOSIT)?;
        let role = Role::Give { start, end: deposit.stored };
        Ok(self.issue_deposit_lane(number, role, now))
    }

    /// How a collection ended. What is unknown was deleted before: the callee may ask again for that answer.
    pub(in crate::broker) fn collected(
        &mut self,
        link: ConnectionId,
        collected: &message::Collected<'_>,
        now: u64,
    ) {
        let Some(session) = self.net.session(link) else { return };
        let (callee, key) = (session.identifier.clone(), session.secured.key);
        let transaction = collected.transaction;
        let found = self
            .deposits
            .find(&collected.deposit)
            .filter(|(_, deposit)| deposit.record.callee == callee && deposit.record.callee_key == key);
        match found.map(|(number, deposit)| (number, deposit.state, deposit.lane)) {
            Some((number, State::Whole, _)) if collected.complete => {
                self.end_deposit(number, Some(DepositNotice::Collected), Some((link, transaction)));
            }
            Some((number, State::Ending(notice), _)) => {
                self.send_off(number, notice, Some((link, transaction)));
            }
            Some((number, State::Whole, lane)) => {
                if let Some(lane) = lane {
                    self.end_deposit_lane(lane);
                }
                self.answer(link, StatusCode::Done, "It is kept.", transaction);
                self.tell_after(number);
            }
            _ => {
                self.answer(link, StatusCode::Done, "Done.", transaction);
                self.tell_again(link, now);
            }
        }
    }

    /// Until it is answered that it has collected a deposit, a callee keeps no other of that depositor in mind: what it was told of since is told again.
    fn tell_again(&mut self, link: ConnectionId, now: u64) {
        let Some(callee) = self.net.session(link).map(|session| session.identifier.clone()) else { return };
        let limit = self.config.queries_per_minute;
        let asker = self.registry.get_mut(&callee);
        if asker.is_some_and(|terminal| terminal.queries.take(limit, now).is_ok()) {
            self.tell_of_all(&callee);
        }
    }

    /// `DEPOSITS`.
    pub(in crate::broker) fn list_deposits(
        &mut self,
        link: ConnectionId,
        question: &message::Deposits<'_>,
        now: u64,
    ) {
        let transaction = question.transaction;
        let Some(identifier) = self.own_identifier(link, question.identifier, transaction) else { return };
        let limit = self.config.queries_per_minute;
        let taken = self.registry.get_mut(&identifier).map(|terminal| terminal.queries.take(limit, now));
        if let Some(Err(wait)) = taken {
            let wait = self.jittered(wait);
            let refused =
                Status { retry_after: Some(wait), ..status(StatusCode::TooOften, "Too often.", transaction) };
            return self.net.send(link, &Message::Status(refused));
        }
        let own = self.deposits.of_caller(&identifier).filter(|(_, deposit)| deposit.is_kept());
        for (_, deposit) in own {
            let deposited = DepositedFor {
                callee: &deposit.record.callee,
                deposit: Some(deposit.record.deposit),
                size: Some(deposit.record.size),
                offset: Some(deposit.kept),
                transaction,
            };
            self.net.send(link, &Message::DepositedFor(deposited));
        }
        self.answer(link, StatusCode::Done, "That is all.", transaction);
    }

    /// `WITHDRAW`, by the depositor or the callee. What is unknown, or another's, is not there.
    pub(in crate::broker) fn withdraw_deposit(
        &mut self,
        link: ConnectionId,
        deposit: &DepositId,
        transaction: Option<u32>,
    ) {
        let Some(session) = self.net.session(link) else { return };
        let (asker, key) = (session.identifier.clone(), session.secured.key);
        let found = self.deposits.find(deposit).and_then(|(number, deposit)| {
            let record = &deposit.record;
            let notice = if record.caller == asker && record.caller_key == key {
                None
            } else if record.callee == asker && record.callee_key == key {
                Some(DepositNotice::Unwanted)
            } else {
                return None;
            };
            Some((number, deposit.state, notice))
        });
        match found {
            Some((number, State::Ending(notice), _)) => {
                self.send_off(number, notice, Some((link, transaction)));
            }
            Some((_, State::Over(_), Some(_))) | None => {
                self.answer(link, StatusCode::Done, "Done.", transaction);
            }
            Some((number, _, notice)) => self.end_deposit(number, notice, Some((link, transaction))),
        }
    }

    /// The oldest other deposit of the same depositor for the same callee that waits: callees keep one of each in mind.
    fn next_of_pair(&self, number: DepositNumber) -> Option<DepositNumber> {
        let record = &self.deposits.get(number)?.record;
        let mut others = self.deposits.for_callee(&record.callee);
        let next = others.find(|(_, it)| it.state == State::Whole && it.record.caller == record.caller)?;
        Some(next.0)
    }

    /// A deposit that can't be collected holds up no later one of its depositor: the callee is told of the next.
    fn tell_after(&mut self, number: DepositNumber) {
        let Some(record) = self.deposits.get(number).map(|deposit| &deposit.record) else { return };
        let later = |other: &DepositNumber, it: &Deposit| {
            *other > number && it.state == State::Whole && it.record.caller == record.caller
        };
        let next = self.deposits.for_callee(&record.callee).find(|(other, it)| later(other, it));
        if let Some((next, _)) = next {
            self.tell_callee(next);
        }
    }

    /// The store has forgotten a deposit, or could not.
    pub(in crate::broker) fn deposit_ended(
        &mut self,
        number: DepositNumber,
        notice: Option<DepositNotice>,
        asker: Option<(ConnectionId, Option<u32>)>,
        outcome: Stored,
        now: u64,
    ) {
        let ending = self.deposits.get(number).is_some_and(|it| it.state == State::Ending(notice));
        if outcome != Stored::Done {
            if let Some((link, transaction)) = asker {
                let failed = status(StatusCode::Unavailable, STORE_FAILED, transaction);
                let failed = Status { retry_after: Some(STORE_RETRY), ..failed };
                self.net.send(link, &Message::Status(failed));
            }
            if ending {
                self.deposit_again(number, now.saturating_add(super::RETRY_MS));
            }
            return;
        }
        if let Some((link, transaction)) = asker {
            self.answer(link, StatusCode::Done, "Done.", transaction);
        }
        if !ending {
            // It was over when this was asked for: whoever asked has been told of others before this answer.
            return asker.into_iter().for_each(|(link, _)| self.tell_again(link, now));
        }
        self.log_deposit(Level::Info, number, |callee| What::DepositOver { callee, notice });
        // Nobody knew any more of one whose notice was all that was left.
        let was_kept = notice.is_some() || asker.is_some();
        let next = self.next_of_pair(number).filter(|_| was_kept);
        match notice {
            Some(notice) => {
                if let Some(deposit) = self.deposits.get_mut(number) {
                    deposit.state = State::Over(notice);
                }
                self.deposit_again(number, now.saturating_add(self.config.deposit_ms));
                self.tell_depositor(number);
            }
            None => {
                if let Some(deposit) = self.deposits.remove(number) {
                    self.timers.disarm(deposit.due, Timer::Deposit(number));
                }
            }
        }
        if let Some(next) = next {
            self.tell_callee(next);
        }
    }
}
