//! After a session: what of its secrets is left in the memory of a broker and of a recorder.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/client.rs"]
mod client;
mod common;
#[path = "common/process.rs"]
mod process;

use base64ct::{Base64, Encoding};
use client::{Link, Mallory, fresh};
use common::{TEST_CARD, same};
use p2pgate::link::SecretKey;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[test]
fn serve() {
    if process::serve() {
        return;
    }
    // Here: what is there is found, so what is not found is not there.
    let (stage, broker) = process::pair();
    assert!(!places(broker.child.id(), b"anna").is_empty());
    let receiving = stage.receive("ben", &[]);
    let identity = fs::read_to_string(stage.path("ben").join("identity")).unwrap();
    let secret = identity.lines().find_map(|line| line.strip_prefix("Secret Key:")).unwrap();
    assert!(!places(receiving.child.id(), &Base64::decode_vec(secret).unwrap()).is_empty());
}

/// Where in a process's memory these bytes are: in what can be written, except its threads' stacks. What a compiler leaves there is overwritten soon,
/// and by nobody's word.
fn places(process: u32, wanted: &[u8]) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).unwrap();
    // Of a thread that waits: the call, its arguments, where its stack is, where it goes on.
    let stacks: Vec<u64> = tasks
        .filter_map(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("syscall")).ok()?;
            let pointer = text.split_whitespace().rev().nth(1)?.strip_prefix("0x")?.to_owned();
            u64::from_str_radix(&pointer, 16).ok()
        })
        .collect();
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found = Vec::new();
    for line in maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rw")))
    {
        let (start, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [start, end] = [start, end].map(|number| u64::from_str_radix(number, 16).unwrap());
        let mut bytes = vec![0; (end - start) as usize];
        // Some cannot be read.
        if memory.read_exact_at(&mut bytes, start).is_err() {
            continue;
        }
        let here = bytes.windows(wanted.len()).enumerate().filter(|(_, window)| *window == wanted);
        let here = here.map(|(at, _)| format!("{:x} in {line}", start + at as u64));
        if stacks.iter().any(|pointer| (start..end).contains(pointer)) {
            here.for_each(|place| println!("on a stack: {place}"));
        } else {
            found.extend(here);
        }
    }
    found
}

fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {name} in {text:?}"))
}

#[test]
fn no_secret_of_a_session_outlives_it_in_memory() {
    let (stage, broker) = process::pair();
    let mut ben = stage.receive("ben", &[]);
    stage.done("ben", "allow", &["--add", "mallory"]);
    // Enrolled by a ticket that this test knows.
    let secret = SecretKey::new(fresh());
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "mallory").unwrap().to_string();
    let answer = Link::control(&stage, &secret).ask(&format!("HELLO\nIdentifier:mallory\nTicket:{ticket}\n"));
    assert!(answer.contains("Status:200"), "{answer}");
    let mallory = Mallory { secret };
    let mut online = mallory.online(&stage);
    let grant = common::eventually(|| mallory.grant(&mut online));
    let (mut peer, accepted) = mallory.call(&grant, &grant.password).unwrap();
    assert!(accepted.starts_with("NOTIFY\nRequest Accepted."), "{accepted}");
    let handle = Base64::encode_string(&grant.handle);
    let offer =
        "TRANSFER\nCaller:mallory\nCallee:ben\nSize:1000\nTransaction:1\nName:film\nSource:c291cmNlIDE=\n";
    let answer = peer.ask(offer);
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted."), "{answer}");
    let relay = online
        .ask(&format!("TRANSFER\nCaller:mallory\nCallee:ben\nSize:1000\nTransaction:2\nHandle:{handle}\n"));
    assert!(relay.starts_with("NOTIFY\nTransfer Accepted."), "{relay}");
    let lane_key = Base64::encode_string(&fresh());
    let (token, peer_token) = (line(&relay, "Token"), line(&relay, "Peer Token"));
    let answer = peer.ask(&format!(
        "LANE\nClass:sealed\nTransaction:3\nPath:relay\nProtection:sealed\nSuite:1\nLane Key:{lane_key}\nToken:{peer_token}\n"
    ));
    assert!(answer.contains("Status:200"), "{answer}");
    drop(peer);
    online.send(format!("RELEASE\nHandle:{handle}\n").as_bytes());
    assert!(online.ask("PING\n").contains("Alive"));
    drop(online);

    // Nothing else happens meanwhile that would be written over it.
    std::thread::sleep(Duration::from_secs(1));
    let psk = Base64::encode_string(&grant.psk);
    let mut left = Vec::new();
    for (name, text) in [
        ("ticket", ticket.as_str()),
        ("caller's password", &grant.password),
        ("callee's password", line(&accepted, "Callee Password")),
        ("Encrypt Key", &psk),
        ("lane key", &lane_key),
        ("token", token),
        ("peer's token", peer_token),
    ] {
        let mut forms = vec![text.as_bytes().to_vec()];
        forms.extend(Base64::decode_vec(text).ok());
        for (who, process) in [("broker", broker.child.id()), ("recorder", ben.child.id())] {
            for form in &forms {
                let form_name = if form == text.as_bytes() { "text" } else { "bytes" };
                let places = places(process, form);
                left.extend(
                    places.into_iter().map(|place| format!("{name} ({form_name}) in the {who}: {place}")),
                );
            }
        }
    }
    assert!(left.is_empty(), "{left:#?}");
    // Both go on with others.
    stage.send("anna", "ben", TEST_CARD, &["--as", "split"]);
    assert!(same(&ben.received(), TEST_CARD));
}
