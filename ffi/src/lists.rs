//! The list of permitted terminals (P2), groups (V4), and a domain name for an address (V3).

use crate::memory::{Out, Outcome, array, bytes_mut, code, shared, text, values};
use crate::result::*;
use crate::terminal::{Held, identifier, with};
use crate::transfer::p2pgate_frame_t;
use crate::transport::transmit_code;
use core::ffi::c_char;
use p2pgate::identifier::Identifier;
use p2pgate::link::PublicKey;
use p2pgate::terminal::{AnnounceError, Entries, GroupError, SessionId};

/// Longest identifier, bytes.
pub const P2PGATE_MAX_IDENTIFIER: usize = 128;

/// A terminal on the list, as the application gives it.
#[repr(C)]
pub struct p2pgate_entry_t {
    /// UTF-8, 1 to 128 bytes.
    pub identifier: *const c_char,
    /// Length of `identifier`, bytes.
    pub identifier_length: usize,
    /// The public key (32 bytes) that it must have, or NULL: first use pins.
    pub key: *const u8,
}

/// A terminal, as the library tells it.
#[repr(C)]
pub struct p2pgate_peer_t {
    /// Length of `identifier`, bytes, 1 to 128.
    pub identifier_length: u32,
    /// Its key is known: 1, else 0.
    pub has_key: u32,
    /// UTF-8; behind its length zeros, so NUL-terminated too.
    pub identifier: [u8; 132],
    /// Its public key, or zeros.
    pub key: [u8; 32],
}

/// An identifier's length and its bytes with zeros behind them.
pub(crate) fn padded(identifier: &Identifier) -> (u32, [u8; 132]) {
    let mut text = [0; 132];
    for (place, &byte) in text.iter_mut().zip(identifier.as_str().as_bytes()) {
        *place = byte;
    }
    (identifier.as_str().len() as u32, text) // at most 128
}

impl p2pgate_peer_t {
    pub(crate) fn new(identifier: &Identifier, key: Option<&PublicKey>) -> Self {
        let (identifier_length, identifier) = padded(identifier);
        Self {
            identifier_length,
            has_key: key.is_some().into(),
            identifier,
            key: key.map_or([0; 32], |key| *key.as_bytes()),
        }
    }
}

/// Entries where C keeps them; each was checked.
struct Given<'a>(&'a [p2pgate_entry_t]);

impl<'a> Given<'a> {
    /// # Safety
    /// As [`values`], and so are the pointers in them for as long as this is used.
    unsafe fn new(entries: *const p2pgate_entry_t, count: usize) -> Outcome<Self> {
        // SAFETY: the caller's promise.
        let given = Self(unsafe { values(entries, count) }?);
        for entry in given.0 {
            read(entry)?;
        }
        Ok(given)
    }
}

fn read(entry: &p2pgate_entry_t) -> Outcome<(Identifier, Option<PublicKey>)> {
    // SAFETY: promised at `Given::new`.
    unsafe {
        let identifier = identifier(entry.identifier, entry.identifier_length)?;
        let key = if entry.key.is_null() { None } else { Some(PublicKey::new(*array(entry.key)?)) };
        Ok((identifier, key))
    }
}

impl Entries for Given<'_> {
    fn count(&self) -> usize {
        self.0.len()
    }

    fn entry(&self, index: usize) -> Option<(Identifier, Option<PublicKey>)> {
        self.0.get(index).and_then(|entry| read(entry).ok())
    }
}

/// Makes `entries` the list of permitted terminals: these and no others (M1). An event P2PGATE_EVENT_PERSIST follows; sessions of callers that are not on it
/// end.
///
/// Errors, with the list as it was: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER,
/// P2PGATE_E_LIST_FULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_permit_create(
    terminal: *mut u64,
    entries: *const p2pgate_entry_t,
    count: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { permit(terminal, true, (entries, count), (core::ptr::null(), 0)) }
}

/// Puts `add` on the list of permitted terminals, then strikes `remove` off it (M2, M3, M4); of `remove` the identifiers count. An event
/// P2PGATE_EVENT_PERSIST follows; sessions of callers that were struck off end.
///
/// Errors: as p2pgate_terminal_permit_create.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_permit(
    terminal: *mut u64,
    add: *const p2pgate_entry_t,
    add_count: usize,
    remove: *const p2pgate_entry_t,
    remove_count: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { permit(terminal, false, (add, add_count), (remove, remove_count)) }
}

