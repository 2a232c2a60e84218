//! The operator's look at who is enrolled and what is deposited. The broker may be running.

use crate::Error;
use crate::folder::Folder;
use crate::store::{Group, Sqlite, Store, StoreError, Terminal};
use p2pgate::broker::StoredDeposit;
use std::path::Path;

/// The deposits of a data folder, oldest first; those among them that have a notice are over, and only their depositor has not heard of it yet.
///
/// # Errors
/// The store cannot be read, or another release has written it.
pub fn deposits(data: &Path) -> Result<Vec<StoredDeposit>, Error> {
    read(data, Store::load_deposits)
}

/// The groups of a data folder (V4), in the order of their names' bytes.
///
/// # Errors
/// The store cannot be read, or another release has written it.
pub fn groups(data: &Path) -> Result<Vec<Group>, Error> {
    read(data, Store::load_groups)
}

/// The enrolled terminals of a data folder, in the order of their identifiers' bytes.
///
/// # Errors
/// The store cannot be read, or another release has written it.
pub fn terminals(data: &Path) -> Result<Vec<Terminal>, Error> {
    let mut terminals = read(data, Store::load)?;
    terminals.sort_by(|one, other| one.identifier.cmp(&other.identifier));
    Ok(terminals)
}

/// All that a data folder has of one terminal.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As it is enrolled; `None`: it only has a ticket.
    pub terminal: Option<Terminal>,
    /// For how many seconds its unused ticket is still good.
    pub ticket_seconds: Option<u64>,
    /// The groups that it owns or is in (V4), in the order of their names' bytes.
    pub groups: Vec<Group>,
    /// The deposits that it made and those for it, oldest first.
    pub deposits: Vec<StoredDeposit>,
}

/// What is known of `identifier`.
///
/// # Errors
/// It has neither key nor ticket, or the store cannot be read.
pub fn show(data: &Path, identifier: &str) -> Result<Shown, Error> {
    p2pgate::identifier::check(identifier)?;
    let ours = |deposit: &StoredDeposit| {
        *deposit.record.caller == *identifier || *deposit.record.callee == *identifier
    };
    let of_it = |group: &Group| {
        group.owner == identifier || group.members.iter().any(|(member, _)| **member == *identifier)
    };
    let shown = read(data, |store| {
        Ok(Shown {
            terminal: store.load()?.into_iter().find(|terminal| terminal.identifier == identifier),
            ticket_seconds: store.ticket_seconds(identifier)?,
            groups: store.load_groups()?.into_iter().filter(of_it).collect(),
            deposits: store.load_deposits()?.into_iter().filter(ours).collect(),
        })
    })?;
    if shown.terminal.is_none() && shown.ticket_seconds.is_none() {
        return Err(Error::Refused(format!("{identifier} is not enrolled here: check its spelling")));
    }
    Ok(shown)
}

fn read<T>(data: &Path, read: impl FnOnce(&mut Sqlite) -> Result<T, StoreError>) -> Result<T, Error> {
    let path = Folder::new(data).store();
    let result = Sqlite::read(&path).and_then(|mut store| read(&mut store));
    result.map_err(|source| Error::Store { path, source })
}
