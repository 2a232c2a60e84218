//! The text messages of the control link and the peer link (rows M1–M24; `docs/protocol.md`), without allocation or copies.
//!
//! [`Message::parse`] borrows from the received bytes, [`Message::encode`] writes into the caller's. Texts that hold the figures' own lines
//! and nothing else are read as well, so everything beyond these lines is an `Option` (or a flag that is off).
//! Names that the protocol doesn't know are skipped; one that it knows may come once, also in a message that has no use for it.
//! An identifier in a parsed message keeps the rules of [`crate::identifier`], and no text in it is empty.

use crate::secret::Secret;

mod deposit;
mod encode;
mod error;
mod lines;
mod list;
mod name;
mod parse;
mod value;
mod writer;

pub use crate::route::{Class, Path, Protection};
pub use deposit::{
    Collect, Collected, Delivered, Deposit, DepositDeclined, DepositGoAhead, DepositId, DepositKept,
    DepositQuestion, DepositedFor, Depositor, Deposits,
};
pub use error::{EncodeError, ParseError, Problem};
pub use list::{Identifiers, List, ListChange};
pub use value::{Candidate, Candidates, Host, MAX_CANDIDATES, SecretText, Source, StatusCode};

/// The largest message, in bytes, its last LF included.
pub const MAX_BYTES: usize = 16_384;

