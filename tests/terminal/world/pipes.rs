//! Connections: pipes that cut bytes as they please.

use super::tap::Tap;
use super::{BROKER_SECRET, Host, World};
use p2pgate::broker::Next;
use p2pgate::terminal::{Destination, LinkId, Step};
use std::collections::VecDeque;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Node(usize, LinkId),
    Broker(u64),
    /// Whatever a test writes.
    Wild(u64),
}

pub struct Pipe {
    /// The end that connected, the other.
    pub ends: [End; 2],
    /// Bytes on their way to each end.
    pub to: [VecDeque<u8>; 2],
    /// What each end has received and not used.
    pub held: [Vec<u8>; 2],
    /// The end has said that it closes.
    pub closing: [bool; 2],
    /// Everything that ever went to each end.
    pub record: [Vec<u8>; 2],
    pub dead: bool,
    /// Nothing is delivered to this end while set.
    pub stopped: [bool; 2],
    pub tap: Option<Tap>,
}

/// The buffer that a node has for each connection.
pub const BUFFER: usize = 4_098;

impl World {
    fn pipe(&mut self, ends: [End; 2]) -> u64 {
        self.next_pipe += 1;
        let names = ends.map(|end| match end {
            End::Node(node, _) => (self.nodes[node].identifier.as_str().to_owned(), self.nodes[node].secret),
            End::Broker(_) => ("broker".to_owned(), BROKER_SECRET),
            End::Wild(_) => ("wild".to_owned(), [99; 32]),
        });
        let wild = ends.iter().any(|end| matches!(end, End::Wild(_)));
        let tap = (self.tapped && !wild).then(|| {
            let [(first, first_secret), (second, second_secret)] = names;
            Tap::new([first, second], [first_secret, second_secret])
        });
        self.pipes.insert(
            self.next_pipe,
            Pipe {
                ends,
                to: Default::default(),
                held: Default::default(),
                closing: [false; 2],
                record: Default::default(),
                dead: false,
                stopped: [false; 2],
                tap,
            },
        );
        self.next_pipe
    }

    /// The pipe that ends so, and which of its ends that is.
    pub fn find(&self, end: End) -> Option<(u64, usize)> {
        self.pipes
            .iter()
            .filter(|(_, pipe)| !pipe.dead)
            .find_map(|(id, pipe)| pipe.ends.iter().position(|other| *other == end).map(|side| (*id, side)))
    }

    /// The pipes of a node that are open, the control link first.
    pub fn open_pipes(&self, node: usize) -> Vec<u64> {
        let of_node = |end: &End| matches!(end, End::Node(other, _) if *other == node);
        let open = self.pipes.iter().filter(|(_, pipe)| !pipe.dead && pipe.ends.iter().any(of_node));
        open.map(|(id, _)| *id).collect()
    }

    /// The newest open pipe between two nodes.
    pub fn between(&self, first: usize, second: usize) -> Option<u64> {
        let here = self.open_pipes(first);
        self.open_pipes(second).into_iter().rev().find(|pipe| here.contains(pipe))
    }

    /// A connection to a node, or without one to the broker, whose other end is the test's.
    pub fn wild(&mut self, node: Option<usize>) -> u64 {
        self.connections += 1;
        let (wild, now) = (End::Wild(self.connections), self.now);
        let other = match node {
            Some(node) => End::Node(node, self.nodes[node].terminal.accepted(now).unwrap()),
            None => {
                self.broker.connected(self.connections, "198.51.100.1:5".parse().unwrap(), now);
                End::Broker(self.connections)
            }
        };
        self.pipe([wild, other])
    }

    /// Writes as a wild pipe's other end.
    pub fn feed(&mut self, pipe: u64, bytes: &[u8]) {
        let side = self.pipes[&pipe].ends.iter().position(|end| matches!(end, End::Wild(_))).unwrap();
        self.put(pipe, 1 - side, bytes);
        self.settle();
    }

