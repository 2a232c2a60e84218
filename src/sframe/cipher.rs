//! Keys and ciphers of the two suites (RFC 9605, sections 4.4.2 and 4.5).

use super::{Suite, TAG_MAX};
use aes::Aes128Enc;
use aes_gcm::aead::{AeadInOut, KeyInit};
use aes_gcm::{Aes128Gcm, Tag};
use ctr::Ctr64BE;
use ctr::cipher::{KeyIvInit, StreamCipher, StreamCipherError};
use hkdf::Hkdf;
use hmac::block_api::HmacCore;
use hmac::digest::block_api::{Buffer, CoreProxy};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

const AES_KEY_LEN: usize = 16;
const HMAC_KEY_LEN: usize = 32;
const NONCE_LEN: usize = 12;
const CTR_HMAC_TAG_LEN: usize = Suite::Aes128CtrHmacSha256_80.tag_len();

/// Bytes that are encrypted and then authenticated while they are still in the first-level cache.
const TURN: usize = 4096;

/// Most bytes of plaintext in a frame: both ciphers count their 16-byte blocks in 32 bits, and GCM keeps two.
pub(super) const PLAINTEXT_MAX: u64 = (1 << 36) - 32;

/// A frame is longer than the cipher can count, or not authentic.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refused;

impl From<StreamCipherError> for Refused {
    fn from(_: StreamCipherError) -> Self {
        Self
    }
}

impl From<aes_gcm::Error> for Refused {
    fn from(_: aes_gcm::Error) -> Self {
        Self
    }
}

/// One base key's secrets, for one suite and key identifier.
pub(super) struct Keys {
    aead: Aead,
    salt: Zeroizing<[u8; NONCE_LEN]>,
}

enum Aead {
    CtrHmac(CtrHmac),
    // The key alone: its schedule is many times as large, and made anew costs little beside a frame.
    Gcm(Zeroizing<[u8; AES_KEY_LEN]>),
}

impl Keys {
    /// Derives key and salt (section 4.4.2).
    pub(super) fn derive(suite: Suite, kid: u64, base_key: &[u8]) -> Self {
        let (mut secret, hkdf) = Hkdf::<Sha256>::extract(None, base_key);
        secret.as_mut_slice().zeroize();
        let salt = expand(&hkdf, b"SFrame 1.0 Secret salt ", suite, kid);
        let key_label = b"SFrame 1.0 Secret key ";
        let aead = match suite {
            Suite::Aes128CtrHmacSha256_80 => {
                Aead::CtrHmac(CtrHmac::new(&expand(&hkdf, key_label, suite, kid)))
            }
            Suite::Aes128GcmSha256_128 => Aead::Gcm(expand(&hkdf, key_label, suite, kid)),
        };
        Self { aead, salt }
    }

    pub(super) fn suite(&self) -> Suite {
        match self.aead {
            Aead::CtrHmac(_) => Suite::Aes128CtrHmacSha256_80,
            Aead::Gcm(_) => Suite::Aes128GcmSha256_128,
        }
    }

    /// Encrypts `data` in place and writes the tag, of the suite's length, over `aad` and the ciphertext.
    pub(super) fn seal(
        &self,
        counter: u64,
        aad: &[u8],
        data: &mut [u8],
        tag: &mut [u8],
    ) -> Result<(), Refused> {
        let nonce = self.nonce(counter);
        match &self.aead {
            Aead::CtrHmac(aead) => tag.copy_from_slice(&aead.seal(&nonce, aad, data)?),
            Aead::Gcm(key) => {
                let aead = Aes128Gcm::new((&**key).into());
                tag.copy_from_slice(&aead.encrypt_inout_detached(&nonce.into(), aad, data.into())?);
            }
        }
        Ok(())
    }

    /// Decrypts `data` in place, but only once `tag` has proved `aad` and the ciphertext authentic.
    pub(super) fn open(&self, counter: u64, aad: &[u8], data: &mut [u8], tag: &[u8]) -> Result<(), Refused> {
        let nonce = self.nonce(counter);
        match &self.aead {
            Aead::CtrHmac(aead) => aead.open(&nonce, aad, data, tag),
            Aead::Gcm(key) => {
                let tag: &[u8; TAG_MAX] = tag.try_into().map_err(|_| Refused)?;
                let tag: &Tag = tag.into();
                Aes128Gcm::new((&**key).into()).decrypt_inout_detached(
                    &nonce.into(),
                    aad,
                    data.into(),
                    tag,
                )?;
                Ok(())
            }
        }
    }

