//! The cases that are easy to get wrong, one by one.

use p2pgate::mpeg::{Class, Codec, Container, MergeError, Part, SegmentWriter, Selection, Splitter};

use super::streams::{self, AUDIO, FRAME, Mux, PMT, Random, Syntax, VIDEO};
use super::{files, merge, parts, parts_by, segments};

/// A picture with three slices.
fn picture(syntax: Syntax, kind: u8, structure: u8) -> Vec<u8> {
    let mut out = streams::header(syntax, kind, structure);
    out.extend(streams::slices(&mut Random(kind.into()), 3, 50));
    out
}

/// The parts that follow each other, and their lengths.
pub fn runs(parts: &[Part]) -> Vec<(Part, usize)> {
    let mut runs: Vec<(Part, usize)> = Vec::new();
    for &part in parts {
        match runs.last_mut() {
            Some((back, len)) if *back == part => *len += 1,
            _ => runs.push((part, 1)),
        }
    }
    runs
}

pub fn order(parts: &[Part]) -> Vec<Part> {
    runs(parts).into_iter().map(|(part, _)| part).collect()
}

#[test]
fn v10b_headers_go_with_the_next_picture_and_a_sequence_end_with_the_one_before() {
    for syntax in [Syntax::Mpeg1, Syntax::Mpeg2] {
        let first =
            [streams::sequence(syntax), streams::user_data(9), streams::group(), picture(syntax, 1, FRAME)]
                .concat();
        let second = [picture(syntax, 2, FRAME), vec![0; 50_000]].concat();
        let third = [streams::group(), picture(syntax, 3, FRAME), vec![0, 0, 1, 0xb7]].concat();
        let fourth = [streams::sequence(syntax), picture(syntax, 1, FRAME)].concat();
        let data = [&first[..], &second, &third, &fourth].concat();
        let expected = [
            (Part::Intra, first.len()),
            (Part::Predicted, second.len()),
            (Part::Bidirectional, third.len()),
            (Part::Intra, fourth.len()),
        ];
        assert_eq!(runs(&parts(&data)), expected);
        assert_eq!(runs(&parts_by(&data, || 1).0), expected);
    }
}

#[test]
fn v10b_each_field_goes_by_its_own_type_unless_the_selection_keeps_the_pair() {
    let fields = [(1, 1), (2, 2), (2, 1), (2, 2), (1, 2), (2, 1), (3, 1), (3, 2), (1, 1), (1, 2)];
    let mut data = streams::sequence(Syntax::Mpeg2);
    for (kind, structure) in fields {
        data.extend(picture(Syntax::Mpeg2, kind, structure));
    }
    use Part::{Bidirectional, Intra, Predicted, SecondField};
    assert_eq!(
        order(&parts(&data)),
        [Intra, SecondField, Predicted, Intra, SecondField, Bidirectional, Intra]
    );
    for (selection, count) in [
        (Selection::Intra, 5),
        (Selection::IntraAndSecondField, 5),
        (Selection::Anchors, 3),
        (Selection::All, 1),
    ] {
        assert_eq!(segments(&data, selection, 99).len(), count, "{selection:?}");
    }
    let counts = *parts_by(&data, || 50).1.counts();
    assert_eq!([counts.i, counts.p, counts.b, counts.d], [4, 4, 2, 0]);
}

#[test]
fn v10b_d_pictures_and_reserved_types_are_sealed() {
    for (kind, part) in [(0, Part::Undecided), (4, Part::DcOnly), (5, Part::Undecided), (7, Part::Undecided)]
    {
        let data = [
            streams::sequence(Syntax::Mpeg1),
            picture(Syntax::Mpeg1, 2, FRAME),
            picture(Syntax::Mpeg1, kind, FRAME),
            picture(Syntax::Mpeg1, 3, FRAME),
        ];
        assert_eq!(order(&parts(&data.concat())), [Part::Predicted, part, Part::Bidirectional]);
        assert_eq!(part.class(Selection::Intra, false), Class::Sealed);
    }
}

