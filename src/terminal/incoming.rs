//! Connections to this terminal before it is known what they are for (S1301), and its own end of a tunnel.

use super::event::{Event, LinkId, Refusal, SessionId};
use super::machine::{Input, Machine, TransmitError};
use super::session::{Attempt, Keys, LaneState, Phase, Work};
use super::{AcceptError, INCOMING, after};
use crate::link::{self, Handshake, LaneToken, MaxRecord, Parsed, PeerGrant, Preamble, Record};
use crate::message::Message;

/// How long a connection may take to say what it is for.
const PREAMBLE_MS: u32 = 5_000;
/// How long a connection to the broker for a tunnel may take, and the caller until it speaks there.
const TUNNEL_MS: u32 = 15_000;
const HANDSHAKE_MS: u32 = 10_000;

/// A connection that nothing is known of yet.
pub(super) struct Incoming {
    pub(super) link: Option<LinkId>,
    pub(super) deadline: u64,
    state: State,
}

enum State {
    /// The callee's end of a tunnel: the connection to the broker is being opened.
    Dialling(LaneToken),
    /// The token is to be written.
    Token(LaneToken),
    /// The other end's preamble is awaited.
    Preamble,
    /// The caller's handshake message 1 is awaited, for the session in that place.
    Request { session: SessionId, max_record: MaxRecord },
}

impl Incoming {
    pub(super) const FREE: Self = Self { link: None, deadline: u64::MAX, state: State::Preamble };

    /// Frees the place; gives the connection that it was for.
    #[inline(never)]
    fn leave(&mut self) -> Option<LinkId> {
        let link = self.link;
        *self = Self::FREE;
        link
    }

    pub(super) fn opened(&mut self) {
        if let State::Dialling(token) = &self.state {
            self.state = State::Token(token.clone());
        }
    }
}

