//! A broker for p2pgate: sockets, clock, entropy and store around the decisions of [`p2pgate::broker`].
//!
//! The program `p2pgate-broker` runs one; tests and demonstrations start one in their own process:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let data = folder.path();
//! use p2pgate_broker::{Options, Server, enrol};
//!
//! let mut options = Options::new(data);
//! options.listen = "127.0.0.1:0".parse()?;
//! let server = Server::bind(options)?;
//! println!("listening {} key {}", server.local_addr(), server.public_key());
//! let stop = server.stop_handle();
//! let running = std::thread::spawn(move || server.run());
//! let ticket = enrol(data, "living room")?;
//! stop.stop();
//! running.join().expect("the server's thread ends")?;
//! # assert_eq!(ticket.len(), 24);
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod accept;
mod admin;
mod backup;
mod check;
mod conduit;
mod disk;
mod error;
mod files;
mod folder;
mod handles;
mod history;
mod joined;
mod lanes;
pub mod leases;
mod links;
mod listing;
mod lookups;
mod metrics;
mod operators;
mod options;
mod page;
mod pages;
mod pair;
mod reaching;
mod resolving;
mod server;
pub mod size;
mod socket;
pub mod store;
mod tls;
mod turns;

pub use admin::{enrol, enrol_look_alike, revoke};
pub use backup::backup;
pub use check::check;
pub use error::Error;
pub use folder::key;
pub use handles::{Reload, Stop};
pub use listing::{Shown, deposits, groups, show, terminals};
pub use options::{AskedResolver, Options, Resolves, Secured, TlsFiles};
pub use server::Server;
pub use store::composed;