/// # Safety
/// As [`with`] and [`Given::new`].
unsafe fn permit(
    terminal: *mut u64,
    replace: bool,
    add: (*const p2pgate_entry_t, usize),
    remove: (*const p2pgate_entry_t, usize),
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (add, remove) = (Given::new(add.0, add.1)?, Given::new(remove.0, remove.1)?);
            held.terminal.permit_entries(replace, &add, &remove).map_err(|_| P2PGATE_E_LIST_FULL)
        })
    }
}

/// Tells the broker who is in a group of this terminal's (V4): puts `add` into it, then takes `remove` out; `replace` other than 0: `add` becomes the group, and
/// without anybody in `add` the group ends. `group` is this terminal's identifier, `/` and a name; of the entries the identifiers count. Writes to `buffer` and
/// gives in `frame` what to write to which link, whole, before what p2pgate_terminal_poll_transmit gives for that link next. P2PGATE_EVENT_GROUP_ANSWERED
/// follows, or P2PGATE_EVENT_OFFLINE. Nothing of it is stored here.
///
/// Errors, with nothing said: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT (also: nobody to add or remove), P2PGATE_E_TEXT,
/// P2PGATE_E_IDENTIFIER, P2PGATE_E_OFFLINE, P2PGATE_E_BUSY (the last answer has not come), P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_group(
    terminal: *mut u64,
    group: *const c_char,
    group_length: usize,
    replace: u32,
    add: *const p2pgate_entry_t,
    add_count: usize,
    remove: *const p2pgate_entry_t,
    remove_count: usize,
    buffer: *mut u8,
    length: usize,
    frame: *mut p2pgate_frame_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let group = identifier(group, group_length)?;
            let (add, remove) = (Given::new(add, add_count)?, Given::new(remove, remove_count)?);
            let (buffer, out) = (bytes_mut(buffer, length)?, Out::new(frame)?);
            let said = held.terminal.group(&group, replace != 0, &add, &remove, buffer);
            let (link, length) = said.map_err(|error| match error {
                GroupError::Offline => P2PGATE_E_OFFLINE,
                GroupError::Busy => P2PGATE_E_BUSY,
                GroupError::Empty => P2PGATE_E_ARGUMENT,
                GroupError::Transmit(error) => transmit_code(error),
            })?;
            out.put(p2pgate_frame_t { range: (0..length).into(), link: link.number() });
            Ok(())
        })
    }
}

/// Tells a domain name (UTF-8, `name_length` bytes) and a port that stand in for this terminal's address (V3), instead of p2pgate_terminal_listen_at: the broker
/// looks it up when a caller wants it. Writes to `buffer` and gives in `frame` what to write to which link, as p2pgate_terminal_group does;
/// P2PGATE_EVENT_ADDRESS_KNOWN follows. Nothing of it is stored here: say it again after each P2PGATE_EVENT_ONLINE.
///
/// Errors, with nothing said: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NAME (it is none),
/// P2PGATE_E_OFFLINE, P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_announce(
    terminal: *mut u64,
    name: *const c_char,
    name_length: usize,
    port: u16,
    buffer: *mut u8,
    length: usize,
    frame: *mut p2pgate_frame_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let name = text(name, name_length)?;
            let (buffer, out) = (bytes_mut(buffer, length)?, Out::new(frame)?);
            let (link, length) = held.terminal.announce(name, port, buffer).map_err(|error| match error {
                AnnounceError::Offline => P2PGATE_E_OFFLINE,
                AnnounceError::Name => P2PGATE_E_NAME,
                AnnounceError::Transmit(error) => transmit_code(error),
            })?;
            out.put(p2pgate_frame_t { range: (0..length).into(), link: link.number() });
            Ok(())
        })
    }
}

/// The terminal on the list with this number, from 0; P2PGATE_NOTHING: there are no more. Numbers hold until the next call that changes something.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_permitted(
    terminal: *const u64,
    index: usize,
    peer: *mut p2pgate_peer_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(peer)?) };
        let (identifier, key) = held.terminal.permitted().nth(index).ok_or(P2PGATE_NOTHING)?;
        out.put(p2pgate_peer_t::new(identifier, key));
        Ok(())
    })())
}

/// Writes 1 to `admitted` if the list and the pins, as they are now, allow a session that this terminal is the callee or the collector of, by the caller's own
/// entry or that of the group by which it came; else, and if there is no such session, 0. For those who restore a list that another program has stored while
/// there are sessions: close those that are not; p2pgate_terminal_permit ends by itself what must end.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_is_admitted(
    terminal: *mut u64,
    session: u32,
    admitted: *mut u32,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let out = Out::new(admitted)?;
            let session = SessionId::from_number(session);
            out.put(session.is_some_and(|session| held.terminal.is_admitted(session)).into());
            Ok(())
        })
    }
}
