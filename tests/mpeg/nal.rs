//! Streams of H.264 and HEVC made for the tests, with what each byte belongs to, as the one who made it knows.

use p2pgate::mpeg::{Codec, Part};

use super::streams::Random;

const KINDS: [Part; 3] = [Part::Intra, Part::Predicted, Part::Bidirectional];
/// In a picture that completes the frame of an I-field.
const SECOND: [Part; 3] = [Part::Intra, Part::SecondField, Part::SecondField];

/// A NAL unit with its start code.
pub struct Made {
    pub bytes: Vec<u8>,
    pub part: Part,
    pub slice: bool,
}

pub struct Stream {
    pub units: Vec<Made>,
    /// Coded I, P and B pictures.
    pub pictures: [u64; 3],
}

impl Stream {
    pub fn data(&self) -> Vec<u8> {
        self.units.iter().flat_map(|unit| unit.bytes.clone()).collect()
    }

    pub fn parts(&self) -> Vec<Part> {
        self.units.iter().flat_map(|unit| vec![unit.part; unit.bytes.len()]).collect()
    }
}

/// Writes headers bit by bit.
#[derive(Default)]
pub struct Bits(Vec<bool>);

impl Bits {
    pub fn put(mut self, value: u32, count: u32) -> Self {
        self.0.extend((0..count).rev().map(|bit| value >> bit & 1 == 1));
        self
    }

    pub fn number(self, value: u32) -> Self {
        let length = (value + 1).ilog2();
        self.put(0, length).put(value + 1, length + 1)
    }

    /// With the stop bit.
    pub fn bytes(self) -> Vec<u8> {
        let mut bits = self.put(1, 1).0;
        bits.resize(bits.len().div_ceil(8) * 8, false);
        let byte = |bits: &[bool]| bits.iter().fold(0, |byte, &bit| byte << 1 | u8::from(bit));
        bits.chunks(8).map(byte).collect()
    }
}

/// A NAL unit: start code, header, payload with emulation prevention.
pub fn unit(header: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 0, 1];
    out.extend(header);
    let mut zeros = 0;
    for &byte in payload {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// A header and coded data behind it, in which emulation prevention occurs.
fn coded(random: &mut Random, header: Bits, most: usize) -> Vec<u8> {
    let mut out = header.bytes();
    let length = random.below(most);
    out.extend((0..length).map(|_| if random.one_in(3) { 0 } else { random.next() as u8 }));
    out.push(0x80);
    out
}

struct Writer<'a> {
    random: &'a mut Random,
    stream: Stream,
    /// Units that go with the next slice.
    waiting: usize,
}

impl<'a> Writer<'a> {
    fn new(random: &'a mut Random) -> Self {
        Self { random, stream: Stream { units: Vec::new(), pictures: [0; 3] }, waiting: 0 }
    }

    fn push(&mut self, mut bytes: Vec<u8>, part: Part, slice: bool) {
        // What begins a start code of four bytes is a zero behind the unit before.
        bytes.resize(bytes.len() + self.random.below(3), 0);
        self.stream.units.push(Made { bytes, part, slice });
    }

    fn starts(&mut self, bytes: Vec<u8>) {
        self.push(bytes, Part::Undecided, false);
        self.waiting += 1;
    }

    fn slice(&mut self, bytes: Vec<u8>, part: Part) {
        let from = self.stream.units.len() - self.waiting;
        self.stream.units[from..].iter_mut().for_each(|unit| unit.part = part);
        self.waiting = 0;
        self.push(bytes, part, true);
    }

    fn goes_on(&mut self, bytes: Vec<u8>) {
        let part = self.stream.units.last().map_or(Part::Undecided, |unit| unit.part);
        self.push(bytes, part, false);
    }

    fn sei(&mut self, header: &[u8]) {
        if self.random.one_in(3) {
            let payload = coded(self.random, Bits::default().put(5, 8).put(40, 8), 60);
            self.starts(unit(header, &payload));
        }
    }

    /// The types of a picture's slices, as indices of [`KINDS`], and what a delimiter says of them.
    fn kinds(&mut self, intra: bool) -> (Vec<usize>, u32) {
        let most = if intra { 0 } else { 1 + self.random.below(2) };
        let count = 1 + self.random.below(4);
        let mut kinds: Vec<usize> = (0..count).map(|_| most).collect();
        // I-slices in P-pictures and P-slices in B-pictures.
        for kind in kinds.iter_mut().skip(1) {
            if self.random.one_in(5) {
                *kind = self.random.below(most + 1);
            }
        }
        self.stream.pictures[most] += 1;
        (kinds, most as u32)
    }
}

