//! A broker on virtual time, a store in memory, and terminals made of `link` and texts.

use p2pgate::broker::{
    Broker, Config, ConnectionId, DepositNotice, DepositRecord, Event, KeptPart, LogRecord, Name, Next,
    RequestId, StoreOperation, Stored, StoredDeposit, digest_of_ticket,
};
use p2pgate::link::{Handshake, MaxRecord, PublicKey, Record, SecretKey, Transport, record};
use p2pgate::message::DepositId;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

/// One connection as its terminal sees it.
#[derive(Default)]
struct Peer {
    handshake: Option<Handshake>,
    transport: Option<Transport>,
    received: Vec<u8>,
    texts: VecDeque<String>,
    /// What the terminal has sent, as on the wire.
    sent: Vec<u8>,
}

/// What the broker is to have on disk, by the contract of `StoreOperation`.
#[derive(Default)]
pub struct Store {
    pub tickets: BTreeMap<[u8; 32], String>,
    pub keys: BTreeMap<Name, PublicKey>,
    pub lists: BTreeMap<Name, (u64, BTreeMap<Name, Option<PublicKey>>)>,
    pub addresses: BTreeMap<Name, p2pgate::broker::StoredAddress>,
    pub groups: BTreeMap<Name, (Name, BTreeMap<Name, Option<PublicKey>>)>,
    pub frames: BTreeMap<Name, u32>,
    /// A resolver's.
    pub resolved: BTreeMap<Name, p2pgate::broker::StoredAddress>,
    pub deposits: BTreeMap<DepositId, (DepositRecord, Vec<KeptPart>, Option<DepositNotice>)>,
    /// Refuse to write anything of deposits.
    pub broken: bool,
}

impl Store {
    fn apply(&mut self, operation: StoreOperation) -> Stored {
        match operation {
            StoreOperation::Enrol { identifier, ticket_digest, key } => {
                let bound = self.keys.get(&identifier).is_some_and(|bound| *bound != key)
                    || self.groups.contains_key(&identifier);
                let ticket = ticket_digest.and_then(|digest| self.tickets.remove_entry(&digest));
                let proven = match &ticket {
                    Some((_, name)) => **name == *identifier,
                    None => ticket_digest.is_none(),
                };
                if bound || !proven {
                    self.tickets.extend(ticket);
                    return Stored::Refused;
                }
                let lists = self.lists.values_mut().map(|(_, list)| list);
                for list in lists.chain(self.groups.values_mut().map(|(_, members)| members)) {
                    list.entry(identifier.clone()).and_modify(|entry| *entry = entry.or(Some(key)));
                }
                self.keys.insert(identifier, key);
            }
            StoreOperation::SaveList { identifier, key, revision, list } => {
                if self.keys.get(&identifier) != Some(&key) {
                    return Stored::Refused;
                }
                let bind = |(name, key): (Name, Option<PublicKey>)| {
                    let owner = self.groups.get(&name).map(|(owner, _)| owner);
                    let key = key.or_else(|| self.keys.get(owner.unwrap_or(&name)).copied());
                    (name, key)
                };
                let list = list.into_iter().map(bind).collect();
                self.lists.insert(identifier, (revision, list));
            }
            StoreOperation::SaveGroup { group, owner, key, members } => {
                let taken = self.keys.contains_key(&group) || self.tickets.values().any(|it| **it == *group);
                if self.keys.get(&owner) != Some(&key) || taken {
                    return Stored::Refused;
                }
                let Some(members) = members else {
                    self.groups.remove(&group);
                    return Stored::Done;
                };
                for (_, list) in self.lists.values_mut() {
                    list.entry(group.clone()).and_modify(|entry| *entry = entry.or(Some(key)));
                }
                let bind = |(name, key): (Name, Option<PublicKey>)| {
                    let key = key.or_else(|| self.keys.get(&name).copied());
                    (name, key)
                };
                let members = members.into_iter().map(bind).collect();
                self.groups.insert(group, (owner, members));
            }
            StoreOperation::SaveAddress { identifier, key, address } => {
                if self.keys.get(&identifier) != Some(&key) {
                    return Stored::Refused;
                }
                self.addresses.insert(identifier, address);
            }
            StoreOperation::SaveResolved { .. } if self.broken => return Stored::Failed,
            StoreOperation::SaveResolved { identifier, address: Some(address) } => {
                self.resolved.insert(identifier, address);
            }
            StoreOperation::SaveResolved { identifier, address: None } => {
                self.resolved.remove(&identifier);
            }
            StoreOperation::SaveFrame { .. } if self.broken => return Stored::Failed,
            StoreOperation::SaveFrame { identifier, frame, .. } => {
                self.frames.insert(identifier, frame);
            }
            _ if self.broken => return Stored::Failed,
            StoreOperation::OpenDeposit(record) => {
                self.deposits.insert(record.deposit, (record, Vec::new(), None));
            }
            StoreOperation::KeepPart { deposit, part } => match self.deposits.get_mut(&deposit) {
                Some((_, parts, None)) if parts.len() == part.number as usize => parts.push(part),
                _ => return Stored::Refused,
            },
            StoreOperation::EndDeposit { deposit, notice } => match (self.deposits.get_mut(&deposit), notice)
            {
                (Some(entry), Some(_)) => entry.2 = notice,
                _ => drop(self.deposits.remove(&deposit)),
            },
        }
        Stored::Done
    }
}

