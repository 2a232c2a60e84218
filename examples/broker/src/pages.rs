//! The admin pages by HTTP: `/metrics`, `/healthz`, `/readyz` and the status page at `/`.
//!
//! In the server's own loop: an answer says that this loop goes round. Each connection is one small request, whole within some seconds.

use crate::Error;
use crate::history::Sample;
use crate::metrics::Now;
use crate::page::{NAMED, Status};
use crate::pair::Pair;
use crate::server::{PAGES, Server};
use crate::socket::Socket;
use bytes::{Buf, Bytes};
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token, event::Event};
use p2pgate::broker::ConnectionId;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// Connections at a time, how long one may take, and the most that one may send.
const MAX_VISITORS: usize = 16;
const VISITOR_MS: u64 = 10_000;
const MAX_REQUEST: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
/// Connections and reads in a row before the others get their turn.
const TURN: usize = 16;

/// Where the pages are served.
pub(crate) struct Pages {
    listener: TcpListener,
    pub(crate) local: SocketAddr,
    exposed: bool,
}

impl Pages {
    pub(crate) fn listen(address: SocketAddr, exposed: bool, registry: &Registry) -> Result<Self, Error> {
        let refused = |source| Error::Listen { address, source };
        let mut listener = TcpListener::bind(address).map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        registry.register(&mut listener, PAGES, Interest::READABLE).map_err(Error::system("poll"))?;
        Ok(Self { listener, local, exposed })
    }

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        self.listener.accept()
    }
}

/// A connection that asks for a page.
pub(crate) struct Visitor {
    socket: Socket,
    request: Vec<u8>,
    /// What is left of the answer, once there is one.
    answer: Option<Bytes>,
}

enum Step {
    /// Nothing more comes or goes now.
    Wait,
    /// There may be more.
    Again,
    Asked(Request),
    Over,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Request {
    Page(Page),
    /// Status line and text.
    Wrong(&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Page {
    Status,
    Metrics,
    Health,
    Ready,
}

impl Visitor {
    pub(crate) fn told(&mut self, event: &Event) {
        self.socket.told(event);
    }

    fn step(&mut self, exposed: bool) -> io::Result<Step> {
        while let Some(answer) = self.answer.as_mut().filter(|answer| !answer.is_empty()) {
            match self.socket.write(answer)? {
                None => return Ok(Step::Wait),
                Some(length) => answer.advance(length),
            }
            if answer.is_empty() {
                self.socket.finish()?;
            }
        }
        let mut buffer = [0; 1024];
        let length = match self.socket.read(&mut buffer)? {
            None => return Ok(Step::Wait),
            Some(0) => return Ok(Step::Over),
            Some(length) => length,
        };
        // What still comes behind an answered request is dropped until the other end has ended as well.
        if self.answer.is_some() {
            return Ok(Step::Again);
        }
        self.request.extend_from_slice(&buffer[..length]);
        match parse(&self.request, exposed) {
            Some(request) => Ok(Step::Asked(request)),
            None if self.request.len() > MAX_REQUEST => {
                Ok(Step::Asked(Request::Wrong("431 Request Header Fields Too Large", "too large\n")))
            }
            None => Ok(Step::Again),
        }
    }
}

/// `None`: more has to come.
fn parse(bytes: &[u8], exposed: bool) -> Option<Request> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(httparse::Status::Partial) => return None,
        Ok(httparse::Status::Complete(_)) => {}
        Err(_) => return Some(Request::Wrong("400 Bad Request", "no request\n")),
    }
    let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    if !exposed && !hosts.all(|host| is_own(host.value)) {
        return Some(Request::Wrong(
            "403 Forbidden",
            "give the host as an address or as localhost, or start with --admin-exposed\n",
        ));
    }
    if request.method != Some("GET") {
        return Some(Request::Wrong("405 Method Not Allowed", "GET only\n"));
    }
    let path = request.path.unwrap_or_default();
    Some(match path.split_once('?').map_or(path, |(path, _)| path) {
        "/" => Request::Page(Page::Status),
        "/metrics" => Request::Page(Page::Metrics),
        "/healthz" => Request::Page(Page::Health),
        "/readyz" => Request::Page(Page::Ready),
        _ => Request::Wrong("404 Not Found", "there are /, /metrics, /healthz and /readyz\n"),
    })
}

/// Whether a host is given by address or as localhost. A web page elsewhere whose name has been pointed at this machine cannot look in by that name.
fn is_own(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host }
    });
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn answer(status: &str, kind: &str, body: &str) -> Bytes {
    let length = body.len();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\nCache-Control: no-store\r\n\
         X-Content-Type-Options: nosniff\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\r\n\
         Allow: GET\r\n\r\n{body}"
    );
    head.into_bytes().into()
}

const TEXT: &str = "text/plain; charset=utf-8";

