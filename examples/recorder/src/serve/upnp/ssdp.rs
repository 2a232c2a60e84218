//! SSDP (UPnP Device Architecture 1.0, section 1): says that the device is there, answers who searches for it, and says when
//! it goes. IPv4, on the interfaces that the pages are served on.
//!
//! Only addresses of the house are answered, a few answers at a time: no big amplifier for whoever forges a sender.

use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{DESCRIPTION, DEVICE_TYPE, Device, SERVER, Service};
use crate::serve::{is_private, own_addresses};

const GROUP: Ipv4Addr = Ipv4Addr::new(239, 255, 255, 250);
const PORT: u16 = 1900;
/// How long an announcement holds, in seconds.
const MAX_AGE: u64 = 1800;
/// So often it is repeated: well before it is over, two being lost.
const AGAIN: Duration = Duration::from_secs(MAX_AGE / 3);
/// Datagrams get lost: the first announcement is sent twice.
const SHORTLY: Duration = Duration::from_millis(200);
/// So often this machine's addresses are looked at.
const LOOK: Duration = Duration::from_secs(30);
/// Searches that are being answered.
const SEARCHES: usize = 16;
/// The longest that an answer is put off, whatever the search allows.
const LONGEST_DELAY: Duration = Duration::from_secs(3);

/// Announces the device until `over`'s other end is dropped, then takes leave. Failures are told and harm nothing else.
pub(in crate::serve) async fn announce(pages: SocketAddr, device: Device, mut over: watch::Receiver<()>) {
    let mut announced: HashMap<Ipv4Addr, JoinHandle<()>> = HashMap::new();
    let mut told = HashSet::new();
    loop {
        // Networks come and go, and what was joined goes with them.
        let present = own_addresses(pages.ip());
        announced.retain(|address, task| {
            let stays = present.contains(address) && !task.is_finished();
            if !stays {
                task.abort();
            }
            stays
        });
        for address in present {
            if announced.contains_key(&address) {
                continue;
            }
            let location = format!("http://{}{DESCRIPTION}", SocketAddr::new(address.into(), pages.port()));
            match join(address) {
                Ok(socket) => {
                    let announcer = Arc::new(Announcer { socket, location, udn: device.udn.clone() });
                    announced.insert(address, tokio::spawn(run(announcer, over.clone())));
                }
                Err(error) if told.insert(address) => {
                    eprintln!("p2pgate-recorder: not announced by UPnP on {address}: {error}");
                }
                Err(_) => {}
            }
        }
        tokio::select! {
            _ = over.changed() => break,
            () = sleep(LOOK) => {}
        }
    }
    for task in announced.into_values() {
        // The last words of each.
        let _ = task.await;
    }
}

fn join(interface: Ipv4Addr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP))?;
    // Others on this machine listen there, too.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    // Bound to the group, it gets nothing that was sent to this machine only, from wherever.
    socket.bind(&SocketAddr::from((GROUP, PORT)).into())?;
    #[cfg(target_os = "linux")]
    socket.set_multicast_all_v4(false)?;
    socket.join_multicast_v4(&GROUP, &interface)?;
    socket.set_multicast_if_v4(&interface)?;
    socket.set_multicast_ttl_v4(2)?;
    UdpSocket::from_std(socket.into())
}

/// The device, on one interface.
struct Announcer {
    socket: UdpSocket,
    location: String,
    udn: String,
}

