//! Sessions and transfers.

use crate::lists::p2pgate_peer_t;
use crate::memory::{Out, Outcome, array, bytes, bytes_mut, code, shared, text, value};
use crate::result::*;
use crate::sframe::p2pgate_range_t;
use crate::splitter::class_of;
use crate::terminal::{Held, identifier, with};
use core::ffi::c_char;
use p2pgate::lane::{HEADROOM, OVERHEAD, TAILROOM};
use p2pgate::route::{Attribute, Conditions, Path, Protection, Route, Way};
use p2pgate::terminal::{
    CallError, FrameError, MAX_NAME, MAX_SOURCE, NO_SUCH_RECORDING, Offer, OfferError, OutOfTurn, Piece,
    SessionId,
};

/// The class has no lane.
pub const P2PGATE_WAY_NONE: u32 = 0;
/// Encrypted, through the broker.
pub const P2PGATE_WAY_RELAY_SEALED: u32 = 1;
/// Encrypted, straight to the other terminal.
pub const P2PGATE_WAY_DIRECT_SEALED: u32 = 2;
/// Readable, straight to the other terminal.
pub const P2PGATE_WAY_DIRECT_CLEAR: u32 = 3;

/// All of the recording encrypted, through the broker where the broker relays.
pub const P2PGATE_ATTRIBUTE_CONFIDENTIAL: u32 = 0;
/// All of it straight to the callee, authenticated but readable on the way.
pub const P2PGATE_ATTRIBUTE_PUBLIC: u32 = 1;
/// I-pictures (and all that is undecided) encrypted through the broker, the rest direct and readable (V10b).
pub const P2PGATE_ATTRIBUTE_SPLIT: u32 = 2;
/// By size: small recordings encrypted through the broker, large ones encrypted and direct (V10a).
pub const P2PGATE_ATTRIBUTE_BY_SIZE: u32 = 3;

/// The user said no.
pub const P2PGATE_CAUSE_DECLINED: u32 = 0;
/// There is no room for the recording.
pub const P2PGATE_CAUSE_NO_ROOM: u32 = 1;
/// The recording could not be stored.
pub const P2PGATE_CAUSE_NOT_STORED: u32 = 2;
/// The recording could not be read.
pub const P2PGATE_CAUSE_NOT_READ: u32 = 3;
/// The user stopped it.
pub const P2PGATE_CAUSE_STOPPED: u32 = 4;
/// What arrived is not what was sent.
pub const P2PGATE_CAUSE_WRONG_HASH: u32 = 5;
/// There is no recording of the name that is wanted: the other end hears P2PGATE_FAILED_NO_SUCH_RECORDING.
pub const P2PGATE_CAUSE_NO_SUCH_RECORDING: u32 = 6;

/// Bytes to leave free before the payload in a buffer for p2pgate_terminal_seal.
pub const P2PGATE_LANE_HEADROOM: usize = 42;
/// Bytes to leave free behind it.
pub const P2PGATE_LANE_TAILROOM: usize = 16;
/// What a frame has besides its payload at most, bytes, its length of 4 bytes not counted.
pub const P2PGATE_LANE_OVERHEAD: usize = 54;
/// Longest name of a recording, bytes.
pub const P2PGATE_MAX_NAME: usize = 255;
/// Longest name of a source's state, bytes.
pub const P2PGATE_MAX_SOURCE: usize = 32;

const _: () = assert!(HEADROOM == P2PGATE_LANE_HEADROOM && TAILROOM == P2PGATE_LANE_TAILROOM);
const _: () = assert!(OVERHEAD == P2PGATE_LANE_OVERHEAD);
const _: () = assert!(MAX_NAME == P2PGATE_MAX_NAME && MAX_SOURCE == P2PGATE_MAX_SOURCE);

