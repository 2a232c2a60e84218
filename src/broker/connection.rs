//! Connections and what is queued for them.

use super::deposits::{LaneNumber, Question};
use super::lanes::PairId;
use super::query::QueryId;
use super::{ConnectionId, Event, Level, LogRecord, Name, What};
use crate::link::{Handshake, HandshakeError, MAX_PREAMBLE};
use crate::link::{MaxRecord, Preamble, PublicKey, SecretKey, Transport};
use crate::message::Message;
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::net::SocketAddr;
use zeroize::Zeroize;

/// The largest record that a broker takes: a text of [`crate::message::MAX_BYTES`], padded and sealed.
pub const MAX_RECORD: MaxRecord =
    match MaxRecord::new((Transport::sealed_length(crate::message::MAX_BYTES) - 2) as u16) {
        Some(max) => max,
        None => MaxRecord::MAX,
    };

/// More than any message that the broker sends.
const MAX_TEXT: usize = 4_096;

pub(super) struct Connection {
    pub source: SocketAddr,
    /// Greater than that of every connection before it.
    pub opened: u64,
    pub state: State,
    /// Whom a certificate around it has proven the other end to be.
    pub certified: Option<Name>,
    /// Takes one of the handshake slots.
    pub counted: bool,
    /// When it is closed, and for when its timer is armed: this is moved only once it fires.
    pub deadline: u64,
    pub armed: u64,
    pub output: Vec<u8>,
    /// [`Event::Transmit`] is out.
    announced: bool,
}

pub(super) enum State {
    /// Nothing but bytes of the preamble so far.
    Preamble,
    /// A control link's handshake message 1 is due.
    Handshake(Preamble),
    /// Message 2 is out; message 1 may have been a replay, so the key is unproven until a record opens.
    Unproven(Box<Secured>),
    /// HELLO with a ticket waits for the store.
    Enrolling(Box<Enrolling>),
    /// HELLO is answered.
    Open(Box<Session>),
    /// One end of a lane.
    Lane(PairId),
    /// A lane of a deposit.
    DepositLane(LaneNumber),
    /// The resolver's handshake message 2 is due.
    Greeting(Box<Handshake>),
    /// The resolver, which this broker asks.
    Resolver(Box<Secured>),
    /// Only what is queued still goes out.
    Closing,
}

pub(super) struct Secured {
    pub transport: Transport,
    pub key: PublicKey,
}

pub(super) struct Enrolling {
    pub secured: Secured,
    /// Messages that came behind HELLO.
    pub deferred: Vec<Vec<u8>>,
}

/// An open control link.
pub(super) struct Session {
    pub secured: Secured,
    pub identifier: Name,
    /// When its last record came.
    pub heard: u64,
    /// Its queries in flight, as caller.
    pub queries: BTreeSet<QueryId>,
    /// What it was asked as callee, by transaction number, and the last number used.
    pub questions: BTreeMap<u32, QueryId>,
    pub last: u32,
    /// The largest frame that the terminal takes, if it knows deposits.
    pub frame: Option<u32>,
    /// Whether to deposit (M19): what it was asked, by its query's number.
    pub offers: BTreeMap<Option<u32>, Question>,
    /// It is the broker that may ask this resolver.
    pub asks: bool,
}

impl Session {
    pub fn new(secured: Secured, identifier: Name, now: u64) -> Self {
        Self {
            secured,
            identifier,
            heard: now,
            queries: BTreeSet::new(),
            questions: BTreeMap::new(),
            last: 0,
            frame: None,
            offers: BTreeMap::new(),
            asks: false,
        }
    }
}

impl Connection {
    pub fn new(source: SocketAddr, opened: u64, deadline: u64) -> Self {
        Self {
            source,
            opened,
            state: State::Preamble,
            certified: None,
            counted: true,
            deadline,
            armed: deadline,
            output: Vec::new(),
            announced: false,
        }
    }

    /// One that this process opens.
    pub fn outgoing(to: SocketAddr, opened: u64, deadline: u64) -> Self {
        Self { counted: false, ..Self::new(to, opened, deadline) }
    }

    /// Queues handshake message 1.
    pub fn open_handshake(&mut self, handshake: &mut Handshake) -> Result<(), HandshakeError> {
        let mut message = [0; MAX_PREAMBLE + 2 + MaxRecord::MIN.get() as usize];
        let length = handshake.write(&[], &mut message)?;
        self.output.extend_from_slice(&message[..length]);
        Ok(())
    }

    /// Reads handshake message 2.
    pub fn greeted(&mut self, record: &mut [u8]) -> Result<Secured, HandshakeError> {
        let State::Greeting(mut handshake) = core::mem::replace(&mut self.state, State::Preamble) else {
            return Err(HandshakeError::OutOfTurn);
        };
        handshake.read(record)?;
        let key = handshake.remote_static().ok_or(HandshakeError::Failed)?;
        Ok(Secured { transport: handshake.finish()?, key })
    }

