//! The settings of `serve`: flags, and a file that has them by the same names.

use clap::builder::RangedU64ValueParser;
use clap::{Args, Command, FromArgMatches};
use p2pgate::broker::Config;
use p2pgate_broker::{Error, Options, Secured, TlsFiles};
use std::ffi::OsString;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Before the settings' names in the environment.
const ENVIRONMENT: &str = "P2PGATE_BROKER_";

/// What `serve` is told.
#[derive(Args)]
pub(crate) struct Serve {
    /// A TOML file of these settings by their long names: max-list = 500, no-relay = true, listen = "0.0.0.0:7700". The environment
    /// (P2PGATE_BROKER_MAX_LIST=500) takes precedence over it, and a flag over both. SIGHUP has limits and certificates read anew
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the settings, and do not serve
    #[arg(long)]
    pub(crate) check_config: bool,
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
    #[arg(long, value_name = "FILE", requires = "tls_client_ca")]
    tls_client_crl: Option<PathBuf>,
    /// Serve /metrics, /healthz, /readyz and a status page by HTTP at this loopback address. Once ready, prints: admin ADDR
    #[arg(long, value_name = "ADDR", value_parser = parse_address)]
    admin: Option<SocketAddr>,
    /// Let --admin be an address that other machines reach. It asks for no password and names who is online
    #[arg(long)]
    admin_exposed: bool,
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
    /// Queries of one terminal [default: 120]
    #[arg(long, value_name = "NUMBER", value_parser = count())]
    queries_per_minute: Option<u32>,
    /// Lists and addresses that one terminal registers [default: 60]
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
    /// Leave the causes out of denials
    #[arg(long)]
    deny_without_cause: bool,
    /// Bytes a second of one pair of lanes through the broker: 2M, 500kB [default: as fast as it goes]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    relay_rate: Option<u64>,
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

impl Serve {
    /// The settings of this process: what its flags say counts most, then the environment, then the file of `--config`.
    ///
    /// # Errors
    /// The file cannot be read, or it, the environment or a flag has what is no setting.
    pub(crate) fn gather() -> Result<Self, Error> {
        // Behind the program's name and `serve`.
        let flags: Vec<_> = std::env::args_os().skip(2).collect();
        let environment = arguments_of_environment()?;
        // Each by itself first, so that what is wrong is told where it is.
        parse(environment.iter().cloned())
            .map_err(|error| Error::Setting(format!("the environment: {}", one_line(&error))))?;
        let usage = |error: clap::Error| Error::Setting(one_line(&error));
        let nearer: Vec<_> = environment.into_iter().chain(flags).collect();
        let serve = parse(nearer.iter().cloned()).map_err(usage)?;
        let Some(file) = &serve.config else { return Ok(serve) };
        let in_file = arguments_of(file)?;
        parse(in_file.iter().cloned()).map_err(|error| wrong(file, &one_line(&error)))?;
        parse(in_file.into_iter().chain(nearer)).map_err(usage)
    }

    /// As the server takes them.
    ///
    /// # Errors
    /// There is no data folder, or one address is not to be listened on.
    pub(crate) fn options(&self) -> Result<Options, Error> {
        let missing =
            || Error::Setting("no data folder: give --data DIR, or data in the file of --config".into());
        let mut options = Options::new(self.data.as_ref().ok_or_else(missing)?);
        options.listen = self.listen;
        options.tls = self.tls()?;
        options.admin = self.admin;
        options.admin_exposed = self.admin_exposed;
        options.check()?;
        options.lane_idle = self.lane_idle_seconds.map_or(options.lane_idle, Duration::from_secs);
        options.relay_rate = self.relay_rate;
        self.limit(&mut options.config);
        Ok(options)
    }

