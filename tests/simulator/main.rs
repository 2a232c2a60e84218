//! A simulator: a broker and up to fifty terminals on virtual time, one seed a world, with faults and attackers; beside it a reference model that is
//! checked after every step (`docs/security.md`, Simulated worlds).
//!
//! `P2PGATE_WORLDS` says how many worlds, `P2PGATE_FIRST` which seed is the first. What fails is shrunk and told with the command that runs it again;
//! with `P2PGATE_TALK=1` that tells everything that happens.
//!
//! Many worlds take a seventh of the time with `--release --config 'build.rustflags=["--cfg","p2pgate_worlds"]'`, with which X25519 remembers what it
//! gave before (`src/link/remembered.rs`).
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod app;
mod arrivals;
mod calm;
mod deeds;
mod device;
mod heard;
mod host;
mod kept;
mod liar;
mod model;
mod net;
mod plan;
mod resolver;
mod rng;
mod runner;
mod store;
#[path = "../terminal/world/tap.rs"]
#[allow(dead_code)]
mod tap;
mod wild;
mod world;
