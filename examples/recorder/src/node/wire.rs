//! One connection: a non-blocking socket with a bounded buffer each way.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};

/// Bytes that may wait to be written before a lane takes no further frame.
pub const BACKLOG: usize = 64 << 10;
/// First size of the input buffer: enough for control and peer links at rest.
const SMALL: usize = 4 << 10;
/// How long a connection that is being closed may take to write what is left.
const LAST_WORDS: Duration = Duration::from_secs(5);
/// Size of the input buffer once frames are larger than that.
const LARGE: usize = 128 << 10;

/// A socket, what came and isn't understood yet, and what is to go out.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    broker: bool,
    connected: bool,
    readable: bool,
    writable: bool,
    ended: bool,
    /// It is being closed, and is gone by then whatever is left to write.
    closing: Option<Instant>,
    input: Vec<u8>,
    start: usize,
    end: usize,
    wanted: usize,
    output: Vec<u8>,
    sent: usize,
}

impl Wire {
    /// A socket that is being connected, to the `broker` or to another recorder.
    pub fn new(stream: TcpStream, broker: bool, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::register(stream, broker, false, registry, token)
    }

    /// A socket that was accepted.
    pub fn accepted(stream: TcpStream, registry: &Registry, token: Token) -> io::Result<Self> {
        Self::register(stream, false, true, registry, token)
    }

    fn register(
        mut stream: TcpStream,
        broker: bool,
        connected: bool,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        if connected {
            let _ = stream.set_nodelay(true);
        }
        Ok(Self {
            stream,
            broker,
            connected,
            // Readiness is edge-triggered: whatever was there before the registration must be tried for.
            readable: connected,
            writable: connected,
            ended: false,
            closing: None,
            input: Vec::new(),
            start: 0,
            end: 0,
            wanted: 1,
            output: Vec::new(),
            sent: 0,
        })
    }

    /// What the poll said.
    pub fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// `Some(true)` once the connection is there, `Some(false)` if it failed, `None` while nobody knows.
    pub fn connect_result(&mut self) -> Option<bool> {
        if self.connected || !(self.writable || self.readable) {
            return None;
        }
        match self.stream.take_error() {
            Ok(None) => {}
            _ => return Some(false),
        }
        match self.stream.peer_addr() {
            Ok(_) => {
                self.connected = true;
                self.readable = true;
                self.writable = true;
                let _ = self.stream.set_nodelay(true);
                Some(true)
            }
            Err(error) if error.kind() == io::ErrorKind::NotConnected => None,
            Err(_) => Some(false),
        }
    }

    /// What came and hasn't been consumed.
    pub fn input(&mut self) -> &mut [u8] {
        &mut self.input[self.start..self.end]
    }

    /// Strikes `bytes` off the front of the input.
    pub fn consume(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.end);
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        }
    }

    /// The input makes sense from so many bytes on.
    pub fn want(&mut self, bytes: usize) {
        self.wanted = bytes;
    }

    /// Whether as much came as was wanted.
    pub fn has_wanted(&self) -> bool {
        self.end - self.start >= self.wanted
    }

    /// Whether reading may bring something.
    pub fn may_read(&self) -> bool {
        self.connected && self.readable && !self.ended && !self.is_closing()
    }

    /// Reads once. `Ok(false)`: nothing for now, or the other end said that nothing more comes.
    pub fn read(&mut self) -> io::Result<bool> {
        self.make_room();
        loop {
            match self.stream.read(&mut self.input[self.end..]) {
                Ok(0) => {
                    self.ended = true;
                    return Ok(false);
                }
                Ok(bytes) => {
                    self.end += bytes;
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.readable = false;
                    return Ok(false);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The other end has closed its direction.
    pub fn has_ended(&self) -> bool {
        self.ended
    }

    /// Free room behind the input, the wanted bytes at least.
    fn make_room(&mut self) {
        let size = if self.wanted > SMALL { self.wanted.max(LARGE) } else { SMALL };
        if self.input.len() < size {
            self.input.resize(size, 0);
        }
        if self.start > 0 && (self.end == self.input.len() || self.start + self.wanted > self.input.len()) {
            self.input.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
        }
        if self.end == self.input.len() {
            // Only an input that says it wants less than it left lying gets here; one byte keeps `read` honest.
            self.input.push(0);
        }
    }

    /// Bytes that wait to be written.
    pub fn backlog(&self) -> usize {
        self.output.len() - self.sent
    }

    /// Adds bytes to what is to be written.
    pub fn queue(&mut self, bytes: &[u8]) {
        self.output.extend_from_slice(bytes);
    }

    /// Writes what the socket takes.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.connected && self.writable && self.sent < self.output.len() {
            match self.stream.write(&self.output[self.sent..]) {
                Ok(bytes) => self.sent += bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
        }
        Ok(())
    }

    /// From now on: write what is left if the other end takes it soon, then close.
    pub fn close(&mut self) {
        self.closing.get_or_insert_with(|| Instant::now() + LAST_WORDS);
    }

    /// Nothing is left to do before the socket goes.
    pub fn is_done(&self) -> bool {
        self.closing
            .is_some_and(|deadline| self.backlog() == 0 || !self.connected || Instant::now() >= deadline)
    }

    /// The connection is being closed.
    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// It goes to the broker.
    pub fn leads_to_broker(&self) -> bool {
        self.broker
    }

    /// The connection is up.
    pub fn is_connected(&self) -> bool {
        self.connected
    }

    /// Takes the socket off the poll.
    pub fn deregister(mut self, registry: &Registry) {
        let _ = registry.deregister(&mut self.stream);
        let _ = self.stream.shutdown(std::net::Shutdown::Write);
    }
}
