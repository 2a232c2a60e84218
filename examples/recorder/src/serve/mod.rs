//! `receive --serve` and its like (V13): what has arrived, and what is still arriving, for players in the house.
//!
//! Whoever reaches the address reads everything in the folder, in clear: that is what the user asked for, and never the default.
//! Nothing can be written. One thread beside the receiver's loop does all of it, with tokio; the receiver tells it through
//! the [`Shelf`] how far a recording on its way has come.

mod ffmpeg;
mod flow;
#[cfg(feature = "ftp")]
mod ftp;
mod http;
mod kind;
mod page;
mod rtp;
mod rtsp;
mod shelf;
mod upnp;
mod visitors;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

pub use flow::Flow;
pub use kind::Kind;
pub use shelf::{Arriving, Item, Recording, Shelf};
pub use upnp::Device;

use crate::cli;
use crate::failure::{Code, Failure};

/// How long what is under way may take once all is over.
const GOODBYE: Duration = Duration::from_millis(500);

/// What is to be served, and where.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder; it exists.
    pub folder: PathBuf,
    /// Where, by which protocol.
    pub at: cli::Serve,
    /// What a UPnP control point is told.
    pub device: Device,
    /// How much anybody may ask for.
    pub limits: Limits,
}

/// How much anybody may ask for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at a time, for each protocol.
    pub connections: usize,
    /// Connections at a time from one address (IPv6: one /64).
    pub from_one: usize,
    /// How long a request may take to arrive, and a connection be without one.
    pub idle: Duration,
    /// How long a reader may take nothing: a television on pause reads nothing.
    pub slow: Duration,
    /// How long to wait for the next byte of a recording that is still arriving.
    pub arrival: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            from_one: 16,
            idle: Duration::from_secs(30),
            slow: Duration::from_secs(300),
            arrival: Duration::from_secs(60),
        }
    }
}

/// A running service; ends when dropped.
#[derive(Debug)]
pub struct Serving {
    shelf: Arc<Shelf>,
    lines: Vec<String>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Serving {
    /// Listens at every address that is wanted, and serves from then on.
    pub fn start(options: Options) -> Result<Self, Failure> {
        let Options { folder, at, device, limits } = options;
        let shelf = Shelf::open(&folder).map_err(|error| Failure::local("cannot read", &folder, &error))?;
        let mut lines = Vec::new();
        let mut listen = |address: Option<SocketAddr>, scheme: &str, flag: &str| {
            let Some(address) = address else { return Ok(None) };
            let (listener, address) = bind(address).map_err(|error| {
                Failure::new(
                    Code::Local,
                    format!("cannot serve at {address} ({error}): choose another {flag}"),
                )
            })?;
            // Nobody can type 0.0.0.0 into a player.
            let own = if address.ip().is_unspecified() { own_addresses(address.ip()) } else { Vec::new() };
            if own.is_empty() {
                lines.push(format!("{scheme}://{address}/"));
            }
            lines.extend(own.iter().map(|own| format!("{scheme}://{own}:{}/", address.port())));
            Ok::<_, Failure>(Some(listener))
        };
        let http = listen(at.serve, "http", "--serve")?;
        let rtsp = listen(at.serve_rtsp, "rtsp", "--serve-rtsp")?;
        #[cfg(feature = "ftp")]
        let ftp = listen(at.serve_ftp, "ftp", "--serve-ftp")?;
        if let Some(to) = at.rtp {
            lines.push(format!("rtp://{to}"));
        }
        if rtsp.is_some() || at.rtp.is_some() {
            ffmpeg::check()?;
        }

        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(16).build();
        let runtime = runtime.map_err(machine)?;
        let (stop, stopped) = oneshot::channel();
        let services = Services {
            shelf: shelf.clone(),
            device,
            limits,
            http,
            rtsp,
            #[cfg(feature = "ftp")]
            ftp,
            rtp: at.rtp,
        };
        let thread = std::thread::Builder::new().name("serve".to_owned()).spawn(move || {
            let served = runtime.block_on(services.run(stopped));
            runtime.shutdown_timeout(GOODBYE);
            if let Err(error) = served {
                eprintln!("p2pgate-recorder: serving has ended: {error}");
            }
        });
        Ok(Self { shelf, lines, stop: Some(stop), thread: Some(thread.map_err(machine)?) })
    }

    /// What is served, for the side that writes.
    pub fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// Where it is served: URLs.
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by itself.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// What runs in the thread.
struct Services {
    shelf: Arc<Shelf>,
    device: Device,
    limits: Limits,
    http: Option<TcpListener>,
    rtsp: Option<TcpListener>,
    #[cfg(feature = "ftp")]
    ftp: Option<TcpListener>,
    rtp: Option<SocketAddr>,
}

impl Services {
    /// Serves until `stopped`.
    async fn run(self, stopped: oneshot::Receiver<()>) -> io::Result<()> {
        let Self { shelf, device, limits, .. } = self;
        let mut tasks = JoinSet::new();
        let (over, until) = watch::channel(());
        let mut announced = None;
        if let Some(listener) = self.http {
            announced = Some(tokio::spawn(upnp::announce(listener.local_addr()?, device.clone(), until)));
            let site = http::Site::new(shelf.clone(), device, limits);
            tasks.spawn(http::serve(tokio::net::TcpListener::from_std(listener)?, site));
        }
        if let Some(listener) = self.rtsp {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            tasks.spawn(rtsp::serve(listener, shelf.clone(), limits));
        }
        #[cfg(feature = "ftp")]
        if let Some(listener) = self.ftp {
            tasks.spawn(ftp::serve(tokio::net::TcpListener::from_std(listener)?, shelf.clone(), limits));
        }
        if let Some(to) = self.rtp {
            tasks.spawn(rtp::push(to, shelf, limits));
        }
        // Its other end is dropped, at the latest.
        let _ = stopped.await;
        drop(over);
        if let Some(announced) = announced {
            // The last words are a matter of milliseconds; nobody waits longer for them.
            let _ = tokio::time::timeout(GOODBYE, announced).await;
        }
        tasks.shutdown().await;
        Ok(())
    }
}

fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let local = listener.local_addr()?;
    Ok((listener, local))
}

/// The private IPv4 addresses, as long as this machine has them, by which a socket at `address` is reached.
fn own_addresses(address: IpAddr) -> Vec<Ipv4Addr> {
    let interfaces = if_addrs::get_if_addrs().unwrap_or_default();
    let own = interfaces.iter().filter_map(|interface| match interface.ip() {
        IpAddr::V4(own) if is_private(own.into()) => Some(own),
        _ => None,
    });
    // A socket on `::` takes IPv4 as well, where the system's setting is the usual one.
    own.filter(|own| address.is_unspecified() || address.to_canonical() == IpAddr::V4(*own)).collect()
}

/// Whether an address is one of a house's own networks, or this machine's.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => address.is_private() || address.is_link_local() || address.is_loopback(),
        IpAddr::V6(address) => {
            address.is_unique_local() || address.is_unicast_link_local() || address.is_loopback()
        }
    }
}

fn machine(error: io::Error) -> Failure {
    Failure::new(
        Code::Local,
        format!("the operating system lets nothing be served ({error}): check its limits"),
    )
}
