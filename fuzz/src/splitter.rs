//! What has to hold of the splitter whatever comes in: every byte is given out once and in order, no more than
//! [`Selection::max_lag`] are held back, what is said doesn't depend on the chunking, and the two files make the recording again.

#[path = "../../tests/mpeg/split.rs"]
#[allow(dead_code)]
mod split;

use p2pgate::mpeg::{Selection, Span};

use self::split::{files, merge, runs, segments};

/// The first byte of `input` gives the sizes of the pieces and the selection; `head` and the others are the recording.
pub fn check(head: &[u8], input: &[u8]) {
    let Some((&seed, rest)) = input.split_first() else { return };
    let data = [head, rest].concat();
    let plain = [Selection::Intra, Selection::IntraAndSecondField, Selection::Anchors, Selection::All];
    let selection = if seed & 0x40 == 0 { plain[usize::from(seed >> 4 & 3)] } else { Selection::IntraBlocks };
    let whole = runs(&data, selection, || data.len()).0;
    let most = [1, 2, 5, 60, 300, 5000][usize::from(seed) % 6];
    let mut state = u64::from(seed);
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        1 + (state >> 33) as usize % most
    };
    assert!(runs(&data, selection, &mut random).0 == whole, "another chunking says something else");
    let mut spans: Vec<Span> = Vec::new();
    for (part, len) in whole {
        let class = part.class(selection, false);
        match spans.last_mut() {
            Some(back) if back.class == class => back.len += len,
            _ => spans.push(Span { class, len }),
        }
    }
    assert!(segments(&data, selection, random).0 == spans, "the classes are not those of the parts");
    assert!(merge(&files(&data, &spans, usize::MAX), usize::MAX).unwrap() == data);
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
