//! V13: what has arrived and what is still arriving, served to players: each test with the server that the program runs,
//! and with other people's clients where they are installed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod arriving;
mod bounds;
#[path = "../common/mod.rs"]
mod common;
#[cfg(feature = "ftp")]
mod ftp;
mod house;
mod http;
mod rtp;
mod upnp;
