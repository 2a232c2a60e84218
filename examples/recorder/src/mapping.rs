//! A port of the home's router that leads here (UPnP IGD), so that callers from outside need no tunnel.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use igd_next::{Gateway, PortMappingProtocol, SearchOptions, search_gateway};

/// The router forgets the port this long after it heard of it last: also if this recorder is gone without a word.
const LEASE: Duration = Duration::from_secs(3600);
/// How often it hears of it: a router that was started anew knows nothing.
const RENEWAL: Duration = Duration::from_secs(900);
/// The same if it opened none.
const RETRY: Duration = Duration::from_secs(60);
/// How long routers may take to answer.
const SEARCH: Duration = Duration::from_secs(5);
const WHAT: &str = "p2pgate recorder";

/// What is known of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is open.
    Mapped {
        /// Where callers from outside reach this recorder.
        outside: SocketAddr,
        /// Where those inside do.
        inside: SocketAddr,
    },
    /// There is none now, and why. It is tried again.
    Failed(String),
}

/// Keeps the port open until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    news: Receiver<News>,
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Mapping {
    /// For what listens at this port.
    pub fn start(port: u16) -> io::Result<Self> {
        let (tell, news) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread =
            thread::Builder::new().name("mapping".into()).spawn(move || keep(port, &tell, &ended))?;
        Ok(Self { news, end: Some(end), thread: Some(thread) })
    }

    /// What has changed, if anything has.
    pub fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn keep(port: u16, tell: &Sender<News>, ended: &Receiver<()>) {
    let mut last = None;
    let mut open: Option<(Gateway, u16)> = None;
    loop {
        let news = match map(port, open.as_ref().map(|(_, outside)| *outside)) {
            Ok((gateway, outside, inside)) => {
                open = Some((gateway, outside.port()));
                News::Mapped { outside, inside }
            }
            Err(cause) => News::Failed(cause),
        };
        let rest = if matches!(news, News::Failed(_)) { RETRY } else { RENEWAL };
        if last.as_ref() != Some(&news) {
            last = Some(news.clone());
            let _ = tell.send(news);
        }
        if ended.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    if let Some((gateway, outside)) = open {
        let _ = gateway.remove_port(PortMappingProtocol::TCP, outside);
    }
}

/// Asks the router; the port outside is the one of `before`, or else the same as here if that is free.
fn map(port: u16, before: Option<u16>) -> Result<(Gateway, SocketAddr, SocketAddr), String> {
    let mut search = SearchOptions::default();
    search.timeout = Some(SEARCH);
    let gateway = search_gateway(search).map_err(|error| format!("no router answers: {error}"))?;
    let here = address_towards(gateway.addr).map_err(|error| format!("no way to the router: {error}"))?;
    let inside = SocketAddr::new(here, port);
    let seconds = LEASE.as_secs() as u32;
    let wanted = before.unwrap_or(port);
    let outside = match gateway.add_port(PortMappingProtocol::TCP, wanted, inside, seconds, WHAT) {
        Ok(()) => wanted,
        Err(_) => gateway
            .add_any_port(PortMappingProtocol::TCP, inside, seconds, WHAT)
            .map_err(|error| format!("the router opens no port: {error}"))?,
    };
    let address =
        gateway.get_external_ip().map_err(|error| format!("the router doesn't say its address: {error}"))?;
    Ok((gateway, SocketAddr::new(address, outside), inside))
}

/// This machine's address on the way to the router.
fn address_towards(router: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0))?;
    socket.connect(router)?;
    Ok(socket.local_addr()?.ip())
}
