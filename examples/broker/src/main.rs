//! The program `p2pgate-broker`.
#![forbid(unsafe_code)]

use clap::{Args, Parser, Subcommand};
use p2pgate_broker::{Error, Options, Server};
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
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

    let mut options = Options::new(serve.data);
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
