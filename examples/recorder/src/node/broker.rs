//! Where the broker is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::task::Poll;

use mio::Waker;

use super::tls::Tls;

/// The broker's addresses; after a failure the next one is tried.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) name: String,
    addresses: Vec<SocketAddr>,
    next: usize,
    /// What a thread of its own is looking up: where nobody answers, the system's resolver takes seconds, in which recordings go on.
    found: Option<Receiver<Vec<SocketAddr>>>,
    /// Around each connection to it.
    pub(super) tls: Option<Tls>,
    /// What TLS found wrong last.
    pub(super) trouble: Option<String>,
}

impl Broker {
    /// A name that leads nowhere now is looked up again at each connection.
    pub(super) fn new(name: &str, tls: Option<Tls>) -> Self {
        let addresses = look_up(name);
        Self { name: name.to_owned(), addresses, next: 0, found: None, tls, trouble: None }
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    /// Where to connect to. While that is being looked up it is pending; `waker` says when to ask again.
    pub(super) fn address(&mut self, waker: &Arc<Waker>) -> Poll<io::Result<SocketAddr>> {
        if self.found.is_none() && self.next >= self.addresses.len() {
            let (sender, found) = sync_channel(1);
            let (name, waker) = (self.name.clone(), waker.clone());
            let thread = std::thread::Builder::new().name("names".into());
            if let Err(error) = thread.spawn(move || {
                // Nobody waits any longer if this fails.
                let _ = sender.send(look_up(&name));
                let _ = waker.wake();
            }) {
                return Poll::Ready(Err(error));
            }
            self.found = Some(found);
        }
        match self.found.as_ref().map(Receiver::try_recv) {
            Some(Err(TryRecvError::Empty)) => return Poll::Pending,
            Some(found) => {
                self.found = None;
                self.addresses = found.unwrap_or_default();
                self.next = 0;
            }
            None => {}
        }
        Poll::Ready(self.addresses.get(self.next).copied().ok_or_else(|| io::ErrorKind::NotFound.into()))
    }

    /// This machine's address on the way there.
    pub(super) fn source(&self) -> Option<IpAddr> {
        let to = self.addresses.get(self.next).or(self.addresses.first())?;
        let any =
            if to.is_ipv4() { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect(to).ok()?;
        Some(socket.local_addr().ok()?.ip().to_canonical())
    }

    /// That address did not answer.
    pub(super) fn failed(&mut self) {
        self.next += 1;
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.addresses.iter().any(|address| address.ip().is_loopback())
    }
}

fn look_up(name: &str) -> Vec<SocketAddr> {
    name.to_socket_addrs().map(Iterator::collect).unwrap_or_default()
}
