//! The broker's decisions, and those of its built-in resolver (V1): sans-IO, one state machine for a process. Needs an allocator.
//!
//! The process around it owns sockets, clock, entropy and store. It tells what comes in ([`Broker::connected`], [`Broker::handle_input`],
//! [`Broker::disconnected`], [`Broker::stored`]), calls [`Broker::handle_timeout`] when [`Broker::poll_timeout`] says so, and after every call
//! drains [`Broker::poll_event`]. Times are monotonic milliseconds.
//!
//! - **Identity is a key.** A control link's key is what the broker serves; an identifier says only which terminal is meant (V5). Nothing is
//!   displaced, started, disclosed or stored before a link's first transport record opens: message 1 can be a replay.
//! - **Everything refuses by default**: who is not on the callee's list (P2) learns nothing of it, and it hears nothing of them (P3).
//! - **Everything is bounded** by a number of [`Config`].
//! - What is malformed ends its connection, with a line in the log that says why.

mod address;
mod config;
mod connection;
mod control;
mod credentials;
mod deposits;
mod event;
mod grants;
mod groups;
mod lanes;
mod limits;
mod log;
mod query;
mod quota;
mod reach;
mod registration;
mod registry;
mod relay;
mod resolver;
mod resolving;
mod slots;
mod timers;

pub use address::{StoredAddress, StoredAddressError};
pub use config::Config;
pub use connection::MAX_RECORD;
pub use event::{
    Counts, DepositNotice, DepositRecord, Event, Input, KeptPart, Next, StoreOperation, Stored, StoredDeposit,
};
pub use log::{Level, LogRecord, Outcome, What};
pub use resolver::Lease;

use crate::entropy::Entropy;
use crate::identifier::{Identifier, IdentifierError};
use crate::link::{Parsed, Preamble, PublicKey, Record, SecretKey, record};
use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;
use alloc::vec::Vec;
use connection::{Connection, Net, State};
use core::net::{IpAddr, SocketAddr};
use deposits::Deposits;
use grants::Grants;
use lanes::Lanes;
use limits::source_of;
use query::{Query, QueryId};
use registration::Pending;
use registry::Registry;
use resolver::Resolver;
use resolving::Resolving;
use sha2::{Digest, Sha256};
use slots::Slots;
use timers::{Timer, Timers};

/// A connection, as the process numbers it: unique for the broker's life.
pub type ConnectionId = u64;

/// A [`StoreOperation`], as the broker numbers it.
pub type RequestId = u64;

/// An identifier that keeps row V4's rules, cheap to copy.
pub type Name = Arc<str>;

/// A buffer of so many bytes holds whatever [`Broker::handle_input`] needs at once.
pub const MAX_INPUT: usize = 2 + MAX_RECORD.get() as usize;

/// A broker.
pub struct Broker {
    config: Config,
    key: SecretKey,
    entropy: Entropy,
    net: Net,
    /// Connections by source.
    sources: BTreeMap<IpAddr, usize>,
    slots: Slots,
    registry: Registry,
    queries: BTreeMap<QueryId, Query>,
    grants: Grants,
    lanes: Lanes,
    deposits: Deposits,
    pending: BTreeMap<RequestId, Pending>,
    /// It asks a resolver.
    resolving: Option<Resolving>,
    /// It is one.
    resolver: Option<Resolver>,
    timers: Timers,
    last_id: u64,
}

/// What a step over the input came to.
enum Step {
    Took(usize),
    NeedMore,
    Lane(usize),
    Deposit(usize),
    Closed,
}

impl Broker {
    /// A broker with its static key. `entropy` is 32 bytes from the operating system's generator; every password and key comes of it (P12).
    pub fn new(config: Config, key: SecretKey, entropy: [u8; 32]) -> Self {
        Self {
            net: Net {
                connections: BTreeMap::new(),
                events: VecDeque::new(),
                condemned: Vec::new(),
                max_output: config.max_output,
            },
            config,
            key,
            entropy: Entropy::from_system(&entropy),
            sources: BTreeMap::new(),
            slots: Slots::default(),
            registry: Registry::default(),
            queries: BTreeMap::new(),
            grants: Grants::default(),
            lanes: Lanes::default(),
            deposits: Deposits::default(),
            pending: BTreeMap::new(),
            resolving: None,
            resolver: None,
            timers: Timers::default(),
            last_id: 0,
        }
    }

