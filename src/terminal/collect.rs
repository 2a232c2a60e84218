//! The collector (P11, M21, M22; Fig. 28, 29): what callers have deposited is fetched once this terminal is free.

use super::event::{ClosedCause, Event, TransferFailure};
use super::machine::{Input, Machine};
use super::peers::{Peers, RestoreError, Waiting, mark};
use super::session::{
    Collecting, Done, Keys, MAX_NAME, MAX_SOURCE, Open, Phase, Session, TransferState, Via, Work,
};
use super::transfer::is_component;
use super::{IDLE_MS, after};
use crate::identifier::Identifier;
use crate::lane::LaneOpener;
use crate::link::{LaneToken, PartPlace, PeekedPart, PublicKey, open_part, peek_part};
use crate::message::{DepositId, Depositor, TransferAnswer};
use crate::sframe::Suite;
use sha2::{Digest, Sha256};

const ANSWER_MS: u32 = 30_000;

impl Machine<'_> {
    /// M21: kept in mind if this terminal's own list and pins allow the depositor.
    pub(super) fn depositor_told(&mut self, told: &Depositor<'_>) {
        let (Some(deposit), Some(key)) = (told.deposit, told.caller_key) else { return };
        let (Ok(caller), key) = (Identifier::new(told.caller), PublicKey::new(key)) else { return };
        let peers = self.peers();
        let permitted = peers.admits(told.caller, told.group.map(mark));
        if !permitted || !peers.key_fits(told.caller, &key) {
            return self.core.emit(Event::Unexpected { key_changed: permitted });
        }
        // What is being collected keeps its place: that it is there has to be remembered. The broker tells of the other again.
        if self.collects_other(told.caller, &deposit) {
            return;
        }
        if self.peers().told(&caller, &key, &deposit) {
            self.persist();
            self.core.emit(Event::DepositWaiting { deposit, size: told.size.unwrap_or(0) });
        }
    }

    fn collects_other(&self, caller: &str, deposit: &DepositId) -> bool {
        self.sessions.iter().any(|session| {
            let of_caller = session.grant.peer.as_ref().is_some_and(|peer| peer.as_str() == caller);
            of_caller && session.collects().is_some_and(|other| other != deposit)
        })
    }

    /// Starts to collect if there is something, this terminal is free, and it isn't collecting already (S2902–S2904).
    pub(super) fn start_collecting(&mut self, now: u64) {
        if !self.may_collect()
            || !self.is_free()
            || self.sessions.iter().any(|session| session.collects().is_some())
        {
            return;
        }
        let Some((peer, key, deposit)) =
            self.peers().next_waiting().map(|(peer, key, deposit)| (peer.clone(), *key, deposit))
        else {
            return;
        };
        let Some(at) = self.idle_session() else { return };
        let session = &mut self.sessions[at];
        session.reset();
        session.grant.peer = Some(peer);
        session.grant.key = Some(key);
        session.work = Work::Open(Open::new(Via::Collect(Collecting {
            deposit,
            begun: false,
            position: 0,
            base: None,
            alike: [0; 32],
        })));
        session.phase = Phase::Collect;
        session.deadline = after(now, ANSWER_MS);
        let session = self.id(at);
        self.core.emit(Event::Collecting { session });
    }

    /// M18 for M22.
    pub(super) fn collect_answered(&mut self, answer: &TransferAnswer<'_>, now: u64) -> bool {
        let asked = |session: &Session| {
            session.phase == Phase::AwaitCollect && Some(session.grant.transaction) == answer.transaction
        };
        let Some(at) = self.sessions.iter().position(asked) else { return false };
        let session = &mut self.sessions[at];
        let (true, Some(token)) = (answer.accepted, &answer.token) else {
            // It isn't there any more, or this was asked too often.
            if let Some(deposit) = session.collects().copied() {
                self.refused_at_broker(&deposit, now);
            }
            self.end_collecting(at, Some(TransferFailure::RefusedByBroker), ClosedCause::OtherEnd);
            return true;
        };
        session.phase = Phase::Open;
        session.deadline = after(now, IDLE_MS);
        if let Some(open) = session.open_mut() {
            if open.transfer.state == TransferState::None {
                open.transfer.accepted();
            }
            open.deposit_lane(LaneToken::new(*token.expose()), Suite::Aes128GcmSha256_128);
        }
        self.connect_lane(at, 0, now);
        true
    }

    /// What the broker has told of in this connection is asked for once more.
    fn refused_at_broker(&mut self, deposit: &DepositId, now: u64) {
        if self.peers().refused(deposit) {
            self.persist();
        } else {
            self.collect_later(now);
        }
    }

    /// Takes over what another program of this device has stored. A collection that has lost its place to a deposit that is here already ends: nobody would
    /// remember that it was done, and the broker tells of it again.
    pub(super) fn adopt_pins(&mut self, blob: &[u8]) -> Result<(), RestoreError> {
        let sessions = &*self.sessions;
        let collects = |deposit: &DepositId| sessions.iter().any(|it| it.collects() == Some(deposit));
        let adopted = Peers::new(self.places, &mut self.core.book).adopt_pins(blob, &collects);
        for at in 0..self.sessions.len() {
            if self.sessions[at].collects().copied().is_some_and(|deposit| !self.peers().waits(&deposit)) {
                self.close_lanes(at);
                self.end_collecting(at, Some(TransferFailure::LaneLost), ClosedCause::OtherEnd);
            }
        }
        adopted
    }

    // --- the lane ------------------------------------------------------------------------------------------------

    /// A part's header where there is one; `None`: a frame comes.
    pub(super) fn part_input(&mut self, at: usize, bytes: &mut [u8], now: u64) -> Option<Input> {
        let state = self.sessions[at].transfer_state();
        match (state, peek_part(bytes)) {
            (TransferState::Offered, _) => Some(Input::blocked()),
            (_, Ok(PeekedPart::NeedMore(total))) => Some(Input::need(total)),
            (TransferState::Receiving, Ok(PeekedPart::Frame)) => None,
            (_, Ok(PeekedPart::Part { length, part, offset })) => Some(match bytes.get_mut(..length) {
                None => Input::need(length),
                Some(header) => self.part_came(at, header, (part, offset), now),
            }),
            _ => Some(self.damaged(at, now)),
        }
    }

    fn part_came(&mut self, at: usize, header: &mut [u8], place: (u32, u64), now: u64) -> Input {
        let length = header.len();
        match self.open_part(at, header, place) {
            Some(first) => {
                self.sessions[at].deadline = after(now, IDLE_MS);
                if first {
                    let session = self.id(at);
                    self.core.emit(Event::Offered { session });
                }
                Input::progress(length)
            }
            None => self.damaged(at, now),
        }
    }

    /// Opens a part's header, which proves the depositor's key: whether it is the first of all.
    fn open_part(&mut self, at: usize, header: &mut [u8], (part, offset): (u32, u64)) -> Option<bool> {
        let core = &*self.core;
        let Session { grant, work: Work::Open(open), .. } = &mut self.sessions[at] else { return None };
        let Open { via: Via::Collect(collecting), transfer, .. } = open else { return None };
        let follows = match collecting.begun {
            true => transfer.number.checked_add(1) == Some(part) && offset == collecting.position,
            // The part that holds the byte that was asked for.
            false => offset <= transfer.offset && (part == 0) == (offset == 0),
        };
        let (true, Some(peer), Some(key)) = (follows, &grant.peer, &grant.key) else { return None };
        let place = PartPlace {
            caller: peer.as_str(),
            callee: core.identifier.as_str(),
            deposit: collecting.deposit,
            part,
            offset,
        };
        let contents = open_part(&core.secret, key, &place, header).ok()?;
        let suite = Suite::from_id(contents.suite)?;
        let alike = Sha256::new()
            .chain_update(contents.size.to_be_bytes())
            .chain_update([u8::from(contents.hash), contents.source.len() as u8])
            .chain_update(contents.source)
            .chain_update(contents.name);
        let alike: [u8; 32] = alike.finalize().into();
        let first = transfer.state == TransferState::None;
        if first {
            let fits = contents.name.len() <= MAX_NAME && contents.source.len() <= MAX_SOURCE;
            if !fits || !is_component(contents.name) {
                return None;
            }
            transfer.begin(TransferState::Offered, part, contents.name);
            transfer.describe(contents.source, contents.size, contents.hash);
            collecting.base = Some((suite, contents.base_key));
            collecting.alike = alike;
        } else if alike != collecting.alike {
            return None;
        } else if let Some(keys) = transfer.keys(0) {
            *keys = Keys::Opener(LaneOpener::new(suite, 0, contents.base_key.expose()));
        }
        transfer.number = part;
        (collecting.begun, collecting.position) = (true, offset);
        Some(first)
    }

    /// The application takes it: from its beginning on this lane, otherwise on one that starts further on.
    pub(super) fn collect_accepted(&mut self, at: usize, offset: u64, now: u64) {
        let Some(open) = self.sessions[at].open_mut() else { return };
        let Some(collecting) = open.collecting() else { return };
        let base = collecting.base.take();
        if offset == 0 {
            if let (Some((suite, base)), Some(keys)) = (base, open.transfer.keys(0)) {
                *keys = Keys::Opener(LaneOpener::new(suite, 0, base.expose()));
            }
            return;
        }
        collecting.begun = false;
        self.close_lanes(at);
        let session = &mut self.sessions[at];
        session.phase = Phase::Collect;
        session.deadline = after(now, ANSWER_MS);
        if !self.core.control.is_online() {
            self.fail_transfer(at, TransferFailure::LaneUnreachable, "the broker is away", now);
        }
    }

    // --- its end -------------------------------------------------------------------------------------------------

    /// It is stored (S2906). The broker hears so once this terminal can't forget it.
    pub(super) fn collected(&mut self, at: usize) {
        if let Some(deposit) = self.sessions[at].collects().copied()
            && self.peers().set_waiting(&deposit, Waiting::Collected)
        {
            self.persist();
        }
        self.end_collecting(at, None, ClosedCause::OtherEnd);
    }

    /// Nothing comes of it in this connection. The broker is told, then the session ends.
    pub(super) fn not_collected(&mut self, at: usize, cause: &'static str, now: u64) {
        self.put_off(at);
        self.close_lanes(at);
        let online = self.core.control.is_online();
        let session = &mut self.sessions[at];
        let Some(open) = session.open_mut() else { return };
        open.transfer.reset();
        open.outbox.done = Some(Done { complete: false, transaction: 0, cause });
        session.phase = Phase::NotCollected;
        session.deadline = after(now, ANSWER_MS);
        if !online {
            self.end_collecting(at, None, ClosedCause::OtherEnd);
        }
    }

    /// A lane was lost, or the broker silent: again, later.
    pub(super) fn collect_failed(
        &mut self,
        at: usize,
        failure: TransferFailure,
        cause: &'static str,
        now: u64,
    ) {
        use TransferFailure::{Idle, LaneLost, LaneUnreachable};
        if matches!(failure, LaneLost | LaneUnreachable | Idle) {
            self.collect_later(now);
            self.end_collecting(at, Some(failure), ClosedCause::OtherEnd);
        } else {
            let session = self.id(at);
            self.core.emit(Event::TransferFailed { session, failure });
            self.not_collected(at, cause, now);
        }
    }

    /// Not again in this connection.
    pub(super) fn put_off(&mut self, at: usize) {
        if let Some(deposit) = self.sessions[at].collects().copied() {
            self.peers().set_waiting(&deposit, Waiting::PutOff);
        }
    }

    pub(super) fn end_collecting(&mut self, at: usize, failure: Option<TransferFailure>, cause: ClosedCause) {
        let session = self.id(at);
        if let Some(failure) = failure {
            self.core.emit(Event::TransferFailed { session, failure });
        }
        self.finish(at, cause);
    }

    /// What was put off is tried again: a person said so, or what stood in its way is gone.
    pub(super) fn collect_again(&mut self) {
        self.peers().remember();
        if let Some(asked) = self.core.control.asked() {
            asked.at_once();
        }
    }

    /// What the broker is told of the deposit that this session could not collect.
    pub(super) fn not_collected_of(&self, at: usize) -> Option<(DepositId, &'static str)> {
        let session = &self.sessions[at];
        let done = session.open().and_then(|open| open.outbox.done);
        Some((*session.collects()?, done?.cause))
    }
}
