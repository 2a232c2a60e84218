//! The splitter and the merger (row V10b) on streams made here.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "mpeg/plain.rs"]
mod plain;
#[path = "mpeg/streams.rs"]
mod streams;

use p2pgate::mpeg::{
    Class, Codec, Container, MAX_LAG, MergeError, Merger, Part, SegmentWriter, Selection, Span, Splitter,
    Step,
};
use proptest::prelude::*;

use self::streams::{AUDIO, FRAME, Mux, PMT, Random, Syntax, VIDEO};

/// What the splitter says of each byte when `data` comes in pieces, whose sizes `piece` gives.
fn parts_by(data: &[u8], mut piece: impl FnMut() -> usize) -> (Vec<Part>, Splitter) {
    let mut splitter = Splitter::new();
    let mut parts = Vec::new();
    let mut end = 0;
    while parts.len() < data.len() {
        end = data.len().min(end + piece());
        while let Some((part, len)) = splitter.next_part(&data[parts.len()..end], end == data.len()) {
            assert!(len > 0 && parts.len() + len <= end);
            parts.resize(parts.len() + len, part);
        }
        assert!(end - parts.len() < MAX_LAG, "{} bytes held back", end - parts.len());
    }
    assert_eq!(splitter.counts().total(), data.len() as u64);
    (parts, splitter)
}

fn parts(data: &[u8]) -> Vec<Part> {
    parts_by(data, || data.len()).0
}

/// The segments: the longest runs of one class.
fn segments(data: &[u8], mut splitter: Splitter, piece: usize) -> Vec<Span> {
    let mut segments: Vec<Span> = Vec::new();
    let (mut start, mut end) = (0, 0);
    while start < data.len() {
        end = data.len().min(end + piece);
        while let Some(span) = splitter.next(&data[start..end], end == data.len()) {
            start += span.len;
            match segments.last_mut() {
                Some(back) if back.class == span.class => back.len += span.len,
                _ => segments.push(span),
            }
        }
    }
    segments
}

/// The two files of a split recording.
fn files(data: &[u8], piece: usize) -> [Vec<u8>; 2] {
    let mut files = [Class::Sealed, Class::Rest].map(|class| SegmentWriter::header(class).to_vec());
    let mut writer = SegmentWriter::new();
    let mut rest = data;
    for span in segments(data, Splitter::new(), piece) {
        for bytes in rest[..span.len].chunks(piece) {
            let file = &mut files[usize::from(span.class == Class::Rest)];
            file.extend_from_slice(writer.record(span.class, bytes).as_ref());
            file.extend_from_slice(bytes);
        }
        rest = &rest[span.len..];
    }
    let end = writer.finish();
    files.iter_mut().for_each(|file| file.extend_from_slice(end.as_ref()));
    files
}

/// Merges, reading `piece` bytes at a time.
fn merge(files: &[Vec<u8>; 2], piece: usize) -> Result<Vec<u8>, MergeError> {
    let (mut merger, mut merged) = (Merger::new(), Vec::new());
    let mut left = [&files[0][..], &files[1][..]];
    loop {
        match merger.step()? {
            Step::Read(class) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let taken = merger.read(class, &file[..file.len().min(piece)])?;
                *file = &file[taken..];
            }
            Step::Copy(class, len) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let bytes = &file[..file.len().min(piece).min(len as usize)];
                merger.copied(class, bytes)?;
                merged.extend_from_slice(bytes);
                *file = &file[bytes.len()..];
            }
            Step::Done => return Ok(merged),
        }
    }
}