/// What a sender offers.
#[repr(C)]
pub struct p2pgate_offer_t {
    /// sizeof(p2pgate_offer_t).
    pub struct_size: usize,
    /// The recording's name for people: one path component, UTF-8, at most P2PGATE_MAX_NAME bytes.
    pub name: *const c_char,
    /// Length of `name`, bytes.
    pub name_length: usize,
    /// Names the source's state (say, a digest of path, size and modification time), or NULL.
    pub source: *const u8,
    /// Length of `source`: 0, or 8 to P2PGATE_MAX_SOURCE bytes.
    pub source_length: usize,
    /// The recording's length, bytes.
    pub size: u64,
    /// The payload bytes of the class sealed, at least what will be sent: the broker decides by it (P9).
    pub sealed_bytes: u64,
    /// The payload bytes of the class rest.
    pub rest_bytes: u64,
    /// P2PGATE_WAY_... of the class sealed. In a tunnel every way becomes relayed and sealed.
    pub sealed_way: u32,
    /// P2PGATE_WAY_... of the class rest.
    pub rest_way: u32,
    /// Not 0: the end will carry the recording's SHA-256.
    pub hash: u32,
    /// 0.
    pub reserved: u32,
}

/// What a receiver was offered.
#[repr(C)]
pub struct p2pgate_offered_t {
    /// The recording's length, bytes.
    pub size: u64,
    /// Length of `name`, bytes.
    pub name_length: u32,
    /// Length of `source`, bytes.
    pub source_length: u32,
    /// The end will carry the recording's SHA-256: 1, else 0.
    pub hash: u32,
    /// It answers p2pgate_terminal_fetch: 1, else 0. A recording then has the name that was asked for.
    pub fetched: u32,
    /// As the sender calls it: one path component, UTF-8; behind its length zeros, so NUL-terminated too. Not yet checked for what a file system makes of it.
    pub name: [u8; 256],
    /// Names the source's state; behind its length zeros.
    pub source: [u8; P2PGATE_MAX_SOURCE],
}

/// The bytes of one frame: their place in the recording.
#[repr(C)]
pub struct p2pgate_piece_t {
    /// The segment's number, from 0.
    pub segment: u64,
    /// The first byte's place in the recording.
    pub offset: u64,
    /// How many bytes: 1 to p2pgate_terminal_max_payload.
    pub length: usize,
    /// P2PGATE_CLASS_...: the segment's class.
    pub class_: u32,
}

/// A frame in the buffer that was given: write it to its link, whole, before the next frame in the recording's order.
#[repr(C)]
pub struct p2pgate_frame_t {
    /// Where it is.
    pub range: p2pgate_range_t,
    /// The lane's link.
    pub link: u32,
}

/// Decides the ways of a recording of `size` bytes (P8). `attribute` is P2PGATE_ATTRIBUTE_...; `relay_below` bytes is the limit of
/// P2PGATE_ATTRIBUTE_BY_SIZE; `relay` other than 0: the broker relays, see P2PGATE_EVENT_ONLINE.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_decide_route(
    attribute: u32,
    size: u64,
    relay_below: u64,
    relay: u32,
    sealed_way: *mut u32,
    rest_way: *mut u32,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (sealed, rest) = unsafe { (Out::new(sealed_way)?, Out::new(rest_way)?) };
        let attribute = match attribute {
            P2PGATE_ATTRIBUTE_CONFIDENTIAL => Attribute::Confidential,
            P2PGATE_ATTRIBUTE_PUBLIC => Attribute::Public,
            P2PGATE_ATTRIBUTE_SPLIT => Attribute::Split,
            P2PGATE_ATTRIBUTE_BY_SIZE => Attribute::BySize,
            _ => return Err(P2PGATE_E_ARGUMENT),
        };
        let route = Route::decide(attribute, Conditions { size, relay_below, relay: relay != 0 });
        sealed.put(way_number(route.sealed));
        rest.put(way_number(route.rest));
        Ok(())
    })())
}

const fn way_number(way: Option<Way>) -> u32 {
    match way {
        None => P2PGATE_WAY_NONE,
        Some(Way { path: Path::Relay, .. }) => P2PGATE_WAY_RELAY_SEALED,
        Some(Way { path: Path::Direct, protection: Protection::Sealed }) => P2PGATE_WAY_DIRECT_SEALED,
        Some(Way { path: Path::Direct, protection: Protection::Clear }) => P2PGATE_WAY_DIRECT_CLEAR,
    }
}

