//! Connections: bytes that take their time, are cut anywhere, and ends that don't learn of it.

use super::plan::Fault;
use super::world::{Happening, World};
use crate::tap::Tap;
use p2pgate::terminal::{Destination, LinkId};
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// The buffer that a device has for each connection.
pub const BUFFER: usize = 4_098;
/// What is on its way to one end before the other waits.
const WINDOW: usize = 12_000;
/// So much of what went over each of the last connections is kept, to be played again.
const RECORDED: usize = 6_000;
const RECORDS: usize = 24;

pub type PipeId = u64;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// A device between two starts.
    Device {
        device: usize,
        life: u32,
        link: LinkId,
    },
    Broker(u64),
    Resolver(u64),
    Wild(u64),
}

pub struct Pipe {
    /// The end that connected, the other.
    pub ends: [End; 2],
    latency: u64,
    /// On their way to each end, with the time when they are there.
    flight: [VecDeque<(u64, Vec<u8>)>; 2],
    last: [u64; 2],
    /// Have come to each end, and are not used up.
    pub unread: [Vec<u8>; 2],
    /// The end is no more: it has closed, was told, or crashed.
    gone: [bool; 2],
    /// Everything has come; the other end has closed.
    fin: [bool; 2],
    /// What is written goes nowhere.
    broken: bool,
    /// It doesn't lead where its first end believes.
    strays: bool,
    tap: Option<Tap>,
}

/// What went over a connection, to whom.
pub struct Recorded {
    /// The end that was connected to: a device's number, or the broker.
    pub to: Option<usize>,
    /// What the side that connected sent, and what it got.
    pub said: [Vec<u8>; 2],
}

#[derive(Default)]
pub struct Net {
    pub pipes: BTreeMap<PipeId, Pipe>,
    ends: BTreeMap<End, (PipeId, usize)>,
    next: PipeId,
    pub records: VecDeque<(PipeId, Recorded)>,
}

impl Net {
    pub fn find(&self, end: End) -> Option<(PipeId, usize)> {
        self.ends.get(&end).copied()
    }

    /// Whether the writer should wait.
    pub fn is_full(&self, end: End) -> bool {
        self.find(end).is_some_and(|(pipe, side)| {
            let pipe = &self.pipes[&pipe];
            let flight: usize = pipe.flight[1 - side].iter().map(|(_, bytes)| bytes.len()).sum();
            flight + pipe.unread[1 - side].len() > WINDOW
        })
    }

    pub fn open_pipes(&self) -> Vec<PipeId> {
        self.pipes.iter().filter(|(_, pipe)| !pipe.broken).map(|(id, _)| *id).collect()
    }
}

impl World {
    pub fn pipe(&mut self, ends: [End; 2], tap: Option<Tap>) -> PipeId {
        self.net.next += 1;
        let id = self.net.next;
        let slow = self.plan.has(Fault::Latency) && !self.calm;
        let latency = if slow { 1 + self.chance.below(400) } else { 5 };
        let pipe = Pipe {
            ends,
            latency,
            flight: Default::default(),
            last: [0; 2],
            unread: Default::default(),
            gone: [false; 2],
            fin: [false; 2],
            broken: false,
            strays: false,
            tap,
        };
        let to = match ends[1] {
            End::Device { device, .. } => Some(device),
            _ => None,
        };
        if !matches!(ends[0], End::Wild(_)) && !matches!(ends[1], End::Wild(_)) {
            self.net.records.push_back((id, Recorded { to, said: Default::default() }));
            if self.net.records.len() > RECORDS {
                self.net.records.pop_front();
            }
        }
        self.net.pipes.insert(id, pipe);
        for (side, end) in ends.into_iter().enumerate() {
            self.net.ends.insert(end, (id, side));
        }
        id
    }

    /// One end writes.
    pub fn write(&mut self, from: End, bytes: &[u8]) {
        let Some((id, side)) = self.net.find(from).filter(|_| !bytes.is_empty()) else { return };
        let Some(pipe) = self.net.pipes.get_mut(&id) else { return };
        let through_broker = !pipe.strays && pipe.ends.iter().any(|end| matches!(end, End::Broker(_)));
        if !matches!(from, End::Wild(_)) {
            self.model.on_the_wire(through_broker, bytes);
        }
        let out = match &mut pipe.tap {
            Some(tap) => tap.push(side, bytes, &mut self.listener),
            None => {
                let mut out: [Vec<u8>; 2] = Default::default();
                out[1 - side] = bytes.to_vec();
                out
            }
        };
        for (to, bytes) in out.into_iter().enumerate() {
            self.put(id, to, bytes);
        }
    }

