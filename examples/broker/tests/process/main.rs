//! The broker as a process, on real files and sockets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod care;
mod deposits;
mod disk;
mod groups;
mod hostile;
mod migrate;
mod names;
mod operator;
mod pages;
mod quota;
mod reach;
mod relay;
mod resolver;
mod restart;
mod settings;
mod support;
mod tls;
