//! `send`: one recording to one recorder, by the paths that its attribute asks for (P8, V10).

mod deposit;

use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

use p2pgate::identifier::Identifier;
use p2pgate::route::Attribute as Wanted;
use p2pgate::terminal::{Event, OfferError, SessionId, TransferFailure};

use super::direct::Direct;
use super::init::parse_identifier;
use super::{Tries, go_online, outcome, rest};
use crate::cli::{Attribute, Deposit as Choice, Send};
use crate::failure::{Code, Failure};
use crate::kinds::Kinds;
use crate::node::{Node, Role, Watch};
use crate::outgoing::{Outgoing, Plan, RELAY_BELOW, Sent, Source};
use crate::progress::Bars;
use crate::recording::{Pictures, unsplittable};
use crate::state::State;

/// Payload bytes sealed before input is looked at again.
const STRIDE: u64 = 4 << 20;

/// What a transfer came to.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Report {
    /// The recording's length.
    pub bytes: u64,
    /// Payload bytes sent in clear, straight to the other recorder.
    pub direct_clear: u64,
    /// Payload bytes sent sealed, straight to the other recorder.
    pub direct_sealed: u64,
    /// Payload bytes sent sealed, through the broker.
    pub relay_sealed: u64,
    /// Payload bytes left sealed at the broker, for the other recorder to collect.
    pub deposited: u64,
    /// At the end the connection to the other recorder was one through the broker.
    pub tunnel: bool,
    /// The broker keeps it; the other recorder has still to collect it.
    pub kept: bool,
    /// Coded pictures in the recording.
    pub pictures: Pictures,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "bytes": self.bytes,
            "path": {
                "direct_clear": self.direct_clear,
                "direct_sealed": self.direct_sealed,
                "relay_sealed": self.relay_sealed,
                "deposited": self.deposited,
            },
            "tunnel": self.tunnel,
            "pictures": { "i": self.pictures.i, "p": self.pictures.p, "b": self.pictures.b },
            "seconds": self.seconds,
        })
    }
}

/// Sends, and prints what came of it.
pub fn run(arguments: &Send) -> Result<(), Failure> {
    let report = send(arguments, None)?;
    if arguments.json {
        say!("{}", report.json());
    } else if report.kept {
        say!(
            "left {} bytes at the broker for {} in {:.1} s: {} collects them once it is free",
            report.bytes,
            arguments.to,
            report.seconds,
            arguments.to
        );
    } else {
        say!(
            "sent {} bytes to {} in {:.1} s: {} direct in clear, {} direct and sealed, {} sealed through the broker",
            report.bytes,
            arguments.to,
            report.seconds,
            report.direct_clear,
            report.direct_sealed,
            report.relay_sealed
        );
    }
    Ok(())
}

/// Sends; every event is shown to `watch`.
pub fn send(arguments: &Send, watch: Option<Watch>) -> Result<Report, Failure> {
    let started = Instant::now();
    let callee = parse_identifier(&arguments.to)?;
    let source = open(arguments)?;
    let (state, identity) = State::open(&arguments.state)?;
    let mut node = Node::new(state, &identity, Role::caller())?;
    if let Some(watch) = watch {
        node.watch(watch);
    }
    let relay = go_online(&mut node)?;
    let report = Report { bytes: source.bytes, pictures: source.pictures, ..Report::default() };
    let outgoing = Outgoing::new(source, arguments.relay_below.unwrap_or(RELAY_BELOW), relay);
    let mut sending = Sending {
        node,
        callee,
        callee_name: &arguments.to,
        path: &arguments.file,
        outgoing,
        report,
        bars: Bars::default(),
        tries: Tries::default(),
        refused: false,
        choice: deposit::choice(arguments.deposit),
        depositing: deposit::Depositing::default(),
    };
    sending.deliver()?;
    sending.node.drain(Duration::from_secs(1))?;
    let Sent { direct_clear, direct_sealed, relay_sealed } = sending.outgoing.sent;
    sending.report = Report { direct_clear, direct_sealed, relay_sealed, ..sending.report };
    sending.report.seconds = started.elapsed().as_secs_f64();
    Ok(sending.report)
}

