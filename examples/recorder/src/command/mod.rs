//! The commands.

pub mod allow;
pub mod demo;
mod deposits;
pub mod init;
mod inspect;
mod leak;
pub mod outcome;
mod parts;
pub mod receive;
pub mod send;

use std::time::{Duration, Instant};

use p2pgate::terminal::Event;

use crate::cli::{Cli, Command};
use crate::failure::{Code, Failure};
use crate::node::Node;

/// How long the broker may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);

/// Does what the user typed.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Show(arguments) => init::show(arguments),
        Command::Allow(arguments) => allow::run(arguments),
        Command::Receive(arguments) => receive::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::Deposits(arguments) => deposits::run(arguments),
        Command::Inspect(arguments) => inspect::run(arguments),
        Command::Leak(arguments) => leak::run(arguments),
        Command::Split(arguments) => parts::split(arguments),
        Command::Merge(arguments) => parts::merge(arguments),
        Command::Demo(arguments) => demo::run(arguments),
    }
}

/// Whether `--json` asks for failures on standard output too.
pub fn wants_json(cli: &Cli) -> bool {
    match &cli.command {
        Command::Send(arguments) => arguments.json,
        Command::Inspect(arguments) => arguments.json,
        _ => false,
    }
}

/// Waits until the broker has let this recorder in. Says whether the broker relays.
fn go_online(node: &mut Node) -> Result<bool, Failure> {
    let (terminal, now) = node.terminal();
    terminal.connect(now);
    let mut online = None;
    wait(node, PATIENCE, |event| match event {
        Event::Online { relay } => {
            online = Some(*relay);
            true
        }
        _ => false,
    })?;
    online.ok_or_else(|| outcome::offline(p2pgate::terminal::OfflineCause::Unreachable, node.broker()))
}

/// Takes events until one is what is waited for, the broker is lost, or `longest` is over.
fn wait(node: &mut Node, longest: Duration, mut wanted: impl FnMut(&Event) -> bool) -> Result<(), Failure> {
    let deadline = Instant::now() + longest;
    loop {
        while let Some(event) = node.event() {
            if wanted(&event) {
                return Ok(());
            }
            if let Event::Offline { cause } = event {
                return Err(match node.trouble() {
                    Some(trouble) => Failure::new(
                        Code::Broker,
                        format!(
                            "TLS with the broker at {} fails ({trouble}): check --tls-ca, the name and the clock",
                            node.broker()
                        ),
                    ),
                    None => outcome::offline(cause, node.broker()),
                });
            }
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::new(
                Code::Broker,
                format!("the broker at {} does not answer: try again later", node.broker()),
            ));
        }
        node.turn(left.min(Duration::from_millis(200)), &mut ())?;
    }
}
