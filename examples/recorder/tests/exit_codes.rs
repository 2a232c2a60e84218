//! Exit codes 2 to 9, each with one line on standard error and, with `--json`, an object on standard output.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, recorder};
use std::fs;

#[test]
fn code_2_usage() {
    for arguments in [
        &["send"][..],
        &["nonsense"],
        &["receive", "--state", "x", "--out", "y", "--load-limit", "101"],
        &["send", "--state", "x", "--to", "b", TEST_CARD, "--relay-below", "ten"],
        &["send", "--state", "x", "--to", "b", TEST_CARD, "--relay-below", "10M"],
        &["send", "--state", "x", "--to", "a,b", TEST_CARD],
        &["allow", "--state", "x", "--create", "a", "--add", "b"],
        &[
            "send",
            "--state",
            "x",
            "--to",
            "b",
            concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "--as",
            "split",
        ],
    ] {
        let output = recorder().args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said:?}");
        assert!(output.stdout.is_empty());
    }
    let output = recorder().args(["send", "--json"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(json["error"]["code"], 2);
}

#[test]
fn code_3_not_on_the_list_no_such_identifier_bad_ticket() {
    let stage = Stage::pair();
    let receiving = stage.receive("ben", &[]);
    stage.init("mallory");
    let stranger = stage.fail("mallory", "ben", TEST_CARD, &[]);
    let nobody = stage.fail("mallory", "nobody", TEST_CARD, &[]);
    assert_eq!((stranger.0, nobody.0), (3, 3));
    // Whoever asks learns nothing about who exists.
    assert_eq!(stranger.1.replace("ben", "X"), nobody.1.replace("nobody", "X"));
    assert_eq!(fs::read_dir(&receiving.out).unwrap().count(), 0);

    let output = stage.run("new", "init", &stage.init_arguments("new", "AAAAAAAAAAAAAAAAAAAAAA=="));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(!stage.path("new").exists());
}

#[test]
fn v5_the_ticket_may_come_by_standard_input() {
    let stage = Stage::new();
    let arguments = stage.init_arguments("anna", "-");
    for input in ["", "\n", &"x".repeat(300)] {
        let output = stage.init_by_input(stage.command("anna", "init", &arguments), input);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(!stage.path("anna").exists(), "nothing is left behind");
    }
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "anna").unwrap().to_string();
    let output = stage.init_by_input(stage.command("anna", "init", &arguments), &format!("{ticket}\n"));
    assert!(output.status.success(), "{output:?}");
    assert!(output.stdout.starts_with(b"enrolled anna fingerprint "), "{output:?}");
    stage.done("anna", "allow", &["--create", "ben"]);
}

#[test]
fn v5_a_revoked_recorder_is_out() {
    let stage = Stage::pair();
    let _receiving = stage.receive("ben", &[]);
    stage.send("anna", "ben", TEST_CARD, &[]);
    p2pgate_broker::revoke(&stage.path("broker"), "anna").unwrap();
    assert_eq!(stage.fail("anna", "ben", TEST_CARD, &[]).0, 3);
}

#[test]
fn code_4_permitted_but_never_an_address() {
    let stage = Stage::pair();
    assert_eq!(stage.fail("anna", "ben", TEST_CARD, &[]).0, 4);
}

#[test]
fn code_5_offline() {
    let stage = Stage::pair();
    stage.receive("ben", &[]).kill();
    assert_eq!(stage.fail("anna", "ben", TEST_CARD, &[]).0, 5);
}

#[test]
fn code_2_what_cannot_be_split_is_refused_before_anything_is_sent() {
    let stage = Stage::pair();
    stage.receive("ben", &[]).kill();
    let film = stage.path("film.mp4");
    fs::write(&film, b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\0\0\0\x08mdat").unwrap();
    let film = film.to_str().unwrap();
    // That the callee is offline would be found out later.
    assert_eq!(stage.fail("anna", "ben", film, &["--as", "split"]).0, 2);
    assert_eq!(stage.fail("anna", "ben", film, &[]).0, 5);
    assert_eq!(
        stage.fail("anna", "ben", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), &["--as", "split"]).0,
        2
    );
}

