//! `receive`: takes callers, and what they send, until it is ended.

mod signals;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use p2pgate::load::LoadGate;
use p2pgate::message::DepositId;
use p2pgate::terminal::{self, DAMAGED, Event, OfflineCause, SessionId};
use rustix::net::{self, AddressFamily, SocketFlags, SocketType, sockopt};

use super::{PATIENCE, go_online, outcome};
use crate::cli::{Announce, Receive};
use crate::failure::{Code, Failure};
use crate::incoming::{Description, Incoming, Refusal};
use crate::load::LoadMeter;
use crate::mapping::{Mapping, News};
use crate::node::{Node, Role, Sink, Watch};
use crate::progress::Bars;
use crate::serve::{self, Device, Serving};
use crate::sharing::Sharing;
use crate::state::{Identity, Lock, State};

/// Once busy by load, free again this far below the limit, in per cent.
const HYSTERESIS: u8 = 10;
/// Callers that the system lets wait, as many as the standard library has wait.
const CALLERS: i32 = 128;
/// A load limit that no load reaches.
const NO_LIMIT: u8 = 101;
/// Between two lines about refused connections.
const REFUSAL_LINES: Duration = Duration::from_secs(1);
/// How long `--once` waits for the sender to say goodbye.
const GOODBYE: Duration = Duration::from_secs(3);

/// Receives until `--once` is done or the process is ended.
pub fn run(arguments: &Receive) -> Result<(), Failure> {
    // Whoever was told of this recorder is told that it goes: players at home, the router.
    let ended = (arguments.map_port || arguments.serve.is_wanted()).then(signals::heed).transpose()?;
    let mut receiver = ReceiveLoop::start(arguments)?;
    say!("ready {} {}", receiver.address, receiver.name);
    for line in receiver.serving.iter().flat_map(Serving::lines) {
        say!("serving {line}");
    }
    loop {
        if let Some(received) = receiver.turn(Duration::from_millis(200))? {
            let Received { session, path, bytes, from } = received;
            say!("received {} bytes {bytes} from {from}", path.display());
            if arguments.once {
                return receiver.finish(session);
            }
        }
        if let Some(signal) = ended.as_ref().and_then(signals::Ended::by) {
            drop(receiver);
            // As a shell tells of a process that a signal has ended.
            std::process::exit(128 + signal);
        }
    }
}

/// A recording that was received and is stored.
#[derive(Debug)]
pub struct Received {
    /// The session it came over.
    pub session: SessionId,
    /// Where it is.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Who sent it.
    pub from: String,
}

/// A recorder that receives: one `turn` after another.
pub struct ReceiveLoop {
    /// Where it listens.
    pub address: SocketAddr,
    name: String,
    node: Node,
    inbox: Inbox,
    sharing: Option<Sharing>,
    load: Option<LoadMeter>,
    mapping: Option<Mapping>,
    /// Where callers from outside come in, by the router's word.
    outside: Option<SocketAddr>,
    /// What callers are told: where it listens, unless the user says otherwise.
    listed: Vec<SocketAddr>,
    announces: bool,
    stored_sender: Sender<Stored>,
    stored: Receiver<Stored>,
    storing: usize,
    /// What came before callers could: deposits that are collected at once.
    early: VecDeque<Received>,
    /// The broker knows where this recorder listens.
    announced: bool,
    /// The domain name that it knows instead, and the port.
    named: Option<(String, u16)>,
    state: State,
    /// Sessions that collect what was put in its place before.
    placed: HashSet<SessionId>,
    /// When a refused connection was last told of, and how many were not.
    refused: Option<Instant>,
    unsaid: u64,
    serving: Option<Serving>,
    _lock: Lock,
}

/// What the thread that syncs and renames says.
struct Stored {
    session: SessionId,
    from: String,
    bytes: u64,
    /// It was collected.
    deposit: Option<DepositId>,
    result: Result<PathBuf, Unstored>,
}

/// Why a recording that came is not stored: what the sender is told, and what is said here.
struct Unstored {
    cause: &'static str,
    error: String,
}

/// The recordings on their way in.
struct Inbox {
    folder: PathBuf,
    open: HashMap<SessionId, Incoming>,
    bars: Bars,
}

impl Sink for Inbox {
    fn payload(&mut self, session: SessionId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let incoming = self.open.get_mut(&session).ok_or(io::ErrorKind::NotFound)?;
        incoming.write(offset, bytes)?;
        self.bars.advance(session.number(), incoming.written());
        Ok(())
    }
}

/// Starts to serve what arrives.
fn serve(arguments: &Receive, identity: &Identity) -> Result<Serving, Failure> {
    Serving::start(serve::Options {
        folder: arguments.out.clone(),
        at: arguments.serve,
        device: Device::of(&identity.secret.public_key()),
        limits: serve::Limits::default(),
    })
}

