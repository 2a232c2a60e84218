//! What must outlast a restart (P13): who is enrolled, permitted lists, groups, addresses, tickets, the index of deposits.

mod care;
mod deposits;
mod groups;
mod looks;
mod resolved;
mod sqlite;
mod worker;

pub(crate) use care::Part;
pub use looks::composed;
pub(crate) use looks::look_alike;
pub use sqlite::Sqlite;
pub(crate) use worker::Worker;

use p2pgate::broker::{Name, StoreOperation, Stored, StoredAddress, StoredDeposit};
use p2pgate::link::PublicKey;

/// A place for what must last. This trait is the seam for other engines.
///
/// One thread owns it. [`apply`](Self::apply) gets what has gathered while the last group was written, and makes all of it durable at once.
pub trait Store: Send {
    /// Everything, for the start.
    ///
    /// # Errors
    /// The engine's, or a row that no broker has written.
    fn load(&mut self) -> Result<Vec<Terminal>, StoreError>;

    /// Every group (V4), in the order of their names' bytes.
    ///
    /// # Errors
    /// The engine's, or a row that no broker has written.
    fn load_groups(&mut self) -> Result<Vec<Group>, StoreError>;

    /// Every address that a resolver was told, with the milliseconds since then (P1).
    ///
    /// # Errors
    /// The engine's, or a row that no broker has written.
    fn load_resolved(&mut self) -> Result<Vec<(Name, StoredAddress, u64)>, StoreError>;

    /// Every deposit, in the order in which they were opened.
    ///
    /// # Errors
    /// The engine's, or a row that no broker has written.
    fn load_deposits(&mut self) -> Result<Vec<StoredDeposit>, StoreError>;

    /// Does the operations in their order, each whole or not at all, and gives their outcomes back in that order.
    /// What is [`Stored::Done`] is on disk when this returns.
    fn apply(&mut self, operations: &[Operation]) -> Vec<Stored>;
}

/// What a store is asked to do.
#[derive(Clone, Debug)]
pub enum Operation {
    /// A terminal's wish.
    Terminal(StoreOperation),
    /// The operator gives out a ticket, which takes the place of an earlier one for the identifier. Refused if a key is enrolled, a group is called so, or it looks
    /// like another name and may not.
    Ticket {
        /// Who may enrol by it.
        identifier: Name,
        /// SHA-256 of the ticket.
        digest: [u8; 32],
        /// It may look like another name (V4).
        allow_look_alike: bool,
    },
    /// Changes nothing, but is on disk when it is done: that the store can be written again.
    Touch,
    /// The operator takes key, ticket, list and address away. Refused if the identifier has neither key nor ticket.
    Revoke {
        /// Whose.
        identifier: Name,
    },
}

/// An enrolled terminal, as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terminal {
    /// What it is called.
    pub identifier: String,
    /// The key that is served under this name.
    pub key: PublicKey,
    /// The number of its permitted list; 0: it has none.
    pub revision: u64,
    /// Whom it permits, each with the key that the entry is bound to.
    pub list: Vec<(Name, Option<PublicKey>)>,
    /// Where it can be reached.
    pub address: Option<StoredAddress>,
    /// The largest frame that it takes, if it knows deposits.
    pub frame: Option<u32>,
}

/// A group of terminals (V4), as it was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What it is called.
    pub name: String,
    /// Whose it is.
    pub owner: String,
    /// Who is in it, each with the key that the membership is bound to.
    pub members: Vec<(Name, Option<PublicKey>)>,
}

/// Why a store cannot be opened or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A later release has written it.
    #[error("the store is of version {0}, written by a later release: run that release")]
    Later(i64),
    /// A row that no broker has written.
    #[error("the store is damaged in {0}: restore it from a backup")]
    Damaged(&'static str),
    /// An earlier release has written it, and it is only to be read.
    #[error("the store is of version {0}, written by an earlier release: start the broker once")]
    Earlier(i64),
    /// The engine's own error.
    #[error(
        "the store cannot be used ({0}): check the disk and the file's owner, or restore it from a backup"
    )]
    Engine(String),
}
