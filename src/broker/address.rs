//! The addresses that terminals gave (M23, V1, V8).

use super::Name;
use super::limits::source_of;
use crate::message::{Address, Candidate, Candidates, Host, MAX_CANDIDATES};
use alloc::{boxed::Box, string::ToString, vec::Vec};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::str::FromStr;

/// A terminal's address, port and further candidates, as it gave them.
///
/// The text form, for the store: a line each, `ADDRESS PORT`, parted by LF, the address itself first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAddress {
    /// At least one, at most five.
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Endpoint {
    host: Box<str>,
    port: u16,
}

impl Endpoint {
    fn is_open(&self) -> bool {
        matches!(Host::parse(&self.host), Some(Host::Ip(address)) if address.is_unspecified())
    }

    /// Where it is, if it is no name: `source` stands for what is unspecified.
    fn at(&self, source: IpAddr) -> Option<SocketAddr> {
        let Some(Host::Ip(address)) = Host::parse(&self.host) else { return None };
        let address = if address.is_unspecified() { source } else { address };
        Some(SocketAddr::new(address.to_canonical(), self.port))
    }
}

impl StoredAddress {
    pub(super) fn new(address: &Address<'_>) -> Self {
        Self::of(address.address, address.port, &address.candidates)
    }

    pub(super) fn of(host: Host<'_>, port: u16, candidates: &[Candidate<'_>]) -> Self {
        let candidates = candidates.iter().map(|candidate| (candidate.address, candidate.port));
        let all = core::iter::once((host, port)).chain(candidates);
        let endpoints = all.map(|(host, port)| Endpoint { host: text_of(host), port });
        Self { endpoints: endpoints.collect() }
    }

    pub(super) fn of_ip(address: IpAddr, port: u16) -> Self {
        Self::of(Host::Ip(address), port, &[])
    }

    /// The first port.
    pub(super) fn port(&self) -> u16 {
        self.endpoints.first().map_or(0, |endpoint| endpoint.port)
    }

    /// Whether the source of the control link is still to be put in somewhere.
    pub(super) fn is_open(&self) -> bool {
        self.endpoints.iter().any(|endpoint| endpoint.is_open())
    }

    /// With the source of the terminal's control link in place of unspecified addresses.
    pub(super) fn settled(mut self, source: IpAddr) -> Self {
        for endpoint in self.endpoints.iter_mut().filter(|endpoint| endpoint.is_open()) {
            endpoint.host = text_of(Host::Ip(source.to_canonical()));
        }
        self
    }

    /// The addresses in it that are those of whoever has the terminal's control link, by its source.
    pub(super) fn within(&self, source: IpAddr) -> Vec<SocketAddr> {
        let mut found: Vec<SocketAddr> = Vec::new();
        for address in self.endpoints.iter().filter_map(|endpoint| endpoint.at(source)) {
            let own = source_of(address) == source_of(SocketAddr::new(source, 0));
            if own && address.port() != 0 && !found.contains(&address) {
                found.push(address);
            }
        }
        found
    }

    /// Takes addresses out. `false` if nothing is left: then it is the callee's end of a tunnel only.
    pub(super) fn remove(&mut self, addresses: &[SocketAddr], source: IpAddr) -> bool {
        self.endpoints.retain(|endpoint| !endpoint.at(source).is_some_and(|at| addresses.contains(&at)));
        let left = !self.endpoints.is_empty();
        if !left {
            *self = Self::of_ip(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
        }
        left
    }

    /// The domain names in it, each once (V3).
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        let is_name = |host: &&str| matches!(Host::parse(host), Some(Host::Name(_)));
        let hosts = || self.endpoints.iter().map(|endpoint| &*endpoint.host);
        let first =
            move |(place, host): &(usize, &str)| !hosts().take(*place).any(|earlier| earlier == *host);
        hosts().enumerate().filter(first).map(|(_, host)| host).filter(is_name)
    }

    /// With the addresses that its names have in their place, as many as there is room for; `None`: there are none.
    pub(super) fn with_names(&self, found: &[(Name, Vec<IpAddr>)]) -> Option<Self> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for endpoint in &self.endpoints {
            if !matches!(Host::parse(&endpoint.host), Some(Host::Name(_))) {
                endpoints.push(endpoint.clone());
                continue;
            }
            let addresses = found.iter().filter(|(name, _)| **name == *endpoint.host);
            for address in addresses.flat_map(|(_, addresses)| addresses) {
                let host = text_of(Host::Ip(address.to_canonical()));
                let endpoint = Endpoint { host, port: endpoint.port };
                if !endpoints.contains(&endpoint) {
                    endpoints.push(endpoint);
                }
            }
        }
        endpoints.truncate(1 + MAX_CANDIDATES);
        (!endpoints.is_empty()).then_some(Self { endpoints })
    }

    /// As it is told to others: an unspecified address (0.0.0.0, `::`) stands for the one that the terminal's control link comes from.
    pub(super) fn resolve(&self, source: IpAddr) -> Option<(Host<'_>, u16, Candidates<'_>)> {
        let mut endpoints = self.endpoints.iter().filter_map(|endpoint| {
            let host = match Host::parse(&endpoint.host)? {
                Host::Ip(address) if address.is_unspecified() => Host::Ip(source.to_canonical()),
                host => host,
            };
            Some((host, endpoint.port))
        });
        let (host, port) = endpoints.next()?;
        let candidates = endpoints.map(|(address, port)| Candidate { address, port }).take(MAX_CANDIDATES);
        Some((host, port, candidates.collect()))
    }
}

fn text_of(host: Host<'_>) -> Box<str> {
    match host {
        Host::Ip(address) => address.to_string().into(),
        Host::Name(name) => name.into(),
    }
}

impl fmt::Display for StoredAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, Endpoint { host, port }) in self.endpoints.iter().enumerate() {
            let part = if number == 0 { "" } else { "\n" };
            write!(f, "{part}{host} {port}")?;
        }
        Ok(())
    }
}

impl FromStr for StoredAddress {
    type Err = StoredAddressError;

    fn from_str(text: &str) -> Result<Self, StoredAddressError> {
        let endpoint = |line: &str| {
            let (host, port) = line.split_once(' ')?;
            let host = text_of(Host::parse(host)?);
            Some(Endpoint { host, port: port.parse().ok()? })
        };
        let endpoints: Option<Vec<_>> = text.split('\n').take(MAX_CANDIDATES + 2).map(endpoint).collect();
        match endpoints {
            Some(endpoints) if endpoints.len() <= 1 + MAX_CANDIDATES => Ok(Self { endpoints }),
            _ => Err(StoredAddressError),
        }
    }
}

/// A text is no stored address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this is no stored address: it takes one to five lines of an address, a space and a port; restore it from a backup"
)]
pub struct StoredAddressError;
