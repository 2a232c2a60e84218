//! Part headers of a deposit (P10, P11): a part's key and what it belongs to, sealed from the depositor to the callee by
//! `Noise_X_25519_AESGCM_SHA256` while the callee is away (`docs/protocol.md`, Deposits).
//!
//! `u32` big-endian length with its highest bit set, then `part (u32) | offset (u64) | Noise message`. The broker reads part and offset; the
//! prologue binds them, both identifiers and the deposit's number. Only the callee's secret key opens it, and what opens proves the depositor's
//! key. A broker that lies about the numbers, or hands out another deposit's part, is found out by that.

use super::handshake::Prologue;
use super::noise::TAG;
use super::{MAX_IDENTIFIER, PublicKey, SecretKey};
use crate::secret::Secret;
use noise_protocol::ErrorKind;
use noise_protocol::patterns::noise_x;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// The longest part header, bytes, its length included.
pub const MAX_PART_HEADER: usize = CLEAR + MAX_PAYLOAD + OVERHEAD;

/// The shortest part header, bytes, its length included.
pub const MIN_PART_HEADER: usize = CLEAR + FIXED + OVERHEAD;

/// The longest name of a source's state in a part header, bytes.
pub const MAX_PART_SOURCE: usize = 32;

/// The longest recording's name in a part header, bytes of UTF-8.
pub const MAX_PART_NAME: usize = 255;

/// Says that a part header follows rather than a frame.
const MARK: u32 = 1 << 31;
/// Length, part, offset.
const CLEAR: usize = 4 + 4 + 8;
/// Noise's: the ephemeral key, the static key with its tag, the payload's tag.
const OVERHEAD: usize = 32 + 32 + TAG + TAG;
/// The payload without its two names.
const FIXED: usize = 32 + 2 + 8 + 1 + 1 + 1;
const MAX_PAYLOAD: usize = FIXED + MAX_PART_SOURCE + MAX_PART_NAME;

const PROTOCOL: &[u8] = b"p2pgate deposit 1";

/// Which part of which deposit: what the header is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlace<'a> {
    /// The depositor's identifier, at most [`MAX_IDENTIFIER`] bytes.
    pub caller: &'a str,
    /// The callee's identifier, at most [`MAX_IDENTIFIER`] bytes.
    pub callee: &'a str,
    /// The deposit's number.
    pub deposit: [u8; 16],
    /// The part's number, from 0.
    pub part: u32,
    /// The place of the part's first byte in the recording.
    pub offset: u64,
}

/// What the depositor tells the callee with each part. The key is zeroized on drop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartContents<'a> {
    /// The base key of the part's frames: 32 fresh bytes.
    pub base_key: Secret<32>,
    /// SFrame's cipher suite number.
    pub suite: u16,
    /// The recording's length, bytes.
    pub size: u64,
    /// The end frame will carry the recording's SHA-256.
    pub hash: bool,
    /// Names the source's state; empty, or up to [`MAX_PART_SOURCE`] bytes.
    pub source: &'a [u8],
    /// The recording's name for people; empty, or up to [`MAX_PART_NAME`] bytes. Whoever uses it checks that it is no path.
    pub name: &'a str,
}

/// How far [`peek_part`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeekedPart {
    /// Call again with at least so many bytes.
    NeedMore(usize),
    /// No part header comes next, but a frame.
    Frame,
    /// A part header. Nothing is authenticated yet.
    Part {
        /// The bytes that it takes, its length included.
        length: usize,
        /// The part's number.
        part: u32,
        /// The place of its first byte in the recording.
        offset: u64,
    },
}

/// Looks at what comes next on a deposit's lane. The length is checked before the rest has come.
///
/// # Errors
/// [`PartError::Malformed`]: close the lane.
pub fn peek_part(bytes: &[u8]) -> Result<PeekedPart, PartError> {
    let Some((prefix, rest)) = bytes.split_first_chunk::<4>() else {
        return Ok(PeekedPart::NeedMore(4));
    };
    let prefix = u32::from_be_bytes(*prefix);
    if prefix & MARK == 0 {
        return Ok(PeekedPart::Frame);
    }
    let length = 4 + (prefix & !MARK) as usize;
    if !(MIN_PART_HEADER..=MAX_PART_HEADER).contains(&length) {
        return Err(PartError::Malformed);
    }
    match rest.split_first_chunk::<4>().map(|(part, rest)| (part, rest.first_chunk::<8>())) {
        Some((part, Some(offset))) => Ok(PeekedPart::Part {
            length,
            part: u32::from_be_bytes(*part),
            offset: u64::from_be_bytes(*offset),
        }),
        _ => Ok(PeekedPart::NeedMore(CLEAR)),
    }
}

