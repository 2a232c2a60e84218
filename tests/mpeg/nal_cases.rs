//! The cases of H.264 and HEVC that are easy to get wrong, one by one.
#![cfg(feature = "nal")]

use p2pgate::mpeg::{Class, Codec, Container, Part, Selection};

use super::cases::{order, runs};
use super::nal::{self, Bits, unit};
use super::streams::{self, Mux, PMT, Random};
use super::{parts, parts_by};

const SPS: [u8; 11] = [100, 0, 40, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x80];

fn sets() -> Vec<u8> {
    [unit(&[0x67], &SPS), unit(&[0x68], &Bits::default().number(0).number(0).put(5, 4).bytes())].concat()
}

/// A slice of H.264. `kind`: slice_type.
fn slice(header: u8, macroblock: u32, kind: u32, set: u32) -> Vec<u8> {
    let mut payload = Bits::default().number(macroblock).number(kind).number(set).bytes();
    payload.extend([0x5a; 40]);
    unit(&[header], &payload)
}

fn delimiter(kind: u32) -> Vec<u8> {
    unit(&[0x09], &Bits::default().put(kind, 3).bytes())
}

const P: u32 = 0;
const B: u32 = 1;
const I: u32 = 7;

#[test]
fn v10b_intra_is_by_slice_idr_or_not() {
    let data = [
        sets(),
        slice(0x65, 0, I, 0),
        slice(0x41, 0, P, 0),
        slice(0x41, 0, 2, 0),
        slice(0x41, 20, 2, 0),
        slice(0x01, 0, B, 0),
        // A P-picture with an I-slice.
        slice(0x41, 0, P, 0),
        slice(0x41, 20, 2, 0),
        slice(0x41, 40, P, 0),
    ];
    let (said, splitter) = parts_by(&data.concat(), || 7);
    use Part::{Bidirectional, Intra, Predicted};
    assert_eq!(order(&said), [Intra, Predicted, Intra, Bidirectional, Predicted, Intra, Predicted]);
    let counts = splitter.counts();
    assert_eq!([counts.i, counts.p, counts.b], [2, 2, 1]);
}

#[test]
fn v10b_fields_of_h264_complete_the_frame_of_an_i_field() {
    use Part::{Bidirectional as B, Intra as I, Predicted as P, SecondField as S};
    let sets = |fields| {
        let sequence = unit(&[0x67], &nal::avc_sequence(&mut Random(5), fields, 7));
        let set = |set| unit(&[0x68], &Bits::default().number(set).number(0).put(5, 4).bytes());
        [sequence, set(0), set(200)].concat()
    };
    // A picture: slice_type, of a frame or a field.
    let picture = |kind: u32, bottom: Option<bool>, set: u32| {
        let bits = Bits::default().number(0).number(kind).number(set);
        let bits = nal::avc_structure(bits, true, 7, bottom);
        let payload = [bits.bytes(), vec![0x5a; 40]].concat();
        unit(&[0x41], &payload)
    };
    let (top, bottom, frame) = (Some(false), Some(true), None);
    for (why, pictures, expected) in [
        ("pairs, top or bottom first", vec![(2, top), (0, bottom), (2, bottom), (0, top)], vec![I, S, I, S]),
        ("B", vec![(2, top), (1, bottom), (1, top)], vec![I, S, B]),
        ("two I-fields", vec![(2, top), (2, bottom), (0, top), (0, bottom)], vec![I, P]),
        ("without second field", vec![(2, top), (0, top), (0, bottom)], vec![I, P]),
        ("frames", vec![(2, frame), (0, frame), (0, top)], vec![I, P]),
        ("an I-frame, then fields", vec![(2, frame), (0, top), (0, bottom)], vec![I, P]),
        ("an I-field, then a frame", vec![(2, top), (0, frame), (0, bottom)], vec![I, P]),
    ] {
        let all: Vec<Vec<u8>> = pictures.iter().map(|&(kind, bottom)| picture(kind, bottom, 0)).collect();
        let data = [sets(true), picture(2, frame, 0), picture(0, frame, 0), all.concat()].concat();
        assert_eq!(order(&parts(&data)), [vec![I, P], expected].concat(), "{why}");
    }
    // Where it can't be told whether pictures are fields, what follows an I-picture may complete it.
    let unknown = unit(&[0x67], &[100, 0, 40]);
    let set = unit(&[0x68], &Bits::default().number(0).number(0).put(5, 4).bytes());
    let [first, second, third] = [2, 0, 0].map(|kind| picture(kind, frame, 0));
    let data = [unknown, set, first.clone(), second, third].concat();
    assert_eq!(order(&parts(&data)), [I, S, P]);
    let [second, third] = [0, 0].map(|kind| picture(kind, frame, 200));
    assert_eq!(order(&parts(&[sets(true), picture(2, top, 0), second, third].concat())), [I, S, P]);
    // A sequence that is said to be another has to be so twice.
    let data = [sets(true), first.clone(), picture(0, frame, 0), sets(false), first];
    let data = [data.concat(), picture(0, bottom, 0), picture(0, top, 0)].concat();
    assert_eq!(order(&parts(&data)), [I, P, I, S, P]);
}

