//! A store that an earlier release has written is brought forward.

use crate::support::*;

/// What the first release made.
const VERSION_1: &str = "
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
    PRAGMA user_version = 1;
";

/// What the second release added.
const VERSION_2: &str = "
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
    PRAGMA user_version = 2;
";

/// The version that this release makes.
const VERSION: i64 = 3;

#[test]
fn p13_a_store_of_version_1_is_brought_forward() {
    let folder = folder();
    let data = folder.path();
    std::fs::write(data.join("broker.key"), [9; 32]).unwrap();
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    store.execute_batch(VERSION_1).unwrap();
    let keys = [1, 2].map(|number| *secret_key(number).public_key().as_bytes());
    for (identifier, key) in ["alice", "bob"].into_iter().zip(keys) {
        store.execute("INSERT INTO terminals VALUES (?1, ?2)", (identifier, key)).unwrap();
    }
    store.execute_batch("INSERT INTO lists VALUES ('bob', 7)").unwrap();
    store.execute("INSERT INTO permitted VALUES ('bob', 'alice', ?1)", (keys[0],)).unwrap();
    store.execute_batch("INSERT INTO addresses VALUES ('bob', '0.0.0.0 4000')").unwrap();
    drop(store);
    // Looking does not change it.
    let output = std::process::Command::new(PROGRAM).args(["deposits", "--data"]).arg(data).output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    assert!(String::from_utf8_lossy(&output.stderr).contains("earlier release"));

    // But it can be kept before it is brought forward.
    let kept = data.join("kept");
    let output = command("backup", data, kept.to_str().unwrap());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));

    let served = Served::start(data);
    let mut bob = Terminal::dial(served.address, &served.key, 2);
    let welcome = bob.ask("HELLO\nIdentifier:bob\nListen:1\nFrame:2000\n");
    assert_eq!(value(&welcome, "Revision"), "7");
    grant(&mut served.terminal("alice", 1), &mut bob);
    // Nobody waits for the frame's way to the disk, but this comes behind it.
    assert!(bob.ask("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:4000\n").contains("Status:200"));
    served.kill();
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, VERSION);
    let frame: i64 = store.query_row("SELECT frame FROM frames", [], |row| row.get(0)).unwrap();
    assert_eq!(frame, 2000);
    let kept = rusqlite::Connection::open(kept).unwrap();
    let version: i64 = kept.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, 1);
}

#[test]
fn p13_a_store_of_version_2_is_brought_forward() {
    let folder = folder();
    let data = folder.path();
    std::fs::write(data.join("broker.key"), [9; 32]).unwrap();
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    store.execute_batch(VERSION_1).unwrap();
    store.execute_batch(VERSION_2).unwrap();
    for (identifier, number) in [("alice", 1), ("bob", 2)] {
        let key = *secret_key(number).public_key().as_bytes();
        store.execute("INSERT INTO terminals VALUES (?1, ?2)", (identifier, key)).unwrap();
    }
    // Bob had an entry for a group before there were any.
    store
        .execute_batch(
            "INSERT INTO lists VALUES ('bob', 3); INSERT INTO permitted VALUES ('bob', 'bob/friends', NULL);
             INSERT INTO addresses VALUES ('bob', '0.0.0.0 4000'); INSERT INTO frames VALUES ('bob', 2000)",
        )
        .unwrap();
    drop(store);
    let served = Served::start(data);
    let (mut alice, mut bob) = (served.terminal("alice", 1), served.terminal("bob", 2));
    let answer = bob.ask("GROUP\nIdentifier:bob\nGroup:bob/friends\nMembers:Create alice\n");
    assert!(answer.contains("Status:200"), "{answer}");
    grant(&mut alice, &mut bob);
    served.kill();
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    let version: i64 = store.query_row("PRAGMA user_version", [], |row| row.get(0)).unwrap();
    assert_eq!(version, VERSION);
    let frame: i64 = store.query_row("SELECT frame FROM frames", [], |row| row.get(0)).unwrap();
    assert_eq!(frame, 2000);
}
