//! X25519 (RFC 7748).

use crate::secret::Secret;
use x25519_dalek::{PublicKey, StaticSecret, X25519_BASEPOINT_BYTES};

// Inlined, as is the next: in a small device's stack there is no room for what a call has to copy.
#[inline(always)]
pub(super) fn public_key(key: &[u8; 32]) -> [u8; 32] {
    // By the ladder that `shared_secret` has already: the faster way with tables is more code, and twice the stack.
    let base = PublicKey::from(X25519_BASEPOINT_BYTES);
    StaticSecret::from(*key).diffie_hellman(&base).to_bytes()
}

#[inline(always)]
pub(super) fn shared_secret(key: &[u8; 32], public: &[u8; 32]) -> Option<Secret<32>> {
    let shared = StaticSecret::from(*key).diffie_hellman(&(*public).into());
    // An all-zero result (RFC 7748, section 6.1) would let whoever sent a low-order point know the key.
    shared.was_contributory().then(|| Secret(*shared.as_bytes()))
}
