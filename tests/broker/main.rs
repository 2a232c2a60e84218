//! The broker, driven by terminals made of `link` and texts, on virtual time.
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deposits;
mod deposits_hostile;
mod groups;
mod hostile;
mod identity;
mod lanes;
mod lists;
mod parts;
mod queries;
mod quota;
mod reach;
mod resolver;
mod world;
