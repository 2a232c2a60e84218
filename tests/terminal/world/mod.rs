//! A broker and terminals on virtual time, joined by perfect pipes that cut bytes as they please.

mod deeds;
mod deposits;
mod pipes;
mod tap;

pub use deposits::{Shelf, ToDeposit};
pub use pipes::{BUFFER, End, Pipe};
pub use tap::{Listener, Spoken};

use p2pgate::broker::{Broker, Config as BrokerConfig, Name, Stored, digest_of_ticket};
use p2pgate::identifier::Identifier;
use p2pgate::link::{MaxRecord, PublicKey, SecretKey};
use p2pgate::load::LoadGate;
use p2pgate::mpeg::Class;
use p2pgate::sframe::Suite;
use p2pgate::terminal::{Change, Config, Event, LinkId, Offer, SessionId, Terminal};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::SocketAddr;

pub const SESSIONS: usize = 4;
pub const PEERS: usize = 16;
pub type TestTerminal = Terminal<SESSIONS, PEERS>;
/// Frames in the order in which they are written.
pub type Tamper = Box<dyn FnMut(&mut Vec<(LinkId, Vec<u8>)>)>;

const BROKER_SECRET: [u8; 32] = [9; 32];

/// What is at an address.
#[derive(Clone, Copy, Debug)]
pub enum Host {
    Node(usize),
    /// A node that takes so many milliseconds to answer.
    Delayed(usize, u64),
    /// Accepts, and its other end is the test's.
    Wild,
    Refuses,
    Silent,
}

/// A recording to send: segments in order.
pub struct Sending {
    pub segments: Vec<(Class, Vec<u8>)>,
    pub hash: Option<[u8; 32]>,
}

pub struct Node {
    pub terminal: TestTerminal,
    pub identifier: Identifier,
    pub secret: [u8; 32],
    pub address: SocketAddr,
    pub events: Vec<Event>,
    pub times: Vec<u64>,
    pub sending: HashMap<SessionId, Sending>,
    pub received: HashMap<SessionId, Vec<u8>>,
    pub arrived: Vec<Vec<u8>>,
    pub hashes: Vec<Option<[u8; 32]>>,
    pub blob: Vec<u8>,
    pub auto_accept: bool,
    pub auto_store: bool,
    pub auto_persist: bool,
    pub resume_at: u64,
    pub start: Vec<u8>,
    /// What it deposits when it is asked.
    pub deposit: Option<ToDeposit>,
    /// Otherwise: it doesn't answer.
    pub undecided: bool,
    /// What `list_deposits` brought: number, for whom, size, kept.
    pub listed: Vec<([u8; 16], String, u64, u64)>,
    config: Box<dyn Fn() -> Config>,
    starts: u8,
}

pub struct World {
    pub now: u64,
    pub broker: Broker,
    pub broker_config: BrokerConfig,
    /// Connections to the broker fail.
    pub broker_down: bool,
    pub nodes: Vec<Node>,
    pub pipes: BTreeMap<u64, Pipe>,
    next_pipe: u64,
    connections: u64,
    splices: HashMap<u64, u64>,
    pub hosts: HashMap<SocketAddr, Host>,
    later: Vec<(u64, usize, LinkId, Host)>,
    pub tickets: HashSet<[u8; 32]>,
    pub chunk: usize,
    pub logs: Vec<String>,
    /// Links are tapped from now on.
    pub tapped: bool,
    pub listener: Listener,
    pub tamper: Option<Tamper>,
    /// What the store says to lists.
    pub list_outcome: Stored,
    /// What the store has: lists with their numbers, keys.
    pub lists: BTreeMap<String, (u64, Vec<String>)>,
    pub keys: BTreeMap<String, PublicKey>,
    pub shelf: Shelf,
    /// Domain names that the broker wants looked up.
    pub lookups: Vec<(u64, Vec<Name>)>,
    /// Not 0: everything happens in random order and portions.
    pub rng: u64,
    /// Some of what can be done is being done, see [`World::stir`].
    pub stirring: bool,
    /// Output buffers are as small as can be.
    pub narrow: bool,
    /// How often a node said `Blocked`, and the most bytes it left lying then.
    pub waited: usize,
    pub most_held: usize,
}

pub fn identifier(text: &str) -> Identifier {
    Identifier::new(text).unwrap()
}

