//! One connection: a non-blocking socket with a bounded buffer each way.

use std::io::{self, Read, Write};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use rustls::ClientConnection;

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
    /// Around it.
    tls: Option<Box<ClientConnection>>,
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
    /// TLS has been told that nothing more comes.
    said_goodbye: bool,
}

impl Wire {
    /// A socket that is being connected, to the `broker` or to another recorder.
    pub fn new(
        stream: TcpStream,
        broker: bool,
        tls: Option<Box<ClientConnection>>,
        registry: &Registry,
        token: Token,
    ) -> io::Result<Self> {
        Ok(Self { tls, ..Self::register(stream, broker, false, registry, token)? })
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
            tls: None,
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
            said_goodbye: false,
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
            let room = &mut self.input[self.end..];
            let read = match &mut self.tls {
                None => self.stream.read(room),
                Some(tls) => read_secured(tls, &mut self.stream, room),
            };
            match read {
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
        while self.connected && self.writable && self.has_unwritten() {
            match self.write() {
                // TLS waits for the other end.
                Ok((0, 0)) => break,
                Ok((taken, _)) => self.sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        if self.sent == self.output.len() {
            self.output.clear();
            self.sent = 0;
            if let Some(tls) = &mut self.tls
                && self.closing.is_some()
                && !std::mem::replace(&mut self.said_goodbye, true)
            {
                tls.send_close_notify();
                return self.flush();
            }
        }
        Ok(())
    }

    fn has_unwritten(&self) -> bool {
        self.backlog() > 0 || self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }

    /// Writes once: how much of the output is gone by that, and how much the socket has got.
    fn write(&mut self) -> io::Result<(usize, usize)> {
        let output = &self.output[self.sent..];
        let Some(tls) = &mut self.tls else {
            let written = self.stream.write(output)?;
            return Ok((written, written));
        };
        let taken = tls.writer().write(output)?;
        match tls.write_tls(&mut self.stream) {
            Err(_) if taken > 0 => Ok((taken, 0)),
            written => Ok((taken, written?)),
        }
    }

    /// From now on: write what is left if the other end takes it soon, then close.
    pub fn close(&mut self) {
        self.closing.get_or_insert_with(|| Instant::now() + LAST_WORDS);
    }

    /// Nothing is left to do before the socket goes.
    pub fn is_done(&self) -> bool {
        self.closing
            .is_some_and(|deadline| !self.has_unwritten() || !self.connected || Instant::now() >= deadline)
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

/// Reads what TLS has understood. An end that TLS has not been told of is an error: somebody may have cut it.
fn read_secured(tls: &mut ClientConnection, stream: &mut TcpStream, room: &mut [u8]) -> io::Result<usize> {
    loop {
        match tls.reader().read(room) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        tls.read_tls(stream)?;
        let understood = tls.process_new_packets();
        // The alert that says what was wrong goes out as far as the socket takes it.
        understood.map_err(|error| {
            let _ = tls.write_tls(stream);
            io::Error::new(io::ErrorKind::InvalidData, error)
        })?;
    }
}
