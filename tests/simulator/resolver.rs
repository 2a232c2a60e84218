//! The address resolution server's process: it is slow, its disk is full, it crashes, and starts with what it had on disk. Whoever assigns addresses knows
//! them, or says nothing.

use super::host;
use super::net::{End, PipeId};
use super::plan::Fault;
use super::rng::Rng;
use super::world::{Happening, World};
use p2pgate::broker::{
    Broker, Config, Event, Lease, Name, Next, RequestId, StoreOperation, Stored, StoredAddress,
};
use p2pgate::link::{PublicKey, SecretKey};
use std::collections::{BTreeMap, VecDeque};

const SECRET: [u8; 32] = [10; 32];
/// No device's number.
const NUMBER: usize = 1_001;
const ADDRESS: &str = "192.0.2.250:7701";
const BROKERS: &str = "192.0.2.251:7700";

#[derive(Default)]
pub struct Resolver {
    /// `None`: it is down, or there is none in this world.
    pub process: Option<Broker>,
    store: BTreeMap<Name, (StoredAddress, u64)>,
    queue: VecDeque<(RequestId, StoreOperation)>,
    life: u32,
    connections: u64,
    leases: bool,
    pub ahead: u64,
    /// It reads nothing before then.
    pub stopped_until: u64,
    pub full_until: u64,
    due: Option<u64>,
}

pub fn key() -> PublicKey {
    SecretKey::new(SECRET).public_key()
}

impl Resolver {
    pub fn due_at(&self) -> Option<u64> {
        self.due.map(|due| due.saturating_sub(self.ahead))
    }
}

impl World {
    fn resolver_clock(&self) -> u64 {
        self.now + self.host.resolver.ahead
    }

    /// Does something to it, and then all that it asks for.
    pub fn resolver_do<T>(&mut self, what: impl FnOnce(&mut Broker, u64) -> T) -> Option<T> {
        let now = self.resolver_clock();
        let done = what(self.host.resolver.process.as_mut()?, now);
        while let Some(event) = self.host.resolver.process.as_mut().and_then(Broker::poll_event) {
            self.resolver_event(event);
        }
        self.host.resolver.due = self.host.resolver.process.as_ref().and_then(Broker::poll_timeout);
        Some(done)
    }

    fn resolver_event(&mut self, event: Event) {
        let life = self.host.resolver.life;
        match event {
            Event::Transmit(connection) => self.resolver_transmit(connection),
            Event::Close(connection) => {
                self.resolver_transmit(connection);
                self.close_end(End::Resolver(connection));
                let now = self.resolver_clock();
                if let Some(process) = &mut self.host.resolver.process {
                    process.disconnected(connection, now);
                }
            }
            Event::Store(request, operation) => {
                self.host.resolver.queue.push_back((request, operation));
                let when = self.now + 1 + self.chance.below(20);
                self.later(when, Happening::ResolverStored { life });
            }
            Event::FindLease { request, identifier } => {
                // Some are never answered.
                if self.calm || self.chance.percent(90) {
                    let when = self.now + self.chance.below(1_500);
                    self.later(when, Happening::Leased { life, request, identifier });
                }
            }
            Event::Log(record) => self.note(|| format!("resolver: {record}")),
            other => unreachable!("a resolver asks for no such thing: {other:?}"),
        }
    }

    fn resolver_transmit(&mut self, connection: u64) {
        let mut out = Vec::new();
        if let Some(process) = &mut self.host.resolver.process {
            process.poll_transmit(connection, &mut out);
        }
        self.write(End::Resolver(connection), &out);
    }

