//! From the query to the peer link, on both sides (rows P3–P6, V8, V9; Fig. 11 S1101–S1109, Fig. 13 S1301–S1312).

use super::event::{Denied, Destination, Event, SessionId};
use super::machine::Machine;
use super::peers::mark;
use super::session::{Attempt, Connecting, Endpoint, MAX_CANDIDATES, Phase, Session, Work};
use super::{CallError, after};
use crate::identifier::Identifier;
use crate::link::{Handle, Handshake, LaneToken, PeerGrant, PublicKey};
use crate::message::{CalleeAddress, CallerNotice, Denial, Host, TunnelToken};
use core::net::IpAddr;
use heapless::Vec;

const QUERY_MS: u32 = 30_000;
/// Between the attempts at a callee's addresses.
const STAGGER_MS: u32 = 250;
/// For all of a callee's addresses; then a tunnel is asked for.
const DIAL_MS: u32 = 5_000;
const TUNNEL_MS: u32 = 15_000;
const HANDSHAKE_MS: u32 = 10_000;
/// How long a callee waits for a caller if the broker doesn't say.
const GRANT_MS: u32 = 60_000;
/// The longest that a grant is believed.
const GRANT_MAX_MS: u32 = 3_600_000;
/// How many failed handshakes a grant survives.
const TRIES: u8 = 3;

impl Session {
    pub(super) fn next_deadline(&self) -> u64 {
        match &self.work {
            Work::Connecting(Connecting { candidates, attempt: Attempt::Dialling { tried, next, .. } })
                if self.phase == Phase::Dialling && usize::from(*tried) < candidates.len() =>
            {
                self.deadline.min(*next)
            }
            _ => self.deadline,
        }
    }
}