const fn way_of(number: u32) -> Outcome<Option<Way>> {
    match number {
        P2PGATE_WAY_NONE => Ok(None),
        P2PGATE_WAY_RELAY_SEALED => Ok(Some(Way::RELAY_SEALED)),
        P2PGATE_WAY_DIRECT_SEALED => Ok(Some(Way::DIRECT_SEALED)),
        P2PGATE_WAY_DIRECT_CLEAR => Ok(Some(Way::DIRECT_CLEAR)),
        _ => Err(P2PGATE_E_ARGUMENT),
    }
}

/// The texts are the library's: what C gives may be gone when they are sent.
const fn cause_of(number: u32) -> Outcome<&'static str> {
    match number {
        P2PGATE_CAUSE_DECLINED => Ok("declined"),
        P2PGATE_CAUSE_NO_ROOM => Ok("no room for the recording"),
        P2PGATE_CAUSE_NOT_STORED => Ok("the recording could not be stored"),
        P2PGATE_CAUSE_NOT_READ => Ok("the recording could not be read"),
        P2PGATE_CAUSE_STOPPED => Ok("stopped"),
        P2PGATE_CAUSE_WRONG_HASH => Ok("what arrived is not what was sent"),
        P2PGATE_CAUSE_NO_SUCH_RECORDING => Ok(NO_SUCH_RECORDING),
        _ => Err(P2PGATE_E_ARGUMENT),
    }
}

/// Asks the broker for a callee (M6), and connects to it if it may; `session` gets the session's number, which may be 0.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_IDENTIFIER, P2PGATE_E_ONESELF,
/// P2PGATE_E_OFFLINE, P2PGATE_E_NO_SESSION, P2PGATE_E_PEERS_FULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_call(
    terminal: *mut u64,
    callee: *const c_char,
    callee_length: usize,
    now: u64,
    session: *mut u32,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (callee, out) = (identifier(callee, callee_length)?, Out::new(session)?);
            let session = held.terminal.call(&callee, now).map_err(|error| match error {
                CallError::Oneself => P2PGATE_E_ONESELF,
                CallError::Offline => P2PGATE_E_OFFLINE,
                CallError::NoSession => P2PGATE_E_NO_SESSION,
                CallError::TooManyPeers => P2PGATE_E_PEERS_FULL,
            })?;
            out.put(session.number());
            Ok(())
        })
    }
}

/// The other terminal of a session, and its key once the peer link is up or announced; P2PGATE_NOTHING: there is no such session.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_peer(
    terminal: *const u64,
    session: u32,
    peer: *mut p2pgate_peer_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(peer)?) };
        let session = SessionId::from_number(session).ok_or(P2PGATE_NOTHING)?;
        let identifier = held.terminal.peer(session).ok_or(P2PGATE_NOTHING)?;
        out.put(p2pgate_peer_t::new(identifier, held.terminal.peer_key(session)));
        Ok(())
    })())
}

/// Offers a recording to the other end (M17). Either end may, once P2PGATE_EVENT_CONNECTED came. After P2PGATE_EVENT_WANTED it is the answer to that.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_STRUCT_SIZE, P2PGATE_E_ARGUMENT, P2PGATE_E_TEXT, P2PGATE_E_NOT_OPEN,
/// P2PGATE_E_BUSY, P2PGATE_E_NAME, P2PGATE_E_SOURCE, P2PGATE_E_NO_LANE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_offer(
    terminal: *mut u64,
    session: u32,
    offer: *const p2pgate_offer_t,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise: of what `offer` points to, the first field is there in every version.
    unsafe {
        with(terminal, |held| {
            if value(offer.cast::<usize>())? != &size_of::<p2pgate_offer_t>() {
                return Err(P2PGATE_E_STRUCT_SIZE);
            }
            let offer = value(offer)?;
            let route = Route { sealed: way_of(offer.sealed_way)?, rest: way_of(offer.rest_way)? };
            let offer = Offer {
                name: text(offer.name, offer.name_length)?,
                size: offer.size,
                source: bytes(offer.source, offer.source_length)?,
                hash: offer.hash != 0,
                route,
                sealed_bytes: offer.sealed_bytes,
                rest_bytes: offer.rest_bytes,
            };
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_NOT_OPEN)?;
            held.terminal.offer(session, &offer, now).map_err(|error| match error {
                OfferError::NotOpen => P2PGATE_E_NOT_OPEN,
                OfferError::Busy => P2PGATE_E_BUSY,
                OfferError::Name => P2PGATE_E_NAME,
                OfferError::Source => P2PGATE_E_SOURCE,
                OfferError::NoLane => P2PGATE_E_NO_LANE,
            })
        })
    }
}

