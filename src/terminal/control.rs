//! The control link: hello, registration, address, and the broker's questions (rows P2, P6, V5, V8).

mod asked;
mod texts;

pub(super) use asked::Asked;
pub use asked::{AnnounceError, AskError, GroupError};

use super::after;
use super::event::{Denied, Destination, Event, LinkId, OfflineCause};
use super::machine::{Input, Machine, Step};
use super::peers::Peers;
use super::session::Secure;
use crate::link::{self, Handle, Handshake, MaxRecord, Record};
use crate::message::{Denial, DepositedFor, Message, Status, StatusCode};
use heapless::Vec;

const HANDSHAKE_MS: u32 = 10_000;
const ANSWER_MS: u32 = 15_000;
const PING_MS: u32 = 30_000;
const BACKOFF_MS: u32 = 1_000;
const BACKOFF_MAX_MS: u32 = 60_000;
/// How long the broker is left alone with what it could not store, if it doesn't say how long, and the longest that is believed.
const RETRY_MS: u32 = 10_000;
const RETRY_MAX_MS: u32 = 3_600_000;
/// How many answers to the broker's questions wait at most; then nothing more is read from it.
const ANSWERS: usize = 4;

/// The control link's state.
pub(super) struct Control {
    pub(super) state: ControlState,
    pub(super) link: Option<LinkId>,
    pub(super) secure: Secure,
    /// When the state has lasted too long (or, waiting, long enough).
    pub(super) deadline: u64,
    failures: u8,
    hello: u32,
    register: Option<(u32, u64)>,
    address: AddressState,
    answers: Vec<(Option<u32>, Answer), ANSWERS>,
    releases: Vec<Handle, ANSWERS>,
    ping: Option<u32>,
    /// When what the broker could not store is sent again; 0: it could.
    retry: u64,
    pub(super) relay: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ControlState {
    /// Not wanted, or given up.
    Off,
    /// It is tried again at the deadline.
    Waiting,
    Dialling,
    /// Handshake message 1 is to be written.
    Opening,
    /// Handshake message 2 is awaited.
    AwaitHandshake,
    /// HELLO is to be sent.
    Hello,
    /// Its answer is awaited.
    AwaitWelcome,
    Online,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum AddressState {
    Unsent,
    Sent(u32),
    /// The broker could not store it: it is sent again later.
    PutOff,
    Known,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// M16.
    Status { acceptable: bool },
    /// M12's, when no session is given to it.
    Denied(Denial),
}

impl Control {
    pub(super) fn off() -> Self {
        Self {
            state: ControlState::Off,
            link: None,
            secure: Secure::None,
            deadline: u64::MAX,
            failures: 0,
            hello: 0,
            register: None,
            address: AddressState::Unsent,
            answers: Vec::new(),
            releases: Vec::new(),
            ping: None,
            retry: 0,
            relay: false,
        }
    }

    pub(super) fn is_online(&self) -> bool {
        self.state == ControlState::Online
    }

    /// What a connection that ended without a word means.
    pub(super) fn closed_cause(&self) -> OfflineCause {
        match self.state {
            // Whoever can't read message 1 hangs up on it.
            ControlState::AwaitHandshake => OfflineCause::NotTheBroker,
            _ => OfflineCause::Unreachable,
        }
    }

    /// A REGISTER is out and not answered.
    pub(super) fn is_registering(&self) -> bool {
        self.register.is_some()
    }

    /// When something is sent again.
    pub(super) fn retry(&self) -> Option<u64> {
        Some(self.retry).filter(|&at| at != 0)
    }

    /// Whether the broker may be able to do later what it could not do now; then it is asked again by itself.
    fn is_put_off(&mut self, status: &Status<'_>, now: u64) -> bool {
        let later = matches!(status.code, StatusCode::Unavailable | StatusCode::TooOften);
        if later {
            let wait = status.retry_after.map_or(RETRY_MS, |seconds| seconds.saturating_mul(1_000));
            self.retry = self.retry.max(after(now, wait.clamp(1_000, RETRY_MAX_MS)));
        }
        later
    }

    pub(super) fn address_changed(&mut self) {
        self.address = AddressState::Unsent;
    }

    /// The application has made the text.
    fn address_told(&mut self, transaction: u32) {
        self.address = AddressState::Sent(transaction);
    }

    /// Tells the broker, now or when it is there again; if more wait than there is room for, it finds out by itself.
    pub(super) fn release(&mut self, handle: Handle) {
        let _ = self.releases.push(handle);
    }
}

impl Machine<'_> {
    pub(super) fn control_connect(&mut self, now: u64) {
        if !matches!(self.core.control.state, ControlState::Off | ControlState::Waiting) {
            return;
        }
        let link = self.core.new_link();
        let control = &mut self.core.control;
        control.state = ControlState::Dialling;
        control.link = Some(link);
        control.deadline = after(now, HANDSHAKE_MS);
        self.core.emit(Event::Connect { link, to: Destination::Broker });
    }

    pub(super) fn control_opened(&mut self, now: u64) {
        let ephemeral = self.core.entropy.draw();
        let core = &mut *self.core;
        let handshake =
            Handshake::control_initiator(&core.secret, &core.broker_key, core.max_record, ephemeral);
        core.control.secure = Secure::Handshake(handshake);
        core.control.state = ControlState::Opening;
        core.control.deadline = after(now, HANDSHAKE_MS);
    }

    /// The control link is gone: it is tried again, later each time, unless that can't help.
    pub(super) fn control_lost(&mut self, cause: OfflineCause, now: u64) {
        let control = &mut self.core.control;
        let link = control.link;
        let failures = control.failures.saturating_add(1);
        let again = !matches!(cause, OfflineCause::NotEnrolled | OfflineCause::Displaced);
        let releases = core::mem::take(&mut control.releases);
        *control = Control { failures, releases, ..Control::off() };
        if again {
            let backoff = BACKOFF_MS.saturating_mul(1 << u32::from(failures.min(7) - 1)).min(BACKOFF_MAX_MS);
            // A quarter of it by chance, so that a broker that comes back isn't met by everybody at once.
            let jitter = u32::from(u16::from_be_bytes(self.core.entropy.draw())) * (backoff / 4) / 65_536;
            let control = &mut self.core.control;
            control.state = ControlState::Waiting;
            control.deadline = after(now, backoff + jitter);
        }
        self.core.book.unregister();
        if let Some(link) = link {
            self.core.emit(Event::Close { link });
        }
        self.core.emit(Event::Offline { cause });
        // Whoever waits for the broker's answer waits in vain: they end at the next time-out.
        for session in self.sessions.iter_mut() {
            if session.awaits_broker() {
                session.deadline = now;
            }
        }
    }

    #[inline(never)]
    pub(super) fn control_timeout(&mut self, now: u64) {
        if now < self.core.control.deadline {
            return;
        }
        match self.core.control.state {
            ControlState::Off => self.core.control.deadline = u64::MAX,
            ControlState::Waiting => self.control_connect(now),
            ControlState::Online if self.core.control.ping.is_none() => {
                self.core.control.ping = Some(0);
                self.core.control.deadline = after(now, ANSWER_MS);
            }
            _ => self.control_lost(OfflineCause::Unreachable, now),
        }
    }

    /// Sends again what the broker could not store.
    pub(super) fn retry_timeout(&mut self, now: u64) {
        let control = &mut self.core.control;
        if control.retry().is_none_or(|at| now < at) {
            return;
        }
        control.retry = 0;
        if control.address == AddressState::PutOff {
            control.address = AddressState::Unsent;
        }
        if core::mem::take(&mut self.core.book.put_off) {
            self.core.book.unregister();
        }
    }

    // --- in -------------------------------------------------------------------------------------------------------

    #[inline(never)]
    pub(super) fn control_input(&mut self, bytes: &mut [u8], now: u64) -> Input {
        let awaits = self.core.control.state == ControlState::AwaitHandshake;
        if self.core.control.answers.is_full() {
            return Input::blocked();
        }
        let max = if awaits { MaxRecord::MIN } else { self.core.max_record };
        let total = match link::record(bytes, max) {
            Ok(Record::NeedMore(total)) => return Input::need(total),
            Ok(Record::Complete(total)) => total,
            Err(_) => return self.control_broken(OfflineCause::Broker, now),
        };
        let record = &mut bytes[..total];
        let control = &mut self.core.control;
        match &mut control.secure {
            Secure::Handshake(handshake) if awaits => {
                if handshake.read(record).is_err() {
                    return self.control_broken(OfflineCause::NotTheBroker, now);
                }
                let Secure::Handshake(handshake) = core::mem::replace(&mut control.secure, Secure::None)
                else {
                    return Input::closed();
                };
                let Ok(transport) = handshake.finish() else {
                    return self.control_broken(OfflineCause::NotTheBroker, now);
                };
                control.secure = Secure::Transport(transport, Asked::default());
                control.state = ControlState::Hello;
                control.deadline = after(now, ANSWER_MS);
                Input::progress(total)
            }
            Secure::Transport(transport, _) => {
                let Ok(range) = transport.open(record) else {
                    return self.control_broken(OfflineCause::Broker, now);
                };
                let at = record.as_ptr().addr();
                let Ok(message) = Message::parse_told(&record[range]) else {
                    return self.control_broken(OfflineCause::Broker, now);
                };
                if let Message::DepositedFor(deposited) = &message
                    && self.is_listing(deposited.transaction)
                {
                    return listed(deposited, at, total);
                }
                match self.control_message(&message, now) {
                    Ok(()) => Input::progress(total),
                    Err(cause) => self.control_broken(cause, now),
                }
            }
            // Nothing may come before it was asked for.
            _ => self.control_broken(OfflineCause::NotTheBroker, now),
        }
    }

    fn control_broken(&mut self, cause: OfflineCause, now: u64) -> Input {
        self.control_lost(cause, now);
        Input { consumed: 0, step: Step::Closed }
    }

    fn control_message(&mut self, message: &Message<'_>, now: u64) -> Result<(), OfflineCause> {
        let online = self.core.control.is_online();
        match message {
            Message::Status(status) => return self.control_status(status, now),
            _ if !online => return Err(OfflineCause::Broker),
            Message::StatusQuery(query) => {
                let acceptable = self.is_free();
                self.answer(query.transaction, Answer::Status { acceptable });
                self.core.emit(Event::Asked { acceptable });
            }
            Message::CallerNotice(notice) => {
                if let Err(denial) = self.callee_notice(notice, now) {
                    self.answer(notice.transaction, Answer::Denied(denial));
                }
            }
            Message::Accepted(accepted) => self.caller_permitted(accepted.transaction),
            Message::Denied(denied) => {
                self.caller_denied(denied.transaction, Denied::Broker(denied.denial), denied.retry_after);
            }
            Message::CalleeAddress(address) => self.caller_granted(address, now),
            Message::TransferAnswer(answer) => {
                if !self.collect_answered(answer, now) && !self.deposit_refused(answer.transaction) {
                    self.broker_answered(answer, now);
                }
            }
            Message::TunnelToken(tunnel) => self.tunnel_token(tunnel, now),
            Message::Withdraw(withdraw) if self.with_handle(&withdraw.handle).is_some() => {
                self.withdrawn(&withdraw.handle);
            }
            // It may be of a grant that is over as well: no deposit has its number then.
            Message::Withdraw(withdraw) => self.deposit_dropped(withdraw.handle),
            Message::Release(release) => self.released(&release.handle),
            Message::DepositQuestion(question) => self.deposit_asked(question, now),
            Message::DepositGoAhead(go) => self.deposit_opened(go, now),
            Message::DepositKept(kept) => self.deposit_kept(kept, now),
            Message::Collected(broken) => self.deposit_broken(broken),
            Message::Depositor(told) => self.depositor_told(told),
            Message::Delivered(delivered) => {
                if let Some(deposit) = delivered.deposit {
                    self.core.emit(Event::DepositCollected { deposit });
                }
            }
            // Answers that nobody here asked for.
            Message::Resolved(_) | Message::NotRegistered(_) | Message::DepositedFor(_) => {}
            _ => return Err(OfflineCause::Broker),
        }
        Ok(())
    }

    fn answer(&mut self, transaction: Option<u32>, answer: Answer) {
        // There is room: nothing is read while the answers are full.
        let _ = self.core.control.answers.push((transaction, answer));
    }

    fn control_status(&mut self, status: &Status<'_>, now: u64) -> Result<(), OfflineCause> {
        let Some(transaction) = status.transaction else { return self.control_refused(status.code) };
        let control = &mut self.core.control;
        if control.state == ControlState::AwaitWelcome && transaction == control.hello {
            if status.code != StatusCode::Done {
                return self.control_refused(status.code);
            }
            control.state = ControlState::Online;
            control.failures = 0;
            control.relay = status.relay;
            control.deadline = after(now, PING_MS);
            self.core.ticket = None;
            self.peers().remember();
            self.compare_lists(status);
            self.core.emit(Event::Online { relay: status.relay });
        } else if control.ping == Some(transaction) {
            control.ping = None;
            control.deadline = after(now, PING_MS);
        } else if control.address == AddressState::Sent(transaction) {
            let put_off = control.is_put_off(status, now);
            control.address = if put_off { AddressState::PutOff } else { AddressState::Known };
            if status.code == StatusCode::Done {
                self.core.emit(Event::AddressKnown);
            }
        } else if let Some((asked, revision)) = control.register
            && asked == transaction
        {
            control.register = None;
            match status.code {
                StatusCode::Done => {
                    if !Peers::new(self.places, &mut self.core.book).registered(revision) {
                        self.core.emit(Event::Registered { revision });
                    }
                    // The list's entries are settled now: what is stored should say so.
                    self.persist();
                }
                // The terminal's list wins: it goes out again, whole, under a later number.
                StatusCode::Stale
                    if status.revision.is_some_and(|theirs| theirs >= revision && theirs < u64::MAX) =>
                {
                    self.overtake(status.revision.unwrap_or(revision));
                }
                code => {
                    // Not tried again by itself in this connection, unless the broker can't do it only now: it would be refused again.
                    let put_off = control.is_put_off(status, now);
                    if revision == self.core.book.revision {
                        self.core.book.refuse();
                        self.core.book.put_off = put_off;
                    }
                    self.core.emit(Event::RegisterFailed { status: code.number() });
                }
            }
        } else {
            self.question_answered(status, transaction, now);
        }
        Ok(())
    }

    fn control_refused(&mut self, code: StatusCode) -> Result<(), OfflineCause> {
        Err(match code {
            StatusCode::NotEnrolled | StatusCode::Forbidden => OfflineCause::NotEnrolled,
            StatusCode::Stale => OfflineCause::Displaced,
            _ => OfflineCause::Broker,
        })
    }

    /// The broker's list and this terminal's: this terminal's wins.
    fn compare_lists(&mut self, status: &Status<'_>) {
        let digest = Peers::new(self.places, &mut self.core.book).digest();
        let revision = status.revision.unwrap_or(0);
        let book = &mut self.core.book;
        if revision == book.revision && (revision == 0 || status.digest == Some(digest)) {
            if Peers::new(self.places, &mut self.core.book).registered(revision) {
                self.persist();
            }
        } else if revision >= book.revision {
            self.overtake(revision);
        } else {
            book.whole = true;
        }
    }

    fn overtake(&mut self, revision: u64) {
        let book = &mut self.core.book;
        book.revision = book.revision.max(revision).saturating_add(1);
        book.unregister();
        book.whole = true;
        self.persist();
    }
}

/// An answer to DEPOSITS: where in the record, which starts at that address, the callee's identifier is.
fn listed(deposited: &DepositedFor<'_>, record: usize, total: usize) -> Input {
    let start = deposited.callee.as_ptr().addr() - record;
    let step = Step::Deposit {
        deposit: deposited.deposit.unwrap_or_default(),
        size: deposited.size.unwrap_or(0),
        kept: deposited.offset.unwrap_or(0),
        callee: start..start + deposited.callee.len(),
    };
    Input { consumed: total, step }
}