/// The depositor's side: writes a part's header to the start of `out` and gives its length, at most [`MAX_PART_HEADER`]. `ephemeral` is 32
/// fresh random bytes, never used before.
///
/// # Errors
/// [`PartError::TooLong`] or [`PartError::BufferTooSmall`], before anything is written; [`PartError::KeyRefused`] if the callee's key is of
/// low order.
pub fn seal_part(
    own: &SecretKey,
    callee: &PublicKey,
    place: &PartPlace<'_>,
    contents: &PartContents<'_>,
    mut ephemeral: [u8; 32],
    out: &mut [u8],
) -> Result<usize, PartError> {
    let result = seal(own, callee, place, contents, ephemeral, out);
    ephemeral.zeroize();
    result
}

fn seal(
    own: &SecretKey,
    callee: &PublicKey,
    place: &PartPlace<'_>,
    contents: &PartContents<'_>,
    ephemeral: [u8; 32],
    out: &mut [u8],
) -> Result<usize, PartError> {
    let mut buffer = Zeroizing::new([0; MAX_PAYLOAD]);
    let payload = encode(contents, &mut buffer)?;
    let needed = CLEAR + payload.len() + OVERHEAD;
    let out = out.get_mut(..needed).ok_or(PartError::BufferTooSmall { needed })?;
    let mut state = prologue(place)?.start(noise_x(), true, own, Some(callee), ephemeral);
    let (clear, message) = out.split_at_mut(CLEAR);
    // At most `MAX_PART_HEADER`: nothing is cut off.
    clear[..4].copy_from_slice(&(MARK | (needed - 4) as u32).to_be_bytes());
    clear[4..8].copy_from_slice(&place.part.to_be_bytes());
    clear[8..].copy_from_slice(&place.offset.to_be_bytes());
    if let Err(error) = state.write_message(payload, message) {
        // What was written so far must not go out.
        out.fill(0);
        return Err(refused(&error));
    }
    Ok(needed)
}

/// The callee's side: opens a whole header, as [`peek_part`] found it, in place. `caller` is the key that the callee has pinned for the
/// depositor; the part's number and offset in `place` are those that the callee expects next.
///
/// # Errors
/// [`PartError`]: the part is not to be used. `header` then holds no key.
pub fn open_part<'a>(
    own: &SecretKey,
    caller: &PublicKey,
    place: &PartPlace<'_>,
    header: &'a mut [u8],
) -> Result<PartContents<'a>, PartError> {
    match peek_part(header)? {
        PeekedPart::Part { length, part, offset } if length == header.len() => {
            if (part, offset) != (place.part, place.offset) {
                return Err(PartError::Place);
            }
        }
        _ => return Err(PartError::Malformed),
    }
    // Responders have no ephemeral key in this pattern: this one is never used.
    let mut state = prologue(place)?.start(noise_x(), false, own, None, [0; 32]);
    // Noise wants a second buffer: the copy is of the ciphertext, so nothing secret is left on the stack.
    let mut copy = [0; MAX_PAYLOAD + OVERHEAD];
    let message = &mut copy[..header.len() - CLEAR];
    message.copy_from_slice(&header[CLEAR..]);
    let end = header.len() - OVERHEAD;
    let opened = state.read_message(message, &mut header[CLEAR..end]).map_err(|error| refused(&error));
    let proven = state.get_rs().unwrap_or([0; 32]);
    let result = opened.and_then(|()| {
        if bool::from(proven.ct_eq(caller.as_bytes())) { Ok(()) } else { Err(PartError::Depositor) }
    });
    if let Err(error) = result {
        header.zeroize();
        return Err(error);
    }
    parse(&mut header[CLEAR..end])
}

