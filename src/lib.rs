//! A terminal for sharing recordings between permitted devices through a broker.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "broker")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

#[cfg(feature = "broker")]
pub mod broker;
pub mod identifier;
pub mod link;
pub mod message;
pub mod mpeg;
pub mod permitted;
pub mod sframe;
