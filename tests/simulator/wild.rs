//! Whoever is no terminal of this broker's: strangers with an identifier and no key, used tickets, guessed tokens, recordings of what others said, and
//! somebody at an address where a callee should be.

use super::liar::EvilGrant;
use super::net::{End, PipeId};
use super::rng::Rng;
use super::world::World;
use p2pgate::link::{
    Handle, Handshake, LaneToken, MaxRecord, Parsed, PeerGrant, Preamble, Psk, PublicKey, Record, SecretKey,
    Transport, record,
};
use p2pgate::message::{Accepted, Message, Request, SecretText};

/// Where attackers are.
pub const ADDRESS: &str = "198.51.100.66:7000";

pub enum Wild {
    /// Has said what it had to say.
    Silent,
    /// At a control link, in somebody's name.
    Client { link: ClientLink, texts: Vec<String>, victim: usize, key: PublicKey },
    /// Says what a callee has said to somebody else.
    Echo(Vec<u8>),
    /// Where a lying broker sends a caller.
    Callee,
}

pub enum ClientLink {
    Handshake(Box<Handshake>),
    Open(Transport),
    Over,
}

/// What only the two parties of a grant, or a callee, may hear.
const SECRETS: [&str; 6] =
    ["Callee Address:", "Caller ID:", "Encrypt Key:", "Password:", "Depositor:", "Token:"];

const MAX: MaxRecord = MaxRecord::new(4_096).unwrap();

impl World {
    fn wild(&mut self, wild: Wild) -> u64 {
        self.wilds += 1;
        self.wild.insert(self.wilds, wild);
        self.wilds
    }

    /// A connection of an attacker's, to a device or to the broker.
    fn intrude(&mut self, to: Option<usize>, wild: Wild, bytes: &[u8]) {
        let there = match to {
            None if self.host.broker.is_some() => {
                let connection = self.host.next_connection();
                self.broker_do(|broker, now| broker.connected(connection, ADDRESS.parse().unwrap(), now));
                End::Broker(connection)
            }
            Some(device) if self.devices[device].terminal.is_some() => {
                let now = self.clock(device);
                let Ok(link) = self.devices[device].terminal.as_mut().unwrap().accepted(now) else { return };
                self.devices[device].links.insert(link);
                End::Device { device, life: self.devices[device].life, link }
            }
            _ => return,
        };
        let wild = self.wild(wild);
        self.pipe([End::Wild(wild), there], None);
        self.write(End::Wild(wild), bytes);
        if let Some(device) = to {
            self.serve(device);
        }
    }

    pub fn stranger(&mut self, rng: &mut Rng) {
        let victim = rng.index(self.devices.len());
        match rng.below(5) {
            0 => self.pretend(victim, rng.bytes(), None, rng),
            1 if self.model.enrolled_key(victim).is_some() => {
                let ticket = self.model.used_ticket(victim).to_owned();
                self.pretend(victim, rng.bytes(), Some(ticket), rng);
            }
            2 => {
                let mut preamble = [0; 40];
                let token = LaneToken::new(rng.bytes());
                let length = Preamble::Lane { token }.encode(&mut preamble).unwrap();
                let to = rng.percent(50).then_some(victim);
                self.intrude(to, Wild::Silent, &preamble[..length]);
            }
            3 => {
                let mut preamble = [0; 40];
                let handle: Handle = rng.bytes();
                let length = Preamble::Peer { max_record: MAX, handle }.encode(&mut preamble).unwrap();
                let bytes = [&preamble[..length], &rng.bytes::<90>()].concat();
                self.intrude(Some(victim), Wild::Silent, &bytes);
            }
            _ => {
                let length = rng.index(300);
                let bytes: Vec<u8> = (0..length).map(|_| rng.next() as u8).collect();
                let to = rng.percent(50).then_some(victim);
                self.intrude(to, Wild::Silent, &bytes);
            }
        }
    }

    /// The device whose key was taken away goes on trying.
    pub fn impostor(&mut self, index: usize, secret: [u8; 32], ticket: String, rng: &mut Rng) {
        if self.model.enrolled_key(index) != Some(SecretKey::new(secret).public_key()) {
            let ticket = rng.percent(50).then_some(ticket);
            self.pretend(index, secret, ticket, rng);
        }
    }

    /// HELLO in somebody's name, and at once what would be worth it.
    fn pretend(&mut self, victim: usize, secret: [u8; 32], ticket: Option<String>, rng: &mut Rng) {
        let own = SecretKey::new(secret);
        let mut handshake = Handshake::control_initiator(&own, &self.host.key, MAX, rng.bytes());
        let mut message = [0; 512];
        let length = handshake.write(&[], &mut message).unwrap();
        let name = &self.devices[victim].name;
        let other = &self.devices[rng.index(self.devices.len())].name;
        let ticket = ticket.map(|ticket| format!("Ticket:{ticket}\n")).unwrap_or_default();
        let texts = vec![
            format!("HELLO\nIdentifier:{name}\n{ticket}Listen:1\nTransaction:1\n"),
            format!("QUERY\nIdentifier:{name}\nCallee:{other}\nTransaction:2\n"),
            format!("REGISTER\nIdentifier:{name}\nAccept:Create Mallory\nTransaction:3\nRevision:99999\n"),
        ];
        let link = ClientLink::Handshake(Box::new(handshake));
        let wild = Wild::Client { link, texts, victim, key: own.public_key() };
        self.intrude(None, wild, &message[..length]);
    }

    /// What somebody said is said again, to whom it was said or to another.
    pub fn replay(&mut self, rng: &mut Rng) {
        let count = self.net.records.len();
        let Some((_, recorded)) = self.net.records.get(rng.index(count)) else { return };
        let bytes = recorded.said[usize::from(rng.percent(15))].clone();
        let to = if rng.percent(80) { recorded.to } else { Some(rng.index(self.devices.len())) };
        self.intrude(to, Wild::Silent, &bytes);
    }

