//! A disk that can't be written any more while the broker runs: full, made read-only by the system, broken. `disk.c` plays it.
#![cfg(target_os = "linux")]

use crate::deposits::parts::{parts, read};
use crate::deposits::{BIG, ask, collect, deposit, file, hello, id_of, prepare, upload};
use crate::pages::get;
use crate::support::*;
use base64ct::{Base64, Encoding};
use rustix::io::Errno;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

fn serve(data: &Path, control: &Path, shim: &Path) -> Served {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg("--data").arg(data).args(["--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.env("LD_PRELOAD", shim).env("FAULT_FOLDER", data).env("FAULT_ERROR", control);
    Served::started_by(command)
}

fn eventually(mut ask: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !ask() {
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processor time that it has taken so far, in hundredths of a second.
fn ticks(served: &Served) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", served.child.id())).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn fails_and_goes_on(error: Errno) {
    let folder = folder();
    let (data, control, shim) =
        (folder.path().join("data"), folder.path().join("error"), folder.path().join("disk.so"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/process/disk.c");
    let mut compiler = Command::new("cc");
    let built = compiler.args(["-shared", "-fPIC", "-o"]).arg(&shim).args([source, "-ldl"]).status();
    assert!(built.unwrap().success());
    let data = data.as_path();
    let mut served = serve(data, &control, &shim);
    let admin = served.admin();
    prepare(&served, data);
    let mut alice = hello(&served, "alice", 1, "");
    let first = pattern(7, 300_000);
    let (whole, bytes) = deposit(&served, &mut alice, &first, 1);
    // Another one has only its first part, a megabyte, on the disk.
    let second = pattern(8, 3_000_000);
    let told = ask(&mut alice, second.len(), 2);
    let begun = id_of(&told);
    let all = parts(begun, &second, 0, 0, BIG);
    let mut lane = upload(&served, value(&told, "Token"), &all[0]);
    lane.write_all(&all[1]).unwrap();
    let kept = alice.text();
    assert!(kept.starts_with("NOTIFY\nDeposit Kept.\n"), "{kept}");
    let ticket = ticket(data, "dave");
    let enrol = format!("HELLO\nIdentifier:dave\nListen:1\nTicket:{ticket}\n");
    let register = "REGISTER\nIdentifier:alice\nAccept:Create carol\nRevision:1\n";
    let done = format!("NOTIFY\nTransfer Complete.\nDeposit:{}\n", Base64::encode_string(&whole));
    assert_eq!(get(admin, "/readyz", "200"), "ready\n");

    std::fs::write(&control, error.raw_os_error().to_string()).unwrap();
    // Nothing says that it is done.
    let answer = alice.ask(register);
    assert!(answer.contains("Status:503") && answer.contains("Retry After:"), "{answer}");
    let output = command("enrol", data, "erna");
    assert_eq!(output.status.code(), Some(9), "{output:?}");
    let mut dave = Terminal::dial(served.address, &served.key, 4);
    assert!(dave.ask(&enrol).contains("Status:503"));
    assert!(dave.next().is_none());
    for part in &all[2..] {
        // The lane may be closed already.
        let _ = lane.write_all(part);
    }
    assert!(is_closed(&mut lane));
    let mut bob = hello(&served, "bob", 2, "Listen:1\n");
    assert_eq!(id_of(&bob.text()), whole);
    let mut collected = Vec::new();
    collect(&served, &mut bob, whole, 0).read_to_end(&mut collected).unwrap();
    assert!(collected == bytes, "what is on the disk can be read");
    let answer = bob.ask(&done);
    assert!(answer.contains("Status:503"), "{answer}");
    assert!(file(data, whole).exists());
    assert!(get(admin, "/readyz", "503").contains("check that the disk has room"));
    assert_eq!(get(admin, "/healthz", "200"), "ok\n");
    // It does not try without pause.
    let before = ticks(&served);
    std::thread::sleep(Duration::from_secs(2));
    assert!(ticks(&served) - before < 100, "it spins");
    get(admin, "/readyz", "503");

    // Nobody asks for anything, and it finds out.
    std::fs::remove_file(&control).unwrap();
    eventually(|| {
        let mut stream = connect(admin);
        stream.write_all(format!("GET /readyz HTTP/1.1\r\nHost: {admin}\r\n\r\n").as_bytes()).unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text.starts_with("HTTP/1.1 200 ")
    });
    let mut dave = Terminal::dial(served.address, &served.key, 4);
    assert!(dave.ask(&enrol).contains("Status:200"), "the ticket was not used up");
    assert!(command("enrol", data, "erna").status.success());
    // The deposit that was collected goes, whether its callee says so again or not.
    assert!(bob.ask(&done).contains("Status:200"));
    eventually(|| !file(data, whole).exists());
    let mut alice = hello(&served, "alice", 1, "");
    let answer = loop {
        let answer = alice.ask(register);
        if answer.contains("Registered") || answer.contains("Status:5") {
            break answer;
        }
    };
    assert!(answer.contains("Status:200"), "{answer}");
    served.kill();

    let served = serve(data, &control, &shim);
    drop(hello(&served, "dave", 4, ""));
    let stored = p2pgate_broker::show(data, "alice").unwrap().terminal.unwrap().list;
    assert_eq!(stored.iter().map(|(entry, _)| &**entry).collect::<Vec<_>>(), ["carol"]);
    let mut alice = hello(&served, "alice", 1, "");
    let told = loop {
        let told = ask(&mut alice, second.len(), 2);
        if told.contains("Token:") {
            break told;
        }
    };
    assert_eq!(id_of(&told), begun);
    let part: u32 = value(&told, "Part").parse().unwrap();
    let offset: usize = value(&told, "Offset").parse().unwrap();
    assert!(part >= 1 && offset >= 1 << 20, "what was acknowledged is there: {told}");
    let rest = parts(begun, &second, part, offset, BIG);
    let mut lane = upload(&served, value(&told, "Token"), &[]);
    for part in &rest {
        lane.write_all(part).unwrap();
    }
    while !alice.text().contains("Complete:1") {}
    let (got, whole) = read(begun, &std::fs::read(file(data, begun)).unwrap(), 0, 0);
    assert!(got == second && whole);
}

#[test]
fn p13_a_disk_that_gets_full_loses_nothing_and_the_broker_goes_on_by_itself() {
    fails_and_goes_on(Errno::NOSPC);
}

#[test]
fn p13_a_disk_that_gets_read_only_loses_nothing_and_the_broker_goes_on_by_itself() {
    fails_and_goes_on(Errno::ROFS);
}

#[test]
fn p13_a_disk_that_breaks_loses_nothing_and_the_broker_goes_on_by_itself() {
    fails_and_goes_on(Errno::IO);
}
