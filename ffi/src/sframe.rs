//! SFrame (RFC 9605) by itself. Terminals seal and open their lanes themselves.

use crate::memory::{Object, Out, Outcome, bytes, bytes_mut, code, end, live, place, usable};
use crate::result::*;
use p2pgate::sframe::{HEADER_MAX, MetadataLen, OpenError, Opener, SealError, Sealer, Suite, TAG_MAX};

/// AES_128_CTR_HMAC_SHA256_80: for every device.
pub const P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80: u32 = 1;
/// AES_128_GCM_SHA256_128: for CPUs that have instructions for AES.
pub const P2PGATE_SUITE_AES_128_GCM_SHA256_128: u32 = 4;

/// Bytes to leave free before what p2pgate_sealer_seal seals.
pub const P2PGATE_SFRAME_HEADROOM: usize = 17;
/// Bytes to leave free after it.
pub const P2PGATE_SFRAME_TAILROOM: usize = 16;
/// As p2pgate_opener_open's metadata length: all but the tag, that is a clear frame.
pub const P2PGATE_ALL_BUT_TAG: u32 = 0xffff_ffff;
/// Words of a sealer or an opener.
pub const P2PGATE_SFRAME_WORDS: usize = 24;

/// Seals the frames of one key: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_sealer_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_SFRAME_WORDS],
}

/// Opens the frames of one key: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_opener_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_SFRAME_WORDS],
}

/// A part of a buffer.
#[repr(C)]
pub struct p2pgate_range_t {
    /// Its first byte.
    pub start: usize,
    /// Its length, bytes.
    pub length: usize,
}

/// The parts of an opened frame, in the buffer that was given.
#[repr(C)]
pub struct p2pgate_opened_t {
    /// The authenticated metadata.
    pub metadata: p2pgate_range_t,
    /// The decrypted plaintext; empty in a clear frame.
    pub plaintext: p2pgate_range_t,
}

impl Object for Sealer {
    const MAGIC: u64 = 0x7032_7067_7365_616c;
}

impl Object for Opener {
    const MAGIC: u64 = 0x7032_7067_6f70_656e;
}

const _: () = assert!(size_of::<crate::memory::Slot<Sealer>>() <= P2PGATE_SFRAME_WORDS * 8);
const _: () = assert!(size_of::<crate::memory::Slot<Opener>>() <= P2PGATE_SFRAME_WORDS * 8);
const _: () = assert!(HEADER_MAX == P2PGATE_SFRAME_HEADROOM && TAG_MAX == P2PGATE_SFRAME_TAILROOM);

impl From<core::ops::Range<usize>> for p2pgate_range_t {
    fn from(range: core::ops::Range<usize>) -> Self {
        Self { start: range.start, length: range.len() }
    }
}

pub(crate) fn suite_of(number: u32) -> Outcome<Suite> {
    u16::try_from(number).ok().and_then(Suite::from_id).ok_or(P2PGATE_E_ARGUMENT)
}

/// Derives the secrets of key `kid` for `suite` from `base_key`, which must be secret, hard to guess and fresh: two sealers with the same suite, `kid` and
/// base key break both suites.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sealer_init(
    sealer: *mut p2pgate_sealer_t,
    suite: u32,
    kid: u64,
    base_key: *const u8,
    base_key_length: usize,
) -> p2pgate_result_t {
    code((|| {
        usable::<Sealer>(sealer.cast())?;
        // SAFETY: the caller's promise.
        unsafe {
            let key = bytes(base_key, base_key_length)?;
            place(sealer.cast(), Sealer::new(suite_of(suite)?, kid, key))
        }
    })())
}

/// Seals one frame in place; its part of `buffer` goes to `frame`.
///
/// `buffer` is P2PGATE_SFRAME_HEADROOM bytes, `metadata_length` bytes that are authenticated, `plaintext_length` bytes that are encrypted, and at least
/// P2PGATE_SFRAME_TAILROOM bytes. For a clear frame all is metadata. On an error the buffer is as it was and no counter is used.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER, P2PGATE_E_TOO_LONG, P2PGATE_E_EXHAUSTED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sealer_seal(
    sealer: *mut p2pgate_sealer_t,
    buffer: *mut u8,
    length: usize,
    metadata_length: usize,
    plaintext_length: usize,
    frame: *mut p2pgate_range_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (sealer, buffer, out) =
            unsafe { (live::<Sealer>(sealer.cast())?, bytes_mut(buffer, length)?, Out::new(frame)?) };
        let range = sealer.seal(buffer, metadata_length, plaintext_length).map_err(|error| match error {
            SealError::BufferTooSmall => P2PGATE_E_BUFFER,
            SealError::TooLong => P2PGATE_E_TOO_LONG,
            SealError::Exhausted => P2PGATE_E_EXHAUSTED,
        })?;
        out.put(range.into());
        Ok(())
    })())
}

/// Ends the sealer and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sealer_deinit(sealer: *mut p2pgate_sealer_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<Sealer>(sealer.cast(), P2PGATE_SFRAME_WORDS) })
}

/// As p2pgate_sealer_init, for the other end.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_opener_init(
    opener: *mut p2pgate_opener_t,
    suite: u32,
    kid: u64,
    base_key: *const u8,
    base_key_length: usize,
) -> p2pgate_result_t {
    code((|| {
        usable::<Opener>(opener.cast())?;
        // SAFETY: the caller's promise.
        unsafe {
            let key = bytes(base_key, base_key_length)?;
            place(opener.cast(), Opener::new(suite_of(suite)?, kid, key))
        }
    })())
}

/// Opens one whole frame in place. `metadata_length` is what it was sealed with, or P2PGATE_ALL_BUT_TAG. Each frame is taken once, in order.
/// On an error the frame and the counter awaited are as they were.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_FRAME, P2PGATE_E_WRONG_KEY, P2PGATE_E_WRONG_COUNTER,
/// P2PGATE_E_TRUNCATED, P2PGATE_E_TOO_LONG, P2PGATE_E_NOT_AUTHENTIC.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_opener_open(
    opener: *mut p2pgate_opener_t,
    frame: *mut u8,
    length: usize,
    metadata_length: u32,
    opened: *mut p2pgate_opened_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (opener, frame, out) =
            unsafe { (live::<Opener>(opener.cast())?, bytes_mut(frame, length)?, Out::new(opened)?) };
        let metadata = match metadata_length {
            P2PGATE_ALL_BUT_TAG => MetadataLen::AllButTag,
            length => MetadataLen::Bytes(length as usize),
        };
        let parts = opener.open(frame, metadata).map_err(|error| match error {
            OpenError::Header(_) => P2PGATE_E_FRAME,
            OpenError::WrongKey => P2PGATE_E_WRONG_KEY,
            OpenError::WrongCounter => P2PGATE_E_WRONG_COUNTER,
            OpenError::Truncated => P2PGATE_E_TRUNCATED,
            OpenError::TooLong => P2PGATE_E_TOO_LONG,
            OpenError::NotAuthentic => P2PGATE_E_NOT_AUTHENTIC,
        })?;
        out.put(p2pgate_opened_t { metadata: parts.metadata.into(), plaintext: parts.plaintext.into() });
        Ok(())
    })())
}

/// Ends the opener and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_opener_deinit(opener: *mut p2pgate_opener_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<Opener>(opener.cast(), P2PGATE_SFRAME_WORDS) })
}
