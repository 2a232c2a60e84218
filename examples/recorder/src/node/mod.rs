//! The core's terminal on real sockets: one poll loop that carries bytes, time and deadlines in, and bytes and events out.

mod broker;
mod list;
mod tls;
mod wire;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::task;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token, Waker};
use p2pgate::lane::{HEADROOM, OVERHEAD, TAILROOM};
use p2pgate::link::{MAX_PART_HEADER, MaxRecord};
use p2pgate::load::LoadGate;
use p2pgate::message::DepositId;
use p2pgate::mpeg::Class;
use p2pgate::sframe::Suite;
use p2pgate::terminal::{Config, Destination, Event, FrameError, LinkId, Piece, SessionId, Step, Terminal};
use zeroize::{Zeroize, Zeroizing};

use crate::failure::{Code, Failure};
use crate::recording;
use crate::state::{Identity, State, Version};
use broker::Broker;
use list::restore;
pub use tls::{Certificate, Tls};
use wire::{BACKLOG, Wire};

/// Sessions at one time, calls and callers together.
pub const SESSIONS: usize = 8;
/// Recorders that one recorder knows at most.
pub const PEERS: usize = 512;
/// Largest lane frame taken, bytes: 64 KiB of payload and what seals it.
const MAX_FRAME: u32 = (64 << 10) + OVERHEAD as u32;
/// Largest control or peer record taken, bytes.
const MAX_RECORD: MaxRecord = MaxRecord::MAX;
/// Steps of one link before the others have their turn.
const STEPS: usize = 32;
/// Turns of all links before time, new connections and the application have theirs.
const ROUNDS: usize = 8;
const LISTENER: Token = Token(usize::MAX);
const WAKER: Token = Token(usize::MAX - 1);

/// GCM where the processor has instructions for it: authenticating what goes in clear, too, costs a fraction there.
fn fastest_suite() -> Suite {
    #[cfg(any(target_arch = "x86", target_arch = "x86_64"))]
    let has_instructions = is_x86_feature_detected!("aes") && is_x86_feature_detected!("pclmulqdq");
    #[cfg(target_arch = "aarch64")]
    let has_instructions =
        std::arch::is_aarch64_feature_detected!("aes") && std::arch::is_aarch64_feature_detected!("pmull");
    #[cfg(not(any(target_arch = "x86", target_arch = "x86_64", target_arch = "aarch64")))]
    let has_instructions = false;
    if has_instructions { Suite::Aes128GcmSha256_128 } else { Suite::Aes128CtrHmacSha256_80 }
}

/// The core's terminal in the size that this program has.
pub type Core = Terminal<SESSIONS, PEERS>;

/// Is shown every event before anybody acts on it.
pub type Watch = Box<dyn FnMut(&Event) + Send>;

/// Takes the payload of what is received.
pub trait Sink {
    /// The bytes that belong at `offset` of the recording that comes in over `session`, in order.
    fn payload(&mut self, session: SessionId, offset: u64, bytes: &[u8]) -> io::Result<()>;
}

/// Nothing is received.
impl Sink for () {
    fn payload(&mut self, _: SessionId, _: u64, _: &[u8]) -> io::Result<()> {
        Err(io::Error::other("this process receives nothing"))
    }
}

/// One of this recorder's deposits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: DepositId,
    /// For whom.
    pub callee: String,
    /// The recording's length.
    pub size: u64,
    /// Bytes of it that the broker keeps.
    pub kept: u64,
}

/// What a node is to do besides calling.
#[derive(Debug)]
pub struct Role {
    /// Takes callers: where they come in.
    pub listener: Option<std::net::TcpListener>,
    /// When it takes them.
    pub gate: LoadGate,
}

impl Role {
    /// Calls, or changes the list; takes no callers.
    pub fn caller() -> Self {
        Self { listener: None, gate: LoadGate::default() }
    }
}

/// Room for one frame, and where it goes while it waits: a lane that is full must not hold up other sessions.
#[derive(Default)]
struct Frame {
    buffer: Vec<u8>,
    waiting: Option<(LinkId, Range<usize>)>,
}

