//! Where the broker is.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use super::tls::Tls;

/// The broker's addresses; after a failure the next one is tried.
#[derive(Debug)]
pub(super) struct Broker {
    pub(super) name: String,
    addresses: Vec<SocketAddr>,
    next: usize,
    /// Around each connection to it.
    pub(super) tls: Option<Tls>,
    /// What TLS found wrong last.
    pub(super) trouble: Option<String>,
}

impl Broker {
    /// A name that leads nowhere now is looked up again at each connection.
    pub(super) fn new(name: &str, tls: Option<Tls>) -> Self {
        let mut broker = Self { name: name.to_owned(), addresses: Vec::new(), next: 0, tls, trouble: None };
        broker.look_up();
        broker
    }

    pub(super) fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    fn look_up(&mut self) {
        self.addresses = self.name.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
        self.next = 0;
    }

    pub(super) fn address(&mut self) -> io::Result<SocketAddr> {
        if self.next >= self.addresses.len() {
            self.look_up();
        }
        self.addresses.get(self.next).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
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
