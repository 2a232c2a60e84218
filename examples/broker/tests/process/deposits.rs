//! P10, P11: deposits on a real disk, through kills.

#[path = "../../../../tests/broker/parts.rs"]
#[allow(dead_code)]
pub(crate) mod parts;

use crate::support::*;
use base64ct::{Base64, Encoding};
use p2pgate::message::DepositId;
use parts::{CUT, Cut, parts, read};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

pub(crate) const BIG: Cut = Cut { part: 1 << 20, frame: 60_000, ..CUT };

/// A link that knows deposits, and what has come with its welcome.
pub(crate) fn hello(served: &Served, identifier: &str, key: u8, lines: &str) -> Terminal {
    let mut terminal = Terminal::dial(served.address, &served.key, key);
    let answer = terminal.ask(&format!("HELLO\nIdentifier:{identifier}\n{lines}Frame:65536\n"));
    assert!(answer.starts_with("NOTIFY\nStatus:200 "), "{answer}");
    terminal
}

/// Enrols alice and bob, who permits her, knows deposits and has gone.
pub(crate) fn prepare(served: &Served, data: &Path) {
    drop(served.enrol(data, "alice", 1));
    permit(&mut served.enrol(data, "bob", 2));
    drop(hello(served, "bob", 2, "Listen:1\n"));
}

/// Asks until the broker has noticed that bob has gone, and says yes.
pub(crate) fn ask(alice: &mut Terminal, size: usize, source: u8) -> String {
    loop {
        alice.send("QUERY\nIdentifier:alice\nCallee:bob\n");
        let question = alice.text();
        if question.starts_with("NOTIFY\nDeposit Question.\n") {
            break;
        }
        assert!(question.contains("not Connected") || question.contains("Kept"), "{question}");
    }
    let source = Base64::encode_string(&[source; 8]);
    alice.ask(&format!("DEPOSIT\nCaller:alice\nCallee:bob\nSize:{size}\nSource:{source}\n"))
}

pub(crate) fn id_of(text: &str) -> DepositId {
    Base64::decode_vec(value(text, "Deposit")).unwrap().try_into().unwrap()
}

pub(crate) fn upload(served: &Served, token: &str, bytes: &[u8]) -> std::net::TcpStream {
    let mut lane = connect(served.address);
    lane.write_all(&opening(token)).unwrap();
    lane.write_all(bytes).unwrap();
    lane
}

/// Uploads it whole, part by part as they are kept; gives the bytes as they are to lie on the disk.
pub(crate) fn deposit(
    served: &Served,
    alice: &mut Terminal,
    data: &[u8],
    source: u8,
) -> (DepositId, Vec<u8>) {
    let told = ask(alice, data.len(), source);
    let id = id_of(&told);
    let all = parts(id, data, 0, 0, BIG);
    let mut lane = upload(served, value(&told, "Token"), &all[0]);
    for part in &all[1..] {
        lane.write_all(part).unwrap();
        assert!(alice.text().starts_with("NOTIFY\nDeposit Kept.\n"));
    }
    assert!(alice.text().contains("Complete:1"));
    (id, all.concat())
}

