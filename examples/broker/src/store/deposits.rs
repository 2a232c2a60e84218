//! The index of deposits in SQLite. The bytes themselves lie in files beside it.

use super::StoreError;
use super::sqlite::{execute, key_of, now};
use p2pgate::broker::{DepositNotice, DepositRecord, KeptPart, Name, Stored, StoredDeposit};
use p2pgate::link::PublicKey;
use p2pgate::message::{DepositId, Source};
use rusqlite::{Connection, OptionalExtension, Row, Transaction, params};
use std::collections::BTreeMap;

/// The second version's script. A deposit names no terminal by reference: what belongs to a key that is gone is ended by the broker, which also
/// deletes its file.
pub(super) const TABLES: &str = "
    CREATE TABLE frames (
        identifier TEXT PRIMARY KEY REFERENCES terminals ON DELETE CASCADE,
        frame INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE deposits (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        deposit BLOB NOT NULL UNIQUE,
        caller TEXT NOT NULL,
        caller_key BLOB NOT NULL,
        callee TEXT NOT NULL,
        callee_key BLOB NOT NULL,
        size INTEGER NOT NULL,
        frame INTEGER NOT NULL,
        source BLOB,
        written INTEGER NOT NULL,
        notice INTEGER
    );
    CREATE TABLE parts (
        deposit BLOB NOT NULL REFERENCES deposits (deposit) ON DELETE CASCADE,
        part INTEGER NOT NULL,
        place INTEGER NOT NULL,
        kept INTEGER NOT NULL,
        start INTEGER NOT NULL,
        stop INTEGER NOT NULL,
        digest BLOB NOT NULL,
        complete INTEGER NOT NULL,
        PRIMARY KEY (deposit, part)
    ) WITHOUT ROWID;
";

pub(super) fn load(connection: &Connection) -> Result<Vec<StoredDeposit>, StoreError> {
    let mut parts: BTreeMap<DepositId, Vec<KeptPart>> = BTreeMap::new();
    let mut statement = connection.prepare("SELECT * FROM parts ORDER BY deposit, part")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        parts.entry(row.get(0)?).or_default().push(part_of(row)?);
    }
    let mut statement = connection.prepare(
        "SELECT deposit, caller, caller_key, callee, callee_key, size, frame, source, written, notice
         FROM deposits ORDER BY number",
    )?;
    let mut rows = statement.query([])?;
    let mut deposits = Vec::new();
    while let Some(row) = rows.next()? {
        let source: Option<Vec<u8>> = row.get(7)?;
        let source = source.map(|source| Source::from_slice(&source)).transpose();
        let record = DepositRecord {
            deposit: row.get(0)?,
            caller: Name::from(row.get::<_, String>(1)?),
            caller_key: PublicKey::new(row.get(2)?),
            callee: Name::from(row.get::<_, String>(3)?),
            callee_key: PublicKey::new(row.get(4)?),
            size: row.get::<_, i64>(5)?.cast_unsigned(),
            frame: row.get(6)?,
            source: source.map_err(|_| StoreError::Damaged("a deposit's source"))?,
        };
        let parts = parts.remove(&record.deposit).unwrap_or_default();
        let age = u64::try_from(now().saturating_sub(row.get(8)?)).unwrap_or(0);
        let notice: Option<i64> = row.get(9)?;
        let notice = notice.map(|number| notice_of(number).ok_or(StoreError::Damaged("a deposit's notice")));
        let last = parts.last();
        deposits.push(StoredDeposit {
            kept: last.map_or(0, |part| part.kept),
            stored: last.map_or(0, |part| part.end),
            complete: last.is_some_and(|part| part.complete),
            parts: parts.iter().map(|part| (part.offset, part.start)).collect(),
            notice: notice.transpose()?,
            age_ms: age.saturating_mul(1_000),
            record,
        });
    }
    Ok(deposits)
}

fn part_of(row: &Row<'_>) -> rusqlite::Result<KeptPart> {
    let number = |column: usize| row.get::<_, i64>(column).map(i64::cast_unsigned);
    Ok(KeptPart {
        number: row.get(1)?,
        offset: number(2)?,
        kept: number(3)?,
        start: number(4)?,
        end: number(5)?,
        digest: row.get(6)?,
        complete: row.get(7)?,
    })
}

pub(super) fn open(transaction: &Transaction<'_>, record: &DepositRecord) -> rusqlite::Result<Stored> {
    for (identifier, key) in [(&record.caller, &record.caller_key), (&record.callee, &record.callee_key)] {
        if key_of(transaction, identifier)? != Some(*key.as_bytes()) {
            return Ok(Stored::Refused);
        }
    }
    let insert =
        "INSERT INTO deposits (deposit, caller, caller_key, callee, callee_key, size, frame, source, written)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let saved = params![
        record.deposit,
        &*record.caller,
        record.caller_key.as_bytes(),
        &*record.callee,
        record.callee_key.as_bytes(),
        record.size.cast_signed(),
        record.frame,
        record.source.as_deref(),
        now()
    ];
    execute(transaction, insert, saved)?;
    Ok(Stored::Done)
}

pub(super) fn keep(
    transaction: &Transaction<'_>,
    deposit: &DepositId,
    part: &KeptPart,
) -> rusqlite::Result<Stored> {
    let mut statement = transaction.prepare_cached(
        "SELECT (SELECT COALESCE(MAX(part) + 1, 0) FROM parts WHERE deposit = ?1) FROM deposits
         WHERE deposit = ?1 AND notice IS NULL",
    )?;
    let next: Option<u32> = statement.query_row(params![deposit], |row| row.get(0)).optional()?;
    if next != Some(part.number) {
        return Ok(Stored::Refused);
    }
    let saved = params![
        deposit,
        part.number,
        part.offset.cast_signed(),
        part.kept.cast_signed(),
        part.start.cast_signed(),
        part.end.cast_signed(),
        part.digest,
        part.complete
    ];
    execute(transaction, "INSERT INTO parts VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)", saved)?;
    execute(transaction, "UPDATE deposits SET written = ?2 WHERE deposit = ?1", params![deposit, now()])?;
    Ok(Stored::Done)
}

pub(super) fn end(
    transaction: &Transaction<'_>,
    deposit: &DepositId,
    notice: Option<DepositNotice>,
) -> rusqlite::Result<()> {
    let Some(notice) = notice else {
        return execute(transaction, "DELETE FROM deposits WHERE deposit = ?1", params![deposit]).map(drop);
    };
    execute(transaction, "DELETE FROM parts WHERE deposit = ?1", params![deposit])?;
    let saved = params![deposit, notice as i64, now()];
    execute(transaction, "UPDATE deposits SET notice = ?2, written = ?3 WHERE deposit = ?1", saved)?;
    Ok(())
}

/// By the numbers that the store has: they stay.
fn notice_of(number: i64) -> Option<DepositNotice> {
    use DepositNotice::{Collected, Expired, Lost, Unwanted};
    [Collected, Expired, Unwanted, Lost].into_iter().find(|notice| *notice as i64 == number)
}