    fn tls(&self) -> Result<Option<Secured>, Error> {
        match (self.tls_listen, &self.tls_cert, &self.tls_key) {
            (None, None, None) if self.tls_client_ca.is_none() => Ok(None),
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
        ] {
            *limit = given.and_then(|given| usize::try_from(given).ok()).unwrap_or(*limit);
        }
        config.queries_per_minute = self.queries_per_minute.unwrap_or(config.queries_per_minute);
        config.writes_per_minute = self.registrations_per_minute.unwrap_or(config.writes_per_minute);
    }
}

/// The last of each flag counts.
fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Serve, clap::Error> {
    let command = Serve::augment_args(Command::new("serve").no_binary_name(true).args_override_self(true));
    Serve::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// A file's settings, as the flags that they stand for.
fn arguments_of(file: &Path) -> Result<Vec<OsString>, Error> {
    let text = std::fs::read_to_string(file).map_err(|error| wrong(file, &error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(0, |span| text[..span.start].lines().count().max(1));
        wrong(file, &format!("line {line}: {}", error.message()))
    })?;
    let known = Serve::augment_args(Command::new("serve"));
    let mut arguments = Vec::new();
    for (name, value) in table {
        let Some(setting) = setting(&known, &name).filter(|_| name != "config") else {
            return Err(wrong(file, &format!("there is no setting {name}: see serve --help")));
        };
        let switch = !setting.get_action().takes_values();
        match value {
            toml::Value::Boolean(true) if switch => arguments.push(format!("--{name}").into()),
            toml::Value::Boolean(false) if switch => {}
            toml::Value::String(text) if !switch => arguments.push(format!("--{name}={text}").into()),
            toml::Value::Integer(number) if !switch => arguments.push(format!("--{name}={number}").into()),
            _ if switch => return Err(wrong(file, &format!("{name} is true or false"))),
            _ => return Err(wrong(file, &format!("{name} is a number or a text in quotation marks"))),
        }
    }
    Ok(arguments)
}

/// The environment's settings, likewise: P2PGATE_BROKER_MAX_LIST is max-list.
fn arguments_of_environment() -> Result<Vec<OsString>, Error> {
    let known = Serve::augment_args(Command::new("serve"));
    let mut arguments = Vec::new();
    for (variable, value) in std::env::vars_os() {
        let Some(name) = variable.to_str().and_then(|variable| variable.strip_prefix(ENVIRONMENT)) else {
            continue;
        };
        let name = name.to_ascii_lowercase().replace('_', "-");
        let variable = variable.display();
        let Some(setting) = setting(&known, &name) else {
            return Err(Error::Setting(format!("{variable}: there is no setting {name}: see serve --help")));
        };
        if setting.get_action().takes_values() {
            let mut argument = OsString::from(format!("--{name}="));
            argument.push(value);
            arguments.push(argument);
        } else if value == "true" {
            arguments.push(format!("--{name}").into());
        } else if value != "false" {
            return Err(Error::Setting(format!("{variable} is true or false")));
        }
    }
    Ok(arguments)
}

/// What a setting's long name stands for; checking them is no setting.
fn setting<'a>(known: &'a Command, name: &str) -> Option<&'a clap::Arg> {
    known.get_arguments().find(|argument| argument.get_long() == Some(name) && name != "check-config")
}

fn wrong(file: &Path, cause: &str) -> Error {
    Error::Setting(format!("{}: {cause}", file.display()))
}

/// What clap has to say, on one line.
pub(crate) fn one_line(error: &clap::Error) -> String {
    let text = error.to_string();
    let words: Vec<&str> = text.split_whitespace().collect();
    words.join(" ").trim_start_matches("error: ").to_owned()
}

fn count() -> RangedU64ValueParser<u32> {
    RangedU64ValueParser::new().range(1..)
}

fn seconds() -> RangedU64ValueParser<u64> {
    RangedU64ValueParser::new().range(1..=86_400)
}

fn parse_address(text: &str) -> Result<SocketAddr, String> {
    let wrong = |cause: &str| format!("{text} is no address to listen on ({cause}): write ADDRESS:PORT");
    let mut addresses = text.to_socket_addrs().map_err(|error| wrong(&error.to_string()))?;
    addresses.next().ok_or_else(|| wrong("it has none"))
}

/// Bytes. K, M, G, T and KiB, MiB… are powers of 1024, kB, MB… of 1000; the case does not matter.
fn parse_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("{text} is no size: write bytes, or 10M, 500MB, 1GiB");
    let digits = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.to_ascii_lowercase();
    let (prefix, base) = match unit.strip_suffix("ib").or(unit.strip_suffix('b')) {
        Some(prefix) if unit.ends_with("ib") => (prefix, 1024),
        Some(prefix) => (prefix, 1000_u64),
        None => (unit.as_str(), 1024),
    };
    let power = match prefix {
        "" if !unit.starts_with('i') => 0,
        "k" => 1,
        "m" => 2,
        "g" => 3,
        "t" => 4,
        _ => return Err(wrong()),
    };
    number.checked_mul(base.pow(power)).ok_or_else(wrong)
}
