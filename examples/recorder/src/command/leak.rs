//! `leak`: what somebody sees who reads on the way what a split recording leaves in clear.
//!
//! The eavesdropper has the pictures in clear, knows the headers (of which there are few kinds), puts grey where pictures are sealed, and
//! decodes. What is measured is how like the original the pictures in clear come out.

mod cost;
mod ffmpeg;
mod grey;
mod score;
mod stream;

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use p2pgate::mpeg::{Codec, Container, Splitter};
use p2pgate::route::Selection;
use p2pgate::sframe::Suite;
use serde_json::{Value, json};

use self::cost::{SELECTIONS, Shares};
use self::score::{Summary, likeness};
use self::stream::Stream;
use crate::cli::Leak;
use crate::failure::{Code, Failure};
use crate::recording::{Scan, scan};

/// Luma of a picture that says nothing.
const GREY: u8 = 128;
const SUITES: [(&str, Suite); 2] =
    [("ctr_hmac", Suite::Aes128CtrHmacSha256_80), ("gcm", Suite::Aes128GcmSha256_128)];

/// Plays the eavesdropper, prints the figures, and writes `leak.json` and `leak.png`.
pub fn run(arguments: &Leak) -> Result<(), Failure> {
    let path = &arguments.file;
    let cannot = |error: std::io::Error| Failure::local("cannot read", path, &error);
    let file = File::open(path).map_err(cannot)?;
    let scans = Selection::EACH.map(|selection| scan(&file, Splitter::with(selection, false), false));
    let scans = scans.into_iter().collect::<Result<Vec<Scan>, _>>().map_err(cannot)?;
    check(path, &scans[0])?;
    let bytes = fs::read(path).map_err(cannot)?;
    fs::create_dir_all(&arguments.out)
        .map_err(|error| Failure::local("cannot write", &arguments.out, &error))?;
    let shares = SUITES.map(|(_, suite)| cost::measure(&bytes, suite));

    let version = ffmpeg::version();
    let seen = match &version {
        Some(_) => Some(eavesdrop(path, bytes, scans[0].container, &arguments.out)?),
        None => None,
    };
    let report = report(path, &scans, &shares, seen.as_ref(), version.as_deref());
    print(&report, seen.as_ref());
    let out = arguments.out.join("leak.json");
    fs::write(&out, format!("{report:#}\n")).map_err(|error| Failure::local("cannot write", &out, &error))?;
    say!("figures: {}", out.display());
    match seen {
        Some(Seen { picture: Some(_), .. }) => say!("picture: {}", picture_path(&arguments.out).display()),
        Some(_) => say!("picture: none, since nothing is in clear under any selection"),
        None => say!(
            "ffmpeg is not installed, so nothing was decoded: the figures are bytes and time only; install it for the pictures"
        ),
    }
    Ok(())
}

fn picture_path(folder: &Path) -> PathBuf {
    folder.join("leak.png")
}

/// What can't be measured.
fn check(path: &Path, scan: &Scan) -> Result<(), Failure> {
    let refuse = |what: &str| Err(Failure::new(Code::Usage, format!("{} {what}", path.display())));
    match (scan.container, scan.codec) {
        (_, codec @ (Codec::H264 | Codec::Hevc)) => {
            let name = if codec == Codec::H264 { "H.264" } else { "HEVC" };
            refuse(&format!(
                "is {name} video: leak measures MPEG-1 and MPEG-2 only, so far; name such a recording"
            ))
        }
        (Container::Unknown, _) | (_, Codec::Unknown) => refuse(
            "has no MPEG-1 or MPEG-2 video in it, which is all that leak measures: name such a recording",
        ),
        _ => Ok(()),
    }
}

/// What the eavesdropper got.
struct Seen {
    size: (usize, usize),
    /// By selection: the pictures in clear against the original's, and plain grey against these.
    figures: [(Summary, Summary); SELECTIONS],
    /// Pictures whose references are there, and pictures that came out of the decoder.
    expected: usize,
    decoded: Option<usize>,
    picture: Option<Picture>,
}

/// What the PNG shows.
struct Picture {
    /// The number in display order, from 0.
    number: usize,
    /// From left to right, behind the original.
    selections: Vec<Selection>,
}

