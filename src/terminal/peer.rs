//! The peer link of a session: its handshake, its texts, its end (Fig. 11 S1107–S1109, Fig. 13 S1306–S1312).

use super::event::{ClosedCause, Denied, Event, TransferFailure};
use super::incoming::write_token;
use super::machine::{Input, Machine, TransmitError};
use super::peers::Peers;
use super::session::{Attempt, Connecting, Open, Password, Phase, Session, TransferState, Via, Work};
use super::{IDLE_MS, after};
use crate::link::{self, Handle, MaxRecord, Record};
use crate::message::{Accepted, Denial, Message, Request};

/// Longest M13 or M14.
const TEXT: usize = 448;

impl Machine<'_> {
    #[inline(never)]
    pub(super) fn peer_transmit(
        &mut self,
        index: usize,
        out: &mut [u8],
        now: u64,
    ) -> Result<usize, TransmitError> {
        let session = &mut self.sessions[index];
        match session.phase {
            Phase::OpeningTunnel => {
                let Some(Connecting { attempt: Attempt::Tunnel(token), .. }) = session.connecting() else {
                    return Ok(0);
                };
                let length = write_token(token, out)?;
                self.request(index, now);
                Ok(length)
            }
            Phase::Requesting => {
                let Session { grant, work, .. } = session;
                let identifier = self.core.identifier.as_str();
                let request = Request { identifier, password: grant.caller_password.text() };
                let length = write_handshake(work, &Message::Request(request), out)?;
                session.phase = Phase::AwaitAnswer;
                Ok(length)
            }
            Phase::Answering { accept: true } => {
                let Session { grant, work, .. } = session;
                let accepted =
                    Accepted { transaction: None, callee_password: Some(grant.callee_password.text()) };
                let length = write_handshake(work, &Message::Accepted(accepted), out)?;
                self.open(index, now);
                Ok(length)
            }
            Phase::Answering { accept: false } => {
                let denial = Denial::NotPermitted;
                let denied =
                    crate::message::Denied { denial, transaction: None, cause: None, retry_after: None };
                let length = write_handshake(&mut session.work, &Message::Denied(denied), out)?;
                self.end_session(index, ClosedCause::Protocol);
                Ok(length)
            }
            Phase::Open => self.transfer_transmit(index, out, now),
            _ => Ok(0),
        }
    }

    #[inline(never)]
    pub(super) fn peer_input(&mut self, index: usize, bytes: &mut [u8], now: u64) -> Input {
        let session = &mut self.sessions[index];
        let max = if session.phase == Phase::Open { self.core.max_record } else { MaxRecord::MIN };
        let total = match link::record(bytes, max) {
            Ok(Record::NeedMore(total)) => return Input::need(total),
            Ok(Record::Complete(total)) => total,
            Err(_) => return self.peer_broken(index, now),
        };
        let record = &mut bytes[..total];
        match (&mut session.work, session.phase) {
            (Work::Open(open), Phase::Open) => {
                let Some(Ok(range)) = open.transport().map(|transport| transport.open(record)) else {
                    return self.peer_broken(index, now);
                };
                session.deadline = after(now, IDLE_MS);
                let generation = session.generation;
                match Message::parse_told(&record[range]) {
                    Ok(message) if self.peer_message(index, &message, now) => {}
                    _ => return self.peer_broken(index, now),
                }
                if self.sessions[index].generation == generation {
                    Input::progress(total)
                } else {
                    Input::closed()
                }
            }
            (
                Work::Connecting(Connecting { attempt: Attempt::Handshake(handshake), .. }),
                Phase::AwaitAnswer,
            ) => {
                let Ok(range) = handshake.read(record) else { return self.peer_broken(index, now) };
                let denial = match Message::parse_told(&record[range]) {
                    Ok(Message::Accepted(Accepted { callee_password: Some(password), .. }))
                        if session.grant.callee_password.fits(password) =>
                    {
                        self.open(index, now);
                        return match self.sessions[index].phase {
                            Phase::Open => Input::progress(total),
                            _ => Input::closed(),
                        };
                    }
                    Ok(Message::Denied(_)) => Denied::Callee,
                    _ => Denied::NotTheCallee,
                };
                self.deny(index, denial, None);
                Input::closed()
            }
            // A callee's answer is still to be written: the caller has nothing to say yet.
            (_, Phase::Answering { .. }) => Input::blocked(),
            _ => self.peer_broken(index, now),
        }
    }

    /// Both handshake messages are through, and each end has proven itself. The key is compared once more: since the broker told of it, another session or
    /// a person may have pinned another.
    fn open(&mut self, index: usize, now: u64) {
        if !self.is_known(index) {
            return match self.sessions[index].grant.caller {
                true => self.deny(index, Denied::KeyChanged, None),
                false => self.end_session(index, ClosedCause::Protocol),
            };
        }
        let session = &mut self.sessions[index];
        let Some(connecting) = session.connecting() else { return };
        let Attempt::Handshake(handshake) = core::mem::replace(&mut connecting.attempt, Attempt::none())
        else {
            return;
        };
        let Ok(transport) = handshake.finish() else { return self.peer_lost(index, now) };
        session.work = Work::Open(Open::new(Via::Peer(transport)));
        session.phase = Phase::Open;
        session.deadline = after(now, IDLE_MS);
        // Valid once.
        session.grant.caller_password = Password::default();
        session.grant.callee_password = Password::default();
        session.grant.psk = None;
        let tunnel = session.tunnel;
        if !self.pin(index) {
            // Others took the last places meanwhile. Without a pin, whoever comes next in this name would be believed.
            return self.end_session(index, ClosedCause::Here);
        }
        let session = self.id(index);
        self.core.emit(Event::Connected { session, tunnel });
    }

    /// Whether the other end's key is the one that it must have, or no other is known.
    pub(super) fn is_known(&mut self, index: usize) -> bool {
        let grant = &self.sessions[index].grant;
        let (Some(peer), Some(key)) = (&grant.peer, &grant.key) else { return false };
        Peers::new(self.places, &mut self.core.book).key_fits(peer.as_str(), key)
    }

    /// Holds the other end to its key from now on; `false`: there is no place for it.
    pub(super) fn pin(&mut self, index: usize) -> bool {
        let grant = &self.sessions[index].grant;
        let (Some(peer), Some(key)) = (&grant.peer, &grant.key) else { return false };
        let pinned = Peers::new(self.places, &mut self.core.book).pin(peer, key);
        if pinned == Ok(true) {
            self.persist();
        }
        pinned.is_ok()
    }

    fn peer_broken(&mut self, index: usize, now: u64) -> Input {
        match self.sessions[index].phase {
            Phase::Open => self.end_session(index, ClosedCause::Protocol),
            _ => self.peer_lost_before(index, Denied::NotTheCallee, now),
        }
        Input::closed()
    }

    pub(super) fn peer_lost(&mut self, index: usize, now: u64) {
        match self.sessions[index].phase {
            Phase::Open => self.end_session(index, ClosedCause::OtherEnd),
            _ => self.peer_lost_before(index, Denied::Unreachable, now),
        }
    }

    fn peer_lost_before(&mut self, index: usize, denial: Denied, now: u64) {
        if self.sessions[index].grant.caller {
            self.try_elsewhere(index, denial, now);
        } else {
            self.end_session(index, ClosedCause::OtherEnd);
        }
    }

    #[inline(never)]
    pub(super) fn session_timeout(&mut self, index: usize, now: u64) {
        let session = &self.sessions[index];
        match session.phase {
            Phase::Idle => {}
            Phase::Query | Phase::AwaitGrant => self.deny(index, Denied::NoAnswer, None),
            Phase::AskTunnel | Phase::AwaitTunnel | Phase::DiallingTunnel | Phase::OpeningTunnel => {
                self.deny(index, Denied::Unreachable, None)
            }
            Phase::Dialling if now < session.deadline => self.dial_next(index, now),
            Phase::Dialling => self.ask_tunnel(index, now),
            Phase::Requesting | Phase::AwaitAnswer => self.peer_lost_before(index, Denied::Unreachable, now),
            Phase::Noticed | Phase::Expected | Phase::Answering { .. } => {
                self.end_session(index, ClosedCause::Idle)
            }
            Phase::Asked if self.core.control.is_online() => self.decline(index, now),
            Phase::Asked | Phase::Decline => self.deny(index, Denied::Broker(Denial::NotConnected), None),
            Phase::Deposit | Phase::AwaitGoAhead => {
                self.fail_transfer(index, TransferFailure::LaneUnreachable, "", now)
            }
            Phase::NotCollected => self.end_collecting(index, None, ClosedCause::Idle),
            Phase::Collect | Phase::AwaitCollect => {
                self.fail_transfer(index, TransferFailure::LaneUnreachable, "the broker is away", now)
            }
            Phase::Open
                if session.transfer_state() == TransferState::None && session.collects().is_none() =>
            {
                self.end_session(index, ClosedCause::Idle)
            }
            Phase::Open if !self.core.control.is_online() && session.awaits_broker() => {
                self.fail_transfer(index, TransferFailure::LaneUnreachable, "the sender lost its broker", now)
            }
            Phase::Open => {
                self.fail_transfer(index, TransferFailure::Idle, "nothing moved for too long", now)
            }
        }
    }

    pub(super) fn withdrawn(&mut self, handle: &Handle) {
        let Some(index) = self.with_handle(handle) else { return };
        if self.sessions[index].grant.caller && self.sessions[index].phase != Phase::Open {
            self.deny(index, Denied::Broker(Denial::NotPermitted), None);
        } else {
            self.end_session(index, ClosedCause::Withdrawn);
        }
    }

    /// The caller won't come. A session that is up ends by its own link, after what that still carries.
    pub(super) fn released(&mut self, handle: &Handle) {
        let Some(index) = self.with_handle(handle) else { return };
        if matches!(self.sessions[index].phase, Phase::Noticed | Phase::Expected) {
            self.end_session(index, ClosedCause::OtherEnd);
        }
    }

    /// The end of a call that never became a session.
    pub(super) fn deny(&mut self, index: usize, denial: Denied, retry_after: Option<u32>) {
        let session = self.id(index);
        self.empty(index);
        self.core.emit(Event::Denied { session, denial, retry_after });
    }

    /// The end of a session, whatever it is at.
    pub(super) fn end_session(&mut self, index: usize, cause: ClosedCause) {
        let session = self.id(index);
        let call = self.sessions[index].grant.caller && self.sessions[index].phase != Phase::Open;
        if call && cause != ClosedCause::Here {
            let denial = if cause == ClosedCause::Idle { Denied::NoAnswer } else { Denied::Unreachable };
            return self.deny(index, denial, None);
        }
        // Whoever closes it doesn't want it back at once.
        self.put_off(index);
        if self.sessions[index].transfer_state() != TransferState::None {
            let failure = match cause {
                ClosedCause::Here => TransferFailure::Abandoned,
                ClosedCause::Idle => TransferFailure::Idle,
                ClosedCause::OtherEnd | ClosedCause::Withdrawn | ClosedCause::Protocol => {
                    TransferFailure::OtherEnd
                }
            };
            self.core.emit(Event::TransferFailed { session, failure });
        }
        self.finish(index, cause);
    }

    pub(super) fn finish(&mut self, index: usize, cause: ClosedCause) {
        let session = self.id(index);
        self.empty(index);
        self.core.emit(Event::Closed { session, cause });
    }

    fn empty(&mut self, index: usize) {
        let session = &mut self.sessions[index];
        for link in session.links() {
            self.core.emit(Event::Close { link });
        }
        if let Some(handle) = session.grant.handle {
            self.core.control.release(handle);
        }
        session.reset();
    }
}

/// Writes M13 or M14 in its handshake message.
fn write_handshake(work: &mut Work, message: &Message<'_>, out: &mut [u8]) -> Result<usize, TransmitError> {
    let Work::Connecting(Connecting { attempt: Attempt::Handshake(handshake), .. }) = work else {
        return Err(TransmitError::Closed);
    };
    let mut text = zeroize::Zeroizing::new([0; TEXT]);
    let length = message.encode_said(&mut text[..]).map_err(|_| TransmitError::TextTooLong)?;
    handshake.write(&text[..length], out).map_err(TransmitError::of_handshake)
}
