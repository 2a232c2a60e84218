//! A terminal in the caller's storage: made, configured, ended.

use crate::gate::gate;
use crate::memory::{
    Object, Out, Outcome, array, bytes, bytes_mut, code, live, place, shared, text, usable, value, values,
    wipe,
};
use crate::result::*;
use crate::sframe::suite_of;
use crate::transport::{address_of, p2pgate_address_t};
use core::ffi::c_char;
use p2pgate::identifier::Identifier;
use p2pgate::link::{MaxRecord, PublicKey, SecretKey};
use p2pgate::terminal::{BlobTooSmall, Config, Peer, RestoreError, Session, TerminalOver, blob_size};
use zeroize::Zeroize;

/// Words of a terminal besides its places; see P2PGATE_TERMINAL_WORDS.
pub const P2PGATE_CORE_WORDS: usize = 258;
/// Words of a place for a session; see P2PGATE_TERMINAL_WORDS.
pub const P2PGATE_SESSION_WORDS: usize = 125;
/// Words of a place for a terminal that is known; see P2PGATE_TERMINAL_WORDS.
pub const P2PGATE_PEER_WORDS: usize = 23;

/// What a terminal is made with. Nothing of it is needed after p2pgate_terminal_init.
#[repr(C)]
pub struct p2pgate_config_t {
    /// sizeof(p2pgate_config_t).
    pub struct_size: usize,
    /// What it is called: UTF-8, 1 to 128 bytes.
    pub identifier: *const c_char,
    /// Length of `identifier`, bytes.
    pub identifier_length: usize,
    /// Its secret key, 32 random bytes that were made once and stored: its identity.
    pub secret_key: *const u8,
    /// The broker's public key, 32 bytes.
    pub broker_key: *const u8,
    /// The largest record that it takes, bytes, 512 to 65535: the input buffer for each control and peer link, less 2.
    pub max_record: u32,
    /// The largest frame that it takes, bytes, at least P2PGATE_MIN_FRAME: the input buffer for each lane, less 4.
    pub max_frame: u32,
    /// P2PGATE_SUITE_...: how it seals what it sends.
    pub suite: u32,
    /// Not 0: its control link takes the broker's questions and callers. One link of a terminal does.
    pub listen: u32,
    /// Not 0: callees may be on loopback. Only if the broker is.
    pub allow_loopback: u32,
    /// Busy while the load is at or over so many per cent; 0: always, over 100: never by load; up to 255.
    pub load_limit: u32,
    /// Free again once the load is so many points below `load_limit`; up to 255.
    pub load_hysteresis: u32,
    /// Busy while so many callers' sessions are open; up to 255.
    pub load_sessions: u32,
}

/// The smallest frame that a receiver may limit a sender to, bytes.
pub const P2PGATE_MIN_FRAME: u32 = 118;

const _: () = assert!(p2pgate::terminal::MIN_FRAME == P2PGATE_MIN_FRAME);

/// The terminal, and how much behind it is its places.
pub(crate) struct Held {
    pub(crate) terminal: TerminalOver<&'static mut [Session], &'static mut [Peer]>,
    sessions: usize,
    peers: usize,
}

impl Object for Held {
    const MAGIC: u64 = 0x7032_7067_7465_726d;
}

const _: () = assert!(size_of::<crate::memory::Slot<Held>>() <= P2PGATE_CORE_WORDS * 8);
const _: () = assert!(size_of::<Session>() <= P2PGATE_SESSION_WORDS * 8 && align_of::<Session>() <= 8);
const _: () = assert!(size_of::<Peer>() <= P2PGATE_PEER_WORDS * 8 && align_of::<Peer>() <= 8);

const fn words(sessions: usize, peers: usize) -> usize {
    P2PGATE_CORE_WORDS + sessions * P2PGATE_SESSION_WORDS + peers * P2PGATE_PEER_WORDS
}

/// Does something with the terminal there.
///
/// # Safety
/// `terminal` is null or the storage of one, and nothing else uses it meanwhile.
pub(crate) unsafe fn with(
    terminal: *mut u64,
    act: impl FnOnce(&mut Held) -> Outcome<()>,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { live(terminal) }.and_then(act))
}

