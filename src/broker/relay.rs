//! Who may have a lane through the broker (P9), and who a tunnel.

use super::{Broker, ConnectionId, Level, What};
use crate::Secret;
use crate::link::Handle;
use crate::message::{self, Message, Release, TransferAnswer, TunnelToken};

/// Who answers M17 on a control link.
const ANSWER: &str = "broker";

const NO_RELAY: &str = "this broker has no relay";
const NO_GRANT: &str = "there is no such grant, or its session is over";
const TOO_LARGE: &str = "larger than the broker relays";
const TOO_MANY: &str = "too many lanes of one grant";
const NO_CALLEE: &str = "the callee is not connected";

impl Broker {
    /// M17: either party asks for one lane of `size` payload bytes (S2201–S2206).
    pub(super) fn transfer(&mut self, link: ConnectionId, transfer: &message::Transfer<'_>, now: u64) {
        match self.relay_lane(link, transfer, now) {
            Ok([token, peer_token]) => {
                let accepted = TransferAnswer {
                    accepted: true,
                    token: Some(token),
                    peer_token: Some(peer_token),
                    ..answer(transfer.transaction)
                };
                self.net.send(link, &Message::TransferAnswer(accepted));
            }
            Err(cause) => self.refuse_lane(link, transfer.transaction, cause),
        }
    }

    fn relay_lane(
        &mut self,
        link: ConnectionId,
        transfer: &message::Transfer<'_>,
        now: u64,
    ) -> Result<[Secret<32>; 2], &'static str> {
        if !self.config.relay {
            return Err(NO_RELAY);
        }
        let asker = self.net.session(link).ok_or(NO_GRANT)?.identifier.clone();
        let handle = transfer.handle.ok_or(NO_GRANT)?;
        let (id, grant) = self.grants.of_party(&handle, &asker).ok_or(NO_GRANT)?;
        if *grant.caller != *transfer.caller || *grant.callee != *transfer.callee {
            return Err(NO_GRANT);
        }
        if transfer.size > self.config.max_transfer {
            return Err(TOO_LARGE);
        }
        if grant.lanes.len() >= self.config.max_lanes_per_grant {
            return Err(TOO_MANY);
        }
        self.within_quota(&asker, [&grant.caller, &grant.callee], transfer.size, now)?;
        self.issue_lane(id, Some(transfer.size), now).ok_or(NO_GRANT)
    }

    /// The caller cannot reach the callee: both get a token for a tunnel.
    pub(super) fn tunnel(&mut self, link: ConnectionId, tunnel: &message::Tunnel, now: u64) {
        let (handle, transaction) = (tunnel.handle, tunnel.transaction);
        match self.tunnel_lane(link, &handle, now) {
            Ok((callee, [token, callee_token])) => {
                let to_callee = TunnelToken { handle, token: callee_token, transaction: None };
                self.net.send(callee, &Message::TunnelToken(to_callee));
                self.net.send(link, &Message::TunnelToken(TunnelToken { handle, token, transaction }));
            }
            Err(cause) => self.refuse_lane(link, transaction, cause),
        }
    }

    fn tunnel_lane(
        &mut self,
        link: ConnectionId,
        handle: &Handle,
        now: u64,
    ) -> Result<(ConnectionId, [Secret<32>; 2]), &'static str> {
        if !self.config.relay {
            return Err(NO_RELAY);
        }
        let asker = self.net.session(link).ok_or(NO_GRANT)?.identifier.clone();
        let (id, grant) = self.grants.of_party(handle, &asker).ok_or(NO_GRANT)?;
        if grant.caller != asker {
            return Err(NO_GRANT);
        }
        if grant.lanes.len() >= self.config.max_lanes_per_grant {
            return Err(TOO_MANY);
        }
        self.within_quota(&asker, [&grant.caller, &grant.callee], 0, now)?;
        // The link that acknowledged M12 has the session; the listener, if the terminal has lost that link since.
        let (asked, callee) = (grant.callee_link, grant.callee.clone());
        let terminal = self.registry.get(&callee).ok_or(NO_CALLEE)?;
        let to = if terminal.links.contains(&asked) { asked } else { terminal.listener.ok_or(NO_CALLEE)? };
        let tokens = self.issue_lane(id, None, now).ok_or(NO_GRANT)?;
        Ok((to, tokens))
    }

    /// RELEASE, from either party. Of a grant that is unknown, or another's, nothing is said.
    pub(super) fn released(&mut self, link: ConnectionId, handle: &Handle) {
        let Some(session) = self.net.session(link) else { return };
        let party = session.identifier.clone();
        let Some((id, grant)) = self.grants.of_party(handle, &party) else { return };
        // A caller that gave up before it connected: the callee need not keep its place until the grant ends.
        let callee = (grant.caller == party).then(|| grant.callee.clone());
        self.release(id);
        if let Some(callee) = callee {
            self.tell_all(&callee, &Message::Release(Release { handle: *handle }));
        }
    }

    pub(super) fn refuse_lane(&mut self, link: ConnectionId, transaction: Option<u32>, cause: &'static str) {
        let shown = (!self.config.deny_without_cause).then_some(cause);
        let refused = TransferAnswer { cause: shown, ..answer(transaction) };
        self.net.send(link, &Message::TransferAnswer(refused));
        self.net.log_of(Level::Info, link, What::LaneRefused(cause));
    }
}

pub(super) fn answer(transaction: Option<u32>) -> TransferAnswer<'static> {
    TransferAnswer {
        accepted: false,
        answer: ANSWER,
        transaction,
        cause: None,
        token: None,
        peer_token: None,
        offset: None,
        frame: None,
    }
}
