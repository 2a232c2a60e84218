//! Third-party recordings the whole way, where the folder that holds them is given; they can't be shipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, recorder, same};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A row of the manifest.
struct Recording {
    path: PathBuf,
    container: String,
    codec: String,
    bytes: u64,
    /// Coded I-, P- and B-pictures.
    pictures: [u64; 3],
}

impl Recording {
    fn name(&self) -> &str {
        self.path.to_str().unwrap()
    }

    /// What `inspect` calls the container, and the length of its packets.
    fn container(&self) -> (&str, Value) {
        match self.container.as_str() {
            "ES" => ("es", Value::Null),
            "PS1" | "PS2" => ("ps", Value::Null),
            "TS188" => ("ts", json!(188)),
            "TS192" => ("ts", json!(192)),
            "TS204" => ("ts", json!(204)),
            other => panic!("the manifest has a container of its own: {other}"),
        }
    }

    /// MPEG-1 or MPEG-2 video: what `inspect` calls it.
    fn mpeg(&self) -> Option<&str> {
        self.codec.strip_suffix("video")
    }

    fn inspect(&self) -> Value {
        let output = recorder().args(["inspect", self.name(), "--json"]).output().unwrap();
        assert!(output.status.success(), "{}: {output:?}", self.name());
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

/// What the manifest lists, or nothing, said so.
fn recordings() -> Vec<Recording> {
    let Some(shared) = std::env::var("P2PGATE_SHARED").ok().filter(|shared| !shared.is_empty()) else {
        println!("skipped: P2PGATE_SHARED is not set");
        return Vec::new();
    };
    let media = Path::new(&shared).join("media");
    let manifest = fs::read_to_string(media.join("MANIFEST.tsv")).unwrap();
    let recordings: Vec<Recording> = manifest
        .lines()
        .skip(1)
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            let number = |index: usize| fields[index].parse().unwrap();
            Recording {
                path: media.join(fields[0]),
                container: fields[2].to_owned(),
                codec: fields[3].to_owned(),
                bytes: number(4),
                pictures: [number(6), number(7), number(8)],
            }
        })
        .collect();
    assert!(recordings.iter().filter(|recording| recording.mpeg().is_some()).count() > 10);
    assert!(recordings.iter().any(|recording| recording.mpeg().is_none()));
    recordings
}

fn figures(object: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| object[name].as_u64().unwrap()).collect()
}

#[test]
fn v10b_mpeg_1_and_2_recordings_go_split_and_arrive_bit_exact() {
    let recordings = recordings();
    if recordings.is_empty() {
        return;
    }
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for recording in recordings.iter().filter(|recording| recording.mpeg().is_some()) {
        let name = recording.name();
        let report = stage.send("anna", "ben", name, &["--as", "split"]);
        assert!(same(&receiving.received(), &recording.path), "{name}");
        assert_eq!(report["bytes"], recording.bytes, "{name}");
        assert_eq!(figures(&report["pictures"], &["i", "p", "b"]), recording.pictures, "{name}");
        let [clear, direct, relay] =
            figures(&report["path"], &["direct_clear", "direct_sealed", "relay_sealed"])[..]
        else {
            panic!("{report}")
        };
        assert_eq!((clear + relay, direct), (recording.bytes, 0), "{name}: {report}");
        // No I-picture without a sealed byte.
        assert!(relay > 0, "{name}: {report}");
        let inspected = recording.inspect();
        let video = figures(&inspected["bytes"], &["p", "b"]).iter().sum::<u64>();
        assert!(clear >= video, "{name}: {report} {inspected}");
    }
}

/// The bytes in packets of the PID that has most of them, which is the video's, or all of them where there are no packets.
fn video_bytes(recording: &Recording) -> u64 {
    let bytes = fs::read(&recording.path).unwrap();
    let Some(packet) = recording.container().1.as_u64() else { return recording.bytes };
    let mut packets = HashMap::new();
    for chunk in bytes.chunks_exact(packet as usize) {
        let [0x47, high, low, ..] = chunk[if packet == 192 { 4 } else { 0 }..] else { continue };
        *packets.entry(u16::from_be_bytes([high & 0x1f, low])).or_insert(0) += 1;
    }
    packet * packets.into_values().max().unwrap()
}

#[test]
fn v10b_of_other_recordings_no_video_is_in_clear_and_with_seal_rest_nothing() {
    let recordings = recordings();
    if recordings.is_empty() {
        return;
    }
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for recording in recordings.iter().filter(|recording| recording.mpeg().is_none()) {
        let name = recording.name();
        for seal_rest in [false, true] {
            let arguments: &[&str] =
                if seal_rest { &["--as", "split", "--seal-rest"] } else { &["--as", "split"] };
            let report = stage.send("anna", "ben", name, arguments);
            assert!(same(&receiving.received(), &recording.path), "{name}");
            let sealed = report["path"]["relay_sealed"].as_u64().unwrap();
            let least = if seal_rest { recording.bytes } else { video_bytes(recording) };
            assert!((least..=recording.bytes).contains(&sealed), "{name}: {report}, at least {least}");
        }
    }
}

#[test]
fn inspect_says_what_the_manifest_says() {
    for recording in recordings() {
        let name = recording.name();
        let said = recording.inspect();
        let (container, packet) = recording.container();
        let bytes = figures(&said["bytes"], &["i", "p", "b", "other"]);
        assert_eq!(said["bytes"]["total"], recording.bytes, "{name}");
        assert_eq!(bytes.iter().sum::<u64>(), recording.bytes, "{name}");
        let pictures = figures(&said["pictures"], &["i", "p", "b"]);
        if let Some(codec) = recording.mpeg() {
            assert_eq!((&said["container"], &said["packet"]), (&json!(container), &packet), "{name}");
            assert_eq!(said["codec"], codec, "{name}");
            assert_eq!(pictures, recording.pictures, "{name}");
            assert_eq!(said["pictures"]["d"], 0, "{name}");
            // Whatever was counted has its bytes, and nothing else has.
            for (count, bytes) in pictures.iter().zip(&bytes) {
                assert_eq!(*count > 0, *bytes > 0, "{name}: {said}");
            }
        } else {
            // It may not be known, but it is not taken for something else.
            let known = [json!(recording.codec), json!("unknown")];
            assert!(known.contains(&said["codec"]), "{name}: {said}");
            assert!([json!(container), json!("unknown")].contains(&said["container"]), "{name}: {said}");
            assert!([packet, Value::Null].contains(&said["packet"]), "{name}: {said}");
            assert!(pictures == [0; 3] || pictures == recording.pictures, "{name}: {said}");
            assert_eq!(said["pictures"]["d"], 0, "{name}");
        }
    }
}

#[test]
fn v10b_whatever_it_is_its_parts_merge_bit_exact() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    for recording in recordings() {
        let (intra, rest, out) = (path("intra"), path("rest"), path("out"));
        let split = recorder()
            .args(["split", recording.name(), "--intra"])
            .arg(&intra)
            .arg("--rest")
            .arg(&rest)
            .status()
            .unwrap();
        assert!(split.success(), "{}", recording.name());
        let merge = recorder()
            .args(["merge", "--intra"])
            .arg(&intra)
            .arg("--rest")
            .arg(&rest)
            .arg("--out")
            .arg(&out)
            .status()
            .unwrap();
        assert!(merge.success(), "{}", recording.name());
        assert!(same(&out, &recording.path), "{}", recording.name());
        for file in [intra, rest, out] {
            fs::remove_file(file).unwrap();
        }
    }
}
