//! SHA-256, for a recording's hash: the library has it anyway, and who receives needs it to check what P2PGATE_EVENT_ARRIVED says.

use crate::memory::{Object, Out, bytes, code, end, live, place, shared, usable};
use crate::result::*;
use sha2::{Digest, Sha256};

/// Words of a SHA-256.
pub const P2PGATE_SHA256_WORDS: usize = 16;

/// Computes a SHA-256: initialise it where it stays.
#[repr(C)]
pub struct p2pgate_sha256_t {
    /// Not for the application.
    pub words: [u64; P2PGATE_SHA256_WORDS],
}

impl Object for Sha256 {
    const MAGIC: u64 = 0x7032_7067_6861_7368;
}

const _: () = assert!(size_of::<crate::memory::Slot<Sha256>>() <= P2PGATE_SHA256_WORDS * 8);

/// Begins a SHA-256 over nothing.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sha256_init(sha256: *mut p2pgate_sha256_t) -> p2pgate_result_t {
    code((|| {
        usable::<Sha256>(sha256.cast())?;
        // SAFETY: the caller's promise.
        unsafe { place(sha256.cast(), Sha256::new()) }
    })())
}

/// Goes on with `length` bytes.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sha256_update(
    sha256: *mut p2pgate_sha256_t,
    data: *const u8,
    length: usize,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (sha256, data) = unsafe { (live::<Sha256>(sha256.cast())?, bytes(data, length)?) };
        sha256.update(data);
        Ok(())
    })())
}

/// Writes the SHA-256 (32 bytes) of all bytes so far. It may go on afterwards; end it by p2pgate_sha256_deinit.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sha256_finish(
    sha256: *const p2pgate_sha256_t,
    hash: *mut u8,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (sha256, out) = unsafe { (shared::<Sha256>(sha256.cast())?, Out::<[u8; 32]>::new(hash.cast())?) };
        out.put(sha256.clone().finalize().into());
        Ok(())
    })())
}

/// Ends the SHA-256 and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_sha256_deinit(sha256: *mut p2pgate_sha256_t) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<Sha256>(sha256.cast(), P2PGATE_SHA256_WORDS) })
}
