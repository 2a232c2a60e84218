//! Events, flat.

use crate::memory::Out;
use crate::result::*;
use crate::terminal::with;
use crate::transport::p2pgate_address_t;
use p2pgate::message::Denial;
use p2pgate::terminal::{
    ClosedCause, Denied, Destination, Event, OfflineCause, Refusal, SessionId, TransferFailure,
};

/// Open a connection to `address`, or to the broker if its family is 0, then say link_opened or link_closed. Fields: link, address.
pub const P2PGATE_EVENT_CONNECT: u32 = 1;
/// Write what poll_transmit and seal gave before, then close the connection; link_closed need not be said. Fields: link.
pub const P2PGATE_EVENT_CLOSE: u32 = 2;
/// Store what p2pgate_terminal_blob gives where it outlasts a reset, then say p2pgate_terminal_persisted.
pub const P2PGATE_EVENT_PERSIST: u32 = 3;
/// The control link is up and the broker knows this terminal. Fields: flag: the broker relays.
pub const P2PGATE_EVENT_ONLINE: u32 = 4;
/// The control link is down; it is tried again by itself unless the cause says otherwise. Fields: cause: P2PGATE_OFFLINE_...
pub const P2PGATE_EVENT_OFFLINE: u32 = 5;
/// The broker has this terminal's list on disk (M5). Fields: number: the list's number.
pub const P2PGATE_EVENT_REGISTERED: u32 = 6;
/// The broker refused the list (M5). Fields: cause: the broker's status code.
pub const P2PGATE_EVENT_REGISTER_FAILED: u32 = 7;
/// The broker has this terminal's address (M23).
pub const P2PGATE_EVENT_ADDRESS_KNOWN: u32 = 8;
/// The broker asked whether this terminal is free (M15), and this was the answer (M16). Fields: flag: free.
pub const P2PGATE_EVENT_ASKED: u32 = 9;
/// The broker announced a caller (M12); the session waits for it. Fields: session.
pub const P2PGATE_EVENT_EXPECTED: u32 = 10;
/// The broker announced a caller that this terminal's list or pins don't allow; it was refused. Fields: flag: its key is not the pinned one.
pub const P2PGATE_EVENT_UNEXPECTED: u32 = 11;
/// A connection was refused; for the log. Fields: cause: P2PGATE_REFUSED_...
pub const P2PGATE_EVENT_REFUSED: u32 = 12;
/// The broker said yes, go on (M7). Fields: session.
pub const P2PGATE_EVENT_PERMITTED: u32 = 13;
/// The broker told the callee's address (M11). Fields: session.
pub const P2PGATE_EVENT_GRANTED: u32 = 14;
/// No direct connection came about: the session goes on through the broker. Fields: session.
pub const P2PGATE_EVENT_TUNNELLING: u32 = 15;
/// The peer link is up: each end has proven itself to the other. Fields: session; flag: through the broker.
pub const P2PGATE_EVENT_CONNECTED: u32 = 16;
/// The call came to nothing; the session is gone. Fields: session; cause: P2PGATE_DENIED_...; flag: number is seconds to wait before the next try.
pub const P2PGATE_EVENT_DENIED: u32 = 17;
/// The other end wants to send: see p2pgate_terminal_offered, answer with accept or refuse. Fields: session.
pub const P2PGATE_EVENT_OFFERED: u32 = 18;
/// The other end takes the recording and all lanes are up. Fields: session; number: send from this byte on.
pub const P2PGATE_EVENT_READY: u32 = 19;
/// Every byte came, and the lanes' ends agree: store the recording, then say stored or not_stored. Fields: session; flag: hash is its SHA-256.
pub const P2PGATE_EVENT_ARRIVED: u32 = 20;
/// The receiver has stored the recording. Fields: session.
pub const P2PGATE_EVENT_DELIVERED: u32 = 21;
/// The transfer is over without success; the session stays, unless it is a deposit's. Fields: session; cause: P2PGATE_FAILED_...
pub const P2PGATE_EVENT_TRANSFER_FAILED: u32 = 22;
/// The session is over. Fields: session; cause: P2PGATE_CLOSED_...
pub const P2PGATE_EVENT_CLOSED: u32 = 23;
/// The callee can't be reached now, but the broker would keep a recording for it (M19): answer with p2pgate_terminal_deposit or
/// p2pgate_terminal_decline_deposit; without an answer within a minute it is declined. Fields: session; number: the most bytes.
pub const P2PGATE_EVENT_DEPOSIT_OFFERED: u32 = 24;
/// The broker has stored so much of the deposit: where p2pgate_terminal_seal_part said P2PGATE_E_NOT_YET, go on. Fields: session; number: bytes.
pub const P2PGATE_EVENT_DEPOSIT_KEPT: u32 = 25;
/// The broker has stored the whole deposit and keeps it for the callee; P2PGATE_EVENT_CLOSED follows. Fields: session; deposit.
pub const P2PGATE_EVENT_DEPOSITED: u32 = 26;
/// The callee has what was deposited. Fields: deposit.
pub const P2PGATE_EVENT_DEPOSIT_COLLECTED: u32 = 27;
/// The broker keeps the deposit no longer, and the callee does not have it. Pass over a number that you don't know. Fields: deposit.
pub const P2PGATE_EVENT_DEPOSIT_DROPPED: u32 = 28;
/// That was the answer to p2pgate_terminal_list_deposits. Fields: cause: the broker's status code, 200 if all has come.
pub const P2PGATE_EVENT_DEPOSITS_LISTED: u32 = 29;
/// The answer to p2pgate_terminal_withdraw_deposit. Fields: deposit; cause: the broker's status code, 200 if it is done.
pub const P2PGATE_EVENT_DEPOSIT_WITHDRAWN: u32 = 30;
/// A permitted caller has deposited something (M21): it is collected once this terminal is free. Fields: deposit; number: bytes.
pub const P2PGATE_EVENT_DEPOSIT_WAITING: u32 = 31;
/// A deposit is being collected (M22): P2PGATE_EVENT_OFFERED follows, or the end. Fields: session.
pub const P2PGATE_EVENT_COLLECTING: u32 = 32;
/// The other end asks for a recording, or for the list of them: see p2pgate_terminal_wanted. Comes only after p2pgate_terminal_share. Fields: session.
pub const P2PGATE_EVENT_WANTED: u32 = 33;