pub struct World {
    pub broker: Broker,
    pub now: u64,
    pub store: Store,
    /// Keep the store's operations back in `held`.
    pub hold: bool,
    pub held: VecDeque<(RequestId, StoreOperation)>,
    pub splices: Vec<(ConnectionId, ConnectionId, u64, bool)>,
    pub cuts: Vec<(ConnectionId, ConnectionId)>,
    pub closed: Vec<ConnectionId>,
    pub logs: Vec<LogRecord>,
    /// The deposits' files, the lanes that fill them, and those that are to get them.
    pub files: BTreeMap<DepositId, Vec<u8>>,
    pub takes: BTreeMap<ConnectionId, DepositId>,
    pub gives: BTreeMap<ConnectionId, Vec<u8>>,
    /// Every text that the broker sent: to whom, and what.
    pub transcript: Vec<(ConnectionId, String)>,
    /// What goes out on connections that are not a terminal's, as on the wire.
    pub raw: BTreeMap<ConnectionId, Vec<u8>>,
    /// How often the resolver was to be dialled, which names were to be looked up, whose leases were to be found.
    pub dials: usize,
    pub lookups: Vec<(RequestId, Vec<Name>)>,
    pub leases: Vec<(RequestId, Name)>,
    /// Which addresses were to be tried.
    pub reaches: Vec<(RequestId, Vec<SocketAddr>)>,
    peers: BTreeMap<ConnectionId, Peer>,
    last: ConnectionId,
    entropy: u8,
}