/// Decodes what is in clear under each selection, and compares.
fn eavesdrop(path: &Path, bytes: Vec<u8>, container: Container, out: &Path) -> Result<Seen, Failure> {
    let stream = Stream::read(if container == Container::Es { bytes } else { ffmpeg::demux(path)? });
    let Some(size) = stream.size() else {
        return Err(Failure::new(
            Code::Usage,
            format!("{} has no picture that can be decoded: name another recording", path.display()),
        ));
    };
    let folder = tempfile::tempdir().map_err(|error| Failure::local("cannot write", out, &error))?;
    let write = |name: &str, selection: Option<Selection>| {
        let path = folder.path().join(name);
        fs::write(&path, stream.view(selection))
            .map(|()| path.clone())
            .map_err(|error| Failure::local("cannot write", &path, &error))
    };
    let original = write("original", None)?;
    let mut seen =
        Seen { size, figures: Default::default(), expected: stream.frames(), decoded: None, picture: None };
    // The selections that leave different pictures in clear, and what they show.
    let mut views: Vec<(Selection, Vec<bool>, PathBuf)> = Vec::new();
    // The PNG shows a picture that every view shows, if there is any in clear.
    let clear = Selection::EACH.map(|selection| stream.in_clear(selection));
    let shown = |number: usize| clear.iter().filter(|clear| clear.contains(&true)).all(|clear| clear[number]);
    let mut most = f64::MIN;
    for (at, selection) in Selection::EACH.into_iter().enumerate() {
        let clear = stream.in_clear(selection);
        if !clear.contains(&true) {
            continue;
        }
        let view = stream.view(Some(selection));
        let same = |(other, ..): &&(Selection, Vec<bool>, PathBuf)| stream.view(Some(*other)) == view;
        if let Some((other, ..)) = views.last().filter(same) {
            seen.figures[at] = seen.figures[*other as usize];
            continue;
        }
        let path = write(selection.name(), Some(selection))?;
        let gains = compare(&mut seen, at, &original, &path, &clear)?;
        // The first selection leaves most in clear; its most telling picture it is.
        if views.is_empty() {
            for (number, gain) in gains {
                if shown(number) && gain > most {
                    most = gain;
                    seen.picture = Some(Picture { number, selections: Vec::new() });
                }
            }
        }
        views.push((selection, clear, path));
    }
    if let Some(picture) = &mut seen.picture {
        let mut paths = vec![original.as_path()];
        for (selection, _, path) in &views {
            picture.selections.push(*selection);
            paths.push(path);
        }
        ffmpeg::side_by_side(&paths, picture.number, &picture_path(out))?;
    }
    Ok(seen)
}

/// Compares the pictures in clear with the original's. Gives for each its number and how much liker the original it is than grey.
fn compare(
    seen: &mut Seen,
    at: usize,
    original: &Path,
    view: &Path,
    clear: &[bool],
) -> Result<Vec<(usize, f64)>, Failure> {
    let (mut originals, mut views) =
        (ffmpeg::Luma::of(original, seen.size)?, ffmpeg::Luma::of(view, seen.size)?);
    let width = seen.size.0;
    let grey = vec![GREY; width * seen.size.1];
    let (mut figures, mut greys) = (Summary::default(), Summary::default());
    let mut gains = Vec::new();
    let mut number = 0;
    while let (Some(one), Some(other)) = (originals.next()?, views.next()?) {
        if clear.get(number).copied().unwrap_or_default() {
            let (like, like_grey) = (likeness(one, other, width), likeness(one, &grey, width));
            figures.add(like);
            greys.add(like_grey);
            gains.push((number, like.ssim - like_grey.ssim));
        }
        number += 1;
    }
    if number == 0 {
        return Err(Failure::new(
            Code::Local,
            "ffmpeg decoded no picture: check that it has its MPEG decoders and filters".to_owned(),
        ));
    }
    seen.figures[at] = (figures, greys);
    seen.decoded = Some(number);
    Ok(gains)
}

