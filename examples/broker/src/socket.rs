//! A connection's socket, with what the poll has said of it.

use mio::event::Event;
use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// A non-blocking socket. The poll tells each change once, so what it told is kept until an attempt has shown otherwise.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, readable: true, writable: true }
    }

    pub(crate) fn told(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Reads; `None`: nothing there now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        attempt(&mut self.readable, || self.stream.read(buffer))
    }

    /// Looks whether a byte is there without taking it; `Some(0)`: the other end has ended.
    pub(crate) fn peek(&mut self) -> io::Result<Option<usize>> {
        attempt(&mut self.readable, || self.stream.peek(&mut [0]))
    }

    /// Writes; `None`: no room now.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        attempt(&mut self.writable, || self.stream.write(bytes))
    }
}

/// Tries while `ready`, which the answer "would block" ends.
pub(crate) fn attempt<T>(ready: &mut bool, mut io: impl FnMut() -> io::Result<T>) -> io::Result<Option<T>> {
    while *ready {
        match io() {
            Ok(done) => return Ok(Some(done)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => *ready = false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}
