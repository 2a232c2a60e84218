//! Fresh secrets from what a device has: its static key, a stored seed and whatever entropy it can gather.
//!
//! A device's random generator may be weak or, after a reset, repeat itself. So no secret comes from it alone (the idea of RFC 8937):
//! everything goes through HKDF-SHA256 (RFC 5869) together with the device's static key and a seed that was stored before use and
//! is never used twice.

use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroize;

/// A generator of secrets. Its state is replaced at every draw, so a captured state doesn't tell earlier secrets.
pub(crate) struct Entropy {
    state: [u8; 32],
}

impl Entropy {
    /// Mixes the static key, the stored seed and fresh entropy; gives the generator and the seed to store before its first use.
    pub(crate) fn new(
        static_key: &[u8; 32],
        seed: &[u8; 32],
        fresh: &[u8; 32],
        context: &[u8],
    ) -> (Self, [u8; 32]) {
        let mut material = [0; 64];
        material[..32].copy_from_slice(static_key);
        material[32..].copy_from_slice(fresh);
        let mut entropy = Self { state: [0; 32] };
        let mut next_seed = [0; 32];
        expand(Some(seed), &material, context, &mut entropy.state, &mut next_seed);
        material.zeroize();
        (entropy, next_seed)
    }

    /// From entropy of an operating system's, which needs no help.
    #[cfg(feature = "broker")]
    pub(crate) fn from_system(fresh: &[u8; 32]) -> Self {
        let mut entropy = Self { state: [0; 32] };
        entropy.add(fresh);
        entropy
    }

    /// Mixes further entropy in.
    pub(crate) fn add(&mut self, fresh: &[u8; 32]) {
        let mut old = self.state;
        expand(Some(&old), fresh, b"p2pgate add", &mut self.state, &mut []);
        old.zeroize();
    }

    /// Draws a secret.
    pub(crate) fn draw<const N: usize>(&mut self) -> [u8; N] {
        let mut old = self.state;
        let mut out = [0; N];
        expand(None, &old, b"p2pgate draw", &mut self.state, &mut out);
        old.zeroize();
        out
    }
}

impl Drop for Entropy {
    fn drop(&mut self) {
        self.state.zeroize();
    }
}

fn expand(salt: Option<&[u8; 32]>, material: &[u8], context: &[u8], state: &mut [u8; 32], out: &mut [u8]) {
    let hkdf = Hkdf::<Sha256>::new(salt.map(|salt| &salt[..]), material);
    // Lengths far under HKDF's limit of 255 blocks, so expanding cannot fail.
    let _ = hkdf.expand_multi_info(&[context, b" state"], state);
    let _ = hkdf.expand_multi_info(&[context, b" out"], out);
}
