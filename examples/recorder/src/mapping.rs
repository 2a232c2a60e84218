//! A port of the home's router that leads here (PCP, NAT-PMP, UPnP IGD), so that callers from outside need no tunnel.

mod gateway;
mod igd;

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread;
use std::time::Duration;
use std::{fmt, io};

/// The router forgets the port this long after it heard of it last: also if this recorder is gone without a word.
const LEASE: Duration = Duration::from_secs(3600);
/// How often it hears of it at least: a router that was started anew knows nothing.
const RENEWAL: Duration = Duration::from_secs(900);
/// And at most, however short a lease it gives.
const SOONEST: Duration = Duration::from_secs(2);
/// The same if it opened none.
const RETRY: Duration = Duration::from_secs(60);
/// How long it may take to close the port at the end.
const GOODBYE: Duration = Duration::from_secs(3);

/// How a router was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Port Control Protocol (RFC 6887).
    Pcp,
    /// NAT Port Mapping Protocol (RFC 6886).
    NatPmp,
    /// UPnP Internet Gateway Device.
    Upnp,
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pcp => "PCP",
            Self::NatPmp => "NAT-PMP",
            Self::Upnp => "UPnP",
        })
    }
}

/// What is known of the port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// It is open.
    Mapped {
        /// Where callers from outside reach this recorder.
        outside: SocketAddr,
        /// How the router was asked.
        way: Way,
    },
    /// There is none now, and why. It is tried again.
    Failed(String),
}

/// Keeps the port open until it is dropped.
#[derive(Debug)]
pub struct Mapping {
    news: Receiver<News>,
    end: Option<Sender<()>>,
    /// Says nothing, and ends with the thread.
    over: Receiver<()>,
}

impl Mapping {
    /// For what listens at this port.
    pub fn start(port: u16) -> io::Result<Self> {
        let port = NonZeroU16::new(port).ok_or(io::ErrorKind::InvalidInput)?;
        let gateways = gateway::Asker::new()?;
        let (tell, news) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (alive, over) = mpsc::channel();
        thread::Builder::new().name("mapping".into()).spawn(move || {
            keep(port, &gateways, &tell, &ended);
            drop::<Sender<()>>(alive);
        })?;
        Ok(Self { news, end: Some(end), over })
    }

    /// What has changed, if anything has.
    pub fn news(&self) -> Option<News> {
        self.news.try_recv().ok()
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        self.end = None;
        let _ = self.over.recv_timeout(GOODBYE);
    }
}

/// A port that a router has opened.
struct Open {
    by: By,
    outside: SocketAddr,
    inside: SocketAddr,
    /// For how long, unless it is renewed.
    lease: Duration,
}

/// Who keeps it open.
enum By {
    Gateway(Box<crab_nat::PortMapping>),
    Igd(igd_next::Gateway),
}

impl Open {
    fn way(&self) -> Way {
        match &self.by {
            By::Gateway(mapping) => gateway::way(mapping),
            By::Igd(_) => Way::Upnp,
        }
    }
}

fn keep(port: NonZeroU16, gateways: &gateway::Asker, tell: &Sender<News>, ended: &Receiver<()>) {
    let mut last = None;
    let mut open: Option<Open> = None;
    loop {
        let (news, rest) = match ask(port, gateways, open.as_ref()) {
            Ok(now) => {
                let news = News::Mapped { outside: now.outside, way: now.way() };
                // Renewed in the middle of its time, as RFC 6886 section 3.3 and RFC 6887 section 11.2.1 have it.
                let rest = (now.lease / 2).clamp(SOONEST, RENEWAL);
                open = Some(now);
                (news, rest)
            }
            Err(cause) => (News::Failed(cause), RETRY),
        };
        if last.as_ref() != Some(&news) {
            last = Some(news.clone());
            let _ = tell.send(news);
        }
        if ended.recv_timeout(rest) != Err(RecvTimeoutError::Timeout) {
            break;
        }
    }
    match open {
        Some(Open { by: By::Gateway(mapping), .. }) => gateways.close(*mapping),
        Some(Open { by: By::Igd(router), outside, .. }) => igd::close(&router, outside.port()),
        None => {}
    }
}

/// Renews what is open as it was asked for; otherwise asks by the newest protocol first, since it says most exactly what the router does. The port outside is
/// the one that was open before, or else the same as here if that is free.
fn ask(port: NonZeroU16, gateways: &gateway::Asker, before: Option<&Open>) -> Result<Open, String> {
    if let Some(Open { by: By::Gateway(mapping), inside, .. }) = before
        && let Ok(open) = gateways.renew(mapping, *inside)
    {
        return Ok(open);
    }
    let wanted = before.and_then(|open| NonZeroU16::new(open.outside.port())).unwrap_or(port);
    if let Some(Open { by: By::Igd(_), .. }) = before
        && let Ok(open) = igd::open(port, wanted)
    {
        return Ok(open);
    }
    let by_gateway = match gateways.open(port, wanted) {
        Ok(open) => return Ok(open),
        Err(cause) => cause,
    };
    igd::open(port, wanted).map_err(|by_igd| format!("{by_gateway}; UPnP: {by_igd}"))
}

/// This machine's address on the way to the router.
fn address_towards(router: SocketAddr) -> io::Result<IpAddr> {
    let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0))?;
    socket.connect(router)?;
    Ok(socket.local_addr()?.ip())
}