/// At a free port, for IPv6 and IPv4, whatever the system's setting; where there is no IPv6, for IPv4.
fn listen_anywhere() -> io::Result<TcpListener> {
    let both = || -> io::Result<TcpListener> {
        let socket = net::socket_with(AddressFamily::INET6, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_ipv6_v6only(&socket, false)?;
        net::bind(&socket, &SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)))?;
        net::listen(&socket, CALLERS)?;
        Ok(socket.into())
    };
    both().or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)))
}

/// Where callers reach what listens at `address`: where the router lets them in, where the broker sees this machine, and, for those at home, its own address
/// there.
fn reached_at(address: SocketAddr, outside: Option<SocketAddr>, node: &Node) -> Vec<SocketAddr> {
    let at_home = node.source().filter(|own| {
        let alike = own.is_ipv4() == address.is_ipv4() || address.is_ipv6();
        address.ip().is_unspecified() && alike && serve::is_private(*own) && !own.is_loopback()
    });
    let at_home = at_home.map(|own| SocketAddr::new(own, address.port()));
    outside.into_iter().chain([address]).chain(at_home).collect()
}

impl ReceiveLoop {
    /// Listens, and tells the broker where. Returns once callers can come.
    pub fn start(arguments: &Receive) -> Result<Self, Failure> {
        Self::start_watched(arguments, None)
    }

    /// The same, with every event shown to `watch`.
    pub fn start_watched(arguments: &Receive, watch: Option<Watch>) -> Result<Self, Failure> {
        let (state, identity) = State::open(&arguments.state)?;
        let lock = state.lock_receiving()?;
        let kept = state.clone();
        std::fs::create_dir_all(&arguments.out)
            .map_err(|error| Failure::local("cannot make the folder", &arguments.out, &error))?;
        let cannot_listen = |error: io::Error| {
            let place = arguments.listen.map_or("any port".to_owned(), |address| address.to_string());
            Failure::new(Code::Local, format!("cannot listen at {place} ({error}): choose another --listen"))
        };
        let listener = arguments.listen.map_or_else(listen_anywhere, TcpListener::bind);
        let listener = listener.map_err(cannot_listen)?;
        let address = listener.local_addr().map_err(cannot_listen)?;
        let gate = LoadGate::new(arguments.load_limit.unwrap_or(NO_LIMIT), HYSTERESIS, arguments.sessions);
        let mut node = Node::new(state, &identity, Role { listener: Some(listener), gate })?;
        if let Some(watch) = watch {
            node.watch(watch);
        }
        // Of what the terminal knows to be collected no note is needed any more.
        kept.keep_placing(node.terminal().0.depositors().map(|(_, deposit)| *deposit));
        // The port that is listened at, unless another is given.
        let port = |given| if given == 0 { address.port() } else { given };
        let (listed, named) = match arguments.announce.clone() {
            None => (reached_at(address, None, &node), None),
            Some(Announce::Address(given)) => (vec![SocketAddr::new(given.ip(), port(given.port()))], None),
            Some(Announce::Name(name, given)) => (Vec::new(), Some((name, port(given)))),
        };
        let (terminal, _) = node.terminal();
        // Three addresses are never too many.
        let _ = terminal.listen_at(&listed);
        let share = arguments.share.as_deref();
        let sharing = share.map(|folder| Sharing::start(folder, &mut node)).transpose()?;
        go_online(&mut node)?;
        if let Some((name, port)) = &named {
            node.announce(name, *port);
        }
        let map = |()| Mapping::start(address.port());
        let mapping = arguments.map_port.then_some(()).map(map).transpose().map_err(cannot_listen)?;
        let serving = arguments.serve.is_wanted().then(|| serve(arguments, &identity)).transpose()?;
        let (stored_sender, stored) = mpsc::channel();
        let mut receiver = Self {
            address,
            name: identity.identifier.as_str().to_owned(),
            node,
            inbox: Inbox { folder: arguments.out.clone(), open: HashMap::new(), bars: Bars::default() },
            sharing,
            load: arguments.load_limit.map(|_| LoadMeter::default()),
            mapping,
            outside: None,
            listed,
            announces: arguments.announce.is_some(),
            stored_sender,
            stored,
            storing: 0,
            early: VecDeque::new(),
            announced: false,
            named,
            state: kept,
            placed: HashSet::new(),
            refused: None,
            unsaid: 0,
            serving,
            _lock: lock,
        };
        let deadline = Instant::now() + PATIENCE;
        while !receiver.announced {
            if Instant::now() >= deadline {
                return Err(outcome::offline(OfflineCause::Broker, receiver.node.broker()));
            }
            let received = receiver.work(Duration::from_millis(200))?;
            receiver.early.extend(received);
        }
        Ok(receiver)
    }

