//! The splitter beside tools that do something like it, and beside memmem and memcpy, which are the limits: processor
//! seconds, each the least of several runs, of reading a file from the page cache and splitting it.
//!
//! `P2PGATE_SYNTH` names a folder with the streams (100 MB of 1080i MPEG-2 as `big.m2v`, `big.mpg`, `big.ts`, `big.m2ts`;
//! short ones of H.264 and HEVC, which are repeated to 100 MB). What a tool finds is compared before it is timed. A
//! stream or a tool that is missing is said to be.

use std::hint::black_box;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use p2pgate::mpeg::{Class, Counts, Splitter};

const RUNS: usize = 5;
/// The kernel counts in its ticks, of some milliseconds: what works in memory goes over a stream so often in a run.
const PASSES: usize = 16;
const CHUNK: usize = 64 * 1024;
const LENGTH: u64 = 100_000_000;

/// A stream: its name, the codec as ffmpeg calls its elementary stream's format, and its pictures.
const STREAMS: [(&str, &str, [u64; 3]); 8] = [
    ("big.m2v", "mpeg2video", [91, 360, 899]),
    ("big.mpg", "mpeg2video", [91, 360, 899]),
    ("big.ts", "mpeg2video", [91, 360, 899]),
    ("big.m2ts", "mpeg2video", [91, 360, 899]),
    ("h264_mbaff_opengop.ts", "h264", [8, 50, 142]),
    ("h264_4slices_aud.264", "h264", [8, 74, 118]),
    ("hevc_opengop_cra.ts", "hevc", [8, 48, 144]),
    ("hevc_opengop_cra.265", "hevc", [8, 48, 144]),
];

/// What a tool does, and with which arguments; `{}` is the file.
const FFMPEG: [(&str, &[&str]); 2] = [
    ("ffmpeg -c copy", &["-c", "copy"]),
    ("ffmpeg -bsf noise=drop=not(key)", &["-c", "copy", "-bsf:v", "noise=drop=not(key)"]),
];

/// Processor seconds of this process.
fn now() -> f64 {
    let read = std::fs::read_to_string("/proc/self/schedstat").expect("the kernel counts processor time");
    read.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok()).expect("a number") / 1e9
}

