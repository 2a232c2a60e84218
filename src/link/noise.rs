//! The three Noise primitives over RustCrypto: X25519, AES-256-GCM, SHA-256 (Noise revision 34, section 12).

#[cfg(p2pgate_worlds)]
use super::modelled::{public_key, shared_secret};
#[cfg(not(p2pgate_worlds))]
use super::x25519::{public_key, shared_secret};
use crate::secret::Secret;
use aes_gcm::{AeadInOut, Aes256Gcm, KeyInit, Nonce, Tag};
use noise_protocol::{Cipher, DH, HandshakeState, Hash, U8Array};
use sha2::Digest;

/// A handshake with the suite of both link protocols.
pub(crate) type Suite = HandshakeState<X25519, AesGcm, Sha256>;

/// Length of an authentication tag, bytes.
pub(crate) const TAG: usize = 16;

impl<const N: usize> U8Array for Secret<N> {
    fn new() -> Self {
        Self([0; N])
    }

    fn new_with(byte: u8) -> Self {
        Self([byte; N])
    }

    fn from_slice(bytes: &[u8]) -> Self {
        let mut secret = Self([0; N]);
        secret.0.copy_from_slice(bytes);
        secret
    }

    fn len() -> usize {
        N
    }

    fn as_slice(&self) -> &[u8] {
        &self.0
    }

    fn as_mut(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

/// Noise's DH function `25519`.
pub(crate) enum X25519 {}

impl DH for X25519 {
    type Key = Secret<32>;
    type Pubkey = [u8; 32];
    type Output = Secret<32>;

    fn name() -> &'static str {
        "25519"
    }

    fn genkey() -> Self::Key {
        // The core has no randomness. Every handshake here is given its ephemeral key; one that was not must stop
        // rather than go on with a key that anybody can guess.
        unreachable!("handshakes are always given their ephemeral key")
    }

    fn pubkey(key: &Self::Key) -> Self::Pubkey {
        public_key(&key.0)
    }

    fn dh(key: &Self::Key, public: &Self::Pubkey) -> Result<Self::Output, ()> {
        shared_secret(&key.0, public).ok_or(())
    }
}

/// Noise's cipher `AESGCM`: AES-256-GCM, nonce = 32 zero bits and the counter, big-endian.
pub(crate) enum AesGcm {}

impl AesGcm {
    fn nonce(counter: u64) -> Nonce<<Aes256Gcm as aes_gcm::AeadCore>::NonceSize> {
        let mut nonce = [0; 12];
        nonce[4..].copy_from_slice(&counter.to_be_bytes());
        nonce.into()
    }
}

impl Cipher for AesGcm {
    type Key = Secret<32>;

    fn name() -> &'static str {
        "AESGCM"
    }

    fn encrypt(key: &Self::Key, nonce: u64, ad: &[u8], plaintext: &[u8], out: &mut [u8]) {
        out[..plaintext.len()].copy_from_slice(plaintext);
        Self::encrypt_in_place(key, nonce, ad, out, plaintext.len());
    }

    fn encrypt_in_place(key: &Self::Key, nonce: u64, ad: &[u8], in_out: &mut [u8], length: usize) -> usize {
        let (text, rest) = in_out.split_at_mut(length);
        let cipher = Aes256Gcm::new((&key.0).into());
        match cipher.encrypt_inout_detached(&Self::nonce(nonce), ad, (&mut *text).into()) {
            Ok(tag) => rest[..TAG].copy_from_slice(&tag),
            // Only over 64 GiB, which no record reaches; the trait has no error, so nothing readable may remain.
            Err(_) => in_out[..length + TAG].fill(0),
        }
        length + TAG
    }

    fn decrypt(key: &Self::Key, nonce: u64, ad: &[u8], ciphertext: &[u8], out: &mut [u8]) -> Result<(), ()> {
        let (text, tag) = ciphertext.split_last_chunk::<TAG>().ok_or(())?;
        out.copy_from_slice(text);
        open(key, nonce, ad, out, tag)
    }

    fn decrypt_in_place(
        key: &Self::Key,
        nonce: u64,
        ad: &[u8],
        in_out: &mut [u8],
        length: usize,
    ) -> Result<usize, ()> {
        let (text, tag) = in_out.get_mut(..length).and_then(|b| b.split_last_chunk_mut::<TAG>()).ok_or(())?;
        open(key, nonce, ad, text, tag)?;
        Ok(text.len())
    }

    /// As the trait's own, which would leave the new key on the stack.
    fn rekey(key: &Self::Key) -> Self::Key {
        let mut block = Secret([0; 32 + TAG]);
        Self::encrypt_in_place(key, u64::MAX, &[], &mut block.0, 32);
        Secret::from_slice(&block.0[..32])
    }
}

fn open(key: &Secret<32>, nonce: u64, ad: &[u8], text: &mut [u8], tag: &[u8; TAG]) -> Result<(), ()> {
    let tag: &Tag = tag.into();
    Aes256Gcm::new((&key.0).into())
        .decrypt_inout_detached(&AesGcm::nonce(nonce), ad, text.into(), tag)
        .map_err(|_| ())
}

/// Noise's hash function `SHA256`.
#[derive(Default)]
pub(crate) struct Sha256(sha2::Sha256);

impl Hash for Sha256 {
    type Block = Secret<64>;
    type Output = Secret<32>;

    fn name() -> &'static str {
        "SHA256"
    }

    fn input(&mut self, data: &[u8]) {
        self.0.update(data);
    }

    fn result(&mut self) -> Self::Output {
        Secret(self.0.finalize_reset().into())
    }
}
