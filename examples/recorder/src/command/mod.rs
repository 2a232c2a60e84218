//! The commands.

pub mod allow;
mod attribute;
pub mod demo;
mod deposits;
mod direct;
mod fetch;
mod group;
pub mod init;
mod inspect;
mod leak;
mod list;
pub mod outcome;
mod parts;
mod pull;
pub mod receive;
pub mod send;

use std::time::{Duration, Instant};

use p2pgate::terminal::Event;

use crate::cli::{Cli, Command};
use crate::failure::{Code, Failure};
use crate::node::Node;

/// How long the broker may take to answer at the start.
const PATIENCE: Duration = Duration::from_secs(15);

/// How often a lost connection is made anew without getting any further, and how long it waits first.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];

/// The tries of one transfer.
#[derive(Debug, Default)]
struct Tries {
    /// Some try got as far as bytes: from then on a lost connection is worth another try.
    begun: bool,
    /// Tries since the last that got further than any before it.
    count: usize,
    /// The furthest place from which a try went on.
    reached: u64,
}

impl Tries {
    /// A try goes on from there.
    fn go_on(&mut self, offset: u64) {
        self.begun = true;
        if offset > self.reached {
            // However often the line drops: what makes headway gets there.
            (self.reached, self.count) = (offset, 0);
        }
    }

    /// How long to wait before the next; `None`: there is none.
    fn next(&mut self) -> Option<Duration> {
        let pause = PAUSES.get(self.count).copied().filter(|_| self.begun)?;
        self.count += 1;
        Some(pause)
    }
}

/// Lets time pass, and the broker come back.
fn rest(node: &mut Node, pause: Duration) -> Result<(), Failure> {
    let deadline = Instant::now() + pause;
    while let Some(left) = deadline.checked_duration_since(Instant::now()) {
        node.turn(left, &mut ())?;
        while node.event().is_some() {}
    }
    Ok(())
}

/// Does what the user typed.
pub fn run(cli: &Cli) -> Result<(), Failure> {
    match &cli.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Show(arguments) => init::show(arguments),
        Command::Allow(arguments) => allow::run(arguments),
        Command::Group(arguments) => group::run(arguments),
        Command::Receive(arguments) => receive::run(arguments),
        Command::Send(arguments) => send::run(arguments),
        Command::List(arguments) => list::run(arguments),
        Command::Fetch(arguments) => fetch::run(arguments),
        Command::Attribute(arguments) => attribute::run(arguments),
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
        Command::List(arguments) => arguments.json,
        Command::Fetch(arguments) => arguments.json,
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
