//! Real recordings, where there are any: `P2PGATE_SHARED` names the folder that holds `media/MANIFEST.tsv`.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "mpeg/damage.rs"]
mod damage;
#[allow(dead_code)]
#[path = "mpeg/split.rs"]
mod split;
#[allow(dead_code)]
#[path = "mpeg/streams.rs"]
mod streams;

use std::collections::HashSet;
use std::path::PathBuf;

use p2pgate::mpeg::{Class, Codec, Container, Part, Selection, Span, Splitter};

use self::damage::Arrived;
use self::streams::Random;

fn media() -> Option<PathBuf> {
    let Some(shared) = std::env::var_os("P2PGATE_SHARED") else {
        println!("skipped: P2PGATE_SHARED is not set");
        return None;
    };
    Some(PathBuf::from(shared).join("media"))
}

struct Row {
    name: String,
    container: String,
    codec: String,
    pictures: [u64; 3],
    data: Vec<u8>,
}

fn rows() -> Vec<Row> {
    let Some(media) = media() else { return Vec::new() };
    let manifest = std::fs::read_to_string(media.join("MANIFEST.tsv")).unwrap();
    let row = |line: &str| {
        let fields: Vec<&str> = line.split('\t').collect();
        Row {
            name: fields[0].into(),
            container: fields[2].into(),
            codec: fields[3].into(),
            pictures: [6, 7, 8].map(|field| fields[field].parse().unwrap()),
            data: std::fs::read(media.join(fields[0])).unwrap(),
        }
    };
    manifest.lines().skip(1).map(row).collect()
}

/// Splits `data` as it comes in pieces of `piece` bytes, and returns the segments.
fn split(data: &[u8], piece: usize) -> (Vec<Span>, Splitter) {
    split::segments(data, Selection::Intra, || piece)
}

fn merge(data: &[u8], segments: &[Span]) -> Vec<u8> {
    split::merge(&split::files(data, segments, usize::MAX), usize::MAX).unwrap()
}

#[test]
fn v10b_counts_are_the_manifests_and_merging_is_bit_exact() {
    for row in rows() {
        let (segments, splitter) = split(&row.data, 1 << 16);
        let counts = splitter.counts();
        assert!(merge(&row.data, &segments) == row.data, "{}", row.name);
        assert_eq!(counts.total(), row.data.len() as u64, "{}", row.name);
        let parts = [
            Part::Intra,
            Part::Predicted,
            Part::SecondField,
            Part::Bidirectional,
            Part::NotVideo,
            Part::Undecided,
        ];
        println!(
            "{:34} {:?} {:?} {:?} {} segments, {:?}",
            row.name,
            splitter.container(),
            splitter.packet_size(),
            splitter.codec(),
            segments.len(),
            parts.map(|part| counts.bytes(part)),
        );
        let (container, size) = match row.container.as_str() {
            "ES" => (Container::Es, None),
            "PS1" | "PS2" => (Container::Ps, None),
            ts => (Container::Ts, ts.strip_prefix("TS").map(|size| size.parse().unwrap())),
        };
        assert_eq!((splitter.container(), splitter.packet_size()), (container, size), "{}", row.name);
        let codec = match row.codec.as_str() {
            "mpeg1video" => Codec::Mpeg1,
            "mpeg2video" => Codec::Mpeg2,
            "h264" => Codec::H264,
            _ => Codec::Hevc,
        };
        if row.data.len() > 2000 {
            assert_eq!(splitter.codec(), codec, "{}", row.name);
        }
        // The manifest has what ffprobe decodes of H.264: not the P-pictures before the first I, nor a cut picture.
        let pictures = match row.name.as_str() {
            "h264_IDR_lost.264" => [3, 94, 0],
            "h264_exiftool_192.mts" => [1, 0, 0],
            _ => row.pictures,
        };
        if cfg!(feature = "nal") || matches!(codec, Codec::Mpeg1 | Codec::Mpeg2) {
            assert_eq!([counts.i, counts.p, counts.b], pictures, "{}", row.name);
            assert!(pictures == [0; 3] || counts.bytes(Part::Intra) > 0, "{}", row.name);
        } else {
            assert_eq!(counts.bytes(Part::Predicted) + counts.bytes(Part::Bidirectional), 0, "{}", row.name);
        }
    }
}

/// What each byte belongs to.
fn parts(data: &[u8]) -> Vec<Part> {
    split::parts(data, Selection::Intra, || data.len()).0
}

