//! The splitter and the merger (row V10b) on streams made here.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "mpeg/cases.rs"]
mod cases;
#[path = "mpeg/damage.rs"]
mod damage;
#[path = "mpeg/edges.rs"]
mod edges;
#[cfg_attr(not(feature = "nal"), allow(dead_code))]
#[path = "mpeg/nal.rs"]
mod nal;
#[path = "mpeg/nal_cases.rs"]
mod nal_cases;
#[path = "mpeg/plain.rs"]
mod plain;
#[path = "mpeg/split.rs"]
mod split;
#[path = "mpeg/streams.rs"]
mod streams;

use std::collections::HashSet;

use p2pgate::mpeg::{Class, Codec, Container, Part, Selection, Span, Splitter};
use proptest::prelude::*;

use self::damage::Arrived;
use self::split::merge;
use self::streams::{AUDIO, PMT, Random, Syntax, VIDEO};

/// What the splitter says of each byte when `data` comes in pieces, whose sizes `piece` gives.
fn parts_by(data: &[u8], piece: impl FnMut() -> usize) -> (Vec<Part>, Splitter) {
    split::parts(data, Selection::Intra, piece)
}

fn parts(data: &[u8]) -> Vec<Part> {
    parts_by(data, || data.len()).0
}

fn segments(data: &[u8], selection: Selection, piece: usize) -> Vec<Span> {
    split::segments(data, selection, || piece).0
}

/// The two files of a split recording.
fn files(data: &[u8], piece: usize) -> [Vec<u8>; 2] {
    split::files(data, &segments(data, Selection::Intra, piece), piece)
}

/// A stream of any container.
struct Any {
    data: Vec<u8>,
    /// The size of its packets if they have one, else 1.
    size: usize,
    /// The pictures or slices that are I: the places of their bytes, headers of packets left out.
    intra: Vec<Intra>,
    /// The places of parameter sets.
    sets: Vec<usize>,
}

struct Intra {
    places: Vec<usize>,
    /// How many of the bytes have to arrive to know them as I.
    head: usize,
}

fn any_stream(seed: u64) -> Any {
    let random = &mut Random(seed);
    let codecs = [Codec::Mpeg1, Codec::Mpeg2, Codec::H264, Codec::Hevc];
    let codec = codecs[random.below(if cfg!(feature = "nal") { 4 } else { 2 })];
    if let Codec::H264 | Codec::Hevc = codec {
        return any_nal(random, codec);
    }
    let syntax = if codec == Codec::Mpeg1 { Syntax::Mpeg1 } else { Syntax::Mpeg2 };
    let video = streams::video(random, syntax, 12);
    let (data, size) = match random.below(6) {
        0 => (video, 1),
        1 => (streams::program_stream(random, &video, true), 1),
        2 => (streams::program_stream(random, &video, false), 1),
        3 => (streams::transport_stream(random, &video, 188), 188),
        4 => (streams::transport_stream(random, &video, 192), 192),
        _ => (streams::transport_stream(random, &video, 204), 204),
    };
    let intra = intra_pictures(&data, size);
    Any { data, size, intra, sets: Vec::new() }
}

