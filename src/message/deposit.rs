//! Store and forward (rows M19–M22, P10, P11; `docs/protocol.md`, Deposits): the messages, and how they are read and written.

use super::lines::*;
use super::name::Name;
use super::writer::Writer;
use super::{Message, Source};
use crate::secret::Secret;

/// A deposit's number: 16 random bytes. It says which one is meant, and gives nobody a right to it.
pub type DepositId = [u8; 16];

/// M19: `NOTIFY` / `Deposit Question.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositQuestion<'a> {
    /// The query's number.
    pub transaction: Option<u32>,
    /// The callee's static key, which the parts are sealed to.
    pub callee_key: Option<[u8; 32]>,
    /// The largest frame that the callee takes, in bytes after its length.
    pub frame: Option<u32>,
    /// The most payload bytes that would be kept now.
    pub largest_transfer: Option<u64>,
    /// Why the callee cannot be called now, for people.
    pub cause: Option<&'a str>,
}

/// The yes to M19: `DEPOSIT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposit<'a> {
    /// The caller.
    pub caller: &'a str,
    /// For whom.
    pub callee: &'a str,
    /// The recording's bytes.
    pub size: u64,
    /// The query's number.
    pub transaction: Option<u32>,
    /// Names the source's state: an unfinished deposit of the same goes on.
    pub source: Option<Source>,
}

/// The no to M19: `NOTIFY` / `Deposit Declined.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositDeclined {
    /// The query's number.
    pub transaction: Option<u32>,
}

/// M20: `NOTIFY` / `Deposit:…` / `Token:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositGoAhead {
    /// Which deposit.
    pub deposit: DepositId,
    /// The lane's one-time token.
    pub token: Secret<32>,
    /// The query's number.
    pub transaction: Option<u32>,
    /// Payload bytes that are kept already: send from here.
    pub offset: Option<u64>,
    /// The number of the part to send next.
    pub part: Option<u32>,
}

/// A part is on disk: `NOTIFY` / `Deposit Kept.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositKept {
    /// Which deposit.
    pub deposit: Option<DepositId>,
    /// Which part.
    pub part: Option<u32>,
    /// Payload bytes that are kept, this part included.
    pub offset: Option<u64>,
    /// SHA-256 of the part, header and frames.
    pub digest: Option<[u8; 32]>,
    /// The whole recording is kept.
    pub complete: bool,
    /// In answer to a `DEPOSIT` of what is kept whole already: the query's number.
    pub transaction: Option<u32>,
}

/// M21: `NOTIFY` / `Depositor:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depositor<'a> {
    /// Who has deposited.
    pub caller: &'a str,
    /// Which deposit.
    pub deposit: Option<DepositId>,
    /// The recording's bytes.
    pub size: Option<u64>,
    /// The static key that it was deposited with.
    pub caller_key: Option<[u8; 32]>,
    /// The group on the callee's list by which the depositor is permitted (V4); without it: by its own entry.
    pub group: Option<&'a str>,
}

/// M22: `COLLECT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collect<'a> {
    /// Who has deposited.
    pub caller: &'a str,
    /// Who collects.
    pub callee: &'a str,
    /// Correlates the answer.
    pub transaction: Option<u32>,
    /// Which deposit; without it the caller's oldest.
    pub deposit: Option<DepositId>,
    /// Payload bytes that the callee has: the lane starts with the part that holds the next one.
    pub offset: Option<u64>,
}

/// `NOTIFY` / `Transfer Complete.` or `Transfer Failed.` with a `Deposit` line: how a collection ended, or why the broker broke a deposit off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Collected<'a> {
    /// The callee has the whole.
    pub complete: bool,
    /// Which deposit.
    pub deposit: DepositId,
    /// Correlates the answer.
    pub transaction: Option<u32>,
    /// Why it failed, for people.
    pub cause: Option<&'a str>,
}

/// The callee has it: `NOTIFY` / `Deposit Collected.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivered {
    /// Which deposit.
    pub deposit: Option<DepositId>,
}

/// What have I deposited? `DEPOSITS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deposits<'a> {
    /// The terminal's identifier.
    pub identifier: &'a str,
    /// Correlates the answers.
    pub transaction: Option<u32>,
}

/// One of one's deposits: `NOTIFY` / `Deposited for:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DepositedFor<'a> {
    /// For whom.
    pub callee: &'a str,
    /// Which deposit.
    pub deposit: Option<DepositId>,
    /// The recording's bytes.
    pub size: Option<u64>,
    /// Payload bytes that are kept.
    pub offset: Option<u64>,
    /// The question's number.
    pub transaction: Option<u32>,
}

