//! What comes out of a terminal besides bytes: small `Copy` values without borrows.

use crate::message::{Denial, DepositId};
use core::net::SocketAddr;
use core::num::NonZeroU32;

/// One connection. Numbers are not used again during a terminal's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub(super) NonZeroU32);

impl LinkId {
    /// The number itself, for tables and logs.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0.get()
    }

    /// The connection with this number, as [`Self::number`] gave it. One that never was is taken for one that is over.
    #[must_use]
    pub const fn from_number(number: u32) -> Self {
        match NonZeroU32::new(number) {
            Some(number) => Self(number),
            None => Self(NonZeroU32::MAX),
        }
    }
}

/// One session with another terminal. An id stays unknown once its session has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionId {
    pub(super) index: u8,
    pub(super) generation: u16,
}

impl SessionId {
    /// A number that tells sessions apart, for tables and logs.
    #[must_use]
    pub const fn number(self) -> u32 {
        (self.index as u32) << 16 | self.generation as u32
    }

    /// The session with this number, as [`Self::number`] gave it; `None` if no session has such a number.
    #[must_use]
    pub const fn from_number(number: u32) -> Option<Self> {
        let [high, index, _, _] = number.to_be_bytes();
        if high == 0 { Some(Self { index, generation: number as u16 }) } else { None }
    }
}

/// Where a connection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The broker's address, as the application knows it: the control link, relay lanes, tunnels.
    Broker,
    /// A callee's address and port.
    Address(SocketAddr),
}

/// What the application is told, in order. Take them by `poll_event` after every call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Open a connection, then say `link_opened` or `link_closed`.
    Connect {
        /// The connection's number from now on.
        link: LinkId,
        /// Where to.
        to: Destination,
    },
    /// Write what `poll_transmit` and `seal` gave before, then close it. Nothing is taken from it any more; `link_closed` need not be said.
    Close {
        /// The connection.
        link: LinkId,
    },
    /// Store what `blob` gives where it outlasts a reset, then say `persisted`.
    Persist,
    /// The control link is up and the broker knows this terminal.
    Online {
        /// The broker relays (without: V14).
        relay: bool,
    },
    /// The control link is down; it is tried again by itself unless the cause says otherwise.
    Offline {
        /// Why.
        cause: OfflineCause,
    },
    /// The broker has this terminal's list on disk (M5).
    Registered {
        /// The list's number.
        revision: u64,
    },
    /// The broker refused the list (M5).
    RegisterFailed {
        /// Its status code.
        status: u16,
    },
    /// The broker's answer to a change of a group (V4): 200, it has it on disk, or why not.
    GroupAnswered {
        /// Its status code.
        status: u16,
    },
    /// The broker has this terminal's address (M23).
    AddressKnown,
    /// The broker asked whether this terminal is free (M15), and this was the answer (M16).
    Asked {
        /// Free.
        acceptable: bool,
    },
    /// The broker announced a caller (M12). The session waits for it until the grant ends.
    Expected {
        /// The session.
        session: SessionId,
    },
    /// The broker announced a caller that this terminal's own list or pins don't allow; it was refused.
    Unexpected {
        /// Its key is not the pinned one.
        key_changed: bool,
    },
    /// A connection was refused; for the log.
    Refused {
        /// Why.
        refusal: Refusal,
    },
    /// The broker said yes, go on (M7).
    Permitted {
        /// The session.
        session: SessionId,
    },
    /// The broker told the callee's address (M11).
    Granted {
        /// The session.
        session: SessionId,
    },
    /// No direct connection came about: the session goes on through the broker.
    Tunnelling {
        /// The session.
        session: SessionId,
    },
    /// The peer link is up: each end has proven itself to the other (S1109, S1312).
    Connected {
        /// The session.
        session: SessionId,
        /// Through the broker.
        tunnel: bool,
    },
    /// The call came to nothing. The session is gone.
    Denied {
        /// The session.
        session: SessionId,
        /// Who denied it and why.
        denial: Denied,
        /// Try again after so many seconds, if the broker said so.
        retry_after: Option<u32>,
    },
    /// The callee can't be reached now, but the broker would keep up to `most` bytes for it (M19): answer with `deposit` or `decline_deposit`. Without an
    /// answer within a minute it is declined.
    DepositOffered {
        /// The session.
        session: SessionId,
        /// The largest recording that would be kept, bytes.
        most: u64,
    },
    /// The broker has stored so many bytes of the deposit. Where `seal_part` said `NotYet`, go on.
    DepositKept {
        /// The session.
        session: SessionId,
        /// Bytes of the recording, from its beginning.
        offset: u64,
    },
    /// The broker has stored the whole deposit, and keeps it for the callee. `Closed` follows.
    Deposited {
        /// The session.
        session: SessionId,
        /// The deposit's number.
        deposit: DepositId,
    },
    /// The callee has what was deposited.
    DepositCollected {
        /// The deposit's number.
        deposit: DepositId,
    },
    /// The broker keeps a deposit no longer, and the callee does not have it: its time is up, the callee doesn't want it, or the broker lost it. A number that
    /// the application doesn't know is to be passed over.
    DepositDropped {
        /// The deposit's number.
        deposit: DepositId,
    },
    /// That was the answer to `list_deposits`: every [`Step::Deposit`](super::Step::Deposit) has come, unless the status is another than 200.
    DepositsListed {
        /// The broker's status code.
        status: u16,
    },
    /// The answer to `withdraw_deposit`, or to the like that this terminal said of what the broker keeps otherwise than it was sent: with status 200 the broker
    /// keeps it no longer.
    DepositWithdrawn {
        /// The deposit's number.
        deposit: DepositId,
        /// The broker's status code.
        status: u16,
    },
    /// A permitted caller has deposited something (M21): it is collected once this terminal is free.
    DepositWaiting {
        /// The deposit's number.
        deposit: DepositId,
        /// Bytes of the recording.
        size: u64,
    },
    /// A deposit is being collected (M22): as with `Expected`, `Offered` follows, or the end. `peer` tells whose it is.
    Collecting {
        /// The session.
        session: SessionId,
    },
    /// The other end wants to send: see `offered`, answer with `accept` or `refuse`.
    Offered {
        /// The session.
        session: SessionId,
    },
    /// The other end asks for a recording, or for the list of them: see `wanted`, answer with `offer` or `refuse`. Only if `share` allows it.
    Wanted {
        /// The session.
        session: SessionId,
    },
    /// The other end takes the recording and all lanes are up: send from `offset`.
    Ready {
        /// The session.
        session: SessionId,
        /// The first byte of the recording that the receiver lacks.
        offset: u64,
    },
    /// Every byte came, and the lanes' ends agree: store the recording, then say `stored`.
    Arrived {
        /// The session.
        session: SessionId,
        /// The recording's SHA-256, if the sender gave it.
        hash: Option<[u8; 32]>,
    },
    /// The receiver has stored the recording.
    Delivered {
        /// The session.
        session: SessionId,
    },
    /// The transfer is over without success; the session stays, unless it is a deposit's.
    TransferFailed {
        /// The session.
        session: SessionId,
        /// Why.
        failure: TransferFailure,
    },
    /// The session is over.
    Closed {
        /// The session.
        session: SessionId,
        /// Why.
        cause: ClosedCause,
    },
}