/// A stream of any container, and the size of its packets if they have one.
fn any_stream(seed: u64) -> (Vec<u8>, usize) {
    let random = &mut Random(seed);
    let syntax = if random.one_in(2) { Syntax::Mpeg1 } else { Syntax::Mpeg2 };
    let video = streams::video(random, syntax, 12);
    match random.below(6) {
        0 => (video, 1),
        1 => (streams::program_stream(random, &video, true), 1),
        2 => (streams::program_stream(random, &video, false), 1),
        3 => (streams::transport_stream(random, &video, 188), 188),
        4 => (streams::transport_stream(random, &video, 192), 192),
        _ => (streams::transport_stream(random, &video, 204), 204),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

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
    fn v10b_segments_do_not_depend_on_the_chunking(seed: u64) {
        let (data, _) = any_stream(seed);
        let whole = parts(&data);
        let random = &mut Random(seed);
        let most = [1, 3, 60, 700, 5000][random.below(5)];
        prop_assert!(parts_by(&data, || 1 + random.below(most)).0 == whole);
    }

    #[test]
    fn v10b_damaged_streams_do_not_depend_on_the_chunking(seed: u64) {
        let random = &mut Random(seed);
        let data = damage(random, any_stream(seed)).into_iter().map(|(byte, _)| byte).collect::<Vec<u8>>();
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

/// Flips bits, cuts, loses and repeats packets. Each byte comes with where it was, or `None` if it was hit.
fn damage(random: &mut Random, (data, size): (Vec<u8>, usize)) -> Vec<(u8, Option<usize>)> {
    let mut out: Vec<(u8, Option<usize>)> = data.into_iter().zip((0..).map(Some)).collect();
    for _ in 0..1 + random.below(6) {
        let at = random.below(out.len());
        let unit = if random.one_in(3) { 1 } else { size };
        let block = (at / unit * unit)
            ..((at / unit + 1 + random.below(if unit == 1 { 400 } else { 4 })) * unit).min(out.len());
        match random.below(6) {
            0..=2 => out[at] = (out[at].0 ^ 1 << random.below(8), None),
            3 => drop(out.drain(block)),
            4 if unit > 1 => {
                let again = out[block.clone()].to_vec();
                out.splice(block.start..block.start, again);
            }
            _ if random.one_in(2) => drop(out.drain(..at / 8)),
            _ => out.truncate(out.len() - at / 8),
        }
        if out.len() < 8 {
            break;
        }
    }
    out
}

/// The document's own promise kept on damage: of an I-picture whose start code and header arrive, in packets whose
/// headers do, no byte travels in clear.
#[test]
fn v10b_damage_never_puts_an_i_picture_into_rest() {
    let (mut pictures, mut hit, mut leaked) = (0, 0, 0);
    for seed in 0..3000 {
        let (original, size) = any_stream(seed);
        let truth = parts(&original);
        let damaged = damage(&mut Random(!seed), (original.clone(), size));
        let data: Vec<u8> = damaged.iter().map(|&(byte, _)| byte).collect();
        let said = parts(&data);
        let there: std::collections::HashSet<usize> = damaged.iter().filter_map(|&(_, at)| at).collect();
        let mut at = 0;
        while at < truth.len() {
            let end = (at..truth.len()).find(|&end| truth[end] != truth[at]).unwrap_or(truth.len());
            if truth[at] == Part::Intra {
                pictures += 1;
                // Whether anything that says whose bytes these are is missing: up to the first slice.
                let whole = |range: std::ops::Range<usize>| range.into_iter().all(|at| there.contains(&at));
                let first_slice =
                    (at..end).find(|&at| original[at..].starts_with(&[0, 0, 1, 1])).unwrap_or(end);
                let head = whole(at.saturating_sub(192)..(first_slice + 4).min(end));
                let clear = damaged.iter().zip(&said).filter(|&(&(_, from), said)| {
                    from.is_some_and(|from| (at..end).contains(&from))
                        && said.class(Selection::Intra, false) == Class::Rest
                });
                let clear = clear.count();
                hit += usize::from(!head);
                leaked += usize::from(clear > 0);
                if head && clear > 0 {
                    println!("seed {seed}: {clear} bytes of the I-picture at {at}..{end} are in clear");
                }
            }
            at = end;
        }
    }
    println!("{pictures} I-pictures, {hit} with their head hit, {leaked} in part in clear");
}
