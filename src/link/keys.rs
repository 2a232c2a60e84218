//! Static keys and their text form.

use super::noise::X25519;
use crate::base64;
use crate::secret::Secret;
use core::fmt;
use noise_protocol::DH;

/// Length of a public key's text form, characters.
pub const FINGERPRINT_LENGTH: usize = 43;

/// A terminal's or broker's static secret key (X25519, 32 bytes). Zeroized on drop, never printed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretKey(pub(super) Secret<32>);

impl SecretKey {
    /// From 32 fresh random bytes, or from what [`to_bytes`](Self::to_bytes) gave.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// The key's bytes, to store them where only the device itself can read.
    pub const fn to_bytes(&self) -> &[u8; 32] {
        self.0.expose()
    }

    /// The public key that belongs to it.
    pub fn public_key(&self) -> PublicKey {
        PublicKey(X25519::pubkey(&self.0))
    }
}

/// A static public key (X25519, 32 bytes): who a terminal or broker *is*.
///
/// Its text form, the fingerprint, is the whole key in base64 without padding (43 characters).
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// From its 32 bytes. A key of low order is refused by the handshake that uses it.
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The text form, 43 ASCII characters.
    pub fn fingerprint(&self) -> heapless::String<FINGERPRINT_LENGTH> {
        // 43 characters and one to pad hold 32 bytes exactly: no step has a way to fail. The messages' alphabet, whose code is there anyway.
        let mut text = [0; FINGERPRINT_LENGTH + 1];
        let padded = base64::encode(&self.0, &mut text);
        padded.and_then(|text| text.strip_suffix('=')?.try_into().ok()).unwrap_or_default()
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// [`FingerprintError`] if it isn't exactly 43 characters of base64 for 32 bytes.
    pub fn from_base64(text: &str) -> Result<Self, FingerprintError> {
        if text.len() != FINGERPRINT_LENGTH {
            return Err(FingerprintError);
        }
        let (mut padded, mut bytes) = ([b'='; FINGERPRINT_LENGTH + 1], [0; 32]);
        padded[..FINGERPRINT_LENGTH].copy_from_slice(text.as_bytes());
        match base64::decode(core::str::from_utf8(&padded).unwrap_or_default(), &mut bytes) {
            Some(decoded) if decoded.len() == 32 => Ok(Self(bytes)),
            _ => Err(FingerprintError),
        }
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// A text is no public key's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no public key: it takes 43 characters of base64; copy the whole fingerprint")]
pub struct FingerprintError;
