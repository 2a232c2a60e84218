//! A connection's socket, with what the poll has said of it.

use crate::tls::{self, Tls};
use mio::event::Event;
use mio::net::TcpStream;
use std::io::{self, Read, Write};
use std::net::Shutdown;

/// A non-blocking socket, plain or with TLS around it. The poll tells each change once, so what it told is kept until an attempt has shown otherwise.
pub(crate) struct Socket {
    pub(crate) stream: TcpStream,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    pub(crate) tls: Option<Tls>,
    /// It has been said that nothing more comes.
    finished: bool,
}

impl Socket {
    pub(crate) fn new(stream: TcpStream, tls: Option<Tls>) -> Self {
        Self { stream, readable: true, writable: true, tls, finished: false }
    }

    pub(crate) fn told(&mut self, event: &Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// Reads; `None`: nothing there now.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<Option<usize>> {
        let Self { stream, readable, writable, tls, .. } = self;
        match tls {
            None => attempt(readable, || stream.read(buffer)),
            Some(tls) => tls.read(stream, readable, writable, tls::read_into(buffer)),
        }
    }

    /// Looks whether a byte is there without taking it; `Some(0)`: the other end has ended.
    pub(crate) fn peek(&mut self) -> io::Result<Option<usize>> {
        let Self { stream, readable, writable, tls, .. } = self;
        match tls {
            None => attempt(readable, || stream.peek(&mut [0])),
            Some(tls) => tls.read(stream, readable, writable, tls::look),
        }
    }

    /// Writes; `None`: no room now. What TLS has taken and the socket has not goes out by [`push`](Self::push).
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<Option<usize>> {
        let Self { stream, writable, tls, .. } = self;
        match tls {
            None => attempt(writable, || stream.write(bytes)),
            Some(tls) => tls.write(stream, writable, bytes),
        }
    }

    /// Gives the socket what TLS still holds; `false`: it has not taken all of it.
    pub(crate) fn push(&mut self) -> io::Result<bool> {
        let Self { stream, writable, tls, .. } = self;
        tls.as_mut().map_or(Ok(true), |tls| tls.push(stream, writable))
    }

    /// Says that nothing more comes, behind all that was written; `false`: to be called again, since the socket has not taken all of that.
    pub(crate) fn finish(&mut self) -> io::Result<bool> {
        if let Some(tls) = &mut self.tls
            && !self.finished
        {
            tls.finish();
        }
        self.finished = true;
        let pushed = self.push()?;
        if pushed {
            self.stream.shutdown(Shutdown::Write)?;
        }
        Ok(pushed)
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
