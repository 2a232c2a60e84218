//! Relay lanes and tunnels: pairs of connections that the process joins (P9).
//!
//! A lane is opened by a one-time token that the broker issued for one grant. The tokens' digests are kept, not the tokens, so that the time a
//! look-up takes says nothing about a token. It connects to no address and joins nothing that it did not issue both tokens for.

use super::connection::State;
use super::grants::GrantId;
use super::timers::Timer;
use super::{Broker, ConnectionId, Event, Level, Name, What};
use crate::Secret;
use crate::link::LaneToken;
use alloc::collections::BTreeMap;
use sha2::{Digest, Sha256};

pub(super) type PairId = u64;
type TokenDigest = [u8; 32];

/// What a tunnel may carry in all: it carries control texts.
const TUNNEL_BYTES: u64 = 64 << 20;

/// What a relay lane may carry beside twice its payload: frames have an overhead of their own.
const SPARE_BYTES: u64 = 64 << 10;

#[derive(Default)]
pub(super) struct Lanes {
    pairs: BTreeMap<PairId, Pair>,
    tokens: BTreeMap<TokenDigest, (PairId, usize)>,
    /// Of the pairs that are joined, by their first connection.
    charges: BTreeMap<ConnectionId, Charge>,
}

/// What counts for a pair's parties before it is known what it carries.
#[derive(Clone)]
pub(super) struct Charge {
    pub parties: [Name; 2],
    pub reserved: u64,
}

struct Pair {
    grant: GrantId,
    limit: u64,
    tunnel: bool,
    charge: Charge,
    tokens: [TokenDigest; 2],
    ends: [End; 2],
    expires: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Due,
    Here(ConnectionId),
    Over(ConnectionId),
}

impl Pair {
    /// Both connections, once there were both.
    fn joined(&self) -> Option<(ConnectionId, ConnectionId)> {
        match self.ends {
            [End::Here(first) | End::Over(first), End::Here(second) | End::Over(second)] => {
                Some((first, second))
            }
            _ => None,
        }
    }
}

impl Lanes {
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    pub fn take_charge(&mut self, first: ConnectionId) -> Option<Charge> {
        self.charges.remove(&first)
    }
}

impl Broker {
    /// Makes a pair of tokens: for the relay of `size` payload bytes, or for a tunnel.
    pub(super) fn issue_lane(
        &mut self,
        grant: GrantId,
        size: Option<u64>,
        now: u64,
    ) -> Option<[Secret<32>; 2]> {
        let secrets = [self.entropy.draw(), self.entropy.draw()];
        let tokens = [digest(&secrets[0]), digest(&secrets[1])];
        let id = self.next_id();
        let granted = self.grants.get_mut(grant)?;
        granted.lanes.insert(id);
        let parties = [granted.caller.clone(), granted.callee.clone()];
        let charge = Charge { parties, reserved: size.unwrap_or(0) };
        self.recharge(&charge.parties, 0, charge.reserved, now);
        let limit = size.map_or(TUNNEL_BYTES, |size| size.saturating_mul(2).saturating_add(SPARE_BYTES));
        let expires = now.saturating_add(self.config.token_lifetime_ms);
        for (side, token) in tokens.into_iter().enumerate() {
            self.lanes.tokens.insert(token, (id, side));
        }
        let pair =
            Pair { grant, limit, tunnel: size.is_none(), charge, tokens, ends: [End::Due; 2], expires };
        self.lanes.pairs.insert(id, pair);
        self.timers.arm(expires, Timer::Pair(id));
        Some(secrets.map(Secret::new))
    }

    /// A connection's preamble had a token: `false` if it is none that is open.
    pub(super) fn lane_arrived(&mut self, connection: ConnectionId, token: &LaneToken) -> bool {
        let Some((id, side)) = self.lanes.tokens.remove(&digest(token.expose())) else { return false };
        let Some(pair) = self.lanes.pairs.get_mut(&id) else { return false };
        pair.ends[side] = End::Here(connection);
        let (joined, limit, tunnel, expires) = (pair.joined(), pair.limit, pair.tunnel, pair.expires);
        let charge = pair.charge.clone();
        self.settled(connection, State::Lane(id), u64::MAX);
        if let Some((first, second)) = joined {
            self.timers.disarm(expires, Timer::Pair(id));
            self.lanes.charges.insert(first, charge);
            self.net.log(Level::Info, Some(connection), None, What::Joined { tunnel });
            self.net.events.push_back(Event::Splice { first, second, limit, tunnel });
        }
        true
    }

    /// One end of a lane has ended. A pair that was not joined is void then; a joined one is over with its second end.
    pub(super) fn lane_ended(&mut self, id: PairId, connection: ConnectionId) {
        let Some(pair) = self.lanes.pairs.get_mut(&id) else { return };
        for end in &mut pair.ends {
            if *end == End::Here(connection) {
                *end = End::Over(connection);
            }
        }
        if pair.joined().is_none() || pair.ends.iter().all(|end| matches!(end, End::Over(_))) {
            self.end_lane(id);
        }
    }

    /// Ends a pair: tokens that are still due are void, a waiting end is closed, a joined pair is cut.
    pub(super) fn end_lane(&mut self, id: PairId) {
        let Some(pair) = self.lanes.pairs.remove(&id) else { return };
        self.timers.disarm(pair.expires, Timer::Pair(id));
        for token in &pair.tokens {
            self.lanes.tokens.remove(token);
        }
        match pair.joined() {
            Some((first, second)) if pair.ends.iter().any(|end| matches!(end, End::Here(_))) => {
                for connection in [first, second] {
                    if let Some(connection) = self.net.connections.get_mut(&connection) {
                        connection.state = State::Closing;
                    }
                }
                self.net.log(Level::Info, Some(first), None, What::Cut);
                self.net.events.push_back(Event::Cut { first, second });
            }
            Some(_) => {}
            None => {
                let Charge { parties, reserved } = &pair.charge;
                self.recharge(parties, *reserved, 0, 0);
                for end in pair.ends {
                    if let End::Here(connection) = end {
                        self.net.close(connection);
                    }
                }
            }
        }
        self.grant_lost_lane(pair.grant, id);
    }
}

pub(super) fn digest(token: &[u8; 32]) -> TokenDigest {
    Sha256::digest(token).into()
}
