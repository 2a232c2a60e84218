//! What a machine does to its programs: no room on the disk, a disk that can't be written, no more files, a clock that is set back.
//!
//! The disks are small ones in memory, in a mount namespace of this test's own; where it may not make one, it says that it was skipped.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{Stage, TEST_CARD, TEST_CARD_BYTES, eventually, same};
use process::Broker;
use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};

#[test]
fn serve() {
    if process::serve() {
        return;
    }
    // Here: the same place, twice.
    let mut stage = Stage::pair();
    stage.stop_broker();
    let address = stage.address.to_string();
    for _ in 0..2 {
        drop(Broker::start_with(&mut stage, &address, &[]));
        assert_eq!(stage.address.to_string(), address);
    }
    stage.start_broker();
}

/// Says that this process has its own mounts already.
const INSIDE: &str = "P2PGATE_TEST_MOUNTS";

/// Runs the calling test once more, in a mount namespace of its own, and says whether the caller is that.
fn inside(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let may = Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !may.is_ok_and(|output| output.status.success()) {
        println!("skipped: no mount namespace can be made here");
        return false;
    }
    let mut command = Command::new("unshare");
    command.arg("--mount").arg(std::env::current_exe().unwrap());
    let output = command.args(["--exact", test, "--nocapture"]).env(INSIDE, "1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    false
}

/// A disk of so many bytes at `path`; what is there moves onto it.
fn disk(path: &Path, size: &str) {
    let before = path.with_extension("before");
    fs::create_dir_all(path).unwrap();
    fs::rename(path, &before).unwrap();
    fs::create_dir(path).unwrap();
    mount(&["-t", "tmpfs", "-o", &format!("size={size}"), "none", path.to_str().unwrap()]);
    let copied = Command::new("cp").arg("-a").arg(before.join(".")).arg(path).status().unwrap();
    assert!(copied.success());
}

fn remount(path: &Path, how: &str) {
    mount(&["-o", &format!("remount,{how}"), path.to_str().unwrap()]);
}

fn mount(arguments: &[&str]) {
    let output = Command::new("mount").args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Takes all the room that is left.
fn fill(disk: &Path) {
    let mut file = fs::File::create(disk.join("filling")).unwrap();
    let error = std::io::copy(&mut std::io::repeat(1), &mut file).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
}

fn unfill(disk: &Path) {
    fs::remove_file(disk.join("filling")).unwrap();
}

/// A documented exit code.
fn code(output: &Output) -> i32 {
    let code = output.status.code().unwrap_or_else(|| panic!("{output:?}"));
    assert!((3..=9).contains(&code), "{output:?}");
    code
}

/// Some megabytes in which no two places are alike.
fn film(stage: &Stage, megabytes: usize) -> String {
    let path = stage.path("film.bin");
    let bytes: Vec<u8> =
        (0..megabytes << 18).flat_map(|number: usize| (number as u32).to_le_bytes()).collect();
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_receiver_s_full_or_read_only_disk_is_told_and_nothing_is_half_written() {
    if !inside("a_receiver_s_full_or_read_only_disk_is_told_and_nothing_is_half_written") {
        return;
    }
    let stage = Stage::pair();
    let out = stage.path("ben-received");
    disk(&out, "4m");
    let mut receiving = stage.receive("ben", &[]);
    let file = film(&stage, 6);
    let finished = || out.join("film.bin").exists();
    // It would not fit.
    assert_eq!(stage.fail("anna", "ben", &file, &[]).0, 6);
    // It would, and then there is no room all the same.
    remount(&out, "size=7m");
    let sending = {
        let mut command = stage.command("anna", "send", &["--to", "ben", &file, "--hash"]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    receiving.partial(1);
    fill(&out);
    let output = sending.wait_with_output().unwrap();
    if output.status.success() {
        // It was quicker.
        assert!(same(&receiving.received(), &file));
        fs::remove_file(out.join("film.bin")).unwrap();
    } else {
        assert!(!finished(), "{output:?}");
        code(&output);
    }
    assert_eq!(stage.fail("anna", "ben", &file, &[]).0, 6);
    unfill(&out);
    stage.send("anna", "ben", &file, &["--hash"]);
    assert!(same(&receiving.received(), &file));
    fs::remove_file(out.join("film.bin")).unwrap();

    remount(&out, "ro");
    assert_eq!(stage.fail("anna", "ben", &file, &[]).0, 6);
    remount(&out, "rw");
    stage.send("anna", "ben", &file, &[]);
    assert!(same(&receiving.received(), &file));
}

#[test]
fn a_recorder_whose_own_folder_is_full_or_read_only_says_so() {
    if !inside("a_recorder_whose_own_folder_is_full_or_read_only_says_so") {
        return;
    }
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let state = stage.path("anna");
    disk(&state, "1m");
    let says_so = || {
        assert_eq!(stage.fail("anna", "ben", TEST_CARD, &[]).0, 9);
        assert_eq!(code(&stage.run("anna", "allow", &["--add", "carl"])), 9);
    };
    remount(&state, "ro");
    says_so();
    remount(&state, "rw");
    fill(&state);
    says_so();
    unfill(&state);
    assert_eq!(stage.done("anna", "allow", &[]), "ben\n");
    stage.send("anna", "ben", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
}

#[test]
fn a_broker_s_full_disk_stops_writing_only() {
    if !inside("a_broker_s_full_disk_stops_writing_only") {
        return;
    }
    let mut stage = Stage::pair();
    stage.stop_broker();
    let data = stage.path("broker");
    disk(&data, "8m");
    stage.start_broker();
    let mut receiving = stage.receive("ben", &[]);
    fill(&data);
    // What is not on disk is not confirmed. Some of what the store has on the disk already it uses again.
    let list = |round: usize| -> String {
        (0..300)
            .map(|number| format!("guest-{round}-{number}-of-the-house,"))
            .chain(["ben".to_owned()])
            .collect()
    };
    let on_disk = |list: &str| {
        let stored = p2pgate_broker::show(&data, "anna").unwrap().terminal.unwrap().list;
        stored.iter().map(|(entry, _)| entry.to_string()).eq(list.split(',').map(str::to_owned))
    };
    let mut rounds = 0..50;
    let refused = rounds.find(|round| {
        let output = stage.run("anna", "allow", &["--create", &list(*round)]);
        if output.status.success() {
            assert!(on_disk(&list(*round)));
            return false;
        }
        assert_eq!(code(&output), 7, "{output:?}");
        true
    });
    assert!(refused.is_some(), "the disk never was full");
    // It serves.
    stage.send("anna", "ben", TEST_CARD, &["--as", "split"]);
    assert!(same(&receiving.received(), TEST_CARD));
    unfill(&data);
    stage.done("anna", "allow", &["--create", "ben"]);
    assert!(on_disk("ben"));

    stage.stop_broker();
    remount(&data, "ro");
    let mut options = p2pgate_broker::Options::new(&data);
    options.listen.set_port(0);
    assert!(p2pgate_broker::Server::bind(options).is_err(), "it cannot write");
    remount(&data, "rw");
    stage.start_broker();
    eventually(|| stage.run("anna", "send", &["--to", "ben", TEST_CARD]).status.success().then_some(()));
    assert!(same(&receiving.received(), TEST_CARD));
}

#[test]
fn a_deposit_without_room_is_refused_and_goes_on_when_there_is_some() {
    if !inside("a_deposit_without_room_is_refused_and_goes_on_when_there_is_some") {
        return;
    }
    let mut stage = Stage::pair();
    stage.stop_broker();
    let data = stage.path("broker");
    disk(&data, "6m");
    stage.start_broker();
    stage.receive("ben", &[]).kill();
    let file = film(&stage, 12);
    for _ in 0..2 {
        let output = stage.run("anna", "send", &["--to", "ben", &file, "--deposit", "always"]);
        println!("{}: {}", code(&output), String::from_utf8_lossy(&output.stderr));
    }
    // The broker is there for others.
    assert!(stage.done("anna", "deposits", &[]).contains("unfinished for ben"));
    remount(&data, "size=40m");
    let report = stage.send("anna", "ben", &file, &["--deposit", "always"]);
    assert!(report["path"]["deposited"].as_u64().unwrap() < 12 << 20, "it goes on: {report}");
    let mut receiving = stage.receive("ben", &[]);
    assert!(same(&receiving.received(), &file));
    eventually(|| stage.done("anna", "deposits", &[]).is_empty().then_some(()));
}

#[test]
fn a_recorder_without_files_to_open_says_so() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    // From "nothing at all" to "enough".
    let mut arrived = 0;
    for limit in [4, 6, 8, 10, 12, 14, 16, 32] {
        let inner = stage.command("anna", "send", &["--to", "ben", TEST_CARD]);
        let mut command = Command::new("sh");
        command.arg("-c").arg(format!("ulimit -n {limit}; exec \"$0\" \"$@\""));
        let output = command.arg(inner.get_program()).args(inner.get_args()).output().unwrap();
        if output.status.success() {
            assert!(same(&receiving.received(), TEST_CARD));
            arrived += 1;
        } else if output.status.code() != Some(127) {
            // 127: not even the program's libraries could be opened.
            code(&output);
        }
    }
    assert!(arrived > 0);
}

#[test]
fn a_receiver_without_files_to_open_refuses_and_comes_back() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let id = rustix::process::Pid::from_child(&receiving.child);
    let before = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let few = rustix::process::Rlimit { current: Some(10), ..before };
    rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, few).unwrap();
    let mut command = stage.command("anna", "send", &["--to", "ben", TEST_CARD]);
    let output = command.output().unwrap();
    if !output.status.success() {
        code(&output);
        assert!(!receiving.out.join("test-card.mpg").exists());
    }
    if let Ok(()) = rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, before).map(drop)
        && let Some(status) = receiving.child.try_wait().unwrap()
    {
        // It could not even keep its own state, and said so.
        assert_eq!(status.code(), Some(9));
        receiving = stage.receive("ben", &[]);
    }
    eventually(|| stage.run("anna", "send", &["--to", "ben", TEST_CARD]).status.success().then_some(()));
    assert!(same(&receiving.received(), TEST_CARD));
    assert!(receiving.child.try_wait().unwrap().is_none());
}

/// Debian's libfaketime, which moves the wall clock of a process.
fn fake_time() -> Option<&'static str> {
    let places = [
        "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
        "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
    ];
    let found = places.into_iter().find(|path| Path::new(path).exists());
    if found.is_none() {
        println!("skipped: libfaketime is not there");
    }
    found
}

#[test]
fn a_broker_s_clock_set_back_a_day_loses_no_deposit_and_no_ticket() {
    let Some(library) = fake_time() else { return };
    let mut stage = Stage::pair();
    stage.receive("ben", &[]).kill();
    let report = stage.send("anna", "ben", TEST_CARD, &["--deposit", "always"]);
    assert_eq!(report["path"]["deposited"], TEST_CARD_BYTES);
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "carl").unwrap().to_string();
    stage.stop_broker();
    let address = stage.address.to_string();
    let at = |stage: &mut Stage, time: &str| {
        let environment =
            [("LD_PRELOAD", library), ("FAKETIME", time), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
        Broker::start_with(stage, &address, &environment)
    };
    for time in ["-1d", "+1d", "-1d"] {
        drop(at(&mut stage, time));
    }
    let broker = at(&mut stage, "-1d");
    assert!(stage.done("anna", "deposits", &[]).contains("whole for ben"));
    // A ticket of tomorrow is as good as one of today.
    stage.done("carl", "init", &stage.init_arguments("carl", &ticket));
    stage.done("ben", "allow", &["--add", "carl"]);
    let mut receiving = stage.receive("ben", &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    eventually(|| stage.done("anna", "deposits", &[]).is_empty().then_some(()));
    stage.send("carl", "ben", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    drop(broker);
    stage.start_broker();
}

#[test]
fn a_recorder_s_clock_set_back_a_day_changes_nothing() {
    let Some(library) = fake_time() else { return };
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for time in ["-1d", "+1d", "-400d"] {
        let mut command = stage.command("anna", "send", &["--to", "ben", TEST_CARD]);
        command.envs([("LD_PRELOAD", library), ("FAKETIME", time), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{time}: {output:?}");
        assert!(same(&receiving.received(), TEST_CARD));
    }
}

/// The broker is gone, and so is whoever knows its address: `silent.c` plays a name server that doesn't answer.
#[test]
fn a_silent_name_server_holds_no_recording_up() {
    let mut stage = Stage::pair();
    let (shim, asked, silent) = (stage.path("silent.so"), stage.path("asked"), stage.path("silent"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/silent.c");
    let mut compiler = Command::new("cc");
    let built = compiler.args(["-shared", "-fPIC", "-o"]).arg(&shim).args([source, "-ldl"]).status();
    assert!(built.unwrap().success());
    let broker = format!("localhost:{}", stage.address.port());
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "carl").unwrap().to_string();
    let mut arguments = stage.init_arguments("carl", &ticket);
    arguments[3] = &broker;
    stage.done("carl", "init", &arguments);
    stage.done("carl", "allow", &["--create", "anna"]);
    let environment = [("LD_PRELOAD", &shim), ("ASKED", &asked), ("SILENT", &silent)]
        .map(|(name, path)| (name, path.to_str().unwrap()));
    let mut receiving = stage.receive_in("carl", &[], &environment);

    let file = stage.large_file(400 << 20);
    let mut command = stage.command("anna", "send", &["--to", "carl", &file, "--as", "public"]);
    let mut sending = command.stderr(Stdio::piped()).spawn().unwrap();
    receiving.partial(1 << 20);
    let sender = rustix::process::Pid::from_child(&sending);
    rustix::process::kill_process(sender, rustix::process::Signal::STOP).unwrap();
    assert!(sending.try_wait().unwrap().is_none(), "it was over already");
    fs::write(&silent, "").unwrap();
    stage.stop_broker();
    eventually(|| asked.exists().then_some(()));
    rustix::process::kill_process(sender, rustix::process::Signal::CONT).unwrap();
    let output = sending.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let received = receiving.received();
    assert_eq!(fs::metadata(&received).unwrap().len(), 400 << 20);
    assert!(silent.exists());

    // It finds the broker once somebody answers. The broker answers 120 queries a minute.
    fs::remove_file(&silent).unwrap();
    stage.start_broker();
    eventually(|| {
        std::thread::sleep(std::time::Duration::from_secs(1));
        stage.run("anna", "send", &["--to", "carl", TEST_CARD]).status.success().then_some(())
    });
    assert!(same(&receiving.received(), TEST_CARD));
}
