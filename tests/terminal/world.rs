//! A broker and terminals on virtual time, joined by perfect pipes that cut bytes as they please.

use p2pgate::broker::{
    Broker, Config as BrokerConfig, Event as BrokerEvent, Next, StoreOperation, Stored, digest_of_ticket,
};
use p2pgate::identifier::Identifier;
use p2pgate::lane::{HEADROOM, TAILROOM};
use p2pgate::link::{MaxRecord, SecretKey};
use p2pgate::load::LoadGate;
use p2pgate::mpeg::Class;
use p2pgate::sframe::Suite;
use p2pgate::terminal::{
    Change, Config, Destination, Event, LinkId, Offer, Piece, SessionId, Step, Terminal, blob_size,
};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;

pub type TestTerminal = Terminal<4, 16>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Node(usize, LinkId),
    Broker(u64),
}

pub struct Pipe {
    pub ends: [End; 2],
    /// Bytes on their way to each end.
    pub to: [VecDeque<u8>; 2],
    /// What each end has received and not used.
    held: [Vec<u8>; 2],
    /// The end has said that it closes.
    closing: [bool; 2],
    /// Everything that ever went to each end.
    pub record: [Vec<u8>; 2],
    pub dead: bool,
}

/// A recording to send: segments in order.
pub struct Sending {
    pub segments: Vec<(Class, Vec<u8>)>,
    pub hash: Option<[u8; 32]>,
    pub done: bool,
}

pub struct Node {
    pub terminal: TestTerminal,
    pub identifier: Identifier,
    pub address: SocketAddr,
    pub listening: bool,
    pub events: Vec<Event>,
    pub sending: HashMap<SessionId, Sending>,
    pub received: HashMap<SessionId, Vec<u8>>,
    pub arrived: Vec<Vec<u8>>,
    pub blob: Vec<u8>,
    pub auto_accept: bool,
    pub resume_at: u64,
    pub start: Vec<u8>,
}

pub struct World {
    pub now: u64,
    pub broker: Broker,
    pub nodes: Vec<Node>,
    pub pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    connections: u64,
    splices: HashMap<u64, u64>,
    pub blocked: HashSet<SocketAddr>,
    pub tickets: HashSet<[u8; 32]>,
    pub chunk: usize,
    pub logs: Vec<String>,
    pub frozen: bool,
}

