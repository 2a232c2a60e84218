//! What an operator looks at and keeps: `list`, `show`, `check`, `backup`.

use crate::support::*;
use std::path::Path;
use std::process::{Command, Output};

fn run(arguments: &[&str], data: &Path) -> Output {
    let (verb, rest) = arguments.split_first().unwrap();
    Command::new(PROGRAM).arg(verb).arg("--data").arg(data).args(rest).output().unwrap()
}

/// What it prints when it is done.
fn printed(arguments: &[&str], data: &Path) -> String {
    let output = run(arguments, data);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stderr.is_empty());
    String::from_utf8(output.stdout).unwrap()
}

/// What it finds, with the one line on stderr that says so.
fn faults(arguments: &[&str], data: &Path) -> String {
    let output = run(arguments, data);
    assert_eq!(output.status.code(), Some(9));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.lines().count() == 1 && error.contains("faults"), "{error}");
    String::from_utf8(output.stdout).unwrap()
}

fn store(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("broker.sqlite")).unwrap()
}

#[test]
fn list_and_show_tell_who_is_enrolled_while_it_serves_and_after() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(served.enrol(data, "alice", 1));
    permit(&mut served.enrol(data, "bob", 2));
    ticket(data, "carol");
    let [alice, bob] = [1, 2].map(|number| secret_key(number).public_key());
    let look = || {
        let expected = format!("alice\t{alice}\t0\t0\t\nbob\t{bob}\t1\t1\t0.0.0.0 4000\n");
        assert_eq!(printed(&["list"], data), expected);
        let expected =
            format!("identifier\tbob\nkey\t{bob}\nlist\t1\npermits\talice\t{alice}\naddress\t0.0.0.0 4000\n");
        assert_eq!(printed(&["show", "bob"], data), expected);
        assert_eq!(printed(&["show", "carol"], data), "identifier\tcarol\nticket for hours\t168\n");
        for (identifier, code, text) in [("dave", 1, "not enrolled"), ("a,b", 2, "comma")] {
            let output = run(&["show", identifier], data);
            assert_eq!(output.status.code(), Some(code));
            assert!(String::from_utf8_lossy(&output.stderr).contains(text));
        }
        assert_eq!(printed(&["check", "--contents"], data), "");
    };
    look();
    served.kill();
    look();
    assert_eq!(run(&["list"], &data.join("missing")).status.code(), Some(9));
}

#[test]
fn check_finds_records_that_no_broker_has_written() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    permit(&mut served.enrol(data, "bob", 2));
    assert!(served.stop().success());
    assert_eq!(printed(&["check"], data), "");

    store(data).execute_batch("UPDATE permitted SET identifier = 'a,b'").unwrap();
    let found = faults(&["check"], data);
    assert!(found.starts_with("bob: \"a,b\": ") && found.contains("comma"), "{found}");
    store(data).execute_batch("UPDATE permitted SET identifier = 'alice'").unwrap();

    store(data).execute_batch("UPDATE addresses SET address = 'nowhere'").unwrap();
    assert!(faults(&["check"], data).contains("an address"));
    store(data).execute_batch("UPDATE addresses SET address = '0.0.0.0 4000'").unwrap();

    store(data).execute_batch("PRAGMA foreign_keys = OFF; INSERT INTO lists VALUES ('nobody', 1)").unwrap();
    let found = faults(&["check"], data);
    assert_eq!(found, "a row of lists belongs to none of terminals\n");
    store(data).execute_batch("DELETE FROM lists WHERE owner = 'nobody'").unwrap();

    std::fs::write(data.join("broker.key"), [9; 31]).unwrap();
    assert!(faults(&["check"], data).contains("is no broker's key"));
}

#[test]
fn check_finds_damaged_pages() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(served.enrol(data, "alice", 1));
    assert!(served.stop().success());
    let path = data.join("broker.sqlite");
    // An index that does not have what its table has.
    let store = store(data);
    store
        .execute_batch(
            "PRAGMA journal_mode = DELETE; INSERT INTO lists VALUES ('alice', 1);
             INSERT INTO permitted VALUES ('alice', 'bob', NULL);
             PRAGMA writable_schema = ON; DELETE FROM sqlite_schema WHERE name = 'permitted_unbound';",
        )
        .unwrap();
    drop(store);
    let output = run(&["check"], data);
    assert_eq!(output.status.code(), Some(9), "a page that nothing uses");
    assert!(!output.stdout.is_empty());
    std::fs::write(&path, pattern(3, 20_000)).unwrap();
    let output = run(&["check"], data);
    assert_eq!(output.status.code(), Some(9));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.lines().count() == 1 && error.contains("not a database"), "{error}");
}

#[test]
fn a_backup_taken_while_it_serves_is_a_whole_store() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(served.enrol(data, "alice", 1));
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    // A terminal goes on registering meanwhile.
    let writing = std::thread::spawn(move || {
        for number in 2..30 {
            bob.ask(&format!(
                "REGISTER\nIdentifier:bob\nAccept:Create alice,of{number}\nRevision:{number}\n"
            ));
        }
        bob
    });
    let kept = folder.path().join("kept.sqlite");
    for _ in 0..5 {
        assert_eq!(printed(&["backup", kept.to_str().unwrap()], data), "");
    }
    drop(writing.join().unwrap());
    use std::os::unix::fs::PermissionsExt;
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let beside = std::fs::read_dir(data).unwrap().map(|entry| entry.unwrap().file_name());
    let beside: Vec<_> = beside.filter(|name| name.to_string_lossy().starts_with("kept")).collect();
    assert_eq!(beside, ["kept.sqlite"], "one file");
    served.kill();

    let restored = tempfile::tempdir().unwrap();
    std::fs::copy(&kept, restored.path().join("broker.sqlite")).unwrap();
    std::fs::copy(data.join("broker.key"), restored.path().join("broker.key")).unwrap();
    assert_eq!(printed(&["check"], restored.path()), "");
    let served = Served::start(restored.path());
    grant(&mut served.terminal("alice", 1), &mut served.terminal("bob", 2));
}

#[test]
fn a_backup_that_fails_leaves_the_last_one() {
    let folder = folder();
    let data = folder.path();
    ticket(data, "alice");
    let kept = data.join("kept");
    printed(&["backup", kept.to_str().unwrap()], data);
    let before = std::fs::read(&kept).unwrap();
    std::fs::write(data.join("broker.sqlite"), b"of nobody").unwrap();
    assert_eq!(run(&["backup", kept.to_str().unwrap()], data).status.code(), Some(9));
    assert_eq!(std::fs::read(&kept).unwrap(), before);
    let elsewhere = data.join("missing").join("kept");
    assert_eq!(run(&["backup", elsewhere.to_str().unwrap()], data).status.code(), Some(9));
}
