//! The default store: one SQLite file, written ahead (WAL), each group synced before it is answered.

use super::looks::Looks;
use super::{Group, Operation, Store, StoreError, Terminal};
use p2pgate::broker::{Name, StoreOperation, Stored, StoredAddress, StoredDeposit};
use p2pgate::link::PublicKey;
use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params};
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How long a ticket may lie about.
const TICKET_LIFETIME: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// One script a version: `user_version` says how many of them have been run on a file.
const MIGRATIONS: [&[&str]; 3] = [
    &["
    CREATE TABLE terminals (identifier TEXT PRIMARY KEY, key BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE tickets (identifier TEXT PRIMARY KEY, digest BLOB NOT NULL, expires INTEGER NOT NULL) WITHOUT ROWID;
    CREATE TABLE lists (
        owner TEXT PRIMARY KEY REFERENCES terminals ON DELETE CASCADE,
        revision INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE permitted (
        owner TEXT NOT NULL REFERENCES lists ON DELETE CASCADE,
        identifier TEXT NOT NULL,
        key BLOB,
        PRIMARY KEY (owner, identifier)
    ) WITHOUT ROWID;
    CREATE INDEX permitted_unbound ON permitted (identifier) WHERE key IS NULL;
    CREATE TABLE addresses (
        identifier TEXT PRIMARY KEY REFERENCES terminals ON DELETE CASCADE,
        address TEXT NOT NULL
    ) WITHOUT ROWID;
"],
    &[super::deposits::TABLES],
    &[super::groups::TABLES, super::resolved::TABLES],
];

/// A store in one SQLite file.
pub struct Sqlite {
    pub(super) connection: Connection,
    looks: Looks,
    /// Terminals and groups may be called by names that look like another's.
    allow_look_alike: bool,
}

impl Sqlite {
    pub(super) fn over(connection: Connection) -> Self {
        Self { connection, looks: Looks::default(), allow_look_alike: false }
    }

    /// Lets terminals that enrol by a certificate, and groups, be called by names that look like another's (V4).
    #[must_use]
    pub fn allow_look_alike(self, allow_look_alike: bool) -> Self {
        Self { allow_look_alike, ..self }
    }

    /// Opens the file to look at it, while a broker may be writing it.
    ///
    /// # Errors
    /// The file cannot be used, or is of another release's version.
    pub fn read(path: &Path) -> Result<Self, StoreError> {
        let store = Self::read_any(path)?;
        let version: i64 = store.connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
        match version.cmp(&(MIGRATIONS.len() as i64)) {
            Ordering::Less => Err(StoreError::Earlier(version)),
            Ordering::Equal => Ok(store),
            Ordering::Greater => Err(StoreError::Later(version)),
        }
    }

    /// The same whatever release has written it, to copy it.
    pub(crate) fn read_any(path: &Path) -> Result<Self, StoreError> {
        let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        Ok(Self::over(connection))
    }

    /// Opens the file, creates it for this user alone if there is none, and brings it to this release's version.
    ///
    /// # Errors
    /// The file cannot be used, or a later release has written it.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        // SQLite gives its other files the permissions of this one.
        let created = OpenOptions::new().create(true).append(true).mode(0o600).open(path);
        created.map_err(|error| StoreError::Engine(error.to_string()))?;
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA secure_delete = ON;",
        )?;
        migrate(&mut connection)?;
        Ok(Self::over(connection))
    }

    fn together(&mut self, operations: &[Operation]) -> rusqlite::Result<Vec<Stored>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let (looks, allow) = (&mut self.looks, self.allow_look_alike);
        let outcomes = operations.iter().map(|operation| perform(&transaction, (looks, allow), operation));
        let outcomes = outcomes.collect::<rusqlite::Result<_>>()?;
        transaction.commit()?;
        Ok(outcomes)
    }
}

