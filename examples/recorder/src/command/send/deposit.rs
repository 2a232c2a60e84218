//! The recorder that is called is away: the broker keeps the recording for it (P10), if the user wants that.

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use p2pgate::mpeg::Class;
use p2pgate::terminal::{Deposit, FrameError, SessionId};

use super::{STRIDE, Sending, Try};
use crate::cli::Deposit as Choice;
use crate::failure::{Code, Failure};
use crate::recording::Piece;

/// How a deposit goes on.
#[derive(Debug, Default)]
pub(super) struct Depositing {
    /// The user is being asked.
    answer: Option<Receiver<bool>>,
    /// The user, or the command line, has said yes once.
    pub(super) wanted: bool,
    /// Where it goes on; `None`: not there yet, or its end is sealed.
    pub(super) next: Option<u64>,
    buffer: Vec<u8>,
}

/// Whether somebody is there to ask.
pub(super) fn choice(given: Option<Choice>) -> Choice {
    match given {
        Some(choice) => choice,
        None if io::stdin().is_terminal() && io::stderr().is_terminal() => Choice::Ask,
        None => Choice::Never,
    }
}

impl Sending<'_> {
    /// M19: the user's word, or the command line's. `Some`: how this try ends.
    pub(super) fn deposit_offered(&mut self, session: SessionId, most: u64) -> Result<Option<Try>, Failure> {
        let size = self.outgoing.source.bytes;
        if self.choice == Choice::Never {
            return self.answer(session, false).map(|()| None);
        }
        if size > most {
            self.answer(session, false)?;
            return Ok(Some(Try::Failed {
                failure: Failure::new(
                    Code::Refused,
                    format!(
                        "{} is away, and the broker would keep {most} bytes for it, not {size}: try again later, or make room by deposits --withdraw",
                        self.callee_name
                    ),
                ),
                again: false,
            }));
        }
        if self.choice == Choice::Always || self.depositing.wanted {
            return self.answer(session, true).map(|()| None);
        }
        self.bars.ask(&format!(
            "{} is switched off, busy or out of reach. Leave {} at the broker, sealed, for {}? [y/N] ",
            self.callee_name, self.outgoing.source.name, self.callee_name
        ));
        let (sender, receiver) = mpsc::channel();
        std::thread::spawn(move || {
            let mut line = String::new();
            let _ = io::stdin().lock().read_line(&mut line);
            let yes = matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes");
            // The receiver may have given up meanwhile.
            let _ = sender.send(yes);
        });
        self.depositing.answer = Some(receiver);
        Ok(None)
    }

    /// The user's word, once it is there.
    pub(super) fn look_for_answer(&mut self, session: SessionId) -> Result<(), Failure> {
        let said = self.depositing.answer.as_ref().and_then(|answer| answer.try_recv().ok());
        let Some(yes) = said else { return Ok(()) };
        self.depositing.answer = None;
        self.answer(session, yes)
    }

    fn answer(&mut self, session: SessionId, yes: bool) -> Result<(), Failure> {
        self.depositing.wanted = yes;
        let source = &self.outgoing.source;
        let deposit = Deposit { size: source.bytes, source: source.tag(), hash: source.hash.is_some() };
        let (terminal, now) = self.node.terminal();
        // Out of turn: the minute for it is over, and its event says so.
        let _ = match yes {
            true => terminal.deposit(session, &deposit, now).is_ok(),
            false => terminal.decline_deposit(session, now).is_ok(),
        };
        if !yes {
            self.node.turn(Duration::ZERO, &mut ())?;
        }
        Ok(())
    }

    /// Seals and queues as much of a deposit as the lane takes. `true`: there is more that can go now.
    pub(super) fn pump_deposit(&mut self, session: SessionId) -> Result<bool, Failure> {
        let size = self.outgoing.source.bytes;
        let most = self.node.terminal().0.max_payload(session) as u64;
        let mut sent = 0;
        while let Some(offset) = self.depositing.next.filter(|_| self.node.can_send(session)) {
            if sent >= STRIDE {
                return Ok(true);
            }
            let length = (size - offset).min(most);
            let mut buffer = std::mem::take(&mut self.depositing.buffer);
            buffer.resize(length as usize, 0);
            if let Err(failure) = self.outgoing.source.read_exact_at(&mut buffer, offset) {
                return self.give_up(session, failure);
            }
            let result = if length == 0 {
                if let Err(failure) = self.outgoing.source.check_unchanged() {
                    return self.give_up(session, failure);
                }
                self.node.send_end(session, Class::Sealed, 1, self.outgoing.source.hash.as_ref())
            } else {
                let piece = Piece { class: Class::Sealed, segment: 0, offset, bytes: &buffer };
                self.node.send(session, Class::Sealed, &piece)
            };
            self.depositing.buffer = buffer;
            match result {
                Ok(()) if length == 0 => self.depositing.next = None,
                Ok(()) => {
                    self.depositing.next = Some(offset + length);
                    self.report.deposited += length;
                    self.bars.advance(session.number(), offset + length);
                    sent += length;
                }
                Err(FrameError::PartDue) => match self.node.send_part(session, &self.outgoing.source.name) {
                    Ok(()) => {}
                    Err(FrameError::NotYet) => return Ok(false),
                    // The session is over; its event says why.
                    Err(_) => self.depositing.next = None,
                },
                Err(_) => self.depositing.next = None,
            }
        }
        Ok(self.depositing.next.is_some() && self.node.can_send(session))
    }
}

impl crate::progress::Bars {
    /// A question, without an end of line.
    fn ask(&self, question: &str) {
        let mut error = io::stderr().lock();
        let _ = write!(error, "{question}");
        let _ = error.flush();
    }
}
