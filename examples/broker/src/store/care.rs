//! What an operator does with the store beside serving it: verify it and copy it.

use super::{Sqlite, StoreError};
use p2pgate::message::DepositId;
use rusqlite::{Connection, OptionalExtension, backup::Backup, params};
use std::path::Path;
use std::time::Duration;

/// One part of a deposit, as the index has it.
pub(crate) struct Part {
    pub deposit: DepositId,
    pub number: u32,
    /// Bytes of the deposit's file.
    pub start: u64,
    pub end: u64,
    pub digest: [u8; 32],
}

impl Sqlite {
    /// What SQLite itself finds damaged, a line each.
    pub(crate) fn damage(&self) -> Result<Vec<String>, StoreError> {
        let mut statement = self.connection.prepare("PRAGMA integrity_check")?;
        let lines = statement.query_map([], |row| row.get::<_, String>(0))?;
        let mut found = lines.filter(|line| line.as_deref() != Ok("ok")).collect::<Result<Vec<_>, _>>()?;
        let mut statement = self.connection.prepare("PRAGMA foreign_key_check")?;
        let orphans = statement
            .query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, Option<String>>(2)?)))?;
        for orphan in orphans {
            let (table, parent) = orphan?;
            let parent = parent.unwrap_or_default();
            found.push(format!("a row of {table} belongs to none of {parent}"));
        }
        Ok(found)
    }

    /// Every part of the deposits that are kept, in the order in which they lie in their files.
    pub(crate) fn parts(&self) -> Result<Vec<Part>, StoreError> {
        let mut statement = self.connection.prepare(
            "SELECT deposit, part, start, stop, digest FROM parts JOIN deposits USING (deposit)
             WHERE notice IS NULL ORDER BY deposits.number, part",
        )?;
        let parts = statement.query_map([], |row| {
            Ok(Part {
                deposit: row.get(0)?,
                number: row.get(1)?,
                start: row.get::<_, i64>(2)?.cast_unsigned(),
                end: row.get::<_, i64>(3)?.cast_unsigned(),
                digest: row.get(4)?,
            })
        })?;
        Ok(parts.collect::<Result<_, _>>()?)
    }

    /// For how many seconds the identifier's unused ticket is still good, if it has one.
    pub(crate) fn ticket_seconds(&self, identifier: &str) -> Result<Option<u64>, StoreError> {
        let expires = "SELECT expires FROM tickets WHERE identifier = ?1";
        let expires = self.connection.query_row(expires, params![identifier], |row| row.get::<_, i64>(0));
        let left = expires.optional()?.map(|expires| expires.saturating_sub(super::sqlite::now()));
        Ok(left.and_then(|left| u64::try_from(left).ok()).filter(|left| *left > 0))
    }

    /// Copies the store as it is at this moment into a new file, and verifies the copy.
    pub(crate) fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        let mut copy = Connection::open(path)?;
        {
            let backup = Backup::new(&self.connection, &mut copy)?;
            // All pages in one step: in a store that is written ahead this holds no writer up, while smaller steps would start again with every write.
            backup.run_to_completion(i32::MAX, Duration::from_millis(10), None)?;
        }
        // One file, without others beside it.
        copy.pragma_update(None, "journal_mode", "DELETE")?;
        match Self::over(copy).damage()?.into_iter().next() {
            None => Ok(()),
            Some(damage) => Err(StoreError::Engine(format!("its copy is damaged: {damage}"))),
        }
    }
}