    pub fn secured(&mut self) -> Option<&mut Secured> {
        match &mut self.state {
            State::Unproven(secured) => Some(secured),
            State::Enrolling(enrolling) => Some(&mut enrolling.secured),
            State::Open(session) => Some(&mut session.secured),
            State::Resolver(secured) => Some(secured),
            _ => None,
        }
    }

    /// The largest record that comes now.
    pub fn max_record(&mut self) -> MaxRecord {
        self.secured().map_or(MaxRecord::MIN, |secured| secured.transport.max_record())
    }

    pub fn session(&mut self) -> Option<&mut Session> {
        match &mut self.state {
            State::Open(session) => Some(session),
            _ => None,
        }
    }

    /// Reads handshake message 1 and queues message 2.
    pub fn shake_hands(
        &mut self,
        key: &SecretKey,
        ephemeral: [u8; 32],
        max_record: MaxRecord,
        record: &mut [u8],
    ) -> Result<(), HandshakeError> {
        let State::Handshake(preamble) = &self.state else { return Err(HandshakeError::OutOfTurn) };
        let responder = Handshake::control_responder(preamble, key, max_record.min(MAX_RECORD), ephemeral);
        let mut handshake = responder.map_err(|_| HandshakeError::Malformed)?;
        handshake.read(record)?;
        let mut answer = [0; 2 + MaxRecord::MIN.get() as usize];
        let length = handshake.write(&[], &mut answer)?;
        let key = handshake.remote_static().ok_or(HandshakeError::Failed)?;
        let transport = handshake.finish()?;
        self.output.extend_from_slice(&answer[..length]);
        self.state = State::Unproven(Box::new(Secured { transport, key }));
        Ok(())
    }

    /// Seals a text where it waits to be sent, with `most` bytes in all; `false` if that can't be.
    fn queue(&mut self, text: &[u8], most: usize) -> bool {
        let (start, needed) = (self.output.len(), Transport::sealed_length(text.len()));
        let mut output = core::mem::take(&mut self.output);
        let sealed = self.secured().is_some_and(|secured| {
            let fits = text.len() <= secured.transport.max_payload() && start + needed <= most;
            output.resize(if fits { start + needed } else { start }, 0);
            fits && secured.transport.seal(text, &mut output[start..]).is_ok()
        });
        output.truncate(if sealed { start + needed } else { start });
        self.output = output;
        sealed
    }
}

/// The connections, and the way out to them and to the process. Apart from the rest, so that a message may borrow from that.
pub(super) struct Net {
    pub connections: BTreeMap<ConnectionId, Connection>,
    pub events: VecDeque<Event>,
    /// Links that could not be sent to, to be closed before the call ends.
    pub condemned: Vec<ConnectionId>,
    pub max_output: usize,
}

impl Net {
    pub fn session(&mut self, connection: ConnectionId) -> Option<&mut Session> {
        self.connections.get_mut(&connection)?.session()
    }

    /// Seals a message for a link and queues it. A link that cannot take it is closed.
    pub fn send(&mut self, id: ConnectionId, message: &Message<'_>) {
        if !self.try_send(id, message) {
            self.condemned.push(id);
        }
    }

    /// The same; `false` if the other side takes no record as large, or doesn't read.
    pub fn try_send(&mut self, id: ConnectionId, message: &Message<'_>) -> bool {
        let most = self.max_output;
        let Some(connection) = self.connections.get_mut(&id) else { return true };
        if connection.secured().is_none() {
            return true;
        }
        let mut text = [0; MAX_TEXT];
        let encoded = message.encode(&mut text).ok();
        let queued = encoded.is_some_and(|length| connection.queue(&text[..length], most));
        // No more than was written: wiping takes longer than all else here.
        text[..encoded.unwrap_or(MAX_TEXT)].zeroize();
        if queued {
            self.announce(id);
        }
        queued
    }

    /// Tells the process that there is something to send.
    pub fn announce(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.announced) {
            connection.announced = true;
            self.events.push_back(Event::Transmit(id));
        }
    }

    pub fn take_output(&mut self, id: ConnectionId, out: &mut Vec<u8>) -> bool {
        let Some(connection) = self.connections.get_mut(&id) else { return false };
        connection.announced = false;
        if connection.output.is_empty() {
            return false;
        }
        // Idle links are many: they keep no buffer.
        out.append(&mut core::mem::take(&mut connection.output));
        true
    }

    /// Ends a connection: what is queued still goes out.
    pub fn close(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&id)
            && !matches!(connection.state, State::Closing)
        {
            connection.state = State::Closing;
            self.events.push_back(Event::Close(id));
        }
    }

    pub fn log(
        &mut self,
        level: Level,
        connection: Option<ConnectionId>,
        identifier: Option<Name>,
        what: What,
    ) {
        self.events.push_back(Event::Log(LogRecord { level, connection, identifier, what }));
    }

    /// A log line about a connection, and the terminal that it is known to be.
    pub fn log_of(&mut self, level: Level, id: ConnectionId, what: What) {
        let identifier = self.session(id).map(|session| session.identifier.clone());
        self.log(level, Some(id), identifier, what);
    }
}
