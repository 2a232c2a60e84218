//! Links: length-prefixed records over Noise.
//!
//! A link is one connection. The side that connects first sends a [`Preamble`] in clear, then both send records:
//! two handshake messages, then transport records, each `u16` length (big-endian) and that many bytes.
//!
//! | link | between | Noise protocol | message 1 | message 2 |
//! | --- | --- | --- | --- | --- |
//! | control | terminal, broker | `Noise_IK_25519_AESGCM_SHA256` | empty | versions, record size |
//! | peer | caller, callee | `Noise_KKpsk0_25519_AESGCM_SHA256`, psk = the grant's Encrypt Key | M13's text | versions, record size, M14's text |
//!
//! The prologue binds the preamble and, on a peer link, both identifiers: a changed byte in any of them fails the handshake.
//! No I/O, no allocation, no randomness: each handshake takes 32 fresh bytes.
//!
//! ```text
//! initiator                                        responder
//! Handshake::write -> preamble, record 1  ------>  Preamble::parse; Handshake::read
//! Handshake::read                         <------  record 2 <- Handshake::write
//! finish -> Transport                              finish -> Transport
//! Transport::seal -> record               <----->  record -> Transport::open
//! ```

mod handshake;
mod keys;
#[cfg(p2pgate_worlds)]
mod modelled;
mod noise;
mod part;
mod preamble;
mod record;
mod transport;
#[cfg(not(p2pgate_worlds))]
mod x25519;

#[cfg(test)]
mod tests;

pub use handshake::{
    Handshake, HandshakeError, MAX_HANDSHAKE_PAYLOAD, MAX_IDENTIFIER, PeerGrant, SetupError,
};
pub use keys::{FINGERPRINT_LENGTH, FingerprintError, PublicKey, SecretKey};
pub use part::{
    MAX_PART_HEADER, MAX_PART_NAME, MAX_PART_SOURCE, MIN_PART_HEADER, PartContents, PartError, PartPlace,
    PeekedPart, open_part, peek_part, seal_part,
};
pub use preamble::{
    Handle, MAX_PREAMBLE, MINIMUM_VERSION, Parsed, Preamble, PreambleBufferTooSmall, PreambleError, VERSION,
};
pub use record::{MaxRecord, Record, RecordError, record};
pub use transport::{OpenError, REKEY_AFTER, SealError, Transport};

/// A peer link's pre-shared key: the grant's Encrypt Key (M11, M12; P12), 32 bytes.
pub type Psk = crate::Secret<32>;

/// The one-time token that opens a lane, 32 bytes.
pub type LaneToken = crate::Secret<32>;