    fn put(&mut self, id: PipeId, to: usize, mut bytes: Vec<u8>) {
        if let Some((_, record)) = self.net.records.iter_mut().find(|(pipe, _)| *pipe == id) {
            let said = &mut record.said[1 - to];
            let room = RECORDED.saturating_sub(said.len()).min(bytes.len());
            said.extend_from_slice(&bytes[..room]);
        }
        let Some(pipe) = self.net.pipes.get_mut(&id).filter(|pipe| !pipe.broken && !bytes.is_empty()) else {
            return;
        };
        if self.flip > 0 && pipe.tap.is_none() {
            self.flip -= 1;
            let at = self.chance.index(bytes.len());
            bytes[at] ^= 1 << self.chance.below(8);
        }
        let when = pipe.last[to].max(self.now + pipe.latency);
        pipe.last[to] = when;
        pipe.flight[to].push_back((when, bytes));
        self.later(when, Happening::Arrive { pipe: id, side: to });
    }

    /// What is due has come.
    pub fn arrive(&mut self, id: PipeId, side: usize) {
        let now = self.now;
        let Some(pipe) = self.net.pipes.get_mut(&id) else { return };
        while pipe.flight[side].front().is_some_and(|(when, _)| *when <= now) {
            let (_, bytes) = pipe.flight[side].pop_front().unwrap();
            if !pipe.gone[side] {
                pipe.unread[side].extend(bytes);
            }
        }
        if pipe.flight[side].is_empty() && pipe.gone[1 - side] && !pipe.broken {
            pipe.fin[side] = true;
        }
        self.feed(id, side);
        self.room(id, side);
    }

    /// Whoever waited for room on the way to that end goes on.
    pub fn room(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.net.pipes.get(&id) else { return };
        match pipe.ends[1 - side] {
            End::Device { device, life, .. } if self.devices[device].life == life && !pipe.gone[1 - side] => {
                self.later(self.now, Happening::Served { device, life });
            }
            End::Broker(connection) if self.host.waiting.remove(&connection) => {
                self.broker_transmit(connection);
            }
            _ => {}
        }
    }

    /// Hands what has come to its end, and then the end of it.
    pub fn feed(&mut self, id: PipeId, side: usize) -> bool {
        let Some(pipe) = self.net.pipes.get(&id) else { return false };
        if pipe.gone[side] {
            return false;
        }
        let end = pipe.ends[side];
        let moved = match end {
            End::Device { device, link, .. } => self.feed_device(id, side, device, link),
            End::Broker(connection) => self.feed_broker(id, side, connection),
            End::Resolver(connection) => self.feed_resolver(id, side, connection),
            End::Wild(wild) => self.feed_wild(id, side, wild),
        };
        let Some(pipe) = self.net.pipes.get(&id) else { return moved };
        let waits = matches!(end, End::Device { device, .. } if self.devices[device].waits_on(id));
        if pipe.fin[side] && !pipe.gone[side] && !waits {
            self.tell(id, side);
            return true;
        }
        moved
    }

    pub fn take_unread(&mut self, id: PipeId, side: usize) -> Vec<u8> {
        self.net.pipes.get_mut(&id).map(|pipe| std::mem::take(&mut pipe.unread[side])).unwrap_or_default()
    }

    pub fn put_back(&mut self, id: PipeId, side: usize, bytes: Vec<u8>) {
        if let Some(pipe) = self.net.pipes.get_mut(&id).filter(|pipe| !pipe.gone[side]) {
            pipe.unread[side] = bytes;
        }
    }

    /// The end learns that the connection is over.
    pub fn tell(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.net.pipes.get(&id).filter(|pipe| !pipe.gone[side]) else { return };
        let end = pipe.ends[side];
        self.leave(id, side);
        match end {
            End::Device { device, life, link } => self.link_over(device, life, link),
            End::Broker(connection) => self.connection_over(connection),
            End::Resolver(connection) => {
                self.resolver_do(|process, now| process.disconnected(connection, now));
            }
            End::Wild(wild) => drop(self.wild.remove(&wild)),
        }
    }

    /// The end is no more.
    fn leave(&mut self, id: PipeId, side: usize) {
        let Some(pipe) = self.net.pipes.get_mut(&id) else { return };
        pipe.gone[side] = true;
        pipe.unread[side].clear();
        self.net.ends.remove(&pipe.ends[side]);
        if pipe.gone[0] && pipe.gone[1] {
            self.net.pipes.remove(&id);
        } else if !pipe.broken {
            // Behind what it has sent comes the end.
            let when = pipe.last[1 - side].max(self.now + pipe.latency);
            self.later(when, Happening::Arrive { pipe: id, side: 1 - side });
        }
    }

    /// An end closes its connection: what it has written still arrives.
    pub fn close_end(&mut self, end: End) {
        if let Some((id, side)) = self.net.find(end) {
            self.leave(id, side);
        }
    }