async fn run(announcer: Arc<Announcer>, mut over: watch::Receiver<()>) {
    let searches = Arc::new(Semaphore::new(SEARCHES));
    // What was there under this name before and is no more, is forgotten.
    announcer.notify("ssdp:byebye").await;
    announcer.notify("ssdp:alive").await;
    let mut next = Instant::now() + SHORTLY;
    let mut datagram = [0; 2048];
    loop {
        tokio::select! {
            _ = over.changed() => break,
            () = tokio::time::sleep_until(next) => {
                announcer.notify("ssdp:alive").await;
                next = Instant::now() + AGAIN;
            }
            received = announcer.socket.recv_from(&mut datagram) => match received {
                Ok((length, peer)) => {
                    let search = Search::parse(&datagram[..length]);
                    if let (true, Some(search)) = (is_private(peer.ip()), search)
                        && let Ok(place) = searches.clone().try_acquire_owned()
                    {
                        let announcer = announcer.clone();
                        tokio::spawn(async move {
                            announcer.answer(&search, peer).await;
                            drop(place);
                        });
                    }
                }
                // An earlier datagram could not be delivered, or the network is away for a while.
                Err(_) => sleep(SHORTLY).await,
            },
        }
    }
    announcer.notify("ssdp:byebye").await;
}

impl Announcer {
    /// What this device can be searched by, and the unique name for each.
    fn targets(&self) -> Vec<(String, String)> {
        let mut types = vec!["upnp:rootdevice".to_owned(), DEVICE_TYPE.to_owned()];
        types.extend(Service::EACH.map(Service::urn));
        let named = |target: String| (target.clone(), format!("{}::{target}", self.udn));
        let mut targets: Vec<_> = types.into_iter().map(named).collect();
        targets.push((self.udn.clone(), self.udn.clone()));
        targets
    }

    async fn notify(&self, what: &str) {
        for (target, name) in self.targets() {
            let mut message = format!(
                "NOTIFY * HTTP/1.1\r\nHOST: {GROUP}:{PORT}\r\nNT: {target}\r\nNTS: {what}\r\nUSN: {name}\r\n"
            );
            if what == "ssdp:alive" {
                message.push_str(&format!(
                    "CACHE-CONTROL: max-age={MAX_AGE}\r\nLOCATION: {}\r\nSERVER: {SERVER}\r\n",
                    self.location
                ));
            }
            message.push_str("\r\n");
            // If the network is away, the next one will be heard.
            let _ = self.socket.send_to(message.as_bytes(), SocketAddrV4::new(GROUP, PORT)).await;
        }
    }

    async fn answer(&self, search: &Search, peer: SocketAddr) {
        let found: Vec<_> = self.targets().into_iter().filter(|(target, _)| search.is_for(target)).collect();
        if found.is_empty() {
            return;
        }
        // Not all devices at once.
        sleep(search.patience.min(LONGEST_DELAY).mul_f64(chance())).await;
        let date = httpdate::fmt_http_date(std::time::SystemTime::now());
        for (target, name) in found {
            let message = format!(
                "HTTP/1.1 200 OK\r\nCACHE-CONTROL: max-age={MAX_AGE}\r\nDATE: {date}\r\nEXT:\r\n\
                 LOCATION: {}\r\nSERVER: {SERVER}\r\nST: {target}\r\nUSN: {name}\r\nCONTENT-LENGTH: 0\r\n\r\n",
                self.location
            );
            let _ = self.socket.send_to(message.as_bytes(), peer).await;
        }
    }
}

/// Who searches, and for what.
struct Search {
    target: String,
    patience: Duration,
}

impl Search {
    /// `None` for whatever else comes to this port.
    fn parse(datagram: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut request = httparse::Request::new(&mut headers);
        if !request.parse(datagram).ok()?.is_complete()
            || request.method != Some("M-SEARCH")
            || request.path != Some("*")
        {
            return None;
        }
        let value = |name: &str| {
            let header = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name))?;
            str::from_utf8(header.value).ok().map(str::trim)
        };
        if value("MAN")? != "\"ssdp:discover\"" {
            return None;
        }
        let seconds = value("MX")?.parse::<u64>().ok()?;
        Some(Self { target: value("ST")?.to_owned(), patience: Duration::from_secs(seconds) })
    }

    fn is_for(&self, target: &str) -> bool {
        self.target == "ssdp:all" || self.target == target
    }
}

/// A random share of the whole, for no purpose that anybody could gain from guessing it.
fn chance() -> f64 {
    let mut byte = [0];
    // Without random bytes at once.
    let _ = getrandom::fill(&mut byte);
    f64::from(byte[0]) / 256.0
}
