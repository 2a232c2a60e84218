//! The addresses that terminals gave (M23, V1, V8).

use crate::message::{Address, Candidate, Candidates, Host, MAX_CANDIDATES};
use alloc::{boxed::Box, string::ToString, vec::Vec};
use core::fmt;
use core::net::IpAddr;
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

impl StoredAddress {
    pub(super) fn new(address: &Address<'_>) -> Self {
        let candidates = address.candidates.iter().map(|candidate| (candidate.address, candidate.port));
        let all = core::iter::once((address.address, address.port)).chain(candidates);
        let endpoints = all.map(|(host, port)| Endpoint { host: text_of(host), port });
        Self { endpoints: endpoints.collect() }
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
