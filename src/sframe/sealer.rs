//! Sealing frames (RFC 9605, section 4.4.3).

use super::cipher::{Keys, PLAINTEXT_MAX, Refused};
use super::{HEADER_MAX, Header, Suite};
use core::ops::Range;
use thiserror::Error;

/// Seals frames under one key, numbered from 0. It cannot be copied, so no counter is used twice.
pub struct Sealer {
    keys: Keys,
    kid: u64,
    pub(super) next: u64,
}

/// Why [`Sealer::seal`] sealed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    /// The buffer does not hold headroom, metadata, plaintext and tag.
    #[error(
        "the frame does not fit in its buffer; leave room for the header before it and for the tag after it"
    )]
    BufferTooSmall,
    /// The plaintext is longer than a frame of either suite can be, 2^36 - 32 bytes.
    #[error("the plaintext is too long for one frame; cut it into several")]
    TooLong,
    /// All counters of this key have been used.
    #[error("the key has sealed all the frames it may; agree on a new one")]
    Exhausted,
}

impl Sealer {
    /// Derives the secrets of key `kid` from `base_key` (section 4.4.2).
    ///
    /// `base_key` must be secret, hard to guess and fresh: two sealers from the same suite, `kid` and base key
    /// would use each counter twice, which breaks both suites.
    pub fn new(suite: Suite, kid: u64, base_key: &[u8]) -> Self {
        Self { keys: Keys::derive(suite, kid, base_key), kid, next: 0 }
    }

    /// The counter of the next frame, which is also the number of frames sealed so far.
    pub fn next_counter(&self) -> u64 {
        self.next
    }

    /// The suite that this sealer uses.
    pub fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// Seals one frame in place and gives its range in `buffer`.
    ///
    /// `buffer` is [`HEADER_MAX`] bytes of headroom, `metadata_len` bytes of metadata, `plaintext_len` bytes of
    /// plaintext, and then at least [`Suite::tag_len`] bytes of room. The header is written directly before the
    /// metadata and the tag directly after the ciphertext, so the frame, `header | metadata | ciphertext | tag`,
    /// starts somewhere in the headroom. For a clear frame the payload is the metadata and `plaintext_len` is 0.
    ///
    /// # Errors
    /// See [`SealError`]. The buffer is as it was, and no counter is used.
    pub fn seal(
        &mut self,
        buffer: &mut [u8],
        metadata_len: usize,
        plaintext_len: usize,
    ) -> Result<Range<usize>, SealError> {
        if plaintext_len as u64 > PLAINTEXT_MAX {
            return Err(SealError::TooLong);
        }
        let plaintext_at = HEADER_MAX.checked_add(metadata_len).ok_or(SealError::BufferTooSmall)?;
        let (aad, rest) = buffer.split_at_mut_checked(plaintext_at).ok_or(SealError::BufferTooSmall)?;
        let (plaintext, rest) = rest.split_at_mut_checked(plaintext_len).ok_or(SealError::BufferTooSmall)?;
        let tag = rest.get_mut(..self.keys.suite().tag_len()).ok_or(SealError::BufferTooSmall)?;
        let headroom = aad.first_chunk_mut().ok_or(SealError::BufferTooSmall)?;

        // The counter is spent before its first use: whatever happens from here on, it does not come again.
        let counter = self.next;
        self.next = counter.checked_add(1).ok_or(SealError::Exhausted)?;
        let start = HEADER_MAX - Header { kid: self.kid, counter }.encode(headroom);
        self.keys.seal(counter, &aad[start..], plaintext, tag).map_err(|Refused| SealError::TooLong)?;
        Ok(start..plaintext_at + plaintext_len + tag.len())
    }
}
