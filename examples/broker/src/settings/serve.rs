//! The settings of `serve`.

use super::{Settings, Sources, count, data_folder, parse_address, parse_key, seconds};
use clap::Args;
use p2pgate::broker::{Config, MAX_RECORD};
use p2pgate::link::{MaxRecord, PublicKey};
use p2pgate_broker::size::parse as parse_size;
use p2pgate_broker::{AskedResolver, Error, Options, Secured, TlsFiles};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// What `serve` is told.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    sources: Sources,
    /// The folder of the broker's key and store; created if it is not there
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700", value_parser = parse_address)]
    listen: SocketAddr,
    /// Listen here as well, with TLS around each connection; takes --tls-cert and --tls-key. Once ready, prints: tls ADDR
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    tls_listen: Option<SocketAddr>,
    /// The server's certificate and those that lead from it to one that terminals trust, PEM
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// A terminal with a certificate of these authorities, PEM, needs no ticket: it enrols as the certificate's common name
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<PathBuf>,
    /// Their lists of revoked certificates, PEM. A certificate that is in none of them enrols again after `revoke`
    #[arg(long, value_name = "FILE")]
    tls_client_crl: Option<PathBuf>,
    /// Serve /metrics, /healthz, /readyz and a status page by HTTP at this loopback address. Once ready, prints: admin ADDR
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin: Option<SocketAddr>,
    /// Let --admin be an address that other machines reach. It asks for no password and names who is online
    #[arg(long)]
    admin_exposed: bool,
    /// Ask this address resolution server, `p2pgate-broker resolver`, instead of keeping addresses in a table of its own; needs --resolver-key
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    resolver: Option<SocketAddr>,
    /// That server's key, as it prints it
    #[arg(long, value_name = "KEY", value_parser = parse_key)]
    resolver_key: Option<PublicKey>,
    /// The largest transfer through the broker: bytes, or 10M, 500MB, 1GiB [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_transfer: Option<u64>,
    /// Pass no recordings on: terminals send to each other directly
    #[arg(long)]
    no_relay: bool,
    /// Connections of all kinds; at most three quarters of the files that the process may open [default: 16384]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_connections: Option<u32>,
    /// The same from one IPv4 address or IPv6 /64 [default: 4096]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_connections_per_source: Option<u32>,
    /// Connections that have not got through their handshake [default: 1024]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_handshakes: Option<u32>,
    /// The same from one IPv4 address or IPv6 /64 [default: 256]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_handshakes_per_source: Option<u32>,
    /// Entries of one terminal's list [default: 1000]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_list: Option<u32>,
    /// Groups of one owner [default: 32]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_groups: Option<u32>,
    /// Members of one group [default: 1000]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    max_members: Option<u32>,
    /// Queries of one terminal [default: 120]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    queries_per_minute: Option<u32>,
    /// Lists, groups and addresses that one terminal registers [default: 60]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    registrations_per_minute: Option<u32>,
    /// How long a connection may take to say who it is or what it is for [default: 10]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    handshake_seconds: Option<u64>,
    /// How long a control link may be silent; terminals speak every 30 s [default: 90]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    idle_seconds: Option<u64>,
    /// How long a lane may stand still because nothing is sent [default: 600]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    lane_idle_seconds: Option<u64>,
    /// How long a callee may take to say whether it is free, before it counts as out of reach [default: 5]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    status_seconds: Option<u64>,
    /// For how long the passwords of a grant are good [default: 60]
    #[arg(long, value_name = "SECONDS", value_parser = seconds())]
    grant_seconds: Option<u64>,
    /// Try the callee's address before the caller is told of it, for as long as this: one that does not answer is left out, and the caller takes the tunnel at
    /// once. Only an address from which the callee's own link comes is tried [default: none is]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=10))]
    reach_seconds: Option<u64>,
    /// Leave the causes out of denials
    #[arg(long)]
    deny_without_cause: bool,
    /// Bytes a second of one pair of lanes through the broker: 2M, 500kB [default: as fast as it goes]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    relay_rate: Option<u64>,
    /// What one terminal may have relayed in a day, sent and received; a restart forgets what it had [default: any number of bytes]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    relay_bytes_per_day: Option<u64>,
    /// The largest record of a control link, in bytes; terminals say what is longer in several messages [default: 16464]
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u16).range(i64::from(MaxRecord::MIN.get())..=i64::from(MAX_RECORD.get())))]
    max_record: Option<u16>,
    /// Let terminals and groups be called by names that look like another's
    #[arg(long)]
    allow_look_alike: bool,
    /// Keep nothing for callees that cannot be called
    #[arg(long)]
    no_deposits: bool,
    /// The largest deposit [default: 16GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    deposit_max: Option<u64>,
    /// What is kept of one depositor [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    deposit_per_caller: Option<u64>,
    /// What is kept for one callee [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    deposit_per_callee: Option<u64>,
    /// What is kept in all; the disk needs a little more, twice as much at worst [default: 256GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    deposit_total: Option<u64>,
    /// For how many days a deposit is kept [default: 14]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u64).range(1..=3650))]
    deposit_days: Option<u64>,
}

