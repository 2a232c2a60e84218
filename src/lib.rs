//! A terminal for sharing recordings between permitted devices through a broker.
//!
//! Sans-IO: bytes, time and entropy go in; bytes, deadlines and events come out. No allocator, no clock, no sockets, no `unsafe`.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "broker")]
extern crate alloc;
#[cfg(any(test, feature = "std"))]
extern crate std;

mod base64;
#[cfg(feature = "broker")]
pub mod broker;
mod entropy;
pub mod identifier;
pub mod lane;
pub mod link;
pub mod load;
pub mod message;
pub mod mpeg;
pub mod permitted;
pub mod route;
mod secret;
pub mod sframe;
pub mod terminal;

pub use secret::Secret;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