/// The file to send, looked at once from end to end.
fn open(arguments: &Send) -> Result<Source, Failure> {
    let path = &arguments.file;
    let file = File::open(path).map_err(|error| Failure::local("cannot read", path, &error))?;
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String = name.chars().map(|c| if c.is_control() || c == '\\' { '_' } else { c }).collect();
    let plan = plan(arguments, &name)?;
    let mut source = Source::new(file, path, name, plan)?;
    let container = source.look(arguments.hash)?;
    match unsplittable(container).filter(|_| plan.wanted == Wanted::Split) {
        Some(why) => {
            let text = format!("{} {why}: send it --as confidential", path.display());
            Err(Failure::new(Code::Usage, text))
        }
        None => Ok(source),
    }
}

/// How it travels: by the command line or, with `auto`, by the table of kinds (V10c) or the size (V10a). What the command line says of
/// `split` counts before what the table says.
fn plan(arguments: &Send, name: &str) -> Result<Plan, Failure> {
    let misplaced = |option: &str, attribute: &str| {
        Err(Failure::new(
            Code::Usage,
            format!("{option} goes with --as {attribute}: add that or leave it out"),
        ))
    };
    let of = |wanted| Plan { wanted, ..Plan::CONFIDENTIAL };
    let plan = match arguments.attribute {
        Attribute::Auto => match &arguments.kinds {
            None => None,
            Some(path) => {
                let table = std::fs::read_to_string(path)
                    .map_err(|error| Failure::local("cannot read", path, &error))?;
                Kinds::parse(&table)?.plan(name)
            }
        },
        _ if arguments.kinds.is_some() => return misplaced("--kinds", "auto"),
        _ if arguments.relay_below.is_some() => return misplaced("--relay-below", "auto"),
        Attribute::Confidential => Some(of(Wanted::Confidential)),
        Attribute::Public => Some(of(Wanted::Public)),
        Attribute::Split => Some(of(Wanted::Split)),
    };
    if !matches!(arguments.attribute, Attribute::Split | Attribute::Auto) {
        if arguments.seal_rest {
            return misplaced("--seal-rest", "split");
        }
        if arguments.select.is_some() {
            return misplaced("--select", "split");
        }
    }
    let plan = plan.unwrap_or(of(Wanted::BySize));
    Ok(Plan {
        selection: arguments.select.unwrap_or(plan.selection),
        seal_rest: arguments.seal_rest || plan.seal_rest,
        ..plan
    })
}

/// A transfer over as many sessions as it takes.
struct Sending<'a> {
    node: Node,
    callee: Identifier,
    callee_name: &'a str,
    path: &'a Path,
    outgoing: Outgoing,
    report: Report,
    bars: Bars,
    tries: Tries,
    /// The receiver refused once although it had taken the recording before.
    refused: bool,
    choice: Choice,
    depositing: deposit::Depositing,
}

/// How one try ended.
enum Try {
    Delivered,
    Failed { failure: Failure, again: bool },
}

impl Try {
    fn failed((failure, again): (Failure, bool)) -> Self {
        Self::Failed { failure, again }
    }
}

