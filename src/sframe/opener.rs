//! Opening frames (RFC 9605, section 4.4.4).

use super::cipher::{Keys, PLAINTEXT_MAX, Refused};
use super::{Header, HeaderError, Suite};
use core::ops::Range;
use thiserror::Error;

/// Opens the frames of one [`Sealer`](super::Sealer), each once and in their order.
pub struct Opener {
    keys: Keys,
    kid: u64,
    pub(super) next: u64,
}

/// How much of a frame, after its header, is metadata. Sender and receiver have to mean the same: a frame that
/// is opened by another length than it was sealed by is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetadataLen {
    /// This many bytes; the rest but for the tag is ciphertext.
    Bytes(usize),
    /// All but the tag: a clear frame, whose plaintext is empty.
    AllButTag,
}

/// Where the parts of an opened frame are, as ranges of the buffer that was given.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Opened {
    /// The authenticated metadata.
    pub metadata: Range<usize>,
    /// The decrypted plaintext; empty in a clear frame.
    pub plaintext: Range<usize>,
}

/// Why [`Opener::open`] refused a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum OpenError {
    /// There is no header at the start of the frame.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The frame is for another key.
    #[error("the frame is sealed under another key (KID) than this one; give it to that key's opener")]
    WrongKey,
    /// The frame's counter is not the next: it was replayed, or frames before it are missing.
    #[error("the frame is out of its order: replayed, or others are missing; close the lane and resume")]
    WrongCounter,
    /// The frame ends before metadata and tag do.
    #[error("the frame is shorter than its metadata and tag; refuse it")]
    Truncated,
    /// The ciphertext is longer than a frame of either suite can be, 2^36 - 32 bytes.
    #[error("the frame is longer than any frame can be; refuse it")]
    TooLong,
    /// The tag does not match: the frame was altered, or sealed by somebody else.
    #[error("the frame is not authentic; close the lane")]
    NotAuthentic,
}

impl Opener {
    /// Derives the secrets of key `kid` from `base_key` (section 4.4.2), as the sealer did.
    pub fn new(suite: Suite, kid: u64, base_key: &[u8]) -> Self {
        Self { keys: Keys::derive(suite, kid, base_key), kid, next: 0 }
    }

    /// The only counter that the next frame may have, which is also the number of frames opened so far.
    pub fn next_counter(&self) -> u64 {
        self.next
    }

    /// The suite that this opener uses.
    pub fn suite(&self) -> Suite {
        self.keys.suite()
    }

    /// Opens one frame in place, `header | metadata | ciphertext | tag`, and gives where its parts are.
    ///
    /// # Errors
    /// See [`OpenError`]. The frame's bytes and the counter expected are then as they were: nothing is decrypted
    /// before the whole frame has proved authentic.
    pub fn open(&mut self, frame: &mut [u8], metadata_len: MetadataLen) -> Result<Opened, OpenError> {
        let (header, header_len) = Header::parse(frame)?;
        if header.kid != self.kid {
            return Err(OpenError::WrongKey);
        }
        // The last counter of all is never sealed, so that `next` needs no state beyond it.
        let after = self.next.checked_add(1).ok_or(OpenError::WrongCounter)?;
        if header.counter != self.next {
            return Err(OpenError::WrongCounter);
        }
        let tag_at = frame.len().checked_sub(self.keys.suite().tag_len()).ok_or(OpenError::Truncated)?;
        let ciphertext_at = match metadata_len {
            MetadataLen::Bytes(len) => header_len.checked_add(len).ok_or(OpenError::Truncated)?,
            MetadataLen::AllButTag => tag_at,
        };
        if ciphertext_at < header_len || ciphertext_at > tag_at {
            return Err(OpenError::Truncated);
        }
        if (tag_at - ciphertext_at) as u64 > PLAINTEXT_MAX {
            return Err(OpenError::TooLong);
        }
        let (frame, tag) = frame.split_at_mut(tag_at);
        let (aad, ciphertext) = frame.split_at_mut(ciphertext_at);
        self.keys.open(header.counter, aad, ciphertext, tag).map_err(|Refused| OpenError::NotAuthentic)?;
        self.next = after;
        Ok(Opened { metadata: header_len..ciphertext_at, plaintext: ciphertext_at..tag_at })
    }
}
