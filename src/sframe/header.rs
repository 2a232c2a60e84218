//! The SFrame header (RFC 9605, section 4.3).

use super::HEADER_MAX;
use thiserror::Error;

/// Set in a half of the configuration byte if the other three bits are a length, not the value.
const EXTENDED: u8 = 0b1000;

/// What a frame says in clear about how it is sealed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Which key sealed the frame (KID).
    pub kid: u64,
    /// The frame's number under that key (CTR).
    pub counter: u64,
}

/// Why [`Header::parse`] found no header.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum HeaderError {
    /// The bytes end before the header does.
    #[error("the SFrame header is cut short; read the rest of the frame")]
    Truncated,
    /// A number takes more bytes than it needs, which RFC 9605 forbids.
    #[error("the SFrame header has a number in more bytes than it needs; refuse the frame")]
    NotMinimal,
}

impl Header {
    /// Encodes the header at the end of `headroom`, so that it stands directly before what follows there, and
    /// gives its length, 1 to [`HEADER_MAX`] bytes. What is before it in `headroom` is left as it was.
    pub fn encode(self, headroom: &mut [u8; HEADER_MAX]) -> usize {
        let kid_len = encoded_len(self.kid);
        let counter_len = encoded_len(self.counter);
        let counter_at = HEADER_MAX - counter_len;
        let kid_at = counter_at - kid_len;
        headroom[counter_at..].copy_from_slice(&self.counter.to_be_bytes()[8 - counter_len..]);
        headroom[kid_at..counter_at].copy_from_slice(&self.kid.to_be_bytes()[8 - kid_len..]);
        headroom[kid_at - 1] = nibble(self.kid, kid_len) << 4 | nibble(self.counter, counter_len);
        1 + kid_len + counter_len
    }

    /// Reads the header at the start of `frame` and gives its length in bytes with it.
    ///
    /// Nothing is authenticated yet: the header is only good for choosing a key.
    ///
    /// # Errors
    /// [`HeaderError::Truncated`] if `frame` ends too early. [`HeaderError::NotMinimal`] if a number is not in
    /// the fewest bytes: section 4.3 demands them of the sender, and with one encoding for each header nobody
    /// on the way can alter a frame's bytes and leave their meaning.
    pub fn parse(frame: &[u8]) -> Result<(Self, usize), HeaderError> {
        let (&config, rest) = frame.split_first().ok_or(HeaderError::Truncated)?;
        let (kid, rest) = number(config >> 4, rest)?;
        let (counter, rest) = number(config & 0x0f, rest)?;
        Ok((Self { kid, counter }, frame.len() - rest.len()))
    }
}

/// Bytes that `value` takes after the configuration byte: none if it fits in that.
fn encoded_len(value: u64) -> usize {
    if value < 8 { 0 } else { 8 - value.leading_zeros() as usize / 8 }
}

/// The half of the configuration byte for `value`, which takes `len` bytes of its own.
fn nibble(value: u64, len: usize) -> u8 {
    if len == 0 { value as u8 } else { EXTENDED | (len - 1) as u8 }
}

/// The number that half a configuration byte announces, and the bytes after it.
fn number(nibble: u8, bytes: &[u8]) -> Result<(u64, &[u8]), HeaderError> {
    if nibble & EXTENDED == 0 {
        return Ok((nibble.into(), bytes));
    }
    let len = usize::from(nibble & !EXTENDED) + 1;
    let (number, rest) = bytes.split_at_checked(len).ok_or(HeaderError::Truncated)?;
    let value = number.iter().fold(0, |value, &byte| value << 8 | u64::from(byte));
    if encoded_len(value) != len {
        return Err(HeaderError::NotMinimal);
    }
    Ok((value, rest))
}
