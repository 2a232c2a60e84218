//! The selection `intra-blocks`: which slices of P and B pictures of MPEG-1 and MPEG-2 hold intra-coded macroblocks.
#![cfg(feature = "blocks")]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "intra_blocks/codes.rs"]
mod codes;
#[path = "mpeg/damage.rs"]
mod damage;
#[allow(dead_code)]
#[path = "mpeg/plain.rs"]
mod plain;
#[path = "intra_blocks/several.rs"]
mod several;
#[path = "mpeg/split.rs"]
mod split;
#[allow(dead_code)]
#[path = "mpeg/streams.rs"]
mod streams;
#[path = "intra_blocks/truth.rs"]
mod truth;
#[path = "intra_blocks/writer.rs"]
mod writer;

use p2pgate::mpeg::{Class, Part, Selection};
use proptest::prelude::*;

use self::damage::Arrived;
use self::streams::{Random, VIDEO};

/// What the splitter says of each byte when `data` comes in pieces, whose sizes `piece` gives.
fn parts_by(data: &[u8], piece: impl FnMut() -> usize) -> Vec<Part> {
    split::parts(data, Selection::IntraBlocks, piece).0
}

fn parts(data: &[u8]) -> Vec<Part> {
    parts_by(data, || data.len())
}

fn is_clear(part: Part) -> bool {
    part.class(Selection::IntraBlocks, false) == Class::Rest
}

/// Which bytes of a file of this length are in clear after what has hit it.
fn seen(length: usize, damaged: &[damage::Hit]) -> Vec<bool> {
    let now: Vec<u8> = damaged.iter().map(|&(byte, ..)| byte).collect();
    let mut clear = vec![false; length];
    for (&(_, at, _), part) in damaged.iter().zip(parts(&now)) {
        clear[at] |= is_clear(part);
    }
    clear
}

/// Splits and merges.
fn there_and_back(data: &[u8], piece: usize) -> Vec<u8> {
    let segments = split::segments(data, Selection::IntraBlocks, || piece).0;
    split::merge(&split::files(data, &segments, piece), piece).unwrap()
}

