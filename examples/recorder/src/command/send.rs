//! `send`: one recording to one recorder, by the paths that its attribute asks for (P8, V10).

mod deposit;

use std::fs::{File, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use p2pgate::identifier::Identifier;
use p2pgate::mpeg::{Class, Selection, Splitter};
use p2pgate::route::{Attribute as Wanted, Conditions, Path as By, Protection, Route, Way};
use p2pgate::terminal::{Event, Offer, OfferError, SessionId, TransferFailure};
use sha2::{Digest, Sha256};

use super::init::parse_identifier;
use super::{go_online, outcome};
use crate::cli::{Attribute, Deposit as Choice, Send};
use crate::failure::{Code, Failure};
use crate::kinds::Kinds;
use crate::node::{Node, Role, Watch};
use crate::progress::Bars;
use crate::recording::{Pictures, Pieces, Scan, scan, unsplittable};
use crate::state::State;

/// With `auto`: smaller recordings go through the broker unless the user says another size.
const RELAY_BELOW: u64 = 16 << 20;
/// How often a lost connection is made anew without getting any further, and how long it waits first.
const PAUSES: [Duration; 5] = [
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
];
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
            "pictures": { "i": self.pictures.i, "p": self.pictures.p, "b": self.pictures.b },
            "seconds": self.seconds,
        })
    }

    fn count(&mut self, way: Way, bytes: u64) {
        match (way.path, way.protection) {
            (By::Relay, _) => self.relay_sealed += bytes,
            (By::Direct, Protection::Sealed) => self.direct_sealed += bytes,
            (By::Direct, Protection::Clear) => self.direct_clear += bytes,
        }
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
    let source = Source::open(arguments)?;
    let (state, identity) = State::open(&arguments.state)?;
    let mut node = Node::new(state, &identity, Role::caller())?;
    if let Some(watch) = watch {
        node.watch(watch);
    }
    let relay = go_online(&mut node)?;
    let route = Route::decide(
        source.wanted,
        Conditions {
            size: source.scan.bytes,
            relay_below: arguments.relay_below.unwrap_or(RELAY_BELOW),
            relay,
        },
    );
    let report = Report { bytes: source.scan.bytes, pictures: source.scan.pictures, ..Report::default() };
    let mut sending = Sending {
        node,
        callee,
        callee_name: &arguments.to,
        source,
        route,
        report,
        bars: Bars::default(),
        begun: false,
        tries: 0,
        reached: 0,
        refused: false,
        choice: deposit::choice(arguments.deposit),
        depositing: deposit::Depositing::default(),
    };
    sending.deliver()?;
    sending.node.drain(Duration::from_secs(1))?;
    sending.report.seconds = started.elapsed().as_secs_f64();
    Ok(sending.report)
}

/// The file to send, looked at once from end to end.
struct Source {
    file: File,
    path: std::path::PathBuf,
    name: String,
    /// Size and modification time at the start.
    stamp: (u64, i64, i64),
    /// Names this state of the file.
    tag: [u8; 16],
    wanted: Wanted,
    selection: Selection,
    seal_rest: bool,
    scan: Scan,
}

impl Source {
    fn open(arguments: &Send) -> Result<Self, Failure> {
        let path = &arguments.file;
        let cannot = |error: std::io::Error| Failure::local("cannot read", path, &error);
        let file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if !metadata.is_file() {
            return Err(Failure::new(
                Code::Local,
                format!("{} is not a file: name a recording", path.display()),
            ));
        }
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let name: String = name.chars().map(|c| if c.is_control() || c == '\\' { '_' } else { c }).collect();
        let wanted = wanted(arguments, &name)?;
        let (selection, seal_rest) = (arguments.select.unwrap_or_default(), arguments.seal_rest);
        let scan = scan(&file, Splitter::with(selection, seal_rest), arguments.hash).map_err(cannot)?;
        if let Some(why) = unsplittable(scan.container).filter(|_| wanted == Wanted::Split) {
            let text = format!("{} {why}: send it --as confidential", path.display());
            return Err(Failure::new(Code::Usage, text));
        }
        let stamp = stamp(&metadata);
        let mut hash = Sha256::new();
        for number in [metadata.dev(), metadata.ino(), stamp.0, stamp.1 as u64, stamp.2 as u64] {
            hash.update(number.to_be_bytes());
        }
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash.finalize()[..16]);
        let source = Self { file, path: path.clone(), name, stamp, tag, wanted, selection, seal_rest, scan };
        source.check_unchanged()?;
        Ok(source)
    }

    /// Its bytes from `offset` on, `most` at a time.
    fn pieces(&self, offset: u64, most: usize) -> Result<Pieces, Failure> {
        let file =
            self.file.try_clone().map_err(|error| Failure::local("cannot read", &self.path, &error))?;
        Ok(match self.wanted {
            Wanted::Split => {
                Pieces::split(file, Splitter::with(self.selection, self.seal_rest), offset, most)
            }
            _ => Pieces::whole(file, offset, most),
        })
    }

    /// What was sent so far would not fit what comes, if the file changes meanwhile.
    fn check_unchanged(&self) -> Result<(), Failure> {
        let now = self.file.metadata().map_err(|error| Failure::local("cannot read", &self.path, &error))?;
        if stamp(&now) == self.stamp && now.len() == self.scan.bytes {
            Ok(())
        } else {
            Err(changed(&self.path))
        }
    }
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

