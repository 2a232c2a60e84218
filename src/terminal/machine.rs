//! What the parts of a terminal share, and which part a connection belongs to.

use super::control::Control;
use super::event::{Event, LinkId, Refusal, SessionId};
use super::incoming::Incoming;
use super::peers::{Book, Peer, Peers};
use super::session::{Endpoint, Phase, Session, Ticket};
use super::{Config, INCOMING};
use crate::entropy::Entropy;
use crate::identifier::Identifier;
use crate::link::{HandshakeError, MaxRecord, PublicKey, SealError, SecretKey, Transport};
use crate::load::LoadGate;
use crate::message::{DepositId, EncodeError};
use crate::sframe::Suite;
use core::ops::Range;
use heapless::{Deque, Vec};
use thiserror::Error;

/// Room for events: those of one step, and of a call or two between.
const EVENTS: usize = BURST + 2;
/// The most events that one step makes: the end of a session with all its connections.
const BURST: usize = 12;

/// All of a terminal but the places for sessions and peers.
pub(super) struct Core {
    pub(super) identifier: Identifier,
    pub(super) secret: SecretKey,
    pub(super) broker_key: PublicKey,
    pub(super) max_record: MaxRecord,
    pub(super) max_frame: u32,
    pub(super) suite: Suite,
    pub(super) listen: bool,
    pub(super) allow_loopback: bool,
    pub(super) gate: LoadGate,
    /// Other ends may ask for recordings.
    pub(super) share: bool,
    pub(super) entropy: Entropy,
    pub(super) book: Book,
    /// `Event::Persist` is out, and it has not been said that everything is stored.
    pub(super) persisting: bool,
    /// `Event::Persist` is out, and `blob` has not been called since.
    pub(super) unwritten: bool,
    /// Callers were struck off whose sessions have not been ended yet.
    pub(super) struck: bool,
    pub(super) ticket: Option<Ticket>,
    pub(super) addresses: Vec<Endpoint, 4>,
    pub(super) control: Control,
    pub(super) incoming: [Incoming; INCOMING],
    events: Deque<Event, EVENTS>,
    links: u32,
    transactions: u32,
}

impl Core {
    pub(super) fn new(config: Config, entropy: Entropy) -> Self {
        Self {
            identifier: config.identifier,
            secret: config.secret,
            broker_key: config.broker_key,
            max_record: config.max_record,
            max_frame: config.max_frame,
            suite: config.suite,
            listen: config.listen,
            allow_loopback: config.allow_loopback,
            gate: config.load,
            share: false,
            entropy,
            book: Book::default(),
            persisting: false,
            unwritten: false,
            struck: false,
            ticket: None,
            addresses: Vec::new(),
            control: Control::off(),
            incoming: [const { Incoming::FREE }; INCOMING],
            events: Deque::new(),
            links: 0,
            transactions: 0,
        }
    }

    /// Room is checked before each step, see [`Machine::has_room`].
    pub(super) fn emit(&mut self, event: Event) {
        let _ = self.events.push_back(event);
    }

    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn has_room(&self) -> bool {
        self.events.len() + BURST <= EVENTS
    }

    pub(super) fn new_link(&mut self) -> LinkId {
        self.links = self.links.wrapping_add(1);
        LinkId::from_number(self.links)
    }

    /// Never 0.
    pub(super) fn next_transaction(&mut self) -> u32 {
        self.transactions = self.transactions.checked_add(1).unwrap_or(1);
        self.transactions
    }
}

/// A terminal at work: its core and the places that the caller gave it. Not generic, so that its code is there once.
pub(super) struct Machine<'a> {
    pub(super) core: &'a mut Core,
    pub(super) sessions: &'a mut [Session],
    pub(super) places: &'a mut [Peer],
}

/// Which part a connection belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Owner {
    Control,
    Incoming(usize),
    Attempt(usize, usize),
    Peer(usize),
    Lane(usize, usize),
}