#[test]
fn v10b_no_single_wrong_bit_makes_an_i_picture_anything_else() {
    for syntax in [Syntax::Mpeg1, Syntax::Mpeg2] {
        let before = [streams::sequence(syntax), picture(syntax, 2, FRAME)].concat();
        let header = streams::header(syntax, 1, FRAME).len();
        let data = [before.clone(), picture(syntax, 1, FRAME), picture(syntax, 3, FRAME)].concat();
        // From the type on: a wrong bit in an MPEG-1 start code leaves slices that may as well be the P-picture's.
        let from = if syntax == Syntax::Mpeg1 { 4 } else { 0 };
        for bit in from * 8..header * 8 {
            let mut data = data.clone();
            data[before.len() + bit / 8] ^= 0x80 >> (bit % 8);
            let slices = &parts(&data)[before.len() + header + 4..before.len() + header + 12];
            let sealed = slices.iter().all(|part| part.class(Selection::Intra, false) == Class::Sealed);
            assert!(sealed, "{syntax:?} bit {bit}: {slices:?}");
        }
    }
}

#[test]
fn v10b_long_header_runs_are_sealed() {
    for (len, sealed) in [(900, false), (1100, true), (70_000, true)] {
        let run = [streams::group(), streams::user_data(len)].concat();
        let syntax = Syntax::Mpeg2;
        let data =
            [streams::sequence(syntax), picture(syntax, 1, FRAME), run.clone(), picture(syntax, 2, FRAME)]
                .concat();
        let said = parts(&data);
        let expected = if sealed {
            vec![Part::Intra, Part::Undecided, Part::Predicted]
        } else {
            vec![Part::Intra, Part::Predicted]
        };
        assert_eq!(order(&said), expected, "{len}");
        assert!(said == parts_by(&data, || 13).0);
    }
}

#[test]
fn v10b_lost_slices_leave_the_picture_undecided() {
    let syntax = Syntax::Mpeg2;
    let head = [streams::sequence(syntax), streams::header(syntax, 2, FRAME)].concat();
    let slice = |row: u8| vec![0, 0, 1, row, 0x55, 0x66, 0x77];
    for (rows, expected) in [
        (&[1, 2, 2, 3][..], &[Part::Predicted][..]),
        (&[1, 2, 4], &[Part::Predicted, Part::Undecided]),
        (&[1, 2, 1], &[Part::Predicted, Part::Undecided]),
        (&[2, 3], &[Part::Undecided]),
    ] {
        let data = [head.clone(), rows.iter().flat_map(|&row| slice(row)).collect()].concat();
        assert_eq!(order(&parts(&data)), expected, "{rows:?}");
    }
}

#[test]
fn v10b_mpeg1_then_mpeg2_in_one_file_and_pictures_without_sequence_header() {
    let of =
        |syntax| [picture(syntax, 1, FRAME), picture(syntax, 2, FRAME), picture(syntax, 3, FRAME)].concat();
    let (one, two) = (of(Syntax::Mpeg1), of(Syntax::Mpeg2));
    let data =
        [&one[..], &streams::sequence(Syntax::Mpeg2), &two, &streams::sequence(Syntax::Mpeg1), &one].concat();
    let ipb = [Part::Intra, Part::Predicted, Part::Bidirectional];
    assert_eq!(order(&parts(&data)), ipb.repeat(3));
    // In an MPEG-2 sequence a picture without its extension is damaged.
    let data = [&streams::sequence(Syntax::Mpeg2)[..], &one].concat();
    assert!(parts(&data).iter().all(|part| part.class(Selection::Intra, false) == Class::Sealed));
}