/// Writes the message if it is one of those that a broker says; otherwise `false`.
pub(super) fn write_told(message: &Message<'_>, w: &mut Writer<'_>) -> bool {
    match message {
        Message::DepositQuestion(message) => {
            w.notice("Deposit Question.");
            w.transaction(message.transaction);
            w.binary(Name::CalleeKey, message.callee_key.as_ref());
            w.number(Name::Frame, message.frame);
            w.number(Name::LargestTransfer, message.largest_transfer);
            w.text(Name::Cause, message.cause);
        }
        Message::DepositGoAhead(message) => {
            w.line("NOTIFY");
            w.binary(Name::Deposit, Some(&message.deposit));
            w.secret(Name::Token, Some(&message.token));
            w.transaction(message.transaction);
            w.number(Name::Offset, message.offset);
            w.number(Name::Part, message.part);
        }
        Message::DepositKept(message) => {
            w.notice("Deposit Kept.");
            w.binary(Name::Deposit, message.deposit.as_ref());
            w.number(Name::Part, message.part);
            w.number(Name::Offset, message.offset);
            w.binary(Name::Digest, message.digest.as_ref());
            w.flag(Name::Complete, message.complete);
            w.transaction(message.transaction);
        }
        Message::Depositor(message) => {
            w.line("NOTIFY");
            w.identifier(Name::Depositor, message.caller);
            w.binary(Name::Deposit, message.deposit.as_ref());
            w.number(Name::Size, message.size);
            w.binary(Name::CallerKey, message.caller_key.as_ref());
            w.group(message.group);
        }
        Message::Delivered(message) => {
            w.notice("Deposit Collected.");
            w.binary(Name::Deposit, message.deposit.as_ref());
        }
        Message::DepositedFor(message) => {
            w.line("NOTIFY");
            w.identifier(Name::DepositedFor, message.callee);
            w.binary(Name::Deposit, message.deposit.as_ref());
            w.number(Name::Size, message.size);
            w.number(Name::Offset, message.offset);
            w.transaction(message.transaction);
        }
        _ => return false,
    }
    true
}

/// Writes the message if it is one of those that a terminal says.
pub(super) fn write_said(message: &Message<'_>, w: &mut Writer<'_>) {
    match message {
        Message::Deposit(message) => {
            w.line("DEPOSIT");
            w.identifier(Name::Caller, message.caller);
            w.identifier(Name::Callee, message.callee);
            w.number(Name::Size, Some(message.size));
            w.transaction(message.transaction);
            w.source(message.source.as_ref());
        }
        Message::DepositDeclined(message) => {
            w.notice("Deposit Declined.");
            w.transaction(message.transaction);
        }
        Message::Collect(message) => {
            w.line("COLLECT");
            w.identifier(Name::Caller, message.caller);
            w.identifier(Name::Callee, message.callee);
            w.transaction(message.transaction);
            w.binary(Name::Deposit, message.deposit.as_ref());
            w.number(Name::Offset, message.offset);
        }
        Message::Collected(message) => {
            w.notice(if message.complete { "Transfer Complete." } else { "Transfer Failed." });
            w.transaction(message.transaction);
            w.binary(Name::Deposit, Some(&message.deposit));
            w.text(Name::Cause, message.cause);
        }
        Message::Deposits(message) => {
            w.line("DEPOSITS");
            w.identifier(Name::Identifier, message.identifier);
            w.transaction(message.transaction);
        }
        _ => {}
    }
}

// As in `parse`: the figure's own lines first, then `further`, then what that found.

pub(super) fn deposit<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Deposit(Deposit {
        caller: lines.required(Name::Caller, identifier)?,
        callee: lines.required(Name::Callee, identifier)?,
        size: lines.required(Name::Size, number_u64)?,
        transaction: further(lines),
        source: lines.get(Name::Source, source),
    }))
}

pub(super) fn collect<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Collect(Collect {
        caller: lines.required(Name::Caller, identifier)?,
        callee: lines.required(Name::Callee, identifier)?,
        transaction: further(lines),
        deposit: lines.get(Name::Deposit, bytes),
        offset: lines.get(Name::Offset, number_u64),
    }))
}

pub(super) fn deposits<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Deposits(Deposits {
        identifier: lines.required(Name::Identifier, identifier)?,
        transaction: further(lines),
    }))
}

pub(super) fn question<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::DepositQuestion(DepositQuestion {
        transaction: further(lines),
        callee_key: lines.get(Name::CalleeKey, bytes),
        frame: lines.get(Name::Frame, number_u32),
        largest_transfer: lines.get(Name::LargestTransfer, number_u64),
        cause: lines.get(Name::Cause, text),
    }))
}

pub(super) fn go_ahead<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::DepositGoAhead(DepositGoAhead {
        deposit: lines.required(Name::Deposit, bytes)?,
        token: lines.required(Name::Token, secret)?,
        transaction: further(lines),
        offset: lines.get(Name::Offset, number_u64),
        part: lines.get(Name::Part, number_u32),
    }))
}

pub(super) fn kept<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::DepositKept(DepositKept {
        transaction: further(lines),
        deposit: lines.get(Name::Deposit, bytes),
        part: lines.get(Name::Part, number_u32),
        offset: lines.get(Name::Offset, number_u64),
        digest: lines.get(Name::Digest, bytes),
        complete: lines.flag(Name::Complete),
    }))
}

pub(super) fn depositor<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let caller = lines.required(Name::Depositor, identifier)?;
    lines.further();
    Some(Message::Depositor(Depositor {
        caller,
        deposit: lines.get(Name::Deposit, bytes),
        size: lines.get(Name::Size, number_u64),
        caller_key: lines.get(Name::CallerKey, bytes),
        group: lines.get(Name::Group, identifier),
    }))
}

pub(super) fn delivered<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    lines.further();
    Some(Message::Delivered(Delivered { deposit: lines.get(Name::Deposit, bytes) }))
}

pub(super) fn deposited_for<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::DepositedFor(DepositedFor {
        callee: lines.required(Name::DepositedFor, identifier)?,
        transaction: further(lines),
        deposit: lines.get(Name::Deposit, bytes),
        size: lines.get(Name::Size, number_u64),
        offset: lines.get(Name::Offset, number_u64),
    }))
}