    /// Somebody accepts a connection of this device's, where another should be.
    pub fn wild_listener(&mut self, device: usize) -> u64 {
        if self.lying() {
            return self.wild(Wild::Callee);
        }
        let answers = self
            .net
            .records
            .iter()
            .filter(|(_, recorded)| recorded.to.is_some() && recorded.to != Some(device));
        let answers: Vec<Vec<u8>> = answers.map(|(_, recorded)| recorded.said[1].clone()).collect();
        let at = self.chance.index(answers.len());
        self.wild(Wild::Echo(answers.get(at).cloned().unwrap_or_default()))
    }

    pub fn feed_wild(&mut self, id: PipeId, side: usize, number: u64) -> bool {
        let bytes = self.take_unread(id, side);
        let Some(mut wild) = self.wild.remove(&number).filter(|_| !bytes.is_empty()) else { return false };
        let rest = match &mut wild {
            Wild::Silent => Vec::new(),
            Wild::Echo(answer) => {
                let answer = std::mem::take(answer);
                self.write(End::Wild(number), &answer);
                Vec::new()
            }
            Wild::Client { link, texts, victim, key } => {
                self.client_hears(number, link, texts, (*victim, *key), bytes)
            }
            Wild::Callee => self.answer_as_callee(number, bytes),
        };
        self.wild.insert(number, wild);
        self.put_back(id, side, rest);
        false
    }

    /// What comes on an attacker's control link; gives what is not whole yet.
    fn client_hears(
        &mut self,
        number: u64,
        link: &mut ClientLink,
        texts: &mut Vec<String>,
        (victim, key): (usize, PublicKey),
        mut bytes: Vec<u8>,
    ) -> Vec<u8> {
        while let Ok(Record::Complete(total)) = record(&bytes, MAX) {
            let mut record: Vec<u8> = bytes.drain(..total).collect();
            match std::mem::replace(link, ClientLink::Over) {
                ClientLink::Handshake(mut handshake) => {
                    if handshake.read(&mut record).is_err() {
                        break;
                    }
                    let mut transport = handshake.finish().unwrap();
                    for text in std::mem::take(texts) {
                        let mut out = vec![0; Transport::sealed_length(text.len())];
                        let length = transport.seal(text.as_bytes(), &mut out).unwrap();
                        self.write(End::Wild(number), &out[..length]);
                    }
                    *link = ClientLink::Open(transport);
                }
                ClientLink::Open(mut transport) => {
                    let Ok(range) = transport.open(&mut record) else { break };
                    let text = String::from_utf8(record[range].to_vec()).unwrap();
                    let enrolled = self.model.enrolled_key(victim) == Some(key);
                    assert!(enrolled || !text.contains("Status:200"), "an impostor is let in: {text}");
                    let secret = SECRETS.iter().any(|secret| text.contains(secret));
                    assert!(!secret, "an impostor hears {text}");
                    *link = ClientLink::Open(transport);
                }
                ClientLink::Over => {}
            }
        }
        bytes
    }

    /// What a caller hears that a lying broker has sent to an attacker: with the grant that the broker told the attacker too.
    fn answer_as_callee(&mut self, number: u64, mut bytes: Vec<u8>) -> Vec<u8> {
        let Ok(Parsed::Complete(preamble @ Preamble::Peer { handle, .. }, used)) = Preamble::parse(&bytes)
        else {
            return bytes;
        };
        if !matches!(record(&bytes[used..], MaxRecord::MIN), Ok(Record::Complete(_))) {
            return bytes;
        }
        let Some(lies) = &self.lies else { return Vec::new() };
        let Some(EvilGrant { caller, callee, psk, callee_password, .. }) =
            lies.borrow().grants.get(&handle).cloned()
        else {
            return Vec::new();
        };
        let remote = self.model.key(self.model.index_of(&caller).unwrap());
        let grant =
            PeerGrant { handle, caller: &caller, callee: &callee, remote: &remote, psk: &Psk::new(psk) };
        let own = super::liar::attacker();
        let mut handshake =
            Handshake::peer_responder(&preamble, &own, &grant, MAX, self.chance.bytes()).unwrap();
        if handshake.read(&mut bytes[used..]).is_ok() {
            let password = SecretText::new(&callee_password);
            let accepted = Message::Accepted(Accepted { transaction: None, callee_password: Some(password) });
            let (mut text, mut out) = ([0; 448], [0; 1_024]);
            let length = accepted.encode(&mut text).unwrap();
            let length = handshake.write(&text[..length], &mut out).unwrap();
            self.write(End::Wild(number), &out[..length]);
        }
        Vec::new()
    }

    /// An attacker calls a callee to which a lying broker has announced it in another's name.
    pub fn call_as(&mut self, grant: &EvilGrant, ephemeral: [u8; 32]) {
        let EvilGrant { handle, caller, callee, psk, password, .. } = grant;
        let to = self.model.index_of(callee).unwrap();
        let remote = self.model.key(to);
        let peer = PeerGrant { handle: *handle, caller, callee, remote: &remote, psk: &Psk::new(*psk) };
        let mut handshake =
            Handshake::peer_initiator(&super::liar::attacker(), &peer, MAX, ephemeral).unwrap();
        let request = Message::Request(Request { identifier: caller, password: SecretText::new(password) });
        let (mut text, mut out) = ([0; 448], [0; 1_024]);
        let length = request.encode(&mut text).unwrap();
        let length = handshake.write(&text[..length], &mut out).unwrap();
        self.intrude(Some(to), Wild::Silent, &out[..length]);
    }
}