    pub fn resolver_stored(&mut self, life: u32) {
        let full = self.now < self.host.resolver.full_until && !self.calm;
        let clock = self.resolver_clock();
        let resolver = &mut self.host.resolver;
        let Some((request, operation)) = resolver.queue.pop_front().filter(|_| resolver.life == life) else {
            return;
        };
        let outcome = match operation {
            _ if full => Stored::Failed,
            StoreOperation::SaveResolved { identifier, address: Some(address) } => {
                resolver.store.insert(identifier, (address, clock));
                Stored::Done
            }
            StoreOperation::SaveResolved { identifier, address: None } => {
                resolver.store.remove(&identifier);
                Stored::Done
            }
            other => unreachable!("a resolver stores addresses only: {other:?}"),
        };
        self.resolver_do(|process, now| process.stored(request, outcome, now));
    }

    /// Whoever assigned the address has answered.
    pub fn leased(&mut self, life: u32, request: RequestId, identifier: &Name) {
        if self.host.resolver.life != life {
            return;
        }
        let knows = self.calm || self.chance.percent(80);
        let device = self.model.index_of(identifier).filter(|_| knows);
        let lease = device.map(|device| Lease { address: self.devices[device].address.ip(), port: None });
        self.resolver_do(|process, now| process.found_lease(request, lease, now));
    }

    /// The broker dials.
    pub fn dial_resolver(&mut self) {
        let when = self.now + 1 + self.chance.below(if self.plan.has(Fault::Latency) { 300 } else { 5 });
        let life = self.host.life;
        self.later(when, Happening::ResolverDialled { life });
    }

    pub fn resolver_dialled(&mut self, life: u32) {
        if life != self.host.life || self.host.broker.is_none() {
            return;
        }
        let here = self.host.next_connection();
        let up = self.host.resolver.process.is_some();
        if up {
            self.host.resolver.connections += 1;
            let there = self.host.resolver.connections;
            self.pipe([End::Broker(here), End::Resolver(there)], None);
            self.resolver_do(|process, now| process.connected(there, BROKERS.parse().unwrap(), now));
        }
        self.broker_do(|broker, now| broker.resolver_dialled(here, ADDRESS.parse().unwrap(), now));
        if !up {
            self.connection_over(here);
        }
    }

    pub fn feed_resolver(&mut self, id: PipeId, side: usize, connection: u64) -> bool {
        let until = self.host.resolver.stopped_until;
        if self.now < until && !self.calm {
            self.later(until, Happening::Arrive { pipe: id, side });
            return false;
        }
        let mut bytes = self.take_unread(id, side);
        let input = self.resolver_do(|process, now| process.handle_input(connection, &mut bytes, now));
        let Some(input) = input.filter(|input| input.next == Next::NeedMore) else { return false };
        bytes.drain(..input.consumed);
        self.put_back(id, side, bytes);
        input.consumed > 0
    }

    pub fn crash_resolver(&mut self) {
        if self.host.resolver.process.take().is_none() {
            return;
        }
        self.note(|| "the resolver's process is killed".into());
        let resolver = &mut self.host.resolver;
        resolver.life += 1;
        resolver.due = None;
        resolver.queue.clear();
        self.abandon(|end| matches!(end, End::Resolver(_)));
        let when = self.now + 100 + self.chance.below(60_000);
        self.later(when, Happening::ResolverStarts);
    }

    pub fn start_resolver(&mut self) {
        if !self.plan.has(Fault::Resolver) || self.host.resolver.process.is_some() {
            return;
        }
        self.note(|| "the resolver starts".into());
        let now = self.resolver_clock();
        let resolver = &mut self.host.resolver;
        if resolver.life == 0 {
            resolver.leases = Rng::new(self.plan.seed, 6).percent(50);
        }
        let entropy = Rng::of_device(NUMBER, resolver.life).bytes();
        let broker = SecretKey::new(host::SECRET).public_key();
        let secret = SecretKey::new(SECRET);
        let mut process = Broker::resolver(Config::default(), secret, entropy, broker, resolver.leases);
        for (name, (address, told)) in &resolver.store {
            process.restore_resolved(name, address.clone(), now.saturating_sub(*told), now).unwrap();
        }
        resolver.process = Some(process);
        self.resolver_do(|_, _| ());
    }
}
