//! Connections that the broker talks on itself.

use crate::files::Work;
use crate::server::{Role, Server};
use crate::socket::Socket;
use crate::tls::Tls;
use crate::turns::Spent;
use bytes::{Buf, Bytes};
use p2pgate::broker::{ConnectionId, MAX_INPUT, Next};
use zeroize::Zeroize;

/// Bytes read of one connection, or as many as are there of a longer record, before the others get their turn: what honest terminals say at once is less.
const TURN: usize = 2 << 10;
/// How long a connection that is to be closed may take for its last bytes and its own end.
const CLOSE_MS: u64 = 3_000;

/// A control link, or a connection that has not said yet what it is.
pub(crate) struct Link {
    pub(crate) socket: Socket,
    /// Part of a record: less than [`MAX_INPUT`]. A lane's: what came behind the preamble.
    pub(crate) input: Bytes,
    output: Bytes,
    pub(crate) phase: Phase,
    /// Whether anything was ever sent, and came.
    spoken: bool,
    heard: bool,
    /// `None`: this process has opened it, and may be sent as much as comes.
    pub(crate) spent: Option<Spent>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Talking,
    /// A lane that waits for its other end. It is not read.
    Lane,
    /// The broker is done with it. It is closed once all is sent.
    Closing,
    /// All is sent. What still comes is dropped until the other end has ended as well: closing a socket that has unread bytes
    /// could take away from the other end what it has not read yet.
    Lingering,
}

impl Link {
    pub(crate) fn new(socket: Socket) -> Self {
        Self {
            socket,
            input: Bytes::new(),
            output: Bytes::new(),
            phase: Phase::Talking,
            spoken: false,
            heard: false,
            spent: Some(Spent::default()),
        }
    }

    pub(crate) fn has_unsent(&self) -> bool {
        !self.output.is_empty()
    }
}

impl Server {
    pub(crate) fn link(&mut self, id: ConnectionId) -> Option<&mut Link> {
        match self.connections.get_mut(&id) {
            Some(Role::Link(link)) => Some(link),
            _ => None,
        }
    }

    /// Whether it has said nothing yet: its first word costs a handshake.
    pub(crate) fn is_stranger(&self, id: ConnectionId) -> bool {
        matches!(self.connections.get(&id), Some(Role::Link(link)) if !link.heard && link.phase == Phase::Talking)
    }

    /// Whether it has sent more lately than terminals do, and so stands behind the others.
    pub(crate) fn sends_much(&self, id: ConnectionId, now: u64) -> bool {
        let Some(Role::Link(link)) = self.connections.get(&id) else { return false };
        link.phase == Phase::Talking && link.spent.as_ref().is_some_and(|spent| spent.is_much(now))
    }

    pub(crate) fn serve_link(&mut self, id: ConnectionId) {
        self.flush(id);
        let now = self.now();
        let Some(Role::Link(link)) = self.connections.get_mut(&id) else { return };
        if link.phase == Phase::Lane {
            return;
        }
        let held = link.input.len();
        self.buffer[..held].copy_from_slice(&link.input);
        let most = TURN.max(held).min(MAX_INPUT);
        let length = match link.socket.read(&mut self.buffer[held..][..most]) {
            Ok(None) => return,
            Ok(Some(length)) if length > 0 => {
                if let Some(spent) = &mut link.spent {
                    spent.add(length, now);
                }
                held + length
            }
            Ok(Some(_)) | Err(_) => return self.drop_connection(id),
        };
        if link.phase == Phase::Talking {
            if !std::mem::replace(&mut link.heard, true)
                && let Some(identifier) = link.socket.tls.as_ref().and_then(Tls::identifier)
            {
                self.broker.certified(id, &identifier);
            }
            let input = self.broker.handle_input(id, &mut self.buffer[..length], now);
            link.input = Bytes::copy_from_slice(&self.buffer[input.consumed..length]);
            // Opened in place: there may be a ticket in it.
            self.buffer[..input.consumed].zeroize();
            match input.next {
                Next::Lane | Next::Deposit => link.phase = Phase::Lane,
                // A whole record was there and was not taken: nothing would ever change that.
                Next::NeedMore if link.input.len() >= MAX_INPUT => return self.drop_connection(id),
                Next::NeedMore => {}
                Next::Closed => link.input = Bytes::new(),
            }
            self.obey();
        }
        // The poll tells only of newer bytes.
        if self.link(id).is_some_and(|link| link.socket.readable && link.phase != Phase::Lane) {
            self.ready.insert(id);
        }
    }

    /// Sends what is queued, as far as the socket takes it.
    pub(crate) fn flush(&mut self, id: ConnectionId) {
        loop {
            let Some(Role::Link(link)) = self.connections.get_mut(&id) else { return };
            match link.socket.push() {
                Ok(true) => {}
                Ok(false) => return,
                Err(_) => return self.drop_connection(id),
            }
            if link.output.is_empty() {
                let mut queued = Vec::new();
                if link.phase == Phase::Lingering || !self.broker.poll_transmit(id, &mut queued) {
                    break;
                }
                link.output = queued.into();
            }
            match link.socket.write(&link.output) {
                Ok(Some(written)) => {
                    link.output.advance(written);
                    link.spoken = true;
                }
                Ok(None) => return,
                Err(_) => return self.drop_connection(id),
            }
        }
        if self.link(id).is_some_and(|link| link.phase == Phase::Closing) {
            self.linger(id);
        }
    }

    /// The broker is done with the connection: what is queued goes out, within some seconds.
    pub(crate) fn close(&mut self, id: ConnectionId) {
        let due = self.now().saturating_add(CLOSE_MS);
        if matches!(self.connections.get(&id), Some(Role::Taking(_) | Role::Giving(_))) {
            return self.drop_connection(id);
        }
        let Some(link) = self.link(id) else { return };
        link.phase = Phase::Closing;
        link.input = Bytes::new();
        self.flush(id);
        if self.connections.contains_key(&id) {
            self.deadlines.insert((due, id));
        }
    }

    fn linger(&mut self, id: ConnectionId) {
        let Some(link) = self.link(id) else { return };
        match link.socket.finish() {
            Ok(true) if link.spoken => link.phase = Phase::Lingering,
            Ok(false) if link.spoken => return,
            _ => return self.drop_connection(id),
        }
        self.ready.insert(id);
    }

    pub(crate) fn closing_due(&mut self, id: ConnectionId) {
        if self.link(id).is_some_and(|link| matches!(link.phase, Phase::Closing | Phase::Lingering)) {
            self.drop_connection(id);
        }
    }

    /// Closes now, and tells the broker, once.
    pub(crate) fn drop_connection(&mut self, id: ConnectionId) {
        if let Some(role) = self.connections.remove(&id) {
            if let Role::Taking(taking) = role {
                self.files.submit(Work::Close { lane: id, deposit: taking.deposit });
            }
            let now = self.now();
            self.broker.disconnected(id, now);
            tracing::debug!(connection = id, "disconnected");
        }
    }
}