fn changed(path: &Path) -> Failure {
    Failure::new(
        Code::Local,
        format!(
            "{} changed while it was sent: wait until its recording is over, then send again",
            path.display()
        ),
    )
}

/// The attribute, by the command line or, with `auto`, by the table of kinds (V10c) or the size (V10a).
fn wanted(arguments: &Send, name: &str) -> Result<Wanted, Failure> {
    let misplaced = |option: &str, attribute: &str| {
        Err(Failure::new(
            Code::Usage,
            format!("{option} goes with --as {attribute}: add that or leave it out"),
        ))
    };
    let attribute = match arguments.attribute {
        Attribute::Auto => match &arguments.kinds {
            None => None,
            Some(path) => {
                let table = std::fs::read_to_string(path)
                    .map_err(|error| Failure::local("cannot read", path, &error))?;
                Kinds::parse(&table)?.attribute(name)
            }
        },
        _ if arguments.kinds.is_some() => return misplaced("--kinds", "auto"),
        _ if arguments.relay_below.is_some() => return misplaced("--relay-below", "auto"),
        attribute => Some(attribute),
    };
    if !matches!(arguments.attribute, Attribute::Split | Attribute::Auto) {
        if arguments.seal_rest {
            return misplaced("--seal-rest", "split");
        }
        if arguments.select.is_some() {
            return misplaced("--select", "split");
        }
    }
    Ok(match attribute {
        Some(Attribute::Confidential) => Wanted::Confidential,
        Some(Attribute::Public) => Wanted::Public,
        Some(Attribute::Split) => Wanted::Split,
        Some(Attribute::Auto) | None => Wanted::BySize,
    })
}

