//! A recorder as a command-line program: what it takes to put p2pgate's core on real sockets and files.
//!
//! `command` holds what the user types, `state` what outlasts a run, `node` the event loop around the core's
//! terminal, and the rest the file side of sending and receiving.

pub mod cli;
pub mod command;
pub mod failure;
pub mod incoming;
pub mod kinds;
pub mod load;
pub mod names;
pub mod node;
pub mod progress;
pub mod recording;
pub mod state;
