//! Two connections that the broker has joined: what comes from one goes to the other (P9).

use crate::conduit::Conduit;
use crate::socket::Socket;
use bytes::{Buf, Bytes};
use mio::event::Event;
use p2pgate::broker::ConnectionId;
use std::io;
use std::time::Duration;

/// What one pair moves before the others get their turn.
const TURN: u64 = 512 * 1024;

/// A joined pair of lanes.
pub(crate) struct Pair {
    /// The connections' numbers.
    pub(crate) numbers: [ConnectionId; 2],
    ends: [Socket; 2],
    /// `flows[n]` goes from `ends[n]` to the other.
    flows: [Flow; 2],
    /// What both directions together may still carry.
    remaining: u64,
    /// Whether pipes may be opened for it.
    pipes: bool,
    pace: Option<Pace>,
    /// When bytes last moved, or were held back by a receiver that doesn't read.
    pub(crate) busy_at: u64,
}

/// What a pair may carry in a time. It may be ahead of that by a turn, or by what goes in 100 ms if that is more.
struct Pace {
    /// Bytes a second.
    rate: u64,
    /// What has been carried since the start is due by then, milliseconds.
    due: u64,
    /// What is not a whole millisecond's worth yet, bytes times 1000.
    rest: u64,
}

impl Pace {
    /// How long to rest before more is carried, milliseconds.
    fn rest(&self, now: u64) -> u64 {
        let ahead = (TURN * 1_000 / self.rate).max(100);
        self.due.saturating_sub(now).saturating_sub(ahead)
    }

    fn carried(&mut self, bytes: u64, now: u64) {
        if self.due < now {
            (self.due, self.rest) = (now, 0);
        }
        self.rest += bytes * 1_000;
        self.due += self.rest / self.rate;
        self.rest %= self.rate;
    }
}

#[derive(Default)]
struct Flow {
    /// What had come behind the preamble.
    early: Bytes,
    /// Opened when the first bytes come: most lanes carry one way only.
    conduit: Option<Conduit>,
    carried: u64,
    ended: bool,
    forwarded_end: bool,
}

/// What came of a turn.
#[derive(Debug)]
pub(crate) enum Turn {
    /// Nothing more until the poll tells of one of the sockets.
    Wait,
    /// There is more to do at once.
    Again,
    /// The pair has had its share for so many milliseconds.
    Rest(u64),
    /// The pair is over.
    Over(Ending),
}

/// How a pair ended.
#[derive(Debug)]
pub(crate) enum Ending {
    /// Both ends had ended and everything had been passed on.
    Finished,
    /// More came than the broker had agreed to.
    Limit,
    /// One end is lost.
    Lost(io::Error),
}

impl Pair {
    /// `early` is what has come behind each preamble. `None`: that is more than `limit` already.
    pub(crate) fn new(
        numbers: [ConnectionId; 2],
        ends: [Socket; 2],
        early: [Bytes; 2],
        limit: u64,
        pipes: bool,
        rate: Option<u64>,
        now: u64,
    ) -> Option<Self> {
        let flows = early.map(Flow::new);
        let remaining = limit.checked_sub(flows.iter().map(|flow| flow.carried).sum())?;
        // splice(2) moves what is on the wire: with TLS around either end that is not what the other is to get.
        let pipes = pipes && ends.iter().all(|end| end.tls.is_none());
        let pace = rate.map(|rate| Pace { rate: rate.max(1), due: now, rest: 0 });
        let mut pair = Self { numbers, ends, flows, remaining, pipes, pace, busy_at: now };
        for end in &mut pair.ends {
            // What was told before the lane was joined is not known any more: try.
            (end.readable, end.writable) = (true, true);
        }
        Some(pair)
    }

    /// The poll has told something of one of the connections.
    pub(crate) fn told(&mut self, number: ConnectionId, event: &Event) {
        self.ends[usize::from(number != self.numbers[0])].told(event);
    }

    /// Bytes passed on, both ways together.
    pub(crate) fn carried(&self) -> u64 {
        self.flows.iter().map(|flow| flow.carried).sum()
    }

