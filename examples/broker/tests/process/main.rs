//! The broker as a process, on real files and sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod deposits;
mod hostile;
mod migrate;
mod operator;
mod relay;
mod restart;
mod support;