fn report(
    path: &Path,
    scans: &[Scan],
    shares: &[[Shares; SELECTIONS]; 2],
    seen: Option<&Seen>,
    version: Option<&str>,
) -> Value {
    let Scan { bytes, pictures, codec, .. } = scans[0];
    let selections: Vec<Value> = (0..SELECTIONS)
        .map(|at| {
            let mut time = serde_json::Map::new();
            for ((name, _), shares) in SUITES.iter().zip(shares) {
                let Shares { seal, lanes } = shares[at];
                time.insert((*name).to_owned(), json!({ "seal": round(seal), "lanes": round(lanes) }));
            }
            json!({
                "select": Selection::EACH[at].name(),
                "sealed_bytes": scans[at].sealed,
                "sealed_share": round(scans[at].sealed as f64 / bytes.max(1) as f64),
                "time_share": time,
                "seen": seen.map(|seen| {
                    let (figures, greys) = &seen.figures[at];
                    json!({ "pictures": figures.count(), "clear": summary(figures), "grey": summary(greys) })
                }),
            })
        })
        .collect();
    json!({
        "file": path.file_name().unwrap_or_default().to_string_lossy(),
        "bytes": bytes,
        "codec": if codec == Codec::Mpeg1 { "mpeg1" } else { "mpeg2" },
        "pictures": { "i": pictures.i, "p": pictures.p, "b": pictures.b, "d": pictures.d },
        "ffmpeg": version,
        "size": seen.map(|seen| [seen.size.0, seen.size.1]),
        "frames": seen.map(|seen| json!({ "expected": seen.expected, "decoded": seen.decoded })),
        "selections": selections,
        "picture": seen.and_then(|seen| seen.picture.as_ref()).map(|picture| {
            let columns: Vec<&str> = ["original"]
                .into_iter()
                .chain(picture.selections.iter().map(|selection| selection.name()))
                .collect();
            json!({ "file": "leak.png", "number": picture.number, "columns": columns })
        }),
    })
}

fn summary(summary: &Summary) -> Value {
    if summary.count() == 0 {
        return Value::Null;
    }
    let (mean, best) = (summary.mean(), summary.best());
    json!({
        "ssim": { "mean": round(mean.ssim), "best": round(best.ssim) },
        "psnr": { "mean": round(mean.psnr), "best": round(best.psnr) },
    })
}

/// To four places: more would be noise.
fn round(figure: f64) -> f64 {
    (figure * 1e4).round() / 1e4
}

/// The table for people.
fn print(report: &Value, seen: Option<&Seen>) {
    let number = |value: &Value| value.as_u64().unwrap_or_default();
    let pictures = &report["pictures"];
    say!(
        "{}: {} bytes, {} I, {} P, {} B pictures",
        report["file"].as_str().unwrap_or_default(),
        number(&report["bytes"]),
        number(&pictures["i"]),
        number(&pictures["p"]),
        number(&pictures["b"])
    );
    if let Some(seen) = seen
        && let Some(decoded) = seen.decoded.filter(|decoded| *decoded != seen.expected)
    {
        say!(
            "of {} pictures {} came out of the decoder: where it left some out, the others are compared out of step",
            seen.expected,
            decoded
        );
    }
    say!(
        "time: processor time against sealing all, AES-CTR with HMAC; the second figure with the rest authenticated"
    );
    say!(
        "{:<20}{:>8}{:>8}{:>8}{:>10}{:>14}{:>14}{:>16}",
        "selection",
        "sealed",
        "time",
        "",
        "in clear",
        "SSIM mean",
        "best",
        "PSNR mean, best"
    );
    for row in report["selections"].as_array().into_iter().flatten() {
        let percent = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap_or_default());
        let time = &row["time_share"]["ctr_hmac"];
        let (clear, grey) = (&row["seen"]["clear"], &row["seen"]["grey"]);
        // Beside each figure that of plain grey: what somebody has who has nothing.
        let beside = |name: &str| match (clear["ssim"][name].as_f64(), grey["ssim"][name].as_f64()) {
            (Some(clear), Some(grey)) => format!("{clear:.2} ({grey:.2})"),
            _ => "-".to_owned(),
        };
        let noise = match (clear["psnr"]["mean"].as_f64(), clear["psnr"]["best"].as_f64()) {
            (Some(mean), Some(best)) => format!("{mean:.1}, {best:.1} dB"),
            _ => "-".to_owned(),
        };
        say!(
            "{:<20}{:>8}{:>8}{:>8}{:>10}{:>14}{:>14}{:>16}",
            row["select"].as_str().unwrap_or_default(),
            percent(&row["sealed_share"]),
            percent(&time["seal"]),
            percent(&time["lanes"]),
            row["seen"]["pictures"].as_u64().map_or("-".to_owned(), |count| count.to_string()),
            beside("mean"),
            beside("best"),
            noise
        );
    }
    if seen.is_some() {
        say!("in brackets: plain grey in place of the same pictures");
    }
}