    /// Whether a receiver holds bytes back. Such a pair is not idle however long it stands still.
    pub(crate) fn held_back(&self) -> bool {
        self.flows.iter().any(|flow| flow.held() > 0)
    }

    /// Resets both connections, so that neither end takes this for an orderly end, and nothing more is delivered.
    pub(crate) fn cut(self) {
        for end in &self.ends {
            if let Err(error) = rustix::net::sockopt::set_socket_linger(&end.stream, Some(Duration::ZERO)) {
                tracing::debug!(%error, "a lane cannot be reset");
            }
        }
    }

    /// Moves what can be moved, within a turn's share.
    pub(crate) fn turn(&mut self, now: u64) -> Turn {
        let mut budget = TURN;
        loop {
            let rest = self.pace.as_ref().map_or(0, |pace| pace.rest(now));
            if rest > 0 {
                return Turn::Rest(rest);
            }
            let mut moved = 0;
            for number in 0..2 {
                match self.step(number) {
                    Ok(Step::Moved(bytes)) => moved += bytes,
                    Ok(Step::Limit) => return Turn::Over(Ending::Limit),
                    Err(error) => return Turn::Over(Ending::Lost(error)),
                }
            }
            if self.flows.iter().all(|flow| flow.forwarded_end) {
                return Turn::Over(Ending::Finished);
            }
            if moved == 0 {
                return Turn::Wait;
            }
            self.busy_at = now;
            if let Some(pace) = &mut self.pace {
                pace.carried(moved, now);
            }
            if moved >= budget {
                return Turn::Again;
            }
            budget -= moved;
        }
    }

    fn step(&mut self, number: usize) -> io::Result<Step> {
        let [first, second] = &mut self.ends;
        let (from, to) = if number == 0 { (first, second) } else { (second, first) };
        let flow = &mut self.flows[number];
        let drained = flow.drain(to)?;
        let filled = match flow.fill(from, &mut self.remaining, self.pipes)? {
            Step::Moved(filled) => filled,
            Step::Limit => return Ok(Step::Limit),
        };
        if flow.ended && flow.held() == 0 && !flow.forwarded_end {
            flow.forwarded_end = match to.finish() {
                // It has gone by itself.
                Err(error) if error.kind() == io::ErrorKind::NotConnected => true,
                finished => finished?,
            };
        } else {
            to.push()?;
        }
        Ok(Step::Moved(drained + filled))
    }
}

enum Step {
    Moved(u64),
    Limit,
}

impl Flow {
    fn new(early: Bytes) -> Self {
        Self { carried: early.len() as u64, early, ..Self::default() }
    }

    fn held(&self) -> usize {
        self.early.len() + self.conduit.as_ref().map_or(0, Conduit::held)
    }

    fn drain(&mut self, to: &mut Socket) -> io::Result<u64> {
        if !self.early.is_empty() {
            let written = to.write(&self.early)?.unwrap_or(0);
            self.early.advance(written);
            return Ok(written as u64);
        }
        match &mut self.conduit {
            Some(conduit) if conduit.held() > 0 => Ok(conduit.drain(to)? as u64),
            _ => Ok(0),
        }
    }

    fn fill(&mut self, from: &mut Socket, remaining: &mut u64, pipes: bool) -> io::Result<Step> {
        if self.ended || !self.early.is_empty() {
            return Ok(Step::Moved(0));
        }
        if self.conduit.is_none() || *remaining == 0 {
            match from.peek()? {
                None => return Ok(Step::Moved(0)),
                Some(0) => {
                    self.ended = true;
                    return Ok(Step::Moved(0));
                }
                Some(_) if *remaining == 0 => return Ok(Step::Limit),
                Some(_) => {}
            }
        }
        let conduit = self.conduit.get_or_insert_with(|| Conduit::new(pipes));
        match conduit.fill(from, *remaining)? {
            None => {}
            Some(0) => self.ended = true,
            Some(taken) => {
                *remaining -= taken as u64;
                self.carried += taken as u64;
                return Ok(Step::Moved(taken as u64));
            }
        }
        Ok(Step::Moved(0))
    }
}
