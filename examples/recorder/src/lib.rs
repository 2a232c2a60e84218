//! A recorder as a command-line program: what it takes to put p2pgate's core on real sockets and files.
//!
//! `command` holds what the user types, `state` what outlasts a run, `node` the event loop around the core's
//! terminal, and the rest the file side of sending and receiving.

/// Prints a line on standard output. Nobody may be listening any more; that is no reason to break off.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, $($words)*).and_then(|()| out.flush());
    }};
}

pub mod cli;
pub mod command;
pub mod failure;
pub mod incoming;
pub mod kinds;
pub mod load;
pub mod mapping;
pub mod names;
pub mod node;
pub mod progress;
pub mod recording;
pub mod state;
