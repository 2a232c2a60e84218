//! Where passwords, keys, handles and tokens come from (P12).

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

/// Secrets out of the operating system's entropy, through the chain of keys that Noise and Signal use: HMAC-SHA256 of the chain key over one
/// constant is the output, over another the next chain key. What was given out cannot be computed from what is left.
pub(super) struct Generator {
    /// The chain key, behind it zeros up to SHA-256's block.
    chain: Zeroizing<[u8; 64]>,
}

impl Generator {
    pub fn new(entropy: [u8; 32]) -> Self {
        let mut generator = Self { chain: Zeroizing::new([0; 64]) };
        generator.add(entropy);
        generator
    }

    /// Mixes entropy in: never for the worse.
    pub fn add(&mut self, mut entropy: [u8; 32]) {
        let next = self.derive(0, &entropy);
        self.chain[..32].copy_from_slice(&*next);
        entropy.zeroize();
    }

    /// 32 bytes that nobody can foretell, different each time.
    pub fn secret(&mut self) -> Zeroizing<[u8; 32]> {
        let output = self.derive(1, &[]);
        let next = self.derive(2, &[]);
        self.chain[..32].copy_from_slice(&*next);
        output
    }

    /// The same, 128 bits.
    pub fn half(&mut self) -> Zeroizing<[u8; 16]> {
        let secret = self.secret();
        let mut half = Zeroizing::new([0; 16]);
        half.copy_from_slice(&secret[..16]);
        half
    }

    fn derive(&self, purpose: u8, input: &[u8]) -> Zeroizing<[u8; 32]> {
        let mac = <Hmac<Sha256> as KeyInit>::new((&*self.chain).into());
        Zeroizing::new(mac.chain_update([purpose]).chain_update(input).finalize().into_bytes().into())
    }
}
