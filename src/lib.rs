//! A terminal for sharing recordings between permitted devices through a broker.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(any(test, feature = "std"))]
extern crate std;

pub mod identifier;
pub mod link;
pub mod message;
pub mod mpeg;
pub mod sframe;