fn any_nal(random: &mut Random, codec: Codec) -> Any {
    let stream = nal::stream(random, codec, 12);
    let kind = stream_type(codec);
    let (data, size) = match random.below(6) {
        0 => (stream.data(), 1),
        1 => (streams::program_stream_of(random, &stream.data(), false, &[(kind, 0xe0)]), 1),
        2 => (streams::program_stream(random, &stream.data(), false), 1),
        more => {
            let size = [188, 192, 204][more - 3];
            (streams::transport_stream_of(random, &stream.data(), size, kind), size)
        }
    };
    let places = match size {
        1 if data[3] == 0xba => plain::program(&data).video.remove(0).1,
        1 => (0..data.len()).collect(),
        _ => plain::transport(&data, size, &[VIDEO], &[]).video.remove(0).1,
    };
    let (mut intra, mut sets, mut start) = (Vec::new(), Vec::new(), 0);
    for unit in &stream.units {
        let places = &places[start..start + unit.bytes.len()];
        match unit.bytes[3] {
            _ if unit.slice && unit.part == Part::Intra => {
                intra.push(Intra { places: places.to_vec(), head: places.len().min(14) });
            }
            0x67 | 0x68 | 0x42 | 0x44 => sets.extend(places),
            _ => {}
        }
        start += unit.bytes.len();
    }
    Any { data, size, intra, sets }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn v10b_elementary_streams_as_the_plain_parser_has_them(seed: u64, mpeg1: bool) {
        let syntax = if mpeg1 { Syntax::Mpeg1 } else { Syntax::Mpeg2 };
        let video = streams::video(&mut Random(seed), syntax, 20);
        let (said, splitter) = parts_by(&video, || video.len());
        prop_assert!(said == plain::elementary(&video));
        prop_assert_eq!(splitter.container(), Container::Es);
        prop_assert_eq!(splitter.codec(), if mpeg1 { Codec::Mpeg1 } else { Codec::Mpeg2 });
        let counts = splitter.counts();
        prop_assert_eq!(counts.i + counts.p + counts.b, 20);
    }

    #[test]
    fn v10b_program_streams_as_the_plain_parser_has_them(seed: u64, mpeg1: bool, packs1: bool) {
        let random = &mut Random(seed);
        let video = streams::video(random, if mpeg1 { Syntax::Mpeg1 } else { Syntax::Mpeg2 }, 20);
        let data = streams::program_stream(random, &video, packs1);
        let (said, splitter) = parts_by(&data, || data.len());
        plain::check(&data, &said, &plain::program(&data));
        prop_assert_eq!(splitter.container(), Container::Ps);
    }

    #[test]
    fn v10b_transport_streams_as_the_plain_parser_has_them(seed: u64, size in prop::sample::select(vec![188, 192, 204])) {
        let random = &mut Random(seed);
        let video = streams::video(random, Syntax::Mpeg2, 20);
        let data = streams::transport_stream(random, &video, size);
        let (said, splitter) = parts_by(&data, || data.len());
        plain::check(&data, &said, &plain::transport(&data, size, &[VIDEO], &[AUDIO, 0x1fff, 0, PMT]));
        prop_assert_eq!(splitter.container(), Container::Ts);
        prop_assert_eq!(splitter.packet_size(), Some(size as u8));
    }

    #[test]
    #[cfg(feature = "nal")]
    fn v10b_h264_and_hevc_as_the_one_who_made_them_knows(seed: u64, hevc: bool) {
        let codec = if hevc { Codec::Hevc } else { Codec::H264 };
        let stream = nal::stream(&mut Random(seed), codec, 20);
        let data = stream.data();
        let (said, splitter) = parts_by(&data, || data.len());
        prop_assert!(said == stream.parts());
        let counts = splitter.counts();
        prop_assert_eq!([counts.i, counts.p, counts.b], stream.pictures);
        prop_assert_eq!((splitter.container(), splitter.codec()), (Container::Es, codec));
    }

    #[test]
    #[cfg(feature = "nal")]
    fn v10b_h264_and_hevc_in_transport_streams(seed: u64, hevc: bool, size in prop::sample::select(vec![188, 192, 204])) {
        let random = &mut Random(seed);
        let codec = if hevc { Codec::Hevc } else { Codec::H264 };
        let stream = nal::stream(random, codec, 20);
        let data = streams::transport_stream_of(random, &stream.data(), size, if hevc { 0x24 } else { 0x1b });
        let (said, splitter) = parts_by(&data, || data.len());
        let layout = plain::transport(&data, size, &[VIDEO], &[AUDIO, 0x1fff, 0, PMT]);
        plain::check_as(&said, &layout, |places| in_packets(&stream, &said, places));
        let counts = splitter.counts();
        prop_assert_eq!([counts.i, counts.p, counts.b], stream.pictures);
        prop_assert_eq!((splitter.container(), splitter.codec()), (Container::Ts, codec));
    }

    #[test]
    #[cfg(feature = "nal")]
    fn v10b_h264_and_hevc_in_program_streams(seed: u64, hevc: bool, mpeg1: bool) {
        let random = &mut Random(seed);
        let codec = if hevc { Codec::Hevc } else { Codec::H264 };
        let stream = nal::stream(random, codec, 20);
        let data = streams::program_stream_of(random, &stream.data(), mpeg1, &[(stream_type(codec), 0xe0)]);
        let (said, splitter) = parts_by(&data, || data.len());
        plain::check_as(&said, &plain::program(&data), |places| in_packets(&stream, &said, places));
        let counts = splitter.counts();
        prop_assert_eq!([counts.i, counts.p, counts.b], stream.pictures);
        prop_assert_eq!((splitter.container(), splitter.codec()), (Container::Ps, codec));
    }

    #[test]
    fn v10b_segments_do_not_depend_on_the_chunking(seed: u64) {
        let data = any_stream(seed).data;
        let whole = parts(&data);
        let random = &mut Random(seed);
        let most = [1, 3, 60, 700, 5000][random.below(5)];
        prop_assert!(parts_by(&data, || 1 + random.below(most)).0 == whole);
    }

    #[test]
    fn v10b_damaged_streams_do_not_depend_on_the_chunking(seed: u64) {
        let random = &mut Random(seed);
        let Any { data, size, .. } = any_stream(seed);
        let data = damage::damage(random, &data, size, 5).into_iter().map(|(byte, ..)| byte).collect::<Vec<u8>>();
        let whole = parts(&data);
        let most = [1, 3, 60, 700, 5000][random.below(5)];
        prop_assert!(parts_by(&data, || 1 + random.below(most)).0 == whole);
        let files = files(&data, 777);
        prop_assert!(merge(&files, 50).unwrap() == data);
    }

    #[test]
    fn v10b_any_bytes_are_split_and_merged(data in prop::collection::vec(any::<u8>(), 0..9000), piece in 1..5000usize) {
        let files = files(&data, piece);
        prop_assert_eq!(merge(&files, piece).unwrap(), data);
    }

    #[test]
    fn v10b_start_codes_anywhere_do_no_harm(codes in prop::collection::vec((any::<u8>(), 0..40usize), 0..400), seed: u64) {
        let random = &mut Random(seed);
        let mut data = streams::pack(false);
        for (code, len) in codes {
            data.extend([0, 0, 1, if random.one_in(3) { [0, 0xb3, 0xb8, 0xe0, 0xba, 0xc0, 1][random.below(7)] } else { code }]);
            data.extend((0..len).map(|_| random.next() as u8 & random.next() as u8));
        }
        let whole = parts(&data);
        let by = parts_by(&data, || 1 + random.below(90)).0;
        prop_assert!(by == whole);
    }
}

