//! The broker's process: connections, a store thread that does one thing after the other, and crashes.

use super::net::{End, PipeId};
use super::plan::Fault;
use super::resolver::{self, Resolver};
use super::rng::Rng;
use super::store::Store;
use super::world::{Happening, World};
use p2pgate::broker::{
    Broker, Config, ConnectionId, Event, MAX_INPUT, Name, Next, RequestId, StoreOperation, Stored,
};
use p2pgate::link::{PublicKey, SecretKey};
use p2pgate::message::DepositId;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

pub const SECRET: [u8; 32] = [9; 32];
/// No device's number.
const BROKER: usize = 1_000;

/// What the store thread has before it.
enum Work {
    Operation(RequestId, StoreOperation),
    Revoke(Name),
}

pub struct Host {
    /// `None`: it is down.
    pub broker: Option<Broker>,
    pub config: Config,
    pub key: PublicKey,
    pub store: Store,
    queue: VecDeque<Work>,
    /// Of the process that is running now.
    pub life: u32,
    connections: ConnectionId,
    /// What they get must wait for what was sent before.
    pub waiting: BTreeSet<ConnectionId>,
    splices: BTreeMap<ConnectionId, (ConnectionId, u64)>,
    takes: BTreeMap<ConnectionId, DepositId>,
    /// By how much its clock has been put forward.
    pub ahead: u64,
    /// Until when its disk is full.
    pub full_until: u64,
    pub due: Option<u64>,
    pub resolver: Resolver,
}

impl Host {
    pub fn new(config: Config) -> Self {
        let (secret, entropy) = (SecretKey::new(SECRET), Rng::of_device(BROKER, 0).bytes());
        Self {
            key: secret.public_key(),
            broker: Some(Broker::new(config.clone(), secret, entropy)),
            config,
            store: Store::default(),
            queue: VecDeque::new(),
            life: 0,
            connections: 0,
            waiting: BTreeSet::new(),
            splices: BTreeMap::new(),
            takes: BTreeMap::new(),
            ahead: 0,
            full_until: 0,
            due: None,
            resolver: Resolver::default(),
        }
    }

    pub fn next_connection(&mut self) -> ConnectionId {
        self.connections += 1;
        self.connections
    }
}

impl World {
    pub fn broker_clock(&self) -> u64 {
        self.now + self.host.ahead
    }

    /// Does something to the broker, and then all that it asks for.
    pub fn broker_do<T>(&mut self, what: impl FnOnce(&mut Broker, u64) -> T) -> Option<T> {
        let now = self.broker_clock();
        let done = what(self.host.broker.as_mut()?, now);
        while let Some(event) = self.host.broker.as_mut().and_then(Broker::poll_event) {
            self.broker_event(event);
        }
        self.host.due = self.host.broker.as_ref().and_then(Broker::poll_timeout);
        self.check_counts();
        Some(done)
    }