    /// The connection breaks: so many bytes still come to each end, and only some ends learn of it.
    pub fn cut(&mut self, id: PipeId, bytes: [usize; 2], told: [bool; 2]) {
        let now = self.now;
        let Some(pipe) = self.net.pipes.get_mut(&id).filter(|pipe| !pipe.broken) else { return };
        pipe.broken = true;
        for (flight, mut left) in pipe.flight.iter_mut().zip(bytes) {
            flight.retain_mut(|(_, chunk)| {
                chunk.truncate(left);
                left -= chunk.len();
                !chunk.is_empty()
            });
        }
        let when = pipe.last.map(|last| last.max(now) + 1);
        let forgotten = (0..2).all(|side| pipe.gone[side] || !told[side]);
        if forgotten && pipe.gone.contains(&true) && !pipe.gone.contains(&false) {
            self.net.pipes.remove(&id);
            return;
        }
        for side in (0..2).filter(|side| told[*side]) {
            self.later(when[side], Happening::Tell { pipe: id, side });
        }
    }

    /// All of a crashed party's connections end; the other ends learn of it or not.
    pub fn abandon(&mut self, whose: impl Fn(End) -> bool) {
        let half_open = self.plan.has(Fault::HalfOpen) && !self.calm;
        let theirs: Vec<_> =
            self.net.ends.iter().filter(|(end, _)| whose(**end)).map(|(_, at)| *at).collect();
        for (id, side) in theirs {
            let told = !half_open || self.chance.percent(60);
            let mut tell = [false; 2];
            tell[1 - side] = told;
            let come = self.chance.index(3_000);
            self.cut(id, [come; 2], tell);
            if let Some(pipe) = self.net.pipes.get_mut(&id) {
                pipe.gone[side] = true;
                self.net.ends.remove(&pipe.ends[side]);
                if pipe.gone[1 - side] {
                    self.net.pipes.remove(&id);
                }
            }
        }
    }

    /// A device wants a connection; some time later it has it, or not.
    pub fn dial(&mut self, device: usize, link: LinkId, to: Destination) {
        if let Destination::Address(address) = to {
            let whose = self.devices.iter().position(|other| other.address == address);
            self.model.knows_address(device, whose, self.lying());
        }
        let slow = self.plan.has(Fault::Latency) && !self.calm;
        let when = self.now + if slow { 1 + self.chance.below(300) } else { 5 };
        let life = self.devices[device].life;
        self.later(when, Happening::Dialled { device, life, link, to });
    }

    pub fn dialled(&mut self, device: usize, life: u32, link: LinkId, to: Destination) {
        let here = &self.devices[device];
        if here.life != life || here.terminal.is_none() || !here.links.contains(&link) {
            return;
        }
        let end = End::Device { device, life, link };
        // Somebody between sends it elsewhere: to the broker, another terminal, or itself.
        let elsewhere = self.misroute > 0 && !self.calm;
        if elsewhere {
            self.misroute -= 1;
        }
        let to = match to {
            _ if elsewhere && self.chance.percent(30) => None,
            _ if elsewhere && self.chance.percent(40) => {
                let wild = self.wild_listener(device);
                self.pipe([end, End::Wild(wild)], None);
                return self.opened(device, link);
            }
            _ if elsewhere => Some(self.chance.index(self.devices.len())),
            Destination::Broker => None,
            Destination::Address(address) => match self.at(address) {
                Some(At::Device(other)) => Some(other),
                Some(At::Attacker) => {
                    let wild = self.wild_listener(device);
                    self.pipe([end, End::Wild(wild)], None);
                    return self.opened(device, link);
                }
                // A blocked port answers nothing at all.
                None => return,
            },
        };
        match to {
            None if self.host.broker.is_some() => {
                let source = self.devices[device].address;
                let connection = self.host.next_connection();
                let tap = self.tap(device);
                let pipe = self.pipe([end, End::Broker(connection)], tap);
                self.net.pipes.get_mut(&pipe).unwrap().strays = elsewhere;
                self.broker_do(|broker, now| broker.connected(connection, source, now));
                self.opened(device, link);
            }
            Some(other) if self.devices[other].terminal.is_some() => {
                let (now, life) = (self.clock(other), self.devices[other].life);
                let accepted = self.devices[other].terminal.as_mut().unwrap().accepted(now);
                let Ok(there) = accepted else {
                    return self.link_over(device, self.devices[device].life, link);
                };
                self.devices[other].links.insert(there);
                self.pipe([end, End::Device { device: other, life, link: there }], None);
                self.opened(device, link);
                self.serve(other);
            }
            _ => self.link_over(device, life, link),
        }
    }

    fn at(&self, address: SocketAddr) -> Option<At> {
        if address == super::wild::ADDRESS.parse().unwrap() {
            return Some(At::Attacker);
        }
        let other = self.devices.iter().position(|other| other.address == address)?;
        (!self.devices[other].firewalled).then_some(At::Device(other))
    }
}

enum At {
    Device(usize),
    Attacker,
}