#[test]
fn v10b_frames_of_pairs_of_macroblocks_are_one_picture_in_h264() {
    use Part::{Bidirectional as B, Intra as I, Predicted as P, SecondField as S};
    // MBAFF: slices count pairs of macroblocks, which may be of fields; their frame is one picture.
    let sequence = unit(&[0x67], &nal::avc_sequence(&mut Random(9), true, 7));
    let set = unit(&[0x68], &Bits::default().number(0).number(0).put(5, 4).bytes());
    let picture = |header: u8, kind: u32, bottom: Option<bool>| {
        let slices = [0, 20, 40].map(|pair| {
            let bits = Bits::default().number(pair).number(kind).number(0);
            let bits = nal::avc_structure(bits, true, 7, bottom);
            unit(&[header], &[bits.bytes(), vec![0x5a; 40]].concat())
        });
        slices.concat()
    };
    let frames = [(0x65, 7), (0x01, 1), (0x41, 0), (0x41, 2), (0x41, 0), (0x01, 6)];
    let frames = frames.map(|(header, kind)| picture(header, kind, None)).concat();
    // Pairs of fields in between, as interlaced recordings mix them.
    let fields = [picture(0x41, 2, Some(false)), picture(0x41, 0, Some(true)), picture(0x41, 0, None)];
    let data = [sequence, set, frames, fields.concat()].concat();
    let (said, splitter) = parts_by(&data, || data.len());
    assert_eq!(order(&said), [I, B, P, I, P, B, I, S, P]);
    let counts = splitter.counts();
    assert_eq!((counts.i, counts.p, counts.b), (3, 4, 2));
}

#[test]
fn v10b_fields_are_pictures_of_their_own_in_h264() {
    // An I-field, a P-field; each begins with macroblock 0.
    let data = [sets(), slice(0x65, 0, I, 0), slice(0x61, 0, P, 0), slice(0x61, 30, P, 0)].concat();
    let (said, splitter) = parts_by(&data, || data.len());
    assert_eq!(order(&said), [Part::Intra, Part::Predicted]);
    assert_eq!((splitter.counts().i, splitter.counts().p), (1, 1));
}