impl World {
    pub fn new(config: BrokerConfig) -> Self {
        Self {
            now: 1_000,
            broker: Broker::new(config.clone(), SecretKey::new(BROKER_SECRET), [8; 32]),
            broker_config: config,
            broker_down: false,
            nodes: Vec::new(),
            pipes: BTreeMap::new(),
            next_pipe: 0,
            connections: 0,
            splices: HashMap::new(),
            hosts: HashMap::new(),
            later: Vec::new(),
            tickets: HashSet::new(),
            chunk: 700,
            logs: Vec::new(),
            tapped: false,
            listener: Listener::default(),
            tamper: None,
            list_outcome: Stored::Done,
            lists: BTreeMap::new(),
            keys: BTreeMap::new(),
            shelf: Shelf::default(),
            lookups: Vec::new(),
            rng: 0,
            stirring: false,
            narrow: false,
            waited: 0,
            most_held: 0,
        }
    }

    /// A terminal that is enrolled and online, and listens.
    pub fn add(&mut self, name: &str) -> usize {
        self.add_with(name, |_| {})
    }

    pub fn add_with(&mut self, name: &str, adjust: impl Fn(&mut Config) + 'static) -> usize {
        let index = self.nodes.len();
        let address: SocketAddr = format!("192.0.2.{}:7000", index + 1).parse().unwrap();
        let secret = [index as u8 + 20; 32];
        let (text, broker_key) = (name.to_owned(), self.broker.public_key());
        let config = move || {
            let mut config = Config {
                identifier: identifier(&text),
                secret: SecretKey::new(secret),
                broker_key,
                max_record: MaxRecord::new(4_096).unwrap(),
                max_frame: 2_048,
                suite: Suite::Aes128CtrHmacSha256_80,
                listen: true,
                allow_loopback: false,
                load: LoadGate::new(80, 10, 3),
            };
            adjust(&mut config);
            config
        };
        let (mut terminal, _) = TestTerminal::new(config(), &[index as u8 + 40; 32], &[0; 32]);
        let ticket = format!("ticket of {}", &name[..name.len().min(40)]);
        self.tickets.insert(digest_of_ticket(&ticket));
        terminal.enrol(&ticket).unwrap();
        terminal.listen_at(&[address]).unwrap();
        terminal.connect(self.now);
        self.nodes.push(Node {
            terminal,
            identifier: identifier(name),
            secret,
            address,
            events: Vec::new(),
            times: Vec::new(),
            sending: HashMap::new(),
            received: HashMap::new(),
            arrived: Vec::new(),
            hashes: Vec::new(),
            blob: Vec::new(),
            auto_accept: true,
            auto_store: true,
            auto_persist: true,
            resume_at: 0,
            start: Vec::new(),
            deposit: None,
            undecided: false,
            listed: Vec::new(),
            config: Box::new(config),
            starts: 0,
        });
        self.settle();
        index
    }

    /// The terminal loses its power and starts again with what it has stored.
    pub fn restart(&mut self, node: usize) {
        for pipe in self.open_pipes(node) {
            self.cut(pipe);
        }
        let place = &mut self.nodes[node];
        place.starts += 1;
        let (mut terminal, _) =
            TestTerminal::new((place.config)(), &[node as u8 + 40; 32], &[place.starts; 32]);
        if !place.blob.is_empty() {
            terminal.restore(&place.blob).unwrap();
        }
        terminal.listen_at(&[place.address]).unwrap();
        terminal.connect(self.now);
        place.terminal = terminal;
        self.settle();
    }

    /// The broker starts again with `lists`, after everybody has lost it.
    pub fn restart_broker(&mut self, lists: &BTreeMap<String, (u64, Vec<String>)>) {
        let of_broker = |pipe: &Pipe| pipe.ends.iter().any(|end| matches!(end, End::Broker(_)));
        let pipes: Vec<u64> =
            self.pipes.iter().filter(|(_, pipe)| of_broker(pipe)).map(|(id, _)| *id).collect();
        for pipe in pipes {
            self.cut(pipe);
        }
        self.broker = Broker::new(self.broker_config.clone(), SecretKey::new(BROKER_SECRET), [7; 32]);
        for (name, key) in &self.keys {
            let (revision, list) = lists.get(name).cloned().unwrap_or_default();
            let list = list.iter().map(|name| (Name::from(name.as_str()), self.keys.get(name).copied()));
            self.broker.restore_terminal(name, Some(*key), revision, list, None).unwrap();
        }
        self.restore_deposits();
        self.pass(5_000);
    }

    pub fn permit(&mut self, node: usize, add: &[&str], delete: &[&str]) {
        let add: Vec<_> = add.iter().map(|name| (identifier(name), None)).collect();
        let delete: Vec<_> = delete.iter().map(|name| identifier(name)).collect();
        self.nodes[node].terminal.permit(&Change::Change { add: &add, delete: &delete }).unwrap();
        self.settle();
    }

