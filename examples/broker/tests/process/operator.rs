//! `enrol` and `revoke`, beside a running broker and without one; stopping; the command line.

use crate::support::*;
use std::io::{Read, Write};
use std::process::Command;

#[test]
fn v5_a_ticket_enrols_one_key_once() {
    let folder = folder();
    let data = folder.path();
    // Before the broker has ever run.
    let ticket = ticket(data, "alice");
    let served = Served::start(data);
    let hello = format!("HELLO\nIdentifier:alice\nTicket:{ticket}\n");
    assert!(
        Terminal::dial(served.address, &served.key, 9)
            .ask("HELLO\nIdentifier:alice\n")
            .contains("Status:401")
    );
    assert!(Terminal::dial(served.address, &served.key, 1).ask(&hello).contains("Status:200"));
    let mut thief = Terminal::dial(served.address, &served.key, 3);
    assert!(thief.ask(&hello).contains("Status:401"));
    assert!(thief.next().is_none());
    drop(served.terminal("alice", 1));
}

#[test]
fn v5_the_latest_ticket_is_the_one_that_counts() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let [first, second] = [ticket(data, "alice"), ticket(data, "alice")];
    assert_ne!(first, second);
    let ask = |ticket: &str| {
        let mut terminal = Terminal::dial(served.address, &served.key, 1);
        terminal.ask(&format!("HELLO\nIdentifier:alice\nTicket:{ticket}\n"))
    };
    assert!(ask(&first).contains("Status:401"));
    assert!(ask(&second).contains("Status:200"));
}

#[test]
fn v5_a_ticket_ends_after_seven_days() {
    let folder = folder();
    let data = folder.path();
    let ticket = ticket(data, "alice");
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    let hello = format!("HELLO\nIdentifier:alice\nTicket:{ticket}\n");
    // As if it had been made so many seconds earlier.
    for (earlier, status) in [(7 * 24 * 3600, "Status:401"), (60 - 7 * 24 * 3600, "Status:200")] {
        assert_eq!(store.execute("UPDATE tickets SET expires = expires - ?1", [earlier]).unwrap(), 1);
        let served = Served::start(data);
        let answer = Terminal::dial(served.address, &served.key, 1).ask(&hello);
        assert!(answer.contains(status), "{answer}");
    }
}

#[test]
fn v5_revoking_acts_on_a_running_broker_at_once() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let mut alice = served.enrol(data, "alice", 1);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    let handle = grant(&mut alice, &mut bob);
    let [mut one, mut other] = lane(served.address, &mut alice, &handle, 1000);
    one.write_all(b"before").unwrap();
    let mut six = [0; 6];
    other.read_exact(&mut six).unwrap();

    let output = command("revoke", data, "alice");
    assert!(output.status.success());
    assert!(output.stdout.is_empty() && output.stderr.is_empty());
    // Its link, its grant and its lane end.
    assert_eq!(value(&alice.text(), "Handle"), handle);
    assert!(alice.next().is_none());
    assert_eq!(value(&bob.text(), "Handle"), handle);
    assert!(is_closed(&mut one) && is_closed(&mut other));
    let mut again = Terminal::dial(served.address, &served.key, 1);
    assert!(again.ask("HELLO\nIdentifier:alice\n").contains("Status:401"));
    // A new key may come, by a new ticket.
    drop(served.enrol(data, "alice", 4));
}

#[test]
fn v5_revoking_takes_the_ticket_too() {
    let folder = folder();
    let data = folder.path();
    let ticket = ticket(data, "alice");
    assert!(command("revoke", data, "alice").status.success());
    let served = Served::start(data);
    let mut alice = Terminal::dial(served.address, &served.key, 1);
    assert!(alice.ask(&format!("HELLO\nIdentifier:alice\nTicket:{ticket}\n")).contains("Status:401"));
}