#[test]
fn v10b_predicted_slices_need_everything_to_agree() {
    let undecided = [
        ("no parameter set", vec![slice(0x41, 0, P, 3)]),
        ("an IDR picture has no P", vec![slice(0x65, 0, P, 0)]),
        ("announced as I", vec![delimiter(0), slice(0x41, 0, P, 0)]),
        ("announced as P", vec![delimiter(1), slice(0x41, 0, B, 0)]),
        ("no such type", vec![slice(0x41, 0, 10, 0)]),
        ("the first slice is missing", vec![slice(0x41, 40, P, 0)]),
        ("forbidden_zero_bit", vec![slice(0xc1, 0, P, 0)]),
        ("a data partition", vec![slice(0x42, 0, P, 0)]),
        ("another view", vec![slice(0x74, 0, P, 0)]),
        ("no unit of the standard", vec![slice(0x5e, 0, P, 0)]),
    ];
    for (why, units) in undecided {
        let data = [sets(), slice(0x65, 0, I, 0), units.concat(), slice(0x41, 0, P, 0)].concat();
        assert_eq!(order(&parts(&data)), [Part::Intra, Part::Undecided, Part::Predicted], "{why}");
    }
    for (why, second) in [
        ("not further on", slice(0x41, 20, P, 0)),
        ("another parameter set", slice(0x41, 40, P, 1)),
        ("no longer a reference", slice(0x01, 40, P, 0)),
        ("behind a delimiter", [delimiter(7), slice(0x41, 40, P, 0)].concat()),
    ] {
        let set = unit(&[0x68], &Bits::default().number(1).number(0).put(5, 4).bytes());
        let data = [sets(), set, slice(0x65, 0, I, 0), slice(0x41, 0, P, 0), slice(0x41, 20, P, 0), second];
        let data = [data.concat(), slice(0x41, 0, B, 0)].concat();
        let expected = [Part::Intra, Part::Predicted, Part::Undecided, Part::Bidirectional];
        assert_eq!(order(&parts(&data)), expected, "{why}");
    }
}

#[test]
fn v10b_units_without_slice_go_with_the_slice_after_or_before() {
    let sei = |len: usize| unit(&[0x06], &vec![0x11; len]);
    let first = [delimiter(0), sets(), sei(50), slice(0x65, 0, I, 0), unit(&[0x0c], &[0xff; 3000])].concat();
    let second =
        [delimiter(1), sei(9), unit(&[0x6e], &[1, 2, 3]), slice(0x41, 0, P, 0), vec![0; 50_000]].concat();
    let third = [delimiter(7), slice(0x41, 0, B, 0), unit(&[0x0a], &[]), unit(&[0x0b], &[])].concat();
    let data = [&first[..], &second, &third].concat();
    let expected =
        [(Part::Intra, first.len()), (Part::Predicted, second.len()), (Part::Bidirectional, third.len())];
    assert_eq!(runs(&parts(&data)), expected);
    assert_eq!(runs(&parts_by(&data, || 1).0), expected);
    let long = [sets(), slice(0x65, 0, I, 0), sei(5000), slice(0x41, 0, P, 0)].concat();
    assert_eq!(order(&parts(&long)), [Part::Intra, Part::Undecided, Part::Predicted]);
}

#[test]
fn v10b_no_single_wrong_bit_of_a_delimited_i_slice_or_its_header_makes_it_anything_else() {
    let before = [sets(), slice(0x65, 0, I, 0), delimiter(1), slice(0x41, 0, P, 0)].concat();
    for header in [0x65, 0x41] {
        let intra = slice(header, 0, I, 0);
        let data = [before.clone(), delimiter(0), intra.clone(), delimiter(2), slice(0x01, 0, B, 0)].concat();
        let start = before.len() + delimiter(0).len();
        for bit in 0..8 * 8 {
            let mut data = data.clone();
            data[start + bit / 8] ^= 0x80 >> (bit % 8);
            let slice = &parts(&data)[start + 12..start + intra.len()];
            let sealed = slice.iter().all(|part| part.class(Selection::Intra, false) == Class::Sealed);
            assert!(sealed, "{header:#x}, bit {bit}: {slice:?}");
        }
    }
}

#[test]
fn v10b_a_parameter_set_of_hevc_that_changes_has_to_come_twice() {
    let set = |extra: u32| {
        unit(&[0x44, 0x01], &Bits::default().number(0).number(3).put(0, 2).put(extra, 3).put(5, 5).bytes())
    };
    let slice = |header: u8, kind: u32, extra: u32| {
        let bits = Bits::default().put(1, 1).put(0, if header == 0x28 { 1 } else { 0 });
        let mut payload = bits.number(0).put(0, extra).number(kind).bytes();
        payload.extend([0x5a; 40]);
        unit(&[header, 0x01], &payload)
    };
    let vps = unit(&[0x40, 0x01], &[0x0c, 0x01, 0xff, 0xff, 0x01, 0x60]);
    let sequence = unit(&[0x42, 0x01], &nal::hevc_sequence(&mut Random(1), false, 64, 64).0);
    let data = [
        [vps, sequence, set(0), slice(0x28, 2, 0), slice(0x02, 1, 0)].concat(),
        // In the second slice, the first of the two bits would be taken for the whole type.
        [set(1), slice(0x02, 2, 0), slice(0x02, 1, 1), set(1), slice(0x02, 0, 1)].concat(),
    ];
    use Part::{Bidirectional, Intra, Predicted, Undecided};
    assert_eq!(order(&parts(&data.concat())), [Intra, Predicted, Undecided, Bidirectional]);
}