    /// What a terminal says of its group; the broker's status.
    pub fn group(&mut self, owner: usize, replace: bool, add: &[&str], delete: &[&str]) -> Option<u16> {
        let group = identifier(&format!("{}/family", self.nodes[owner].identifier));
        let add: Vec<_> = add.iter().map(|name| (identifier(name), None)).collect();
        let delete: Vec<_> = delete.iter().map(|name| identifier(name)).collect();
        let mut out = vec![0; 4_096];
        let terminal = &mut self.nodes[owner].terminal;
        let (link, length) =
            terminal.group(&group, replace, &add.as_slice(), &delete.as_slice(), &mut out).unwrap();
        self.write(End::Node(owner, link), &out[..length]);
        self.settle();
        self.events(owner).iter().rev().find_map(|event| match event {
            Event::GroupAnswered { status } => Some(*status),
            _ => None,
        })
    }

    pub fn create(&mut self, node: usize, names: &[&str]) {
        let names: Vec<_> = names.iter().map(|name| (identifier(name), None)).collect();
        self.nodes[node].terminal.permit(&Change::Create(&names)).unwrap();
        self.settle();
    }

    /// The list as the terminal has it, in order.
    pub fn listed(&self, node: usize) -> Vec<String> {
        let list = self.nodes[node].terminal.permitted();
        let mut names: Vec<String> = list.map(|(name, _)| name.as_str().to_owned()).collect();
        names.sort();
        names
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

    pub fn clear(&mut self, node: usize) {
        self.nodes[node].events.clear();
        self.nodes[node].times.clear();
    }

    pub fn send(
        &mut self,
        node: usize,
        session: SessionId,
        offer: &Offer<'_>,
        segments: Vec<(Class, Vec<u8>)>,
    ) {
        self.send_with(node, session, offer, segments, None);
    }

    pub fn send_with(
        &mut self,
        node: usize,
        session: SessionId,
        offer: &Offer<'_>,
        segments: Vec<(Class, Vec<u8>)>,
        hash: Option<[u8; 32]>,
    ) {
        let now = self.now;
        self.nodes[node].terminal.offer(session, offer, now).unwrap();
        self.nodes[node].sending.insert(session, Sending { segments, hash });
        self.settle();
    }

    /// Some number under `limit`.
    pub fn random(&mut self, limit: usize) -> usize {
        self.rng ^= self.rng << 13;
        self.rng ^= self.rng >> 7;
        self.rng ^= self.rng << 17;
        (self.rng % limit as u64) as usize
    }

    /// Everybody does what there is to do, once.
    pub fn step(&mut self) -> bool {
        let mut moved = self.broker_events();
        for node in 0..self.nodes.len() {
            moved |= self.node_events(node);
        }
        moved |= self.transmit();
        for id in self.pipes.keys().copied().collect::<Vec<_>>() {
            moved |= self.deliver_to(id, 0) | self.deliver_to(id, 1);
        }
        moved
    }

    /// Runs until nothing moves, without letting time pass.
    pub fn settle(&mut self) {
        for _ in 0..200_000 {
            self.stirring = self.rng != 0;
            let stirred = self.stirring && self.stir();
            self.stirring = false;
            let moved = stirred || self.step();
            if !moved {
                return;
            }
        }
        panic!("the world never settles");
    }

    /// Does some of what can be done, in any order.
    fn stir(&mut self) -> bool {
        let mut moved = false;
        for _ in 0..8 {
            let pipes: Vec<u64> =
                self.pipes.iter().filter(|(_, pipe)| !pipe.dead).map(|(id, _)| *id).collect();
            let (node, side) = (self.random(self.nodes.len()), self.random(2));
            moved |= match self.random(4) {
                0 => self.broker_events(),
                1 => self.node_events(node),
                _ if pipes.is_empty() => false,
                choice => {
                    let pipe = pipes[self.random(pipes.len())];
                    match self.pipes[&pipe].ends[side] {
                        End::Node(node, link) if choice == 2 => self.transmit_link(node, link),
                        _ => self.deliver_to(pipe, side),
                    }
                }
            };
        }
        moved
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
                .chain(self.later.iter().map(|(at, ..)| *at))
                .min()
                .unwrap_or(u64::MAX);
            if next > end {
                break;
            }
            self.now = self.now.max(next);
            let now = self.now;
            let (due, later) = std::mem::take(&mut self.later).into_iter().partition(|(at, ..)| *at <= now);
            self.later = later;
            let due: Vec<_> = due;
            for (_, node, link, host) in due {
                self.reach(node, link, host);
            }
            for node in &mut self.nodes {
                node.terminal.handle_timeout(now);
            }
            self.broker.handle_timeout(now);
        }
        self.now = end;
        self.settle();
    }
}