impl Machine<'_> {
    // --- the caller -----------------------------------------------------------------------------------------------

    pub(super) fn call(&mut self, callee: &Identifier, now: u64) -> Result<SessionId, CallError> {
        if callee.as_str() == self.core.identifier.as_str() {
            return Err(CallError::Oneself);
        }
        if !self.core.control.is_online() {
            return Err(CallError::Offline);
        }
        let index = self.idle_session().ok_or(CallError::NoSession)?;
        if !self.peers().has_place(callee.as_str()) {
            return Err(CallError::TooManyPeers);
        }
        let session = &mut self.sessions[index];
        session.reset();
        session.phase = Phase::Query;
        session.grant.caller = true;
        session.grant.peer = Some(callee.clone());
        session.deadline = after(now, QUERY_MS);
        Ok(self.id(index))
    }

    fn asked(&self, transaction: Option<u32>) -> Option<usize> {
        let awaits = |session: &Session| {
            matches!(session.phase, Phase::AwaitGrant | Phase::AwaitTunnel)
                && session.grant.caller
                && Some(session.grant.transaction) == transaction
        };
        self.sessions.iter().position(awaits)
    }

    pub(super) fn with_handle(&self, handle: &Handle) -> Option<usize> {
        self.sessions
            .iter()
            .position(|session| session.phase != Phase::Idle && session.grant.handle.as_ref() == Some(handle))
    }

    pub(super) fn caller_permitted(&mut self, transaction: Option<u32>) {
        if let Some(index) = self.asked(transaction) {
            let session = self.id(index);
            self.core.emit(Event::Permitted { session });
        }
    }

    pub(super) fn caller_denied(
        &mut self,
        transaction: Option<u32>,
        denial: Denied,
        retry_after: Option<u32>,
    ) {
        if let Some(index) = self.asked(transaction) {
            self.deny(index, denial, retry_after);
        }
    }

    /// M11 (S1104): where the callee is, and what proves this terminal to it.
    pub(super) fn caller_granted(&mut self, address: &CalleeAddress<'_>, now: u64) {
        let Some(index) = self.asked(address.transaction) else {
            // The call was given up meanwhile: the callee's place for it is free again.
            if let Some(handle) = address.handle {
                self.core.control.release(handle);
            }
            return;
        };
        let secrets = (address.encrypt_key, address.password, address.callee_password);
        if !self.sessions[index].grant.agreed(address.handle, address.callee_key, secrets) {
            return self.deny(index, Denied::NoAnswer, None);
        }
        let allow_loopback = self.core.allow_loopback;
        let first = (address.address, address.port.unwrap_or(0));
        let further = address.candidates.iter().map(|candidate| (candidate.address, candidate.port));
        let mut candidates: Vec<Endpoint, MAX_CANDIDATES, u8> = Vec::new();
        for (host, port) in core::iter::once(first).chain(further) {
            if let Host::Ip(ip) = host
                && is_dialled(ip, port, allow_loopback)
            {
                // Beyond four they are not tried.
                let _ = candidates.push(Endpoint { ip, port });
            }
        }
        let session = &mut self.sessions[index];
        session.work = Work::Connecting(Connecting { candidates, attempt: Attempt::none() });
        if !self.is_known(index) {
            return self.deny(index, Denied::KeyChanged, None);
        }
        let id = self.id(index);
        self.core.emit(Event::Granted { session: id });
        self.dial(index, now);
    }

    /// Tries the candidates from the first on.
    fn dial(&mut self, index: usize, now: u64) {
        let session = &mut self.sessions[index];
        session.phase = Phase::Dialling;
        session.deadline = after(now, DIAL_MS);
        if let Some(connecting) = session.connecting() {
            connecting.attempt = Attempt::none();
        }
        self.dial_next(index, now);
    }

    pub(super) fn dial_next(&mut self, index: usize, now: u64) {
        let Some(Connecting { candidates, attempt: Attempt::Dialling { links, tried, next } }) =
            self.sessions[index].connecting()
        else {
            return;
        };
        let place = usize::from(*tried);
        let (Some(&candidate), Some(attempt)) = (candidates.get(place), links.get_mut(place)) else {
            if links.iter().all(Option::is_none) {
                self.ask_tunnel(index, now);
            }
            return;
        };
        let link = self.core.new_link();
        *attempt = Some(link);
        *tried += 1;
        *next = after(now, STAGGER_MS);
        self.core.emit(Event::Connect { link, to: Destination::Address(candidate.into()) });
    }

    pub(super) fn attempt_opened(&mut self, index: usize, attempt: usize, now: u64) {
        let session = &mut self.sessions[index];
        let Some(connecting) = session.connecting() else { return };
        let Attempt::Dialling { links, .. } = &mut connecting.attempt else { return };
        let link = links.get_mut(attempt).and_then(Option::take);
        let address = connecting.candidates.get(attempt).copied();
        (session.link, session.address) = (link, address);
        self.close_attempts(index);
        self.request(index, now);
    }

    pub(super) fn attempt_failed(&mut self, index: usize, attempt: usize, now: u64) {
        if let Some(Connecting { attempt: Attempt::Dialling { links, .. }, .. }) =
            self.sessions[index].connecting()
            && let Some(link) = links.get_mut(attempt)
        {
            *link = None;
        }
        self.dial_next(index, now);
    }

    fn close_attempts(&mut self, index: usize) {
        let Some(connecting) = self.sessions[index].connecting() else { return };
        let links = match connecting.attempt {
            Attempt::Dialling { links, .. } => links,
            _ => Default::default(),
        };
        connecting.attempt = Attempt::none();
        for link in links.into_iter().flatten() {
            self.core.emit(Event::Close { link });
        }
    }

    /// No address led to the callee: the same peer link, unchanged, through the broker.
    pub(super) fn ask_tunnel(&mut self, index: usize, now: u64) {
        self.close_attempts(index);
        if !self.core.control.is_online() || !self.core.control.relay {
            return self.deny(index, Denied::Unreachable, None);
        }
        let session = &mut self.sessions[index];
        session.phase = Phase::AskTunnel;
        session.tunnel = true;
        session.address = None;
        session.deadline = after(now, TUNNEL_MS);
        let session = self.id(index);
        self.core.emit(Event::Tunnelling { session });
    }

    pub(super) fn tunnel_token(&mut self, tunnel: &TunnelToken, now: u64) {
        let Some(index) = self.with_handle(&tunnel.handle) else { return };
        let token = LaneToken::new(*tunnel.token.expose());
        match self.sessions[index].phase {
            Phase::AwaitTunnel => {
                let link = self.core.new_link();
                let session = &mut self.sessions[index];
                session.link = Some(link);
                if let Some(connecting) = session.connecting() {
                    connecting.attempt = Attempt::Tunnel(token);
                }
                session.phase = Phase::DiallingTunnel;
                session.deadline = after(now, TUNNEL_MS);
                self.core.emit(Event::Connect { link, to: Destination::Broker });
            }
            Phase::Expected => {
                self.sessions[index].tunnel = true;
                self.dial_tunnel(token, now);
            }
            _ => {}
        }
    }

    pub(super) fn tunnel_refused(&mut self, transaction: Option<u32>) {
        self.caller_denied(transaction, Denied::Unreachable, None);
    }

    pub(super) fn peer_opened(&mut self, index: usize, now: u64) {
        let session = &mut self.sessions[index];
        if session.phase == Phase::DiallingTunnel {
            session.phase = Phase::OpeningTunnel;
            session.deadline = after(now, HANDSHAKE_MS);
        }
    }

    /// A connection is there: M13 goes out in handshake message 1 (S1107).
    pub(super) fn request(&mut self, index: usize, now: u64) {
        let ephemeral = self.core.entropy.draw();
        let core = &*self.core;
        let session = &mut self.sessions[index];
        let grant = &session.grant;
        let (Some(peer), Some(key), Some(handle), Some(psk)) =
            (&grant.peer, &grant.key, grant.handle, &grant.psk)
        else {
            return self.deny(index, Denied::NoAnswer, None);
        };
        let peer_grant =
            PeerGrant { handle, caller: core.identifier.as_str(), callee: peer.as_str(), remote: key, psk };
        match Handshake::peer_initiator(&core.secret, &peer_grant, core.max_record, ephemeral) {
            Ok(handshake) => {
                if let Work::Connecting(connecting) = &mut session.work {
                    connecting.attempt = Attempt::Handshake(handshake);
                }
                session.phase = Phase::Requesting;
                session.deadline = after(now, HANDSHAKE_MS);
            }
            Err(_) => self.deny(index, Denied::NoAnswer, None),
        }
    }

    /// What answered at an address was not the callee, or nothing: the other addresses are tried, then a tunnel.
    pub(super) fn try_elsewhere(&mut self, index: usize, denial: Denied, now: u64) {
        let session = &mut self.sessions[index];
        if let Some(link) = session.link.take() {
            self.core.emit(Event::Close { link });
        }
        let session = &mut self.sessions[index];
        let Some(address) = session.address.take() else { return self.deny(index, denial, None) };
        if let Some(connecting) = session.connecting() {
            connecting.candidates.retain(|candidate| *candidate != address);
        }
        self.dial(index, now);
    }

    // --- the callee -----------------------------------------------------------------------------------------------

    /// M12 (S1208): who will call, and how it proves itself. The callee decides by its *own* list and pins.
    pub(super) fn callee_notice(&mut self, notice: &CallerNotice<'_>, now: u64) -> Result<(), Denial> {
        let (Some(handle), Some(key)) = (notice.handle, notice.caller_key) else {
            return Err(Denial::NotConnected);
        };
        let key = PublicKey::new(key);
        let group = notice.group.map(mark);
        let permitted = self.peers().admits(notice.caller, group);
        if !permitted || !self.peers().key_fits(notice.caller, &key) {
            self.core.emit(Event::Unexpected { key_changed: permitted });
            return Err(Denial::NotPermitted);
        }
        // A group's member needs a place for its key.
        if !self.peers().has_place(notice.caller) || !self.is_free() || self.with_handle(&handle).is_some() {
            return Err(Denial::NotConnected);
        }
        let index = self.idle_session().ok_or(Denial::NotConnected)?;
        let lifetime =
            notice.expires.map_or(GRANT_MS, |seconds| seconds.saturating_mul(1_000)).min(GRANT_MAX_MS);
        let session = &mut self.sessions[index];
        session.reset();
        let secrets = (notice.encrypt_key, notice.password, notice.callee_password);
        session.grant.peer = Identifier::new(notice.caller).ok();
        if session.grant.peer.is_none() || !session.grant.agreed(notice.handle, notice.caller_key, secrets) {
            session.reset();
            return Err(Denial::NotConnected);
        }
        session.phase = Phase::Noticed;
        session.tries = TRIES;
        session.deadline = after(now, lifetime);
        session.grant.group = group;
        session.grant.transaction = notice.transaction.unwrap_or(0);
        let session = self.id(index);
        self.core.emit(Event::Expected { session });
        Ok(())
    }
}

/// What a broker may make a caller connect to: nothing on the caller itself, unless the broker is there too, and no group.
fn is_dialled(ip: IpAddr, port: u16, allow_loopback: bool) -> bool {
    let ip = ip.to_canonical();
    let broadcast = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    port != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !broadcast
        && (allow_loopback || !ip.is_loopback())
}
