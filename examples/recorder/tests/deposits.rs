//! P10, P11: what a recorder that is away can't take waits at the broker. Real processes, killed at any moment.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, TEST_CARD_BYTES, eventually, same};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// anna and ben; ben has been there once and is away now.
fn away() -> Stage {
    let stage = Stage::pair();
    stage.receive("ben", &[]).kill();
    stage
}

/// A file in which no part comes twice.
fn recording(stage: &Stage, megabytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    let bytes: Vec<u8> = (0..megabytes << 20).map(|_| next()).collect();
    let path = stage.path("film.bin");
    fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

fn deposited(report: &serde_json::Value) -> u64 {
    report["path"]["deposited"].as_u64().unwrap()
}

fn listed(stage: &Stage) -> Vec<String> {
    stage.done("anna", "deposits", &[]).lines().map(str::to_owned).collect()
}

/// What was received, finished or not.
fn files(out: &Path) -> Vec<PathBuf> {
    fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The recording is there once, the broker has nothing left, and ben's folder no note of it.
fn is_delivered_once(stage: &Stage, file: &str) {
    let out = stage.path("ben-received");
    let files = files(&out);
    assert_eq!(files.len(), 1, "{files:?}");
    assert!(same(&files[0], file));
    let notes = fs::read_dir(stage.path("ben")).unwrap();
    let notes =
        notes.filter(|entry| entry.as_ref().unwrap().file_name().to_str().unwrap().starts_with("placing-"));
    assert_eq!(notes.count(), 0);
}

#[test]
fn p10_p11_a_deposit_is_collected_once_the_other_recorder_is_there() {
    let stage = away();
    let report = stage.send("anna", "ben", TEST_CARD, &["--deposit", "always", "--hash"]);
    assert_eq!((deposited(&report), &report["path"]["relay_sealed"]), (TEST_CARD_BYTES, &0.into()));
    let list = listed(&stage);
    assert_eq!(list.len(), 1);
    let said = format!("bytes {TEST_CARD_BYTES} kept {TEST_CARD_BYTES} whole for ben");
    assert!(list[0].ends_with(&said), "{list:?}");
    // The broker has no readable byte of it.
    let card = fs::read(TEST_CARD).unwrap();
    let shown = |path: &Path| {
        path.is_file() && fs::read(path).unwrap().windows(64).any(|window| window == &card[10_000..10_064])
    };
    let mut folders = vec![stage.path("broker")];
    while let Some(folder) = folders.pop() {
        for path in files(&folder) {
            if path.is_dir() { folders.push(path) } else { assert!(!shown(&path), "{path:?}") }
        }
    }
    let mut receiving = stage.receive("ben", &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, TEST_CARD);
}

#[test]
fn p11_a_busy_recorder_collects_when_it_is_free() {
    let stage = Stage::pair();
    let busy = stage.receive("ben", &["--load-limit", "0"]);
    let report = stage.send("anna", "ben", TEST_CARD, &["--deposit", "always"]);
    assert_eq!(deposited(&report), TEST_CARD_BYTES);
    assert!(files(&busy.out).is_empty());
    busy.kill();
    let mut receiving = stage.receive("ben", &["--once"]);
    assert!(same(&receiving.received(), TEST_CARD));
    assert!(eventually(|| receiving.child.try_wait().unwrap()).success());
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, TEST_CARD);
}

#[test]
fn m19_without_a_word_nothing_is_deposited() {
    let stage = away();
    for arguments in [&[][..], &["--deposit", "never"]] {
        let (code, text) = stage.fail("anna", "ben", TEST_CARD, arguments);
        assert_eq!(code, 5, "{text}");
    }
    // Who is asked and says nothing says no.
    let arguments = ["--to", "ben", TEST_CARD, "--deposit", "ask"];
    let output = stage.command("anna", "send", &arguments).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(5));
    assert!(String::from_utf8(output.stderr).unwrap().contains("Leave test-card.mpg at the broker"));
    assert!(listed(&stage).is_empty());
}

#[test]
fn p10_a_deposit_is_withdrawn() {
    let stage = away();
    stage.send("anna", "ben", TEST_CARD, &["--deposit", "always"]);
    let id = listed(&stage)[0].split(' ').next().unwrap().to_owned();
    stage.done("anna", "deposits", &["--withdraw", &id]);
    assert!(listed(&stage).is_empty());
    assert_eq!(stage.run("anna", "deposits", &["--withdraw", "x"]).status.code(), Some(2));
}

#[test]
fn p10_limits_are_said() {
    let stage = Stage::pair_with(|options| options.config.max_deposit = 500_000);
    stage.receive("ben", &[]).kill();
    let (code, text) = stage.fail("anna", "ben", TEST_CARD, &["--deposit", "always"]);
    assert_eq!(code, 6);
    assert!(text.contains("500000"), "{text}");
}

#[test]
fn p10_a_killed_depositor_goes_on_where_it_stopped() {
    let stage = away();
    let file = recording(&stage, 24);
    for pause in [150, 300, 450] {
        let arguments = ["--to", "ben", &file, "--deposit", "always"];
        let mut child = stage.command("anna", "send", &arguments).stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(pause));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    stage.send("anna", "ben", &file, &["--deposit", "always"]);
    assert_eq!(listed(&stage).len(), 1, "one deposit, however often it was begun");
    let mut receiving = stage.receive("ben", &[]);
    assert!(same(&receiving.received(), &file));
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, &file);
}

#[test]
fn p10_what_the_broker_said_to_keep_outlasts_it() {
    let mut stage = away();
    let file = recording(&stage, 5);
    stage.send("anna", "ben", &file, &["--deposit", "always"]);
    stage.stop_broker();
    stage.start_broker();
    let mut receiving = stage.receive("ben", &[]);
    assert!(same(&receiving.received(), &file));
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, &file);
}

#[test]
fn p11_a_killed_collector_gets_it_once() {
    let stage = away();
    let file = recording(&stage, 24);
    stage.send("anna", "ben", &file, &["--deposit", "always", "--hash"]);
    let mut pause = 1;
    for _ in 0..12 {
        let receiving = stage.receive("ben", &[]);
        std::thread::sleep(Duration::from_millis(pause));
        receiving.kill();
        pause = pause * 7 / 5 + 3;
    }
    let _receiving = stage.receive("ben", &[]);
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, &file);
}

#[test]
fn p11_what_was_put_in_its_place_before_a_kill_is_not_put_there_again() {
    let stage = away();
    stage.send("anna", "ben", TEST_CARD, &["--deposit", "always"]);
    let id = listed(&stage)[0].split(' ').next().unwrap().to_owned();
    // As a process leaves it that was told of it, and is killed once the recording has its name and before the terminal has stored that it has it.
    drop(stage.receive("ben", &["--load-limit", "0"]));
    let out = stage.path("ben-received");
    fs::create_dir_all(&out).unwrap();
    fs::copy(TEST_CARD, out.join("test-card.mpg")).unwrap();
    let folder = out.canonicalize().unwrap();
    fs::write(stage.path("ben").join(format!("placing-{id}")), folder.to_str().unwrap()).unwrap();
    let _receiving = stage.receive("ben", &[]);
    eventually(|| listed(&stage).is_empty().then_some(()));
    is_delivered_once(&stage, TEST_CARD);
}
