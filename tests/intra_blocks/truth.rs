//! Against ffmpeg, which prints the type of every macroblock: recordings of `P2PGATE_SHARED`, and of `P2PGATE_SYNTH` if that is set.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use p2pgate::mpeg::Part;

use super::parts;

/// Of a picture, per row of macroblocks: whether one is intra.
type Rows = Vec<bool>;

/// What ffmpeg says of an elementary stream: type and rows of each frame, in display order.
fn ffmpeg(stream: &Path) -> Vec<(char, Rows)> {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-v",
        "debug",
        "-debug",
        "mb_type",
        "-threads",
        "1",
        "-f",
        "mpegvideo",
        "-i",
    ]);
    command.arg(stream).args(["-map", "0:v:0", "-vsync", "passthrough", "-f", "null", "-"]);
    let output = command.stdin(Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let mut frames: Vec<(char, Rows)> = Vec::new();
    for line in said.split(['\n', '\r']) {
        let Some((before, text)) = line.split_once("] ") else { continue };
        if !before.contains("video @") {
            continue;
        }
        if let Some(kind) = text.strip_prefix("New frame, type: ") {
            frames.push((kind.trim().chars().next().unwrap(), Vec::new()));
        } else if let Some((_, rows)) = frames.last_mut()
            && text.chars().step_by(3).all(|c| "PAIidDgGS><X?".contains(c))
        {
            rows.push(text.chars().step_by(3).any(|c| matches!(c, 'I' | 'i' | 'A' | 'P')));
        }
    }
    frames
}

/// A slice: its row, whether it begins in the first column, its place in the stream.
struct Slice {
    row: usize,
    first_column: bool,
    at: usize,
}

struct Picture {
    kind: u8,
    structure: u8,
    slices: Vec<Slice>,
}

/// The pictures of an elementary stream in coded order, and the macroblock rows of a frame.
fn pictures(data: &[u8]) -> Vec<Picture> {
    let mut pictures: Vec<Picture> = Vec::new();
    let mut from = 0;
    while let Some(at) = data[from..].windows(3).position(|three| three == [0, 0, 1]).map(|at| from + at) {
        from = at + 3;
        let Some(&[code, first, second, third, ..]) = data.get(at + 3..) else { break };
        match code {
            0 => pictures.push(Picture { kind: second >> 3 & 7, structure: 3, slices: Vec::new() }),
            0xb5 if first >> 4 == 8 => pictures.last_mut().unwrap().structure = third & 3,
            1..=0xaf => {
                if let Some(picture) = pictures.last_mut() {
                    // After the scale no extra information, and an increment of 1.
                    let first_column = first & 6 == 2;
                    picture.slices.push(Slice { row: code.into(), first_column, at });
                }
            }
            _ => {}
        }
    }
    pictures
}

fn recordings() -> Vec<PathBuf> {
    let mut all = Vec::new();
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        println!("skipped: ffmpeg is not installed");
        return all;
    }
    for (variable, folder) in [("P2PGATE_SHARED", "media"), ("P2PGATE_SYNTH", "")] {
        let Some(base) = std::env::var_os(variable) else {
            println!("skipped: {variable} is not set");
            continue;
        };
        let folder = PathBuf::from(base).join(folder);
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            // One file for each video; those with damage and the largest have their own tests.
            let known = ["m1", "m2", "mssg", "mjpeg"].iter().any(|start| name.starts_with(start));
            let left_out = [
                "576i_",
                "576i.t",
                "576i.vob",
                "576i.m2t",
                "2prog",
                "concat",
                "biterr",
                "midcut",
                "zero",
                "headersonly",
                "dpic",
            ];
            if known && !left_out.iter().any(|part| name.contains(part)) {
                all.push(path);
            }
        }
    }
    all.sort();
    all
}

#[derive(Default, Debug)]
struct Tally {
    with: usize,
    without: usize,
    undecided: usize,
    mixed: usize,
    leaked: usize,
    needless: usize,
}

