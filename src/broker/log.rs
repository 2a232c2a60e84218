//! What the broker tells its log. Never a secret.

use super::{ConnectionId, DepositNotice, Name};
use crate::link::{HandshakeError, OpenError, PreambleError, PublicKey, RecordError};
use crate::message::ParseError;
use core::fmt;

/// One line of the log: what happened, to whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// How much it matters.
    pub level: Level,
    /// On which connection.
    pub connection: Option<ConnectionId>,
    /// Which terminal, once its key has proven it.
    pub identifier: Option<Name>,
    /// What happened.
    pub what: What,
}

/// How much a [`LogRecord`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For those who look for a fault.
    Debug,
    /// The ordinary course of things.
    Info,
    /// Somebody should look: a terminal misbehaves, or a limit or the store is in the way.
    Warning,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// The connection opened with something else than a preamble.
    Preamble(PreambleError),
    /// The connection opened as a peer link, which a broker never has.
    PeerLink,
    /// A lane came with a token that was never issued, is used or is over.
    UnknownToken,
    /// A record's length is out of bounds.
    Record(RecordError),
    /// The handshake failed.
    Handshake(HandshakeError),
    /// A record did not open.
    Open(OpenError),
    /// A text is no message.
    Message(ParseError),
    /// A message that a broker is not sent, or not at this moment.
    Unexpected,
    /// More than may wait came before HELLO was answered.
    TooEager,
    /// There are as many connections or handshakes as there may be, in all or from this source.
    TooMany,
    /// HELLO was not through in time.
    HandshakeDeadline,
    /// No record came for too long.
    Idle,
    /// The terminal does not read what it is sent, or takes too small records for it.
    Output,
    /// HELLO refused: no such identifier, another key, or a ticket that is not valid.
    NotEnrolled,
    /// The key is bound to the identifier.
    Enrolled(PublicKey),
    /// HELLO is through.
    Opened {
        /// The link takes questions and grants.
        listen: bool,
    },
    /// The control link's end.
    Left,
    /// A message for another identifier than the link's own.
    Forbidden,
    /// The list is registered (P2).
    Registered {
        /// Its number.
        revision: u64,
        /// Its length.
        entries: usize,
    },
    /// A group is registered (V4).
    GroupRegistered {
        /// What it is called.
        group: Name,
        /// How many are in it. `None`: it has ended.
        members: Option<usize>,
    },
    /// A REGISTER, GROUP or ADDRESS was refused with this status.
    Refused(u16),
    /// The address is registered.
    AddressRegistered,
    /// A resolver was asked for an address (P1).
    Resolved {
        /// Whose.
        identifier: Name,
        /// It has one.
        found: bool,
    },
    /// The link to the resolver is up.
    ResolverUp,
    /// It is lost.
    ResolverDown,
    /// The resolver did not take an address, by this status.
    ResolverRefused(u16),
    /// A callee's addresses were tried (P7).
    Reached {
        /// Each took the connection.
        answered: bool,
    },
    /// A query ended (P3).
    Query {
        /// Asked for.
        callee: Name,
        /// How it ended.
        outcome: Outcome,
    },
    /// A grant ended before its parties released it.
    Withdrawn {
        /// The callee.
        callee: Name,
        /// Why.
        cause: &'static str,
    },
    /// A relay lane or tunnel was refused.
    LaneRefused(&'static str),
    /// A lane pair is joined.
    Joined {
        /// A tunnel.
        tunnel: bool,
    },
    /// A joined lane pair is cut.
    Cut,
    /// The operator took the key away.
    Revoked,
    /// A deposit for this callee is whole (P10).
    Deposited(Name),
    /// A deposit is over.
    DepositOver {
        /// For whom it was.
        callee: Name,
        /// What the depositor is told. `None`: it took the deposit back or had not finished it, or it has been told.
        notice: Option<DepositNotice>,
    },
    /// A deposit cannot go on by its lane.
    DepositBroken(&'static str),
    /// The store could not do it.
    StoreFailed,
}

/// How a query ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// M11 is out.
    Granted,
    /// M8.
    NotPermitted,
    /// M9, and why.
    NotFound(&'static str),
    /// M10, and why.
    NotConnected(&'static str),
    /// M19 in place of M10, and why.
    DepositAsked(&'static str),
    /// The caller's link ended first.
    Abandoned,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Preamble(error) => error.fmt(f),
            Self::PeerLink => f.write_str("closed: a peer link does not go to the broker"),
            Self::UnknownToken => f.write_str("closed: the lane's token is unknown, used or over"),
            Self::Record(error) => error.fmt(f),
            Self::Handshake(error) => error.fmt(f),
            Self::Open(error) => error.fmt(f),
            Self::Message(error) => write!(f, "closed: {error}"),
            Self::Unexpected => f.write_str("closed: a message that the broker is not sent, or not now"),
            Self::TooEager => f.write_str("closed: too much came before HELLO was answered"),
            Self::TooMany => f.write_str("closed: too many connections, in all or from this source"),
            Self::HandshakeDeadline => f.write_str("closed: HELLO was not through in time"),
            Self::Idle => f.write_str("closed: nothing came for too long"),
            Self::Output => f.write_str("closed: the terminal does not read, or takes too small records"),
            Self::NotEnrolled => {
                f.write_str("HELLO refused: not enrolled, another key, or a ticket that is not valid")
            }
            Self::Enrolled(key) => write!(f, "enrolled with key {key}"),
            Self::Opened { listen: true } => f.write_str("control link open, listening"),
            Self::Opened { listen: false } => f.write_str("control link open"),
            Self::Left => f.write_str("control link closed"),
            Self::Forbidden => f.write_str("refused: a message for another's identifier"),
            Self::Registered { revision, entries } => {
                write!(f, "list registered, revision {revision}, {entries} entries")
            }
            Self::GroupRegistered { group, members: Some(members) } => {
                write!(f, "group {group} registered, {members} members")
            }
            Self::GroupRegistered { group, members: None } => write!(f, "group {group} ended"),
            Self::Refused(code) => write!(f, "registration refused, status {code}"),
            Self::AddressRegistered => f.write_str("address registered"),
            Self::Resolved { identifier, found: true } => write!(f, "address of {identifier}: found"),
            Self::Resolved { identifier, found: false } => {
                write!(f, "address of {identifier}: not registered")
            }
            Self::ResolverUp => f.write_str("the address resolution server is there"),
            Self::ResolverDown => {
                f.write_str("the address resolution server is lost: queries are answered by Callee not Found")
            }
            Self::ResolverRefused(code) => {
                write!(f, "the address resolution server did not take the address, status {code}")
            }
            Self::Reached { answered: true } => f.write_str("reach test: it answers at its address"),
            Self::Reached { answered: false } => f.write_str("reach test: it does not answer at its address"),
            Self::Query { callee, outcome } => write!(f, "query for {callee}: {outcome}"),
            Self::Withdrawn { callee, cause } => write!(f, "grant for {callee} withdrawn: {cause}"),
            Self::LaneRefused(cause) => write!(f, "lane refused: {cause}"),
            Self::Joined { tunnel: true } => f.write_str("tunnel joined"),
            Self::Joined { tunnel: false } => f.write_str("relay lane joined"),
            Self::Cut => f.write_str("lane cut"),
            Self::Revoked => f.write_str("key revoked"),
            Self::Deposited(callee) => write!(f, "deposited for {callee}"),
            Self::DepositOver { callee, notice: Some(notice) } => {
                write!(f, "deposit for {callee} over: {}", notice.cause())
            }
            Self::DepositOver { callee, notice: None } => write!(f, "deposit for {callee} forgotten"),
            Self::DepositBroken(cause) => write!(f, "deposit broken off: {cause}"),
            Self::StoreFailed => f.write_str("the store failed: look at its log, free space and rights"),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Granted => f.write_str("granted"),
            Self::NotPermitted => f.write_str("not permitted"),
            Self::NotFound(cause) => write!(f, "no address: {cause}"),
            Self::NotConnected(cause) => write!(f, "not connected: {cause}"),
            Self::DepositAsked(cause) => write!(f, "asked whether to deposit: {cause}"),
            Self::Abandoned => f.write_str("abandoned by the caller"),
        }
    }
}

impl fmt::Display for LogRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(identifier) = &self.identifier {
            write!(f, "{identifier}: ")?;
        }
        self.what.fmt(f)
    }
}
