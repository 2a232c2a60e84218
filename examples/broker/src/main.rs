//! The program `p2pgate-broker`.
#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand};
use p2pgate::broker::{Config, DepositRecord, StoredDeposit};
use p2pgate_broker::{Error, Options, Server};
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// The broker that consumer recorders share recordings through.
#[derive(Parser)]
#[command(name = "p2pgate-broker", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve terminals. Once ready, prints: listening ADDR key BASE64
    Serve(Serve),
    /// Print a one-time ticket by which a terminal enrols as ID within 7 days
    Enrol(Named),
    /// Print what is deposited: number, depositor, callee, bytes kept, bytes in all, state, hours since it was last written; a tab between them
    Deposits(Data),
    /// Take ID's key, ticket, list and address away; its links and lanes end at once
    Revoke(Named),
}

#[derive(Args)]
struct Serve {
    /// The folder of the broker's key and store; created if it is not there
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The address to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:7700", value_parser = parse_address)]
    listen: SocketAddr,
    /// The largest transfer through the broker: bytes, or 10M, 500MB, 1GiB [default: 64GiB]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_transfer: Option<u64>,
    /// Pass no recordings on: terminals send to each other directly
    #[arg(long)]
    no_relay: bool,
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
    fn limit_deposits(&self, config: &mut Config) {
        config.deposits = !self.no_deposits;
        for (limit, given) in [
            (&mut config.max_deposit, self.deposit_max),
            (&mut config.max_deposited_per_caller, self.deposit_per_caller),
            (&mut config.max_deposited_per_callee, self.deposit_per_callee),
            (&mut config.max_deposited, self.deposit_total),
            (&mut config.deposit_ms, self.deposit_days.map(|days| days * 24 * 60 * 60 * 1_000)),
        ] {
            *limit = given.unwrap_or(*limit);
        }
        config.unfinished_deposit_ms = config.unfinished_deposit_ms.min(config.deposit_ms);
    }
}

#[derive(Args)]
struct Data {
    /// The broker's folder, whether it is running or not
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
}

#[derive(Args)]
struct Named {
    /// The broker's folder, whether it is running or not
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// The terminal's identifier
    #[arg(value_name = "ID")]
    identifier: String,
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // What this process creates is this user's alone.
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
    let outcome = match cli.command {
        Command::Serve(serve) => run(serve),
        Command::Enrol(named) => p2pgate_broker::enrol(&named.data, &named.identifier)
            .and_then(|ticket| print_line(format_args!("{}", *ticket))),
        Command::Deposits(Data { data }) => list_deposits(&data),
        Command::Revoke(named) => p2pgate_broker::revoke(&named.data, &named.identifier),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("p2pgate-broker: {error}");
            error.exit_code().into()
        }
    }
}

/// Help goes to stdout as it is; a wrong use is told on one line, as every failure is.
fn usage(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    let text = error.to_string();
    let line: Vec<&str> = text.split_whitespace().collect();
    eprintln!("p2pgate-broker: {}", line.join(" ").trim_start_matches("error: "));
    ExitCode::from(2)
}

fn run(serve: Serve) -> Result<(), Error> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    raise_file_limit();

    let mut options = Options::new(&serve.data);
    serve.limit_deposits(&mut options.config);
    options.listen = serve.listen;
    options.config.relay = !serve.no_relay;
    if let Some(size) = serve.max_transfer {
        options.config.max_transfer = size;
    }
    let server = Server::bind(options)?;
    stop_on_signals(&server)?;
    print_line(format_args!("listening {} key {}", server.local_addr(), server.public_key()))?;
    server.run()
}

fn list_deposits(data: &Path) -> Result<(), Error> {
    for StoredDeposit { record, kept, complete, notice, age_ms, .. } in p2pgate_broker::deposits(data)? {
        let state = match (notice, complete) {
            (Some(_), _) => "over",
            (None, true) => "waiting",
            (None, false) => "unfinished",
        };
        let number: String = record.deposit.iter().map(|byte| format!("{byte:02x}")).collect();
        let DepositRecord { caller, callee, size, .. } = record;
        let hours = age_ms / 3_600_000;
        print_line(format_args!("{number}\t{caller}\t{callee}\t{kept}\t{size}\t{state}\t{hours}"))?;
    }
    Ok(())
}

/// The first SIGTERM or SIGINT stops the server gracefully, the second at once.
fn stop_on_signals(server: &Server) -> Result<(), Error> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    let refused = |source| Error::System { what: "take signals", source };
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM]).map_err(refused)?;
    let stop = server.stop_handle();
    let wait = move || {
        for (number, signal) in signals.forever().enumerate() {
            if number > 0 {
                std::process::exit(128 + signal);
            }
            stop.stop();
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(wait).map(drop).map_err(refused)
}

/// Takes all files that the system allows: each connection is one.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

fn print_line(line: std::fmt::Arguments<'_>) -> Result<(), Error> {
    let mut out = std::io::stdout().lock();
    let printed = writeln!(out, "{line}").and_then(|()| out.flush());
    printed.map_err(|source| Error::System { what: "print", source })
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