/// A transfer over as many sessions as it takes.
struct Sending<'a> {
    node: Node,
    callee: Identifier,
    callee_name: &'a str,
    source: Source,
    route: Route,
    report: Report,
    bars: Bars,
    /// Some try got as far as sending: from then on a lost connection is worth another try.
    begun: bool,
    /// Tries since the last that got further than any before it.
    tries: usize,
    /// The furthest place from which a try went on.
    reached: u64,
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
                Try::Failed { failure, again } => (failure, again && self.begun),
            };
            let Some(pause) = PAUSES.get(self.tries).filter(|_| again) else { return Err(failure) };
            self.tries += 1;
            self.bars.say(&format!("{failure}; trying again"));
            self.rest(*pause)?;
        }
    }

    /// Lets time pass, and the broker come back.
    fn rest(&mut self, pause: Duration) -> Result<(), Failure> {
        let deadline = Instant::now() + pause;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            self.node.turn(left, &mut ())?;
            while self.node.event().is_some() {}
        }
        Ok(())
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
        let result = self.session(session);
        let number = session.number();
        self.bars.end(number);
        let (terminal, _) = self.node.terminal();
        terminal.close(session);
        result
    }

    fn session(&mut self, session: SessionId) -> Result<Try, Failure> {
        let mut route = self.route;
        self.depositing.next = None;
        let mut pieces: Option<Pieces> = None;
        // Lanes whose end isn't out yet.
        let mut open: Vec<Class> = Vec::new();
        let mut patience = Duration::from_millis(200);
        loop {
            self.node.turn(patience, &mut ())?;
            while let Some(event) = self.node.event() {
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
                        if tunnel {
                            route = route.tunnelled();
                        }
                        self.offer(session)?;
                    }
                    Event::Ready { session: of, offset } if of == session => {
                        self.begun = true;
                        if offset > self.reached {
                            // However often the line drops: what makes headway gets there.
                            (self.reached, self.tries) = (offset, 0);
                        }
                        self.bars.begin(session.number(), &self.source.name, self.source.scan.bytes);
                        if self.depositing.wanted {
                            self.depositing.next = Some(offset);
                            continue;
                        }
                        let most = self.node.terminal().0.max_payload(session);
                        pieces = Some(self.source.pieces(offset, most)?);
                        open = [Class::Rest, Class::Sealed].into();
                        open.retain(|class| route.way(*class).is_some());
                    }
                    Event::Delivered { session: of } if of == session => return Ok(Try::Delivered),
                    Event::TransferFailed { session: of, failure } if of == session => {
                        // Having taken it before, it may still be storing that, or not know yet that it was cut off.
                        let unexpected = self.begun && failure == TransferFailure::RefusedByReceiver;
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
                    Event::Offline { cause } if pieces.is_none() && !self.begun => {
                        return Err(outcome::offline(cause, self.node.broker()));
                    }
                    _ => {}
                }
            }
            patience = Duration::from_millis(200);
            self.look_for_answer(session)?;
            if self.pump_deposit(session)? {
                patience = Duration::ZERO;
            }
            if let Some(pieces) = pieces.as_mut().filter(|_| !open.is_empty()) {
                self.pump(session, pieces, &mut open, route)?;
                if !open.is_empty() && self.node.can_send() {
                    patience = Duration::ZERO;
                }
            }
        }
    }

    fn offer(&mut self, session: SessionId) -> Result<(), Failure> {
        let Source { name, tag, scan, .. } = &self.source;
        let all = (scan.bytes, scan.bytes);
        let split = self.route.sealed.is_some() && self.route.rest.is_some();
        let (sealed_bytes, rest_bytes) = if split { (scan.sealed, scan.rest) } else { all };
        let offer = Offer {
            name,
            size: scan.bytes,
            source: tag,
            hash: scan.hash.is_some(),
            route: self.route,
            sealed_bytes,
            rest_bytes,
        };
        let (terminal, now) = self.node.terminal();
        match terminal.offer(session, &offer, now) {
            // The session is over already; its event says why.
            Ok(()) | Err(OfferError::NotOpen) => Ok(()),
            Err(error) => Err(Failure::new(Code::Local, format!("{}: {error}", self.source.path.display()))),
        }
    }

    /// Seals and queues as much as the lanes take, and at last their ends; from then on they aren't `open`.
    fn pump(
        &mut self,
        session: SessionId,
        pieces: &mut Pieces,
        open: &mut Vec<Class>,
        route: Route,
    ) -> Result<(), Failure> {
        let only = if route.rest.is_none() {
            Some(Class::Sealed)
        } else {
            route.sealed.is_none().then_some(Class::Rest)
        };
        let mut sent = 0;
        while self.node.can_send() && sent < STRIDE {
            let piece =
                pieces.next().map_err(|error| Failure::local("cannot read", &self.source.path, &error));
            let piece = match piece {
                Ok(piece) => piece,
                Err(failure) => return self.give_up(session, failure),
            };
            let Some(piece) = piece else {
                return self.end(session, open, pieces.segments());
            };
            let class = only.unwrap_or(piece.class);
            let length = piece.bytes.len() as u64;
            if self.node.send(session, class, &piece).is_err() {
                // The transfer is over; its event says why. Or the file has grown.
                let grown = piece.offset + length > self.source.scan.bytes;
                open.clear();
                return if grown { self.give_up(session, changed(&self.source.path)) } else { Ok(()) };
            }
            sent += length;
            if let Some(way) = route.way(class) {
                self.report.count(way, length);
            }
            self.bars.advance(session.number(), piece.offset + length);
        }
        Ok(())
    }

    /// As many ends as the lanes take now.
    fn end(&mut self, session: SessionId, open: &mut Vec<Class>, segments: u64) -> Result<(), Failure> {
        if let Err(failure) = self.source.check_unchanged() {
            return self.give_up(session, failure);
        }
        let hash = self.source.scan.hash;
        while self.node.can_send()
            && let Some(class) = open.pop()
        {
            if self.node.send_end(session, class, segments, hash.as_ref()).is_err() {
                // The transfer is over; its event says why.
                open.clear();
            }
        }
        Ok(())
    }

    /// Tells the receiver that no more comes.
    fn give_up(&mut self, session: SessionId, failure: Failure) -> Result<(), Failure> {
        let (terminal, now) = self.node.terminal();
        let _ = terminal.abandon(session, "the sender's file cannot be read or changed", now);
        self.node.drain(Duration::from_secs(1))?;
        Err(failure)
    }
}
