//! A slow and obvious parser for streams without damage. It has the whole file before it and looks at one byte after
//! the other.

use p2pgate::mpeg::Part;

use super::streams::part_of;

/// What each byte of an elementary stream belongs to.
pub fn elementary(data: &[u8]) -> Vec<Part> {
    let starts: Vec<usize> =
        (0..data.len().saturating_sub(3)).filter(|&at| data[at..at + 3] == [0, 0, 1]).collect();
    let mut parts = vec![Part::Undecided; data.len()];
    let mut current = Part::Undecided;
    let mut run: Option<usize> = None;
    let mut first_field = 0;
    let mut after_header = false;
    for (number, &at) in starts.iter().enumerate() {
        let end = starts.get(number + 1).copied().unwrap_or(data.len());
        match data[at + 3] {
            0xb3 | 0xb8 => {
                after_header = false;
                run.get_or_insert(at);
                continue;
            }
            0xb2 | 0xb5 if !after_header => {
                run.get_or_insert(at);
                continue;
            }
            0x00 => {
                let kind = data.get(at + 5).map_or(0, |byte| byte >> 3 & 7);
                let header =
                    starts[number + 1..].iter().take_while(|&&at| [0xb5, 0xb2].contains(&data[at + 3]));
                let extension = header
                    .clone()
                    .find(|&&at| data.get(at + 3..at + 7).is_some_and(|b| b[0] == 0xb5 && b[1] >> 4 == 8));
                let structure = extension.map_or(3, |&at| data[at + 6] & 3);
                let slice = starts.get(number + 1 + header.count()).is_some_and(|&at| data[at + 3] == 1);
                let second = first_field + structure == 3 && first_field != 0;
                current = match part_of(kind) {
                    Part::Predicted if slice && second => Part::SecondField,
                    part @ (Part::Predicted | Part::Bidirectional) if !slice => {
                        let _ = part;
                        Part::Undecided
                    }
                    part => part,
                };
                first_field = if kind == 1 && structure < 3 && !second { structure } else { 0 };
                parts[run.take().unwrap_or(at)..end].fill(current);
                after_header = true;
            }
            0xb7 => {
                parts[at..at + 4].fill(current);
                current = Part::Undecided;
            }
            _ => {
                parts[at..end].fill(current);
                after_header &= matches!(data[at + 3], 0xb2 | 0xb5);
            }
        }
    }
    parts
}

/// Where the video's bytes are, by stream, and what isn't video.
pub struct Layout {
    pub video: Vec<(u16, Vec<usize>)>,
    pub other: Vec<usize>,
}

impl Layout {
    fn stream(&mut self, id: u16) -> &mut Vec<usize> {
        if !self.video.iter().any(|(other, _)| *other == id) {
            self.video.push((id, Vec::new()));
        }
        &mut self.video.iter_mut().find(|(other, _)| *other == id).unwrap().1
    }
}

fn payload_at(data: &[u8], at: usize) -> usize {
    let mut at = at + 6;
    if data[at] & 0xc0 == 0x80 {
        return at + 3 + usize::from(data[at + 2]);
    }
    while data[at] == 0xff {
        at += 1;
    }
    if data[at] & 0xc0 == 0x40 {
        at += 2;
    }
    at + match data[at] >> 4 {
        2 => 5,
        3 => 10,
        _ => 1,
    }
}

pub fn program(data: &[u8]) -> Layout {
    let mut layout = Layout { video: Vec::new(), other: Vec::new() };
    let mut at = 0;
    while at + 4 <= data.len() {
        if data[at..at + 3] != [0, 0, 1] {
            at += 1;
            continue;
        }
        let code = data[at + 3];
        at = match code {
            0xb9 => at + 4,
            0xba if data[at + 4] & 0xc0 == 0x40 => at + 14 + usize::from(data[at + 13] & 7),
            0xba => at + 12,
            _ => {
                let end =
                    (at + 6 + usize::from(data[at + 4]) * 256 + usize::from(data[at + 5])).min(data.len());
                match code {
                    0xe0..=0xef => layout.stream(code.into()).extend(payload_at(data, at).min(end)..end),
                    0xbb => {}
                    _ => layout.other.extend(at + 6..end),
                }
                end
            }
        };
    }
    layout
}

/// `video` and `other`: the PIDs of each.
pub fn transport(data: &[u8], size: usize, video: &[u16], other: &[u16]) -> Layout {
    let mut layout = Layout { video: Vec::new(), other: Vec::new() };
    let mut before: Vec<(u16, Vec<u8>)> = Vec::new();
    let mut headers: std::collections::HashMap<u16, Vec<u8>> = Default::default();
    for start in (0..data.len()).step_by(size) {
        let at = start + if size == 192 { 4 } else { 0 };
        let packet = &data[at..at + 188];
        let pid = u16::from(packet[1] & 0x1f) << 8 | u16::from(packet[2]);
        let from = 4 + if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        if other.contains(&pid) {
            layout.other.extend(start..start + size);
        }
        if !video.contains(&pid) || packet[3] & 0x10 == 0 || before.contains(&(pid, packet.to_vec())) {
            continue;
        }
        before.retain(|(other, _)| *other != pid);
        before.push((pid, packet.to_vec()));
        let header = headers.entry(pid).or_default();
        if packet[1] & 0x40 != 0 {
            header.clear();
        }
        for (place, &byte) in data.iter().enumerate().take(at + 188).skip(at + from) {
            if header.len() < 9 || header.len() < 9 + usize::from(header[8]) {
                header.push(byte);
            } else {
                layout.stream(pid).push(place);
            }
        }
    }
    layout
}

/// Compares what the splitter said with what the layout says: the video's bytes and what isn't video exactly; headers
/// must be as something near them.
pub fn check(data: &[u8], said: &[Part], layout: &Layout) {
    check_as(said, layout, |places| elementary(&places.iter().map(|&at| data[at]).collect::<Vec<u8>>()));
}

/// As [`check`], with what the bytes of a stream are.
pub fn check_as(said: &[Part], layout: &Layout, expected: impl Fn(&[usize]) -> Vec<Part>) {
    for (id, places) in &layout.video {
        let expected = expected(places);
        assert_eq!(places.len(), expected.len());
        let mut undecided = 0;
        for (&at, part) in places.iter().zip(expected) {
            // A start code or header that other packets interrupt for too long is given up.
            if said[at] == Part::Undecided && part != said[at] {
                undecided += 1;
            } else {
                assert_eq!(said[at], part, "byte {at} of {}, stream {id:#x}", said.len());
            }
        }
        // A sequence header with its extensions and user data is some hundred bytes: one or two of them may be.
        assert!(undecided < 250, "{undecided} of {} bytes undecided", places.len());
    }
    for &at in &layout.other {
        assert_eq!(said[at], Part::NotVideo, "byte {at} of {}", said.len());
    }
}