#[test]
fn v10b_program_streams_with_two_videos_no_length_and_a_cut_head() {
    let syntax = Syntax::Mpeg2;
    let video = |kind| [streams::sequence(syntax), picture(syntax, kind, FRAME)].concat();
    let (intra, predicted) = (video(1), video(2));
    let mut unbounded = streams::pes(0xe1, &predicted, false);
    unbounded[4..6].fill(0);
    let data = [
        streams::pack(false),
        streams::pes(0xe0, &intra[..40], false),
        unbounded,
        streams::pack(false),
        streams::pes(0xe0, &intra[40..], false),
        streams::pes(0xc0, &[7; 99], false),
    ];
    let data = data.concat();
    let (said, splitter) = parts_by(&data, || data.len());
    assert_eq!(
        order(&said)[..],
        [Part::Undecided, Part::Intra, Part::Undecided, Part::Predicted, Part::Intra, Part::NotVideo]
    );
    assert_eq!(splitter.container(), Container::Ps);
    // Cut in the middle of a picture: video comes first, and sound is known as such only after a pack.
    let cut = &[&predicted[..], &streams::pes(0xc0, &[7; 99], false), &data].concat()[5..];
    assert_eq!(parts_by(cut, || 100).1.container(), Container::Ps);
}

#[test]
fn v10b_scrambled_video_is_sealed_in_program_streams() {
    let video = [streams::sequence(Syntax::Mpeg2), picture(Syntax::Mpeg2, 2, FRAME)].concat();
    let mut scrambled = streams::pes(0xe0, &video, false);
    scrambled[6] |= 0x10;
    let data = [
        streams::pack(false),
        streams::pes(0xe0, &video, false),
        scrambled,
        streams::pes(0xe0, &video, false),
    ];
    assert_eq!(
        order(&parts(&data.concat())),
        [Part::Undecided, Part::Predicted, Part::Undecided, Part::Predicted]
    );
}

/// A transport stream with a P-picture in every PES packet, and the offset of each packet of the video.
fn predicted(mux: &mut Mux, count: usize) {
    for _ in 0..count {
        let video = [streams::sequence(Syntax::Mpeg2), streams::header(Syntax::Mpeg2, 2, FRAME)].concat();
        let slices = streams::slices(&mut Random(3), 40, 30);
        mux.pes(VIDEO, 0xe0, &[video, slices].concat());
    }
}

fn packets(mux: &Mux, pid: u16) -> Vec<usize> {
    let packets = (0..mux.out.len()).step_by(mux.size);
    packets.filter(|&at| mux.out[at + 1] & 0x1f == (pid >> 8) as u8 && mux.out[at + 2] == pid as u8).collect()
}

/// What each packet of the video is: one part, or `None` for several.
fn of_packets(mux: &Mux, pid: u16) -> Vec<Option<Part>> {
    let said = parts(&mux.out);
    let one = |at: usize| said[at..at + mux.size].iter().all(|&part| part == said[at]).then_some(said[at]);
    packets(mux, pid).into_iter().map(one).collect()
}

#[test]
fn v10b_nothing_is_known_of_a_transport_stream_before_its_tables() {
    let mut mux = Mux::new(188);
    predicted(&mut mux, 3);
    mux.pes(AUDIO, 0xc0, &[9; 300]);
    let before = mux.out.len();
    mux.tables();
    predicted(&mut mux, 1);
    mux.pes(AUDIO, 0xc0, &[9; 300]);
    let said = parts(&mux.out);
    assert_eq!(
        order(&said),
        [Part::Undecided, Part::NotVideo, Part::Undecided, Part::Predicted, Part::NotVideo]
    );
    assert_eq!(runs(&said)[0].1, before);
}