#[test]
fn a_command_that_cannot_be_done_says_so_on_one_line() {
    let folder = folder();
    let data = folder.path();
    let missing = data.join("missing");
    let running = Served::start(data);
    drop(running.enrol(data, "alice", 1));
    let cases: [(&str, &std::path::Path, &str, i32, &str); 5] = [
        ("revoke", data, "nobody", 1, "nobody is not enrolled"),
        ("enrol", data, "alice", 1, "alice is enrolled already"),
        ("enrol", data, "a,b", 2, "comma"),
        ("revoke", data, "", 2, "empty"),
        ("revoke", &missing, "alice", 9, "missing"),
    ];
    for (verb, data, identifier, code, text) in cases {
        let output = command(verb, data, identifier);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{verb} {identifier}: {error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        assert!(error.contains(text), "{error}");
        assert!(output.stdout.is_empty());
    }
    drop(running);
    // The same without a running broker.
    for (verb, data, identifier, code, text) in cases {
        let output = command(verb, data, identifier);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{verb} {identifier}: {error}");
        assert!(error.contains(text), "{error}");
    }
    assert!(!missing.exists());
}

#[test]
fn wrong_use_is_exit_code_2() {
    let uses: [&[&str]; 7] = [
        &[],
        &["serve"],
        &["frobnicate"],
        &["serve", "--data", "x", "--max-transfer", "10X"],
        &["serve", "--data", "x", "--max-transfer", "ib"],
        &["serve", "--data", "x", "--listen", "nowhere"],
        &["enrol", "--data", "x"],
    ];
    for arguments in uses {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn p9_the_largest_transfer_is_told_and_kept() {
    for (size, bytes) in [("12345", 12_345_u64), ("10M", 10 << 20), ("500kB", 500_000), ("1GiB", 1 << 30)] {
        let folder = folder();
        let data = folder.path();
        let served = Served::start_with(data, &["--max-transfer", size]);
        let mut bob = served.enrol(data, "bob", 2);
        permit(&mut bob);
        drop(served.enrol(data, "alice", 1));
        let mut alice = Terminal::dial(served.address, &served.key, 1);
        let welcome = alice.ask("HELLO\nIdentifier:alice\n");
        assert_eq!(value(&welcome, "Largest Transfer"), bytes.to_string());
        assert_eq!(value(&welcome, "Relay"), "1");
        let handle = grant(&mut alice, &mut bob);
        let mut ask = |size: u64| {
            alice.ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:{size}\nHandle:{handle}\n"))
        };
        assert!(ask(bytes + 1).starts_with("NOTIFY\nTransfer Refused.\nAnswer:broker\n"));
        assert!(ask(bytes).starts_with("NOTIFY\nTransfer Accepted.\n"));
    }
}

#[test]
fn v14_without_relay_no_lane_is_offered() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start_with(data, &["--no-relay"]);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    drop(served.enrol(data, "alice", 1));
    let mut alice = Terminal::dial(served.address, &served.key, 1);
    assert!(!alice.ask("HELLO\nIdentifier:alice\n").contains("Relay"));
    let handle = grant(&mut alice, &mut bob);
    let answer = alice.ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:1\nHandle:{handle}\n"));
    assert!(answer.starts_with("NOTIFY\nTransfer Refused.\n"), "{answer}");
}

#[test]
fn a_long_folder_name_is_no_obstacle() {
    let parent = folder();
    let data = parent.path().join("x".repeat(150));
    let served = Served::start(&data);
    drop(served.enrol(&data, "alice", 1));
    assert!(command("revoke", &data, "alice").status.success());
}

#[test]
fn a_stop_lets_running_lanes_end() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let folder = folder();
        let data = folder.path();
        let mut served = Served::start(data);
        let mut alice = served.enrol(data, "alice", 1);
        let mut bob = served.enrol(data, "bob", 2);
        permit(&mut bob);
        let handle = grant(&mut alice, &mut bob);
        let [mut one, mut other] = lane(served.address, &mut alice, &handle, 1000);
        one.write_all(b"early").unwrap();
        let mut five = [0; 5];
        other.read_exact(&mut five).unwrap();
        served.signal(signal);
        // No new connection is taken any more; then the running lane gets its rest.
        while std::net::TcpStream::connect(served.address).is_ok() {
            std::thread::yield_now();
        }
        one.write_all(b" and late").unwrap();
        one.shutdown(std::net::Shutdown::Write).unwrap();
        let mut rest = Vec::new();
        other.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b" and late");
        drop((one, other));
        assert_eq!(served.child.wait().unwrap().code(), Some(0));
        assert!(alice.next().is_none());
    }
}