    /// Mixes in further entropy, at any time.
    pub fn add_entropy(&mut self, entropy: [u8; 32]) {
        self.entropy.add(&entropy);
    }

    /// What terminals pin.
    pub fn public_key(&self) -> PublicKey {
        self.key.public_key()
    }

    /// The limits.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Other limits, from now on. What is over them already stays until it ends by itself.
    pub fn set_config(&mut self, config: Config) {
        self.net.max_output = config.max_output;
        self.config = config;
    }

    /// How much there is of what.
    pub fn counts(&self) -> Counts {
        Counts {
            connections: self.net.connections.len(),
            handshakes: self.slots.taken(),
            terminals: self.registry.len(),
            groups: self.registry.groups.len(),
            queries: self.queries.len(),
            grants: self.grants.len(),
            lanes: self.lanes.len(),
            deposits: self.deposits.len(),
            deposited: self.deposits.total(),
        }
    }

    /// The terminals that have a control link, each with whether it takes questions and grants, in the order of their identifiers' bytes.
    pub fn online(&self) -> impl Iterator<Item = (&Name, bool)> {
        self.registry.online()
    }

    /// Brings a terminal back from the store (P13), before there are connections.
    ///
    /// # Errors
    /// [`RestoreError`] if an identifier breaks the rules; nothing has changed.
    pub fn restore_terminal(
        &mut self,
        identifier: &str,
        key: Option<PublicKey>,
        revision: u64,
        list: impl IntoIterator<Item = (Name, Option<PublicKey>)>,
        address: Option<StoredAddress>,
    ) -> Result<(), RestoreError> {
        self.registry.restore(identifier, key, revision, list, address)
    }

    /// Brings back the largest frame of a terminal that knows deposits (P13), behind [`restore_terminal`](Self::restore_terminal).
    pub fn restore_frame(&mut self, identifier: &str, frame: u32) {
        if let Some(terminal) = self.registry.get_mut(identifier) {
            terminal.frame = deposits::frame_of(frame);
            terminal.stored_frame = terminal.frame;
        }
    }

    /// A connection was accepted from `source`. One too many is closed at once: itself if it is its source's or there are too many of all kinds,
    /// else the longest waiting of the source that has most in their handshakes.
    pub fn connected(&mut self, connection: ConnectionId, source: SocketAddr, now: u64) {
        let deadline = now.saturating_add(self.config.handshake_deadline_ms);
        let handshakes = self.slots.take(source_of(source), connection);
        let here = self.sources.entry(source_of(source)).or_default();
        *here += 1;
        let too_many = handshakes > self.config.max_handshakes_per_source
            || *here > self.config.max_connections_per_source
            || self.net.connections.len() >= self.config.max_connections;
        let opened = self.next_id();
        self.net.connections.insert(connection, Connection::new(source, opened, deadline));
        self.timers.arm(deadline, Timer::Connection(connection));
        if too_many {
            self.refuse(connection, What::TooMany, now);
        } else if self.slots.taken() > self.config.max_handshakes
            && let Some(other) = self.slots.longest_of_fullest()
        {
            self.refuse(other, What::TooMany, now);
        }
    }

    /// A certificate around the connection, such as TLS has, has proven that its other end is `identifier`. That enrols the connection's key without a
    /// ticket if none is enrolled for it (V5); a key that is enrolled stays.
    pub fn certified(&mut self, connection: ConnectionId, identifier: &Identifier) {
        if let Some(connection) = self.net.connections.get_mut(&connection) {
            connection.certified = Some(identifier.as_str().into());
        }
    }

    /// Takes what has come on a connection: as many whole records as there are, each opened in place. What is not consumed is fed again, with more
    /// bytes behind it; [`MAX_INPUT`] bytes always suffice.
    pub fn handle_input(&mut self, connection: ConnectionId, bytes: &mut [u8], now: u64) -> Input {
        let mut consumed = 0;
        loop {
            let step = self.step(connection, &mut bytes[consumed..], now);
            self.close_condemned(now);
            let next = match step {
                Step::Took(length) => {
                    consumed += length;
                    continue;
                }
                Step::NeedMore => Next::NeedMore,
                Step::Lane(length) => {
                    consumed += length;
                    Next::Lane
                }
                Step::Deposit(length) => {
                    consumed += length;
                    Next::Deposit
                }
                Step::Closed => {
                    consumed = bytes.len();
                    Next::Closed
                }
            };
            return Input { consumed, next };
        }
    }