#[test]
fn v10b_what_a_transport_stream_says_of_a_pid_counts() {
    let mut mux = Mux::new(188);
    mux.section(0, &streams::pat(&[(0, 0x10), (1, PMT), (2, 0x1100)]));
    mux.section(
        PMT,
        &streams::pmt(
            1,
            &[(2, VIDEO, &[]), (6, 0x200, &[0x6a, 0]), (6, 0x201, &[0x52, 1, 9]), (0x80, 0x202, &[])],
        ),
    );
    // Over several packets.
    mux.section(
        0x1100,
        &streams::pmt(2, &[(0x1b, 0x300, &[0x55; 250]), (1, 0x301, &[0x55; 250]), (0x0f, 0x302, &[])]),
    );
    let damaged = {
        let mut section = streams::pmt(1, &[(3, VIDEO, &[])]);
        section[7] ^= 1;
        section
    };
    mux.section(PMT, &damaged);
    predicted(&mut mux, 1);
    let mpeg1 = [streams::sequence(Syntax::Mpeg1), picture(Syntax::Mpeg1, 2, FRAME)].concat();
    for pid in [0x200, 0x201, 0x202, 0x300, 0x301, 0x302, 0x400] {
        mux.pes(pid, 0xe0, &[&mpeg1[..], &[0x55; 200]].concat());
    }
    let last = |pid| of_packets(&mux, pid).pop().unwrap();
    assert_eq!(last(VIDEO), Some(Part::Predicted));
    assert_eq!(last(0x200), Some(Part::NotVideo), "AC-3 by its descriptor");
    assert_eq!(last(0x201), Some(Part::Undecided), "private");
    assert_eq!(last(0x202), Some(Part::Undecided), "user private");
    assert_eq!(last(0x300), Some(Part::Undecided), "H.264");
    assert_eq!(last(0x301), Some(Part::Predicted), "a second program's video");
    assert_eq!(last(0x302), Some(Part::NotVideo), "AAC");
    assert_eq!(last(0x400), Some(Part::Undecided), "in no table");
    assert_eq!(parts_by(&mux.out, || 188).1.codec(), Codec::Mpeg2);
}

#[test]
fn v10b_a_new_map_replaces_the_old() {
    let mut mux = Mux::new(204);
    mux.tables();
    predicted(&mut mux, 1);
    mux.section(PMT, &streams::pmt(1, &[(0x24, VIDEO, &[]), (2, AUDIO, &[])]));
    predicted(&mut mux, 1);
    let said = of_packets(&mux, VIDEO);
    let middle = said.len() / 2;
    assert_eq!((said[middle - 1], said[middle + 1]), (Some(Part::Predicted), Some(Part::Undecided)));
}

#[test]
fn v10b_packets_lost_scrambled_or_marked_as_wrong_leave_the_picture_undecided() {
    let mut mux = Mux::new(188);
    mux.tables();
    predicted(&mut mux, 3);
    let places = packets(&mux, VIDEO);
    let third = places.len() / 3;
    let intact = of_packets(&mux, VIDEO);
    type Damage = fn(&mut Vec<u8>, usize);
    let damages: [(&str, Damage); 5] = [
        ("lost", |out, at| drop(out.drain(at..at + 188))),
        ("scrambled", |out, at| out[at + 3] |= 0x80),
        ("transport_error_indicator", |out, at| out[at + 1] |= 0x80),
        ("another PID", |out, at| out[at + 2] ^= 0x40),
        ("no sync byte", |out, at| out[at] = 0x46),
    ];
    for (name, damage) in damages {
        let mut broken = Mux::new(188);
        broken.out = mux.out.clone();
        damage(&mut broken.out, places[third + 2]);
        let said = of_packets(&broken, VIDEO);
        let missing = intact.len() - said.len();
        assert_eq!(said[third + 1], Some(Part::Predicted), "{name}");
        assert_eq!(said[third + 4 - missing], Some(Part::Undecided), "{name}");
        assert_eq!(said[2 * third + 1 - missing], Some(Part::Predicted), "{name}");
    }
}

