//! P13: what is registered outlasts a restart; a key is one for good.

use crate::support::*;
use p2pgate::broker::Stored;
use p2pgate_broker::store::{Operation, Sqlite, Store, StoreError};
use p2pgate_broker::{Error, Options, Server};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn p13_tables_outlast_a_restart() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let key = served.key;
    drop(served.enrol(data, "alice", 1));
    permit(&mut served.enrol(data, "bob", 2));
    assert!(served.stop().success());

    let served = Served::start(data);
    assert_eq!(served.key, key);
    let mut alice = served.terminal("alice", 1);
    let mut bob = Terminal::dial(served.address, &served.key, 2);
    let welcome = bob.ask("HELLO\nIdentifier:bob\nListen:1\n");
    assert_eq!(value(&welcome, "Revision"), "1");
    let digest = value(&welcome, "Digest").to_owned();
    // List and address are there: alice gets all the way to a grant.
    grant(&mut alice, &mut bob);
    assert!(bob.ask("REGISTER\nIdentifier:bob\nAccept:Delete alice\nRevision:1\n").contains("Status:409"));
    bob.send("REGISTER\nIdentifier:bob\nAccept:Delete alice\nRevision:2\n");
    assert!(bob.text().starts_with("WITHDRAW\n"));
    assert!(bob.text().contains("Status:200"));
    assert!(served.stop().success());

    // What was taken off stays off.
    let served = Served::start(data);
    let mut bob = Terminal::dial(served.address, &served.key, 2);
    let welcome = bob.ask("HELLO\nIdentifier:bob\nListen:1\n");
    assert_eq!(value(&welcome, "Revision"), "2");
    assert_ne!(value(&welcome, "Digest"), digest);
    let mut alice = served.terminal("alice", 1);
    assert!(alice.ask("QUERY\nIdentifier:alice\nCallee:bob\n").starts_with("NOTIFY\nPermission Denied."));
}

#[test]
fn p13_what_was_answered_outlasts_a_kill() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(served.enrol(data, "alice", 1));
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    for revision in 2..=50 {
        let answer =
            bob.ask(&format!("REGISTER\nIdentifier:bob\nAccept:Add guest {revision}\nRevision:{revision}\n"));
        assert!(answer.contains("Status:200"), "{answer}");
    }
    served.kill();

    let served = Served::start(data);
    let mut bob = Terminal::dial(served.address, &served.key, 2);
    let welcome = bob.ask("HELLO\nIdentifier:bob\nListen:1\n");
    assert_eq!(value(&welcome, "Revision"), "50");
    grant(&mut served.terminal("alice", 1), &mut bob);
}

#[test]
fn p13_an_entry_stays_bound_to_the_key_that_it_was_given_to() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let mut bob = served.enrol(data, "bob", 2);
    // Alice enrols only after bob has permitted her: the entry binds then.
    permit(&mut bob);
    drop(served.enrol(data, "alice", 1));
    assert!(served.stop().success());
    assert!(command("revoke", data, "alice").status.success());

    let served = Served::start(data);
    let _bob = served.terminal("bob", 2);
    let mut other = served.enrol(data, "alice", 3);
    let answer = other.ask("QUERY\nIdentifier:alice\nCallee:bob\n");
    assert!(answer.starts_with("NOTIFY\nPermission Denied."), "{answer}");
}

#[test]
fn the_second_broker_of_a_folder_is_refused() {
    let folder = folder();
    let served = Served::start(folder.path());
    let mut second = Command::new(PROGRAM);
    second.arg("serve").arg("--data").arg(folder.path()).args(["--listen", "127.0.0.1:0"]);
    let output = second.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("a broker already serves"), "{error}");
    assert_eq!(error.lines().count(), 1);
    // The first one goes on.
    drop(served.enrol(folder.path(), "alice", 1));
    assert!(served.stop().success());
}

#[test]
fn what_the_folder_holds_is_the_users_alone() {
    let parent = folder();
    let data = parent.path().join("new");
    let served = Served::start(&data);
    drop(served.enrol(&data, "alice", 1));
    let mode = |path: &std::path::Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    let mut names = Vec::new();
    for entry in data.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let own = if path.is_dir() { 0o700 } else { 0o600 };
        assert_eq!(mode(&path), own, "{}", path.display());
        names.push(path.file_name().unwrap().to_owned());
    }
    for name in ["broker.key", "broker.sqlite", "broker.sqlite-wal", "broker.sock", "broker.lock"] {
        assert!(names.iter().any(|there| there == name), "{name}");
    }
    assert!(served.stop().success());
    assert!(!data.join("broker.sock").exists());
}

