//! What can go wrong around the broker, said so that an operator knows what to do.

use crate::store::StoreError;
use p2pgate::identifier::IdentifierError;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Why the broker, or an operator's command, did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process serves this data folder.
    #[error("a broker already serves {}: stop it first, or give another folder by --data", .0.display())]
    Running(PathBuf),
    /// The process that serves this data folder does not answer.
    #[error("the broker that serves {} does not answer ({source}): see its log", .folder.display())]
    Silent {
        /// The data folder.
        folder: PathBuf,
        /// What its socket said.
        source: io::Error,
    },
    /// A file of the data folder cannot be used.
    #[error("cannot {what} {} ({source}): check that the folder is this user's and the disk has room", .path.display())]
    File {
        /// What was tried.
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The broker's key is not 32 bytes.
    #[error("{} is no broker's key: restore it from a backup; without it every terminal has to pin a new key", .0.display())]
    Key(PathBuf),
    /// The store cannot be used.
    #[error("{}: {source}", .path.display())]
    Store {
        /// The store's file.
        path: PathBuf,
        /// Why.
        source: StoreError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({source}): give a free address of this machine by --listen")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The text is no identifier (V4).
    #[error("{0}")]
    Identifier(#[from] IdentifierError),
    /// The text is an identifier, but people could type the same and mean another (V4).
    #[error("{identifier} is not in the composed form (NFC): give {composed}, which looks the same")]
    NotComposed {
        /// What was given.
        identifier: String,
        /// Its composed form.
        composed: String,
    },
    /// Verifying the data folder has found so much.
    #[error("{} has faults, {count} in all: stop the broker and restore it from a backup", .folder.display())]
    Faults {
        /// The data folder.
        folder: PathBuf,
        /// How many.
        count: usize,
    },
    /// The admin pages would be open to other machines.
    #[error(
        "--admin {0} can be reached from other machines and asks for no password: give a loopback address, or --admin-exposed as well"
    )]
    Exposed(SocketAddr),
    /// The settings cannot be used; the text says which, and what to do.
    #[error("{0}")]
    Setting(String),
    /// The operator's command was refused; the text says why.
    #[error("{0}")]
    Refused(String),
    /// The running broker could not do the operator's command; the text says why.
    #[error("{0}")]
    Failed(String),
    /// The system refused something that a server cannot do without.
    #[error("the system refused to {what} ({source}): check the limits of open files and memory")]
    System {
        /// What was tried.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    /// The exit code of the command that fails by this: 2 usage, 9 trouble with the data folder, 1 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Identifier(_) | Self::NotComposed { .. } | Self::Exposed(_) | Self::Setting(_) => 2,
            Self::Faults { .. } | Self::File { .. } | Self::Key(_) | Self::Store { .. } | Self::Failed(_) => {
                9
            }
            _ => 1,
        }
    }

    pub(crate) fn file(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { what, path: path.to_path_buf(), source }
    }

    pub(crate) fn system(what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::System { what, source }
    }
}
