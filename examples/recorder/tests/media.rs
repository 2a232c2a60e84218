//! Third-party recordings the whole way, where the folder that holds them is given; they can't be shipped.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, recorder, same};
use serde_json::{Value, json};
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

    /// What `inspect` calls its video.
    fn codec(&self) -> &str {
        self.codec.strip_suffix("video").unwrap_or(&self.codec)
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
            let pictures = match fields[0] {
                // The manifest has what ffprobe decodes: not the P-pictures before the first I, nor a cut picture.
                "h264_IDR_lost.264" => [3, 94, 0],
                "h264_exiftool_192.mts" => [1, 0, 0],
                _ => [number(6), number(7), number(8)],
            };
            Recording {
                path: media.join(fields[0]),
                container: fields[2].to_owned(),
                codec: fields[3].to_owned(),
                bytes: number(4),
                pictures,
            }
        })
        .collect();
    for codec in ["mpeg1", "mpeg2", "h264", "hevc"] {
        assert!(recordings.iter().any(|recording| recording.codec() == codec));
    }
    recordings
}

fn figures(object: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| object[name].as_u64().unwrap()).collect()
}

#[test]
fn v10b_recordings_go_split_and_arrive_bit_exact() {
    let recordings = recordings();
    if recordings.is_empty() {
        return;
    }
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for recording in &recordings {
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
        assert_eq!((&said["container"], &said["packet"]), (&json!(container), &packet), "{name}");
        assert_eq!(said["codec"], recording.codec(), "{name}");
        assert_eq!(pictures, recording.pictures, "{name}");
        assert_eq!(said["pictures"]["d"], 0, "{name}");
        // Whatever was counted has its bytes; a P-picture may hold I-slices besides, and a B-picture P-slices.
        for (count, bytes) in pictures.iter().zip(&bytes) {
            assert!(*count == 0 || *bytes > 0, "{name}: {said}");
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
