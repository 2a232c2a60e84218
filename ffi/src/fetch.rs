//! One end asks, the other sends.

use crate::memory::{Out, code, shared, text};
use crate::result::*;
use crate::terminal::{Held, with};
use core::ffi::c_char;
use p2pgate::terminal::{FetchError, SessionId};

/// What the other end asks for.
#[repr(C)]
pub struct p2pgate_wanted_t {
    /// Length of `name`, bytes; 0: the list of recordings is wanted, in a form that the applications agree on.
    pub name_length: u32,
    /// 0.
    pub reserved: u32,
    /// The recording's name: one path component, UTF-8; behind its length zeros, so NUL-terminated too. Not yet checked for what a file system makes of it.
    pub name: [u8; 256],
}

/// Whether other terminals may ask this one for recordings (P2PGATE_EVENT_WANTED): `share` other than 0. At first they may not: they are refused.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_share(terminal: *mut u64, share: u32) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.share(share != 0);
            Ok(())
        })
    }
}

/// Asks the other end for a recording of this name, or, with the length 0, for the list of its recordings. Either end may, once P2PGATE_EVENT_CONNECTED
/// came; P2PGATE_EVENT_OFFERED follows, or P2PGATE_EVENT_TRANSFER_FAILED.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NOT_OPEN, P2PGATE_E_BUSY, P2PGATE_E_NAME.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_fetch(
    terminal: *mut u64,
    session: u32,
    name: *const c_char,
    name_length: usize,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let name = Some(text(name, name_length)?).filter(|name| !name.is_empty());
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_NOT_OPEN)?;
            held.terminal.fetch(session, name, now).map_err(|error| match error {
                FetchError::NotOpen => P2PGATE_E_NOT_OPEN,
                FetchError::Busy => P2PGATE_E_BUSY,
                FetchError::Name => P2PGATE_E_NAME,
            })
        })
    }
}

/// What the other end asks for, after P2PGATE_EVENT_WANTED: answer with p2pgate_terminal_offer (under the name that is wanted; the list: any) or
/// p2pgate_terminal_refuse. P2PGATE_NOTHING: nothing, or there is no such session.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_wanted(
    terminal: *const u64,
    session: u32,
    wanted: *mut p2pgate_wanted_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(wanted)?) };
        let session = SessionId::from_number(session).ok_or(P2PGATE_NOTHING)?;
        let wanted = held.terminal.wanted(session).ok_or(P2PGATE_NOTHING)?;
        let name = wanted.name.unwrap_or_default();
        let mut flat = p2pgate_wanted_t { name_length: name.len() as u32, reserved: 0, name: [0; 256] }; // at most 255
        flat.name.iter_mut().zip(name.bytes()).for_each(|(place, byte)| *place = byte);
        out.put(flat);
        Ok(())
    })())
}