impl Machine<'_> {
    pub(super) fn accepted(&mut self, now: u64) -> Result<LinkId, AcceptError> {
        let index = self.free_incoming().ok_or(AcceptError::Full { most: INCOMING })?;
        let link = self.core.new_link();
        self.core.incoming[index] =
            Incoming { link: Some(link), deadline: after(now, PREAMBLE_MS), state: State::Preamble };
        Ok(link)
    }

    fn free_incoming(&self) -> Option<usize> {
        self.core.incoming.iter().position(|incoming| incoming.link.is_none())
    }

    /// The callee's end of a tunnel.
    pub(super) fn dial_tunnel(&mut self, token: LaneToken, now: u64) {
        // Connections that don't say what they are for must not keep an announced caller out.
        let index = self.free_incoming().or_else(|| {
            let index =
                self.core.incoming.iter().position(|incoming| matches!(incoming.state, State::Preamble))?;
            self.refuse(Refusal::Preamble);
            self.drop_incoming(index);
            Some(index)
        });
        let Some(index) = index else { return };
        let link = self.core.new_link();
        self.core.incoming[index] =
            Incoming { link: Some(link), deadline: after(now, TUNNEL_MS), state: State::Dialling(token) };
        self.core.emit(Event::Connect { link, to: super::Destination::Broker });
    }

    pub(super) fn drop_incoming(&mut self, index: usize) {
        if let Some(link) = self.core.incoming[index].leave() {
            self.core.emit(Event::Close { link });
        }
    }

    fn refuse_incoming(&mut self, index: usize, refusal: Refusal) -> Input {
        self.refuse(refusal);
        self.drop_incoming(index);
        Input::closed()
    }

    #[inline(never)]
    pub(super) fn incoming_transmit(&mut self, index: usize, out: &mut [u8]) -> Result<usize, TransmitError> {
        let incoming = &mut self.core.incoming[index];
        let State::Token(token) = &incoming.state else { return Ok(0) };
        let length = write_token(token, out)?;
        incoming.state = State::Preamble;
        Ok(length)
    }

    #[inline(never)]
    pub(super) fn incoming_input(&mut self, index: usize, bytes: &mut [u8], now: u64) -> Input {
        match &self.core.incoming[index].state {
            State::Preamble => {}
            &State::Request { session, max_record } => {
                return self.request_input(index, session, max_record, bytes, now);
            }
            State::Dialling(_) | State::Token(_) => return self.refuse_incoming(index, Refusal::Preamble),
        }
        match Preamble::parse(bytes) {
            Ok(Parsed::NeedMore(total)) => Input::need(total),
            Ok(Parsed::Complete(Preamble::Lane { token }, used)) => self.lane_arrived(index, &token, used),
            Ok(Parsed::Complete(Preamble::Peer { handle, max_record }, used)) => {
                let expected = self.sessions.iter().position(|session| {
                    session.phase == Phase::Expected && session.grant.handle == Some(handle)
                });
                // Without cryptography: whoever doesn't know a handle gets no work done here.
                let Some(session) = expected else {
                    return self.refuse_incoming(index, Refusal::UnknownGrant);
                };
                self.core.incoming[index].state = State::Request { session: self.id(session), max_record };
                Input::progress(used)
            }
            Ok(Parsed::Complete(Preamble::Control { .. }, _)) | Err(_) => {
                self.refuse_incoming(index, Refusal::Preamble)
            }
        }
    }

    /// A direct lane that the caller opened: whose token is it?
    fn lane_arrived(&mut self, index: usize, token: &LaneToken, used: usize) -> Input {
        let mut found = None;
        for (at, session) in self.sessions.iter_mut().enumerate().filter(|(_, session)| !session.grant.caller)
        {
            let Work::Open(open) = &mut session.work else { continue };
            let waits = |lane: usize| {
                let waiting = &open.lanes[lane];
                matches!(waiting.state, LaneState::AwaitAnswer | LaneState::AwaitLink)
                    && waiting.is_direct()
                    && waiting.link.is_none()
                    && open.transfer.keys_of(lane).and_then(Keys::token) == Some(token)
            };
            if let Some(lane) = (0..open.lanes.len()).find(|&lane| waits(lane)) {
                found = Some((at, lane, open));
            }
        }
        let Some((at, lane, open)) = found else { return self.refuse_incoming(index, Refusal::UnknownToken) };
        open.lanes[lane].link = self.core.incoming[index].leave();
        if open.lanes[lane].state == LaneState::AwaitLink {
            open.lane_up(lane);
            self.check_ready(at);
        }
        Input::progress(used)
    }

    /// The caller's handshake message 1, which carries M13 (S1302–S1305). Only an authentic one spends the password.
    fn request_input(
        &mut self,
        index: usize,
        session: SessionId,
        max_record: MaxRecord,
        bytes: &mut [u8],
        now: u64,
    ) -> Input {
        let Some(at) = self.index(session).filter(|&at| self.sessions[at].phase == Phase::Expected) else {
            return self.refuse_incoming(index, Refusal::UnknownGrant);
        };
        let total = match link::record(bytes, MaxRecord::MIN) {
            Ok(Record::NeedMore(total)) => return Input::need(total),
            Ok(Record::Complete(total)) => total,
            Err(_) => return self.failed_request(index, at),
        };
        let ephemeral = self.core.entropy.draw();
        let core = &*self.core;
        let session = &mut self.sessions[at];
        let grant = &session.grant;
        let (Some(peer), Some(key), Some(handle), Some(psk)) =
            (&grant.peer, &grant.key, grant.handle, &grant.psk)
        else {
            return self.refuse_incoming(index, Refusal::UnknownGrant);
        };
        let peer_grant =
            PeerGrant { handle, caller: peer.as_str(), callee: core.identifier.as_str(), remote: key, psk };
        let preamble = Preamble::Peer { max_record, handle };
        let handshake =
            Handshake::peer_responder(&preamble, &core.secret, &peer_grant, core.max_record, ephemeral);
        let Ok(mut handshake) = handshake else { return self.failed_request(index, at) };
        let record = &mut bytes[..total];
        let Ok(range) = handshake.read(record) else { return self.failed_request(index, at) };
        let fits = match Message::parse_told(&record[range]) {
            Ok(Message::Request(request)) => {
                request.identifier == peer.as_str() && grant.caller_password.fits(request.password)
            }
            _ => false,
        };
        let permitted = self.is_admitted(at);
        let accept = fits && permitted;
        if !fits {
            self.refuse(Refusal::Credentials);
        } else if !permitted {
            self.refuse(Refusal::NotPermitted);
        }
        let link = self.core.incoming[index].leave();
        let session = &mut self.sessions[at];
        session.link = link;
        if let Some(connecting) = session.connecting() {
            connecting.attempt = Attempt::Handshake(handshake);
        }
        session.phase = Phase::Answering { accept };
        session.deadline = after(now, HANDSHAKE_MS);
        Input::progress(total)
    }

    /// Garbage, or somebody without the grant's keys: it costs one of a few tries.
    fn failed_request(&mut self, index: usize, at: usize) -> Input {
        let session = &mut self.sessions[at];
        session.tries = session.tries.saturating_sub(1);
        if session.tries == 0 {
            self.end_session(at, super::ClosedCause::Protocol);
        }
        self.refuse_incoming(index, Refusal::Handshake)
    }
}

/// A lane's preamble.
pub(super) fn write_token(token: &LaneToken, out: &mut [u8]) -> Result<usize, TransmitError> {
    Preamble::Lane { token: token.clone() }
        .encode(out)
        .map_err(|error| TransmitError::BufferTooSmall { needed: error.needed })
}