/// The broker's answer to p2pgate_terminal_group. Fields: cause: the broker's status code, 200 if it has the group on disk.
pub const P2PGATE_EVENT_GROUP_ANSWERED: u32 = 40;

/// No connection, or it was lost.
pub const P2PGATE_OFFLINE_UNREACHABLE: u32 = 1;
/// What answers there is not the broker with the key given.
pub const P2PGATE_OFFLINE_NOT_THE_BROKER: u32 = 2;
/// This terminal's key is not enrolled for its identifier, or the ticket is not valid. It is not tried again.
pub const P2PGATE_OFFLINE_NOT_ENROLLED: u32 = 3;
/// The broker can't serve now, or said something malformed.
pub const P2PGATE_OFFLINE_BROKER: u32 = 4;
/// Another link of this terminal listens now. It is not tried again.
pub const P2PGATE_OFFLINE_DISPLACED: u32 = 5;

/// The connection did not open with a preamble of p2pgate's, or not in time.
pub const P2PGATE_REFUSED_PREAMBLE: u32 = 1;
/// Its handle names no grant, or one that is used or over.
pub const P2PGATE_REFUSED_UNKNOWN_GRANT: u32 = 2;
/// Its token names no lane.
pub const P2PGATE_REFUSED_UNKNOWN_TOKEN: u32 = 3;
/// Its handshake doesn't fit the grant.
pub const P2PGATE_REFUSED_HANDSHAKE: u32 = 4;
/// Its identifier or password is not the grant's.
pub const P2PGATE_REFUSED_CREDENTIALS: u32 = 5;
/// Its caller is no longer on the list.
pub const P2PGATE_REFUSED_NOT_PERMITTED: u32 = 6;

