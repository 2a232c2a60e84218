//! A terminal made by hand, which says what no proper one would.

#![allow(dead_code)] // each test file uses its part

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use base64ct::{Base64, Encoding};
use p2pgate::link::{Handle, Handshake, MaxRecord, PeerGrant, Psk, PublicKey, SecretKey, Transport};
use rustix::net::{AddressFamily, SocketType};

use crate::common::Stage;

/// Far more than any deadline of the programs: what is not closed by then is not going to be.
const PATIENCE: Duration = Duration::from_secs(30);

/// From an address of this machine that no honest terminal has, as limits are by source.
pub fn connect(to: SocketAddr) -> TcpStream {
    connect_from(2, to)
}

/// The same from 127.0.0.`number`.
pub fn connect_from(number: u8, to: SocketAddr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, number], 0))).unwrap();
    rustix::net::connect(&socket, &to).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Waits for the other end to close: what it said before.
pub fn last_words(stream: &mut TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match stream.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it was not closed: {error}"),
    }
    said
}

/// The next record, prefix included; `None` at the connection's end, orderly or not.
pub fn next_record(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut prefix = [0; 2];
    match stream.read_exact(&mut prefix) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("neither a record nor the end"),
        Err(_) => return None,
        Ok(()) => {}
    }
    let mut record = prefix.to_vec();
    record.resize(2 + usize::from(u16::from_be_bytes(prefix)), 0);
    stream.read_exact(&mut record[2..]).unwrap();
    Some(record)
}

/// Either kind of link.
pub struct Link {
    pub stream: TcpStream,
    transport: Transport,
}

impl Link {
    /// A control link.
    pub fn control(stage: &Stage, secret: &SecretKey) -> Self {
        let broker = PublicKey::from_base64(&stage.key).unwrap();
        let handshake = Handshake::control_initiator(secret, &broker, MaxRecord::MAX, fresh());
        Self::shake_hands(connect(stage.address), handshake, b"").unwrap().0
    }

    /// The link, and what came in message 2; `None` if the other end closed.
    fn shake_hands(mut stream: TcpStream, mut handshake: Handshake, text: &[u8]) -> Option<(Self, String)> {
        let mut message = [0; 1024];
        let length = handshake.write(text, &mut message).unwrap();
        stream.write_all(&message[..length]).unwrap();
        let mut record = next_record(&mut stream)?;
        let payload = handshake.read(&mut record).unwrap();
        let said = String::from_utf8(record[payload].to_vec()).unwrap();
        Some((Self { stream, transport: handshake.finish().unwrap() }, said))
    }

    pub fn seal(&mut self, text: &[u8]) -> Vec<u8> {
        let mut record = vec![0; Transport::sealed_length(text.len())];
        let length = self.transport.seal(text, &mut record).unwrap();
        record.truncate(length);
        record
    }

    /// What is sent may come too late.
    pub fn send(&mut self, text: &[u8]) {
        let record = self.seal(text);
        let _ = self.stream.write_all(&record);
    }

    /// The next text, or `None` once the other end has closed the link.
    pub fn next(&mut self) -> Option<String> {
        let mut record = next_record(&mut self.stream)?;
        let text = self.transport.open(&mut record).unwrap();
        Some(String::from_utf8(record[text].to_vec()).unwrap())
    }

    pub fn ask(&mut self, text: &str) -> String {
        self.send(text.as_bytes());
        self.next().expect("an answer rather than the end")
    }

    pub fn max_payload(&self) -> usize {
        self.transport.max_payload()
    }
}

/// Enrolled and otherwise without manners.
pub struct Mallory {
    pub secret: SecretKey,
}

impl Mallory {
    pub fn enrol(stage: &Stage) -> Self {
        let mallory = Self { secret: SecretKey::new(fresh()) };
        let ticket = p2pgate_broker::enrol(&stage.path("broker"), "mallory").unwrap();
        let answer = Link::control(stage, &mallory.secret)
            .ask(&format!("HELLO\nIdentifier:mallory\nTicket:{}\n", *ticket));
        assert!(answer.contains("Status:200"), "{answer}");
        mallory
    }

    pub fn online(&self, stage: &Stage) -> Link {
        let mut link = Link::control(stage, &self.secret);
        let answer = link.ask("HELLO\nIdentifier:mallory\n");
        assert!(answer.contains("Status:200"), "{answer}");
        link
    }

    /// What M11 gives for ben, if he permits it.
    pub fn grant(&self, online: &mut Link) -> Option<Grant> {
        let answer = online.ask("QUERY\nIdentifier:mallory\nCallee:ben\n");
        assert!(answer.starts_with("NOTIFY\nRequest Accepted."), "{answer}");
        let told = online.next().unwrap();
        if told.starts_with("NOTIFY\nPermission Denied.") {
            return None;
        }
        let line = |name: &str| {
            let value = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            value.unwrap_or_else(|| panic!("no {name} in {told:?}")).to_owned()
        };
        Some(Grant {
            address: format!("{}:{}", line("Callee Address"), line("Port")).parse().unwrap(),
            password: line("Password"),
            psk: decode(&line("Encrypt Key")),
            handle: decode(&line("Handle")),
            callee_key: PublicKey::new(decode(&line("Callee Key"))),
        })
    }

    /// A peer link to ben, and M14. `None`: ben closed without a word.
    pub fn call(&self, grant: &Grant, password: &str) -> Option<(Link, String)> {
        let psk = Psk::new(grant.psk);
        let peer = PeerGrant {
            handle: grant.handle,
            caller: "mallory",
            callee: "ben",
            remote: &grant.callee_key,
            psk: &psk,
        };
        let handshake = Handshake::peer_initiator(&self.secret, &peer, MaxRecord::MAX, fresh()).unwrap();
        let request = format!("REQUEST\nIdentifier:mallory\nPassword:{password}\n");
        Link::shake_hands(connect(grant.address), handshake, request.as_bytes())
    }
}

/// M11.
pub struct Grant {
    pub address: SocketAddr,
    pub password: String,
    pub psk: [u8; 32],
    pub handle: Handle,
    pub callee_key: PublicKey,
}

fn decode<const LENGTH: usize>(text: &str) -> [u8; LENGTH] {
    Base64::decode_vec(text).unwrap().try_into().unwrap()
}

pub fn fresh() -> [u8; 32] {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).unwrap();
    bytes
}