/// A composed stream in a container: its bytes, the size of its packets, where each byte of the video is.
fn contained(random: &mut Random, video: &[u8]) -> (Vec<u8>, usize, Vec<usize>) {
    match random.below(5) {
        0 => (video.to_vec(), 1, (0..video.len()).collect()),
        kind @ 1..=2 => {
            let data = streams::program_stream(random, video, kind == 1);
            let places = plain::program(&data).video.remove(0).1;
            (data, 1, places)
        }
        kind => {
            let size = [188, 204][kind - 3];
            let data = streams::transport_stream(random, video, size);
            let places = plain::transport(&data, size, &[VIDEO], &[]).video.remove(0).1;
            (data, size, places)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn intra_blocks_are_those_that_were_composed(seed: u64) {
        let stream = writer::stream(&mut Random(seed), 6);
        let said = parts(&stream.data);
        for at in 0..said.len() {
            prop_assert!(said[at] == stream.parts[at], "{} of {}: {:?} is said to be {:?}", at, said.len(), stream.parts[at], said[at]);
        }
    }

    #[test]
    fn intra_blocks_are_found_in_packets(seed: u64) {
        let random = &mut Random(seed);
        let stream = writer::stream(random, 6);
        let (data, _, places) = contained(random, &stream.data);
        let said = parts(&data);
        // Of a start code that begins in an earlier packet than it ends the first bytes may go with what is before it.
        let code = |at: usize| stream.slices.iter().any(|(slice, _)| (slice.start..slice.start + 3).contains(&at));
        let wrong = (0..places.len()).find(|&at| said[places[at]] != stream.parts[at] && !code(at));
        prop_assert_eq!(wrong, None);
    }

    #[test]
    fn intra_blocks_do_not_depend_on_the_chunking(seed: u64, damaged: bool) {
        let random = &mut Random(seed);
        let stream = writer::stream(random, 6);
        let (mut data, size, _) = contained(random, &stream.data);
        if damaged && data.len() > 2000 {
            data = damage::damage(random, &data, size, 6).into_iter().map(|(byte, ..)| byte).collect();
        }
        let most = [1, 3, 60, 700, 5000][random.below(5)];
        prop_assert!(parts_by(&data, || 1 + random.below(most)) == parts(&data));
        prop_assert!(there_and_back(&data, 777) == data);
    }

    /// Slices of anything: no panic, and what doesn't end as a slice has to is sealed.
    #[test]
    fn intra_blocks_of_noise(seed: u64) {
        let random = &mut Random(seed);
        let mut stream = writer::stream(random, 6);
        for (slice, _) in &stream.slices {
            let len = slice.len() - 4;
            let noise = random.coded(len);
            stream.data[slice.start + 4..slice.end].copy_from_slice(&noise);
        }
        let said = parts(&stream.data);
        let clear = stream.slices.iter().filter(|(slice, _)| is_clear(said[slice.end - 1])).count();
        // By chance a short one is valid.
        prop_assert!(clear * 4 <= stream.slices.len() + 12, "{} of {}", clear, stream.slices.len());
        prop_assert!(parts_by(&stream.data, || 1 + random.below(50)) == said);
    }
}

/// Longer slices than what can be held back are sealed from their first byte to their last.
#[test]
fn intra_blocks_are_sealed_where_slices_are_too_long() {
    // A picture of one row whose one macroblock is followed by stuffing, which MPEG-1 allows without end.
    let mut data = vec![0, 0, 1, 0xb3, 0x01, 0x00, 0x10, 0x13, 0xff, 0xff, 0xe0, 0x18];
    data.extend([0, 0, 1, 0, 0, 0x0f, 0xff, 0xf8, 0, 0, 1, 1, 0x4c, 0x55]);
    let p_picture = |stuffing: usize| {
        // Scale 1, no further information, stuffing, an increment of 1, "no vector, coded"...
        let mut bits = "00001".to_string() + "0";
        bits += &"00000001111".repeat(stuffing);
        bits += "1";
        bits += "001"; // a vector and nothing else,
        bits += "11"; // which is 0.
        while !bits.len().is_multiple_of(8) {
            bits.push('0');
        }
        let bytes =
            bits.as_bytes().chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | (bit & 1)));
        let mut out = vec![0, 0, 1, 0, 0, 0x17, 0xff, 0xf8, 0x80, 0, 0, 1, 1];
        out.extend(bytes);
        out
    };
    let (short, long) = (p_picture(1000), p_picture(60_000));
    let first = data.len();
    data.extend(&short);
    let second = data.len();
    data.extend(&long);
    data.extend(&short);
    let said = parts(&data);
    assert!(said[first..second].iter().all(|part| *part == Part::WithoutIntra));
    let slice = second + 9..second + long.len();
    assert!(said[slice.clone()].iter().all(|part| *part == Part::Undecided));
    assert!(said[slice.end..].iter().all(|part| *part == Part::WithoutIntra));
    for piece in [1, 1000, 5000] {
        assert!(parts_by(&data, || piece) == said, "by {piece}");
    }
}

/// Whatever happens to a stream: of slices that hold intra macroblocks no byte is in clear, but for those that were hit
/// themselves so that they are read as others.
#[test]
fn intra_blocks_are_never_in_clear_after_damage() {
    let (mut whole, mut hit, mut spilt, mut clear_before, mut clear_after) = (0, 0, 0, 0, 0);
    for seed in 0..3000 {
        let random = &mut Random(seed);
        let stream = writer::stream(random, 6);
        let (data, size, places) = contained(random, &stream.data);
        if data.len() < 2000 {
            continue;
        }
        let damaged = damage::damage(random, &data, size, 5);
        let arrived = damage::arrived(data.len(), &damaged);
        let clear = seen(data.len(), &damaged);
        for (slice, intra) in &stream.slices {
            let in_clear = slice.clone().filter(|&at| clear[places[at]]).count();
            if !intra {
                clear_before += slice.len();
                clear_after += in_clear;
                continue;
            }
            // A start code's zeros say nothing.
            if slice.clone().all(|at| arrived[places[at]] == Arrived::Whole) {
                whole += 1;
                assert!(in_clear <= 3, "{seed}: {in_clear} bytes of {slice:?} are in clear");
            } else {
                hit += 1;
                spilt += usize::from(in_clear > 3);
            }
        }
    }
    println!(
        "{whole} slices with intra macroblocks arrived whole, none in clear; {hit} were hit, {spilt} of them in clear \
         in part; of the others {clear_after} of {clear_before} bytes"
    );
    assert!(whole > 1000 && hit > 100 && clear_after > clear_before / 4);
}