#[test]
fn code_6_over_the_brokers_limit() {
    let stage = Stage::pair_with(|options| options.config.max_transfer = 500_000);
    let mut receiving = stage.receive("ben", &[]);
    assert_eq!(stage.fail("anna", "ben", TEST_CARD, &[]).0, 6);
    // Split, the broker's part is small enough.
    stage.send("anna", "ben", TEST_CARD, &["--as", "split"]);
    assert!(common::same(&receiving.received(), TEST_CARD));
}

#[test]
fn code_7_no_broker_or_another_one() {
    let stage = Stage::pair();
    let ticket = "AAAAAAAAAAAAAAAAAAAAAA==";
    for (name, place, broker, kept) in
        [("one", 3, "127.0.0.1:1", true), ("two", 5, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE", false)]
    {
        let mut arguments = stage.init_arguments(name, ticket);
        arguments[place] = broker;
        let output = stage.run(name, "init", &arguments);
        assert_eq!(output.status.code(), Some(7), "{output:?}");
        // The broker with the right key may have heard of this one.
        assert_eq!(stage.path(name).join("identity.enrolling").exists(), kept);
        assert_eq!(stage.path(name).exists(), kept);
        // With the right arguments it works, whatever is left.
        stage.init(name);
    }
}

#[test]
fn an_enrolment_whose_answer_was_lost_is_healed_by_another_init() {
    let stage = Stage::new();
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "anna").unwrap().to_string();
    let first = stage.done("anna", "init", &stage.init_arguments("anna", &ticket));
    let anna = stage.path("anna");
    fs::rename(anna.join("identity"), anna.join("identity.enrolling")).unwrap();

    let other = stage.run("anna", "init", &stage.init_arguments("carl", &ticket));
    assert_eq!(other.status.code(), Some(9), "{other:?}");
    let too_long = stage.run("anna", "init", &stage.init_arguments("anna", &"A".repeat(9_999)));
    assert_eq!(too_long.status.code(), Some(2), "{too_long:?}");
    assert_eq!(stage.done("anna", "init", &stage.init_arguments("anna", &ticket)), first);
    assert!(!anna.join("identity.enrolling").exists());
    stage.done("anna", "allow", &["--create", "ben"]);
}

#[cfg(unix)]
#[test]
fn init_leaves_other_folders_as_they_are() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    let home = stage.path("home");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    let bad_ticket = stage.init_arguments("home", "AAAAAAAAAAAAAAAAAAAAAA==");
    assert_eq!(stage.run("home", "init", &bad_ticket).status.code(), Some(3));
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
    fs::write(home.join("lock"), "mine").unwrap();
    assert_eq!(stage.run("home", "init", &bad_ticket).status.code(), Some(9));
    assert_eq!(fs::read(home.join("lock")).unwrap(), b"mine");
    assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
    assert_eq!(fs::metadata(&home).unwrap().permissions().mode() & 0o777, 0o755);
}

#[test]
fn code_9_local_files() {
    let stage = Stage::pair();
    assert_eq!(stage.fail("anna", "ben", "/no/such/file", &[]).0, 9);
    assert_eq!(stage.fail("anna", "ben", stage.folder.path().to_str().unwrap(), &[]).0, 9);
    assert_eq!(stage.fail("nobody", "ben", TEST_CARD, &[]).0, 9);
    let again = stage.run("anna", "init", &stage.init_arguments("anna", "AAAAAAAAAAAAAAAAAAAAAA=="));
    assert_eq!(again.status.code(), Some(9));
    // One process receives for a recorder.
    let _receiving = stage.receive("ben", &[]);
    let out = stage.path("elsewhere");
    let second = stage.run("ben", "receive", &["--out", out.to_str().unwrap(), "--once"]);
    assert_eq!(second.status.code(), Some(9));
}

#[cfg(unix)]
#[test]
fn the_state_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::pair();
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&stage.path("anna")), 0o700);
    for file in fs::read_dir(stage.path("anna")).unwrap() {
        let file = file.unwrap().path();
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

#[test]
fn the_seed_is_never_used_twice() {
    let stage = Stage::pair();
    let seed = || fs::read(stage.path("anna").join("seed")).unwrap();
    let before = seed();
    stage.done("anna", "allow", &[]);
    assert_ne!(seed(), before);
}

#[test]
fn the_demo_shows_it_all() {
    let output = recorder().arg("demo").output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said} {}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("bit-exact") && said.contains("stranger     is refused"), "{said}");
}