pub(crate) fn file(data: &Path, id: DepositId) -> PathBuf {
    data.join("deposits").join(id.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// A lane of bob's for what is behind `offset`.
pub(crate) fn collect(
    served: &Served,
    bob: &mut Terminal,
    id: DepositId,
    offset: usize,
) -> std::net::TcpStream {
    let id = Base64::encode_string(&id);
    let answer = bob.ask(&format!("COLLECT\nCaller:alice\nCallee:bob\nDeposit:{id}\nOffset:{offset}\n"));
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted.\n"), "{answer}");
    upload(served, value(&answer, "Token"), &[])
}

#[test]
fn p10_what_was_kept_outlasts_a_kill_at_any_byte() {
    let folder = folder();
    let data = folder.path();
    let recording = pattern(5, 400_000);
    let mut served = Served::start(data);
    prepare(&served, data);
    for (source, cut) in [0, 1, 300, 65_000, 69_000, 150_001, 333_333, 390_000].into_iter().enumerate() {
        let mut alice = hello(&served, "alice", 1, "");
        let told = ask(&mut alice, recording.len(), source as u8);
        let id = id_of(&told);
        let all = parts(id, &recording, 0, 0, CUT);
        let mut kept = (0, 0);
        let mut lane = upload(&served, value(&told, "Token"), &[]);
        let mut sent = 0;
        for part in &all {
            let part = &part[..part.len().min(cut - sent)];
            lane.write_all(part).unwrap();
            // Two parts are under way at most: each full part but the first shows the one before it.
            if sent > 0 && part.len() > 16 {
                let text = alice.text();
                kept = (
                    value(&text, "Part").parse::<u32>().unwrap() + 1,
                    value(&text, "Offset").parse().unwrap(),
                );
            }
            sent += part.len();
            if sent == cut {
                break;
            }
        }
        served.kill();

        served = Served::start(data);
        let mut alice = hello(&served, "alice", 1, "");
        let told = ask(&mut alice, recording.len(), source as u8);
        assert_eq!(id_of(&told), id);
        let part: u32 = value(&told, "Part").parse().unwrap();
        let offset: usize = value(&told, "Offset").parse().unwrap();
        assert!(part >= kept.0 && offset >= kept.1, "nothing acknowledged is lost");
        let mut lane = upload(&served, value(&told, "Token"), &[]);
        for (number, part) in parts(id, &recording, part, offset, CUT).iter().enumerate() {
            lane.write_all(part).unwrap();
            if number > 0 {
                assert!(alice.text().starts_with("NOTIFY\nDeposit Kept.\n"));
            }
        }
        assert!(alice.text().contains("Complete:1"));
        served.kill();

        served = Served::start(data);
        let mut bob = hello(&served, "bob", 2, "Listen:1\n");
        let depositor = bob.text();
        assert_eq!(id_of(&depositor), id);
        let mut bytes = Vec::new();
        collect(&served, &mut bob, id, 0).read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes, std::fs::read(file(data, id)).unwrap());
        let (got, whole) = read(id, &bytes, 0, 0);
        assert!(got == recording && whole);
        let done = format!("NOTIFY\nTransfer Complete.\nDeposit:{}\n", Base64::encode_string(&id));
        assert!(bob.ask(&done).contains("Status:200"));
        served.kill();

        // It was deleted, and alice is told once more at most.
        served = Served::start(data);
        let mut alice = hello(&served, "alice", 1, "");
        assert!(alice.text().starts_with("NOTIFY\nDeposit Collected.\n"));
        assert!(alice.ask("DEPOSITS\nIdentifier:alice\n").contains("That is all"));
        assert!(!file(data, id).exists());
        drop(alice);
    }
}

#[test]
fn p11_a_collection_goes_on_by_offset_and_waits_for_its_receiver() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    prepare(&served, data);
    let recording = pattern(6, 24 << 20);
    let (id, bytes) = deposit(&served, &mut hello(&served, "alice", 1, ""), &recording, 1);
    assert!(
        std::fs::read(file(data, id)).unwrap() == bytes,
        "the broker has what was sent, and nothing else"
    );
    assert!(!bytes.windows(64).any(|window| window == &recording[..64]), "in ciphertext");
    let mut bob = hello(&served, "bob", 2, "Listen:1\n");
    assert_eq!(value(&bob.text(), "Size"), recording.len().to_string());
    // It takes some, and then nothing: the broker goes on with everything else.
    let mut lane = collect(&served, &mut bob, id, 0);
    let mut some = vec![0; 3 << 20];
    lane.read_exact(&mut some).unwrap();
    for _ in 0..20 {
        assert!(bob.ask("PING\n").contains("Alive"));
    }
    served.kill();
    let served = Served::start(data);
    let mut bob = hello(&served, "bob", 2, "Listen:1\n");
    bob.text();
    let (part, offset) = (2, 2 << 20);
    let mut rest = Vec::new();
    collect(&served, &mut bob, id, offset + 77).read_to_end(&mut rest).unwrap();
    let (got, whole) = read(id, &rest, part, offset as u64);
    assert!(got == recording[offset..] && whole);
}

