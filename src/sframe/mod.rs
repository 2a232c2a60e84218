//! SFrame (RFC 9605): the frames that carry a transfer, sealed end to end.
//!
//! Two cipher suites, in place on the caller's buffer, without an allocator. A [`Sealer`] counts its frames
//! from 0 and never seals one counter twice; an [`Opener`] takes the next counter and no other, so a frame that
//! was replayed, dropped or moved is refused. Both derive their keys from a base key that is used once, for one
//! direction (RFC 9605, section 4.4.1), and forget them when dropped.
//!
//! On the wire a frame is `header | metadata | ciphertext | tag`. RFC 9605 leaves it to the application where
//! the metadata travels; between header and ciphertext it makes the authenticated data, `header | metadata`,
//! contiguous. A frame without its metadata is the RFC's own, byte for byte.
//!
//! A *clear* frame (V10b: P and B pictures go in clear) has its payload as metadata and an empty plaintext: it
//! is readable by all, but authenticated and counted like any other.

mod cipher;
mod header;
mod opener;
mod sealer;
#[cfg(test)]
mod tests;

pub use header::{Header, HeaderError};
pub use opener::{MetadataLen, OpenError, Opened, Opener};
pub use sealer::{SealError, Sealer};

/// Most bytes that an encoded [`Header`] takes: the configuration byte and two 8-byte numbers.
pub const HEADER_MAX: usize = 17;

/// Most bytes that a tag takes, over all suites.
pub const TAG_MAX: usize = 16;

/// A cipher suite (RFC 9605, section 4.5). The two that this library negotiates.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Suite {
    /// AES-128 in counter mode with a tag of 80 bits by HMAC-SHA-256: for every device.
    Aes128CtrHmacSha256_80,
    /// AES-128-GCM with a tag of 128 bits: for CPUs that have instructions for AES.
    Aes128GcmSha256_128,
}

impl Suite {
    /// The suite's number in the IANA registry (RFC 9605, section 8.1).
    pub const fn id(self) -> u16 {
        match self {
            Self::Aes128CtrHmacSha256_80 => 0x0001,
            Self::Aes128GcmSha256_128 => 0x0004,
        }
    }

    /// The suite with this number in the IANA registry, or `None` if it is not one of the two here.
    pub const fn from_id(id: u16) -> Option<Self> {
        match id {
            0x0001 => Some(Self::Aes128CtrHmacSha256_80),
            0x0004 => Some(Self::Aes128GcmSha256_128),
            _ => None,
        }
    }

    /// Bytes of the tag that ends each frame.
    pub const fn tag_len(self) -> usize {
        match self {
            Self::Aes128CtrHmacSha256_80 => 10,
            Self::Aes128GcmSha256_128 => TAG_MAX,
        }
    }
}
