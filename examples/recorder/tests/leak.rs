//! V10b: what `leak` says of what a split recording leaves in clear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::recorder;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// The project's own recording with a head and text in it: 11 I, 32 P, 82 B pictures.
const PORTRAIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/portrait.mpg");

fn leak(file: &Path, out: &Path, path: Option<&Path>) -> Output {
    let mut command = recorder();
    command.arg("leak").arg(file).arg("--out").arg(out);
    if let Some(path) = path {
        command.env("PATH", path);
    }
    command.output().unwrap()
}

fn figures(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("leak.json")).unwrap()).unwrap()
}

fn sealed(figures: &Value) -> Vec<u64> {
    let rows = figures["selections"].as_array().unwrap();
    rows.iter().map(|row| row["sealed_bytes"].as_u64().unwrap()).collect()
}

#[test]
fn v10b_without_ffmpeg_bytes_and_time_are_measured_and_it_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("new").join("out");
    let output = leak(Path::new(PORTRAIT), &out, Some(folder.path()));
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("ffmpeg is not installed"), "{said}");
    let figures = figures(&out);
    assert_eq!(figures["pictures"], json!({ "i": 11, "p": 32, "b": 82, "d": 0 }));
    let (bytes, sealed) = (fs::metadata(PORTRAIT).unwrap().len(), sealed(&figures));
    assert_eq!(figures["bytes"], bytes);
    // Frame pictures have no second fields.
    assert!(sealed[0] == sealed[1] && sealed[1] < sealed[2] && sealed[2] < sealed[3], "{sealed:?}");
    assert!(sealed[0] > 0 && sealed[3] <= bytes);
    for row in figures["selections"].as_array().unwrap() {
        assert!(row["seen"].is_null());
        assert!(said.contains(row["select"].as_str().unwrap()), "{said}");
        for suite in ["ctr_hmac", "gcm"] {
            assert!(row["time_share"][suite]["lanes"].as_f64().unwrap() > 0.0);
        }
    }
    assert!(figures["ffmpeg"].is_null() && figures["picture"].is_null());
    assert!(!out.join("leak.png").exists());
}

#[test]
fn v10b_the_pictures_in_clear_show_more_than_grey_and_less_the_more_is_sealed() {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: ffmpeg is not installed");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let output = leak(Path::new(PORTRAIT), folder.path(), None);
    assert!(output.status.success(), "{output:?}");
    let figures = figures(folder.path());
    assert_eq!(figures["size"], json!([352, 288]));
    // Each grey picture was taken for one, or pictures would be missing.
    assert_eq!(figures["frames"], json!({ "expected": 125, "decoded": 125 }));
    let seen = |at: usize| &figures["selections"][at]["seen"];
    assert_eq!([0, 1, 2, 3].map(|at| seen(at)["pictures"].as_u64().unwrap()), [114, 114, 82, 0]);
    let mean = |at: usize, of: &str| seen(at)[of]["ssim"]["mean"].as_f64().unwrap();
    assert!(mean(0, "clear") > mean(0, "grey") + 0.03, "{figures:#}");
    assert!(mean(2, "clear") > mean(2, "grey") && mean(2, "clear") < mean(0, "clear"), "{figures:#}");
    assert_eq!(seen(0), seen(1));
    assert!(seen(3)["clear"].is_null());
    // What holds no intra-coded macroblocks shows little more than what moves.
    assert!(seen(4)["pictures"].as_u64().unwrap() > 0 && mean(4, "clear") < mean(0, "clear"), "{figures:#}");
    let picture = &figures["picture"];
    assert_eq!(picture["columns"], json!(["original", "intra", "anchors", "intra-blocks"]));
    let png = fs::read(folder.path().join("leak.png")).unwrap();
    let (head, header) = png.split_at(16);
    assert!(head.starts_with(b"\x89PNG\r\n\x1a\n"));
    assert_eq!(header[..8], [352_u32 * 4, 288].map(u32::to_be_bytes).concat()[..]);
}

#[test]
fn code_2_only_mpeg_1_and_2_are_measured() {
    let folder = tempfile::tempdir().unwrap();
    let h264 = folder.path().join("film.264");
    // Parameter sets and an IDR slice.
    let mut bytes = vec![0, 0, 0, 1, 0x67, 0x42, 0xc0, 0x1e, 0xda, 0x02, 0x80, 0xf6, 0x80];
    bytes.extend([0, 0, 0, 1, 0x68, 0xce, 0x38, 0x80, 0, 0, 0, 1, 0x65, 0x88, 0x84]);
    bytes.extend([0x5a; 3000]);
    fs::write(&h264, bytes).unwrap();
    for (file, said) in [
        (h264.as_path(), "is H.264 video: leak measures MPEG-1 and MPEG-2 only"),
        (Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml")), "no MPEG-1 or MPEG-2 video"),
    ] {
        let out = folder.path().join("out");
        let output = leak(file, &out, None);
        let error = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && error.contains(said), "{error}");
        assert!(!out.exists());
    }
}