    /// The salt with the counter XORed into its end (section 4.4.3).
    pub(super) fn nonce(&self, counter: u64) -> [u8; NONCE_LEN] {
        let mut nonce = *self.salt;
        for (byte, counter) in nonce[NONCE_LEN - 8..].iter_mut().zip(counter.to_be_bytes()) {
            *byte ^= counter;
        }
        nonce
    }
}

fn expand<const LEN: usize>(
    hkdf: &Hkdf<Sha256>,
    label: &[u8],
    suite: Suite,
    kid: u64,
) -> Zeroizing<[u8; LEN]> {
    let mut key = Zeroizing::new([0; LEN]);
    let info = [label, &kid.to_be_bytes(), &suite.id().to_be_bytes()];
    #[expect(clippy::expect_used, reason = "HKDF gives up to 8,160 bytes; these are lengths of keys")]
    hkdf.expand_multi_info(&info, &mut *key).expect("a key is shorter than what HKDF can give");
    key
}

/// AES-128-CTR and HMAC-SHA-256, encrypt then MAC, with a tag of 80 bits (section 4.5.1).
pub(super) struct CtrHmac {
    key: Zeroizing<[u8; AES_KEY_LEN]>,
    /// Has taken up its key, so that a frame starts from a copy. Without the buffer that a frame needs: a lane has one of these all the time.
    mac: HmacCore<Sha256>,
}

impl CtrHmac {
    pub(super) fn new(key: &[u8; AES_KEY_LEN + HMAC_KEY_LEN]) -> Self {
        let (aes_key, hmac_key) = key.split_at(AES_KEY_LEN);
        // HMAC fills a key up to its block with zeros; done here, no length can be wrong.
        let mut block = Zeroizing::new([0; 64]);
        block[..HMAC_KEY_LEN].copy_from_slice(hmac_key);
        let mut key = Zeroizing::<[u8; AES_KEY_LEN]>::default();
        key.copy_from_slice(aes_key);
        Self { key, mac: HmacCore::new((&*block).into()) }
    }

    pub(super) fn seal(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; CTR_HMAC_TAG_LEN], Refused> {
        let mut mac = self.mac_of_aad(nonce, aad, data.len());
        if !data.is_empty() {
            let mut keystream = self.keystream(nonce);
            for turn in data.chunks_mut(TURN) {
                keystream.try_apply_keystream(turn)?;
                mac.update(turn);
            }
        }
        let mut tag = [0; CTR_HMAC_TAG_LEN];
        tag.copy_from_slice(&mac.finalize().as_bytes()[..CTR_HMAC_TAG_LEN]);
        Ok(tag)
    }

    pub(super) fn open(
        &self,
        nonce: &[u8; NONCE_LEN],
        aad: &[u8],
        data: &mut [u8],
        tag: &[u8],
    ) -> Result<(), Refused> {
        let mac = self.mac_of_aad(nonce, aad, data.len()).chain_update(&*data);
        mac.verify_truncated_left(tag).map_err(|_| Refused)?;
        if !data.is_empty() {
            self.keystream(nonce).try_apply_keystream(data)?;
        }
        Ok(())
    }

    /// The MAC, up to where the ciphertext follows.
    fn mac_of_aad(&self, nonce: &[u8; NONCE_LEN], aad: &[u8], ciphertext_len: usize) -> Hmac<Sha256> {
        Hmac::compose(self.mac.clone(), Buffer::<HmacCore<Sha256>>::default())
            .chain_update((aad.len() as u64).to_be_bytes())
            .chain_update((ciphertext_len as u64).to_be_bytes())
            .chain_update((CTR_HMAC_TAG_LEN as u64).to_be_bytes())
            .chain_update(nonce)
            .chain_update(aad)
    }

    /// The keystream from block 0. It starts at 0 in the last four bytes, which [`PLAINTEXT_MAX`] keeps from
    /// running over, so a counter of eight bytes gives the same and is measured to be faster than one of four.
    fn keystream(&self, nonce: &[u8; NONCE_LEN]) -> Ctr64BE<Aes128Enc> {
        let mut block = [0; 16];
        block[..NONCE_LEN].copy_from_slice(nonce);
        Ctr64BE::new((&*self.key).into(), &block.into())
    }
}