pub fn identifier(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

impl World {
    pub fn new(config: BrokerConfig) -> Self {
        let broker = Broker::new(config, SecretKey::new([9; 32]), [8; 32]);
        Self {
            now: 1_000,
            broker,
            nodes: Vec::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            connections: 0,
            splices: HashMap::new(),
            blocked: HashSet::new(),
            tickets: HashSet::new(),
            chunk: 700,
            logs: Vec::new(),
            frozen: false,
        }
    }

    /// A terminal that is enrolled and online, and listens.
    pub fn add(&mut self, name: &str) -> usize {
        self.add_with(name, |_| {})
    }

    pub fn add_with(&mut self, name: &str, adjust: impl FnOnce(&mut Config)) -> usize {
        let index = self.nodes.len();
        let address: SocketAddr = format!("192.0.2.{}:7000", index + 1).parse().unwrap();
        let mut config = Config {
            identifier: identifier(name),
            secret: SecretKey::new([index as u8 + 20; 32]),
            broker_key: self.broker.public_key(),
            max_record: MaxRecord::new(4_096).unwrap(),
            max_frame: 2_048,
            suite: Suite::Aes128CtrHmacSha256_80,
            listen: true,
            allow_loopback: false,
            load: LoadGate::new(80, 10, 3),
        };
        adjust(&mut config);
        let (mut terminal, _) = Terminal::new(config, &[index as u8 + 40; 32], &[index as u8 + 60; 32]);
        let ticket = format!("ticket of {name}");
        self.tickets.insert(digest_of_ticket(&ticket));
        terminal.enrol(&ticket).unwrap();
        terminal.listen_at(&[address]).unwrap();
        terminal.connect(self.now);
        self.nodes.push(Node {
            terminal,
            identifier: identifier(name),
            address,
            listening: true,
            events: Vec::new(),
            sending: HashMap::new(),
            received: HashMap::new(),
            arrived: Vec::new(),
            blob: Vec::new(),
            auto_accept: true,
            resume_at: 0,
            start: Vec::new(),
        });
        self.settle();
        index
    }

    pub fn permit(&mut self, node: usize, add: &[&str], delete: &[&str]) {
        let add: Vec<_> = add.iter().map(|name| (identifier(name), None)).collect();
        let delete: Vec<_> = delete.iter().map(|name| identifier(name)).collect();
        self.nodes[node].terminal.permit(&Change::Change { add: &add, delete: &delete }).unwrap();
        self.settle();
    }

    pub fn call(&mut self, caller: usize, callee: usize) -> SessionId {
        let callee = self.nodes[callee].identifier.clone();
        let now = self.now;
        let session = self.nodes[caller].terminal.call(&callee, now).unwrap();
        self.settle();
        session
    }

    pub fn events(&self, node: usize) -> &[Event] {
        &self.nodes[node].events
    }

    pub fn send(
        &mut self,
        node: usize,
        session: SessionId,
        offer: &Offer<'_>,
        segments: Vec<(Class, Vec<u8>)>,
    ) {
        let now = self.now;
        self.nodes[node].terminal.offer(session, offer, now).unwrap();
        self.nodes[node].sending.insert(session, Sending { segments, hash: None, done: false });
        self.settle();
    }

    /// Runs until nothing moves, without letting time pass.
    pub fn settle(&mut self) {
        for _ in 0..200_000 {
            let mut moved = self.broker_events();
            for node in 0..self.nodes.len() {
                moved |= self.node_events(node);
            }
            moved |= self.transmit();
            moved |= self.deliver();
            if !moved {
                return;
            }
        }
        panic!("the world never settles");
    }

    /// Lets time pass, with every time-out on the way.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        loop {
            self.settle();
            let next = self
                .nodes
                .iter_mut()
                .filter_map(|node| node.terminal.poll_timeout())
                .chain(self.broker.poll_timeout())
                .min()
                .unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let now = self.now;
            for node in &mut self.nodes {
                node.terminal.handle_timeout(now);
            }
            self.broker.handle_timeout(now);
        }
        self.now = end;
        self.settle();
    }

    fn pipe(&mut self, ends: [End; 2]) -> u64 {
        self.next_pipe += 1;
        self.pipes.insert(
            self.next_pipe,
            Pipe {
                ends,
                to: Default::default(),
                held: Default::default(),
                closing: [false; 2],
                record: Default::default(),
                dead: false,
            },
        );
        self.next_pipe
    }

    fn find(&self, end: End) -> Option<(u64, usize)> {
        self.pipes
            .iter()
            .filter(|(_, pipe)| !pipe.dead)
            .find_map(|(id, pipe)| pipe.ends.iter().position(|other| *other == end).map(|side| (*id, side)))
    }

    pub fn cut(&mut self, pipe: u64) {
        let now = self.now;
        let Some(pipe) = self.pipes.get_mut(&pipe) else { return };
        pipe.dead = true;
        for end in pipe.ends {
            match end {
                End::Node(node, link) => self.nodes[node].terminal.link_closed(link, now),
                End::Broker(connection) => self.broker.disconnected(connection, now),
            }
        }
    }

    fn broker_events(&mut self) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some(event) = self.broker.poll_event() {
            moved = true;
            match event {
                BrokerEvent::Transmit(connection) => {
                    let mut out = Vec::new();
                    self.broker.poll_transmit(connection, &mut out);
                    self.write(End::Broker(connection), &out);
                }
                BrokerEvent::Close(connection) => {
                    let mut out = Vec::new();
                    self.broker.poll_transmit(connection, &mut out);
                    self.write(End::Broker(connection), &out);
                    if let Some((pipe, side)) = self.find(End::Broker(connection)) {
                        self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                    }
                }
                BrokerEvent::Store(request, operation) => {
                    let stored = match operation {
                        StoreOperation::Enrol { ticket_digest, .. }
                            if !self.tickets.remove(&ticket_digest) =>
                        {
                            Stored::Refused
                        }
                        _ => Stored::Done,
                    };
                    self.broker.stored(request, stored, now);
                }
                BrokerEvent::Splice { first, second, .. } => {
                    self.splices.insert(first, second);
                    self.splices.insert(second, first);
                }
                BrokerEvent::Cut { first, second } => {
                    for end in [first, second] {
                        if let Some((pipe, _)) = self.find(End::Broker(end)) {
                            self.cut(pipe);
                        }
                    }
                }
                BrokerEvent::Log(record) => self.logs.push(record.to_string()),
            }
        }
        moved
    }

    fn node_events(&mut self, node: usize) -> bool {
        let now = self.now;
        let mut moved = false;
        while let Some(event) = self.nodes[node].terminal.poll_event() {
            moved = true;
            self.nodes[node].events.push(event);
            match event {
                Event::Connect { link, to } => self.connect(node, link, to),
                Event::Close { link } => {
                    self.transmit_link(node, link);
                    if let Some((pipe, side)) = self.find(End::Node(node, link)) {
                        self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                    }
                }
                Event::Persist => {
                    let mut blob = vec![0; blob_size(16)];
                    let length = self.nodes[node].terminal.blob(&mut blob).unwrap();
                    self.nodes[node].blob = blob[..length].to_vec();
                    self.nodes[node].terminal.persisted();
                }
                Event::Offered { session } if self.nodes[node].auto_accept => {
                    let node = &mut self.nodes[node];
                    let start = node.start.clone();
                    node.received.insert(session, start);
                    node.terminal.accept(session, node.resume_at, now).unwrap();
                }
                Event::Ready { session, offset } => self.send_all(node, session, offset),
                Event::Arrived { session, .. } => {
                    let node = &mut self.nodes[node];
                    let data = node.received.remove(&session).unwrap_or_default();
                    node.arrived.push(data);
                    node.terminal.stored(session, Ok(()), now).unwrap();
                }
                _ => {}
            }
        }
        moved
    }

    fn send_all(&mut self, node: usize, session: SessionId, start: u64) {
        let now = self.now;
        let Some(mut sending) = self.nodes[node].sending.remove(&session) else { return };
        let most = self.nodes[node].terminal.max_payload(session);
        let mut offset = 0_u64;
        let mut buffer = vec![0; HEADROOM + most + TAILROOM];
        for (segment, (class, bytes)) in sending.segments.iter().enumerate() {
            for piece in bytes.chunks(most) {
                let end = offset + piece.len() as u64;
                if end > start {
                    let skip = start.saturating_sub(offset) as usize;
                    let piece = &piece[skip..];
                    buffer[HEADROOM..HEADROOM + piece.len()].copy_from_slice(piece);
                    let place = Piece {
                        class: *class,
                        segment: segment as u64,
                        offset: offset + skip as u64,
                        length: piece.len(),
                    };
                    let (link, range) =
                        self.nodes[node].terminal.seal(session, place, &mut buffer, now).unwrap();
                    self.write(End::Node(node, link), &buffer[range]);
                }
                offset = end;
            }
        }
        let segments = sending.segments.len() as u64;
        for class in [Class::Sealed, Class::Rest] {
            let hash = sending.hash.as_ref();
            if let Ok((link, range)) =
                self.nodes[node].terminal.seal_end(session, class, segments, hash, &mut buffer, now)
            {
                self.write(End::Node(node, link), &buffer[range]);
            }
        }
        sending.done = true;
    }

    fn connect(&mut self, node: usize, link: LinkId, to: Destination) {
        let now = self.now;
        match to {
            Destination::Broker => {
                self.connections += 1;
                let connection = self.connections;
                self.pipe([End::Node(node, link), End::Broker(connection)]);
                let source = self.nodes[node].address;
                self.broker.connected(connection, source, now);
                self.nodes[node].terminal.link_opened(link, now);
            }
            Destination::Address(address) => {
                let callee = self.nodes.iter().position(|node| node.address == address && node.listening);
                let accepted = callee.filter(|_| !self.blocked.contains(&address)).and_then(|callee| {
                    self.nodes[callee].terminal.accepted(now).ok().map(|link| (callee, link))
                });
                match accepted {
                    Some((callee, there)) => {
                        self.pipe([End::Node(node, link), End::Node(callee, there)]);
                        self.nodes[node].terminal.link_opened(link, now);
                    }
                    // A blocked port answers nothing at all; a closed one refuses.
                    None if self.blocked.contains(&address) => {}
                    None => self.nodes[node].terminal.link_closed(link, now),
                }
            }
        }
    }

    pub fn write(&mut self, from: End, bytes: &[u8]) {
        if let Some((pipe, side)) = self.find(from) {
            let pipe = self.pipes.get_mut(&pipe).unwrap();
            pipe.to[1 - side].extend(bytes);
            pipe.record[1 - side].extend(bytes);
        }
    }

    fn transmit_link(&mut self, node: usize, link: LinkId) -> bool {
        let mut out = [0; 8_192];
        let mut moved = false;
        loop {
            let length = self.nodes[node].terminal.poll_transmit(link, &mut out, self.now).unwrap_or(0);
            if length == 0 {
                return moved;
            }
            moved = true;
            self.write(End::Node(node, link), &out[..length]);
        }
    }

    fn transmit(&mut self) -> bool {
        let mut moved = false;
        let links: Vec<_> =
            self.pipes.values().filter(|pipe| !pipe.dead).flat_map(|pipe| pipe.ends).collect();
        for end in links {
            if let End::Node(node, link) = end {
                moved |= self.transmit_link(node, link);
            }
        }
        moved
    }

    fn deliver(&mut self) -> bool {
        if self.frozen {
            return false;
        }
        let mut moved = false;
        for id in self.pipes.keys().copied().collect::<Vec<_>>() {
            for side in 0..2 {
                moved |= self.deliver_to(id, side);
            }
        }
        moved
    }

    fn deliver_to(&mut self, id: u64, side: usize) -> bool {
        let now = self.now;
        let chunk = self.chunk;
        let Some(pipe) = self.pipes.get_mut(&id) else { return false };
        if pipe.dead {
            return false;
        }
        let take = pipe.to[side].len().min(chunk);
        let mut moved = take > 0;
        let fresh: Vec<u8> = pipe.to[side].drain(..take).collect();
        pipe.held[side].extend(&fresh);
        match pipe.ends[side] {
            End::Broker(connection) => {
                if let Some(&other) = self.splices.get(&connection) {
                    let bytes = std::mem::take(&mut pipe.held[side]);
                    moved |= !bytes.is_empty();
                    self.write(End::Broker(other), &bytes);
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
            End::Node(node, link) => {
                let mut held = std::mem::take(&mut pipe.held[side]);
                while !held.is_empty() {
                    let input = self.nodes[node].terminal.handle_input(link, &mut held, now);
                    if let Step::Payload { session, offset, range } = &input.step {
                        let data = self.nodes[node].received.get_mut(session).unwrap();
                        assert_eq!(data.len() as u64, *offset);
                        data.extend_from_slice(&held[range.clone()]);
                    }
                    moved |= input.consumed > 0;
                    held.drain(..input.consumed);
                    match input.step {
                        Step::NeedMore(_) | Step::Blocked => break,
                        Step::Closed => held.clear(),
                        Step::Progress | Step::Payload { .. } => {}
                    }
                    moved |= self.node_events(node);
                }
                if let Some(pipe) = self.pipes.get_mut(&id) {
                    pipe.held[side] = held;
                }
            }
        }
        // The other end has closed and everything has come: this end is told.
        let Some(pipe) = self.pipes.get_mut(&id) else { return moved };
        if pipe.closing[1 - side] && pipe.to[side].is_empty() && !pipe.dead {
            let unread = !pipe.held[side].is_empty() && !pipe.closing[side];
            if !(unread && moved) {
                moved = true;
                pipe.dead = true;
                let (here, there) = (pipe.ends[side], pipe.ends[1 - side]);
                if let End::Node(node, link) = here {
                    self.nodes[node].terminal.link_closed(link, now);
                }
                for end in [here, there] {
                    if let End::Broker(connection) = end {
                        self.broker.disconnected(connection, now);
                        if let Some(other) = self.splices.remove(&connection) {
                            self.splices.remove(&other);
                            if let Some((pipe, side)) = self.find(End::Broker(other)) {
                                self.pipes.get_mut(&pipe).unwrap().closing[side] = true;
                            }
                        }
                    }
                }
            }
        }
        moved
    }
}
