//! The settings of `resolver`.

use super::{Settings, Sources, count, data_folder, parse_address, parse_key};
use clap::Args;
use p2pgate::link::PublicKey;
use p2pgate_broker::leases::LeaseFiles;
use p2pgate_broker::{Error, Options, Resolves};
use std::net::SocketAddr;
use std::path::PathBuf;

/// What `resolver` is told.
#[derive(Args)]
pub(crate) struct Resolver {
    #[command(flatten)]
    sources: Sources,
    /// The folder of its key and its table; created if it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7702", value_parser = parse_address)]
    listen: SocketAddr,
    /// The key of the broker that may ask, as it prints it
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    broker_key: Option<PublicKey>,
    /// The lease file of dnsmasq, or of Kea (memfile, CSV), that says which address a host has now; needs --hosts
    #[arg(long, value_name = "FILE")]
    leases: Option<PathBuf>,
    /// Which host in --leases a terminal is, a line each: identifier, tab, host name or MAC address, and, if it is not the one that it tells, tab and port
    #[arg(long, value_name = "FILE")]
    hosts: Option<PathBuf>,
    /// For how many hours an address counts that nobody tells again; the broker tells it of those that are connected every 6 [default: 72]
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(12..=87_600))]
    address_hours: Option<u64>,
    /// Addresses that it keeps [default: 1000000]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_addresses: Option<u32>,
    /// Serve /metrics, /healthz, /readyz and a status page by HTTP at this loopback address. Once ready, prints: admin ADDR
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin: Option<SocketAddr>,
}

impl Settings for Resolver {
    const COMMAND: &'static str = "resolver";
    const ENVIRONMENT: &'static str = "P2PGATE_RESOLVER_";

    fn sources(&self) -> &Sources {
        &self.sources
    }

    /// As the server takes them.
    ///
    /// # Errors
    /// There is no data folder or no broker's key, `--leases` and `--hosts` don't go together, or one address is not to be listened on.
    fn options(&self) -> Result<Options, Error> {
        let mut options = Options::new(data_folder(self.data.as_deref())?);
        let missing =
            || Error::Setting("no broker may ask: give --broker-key KEY, as `key` prints it".into());
        let broker = self.broker_key.ok_or_else(missing)?;
        if self.leases.is_some() != self.hosts.is_some() {
            return Err(Error::Setting("--leases and --hosts go together: give both, or neither".into()));
        }
        (options.listen, options.admin) = (self.listen, self.admin);
        let files = self.leases.as_ref().zip(self.hosts.as_ref());
        let leases = files.map(|(leases, hosts)| LeaseFiles::new(leases, hosts));
        options.resolves = Some(Resolves { broker, leases });
        let config = &mut options.config;
        if let Some(hours) = self.address_hours {
            config.address_lifetime_ms = hours * 60 * 60 * 1_000;
        }
        if let Some(most) = self.max_addresses {
            config.max_addresses = usize::try_from(most).unwrap_or(usize::MAX);
        }
        options.check()?;
        Ok(options)
    }
}