/// The most lines of a message.
pub const MAX_LINES: usize = 256;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message<'a> {
    /// Terminal → broker, first record: who I am (V5).
    Hello(Hello<'a>),
    /// The same from a terminal that knows deposits, with the largest frame that it takes, in bytes after the length: what a depositor may make.
    DepositHello(Hello<'a>, u32),
    /// M1–M4, terminal → broker.
    Register(Register<'a>),
    /// Owner → broker: who is in a group (V4).
    Group(Group<'a>),
    /// M6, caller → broker.
    Query(Query<'a>),
    /// M13, caller → callee.
    Request(Request<'a>),
    /// M15, broker → callee.
    StatusQuery(StatusQuery),
    /// M17, sender → receiver, or either → broker.
    Transfer(Transfer<'a>),
    /// Either end of a peer link → the other: send me this.
    Fetch(Fetch<'a>),
    /// Sender → receiver: a lane is about to open.
    Lane(Lane),
    /// Caller → broker: the callee cannot be reached directly.
    Tunnel(Tunnel),
    /// Broker → either party: the grant is void, or the deposit gone. Depositor or callee → broker: away with this deposit.
    Withdraw(Withdraw<'a>),
    /// Either party → broker: the session is over.
    Release(Release),
    /// M23, terminal → broker or resolver.
    Address(Address<'a>),
    /// M24, broker → resolver.
    Resolve(Resolve<'a>),
    /// Terminal → broker: the link is alive.
    Ping(Ping),
    /// M5, and every other answer that is a code and a text.
    Status(Status<'a>),
    /// M7 and M14's yes.
    Accepted(Accepted<'a>),
    /// M8, M9, M10 and M14's no.
    Denied(Denied<'a>),
    /// M11, broker → caller: the caller's half of a grant.
    CalleeAddress(CalleeAddress<'a>),
    /// M12, broker → callee: the callee's half of a grant.
    CallerNotice(CallerNotice<'a>),
    /// M16, callee → broker.
    StatusAnswer(StatusAnswer),
    /// M18, receiver → sender, or broker → either.
    TransferAnswer(TransferAnswer<'a>),
    /// Receiver → sender when the recording is there; either, when a transfer cannot go on.
    TransferDone(TransferDone<'a>),
    /// Broker → both parties: connect to me with this token.
    TunnelToken(TunnelToken),
    /// M24, resolver → broker: found.
    Resolved(Resolved<'a>),
    /// M24, resolver → broker: not found.
    NotRegistered(NotRegistered),
    /// M19, broker → caller: shall it be kept for the callee?
    DepositQuestion(DepositQuestion<'a>),
    /// Caller → broker: yes.
    Deposit(Deposit<'a>),
    /// Caller → broker: no.
    DepositDeclined(DepositDeclined),
    /// M20, broker → caller: send it now.
    DepositGoAhead(DepositGoAhead),
    /// Broker → caller: a part is on disk.
    DepositKept(DepositKept),
    /// M21, broker → callee: something waits for you.
    Depositor(Depositor<'a>),
    /// M22, callee → broker: hand it over.
    Collect(Collect<'a>),
    /// Callee → broker: collected, or not. Broker → caller: broken off.
    Collected(Collected<'a>),
    /// Broker → caller: the callee has it.
    Delivered(Delivered),
    /// Terminal → broker: what have I deposited?
    Deposits(Deposits<'a>),
    /// Broker → caller: one of the answers.
    DepositedFor(DepositedFor<'a>),
}

/// `HELLO` (V5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello<'a> {
    /// The terminal's identifier.
    pub identifier: &'a str,
    /// The operator's ticket: enrol the key that this link's handshake has proven.
    pub ticket: Option<SecretText<'a>>,
    /// This link takes questions and grants.
    pub listen: bool,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// M1–M4: `REGISTER`. The list's type is free, so that a terminal can encode from its own storage: see [`Register::encode`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Register<'a, L = List<'a>> {
    /// The terminal's identifier.
    pub identifier: &'a str,
    /// What changes in its list of permitted terminals.
    pub change: ListChange<L>,
    /// The list's number after the change.
    pub revision: Option<u64>,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// `GROUP` (V4): M1–M4's form for the members of a group. [`ListChange::Create`] without members ends the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group<'a, L = List<'a>> {
    /// The owner's identifier.
    pub identifier: &'a str,
    /// The group's: the owner's, `/`, and a name without `/`.
    pub group: &'a str,
    /// What changes in its members.
    pub change: ListChange<L>,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// M6: `QUERY` for a callee.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Query<'a> {
    /// The caller.
    pub identifier: &'a str,
    /// The terminal that it asks for.
    pub callee: &'a str,
    /// Correlates the answers.
    pub transaction: Option<u32>,
}

/// M13: `REQUEST`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request<'a> {
    /// The caller.
    pub identifier: &'a str,
    /// The password of M11.
    pub password: SecretText<'a>,
}

/// M15: `QUERY` / `STATUS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusQuery {
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// M17: `TRANSFER`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer<'a> {
    /// The caller, as in the grant, whoever sends.
    pub caller: &'a str,
    /// The callee, as in the grant.
    pub callee: &'a str,
    /// To the receiver: the recording's bytes. To the broker: the payload bytes of one lane.
    pub size: u64,
    /// Correlates the answer, and numbers the transfer in its frames.
    pub transaction: Option<u32>,
    /// To the broker: the grant.
    pub handle: Option<[u8; 16]>,
    /// To the receiver: the recording's name for people, one path component (no `/`, no `\`, neither `.` nor `..`).
    pub name: Option<&'a str>,
    /// To the receiver: names the source's state, for resumption.
    pub source: Option<Source>,
    /// To the receiver: the end will carry the recording's SHA-256.
    pub hash: bool,
    /// To the receiver: the number of the FETCH that this answers.
    pub fetch: Option<u32>,
}

/// `FETCH`: a recording, or the list of recordings, is wanted. Answered by M17 with its number, or by M18's no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch<'a> {
    /// The recording's name, one path component; `None`: the list of recordings.
    pub name: Option<&'a str>,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// `LANE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lane {
    /// What the lane will carry.
    pub class: Class,
    /// Correlates the answer.
    pub transaction: Option<u32>,
    /// How its bytes go.
    pub path: Option<Path>,
    /// How its frames are protected.
    pub protection: Option<Protection>,
    /// SFrame's cipher suite number (RFC 9605, section 4.5).
    pub suite: Option<u16>,
    /// The lane's base key: 32 fresh bytes.
    pub lane_key: Option<Secret<32>>,
    /// The lane's one-time token.
    pub token: Option<Secret<32>>,
}

/// `TUNNEL`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tunnel {
    /// The grant.
    pub handle: [u8; 16],
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// `WITHDRAW`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdraw<'a> {
    /// The grant, or the deposit.
    pub handle: [u8; 16],
    /// Why, for people.
    pub cause: Option<&'a str>,
    /// To the broker: correlates the answer.
    pub transaction: Option<u32>,
}

/// `RELEASE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The grant.
    pub handle: [u8; 16],
}

/// M23: `ADDRESS`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address<'a> {
    /// The terminal's identifier.
    pub identifier: &'a str,
    /// Where it is; unspecified (`0.0.0.0`, `::`): where the control link comes from.
    pub address: Host<'a>,
    /// The port that it listens on (V8).
    pub port: u16,
    /// Further addresses.
    pub candidates: Candidates<'a>,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// M24: `RESOLVE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolve<'a> {
    /// The terminal whose address is wanted.
    pub identifier: &'a str,
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// `PING`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// Correlates the answer.
    pub transaction: Option<u32>,
}

/// M5: `NOTIFY` / `Status:CODE TEXT`. The lines from `revision` on belong to the answers to HELLO and REGISTER.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status<'a> {
    /// For programs.
    pub code: StatusCode,
    /// For people.
    pub text: &'a str,
    /// The question's number.
    pub transaction: Option<u32>,
    /// When to try again, in seconds from now.
    pub retry_after: Option<u32>,
    /// The number of the list that the broker has.
    pub revision: Option<u64>,
    /// SHA-256 of the list that the broker has.
    pub digest: Option<[u8; 32]>,
    /// Lanes through the broker are offered.
    pub relay: bool,
    /// The most payload bytes that a lane through the broker may carry.
    pub largest_transfer: Option<u64>,
}

/// M7: `NOTIFY` / `Request Accepted.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted<'a> {
    /// The question's number.
    pub transaction: Option<u32>,
    /// On the peer link: what proves the callee to the caller (V9).
    pub callee_password: Option<SecretText<'a>>,
}

/// M8, M9, M10.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied<'a> {
    /// Which of them.
    pub denial: Denial,
    /// The question's number.
    pub transaction: Option<u32>,
    /// Why (V6), for people.
    pub cause: Option<&'a str>,
    /// When to try again, in seconds from now.
    pub retry_after: Option<u32>,
}

/// What is denied, and by whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// M8, `Permission Denied.`: not on the callee's list.
    NotPermitted,
    /// M9, `Callee not Found.`: the callee has no address.
    NotFound,
    /// M10, `Callee not Connected.`: the callee is busy or out of reach.
    NotConnected,
}

/// M11: `NOTIFY` / `Callee Address:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CalleeAddress<'a> {
    /// Where the callee is.
    pub address: Host<'a>,
    /// What the caller says in M13.
    pub password: SecretText<'a>,
    /// The peer link's pre-shared key; see [`SecretText::key`].
    pub encrypt_key: SecretText<'a>,
    /// The question's number.
    pub transaction: Option<u32>,
    /// The callee's port (V8).
    pub port: Option<u16>,
    /// Further addresses.
    pub candidates: Candidates<'a>,
    /// The grant, as the peer link's preamble names it.
    pub handle: Option<[u8; 16]>,
    /// The callee's static key.
    pub callee_key: Option<[u8; 32]>,
    /// What the callee says in M14 (V9).
    pub callee_password: Option<SecretText<'a>>,
    /// How long the grant may be used, in seconds from now.
    pub expires: Option<u32>,
}

/// M12: `NOTIFY` / `Caller ID:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerNotice<'a> {
    /// Who will call.
    pub caller: &'a str,
    /// What the caller will say in M13.
    pub password: SecretText<'a>,
    /// The peer link's pre-shared key; see [`SecretText::key`].
    pub encrypt_key: SecretText<'a>,
    /// Correlates the answer.
    pub transaction: Option<u32>,
    /// The grant, as the peer link's preamble names it.
    pub handle: Option<[u8; 16]>,
    /// The caller's static key.
    pub caller_key: Option<[u8; 32]>,
    /// What the callee says in M14 (V9).
    pub callee_password: Option<SecretText<'a>>,
    /// How long the grant may be used, in seconds from now.
    pub expires: Option<u32>,
    /// The group on the callee's list by which the caller is permitted (V4); without it: by its own entry.
    pub group: Option<&'a str>,
}

/// M16: `NOTIFY` / `STATUS Acceptable.` or `STATUS Busy.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusAnswer {
    /// The callee is free.
    pub acceptable: bool,
    /// The question's number.
    pub transaction: Option<u32>,
    /// When to try again, in seconds from now.
    pub retry_after: Option<u32>,
}

/// M18: `NOTIFY` / `Transfer Accepted.` or `Transfer Refused.` / `Answer:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferAnswer<'a> {
    /// Yes or no.
    pub accepted: bool,
    /// Who answers: a terminal's identifier, or `broker` on the control link.
    pub answer: &'a str,
    /// The question's number.
    pub transaction: Option<u32>,
    /// Why not, for people.
    pub cause: Option<&'a str>,
    /// From the broker: the one-time token of the asker's end of the lane.
    pub token: Option<Secret<32>>,
    /// From the broker: the token of the other end, which the asker hands on.
    pub peer_token: Option<Secret<32>>,
    /// From the receiver: send from this byte of the recording.
    pub offset: Option<u64>,
    /// From the receiver: the largest frame taken, in bytes after its length.
    pub frame: Option<u32>,
}

/// `NOTIFY` / `Transfer Complete.` or `Transfer Failed.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransferDone<'a> {
    /// The recording is there.
    pub complete: bool,
    /// M17's number.
    pub transaction: Option<u32>,
    /// Why it failed, for people.
    pub cause: Option<&'a str>,
}

/// `NOTIFY` / `Tunnel:…` / `Token:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TunnelToken {
    /// The grant.
    pub handle: [u8; 16],
    /// The one-time token of this end of the tunnel.
    pub token: Secret<32>,
    /// To the caller: its question's number.
    pub transaction: Option<u32>,
}

/// M24: `NOTIFY` / `Address:…` / `Port:…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// Where the terminal is.
    pub address: Host<'a>,
    /// The port that it listens on.
    pub port: u16,
    /// Further addresses.
    pub candidates: Candidates<'a>,
    /// The question's number.
    pub transaction: Option<u32>,
}

/// M24: `NOTIFY` / `Not Registered.`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRegistered {
    /// The question's number.
    pub transaction: Option<u32>,
}
