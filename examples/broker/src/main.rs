//! The program `p2pgate-broker`.
#![forbid(unsafe_code)]

mod settings;

use clap::{Args, Parser, Subcommand};
use p2pgate::broker::{DepositRecord, StoredDeposit};
use p2pgate_broker::store::{Group, Terminal};
use p2pgate_broker::{Error, Options, Server};
use settings::{Resolver, Serve, Settings, one_line};
use std::io::{IsTerminal, Write};
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
    Serve(Box<Serve>),
    /// Resolve addresses for one broker, as a process of its own. Once ready, prints: listening ADDR key BASE64
    Resolver(Box<Resolver>),
    /// Print the key of the broker or resolver of a folder, and make one if there is none yet
    Key(Data),
    /// Print a one-time ticket by which a terminal enrols as ID within 7 days
    Enrol {
        #[command(flatten)]
        named: Named,
        /// Take ID though it looks like another terminal's or group's name
        #[arg(long)]
        allow_look_alike: bool,
    },
    /// Print what is deposited: number, depositor, callee, bytes kept, bytes in all, state, hours since it was last written; a tab between them
    Deposits(Data),
    /// Print the groups, a line a member: group, owner, member, its key; a tab between them
    Groups(Data),
    /// Take ID's key, ticket, list, groups and address away; its links and lanes end at once
    Revoke(Named),
    /// Print who is enrolled: identifier, key, list's number, its entries, address; a tab between them
    List(Data),
    /// Print what is known of ID, a line each: name, tab, value
    Show(Named),
    /// Verify the store and the deposits' files: a line for each fault, and exit code 9 if there are any
    Check {
        #[command(flatten)]
        data: Data,
        /// Read the deposits whole, and compare each part with its digest
        #[arg(long)]
        contents: bool,
    },
    /// Copy the store into FILE as it is at one moment. Neither the broker's key nor the deposits' files are in it
    Backup {
        #[command(flatten)]
        data: Data,
        /// The copy; replaced once the new one is whole
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
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
        Command::Serve(_) => start::<Serve>(),
        Command::Resolver(_) => start::<Resolver>(),
        Command::Key(Data { data }) => {
            p2pgate_broker::key(&data).and_then(|key| print_line(format_args!("{key}")))
        }
        Command::Enrol { named: Named { data, identifier }, allow_look_alike } => {
            let enrol =
                if allow_look_alike { p2pgate_broker::enrol_look_alike } else { p2pgate_broker::enrol };
            enrol(&data, &identifier).and_then(|ticket| print_line(format_args!("{}", *ticket)))
        }
        Command::Deposits(Data { data }) => list_deposits(&data),
        Command::Groups(Data { data }) => list_groups(&data),
        Command::Revoke(named) => p2pgate_broker::revoke(&named.data, &named.identifier),
        Command::List(Data { data }) => list(&data),
        Command::Show(named) => show(&named.data, &named.identifier),
        Command::Check { data: Data { data }, contents } => check(data, contents),
        Command::Backup { data: Data { data }, file } => p2pgate_broker::backup(&data, &file),
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
    eprintln!("p2pgate-broker: {}", one_line(error));
    ExitCode::from(2)
}

fn start<S: Settings>() -> Result<(), Error> {
    let settings = S::gather()?;
    let options = settings.options()?;
    if settings.sources().check_config { Ok(()) } else { run(options, || S::gather()?.options()) }
}

/// `reread` gives what SIGHUP is to bring.
fn run(options: Options, reread: fn() -> Result<Options, Error>) -> Result<(), Error> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    raise_file_limit();

    let server = Server::bind(options)?;
    heed_signals(&server, reread)?;
    print_line(format_args!("listening {} key {}", server.local_addr(), server.public_key()))?;
    if let Some(address) = server.tls_addr() {
        print_line(format_args!("tls {address}"))?;
    }
    if let Some(address) = server.admin_addr() {
        print_line(format_args!("admin {address}"))?;
    }
    server.run()
}

fn list_deposits(data: &Path) -> Result<(), Error> {
    p2pgate_broker::deposits(data)?.iter().try_for_each(|deposit| print_deposit("", deposit))
}