/// What the other end offers, after P2PGATE_EVENT_OFFERED; P2PGATE_NOTHING: nothing, or there is no such session.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_offered(
    terminal: *const u64,
    session: u32,
    offered: *mut p2pgate_offered_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (held, out) = unsafe { (shared::<Held>(terminal)?, Out::new(offered)?) };
        let session = SessionId::from_number(session).ok_or(P2PGATE_NOTHING)?;
        let offered = held.terminal.offered(session).ok_or(P2PGATE_NOTHING)?;
        let mut flat = p2pgate_offered_t {
            size: offered.size,
            name_length: offered.name.len() as u32,     // at most 255
            source_length: offered.source.len() as u32, // at most 32
            hash: offered.hash.into(),
            fetched: offered.fetched.into(),
            name: [0; 256],
            source: [0; P2PGATE_MAX_SOURCE],
        };
        flat.name.iter_mut().zip(offered.name.bytes()).for_each(|(place, byte)| *place = byte);
        flat.source.iter_mut().zip(offered.source).for_each(|(place, byte)| *place = *byte);
        out.put(flat);
        Ok(())
    })())
}

/// # Safety
/// As [`with`].
pub(crate) unsafe fn in_turn(
    terminal: *mut u64,
    session: u32,
    act: impl FnOnce(&mut Held, SessionId) -> Result<(), OutOfTurn>,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_OUT_OF_TURN)?;
            act(held, session).map_err(|OutOfTurn| P2PGATE_E_OUT_OF_TURN)
        })
    }
}

/// Takes what is offered, from byte `offset` on (M18): 0, or what the application already has of it.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN (also if `offset` is over the recording's length).
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_accept(
    terminal: *mut u64,
    session: u32,
    offset: u64,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.accept(session, offset, now)) }
}

/// Refuses what is offered or wanted (M18); `cause` is P2PGATE_CAUSE_..., for the other end's people.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_refuse(
    terminal: *mut u64,
    session: u32,
    cause: u32,
    now: u64,
) -> p2pgate_result_t {
    let cause = match cause_of(cause) {
        Ok(cause) => cause,
        Err(code) => return code,
    };
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.refuse(session, cause, now)) }
}

/// After P2PGATE_EVENT_ARRIVED: the recording is stored where it lasts. The sender is told.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_stored(
    terminal: *mut u64,
    session: u32,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.stored(session, Ok(()), now)) }
}

/// After P2PGATE_EVENT_ARRIVED: the recording could not be stored; `cause` is P2PGATE_CAUSE_..., for the sender's people.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_not_stored(
    terminal: *mut u64,
    session: u32,
    cause: u32,
    now: u64,
) -> p2pgate_result_t {
    let cause = match cause_of(cause) {
        Ok(cause) => cause,
        Err(code) => return code,
    };
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.stored(session, Err(cause), now)) }
}

/// Gives up a session's transfer; the session stays. `cause` is P2PGATE_CAUSE_..., for the other end's people.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_OUT_OF_TURN.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_abandon(
    terminal: *mut u64,
    session: u32,
    cause: u32,
    now: u64,
) -> p2pgate_result_t {
    let cause = match cause_of(cause) {
        Ok(cause) => cause,
        Err(code) => return code,
    };
    // SAFETY: the caller's promise.
    unsafe { in_turn(terminal, session, |held, session| held.terminal.abandon(session, cause, now)) }
}

