//! Real recordings, where there are any: `P2PGATE_SHARED` names the folder that holds `media/MANIFEST.tsv`.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::PathBuf;

use p2pgate::mpeg::{Class, Codec, Container, MAX_LAG, Merger, Part, SegmentWriter, Span, Splitter, Step};

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
    let mut splitter = Splitter::new();
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
        assert!(end - start < MAX_LAG, "holds back {} bytes", end - start);
    }
    (segments, splitter)
}

fn merge(data: &[u8], segments: &[Span]) -> Vec<u8> {
    let mut files = [Class::Sealed, Class::Rest].map(|class| SegmentWriter::header(class).to_vec());
    let mut writer = SegmentWriter::new();
    let mut at = 0;
    for span in segments {
        let bytes = &data[at..at + span.len];
        let file = &mut files[usize::from(span.class == Class::Rest)];
        file.extend_from_slice(writer.record(span.class, bytes).as_ref());
        file.extend_from_slice(bytes);
        at += span.len;
    }
    let end = writer.finish();
    files.iter_mut().for_each(|file| file.extend_from_slice(end.as_ref()));

    let (mut merger, mut merged) = (Merger::new(), Vec::new());
    let mut left = [&files[0][..], &files[1][..]];
    loop {
        match merger.step().unwrap() {
            Step::Read(class) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let taken = merger.read(class, file).unwrap();
                *file = &file[taken..];
            }
            Step::Copy(class, len) => {
                let file = &mut left[usize::from(class == Class::Rest)];
                let bytes;
                (bytes, *file) = file.split_at(len as usize);
                merged.extend_from_slice(bytes);
                merger.copied(class, bytes).unwrap();
            }
            Step::Done => break,
        }
    }
    assert_eq!(left, [&[][..], &[]]);
    merged
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
        if let Codec::Mpeg1 | Codec::Mpeg2 = codec {
            assert_eq!([counts.i, counts.p, counts.b], row.pictures, "{}", row.name);
            assert!(row.pictures == [0; 3] || counts.bytes(Part::Intra) > 0, "{}", row.name);
        } else {
            assert_eq!(counts.bytes(Part::Predicted) + counts.bytes(Part::Bidirectional), 0, "{}", row.name);
        }
    }
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
