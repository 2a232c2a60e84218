//! What `list` and `fetch` have in common: a call, a question (FETCH), and what comes.

use std::path::Path;
use std::time::Duration;

use p2pgate::identifier::Identifier;
use p2pgate::terminal::{CallError, Event, FetchError, OfflineCause, SessionId};

use super::direct::Direct;
use super::init::parse_identifier;
use super::{Tries, go_online, outcome, rest};
use crate::failure::{Code, Failure};
use crate::incoming::Description;
use crate::node::{Node, Role, Sink};
use crate::progress::Bars;
use crate::state::State;

/// Takes what comes.
pub trait Taker: Sink {
    /// It is about to come: from which byte on it is lacking.
    fn begin(&mut self, what: &Description<'_>, hash: bool) -> Result<u64, Refused>;
    /// All of it is there, with this SHA-256 if the sender gave one: it is to be stored.
    fn store(&mut self, hash: Option<[u8; 32]>) -> Result<(), Refused>;
}

/// It isn't taken: what the sender is told, what is said here, and whether another try may help.
pub struct Refused {
    /// For the sender's people.
    pub cause: &'static str,
    /// For the user.
    pub failure: Failure,
    /// Try again.
    pub again: bool,
}

/// Asks another recorder for a recording, or without a name for its list, and lets `taker` have it.
pub fn pull(state: &Path, from: &str, name: Option<&str>, taker: &mut dyn Taker) -> Result<(), Failure> {
    let callee = parse_identifier(from)?;
    let (state, identity) = State::open(state)?;
    let mut node = Node::new(state, &identity, Role::caller())?;
    go_online(&mut node)?;
    let mut pull = Pull { node, callee, from, name, tries: Tries::default(), bars: Bars::default() };
    loop {
        let Err((failure, again)) = pull.attempt(taker)? else { return Ok(()) };
        let Some(pause) = again.then(|| pull.tries.next()).flatten() else { return Err(failure) };
        pull.bars.say(&format!("{failure}; trying again"));
        rest(&mut pull.node, pause)?;
    }
}

struct Pull<'a> {
    node: Node,
    callee: Identifier,
    from: &'a str,
    name: Option<&'a str>,
    tries: Tries,
    bars: Bars,
}

/// How a try ended: well, or with a failure after which another may help.
type Try = Result<(), (Failure, bool)>;

impl Pull<'_> {
    /// One session.
    fn attempt(&mut self, taker: &mut dyn Taker) -> Result<Try, Failure> {
        let (terminal, now) = self.node.terminal();
        let session = match terminal.call(&self.callee, now) {
            Ok(session) => session,
            Err(CallError::Offline) => {
                return Ok(Err((outcome::offline(OfflineCause::Unreachable, self.node.broker()), true)));
            }
            Err(error) => return Err(Failure::new(Code::Usage, error.to_string())),
        };
        let mut current = session;
        let mut direct = Direct::new();
        let result = self.session(&mut current, &mut direct, taker);
        direct.stop(&mut self.node);
        // The last word is to go out before the end.
        self.node.drain(Duration::from_secs(1))?;
        self.bars.end(current.number());
        self.node.terminal().0.close(current);
        result
    }

    /// To the end of `current`, which is another one once a direct connection has taken a tunnel's place.
    fn session(
        &mut self,
        current: &mut SessionId,
        direct: &mut Direct,
        taker: &mut dyn Taker,
    ) -> Result<Try, Failure> {
        loop {
            direct.turn(&mut self.node, &self.callee);
            {
                let mut sink = Shown { taker, bars: &mut self.bars };
                self.node.turn(Duration::from_millis(200), &mut sink)?;
            }
            while let Some(event) = self.node.event() {
                if let Some(better) = direct.take(&mut self.node, &event) {
                    self.bars.say("a direct connection has come up: going on there");
                    self.bars.end(current.number());
                    self.node.terminal().0.close(std::mem::replace(current, better));
                    self.ask(better)?;
                    continue;
                }
                let session = *current;
                match event {
                    Event::Denied { session: of, denial, retry_after } if of == session => {
                        let failure = outcome::denied(denial, self.from, retry_after);
                        let again = failure.code == Code::NotReachable;
                        return Ok(Err((failure, again)));
                    }
                    Event::DepositOffered { session: of, .. } if of == session => {
                        let (terminal, now) = self.node.terminal();
                        // Out of turn: its time is over, and another event says so.
                        let _ = terminal.decline_deposit(session, now);
                    }
                    Event::Connected { session: of, tunnel } if of == session => {
                        if tunnel {
                            direct.begin();
                        }
                        self.ask(session)?;
                    }
                    Event::Offered { session: of } if of == session => {
                        if let Err(ended) = self.begin(session, taker) {
                            return Ok(Err(ended));
                        }
                    }
                    Event::Arrived { session: of, hash } if of == session => {
                        let stored = taker.store(hash);
                        let (terminal, now) = self.node.terminal();
                        let word = stored.as_ref().map_err(|refused| refused.cause).copied();
                        // If the sender is gone meanwhile, it is here all the same.
                        let _ = terminal.stored(session, word, now);
                        return Ok(stored.map_err(|Refused { failure, again, .. }| (failure, again)));
                    }
                    Event::TransferFailed { session: of, failure } if of == session => {
                        return Ok(Err(outcome::fetch(failure, self.from)));
                    }
                    Event::Closed { session: of, cause } if of == session => {
                        return Ok(Err(outcome::closed(cause, self.from)));
                    }
                    // Until the session has its own connection it hangs on the broker's.
                    Event::Offline { cause } if !self.tries.begun => {
                        return Err(outcome::offline(cause, self.node.broker()));
                    }
                    _ => {}
                }
            }
        }
    }

    fn ask(&mut self, session: SessionId) -> Result<(), Failure> {
        let (terminal, now) = self.node.terminal();
        match terminal.fetch(session, self.name, now) {
            // The session is over already; its event says why.
            Ok(()) | Err(FetchError::NotOpen) => Ok(()),
            Err(error) => Err(Failure::new(Code::Usage, error.to_string())),
        }
    }

    fn begin(&mut self, session: SessionId, taker: &mut dyn Taker) -> Try {
        let (terminal, now) = self.node.terminal();
        let Some(offered) = terminal.offered(session) else { return Ok(()) };
        if !offered.fetched {
            // It is for whoever receives, and that isn't this process.
            let _ = terminal.refuse(session, "nothing is received here", now);
            return Ok(());
        }
        let what =
            Description { peer: self.from, name: offered.name, size: offered.size, source: offered.source };
        match taker.begin(&what, offered.hash) {
            Ok(offset) => {
                self.bars.begin(session.number(), offered.name, offered.size);
                self.tries.go_on(offset);
                // Out of turn: it was withdrawn, and its event says so.
                let _ = terminal.accept(session, offset, now);
                Ok(())
            }
            Err(Refused { cause, failure, again }) => {
                let _ = terminal.refuse(session, cause, now);
                Err((failure, again))
            }
        }
    }
}

/// A taker whose progress is shown.
struct Shown<'a> {
    taker: &'a mut dyn Taker,
    bars: &'a mut Bars,
}

impl Sink for Shown<'_> {
    fn payload(&mut self, session: SessionId, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.taker.payload(session, offset, bytes)?;
        self.bars.advance(session.number(), offset + bytes.len() as u64);
        Ok(())
    }
}
