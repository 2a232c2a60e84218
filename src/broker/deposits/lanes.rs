//! The lanes of deposits: one token, one connection, one way, between a terminal and the process that keeps the files.

use super::framing::{Framing, Part};
use super::{DepositNumber, LaneNumber, State};
use crate::Secret;
use crate::broker::connection::State as Link;
use crate::broker::lanes::digest;
use crate::broker::registration::Pending;
use crate::broker::timers::Timer;
use crate::broker::{Broker, ConnectionId, Event, KeptPart, Level, StoreOperation, What};
use crate::link::LaneToken;
use crate::message::{Collected, Message};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;

/// A depositor's lane on which nothing comes for so long is closed.
const IDLE_MS: u64 = 10 * 60 * 1_000;

const TOO_EAGER: &str = "parts come before the ones before them are kept";

#[derive(Default)]
pub(super) struct DepositLanes {
    lanes: BTreeMap<LaneNumber, Lane>,
    tokens: BTreeMap<[u8; 32], LaneNumber>,
}

struct Lane {
    deposit: DepositNumber,
    role: Role,
    token: [u8; 32],
    expires: u64,
    connection: Option<ConnectionId>,
}

pub(super) enum Role {
    /// The depositor's.
    Take(Box<Framing>),
    /// The callee's, and what of the file it gets.
    Give { start: u64, end: u64 },
}

impl Broker {
    /// Makes a lane for a deposit, instead of the one that it has.
    pub(super) fn issue_deposit_lane(&mut self, deposit: DepositNumber, role: Role, now: u64) -> Secret<32> {
        if let Some(old) = self.deposits.get_mut(deposit).and_then(|deposit| deposit.lane.take()) {
            self.end_deposit_lane(old);
        }
        let secret = self.entropy.draw();
        let token = digest(&secret);
        let number = self.next_id();
        let expires = now.saturating_add(self.config.token_lifetime_ms);
        self.deposits.lanes.tokens.insert(token, number);
        self.deposits.lanes.lanes.insert(number, Lane { deposit, role, token, expires, connection: None });
        self.timers.arm(expires, Timer::DepositLane(number));
        if let Some(deposit) = self.deposits.get_mut(deposit) {
            deposit.lane = Some(number);
        }
        Secret::new(secret)
    }

    /// A connection's preamble had a token: whether it is a depositor's lane or, `false`, a callee's; `None` if the token is no open one.
    pub(in crate::broker) fn deposit_lane_arrived(
        &mut self,
        connection: ConnectionId,
        token: &LaneToken,
        now: u64,
    ) -> Option<bool> {
        let number = self.deposits.lanes.tokens.remove(&digest(token.expose()))?;
        let lane = self.deposits.lanes.lanes.get_mut(&number)?;
        lane.connection = Some(connection);
        self.timers.disarm(lane.expires, Timer::DepositLane(number));
        let record = &self.deposits.deposits.get(&lane.deposit)?;
        let deposit = record.record.deposit;
        let (takes, event, deadline) = match lane.role {
            Role::Take(_) => {
                let event = Event::Deposit { connection, deposit, start: record.stored };
                (true, event, now.saturating_add(IDLE_MS))
            }
            Role::Give { start, end } => {
                (false, Event::Collect { connection, deposit, start, end }, u64::MAX)
            }
        };
        self.settled(connection, Link::DepositLane(number), deadline);
        self.net.events.push_back(event);
        Some(takes)
    }

    /// Takes what has come on a depositor's lane, behind its preamble and [`Event::Deposit`]. So many of the bytes are the deposit's: they go to the
    /// end of its file before the events are obeyed. With fewer than all the lane has ended.
    pub fn deposit_input(&mut self, connection: ConnectionId, bytes: &[u8], now: u64) -> usize {
        let mut taken = 0;
        while taken < bytes.len() {
            let Some(link) = self.net.connections.get_mut(&connection) else { break };
            let Link::DepositLane(number) = link.state else { break };
            link.deadline = now.saturating_add(IDLE_MS);
            let Some(lane) = self.deposits.lanes.lanes.get_mut(&number) else { break };
            let Role::Take(framing) = &mut lane.role else { break };
            if framing.is_over() {
                break;
            }
            match framing.take(&bytes[taken..]) {
                Ok(step) => {
                    taken += step.length;
                    if let Some(part) = step.part {
                        self.part_came(number, part);
                    }
                }
                Err(cause) => self.break_off(number, cause),
            }
        }
        self.close_condemned(now);
        taken
    }

    fn part_came(&mut self, number: LaneNumber, part: Part) {
        let Some(lane) = self.deposits.lanes.lanes.get(&number) else { return };
        let deposit_number = lane.deposit;
        let Some(deposit) = self.deposits.get_mut(deposit_number) else { return };
        if deposit.keeping > 0 && !part.complete {
            return self.break_off(number, TOO_EAGER);
        }
        deposit.keeping += 1;
        let part = KeptPart {
            number: part.number,
            offset: part.offset,
            kept: part.kept,
            start: part.start,
            end: part.end,
            digest: part.digest,
            complete: part.complete,
        };
        let operation = StoreOperation::KeepPart { deposit: deposit.record.deposit, part };
        self.store(operation, Pending::DepositKeep { number: deposit_number, part });
    }

    /// A deposit cannot go on by this lane: the depositor is told why.
    pub(super) fn break_off(&mut self, number: LaneNumber, cause: &'static str) {
        let Some(lane) = self.deposits.lanes.lanes.get(&number) else { return };
        let Some(deposit) = self.deposits.get(lane.deposit) else { return };
        let (link, id) = (deposit.link, deposit.record.deposit);
        let caller = deposit.record.caller.clone();
        self.net.log(Level::Warning, lane.connection, Some(caller), What::DepositBroken(cause));
        if let Some(link) = link {
            let shown = (!self.config.deny_without_cause).then_some(cause);
            let failed = Collected { complete: false, deposit: id, transaction: None, cause: shown };
            self.net.send(link, &Message::Collected(failed));
        }
        self.end_deposit_lane(number);
    }

    /// Ends a lane: its token is void, its connection closed.
    pub(super) fn end_deposit_lane(&mut self, number: LaneNumber) {
        let Some(lane) = self.deposits.lanes.lanes.remove(&number) else { return };
        self.deposits.lanes.tokens.remove(&lane.token);
        self.timers.disarm(lane.expires, Timer::DepositLane(number));
        if let Some(deposit) = self.deposits.get_mut(lane.deposit)
            && deposit.lane == Some(number)
        {
            deposit.lane = None;
        }
        if let Some(connection) = lane.connection {
            self.net.close(connection);
        }
    }

    /// A lane's token was not used in time.
    pub(in crate::broker) fn deposit_lane_due(&mut self, number: LaneNumber) {
        self.end_deposit_lane(number);
    }

    /// Nothing has come on a depositor's lane for too long.
    pub(in crate::broker) fn deposit_lane_idle(&mut self, number: LaneNumber) {
        self.break_off(number, "nothing came for too long");
    }

    /// A lane's connection has ended. What has come of a part that was not whole is nothing.
    pub(in crate::broker) fn deposit_lane_ended(&mut self, number: LaneNumber) {
        self.end_deposit_lane(number);
    }

    /// Whether nothing of the deposit is on its way to disk, so that a lane can go on from what is kept.
    pub(super) fn deposit_is_still(&self, number: DepositNumber) -> bool {
        self.deposits
            .get(number)
            .is_some_and(|deposit| deposit.keeping == 0 && deposit.state == State::Filling)
    }
}
