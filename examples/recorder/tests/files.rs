//! `inspect`, `split` and `merge` on files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{TEST_CARD, TEST_CARD_BYTES, recorder, same};
use std::fs;
use std::path::Path;

fn run(arguments: &[&str]) -> (i32, String) {
    let output = recorder().args(arguments).output().unwrap();
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn inspect_counts_coded_pictures_and_their_bytes() {
    let (code, said) = run(&["inspect", TEST_CARD, "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(code, 0);
    assert_eq!((&json["container"], &json["codec"]), (&"ps".into(), &"mpeg2".into()));
    assert!(json["packet"].is_null());
    assert_eq!(json["pictures"], serde_json::json!({ "i": 13, "p": 38, "b": 99, "d": 0 }));
    let bytes = |name: &str| json["bytes"][name].as_u64().unwrap();
    assert_eq!(bytes("total"), TEST_CARD_BYTES);
    assert_eq!(bytes("i") + bytes("p") + bytes("b") + bytes("other"), TEST_CARD_BYTES);
}

#[test]
fn inspect_knows_what_it_does_not_know() {
    let (code, said) = run(&["inspect", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"), "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, &json["container"], &json["codec"]), (0, &"unknown".into(), &"unknown".into()));
}

/// The beginning of an MP4 file.
const MP4: &[u8] = b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2\0\0\0\x08mdat\0\0\x01\x65";

#[test]
fn v10b_mp4_files_are_known_and_not_split() {
    in_folder(|folder, path| {
        fs::write(path("a.mp4"), MP4).unwrap();
        let (code, said) = run(&["inspect", &path("a.mp4"), "--json"]);
        let json: serde_json::Value = serde_json::from_str(&said).unwrap();
        assert_eq!((code, &json["container"], &json["packet"]), (0, &"mp4".into(), &serde_json::Value::Null));
        assert_eq!(run(&["split", &path("a.mp4"), "--intra", &path("a"), "--rest", &path("b")]).0, 2);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    });
}

fn in_folder(test: impl FnOnce(&Path, &dyn Fn(&str) -> String)) {
    let folder = tempfile::tempdir().unwrap();
    test(folder.path(), &|name| folder.path().join(name).to_str().unwrap().to_owned());
}

#[test]
fn v10b_split_and_merge_are_bit_exact() {
    in_folder(|folder, path| {
        let (a, b, out) = (path("a"), path("b"), path("out"));
        assert_eq!(run(&["split", TEST_CARD, "--intra", &a, "--rest", &b]).0, 0);
        assert_eq!(run(&["merge", "--intra", &a, "--rest", &b, "--out", &out]).0, 0);
        assert!(same(&folder.join("out"), TEST_CARD));
        // Nothing temporary is left.
        assert_eq!(fs::read_dir(folder).unwrap().count(), 3);
    });
}

#[test]
fn code_2_no_part_replaces_the_recording_or_the_other_part() {
    in_folder(|folder, path| {
        let (film, link, a) = (path("film"), path("link"), path("a"));
        let other_name = folder.join(".").join("film").to_str().unwrap().to_owned();
        fs::copy(TEST_CARD, &film).unwrap();
        std::os::unix::fs::symlink(&film, &link).unwrap();
        for (intra, rest) in [(&film, &a), (&a, &film), (&a, &a), (&other_name, &a), (&a, &link)] {
            assert_eq!(run(&["split", &film, "--intra", intra, "--rest", rest]).0, 2, "{intra} {rest}");
        }
        assert_eq!(run(&["split", &link, "--intra", &a, "--rest", &film]).0, 2);
        assert!(same(&folder.join("film"), TEST_CARD));
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);

        let rest = path("b");
        assert_eq!(run(&["split", &film, "--intra", &a, "--rest", &rest]).0, 0);
        assert_eq!(run(&["merge", "--intra", &a, "--rest", &rest, "--out", &rest]).0, 2);
        assert_eq!(run(&["merge", "--intra", &a, "--rest", &rest, "--out", &path("out")]).0, 0);
        assert!(same(&folder.join("out"), TEST_CARD));
    });
}

#[test]
fn code_2_what_is_no_recording_is_not_split() {
    in_folder(|folder, path| {
        let text = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        fs::write(folder.join("a"), "mine").unwrap();
        assert_eq!(run(&["split", text, "--intra", &path("a"), "--rest", &path("b")]).0, 2);
        assert_eq!(fs::read(folder.join("a")).unwrap(), b"mine");
        assert_eq!(fs::read_dir(folder).unwrap().count(), 1);
    });
}

#[test]
fn code_8_damaged_or_mismatched_parts_give_no_recording() {
    in_folder(|folder, path| {
        let (a, b, out) = (path("a"), path("b"), path("out"));
        assert_eq!(run(&["split", TEST_CARD, "--intra", &a, "--rest", &b]).0, 0);
        let good = fs::read(&b).unwrap();
        let flipped: Vec<u8> = good
            .iter()
            .enumerate()
            .map(|(at, byte)| if at == good.len() / 2 { byte ^ 1 } else { *byte })
            .collect();
        let longer = [&good[..], b"x"].concat();
        for bad in [&flipped[..], &good[..good.len() - 1], &longer[..], &[], b"something else"] {
            fs::write(&b, bad).unwrap();
            assert_eq!(run(&["merge", "--intra", &a, "--rest", &b, "--out", &out]).0, 8);
            assert!(!folder.join("out").exists());
        }
        // Exchanged.
        fs::write(&b, &good).unwrap();
        assert_eq!(run(&["merge", "--intra", &b, "--rest", &a, "--out", &out]).0, 8);
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    });
}

#[test]
fn code_9_files_that_cannot_be_read_or_written() {
    in_folder(|_, path| {
        assert_eq!(run(&["inspect", &path("none")]).0, 9);
        assert_eq!(run(&["split", TEST_CARD, "--intra", &path("no/a"), "--rest", &path("b")]).0, 9);
        assert_eq!(
            run(&["merge", "--intra", &path("none"), "--rest", &path("none"), "--out", &path("out")]).0,
            9
        );
    });
}

/// Third-party recordings, where the folder of the project's media is given; they can't be shipped.
#[test]
fn third_party_recordings_split_and_merge_bit_exact_and_counted_right() {
    let Ok(shared) = std::env::var("P2PGATE_SHARED") else {
        println!("skipped: P2PGATE_SHARED is not set");
        return;
    };
    let media = Path::new(&shared).join("media");
    let manifest = fs::read_to_string(media.join("MANIFEST.tsv")).unwrap();
    let mut seen = 0;
    for line in manifest.lines().skip(1) {
        let fields: Vec<&str> = line.split('\t').collect();
        let name = fields[0];
        let file = media.join(name);
        in_folder(|folder, path| {
            let (a, b, out) = (path("a"), path("b"), path("out"));
            let inspected = run(&["inspect", file.to_str().unwrap(), "--json"]).1;
            let unknown = inspected.contains("\"container\":\"unknown\"");
            let code = run(&["split", file.to_str().unwrap(), "--intra", &a, "--rest", &b]).0;
            assert_eq!(code, if unknown { 2 } else { 0 }, "{name}");
            if unknown {
                return;
            }
            assert_eq!(run(&["merge", "--intra", &a, "--rest", &b, "--out", &out]).0, 0, "{name}");
            assert!(same(&folder.join("out"), &file), "{name}");
        });
        // Of these the manifest has what ffprobe decodes.
        if !["h264_IDR_lost.264", "h264_exiftool_192.mts"].contains(&name) {
            let json: serde_json::Value =
                serde_json::from_str(&run(&["inspect", file.to_str().unwrap(), "--json"]).1).unwrap();
            let counts = ["i", "p", "b"].map(|kind| json["pictures"][kind].to_string());
            assert_eq!(counts, [fields[6], fields[7], fields[8]], "{name}");
            seen += 1;
        }
    }
    assert!(seen > 10);
}