    fn step(&mut self, id: ConnectionId, bytes: &mut [u8], now: u64) -> Step {
        let Some(connection) = self.net.connections.get_mut(&id) else { return Step::Closed };
        let max = match &connection.state {
            State::Closing => return Step::Closed,
            State::Lane(_) => return Step::Lane(0),
            State::DepositLane(_) => return Step::Deposit(0),
            State::Preamble => return self.preamble(id, bytes, now),
            _ => connection.max_record(),
        };
        let length = match record(bytes, max) {
            Ok(Record::NeedMore(_)) => return Step::NeedMore,
            Ok(Record::Complete(length)) => length,
            Err(error) => return self.refuse(id, What::Record(error), now),
        };
        let record = &mut bytes[..length];
        if matches!(connection.state, State::Handshake(_)) {
            let ephemeral = self.entropy.draw();
            if let Err(error) = connection.shake_hands(&self.key, ephemeral, self.config.max_record, record) {
                return self.refuse(id, What::Handshake(error), now);
            }
            self.net.announce(id);
            return Step::Took(length);
        }
        if let State::Greeting(_) = connection.state {
            return match connection.greeted(record) {
                Ok(secured) => {
                    self.resolver_greeted(id, secured, now);
                    Step::Took(length)
                }
                Err(error) => self.refuse(id, What::Handshake(error), now),
            };
        }
        let Some(secured) = connection.secured() else { return Step::Closed };
        match secured.transport.open(record) {
            Ok(text) => self.text(id, &record[text], now),
            Err(error) => {
                self.refuse(id, What::Open(error), now);
            }
        }
        Step::Took(length)
    }

    fn preamble(&mut self, id: ConnectionId, bytes: &[u8], now: u64) -> Step {
        match Preamble::parse(bytes) {
            Ok(Parsed::NeedMore(_)) => Step::NeedMore,
            Ok(Parsed::Complete(Preamble::Lane { token }, length)) => {
                if self.lane_arrived(id, &token) {
                    return Step::Lane(length);
                }
                match self.deposit_lane_arrived(id, &token, now) {
                    Some(true) => Step::Deposit(length),
                    Some(false) => Step::Lane(length),
                    None => self.refuse(id, What::UnknownToken, now),
                }
            }
            Ok(Parsed::Complete(Preamble::Peer { .. }, _)) => self.refuse(id, What::PeerLink, now),
            Ok(Parsed::Complete(preamble, length)) => {
                if let Some(connection) = self.net.connections.get_mut(&id) {
                    connection.state = State::Handshake(preamble);
                }
                Step::Took(length)
            }
            Err(error) => self.refuse(id, What::Preamble(error), now),
        }
    }

    /// A connection has ended, whoever ended it. To be called once for each that was [`connected`](Self::connected).
    pub fn disconnected(&mut self, connection: ConnectionId, now: u64) {
        self.leave(connection, now);
        if let Some(gone) = self.net.connections.remove(&connection) {
            self.timers.disarm(gone.armed, Timer::Connection(connection));
            if gone.counted {
                self.slots.free(source_of(gone.source), connection);
            }
            let source = source_of(gone.source);
            if let Some(here) = self.sources.get_mut(&source) {
                *here = here.saturating_sub(1);
                if *here == 0 {
                    self.sources.remove(&source);
                }
            }
            self.lanes.take_charge(connection);
            match gone.state {
                State::Lane(pair) => self.lane_ended(pair, connection),
                State::DepositLane(lane) => self.deposit_lane_ended(lane),
                _ => {}
            }
        }
        self.close_condemned(now);
    }

