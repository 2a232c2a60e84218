//! `inspect`: what a recording is made of.

use std::fs::File;

use p2pgate::mpeg::{Codec, Container, Splitter};

use crate::cli::Inspect;
use crate::failure::Failure;
use crate::recording::{Scan, scan};

/// Prints container, codec, pictures and bytes.
pub fn run(arguments: &Inspect) -> Result<(), Failure> {
    let cannot = |error: std::io::Error| Failure::local("cannot read", &arguments.file, &error);
    let file = File::open(&arguments.file).map_err(cannot)?;
    let scan = scan(&file, Splitter::new(), false).map_err(cannot)?;
    if arguments.json {
        say!("{}", json(&scan));
    } else {
        let Scan { pictures, bytes, i, p, b, .. } = scan;
        let packet = scan.packet.map_or(String::new(), |packet| format!(" in packets of {packet} bytes"));
        say!("{}{packet}, video {}", container(scan.container), codec(scan.codec));
        say!("pictures: {} I, {} P, {} B, {} D", pictures.i, pictures.p, pictures.b, pictures.d);
        say!("bytes: {bytes}, of them {i} I, {p} P, {b} B, {} other", bytes - i - p - b);
    }
    Ok(())
}

fn json(scan: &Scan) -> serde_json::Value {
    let Scan { pictures, bytes, i, p, b, .. } = *scan;
    serde_json::json!({
        "container": container(scan.container),
        "packet": scan.packet,
        "codec": codec(scan.codec),
        "pictures": { "i": pictures.i, "p": pictures.p, "b": pictures.b, "d": pictures.d },
        "bytes": { "total": bytes, "i": i, "p": p, "b": b, "other": bytes - i - p - b },
    })
}

fn container(container: Container) -> &'static str {
    match container {
        Container::Unknown => "unknown",
        Container::Es => "es",
        Container::Ps => "ps",
        Container::Ts => "ts",
        Container::Mp4 => "mp4",
    }
}

fn codec(codec: Codec) -> &'static str {
    match codec {
        Codec::Unknown => "unknown",
        Codec::Mpeg1 => "mpeg1",
        Codec::Mpeg2 => "mpeg2",
        Codec::H264 => "h264",
        Codec::Hevc => "hevc",
    }
}
