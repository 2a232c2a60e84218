//! P9: relay bytes a terminal a day, and the largest record, by setting.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// A sample of `/metrics`.
fn metric(address: SocketAddr, name: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("p2pgate_broker_{name}")));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).trim().to_owned()
}

#[test]
fn p9_relay_bytes_of_a_day_end_with_an_answer_and_sighup_changes_them() {
    let folder = folder();
    let (file, data) = (folder.path().join("broker.toml"), folder.path().join("data"));
    std::fs::write(&file, "relay-bytes-per-day = \"100kB\"\nadmin = \"127.0.0.1:0\"\n").unwrap();
    let mut served = Served::start_with(&data, &["--config", file.to_str().unwrap()]);
    let admin = served.admin();
    let mut alice = served.enrol(&data, "alice", 1);
    let mut bob = served.enrol(&data, "bob", 2);
    permit(&mut bob);
    let handle = grant(&mut alice, &mut bob);
    let [mut one, mut other] = lane(served.address, &mut alice, &handle, 60_000);
    // More than was asked for, within what a lane may carry.
    let bytes = pattern(1, 101_000);
    let sent = bytes.clone();
    let writer = std::thread::spawn(move || {
        one.write_all(&sent).unwrap();
        one.shutdown(Shutdown::Both).unwrap();
    });
    let mut got = Vec::new();
    other.read_to_end(&mut got).unwrap();
    drop(other);
    writer.join().unwrap();
    assert!(got == bytes);
    let ask = |alice: &mut Terminal| {
        alice.ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:1\nHandle:{handle}\n"))
    };
    let spent = |alice: &mut Terminal| {
        (0..100).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(20));
            ask(alice).contains("this terminal's relay bytes of the day are used up")
        })
    };
    assert!(spent(&mut alice));
    assert_eq!(metric(admin, "terminals_spent"), "2");
    let label = "refusals_total{what=\"lane\",cause=\"this terminal's relay bytes of the day are used up\"}";
    assert_ne!(metric(admin, label), "0");
    std::fs::write(&file, "relay-bytes-per-day = \"1MB\"\nadmin = \"127.0.0.1:0\"\n").unwrap();
    served.signal(rustix::process::Signal::HUP);
    let taken = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        ask(&mut alice).contains("Transfer Accepted.")
    });
    assert!(taken && metric(admin, "terminals_spent") == "0");
}

#[test]
fn the_largest_record_is_what_is_set() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--max-record", "600"]);
    let mut alice = served.enrol(folder.path(), "alice", 1);
    assert!(alice.ask("PING\n").contains("Alive"));
    alice.stream.write_all(&601_u16.to_be_bytes()).unwrap();
    assert!(alice.next().is_none());
    for wrong in ["511", "16465", "x"] {
        let mut command = std::process::Command::new(PROGRAM);
        command.args(["serve", "--check-config", "--data", "x", "--max-record", wrong]);
        assert_eq!(command.output().unwrap().status.code(), Some(2), "{wrong}");
    }
}
