//! What the broker asks of the process around it.

use super::{ConnectionId, LogRecord, Name, RequestId, StoredAddress};
use crate::link::PublicKey;
use crate::message::{DepositId, Source};
use alloc::vec::Vec;
use core::net::SocketAddr;

/// What the process has to do. Drain them after every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There are bytes to send: see [`Broker::poll_transmit`](super::Broker::poll_transmit).
    Transmit(ConnectionId),
    /// Send what is queued, then close; at the latest after some seconds.
    Close(ConnectionId),
    /// Do this durably, then call [`Broker::stored`](super::Broker::stored). The terminal is answered only then.
    Store(RequestId, StoreOperation),
    /// Join the two connections, each of which has had its preamble taken off: what comes from one goes to the other. Once they have ended say
    /// [`Broker::carried`](super::Broker::carried).
    Splice {
        /// One end.
        first: ConnectionId,
        /// The other.
        second: ConnectionId,
        /// The most bytes, of both directions together; then both are closed.
        limit: u64,
        /// A tunnel, which stays open; otherwise one transfer's lane.
        tunnel: bool,
    },
    /// End a joined pair at once, without sending what is under way.
    Cut {
        /// One end.
        first: ConnectionId,
        /// The other.
        second: ConnectionId,
    },
    /// The connection is a depositor's lane, its preamble taken off ([`Next::Deposit`]): cut the deposit's file to `start` bytes and feed what comes
    /// to [`Broker::deposit_input`](super::Broker::deposit_input); what that takes goes to the end of the file.
    Deposit {
        /// The lane.
        connection: ConnectionId,
        /// Which deposit.
        deposit: DepositId,
        /// What is kept already, bytes of the file.
        start: u64,
    },
    /// The connection is the lane of a callee that collects, its preamble taken off: send it the deposit's file from `start` to `end`, then close.
    Collect {
        /// The lane.
        connection: ConnectionId,
        /// Which deposit.
        deposit: DepositId,
        /// First byte of the file.
        start: u64,
        /// One behind the last.
        end: u64,
    },
    /// Open a connection to the resolver and say [`Broker::resolver_dialled`](super::Broker::resolver_dialled).
    DialResolver,
    /// Look these domain names up and say [`Broker::looked_up`](super::Broker::looked_up) (V3).
    LookUp {
        /// Which question this is.
        request: RequestId,
        /// The names, at most five.
        names: Vec<Name>,
    },
    /// Ask whoever assigned the terminal's address and say [`Broker::found_lease`](super::Broker::found_lease) (V2).
    FindLease {
        /// Which question this is.
        request: RequestId,
        /// The terminal.
        identifier: Name,
    },
    /// Try to connect to each of these addresses, each [`Config::reach_deadline_ms`](super::Config::reach_deadline_ms) at most, close what connects without a
    /// word, and say [`Broker::reached`](super::Broker::reached) of each (P7). The callee's control link comes from them.
    Reach {
        /// Which question this is.
        request: RequestId,
        /// At least one, at most five.
        addresses: Vec<SocketAddr>,
    },
    /// For the log.
    Log(LogRecord),
}

/// What has to be on disk before the terminal is answered. Operations are done, and their outcomes told, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Atomically use the ticket up, bind the key to the identifier, and bind it to each entry for this identifier in any terminal's list that
    /// has no key yet. [`Stored::Refused`] if there is a ticket that is unknown, used or another identifier's, or if another key is bound.
    Enrol {
        /// Who enrols.
        identifier: Name,
        /// SHA-256 of the ticket, as [`digest_of_ticket`](super::digest_of_ticket) makes it; `None`: a certificate has taken its place.
        ticket_digest: Option<[u8; 32]>,
        /// The key that the link's handshake has proven.
        key: PublicKey,
    },
    /// Replace the identifier's list of permitted terminals (P2, P13). [`Stored::Refused`] if `key` is no longer the identifier's.
    SaveList {
        /// Whose list.
        identifier: Name,
        /// Under which key it was registered.
        key: PublicKey,
        /// The list's number.
        revision: u64,
        /// The whole list, in the order of the identifiers' bytes. An entry without key is bound to the key that is enrolled for it now, or that of the
        /// owner of the group that it names, if any.
        list: Vec<(Name, Option<PublicKey>)>,
    },
    /// Replace a group, or end it (V4), and bind each entry for it in any terminal's list that has no key yet to the owner's. [`Stored::Refused`] if `key` is no
    /// longer the owner's, or the name is enrolled or has a ticket: conversely, neither is given for a group's name.
    SaveGroup {
        /// What it is called.
        group: Name,
        /// Whose it is.
        owner: Name,
        /// Under which key it was registered.
        key: PublicKey,
        /// Who is in it, in the order of the identifiers' bytes; those without key are bound to the one that is enrolled for them now, if any. `None`: it ends.
        members: Option<Vec<(Name, Option<PublicKey>)>>,
    },
    /// Replace the identifier's address (V1, P13). [`Stored::Refused`] if `key` is no longer the identifier's.
    SaveAddress {
        /// Whose address.
        identifier: Name,
        /// Under which key it was registered.
        key: PublicKey,
        /// The address.
        address: StoredAddress,
    },
    /// A resolver's: replace what is known of the identifier's address and note the time, or forget it (P1, P13). The identifier need not be enrolled.
    SaveResolved {
        /// Whose address.
        identifier: Name,
        /// The address; `None`: there is none.
        address: Option<StoredAddress>,
    },
    /// Note the largest frame that the terminal takes, which also says that it knows deposits (P10). [`Stored::Refused`] if `key` is no longer the
    /// identifier's.
    SaveFrame {
        /// Whose.
        identifier: Name,
        /// Under which key it was told.
        key: PublicKey,
        /// In bytes after the length.
        frame: u32,
    },
    /// A new deposit, without parts (P10). [`Stored::Refused`] if a key is no longer its identifier's.
    OpenDeposit(DepositRecord),
    /// A part has come: make the deposit's file durable up to the part's end, then note the part. [`Stored::Refused`] if the deposit is unknown, or
    /// the part is not the one behind those noted.
    KeepPart {
        /// Which deposit.
        deposit: DepositId,
        /// The part.
        part: KeptPart,
    },
    /// The deposit is over: forget it and its parts, then delete its file. With a notice, keep that until the depositor can be told. Done as well if
    /// there is no such deposit.
    EndDeposit {
        /// Which deposit.
        deposit: DepositId,
        /// What the depositor is still to be told.
        notice: Option<DepositNotice>,
    },
}