impl<'a> Machine<'a> {
    pub(super) fn peers(&mut self) -> Peers<'_> {
        Peers::new(self.places, &mut self.core.book)
    }

    pub(super) fn persist(&mut self) {
        self.core.persisting = true;
        if !core::mem::replace(&mut self.core.unwritten, true) {
            self.core.emit(Event::Persist);
        }
    }

    pub(super) fn owner(&self, link: LinkId) -> Option<Owner> {
        let link = Some(link);
        if self.core.control.link == link {
            return Some(Owner::Control);
        }
        if let Some(index) = self.core.incoming.iter().position(|incoming| incoming.link == link) {
            return Some(Owner::Incoming(index));
        }
        self.sessions.iter().enumerate().find_map(|(index, session)| {
            if session.link == link {
                return Some(Owner::Peer(index));
            }
            let attempt = session.attempts().iter().position(|attempt| *attempt == link);
            let lane = session.lanes().iter().position(|lane| lane.link == link);
            attempt
                .map(|attempt| Owner::Attempt(index, attempt))
                .or(lane.map(|lane| Owner::Lane(index, lane)))
        })
    }

    pub(super) fn id(&self, index: usize) -> SessionId {
        SessionId { index: index as u8, generation: self.sessions[index].generation }
    }

    pub(super) fn index(&self, id: SessionId) -> Option<usize> {
        let index = usize::from(id.index);
        let session = self.sessions.get(index)?;
        (session.generation == id.generation && session.phase != Phase::Idle).then_some(index)
    }

    /// A place for a new session.
    pub(super) fn idle_session(&self) -> Option<usize> {
        self.sessions.iter().position(|session| session.phase == Phase::Idle)
    }

    /// Whether one more caller is taken now (P6, V12).
    pub(super) fn is_free(&self) -> bool {
        let open = self.sessions.iter().filter(|session| session.is_accepted()).count();
        self.idle_session().is_some() && self.core.gate.is_free(open)
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.core.emit(Event::Refused { refusal });
    }

    // --- connections ----------------------------------------------------------------------------------------------

    pub(super) fn link_opened(&mut self, link: LinkId, now: u64) {
        match self.owner(link) {
            Some(Owner::Control) => self.control_opened(now),
            Some(Owner::Incoming(index)) => self.core.incoming[index].opened(),
            Some(Owner::Attempt(index, attempt)) => self.attempt_opened(index, attempt, now),
            Some(Owner::Peer(index)) => self.peer_opened(index, now),
            Some(Owner::Lane(index, lane)) => self.lane_opened(index, lane, now),
            None => {}
        }
    }

    pub(super) fn link_closed(&mut self, link: LinkId, now: u64) {
        match self.owner(link) {
            Some(Owner::Control) => {
                self.core.control.link = None;
                let cause = self.core.control.closed_cause();
                self.control_lost(cause, now);
            }
            Some(Owner::Incoming(index)) => self.core.incoming[index] = Incoming::FREE,
            Some(Owner::Attempt(index, attempt)) => self.attempt_failed(index, attempt, now),
            Some(Owner::Peer(index)) => {
                self.sessions[index].link = None;
                self.peer_lost(index, now);
            }
            Some(Owner::Lane(index, lane)) => self.lane_lost(index, lane, now),
            None => {}
        }
    }

    // What is called here and below is kept out of line: else the stack would be that of all branches together.
    pub(super) fn handle_input(&mut self, link: LinkId, bytes: &mut [u8], now: u64) -> Input {
        if !self.core.has_room() {
            return Input::blocked();
        }
        match self.owner(link) {
            Some(Owner::Control) => self.control_input(bytes, now),
            Some(Owner::Incoming(index)) => self.incoming_input(index, bytes, now),
            Some(Owner::Peer(index)) => self.peer_input(index, bytes, now),
            Some(Owner::Lane(index, lane)) => self.lane_input(index, lane, bytes, now),
            // Not connected yet, or closed already.
            Some(Owner::Attempt(..)) | None => Input { consumed: 0, step: Step::Closed },
        }
    }

    pub(super) fn poll_transmit(
        &mut self,
        link: LinkId,
        out: &mut [u8],
        now: u64,
    ) -> Result<usize, TransmitError> {
        if !self.core.has_room() {
            return Ok(0);
        }
        match self.owner(link) {
            Some(Owner::Control) => self.control_transmit(out, now),
            Some(Owner::Incoming(index)) => self.incoming_transmit(index, out),
            Some(Owner::Peer(index)) => self.peer_transmit(index, out, now),
            Some(Owner::Lane(index, lane)) => self.lane_transmit(index, lane, out),
            Some(Owner::Attempt(..)) | None => Ok(0),
        }
    }

    pub(super) fn poll_timeout(&self) -> Option<u64> {
        let control = &self.core.control;
        let sessions =
            self.sessions.iter().filter(|session| session.phase != Phase::Idle).map(Session::next_deadline);
        let incoming = self
            .core
            .incoming
            .iter()
            .filter(|incoming| incoming.link.is_some())
            .map(|incoming| incoming.deadline);
        core::iter::once(control.deadline)
            .chain(control.again())
            .chain(control.retry())
            .chain(sessions)
            .chain(incoming)
            .min()
            .filter(|&deadline| deadline != u64::MAX)
    }

    pub(super) fn handle_timeout(&mut self, now: u64) {
        if self.core.has_room() {
            self.control_timeout(now);
            self.collect_timeout(now);
            self.retry_timeout(now);
        }
        for index in 0..self.core.incoming.len() {
            if self.core.has_room()
                && self.core.incoming[index].link.is_some()
                && self.core.incoming[index].deadline <= now
            {
                self.refuse(Refusal::Preamble);
                self.drop_incoming(index);
            }
        }
        for index in 0..self.sessions.len() {
            if self.core.has_room()
                && self.sessions[index].phase != Phase::Idle
                && self.sessions[index].next_deadline() <= now
            {
                self.session_timeout(index, now);
            }
        }
    }
}

