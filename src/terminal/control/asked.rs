//! What a terminal asks of the broker while the control link is up: of its deposits (P10, P11), and for its groups (V4). Forgotten with the link.

use super::super::after;
use super::super::event::{Event, LinkId};
use super::super::machine::{Machine, TransmitError};
use super::super::peers::{Entries, Waiting, names};
use super::super::session::Secure;
use super::Control;
use crate::identifier::Identifier;
use crate::link::Transport;
use crate::message::{Address, DepositId, EncodeError, Group, Host, ListChange, Message, Status, StatusCode};
use thiserror::Error;

/// How long the broker is left alone with what it could not do, or what came to nothing.
const AGAIN_MS: u32 = 30_000;

/// The questions.
#[derive(Default)]
pub(in crate::terminal) struct Asked {
    list: Asking,
    withdraw: Option<(DepositId, Asking)>,
    /// That a deposit is collected: of which this was said.
    collected: Option<(DepositId, u32)>,
    /// A group's change was sent.
    group: Option<u32>,
    /// Nothing is collected, and nothing said of what is, before then; 0: at once.
    again: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Asking {
    #[default]
    Not,
    Wanted,
    Sent(u32),
}

/// What comes next of it.
#[derive(Clone, Copy)]
pub(super) enum Question {
    /// `DEPOSITS`
    List,
    /// `WITHDRAW`
    Withdraw(DepositId),
    /// `Transfer Complete.`
    Collected(DepositId),
}

/// The broker can't be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AskError {
    /// The control link is not up.
    #[error("the broker is not connected; wait for it")]
    Offline,
    /// It has been asked the same, and has not answered yet.
    #[error("the broker has not answered the last question yet; wait for its event")]
    Busy,
}

/// Nothing was said of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// The control link is not up.
    #[error("the broker is not connected; wait for it")]
    Offline,
    /// The broker has not answered the last change of a group.
    #[error("the broker has not answered the last change of a group yet; wait for its event")]
    Busy,
    /// There is nobody to be added or deleted.
    #[error("there is nobody to put into the group or to take out of it; name somebody")]
    Empty,
    /// It does not fit the buffer, or is too long for the broker.
    #[error(transparent)]
    Transmit(#[from] TransmitError),
}

/// The broker was not told where this terminal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AnnounceError {
    /// The control link is not up.
    #[error("the broker is not connected; wait for it")]
    Offline,
    /// It is neither a domain name nor an address.
    #[error("this is no domain name; give labels of letters, digits, - and _ between dots, 253 bytes in all")]
    Name,
    /// It does not fit the buffer.
    #[error(transparent)]
    Transmit(#[from] TransmitError),
}

impl Asked {
    pub(in crate::terminal) fn at_once(&mut self) {
        self.again = 0;
    }
}

impl Control {
    pub(in crate::terminal) fn asked(&mut self) -> Option<&mut Asked> {
        match &mut self.secure {
            Secure::Transport(_, asked) => Some(asked),
            Secure::None | Secure::Handshake(_) => None,
        }
    }

    /// When there is something to be done again.
    pub(in crate::terminal) fn again(&self) -> Option<u64> {
        match &self.secure {
            Secure::Transport(_, Asked { again, .. }) if *again != 0 => Some(*again),
            _ => None,
        }
    }
}

