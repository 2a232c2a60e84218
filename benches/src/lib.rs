//! Streams to measure on: 15 Mb/s, 25 pictures a second, 68 slices a picture.

use p2pgate::mpeg::{Class, Selection, Splitter};

/// Bytes given to the splitter at a time.
const WINDOW: usize = 64 * 1024; // as much as any selection holds back

/// Bytes of each class.
pub fn split(data: &[u8]) -> ([usize; 2], Splitter) {
    split_with(data, Selection::Intra)
}

/// As [`split`] with another selection.
pub fn split_with(data: &[u8], selection: Selection) -> ([usize; 2], Splitter) {
    let mut splitter = Splitter::with(selection, false);
    let mut classes = [0; 2];
    let (mut start, mut end) = (0, 0);
    while start < data.len() {
        end = data.len().min(end.max(start) + WINDOW);
        while let Some(span) = splitter.next(&data[start..end], end == data.len()) {
            classes[usize::from(span.class == Class::Rest)] += span.len;
            start += span.len;
        }
    }
    (classes, splitter)
}

/// Bytes that look coded: evenly spread, and no start code among them.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, out: &mut Vec<u8>, len: usize) {
        for _ in 0..len {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            out.push((self.0 >> 56) as u8 | 0x02);
        }
    }
}

/// Pictures of an elementary stream, `IBBPBBPBBPBBPBB`.
pub fn pictures(seconds: usize) -> Vec<Vec<u8>> {
    let mut noise = Noise(1);
    let picture = |number: usize| {
        let mut out = Vec::new();
        let kind = match number % 15 {
            0 => 1,
            n if n % 3 == 0 => 2,
            _ => 3,
        };
        if kind == 1 {
            out.extend([0, 0, 1, 0xb3, 0x78, 0x04, 0x38, 0x33, 0xff, 0xff, 0xe0, 0x18]);
            out.extend([0, 0, 1, 0xb5, 0x14, 0x8a, 0, 1, 0, 0, 0, 0, 1, 0xb8, 0, 8, 0, 0]);
        }
        out.extend([0, 0, 1, 0, 0, kind << 3 | 7, 0xff, 0xf8 | (u8::from(kind > 1) * 3)]);
        out.extend(&[[0x80], [0xb8]][usize::from(kind > 2)][..usize::from(kind > 1)]);
        let codes = [[0xff, 0xff], [0x22, 0xff], [0x22, 0x22]][usize::from(kind - 1)];
        out.extend([
            0,
            0,
            1,
            0xb5,
            0x80 | codes[0] >> 4,
            codes[0] << 4 | codes[1] >> 4,
            codes[1] << 4 | 3,
            0x80,
            0x80,
        ]);
        for row in 1..=68 {
            out.extend([0, 0, 1, row]);
            noise.fill(&mut out, [2600, 1200, 800][usize::from(kind - 1)]);
        }
        out
    };
    (0..seconds * 25).map(picture).collect()
}

/// The pictures as the one video stream of a program stream.
pub fn program_stream(pictures: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for payload in pictures.concat().chunks(2020) {
        out.extend([0, 0, 1, 0xba, 0x44, 0, 4, 0, 4, 1, 1, 0x89, 0xc3, 0xf8]);
        out.extend([0, 0, 1, 0xe0]);
        out.extend(((payload.len() + 3) as u16).to_be_bytes());
        out.extend([0x80, 0, 0]);
        out.extend(payload);
    }
    out
}

fn crc(section: &[u8]) -> [u8; 4] {
    let mut crc = u32::MAX;
    for &byte in section {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    crc.to_be_bytes()
}

/// The pictures as the one video stream of a transport stream of 188-byte packets.
pub fn transport_stream(pictures: &[Vec<u8>]) -> Vec<u8> {
    let mut out = Vec::new();
    for (pid, mut section) in [
        (0u16, vec![0x00, 0xb0, 13, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0x00]),
        (0x100, vec![0x02, 0xb0, 18, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x02, 0xe1, 0x01, 0xf0, 0]),
    ] {
        section.extend(crc(&section));
        let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0];
        packet.extend(section);
        packet.resize(188, 0xff);
        out.extend(packet);
    }
    let mut counter = 0;
    for picture in pictures {
        let mut payload = vec![0, 0, 1, 0xe0, 0, 0, 0x80, 0, 0];
        payload.extend(picture);
        for (number, bytes) in payload.chunks(184).enumerate() {
            let stuffing = 184 - bytes.len();
            out.extend([0x47, if number == 0 { 0x41 } else { 0x01 }, 0x01]);
            out.push(if stuffing > 0 { 0x30 } else { 0x10 } | counter);
            if stuffing > 0 {
                out.push(stuffing as u8 - 1);
                if stuffing > 1 {
                    out.push(0);
                    out.resize(out.len() + stuffing - 2, 0xff);
                }
            }
            out.extend(bytes);
            counter = (counter + 1) & 15;
        }
    }
    out
}
