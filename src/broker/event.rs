//! What the broker asks of the process around it.

use super::{ConnectionId, LogRecord, Name, RequestId, StoredAddress};
use crate::link::PublicKey;
use alloc::vec::Vec;

/// What the process has to do. Drain them after every call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// There are bytes to send: see [`Broker::poll_transmit`](super::Broker::poll_transmit).
    Transmit(ConnectionId),
    /// Send what is queued, then close; at the latest after some seconds.
    Close(ConnectionId),
    /// Do this durably, then call [`Broker::stored`](super::Broker::stored). The terminal is answered only then.
    Store(RequestId, StoreOperation),
    /// Join the two connections, each of which has had its preamble taken off: what comes from one goes to the other.
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
    /// For the log.
    Log(LogRecord),
}

/// What has to be on disk before the terminal is answered. Operations are done, and their outcomes told, in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Atomically use the ticket up, bind the key to the identifier, and bind it to each entry for this identifier in any terminal's list that
    /// has no key yet. [`Stored::Refused`] if the ticket is unknown, used or another identifier's, or if another key is bound.
    Enrol {
        /// Who enrols.
        identifier: Name,
        /// SHA-256 of the ticket, as [`digest_of_ticket`](super::digest_of_ticket) makes it.
        ticket_digest: [u8; 32],
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
        /// The whole list, in the order of the identifiers' bytes. An entry without key is bound to the key that is enrolled for it now, if any.
        list: Vec<(Name, Option<PublicKey>)>,
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
    /// Queries in flight.
    pub queries: usize,
    /// Grants that have not ended.
    pub grants: usize,
    /// Lanes and tunnels, waiting and joined.
    pub lanes: usize,
}
