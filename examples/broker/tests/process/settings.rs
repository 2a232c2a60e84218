//! The file of `--config`, limits by setting, and what is shipped for systemd.

use crate::support::*;
use std::path::Path;
use std::process::{Command, Output};

fn check(file: &Path, flags: &[&str]) -> Output {
    let mut command = Command::new(PROGRAM);
    command.arg("serve").arg("--config").arg(file).arg("--check-config").args(flags).output().unwrap()
}

#[test]
fn the_file_has_the_flags_by_their_names_and_flags_win() {
    let folder = folder();
    let file = folder.path().join("broker.toml");
    let data = folder.path().join("data");
    let text = format!(
        "data = {data:?}\nlisten = \"[::1]:1\"\nadmin = \"127.0.0.1:0\"\nno-relay = true\nmax-list = 2\nqueries-per-minute = 7\n"
    );
    std::fs::write(&file, text).unwrap();
    // Served::start_with gives the folder and another address to listen on by flags.
    let mut served =
        Served::start_with(&data, &["--config", file.to_str().unwrap(), "--queries-per-minute", "3"]);
    assert!(served.address.ip().is_ipv4());
    served.admin();
    let mut alice = served.enrol(&data, "alice", 1);
    let mut bob = served.enrol(&data, "bob", 2);
    permit(&mut bob);
    let handle = grant(&mut alice, &mut bob);
    let answer = alice.ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:1\nHandle:{handle}\n"));
    assert!(answer.contains("Transfer Refused.") && answer.contains("no relay"), "{answer}");
    let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create a,b,c\nRevision:2\n");
    assert!(!answer.contains("Status:200"), "a list of three where two may be: {answer}");
    for refused in [false, false, true] {
        let answer = alice.ask("QUERY\nIdentifier:alice\nCallee:nobody\n");
        assert_eq!(answer.contains("too many queries in a minute"), refused, "{answer}");
    }
}

#[test]
fn limits_by_flags() {
    let folder = folder();
    let data = folder.path();
    let options = [
        "--registrations-per-minute",
        "2",
        "--max-connections",
        "4",
        "--max-handshakes",
        "3",
        "--max-handshakes-per-source",
        "2",
    ];
    let served = Served::start_with(data, &options);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    let answer = bob.ask("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:4001\n");
    assert!(answer.contains("Status:429"), "{answer}");
    let mut waiting = [connect(served.address), connect(served.address)];
    assert!(is_closed(&mut connect(served.address)), "a third handshake from one source");
    for stream in &mut waiting {
        stream.set_nonblocking(true).unwrap();
        let error = std::io::Read::read(stream, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "the first two still wait");
    }
}

#[test]
fn a_wrong_file_is_told_on_one_line_with_what_is_wrong() {
    let folder = folder();
    let file = folder.path().join("broker.toml");
    let cases = [
        ("data = \"x\"\nmax-lists = 3\n", "no setting max-lists"),
        ("data = \"x\"\nconfig = \"y\"\n", "no setting config"),
        ("data = \"x\"\nmax-list = 0\n", "max-list"),
        ("data = \"x\"\nmax-transfer = \"10X\"\n", "10X is no size"),
        ("data = \"x\"\nno-relay = 1\n", "true or false"),
        ("data = \"x\"\nmax-list = true\n", "a number or a text"),
        ("data = \"x\"\n[limits]\nmax-list = 3\n", "no setting limits"),
        ("data = \"x\"\nmax-list = \n", "line 2"),
        ("data = \"x\"\nadmin = \"0.0.0.0:1\"\n", "--admin-exposed"),
        ("", "no data folder"),
    ];
    for (text, cause) in cases {
        std::fs::write(&file, text).unwrap();
        let output = check(&file, &[]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}: {error}");
        assert!(error.lines().count() == 1 && error.contains(cause), "{error}");
        assert!(output.stdout.is_empty());
    }
    let output = check(&folder.path().join("missing"), &[]);
    assert!(output.status.code() == Some(2) && String::from_utf8_lossy(&output.stderr).contains("missing"));
}

#[test]
fn checking_the_settings_touches_nothing() {
    let folder = folder();
    let file = folder.path().join("broker.toml");
    std::fs::write(&file, "max-list = 3").unwrap();
    let data = folder.path().join("data");
    let output = check(&file, &["--data", data.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.stdout.is_empty() && output.stderr.is_empty() && !data.exists());
}

#[test]
fn what_is_shipped_for_systemd_fits_the_program() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shipped = here.join("p2pgate-broker.toml");
    assert!(check(&shipped, &[]).status.success());
    // What is commented out is right as well.
    let folder = folder();
    let all = folder.path().join("all.toml");
    let text = std::fs::read_to_string(&shipped).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix("# ") {
        Some(setting) if setting.contains(" = ") => setting,
        _ => line,
    });
    std::fs::write(&all, lines.collect::<Vec<_>>().join("\n")).unwrap();
    assert!(check(&all, &[]).status.success(), "{}", String::from_utf8_lossy(&check(&all, &[]).stderr));

    let unit = std::fs::read_to_string(here.join("p2pgate-broker.service")).unwrap();
    let command = unit.lines().find_map(|line| line.strip_prefix("ExecStartPre=")).unwrap();
    let words: Vec<&str> = command.split(' ').collect();
    assert!(words[0].ends_with("/p2pgate-broker"));
    let at = words.iter().position(|word| *word == "--config").unwrap();
    let mut words: Vec<&std::ffi::OsStr> = words[1..].iter().map(std::ffi::OsStr::new).collect();
    words[at] = shipped.as_os_str();
    let output = Command::new(PROGRAM).args(words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