/// The bytes of I-pictures that follow each other, headers of packets among them.
fn intra(parts: &[Part]) -> Vec<Vec<usize>> {
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut ended = true;
    for (at, part) in parts.iter().enumerate() {
        match part {
            Part::Intra if ended => {
                groups.push(vec![at]);
                ended = false;
            }
            Part::Intra => groups.last_mut().unwrap().push(at),
            Part::NotVideo | Part::Undecided => {}
            _ => ended = true,
        }
    }
    groups
}

/// Whether start codes and headers of the pictures or slices in `group` arrived.
fn heads_arrived(data: &[u8], group: &[usize], nal: bool, arrived: &[Arrived]) -> bool {
    let mut left = 1200;
    group.windows(4).all(|at| {
        let [first, second, third, code] = [0, 1, 2, 3].map(|i| data[at[i]]);
        let header = if nal { !matches!(code, 0x06 | 0x0c) } else { matches!(code, 0 | 1 | 0xb3 | 0xb8) };
        if (first, second, third, header) == (0, 0, 1, true) {
            left = left.max(400);
        }
        left -= 1.min(left);
        left == 0 || arrived[at[0]] == Arrived::Whole
    })
}

/// Every recording, damaged at random: no byte of an I-picture travels in clear, but of those that lost their headers.
#[test]
fn v10b_damage_never_puts_an_i_picture_of_a_recording_into_rest() {
    let (mut whole, mut beheaded, mut spilt, mut bytes, mut spilt_bytes) = (0, 0, 0, 0, 0);
    for row in rows() {
        let original = parts(&row.data);
        let groups = intra(&original);
        let size = row.container.strip_prefix("TS").map_or(1, |size| size.parse().unwrap());
        let nal = row.codec == "h264" || row.codec == "hevc";
        for round in 0..4 {
            let most = 5 + row.data.len() / 10_000;
            let random = &mut Random(round);
            let mut damaged = damage::damage(random, &row.data, size, most);
            // Every other time the headers of I-pictures are hit as well.
            let hits = groups.iter().map(|group| group[random.below(group.len().min(80))]);
            let hits: HashSet<usize> = hits.filter(|_| round % 2 == 1).collect();
            for byte in damaged.iter_mut().filter(|(_, at, _)| hits.contains(at)) {
                *byte = (byte.0 ^ 1 << (byte.1 % 8), byte.1, true);
            }
            let data: Vec<u8> = damaged.iter().map(|&(byte, ..)| byte).collect();
            let (segments, splitter) = split(&data, 5000);
            assert_eq!(splitter.counts().total(), data.len() as u64);
            assert!(merge(&data, &segments) == data, "{} {round}", row.name);
            let arrived = damage::arrived(row.data.len(), &damaged);
            let mut clear = vec![false; row.data.len()];
            for ((_, at, _), part) in damaged.iter().zip(parts(&data)) {
                clear[*at] |= part.class(Selection::Intra, false) == Class::Rest;
            }
            // What names a packet of a program stream as video, and what HEVC's slices are read by.
            let lost = |code: &[u8], more: usize| {
                let starts = (0..row.data.len() - 4).filter(|&at| row.data[at..].starts_with(code));
                starts.flat_map(|at| at..at + more).any(|at| arrived.get(at) != Some(&Arrived::Whole))
            };
            let misnamed = match row.codec.as_str() {
                "hevc" => lost(&[0, 0, 1, 0x42], 80) || lost(&[0, 0, 1, 0x44], 20),
                _ => row.container.starts_with("PS") && lost(&[0, 0, 1, 0xe0], 4),
            };
            for group in &groups {
                let in_clear = group.iter().filter(|&&at| clear[at]).count();
                bytes += group.len();
                spilt_bytes += in_clear;
                if !misnamed && heads_arrived(&row.data, group, nal, &arrived) {
                    whole += 1;
                    // A start code's zeros, which go with what is before them, say nothing.
                    assert!(in_clear <= 3, "{} {round}: {in_clear} bytes from {}", row.name, group[0]);
                } else {
                    beheaded += 1;
                    spilt += usize::from(in_clear > 3);
                }
            }
        }
    }
    println!(
        "{whole} I-pictures with their heads, none in clear; {beheaded} without, {spilt} of them in clear in part: \
         {spilt_bytes} of {bytes} bytes"
    );
}

#[test]
fn v10b_segments_do_not_depend_on_the_chunking() {
    for row in rows() {
        let whole = split(&row.data, usize::MAX >> 1).0;
        for piece in [1, 7, 188, 1000, 4096] {
            if piece > 1 || row.data.len() < 250_000 {
                assert!(split(&row.data, piece).0 == whole, "{} by {piece}", row.name);
            }
        }
    }
}