impl Server {
    pub(crate) fn accept_visitors(&mut self) {
        for _ in 0..TURN {
            let Some(Ok((stream, _))) = self.pages.as_ref().map(Pages::accept) else { return };
            if self.visitors.len() >= MAX_VISITORS {
                continue;
            }
            let id = self.number();
            let mut socket = Socket::new(stream, None);
            let interest = Interest::READABLE | Interest::WRITABLE;
            let token = Token(id as usize);
            if self.poll.registry().register(&mut socket.stream, token, interest).is_ok() {
                self.visitors.insert(id, Visitor { socket, request: Vec::new(), answer: None });
                self.ready.insert(id);
                self.deadlines.insert((self.now().saturating_add(VISITOR_MS), id));
            }
        }
        // The poll tells only of newer ones.
        self.ready.insert(PAGES.0 as ConnectionId);
    }

    pub(crate) fn serve_visitor(&mut self, id: ConnectionId) {
        let exposed = self.pages.as_ref().is_some_and(|pages| pages.exposed);
        for _ in 0..TURN {
            let Some(visitor) = self.visitors.get_mut(&id) else { return };
            match visitor.step(exposed) {
                Ok(Step::Wait) => return,
                Ok(Step::Again) => {}
                Ok(Step::Asked(request)) => {
                    let answer = self.page(request);
                    if let Some(visitor) = self.visitors.get_mut(&id) {
                        visitor.answer = Some(answer);
                    }
                }
                Ok(Step::Over) | Err(_) => return drop(self.visitors.remove(&id)),
            }
        }
        self.ready.insert(id);
    }

    fn page(&self, request: Request) -> Bytes {
        match request {
            Request::Wrong(status, text) => answer(status, TEXT, text),
            Request::Page(Page::Health) => answer("200 OK", TEXT, "ok\n"),
            Request::Page(Page::Ready) => match self.trouble() {
                None => answer("200 OK", TEXT, "ready\n"),
                Some(trouble) => answer("503 Service Unavailable", TEXT, &format!("{trouble}\n")),
            },
            Request::Page(Page::Metrics) => {
                let text = self.metrics.text(&self.look().0);
                answer("200 OK", "application/openmetrics-text; version=1.0.0; charset=utf-8", &text)
            }
            Request::Page(Page::Status) => {
                let (now, online) = self.look();
                let (metrics, history, trouble) = (&self.metrics, &self.history, self.trouble());
                let (sample, seconds) = (self.sample(&now), self.now() / 1_000);
                let status = Status { now, metrics, history, sample, trouble, seconds, online };
                answer("200 OK", "text/html; charset=utf-8", &status.to_string())
            }
        }
    }

    /// A minute of the charts is over.
    pub(crate) fn note_minute(&mut self, now: u64) {
        if self.history.due() <= now {
            let sample = self.sample(&self.look().0);
            self.history.note(sample, now);
        }
    }

    fn sample(&self, now: &Now) -> Sample {
        Sample {
            online: now.online as u64,
            queries: self.metrics.queries.total(),
            refusals: self.metrics.refusals.total(),
            relayed: self.metrics.relayed(now),
            deposited: now.deposited,
        }
    }

    /// Why nobody should be sent here now.
    fn trouble(&self) -> Option<&'static str> {
        if self.stopping {
            Some("stopping")
        } else if !self.metrics.store_works() {
            Some("the store does not write: check that the disk has room")
        } else if !self.metrics.files_work {
            Some("the deposits' files are not written: check that the disk has room")
        } else if self.worker.is_behind() {
            Some("the store does not keep up")
        } else {
            None
        }
    }

    /// What there is now, and the first that are online.
    fn look(&self) -> (Now, Vec<(&str, bool)>) {
        let counts = self.broker.counts();
        let disk = rustix::fs::statvfs(self.folder.path());
        // What is free to this user.
        let bytes = |blocks: u64, size: u64| blocks.saturating_mul(size);
        let (disk_free, disk) =
            disk.map_or((0, 0), |it| (bytes(it.f_bavail, it.f_frsize), bytes(it.f_blocks, it.f_frsize)));
        let mut now = Now {
            terminals: counts.terminals,
            groups: counts.groups,
            connections: counts.connections,
            handshakes: counts.handshakes,
            queries: counts.queries,
            grants: counts.grants,
            relays: self.pairs.len(),
            lanes: counts.lanes,
            deposits: counts.deposits,
            deposited: counts.deposited,
            disk_free,
            disk,
            pending: self.worker.pending(),
            spent: self.broker.spent_terminals(self.now()),
            carried: self.pairs.values().map(Pair::carried).sum(),
            ..Now::default()
        };
        let mut online = Vec::new();
        for (name, listening) in self.broker.online() {
            now.online += 1;
            now.listening += usize::from(listening);
            if online.len() < NAMED {
                online.push((&**name, listening));
            }
        }
        (now, online)
    }
}