impl Sending<'_> {
    fn deliver(&mut self) -> Result<(), Failure> {
        loop {
            let (failure, again) = match self.attempt()? {
                Try::Delivered => return Ok(()),
                Try::Failed { failure, again } => (failure, again),
            };
            let Some(pause) = again.then(|| self.tries.next()).flatten() else { return Err(failure) };
            self.bars.say(&format!("{failure}; trying again"));
            rest(&mut self.node, pause)?;
        }
    }

    /// One session, from the call to the receiver's word that the recording is stored.
    fn attempt(&mut self) -> Result<Try, Failure> {
        let (terminal, now) = self.node.terminal();
        let session = match terminal.call(&self.callee, now) {
            Ok(session) => session,
            Err(p2pgate::terminal::CallError::Offline) => {
                let cause = p2pgate::terminal::OfflineCause::Unreachable;
                return Ok(Try::Failed { failure: outcome::offline(cause, self.node.broker()), again: true });
            }
            Err(error) => return Err(Failure::new(Code::Usage, error.to_string())),
        };
        let mut current = session;
        let mut direct = Direct::new();
        let result = self.session(&mut current, &mut direct);
        direct.stop(&mut self.node);
        self.bars.end(current.number());
        self.node.terminal().0.close(current);
        result
    }

    /// To the end of `current`, which is another one once a direct connection has taken a tunnel's place.
    fn session(&mut self, current: &mut SessionId, direct: &mut Direct) -> Result<Try, Failure> {
        self.depositing.next = None;
        let mut ready = false;
        let mut patience = Duration::from_millis(200);
        loop {
            self.node.turn(patience, &mut ())?;
            while let Some(event) = self.node.event() {
                if let Some(better) = direct.take(&mut self.node, &event) {
                    if self.outgoing.is_open() {
                        self.bars.say("a direct connection has come up: going on there");
                        self.bars.end(current.number());
                        self.node.terminal().0.close(std::mem::replace(current, better));
                        ready = false;
                        self.report.tunnel = false;
                        self.offer(better, false)?;
                    } else {
                        // All is on its way, only the receiver's word isn't here.
                        self.node.terminal().0.close(better);
                    }
                    continue;
                }
                let session = *current;
                match event {
                    Event::Denied { session: of, denial, retry_after } if of == session => {
                        let failure = outcome::denied(denial, self.callee_name, retry_after);
                        let again = failure.code == Code::NotReachable;
                        return Ok(Try::Failed { failure, again });
                    }
                    Event::DepositOffered { session: of, most } if of == session => {
                        if let Some(ended) = self.deposit_offered(session, most)? {
                            return Ok(ended);
                        }
                    }
                    Event::Deposited { session: of, .. } if of == session => {
                        self.report.kept = true;
                        return Ok(Try::Delivered);
                    }
                    Event::Connected { session: of, tunnel } if of == session => {
                        self.report.tunnel = tunnel;
                        self.offer(session, tunnel)?;
                    }
                    Event::Ready { session: of, offset } if of == session => {
                        self.tries.go_on(offset);
                        let source = &self.outgoing.source;
                        self.bars.begin(session.number(), &source.name, source.bytes);
                        if self.depositing.wanted {
                            self.depositing.next = Some(offset);
                            continue;
                        }
                        self.outgoing.ready(&mut self.node, session, offset)?;
                        ready = true;
                        if self.report.tunnel && self.outgoing.wants_direct() {
                            direct.begin();
                        }
                    }
                    Event::Delivered { session: of } if of == session => return Ok(Try::Delivered),
                    Event::TransferFailed { session: of, failure } if of == session => {
                        // Having taken it before, it may still be storing that, or not know yet that it was cut off.
                        let unexpected = self.tries.begun && failure == TransferFailure::RefusedByReceiver;
                        let once = unexpected && !std::mem::replace(&mut self.refused, unexpected);
                        let (failure, again) = match failure {
                            TransferFailure::RefusedByBroker if self.depositing.wanted => {
                                (outcome::deposit_refused(), false)
                            }
                            failure => outcome::transfer(failure, self.callee_name),
                        };
                        return Ok(Try::Failed { failure, again: again || once });
                    }
                    Event::Closed { session: of, cause } if of == session => {
                        return Ok(Try::failed(outcome::closed(cause, self.callee_name)));
                    }
                    // Until the session has its own connection it hangs on the broker's.
                    Event::Offline { cause } if !ready && !self.tries.begun => {
                        return Err(outcome::offline(cause, self.node.broker()));
                    }
                    _ => {}
                }
            }
            let session = *current;
            patience = Duration::from_millis(200);
            if self.outgoing.is_open() {
                direct.turn(&mut self.node, &self.callee);
            }
            self.look_for_answer(session)?;
            if self.pump_deposit(session)? {
                patience = Duration::ZERO;
            }
            if ready {
                match self.outgoing.pump(&mut self.node, session, STRIDE) {
                    Err(failure) => return self.give_up(session, failure),
                    Ok(Some(place)) => self.bars.advance(session.number(), place),
                    Ok(None) => {}
                }
                if self.outgoing.can_go_on(&self.node, session) {
                    patience = Duration::ZERO;
                }
            }
        }
    }

    fn offer(&mut self, session: SessionId, tunnel: bool) -> Result<(), Failure> {
        match self.outgoing.offer(&mut self.node, session, tunnel) {
            // The session is over already; its event says why.
            Ok(()) | Err(OfferError::NotOpen) => Ok(()),
            Err(error) => Err(Failure::new(Code::Local, format!("{}: {error}", self.path.display()))),
        }
    }

    /// Tells the receiver that no more comes.
    fn give_up<T>(&mut self, session: SessionId, failure: Failure) -> Result<T, Failure> {
        let (terminal, now) = self.node.terminal();
        let _ = terminal.abandon(session, "the sender's file cannot be read or changed", now);
        self.node.drain(Duration::from_secs(1))?;
        Err(failure)
    }
}