    fn broker_event(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Transmit(connection) => self.broker_transmit(connection),
            Event::Close(connection) => {
                let mut out = Vec::new();
                self.host.broker.as_mut().unwrap().poll_transmit(connection, &mut out);
                self.write(End::Broker(connection), &out);
                self.broker_close(connection);
            }
            Event::Store(request, operation) => {
                self.model.storing(&operation, self.broker_clock(), now);
                self.host.queue.push_back(Work::Operation(request, operation));
                self.store_later();
            }
            Event::Splice { first, second, limit, .. } => {
                self.host.splices.insert(first, (second, limit));
                self.host.splices.insert(second, (first, limit));
                for end in [first, second] {
                    self.feed_end(End::Broker(end));
                }
            }
            Event::Cut { first, second } => {
                for end in [first, second] {
                    self.host.splices.remove(&end);
                    if let Some((pipe, side)) = self.net.find(End::Broker(end)) {
                        let come = self.chance.index(2_000);
                        let mut told = [true; 2];
                        told[side] = false;
                        self.cut(pipe, [come; 2], told);
                    }
                    self.broker_close(end);
                }
            }
            Event::Deposit { connection, deposit, start } => {
                let (file, durable) = self.host.store.files.entry(deposit).or_default();
                assert!(file.len() as u64 >= start, "what is kept of a deposit is in its file");
                file.truncate(start as usize);
                *durable = (*durable).min(file.len());
                self.host.takes.insert(connection, deposit);
                self.feed_end(End::Broker(connection));
            }
            Event::Collect { connection, deposit, start, end } => {
                let part = self.host.store.files.get(&deposit).map(|(file, _)| {
                    assert!(file.len() as u64 >= end, "a deposit that is kept lies whole in its file");
                    file[start as usize..end as usize].to_vec()
                });
                // It may have been ended meanwhile, by the store's side.
                self.write(End::Broker(connection), &part.unwrap_or_default());
                self.broker_close(connection);
            }
            Event::DialResolver => self.dial_resolver(),
            Event::LookUp { .. } | Event::FindLease { .. } | Event::Reach { .. } => {
                unreachable!(
                    "no terminal has a name, leases are the resolver's, and addresses are tried by nobody"
                )
            }
            Event::Log(record) => {
                self.note(|| format!("broker: {record}"));
                self.model.broker_said(&record, now, self.lying());
            }
        }
    }

    fn feed_end(&mut self, end: End) {
        if let Some((pipe, side)) = self.net.find(end) {
            self.feed(pipe, side);
        }
    }

    pub fn broker_transmit(&mut self, connection: ConnectionId) {
        if self.net.is_full(End::Broker(connection)) {
            self.host.waiting.insert(connection);
            return;
        }
        let mut out = Vec::new();
        if let Some(broker) = &mut self.host.broker {
            broker.poll_transmit(connection, &mut out);
            assert!(out.len() <= self.host.config.max_output, "what is queued for a link is bounded");
        }
        self.write(End::Broker(connection), &out);
    }

    /// The process closes its end.
    fn broker_close(&mut self, connection: ConnectionId) {
        self.close_end(End::Broker(connection));
        self.end_of(connection);
        let now = self.broker_clock();
        if let Some(broker) = &mut self.host.broker {
            broker.disconnected(connection, now);
        }
    }

    /// A connection to the broker is over.
    pub fn connection_over(&mut self, connection: ConnectionId) {
        self.end_of(connection);
        self.broker_do(|broker, now| broker.disconnected(connection, now));
    }

    fn end_of(&mut self, connection: ConnectionId) {
        self.host.waiting.remove(&connection);
        self.host.takes.remove(&connection);
        if let Some((other, _)) = self.host.splices.remove(&connection)
            && self.host.splices.remove(&other).is_some()
        {
            self.broker_close(other);
        }
    }

    pub fn feed_broker(&mut self, id: PipeId, side: usize, connection: ConnectionId) -> bool {
        let mut bytes = self.take_unread(id, side);
        if bytes.is_empty() {
            return false;
        }
        if let Some((other, limit)) = self.host.splices.get_mut(&connection) {
            let other = *other;
            *limit = limit.saturating_sub(bytes.len() as u64);
            if *limit == 0 {
                self.broker_close(other);
                self.broker_close(connection);
                self.broker_do(|_, _| ());
            } else {
                self.write(End::Broker(other), &bytes);
            }
            return true;
        }
        if let Some(deposit) = self.host.takes.get(&connection).copied() {
            let now = self.broker_clock();
            let Some(broker) = &mut self.host.broker else { return false };
            let taken = broker.deposit_input(connection, &bytes, now);
            if let Some((file, _)) = self.host.store.files.get_mut(&deposit) {
                file.extend_from_slice(&bytes[..taken]);
            }
            self.broker_do(|_, _| ());
            return true;
        }
        let mut moved = false;
        // As much at once as a process would read, not always all that is there.
        let mut start = 0;
        let mut end = 0;
        while end < bytes.len() {
            end = (end + 1 + self.chance.index(2_000)).min(bytes.len());
            let Some(input) =
                self.broker_do(|broker, now| broker.handle_input(connection, &mut bytes[start..end], now))
            else {
                return false;
            };
            start += input.consumed;
            moved |= input.consumed > 0;
            assert!(
                input.next != Next::NeedMore || end - start < MAX_INPUT,
                "the broker never wants more than that"
            );
            match input.next {
                Next::NeedMore => {}
                Next::Closed => return true,
                Next::Lane | Next::Deposit => break,
            }
        }
        bytes.drain(..start);
        let fed = !bytes.is_empty()
            && (self.host.splices.contains_key(&connection) || self.host.takes.contains_key(&connection));
        self.put_back(id, side, bytes);
        if fed { self.feed_broker(id, side, connection) } else { moved }
    }

    // --- the store ------------------------------------------------------------------------------------------------

    fn store_later(&mut self) {
        let slow = self.plan.has(Fault::Latency) && !self.calm && self.chance.percent(20);
        let when = self.now + 1 + if slow { self.chance.below(2_500) } else { self.chance.below(20) };
        let life = self.host.life;
        self.later(when, Happening::Stored { life });
    }

    /// The store thread does the next thing.
    pub fn store_next(&mut self, life: u32) {
        if life != self.host.life || self.host.broker.is_none() {
            return;
        }
        let Some(work) = self.host.queue.pop_front() else { return };
        let full = self.now < self.host.full_until && !self.calm;
        let (now, clock) = (self.now, self.broker_clock());
        match work {
            Work::Operation(request, operation) => {
                let outcome =
                    if full { Stored::Failed } else { self.host.store.apply(operation.clone(), clock) };
                self.note(|| format!("store: {outcome:?} {operation:?}"));
                self.model.stored(&operation, outcome, &self.host.store, now);
                self.broker_do(|broker, now| broker.stored(request, outcome, now));
            }
            Work::Revoke(name) => {
                self.host.store.revoke(&name);
                self.model.revoked(&name, now);
                self.broker_do(|broker, now| broker.revoke(&name, now));
            }
        }
        self.model.check_store(&self.host.store);
    }

    /// The operator's `revoke`.
    pub fn revoke(&mut self, name: &str) {
        if self.host.broker.is_none() {
            self.host.store.revoke(name);
            return self.model.revoked(&name.into(), self.now);
        }
        self.host.queue.push_back(Work::Revoke(name.into()));
        self.store_later();
    }

    pub fn crash_broker(&mut self) {
        if self.host.broker.take().is_none() {
            return;
        }
        self.note(|| "the broker's process is killed".into());
        self.host.life += 1;
        self.host.due = None;
        // Some of what it was about to store is on disk, without anybody having been told.
        let done = self.chance.index(self.host.queue.len() + 1);
        let clock = self.broker_clock();
        for work in std::mem::take(&mut self.host.queue).into_iter().take(done) {
            match work {
                Work::Operation(_, operation) => {
                    let outcome = self.host.store.apply(operation.clone(), clock);
                    self.model.stored(&operation, outcome, &self.host.store, self.now);
                }
                Work::Revoke(name) => {
                    self.host.store.revoke(&name);
                    self.model.revoked(&name, self.now);
                }
            }
        }
        let files: Vec<DepositId> = self.host.store.files.keys().copied().collect();
        for deposit in files {
            let (file, durable) = self.host.store.files.get_mut(&deposit).unwrap();
            let lost = self.chance.index(file.len() - *durable + 1);
            file.truncate(file.len() - lost);
        }
        self.host.waiting.clear();
        self.host.splices.clear();
        self.host.takes.clear();
        self.abandon(|end| matches!(end, End::Broker(_)));
        self.model.check_store(&self.host.store);
        let when = self.now + 100 + self.chance.below(20_000);
        self.later(when, Happening::BrokerStarts);
    }

    /// The broker finds addresses by asking the resolver, in worlds that have one.
    pub fn use_resolver(&mut self) {
        if self.plan.has(Fault::Resolver) {
            self.broker_do(|broker, now| broker.use_resolver(resolver::key(), now));
        }
    }

    pub fn start_broker(&mut self) {
        if self.host.broker.is_some() {
            return;
        }
        self.note(|| "the broker starts".into());
        let (entropy, clock) = (Rng::of_device(BROKER, self.host.life).bytes(), self.broker_clock());
        let config = self.host.config.clone();
        self.model.broker_started(&self.host.store, self.now);
        self.host.broker = Some(self.host.store.start(config, SecretKey::new(SECRET), entropy, clock));
        self.broker_do(|_, _| ());
        self.use_resolver();
    }

    /// Nothing that the broker holds grows without bound.
    fn check_counts(&self) {
        let Some(broker) = &self.host.broker else { return };
        let (counts, config) = (broker.counts(), &self.host.config);
        assert!(counts.connections <= config.max_connections + 1, "connections are bounded: {counts:?}");
        assert!(counts.handshakes <= counts.connections, "{counts:?}");
        assert!(counts.terminals <= self.devices.len() * 2, "{counts:?}");
        assert!(counts.grants <= self.devices.len() * config.max_grants_per_terminal, "{counts:?}");
        assert!(counts.lanes <= counts.grants * config.max_lanes_per_grant, "{counts:?}");
        assert!(counts.deposited <= config.max_deposited, "{counts:?}");
        let queries = counts.connections * config.max_queries_per_link;
        assert!(counts.queries <= queries, "{counts:?}");
    }
}
