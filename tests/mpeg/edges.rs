//! Where chunks, packets and files begin and end.

use p2pgate::mpeg::{Container, Part, Selection};

use super::cases::order;
use super::streams::{self, AUDIO, FRAME, PMT, Random, Syntax, VIDEO};
use super::{parts, parts_by, plain, segments};

#[test]
fn v10b_every_chunking_gives_the_same_segments() {
    let random = &mut Random(4);
    let video = streams::video(random, Syntax::Mpeg2, 5);
    let mut all = vec![
        streams::program_stream(random, &video, false),
        streams::program_stream(random, &video, true),
        streams::transport_stream(random, &video, 188),
        video,
    ];
    if cfg!(feature = "nal") {
        all.extend([super::nal::avc(random, 5).data(), super::nal::hevc(random, 5).data()]);
    }
    for data in all {
        let whole = segments(&data, Selection::Intra, data.len());
        for piece in (1..400).chain([1000, 4095, 4096]) {
            assert_eq!(segments(&data, Selection::Intra, piece), whole, "by {piece}");
        }
    }
}

#[test]
fn v10b_recordings_may_begin_in_the_middle_of_a_packet() {
    for size in [188, 192, 204] {
        let random = &mut Random(6);
        let [first, second] = [0, 1].map(|_| {
            let video = streams::video(random, Syntax::Mpeg2, 9);
            streams::transport_stream(random, &video, size)
        });
        let mut data = [&first[..], &second].concat();
        if size == 192 {
            // Time stamps that are all the same could be taken for the packets' beginning.
            for (number, packet) in (0u32..).zip(data.chunks_mut(192)) {
                packet[..4].copy_from_slice(&(number * 12_345).to_be_bytes());
            }
        }
        let whole = parts(&data);
        for cut in [1, 61, size - 1, 3 * size + 100] {
            let (said, splitter) = parts_by(&data[cut..], || 999);
            assert_eq!(splitter.container(), Container::Ts);
            assert_eq!(splitter.packet_size(), Some(size as u8), "cut at {cut}");
            // The second half begins with the tables; from there on all is known as in the whole, and of sound, whose
            // packets weren't counted before, more.
            let mut both = said[first.len() - cut..].iter().zip(&whole[first.len()..]);
            let same = both.all(|both| both.0 == both.1 || both == (&Part::NotVideo, &Part::Undecided));
            assert!(same, "cut at {cut}");
        }
    }
}

#[test]
fn v10b_i_only_recordings_and_those_with_one_sequence_header_and_no_groups() {
    let picture = |kind| {
        [streams::header(Syntax::Mpeg2, kind, FRAME), streams::slices(&mut Random(kind.into()), 5, 90)]
    };
    let sequence = streams::sequence(Syntax::Mpeg2);
    let only = [sequence.clone(), [1; 9].map(|kind| picture(kind).concat()).concat()].concat();
    let (said, splitter) = parts_by(&only, || 50);
    assert_eq!((order(&said), splitter.counts().i), (vec![Part::Intra], 9));
    let mixed = [sequence, [1, 2, 3, 3, 2, 3, 1].map(|kind| picture(kind).concat()).concat()].concat();
    let (said, splitter) = parts_by(&mixed, || 50);
    let counts = splitter.counts();
    assert_eq!([counts.i, counts.p, counts.b], [2, 2, 3]);
    assert!(said == plain::elementary(&mixed));
}

#[test]
fn v10b_pictures_may_change_their_size() {
    let picture = |kind| {
        [streams::header(Syntax::Mpeg2, kind, FRAME), streams::slices(&mut Random(kind.into()), 5, 90)]
            .concat()
    };
    let mut larger = streams::sequence(Syntax::Mpeg2);
    larger[4..7].copy_from_slice(&[0x78, 0x04, 0x38]);
    let data =
        [streams::sequence(Syntax::Mpeg2), picture(1), picture(2), larger, picture(1), picture(3)].concat();
    assert_eq!(order(&parts(&data)), [Part::Intra, Part::Predicted, Part::Intra, Part::Bidirectional]);
}

#[test]
fn v10b_several_pictures_in_a_packet_and_a_picture_in_several() {
    let random = &mut Random(8);
    let video = streams::video(random, Syntax::Mpeg2, 12);
    for length in [1, 2, 3, 5, 40, 30_000] {
        let packets = video.chunks(length).map(|bytes| streams::pes(0xe0, bytes, false));
        let data = [streams::pack(false), packets.collect::<Vec<_>>().concat(), vec![0, 0, 1, 0xb9]].concat();
        let (said, splitter) = parts_by(&data, || 999);
        let counts = splitter.counts();
        assert_eq!(counts.i + counts.p + counts.b, 12);
        if length > 2 {
            plain::check(&data, &said, &plain::program(&data));
        }
        let mut mux = streams::Mux::new(188);
        mux.tables();
        video.chunks(length).for_each(|bytes| mux.pes(VIDEO, 0xe0, bytes));
        let (said, splitter) = parts_by(&mux.out, || 999);
        let counts = splitter.counts();
        assert_eq!(counts.i + counts.p + counts.b, 12);
        if length > 4 {
            plain::check(&mux.out, &said, &plain::transport(&mux.out, 188, &[VIDEO], &[AUDIO, 0, PMT]));
        }
    }
}

#[test]
fn v10b_start_codes_across_the_packets_of_long_pictures() {
    let random = &mut Random(9);
    let start = [streams::sequence(Syntax::Mpeg2), streams::header(Syntax::Mpeg2, 1, FRAME)].concat();
    let picture = |kind| streams::header(Syntax::Mpeg2, kind, FRAME);
    // The I-picture in the middle begins at all places of a packet. In it, what could begin a start code ends packets.
    for place in 0..184 {
        let mut video = start.clone();
        video.extend(streams::slices(random, 2, 500));
        video.extend(picture(2));
        video.extend([0, 0, 1, 1]);
        // Behind the PES header's 14 bytes.
        let more = (184 + place - (video.len() + 14) % 184) % 184;
        video.extend(random.coded(16 * 184 + more));
        video.extend(picture(1));
        video.extend([0, 0, 1, 1]);
        let body = random.coded(6_000);
        video.extend(body.iter().map(|&byte| if random.one_in(5) { byte & 3 } else { byte }).scan(
            [9, 9],
            |last, byte| {
                let byte = if *last == [0, 0] { byte | 4 } else { byte };
                *last = [last[1], byte];
                Some(byte)
            },
        ));
        video.extend(picture(3));
        video.extend(streams::slices(random, 2, 900));
        let mut mux = streams::Mux::new(188);
        mux.tables();
        mux.pes(VIDEO, 0xe0, &video);
        let said = parts(&mux.out);
        plain::check(&mux.out, &said, &plain::transport(&mux.out, 188, &[VIDEO], &[AUDIO, 0, PMT]));
        assert!(said == parts_by(&mux.out, || 600).0, "place {place}");
    }
}
