//! The list of permitted terminals (P2), as both of its ends compare it.

use sha2::{Digest, Sha256};

/// The digest of a list that the answer to HELLO carries: SHA-256 over its identifiers in the order of their bytes, each once and behind
/// its length (`u16` big-endian).
///
/// `sorted` must come in that order: `str`'s own.
pub fn digest<'a>(sorted: impl IntoIterator<Item = &'a str>) -> [u8; 32] {
    let mut sha = Sha256::new();
    for identifier in sorted {
        // An identifier is at most 128 bytes long: nothing is cut off.
        sha.update((identifier.len() as u16).to_be_bytes());
        sha.update(identifier);
    }
    sha.finalize().into()
}
