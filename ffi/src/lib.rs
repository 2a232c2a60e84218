//! p2pgate's C ABI: the functions of `include/p2pgate.h`, which cbindgen makes from these files.
//!
//! The only unsafe code of the project. What is unsafe about it is one thing: pointers come from C. The module `memory` turns them into slices, outputs and
//! objects, after it has checked what can be checked; what can't is the caller's promise, which the header states.
//!
//! Conventions: `0` is success, positive is nothing to do, negative is an error ([`result`]); outputs are written on success only; numbers instead of
//! enums; no callbacks, no globals, no threads, no allocation.
#![no_std]
#![deny(unsafe_op_in_unsafe_fn)]
#![allow(non_camel_case_types)] // the names are C's
#![allow(clippy::missing_safety_doc)] // one promise for all functions, at the top of the header

#[cfg(any(test, panic = "unwind"))]
extern crate std;

pub mod deposit;
pub mod event;
pub mod fetch;
pub mod gate;
pub mod key;
pub mod lists;
mod memory;
pub mod merger;
pub mod result;
pub mod sframe;
pub mod sha256;
pub mod splitter;
pub mod terminal;
pub mod transfer;
pub mod transport;

/// Major version of the library.
pub const P2PGATE_VERSION_MAJOR: u32 = 0;
/// Minor version of the library.
pub const P2PGATE_VERSION_MINOR: u32 = 1;
/// Patch version of the library.
pub const P2PGATE_VERSION_PATCH: u32 = 0;
/// Number of the binary interface: it grows when a program that was compiled with an older header may no longer work.
pub const P2PGATE_ABI_VERSION: u32 = 1;

/// The version of the library that is linked: major * 65536 + minor * 256 + patch.
#[unsafe(no_mangle)]
pub extern "C" fn p2pgate_version() -> u32 {
    P2PGATE_VERSION_MAJOR << 16 | P2PGATE_VERSION_MINOR << 8 | P2PGATE_VERSION_PATCH
}

/// The binary interface of the library that is linked; compare it with P2PGATE_ABI_VERSION.
#[unsafe(no_mangle)]
pub extern "C" fn p2pgate_abi_version() -> u32 {
    P2PGATE_ABI_VERSION
}

/// Nothing in the library panics on any input; if it does, firmware stops here.
#[cfg(all(feature = "panic-handler", not(panic = "unwind"), not(test)))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