    /// Appends all bytes that are queued for a connection; `false` if there are none. To be called once what was taken before is written to the
    /// socket: then what a terminal can make the broker hold is bounded.
    pub fn poll_transmit(&mut self, connection: ConnectionId, out: &mut Vec<u8>) -> bool {
        self.net.take_output(connection, out)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn poll_timeout(&self) -> Option<u64> {
        self.timers.next()
    }

    /// Does what is due by now.
    pub fn handle_timeout(&mut self, now: u64) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Connection(connection) => self.connection_due(connection, now),
                Timer::Query(query) => self.query_timed_out(query, now),
                Timer::GrantEnd(grant) => self.withdraw(grant, "it has lasted for as long as a session may"),
                Timer::GrantAbsent(grant) => self.release(grant),
                Timer::Pair(pair) => self.end_lane(pair),
                Timer::Deposit(deposit) => self.deposit_due(deposit, now),
                Timer::DepositLane(lane) => self.deposit_lane_due(lane),
                Timer::Resolver => self.dial_resolver(),
                Timer::Refresh => self.refresh_due(now),
                Timer::Telling => self.resume_telling(),
                Timer::Addresses => self.addresses_due(now),
            }
            self.close_condemned(now);
        }
    }

    /// What the process has to do next.
    pub fn poll_event(&mut self) -> Option<Event> {
        self.net.events.pop_front()
    }

    /// The operator took an identifier's key away, and the store has forgotten all that was registered under it. Links, grants and lanes end at
    /// once; a later enrolment inherits nothing. `false` if the identifier is unknown.
    pub fn revoke(&mut self, identifier: &str, now: u64) -> bool {
        let Some(links) = self.registry.get(identifier).map(|terminal| terminal.links.clone()) else {
            return false;
        };
        for grant in self.grants_of(identifier) {
            self.withdraw(grant, "the operator took a key away");
        }
        for link in links {
            self.close(link, now);
        }
        self.deposits_revoked(identifier);
        self.groups_revoked(identifier);
        let name = Name::from(identifier);
        self.registry.revoke(&name);
        self.address_changed(&name);
        self.address_revoked(&name);
        self.net.log(Level::Info, None, Some(name), What::Revoked);
        self.close_condemned(now);
        true
    }

    /// What came of a [`StoreOperation`].
    pub fn stored(&mut self, request: RequestId, outcome: Stored, now: u64) {
        if let Some(pending) = self.pending.remove(&request) {
            self.store_answered(pending, outcome, now);
        }
        self.close_condemned(now);
    }

    fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn connection_due(&mut self, id: ConnectionId, now: u64) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        if connection.deadline > now {
            connection.armed = connection.deadline;
            self.timers.arm(connection.deadline, Timer::Connection(id));
            return;
        }
        match connection.state {
            State::Closing => {}
            State::Open(_) => drop(self.refuse(id, What::Idle, now)),
            State::DepositLane(lane) => self.deposit_lane_idle(lane),
            State::Resolver(_) => self.resolver_silent(id, now),
            _ => drop(self.refuse(id, What::HandshakeDeadline, now)),
        }
    }

    /// A connection is no handshake any more: its slot is free.
    fn settled(&mut self, id: ConnectionId, state: State, deadline: u64) {
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        connection.state = state;
        connection.deadline = deadline;
        self.free_slot(id);
    }

    fn free_slot(&mut self, id: ConnectionId) {
        if let Some(connection) = self.net.connections.get_mut(&id)
            && core::mem::take(&mut connection.counted)
        {
            self.slots.free(source_of(connection.source), id);
        }
    }

    /// Logs why, and closes.
    fn refuse(&mut self, id: ConnectionId, what: What, now: u64) -> Step {
        // What strangers do is everyday; what an enrolled terminal does wrong is not.
        let level = if self.net.session(id).is_some() { Level::Warning } else { Level::Info };
        self.net.log_of(level, id, what);
        self.close(id, now);
        Step::Closed
    }

    fn close(&mut self, id: ConnectionId, now: u64) {
        self.leave(id, now);
        self.free_slot(id);
        self.net.close(id);
    }

    /// Closes the links that could not be sent to.
    fn close_condemned(&mut self, now: u64) {
        while let Some(id) = self.net.condemned.pop() {
            if self.net.session(id).is_some() {
                self.refuse(id, What::Output, now);
            } else {
                self.close(id, now);
            }
        }
    }
}

/// SHA-256 of a ticket's text, without the white space around it: what the store keeps of a ticket.
pub fn digest_of_ticket(ticket: &str) -> [u8; 32] {
    Sha256::digest(ticket.trim()).into()
}

/// A stored terminal cannot be brought back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the store has an identifier that breaks the rules ({0}); restore the store from a backup")]
pub struct RestoreError(#[from] pub IdentifierError);
