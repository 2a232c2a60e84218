//! The recordings by HTTP/1.1 (RFC 9110, 9112), with byte ranges, and a page for people. hyper speaks the protocol.
//!
//! A recording that is still arriving is answered with its whole length, and its body comes as the recording does. Until it
//! is whole, it says `Accept-Ranges: none`, so that no player looks for its end first; a range that begins in what is there is
//! answered all the same, one that begins beyond it is not (416).

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http_body_util::{Either, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;

use super::shelf::{Recording, Shelf};
use super::visitors::Visitors;
use super::{Device, Flow, Limits, is_private, page, upnp};

/// Where the recordings are.
pub(super) const RECORDINGS: &str = "/recordings/";
/// The longest head of a request, in bytes, and the most headers in it.
const LONGEST_HEAD: usize = 16 << 10;
const MOST_HEADERS: usize = 64;
/// After a connection could not be accepted.
const REST: Duration = Duration::from_millis(50);

pub(super) type Answer = Response<Either<Full<Bytes>, Flow>>;

/// What is answered from.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) shelf: Arc<Shelf>,
    pub(super) device: Device,
    limits: Limits,
}

/// A connection's two ends.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ends {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
}

impl Site {
    pub(super) fn new(shelf: Arc<Shelf>, device: Device, limits: Limits) -> Arc<Self> {
        Arc::new(Self { shelf, device, limits })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }
}

/// Takes connections for ever.
pub(super) async fn serve(listener: TcpListener, site: Arc<Site>) {
    let visitors = Visitors::new(site.limits);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(REST).await;
            continue;
        };
        if let (Some(visit), Ok(local)) = (visitors.enter(peer.ip()), stream.local_addr()) {
            let site = site.clone();
            tokio::spawn(async move {
                converse(stream, site, Ends { peer, local }).await;
                drop(visit);
            });
        }
    }
}

async fn converse(stream: TcpStream, site: Arc<Site>, ends: Ends) {
    let idle = site.limits.idle;
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(site.limits.slow));
    let service = service_fn(move |request| {
        let site = site.clone();
        async move { Ok::<_, Infallible>(answer(request, site, ends).await) }
    });
    // Whoever breaks off, breaks off.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(idle)
        .max_buf_size(LONGEST_HEAD)
        .max_headers(MOST_HEADERS)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .await;
}

async fn answer(request: Request<Incoming>, site: Arc<Site>, ends: Ends) -> Answer {
    if !request.headers().get_all(header::HOST).iter().all(|host| is_own(host.as_bytes())) {
        return text(StatusCode::FORBIDDEN, "give the host as an address, or as localhost\n");
    }
    let path = request.uri().path();
    if path == upnp::ROOT.trim_end_matches('/') || path.starts_with(upnp::ROOT) {
        // Its answers say where in the house what is.
        if !is_private(ends.peer.ip()) {
            return text(StatusCode::FORBIDDEN, "only for this network\n");
        }
        return upnp::answer(request, &site, ends).await;
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = text(StatusCode::METHOD_NOT_ALLOWED, "GET and HEAD only\n");
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    if let Some(name) = path.strip_prefix(RECORDINGS) {
        let Ok(name) = percent_encoding::percent_decode_str(name).decode_utf8() else {
            return not_found();
        };
        let (name, shelf) = (name.into_owned(), site.shelf.clone());
        return match blocking(move || shelf.find(&name)).await {
            Ok(recording) => send(recording, &request, site.limits.arrival),
            Err(error) if is_missing(&error) => not_found(),
            Err(_) => unreadable(),
        };
    }
    if path != "/" {
        return not_found();
    }
    let shelf = site.shelf.clone();
    match blocking(move || shelf.list()).await {
        Ok(items) => {
            let mut answer = whole("text/html; charset=utf-8", page::index(&site.device.name, &items));
            // Nothing of it runs, whatever a name may contain.
            let policy =
                "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'";
            answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
            answer
        }
        Err(_) => unreadable(),
    }
}

/// Whether a host is given by address, as localhost, or by this machine's own name: a page elsewhere whose name has been
/// pointed at this machine must not look in by that name.
fn is_own(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|digit| digit.is_ascii_digit()) { name } else { host }
    });
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    if bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let own = rustix::system::uname();
    let own = own.nodename().to_str().unwrap_or_default();
    let bare = bare.strip_suffix(".local").unwrap_or(bare);
    !own.is_empty() && bare.eq_ignore_ascii_case(own)
}