/// A terminal with its sockets and its stored state.
pub struct Node {
    terminal: Box<Core>,
    state: State,
    peers: Version,
    broker: Broker,
    /// The link to the broker, while it is being looked up where that is.
    seeking: Option<LinkId>,
    waker: Arc<Waker>,
    poll: Poll,
    ready: Events,
    wires: BTreeMap<LinkId, Wire>,
    listener: Option<TcpListener>,
    started: Instant,
    events: VecDeque<Event>,
    /// Of each session that sends: the frame that is sealed and waits for its lane.
    frames: HashMap<SessionId, Frame>,
    record: Vec<u8>,
    watch: Option<Watch>,
    /// Sessions with callers, and those that collect.
    callers: Vec<SessionId>,
    listed: Vec<Listed>,
}

impl Node {
    /// A terminal of this identity. Its seed is replaced on disk before any secret is drawn from it.
    pub fn new(state: State, identity: &Identity, role: Role) -> Result<Self, Failure> {
        let broker = Broker::new(&identity.broker, state.tls(identity)?);
        let lock = state.lock()?;
        let seed = state.seed()?;
        let mut entropy = Zeroizing::new([0; 32]);
        fill_random(&mut entropy)?;
        let config = Config {
            identifier: identity.identifier.clone(),
            secret: identity.secret.clone(),
            broker_key: identity.broker_key,
            max_record: MAX_RECORD,
            max_frame: MAX_FRAME,
            listen: role.listener.is_some(),
            suite: fastest_suite(),
            allow_loopback: broker.is_loopback(),
            load: role.gate,
        };
        let (terminal, next_seed) = Terminal::new(config, &seed, &entropy);
        let mut terminal = Box::new(terminal);
        state.save_seed(&next_seed)?;
        let peers = state.peers_version();
        if let Some(blob) = state.peers()? {
            restore(&mut terminal, &blob)?;
        }
        drop(lock);

        let poll = Poll::new().map_err(machine)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(machine)?);
        let listener = match role.listener {
            None => None,
            Some(listener) => {
                listener.set_nonblocking(true).map_err(machine)?;
                let mut listener = TcpListener::from_std(listener);
                poll.registry().register(&mut listener, LISTENER, Interest::READABLE).map_err(machine)?;
                Some(listener)
            }
        };
        let now = Instant::now();
        Ok(Self {
            terminal,
            state,
            peers,
            broker,
            seeking: None,
            waker,
            poll,
            ready: Events::with_capacity(64),
            wires: BTreeMap::new(),
            listener,
            started: now,
            events: VecDeque::new(),
            frames: HashMap::new(),
            record: vec![0; 2 + usize::from(MAX_RECORD.get())],
            watch: None,
            callers: Vec::new(),
            listed: Vec::new(),
        })
    }

    /// Shows every event to `watch` before anybody acts on it.
    pub fn watch(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// The terminal itself, and the time for calls to it.
    pub fn terminal(&mut self) -> (&mut Core, u64) {
        let now = self.now();
        (&mut self.terminal, now)
    }

    /// The broker's address as the user gave it.
    pub fn broker(&self) -> &str {
        &self.broker.name
    }

    /// This machine's address on the way to the broker.
    pub fn source(&self) -> Option<std::net::IpAddr> {
        self.broker.source()
    }

    /// What TLS found wrong when the broker was last reached for.
    pub fn trouble(&self) -> Option<&str> {
        self.broker.trouble.as_deref()
    }

    /// Shows the broker a certificate of this recorder's own from now on.
    pub fn present(&mut self, tls: Tls) {
        self.broker.tls = Some(tls);
    }

    /// The next thing that happened.
    pub fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn now(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// Waits for input, time or `longest`, and does what is to be done.
    pub fn turn(&mut self, longest: Duration, sink: &mut dyn Sink) -> Result<(), Failure> {
        let more = self.work(sink)?;
        let mut patience = if more || !self.events.is_empty() { Duration::ZERO } else { longest };
        if let Some(deadline) = self.terminal.poll_timeout() {
            patience = patience.min(Duration::from_millis(deadline.saturating_sub(self.now())));
        }
        match self.poll.poll(&mut self.ready, Some(patience)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(machine(error)),
            _ => {}
        }
        for event in &self.ready {
            if event.token() == LISTENER {
                continue;
            }
            let id = self.wires.keys().copied().find(|link| token(*link) == event.token());
            if let Some(wire) = id.and_then(|link| self.wires.get_mut(&link)) {
                let broken = event.is_error() || event.is_read_closed();
                wire.ready(event.is_readable() || broken, event.is_writable() || event.is_error());
            }
        }
        self.accept();
        if let Some(link) = self.seeking.take() {
            self.connect(link, Destination::Broker);
        }
        self.finish_connecting();
        let now = self.now();
        if self.terminal.poll_timeout().is_some_and(|deadline| deadline <= now) {
            self.terminal.handle_timeout(now);
        }
        self.work(sink).map(|_| ())
    }

    /// Input, output and orders of the terminal, in a bounded number of rounds. `true`: there is more to do at once.
    fn work(&mut self, sink: &mut dyn Sink) -> Result<bool, Failure> {
        for _ in 0..ROUNDS {
            // Before the broker's word of a caller is taken in: the list that `allow` has stored by then counts.
            self.look_at_peers()?;
            let mut progress = self.obey()?;
            self.transmit();
            let links: Vec<LinkId> = self.wires.keys().copied().collect();
            for link in links {
                progress |= self.take_input(link, sink);
            }
            if !progress {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Seals a piece of the recording and hands it to its lane. Call only while [`Self::can_send`].
    pub fn send(
        &mut self,
        session: SessionId,
        class: Class,
        piece: &recording::Piece<'_>,
    ) -> Result<(), FrameError> {
        let now = self.now();
        let length = piece.bytes.len();
        let Frame { buffer, waiting } = self.frames.entry(session).or_default();
        buffer.resize(HEADROOM + length + TAILROOM, 0);
        buffer[HEADROOM..HEADROOM + length].copy_from_slice(piece.bytes);
        let piece = Piece { class, segment: piece.segment, offset: piece.offset, length };
        *waiting = Some(self.terminal.seal(session, piece, buffer, now)?);
        self.release_waiting(session);
        Ok(())
    }

    /// A part of a deposit begins. Call only while [`Self::can_send`].
    pub fn send_part(&mut self, session: SessionId, name: &str) -> Result<(), FrameError> {
        let now = self.now();
        let Frame { buffer, waiting } = self.frames.entry(session).or_default();
        buffer.resize(MAX_PART_HEADER, 0);
        *waiting = Some(self.terminal.seal_part(session, name, buffer, now)?);
        self.release_waiting(session);
        Ok(())
    }

    /// What the broker has listed so far.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Does at once what the terminal orders: what is to be stored is stored then.
    pub fn settle(&mut self) -> Result<(), Failure> {
        self.obey().map(|_| ())
    }

    /// The end of a class's lane. Call only while [`Self::can_send`].
    pub fn send_end(
        &mut self,
        session: SessionId,
        class: Class,
        segments: u64,
        hash: Option<&[u8; 32]>,
    ) -> Result<(), FrameError> {
        let now = self.now();
        let Frame { buffer, waiting } = self.frames.entry(session).or_default();
        buffer.resize(HEADROOM + 32 + TAILROOM, 0);
        *waiting = Some(self.terminal.seal_end(session, class, segments, hash, buffer, now)?);
        self.release_waiting(session);
        Ok(())
    }

    /// No frame of this session waits for its lane: the next one may be sealed.
    pub fn can_send(&self, session: SessionId) -> bool {
        self.frames.get(&session).is_none_or(|frame| frame.waiting.is_none())
    }

    /// Hands a session's waiting frame to its lane if that has room.
    fn release_waiting(&mut self, session: SessionId) {
        let Some(Frame { buffer, waiting }) = self.frames.get_mut(&session) else { return };
        let Some((link, range)) = waiting.take() else { return };
        let Some(wire) = self.wires.get_mut(&link) else { return };
        if wire.backlog() > 0 && wire.backlog() + range.len() > BACKLOG {
            let _ = wire.flush();
        }
        if wire.backlog() > 0 && wire.backlog() + range.len() > BACKLOG {
            *waiting = Some((link, range));
        } else {
            wire.queue(&buffer[range]);
        }
    }

    /// Writes what is queued everywhere, for `longest` at most: before the program ends, when events matter no more.
    pub fn drain(&mut self, longest: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + longest;
        loop {
            self.work(&mut ())?;
            // Nobody takes them, and `turn` doesn't rest while there are any.
            self.events.clear();
            let open = self.wires.values().any(|wire| wire.is_connected() && wire.backlog() > 0);
            if !open || Instant::now() >= deadline {
                return Ok(());
            }
            self.turn(Duration::from_millis(20), &mut ())?;
        }
    }

    /// One link's turn: a bounded number of steps. Says whether there was any progress.
    fn take_input(&mut self, link: LinkId, sink: &mut dyn Sink) -> bool {
        let now = self.now();
        let mut progress = false;
        for _ in 0..STEPS {
            let Some(wire) = self.wires.get_mut(&link) else { return progress };
            if wire.is_closing() || !wire.is_connected() {
                return progress;
            }
            if !wire.has_wanted() {
                if !wire.may_read() {
                    return progress;
                }
                match wire.read() {
                    Ok(true) => continue,
                    Ok(false) if !wire.has_ended() => return progress,
                    Ok(false) => {
                        self.lost(link);
                        return true;
                    }
                    Err(error) => {
                        // What TLS has to say is worth telling; that a connection broke is not.
                        if wire.leads_to_broker() && error.kind() == io::ErrorKind::InvalidData {
                            self.broker.trouble = Some(error.to_string());
                        }
                        self.lost(link);
                        return true;
                    }
                }
            }
            let input = self.terminal.handle_input(link, wire.input(), now);
            let is_payload = matches!(input.step, Step::Payload { .. });
            match input.step {
                Step::Payload { session, offset, range } => {
                    if sink.payload(session, offset, &wire.input()[range]).is_err() {
                        let _ = self.terminal.abandon(session, "it cannot be written to the disk", now);
                    }
                    wire.want(1);
                }
                Step::Progress => wire.want(1),
                Step::Deposit { deposit, size, kept, callee } => {
                    let callee = String::from_utf8_lossy(&wire.input()[callee]).into_owned();
                    self.listed.push(Listed { id: deposit, callee, size, kept });
                    wire.want(1);
                }
                Step::NeedMore(bytes) => wire.want(bytes),
                // The other lane is behind. What it brings is progress, and then this one is asked again.
                Step::Blocked => {
                    wire.consume(input.consumed);
                    return progress;
                }
                // `Event::Close` follows.
                Step::Closed => {
                    wire.consume(input.consumed);
                    return true;
                }
            }
            progress = true;
            if !is_payload {
                // Opened in place: there may be a password or a key in it.
                wire.input()[..input.consumed].zeroize();
            }
            wire.consume(input.consumed);
        }
        progress
    }

    /// A connection is gone.
    fn lost(&mut self, link: LinkId) {
        if let Some(wire) = self.wires.remove(&link) {
            let closing = wire.is_closing();
            wire.deregister(self.poll.registry());
            if !closing {
                let now = self.now();
                self.terminal.link_closed(link, now);
            }
        }
    }

    /// What the terminal has to say on each link, as long as the socket keeps up.
    fn transmit(&mut self) {
        let now = self.now();
        let mut broken = Vec::new();
        let record = &mut self.record;
        for (&link, wire) in &mut self.wires {
            while wire.is_connected() && wire.backlog() < BACKLOG {
                match self.terminal.poll_transmit(link, record, now) {
                    Ok(0) | Err(_) => break,
                    Ok(bytes) => wire.queue(&record[..bytes]),
                }
            }
            if wire.flush().is_err() || wire.is_done() {
                broken.push(link);
            }
        }
        for link in broken {
            self.lost(link);
        }
        for session in self.frames.keys().copied().collect::<Vec<_>>() {
            self.release_waiting(session);
        }
    }

    /// Does what the terminal orders; what concerns the application is kept for [`Self::event`].
    fn obey(&mut self) -> Result<bool, Failure> {
        let mut any = false;
        while let Some(event) = self.terminal.poll_event() {
            any = true;
            if let Some(watch) = &mut self.watch {
                watch(&event);
            }
            match event {
                Event::Connect { link, to } => self.connect(link, to),
                Event::Close { link } => {
                    self.transmit();
                    // The lane is over: what waits for it must not hold up the next one.
                    for frame in self.frames.values_mut() {
                        frame.waiting.take_if(|(lane, _)| *lane == link);
                    }
                    self.seeking.take_if(|seeking| *seeking == link);
                    if let Some(wire) = self.wires.get_mut(&link) {
                        wire.close();
                    }
                }
                Event::Persist => self.persist()?,
                other => {
                    match other {
                        Event::Expected { session } | Event::Collecting { session } => {
                            self.callers.push(session);
                        }
                        Event::Closed { session, .. } => {
                            self.callers.retain(|caller| *caller != session);
                            self.frames.remove(&session);
                        }
                        _ => {}
                    }
                    self.events.push_back(other);
                }
            }
        }
        Ok(any)
    }

    fn connect(&mut self, link: LinkId, to: Destination) {
        let address = match to {
            Destination::Broker => match self.broker.address(&self.waker) {
                task::Poll::Ready(address) => address,
                task::Poll::Pending => {
                    self.seeking = Some(link);
                    return;
                }
            },
            Destination::Address(address) => Ok(address),
        };
        let registry = self.poll.registry();
        let to_broker = to == Destination::Broker;
        self.broker.trouble.take_if(|_| to_broker);
        let wire = address.and_then(TcpStream::connect).and_then(|stream| {
            let tls = self.broker.tls().filter(|_| to_broker).map(Tls::connection).transpose()?;
            Wire::new(stream, to_broker, tls, registry, token(link))
        });
        match wire {
            Ok(wire) => {
                self.wires.insert(link, wire);
            }
            Err(_) => {
                let now = self.now();
                if to == Destination::Broker {
                    self.broker.failed();
                }
                self.terminal.link_closed(link, now);
            }
        }
    }

    fn finish_connecting(&mut self) {
        let now = self.now();
        let results: Vec<_> =
            self.wires.iter_mut().filter_map(|(link, wire)| Some((*link, wire.connect_result()?))).collect();
        for (link, connected) in results {
            if connected {
                self.terminal.link_opened(link, now);
            } else {
                if self.wires.get(&link).is_some_and(Wire::leads_to_broker) {
                    self.broker.failed();
                }
                self.lost(link);
            }
        }
    }

    fn accept(&mut self) {
        let now = self.now();
        while let Some((stream, _)) = self.listener.as_ref().and_then(|listener| listener.accept().ok()) {
            // No room is no tragedy: the caller is turned away by the close.
            let Ok(link) = self.terminal.accepted(now) else { continue };
            match Wire::accepted(stream, self.poll.registry(), token(link)) {
                Ok(wire) => {
                    self.wires.insert(link, wire);
                    self.terminal.link_opened(link, now);
                }
                Err(_) => self.terminal.link_closed(link, now),
            }
        }
    }
}

fn token(link: LinkId) -> Token {
    Token(link.number() as usize)
}

/// 32 bytes from the operating system; without them nothing goes on.
pub fn fill_random(bytes: &mut [u8; 32]) -> Result<(), Failure> {
    getrandom::fill(bytes).map_err(|error| {
        Failure::new(
            Code::Local,
            format!("the operating system gives no random bytes ({error}): check /dev/urandom"),
        )
    })
}

fn machine(error: io::Error) -> Failure {
    Failure::new(Code::Local, format!("the operating system refuses sockets ({error}): check its limits"))
}