/// The broker: this terminal is not on the callee's list (M8).
pub const P2PGATE_DENIED_NOT_PERMITTED: u32 = 1;
/// The broker: the callee has no address (M9).
pub const P2PGATE_DENIED_NOT_FOUND: u32 = 2;
/// The broker: the callee is busy or out of reach (M10).
pub const P2PGATE_DENIED_NOT_CONNECTED: u32 = 3;
/// The callee itself said no (M14).
pub const P2PGATE_DENIED_CALLEE: u32 = 4;
/// The callee's key is not the one that this terminal pinned.
pub const P2PGATE_DENIED_KEY_CHANGED: u32 = 5;
/// Neither the callee's addresses nor a tunnel led to it.
pub const P2PGATE_DENIED_UNREACHABLE: u32 = 6;
/// There was no answer in time, or the control link went down meanwhile.
pub const P2PGATE_DENIED_NO_ANSWER: u32 = 7;
/// What answered at the callee's address could not prove to be the callee.
pub const P2PGATE_DENIED_NOT_THE_CALLEE: u32 = 8;

/// The receiver refused the transfer.
pub const P2PGATE_FAILED_REFUSED_BY_RECEIVER: u32 = 1;
/// The broker refused to relay or keep it: too large, it does not relay, or a limit; or it broke a deposit off.
pub const P2PGATE_FAILED_REFUSED_BY_BROKER: u32 = 2;
/// A lane could not be opened.
pub const P2PGATE_FAILED_LANE_UNREACHABLE: u32 = 3;
/// A lane was lost before its end.
pub const P2PGATE_FAILED_LANE_LOST: u32 = 4;
/// What arrived is not what was sent.
pub const P2PGATE_FAILED_DAMAGED: u32 = 5;
/// The other end could not go on.
pub const P2PGATE_FAILED_OTHER_END: u32 = 6;
/// The application gave up.
pub const P2PGATE_FAILED_ABANDONED: u32 = 7;
/// Nothing moved for too long.
pub const P2PGATE_FAILED_IDLE: u32 = 8;
/// The other end shares nothing, or can't send now what was asked for.
pub const P2PGATE_FAILED_FETCH_REFUSED: u32 = 9;
/// The other end has no such recording for this terminal.
pub const P2PGATE_FAILED_NO_SUCH_RECORDING: u32 = 10;

/// The application closed the session.
pub const P2PGATE_CLOSED_HERE: u32 = 1;
/// The other end closed it, or its connection was lost.
pub const P2PGATE_CLOSED_OTHER_END: u32 = 2;
/// The grant was withdrawn: the list changed, or a key was revoked.
pub const P2PGATE_CLOSED_WITHDRAWN: u32 = 3;
/// Nobody came, or nothing moved, in time.
pub const P2PGATE_CLOSED_IDLE: u32 = 4;
/// The other end broke the protocol.
pub const P2PGATE_CLOSED_PROTOCOL: u32 = 5;

/// What the application is told. Each P2PGATE_EVENT_... says which fields it uses; the others are 0.
#[repr(C)]
pub struct p2pgate_event_t {
    /// P2PGATE_EVENT_...; pass over kinds that you don't know.
    pub kind: u32,
    /// The connection's number; no number comes twice.
    pub link: u32,
    /// The session's number, which may be 0.
    pub session: u32,
    /// Why.
    pub cause: u32,
    /// 1 or 0.
    pub flag: u32,
    /// 0.
    pub reserved: u32,
    /// A number: bytes, seconds, or a list's.
    pub number: u64,
    /// Where to.
    pub address: p2pgate_address_t,
    /// A SHA-256.
    pub hash: [u8; 32],
    /// A deposit's number.
    pub deposit: [u8; 16],
}

/// The next event. Take them after every other call, until there are none: P2PGATE_NOTHING.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_poll_event(
    terminal: *mut u64,
    event: *mut p2pgate_event_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let out = Out::new(event)?;
            out.put(flat(held.terminal.poll_event().ok_or(P2PGATE_NOTHING)?));
            Ok(())
        })
    }
}