fn send(recording: Recording, request: &Request<Incoming>, patience: Duration) -> Answer {
    let headers = request.headers();
    let item = &recording.item;
    let (size, there, arriving) = (item.size, recording.there(), item.arrived.is_some());
    let mut answer = Response::new(Either::Left(Full::default()));
    let fields = answer.headers_mut();
    let modified = httpdate::fmt_http_date(item.modified.min(SystemTime::now()));
    set(fields, header::ETAG, &recording.tag);
    set(fields, header::CACHE_CONTROL, "no-cache");
    set(fields, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    set(fields, header::ACCEPT_RANGES, if arriving { "none" } else { "bytes" });
    if !arriving {
        set(fields, header::LAST_MODIFIED, &modified);
    }
    if value(headers, &header::IF_NONE_MATCH).is_some_and(|tags| is_among(tags, &recording.tag)) {
        *answer.status_mut() = StatusCode::NOT_MODIFIED;
        return answer;
    }
    set(fields, header::CONTENT_TYPE, item.kind.mime);
    if item.kind.mime == "application/octet-stream" {
        set(fields, header::CONTENT_DISPOSITION, "attachment");
    }
    upnp::streaming_headers(headers, fields, arriving);

    // The date serves only for what doesn't change any more, and as the server has given it.
    let unchanged = value(headers, &header::IF_RANGE)
        .is_none_or(|known| known == recording.tag || !arriving && known == modified);
    let range = value(headers, &header::RANGE).filter(|_| unchanged && request.method() == Method::GET);
    let range = match range.map_or(Wanted::All, |range| wanted(range, size)) {
        // The same as all of it, and a player that reads on from there is not told that it could look for the end.
        Wanted::Part(range) if arriving && range == (0..size) => None,
        Wanted::Part(range) if range.start > there => return unsatisfiable(answer, size),
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => return unsatisfiable(answer, size),
        Wanted::All => None,
    };
    if let Some(range) = &range {
        *answer.status_mut() = StatusCode::PARTIAL_CONTENT;
        let range = format!("bytes {}-{}/{size}", range.start, range.end - 1);
        set(answer.headers_mut(), header::CONTENT_RANGE, &range);
    }
    let range = range.unwrap_or(0..size);
    answer.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    if request.method() == Method::GET {
        *answer.body_mut() = Either::Right(recording.flow(range, patience));
    }
    answer
}

enum Wanted {
    All,
    Part(Range<u64>),
    Nothing,
}

/// What a `Range` asks for: a header of another form is none, and several ranges are answered by all of it.
fn wanted(range: &str, size: u64) -> Wanted {
    let Ok(ranges) = http_range_header::parse_range_header(range) else { return Wanted::All };
    if range.contains(',') {
        return Wanted::All;
    }
    match ranges.validate(size).as_deref() {
        Ok([one]) => Wanted::Part(*one.start()..*one.end() + 1),
        _ => Wanted::Nothing,
    }
}

fn unsatisfiable(mut answer: Answer, size: u64) -> Answer {
    *answer.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    set(answer.headers_mut(), header::CONTENT_RANGE, &format!("bytes */{size}"));
    answer
}

fn is_among(tags: &str, tag: &str) -> bool {
    tags.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one == tag || one == "*")
}

/// A header of one value.
pub(super) fn value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Sets a header; a text that no header may have is left out.
pub(super) fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// A whole body.
pub(super) fn whole(kind: &'static str, body: String) -> Answer {
    let mut answer = Response::new(Either::Left(Full::new(Bytes::from(body))));
    let fields = answer.headers_mut();
    set(fields, header::CONTENT_TYPE, kind);
    set(fields, header::CACHE_CONTROL, "no-store");
    set(fields, header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    answer
}

/// A status, and a line that says what it means.
pub(super) fn text(status: StatusCode, line: &str) -> Answer {
    let mut answer = whole("text/plain; charset=utf-8", line.to_owned());
    *answer.status_mut() = status;
    answer
}

pub(super) fn not_found() -> Answer {
    text(StatusCode::NOT_FOUND, "there is no such recording\n")
}

pub(super) fn unreadable() -> Answer {
    text(StatusCode::INTERNAL_SERVER_ERROR, "the folder cannot be read\n")
}

/// Whether there is simply no such recording: links and names that are too long are none either.
pub(super) fn is_missing(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let number = error.raw_os_error().map(Errno::from_raw_os_error);
    error.kind() == io::ErrorKind::NotFound
        || matches!(number, Some(Errno::LOOP | Errno::NAMETOOLONG | Errno::INVAL))
}

/// Does what may take its time elsewhere.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}