impl Store for Sqlite {
    fn load(&mut self) -> Result<Vec<Terminal>, StoreError> {
        let mut lists: BTreeMap<String, Vec<(Name, Option<PublicKey>)>> = BTreeMap::new();
        let mut statement = self.connection.prepare("SELECT owner, identifier, key FROM permitted")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let key: Option<[u8; 32]> = row.get(2)?;
            let entry = (Name::from(row.get::<_, String>(1)?), key.map(PublicKey::new));
            lists.entry(row.get(0)?).or_default().push(entry);
        }
        let mut statement = self.connection.prepare(
            "SELECT identifier, key, COALESCE(revision, 0), address, frame FROM terminals
             LEFT JOIN lists ON owner = identifier LEFT JOIN addresses USING (identifier)
             LEFT JOIN frames USING (identifier)",
        )?;
        let mut rows = statement.query([])?;
        let mut terminals = Vec::new();
        while let Some(row) = rows.next()? {
            let identifier: String = row.get(0)?;
            let address: Option<String> = row.get(3)?;
            let address = address.map(|text| text.parse::<StoredAddress>()).transpose();
            terminals.push(Terminal {
                key: PublicKey::new(row.get(1)?),
                revision: row.get::<_, i64>(2)?.cast_unsigned(),
                list: lists.remove(&identifier).unwrap_or_default(),
                address: address.map_err(|_| StoreError::Damaged("an address"))?,
                frame: row.get(4)?,
                identifier,
            });
        }
        Ok(terminals)
    }

    fn load_groups(&mut self) -> Result<Vec<Group>, StoreError> {
        super::groups::load(&self.connection)
    }

    fn load_resolved(&mut self) -> Result<Vec<(Name, StoredAddress, u64)>, StoreError> {
        super::resolved::load(&self.connection)
    }

    fn load_deposits(&mut self) -> Result<Vec<StoredDeposit>, StoreError> {
        super::deposits::load(&self.connection)
    }

    fn apply(&mut self, operations: &[Operation]) -> Vec<Stored> {
        match self.together(operations) {
            Ok(outcomes) => outcomes,
            // One that fails must not take the others with it.
            Err(_) if operations.len() > 1 => {
                operations.iter().flat_map(|operation| self.apply(std::slice::from_ref(operation))).collect()
            }
            Err(error) => {
                tracing::error!(%error, "the store did not write");
                vec![Stored::Failed; operations.len()]
            }
        }
    }
}