/// Ends a session at once: what p2pgate_terminal_poll_transmit has not given yet is not sent. Sessions that are unknown have ended already.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_close(terminal: *mut u64, session: u32) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            if let Some(session) = SessionId::from_number(session) {
                held.terminal.close(session);
            }
            Ok(())
        })
    }
}

/// The most payload bytes of one frame in this session's transfer, after P2PGATE_EVENT_READY; P2PGATE_NOTHING: there is none.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_max_payload(
    terminal: *mut u64,
    session: u32,
    most: *mut usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let out = Out::new(most)?;
            let session = SessionId::from_number(session).ok_or(P2PGATE_NOTHING)?;
            match held.terminal.max_payload(session) {
                0 => Err(P2PGATE_NOTHING),
                most => {
                    out.put(most);
                    Ok(())
                }
            }
        })
    }
}

pub(crate) const fn frame_code(error: FrameError) -> p2pgate_result_t {
    match error {
        FrameError::NoLane => P2PGATE_E_NO_LANE,
        FrameError::Size { .. } => P2PGATE_E_PAYLOAD,
        FrameError::BufferTooSmall => P2PGATE_E_BUFFER,
        FrameError::TooLong => P2PGATE_E_TOO_LONG,
        FrameError::PartDue => P2PGATE_E_PART_DUE,
        FrameError::NotYet => P2PGATE_E_NOT_YET,
        FrameError::Gap { .. } => P2PGATE_E_GAP,
        FrameError::Name => P2PGATE_E_NAME,
    }
}

/// Makes the frame of a piece of the recording, in place. `buffer` is P2PGATE_LANE_HEADROOM bytes, the piece's bytes, and P2PGATE_LANE_TAILROOM bytes;
/// `length` is all of them. `frame` gets the part of `buffer` to write, and the link to write it to.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NO_LANE, P2PGATE_E_PAYLOAD, P2PGATE_E_BUFFER,
/// P2PGATE_E_TOO_LONG; in a deposit also P2PGATE_E_PART_DUE and P2PGATE_E_GAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_seal(
    terminal: *mut u64,
    session: u32,
    piece: *const p2pgate_piece_t,
    buffer: *mut u8,
    length: usize,
    now: u64,
    frame: *mut p2pgate_frame_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (piece, buffer, out) = (value(piece)?, bytes_mut(buffer, length)?, Out::new(frame)?);
            let piece = Piece {
                class: class_of(piece.class_)?,
                segment: piece.segment,
                offset: piece.offset,
                length: piece.length,
            };
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_NO_LANE)?;
            let (link, range) = held.terminal.seal(session, piece, buffer, now).map_err(frame_code)?;
            out.put(p2pgate_frame_t { range: range.into(), link: link.number() });
            Ok(())
        })
    }
}

/// Makes the end frame of a class's lane: once for each class that has one, after all else. `segments` is the number of segments; `hash` the recording's
/// SHA-256 (32 bytes) if it was offered, else NULL. `buffer` has P2PGATE_LANE_HEADROOM + 32 + P2PGATE_LANE_TAILROOM bytes.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_NO_LANE, P2PGATE_E_BUFFER; in a deposit also
/// P2PGATE_E_PART_DUE and P2PGATE_E_GAP.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_seal_end(
    terminal: *mut u64,
    session: u32,
    class_: u32,
    segments: u64,
    hash: *const u8,
    buffer: *mut u8,
    length: usize,
    now: u64,
    frame: *mut p2pgate_frame_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let hash = if hash.is_null() { None } else { Some(array(hash)?) };
            let (buffer, out) = (bytes_mut(buffer, length)?, Out::new(frame)?);
            let class = class_of(class_)?;
            let session = SessionId::from_number(session).ok_or(P2PGATE_E_NO_LANE)?;
            let (link, range) =
                held.terminal.seal_end(session, class, segments, hash, buffer, now).map_err(frame_code)?;
            out.put(p2pgate_frame_t { range: range.into(), link: link.number() });
            Ok(())
        })
    }
}
