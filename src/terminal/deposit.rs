//! The depositor (P10, M19, M20; Fig. 26, 27): what the callee can't take now goes to the broker in parts, sealed to the callee.

use super::event::{ClosedCause, Denied, Event, LinkId, SessionId, TransferFailure};
use super::lanes::FrameError;
use super::machine::Machine;
use super::peers::Peers;
use super::session::{
    Depositing, Keys, Lane, LaneState, Open, Phase, Session, Stage, TransferState, Via, Work,
};
use super::transfer::{is_component, is_source};
use super::{IDLE_MS, MIN_FRAME, OutOfTurn, after};
use crate::lane::{LaneSealer, OVERHEAD};
use crate::link::{LaneToken, PartContents, PartError, PartPlace, PublicKey};
use crate::message::{Collected, Denial, DepositGoAhead, DepositId, DepositKept, DepositQuestion};
use crate::{Secret, link};
use core::ops::Range;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// How long the application may take to decide.
const DECIDE_MS: u32 = 60_000;
const ANSWER_MS: u32 = 30_000;
/// The most payload of a part, bytes.
const MAX_PART: u64 = 1 << 20;
/// The least of one that isn't the last: what a frame may leave free at its end.
const MIN_PART: u64 = 64 << 10;

/// What is to be deposited. Its name is told with each part, see [`Terminal::seal_part`](super::TerminalOver::seal_part).
#[derive(Clone, Copy, Debug)]
pub struct Deposit<'a> {
    /// The recording's length in bytes.
    pub size: u64,
    /// Names the source's state, as in [`Offer`](super::Offer): a deposit of the same that was broken off goes on. 8 to 32 bytes, or none.
    pub source: &'a [u8],
    /// The end will carry the recording's SHA-256.
    pub hash: bool,
}

/// The deposit can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DepositError {
    /// The session doesn't wait for it.
    #[error("the broker has not offered to keep anything in this session; call the callee first")]
    OutOfTurn,
    /// The source's name is not of 8 to 32 bytes.
    #[error("what names the source's state is not 8 to 32 bytes long; hash it")]
    Source,
}

/// The most payload bytes of one of a deposit's frames: with more there could be parts that are too short.
pub(super) const MAX_PAYLOAD: u64 = MAX_PART - MIN_PART;

impl Depositing {
    /// Whether so much more payload at `offset` belongs to the open part.
    pub(super) const fn has_room(&self, offset: u64, payload: u64) -> bool {
        self.open && offset.saturating_sub(self.start).saturating_add(payload) <= MAX_PART
    }
}

