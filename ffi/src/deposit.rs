//! Store and forward (P10, P11).

use crate::lists::padded;
use crate::memory::{Out, array, bytes, bytes_mut, code, shared, text};
use crate::result::*;
use crate::terminal::{Held, with};
use crate::transfer::{frame_code, in_turn, p2pgate_frame_t};
use core::ffi::c_char;
use p2pgate::link::MAX_PART_HEADER;
use p2pgate::terminal::{AskError, Deposit, DepositError, SessionId};

/// Bytes of room that are always enough for p2pgate_terminal_seal_part. A terminal whose max_frame is smaller than this less 4 takes no part in deposits.
pub const P2PGATE_MAX_PART_HEADER: usize = 444;

const _: () = assert!(MAX_PART_HEADER == P2PGATE_MAX_PART_HEADER);

/// After P2PGATE_EVENT_DEPOSIT_OFFERED: has the broker keep a recording of `size` bytes for the callee (the yes to M19); P2PGATE_EVENT_READY says where to
/// begin. All of it is of the class sealed. `source`, 8 to P2PGATE_MAX_SOURCE bytes, names the source's state, so that a deposit of the same that was broken
/// off goes on; its length may be 0. `hash` other than 0: the end will carry the recording's SHA-256.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_SOURCE, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_deposit(
    terminal: *mut u64,
    session: u32,
    size: u64,
    source: *const u8,
    source_length: usize,
    hash: u32,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let source = bytes(source, source_length)?;
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_OUT_OF_TURN)?;
            let deposit = Deposit { size, source, hash: hash != 0 };
            held.terminal.deposit(session, &deposit, now).map_err(|error| match error {
                DepositError::OutOfTurn => P2PGATE_E_OUT_OF_TURN,
                DepositError::Source => P2PGATE_E_SOURCE,
            })
        })
    }
}

/// After P2PGATE_EVENT_DEPOSIT_OFFERED: the no to M19; P2PGATE_EVENT_DENIED follows.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_decline_deposit(
    terminal: *mut u64,
    session: u32,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.decline_deposit(session, now)) }
}

/// Where p2pgate_terminal_seal or p2pgate_terminal_seal_end said P2PGATE_E_PART_DUE: writes the next part's header to `buffer`, which has room for
/// P2PGATE_MAX_PART_HEADER bytes; `frame` as of p2pgate_terminal_seal. `name` is the recording's, for people: one path component of at most
/// P2PGATE_MAX_NAME bytes, the same for each part.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NO_LANE, P2PGATE_E_NAME,
/// P2PGATE_E_BUFFER, P2PGATE_E_TOO_LONG, P2PGATE_E_NOT_YET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_seal_part(
    terminal: *mut u64,
    session: u32,
    name: *const c_char,
    name_length: usize,
    buffer: *mut u8,
    length: usize,
    now: u64,
    frame: *mut p2pgate_frame_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let name = text(name, name_length)?;
            let (buffer, out) = (bytes_mut(buffer, length)?, Out::new(frame)?);
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_NO_LANE)?;
            let (link, range) = held.terminal.seal_part(session, name, buffer, now).map_err(frame_code)?;
            out.put(p2pgate_frame_t { range: range.into(), link: link.number() });
            Ok(())
        })
    }
}

/// Somebody who has deposited something for this terminal.
#[repr(C)]
pub struct p2pgate_depositor_t {
    /// Length of `identifier`, bytes, 1 to 128.
    pub identifier_length: u32,
    /// UTF-8; behind its length zeros, so NUL-terminated too.
    pub identifier: [u8; 132],
    /// The deposit's number.
    pub deposit: [u8; 16],
}

/// Who has deposited something that this terminal hasn't collected yet (P11), by a number from 0: one deposit of each caller; P2PGATE_NOTHING: there are no
/// more. Numbers hold until the next call that changes something.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_depositor(
    terminal: *const u64,
    index: usize,
    depositor: *mut p2pgate_depositor_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(depositor)?) };
        let (identifier, &deposit) = held.terminal.depositors().nth(index).ok_or(P2PGATE_NOTHING)?;
        let (identifier_length, identifier) = padded(identifier);
        out.put(p2pgate_depositor_t { identifier_length, identifier, deposit });
        Ok(())
    })())
}

const fn ask_code(error: AskError) -> p2pgate_result_t {
    match error {
        AskError::Offline => P2PGATE_E_OFFLINE,
        AskError::Busy => P2PGATE_E_BUSY,
    }
}

/// Asks the broker for this terminal's deposits: P2PGATE_STEP_DEPOSIT for each, then P2PGATE_EVENT_DEPOSITS_LISTED; P2PGATE_EVENT_OFFLINE ends it.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_list_deposits(terminal: *mut u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { with(terminal, |held| held.terminal.list_deposits().map_err(ask_code)) }
}

/// Takes back a deposit (16 bytes) of this terminal's, or declines for good one that was made for it: P2PGATE_EVENT_DEPOSIT_WITHDRAWN follows, or
/// P2PGATE_EVENT_OFFLINE.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_withdraw_deposit(
    terminal: *mut u64,
    deposit: *const u8,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { with(terminal, |held| held.terminal.withdraw_deposit(array(deposit)?).map_err(ask_code)) }
}

/// Tries again at once what could not be collected or was refused, instead of after the next connection to the broker.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_collect_again(terminal: *mut u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.collect_again();
            Ok(())
        })
    }
}
