//! How a broker finds a callee's address (P3 S1204–S1206): in its own table (V1), or by asking a resolver, a process of its own, over a control link on which the
//! broker is the one that connects. A domain name in what was found is looked up then (V3).
//!
//! The resolver's absence is lived through: what terminals tell is kept here until the resolver has it, and a query that would need it is answered at once, by M9
//! with its cause, or by the deadline.

use super::connection::{Connection, MAX_RECORD, Secured, State};
use super::query::{No, QueryId};
use super::timers::Timer;
use super::{Broker, ConnectionId, Event, Level, Name, RequestId, StoredAddress, What};
use crate::link::{Handshake, PublicKey};
use crate::message::{Address, Hello, Host, Message, Ping, Resolve, Resolved, Status, StatusCode};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// How the broker calls itself. Its key counts.
const BROKER: &str = "broker";
const PING_MS: u64 = 30_000;
const ANSWER_MS: u64 = 10_000;
const BACKOFF_MS: u64 = 500;
const BACKOFF_MAX_MS: u64 = 30_000;
/// What is told and not answered yet.
const MAX_TOLD: usize = 64;

/// The link to the resolver.
pub(super) struct Resolving {
    /// The resolver's, pinned.
    key: PublicKey,
    pub link: Option<ConnectionId>,
    /// HELLO is through.
    up: bool,
    /// PING or HELLO is not answered yet.
    awaits: bool,
    failures: u32,
    last: u32,
    asked: BTreeMap<u32, QueryId>,
    told: BTreeMap<u32, Name>,
    /// Whose address the resolver may not have as it is.
    untold: BTreeSet<Name>,
    /// It could not store what it was told: it is left alone for a moment.
    paused: bool,
}

impl Resolving {
    fn number(&mut self) -> u32 {
        self.last = self.last.wrapping_add(1);
        self.last
    }

    /// A query is over, whether its question was answered or not.
    pub fn forget(&mut self, asked: u32) {
        self.asked.remove(&asked);
    }
}

impl Broker {
    /// Has addresses resolved by the resolver with this key, from now on: [`Event::DialResolver`] follows, and again whenever the link is lost.
    pub fn use_resolver(&mut self, key: PublicKey, now: u64) {
        let (asked, told, untold) = Default::default();
        let resolving = Resolving {
            key,
            link: None,
            up: false,
            awaits: false,
            failures: 0,
            last: 0,
            asked,
            told,
            untold,
            paused: false,
        };
        self.resolving = Some(resolving);
        self.timers.arm(now.saturating_add(self.config.address_refresh_ms), Timer::Refresh);
        self.net.events.push_back(Event::DialResolver);
    }

    /// A connection to the resolver at `address` is being opened, in answer to [`Event::DialResolver`]. One that comes to nothing is told by
    /// [`disconnected`](Self::disconnected).
    pub fn resolver_dialled(&mut self, connection: ConnectionId, address: SocketAddr, now: u64) {
        let (ephemeral, number) = (self.entropy.draw(), self.next_id());
        let max_record = self.config.max_record.min(MAX_RECORD);
        let Some(resolving) = &mut self.resolving else { return };
        let mut handshake = Handshake::control_initiator(&self.key, &resolving.key, max_record, ephemeral);
        let deadline = now.saturating_add(self.config.handshake_deadline_ms);
        let mut opened = Connection::outgoing(address, number, deadline);
        if opened.open_handshake(&mut handshake).is_err() {
            return;
        }
        opened.state = State::Greeting(Box::new(handshake));
        resolving.link = Some(connection);
        self.net.connections.insert(connection, opened);
        self.timers.arm(deadline, Timer::Connection(connection));
        self.net.announce(connection);
    }

    /// Handshake message 2: what answers is the resolver, and now hears who asks.
    pub(super) fn resolver_greeted(&mut self, id: ConnectionId, secured: Secured, now: u64) {
        let deadline = now.saturating_add(ANSWER_MS);
        if let Some(connection) = self.net.connections.get_mut(&id) {
            connection.state = State::Resolver(Box::new(secured));
            connection.deadline = deadline;
        }
        let Some(resolving) = &mut self.resolving else { return };
        resolving.awaits = true;
        let transaction = Some(resolving.number());
        let hello = Hello { identifier: BROKER, ticket: None, listen: false, transaction };
        self.net.send(id, &Message::Hello(hello));
    }

