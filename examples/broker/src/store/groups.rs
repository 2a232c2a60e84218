//! The groups of terminals (V4) in SQLite.

use super::sqlite::{execute, key_of, now};
use super::{Group, StoreError};
use p2pgate::broker::{Name, Stored};
use p2pgate::link::PublicKey;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use std::collections::BTreeMap;

/// Of the third version's script.
pub(super) const TABLES: &str = "
    CREATE TABLE terminal_groups (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL REFERENCES terminals ON DELETE CASCADE
    ) WITHOUT ROWID;
    CREATE INDEX groups_of_owner ON terminal_groups (owner);
    CREATE TABLE members (
        name TEXT NOT NULL REFERENCES terminal_groups ON DELETE CASCADE,
        identifier TEXT NOT NULL,
        key BLOB,
        PRIMARY KEY (name, identifier)
    ) WITHOUT ROWID;
    CREATE INDEX members_unbound ON members (identifier) WHERE key IS NULL;
";

/// Every group, in the order of their names' bytes.
pub(super) fn load(connection: &Connection) -> Result<Vec<Group>, StoreError> {
    let mut members: BTreeMap<String, Vec<(Name, Option<PublicKey>)>> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT name, identifier, key FROM members")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let key: Option<[u8; 32]> = row.get(2)?;
        let member = (Name::from(row.get::<_, String>(1)?), key.map(PublicKey::new));
        members.entry(row.get(0)?).or_default().push(member);
    }
    let mut statement = connection.prepare("SELECT name, owner FROM terminal_groups ORDER BY name")?;
    let groups = statement.query_map([], |row| {
        let name: String = row.get(0)?;
        let members = members.remove(&name).unwrap_or_default();
        Ok(Group { name, owner: row.get(1)?, members })
    })?;
    Ok(groups.collect::<Result<_, _>>()?)
}

/// Replaces a group, or ends it.
pub(super) fn save(
    transaction: &Transaction<'_>,
    (group, owner, key): (&Name, &Name, &PublicKey),
    members: Option<&[(Name, Option<PublicKey>)]>,
) -> rusqlite::Result<Stored> {
    let ticket = "SELECT 1 FROM tickets WHERE identifier = ?1 AND expires > ?2";
    let ticket = transaction.prepare_cached(ticket)?.exists(params![&**group, now()])?;
    if key_of(transaction, owner)? != Some(*key.as_bytes()) || ticket || key_of(transaction, group)?.is_some()
    {
        return Ok(Stored::Refused);
    }
    execute(transaction, "DELETE FROM terminal_groups WHERE name = ?1", params![&**group])?;
    let Some(members) = members else { return Ok(Stored::Done) };
    let insert = "INSERT INTO terminal_groups (name, owner) VALUES (?1, ?2)";
    execute(transaction, insert, params![&**group, &**owner])?;
    for (member, key) in members {
        let insert = "INSERT INTO members (name, identifier, key)
            VALUES (?1, ?2, COALESCE(?3, (SELECT key FROM terminals WHERE identifier = ?2)))";
        let bound = key.as_ref().map(PublicKey::as_bytes);
        execute(transaction, insert, params![&**group, &**member, bound])?;
    }
    let bind = "UPDATE permitted SET key = ?2 WHERE identifier = ?1 AND key IS NULL";
    execute(transaction, bind, params![&**group, key.as_bytes()])?;
    Ok(Stored::Done)
}

/// Whether a group is called so: no terminal can be, then.
pub(super) fn exists(transaction: &Transaction<'_>, name: &Name) -> rusqlite::Result<bool> {
    let mut statement = transaction.prepare_cached("SELECT 1 FROM terminal_groups WHERE name = ?1")?;
    Ok(statement.query_row(params![&**name], |_| Ok(())).optional()?.is_some())
}