fn prologue(place: &PartPlace<'_>) -> Result<Prologue, PartError> {
    if place.caller.len() > MAX_IDENTIFIER || place.callee.len() > MAX_IDENTIFIER {
        return Err(PartError::TooLong);
    }
    let mut prologue = Prologue::new();
    let (part, offset) = (place.part.to_be_bytes(), place.offset.to_be_bytes());
    for bytes in [PROTOCOL, place.caller.as_bytes(), place.callee.as_bytes(), &place.deposit, &part, &offset]
    {
        prologue.add(bytes);
    }
    Ok(prologue)
}

fn encode<'b>(contents: &PartContents<'_>, out: &'b mut [u8; MAX_PAYLOAD]) -> Result<&'b [u8], PartError> {
    let (source, name) = (contents.source, contents.name.as_bytes());
    if source.len() > MAX_PART_SOURCE || name.len() > MAX_PART_NAME {
        return Err(PartError::TooLong);
    }
    let mut length = 0;
    let mut put = |bytes: &[u8]| {
        out[length..length + bytes.len()].copy_from_slice(bytes);
        length += bytes.len();
    };
    put(contents.base_key.expose());
    put(&contents.suite.to_be_bytes());
    put(&contents.size.to_be_bytes());
    put(if contents.hash { b"1" } else { b"0" });
    // Checked above: neither length is cut off.
    put(&[source.len() as u8]);
    put(source);
    put(&[name.len() as u8]);
    put(name);
    Ok(&out[..length])
}

/// Takes the key out of the payload, so that it is in one place only.
fn parse(payload: &mut [u8]) -> Result<PartContents<'_>, PartError> {
    let (key, rest) = payload.split_first_chunk_mut::<32>().ok_or(PartError::Malformed)?;
    let base_key = Secret::new(*key);
    key.zeroize();
    let (suite, rest) = rest.split_first_chunk::<2>().ok_or(PartError::Malformed)?;
    let (size, rest) = rest.split_first_chunk::<8>().ok_or(PartError::Malformed)?;
    let (&hash, rest) = rest.split_first().ok_or(PartError::Malformed)?;
    let (source, rest) = counted(rest)?;
    let (name, rest) = counted(rest)?;
    if !matches!(hash, b'0' | b'1') || source.len() > MAX_PART_SOURCE || !rest.is_empty() {
        return Err(PartError::Malformed);
    }
    Ok(PartContents {
        base_key,
        suite: u16::from_be_bytes(*suite),
        size: u64::from_be_bytes(*size),
        hash: hash == b'1',
        source,
        name: core::str::from_utf8(name).map_err(|_| PartError::Malformed)?,
    })
}

fn counted(bytes: &[u8]) -> Result<(&[u8], &[u8]), PartError> {
    let (&length, rest) = bytes.split_first().ok_or(PartError::Malformed)?;
    rest.split_at_checked(length.into()).ok_or(PartError::Malformed)
}

fn refused(error: &noise_protocol::Error) -> PartError {
    match error.kind() {
        ErrorKind::DH => PartError::KeyRefused,
        _ => PartError::Authentication,
    }
}

/// A part header could not be sealed or opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// The output is too small.
    #[error("the output buffer is too small for the part header; it takes {needed} bytes")]
    BufferTooSmall {
        /// The bytes that it takes.
        needed: usize,
    },
    /// An identifier, the source's name or the recording's is too long.
    #[error("an identifier or a name is too long for a part header; use a shorter one")]
    TooLong,
    /// The bytes are no part header.
    #[error("the deposit has no part header where one is due; report the collection as failed")]
    Malformed,
    /// It is another part than the one that is due.
    #[error("the deposit's parts are not in their order; report the collection as failed")]
    Place,
    /// It was not sealed for this callee, deposit and part, or changed.
    #[error(
        "the part was not sealed to this terminal for this deposit, or was changed; report the collection as failed"
    )]
    Authentication,
    /// A key is of low order: no secret can be agreed with it.
    #[error("the other side's key is one that gives no secret; don't trust that key")]
    KeyRefused,
    /// It was sealed with another key than the one pinned for the depositor.
    #[error("the part was deposited with another key than the depositor's; report the collection as failed")]
    Depositor,
}
