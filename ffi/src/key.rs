//! Keys: the public key of a secret one, and its text form.

use crate::memory::{Out, Outcome, array, code, text};
use crate::result::*;
use core::ffi::c_char;
use p2pgate::link::{FINGERPRINT_LENGTH, PublicKey, SecretKey};

/// Bytes of a secret key, a public key, a seed, a piece of entropy and a SHA-256.
pub const P2PGATE_KEY_LENGTH: usize = 32;
/// Characters of a public key's text form. No NUL is written behind them.
pub const P2PGATE_FINGERPRINT_LENGTH: usize = 43;

const _: () = assert!(FINGERPRINT_LENGTH == P2PGATE_FINGERPRINT_LENGTH);

/// Computes the public key (32 bytes) of a secret key (32 random bytes).
///
/// Errors: P2PGATE_E_NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_public_key(secret_key: *const u8, public_key: *mut u8) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (secret, out) = unsafe { (array(secret_key)?, Out::<[u8; 32]>::new(public_key.cast())?) };
        out.put(*SecretKey::new(*secret).public_key().as_bytes());
        Ok(())
    })())
}

/// Writes the text form of a public key (32 bytes): P2PGATE_FINGERPRINT_LENGTH characters without NUL.
///
/// Errors: P2PGATE_E_NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_fingerprint(
    public_key: *const u8,
    fingerprint: *mut c_char,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (key, out) =
            unsafe { (array(public_key)?, Out::<[u8; FINGERPRINT_LENGTH]>::new(fingerprint.cast())?) };
        let text = PublicKey::new(*key).fingerprint();
        out.put(text.as_bytes().try_into().map_err(|_| P2PGATE_E_KEY)?);
        Ok(())
    })())
}

/// Reads the text form of a public key and writes its 32 bytes.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_TEXT, P2PGATE_E_KEY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_parse_fingerprint(
    fingerprint: *const c_char,
    length: usize,
    public_key: *mut u8,
) -> p2pgate_result_t {
    code((|| -> Outcome<()> {
        // SAFETY: the caller's promise.
        let (text, out) = unsafe { (text(fingerprint, length)?, Out::<[u8; 32]>::new(public_key.cast())?) };
        out.put(*PublicKey::from_base64(text).map_err(|_| P2PGATE_E_KEY)?.as_bytes());
        Ok(())
    })())
}