    /// The resolver has said something.
    pub(super) fn resolver_said(&mut self, id: ConnectionId, message: &Message<'_>, now: u64) {
        if let Some(connection) = self.net.connections.get_mut(&id) {
            connection.deadline = now.saturating_add(PING_MS);
        }
        let Some(resolving) = &mut self.resolving else { return };
        resolving.awaits = false;
        match message {
            Message::Status(status) if resolving.up => self.resolver_stored(status, now),
            Message::Status(Status { code: StatusCode::Done, .. }) => {
                (resolving.up, resolving.failures) = (true, 0);
                // It may have started anew without what it knew, or with a clock that was put forward.
                resolving.untold.extend(self.registry.online().map(|(name, _)| name.clone()));
                self.net.log(Level::Info, Some(id), None, What::ResolverUp);
                self.tell_resolver();
            }
            Message::Resolved(Resolved { address, port, candidates, transaction }) => {
                let found = StoredAddress::of(*address, *port, candidates);
                self.resolved(*transaction, Some(found), now);
            }
            Message::NotRegistered(answer) => self.resolved(answer.transaction, None, now),
            _ => drop(self.refuse(id, What::Unexpected, now)),
        }
    }

    /// Nothing has come for a while.
    pub(super) fn resolver_silent(&mut self, id: ConnectionId, now: u64) {
        let Some(resolving) = self.resolving.as_mut().filter(|resolving| !resolving.awaits) else {
            self.refuse(id, What::Idle, now);
            return;
        };
        resolving.awaits = true;
        let transaction = Some(resolving.number());
        let deadline = now.saturating_add(ANSWER_MS);
        if let Some(connection) = self.net.connections.get_mut(&id) {
            (connection.deadline, connection.armed) = (deadline, deadline);
            self.timers.arm(deadline, Timer::Connection(id));
        }
        self.net.send(id, &Message::Ping(Ping { transaction }));
    }

    /// The link is gone: who waits for an answer gets another, and the link is tried again, later each time.
    pub(super) fn resolver_lost(&mut self, now: u64) {
        let Some(resolving) = &mut self.resolving else { return };
        resolving.link = None;
        (resolving.awaits, resolving.paused) = (false, false);
        let was_up = core::mem::take(&mut resolving.up);
        resolving.untold.extend(core::mem::take(&mut resolving.told).into_values());
        let asked = core::mem::take(&mut resolving.asked);
        let backoff = BACKOFF_MS.saturating_mul(1 << resolving.failures.min(6)).min(BACKOFF_MAX_MS);
        resolving.failures = resolving.failures.saturating_add(1);
        self.timers.arm(now.saturating_add(backoff), Timer::Resolver);
        if was_up {
            self.net.log(Level::Warning, None, None, What::ResolverDown);
        }
        for query in asked.into_values() {
            self.fail(query, No::RESOLVER_AWAY);
        }
    }

    pub(super) fn dial_resolver(&mut self) {
        self.net.events.push_back(Event::DialResolver);
    }

    // --- what is told (M23) -----------------------------------------------------------------------------------------

    /// A terminal's address is another, or gone.
    pub(super) fn address_changed(&mut self, identifier: &Name) {
        if let Some(resolving) = &mut self.resolving {
            resolving.untold.insert(identifier.clone());
            self.tell_resolver();
        }
    }

    /// Tells the resolver anew of everybody who is here, lest it forgets them.
    pub(super) fn refresh_due(&mut self, now: u64) {
        let Some(resolving) = &mut self.resolving else { return };
        resolving.untold.extend(self.registry.online().map(|(name, _)| name.clone()));
        self.timers.arm(now.saturating_add(self.config.address_refresh_ms), Timer::Refresh);
        self.tell_resolver();
    }

    pub(super) fn resume_telling(&mut self) {
        if let Some(resolving) = &mut self.resolving {
            resolving.paused = false;
        }
        self.tell_resolver();
    }

    fn tell_resolver(&mut self) {
        loop {
            let Some(resolving) = &mut self.resolving else { return };
            let Some(link) = resolving.link.filter(|_| resolving.up && !resolving.paused) else { return };
            // Room is left on the link for the questions of callers; the answers to what is told let the rest go out.
            let queued = self.net.connections.get(&link).map_or(0, |connection| connection.output.len());
            let full = resolving.told.len() >= MAX_TOLD || queued > self.net.max_output / 2;
            if full && !resolving.told.is_empty() {
                return;
            }
            let Some(name) = resolving.untold.pop_first() else { return };
            let terminal = self.registry.get(&name);
            let known = terminal.and_then(|terminal| terminal.address.as_ref());
            let source = terminal.and_then(|terminal| terminal.listener.or(terminal.links.first().copied()));
            let source = source.and_then(|link| self.net.connections.get(&link)).map(|it| it.source.ip());
            let settled = known.map(|known| match source {
                Some(source) => known.clone().settled(source),
                None => known.clone(),
            });
            // Who has gone meanwhile tells its address anew once it is back.
            if settled.as_ref().is_some_and(StoredAddress::is_open) {
                continue;
            }
            let unspecified = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
            let whole = settled.as_ref().and_then(|settled| settled.resolve(unspecified));
            let (address, port, candidates) =
                whole.unwrap_or_else(|| (Host::Ip(unspecified), 0, Default::default()));
            let number = resolving.number();
            resolving.told.insert(number, name.clone());
            let transaction = Some(number);
            let message = Address { identifier: &name, address, port, candidates, transaction };
            self.net.send(link, &Message::Address(message));
        }
    }