#[test]
fn a_ticket_is_stored_as_its_digest_only() {
    let folder = folder();
    let served = Served::start(folder.path());
    let ticket = ticket(folder.path(), "alice");
    let files = folder.path().read_dir().unwrap().map(|entry| entry.unwrap().path());
    for path in files.filter(|path| path.metadata().unwrap().is_file()) {
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(ticket.len()).any(|part| part == ticket.as_bytes()), "{}", path.display());
    }
    drop(served);
}

#[test]
fn a_damaged_folder_is_told_by_exit_code_9() {
    let serve = |data: &std::path::Path| {
        let output = Command::new(PROGRAM)
            .arg("serve")
            .arg("--data")
            .arg(data)
            .args(["--listen", "127.0.0.1:0"])
            .output();
        let output = output.unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(9), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let short = folder();
    std::fs::write(short.path().join("broker.key"), b"too short").unwrap();
    let permissions = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(short.path().join("broker.key"), permissions).unwrap();
    assert!(serve(short.path()).contains("no broker's key"));

    let lost = folder();
    let served = Served::start(lost.path());
    drop(served.enrol(lost.path(), "alice", 1));
    served.kill();
    std::fs::remove_file(lost.path().join("broker.key")).unwrap();
    assert!(serve(lost.path()).contains("restore it from a backup"));

    let garbage = folder();
    std::fs::write(garbage.path().join("broker.sqlite"), vec![b'x'; 8192]).unwrap();
    assert!(serve(garbage.path()).contains("broker.sqlite"));

    let file = garbage.path().join("file");
    std::fs::write(&file, b"").unwrap();
    serve(&file);

    let later = folder();
    Served::start(later.path()).kill();
    let store = rusqlite::Connection::open(later.path().join("broker.sqlite")).unwrap();
    store.pragma_update(None, "user_version", 1000).unwrap();
    drop(store);
    assert!(serve(later.path()).contains("later release"));
}

/// A store whose disk can be made to fail.
struct Flaky {
    store: Sqlite,
    broken: Arc<AtomicBool>,
}

impl Store for Flaky {
    fn load(&mut self) -> Result<Vec<p2pgate_broker::store::Terminal>, StoreError> {
        self.store.load()
    }

    fn load_groups(&mut self) -> Result<Vec<p2pgate_broker::store::Group>, StoreError> {
        self.store.load_groups()
    }

    fn load_resolved(
        &mut self,
    ) -> Result<Vec<(p2pgate::broker::Name, p2pgate::broker::StoredAddress, u64)>, StoreError> {
        self.store.load_resolved()
    }

    fn load_deposits(&mut self) -> Result<Vec<p2pgate::broker::StoredDeposit>, StoreError> {
        self.store.load_deposits()
    }

    fn apply(&mut self, operations: &[Operation]) -> Vec<Stored> {
        match self.broken.load(Ordering::SeqCst) {
            true => vec![Stored::Failed; operations.len()],
            false => self.store.apply(operations),
        }
    }
}

#[test]
fn p13_what_is_not_on_disk_is_not_answered_as_done() {
    let folder = folder();
    let data = folder.path();
    let broken = Arc::new(AtomicBool::new(false));
    let mut options = Options::new(data);
    options.listen = "127.0.0.1:0".parse().unwrap();
    let open = |path: &std::path::Path| -> Result<Box<dyn Store>, StoreError> {
        Ok(Box::new(Flaky { store: Sqlite::open(path)?, broken: broken.clone() }))
    };
    let server = Server::bind_with(options, open).unwrap();
    let (address, key, stop) = (server.local_addr(), server.public_key(), server.stop_handle());
    let running = std::thread::spawn(move || server.run());
    let hello = format!("HELLO\nIdentifier:bob\nTicket:{}\n", *p2pgate_broker::enrol(data, "bob").unwrap());

    broken.store(true, Ordering::SeqCst);
    assert!(matches!(p2pgate_broker::enrol(data, "carol"), Err(Error::Failed(_))));
    assert!(Terminal::dial(address, &key, 2).ask(&hello).contains("Status:503"));
    broken.store(false, Ordering::SeqCst);
    let mut bob = Terminal::dial(address, &key, 2);
    assert!(bob.ask(&hello).contains("Status:200"));
    permit(&mut bob);
    broken.store(true, Ordering::SeqCst);
    assert!(bob.ask("REGISTER\nIdentifier:bob\nAccept:Add carol\nRevision:2\n").contains("Status:503"));
    broken.store(false, Ordering::SeqCst);
    stop.stop();
    running.join().unwrap().unwrap();

    let served = Served::start(data);
    let mut bob = Terminal::dial(served.address, &served.key, 2);
    assert_eq!(value(&bob.ask("HELLO\nIdentifier:bob\n"), "Revision"), "1");
}
