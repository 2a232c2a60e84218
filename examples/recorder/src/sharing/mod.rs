//! `receive --share`: sends permitted recorders what they ask for (FETCH), by the attribute that is kept with each recording.

pub mod attributes;
pub mod figures;
pub mod folder;

use std::collections::{HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

use p2pgate::route::Attribute;
use p2pgate::terminal::{Event, NO_SUCH_RECORDING, OfferError, SessionId};

use crate::failure::{Code, Failure};
use crate::node::{Node, SESSIONS};
use crate::outgoing::{Outgoing, Plan, RELAY_BELOW, Sent, Source};
use crate::progress::Bars;
use crate::recording::unsplittable;
use figures::Figures;
use folder::Folder;

/// What the list of recordings is called on its way; nobody keeps it.
const LIST: &str = "recordings";
/// How long reading a recording that is to be split may take before it is offered without its exact figures. Who asks waits for 120 s.
const PATIENCE: Duration = Duration::from_secs(10);
/// Payload bytes of one session before the others have their turn.
const STRIDE: u64 = 1 << 20;

/// A shared folder, and what is on its way out of it.
pub struct Sharing {
    folder: Folder,
    figures: Figures,
    /// What each session is at.
    sessions: HashMap<SessionId, Stage>,
    tunnels: HashSet<SessionId>,
    sender: Sender<Prepared>,
    prepared: Receiver<Prepared>,
    preparing: usize,
    /// Counts the questions, so that no answer goes to another.
    questions: u64,
}

#[allow(clippy::large_enum_variant)] // there are eight at most
enum Stage {
    /// The answer to this question is being made.
    Preparing(u64),
    /// The recording is on its way to this recorder.
    Sending(Outgoing, String),
}

/// What the thread that opens a recording, and looks at it, has found.
struct Prepared {
    session: SessionId,
    question: u64,
    found: Result<Found, Failure>,
}

#[allow(clippy::large_enum_variant)] // it is passed on once
enum Found {
    Nothing,
    Source { source: Source, remark: Option<String> },
}

impl Sharing {
    /// Shares a folder from now on.
    pub fn start(folder: &Path, node: &mut Node) -> Result<Self, Failure> {
        if !folder.is_dir() {
            return Err(Failure::new(
                Code::Local,
                format!("{} is not a folder: name the one to share", folder.display()),
            ));
        }
        node.terminal().0.share(true);
        let (sender, prepared) = mpsc::channel();
        Ok(Self {
            folder: Folder { path: folder.to_owned() },
            figures: Figures::default(),
            sessions: HashMap::new(),
            tunnels: HashSet::new(),
            sender,
            prepared,
            preparing: 0,
            questions: 0,
        })
    }

    /// Something happened.
    pub fn take(&mut self, node: &mut Node, bars: &mut Bars, event: &Event) {
        match *event {
            Event::Connected { session, tunnel: true } => drop(self.tunnels.insert(session)),
            Event::Wanted { session } => self.prepare(node, session),
            Event::Ready { session, offset } => {
                let Some(Stage::Sending(outgoing, _)) = self.sessions.get_mut(&session) else { return };
                bars.begin(session.number(), &outgoing.source.name, outgoing.source.bytes);
                if let Err(failure) = outgoing.ready(node, session, offset) {
                    give_up(node, bars, session, &failure);
                }
            }
            Event::Delivered { session } => {
                bars.end(session.number());
                let Some(Stage::Sending(outgoing, peer)) = self.sessions.remove(&session) else { return };
                let Outgoing { source: Source { name, bytes, .. }, sent, .. } = &outgoing;
                let Sent { direct_clear, direct_sealed, relay_sealed } = sent;
                if outgoing.source.is_kept() {
                    say!(
                        "sent {name} bytes {bytes} to {peer}: {direct_clear} direct in clear, {direct_sealed} direct and sealed, {relay_sealed} sealed through the broker"
                    );
                }
            }
            Event::TransferFailed { session, .. } => {
                bars.end(session.number());
                self.sessions.remove(&session);
            }
            Event::Closed { session, .. } => {
                bars.end(session.number());
                self.sessions.remove(&session);
                self.tunnels.remove(&session);
            }
            _ => {}
        }
    }

    /// Opening, and reading what is to be split from end to end, may take a while: other sessions must not wait for it.
    fn prepare(&mut self, node: &mut Node, session: SessionId) {
        let (terminal, now) = node.terminal();
        let Some(wanted) = terminal.wanted(session) else { return };
        let name = wanted.name.map(str::to_owned);
        if self.preparing >= SESSIONS {
            // Somebody asks and asks again without waiting.
            let _ = terminal.refuse(session, "too much is asked for at once", now);
            return;
        }
        self.questions += 1;
        self.preparing += 1;
        let (question, sender) = (self.questions, self.sender.clone());
        let (folder, figures) = (self.folder.clone(), self.figures.clone());
        self.sessions.insert(session, Stage::Preparing(question));
        std::thread::spawn(move || {
            let found = find(&folder, &figures, name.as_deref());
            // The receiving end lives as long as the process.
            let _ = sender.send(Prepared { session, question, found });
        });
    }

    /// Sends what can go now. `true`: there is more of it at once.
    pub fn turn(&mut self, node: &mut Node, bars: &mut Bars) -> bool {
        while let Ok(prepared) = self.prepared.try_recv() {
            self.preparing -= 1;
            self.answer(node, bars, prepared);
        }
        let mut more = false;
        for (&session, stage) in &mut self.sessions {
            let Stage::Sending(outgoing, _) = stage else { continue };
            match outgoing.pump(node, session, STRIDE) {
                Ok(Some(place)) => bars.advance(session.number(), place),
                Ok(None) => {}
                Err(failure) => give_up(node, bars, session, &failure),
            }
            more |= outgoing.can_go_on(node, session);
        }
        more
    }

    /// An answer is being made: it is to be looked for soon.
    pub fn is_preparing(&self) -> bool {
        self.preparing > 0
    }

    fn answer(&mut self, node: &mut Node, bars: &mut Bars, prepared: Prepared) {
        let Prepared { session, question, found } = prepared;
        let asked = |stage: &Stage| matches!(stage, Stage::Preparing(asked) if *asked == question);
        if !self.sessions.get(&session).is_some_and(asked) {
            return;
        }
        self.sessions.remove(&session);
        let (terminal, now) = node.terminal();
        // Still known when the session is over by the time that its events are taken.
        let peer = terminal.peer(session).map(ToString::to_string).unwrap_or_default();
        let refused = match found {
            Ok(Found::Source { source, remark }) => {
                if let Some(remark) = remark {
                    bars.say(&remark);
                }
                let mut outgoing = Outgoing::new(source, RELAY_BELOW, terminal.broker_relays());
                match outgoing.offer(node, session, self.tunnels.contains(&session)) {
                    Ok(()) => drop(self.sessions.insert(session, Stage::Sending(outgoing, peer))),
                    // The session is over already; its event says why.
                    Err(OfferError::NotOpen) => {}
                    Err(error) => bars.say(&format!("{} cannot be sent: {error}", outgoing.source.name)),
                }
                return;
            }
            Ok(Found::Nothing) => NO_SUCH_RECORDING,
            Err(failure) => {
                bars.say(&failure.to_string());
                "it cannot be read"
            }
        };
        // It may be wanted no longer.
        let _ = terminal.refuse(session, refused, now);
    }
}

/// The list of recordings, or one of them.
fn find(folder: &Folder, figures: &Figures, name: Option<&str>) -> Result<Found, Failure> {
    let cannot = |error: io::Error| Failure::local("cannot read", &folder.path, &error);
    let Some(name) = name else {
        let list = folder.list().map_err(cannot)?;
        let source = Source::unkept(list, &folder.path, LIST.to_owned())?;
        return Ok(Found::Source { source, remark: None });
    };
    let (file, path) = match folder.recording(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        found => found.map_err(cannot)?,
    };
    let (plan, mut remark) = match folder.attributes() {
        Ok(attributes) => (attributes.of(name), None),
        Err(error) => (
            Plan::CONFIDENTIAL,
            Some(format!("the table of attributes cannot be read ({error}): all is sealed")),
        ),
    };
    let mut source = Source::new(file, &path, name.to_owned(), plan)?;
    if plan.wanted == Attribute::Split {
        let cannot = |error: io::Error| Failure::local("cannot read", &path, &error);
        let container = match figures.of(&source, PATIENCE).map_err(cannot)? {
            Some(scan) => source.seen(&scan)?,
            None => source.container()?,
        };
        if let Some(why) = unsplittable(container) {
            remark = Some(format!("{} {why}: all of it is sealed", path.display()));
            source.plan = Plan::CONFIDENTIAL;
        }
    }
    Ok(Found::Source { source, remark })
}

fn give_up(node: &mut Node, bars: &mut Bars, session: SessionId, failure: &Failure) {
    let (terminal, now) = node.terminal();
    let _ = terminal.abandon(session, "the sender's file cannot be read or changed", now);
    bars.end(session.number());
    bars.say(&failure.to_string());
}