    fn resolver_stored(&mut self, status: &Status<'_>, now: u64) {
        let Some(resolving) = &mut self.resolving else { return };
        let told = status.transaction.and_then(|number| resolving.told.remove(&number));
        if let Some(name) = told.filter(|_| status.code != StatusCode::Done) {
            let code = status.code.number();
            self.net.log(Level::Warning, resolving.link, Some(name.clone()), What::ResolverRefused(code));
            resolving.untold.insert(name);
            if !core::mem::replace(&mut resolving.paused, true) {
                self.timers.arm(now.saturating_add(ANSWER_MS), Timer::Telling);
            }
        }
        self.tell_resolver();
    }

    // --- what is asked (M24) ----------------------------------------------------------------------------------------

    /// S1204: asks the resolver, or looks into the broker's own table.
    pub(super) fn find_address(&mut self, id: QueryId, now: u64) -> Result<(), No> {
        let query = self.queries.get_mut(&id).ok_or(No::LEFT)?;
        let Some(resolving) = &mut self.resolving else {
            let terminal = self.registry.get(&query.callee);
            let address = terminal.and_then(|terminal| terminal.address.clone());
            return self.address_found(id, address, now);
        };
        let link = resolving.link.filter(|_| resolving.up).ok_or(No::RESOLVER_AWAY)?;
        let number = resolving.number();
        resolving.asked.insert(number, id);
        query.resolves(number);
        let identifier = query.callee.clone();
        let resolve = Resolve { identifier: &identifier, transaction: Some(number) };
        self.query_until(id, now.saturating_add(self.config.resolver_deadline_ms));
        self.net.send(link, &Message::Resolve(resolve));
        Ok(())
    }

    fn resolved(&mut self, transaction: Option<u32>, found: Option<StoredAddress>, now: u64) {
        let Some(resolving) = &mut self.resolving else { return };
        // One that comes too late is nothing.
        let Some(id) = transaction.and_then(|number| resolving.asked.remove(&number)) else { return };
        if let (None, Some(query)) = (&found, self.queries.get(&id))
            && self.registry.get(&query.callee).is_some_and(|terminal| terminal.address.is_some())
        {
            // It has forgotten what it was told.
            resolving.untold.insert(query.callee.clone());
            self.tell_resolver();
        }
        if let Err(no) = self.address_found(id, found, now) {
            self.fail(id, no);
        }
    }

    /// S1205, S1206; names are looked up.
    fn address_found(&mut self, id: QueryId, found: Option<StoredAddress>, now: u64) -> Result<(), No> {
        let address = found.ok_or(No::NO_ADDRESS)?;
        let names: Vec<Name> = address.names().map(Name::from).collect();
        let query = self.queries.get_mut(&id).ok_or(No::LEFT)?;
        query.found(address, !names.is_empty());
        if names.is_empty() {
            return self.reach(id, now);
        }
        self.query_until(id, now.saturating_add(self.config.lookup_deadline_ms));
        self.net.events.push_back(Event::LookUp { request: id, names });
        Ok(())
    }

    /// What [`Event::LookUp`] came to: each name with the addresses that it has, in the order in which to try them.
    pub fn looked_up(&mut self, request: RequestId, found: &[(Name, Vec<IpAddr>)], now: u64) {
        if self.queries.get_mut(&request).is_some_and(|query| query.is_looking_up())
            && let Err(no) = self.names_found(request, found, now)
        {
            self.fail(request, no);
        }
        self.close_condemned(now);
    }

    fn names_found(&mut self, id: QueryId, found: &[(Name, Vec<IpAddr>)], now: u64) -> Result<(), No> {
        let query = self.queries.get_mut(&id).ok_or(No::LEFT)?;
        let address = query.take_address().and_then(|address| address.with_names(found));
        query.found(address.ok_or(No::NO_SUCH_NAME)?, false);
        self.reach(id, now)
    }
}