/// Makes a terminal of `storage`, P2PGATE_TERMINAL_WORDS(sessions, peers) words aligned to 8 bytes that stay where they are until p2pgate_terminal_deinit.
///
/// `sessions` (1 to 255) is how many sessions there can be at once, `peers` (up to 65535) how many terminals it can know: those on its list and those that
/// it called. `seed` is the 32 bytes that were stored last (at first: 32 random bytes), `entropy` 32 fresh bytes from the best source there is; `new_seed`
/// gets 32 bytes to store in place of `seed` before anything else is called. `words` is the number of words that `storage` has. A terminal that lives there
/// already must be deinitialised before; what is there is overwritten.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_STRUCT_SIZE, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_init(
    storage: *mut u64,
    words: usize,
    sessions: usize,
    peers: usize,
    config: *const p2pgate_config_t,
    seed: *const u8,
    entropy: *const u8,
    new_seed: *mut u8,
) -> p2pgate_result_t {
    code((|| {
        usable::<Held>(storage)?;
        if !(1..=255).contains(&sessions) || peers > 65_535 {
            return Err(P2PGATE_E_ARGUMENT);
        }
        if words < self::words(sessions, peers) {
            return Err(P2PGATE_E_STORAGE);
        }
        // SAFETY: the caller's promise.
        let (config, seed, entropy, out) = unsafe {
            (
                config_of(config)?,
                array::<32>(seed)?,
                array::<32>(entropy)?,
                Out::<[u8; 32]>::new(new_seed.cast())?,
            )
        };
        // SAFETY: the storage has `words` words, which the places below stay within, and they are written before they are used. The slices are
        // reached through the terminal alone, and no longer than until `deinit`; the terminal itself is in other words.
        let (terminal, next_seed) = unsafe {
            let session_places = storage.add(P2PGATE_CORE_WORDS).cast::<Session>();
            let peer_places = storage.add(self::words(sessions, 0)).cast::<Peer>();
            for index in 0..sessions {
                session_places.add(index).write(Session::idle());
            }
            for index in 0..peers {
                peer_places.add(index).write(Peer::NONE);
            }
            TerminalOver::over(
                config,
                seed,
                entropy,
                core::slice::from_raw_parts_mut(session_places, sessions),
                core::slice::from_raw_parts_mut(peer_places, peers),
            )
        };
        // SAFETY: the caller's promise.
        unsafe { place(storage, Held { terminal, sessions, peers }) }?;
        out.put(next_seed);
        Ok(())
    })())
}

/// # Safety
/// The pointer, and those in what it points to, are null or valid.
unsafe fn config_of(config: *const p2pgate_config_t) -> Outcome<Config> {
    // SAFETY: the caller's promise: the first field is there in every version.
    if unsafe { value(config.cast::<usize>()) }? != &size_of::<p2pgate_config_t>() {
        return Err(P2PGATE_E_STRUCT_SIZE);
    }
    // SAFETY: the caller's promise.
    unsafe {
        let config = value(config)?;
        let max_record =
            u16::try_from(config.max_record).ok().and_then(MaxRecord::new).ok_or(P2PGATE_E_ARGUMENT)?;
        if config.max_frame < P2PGATE_MIN_FRAME {
            return Err(P2PGATE_E_ARGUMENT);
        }
        Ok(Config {
            identifier: identifier(config.identifier, config.identifier_length)?,
            secret: SecretKey::new(*array(config.secret_key)?),
            broker_key: PublicKey::new(*array(config.broker_key)?),
            max_record,
            max_frame: config.max_frame,
            suite: suite_of(config.suite)?,
            listen: config.listen != 0,
            allow_loopback: config.allow_loopback != 0,
            load: gate(config.load_limit, config.load_hysteresis, config.load_sessions)?,
        })
    }
}

/// # Safety
/// As [`text`].
pub(crate) unsafe fn identifier(pointer: *const c_char, length: usize) -> Outcome<Identifier> {
    // SAFETY: the caller's promise.
    Identifier::new(unsafe { text(pointer, length) }?).map_err(|_| P2PGATE_E_IDENTIFIER)
}

/// Ends the terminal and wipes its storage. Close its connections yourself.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_deinit(terminal: *mut u64) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let held: *mut Held = unsafe { live::<Held>(terminal) }?;
        // SAFETY: all are values, each is dropped once, the slices' references before what they refer to, and nobody finds them again: the guard is wiped
        // with all else.
        unsafe {
            let (sessions, peers) = ((*held).sessions, (*held).peers);
            held.drop_in_place();
            let session_places = terminal.add(P2PGATE_CORE_WORDS).cast::<Session>();
            core::ptr::slice_from_raw_parts_mut(session_places, sessions).drop_in_place();
            let peer_places = terminal.add(words(sessions, 0)).cast::<Peer>();
            core::ptr::slice_from_raw_parts_mut(peer_places, peers).drop_in_place();
            wipe(terminal, words(sessions, peers));
        }
        Ok(())
    })())
}

/// Mixes in fresh entropy, 32 bytes, at any time.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_add_entropy(
    terminal: *mut u64,
    entropy: *const u8,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.add_entropy(array(entropy)?);
            Ok(())
        })
    }
}

