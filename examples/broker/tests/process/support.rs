//! A broker to start, and a small terminal to talk to it with.

#![allow(dead_code)] // each test program uses its part

use base64ct::{Base64, Encoding};
use p2pgate::link::{Handshake, LaneToken, MaxRecord, Preamble, PublicKey, SecretKey, Transport};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;
use tempfile::TempDir;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_p2pgate-broker");

/// Long enough for a slow machine, short enough to fail.
const PATIENCE: Duration = Duration::from_secs(30);

pub fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A running `p2pgate-broker serve`.
pub struct Served {
    pub child: Child,
    pub address: SocketAddr,
    pub key: PublicKey,
    out: BufReader<ChildStdout>,
}

impl Served {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, &[])
    }

    pub fn start_with(data: &Path, options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0"]).args(options);
        Self::started_by(command)
    }

    /// `p2pgate-broker resolver` for the broker of another folder.
    pub fn resolver(data: &Path, listen: &str, broker: &str, options: &[&str]) -> Self {
        let mut command = Command::new(PROGRAM);
        command.arg("resolver").arg("--data").arg(data).args(["--listen", listen, "--broker-key", broker]);
        command.args(options);
        Self::started_by(command)
    }

    /// By a command that becomes the program.
    pub fn started_by(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, address, _, key] = words[..] else { panic!("no ready line but {line:?}") };
        assert_eq!(line, format!("listening {address} key {key}\n"));
        Self { address: address.parse().unwrap(), key: PublicKey::from_base64(key).unwrap(), child, out }
    }

    /// Where its admin pages are, which it says on its second line.
    pub fn admin(&mut self) -> SocketAddr {
        self.further("admin ")
    }

    /// Where it listens besides, which it says on a line of its own.
    pub fn further(&mut self, what: &str) -> SocketAddr {
        let mut line = String::new();
        self.out.read_line(&mut line).unwrap();
        line.trim_end().strip_prefix(what).unwrap().parse().unwrap()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    pub fn stop(mut self) -> ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        self.child.wait().unwrap()
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// A link whose HELLO is welcome.
    pub fn terminal(&self, identifier: &str, key: u8) -> Terminal {
        let mut terminal = Terminal::dial(self.address, &self.key, key);
        let answer = terminal.ask(&format!("HELLO\nIdentifier:{identifier}\nListen:1\n"));
        assert!(answer.starts_with("NOTIFY\nStatus:200 "), "{answer}");
        terminal
    }

    /// The same for a terminal that enrols by this.
    pub fn enrol(&self, data: &Path, identifier: &str, key: u8) -> Terminal {
        let ticket = ticket(data, identifier);
        let mut terminal = Terminal::dial(self.address, &self.key, key);
        let answer = terminal.ask(&format!("HELLO\nIdentifier:{identifier}\nListen:1\nTicket:{ticket}\n"));
        assert!(answer.starts_with("NOTIFY\nStatus:200 "), "{answer}");
        terminal
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command(verb: &str, data: &Path, identifier: &str) -> Output {
    Command::new(PROGRAM).arg(verb).arg("--data").arg(data).arg(identifier).output().unwrap()
}

pub fn ticket(data: &Path, identifier: &str) -> String {
    let output = command("enrol", data, identifier);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text.lines().count(), 1);
    text.trim().to_owned()
}

pub fn secret_key(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

/// A terminal's control link.
pub struct Terminal {
    pub stream: TcpStream,
    transport: Transport,
}

impl Terminal {
    pub fn dial(address: SocketAddr, broker: &PublicKey, key: u8) -> Self {
        let mut stream = connect(address);
        let mut ephemeral = [0; 32];
        getrandom::fill(&mut ephemeral).unwrap();
        let max = MaxRecord::new(8192).unwrap();
        let mut handshake = Handshake::control_initiator(&secret_key(key), broker, max, ephemeral);
        let mut buffer = [0; 1024];
        let length = handshake.write(&[], &mut buffer).unwrap();
        stream.write_all(&buffer[..length]).unwrap();
        handshake.read(&mut record(&mut stream).expect("message 2")).unwrap();
        Self::new(stream, handshake.finish().unwrap())
    }

    pub fn new(stream: TcpStream, transport: Transport) -> Self {
        Self { stream, transport }
    }

    pub fn seal(&mut self, text: &str) -> Vec<u8> {
        let mut record = vec![0; Transport::sealed_length(text.len())];
        let length = self.transport.seal(text.as_bytes(), &mut record).unwrap();
        record.truncate(length);
        record
    }

    pub fn send(&mut self, text: &str) {
        let record = self.seal(text);
        self.stream.write_all(&record).unwrap();
    }

    /// The same; `None` once the broker has closed the link.
    #[allow(dead_code)] // not in each test program
    pub fn try_send(&mut self, text: &str) -> Option<()> {
        let record = self.seal(text);
        self.stream.write_all(&record).ok()
    }

    /// The next text, or `None` once the broker has closed the link.
    pub fn next(&mut self) -> Option<String> {
        let mut record = record(&mut self.stream)?;
        let text = self.transport.open(&mut record).unwrap();
        Some(String::from_utf8(record[text].to_vec()).unwrap())
    }

    pub fn text(&mut self) -> String {
        self.next().expect("a text rather than the end")
    }

    pub fn ask(&mut self, text: &str) -> String {
        self.send(text);
        self.text()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The next record, prefix included; `None` at the connection's end, orderly or not.
fn record(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut prefix = [0; 2];
    match stream.read_exact(&mut prefix) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => return None,
        result => result.unwrap(),
    }
    let mut record = prefix.to_vec();
    record.resize(2 + usize::from(u16::from_be_bytes(prefix)), 0);
    stream.read_exact(&mut record[2..]).unwrap();
    Some(record)
}

/// Whether the other end closes the connection, whatever it says before.
pub fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

/// The value of a line `name:value`.
pub fn value<'a>(text: &'a str, name: &str) -> &'a str {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {text:?}"))
}

/// Lets bob permit alice and tell an address.
pub fn permit(bob: &mut Terminal) {
    let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create alice\nRevision:1\n");
    assert!(answer.contains("Status:200"), "{answer}");
    let answer = bob.ask("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:4000\n");
    assert!(answer.contains("Status:200"), "{answer}");
}

/// Alice, known to the broker, calls bob, who permits her; gives the grant's handle.
pub fn grant(alice: &mut Terminal, bob: &mut Terminal) -> String {
    alice.send("QUERY\nIdentifier:alice\nCallee:bob\n");
    for text in ["STATUS Acceptable.", "Request Accepted."] {
        let number = value(&bob.text(), "Transaction").to_owned();
        bob.send(&format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    }
    assert!(alice.text().starts_with("NOTIFY\nRequest Accepted.\n"));
    value(&alice.text(), "Handle").to_owned()
}

/// Asks for a relay lane and connects both of its ends.
pub fn lane(address: SocketAddr, alice: &mut Terminal, handle: &str, size: u64) -> [TcpStream; 2] {
    let answer = alice.ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:{size}\nHandle:{handle}\n"));
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted.\n"), "{answer}");
    ["Token", "Peer Token"].map(|name| {
        let mut stream = connect(address);
        stream.write_all(&opening(value(&answer, name))).unwrap();
        stream
    })
}

/// A lane's preamble.
pub fn opening(token: &str) -> Vec<u8> {
    let mut bytes = [0; 32];
    Base64::decode(token, &mut bytes).unwrap();
    let mut preamble = vec![0; 40];
    let length = Preamble::Lane { token: LaneToken::new(bytes) }.encode(&mut preamble).unwrap();
    preamble.truncate(length);
    preamble
}

/// Bytes that differ everywhere.
pub fn pattern(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes: Vec<u8> = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        bytes.extend_from_slice(&next());
    }
    bytes.truncate(length);
    bytes
}
