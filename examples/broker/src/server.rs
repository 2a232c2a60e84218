//! The server: one loop over the sockets, with the broker's decisions in the middle and the store's thread beside it.

use crate::Error;
use crate::accept::{Door, Given};
use crate::admin::Client;
use crate::disk::Asker;
use crate::files::{Files, Work};
use crate::folder::{Folder, fill_random};
use crate::handles::{Reload, Stop};
use crate::history::History;
use crate::lanes::{Giving, Taking};
use crate::leases::Leases;
use crate::links::Link;
use crate::lookups::Lookups;
use crate::metrics::Metrics;
use crate::operators::listen_for_operator;
use crate::options::Options;
use crate::pages::{Pages, Visitor};
use crate::pair::Pair;
use crate::reaching::Try;
use crate::store::{Sqlite, Store, StoreError, Worker};
use crate::tls;
use crate::turns::{Behind, Strangers};
use mio::event::Event as Told;
use mio::net::UnixListener;
use mio::{Events, Interest, Poll, Token, Waker};
use p2pgate::broker::{Broker, Config, ConnectionId, Event, Level, LogRecord, MAX_INPUT, StoreOperation};
use p2pgate::link::PublicKey;
use std::collections::{BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

const PLAIN: Token = Token(0);
const ADMIN: Token = Token(1);
const WAKER: Token = Token(2);
pub(crate) const PAGES: Token = Token(3);
const SECURED: Token = Token(4);
const FIRST_CONNECTION: ConnectionId = 5;

/// Files that are neither connections nor pipes: the store's, the poll's, the log's, with room to spare.
const OTHER_FILES: u64 = 64;
/// A starting broker waits so long for an operator's command that is at the store.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);

/// What a connection is.
pub(crate) enum Role {
    /// A control link, or a connection of which nothing is known yet.
    Link(Link),
    /// One end of the pair with this number.
    Joined(ConnectionId),
    /// A depositor's lane.
    Taking(Taking),
    /// A callee's that collects.
    Giving(Giving),
}

/// A broker that listens.
pub struct Server {
    pub(crate) poll: Poll,
    /// The plain one first.
    pub(crate) doors: Vec<Door>,
    pub(crate) admin: Option<UnixListener>,
    stop: Stop,
    pub(crate) reloads: (Sender<Options>, Receiver<Options>),
    pub(crate) worker: Worker<Asker>,
    pub(crate) files: Files,
    pub(crate) lookups: Lookups,
    /// Where the resolver that it asks listens.
    pub(crate) resolver: Option<SocketAddr>,
    pub(crate) broker: Broker,
    pub(crate) connections: HashMap<ConnectionId, Role>,
    /// By the number of the pair's first connection.
    pub(crate) pairs: HashMap<ConnectionId, Pair>,
    pub(crate) clients: HashMap<ConnectionId, Client>,
    pub(crate) pages: Option<Pages>,
    pub(crate) visitors: HashMap<ConnectionId, Visitor>,
    /// Callees' addresses that are being tried.
    pub(crate) tries: HashMap<ConnectionId, Try>,
    pub(crate) metrics: Metrics,
    pub(crate) history: History,
    /// It has been told to stop.
    pub(crate) stopping: bool,
    /// Who can go on without the poll telling anything.
    pub(crate) ready: BTreeSet<ConnectionId>,
    /// The same of those that have said nothing yet.
    pub(crate) strangers: Strangers,
    /// The same of those that send more than others.
    pub(crate) behind: Behind,
    /// Depositors' lanes that wait for the disk.
    pub(crate) held_back: BTreeSet<ConnectionId>,
    /// When to look after connections that are closing, pairs that may be idle, and operators.
    pub(crate) deadlines: BTreeSet<(u64, ConnectionId)>,
    /// Pairs that have had their share, and until when.
    pub(crate) resting: BTreeSet<(u64, ConnectionId)>,
    pub(crate) relay_rate: Option<u64>,
    pub(crate) buffer: Box<[u8]>,
    pub(crate) lane_idle_ms: u64,
    pub(crate) splice: bool,
    pub(crate) max_pipe_pairs: usize,
    pub(crate) max_connections: usize,
    grace: Duration,
    pub(crate) accept_again: Option<u64>,
    /// When to try a disk that has failed.
    pub(crate) probe_at: Option<u64>,
    next: ConnectionId,
    started: Instant,
    pub(crate) folder: Folder,
    /// Last, so that all else has ended when another broker may start.
    _lock: File,
}

impl Server {
    /// Takes the data folder, reads key and store, and listens. Operators' commands wait until [`run`](Self::run).
    ///
    /// # Errors
    /// The folder is another broker's or cannot be used, or the address cannot be listened on.
    pub fn bind(options: Options) -> Result<Self, Error> {
        let allow = options.allow_look_alike;
        Self::bind_with(options, |path| Ok(Box::new(Sqlite::open(path)?.allow_look_alike(allow))))
    }

    /// The same with another store, which `open` gives once the data folder is this server's alone; it gets the path of the default one.
    /// [`enrol`](crate::enrol) and [`revoke`](crate::revoke) know only the default store, and so need the server to run.
    ///
    /// # Errors
    /// As [`bind`](Self::bind)'s, and `open`'s own.
    pub fn bind_with(
        options: Options,
        open: impl FnOnce(&Path) -> Result<Box<dyn Store>, StoreError>,
    ) -> Result<Self, Error> {
        options.check()?;
        let folder = Folder::new(&options.data);
        folder.create()?;
        let lock = folder.lock(LOCK_PATIENCE)?.ok_or_else(|| Error::Running(options.data.clone()))?;
        let path = folder.store();
        let unusable = |source| Error::Store { path: path.clone(), source };
        let mut store = open(&path).map_err(unusable)?;
        let terminals = store.load().map_err(unusable)?;
        let groups = store.load_groups().map_err(unusable)?;
        let resolved = store.load_resolved().map_err(unusable)?;
        let deposits = store.load_deposits().map_err(unusable)?;

        let (config, pipe_pairs) = within_file_limit(options.config);
        let max_connections = config.max_connections;
        let mut entropy = Zeroizing::new([0; 32]);
        fill_random(&mut *entropy)?;
        let key = folder.key(terminals.is_empty())?;
        let mut broker = match &options.resolves {
            Some(resolves) => {
                Broker::resolver(config, key, *entropy, resolves.broker, resolves.leases.is_some())
            }
            None => Broker::new(config, key, *entropy),
        };
        if let Some(resolver) = &options.resolver {
            broker.use_resolver(resolver.key, 0);
        }
        for terminal in terminals {
            let restored = broker.restore_terminal(
                &terminal.identifier,
                Some(terminal.key),
                terminal.revision,
                terminal.list,
                terminal.address,
            );
            restored.map_err(|_| unusable(StoreError::Damaged("an identifier")))?;
            if let Some(frame) = terminal.frame {
                broker.restore_frame(&terminal.identifier, frame);
            }
        }
        for group in groups {
            let restored = broker.restore_group(&group.name, &group.owner, group.members);
            restored.map_err(|_| unusable(StoreError::Damaged("a group")))?;
        }
        for (identifier, address, age_ms) in resolved {
            let restored = broker.restore_resolved(&identifier, address, age_ms, 0);
            restored.map_err(|_| unusable(StoreError::Damaged("a resolved address")))?;
        }

        let poll = Poll::new().map_err(Error::system("poll"))?;
        let registry = poll.registry();
        let waker = Waker::new(registry, WAKER).map_err(Error::system("poll"))?;
        let stop = Stop::new(waker);
        let mut given = Given::take();
        let mut doors = vec![Door::open(&mut given, options.listen, None, registry, PLAIN)?];
        if let Some(secured) = &options.tls {
            let config = tls::config(&secured.files)?;
            doors.push(Door::open(&mut given, secured.listen, Some(config), registry, SECURED)?);
        }
        let mut admin = listen_for_operator(&folder)?;
        registry.register(&mut admin, ADMIN, Interest::READABLE).map_err(Error::system("poll"))?;
        let pages = options.admin.map(|address| Pages::listen(address, options.admin_exposed, registry));
        let pages = pages.transpose()?;
        let wake = stop.clone();
        let (files, lost) = Files::start(&folder, &deposits, move || wake.wake())?;
        for deposit in deposits {
            broker.restore_deposit(deposit, 0);
        }
        for deposit in &lost {
            tracing::error!("the deposit {} is lost: its file is gone or cut", crate::files::name(deposit));
            broker.deposit_lost(deposit, 0);
        }
        let wake = stop.clone();
        let worker = Worker::start(store, move || wake.wake()).map_err(Error::system("start a thread"))?;
        let wake = stop.clone();
        let leases = options.resolves.and_then(|resolves| resolves.leases);
        let leases = leases.map(|files| Box::new(files) as Box<dyn Leases>);
        let lookups = Lookups::start(leases, move || wake.wake()).map_err(Error::system("start a thread"))?;
        Ok(Self {
            poll,
            doors,
            admin: Some(admin),
            stop,
            reloads: mpsc::channel(),
            worker,
            files,
            lookups,
            resolver: options.resolver.map(|resolver| resolver.address),
            broker,
            connections: HashMap::new(),
            pairs: HashMap::new(),
            clients: HashMap::new(),
            pages,
            visitors: HashMap::new(),
            tries: HashMap::new(),
            metrics: Metrics::new(),
            history: History::new(),
            stopping: false,
            ready: BTreeSet::new(),
            strangers: Strangers::new(),
            behind: Behind::default(),
            held_back: BTreeSet::new(),
            deadlines: BTreeSet::new(),
            resting: BTreeSet::new(),
            relay_rate: options.relay_rate,
            buffer: vec![0; 2 * MAX_INPUT].into_boxed_slice(),
            lane_idle_ms: milliseconds(options.lane_idle),
            splice: options.splice,
            max_pipe_pairs: pipe_pairs,
            max_connections,
            grace: options.grace,
            accept_again: None,
            probe_at: None,
            next: FIRST_CONNECTION,
            started: Instant::now(),
            folder,
            _lock: lock,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.doors[0].local
    }

    /// Where it listens with TLS around each connection (V7).
    pub fn tls_addr(&self) -> Option<SocketAddr> {
        self.doors.get(1).map(|door| door.local)
    }

    /// Where it serves the admin pages.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.pages.as_ref().map(|pages| pages.local)
    }

    /// The key that terminals pin.
    pub fn public_key(&self) -> PublicKey {
        self.broker.public_key()
    }

    /// What stops [`run`](Self::run).
    pub fn stop_handle(&self) -> Stop {
        self.stop.clone()
    }

    /// What gives [`run`](Self::run) other limits and certificates.
    pub fn reload_handle(&self) -> Reload {
        Reload::new(self.reloads.0.clone(), self.stop.clone())
    }

    /// Serves until told to stop. The store is on disk when this returns.
    ///
    /// # Errors
    /// The poll or the store's thread fails.
    pub fn run(mut self) -> Result<(), Error> {
        let mut events = Events::with_capacity(1024);
        let mut end: Option<u64> = None;
        self.obey();
        loop {
            let timeout = self.timeout(end);
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(Error::system("poll")(error));
                }
                _ => {}
            }
            for event in &events {
                self.told(event);
            }
            self.take_settings();
            self.take_written()?;
            self.take_outcomes()?;
            self.take_found();
            self.serve_ready();
            if self.strangers.have_their_turn() {
                self.hear_strangers();
            }
            let now = self.now();
            self.broker.handle_timeout(now);
            self.obey();
            self.look_after(now);
            self.obey();
            if end.is_none() && self.stop.is_asked() {
                tracing::info!("stopping");
                self.doors.clear();
                self.admin = None;
                self.stopping = true;
                end = Some(now.saturating_add(milliseconds(self.grace)));
            }
            if end.is_some_and(|end| end <= now || self.is_quiet()) {
                let _ = std::fs::remove_file(self.folder.socket());
                return Ok(());
            }
        }
    }

    /// Milliseconds since the start, as the broker counts.
    pub(crate) fn now(&self) -> u64 {
        milliseconds(self.started.elapsed())
    }

    fn timeout(&self, end: Option<u64>) -> Option<Duration> {
        if !(self.ready.is_empty() && self.strangers.is_empty()) {
            return Some(Duration::ZERO);
        }
        let now = self.now();
        let behind = self.behind.due(now);
        if [behind, self.accept_again].iter().flatten().any(|due| *due <= now) {
            return Some(Duration::ZERO);
        }
        let deadline = self.deadlines.first().map(|(at, _)| *at);
        let rested = self.resting.first().map(|(at, _)| *at);
        let minute = self.pages.as_ref().map(|_| self.history.due());
        let due = [
            self.broker.poll_timeout(),
            behind,
            deadline,
            rested,
            minute,
            self.accept_again,
            self.probe_at,
            end,
        ];
        let due = due.into_iter().flatten().min()?;
        // The poll counts in whole milliseconds as well: one more, lest it wakes just before.
        Some(Duration::from_millis(due.saturating_sub(now).saturating_add(1)))
    }

    fn told(&mut self, event: &Told) {
        match event.token() {
            PLAIN | SECURED => self.accept_again = Some(0),
            ADMIN => self.accept_operators(),
            PAGES => self.accept_visitors(),
            WAKER => {}
            Token(number) => {
                let id = number as ConnectionId;
                match self.connections.get_mut(&id) {
                    Some(Role::Link(link)) => link.socket.told(event),
                    Some(Role::Taking(taking)) => taking.socket.told(event),
                    Some(Role::Giving(giving)) => giving.socket.told(event),
                    Some(Role::Joined(pair)) => {
                        let pair = *pair;
                        if let Some(joined) = self.pairs.get_mut(&pair) {
                            joined.told(id, event);
                            self.ready.insert(pair);
                        }
                        return;
                    }
                    None if self.tries.contains_key(&id) => return self.reach_told(id),
                    None => {
                        if let Some(visitor) = self.visitors.get_mut(&id) {
                            visitor.told(event);
                        }
                    }
                }
                if self.is_stranger(id) {
                    self.strangers.push(id);
                } else {
                    self.ready.insert(id);
                }
            }
        }
    }

    /// Everybody has a turn, those that send more than others share one.
    fn serve_ready(&mut self) {
        let now = self.now();
        for id in std::mem::take(&mut self.ready) {
            if self.sends_much(id, now) {
                self.behind.push(id);
            } else {
                self.behind.others_served(now);
                self.serve(id);
                self.strangers.others_served();
            }
        }
        if let Some(id) = self.behind.pop(now) {
            self.serve(id);
        }
    }

    /// New connections, and one first word, which costs a handshake.
    fn hear_strangers(&mut self) {
        let now = self.now();
        if self.accept_again.is_some_and(|at| at <= now) {
            self.accept();
        }
        while let Some(id) = self.strangers.pop() {
            self.serve(id);
            if !self.is_stranger(id) {
                return;
            }
        }
    }

    fn serve(&mut self, id: ConnectionId) {
        match self.connections.get(&id) {
            Some(Role::Link(_)) => self.serve_link(id),
            Some(Role::Joined(pair)) => self.serve_pair(*pair),
            Some(Role::Taking(_)) => self.serve_taking(id),
            Some(Role::Giving(_)) => self.serve_giving(id),
            None if id == PAGES.0 as ConnectionId => self.accept_visitors(),
            None if self.visitors.contains_key(&id) => self.serve_visitor(id),
            None => self.serve_operator(id),
        }
    }

    /// Numbers are never used again while the server runs, so that what is late meets nobody else.
    pub(crate) fn number(&mut self) -> ConnectionId {
        let id = self.next;
        self.next += 1;
        id
    }

    /// Does what the broker wants done.
    pub(crate) fn obey(&mut self) {
        while let Some(event) = self.broker.poll_event() {
            match event {
                Event::Transmit(id) => self.flush(id),
                Event::Close(id) => self.close(id),
                Event::Store(request, StoreOperation::KeepPart { deposit, part }) => {
                    // First the bytes, then the index.
                    let operation = StoreOperation::KeepPart { deposit, part };
                    self.files.submit(Work::Sync { request, deposit, operation });
                }
                Event::Store(request, operation) => self.store(request, operation),
                Event::Deposit { connection, deposit, start } => {
                    self.take_deposit(connection, deposit, start);
                }
                Event::Collect { connection, deposit, start, end } => {
                    self.give_deposit(connection, deposit, start, end);
                }
                Event::Splice { first, second, limit, tunnel } => self.join(first, second, limit, tunnel),
                Event::Cut { first, .. } => self.cut(first),
                Event::DialResolver => self.dial_resolver(),
                Event::LookUp { request, names } => self.lookups.names(request, names),
                Event::Reach { request, addresses } => self.reach(request, addresses),
                Event::FindLease { request, identifier } => self.lookups.lease(request, identifier),
                Event::Log(record) => {
                    self.metrics.happened(&record.what);
                    log(&record);
                }
            }
        }
    }

    fn look_after(&mut self, now: u64) {
        if self.probe_at.is_some_and(|at| at <= now) {
            self.probe(now);
        }
        if self.pages.is_some() {
            self.note_minute(now);
        }
        while let Some((at, id)) = self.resting.first().copied().filter(|(at, _)| *at <= now) {
            self.resting.remove(&(at, id));
            self.ready.insert(id);
        }
        while let Some((at, id)) = self.deadlines.first().copied().filter(|(at, _)| *at <= now) {
            self.deadlines.remove(&(at, id));
            match self.connections.get(&id) {
                Some(Role::Link(_)) => self.closing_due(id),
                Some(Role::Joined(pair)) => self.pair_due(*pair, now),
                Some(Role::Giving(_)) => self.giving_due(id, now),
                Some(Role::Taking(_)) => {}
                None => {
                    self.clients.remove(&id);
                    self.visitors.remove(&id);
                    self.reach_due(id);
                }
            }
        }
    }

    /// Nothing is under way that a stop would break off.
    fn is_quiet(&self) -> bool {
        let unsent = |role: &Role| matches!(role, Role::Link(link) if link.has_unsent());
        let written = self.worker.pending() + self.files.syncing() == 0;
        written && self.pairs.is_empty() && !self.connections.values().any(unsent)
    }
}

/// Keeps connections and pipes within the files that this process may open: three quarters of them are for connections, a quarter for pipes.
/// A pair of lanes takes four files for pipes at most; pairs beyond that are copied.
pub(crate) fn within_file_limit(mut config: Config) -> (Config, usize) {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX);
    let files = usize::try_from(limit.saturating_sub(OTHER_FILES)).unwrap_or(usize::MAX);
    config.max_connections = config.max_connections.min(files / 4 * 3);
    (config, files / 16)
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn log(record: &LogRecord) {
    let connection = record.connection;
    match record.level {
        Level::Debug => tracing::debug!(connection, "{record}"),
        Level::Info => tracing::info!(connection, "{record}"),
        Level::Warning => tracing::warn!(connection, "{record}"),
    }
}