fn flat(event: Event) -> p2pgate_event_t {
    let mut flat = p2pgate_event_t {
        kind: 0,
        link: 0,
        session: event.session().map_or(0, SessionId::number),
        cause: 0,
        flag: 0,
        reserved: 0,
        number: 0,
        address: p2pgate_address_t::NONE,
        hash: [0; 32],
        deposit: [0; 16],
    };
    flat.kind = match event {
        Event::Connect { link, to } => {
            flat.link = link.number();
            flat.address = match to {
                Destination::Broker => p2pgate_address_t::NONE,
                Destination::Address(address) => p2pgate_address_t::new(address),
            };
            P2PGATE_EVENT_CONNECT
        }
        Event::Close { link } => {
            flat.link = link.number();
            P2PGATE_EVENT_CLOSE
        }
        Event::Persist => P2PGATE_EVENT_PERSIST,
        Event::Online { relay } => {
            flat.flag = relay.into();
            P2PGATE_EVENT_ONLINE
        }
        Event::Offline { cause } => {
            flat.cause = offline(cause);
            P2PGATE_EVENT_OFFLINE
        }
        Event::Registered { revision } => {
            flat.number = revision;
            P2PGATE_EVENT_REGISTERED
        }
        Event::RegisterFailed { status } => {
            flat.cause = status.into();
            P2PGATE_EVENT_REGISTER_FAILED
        }
        Event::GroupAnswered { status } => {
            flat.cause = status.into();
            P2PGATE_EVENT_GROUP_ANSWERED
        }
        Event::AddressKnown => P2PGATE_EVENT_ADDRESS_KNOWN,
        Event::Asked { acceptable } => {
            flat.flag = acceptable.into();
            P2PGATE_EVENT_ASKED
        }
        Event::Expected { .. } => P2PGATE_EVENT_EXPECTED,
        Event::Unexpected { key_changed } => {
            flat.flag = key_changed.into();
            P2PGATE_EVENT_UNEXPECTED
        }
        Event::Refused { refusal } => {
            flat.cause = refused(refusal);
            P2PGATE_EVENT_REFUSED
        }
        Event::Permitted { .. } => P2PGATE_EVENT_PERMITTED,
        Event::Granted { .. } => P2PGATE_EVENT_GRANTED,
        Event::Tunnelling { .. } => P2PGATE_EVENT_TUNNELLING,
        Event::Connected { tunnel, .. } => {
            flat.flag = tunnel.into();
            P2PGATE_EVENT_CONNECTED
        }
        Event::Denied { denial, retry_after, .. } => {
            flat.cause = denied(denial);
            flat.flag = retry_after.is_some().into();
            flat.number = retry_after.unwrap_or(0).into();
            P2PGATE_EVENT_DENIED
        }
        Event::Offered { .. } => P2PGATE_EVENT_OFFERED,
        Event::Wanted { .. } => P2PGATE_EVENT_WANTED,
        Event::Ready { offset, .. } => {
            flat.number = offset;
            P2PGATE_EVENT_READY
        }
        Event::Arrived { hash, .. } => {
            flat.flag = hash.is_some().into();
            flat.hash = hash.unwrap_or([0; 32]);
            P2PGATE_EVENT_ARRIVED
        }
        Event::Delivered { .. } => P2PGATE_EVENT_DELIVERED,
        Event::TransferFailed { failure, .. } => {
            flat.cause = failed(failure);
            P2PGATE_EVENT_TRANSFER_FAILED
        }
        Event::DepositOffered { most, .. } => {
            flat.number = most;
            P2PGATE_EVENT_DEPOSIT_OFFERED
        }
        Event::DepositKept { offset, .. } => {
            flat.number = offset;
            P2PGATE_EVENT_DEPOSIT_KEPT
        }
        Event::Deposited { deposit, .. } => {
            flat.deposit = deposit;
            P2PGATE_EVENT_DEPOSITED
        }
        Event::DepositCollected { deposit } => {
            flat.deposit = deposit;
            P2PGATE_EVENT_DEPOSIT_COLLECTED
        }
        Event::DepositDropped { deposit } => {
            flat.deposit = deposit;
            P2PGATE_EVENT_DEPOSIT_DROPPED
        }
        Event::DepositsListed { status } => {
            flat.cause = status.into();
            P2PGATE_EVENT_DEPOSITS_LISTED
        }
        Event::DepositWithdrawn { deposit, status } => {
            flat.deposit = deposit;
            flat.cause = status.into();
            P2PGATE_EVENT_DEPOSIT_WITHDRAWN
        }
        Event::DepositWaiting { deposit, size } => {
            flat.deposit = deposit;
            flat.number = size;
            P2PGATE_EVENT_DEPOSIT_WAITING
        }
        Event::Collecting { .. } => P2PGATE_EVENT_COLLECTING,
        Event::Closed { cause, .. } => {
            flat.cause = closed(cause);
            P2PGATE_EVENT_CLOSED
        }
    };
    flat
}

