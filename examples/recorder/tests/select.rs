//! V10b: what `--select` seals, and that it all comes together again.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, recorder, same};
use std::fs;
use std::path::{Path, PathBuf};

const SELECTIONS: [&str; 5] = ["intra", "intra+second-field", "anchors", "all", "intra-blocks"];
const TOP: u8 = 1;
const BOTTOM: u8 = 2;

/// A coded field: headers that say what it is, and 18 slices of filling.
fn field(kind: u8, structure: u8) -> Vec<u8> {
    let (i, b) = (kind == 1, kind == 3);
    let codes = match kind {
        1 => [0x8f, 0xff, 0xf0],
        2 => [0x81, 0x1f, 0xf0],
        _ => [0x81, 0x11, 0x10],
    };
    let mut out = vec![0, 0, 1, 0, 0, kind << 3 | 7, 0xff, if i { 0xf8 } else { 0xfb }];
    match () {
        () if i => {}
        () if b => out.push(0xb8),
        () => out.push(0x80),
    }
    out.extend([0, 0, 1, 0xb5, codes[0], codes[1], codes[2] | structure, 0x80, 0]);
    for row in 1..=18 {
        out.extend([0, 0, 1, row]);
        out.extend([0x4c; 100]);
    }
    out
}

/// Interlaced 720 by 576: groups of an I and a P field, two P fields, two B fields.
fn field_coded() -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..4 {
        out.extend([0, 0, 1, 0xb3, 0x2d, 0x02, 0x40, 0x23, 0xff, 0xff, 0xe0, 0x18]);
        out.extend([0, 0, 1, 0xb5, 0x14, 0x82, 0, 1, 0, 0]);
        out.extend([0, 0, 1, 0xb8, 0, 8, 0, 0]);
        for (kind, structure) in [(1, TOP), (2, BOTTOM), (2, TOP), (2, BOTTOM), (3, TOP), (3, BOTTOM)] {
            out.extend(field(kind, structure));
        }
    }
    out
}

/// The made stream, the recording that ships with the program, and the field-coded ones of the shared folder if there is one.
fn recordings(folder: &Path) -> Vec<(PathBuf, bool)> {
    let made = folder.join("fields.m2v");
    fs::write(&made, field_coded()).unwrap();
    let mut recordings = vec![(made, true), (TEST_CARD.into(), false)];
    match std::env::var("P2PGATE_SHARED").ok().filter(|shared| !shared.is_empty()) {
        Some(shared) => {
            let media = Path::new(&shared).join("media");
            for name in ["mssg_field_ipb.m2v", "mssg_field_ipb.ts", "mssg_field_ipb.vob"] {
                recordings.push((media.join(name), true));
            }
        }
        None => println!("skipped the shared recordings: P2PGATE_SHARED is not set"),
    }
    recordings
}

/// Each selection seals more than the one before, if there is more to it.
fn grows(sealed: &[u64], has_fields: bool, name: &Path) {
    assert!(sealed[0] > 0, "{}", name.display());
    assert_eq!(sealed[0] < sealed[1], has_fields, "{}: {sealed:?}", name.display());
    assert!(sealed[1] < sealed[2] && sealed[2] < sealed[3], "{}: {sealed:?}", name.display());
    assert!(sealed[0] <= sealed[4] && sealed[4] <= sealed[3], "{}: {sealed:?}", name.display());
}

#[test]
fn v10b_each_selection_splits_and_merges_bit_exact() {
    let folder = tempfile::tempdir().unwrap();
    let [intra, rest, out] = ["intra", "rest", "out"].map(|name| folder.path().join(name));
    for (recording, has_fields) in recordings(folder.path()) {
        let sealed = SELECTIONS.map(|selection| {
            let mut split = recorder();
            split.arg("split").arg(&recording).args(["--select", selection, "--intra"]).arg(&intra);
            assert!(split.arg("--rest").arg(&rest).status().unwrap().success());
            let mut merge = recorder();
            merge.args(["merge", "--intra"]).arg(&intra).arg("--rest").arg(&rest).arg("--out").arg(&out);
            assert!(merge.status().unwrap().success());
            assert!(same(&out, &recording), "{} {selection}", recording.display());
            let sealed = fs::metadata(&intra).unwrap().len();
            for file in [&intra, &rest, &out] {
                fs::remove_file(file).unwrap();
            }
            sealed
        });
        grows(&sealed, has_fields, &recording);
    }
}

#[test]
fn v10b_each_selection_arrives_bit_exact() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    for (recording, has_fields) in recordings(stage.folder.path()) {
        let name = recording.to_str().unwrap();
        let sealed = SELECTIONS.map(|selection| {
            let report = stage.send("anna", "ben", name, &["--as", "split", "--select", selection]);
            assert!(same(&receiving.received(), &recording), "{name} {selection}");
            let way = |way: &str| report["path"][way].as_u64().unwrap();
            let length = fs::metadata(&recording).unwrap().len();
            assert_eq!(way("relay_sealed") + way("direct_clear"), length, "{name} {selection}: {report}");
            way("relay_sealed")
        });
        grows(&sealed, has_fields, &recording);
    }
}

#[test]
fn v10b_without_select_it_is_intra() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &[]);
    let sealed = [&["--as", "split"][..], &["--as", "split", "--select", "intra"]].map(|arguments| {
        let report = stage.send("anna", "ben", TEST_CARD, arguments);
        assert!(same(&receiving.received(), TEST_CARD));
        report["path"]["relay_sealed"].clone()
    });
    assert_eq!(sealed[0], sealed[1]);
}

#[test]
fn code_2_select_is_for_split_and_of_a_known_name() {
    let stage = Stage::new();
    for (arguments, said) in [
        (["--as", "confidential", "--select", "all"], "--select goes with --as split"),
        (["--as", "split", "--select", "most"], "intra+second-field"),
    ] {
        let (code, text) = stage.fail("anna", "ben", TEST_CARD, &arguments);
        assert!(code == 2 && text.contains(said), "{text}");
    }
}
