//! D-pictures, and two videos in one file.

use p2pgate::mpeg::Part;
use proptest::prelude::*;

use super::damage::{self, Arrived};
use super::streams::{self, FRAME, Mux, PMT, Random, Syntax, VIDEO};
use super::writer::{self, Stream};
use super::{parts, parts_by, plain, seen, there_and_back};

/// Far from [`VIDEO`]: no single bit makes the one the other.
const SECOND: u16 = 0x1e3;

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// They are sealed, those that MPEG-2 doesn't have too, and nothing else becomes anything else by them.
    #[test]
    fn intra_blocks_with_d_pictures_among_the_others(seed: u64, extended: bool) {
        let random = &mut Random(seed);
        let stream = writer::stream(random, 6);
        let syntax = if extended { Syntax::Mpeg2 } else { Syntax::Mpeg1 };
        let (mut data, mut expected, mut from) = (Vec::new(), Vec::new(), 0);
        let starts = (1..stream.data.len()).filter(|&at| stream.data[at..].starts_with(&[0, 0, 1, 0]));
        for at in starts.skip(1).collect::<Vec<_>>() {
            data.extend(&stream.data[from..at]);
            expected.extend(stream.parts[from..at].iter().map(|&part| Some(part)));
            from = at;
            for _ in 0..random.below(3) {
                data.extend(streams::header(syntax, 4, FRAME));
                data.extend(streams::slices(random, 3, 50));
            }
            expected.resize(data.len(), None);
        }
        data.extend(&stream.data[from..]);
        expected.extend(stream.parts[from..].iter().map(|&part| Some(part)));
        let said = parts(&data);
        for (at, (said, expected)) in said.iter().zip(&expected).enumerate() {
            match expected {
                Some(expected) => prop_assert_eq!(said, expected, "{} of {}", at, data.len()),
                None => prop_assert!(matches!(said, Part::DcOnly | Part::Undecided), "{}: {:?}", at, said),
            }
        }
        prop_assert!(parts_by(&data, || 1 + random.below(60)) == said);
        prop_assert!(there_and_back(&data, 777) == data);
    }

    /// What interrupts a slice for too long may leave it undecided, and makes it nothing else.
    #[test]
    fn intra_blocks_of_two_videos_in_one_file(seed: u64) {
        let random = &mut Random(seed);
        let both = [writer::stream(random, 6), writer::stream(random, 6)];
        let file = File::new(random, &both);
        let said = parts(&file.data);
        let (mut known, mut total) = (0, 0);
        for (stream, places) in both.iter().zip(&file.places) {
            prop_assert_eq!(stream.data.len(), places.len());
            let code = |at: usize| stream.slices.iter().any(|(slice, _)| (slice.start..slice.start + 3).contains(&at));
            for (at, (&place, &part)) in places.iter().zip(&stream.parts).enumerate() {
                let right = said[place] == part;
                prop_assert!(right || said[place] == Part::Undecided || code(at), "{} is said to be {:?}", at, said[place]);
                (known, total) = (known + usize::from(right), total + 1);
            }
        }
        prop_assert!(known * 4 > total * 3, "{} of {} bytes are known", known, total);
        prop_assert!(parts_by(&file.data, || 1 + random.below(700)) == said);
        prop_assert!(there_and_back(&file.data, 777) == file.data);
    }
}

struct File {
    data: Vec<u8>,
    /// Of its packets, or 1.
    size: usize,
    /// Where each byte of each video is.
    places: [Vec<usize>; 2],
}