fn stream_type(codec: Codec) -> u8 {
    if codec == Codec::Hevc { 0x24 } else { 0x1b }
}

/// What the bytes of `stream` are in packets, in which they have these `places`.
#[cfg(feature = "nal")]
fn in_packets(stream: &nal::Stream, said: &[Part], places: &[usize]) -> Vec<Part> {
    let mut parts = stream.parts();
    let mut start = 0;
    for units in stream.units.windows(2) {
        start += units[0].bytes.len();
        // A start code over two packets goes with the slice before it where that is so short that only its end tells
        // its type.
        for at in start..start + 3 {
            parts[at] = if said[places[at]] == units[0].part { units[0].part } else { parts[at] };
        }
    }
    parts
}

/// The I-pictures of an undamaged stream of MPEG-1 or MPEG-2.
fn intra_pictures(data: &[u8], size: usize) -> Vec<Intra> {
    let layout = match (size, data[3]) {
        (1, 0xba) => plain::program(data),
        (1, _) => plain::Layout { video: vec![(0, (0..data.len()).collect())], other: Vec::new() },
        _ => plain::transport(data, size, &[VIDEO], &[]),
    };
    let mut pictures: Vec<Vec<usize>> = Vec::new();
    for (_, places) in layout.video {
        let bytes: Vec<u8> = places.iter().map(|&at| data[at]).collect();
        let parts = plain::elementary(&bytes);
        for at in (0..parts.len()).filter(|&at| parts[at] == Part::Intra) {
            if at == 0 || parts[at - 1] != Part::Intra {
                pictures.push(Vec::new());
            }
            pictures.last_mut().unwrap().push(places[at]);
        }
    }
    let slice = |places: &[usize]| {
        let mut starts = places.windows(4);
        starts.position(|at| [0, 1, 2, 3].map(|i| data[at[i]]) == [0, 0, 1, 1]).unwrap() + 4
    };
    pictures.into_iter().map(|places| Intra { head: slice(&places), places }).collect()
}

const SEEDS: u64 = 6000;

/// Of an I-picture (in H.264 and HEVC: slice) whose start code and headers arrive, no byte travels in clear, whatever
/// happens around them.
#[test]
fn v10b_damage_never_puts_an_i_picture_into_rest() {
    let (mut whole, mut beheaded, mut spilt) = (0, 0, 0);
    let (mut renamed, mut misread) = (0, 0);
    for seed in 0..SEEDS {
        let stream = any_stream(seed);
        let damaged = damage::damage(&mut Random(!seed), &stream.data, stream.size, 5);
        let data: Vec<u8> = damaged.iter().map(|&(byte, ..)| byte).collect();
        let said = parts(&data);
        let arrived = damage::arrived(stream.data.len(), &damaged);
        let there = |at: usize| arrived[at] == Arrived::Whole;
        let clear =
            damaged.iter().zip(&said).filter(|(_, said)| said.class(Selection::Intra, false) == Class::Rest);
        let clear: HashSet<usize> = clear.map(|(&(_, at, _), _)| at).collect();
        // A wrong bit in a packet's stream_id makes video sound, which no one can tell before the next start code.
        let original = &stream.data;
        let named = stream.size > 1
            || (3..original.len()).all(|at| there(at) || !original[..=at].ends_with(&[0, 0, 1, 0xe0]));
        // Where the type is in a slice's header, a parameter set says.
        let readable = stream.sets.iter().all(|at| there(*at));
        for Intra { places, head } in &stream.intra {
            // The zeros and the one that it begins with say nothing.
            let in_clear = places[3..].iter().filter(|at| clear.contains(at)).count();
            if !named {
                renamed += usize::from(in_clear > 0);
            } else if !places[..*head].iter().all(|at| there(*at)) {
                beheaded += 1;
                spilt += usize::from(in_clear > 0);
            } else if !readable {
                misread += usize::from(in_clear > 0);
            } else {
                whole += 1;
                assert!(
                    in_clear == 0,
                    "seed {seed}: {in_clear} bytes of the I-picture at {} are in clear",
                    places[0]
                );
            }
        }
    }
    println!(
        "{whole} I-pictures with their head, none in clear; {beheaded} without, {spilt} of them in clear in part, \
         {renamed} by a wrong stream_id, {misread} by a wrong parameter set"
    );
    // Streams of slices have more of them.
    let least = if cfg!(feature = "nal") { 16_000 } else { 8000 };
    assert!(whole > least && beheaded > 1000 && renamed < 20 && misread < 20);
}