    /// Waits for input or `longest`; says when a recording is stored.
    pub fn turn(&mut self, longest: Duration) -> Result<Option<Received>, Failure> {
        match self.early.pop_front() {
            None => self.work(longest),
            early => Ok(early),
        }
    }

    fn work(&mut self, longest: Duration) -> Result<Option<Received>, Failure> {
        if let Some(percent) = self.load.as_mut().and_then(LoadMeter::poll) {
            self.node.terminal().0.set_load(percent);
        }
        self.take_mapping();
        let waits = self.storing > 0 || self.sharing.as_ref().is_some_and(Sharing::is_preparing);
        let mut patience = if waits { longest.min(Duration::from_millis(5)) } else { longest };
        if let Some(sharing) = &mut self.sharing
            && sharing.turn(&mut self.node, &mut self.inbox.bars)
        {
            patience = Duration::ZERO;
        }
        self.node.turn(patience, &mut self.inbox)?;
        while let Some(event) = self.node.event() {
            if let Some(sharing) = &mut self.sharing {
                sharing.take(&mut self.node, &mut self.inbox.bars, &event);
            }
            self.take(event)?;
        }
        self.take_stored()
    }

    /// The router has opened a port, or another one, or none.
    fn take_mapping(&mut self) {
        let Some(news) = self.mapping.as_ref().and_then(Mapping::news) else { return };
        self.outside = None;
        match news {
            News::Mapped { outside, way } => {
                self.inbox
                    .bars
                    .say(&format!("callers from outside reach this recorder at {outside} ({way})"));
                self.outside = Some(outside);
            }
            News::Failed(cause) => self
                .inbox
                .bars
                .say(&format!("{cause}; callers from outside come through the broker until it opens one")),
        }
        self.tell_addresses();
    }

    /// Tells callers where this recorder is, if that is another place than before.
    fn tell_addresses(&mut self) {
        let addresses = reached_at(self.address, self.outside, &self.node);
        if !self.announces && addresses != self.listed {
            // Three are never too many.
            let _ = self.node.terminal().0.listen_at(&addresses);
            self.listed = addresses;
        }
    }

    /// Lets the last words out: the sender is to hear that its recording is stored.
    pub fn finish(mut self, session: SessionId) -> Result<(), Failure> {
        let deadline = Instant::now() + GOODBYE;
        while Instant::now() < deadline {
            while let Some(event) = self.node.event() {
                if matches!(event, Event::Closed { session: closed, .. } if closed == session) {
                    return self.node.drain(Duration::from_millis(500));
                }
            }
            self.node.turn(Duration::from_millis(50), &mut self.inbox)?;
        }
        self.node.drain(Duration::from_millis(500))
    }

    fn take(&mut self, event: Event) -> Result<(), Failure> {
        match event {
            Event::Offered { session } => self.answer_offer(session),
            Event::Arrived { session, hash } => self.store(session, hash)?,
            Event::TransferFailed { session, .. } | Event::Closed { session, .. } => {
                self.placed.remove(&session);
                // What came stays for the next try.
                self.inbox.open.remove(&session);
                self.inbox.bars.end(session.number());
            }
            Event::Offline { cause: cause @ (OfflineCause::NotEnrolled | OfflineCause::Displaced) } => {
                return Err(outcome::offline(cause, self.node.broker()));
            }
            Event::Offline { .. } => self.inbox.bars.say("the broker is out of reach; trying again"),
            Event::AddressKnown => self.announced = true,
            Event::Online { .. } => {
                self.inbox.bars.say("the broker is there again");
                // Perhaps in another network.
                self.tell_addresses();
                if let Some((name, port)) = &self.named {
                    self.node.announce(name, *port);
                }
            }
            Event::DepositWaiting { size, .. } => {
                self.inbox.bars.say(&format!("a recording of {size} bytes waits at the broker"));
            }
            Event::Unexpected { key_changed: true } => self
                .inbox
                .bars
                .say("a caller on the list has another key than before: refused; confirm with allow --add ID=FINGERPRINT"),
            Event::Refused { refusal } => self.log_refusal(refusal),
            _ => {}
        }
        Ok(())
    }

    /// A line a second at most: whoever knocks must not fill the log.
    fn log_refusal(&mut self, refusal: terminal::Refusal) {
        if self.refused.is_some_and(|last| last.elapsed() < REFUSAL_LINES) {
            self.unsaid += 1;
            return;
        }
        self.refused = Some(Instant::now());
        let more = match std::mem::take(&mut self.unsaid) {
            0 => String::new(),
            unsaid => format!(" (and {unsaid} before it)"),
        };
        let why = outcome::refused(refusal);
        self.inbox.bars.say(&format!("a connection was refused: {why}{more}"));
    }