const fn offline(cause: OfflineCause) -> u32 {
    match cause {
        OfflineCause::Unreachable => P2PGATE_OFFLINE_UNREACHABLE,
        OfflineCause::NotTheBroker => P2PGATE_OFFLINE_NOT_THE_BROKER,
        OfflineCause::NotEnrolled => P2PGATE_OFFLINE_NOT_ENROLLED,
        OfflineCause::Broker => P2PGATE_OFFLINE_BROKER,
        OfflineCause::Displaced => P2PGATE_OFFLINE_DISPLACED,
    }
}

const fn refused(refusal: Refusal) -> u32 {
    match refusal {
        Refusal::Preamble => P2PGATE_REFUSED_PREAMBLE,
        Refusal::UnknownGrant => P2PGATE_REFUSED_UNKNOWN_GRANT,
        Refusal::UnknownToken => P2PGATE_REFUSED_UNKNOWN_TOKEN,
        Refusal::Handshake => P2PGATE_REFUSED_HANDSHAKE,
        Refusal::Credentials => P2PGATE_REFUSED_CREDENTIALS,
        Refusal::NotPermitted => P2PGATE_REFUSED_NOT_PERMITTED,
    }
}

const fn denied(denial: Denied) -> u32 {
    match denial {
        Denied::Broker(Denial::NotPermitted) => P2PGATE_DENIED_NOT_PERMITTED,
        Denied::Broker(Denial::NotFound) => P2PGATE_DENIED_NOT_FOUND,
        Denied::Broker(Denial::NotConnected) => P2PGATE_DENIED_NOT_CONNECTED,
        Denied::Callee => P2PGATE_DENIED_CALLEE,
        Denied::KeyChanged => P2PGATE_DENIED_KEY_CHANGED,
        Denied::Unreachable => P2PGATE_DENIED_UNREACHABLE,
        Denied::NoAnswer => P2PGATE_DENIED_NO_ANSWER,
        Denied::NotTheCallee => P2PGATE_DENIED_NOT_THE_CALLEE,
    }
}

const fn failed(failure: TransferFailure) -> u32 {
    match failure {
        TransferFailure::RefusedByReceiver => P2PGATE_FAILED_REFUSED_BY_RECEIVER,
        TransferFailure::RefusedByBroker => P2PGATE_FAILED_REFUSED_BY_BROKER,
        TransferFailure::LaneUnreachable => P2PGATE_FAILED_LANE_UNREACHABLE,
        TransferFailure::LaneLost => P2PGATE_FAILED_LANE_LOST,
        TransferFailure::Damaged => P2PGATE_FAILED_DAMAGED,
        TransferFailure::OtherEnd => P2PGATE_FAILED_OTHER_END,
        TransferFailure::Abandoned => P2PGATE_FAILED_ABANDONED,
        TransferFailure::Idle => P2PGATE_FAILED_IDLE,
        TransferFailure::FetchRefused => P2PGATE_FAILED_FETCH_REFUSED,
        TransferFailure::NoSuchRecording => P2PGATE_FAILED_NO_SUCH_RECORDING,
    }
}

const fn closed(cause: ClosedCause) -> u32 {
    match cause {
        ClosedCause::Here => P2PGATE_CLOSED_HERE,
        ClosedCause::OtherEnd => P2PGATE_CLOSED_OTHER_END,
        ClosedCause::Withdrawn => P2PGATE_CLOSED_WITHDRAWN,
        ClosedCause::Idle => P2PGATE_CLOSED_IDLE,
        ClosedCause::Protocol => P2PGATE_CLOSED_PROTOCOL,
    }
}