#[test]
fn v10b_files_of_no_known_format_are_sealed() {
    for data in [&b""[..], b"\x47", &[0; 5000], &[0x47; 400][..3], b"RIFF....AVI LIST", &[0xff; 100_000]] {
        let (said, splitter) = parts_by(data, || 999);
        assert!(said.iter().all(|&part| part == Part::Undecided));
        assert_eq!((splitter.container(), splitter.codec()), (Container::Unknown, Codec::Unknown));
    }
    let h264 = [&[0, 0, 0, 1, 0x67, 66, 0, 30], &[0x11; 5000][..]].concat();
    let (said, splitter) = parts_by(&h264, || 999);
    assert_eq!(
        (splitter.container(), splitter.codec(), order(&said)),
        (Container::Es, Codec::H264, vec![Part::Undecided])
    );
}

#[test]
fn v10b_sound_is_sealed_on_demand() {
    let random = &mut Random(5);
    let video = streams::video(random, Syntax::Mpeg2, 9);
    let data = streams::transport_stream(random, &video, 188);
    assert!(segments(&data, Selection::All, 5000).len() > 1);
    let (mut splitter, mut at) = (Splitter::with(Selection::All, true), 0);
    while let Some(span) = splitter.next(&data[at..], true) {
        assert_eq!(span.class, Class::Sealed);
        at += span.len;
    }
    assert_eq!(at, data.len());
}

#[test]
fn v10b_a_splitter_is_small() {
    let most = if cfg!(feature = "nal") { 4096 } else { 1024 };
    assert!(size_of::<Splitter>() <= most, "{} bytes", size_of::<Splitter>());
}

#[test]
fn v10b_merging_refuses_what_does_not_belong_together() {
    let stream = |seed| streams::video(&mut Random(seed), Syntax::Mpeg2, 9);
    let [sealed, rest] = files(&stream(1), 300);
    let [other, _] = files(&stream(2), 300);
    assert_eq!(merge(&[sealed.clone(), rest.clone()], 64).unwrap(), stream(1));
    assert_eq!(merge(&[rest.clone(), sealed.clone()], 64), Err(MergeError::WrongClass("intra")));
    assert_eq!(merge(&[b"some other file".to_vec(), rest.clone()], 64), Err(MergeError::NotAPart("intra")));
    assert!(merge(&[other, rest.clone()], 64).is_err());
    for len in 0..sealed.len() {
        let error = merge(&[sealed[..len].to_vec(), rest.clone()], 64).unwrap_err();
        assert_eq!(error, MergeError::Truncated("intra"), "{len}");
    }
    for at in 0..rest.len() {
        let mut rest = rest.clone();
        rest[at] ^= 0x04;
        assert!(merge(&[sealed.clone(), rest], 64).is_err(), "{at}");
    }
    // Two recordings of one class each, cut alike: only what the ends say tells.
    let recording = |byte: u8| {
        let (mut writer, bytes) = (SegmentWriter::new(), [byte; 50]);
        let mut files = [Class::Sealed, Class::Rest].map(|class| SegmentWriter::header(class).to_vec());
        files[0].extend_from_slice(writer.record(Class::Sealed, &bytes).as_ref());
        files[0].extend_from_slice(&bytes);
        let end = writer.finish();
        files.iter_mut().for_each(|file| file.extend_from_slice(end.as_ref()));
        files
    };
    let [[first, _], [_, second]] = [recording(1), recording(2)];
    assert_eq!(merge(&[first, second], 64), Err(MergeError::WrongPair));
}

#[test]
fn v10b_mp4_and_quicktime_files_are_known_and_sealed() {
    for head in [&b"\0\0\0\x18ftypisom\0\0\x02\0isomiso2"[..], b"\0\0\0\x08wide\0\0\0\0mdat"] {
        let data = [head, &streams::video(&mut Random(1), Syntax::Mpeg2, 9)].concat();
        let (said, splitter) = parts_by(&data, || 999);
        assert_eq!((splitter.container(), splitter.codec()), (Container::Mp4, Codec::Unknown));
        assert!(said.iter().all(|&part| part == Part::Undecided));
    }
}