/// A sequence parameter set of H.264. `fields`: pictures may be fields (PAFF), and the macroblocks of frames too (MBAFF).
pub fn avc_sequence(random: &mut Random, fields: bool, frame_number_bits: u32) -> Vec<u8> {
    let high = random.one_in(2);
    let mut bits = Bits::default().put(if high { 100 } else { 77 }, 8).put(0, 8).put(40, 8).number(0);
    if high {
        bits = bits.number(1).number(0).number(0).put(0, 1);
        let lists = random.one_in(2);
        bits = bits.put(lists.into(), 1);
        if lists {
            // The first from its second entry on as the last said, the seventh in full.
            bits = bits.put(1, 1).number(3).number(20).put(0, 5).put(1, 1);
            bits = (0..64).fold(bits, |bits, at| bits.number(at % 3)).put(0, 1);
        }
    }
    bits = bits.number(frame_number_bits - 4);
    bits = match random.below(3) {
        0 => bits.number(0).number(2),
        1 => bits.number(1).put(0, 1).number(1).number(2).number(2).number(5).number(6),
        _ => bits.number(2),
    };
    bits = bits.number(4).put(0, 1).number(119).number(67).put((!fields).into(), 1);
    if fields { bits.put(1, 1) } else { bits }.put(0b1000, 4).bytes()
}

/// What is between a slice's parameter set and its data. `bottom`: of a field.
pub fn avc_structure(bits: Bits, fields: bool, frame_number_bits: u32, bottom: Option<bool>) -> Bits {
    let bits = bits.put(1, frame_number_bits);
    match bottom {
        _ if !fields => bits,
        Some(bottom) => bits.put(1, 1).put(bottom.into(), 1),
        None => bits.put(0, 1),
    }
}

pub fn avc(random: &mut Random, count: usize) -> Stream {
    let delimiters = random.one_in(2);
    let fields = random.one_in(2);
    let frame_number_bits = 4 + random.below(13) as u32;
    let sps = avc_sequence(random, fields, frame_number_bits);
    let mut out = Writer::new(random);
    // The field whose second has not come: parity, and whether it is intra.
    let mut first_field: Option<(bool, bool)> = None;
    for number in 0..count {
        let intra = match first_field {
            Some((_, intra)) => intra && out.random.one_in(3),
            None => number == 0 || out.random.one_in(6),
        };
        let idr = intra && first_field.is_none() && (number == 0 || out.random.one_in(2));
        let (kinds, most) = out.kinds(intra);
        let completes = matches!(first_field, Some((_, true)));
        let bottom = match first_field.take() {
            Some((bottom, _)) => Some(!bottom),
            None if fields && out.random.one_in(2) => {
                let bottom = out.random.one_in(2);
                first_field = Some((bottom, intra));
                Some(bottom)
            }
            None => None,
        };
        if delimiters {
            out.starts(unit(&[0x09], &Bits::default().put(most, 3).bytes()));
        }
        if idr {
            out.starts(unit(&[0x67], &sps));
        }
        if number == 0 || (idr && out.random.one_in(2)) {
            for set in [0, 1, 31] {
                out.starts(unit(&[0x68], &Bits::default().number(set).number(0).put(5, 4).bytes()));
            }
        }
        out.sei(&[0x06]);
        let set = [0, 0, 1, 31][out.random.below(4)];
        let header = match (idr, out.random.one_in(3) && !intra) {
            (true, _) => 0x65,
            (_, true) => 0x01,
            _ => 0x41,
        };
        let all = out.random.one_in(2) && kinds.iter().all(|kind| *kind == kinds[0]);
        let mut macroblock = 0;
        for kind in kinds {
            let kind_number = [2, 0, 1][kind] + if all { 5 } else { 0 };
            let bits = Bits::default().number(macroblock).number(kind_number).number(set);
            let bits = avc_structure(bits, fields, frame_number_bits, bottom);
            let payload = coded(out.random, bits, if kind == 0 { 300 } else { 60 });
            out.slice(unit(&[header], &payload), if completes { SECOND[kind] } else { KINDS[kind] });
            macroblock += 1 + out.random.below(90) as u32;
        }
        if out.random.one_in(8) {
            out.goes_on(unit(&[0x0c], &[0xff; 50]));
        }
    }
    out.goes_on(unit(&[0x0b], &[]));
    out.stream
}