#[test]
fn v10b_files_cut_at_their_head_are_known() {
    for codec in [Codec::H264, Codec::Hevc] {
        let stream = nal::stream(&mut Random(3), codec, 60);
        let data = stream.data();
        let sets = if codec == Codec::Hevc { 0x40 } else { 0x67 };
        let second = stream.units.iter().enumerate().filter(|(_, unit)| unit.bytes[3] == sets).nth(1);
        let length = |count: usize| stream.units[..count].iter().map(|unit| unit.bytes.len()).sum::<usize>();
        let second = length(second.unwrap().0);
        let cut = stream.units[0].bytes.len() + 50;
        let (said, splitter) = parts_by(&data[cut..], || 700);
        assert_eq!((splitter.container(), splitter.codec()), (Container::Es, codec));
        if codec == Codec::H264 {
            assert!(said[..second - cut].iter().all(|&part| part == Part::Undecided));
        }
        assert!(said.ends_with(&stream.parts()[data.len() - 50..]));
        // Slices of MPEG-2 look like the names of parameter sets, but not like parameter sets.
        let tall = [streams::header(streams::Syntax::Mpeg2, 1, 3), streams::slices(&mut Random(3), 110, 60)]
            .concat();
        assert_eq!(parts_by(&tall[30..], || 700).1.container(), Container::Unknown);
    }
}

#[test]
fn v10b_each_video_of_a_transport_stream_is_split_on_its_own() {
    let mut mux = Mux::new(188);
    mux.section(0, &streams::pat(&[(1, PMT), (2, PMT + 1)]));
    mux.section(PMT, &streams::pmt(1, &[(2, 0x100, &[]), (0x1b, 0x101, &[])]));
    mux.section(PMT + 1, &streams::pmt(2, &[(0x24, 0x102, &[]), (0x1b, 0x103, &[]), (2, 0x104, &[])]));
    let random = &mut Random(77);
    let avc = [nal::avc(random, 9), nal::avc(random, 9)];
    let hevc = nal::hevc(random, 9);
    let mpeg = [0, 1].map(|_| streams::video(random, streams::Syntax::Mpeg2, 9));
    let videos = [
        (0x100, mpeg[0].clone(), super::plain::elementary(&mpeg[0])),
        (0x101, avc[0].data(), avc[0].parts()),
        (0x102, hevc.data(), hevc.parts()),
        (0x103, avc[1].data(), avc[1].parts()),
        (0x104, mpeg[1].clone(), super::plain::elementary(&mpeg[1])),
    ];
    // One PES packet each, taken in turns, packet by packet.
    let packets: Vec<Vec<Vec<u8>>> = videos
        .iter()
        .map(|(pid, data, _)| {
            let mut own = Mux::new(188);
            own.pes(*pid, 0xe0, data);
            own.out.chunks(188).map(<[u8]>::to_vec).collect()
        })
        .collect();
    for turn in 0..packets.iter().map(Vec::len).max().unwrap() {
        packets.iter().filter_map(|own| own.get(turn)).for_each(|packet| mux.out.extend(packet));
    }
    let (said, splitter) = parts_by(&mux.out, || 5000);
    let layout = super::plain::transport(&mux.out, 188, &[0x100, 0x101, 0x102, 0x103, 0x104], &[]);
    for (pid, places) in &layout.video {
        let expected = &videos.iter().find(|(video, ..)| video == pid).unwrap().2;
        let differ = places.iter().zip(expected).filter(|(at, part)| said[**at] != **part).count();
        // A start code over two packets waits for a turn of the others.
        assert!(differ <= expected.len() / 50, "{differ} of {} of {pid:#x}", expected.len());
    }
    let counts = splitter.counts();
    assert_eq!(counts.i + counts.p + counts.b, 45);
}