impl File {
    /// A program or transport stream, its videos of one program or two, whose packets lie among each other.
    fn new(random: &mut Random, videos: &[Stream; 2]) -> Self {
        let mut left = [0, 1].map(|id| &videos[id].data[..]);
        if random.one_in(2) {
            let mpeg1 = random.one_in(2);
            let mut data = streams::pack(mpeg1);
            while let Some(id) = next(random, &left) {
                let bytes = left[id].split_off(..random.below(900).min(left[id].len())).unwrap();
                data.extend(streams::pes(0xe0 + id as u8, bytes, mpeg1));
                data.extend(if random.one_in(6) { streams::pack(mpeg1) } else { Vec::new() });
            }
            data.extend([0, 0, 1, 0xb9]);
            let layout = plain::program(&data);
            return Self { places: places(layout, [0xe0, 0xe1]), size: 1, data };
        }
        let size = [188, 192, 204][random.below(3)];
        let mut mux = Mux::new(size);
        if random.one_in(2) {
            mux.section(0, &streams::pat(&[(1, PMT)]));
            mux.section(PMT, &streams::pmt(1, &[(2, VIDEO, &[]), (2, SECOND, &[])]));
        } else {
            mux.section(0, &streams::pat(&[(1, PMT), (2, PMT + 1)]));
            mux.section(PMT, &streams::pmt(1, &[(2, VIDEO, &[])]));
            mux.section(PMT + 1, &streams::pmt(2, &[(2, SECOND, &[])]));
        }
        let mut packets = [Vec::new(), Vec::new()];
        while let Some(id) = next(random, &[0, 1].map(|id| [&packets[id], left[id]].concat())) {
            let starts = packets[id].is_empty();
            if starts {
                let bytes = left[id].split_off(..(1 + random.below(1500)).min(left[id].len())).unwrap();
                packets[id] = [&[0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0], bytes].concat();
            }
            let taken = mux.packet([VIDEO, SECOND][id], &packets[id], starts, 184);
            packets[id].drain(..taken);
        }
        let layout = plain::transport(&mux.out, size, &[VIDEO, SECOND], &[]);
        Self { places: places(layout, [VIDEO, SECOND]), size, data: mux.out }
    }
}

/// One of those that are not at their ends.
fn next(random: &mut Random, left: &[impl AsRef<[u8]>; 2]) -> Option<usize> {
    match left.each_ref().map(|left| left.as_ref().is_empty()) {
        [true, true] => None,
        [false, false] => Some(random.below(2)),
        [first, _] => Some(usize::from(first)),
    }
}

fn places(mut layout: plain::Layout, ids: [u16; 2]) -> [Vec<usize>; 2] {
    ids.map(|id| {
        let at = layout.video.iter().position(|(other, _)| *other == id).unwrap();
        layout.video.swap_remove(at).1
    })
}

/// As of one video: of what arrives whole and has to be sealed, no byte is in clear.
#[test]
fn intra_blocks_of_two_videos_are_never_in_clear_after_damage() {
    let (mut whole, mut hit, mut clear_before, mut clear_after) = (0, 0, 0, 0);
    for seed in 0..1500 {
        let random = &mut Random(seed);
        let both = [writer::stream(random, 6), writer::stream(random, 6)];
        let File { data, size, places } = File::new(random, &both);
        if data.len() < 2000 {
            continue;
        }
        let damaged = damage::damage(random, &data, size, 5);
        let arrived = damage::arrived(data.len(), &damaged);
        let clear = seen(data.len(), &damaged);
        for (stream, places) in both.iter().zip(&places) {
            for (slice, intra) in &stream.slices {
                let in_clear = slice.clone().filter(|&at| clear[places[at]]).count();
                if !intra {
                    clear_before += slice.len();
                    clear_after += in_clear;
                } else if slice.clone().all(|at| arrived[places[at]] == Arrived::Whole) {
                    whole += 1;
                    assert!(in_clear <= 3, "{seed}: {in_clear} bytes of {slice:?} are in clear");
                } else {
                    hit += 1;
                }
            }
        }
    }
    println!(
        "{whole} slices with intra macroblocks arrived whole, none in clear; {hit} were hit; of the others \
         {clear_after} of {clear_before} bytes are in clear"
    );
    assert!(whole > 1000 && hit > 100 && clear_after > clear_before / 8);
}
