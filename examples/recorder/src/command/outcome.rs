//! What the terminal's words mean for the user: exit code, what happened, what to do.

use p2pgate::message::Denial;
use p2pgate::terminal::{ClosedCause, Denied, OfflineCause, Refusal, TransferFailure};

use crate::failure::{Code, Failure};

/// The control link is down.
pub fn offline(cause: OfflineCause, broker: &str) -> Failure {
    let (code, text) = match cause {
        OfflineCause::Unreachable => (
            Code::Broker,
            format!(
                "the broker at {broker} is out of reach: check its address, the network, and that it runs"
            ),
        ),
        OfflineCause::NotTheBroker => (
            Code::Broker,
            format!(
                "what answers at {broker} is not the broker with the pinned key: check the address; if the broker has a new key, enrol anew"
            ),
        ),
        OfflineCause::NotEnrolled => (
            Code::NotPermitted,
            format!(
                "the broker at {broker} does not know this recorder's key, or the ticket is used up: ask its operator for a ticket and enrol with init"
            ),
        ),
        OfflineCause::Broker => (
            Code::Broker,
            format!("the broker at {broker} cannot serve now: try again later or ask its operator"),
        ),
        OfflineCause::Displaced => (
            Code::Local,
            "another receive with this recorder's key took over: end it, or copy no state folders".to_owned(),
        ),
    };
    Failure::new(code, text)
}

/// A call came to nothing.
pub fn denied(denial: Denied, callee: &str, retry_after: Option<u32>) -> Failure {
    let later = match retry_after {
        Some(seconds) => format!("try again in {seconds} s"),
        None => "try again later".to_owned(),
    };
    let (code, text) = match denial {
        Denied::Broker(Denial::NotPermitted) => (
            Code::NotPermitted,
            format!(
                "{callee} does not permit this recorder, or there is no {callee}: check the name, and have its owner allow this recorder"
            ),
        ),
        Denied::Broker(Denial::NotFound) => (
            Code::NoAddress,
            format!(
                "{callee} permits this recorder but has never told the broker where it is: have its owner run receive once"
            ),
        ),
        Denied::Broker(Denial::NotConnected) => {
            (Code::NotReachable, format!("{callee} is switched off, busy or out of reach: {later}"))
        }
        Denied::Callee => {
            (Code::NotPermitted, format!("{callee} refused this recorder: have its owner allow it"))
        }
        Denied::KeyChanged => (
            Code::NotPermitted,
            format!(
                "{callee} has another key than before: ask its owner, and confirm with allow --add '{callee}=FINGERPRINT'"
            ),
        ),
        Denied::Unreachable => (
            Code::NotReachable,
            format!(
                "{callee} is out of reach, directly and through the broker: {later}, or check its network"
            ),
        ),
        Denied::NoAnswer => {
            (Code::NotReachable, format!("there was no answer in time about {callee}: {later}"))
        }
        Denied::NotTheCallee => (
            Code::NotReachable,
            format!(
                "what answers at {callee}'s address is not {callee}: have its owner check the address it announces"
            ),
        ),
    };
    Failure::new(code, text)
}

/// A transfer ended without success; `true` if going on later may help.
pub fn transfer(failure: TransferFailure, callee: &str) -> (Failure, bool) {
    let (code, again, text) = match failure {
        TransferFailure::RefusedByReceiver => {
            (Code::Refused, false, format!("{callee} refused the recording: it has no room for it, cannot write it, or is taking it already; try again later, or have its owner look at its disk"))
        }
        TransferFailure::RefusedByBroker => (
            Code::Refused,
            false,
            "the broker refused to relay this much: send it direct (--as auto) or ask its operator for a larger limit".to_owned(),
        ),
        TransferFailure::LaneUnreachable => {
            (Code::NotReachable, true, format!("a connection for the data to {callee} could not be opened: check the network and try again"))
        }
        TransferFailure::LaneLost => {
            (Code::NotReachable, true, format!("the connection to {callee} was lost: send again, it goes on where it stopped"))
        }
        TransferFailure::Damaged => {
            (Code::Damaged, true, format!("what reached {callee} is not what was sent: send again"))
        }
        TransferFailure::OtherEnd => {
            (Code::Refused, true, format!("{callee} could not take or store the recording: ask its owner to look at its disk, then send again"))
        }
        TransferFailure::Abandoned => (Code::Local, false, "the transfer was given up here: send again".to_owned()),
        TransferFailure::Idle => {
            (Code::NotReachable, true, format!("nothing moved for too long on the way to {callee}: send again, it goes on where it stopped"))
        }
        TransferFailure::FetchRefused | TransferFailure::NoSuchRecording => return fetch(failure, callee),
    };
    (Failure::new(code, text), again)
}

/// What was asked for didn't come; `true` if going on later may help.
pub fn fetch(failure: TransferFailure, from: &str) -> (Failure, bool) {
    let (code, again, text) = match failure {
        TransferFailure::FetchRefused => (
            Code::Refused,
            false,
            format!(
                "{from} shares nothing, or can't send it now: have its owner run receive --share, or try again later"
            ),
        ),
        TransferFailure::NoSuchRecording => (
            Code::Refused,
            false,
            format!("{from} shares no recording of that name: see list --from '{from}'"),
        ),
        TransferFailure::RefusedByReceiver | TransferFailure::RefusedByBroker | TransferFailure::OtherEnd => {
            (
                Code::Refused,
                true,
                format!(
                    "{from} could not send it: its file changed or cannot be read, or the broker refused to relay as much; ask its owner, then fetch again"
                ),
            )
        }
        TransferFailure::LaneUnreachable | TransferFailure::LaneLost | TransferFailure::Idle => (
            Code::NotReachable,
            true,
            format!(
                "the connection for the data from {from} failed: check the network and fetch again, it goes on where it stopped"
            ),
        ),
        TransferFailure::Damaged => {
            (Code::Damaged, true, format!("what came from {from} is not what was sent: fetch again"))
        }
        TransferFailure::Abandoned => (
            Code::Local,
            false,
            "it could not be written here: look at the disk, then fetch again".to_owned(),
        ),
    };
    (Failure::new(code, text), again)
}

/// The broker doesn't keep a recording.
pub fn deposit_refused() -> Failure {
    Failure::new(
        Code::Refused,
        "the broker refused to keep the recording: it is too large, or too much is kept already; make room by deposits --withdraw, or try again later",
    )
}

/// A session ended in the middle; `true` if going on later may help.
pub fn closed(cause: ClosedCause, callee: &str) -> (Failure, bool) {
    let (code, again, text) = match cause {
        ClosedCause::Withdrawn => (
            Code::NotPermitted,
            false,
            format!("{callee} no longer permits this recorder: have its owner allow it, then send again"),
        ),
        ClosedCause::Protocol => (
            Code::NotReachable,
            false,
            format!("{callee} said something that makes no sense: update both recorders"),
        ),
        ClosedCause::Here | ClosedCause::OtherEnd | ClosedCause::Idle => (
            Code::NotReachable,
            true,
            format!("the connection to {callee} was lost: send again, it goes on where it stopped"),
        ),
    };
    (Failure::new(code, text), again)
}

/// Why a connection was refused here, for the log.
pub fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::Preamble => "it didn't open as a recorder does, or not in time",
        Refusal::UnknownGrant => "the broker has announced no such caller, or its time is over",
        Refusal::UnknownToken => "it belongs to no transfer",
        Refusal::Handshake => "its caller hasn't the key that the broker announced",
        Refusal::Credentials => "its caller's identifier or password is not what the broker announced",
        Refusal::NotPermitted => "its caller is no longer on the list",
    }
}