impl Machine<'_> {
    // --- before it -----------------------------------------------------------------------------------------------

    fn with_question(&self, phase: Phase, transaction: Option<u32>) -> Option<usize> {
        let asks = |session: &Session| {
            session.phase == phase && session.grant.caller && Some(session.grant.transaction) == transaction
        };
        self.sessions.iter().position(asks)
    }

    /// M19: the callee is not to be had now.
    pub(super) fn deposit_asked(&mut self, question: &DepositQuestion<'_>, now: u64) {
        let Some(at) = self.with_question(Phase::AwaitGrant, question.transaction) else { return };
        let (Some(key), Some(frame)) = (question.callee_key, question.frame) else {
            return self.deny(at, Denied::Broker(Denial::NotConnected), None);
        };
        let key = PublicKey::new(key);
        let Some(peer) = self.sessions[at].grant.peer.clone() else { return };
        if !self.peers().key_fits(peer.as_str(), &key) {
            return self.deny(at, Denied::KeyChanged, None);
        }
        let session = &mut self.sessions[at];
        session.grant.key = Some(key);
        session.phase = Phase::Asked;
        session.deadline = after(now, DECIDE_MS);
        let mut open =
            Open::new(Via::Deposit(Depositing { deposit: [0; 16], part: 0, start: 0, open: false }));
        // A frame that is too small to hold anything is the callee's mistake: the least is what it gets.
        open.transfer.frame = frame.clamp(MIN_FRAME, MAX_PAYLOAD as u32 + OVERHEAD as u32);
        session.work = Work::Open(open);
        let session = self.id(at);
        let most = question.largest_transfer.unwrap_or(u64::MAX);
        self.core.emit(Event::DepositOffered { session, most });
    }

    pub(super) fn deposit(
        &mut self,
        id: SessionId,
        deposit: &Deposit<'_>,
        now: u64,
    ) -> Result<(), DepositError> {
        let at = self.index(id).ok_or(DepositError::OutOfTurn)?;
        let session = &mut self.sessions[at];
        if session.phase != Phase::Asked {
            return Err(DepositError::OutOfTurn);
        }
        if !is_source(deposit.source) {
            return Err(DepositError::Source);
        }
        let open = session.open_mut().ok_or(DepositError::OutOfTurn)?;
        let frame = open.transfer.frame;
        open.transfer.begin(TransferState::Opening, 0, "");
        open.transfer.describe(deposit.source, deposit.size, deposit.hash);
        open.transfer.sending = true;
        open.transfer.frame = frame;
        open.transfer.stage = Stage::Part { keys: Keys::None, running: Sha256::new(), pending: None };
        session.phase = Phase::Deposit;
        session.deadline = after(now, ANSWER_MS);
        Ok(())
    }

    pub(super) fn decline_deposit(&mut self, id: SessionId, now: u64) -> Result<(), OutOfTurn> {
        let at = self.index(id).filter(|&at| self.sessions[at].phase == Phase::Asked).ok_or(OutOfTurn)?;
        self.decline(at, now);
        Ok(())
    }

    /// The broker is told no, then the application.
    pub(super) fn decline(&mut self, at: usize, now: u64) {
        let session = &mut self.sessions[at];
        session.phase = Phase::Decline;
        session.deadline = after(now, ANSWER_MS);
    }

    /// M20: send it now.
    pub(super) fn deposit_opened(&mut self, go: &DepositGoAhead, now: u64) {
        let Some(at) = self.with_question(Phase::AwaitGoAhead, go.transaction) else { return };
        let grant = &self.sessions[at].grant;
        let (Some(callee), Some(key)) = (grant.peer.clone(), grant.key) else { return };
        // Since the question another session or a person may have pinned another key.
        if !self.peers().key_fits(callee.as_str(), &key) {
            return self.deny(at, Denied::KeyChanged, None);
        }
        let suite = self.core.suite;
        let session = &mut self.sessions[at];
        session.phase = Phase::Open;
        session.deadline = after(now, IDLE_MS);
        let Work::Open(open) = &mut session.work else { return };
        let offset = go.offset.unwrap_or(0);
        if offset > open.transfer.size {
            return self.deposit_failed(at, TransferFailure::OtherEnd);
        }
        open.transfer.offset = offset;
        if let Via::Deposit(depositing) = &mut open.via {
            (depositing.deposit, depositing.part) = (go.deposit, go.part.unwrap_or(0));
        }
        open.deposit_lane(LaneToken::new(*go.token.expose()), suite);
        self.connect_lane(at, 0, now);
    }

    /// M18 in place of M20.
    pub(super) fn deposit_refused(&mut self, transaction: Option<u32>) -> bool {
        let Some(at) = self.with_question(Phase::AwaitGoAhead, transaction) else { return false };
        self.deposit_failed(at, TransferFailure::RefusedByBroker);
        true
    }

    // --- the parts -----------------------------------------------------------------------------------------------

    /// Ends the part that is open, and writes the next one's header.
    pub(super) fn seal_part(
        &mut self,
        id: SessionId,
        name: &str,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        let at = self.index(id).ok_or(FrameError::NoLane)?;
        let session = &mut self.sessions[at];
        let Session { grant, work: Work::Open(open), .. } = session else { return Err(FrameError::NoLane) };
        let Open { via: Via::Deposit(depositing), transfer, lanes, .. } = open else {
            return Err(FrameError::NoLane);
        };
        let Lane { state: LaneState::Up, link: Some(link), .. } = lanes[0] else {
            return Err(FrameError::NoLane);
        };
        let (TransferState::Sending, Some(callee), Some(key)) = (transfer.state, &grant.peer, &grant.key)
        else {
            return Err(FrameError::NoLane);
        };
        let Stage::Part { keys, running, pending } = &mut transfer.stage else {
            return Err(FrameError::NoLane);
        };
        // Since the broker told to send it, another session or a person may have pinned another key.
        if !Peers::new(self.places, &mut self.core.book).key_fits(callee.as_str(), key) {
            self.deny(at, Denied::KeyChanged, None);
            return Err(FrameError::NoLane);
        }
        let short = depositing.open && transfer.offset - depositing.start < MIN_PART;
        if short || (depositing.open && pending.is_some()) {
            return Err(FrameError::NotYet);
        }
        if !is_component(name) {
            return Err(FrameError::Name);
        }
        let part = depositing.part.checked_add(u32::from(depositing.open)).ok_or(FrameError::TooLong)?;
        let base: Secret<32> = Secret::new(self.core.entropy.draw());
        let ephemeral = self.core.entropy.draw();
        let place = PartPlace {
            caller: self.core.identifier.as_str(),
            callee: callee.as_str(),
            deposit: depositing.deposit,
            part,
            offset: transfer.offset,
        };
        let contents = PartContents {
            base_key: base.clone(),
            suite: self.core.suite.id(),
            size: transfer.size,
            hash: transfer.hash,
            source: &transfer.source,
            name,
        };
        let sealed = link::seal_part(&self.core.secret, key, &place, &contents, ephemeral, buffer);
        let length = match sealed {
            Ok(length) => length,
            Err(PartError::BufferTooSmall { .. }) => return Err(FrameError::BufferTooSmall),
            Err(PartError::TooLong) => return Err(FrameError::Name),
            Err(_) => {
                self.deposit_failed(at, TransferFailure::OtherEnd);
                return Err(FrameError::NoLane);
            }
        };
        if depositing.open {
            *pending = Some(running.finalize_reset().into());
        }
        running.update(&buffer[..length]);
        *keys = Keys::Sealer(LaneSealer::new(self.core.suite, 0, base.expose()));
        (transfer.number, depositing.part) = (part, part);
        (depositing.start, depositing.open) = (transfer.offset, true);
        session.deadline = after(now, IDLE_MS);
        Ok((link, 0..length))
    }

    /// What the broker has on disk, and whether it is what was sent.
    pub(super) fn deposit_kept(&mut self, kept: &DepositKept, now: u64) {
        if let Some(at) = self.with_question(Phase::AwaitGoAhead, kept.transaction) {
            // It has the whole from before.
            return match kept.deposit {
                Some(deposit) if kept.complete => self.deposited(at, deposit),
                _ => self.deposit_failed(at, TransferFailure::OtherEnd),
            };
        }
        let Some(deposit) = kept.deposit else { return };
        let Some(at) = self.depositing(&deposit) else { return };
        let id = self.id(at);
        let session = &mut self.sessions[at];
        session.deadline = after(now, IDLE_MS);
        let Work::Open(Open { via: Via::Deposit(depositing), transfer, .. }) = &mut session.work else {
            return;
        };
        let Stage::Part { running, pending, .. } = &mut transfer.stage else { return };
        let last = transfer.state == TransferState::Finishing && kept.part == Some(depositing.part);
        let expected: Option<[u8; 32]> = match last {
            true if pending.is_none() => Some(running.clone().finalize().into()),
            false if kept.part.is_some_and(|part| part.checked_add(1) == Some(depositing.part)) => {
                pending.take()
            }
            _ => None,
        };
        let alike = expected.zip(kept.digest).is_some_and(|(ours, theirs)| ours.ct_eq(&theirs).into());
        if !alike || kept.complete != last {
            // Nothing may go on behind it, and nobody collect it.
            let _ = self.withdraw_deposit(deposit);
            return self.deposit_failed(at, TransferFailure::Damaged);
        }
        if last {
            return self.deposited(at, deposit);
        }
        let offset = kept.offset.unwrap_or(depositing.start);
        self.core.emit(Event::DepositKept { session: id, offset });
    }

    fn depositing(&mut self, deposit: &DepositId) -> Option<usize> {
        self.sessions.iter_mut().position(|session| {
            session.phase == Phase::Open
                && session
                    .open_mut()
                    .and_then(Open::depositing)
                    .is_some_and(|depositing| depositing.deposit == *deposit)
        })
    }

    // --- its end -------------------------------------------------------------------------------------------------

    fn deposited(&mut self, at: usize, deposit: DepositId) {
        let session = self.id(at);
        if !self.pin_callee(at) {
            return self.deny(at, Denied::KeyChanged, None);
        }
        self.core.emit(Event::Deposited { session, deposit });
        self.finish(at, ClosedCause::OtherEnd);
    }

    /// What was sealed to a key once is the callee's from then on; `false`: it has another already.
    fn pin_callee(&mut self, at: usize) -> bool {
        let grant = &self.sessions[at].grant;
        let nothing = grant.peer.is_none() || grant.key.is_none();
        let known = nothing || self.is_known(at);
        if known {
            self.pin(at);
        }
        known
    }

    /// The deposit's session is over; what is kept stays, and the next deposit of the same goes on behind it.
    pub(super) fn deposit_failed(&mut self, at: usize, failure: TransferFailure) {
        let session = self.id(at);
        self.core.emit(Event::TransferFailed { session, failure });
        self.finish(at, ClosedCause::OtherEnd);
    }

    /// `Transfer Failed.`: the broker broke it off.
    pub(super) fn deposit_broken(&mut self, broken: &Collected<'_>) {
        if let Some(at) = self.depositing(&broken.deposit).filter(|_| !broken.complete) {
            self.deposit_failed(at, TransferFailure::RefusedByBroker);
        }
    }

    /// The broker keeps it no longer.
    pub(super) fn deposit_dropped(&mut self, deposit: DepositId) {
        if let Some(at) = self.depositing(&deposit) {
            self.deposit_failed(at, TransferFailure::RefusedByBroker);
        }
        self.core.emit(Event::DepositDropped { deposit });
    }
}
