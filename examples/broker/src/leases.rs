//! Who assigned the addresses (V2): a look-up by identifier, and one over the lease file of a DHCP server.

use p2pgate::broker::Lease;
use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Knows which address a terminal has been assigned. It is asked on a thread of its own, for each address that is wanted.
pub trait Leases: Send {
    /// The terminal's address of this moment. `None`: nobody has assigned it one, as far as is known.
    fn lease_of(&mut self, identifier: &str) -> Option<Lease>;
}

/// The lease file of dnsmasq (`EXPIRY MAC ADDRESS HOSTNAME CLIENT-ID`) or of Kea (memfile: CSV with a header), and a file that says which host a terminal is.
///
/// That file has a line for each terminal: identifier, tab, host name or MAC address, and, if it isn't the port that the terminal tells, tab and port. Empty lines
/// and those that start with `#` are passed over. Both files are read again when they have changed.
#[derive(Clone, Debug)]
pub struct LeaseFiles {
    leases: Watched<Vec<Entry>>,
    hosts: Watched<HashMap<String, Host>>,
}

/// One lease.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    address: IpAddr,
    mac: String,
    name: String,
    /// Seconds since 1970; 0: never.
    expires: u64,
}

#[derive(Clone, Debug)]
struct Host {
    /// Lower case.
    name: String,
    port: Option<u16>,
}

impl LeaseFiles {
    /// Over these files, which need not be there yet.
    pub fn new(leases: &Path, hosts: &Path) -> Self {
        Self { leases: Watched::new(leases, parse_leases), hosts: Watched::new(hosts, parse_hosts) }
    }
}

impl Leases for LeaseFiles {
    fn lease_of(&mut self, identifier: &str) -> Option<Lease> {
        let host = self.hosts.get()?.get(identifier)?.clone();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let entries = self.leases.get()?.iter();
        let ours = entries.filter(|entry| {
            (entry.mac == host.name || entry.name == host.name) && (entry.expires == 0 || entry.expires > now)
        });
        // The youngest: a host that has moved may have its old lease for a while.
        let entry = ours.max_by_key(|entry| if entry.expires == 0 { u64::MAX } else { entry.expires })?;
        Some(Lease { address: entry.address, port: host.port })
    }
}

/// What is in a file, as it was read last.
#[derive(Clone, Debug)]
struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    read: Option<(Stamp, T)>,
}

type Stamp = (SystemTime, u64);

impl<T> Watched<T> {
    fn new(path: &Path, parse: fn(&str) -> T) -> Self {
        Self { path: path.to_path_buf(), parse, read: None }
    }

    /// `None`: it can't be read, which is logged.
    fn get(&mut self) -> Option<&T> {
        if let Err(error) = self.refresh() {
            tracing::warn!(%error, "{} cannot be read: addresses are those that terminals tell", self.path.display());
            self.read = None;
        }
        self.read.as_ref().map(|(_, parsed)| parsed)
    }

    fn refresh(&mut self) -> io::Result<()> {
        let stamp = stamp(&std::fs::metadata(&self.path)?)?;
        // Times of files are coarse: one that has just been written may be written once more with the same.
        let settled = stamp.0.elapsed().is_ok_and(|age| age > Duration::from_secs(2));
        if !settled || self.read.as_ref().is_none_or(|(read, _)| *read != stamp) {
            let text = std::fs::read(&self.path)?;
            self.read = Some((stamp, (self.parse)(&String::from_utf8_lossy(&text))));
        }
        Ok(())
    }
}

fn stamp(metadata: &Metadata) -> io::Result<Stamp> {
    Ok((metadata.modified()?, metadata.len()))
}

fn parse_hosts(text: &str) -> HashMap<String, Host> {
    let host = |line: &str| {
        let mut fields = line.split('\t');
        let (identifier, name) = (fields.next()?, fields.next()?);
        let port = fields.next().map(|port| port.trim().parse()).transpose().ok()?;
        Some((identifier.to_owned(), Host { name: plain(name), port }))
    };
    let lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let parsed = lines.filter_map(|line| {
        let parsed = host(line);
        if parsed.is_none() {
            tracing::warn!("passed over, as it is not identifier, tab, host, tab, port: {line}");
        }
        parsed
    });
    parsed.collect()
}

fn parse_leases(text: &str) -> Vec<Entry> {
    match text.lines().next().filter(|first| first.starts_with("address,")) {
        Some(header) => parse_kea(header, text),
        None => text.lines().filter_map(parse_dnsmasq).collect(),
    }
}

fn parse_dnsmasq(line: &str) -> Option<Entry> {
    let mut fields = line.split_whitespace();
    let (expires, mac, address, name) =
        (fields.next()?.parse().ok()?, fields.next()?, fields.next()?, fields.next()?);
    Some(Entry { address: address.parse().ok()?, mac: plain(mac), name: plain(name), expires })
}

/// Kea appends: the last line of an address counts.
fn parse_kea(header: &str, text: &str) -> Vec<Entry> {
    let column = |name: &str| header.split(',').position(|column| column == name);
    let (mac, name, expires, state) =
        (column("hwaddr"), column("hostname"), column("expire"), column("state"));
    let mut entries: HashMap<IpAddr, Entry> = HashMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let field =
            |column: Option<usize>| column.and_then(|column| fields.get(column)).copied().unwrap_or("");
        let Some(address) = fields.first().and_then(|address| address.parse().ok()) else { continue };
        let expires = field(expires).parse().unwrap_or(0);
        // 0: assigned; others are declined, reclaimed or released. A lease that has no time left is one that was given back.
        if field(state) != "0" || expires == 0 {
            entries.remove(&address);
            continue;
        }
        let (mac, name) = (plain(field(mac)), plain(field(name)));
        entries.insert(address, Entry { address, mac, name, expires });
    }
    entries.into_values().collect()
}

/// Host names and MAC addresses in one spelling.
fn plain(text: &str) -> String {
    text.trim().trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
#[path = "leases/tests.rs"]
mod tests;