/// A deposit, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DepositRecord {
    /// Its number.
    pub deposit: DepositId,
    /// Who deposits.
    pub caller: Name,
    /// With which key.
    pub caller_key: PublicKey,
    /// For whom.
    pub callee: Name,
    /// To which key it is sealed.
    pub callee_key: PublicKey,
    /// The recording's bytes.
    pub size: u64,
    /// The largest frame that the callee took when it was opened, in bytes after the length.
    pub frame: u32,
    /// Names the source's state.
    pub source: Option<Source>,
}

/// A part of a deposit that is on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeptPart {
    /// Its number, from 0.
    pub number: u32,
    /// The place of its first byte in the recording.
    pub offset: u64,
    /// Payload bytes of the deposit, this part included.
    pub kept: u64,
    /// Where it starts in the deposit's file.
    pub start: u64,
    /// Where it ends there.
    pub end: u64,
    /// SHA-256 of it as it lies there.
    pub digest: [u8; 32],
    /// It is the last one: the deposit is whole.
    pub complete: bool,
}

/// What a depositor is told once its deposit is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositNotice {
    /// The callee has it.
    Collected,
    /// It was kept for as long as deposits are.
    Expired,
    /// The callee does not want it.
    Unwanted,
    /// The store has lost it.
    Lost,
}

impl DepositNotice {
    pub(super) const fn cause(self) -> &'static str {
        match self {
            Self::Collected => "the callee has it",
            Self::Expired => "it was kept for as long as deposits are",
            Self::Unwanted => "the callee does not want it",
            Self::Lost => "the broker has lost it",
        }
    }
}

/// A deposit out of the store, for [`Broker::restore_deposit`](super::Broker::restore_deposit).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDeposit {
    /// As it was opened.
    pub record: DepositRecord,
    /// Its parts in their order; of each the place of its first byte in the recording and in the file.
    pub parts: Vec<(u64, u64)>,
    /// Payload bytes that are kept.
    pub kept: u64,
    /// Bytes of the file that are kept.
    pub stored: u64,
    /// The last part is among them.
    pub complete: bool,
    /// It is over; only this is still to be told.
    pub notice: Option<DepositNotice>,
    /// How long ago it was last written, milliseconds.
    pub age_ms: u64,
}

/// What came of a [`StoreOperation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// It is on disk.
    Done,
    /// It was not allowed; nothing has changed.
    Refused,
    /// The store cannot do it now; nothing has changed. The terminal is told so (503).
    Failed,
}

/// How far [`Broker::handle_input`](super::Broker::handle_input) got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Input {
    /// So many of the bytes are done with.
    pub consumed: usize,
    /// What comes next.
    pub next: Next,
}

/// What comes after [`Input::consumed`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Feed the rest again, with more bytes behind it.
    NeedMore,
    /// The connection is a lane: keep the rest and read no more until [`Event::Splice`]; the rest goes to the other end first.
    Lane,
    /// The connection is a depositor's lane: feed the rest, and what comes, to [`Broker::deposit_input`](super::Broker::deposit_input) once
    /// [`Event::Deposit`] has come.
    Deposit,
    /// The connection ends: drop the rest. [`Event::Close`] comes or has come.
    Closed,
}

/// How much there is of what, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections of all kinds.
    pub connections: usize,
    /// Those that have not got through HELLO, and are no lanes.
    pub handshakes: usize,
    /// Terminals that are known.
    pub terminals: usize,
    /// Groups.
    pub groups: usize,
    /// Queries in flight.
    pub queries: usize,
    /// Grants that have not ended.
    pub grants: usize,
    /// Lanes and tunnels, waiting and joined.
    pub lanes: usize,
    /// Deposits that are kept or coming.
    pub deposits: usize,
    /// Their payload bytes.
    pub deposited: u64,
}