impl Event {
    /// The session that it is of.
    pub fn session(&self) -> Option<SessionId> {
        match *self {
            Self::Expected { session }
            | Self::Permitted { session }
            | Self::Granted { session }
            | Self::Tunnelling { session }
            | Self::Connected { session, .. }
            | Self::Denied { session, .. }
            | Self::DepositOffered { session, .. }
            | Self::DepositKept { session, .. }
            | Self::Deposited { session, .. }
            | Self::Collecting { session }
            | Self::Offered { session }
            | Self::Wanted { session }
            | Self::Ready { session, .. }
            | Self::Arrived { session, .. }
            | Self::Delivered { session }
            | Self::TransferFailed { session, .. }
            | Self::Closed { session, .. } => Some(session),
            _ => None,
        }
    }
}

/// Why the control link is down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfflineCause {
    /// No connection, or it was lost.
    Unreachable,
    /// What answers there is not the pinned broker.
    NotTheBroker,
    /// This terminal's key is not enrolled for its identifier, or the ticket is not valid. It is not tried again.
    NotEnrolled,
    /// The broker can't serve now, or said something malformed.
    Broker,
    /// Another link of this terminal listens now. It is not tried again.
    Displaced,
}

/// Who denied a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// The broker, by M8, M9 or M10.
    Broker(Denial),
    /// The callee, by M8's text in its answer (M14).
    Callee,
    /// The callee's key is not the one that this terminal pinned.
    KeyChanged,
    /// Neither the callee's addresses nor a tunnel led to it.
    Unreachable,
    /// There was no answer in time, or the control link went down meanwhile.
    NoAnswer,
    /// What answered at the callee's address could not prove to be the callee.
    NotTheCallee,
}

/// Why a connection to this terminal was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It did not open with a preamble of ours, or not in time.
    Preamble,
    /// Its handle names no grant, or one that is used or over.
    UnknownGrant,
    /// Its token names no lane.
    UnknownToken,
    /// Its handshake doesn't fit the grant: wrong key, wrong Encrypt Key, or garbage.
    Handshake,
    /// Its identifier or password is not the grant's (S1303).
    Credentials,
    /// Its caller is no longer on the list, or must have another key now.
    NotPermitted,
}

/// Why a transfer ended without success.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransferFailure {
    /// The receiver refused it (M18).
    RefusedByReceiver,
    /// The broker refused to relay or to keep it (M18): too large, no relay, or a limit; or it broke a deposit off.
    RefusedByBroker,
    /// A lane could not be opened.
    LaneUnreachable,
    /// A lane was lost before its end.
    LaneLost,
    /// What arrived is not what was sent: altered, or the ends disagree. Both ends are told.
    Damaged,
    /// The other end could not go on.
    OtherEnd,
    /// The application gave up.
    Abandoned,
    /// Nothing moved for too long.
    Idle,
    /// The other end shares nothing, or can't send now what was asked for.
    FetchRefused,
    /// The other end has no such recording for this terminal.
    NoSuchRecording,
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClosedCause {
    /// The application closed it.
    Here,
    /// The other end closed it, or its connection was lost.
    OtherEnd,
    /// The grant was withdrawn: the list changed, or a key was revoked.
    Withdrawn,
    /// Nobody came, or nothing moved, in time.
    Idle,
    /// The other end broke the protocol.
    Protocol,
}
