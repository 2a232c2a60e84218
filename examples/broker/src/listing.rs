//! The operator's look at what is deposited.

use crate::Error;
use crate::folder::Folder;
use crate::store::{Sqlite, Store};
use p2pgate::broker::StoredDeposit;
use std::path::Path;

/// The deposits of a data folder whose broker may be running, oldest first; those among them that have a notice are over, and only their depositor has
/// not heard of it yet.
///
/// # Errors
/// The store cannot be read, or another release has written it.
pub fn deposits(data: &Path) -> Result<Vec<StoredDeposit>, Error> {
    let path = Folder::new(data).store();
    let read = Sqlite::read(&path).and_then(|mut store| store.load_deposits());
    read.map_err(|source| Error::Store { path, source })
}