/// Refuses before it writes: what is refused has changed nothing.
fn perform(
    transaction: &Transaction<'_>,
    (looks, allow_look_alike): (&mut Looks, bool),
    operation: &Operation,
) -> rusqlite::Result<Stored> {
    match operation {
        Operation::Terminal(StoreOperation::Enrol { identifier, ticket_digest, key }) => {
            let ticket = "DELETE FROM tickets WHERE identifier = ?1 AND digest = ?2 AND expires > ?3";
            let bound = key_of(transaction, identifier)?;
            let taken = bound.is_some_and(|bound| bound != *key.as_bytes())
                || super::groups::exists(transaction, identifier)?;
            let proven = !taken
                && match ticket_digest {
                    Some(digest) => execute(transaction, ticket, params![&**identifier, digest, now()])? > 0,
                    // Nobody has looked at the name of a certificate yet.
                    None => {
                        allow_look_alike || bound.is_some() || looks.may_be_called(transaction, identifier)?
                    }
                };
            if !proven {
                return Ok(Stored::Refused);
            }
            looks.add(identifier);
            let named = params![&**identifier, key.as_bytes()];
            execute(transaction, "INSERT OR IGNORE INTO terminals (identifier, key) VALUES (?1, ?2)", named)?;
            for table in ["permitted", "members"] {
                let bind = format!("UPDATE {table} SET key = ?2 WHERE identifier = ?1 AND key IS NULL");
                execute(transaction, &bind, named)?;
            }
        }
        Operation::Terminal(StoreOperation::SaveList { identifier, key, revision, list }) => {
            if key_of(transaction, identifier)? != Some(*key.as_bytes()) {
                return Ok(Stored::Refused);
            }
            execute(transaction, "DELETE FROM lists WHERE owner = ?1", params![&**identifier])?;
            let saved = params![&**identifier, revision.cast_signed()];
            execute(transaction, "INSERT INTO lists (owner, revision) VALUES (?1, ?2)", saved)?;
            for (entry, key) in list {
                let insert = "INSERT INTO permitted (owner, identifier, key)
                    VALUES (?1, ?2, COALESCE(?3, (SELECT key FROM terminals WHERE identifier = ?2),
                        (SELECT key FROM terminal_groups JOIN terminals ON identifier = owner WHERE name = ?2)))";
                let bound = key.as_ref().map(PublicKey::as_bytes);
                execute(transaction, insert, params![&**identifier, &**entry, bound])?;
            }
        }
        Operation::Terminal(StoreOperation::SaveGroup { group, owner, key, members }) => {
            if members.is_some() {
                if !allow_look_alike
                    && !super::groups::exists(transaction, group)?
                    && !looks.may_be_called(transaction, group)?
                {
                    return Ok(Stored::Refused);
                }
                looks.add(group);
            }
            return super::groups::save(transaction, (group, owner, key), members.as_deref());
        }
        Operation::Terminal(StoreOperation::SaveAddress { identifier, key, address }) => {
            if key_of(transaction, identifier)? != Some(*key.as_bytes()) {
                return Ok(Stored::Refused);
            }
            let saved = params![&**identifier, address.to_string()];
            execute(
                transaction,
                "INSERT OR REPLACE INTO addresses (identifier, address) VALUES (?1, ?2)",
                saved,
            )?;
        }
        Operation::Terminal(StoreOperation::SaveResolved { identifier, address }) => {
            super::resolved::save(transaction, identifier, address.as_ref())?;
        }
        Operation::Terminal(StoreOperation::SaveFrame { identifier, key, frame }) => {
            if key_of(transaction, identifier)? != Some(*key.as_bytes()) {
                return Ok(Stored::Refused);
            }
            let saved = params![&**identifier, frame];
            execute(transaction, "INSERT OR REPLACE INTO frames (identifier, frame) VALUES (?1, ?2)", saved)?;
        }
        Operation::Terminal(StoreOperation::OpenDeposit(record)) => {
            return super::deposits::open(transaction, record);
        }
        Operation::Terminal(StoreOperation::KeepPart { deposit, part }) => {
            return super::deposits::keep(transaction, deposit, part);
        }
        Operation::Terminal(StoreOperation::EndDeposit { deposit, notice }) => {
            super::deposits::end(transaction, deposit, *notice)?;
        }
        Operation::Ticket { identifier, digest, allow_look_alike: allowed } => {
            let taken =
                key_of(transaction, identifier)?.is_some() || super::groups::exists(transaction, identifier)?;
            if taken || !(*allowed || looks.like(transaction, identifier)?.is_none()) {
                return Ok(Stored::Refused);
            }
            looks.add(identifier);
            execute(transaction, "DELETE FROM tickets WHERE expires <= ?1", params![now()])?;
            let expires = now().saturating_add_unsigned(TICKET_LIFETIME.as_secs());
            let saved = params![&**identifier, digest, expires];
            let insert = "INSERT OR REPLACE INTO tickets (identifier, digest, expires) VALUES (?1, ?2, ?3)";
            execute(transaction, insert, saved)?;
        }
        // The same number again, which SQLite writes all the same.
        Operation::Touch => transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?,
        Operation::Revoke { identifier } => {
            let named = params![&**identifier];
            let tickets = execute(transaction, "DELETE FROM tickets WHERE identifier = ?1", named)?;
            // List, groups and address go with it.
            let keys = execute(transaction, "DELETE FROM terminals WHERE identifier = ?1", named)?;
            if tickets + keys == 0 {
                return Ok(Stored::Refused);
            }
        }
    }
    Ok(Stored::Done)
}

pub(super) fn key_of(transaction: &Transaction<'_>, identifier: &Name) -> rusqlite::Result<Option<[u8; 32]>> {
    let mut statement = transaction.prepare_cached("SELECT key FROM terminals WHERE identifier = ?1")?;
    statement.query_row(params![&**identifier], |row| row.get(0)).optional()
}

pub(super) fn execute(
    transaction: &Transaction<'_>,
    sql: &str,
    params: impl rusqlite::Params,
) -> rusqlite::Result<usize> {
    transaction.prepare_cached(sql)?.execute(params)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let missing = MIGRATIONS.get(done..).ok_or(StoreError::Later(version))?;
    for script in missing.iter().copied().flatten() {
        transaction.execute_batch(script)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    Ok(transaction.commit()?)
}

/// Seconds since 1970: what a ticket or a deposit ends by has to outlast a restart, so it goes by the wall clock.
pub(super) fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    since.as_secs().cast_signed()
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Engine(error.to_string())
    }
}
