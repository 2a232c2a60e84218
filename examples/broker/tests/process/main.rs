//! The broker as a process, on real files and sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod care;
mod deposits;
mod hostile;
mod migrate;
mod operator;
mod pages;
mod relay;
mod restart;
mod settings;
mod support;
mod tls;