/// Takes over what p2pgate_terminal_blob gave before a reset, before p2pgate_terminal_connect. After an error the list is empty: don't go on without a
/// person's word.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BLOB_VERSION, P2PGATE_E_BLOB_ENTRIES,
/// P2PGATE_E_BLOB_DAMAGED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_restore(
    terminal: *mut u64,
    blob: *const u8,
    length: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { with(terminal, |held| held.terminal.restore(bytes(blob, length)?).map_err(of_restore)) }
}

/// Takes over the keys that blob, another of p2pgate_terminal_blob's, has for terminals without one here; the list stays as it is. For several programs
/// of one device that share what is stored: restore what another has stored, then adopt one's own, so that no first-use pin is lost.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BLOB_VERSION, P2PGATE_E_BLOB_ENTRIES,
/// P2PGATE_E_BLOB_DAMAGED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_adopt_pins(
    terminal: *mut u64,
    blob: *const u8,
    length: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { with(terminal, |held| held.terminal.adopt_pins(bytes(blob, length)?).map_err(of_restore)) }
}

fn of_restore(error: RestoreError) -> p2pgate_result_t {
    match error {
        RestoreError::Version(_) => P2PGATE_E_BLOB_VERSION,
        RestoreError::TooMany => P2PGATE_E_BLOB_ENTRIES,
        RestoreError::Damaged => P2PGATE_E_BLOB_DAMAGED,
    }
}

/// Writes the list, the pins and the list's number to `blob`, and its length to `length`; `room` is P2PGATE_BLOB_LENGTH(peers) bytes.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_blob(
    terminal: *mut u64,
    blob: *mut u8,
    room: usize,
    length: *mut usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (blob, out) = (bytes_mut(blob, room)?, Out::new(length)?);
            out.put(held.terminal.blob(blob).map_err(|BlobTooSmall { .. }| P2PGATE_E_BUFFER)?);
            Ok(())
        })
    }
}

/// What p2pgate_terminal_blob gave last outlasts a reset now. Only then is a changed list registered.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_persisted(terminal: *mut u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.persisted();
            Ok(())
        })
    }
}

/// Opens the control link: an event P2PGATE_EVENT_CONNECT follows. Once lost it is tried again by itself.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_connect(terminal: *mut u64, now: u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.connect(now);
            Ok(())
        })
    }
}

/// Enrols this terminal's key with the next connection, by the one-time ticket that the broker's operator printed, at most 64 bytes (V5).
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_TICKET.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_enrol(
    terminal: *mut u64,
    ticket: *const c_char,
    length: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { with(terminal, |held| held.terminal.enrol(text(ticket, length)?).map_err(|_| P2PGATE_E_TICKET)) }
}

/// Tells where callers reach this terminal (M23, V8): up to four addresses; an address of zeros stands for the one that the control link comes from. Port 0:
/// only through a tunnel. No address: callers are told that there is none.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_ADDRESSES.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_listen_at(
    terminal: *mut u64,
    addresses: *const p2pgate_address_t,
    count: usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            if count > 4 {
                return Err(P2PGATE_E_ADDRESSES);
            }
            let given = values(addresses, count)?;
            let mut taken = [core::net::SocketAddr::from(([0; 4], 0)); 4];
            for (place, address) in taken.iter_mut().zip(given) {
                *place = address_of(address)?;
            }
            held.terminal.listen_at(&taken[..count]).map_err(|_| P2PGATE_E_ADDRESSES)
        })
    }
}

/// The device's load, in per cent; over 100 counts as 100 (P6).
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_set_load(terminal: *mut u64, percent: u32) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.set_load(percent.min(100) as u8);
            Ok(())
        })
    }
}

/// What a terminal says of itself.
#[repr(C)]
pub struct p2pgate_status_t {
    /// The list's number: it grows with each change.
    pub revision: u64,
    /// The broker has the list as it is now: 1, else 0.
    pub registered: u32,
    /// The broker relays, as far as is known: 1, else 0.
    pub relay: u32,
    /// This terminal's public key.
    pub public_key: [u8; 32],
}

/// What this terminal says of itself.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_status(
    terminal: *const u64,
    status: *mut p2pgate_status_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(status)?) };
        out.put(p2pgate_status_t {
            revision: held.terminal.revision(),
            registered: held.terminal.is_registered().into(),
            relay: held.terminal.broker_relays().into(),
            public_key: *held.terminal.public_key().as_bytes(),
        });
        Ok(())
    })())
}

/// What P2PGATE_BLOB_LENGTH in the header computes.
const _: () = assert!(blob_size(0) == 25 && blob_size(3) == 25 + 3 * 178);

/// Overwrites `length` bytes with zeros, in a way that no compiler leaves out: for keys and tickets that are not needed any more.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_wipe(data: *mut u8, length: usize) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { bytes_mut(data, length) }.map(Zeroize::zeroize))
}
