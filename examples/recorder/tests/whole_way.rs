//! The whole way: recordings between recorders through a broker, all of them real processes or servers on loopback.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, TEST_CARD_BYTES, eventually, same};
use p2pgate_broker::Options;
use std::fs;
use std::net::TcpListener;

fn path(report: &serde_json::Value) -> (u64, u64, u64) {
    let path = &report["path"];
    let figure = |name: &str| path[name].as_u64().unwrap();
    (figure("direct_clear"), figure("direct_sealed"), figure("relay_sealed"))
}

#[test]
fn p4_who_listens_anywhere_is_reached_by_ipv6_and_ipv4() {
    let places: [fn(&mut Options); 2] = [
        |options| options.listen = "127.0.0.1:0".parse().unwrap(),
        |options| options.listen = "[::1]:0".parse().unwrap(),
    ];
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    for setting in places {
        let stage = Stage::pair_with(setting);
        let place = stage.address;
        let mut receiving = stage.receive_by("ben", &[], &[]);
        let report = stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
        assert!(same(&receiving.received(), TEST_CARD));
        assert_eq!(report["tunnel"], false, "{place}: {report}");
        assert_eq!(path(&report), (TEST_CARD_BYTES, 0, 0));
    }
}

#[test]
fn p8_every_attribute_goes_its_way_in_both_directions() {
    let stage = Stage::pair();
    for (from, to) in [("anna", "ben"), ("ben", "anna")] {
        let mut receiving = stage.receive(to, &[]);
        for (attribute, hash) in
            [("confidential", "--hash"), ("public", "--json"), ("split", "--hash"), ("auto", "--hash")]
        {
            let hash: &[&str] = if hash == "--hash" { &["--hash"] } else { &[] };
            let report = stage.send(from, to, TEST_CARD, &[&["--as", attribute], hash].concat());
            assert!(same(&receiving.received(), TEST_CARD), "{attribute}");
            assert_eq!(report["bytes"], TEST_CARD_BYTES);
            assert_eq!(report["pictures"], serde_json::json!({ "i": 13, "p": 38, "b": 99 }));
            let way = path(&report);
            match attribute {
                "public" => assert_eq!(way, (TEST_CARD_BYTES, 0, 0)),
                "split" => {
                    assert_eq!(way.0 + way.2, TEST_CARD_BYTES);
                    // What has to be sealed: the I-pictures at least.
                    assert!(way.2 >= 128_330 && way.0 > 300_000, "{way:?}");
                }
                _ => assert_eq!(way, (0, 0, TEST_CARD_BYTES)),
            }
        }
    }
}

#[test]
fn v10a_v10c_auto_goes_by_the_table_and_by_size() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let table = stage.path("kinds");
    fs::write(&table, "# by name\ntest-*  public\n*  split\n").unwrap();
    let table = table.to_str().unwrap();
    for (arguments, way) in [
        (["--relay-below", "1M"], (0, 0, TEST_CARD_BYTES)),
        (["--relay-below", "530432"], (0, TEST_CARD_BYTES, 0)),
        (["--kinds", table], (TEST_CARD_BYTES, 0, 0)),
    ] {
        let report = stage.send("anna", "ben", TEST_CARD, &[&["--as", "auto"], &arguments[..]].concat());
        assert_eq!(path(&report), way, "{arguments:?}");
        assert!(same(&receiving.received(), TEST_CARD));
    }
}

#[test]
fn v10b_sound_is_sealed_with_seal_rest() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let open = path(&stage.send("anna", "ben", TEST_CARD, &["--as", "split"]));
    let sealed = path(&stage.send("anna", "ben", TEST_CARD, &["--as", "split", "--seal-rest"]));
    // 64 kb/s of sound for six seconds.
    assert!(sealed.2 >= open.2 + 48_000, "{open:?} {sealed:?}");
    assert!(same(&receiving.received(), TEST_CARD) && same(&receiving.received(), TEST_CARD));
}

#[test]
fn v14_without_relay_confidential_goes_direct_and_sealed() {
    let stage = Stage::pair_with(|options| options.config.relay = false);
    let mut receiving = stage.receive("ben", &[]);
    let report = stage.send("anna", "ben", TEST_CARD, &[]);
    assert_eq!(path(&report), (0, TEST_CARD_BYTES, 0));
    assert!(same(&receiving.received(), TEST_CARD));
}

#[test]
fn every_route_ends_bit_exact_through_the_tunnel_when_the_callees_port_is_blocked() {
    let stage = Stage::pair();
    // Port 1 refuses: as behind a home router, nobody comes in.
    let mut receiving = stage.receive("ben", &["--announce", "127.0.0.1:1"]);
    for attribute in ["confidential", "public", "split", "auto"] {
        let report = stage.send("anna", "ben", TEST_CARD, &["--as", attribute]);
        assert_eq!(path(&report), (0, 0, TEST_CARD_BYTES), "{attribute}");
        assert!(same(&receiving.received(), TEST_CARD));
    }
}

#[test]
fn once_ends_after_one_recording() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &["--once"]);
    stage.send("anna", "ben", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    let status = eventually(|| receiving.child.try_wait().unwrap());
    assert!(status.success());
}

#[test]
fn an_empty_recording_arrives() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let file = stage.large_file(0);
    let report = stage.send("anna", "ben", &file, &["--hash"]);
    assert_eq!(report["bytes"], 0);
    assert_eq!(fs::metadata(receiving.received()).unwrap().len(), 0);
}

#[test]
fn a_received_name_stays_in_the_folder_and_replaces_nothing() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for (sent, expected) in [
        ("..x", "x"),
        (".hidden.mpg", "hidden.mpg"),
        ("CON.mpg", "_CON.mpg"),
        ("..\\..\\up.mpg", "_.._up.mpg"),
        ("line\nbreak", "line_break"),
        ("film.mpg", "film.mpg"),
        ("film.mpg", "film (1).mpg"),
    ] {
        let file = stage.path(sent);
        fs::write(&file, sent).unwrap();
        stage.send("anna", "ben", file.to_str().unwrap(), &[]);
        let received = receiving.received();
        assert_eq!(received, receiving.out.join(expected), "{sent}");
        assert_eq!(fs::read_to_string(received).unwrap(), sent);
    }
}

#[test]
fn several_sessions_at_a_time() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &["--sessions", "3"]);
    let files: Vec<String> = (0..3)
        .map(|number| {
            let file = stage.path(&format!("{number}.mpg"));
            fs::copy(TEST_CARD, &file).unwrap();
            file.to_str().unwrap().to_owned()
        })
        .collect();
    std::thread::scope(|scope| {
        for file in &files {
            scope.spawn(|| stage.send("anna", "ben", file, &["--as", "split"]));
        }
    });
    for _ in files {
        assert!(same(&receiving.received(), TEST_CARD));
    }
}