#[test]
fn intra_blocks_are_those_that_ffmpeg_has() {
    let folder = tempfile();
    for path in recordings() {
        let stream = folder.join("stream");
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-y", "-i"]).arg(&path);
        command.args(["-map", "0:v:0", "-c", "copy", "-copyinkf", "-f", "mpeg2video"]).arg(&stream);
        assert!(command.stdin(Stdio::null()).status().unwrap().success());
        let data = std::fs::read(&stream).unwrap();
        let (truth, parts) = (ffmpeg(&stream), parts(&data));
        let mut tally = Tally::default();
        let shown = in_display_order(pictures(&data));
        let kinds: String = shown
            .iter()
            .map(|frame| ['?', 'I', 'P', 'B', 'D'][usize::from(frame[0].kind & 7).min(4)])
            .collect();
        let said: String = truth.iter().map(|(kind, _)| *kind).collect();
        // Pictures before the first whose references are there are not decoded, and the last isn't printed.
        let skipped = kinds.find(&said).unwrap_or_else(|| panic!("{}: {kinds} {said}", path.display()));
        for (frame, (_, rows)) in shown[skipped..].iter().zip(&truth) {
            for picture in frame {
                check(picture, rows, &parts, &mut tally);
            }
        }
        let share =
            |part: Part| parts.iter().filter(|&&other| other == part).count() as f64 / parts.len() as f64;
        println!(
            "{}: {tally:?}, {:.3} in clear, {:.3} undecided",
            path.file_name().unwrap().display(),
            share(Part::WithoutIntra),
            share(Part::Undecided)
        );
    }
    let _ = std::fs::remove_dir_all(folder);
}

fn tempfile() -> PathBuf {
    let folder = std::env::temp_dir().join(format!("p2pgate-intra-blocks-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Frames of one or two pictures, as they are shown.
fn in_display_order(pictures: Vec<Picture>) -> Vec<Vec<Picture>> {
    let mut frames: Vec<Vec<Picture>> = Vec::new();
    for picture in pictures {
        match frames.last_mut() {
            Some(frame) if frame.len() == 1 && frame[0].structure + picture.structure == 3 => {
                frame.push(picture)
            }
            _ => frames.push(vec![picture]),
        }
    }
    let (mut shown, mut waiting) = (Vec::new(), None);
    for frame in frames {
        if frame[0].kind == 3 { shown.push(frame) } else { shown.extend(waiting.replace(frame)) }
    }
    shown.extend(waiting);
    shown
}

fn check(picture: &Picture, rows: &Rows, parts: &[Part], tally: &mut Tally) {
    if picture.kind != 2 && picture.kind != 3 {
        return;
    }
    let slices = &picture.slices;
    let mut at = 0;
    while at < slices.len() {
        // Slices up to the next that begins a row.
        let end = (at + 1..slices.len()).find(|&next| slices[next].first_column).unwrap_or(slices.len());
        let group = &slices[at..end];
        let height = if picture.structure == 3 { rows.len() } else { rows.len() / 2 };
        let below = slices.get(end).map_or(height, |slice| slice.row - 1);
        let is_intra = (slices[at].row - 1..below).any(|row| match picture.structure {
            3 => rows[row],
            structure => rows[2 * row + usize::from(structure == 2)],
        });
        let said: Vec<Part> = group.iter().map(|slice| parts[slice.at + 4]).collect();
        if said.contains(&Part::Undecided) {
            tally.undecided += 1;
        } else {
            let holds = said.iter().any(|part| *part != Part::WithoutIntra);
            match (holds, is_intra) {
                (true, true) => tally.with += 1,
                (false, false) => tally.without += 1,
                (true, false) => tally.needless += 1,
                (false, true) => tally.leaked += 1,
            }
            tally.mixed += usize::from(said.len() > 1);
        }
        at = end;
    }
}
