//! The file of `--config`, the environment, limits by setting, SIGHUP, and what is shipped for systemd.

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

#[test]
fn the_environment_is_between_file_and_flags() {
    let folder = folder();
    let file = folder.path().join("broker.toml");
    std::fs::write(&file, "no-relay = true\nmax-list = 2\nqueries-per-minute = 7\nadmin = \"127.0.0.1:0\"\n")
        .unwrap();
    let data = folder.path().join("data");
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--listen", "127.0.0.1:0", "--queries-per-minute", "1", "--config"]).arg(&file);
    command.env("P2PGATE_BROKER_DATA", &data).env("P2PGATE_BROKER_MAX_LIST", "4");
    command.env("P2PGATE_BROKER_QUERIES_PER_MINUTE", "3").env("P2PGATE_BROKER_NO_DEPOSITS", "true");
    let mut served = Served::started_by(command);
    served.admin();
    let mut bob = served.enrol(&data, "bob", 2);
    permit(&mut bob);
    let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create a,b,c,d\nRevision:2\n");
    assert!(answer.contains("Status:200"), "the environment's four rather than the file's two: {answer}");
    for refused in [false, true] {
        let answer = bob.ask("QUERY\nIdentifier:bob\nCallee:nobody\n");
        assert_eq!(answer.contains("too many queries in a minute"), refused, "the flag's one: {answer}");
    }

    for (variable, value, cause) in [
        ("P2PGATE_BROKER_MAX_LISTS", "3", "P2PGATE_BROKER_MAX_LISTS: there is no setting max-lists"),
        ("P2PGATE_BROKER_CHECK_CONFIG", "true", "there is no setting"),
        ("P2PGATE_BROKER_NO_RELAY", "1", "true or false"),
        ("P2PGATE_BROKER_MAX_TRANSFER", "10X", "10X is no size"),
    ] {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--check-config", "--data"]).arg(&data).env(variable, value);
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.lines().count() == 1 && error.contains(cause), "{error}");
    }
}

#[test]
fn sighup_changes_limits_and_leaves_who_is_connected() {
    let folder = folder();
    let (file, data) = (folder.path().join("broker.toml"), folder.path().join("data"));
    std::fs::write(&file, "max-list = 2\n").unwrap();
    let served = Served::start_with(&data, &["--config", file.to_str().unwrap()]);
    let mut bob = served.enrol(&data, "bob", 2);
    let register = |bob: &mut Terminal, revision| {
        bob.ask(&format!("REGISTER\nIdentifier:bob\nAccept:Create a,b,c\nRevision:{revision}\n"))
    };
    assert!(!register(&mut bob, 1).contains("Status:200"));
    // What is wrong changes nothing.
    std::fs::write(&file, "max-list = 0\n").unwrap();
    served.signal(rustix::process::Signal::HUP);
    assert!(!register(&mut bob, 2).contains("Status:200"));
    std::fs::write(&file, "max-list = 3\n").unwrap();
    served.signal(rustix::process::Signal::HUP);
    let taken = (3..40).any(|revision| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        register(&mut bob, revision).contains("Status:200")
    });
    assert!(taken, "the new limit counts on the link that was there before");
}

#[test]
fn v6_denials_without_cause_by_setting() {
    let folder = folder();
    for (options, told) in [(&[][..], true), (&["--deny-without-cause"], false)] {
        let data = folder.path().join(told.to_string());
        let served = Served::start_with(&data, options);
        let mut alice = served.enrol(&data, "alice", 1);
        let answer = alice.ask("QUERY\nIdentifier:alice\nCallee:nobody\n");
        assert!(answer.starts_with("NOTIFY\nPermission Denied.\n"), "{answer}");
        assert_eq!(answer.contains("Cause:"), told, "{answer}");
    }
}

#[test]
fn connections_of_one_source_have_a_limit_of_their_own() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start_with(data, &["--max-connections-per-source", "2"]);
    let _bob = served.enrol(data, "bob", 2);
    let _second = connect(served.address);
    assert!(is_closed(&mut connect(served.address)), "a third of this source");
    let elsewhere = std::net::SocketAddr::from(([127, 9, 9, 9], 0));
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &elsewhere).unwrap();
    rustix::net::connect(&socket, &served.address).unwrap();
    let mut other = std::net::TcpStream::from(socket);
    other.set_nonblocking(true).unwrap();
    let error = std::io::Read::read(&mut other, &mut [0]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock, "another source has its own");
}

#[test]
fn a_silent_connection_is_closed_in_the_time_that_is_set() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--handshake-seconds", "1"]);
    assert!(is_closed(&mut connect(served.address)));
}

#[test]
fn the_service_manager_may_listen_instead() {
    let folder = folder();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd does it: the sockets from number 3 on, and whom they are for.
    let mut command = Command::new("sh");
    let script = "exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" serve --data \"$1\"";
    command.args(["-c", script, PROGRAM]).arg(folder.path());
    command.stdin(std::os::fd::OwnedFd::from(listener));
    let served = Served::started_by(command);
    assert_eq!(served.address, address);
    served.enrol(folder.path(), "bob", 2);
}