fn least(mut run: impl FnMut() -> f64) -> f64 {
    (0..RUNS).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// Processor seconds of one of `passes`.
fn timed(passes: usize, mut work: impl FnMut()) -> f64 {
    least(|| {
        let start = now();
        (0..passes).for_each(|_| work());
        (now() - start) / passes as f64
    })
}

/// Reads the file in pieces and splits it as it comes.
fn split(path: &Path) -> ([u64; 2], Counts) {
    let mut file = std::fs::File::open(path).expect("the stream is there");
    let (mut splitter, mut classes) = (Splitter::new(), [0; 2]);
    let mut window = vec![0; 2 * CHUNK];
    let (mut start, mut end) = (0, 0);
    loop {
        window.copy_within(start..end, 0);
        (start, end) = (0, end - start);
        let read = file.read(&mut window[end..end + CHUNK]).expect("the stream can be read");
        end += read;
        while let Some(span) = splitter.next(&window[start..end], read == 0) {
            classes[usize::from(span.class == Class::Rest)] += span.len as u64;
            start += span.len;
        }
        if read == 0 {
            return (classes, *splitter.counts());
        }
    }
}

/// Processor seconds of a command, by bash, which counts them in milliseconds. `None`: it failed.
fn command(arguments: &[&str]) -> Option<f64> {
    let out = Command::new("bash")
        .args(["-c", "TIMEFORMAT='%U %S'; time \"$@\" >/dev/null 2>/dev/null", "-"])
        .args(arguments)
        .output()
        .ok()
        .filter(|out| out.status.success())?;
    String::from_utf8(out.stderr).ok()?.split_whitespace().map(|number| number.parse::<f64>().ok()).sum()
}

fn is_there(tool: &str) -> bool {
    let there = Command::new(tool).stdout(Stdio::null()).stderr(Stdio::null()).stdin(Stdio::null()).status();
    there.is_ok()
}

fn ffmpeg(file: &str, options: &[&str], output: &[&str]) -> Vec<String> {
    let start = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", file, "-map", "0:v"];
    [&start[..], options, output].concat().iter().map(|text| text.to_string()).collect()
}

/// Frames that ffmpeg lets through.
fn frames(file: &str, options: &[&str]) -> usize {
    let arguments = ffmpeg(file, options, &["-f", "framecrc", "-"]);
    let out = Command::new(&arguments[0]).args(&arguments[1..]).output().expect("ffmpeg runs");
    String::from_utf8_lossy(&out.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

/// The stream, repeated until it is long enough, and how many times.
fn prepare(source: &Path, codec: &str, work: &Path) -> Option<(PathBuf, u64)> {
    let name = source.file_name()?;
    let mut source = source.to_path_buf();
    if !source.exists() && source.extension()? == "265" {
        let (from, to) = (source.with_extension("ts"), work.join("elementary"));
        let arguments = ffmpeg(from.to_str()?, &["-c", "copy"], &["-f", codec, to.to_str()?]);
        Command::new(&arguments[0]).args(&arguments[1..]).status().ok().filter(|status| status.success())?;
        source = to;
    }
    let once = std::fs::read(&source).ok()?;
    let times = (LENGTH / once.len() as u64).max(1);
    if times == 1 {
        return Some((source, 1));
    }
    let path = work.join(name);
    std::fs::write(&path, once.repeat(times as usize)).ok()?;
    Some((path, times))
}

struct Row<'a> {
    size: f64,
    ours: f64,
    name: &'a str,
}

impl Row<'_> {
    fn print(&self, what: &str, seconds: f64) {
        println!(
            "{:24} {what:34} {seconds:7.3} s {:7.2} GB/s {:7.2} of ours",
            self.name,
            self.size / 1e9 / seconds,
            seconds / self.ours
        );
    }
}

fn measure(name: &str, codec: &str, pictures: [u64; 3], folder: &Path, work: &Path) {
    let Some((path, times)) = prepare(&folder.join(name), codec, work) else {
        return println!("{name:24} is not there, and can't be made");
    };
    let file = path.to_str().expect("a path in UTF-8");
    let (classes, counts) = split(&path);
    // Where a repetition's end is taken for damage, a picture or two of it are not counted.
    let tolerance = if times > 1 { times * 2 } else { 0 };
    for (found, expected) in [counts.i, counts.p, counts.b].into_iter().zip(pictures) {
        assert!(
            found.abs_diff(expected * times) <= tolerance,
            "{name}: {found} instead of {expected} x {times}"
        );
    }
    let data = std::fs::read(&path).expect("the stream can be read");
    assert_eq!(classes[0] + classes[1], data.len() as u64);
    assert!(classes[0] < classes[1], "{name}: {classes:?}");

    let ours = timed(4, || {
        black_box(split(&path));
    });
    let row = Row { size: data.len() as f64, ours, name };
    row.print("the splitter, from a file", ours);
    let in_memory = timed(PASSES, || {
        black_box(p2pgate_benches::split(black_box(&data)));
    });
    row.print("the splitter, in memory", in_memory);
    let scan = timed(PASSES, || {
        black_box(memchr::memmem::find_iter(black_box(&data), &[0, 0, 1]).count());
    });
    row.print("memmem 00 00 01, in memory", scan);
    let mut copy = vec![0; data.len()];
    let copying = timed(PASSES, || black_box(&mut copy).copy_from_slice(black_box(&data)));
    row.print("memcpy", copying);
    println!("{name:24} in memory {:.2} of memmem", scan / in_memory);

    if is_there("ffmpeg") {
        let all = frames(file, FFMPEG[0].1);
        let keys = frames(file, FFMPEG[1].1);
        let total: u64 = pictures.iter().sum::<u64>() * times;
        assert!(
            all as u64 + 3 * times >= total && all as u64 <= total,
            "{name}: ffmpeg finds {all} of {total}"
        );
        // What ffmpeg calls a key picture is in H.264 and HEVC not every I.
        assert!(keys > 0 && (codec != "mpeg2video" || keys as u64 == pictures[0]), "{name}: {keys} keys");
        for (what, options) in FFMPEG {
            let arguments = ffmpeg(file, options, &["-f", "null", "-"]);
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            row.print(what, least(|| command(&arguments).expect("it ran before")));
        }
    } else {
        println!("{name:24} ffmpeg is not there");
    }
    tstools(&row, file, codec, counts, classes[0], work);
}

fn tstools(row: &Row, file: &str, codec: &str, counts: Counts, sealed: u64, work: &Path) {
    let name = row.name;
    if codec == "hevc" {
        return println!("{name:24} tstools know no HEVC");
    }
    if !is_there("esfilter") || !is_there("esreport") {
        return println!("{name:24} tstools are not there");
    }
    let stripped = work.join("stripped");
    let stripped = stripped.to_str().expect("a path in UTF-8");
    let elementary = name.ends_with("m2v") || name.ends_with("264");
    let kind: &[&str] = match (codec, elementary) {
        ("h264", true) => &["-h264"],
        ("h264", false) => &["-h264", "-pes"],
        (_, true) => &[],
        _ => &["-pes"],
    };
    let filter = [&["esfilter", "-strip", "-q"], kind, &[file, stripped]].concat();
    let worked = command(&filter).and_then(|_| std::fs::metadata(stripped).ok()).map(|file| file.len());
    match worked {
        Some(length) if length > 0 => {
            // I-pictures, in both; of ours packets' headers and what is undecided too.
            let share = length as f64 / sealed as f64;
            assert!(codec != "mpeg2video" || (0.9..1.01).contains(&share), "{name}: {share}");
            row.print("esfilter -strip", least(|| command(&filter).expect("it ran before")));
        }
        _ => println!("{name:24} esfilter doesn't take it"),
    }
    let report = [&["esreport", "-frametype", "-q"], kind, &[file]].concat();
    let out = Command::new(report[0]).args(&report[1..]).output().expect("esreport runs");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    if !out.status.success() || said.contains("###") {
        return println!("{name:24} esreport doesn't take it");
    }
    assert!(
        codec != "mpeg2video" || said.contains(&format!("{} I, {} P", counts.i, counts.p)),
        "{name}: {said}"
    );
    row.print("esreport -frametype", least(|| command(&report).expect("it ran before")));
}

fn main() {
    let Some(folder) = std::env::var_os("P2PGATE_SYNTH").map(PathBuf::from) else {
        return println!("skipped: P2PGATE_SYNTH doesn't name a folder with the streams");
    };
    let work = tempfile::tempdir().expect("a folder for the repeated streams");
    println!("processor seconds, the least of {RUNS} runs each");
    for (name, codec, pictures) in STREAMS {
        measure(name, codec, pictures, &folder, work.path());
    }
}