/// How far `handle_input` got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// So many bytes at the front are done with, once a payload among them has been taken.
    pub consumed: usize,
    /// What next.
    pub step: Step,
}

/// What follows from input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing is done with fewer than so many bytes at the front. More than the link's largest record, or the lane's largest frame, is never wanted.
    NeedMore(usize),
    /// Call again with what is left.
    Progress,
    /// Keep the bytes and stop reading this link; try again after something else went on (an event taken, another link's input or output).
    Blocked,
    /// Bytes of the recording, opened in place: `range` of the bytes given. Call again with what is left after `consumed`.
    Payload {
        /// The session.
        session: SessionId,
        /// Their place in the recording.
        offset: u64,
        /// Where they are.
        range: Range<usize>,
    },
    /// One of this terminal's deposits, in answer to `list_deposits`. Call again with what is left after `consumed`.
    Deposit {
        /// Its number.
        deposit: DepositId,
        /// The recording's length, bytes.
        size: u64,
        /// The bytes of it that the broker keeps.
        kept: u64,
        /// Where in the bytes given the callee's identifier is, UTF-8.
        callee: Range<usize>,
    },
    /// The link is over; `Event::Close` says so too.
    Closed,
}

impl Input {
    pub(super) const fn need(total: usize) -> Self {
        Self { consumed: 0, step: Step::NeedMore(total) }
    }

    pub(super) const fn blocked() -> Self {
        Self { consumed: 0, step: Step::Blocked }
    }

    pub(super) const fn progress(consumed: usize) -> Self {
        Self { consumed, step: Step::Progress }
    }

    pub(super) const fn closed() -> Self {
        Self { consumed: 0, step: Step::Closed }
    }
}

/// Nothing was written. What was to be sent still is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TransmitError {
    /// The buffer is too small.
    #[error("the output buffer is too small; it takes {needed} bytes")]
    BufferTooSmall {
        /// The bytes that it takes.
        needed: usize,
    },
    /// The other side takes no text as long.
    #[error("the text is too long for the other side; shorten the list or the name")]
    TextTooLong,
    /// The link is over.
    #[error("the link is over; close its connection")]
    Closed,
}

impl TransmitError {
    pub(super) fn of_handshake(error: HandshakeError) -> Self {
        match error {
            HandshakeError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            HandshakeError::PayloadTooLong { .. } => Self::TextTooLong,
            _ => Self::Closed,
        }
    }

    pub(super) fn of_seal(error: SealError) -> Self {
        match error {
            SealError::BufferTooSmall { needed } => Self::BufferTooSmall { needed },
            SealError::TextTooLong { .. } => Self::TextTooLong,
            SealError::Closed => Self::Closed,
        }
    }

    /// `max` is the longest text that the other side takes.
    pub(super) fn of_encode(error: EncodeError, max: usize) -> Self {
        match error {
            EncodeError::TooSmall { needed } if needed <= max => {
                Self::BufferTooSmall { needed: Transport::sealed_length(needed) }
            }
            EncodeError::TooSmall { .. } | EncodeError::TooLong | EncodeError::Value { .. } => {
                Self::TextTooLong
            }
        }
    }
}