fn print_deposit(before: &str, deposit: &StoredDeposit) -> Result<(), Error> {
    let StoredDeposit { record, kept, complete, notice, age_ms, .. } = deposit;
    let state = match (notice, complete) {
        (Some(_), _) => "over",
        (None, true) => "waiting",
        (None, false) => "unfinished",
    };
    let number: String = record.deposit.iter().map(|byte| format!("{byte:02x}")).collect();
    let DepositRecord { caller, callee, size, .. } = record;
    let hours = age_ms / 3_600_000;
    print_line(format_args!("{before}{number}\t{caller}\t{callee}\t{kept}\t{size}\t{state}\t{hours}"))
}

fn list(data: &Path) -> Result<(), Error> {
    for terminal in p2pgate_broker::terminals(data)? {
        let Terminal { identifier, key, revision, list, .. } = &terminal;
        let address = addresses(&terminal).into_iter().next().unwrap_or_default();
        print_line(format_args!("{identifier}\t{key}\t{revision}\t{}\t{address}", list.len()))?;
    }
    Ok(())
}

fn list_groups(data: &Path) -> Result<(), Error> {
    for Group { name, owner, members } in p2pgate_broker::groups(data)? {
        if members.is_empty() {
            print_line(format_args!("{name}\t{owner}\t\t"))?;
        }
        for (member, key) in members {
            let key = key.as_ref().map_or_else(|| "not enrolled yet".to_owned(), ToString::to_string);
            print_line(format_args!("{name}\t{owner}\t{member}\t{key}"))?;
        }
    }
    Ok(())
}

/// A terminal's addresses, as `ADDRESS PORT`.
fn addresses(terminal: &Terminal) -> Vec<String> {
    let text = terminal.address.as_ref().map(ToString::to_string);
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

fn show(data: &Path, identifier: &str) -> Result<(), Error> {
    let shown = p2pgate_broker::show(data, identifier)?;
    let print = |name: &str, value: &dyn std::fmt::Display| print_line(format_args!("{name}\t{value}"));
    print("identifier", &identifier)?;
    if let Some(seconds) = shown.ticket_seconds {
        print("ticket for hours", &seconds.div_ceil(3_600))?;
    }
    if let Some(terminal) = &shown.terminal {
        print("key", &terminal.key)?;
        print("list", &terminal.revision)?;
        for (entry, key) in &terminal.list {
            let key = key.as_ref().map_or_else(|| "not enrolled yet".to_owned(), ToString::to_string);
            print("permits", &format_args!("{entry}\t{key}"))?;
        }
        for address in addresses(terminal) {
            print("address", &address)?;
        }
        if let Some(frame) = terminal.frame {
            print("largest frame", &frame)?;
        }
    }
    for Group { name, owner, .. } in &shown.groups {
        print(if owner == identifier { "owns" } else { "member of" }, name)?;
    }
    shown.deposits.iter().try_for_each(|deposit| print_deposit("deposit\t", deposit))
}

fn check(data: PathBuf, contents: bool) -> Result<(), Error> {
    let findings = p2pgate_broker::check(&data, contents)?;
    for finding in &findings {
        print_line(format_args!("{finding}"))?;
    }
    if findings.is_empty() { Ok(()) } else { Err(Error::Faults { folder: data, count: findings.len() }) }
}

/// The first SIGTERM or SIGINT stops the server gracefully, the second at once. SIGHUP has the settings read anew.
fn heed_signals(server: &Server, reread: fn() -> Result<Options, Error>) -> Result<(), Error> {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
    let refused = |source| Error::System { what: "take signals", source };
    let mut signals = signal_hook::iterator::Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(refused)?;
    let (stop, reload) = (server.stop_handle(), server.reload_handle());
    let wait = move || {
        let mut stopping = false;
        for signal in signals.forever() {
            match signal {
                SIGHUP => match reread() {
                    Ok(options) => reload.reload(options),
                    Err(error) => tracing::error!(%error, "the settings stay as they were"),
                },
                _ if stopping => std::process::exit(128 + signal),
                _ => {
                    stopping = true;
                    stop.stop();
                }
            }
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
