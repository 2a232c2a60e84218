//! A resolver's addresses (P1) in SQLite.

use super::StoreError;
use super::sqlite::{execute, now};
use p2pgate::broker::{Name, StoredAddress};
use rusqlite::{Connection, Transaction, params};

/// Of the third version's script.
pub(super) const TABLES: &str = "
    CREATE TABLE resolved (
        identifier TEXT PRIMARY KEY,
        address TEXT NOT NULL,
        written INTEGER NOT NULL
    ) WITHOUT ROWID;
";

/// Every address, with the milliseconds since it was told.
pub(super) fn load(connection: &Connection) -> Result<Vec<(Name, StoredAddress, u64)>, StoreError> {
    let mut statement = connection.prepare("SELECT identifier, address, written FROM resolved")?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let address: String = row.get(1)?;
        let address = address.parse().map_err(|_| StoreError::Damaged("a resolved address"))?;
        let age = u64::try_from(now().saturating_sub(row.get(2)?)).unwrap_or(0);
        all.push((Name::from(row.get::<_, String>(0)?), address, age.saturating_mul(1_000)));
    }
    Ok(all)
}

pub(super) fn save(
    transaction: &Transaction<'_>,
    identifier: &Name,
    address: Option<&StoredAddress>,
) -> rusqlite::Result<()> {
    match address {
        Some(address) => {
            let insert = "INSERT OR REPLACE INTO resolved (identifier, address, written) VALUES (?1, ?2, ?3)";
            execute(transaction, insert, params![&**identifier, address.to_string(), now()])?;
        }
        None => {
            execute(transaction, "DELETE FROM resolved WHERE identifier = ?1", params![&**identifier])?;
        }
    }
    Ok(())
}