impl Settings for Serve {
    const COMMAND: &'static str = "serve";
    const ENVIRONMENT: &'static str = "P2PGATE_BROKER_";

    fn sources(&self) -> &Sources {
        &self.sources
    }

    /// As the server takes them.
    ///
    /// # Errors
    /// There is no data folder, or one address is not to be listened on.
    fn options(&self) -> Result<Options, Error> {
        let mut options = Options::new(data_folder(self.data.as_deref())?);
        options.listen = self.listen;
        options.tls = self.tls()?;
        options.admin = self.admin;
        options.admin_exposed = self.admin_exposed;
        options.resolver = match (self.resolver, self.resolver_key) {
            (Some(address), Some(key)) => Some(AskedResolver { address, key }),
            (None, None) => None,
            _ => {
                let text = "--resolver and --resolver-key go together: give both, or neither";
                return Err(Error::Setting(text.into()));
            }
        };
        options.check()?;
        options.lane_idle = self.lane_idle_seconds.map_or(options.lane_idle, Duration::from_secs);
        options.relay_rate = self.relay_rate;
        self.limit(&mut options.config);
        options.allow_look_alike = self.allow_look_alike;
        Ok(options)
    }
}

impl Serve {
    fn tls(&self) -> Result<Option<Secured>, Error> {
        match (self.tls_listen, &self.tls_cert, &self.tls_key) {
            (None, None, None) if self.tls_client_ca.is_none() && self.tls_client_crl.is_none() => Ok(None),
            _ if self.tls_client_crl.is_some() && self.tls_client_ca.is_none() => {
                Err(Error::Setting("--tls-client-crl goes with --tls-client-ca: give both".into()))
            }
            (Some(listen), Some(certificates), Some(key)) => {
                let files = TlsFiles {
                    certificates: certificates.clone(),
                    key: key.clone(),
                    client_authorities: self.tls_client_ca.clone(),
                    revoked_clients: self.tls_client_crl.clone(),
                };
                Ok(Some(Secured { listen, files }))
            }
            _ => Err(Error::Setting("TLS takes all three: --tls-listen, --tls-cert and --tls-key".into())),
        }
    }

    fn limit(&self, config: &mut Config) {
        config.relay = !self.no_relay;
        config.deposits = !self.no_deposits;
        config.deny_without_cause = self.deny_without_cause;
        for (limit, given) in [
            (&mut config.max_transfer, self.max_transfer),
            (&mut config.max_deposit, self.deposit_max),
            (&mut config.max_deposited_per_caller, self.deposit_per_caller),
            (&mut config.max_deposited_per_callee, self.deposit_per_callee),
            (&mut config.max_deposited, self.deposit_total),
            (&mut config.deposit_ms, self.deposit_days.map(|days| days * 24 * 60 * 60 * 1_000)),
            (&mut config.handshake_deadline_ms, self.handshake_seconds.map(|seconds| seconds * 1_000)),
            (&mut config.idle_ms, self.idle_seconds.map(|seconds| seconds * 1_000)),
            (&mut config.status_deadline_ms, self.status_seconds.map(|seconds| seconds * 1_000)),
            (&mut config.grant_lifetime_ms, self.grant_seconds.map(|seconds| seconds * 1_000)),
        ] {
            *limit = given.unwrap_or(*limit);
        }
        config.unfinished_deposit_ms = config.unfinished_deposit_ms.min(config.deposit_ms);
        for (limit, given) in [
            (&mut config.max_connections, self.max_connections),
            (&mut config.max_connections_per_source, self.max_connections_per_source),
            (&mut config.max_handshakes, self.max_handshakes),
            (&mut config.max_handshakes_per_source, self.max_handshakes_per_source),
            (&mut config.max_list, self.max_list),
            (&mut config.max_groups, self.max_groups),
            (&mut config.max_members, self.max_members),
        ] {
            *limit = given.and_then(|given| usize::try_from(given).ok()).unwrap_or(*limit);
        }
        config.reach_deadline_ms = self.reach_seconds.map(|seconds| seconds * 1_000);
        config.relay_bytes_per_day = self.relay_bytes_per_day;
        config.max_record = self.max_record.and_then(MaxRecord::new).unwrap_or(config.max_record);
        config.queries_per_minute = self.queries_per_minute.unwrap_or(config.queries_per_minute);
        config.writes_per_minute = self.registrations_per_minute.unwrap_or(config.writes_per_minute);
    }
}
