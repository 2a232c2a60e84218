//! What has to hold of the splitter whatever comes in: every byte is given out once and in order, no more than
//! [`Selection::max_lag`] are held back, what is said doesn't depend on the chunking, and the two files make the recording again.

use p2pgate::mpeg::{Class, Merger, Part, SegmentWriter, Selection, Splitter, Step};

/// Runs of the same part, with `data` coming in pieces whose sizes `piece` gives.
fn runs(data: &[u8], selection: Selection, mut piece: impl FnMut() -> usize) -> Vec<(Part, usize)> {
    let mut splitter = Splitter::with(selection, false);
    let mut runs: Vec<(Part, usize)> = Vec::new();
    let (mut start, mut end) = (0, 0);
    while start < data.len() {
        end = data.len().min(end + piece());
        while let Some((part, len)) = splitter.next_part(&data[start..end], end == data.len()) {
            assert!(len > 0 && start + len <= end);
            start += len;
            match runs.last_mut() {
                Some((back, sum)) if *back == part => *sum += len,
                _ => runs.push((part, len)),
            }
        }
        assert!(end - start < selection.max_lag(), "{} bytes held back", end - start);
    }
    assert_eq!(splitter.counts().total(), data.len() as u64);
    runs
}

fn merged(data: &[u8], selection: Selection, runs: &[(Part, usize)]) -> Vec<u8> {
    let mut files = [Class::Sealed, Class::Rest].map(|class| SegmentWriter::header(class).to_vec());
    let mut writer = SegmentWriter::new();
    let mut left = data;
    for &(part, len) in runs {
        let class = part.class(selection, false);
        let (bytes, rest) = left.split_at(len);
        let file = &mut files[usize::from(class == Class::Rest)];
        file.extend_from_slice(writer.record(class, bytes).as_ref());
        file.extend_from_slice(bytes);
        left = rest;
    }
    let end = writer.finish();
    files.iter_mut().for_each(|file| file.extend_from_slice(end.as_ref()));
    let (mut merger, mut out) = (Merger::new(), Vec::new());
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
                let (bytes, rest) = file.split_at(len as usize);
                merger.copied(class, bytes).unwrap();
                out.extend_from_slice(bytes);
                *file = rest;
            }
            Step::Done => return out,
        }
    }
}

/// The first byte of `input` gives the sizes of the pieces and the selection; `head` and the others are the recording.
pub fn check(head: &[u8], input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let data = [head, rest].concat();
    // One of the plain selections will do, since the parts are the same with each.
    let selection = if seed & 0x40 == 0 { Selection::Intra } else { Selection::IntraBlocks };
    let whole = runs(&data, selection, || data.len());
    let mut state = u64::from(seed);
    let most = [1, 2, 5, 60, 300, 5000][usize::from(seed) % 6];
    let random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (state >> 33) as usize % most
    };
    assert!(runs(&data, selection, random) == whole, "another chunking says something else");
    assert!(merged(&data, selection, &whole) == data);
}

/// As [`check`], of a transport stream: every packet is given its sync byte, the PIDs are made a few, and tables come
/// first that announce MPEG-2, H.264 and HEVC.
pub fn check_packets(head: &[u8], input: &[u8]) {
    let Some((seed, rest)) = input.split_first() else { return };
    let mut packets = rest.to_vec();
    // Where the seed says so, sync bytes and PIDs are left as they are.
    if seed & 0x80 == 0 {
        for packet in packets.chunks_mut(188).filter(|packet| packet.len() > 3) {
            packet[0] = 0x47;
            (packet[1], packet[2]) = (packet[1] & 0xc1, packet[2] & 0x13);
        }
    }
    check(head, &[&[*seed], &packets[..]].concat());
}
