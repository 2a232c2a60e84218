//! In a tunnel, direct is tried again in the background: a second call to the same recorder, which takes the first one's place if it comes through directly.

use std::time::{Duration, Instant};

use p2pgate::identifier::Identifier;
use p2pgate::terminal::{Event, SessionId};

use crate::node::Node;

/// Before the first try, and at most between two.
const FIRST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// The tries while a transfer goes through a tunnel.
pub(super) struct Direct {
    /// When the next one is due; `None`: there is no tunnel.
    next: Option<Instant>,
    pause: Duration,
    trying: Option<SessionId>,
}

impl Direct {
    /// No tunnel so far.
    pub(super) fn new() -> Self {
        Self { next: None, pause: FIRST, trying: None }
    }

    /// The transfer is under way through a tunnel.
    pub(super) fn begin(&mut self) {
        self.next = Some(Instant::now() + self.pause);
    }

    /// Calls again when it is time.
    pub(super) fn turn(&mut self, node: &mut Node, callee: &Identifier) {
        if self.trying.is_none() && self.next.is_some_and(|next| Instant::now() >= next) {
            let (terminal, now) = node.terminal();
            // Without the broker, or without a place for another session, later.
            self.trying = terminal.call(callee, now).ok();
            self.again();
        }
    }

    fn again(&mut self) {
        self.pause = (self.pause * 2).min(LONGEST);
        self.next = self.next.map(|_| Instant::now() + self.pause);
    }

    /// Takes what concerns the try. `Some`: the other recorder is there directly, in this session.
    pub(super) fn take(&mut self, node: &mut Node, event: &Event) -> Option<SessionId> {
        let trying = self.trying?;
        match *event {
            Event::Connected { session, tunnel: false } if session == trying => {
                self.trying = None;
                self.next = None;
                return Some(session);
            }
            // One tunnel is enough.
            Event::Tunnelling { session } | Event::Connected { session, .. } if session == trying => {
                self.stop(node)
            }
            Event::DepositOffered { session, .. } if session == trying => {
                let (terminal, now) = node.terminal();
                // Out of turn: its time is over, and another event says so.
                let _ = terminal.decline_deposit(session, now);
            }
            Event::Denied { session, .. } | Event::Closed { session, .. } if session == trying => {
                self.trying = None;
                self.again();
            }
            _ => {}
        }
        None
    }

    /// Gives the try up: the transfer is over, or it led nowhere.
    pub(super) fn stop(&mut self, node: &mut Node) {
        if let Some(session) = self.trying.take() {
            node.terminal().0.close(session);
            self.again();
        }
    }
}