impl Machine<'_> {
    pub(in crate::terminal) fn list_deposits(&mut self) -> Result<(), AskError> {
        let asked = self.question()?;
        if asked.list != Asking::Not {
            return Err(AskError::Busy);
        }
        asked.list = Asking::Wanted;
        Ok(())
    }

    pub(in crate::terminal) fn withdraw_deposit(&mut self, deposit: DepositId) -> Result<(), AskError> {
        let asked = self.question()?;
        if asked.withdraw.is_some() {
            return Err(AskError::Busy);
        }
        asked.withdraw = Some((deposit, Asking::Wanted));
        Ok(())
    }

    pub(in crate::terminal) fn group(
        &mut self,
        group: &Identifier,
        replace: bool,
        add: &dyn Entries,
        delete: &dyn Entries,
        out: &mut [u8],
    ) -> Result<(LinkId, usize), GroupError> {
        let change = match (replace, add.count(), delete.count()) {
            (true, ..) => ListChange::Create(names(add)),
            (false, 0, 0) => return Err(GroupError::Empty),
            (false, _, 0) => ListChange::Add(names(add)),
            (false, 0, _) => ListChange::Delete(names(delete)),
            (false, ..) => ListChange::AddAndDelete { add: names(add), delete: names(delete) },
        };
        if self.question().map_err(|_| GroupError::Offline)?.group.is_some() {
            return Err(GroupError::Busy);
        }
        let group = group.as_str();
        let (link, transaction, length) = self.say(out, |identifier, transaction, room| {
            Group { identifier, group, change, transaction }.encode(room)
        })?;
        if let Some(asked) = self.core.control.asked() {
            asked.group = Some(transaction);
        }
        Ok((link, length))
    }

    pub(in crate::terminal) fn announce(
        &mut self,
        name: &str,
        port: u16,
        out: &mut [u8],
    ) -> Result<(LinkId, usize), AnnounceError> {
        let address = Host::parse(name).ok_or(AnnounceError::Name)?;
        self.question().map_err(|_| AnnounceError::Offline)?;
        let (link, transaction, length) = self.say(out, |identifier, transaction, room| {
            let candidates = Default::default();
            Message::Address(Address { identifier, address, port, candidates, transaction }).encode_said(room)
        })?;
        self.core.control.address_told(transaction);
        Ok((link, length))
    }

    /// Seals a text for the broker that is made of more than the terminal's state.
    fn say(
        &mut self,
        out: &mut [u8],
        encode: impl FnOnce(&str, Option<u32>, &mut [u8]) -> Result<usize, EncodeError>,
    ) -> Result<(LinkId, u32, usize), TransmitError> {
        let transaction = self.core.next_transaction();
        let core = &mut *self.core;
        let (Secure::Transport(transport, _), Some(link)) = (&mut core.control.secure, core.control.link)
        else {
            return Err(TransmitError::Closed);
        };
        let max = transport.max_payload();
        let encoded = encode(core.identifier.as_str(), Some(transaction), Transport::text_room(out, max));
        let sealed = encoded
            .map_err(|error| TransmitError::of_encode(error, max))
            .and_then(|length| transport.seal_in_place(out, length).map_err(TransmitError::of_seal));
        if sealed.is_err() {
            // What there was room for must not stay there in clear.
            out.fill(0);
        }
        Ok((link, transaction, sealed?))
    }

    fn question(&mut self) -> Result<&mut Asked, AskError> {
        if !self.core.control.is_online() {
            return Err(AskError::Offline);
        }
        self.core.control.asked().ok_or(AskError::Offline)
    }

    /// Leaves the broker alone for a while.
    pub(in crate::terminal) fn collect_later(&mut self, now: u64) {
        if let Some(asked) = self.core.control.asked() {
            asked.again = after(now, AGAIN_MS);
        }
    }

    pub(in crate::terminal) fn collect_timeout(&mut self, now: u64) {
        if let Some(asked) = self.core.control.asked()
            && asked.again <= now
        {
            asked.again = 0;
        }
    }

    /// Whether it may be asked for a deposit now.
    pub(in crate::terminal) fn may_collect(&self) -> bool {
        self.core.listen && self.core.control.is_online() && self.core.control.again().is_none()
    }

    pub(super) fn next_question(&mut self) -> Option<Question> {
        let may_collect = self.may_collect() && !self.core.persisting;
        let collected = self.peers().next_collected().filter(|_| may_collect);
        let asked = self.core.control.asked()?;
        match asked {
            Asked { list: Asking::Wanted, .. } => Some(Question::List),
            Asked { withdraw: Some((deposit, Asking::Wanted)), .. } => Some(Question::Withdraw(*deposit)),
            Asked { collected: None, .. } => collected.map(Question::Collected),
            _ => None,
        }
    }

    pub(super) fn question_sent(&mut self, question: Question, transaction: u32) {
        let Some(asked) = self.core.control.asked() else { return };
        match question {
            Question::List => asked.list = Asking::Sent(transaction),
            Question::Withdraw(deposit) => asked.withdraw = Some((deposit, Asking::Sent(transaction))),
            Question::Collected(deposit) => asked.collected = Some((deposit, transaction)),
        }
    }

    /// Whether it is the list's number that was asked for.
    pub(super) fn is_listing(&mut self, transaction: Option<u32>) -> bool {
        let listing = self.core.control.asked().map(|asked| asked.list);
        listing.zip(transaction).is_some_and(|(asking, transaction)| asking == Asking::Sent(transaction))
    }

    /// The broker's status for a question.
    pub(super) fn question_answered(&mut self, status: &Status<'_>, transaction: u32, now: u64) {
        let code = status.code.number();
        let listed = self.is_listing(Some(transaction));
        let Some(asked) = self.core.control.asked() else { return };
        if listed {
            asked.list = Asking::Not;
            self.core.emit(Event::DepositsListed { status: code });
        } else if asked.group == Some(transaction) {
            asked.group = None;
            self.core.emit(Event::GroupAnswered { status: code });
        } else if let Some((deposit, Asking::Sent(sent))) = asked.withdraw
            && sent == transaction
        {
            asked.withdraw = None;
            self.core.emit(Event::DepositWithdrawn { deposit, status: code });
        } else if let Some((deposit, sent)) = asked.collected
            && sent == transaction
        {
            asked.collected = None;
            if status.code != StatusCode::Done {
                self.collect_later(now);
            } else if self.peers().set_waiting(&deposit, |_| Waiting::Nothing) {
                self.persist();
            }
        }
    }
}