/// `video` in packets of a program stream, `map` behind the first pack.
fn packets(video: &[u8], map: &[u8], length: usize) -> Vec<u8> {
    let packets = video.chunks(length).map(|bytes| streams::pes(0xe0, bytes, false)).collect::<Vec<_>>();
    [streams::pack(false), map.to_vec(), packets.concat(), vec![0, 0, 1, 0xb9]].concat()
}

#[test]
fn v10b_program_streams_without_a_map_are_known_by_their_parameter_sets() {
    for codec in [Codec::H264, Codec::Hevc] {
        let stream = nal::stream(&mut Random(3), codec, 60);
        let video = stream.data();
        for length in [400, 2020, 40_000] {
            let data = packets(&video, &[], length);
            let (said, splitter) = parts_by(&data, || 999);
            let layout = super::plain::program(&data);
            super::plain::check_as(&said, &layout, |places| super::in_packets(&stream, &said, places));
            assert_eq!((splitter.container(), splitter.codec()), (Container::Ps, codec));
        }
        // A recording that begins in the middle of a picture is undecided until the next of them.
        let data = packets(&video[500..], &[], 2020);
        let said = parts_by(&data, || 999).0;
        assert!(said[..300].iter().all(|&part| part == Part::Undecided));
        let there = said.iter().filter(|&&part| part == Part::Predicted).count();
        let all = stream.parts().iter().filter(|&&part| part == Part::Predicted).count();
        assert!(there > all / 3, "{there} of {all}");
    }
}

#[test]
fn v10b_what_a_map_says_counts_only_if_it_is_whole_and_applies() {
    let stream = nal::avc(&mut Random(3), 20);
    let video = stream.data();
    let clear = |map: &[u8]| {
        let data = packets(&video, map, 2020);
        parts(&data).iter().filter(|part| matches!(part, Part::Predicted | Part::Bidirectional)).count()
    };
    let good = streams::map(&[(0x0f, 0xc0), (0x1b, 0xe0)]);
    assert!(clear(&good) > 1000);
    // HEVC's headers are none of H.264's, MPEG-2's start codes neither; another coding can't be split.
    for kind in [0x24, 0x02, 0x10, 0xea] {
        assert_eq!(clear(&streams::map(&[(0x0f, 0xc0), (kind, 0xe0)])), 0, "{kind:#x}");
    }
    // These count as none, so that the parameter sets say it.
    for bit in 8 * 6..8 * good.len() {
        let mut map = streams::map(&[(0x24, 0xe0)]);
        if bit / 8 < map.len() {
            map[bit / 8] ^= 1 << (bit % 8);
            assert!(clear(&map) > 1000, "bit {bit}");
        }
    }
    let mpeg = streams::video(&mut Random(4), streams::Syntax::Mpeg2, 20);
    for (kind, splits) in [(0x02, true), (0x01, true), (0x1b, false), (0x10, false)] {
        let data = packets(&mpeg, &streams::map(&[(kind, 0xe0)]), 2020);
        let clear = parts(&data).iter().any(|part| matches!(part, Part::Predicted | Part::Bidirectional));
        assert_eq!(clear, splits, "{kind:#x}");
    }
}

#[test]
fn v10b_programs_that_disagree_on_a_video_leave_it_undecided() {
    let mut mux = Mux::new(188);
    mux.section(0, &streams::pat(&[(1, PMT), (2, PMT + 1)]));
    mux.section(PMT, &streams::pmt(1, &[(2, 0x100, &[])]));
    mux.section(PMT + 1, &streams::pmt(2, &[(0x1b, 0x100, &[])]));
    let start = mux.out.len();
    mux.pes(0x100, 0xe0, &streams::video(&mut Random(1), streams::Syntax::Mpeg2, 9));
    assert!(parts(&mux.out)[start..].iter().all(|&part| part == Part::Undecided));
}