/// A sequence parameter set of HEVC, and the bits of an address: of 64 x 64 blocks. `fields`: its source is interlaced.
pub fn hevc_sequence(random: &mut Random, fields: bool, width: u32, height: u32) -> (Vec<u8>, u32) {
    let layers = random.below(3) as u32;
    let mut bits = Bits::default().put(0, 4).put(layers, 3).put(1, 1);
    bits = bits.put(1, 8).put(0x6000_0000, 32).put(if fields { 0b0100 } else { 0b1001 }, 4).put(0, 12);
    bits = bits.put(0, 32).put(93, 8);
    let levels = random.below(2) as u32;
    if layers > 0 {
        (0..8).for_each(|layer| {
            bits = std::mem::take(&mut bits).put(if layer < layers { levels } else { 0 }, 2);
        });
        (0..layers * levels).for_each(|_| bits = std::mem::take(&mut bits).put(90, 8));
    }
    bits = bits.number(3).number(1).number(width).number(height);
    bits = match random.one_in(2) {
        true => bits.put(1, 1).number(0).number(0).number(0).number(4),
        false => bits.put(0, 1),
    };
    bits = bits.number(0).number(0).number(4).put(0, 1).number(4).number(2).number(0);
    // Smallest coding block 8, largest 64.
    bits = bits.number(0).number(3).number(0).number(3).put(0, 4);
    let blocks = width.div_ceil(64) * height.div_ceil(64);
    (bits.bytes(), (blocks as f64).log2().ceil() as u32)
}

pub fn hevc(random: &mut Random, count: usize) -> Stream {
    let delimiters = random.one_in(2);
    let (width, height) = (64 + 8 * random.below(480) as u32, 64 + 8 * random.below(270) as u32);
    let fields = random.one_in(3);
    let (sps, address_bits) = hevc_sequence(random, fields, width, height);
    let blocks = width.div_ceil(64) * height.div_ceil(64);
    let (dependent, extra) = (random.below(2) as u32, random.below(3) as u32);
    let mut out = Writer::new(random);
    let mut after_intra = false;
    for number in 0..count {
        let intra = number == 0 || out.random.one_in(6);
        let access_point = intra && (number == 0 || out.random.one_in(2));
        let (kinds, most) = out.kinds(intra);
        if delimiters {
            out.starts(unit(&[0x46, 0x01], &Bits::default().put(most, 3).bytes()));
        }
        if access_point {
            out.starts(unit(&[0x40, 0x01], &[0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0x00, 0x00, 0x03, 0x00]));
            out.starts(unit(&[0x42, 0x01], &sps));
            for set in [0, 5] {
                let bits = Bits::default().number(set).number(3).put(dependent, 1).put(0, 1).put(extra, 3);
                out.starts(unit(&[0x44, 0x01], &bits.put(5, 5).bytes()));
            }
        }
        out.sei(&[0x4e, 0x01]);
        let set = [0, 5][out.random.below(2)];
        let header = match (access_point, intra) {
            (true, _) => [19, 20, 21][out.random.below(3)],
            (_, true) => 1,
            _ => [0, 1, 8][out.random.below(3)],
        };
        let completes = fields && after_intra;
        after_intra = intra;
        let (mut address, mut before) = (0, None);
        for kind in kinds {
            if address >= blocks {
                break;
            }
            let mut bits = Bits::default().put(u32::from(address == 0), 1);
            if access_point {
                bits = bits.put(0, 1);
            }
            bits = bits.number(set);
            let continues = dependent == 1 && before == Some(kind) && out.random.one_in(2);
            if address > 0 {
                bits = bits.put(u32::from(continues), dependent).put(address, address_bits);
            }
            if !continues {
                let type_number = [2, 1, 0][kind];
                bits = bits.put(out.random.next() as u32, extra).number(type_number);
            }
            let payload = coded(out.random, bits, if kind == 0 { 300 } else { 60 });
            out.slice(
                unit(&[header << 1, 0x01], &payload),
                if completes { SECOND[kind] } else { KINDS[kind] },
            );
            address += 1 + out.random.below(40) as u32;
            before = Some(kind);
        }
        if out.random.one_in(8) {
            out.goes_on(unit(&[0x50, 0x01], &[132, 16, 7, 7, 7, 7, 7, 7]));
        }
    }
    out.goes_on(unit(&[0x4a, 0x01], &[]));
    out.stream
}

pub fn stream(random: &mut Random, codec: Codec, count: usize) -> Stream {
    if codec == Codec::Hevc { hevc(random, count) } else { avc(random, count) }
}
