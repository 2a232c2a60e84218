//! X25519 as a model, for simulated worlds only (`--cfg p2pgate_worlds`): a public key is a hash of the key, and what two share is a hash of both
//! public keys. It is what nobody in a world can tell from X25519, since nobody there computes with keys but by this crate; and a world takes a third
//! less time. The same simulator runs with X25519 itself wherever that isn't set.

use crate::secret::Secret;
use sha2::{Digest, Sha256};

pub(super) fn public_key(key: &[u8; 32]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// None for the point of low order that is easiest to send: zero.
pub(super) fn shared_secret(key: &[u8; 32], public: &[u8; 32]) -> Option<Secret<32>> {
    let own = public_key(key);
    let pair = [own.min(*public), own.max(*public)];
    (*public != [0; 32]).then(|| Secret(Sha256::digest(pair.as_flattened()).into()))
}
