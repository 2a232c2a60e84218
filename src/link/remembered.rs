//! What X25519 gave before, for simulated worlds only (`--cfg p2pgate_worlds`): both ends of each of their connections are in one process, so that
//! half of all multiplications have been done already, and worlds whose devices have the same keys do most of them once.

use super::noise;
use crate::secret::Secret;
use core::cell::RefCell;
use std::collections::HashMap;

/// So many are kept at most.
const ROOM: usize = 1 << 18;

std::thread_local! {
    static PUBLIC_KEYS: RefCell<HashMap<[u8; 32], [u8; 32]>> = RefCell::default();
    /// By the two public keys, the smaller one first.
    static SHARED: RefCell<HashMap<[[u8; 32]; 2], Option<Secret<32>>>> = RefCell::default();
}

pub(super) fn public_key(key: &[u8; 32]) -> [u8; 32] {
    PUBLIC_KEYS.with_borrow_mut(|keys| {
        if keys.len() == ROOM {
            keys.clear();
        }
        *keys.entry(*key).or_insert_with(|| noise::public_key(key))
    })
}

pub(super) fn shared_secret(key: &[u8; 32], public: &[u8; 32]) -> Option<Secret<32>> {
    let own = public_key(key);
    let pair = [own.min(*public), own.max(*public)];
    SHARED.with_borrow_mut(|shared| {
        if shared.len() == ROOM {
            shared.clear();
        }
        shared.entry(pair).or_insert_with(|| noise::shared_secret(key, public)).clone()
    })
}