    fn answer_offer(&mut self, session: SessionId) {
        let (terminal, now) = self.node.terminal();
        let peer = terminal.peer(session).map(ToString::to_string);
        let (Some(peer), Some(offered)) = (peer, terminal.offered(session)) else { return };
        let what =
            Description { peer: &peer, name: offered.name, size: offered.size, source: offered.source };
        let deposit = terminal.deposit_of(session).copied();
        if deposit.is_some_and(|id| self.state.is_placing(&id, &self.inbox.folder))
            && Incoming::is_placed(&self.inbox.folder, &what)
        {
            // This process ended before it could say so: the broker is told now.
            let size = offered.size;
            if terminal.accept(session, size, now).is_ok() {
                self.placed.insert(session);
            }
            return;
        }
        // A new session of the same recording takes the place of one that hangs.
        let path = Incoming::path(&self.inbox.folder, &what);
        self.inbox.open.retain(|_, other| other.temporary() != path);
        let opened = Incoming::open(&self.inbox.folder, &what, offered.hash);
        match opened {
            Ok(mut incoming) => {
                self.inbox.bars.begin(session.number(), offered.name, offered.size);
                if terminal.accept(session, incoming.written(), now).is_ok() {
                    if let Some(Err(error)) =
                        self.serving.as_ref().map(|serving| incoming.show_on(serving.shelf()))
                    {
                        self.inbox.bars.say(&format!("a recording can't be served while it comes: {error}"));
                    }
                    self.inbox.open.insert(session, incoming);
                }
            }
            Err(refusal) => {
                let cause = match refusal {
                    Refusal::NoRoom => "there is no room for it",
                    Refusal::Busy => "it is coming in already",
                    Refusal::Local(error) => {
                        self.inbox
                            .bars
                            .say(&format!("cannot write to {}: {error}", self.inbox.folder.display()));
                        "the receiver cannot write files"
                    }
                };
                let _ = terminal.refuse(session, cause, now);
            }
        }
    }

    /// Syncing a large file takes seconds; other sessions must not wait for it.
    fn store(&mut self, session: SessionId, hash: Option<[u8; 32]>) -> Result<(), Failure> {
        let (terminal, now) = self.node.terminal();
        let deposit = terminal.deposit_of(session).copied();
        if self.placed.remove(&session) {
            let told = terminal.stored(session, Ok(()), now).is_ok();
            return self.collected(deposit.filter(|_| told));
        }
        let Some(incoming) = self.inbox.open.remove(&session) else { return Ok(()) };
        self.inbox.bars.end(session.number());
        let (state, folder) = (self.state.clone(), self.inbox.folder.clone());
        let from = self.node.terminal().0.peer(session).map(ToString::to_string).unwrap_or_default();
        let bytes = incoming.size();
        let sender = self.stored_sender.clone();
        self.storing += 1;
        std::thread::spawn(move || {
            let result = if hash.is_some() && incoming.sha256() != hash {
                incoming.discard();
                Err(Unstored { cause: DAMAGED, error: "its SHA-256 is not the sender's".to_owned() })
            } else {
                // Should this process end before the broker hears of it, it must not be delivered twice.
                let noted = deposit.map_or(Ok(()), |id| state.note_placing(&id, &folder));
                let finished = noted.and_then(|()| incoming.finish());
                if let (Some(id), Err(_)) = (deposit, &finished) {
                    state.forget_placing(&id);
                }
                finished
                    .map_err(|error| Unstored { cause: "it could not be stored", error: error.to_string() })
            };
            // The receiving end lives as long as the process.
            let _ = sender.send(Stored { session, from, bytes, deposit, result });
        });
        Ok(())
    }

    /// The terminal remembers from now on that it has this deposit.
    fn collected(&mut self, deposit: Option<DepositId>) -> Result<(), Failure> {
        self.node.settle()?;
        if let Some(id) = deposit {
            self.state.forget_placing(&id);
        }
        Ok(())
    }

    fn take_stored(&mut self) -> Result<Option<Received>, Failure> {
        let Ok(stored) = self.stored.try_recv() else { return Ok(None) };
        self.storing -= 1;
        let Stored { session, from, bytes, deposit, result } = stored;
        let (terminal, now) = self.node.terminal();
        match result {
            Ok(path) => {
                // If the sender is gone meanwhile, the recording is here all the same.
                let told = terminal.stored(session, Ok(()), now).is_ok();
                self.collected(deposit.filter(|_| told))?;
                Ok(Some(Received { session, path, bytes, from }))
            }
            Err(Unstored { cause, error }) => {
                let _ = terminal.stored(session, Err(cause), now);
                self.inbox.bars.say(&format!("a recording from {from} could not be stored: {error}"));
                Ok(None)
            }
        }
    }
}