#[test]
fn p10_what_belongs_to_nothing_is_removed_and_what_is_lost_is_told() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    prepare(&served, data);
    let mut alice = hello(&served, "alice", 1, "");
    let [kept, cut, gone] =
        [1, 2, 3].map(|source| deposit(&served, &mut alice, &pattern(7, 5_000), source).0);
    served.kill();
    let stray = data.join("deposits").join("00112233445566778899aabbccddeeff");
    std::fs::write(&stray, b"of nobody").unwrap();
    std::fs::write(data.join("deposits").join("notes.txt"), b"of nobody").unwrap();
    std::fs::remove_file(file(data, gone)).unwrap();
    std::fs::File::options().write(true).open(file(data, cut)).unwrap().set_len(4_000).unwrap();
    let mut longer = std::fs::File::options().append(true).open(file(data, kept)).unwrap();
    longer.write_all(b"what was not acknowledged").unwrap();

    let served = Served::start(data);
    assert!(!stray.exists());
    let mut alice = hello(&served, "alice", 1, "");
    let mut lost = [alice.text(), alice.text()].map(|text| value(&text, "Handle").to_owned());
    lost.sort();
    let mut expected = [cut, gone].map(|id| Base64::encode_string(&id));
    expected.sort();
    assert_eq!(lost, expected);
    let mut bob = hello(&served, "bob", 2, "Listen:1\n");
    assert_eq!(id_of(&bob.text()), kept);
    let mut bytes = Vec::new();
    collect(&served, &mut bob, kept, 0).read_to_end(&mut bytes).unwrap();
    assert_eq!(read(kept, &bytes, 0, 0), (pattern(7, 5_000), true));
    // The operator sees what waits, once the notices that were given are forgotten.
    let name = file(data, kept).file_name().unwrap().to_str().unwrap().to_owned();
    let give_up = Instant::now() + Duration::from_secs(30);
    loop {
        let output = Command::new(PROGRAM).args(["deposits", "--data"]).arg(data).output().unwrap();
        assert!(output.status.success());
        let text = String::from_utf8(output.stdout).unwrap();
        if text == format!("{name}\talice\tbob\t5000\t5000\twaiting\t0\n") {
            break;
        }
        assert!(Instant::now() < give_up, "{text}");
        std::thread::sleep(Duration::from_millis(20));
    }
    // The folder is this user's alone.
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&data.join("deposits")), mode(&file(data, kept))), (0o700, 0o600));
}

#[test]
fn p10_limits_by_flags() {
    let folder = folder();
    let data = folder.path();
    let options = ["--deposit-max", "2M", "--deposit-total", "10000", "--deposit-days", "3"];
    let served = Served::start_with(data, &options);
    prepare(&served, data);
    let mut alice = hello(&served, "alice", 1, "");
    let answer = ask(&mut alice, 10_001, 1);
    assert!(answer.starts_with("NOTIFY\nTransfer Refused.") && answer.contains("full"), "{answer}");
    deposit(&served, &mut alice, &pattern(8, 10_000), 2);
    assert!(alice.ask("QUERY\nIdentifier:alice\nCallee:bob\n").starts_with("NOTIFY\nCallee not Connected."));
    served.kill();
    let served = Served::start_with(data, &["--no-deposits"]);
    let mut alice = hello(&served, "alice", 1, "");
    assert!(alice.ask("QUERY\nIdentifier:alice\nCallee:bob\n").starts_with("NOTIFY\nCallee not Connected."));
    // What was kept before is still the callee's.
    let mut bob = hello(&served, "bob", 2, "Listen:1\n");
    assert!(bob.text().starts_with("NOTIFY\nDepositor:alice\n"));
}

#[test]
fn p10_check_compares_the_deposits_files_with_the_index() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    prepare(&served, data);
    let mut alice = hello(&served, "alice", 1, "");
    let [longer, changed, cut, gone] =
        [1, 2, 3, 4].map(|source| deposit(&served, &mut alice, &pattern(7, 5_000), source).0);
    let check = |arguments: &[&str]| {
        let mut command = Command::new(PROGRAM);
        let output = command.arg("check").arg("--data").arg(data).args(arguments).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(if text.is_empty() { 0 } else { 9 }));
        text
    };
    assert_eq!(check(&["--contents"]), "");
    // What is not in the index has not been acknowledged.
    std::fs::File::options().append(true).open(file(data, longer)).unwrap().write_all(b"more").unwrap();
    let mut bytes = std::fs::read(file(data, changed)).unwrap();
    let length = bytes.len();
    bytes[length / 2] ^= 1;
    std::fs::write(file(data, changed), bytes).unwrap();
    assert_eq!(check(&[]), "");
    let name = |id| file(data, id).file_name().unwrap().to_str().unwrap().to_owned();
    let found = check(&["--contents"]);
    assert_eq!(found, format!("deposit {}: part 0 is not what was acknowledged\n", name(changed)));

    std::fs::File::options().write(true).open(file(data, cut)).unwrap().set_len(4_000).unwrap();
    std::fs::remove_file(file(data, gone)).unwrap();
    let found = check(&[]);
    let lines: Vec<&str> = found.lines().collect();
    assert_eq!(lines.len(), 2, "{found}");
    assert_eq!(lines[0], format!("deposit {}: its file has 4000 bytes, the index {length}", name(cut)));
    assert!(lines[1].starts_with(&format!("deposit {}: its file cannot be used", name(gone))), "{found}");
    // The operator sees whose they are.
    let output = Command::new(PROGRAM).args(["show", "bob", "--data"]).arg(data).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let line = format!("deposit\t{}\talice\tbob\t5000\t5000\twaiting\t0\n", name(gone));
    assert!(text.ends_with(&line), "{text}");
}