pub fn key(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

/// Where terminal `number` connects from.
pub fn source(number: u64) -> SocketAddr {
    SocketAddr::from(([203, 0, 113, number as u8], 40_000))
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        Self::of(Broker::new(config, key(200), [7; 32]))
    }

    pub fn of(broker: Broker) -> Self {
        Self {
            broker,
            now: 1_000_000,
            store: Store::default(),
            hold: false,
            held: VecDeque::new(),
            splices: Vec::new(),
            cuts: Vec::new(),
            closed: Vec::new(),
            logs: Vec::new(),
            files: BTreeMap::new(),
            takes: BTreeMap::new(),
            gives: BTreeMap::new(),
            transcript: Vec::new(),
            raw: BTreeMap::new(),
            dials: 0,
            lookups: Vec::new(),
            leases: Vec::new(),
            reaches: Vec::new(),
            peers: BTreeMap::new(),
            last: 0,
            entropy: 0,
        }
    }

    /// The operator's `enrol ID`.
    pub fn ticket(&mut self, identifier: &str, ticket: &str) {
        self.store.tickets.insert(digest_of_ticket(ticket), identifier.into());
    }

    pub fn revoke(&mut self, identifier: &str) {
        self.store.keys.remove(identifier);
        self.store.lists.remove(identifier);
        self.store.addresses.remove(identifier);
        self.store.groups.retain(|_, (owner, _)| **owner != *identifier);
        self.broker.revoke(identifier, self.now);
        self.run();
    }

    pub fn next_connection(&mut self) -> ConnectionId {
        self.last += 1;
        self.last
    }

    /// A bare connection.
    pub fn connect(&mut self, from: SocketAddr) -> ConnectionId {
        let id = self.next_connection();
        self.peers.insert(id, Peer::default());
        self.broker.connected(id, from, self.now);
        self.run();
        id
    }

    pub fn disconnect(&mut self, id: ConnectionId) {
        self.peers.remove(&id);
        self.broker.disconnected(id, self.now);
        self.run();
    }

    /// Feeds bytes, by pieces of `size`; gives what the broker said last.
    pub fn feed(&mut self, id: ConnectionId, bytes: &[u8], size: usize) -> Next {
        let mut buffer = Vec::new();
        let mut next = Next::NeedMore;
        for piece in bytes.chunks(size) {
            buffer.extend_from_slice(piece);
            let input = self.broker.handle_input(id, &mut buffer, self.now);
            buffer.drain(..input.consumed);
            assert!(buffer.len() <= p2pgate::broker::MAX_INPUT);
            next = input.next;
            self.run();
            if next != Next::NeedMore {
                break;
            }
        }
        next
    }

    /// A control link up to its handshake's end, without HELLO.
    pub fn dial(&mut self, own: &SecretKey, from: SocketAddr, max_record: u16) -> ConnectionId {
        self.entropy = self.entropy.wrapping_add(1);
        let broker = self.broker.public_key();
        let max_record = MaxRecord::new(max_record).unwrap();
        let mut handshake = Handshake::control_initiator(own, &broker, max_record, [self.entropy; 32]);
        let mut message = [0; 512];
        let length = handshake.write(&[], &mut message).unwrap();
        let id = self.connect(from);
        let peer = self.peers.get_mut(&id).unwrap();
        peer.handshake = Some(handshake);
        peer.sent.extend_from_slice(&message[..length]);
        self.feed(id, &message[..length], usize::MAX);
        assert!(self.peers[&id].transport.is_some(), "the handshake is through");
        id
    }

    /// What a terminal has sent so far, as on the wire.
    pub fn wire(&self, id: ConnectionId) -> Vec<u8> {
        self.peers[&id].sent.clone()
    }

    /// Seals a text as a record.
    pub fn seal(&mut self, id: ConnectionId, text: &[u8]) -> Vec<u8> {
        let peer = self.peers.get_mut(&id).unwrap();
        let mut record = vec![0; Transport::sealed_length(text.len())];
        peer.transport.as_mut().unwrap().seal(text, &mut record).unwrap();
        peer.sent.extend_from_slice(&record);
        record
    }

    pub fn send(&mut self, id: ConnectionId, text: &str) {
        let record = self.seal(id, text.as_bytes());
        self.feed(id, &record, usize::MAX);
    }

    /// The texts that have come on a link since the last time.
    pub fn texts(&mut self, id: ConnectionId) -> Vec<String> {
        self.peers.get_mut(&id).map(|peer| peer.texts.drain(..).collect()).unwrap_or_default()
    }

    /// The one text that has come.
    pub fn text(&mut self, id: ConnectionId) -> String {
        let mut texts = self.texts(id);
        assert_eq!(texts.len(), 1, "one text is due: {texts:?}");
        texts.remove(0)
    }

    /// Sends a text and gives the one answer.
    pub fn ask(&mut self, id: ConnectionId, text: &str) -> String {
        self.send(id, text);
        self.text(id)
    }

    /// A terminal with key `number`, enrolled before, whose HELLO is through.
    pub fn terminal(&mut self, identifier: &str, number: u8) -> ConnectionId {
        let own = key(number);
        if !self.store.keys.contains_key(identifier) {
            let ticket = format!("ticket of {identifier} {number}");
            self.ticket(identifier, &ticket);
            let link = self.dial(&own, source(number.into()), 4_096);
            let answer = self.ask(link, &format!("HELLO\nIdentifier:{identifier}\nTicket:{ticket}\n"));
            assert!(answer.contains("Status:200"), "{answer}");
            self.disconnect(link);
        }
        let link = self.dial(&own, source(number.into()), 4_096);
        let answer = self.ask(link, &format!("HELLO\nIdentifier:{identifier}\nListen:1\n"));
        assert!(answer.contains("Status:200"), "{answer}");
        link
    }

    /// A listening terminal with an address and a list.
    pub fn callee(&mut self, identifier: &str, number: u8, list: &str) -> ConnectionId {
        let link = self.terminal(identifier, number);
        let address = format!("ADDRESS\nIdentifier:{identifier}\nAddress:0.0.0.0\nPort:7800\n");
        assert!(self.ask(link, &address).contains("Status:200"));
        let register = format!("REGISTER\nIdentifier:{identifier}\nAccept:Create {list}\n");
        assert!(self.ask(link, &register).contains("Status:200"));
        link
    }

    /// Lets time pass, by whatever is due meanwhile.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while let Some(due) = self.broker.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.broker.handle_timeout(self.now);
            self.run();
        }
        self.now = end;
    }

    /// Lets the store do what it holds.
    pub fn release(&mut self) {
        while let Some((request, operation)) = self.held.pop_front() {
            let outcome = self.store.apply(operation);
            self.broker.stored(request, outcome, self.now);
            self.run();
        }
    }

    /// What comes on a depositor's lane, by pieces; how much was taken.
    pub fn deposit(&mut self, lane: ConnectionId, bytes: &[u8], size: usize) -> usize {
        let mut all = 0;
        for piece in bytes.chunks(size) {
            let taken = self.broker.deposit_input(lane, piece, self.now);
            let deposit = self.takes[&lane];
            self.files.get_mut(&deposit).unwrap().extend_from_slice(&piece[..taken]);
            all += taken;
            self.run();
            if taken < piece.len() {
                break;
            }
        }
        all
    }

    /// The process is killed; another one starts on what the store has.
    pub fn restart(&mut self) {
        self.held.clear();
        let mut broker = Broker::new(self.broker.config().clone(), key(200), [8; 32]);
        for (identifier, key) in &self.store.keys {
            let (revision, list) = self.store.lists.get(identifier).cloned().unwrap_or_default();
            let address = self.store.addresses.get(identifier).cloned();
            broker.restore_terminal(identifier, Some(*key), revision, list, address).unwrap();
            if let Some(frame) = self.store.frames.get(identifier) {
                broker.restore_frame(identifier, *frame);
            }
        }
        for (group, (owner, members)) in &self.store.groups {
            broker.restore_group(group, owner, members.clone()).unwrap();
        }
        for (record, parts, notice) in self.store.deposits.values() {
            let last = parts.last();
            let stored = StoredDeposit {
                record: record.clone(),
                parts: parts.iter().map(|part| (part.offset, part.start)).collect(),
                kept: last.map_or(0, |part| part.kept),
                stored: last.map_or(0, |part| part.end),
                complete: last.is_some_and(|part| part.complete),
                notice: *notice,
                age_ms: 0,
            };
            broker.restore_deposit(stored, self.now);
        }
        self.broker = broker;
        self.peers.clear();
        self.run();
    }

    pub fn is_closed(&self, id: ConnectionId) -> bool {
        self.closed.contains(&id)
    }

    /// Drains the broker's events.
    pub fn run(&mut self) {
        while let Some(event) = self.broker.poll_event() {
            match event {
                Event::Transmit(id) => self.receive(id),
                Event::Close(id) => self.closed.push(id),
                Event::Store(request, operation) => {
                    self.held.push_back((request, operation));
                    if !self.hold {
                        self.release();
                    }
                }
                Event::Splice { first, second, limit, tunnel } => {
                    self.splices.push((first, second, limit, tunnel))
                }
                Event::Cut { first, second } => self.cuts.push((first, second)),
                Event::Deposit { connection, deposit, start } => {
                    let file = self.files.entry(deposit).or_default();
                    assert!(file.len() >= start as usize, "what is kept is there");
                    file.truncate(start as usize);
                    self.takes.insert(connection, deposit);
                }
                Event::Collect { connection, deposit, start, end } => {
                    let part = self.files[&deposit][start as usize..end as usize].to_vec();
                    self.gives.insert(connection, part);
                }
                Event::DialResolver => self.dials += 1,
                Event::LookUp { request, names } => self.lookups.push((request, names)),
                Event::FindLease { request, identifier } => self.leases.push((request, identifier)),
                Event::Reach { request, addresses } => self.reaches.push((request, addresses)),
                Event::Log(record) => self.logs.push(record),
            }
        }
    }

    fn receive(&mut self, id: ConnectionId) {
        let mut bytes = Vec::new();
        self.broker.poll_transmit(id, &mut bytes);
        if let Some(raw) = self.raw.get_mut(&id) {
            return raw.append(&mut bytes);
        }
        let Some(peer) = self.peers.get_mut(&id) else { return };
        peer.received.extend_from_slice(&bytes);
        while let Ok(Record::Complete(length)) = record(&peer.received, MaxRecord::MAX) {
            let mut whole: Vec<u8> = peer.received.drain(..length).collect();
            if let Some(transport) = &mut peer.transport {
                let range = transport.open(&mut whole).expect("the broker's records open");
                let text = String::from_utf8(whole[range].to_vec()).unwrap();
                self.transcript.push((id, text.clone()));
                peer.texts.push_back(text);
            } else if let Some(mut handshake) = peer.handshake.take() {
                handshake.read(&mut whole).expect("message 2 opens");
                peer.transport = Some(handshake.finish().unwrap());
            }
        }
    }
}

/// The value of a text's line.
pub fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text:?}"))
}

pub fn has(text: &str, name: &str) -> bool {
    text.lines().any(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':')))
}