    /// The connection breaks: both ends are told, what is on its way is lost.
    pub fn cut(&mut self, pipe: u64) {
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&pipe).filter(|pipe| !pipe.dead) else { return };
        pipe.dead = true;
        for end in pipe.ends {
            match end {
                End::Node(node, link) => self.nodes[node].terminal.link_closed(link, now),
                End::Broker(connection) => {
                    self.broker.disconnected(connection, now);
                    self.end_splice(connection);
                }
                End::Wild(_) => {}
            }
        }
    }

    fn end_splice(&mut self, connection: u64) {
        if let Some(other) = self.splices.remove(&connection) {
            self.splices.remove(&other);
            if let Some((pipe, side)) = self.find(End::Broker(other)) {
                self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
            }
        }
    }

    pub(super) fn connect(&mut self, node: usize, link: LinkId, to: Destination) {
        let now = self.now;
        match to {
            Destination::Broker if self.broker_down => self.nodes[node].terminal.link_closed(link, now),
            Destination::Broker => {
                self.connections += 1;
                let connection = self.connections;
                self.pipe([End::Node(node, link), End::Broker(connection)]);
                let source = self.nodes[node].address;
                self.broker.connected(connection, source, now);
                self.nodes[node].terminal.link_opened(link, now);
            }
            Destination::Address(address) => {
                let callee = self.nodes.iter().position(|node| node.address == address);
                let default = callee.map_or(Host::Refuses, Host::Node);
                match self.hosts.get(&address).copied().unwrap_or(default) {
                    Host::Delayed(node_there, delay) => {
                        self.later.push((now + delay, node, link, Host::Node(node_there)));
                    }
                    host => self.reach(node, link, host),
                }
            }
        }
    }

    pub(super) fn reach(&mut self, node: usize, link: LinkId, host: Host) {
        let now = self.now;
        let there = match host {
            Host::Node(callee) => {
                self.nodes[callee].terminal.accepted(now).ok().map(|there| End::Node(callee, there))
            }
            Host::Wild => {
                self.connections += 1;
                Some(End::Wild(self.connections))
            }
            Host::Refuses => None,
            // A blocked port answers nothing at all.
            Host::Silent | Host::Delayed(..) => return,
        };
        match there {
            Some(there) => {
                self.pipe([End::Node(node, link), there]);
                self.nodes[node].terminal.link_opened(link, now);
            }
            None => self.nodes[node].terminal.link_closed(link, now),
        }
    }

    /// One end writes: the tap hears it first.
    pub fn write(&mut self, from: End, bytes: &[u8]) {
        let Some((id, side)) = self.find(from) else { return };
        let pipe = self.pipes.get_mut(&id).unwrap();
        match &mut pipe.tap {
            Some(tap) => {
                let out = tap.push(side, bytes, &mut self.listener);
                for (side, bytes) in out.iter().enumerate() {
                    self.put(id, side, bytes);
                }
            }
            None => self.put(id, 1 - side, bytes),
        }
    }

    fn put(&mut self, pipe: u64, to: usize, bytes: &[u8]) {
        let pipe = self.pipes.get_mut(&pipe).unwrap();
        pipe.to[to].extend(bytes);
        pipe.record[to].extend(bytes);
    }

    /// Says a text to `to` in the name of `from`, on the link between them (needs taps).
    pub fn say(&mut self, from: &str, to: &str, text: &str) {
        let found = self.pipes.iter_mut().rev().find_map(|(id, pipe)| {
            let tap = pipe.tap.as_mut().filter(|tap| !pipe.dead && tap.is_open())?;
            let side = tap.names.iter().position(|name| name == to)?;
            (tap.names[1 - side] == from).then_some((*id, side))
        });
        let (id, side) = found.unwrap();
        let bytes = self.pipes.get_mut(&id).unwrap().tap.as_mut().unwrap().say(side, text);
        self.put(id, side, &bytes);
        self.settle();
    }

    pub(super) fn deliver_to(&mut self, id: u64, side: usize) -> bool {
        let now = self.now;
        let chunk = if self.rng == 0 { self.chunk } else { 1 + self.random(1_500) };
        let takes = self.pipes.get(&id).is_some_and(
            |pipe| matches!(pipe.ends[side], End::Broker(connection) if self.shelf_takes(connection)),
        );
        let Some(pipe) = self.pipes.get_mut(&id) else { return false };
        if pipe.dead || pipe.stopped[side] {
            return false;
        }
        // A device has room for one record or frame, no more: the rest waits in the network.
        let room = match pipe.ends[side] {
            End::Node(..) => BUFFER.saturating_sub(pipe.held[side].len()),
            End::Broker(_) | End::Wild(_) => usize::MAX,
        };
        let take = pipe.to[side].len().min(chunk).min(room);
        let mut moved = take > 0;
        let fresh: Vec<u8> = pipe.to[side].drain(..take).collect();
        pipe.held[side].extend(&fresh);
        match pipe.ends[side] {
            End::Wild(_) => pipe.held[side].clear(),
            End::Broker(connection) => {
                if let Some(&other) = self.splices.get(&connection) {
                    let bytes = std::mem::take(&mut pipe.held[side]);
                    moved |= !bytes.is_empty();
                    self.write(End::Broker(other), &bytes);
                } else if takes {
                    let mut held = std::mem::take(&mut pipe.held[side]);
                    moved |= self.fill(connection, &mut held) == Some(true);
                } else if !pipe.held[side].is_empty() && moved {
                    let mut held = std::mem::take(&mut pipe.held[side]);
                    let input = self.broker.handle_input(connection, &mut held, now);
                    held.drain(..input.consumed);
                    if input.next == Next::Closed {
                        held.clear();
                    }
                    self.pipes.get_mut(&id).unwrap().held[side] = held;
                }
            }
            End::Node(node, link) => moved |= self.feed_node(id, side, node, link),
        }
        moved | self.closed(id, side, moved)
    }

    fn feed_node(&mut self, id: u64, side: usize, node: usize, link: LinkId) -> bool {
        let now = self.now;
        let mut moved = false;
        let mut held = std::mem::take(&mut self.pipes.get_mut(&id).unwrap().held[side]);
        while !held.is_empty() {
            let input = self.nodes[node].terminal.handle_input(link, &mut held, now);
            if let Step::Payload { session, offset, range } = &input.step {
                let data = self.nodes[node].received.get_mut(session).unwrap();
                assert_eq!(data.len() as u64, *offset);
                data.extend_from_slice(&held[range.clone()]);
            }
            if let Step::Deposit { deposit, size, kept, callee } = &input.step {
                let callee = String::from_utf8(held[callee.clone()].to_vec()).unwrap();
                self.nodes[node].listed.push((*deposit, callee, *size, *kept));
            }
            moved |= input.consumed > 0;
            held.drain(..input.consumed);
            match input.step {
                Step::NeedMore(_) => break,
                Step::Blocked => {
                    self.waited += 1;
                    self.most_held = self.most_held.max(held.len());
                    break;
                }
                Step::Closed => held.clear(),
                Step::Progress | Step::Payload { .. } | Step::Deposit { .. } => {}
            }
            if self.rng == 0 || self.random(2) == 0 {
                moved |= self.node_events(node);
            }
        }
        if let Some(pipe) = self.pipes.get_mut(&id) {
            pipe.held[side] = held;
        }
        moved
    }

    /// The other end has closed and everything has come: this end is told.
    fn closed(&mut self, id: u64, side: usize, moved: bool) -> bool {
        let now = self.now;
        let pipe = self.pipes.get_mut(&id).unwrap();
        // In a random order others may yet do what this end waits for.
        let unread = !pipe.held[side].is_empty() && !pipe.closing[side] && (moved || self.stirring);
        if !pipe.closing[1 - side] || !pipe.to[side].is_empty() || pipe.dead || unread {
            return false;
        }
        pipe.dead = true;
        let (here, there) = (pipe.ends[side], pipe.ends[1 - side]);
        if let End::Node(node, link) = here {
            self.nodes[node].terminal.link_closed(link, now);
        }
        for end in [here, there] {
            if let End::Broker(connection) = end {
                self.broker.disconnected(connection, now);
                self.end_splice(connection);
            }
        }
        true
    }
}
