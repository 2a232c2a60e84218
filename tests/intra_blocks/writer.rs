//! Streams of MPEG-1 and MPEG-2 whose macroblocks are composed bit by bit, with what each byte is.

use p2pgate::mpeg::Part;

use super::codes::{BIDIRECTIONAL, COEFFICIENTS, INCREMENTS, MOTIONS, PATTERNS, PREDICTED};
use super::streams::Random;

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    free: u32,
}

impl Bits {
    fn bit(&mut self, bit: bool) {
        if self.free == 0 {
            self.bytes.push(0);
            self.free = 8;
        }
        self.free -= 1;
        *self.bytes.last_mut().unwrap() |= u8::from(bit) << self.free;
    }

    fn number(&mut self, value: usize, bits: u32) {
        (0..bits).rev().for_each(|at| self.bit(value >> at & 1 == 1));
    }

    fn code(&mut self, code: &str) {
        code.bytes().for_each(|digit| self.bit(digit == b'1'));
    }

    fn start(&mut self, code: u8) {
        self.free = 0;
        self.bytes.extend([0, 0, 1, code]);
    }
}

/// What the headers say.
#[derive(Clone, Debug)]
struct Coding {
    mpeg1: bool,
    columns: usize,
    rows: usize,
    progressive: bool,
    chroma: usize,
    b: bool,
    structure: usize,
    frame_only: bool,
    codes: [[usize; 2]; 2],
}

pub struct Stream {
    pub data: Vec<u8>,
    /// What each byte is.
    pub parts: Vec<Part>,
    /// Slices of P and B pictures: where, and whether they hold intra macroblocks.
    pub slices: Vec<(std::ops::Range<usize>, bool)>,
}

impl Stream {
    fn add(&mut self, bytes: &[u8], part: Part) {
        self.data.extend(bytes);
        self.parts.resize(self.data.len(), part);
    }
}

/// A sequence of an I-picture and some P and B pictures.
pub fn stream(random: &mut Random, pictures: usize) -> Stream {
    let mpeg1 = random.one_in(3);
    let progressive = mpeg1 || random.one_in(2);
    let rows = 2 * (1 + random.below(4));
    let columns = if random.one_in(4) { 30 + random.below(60) } else { 1 + random.below(12) };
    let coding = Coding {
        mpeg1,
        columns,
        rows,
        progressive,
        chroma: if mpeg1 { 1 } else { 1 + random.below(3) },
        b: false,
        structure: 3,
        frame_only: true,
        codes: [[1; 2]; 2],
    };
    let mut stream = Stream { data: Vec::new(), parts: Vec::new(), slices: Vec::new() };
    let mut bits = Bits::default();
    bits.start(0xb3);
    bits.number(16 * columns - random.below(16), 12);
    bits.number(16 * rows - random.below(16), 12);
    bits.number(0x13, 8);
    bits.number(0x7ffff, 18 + 1);
    bits.number(0x18 << 2, 13);
    if !mpeg1 {
        bits.start(0xb5);
        bits.number(1, 4);
        bits.number(0x48, 8);
        bits.number(usize::from(progressive), 1);
        bits.number(coding.chroma, 2);
        bits.number(0, 4);
        bits.number(1, 13);
        bits.number(0, 16);
    }
    bits.start(0);
    bits.number(1, 13);
    bits.number(0xffff << 3, 19);
    if !mpeg1 {
        extension(&mut bits, &coding, 1);
    }
    for row in 1..=rows {
        bits.start(row as u8);
        bits.bytes.extend(random.coded(20));
    }
    stream.add(&bits.bytes, Part::Intra);
    for _ in 0..pictures {
        picture(random, coding.clone(), &mut stream);
    }
    stream.add(&[0, 0, 1, 0xb7], *stream.parts.last().unwrap());
    stream
}

fn extension(bits: &mut Bits, coding: &Coding, kind: usize) {
    bits.start(0xb5);
    bits.number(8, 4);
    for (direction, codes) in coding.codes.iter().enumerate() {
        codes.iter().for_each(|&code| bits.number(if direction + 1 < kind { code } else { 15 }, 4));
    }
    bits.number(0, 2);
    bits.number(coding.structure, 2);
    bits.number(0, 1);
    bits.number(usize::from(coding.frame_only), 1);
    bits.number(0, 6);
    bits.number(usize::from(coding.progressive) << 7, 8);
}

fn picture(random: &mut Random, mut coding: Coding, stream: &mut Stream) {
    coding.b = random.one_in(2);
    if !coding.progressive {
        coding.structure = 1 + random.below(3);
        coding.frame_only = coding.structure == 3 && random.one_in(2);
    }
    let most = if coding.mpeg1 { 7 } else { 9 };
    coding.codes = [0, 1].map(|_| [0, 1].map(|_| 1 + random.below(most)));
    if coding.mpeg1 {
        coding.codes = coding.codes.map(|[code, _]| [code; 2]);
    }
    let kind = if coding.b { 3 } else { 2 };
    let mut bits = Bits::default();
    bits.start(0);
    bits.number(kind, 13);
    bits.number(0xffff, 16);
    let written = |codes: [usize; 2]| if coding.mpeg1 { codes[0] } else { 7 };
    bits.number(written(coding.codes[0]), 4);
    if coding.b {
        bits.number(written(coding.codes[1]), 4);
    }
    if !coding.mpeg1 {
        extension(&mut bits, &coding, kind);
    }
    if random.one_in(3) {
        bits.start(0xb2);
        bits.bytes.extend(random.coded(9));
    }
    stream.add(&bits.bytes, Part::WithoutIntra);
    let rows = if coding.structure == 3 { coding.rows } else { coding.rows / 2 };
    let total = rows * coding.columns;
    let intra_picture = random.one_in(3);
    let mut at = 0;
    while at < total {
        let row_end = (at / coding.columns + 1) * coding.columns;
        let limit = if coding.mpeg1 { total } else { row_end };
        // Mostly up to the end of the row, as encoders do.
        let end = match random.below(4) {
            0 => at + 1 + random.below(limit - at),
            1 => limit,
            _ => row_end,
        };
        let intra = intra_picture && random.one_in(3);
        let bytes = slice(random, &coding, at, end, intra);
        let holds = match (intra, coding.b) {
            (false, _) => Part::WithoutIntra,
            (true, true) => Part::Bidirectional,
            (true, false) => Part::Predicted,
        };
        let start = stream.data.len();
        stream.add(&bytes, holds);
        stream.slices.push((start..stream.data.len(), intra));
        at = end;
    }
}

/// The slice of macroblocks from `first` to before `end`, of which one is intra if so wanted.
fn slice(random: &mut Random, coding: &Coding, first: usize, end: usize, intra: bool) -> Vec<u8> {
    let mut bits = Bits::default();
    let row = first / coding.columns;
    bits.start(row as u8 + 1);
    bits.number(1 + random.below(31), 5);
    for _ in 0..if random.one_in(4) { random.below(3) } else { 0 } {
        bits.number(0x100 | random.below(255), 9);
    }
    bits.number(0, 1);
    let chosen = if intra { first + random.below(end - first) } else { end };
    let mut before = row * coding.columns;
    for at in first..end {
        let must = at == first || at + 1 == end || at == chosen;
        if !must && !random.one_in(3) {
            continue;
        }
        let mut by = at + 1 - before;
        if coding.mpeg1 {
            (0..if random.one_in(9) { random.below(4) } else { 0 }).for_each(|_| bits.code("00000001111"));
        }
        while by > 33 {
            bits.code("00000001000");
            by -= 33;
        }
        bits.code(INCREMENTS[by - 1]);
        before = at + 1;
        macroblock(random, &mut bits, coding, at == chosen);
    }
    bits.bytes.extend(vec![0; if random.one_in(5) { random.below(4) } else { 0 }]);
    bits.bytes
}

fn macroblock(random: &mut Random, bits: &mut Bits, coding: &Coding, intra: bool) {
    let types: &[(&str, [bool; 4])] = if coding.b { &BIDIRECTIONAL } else { &PREDICTED };
    let plain = types.len() - 2;
    let (code, [scale, forward, backward, coded]) =
        types[if intra { plain + random.below(2) } else { random.below(plain) }];
    bits.code(code);
    let field = coding.structure != 3;
    // Vectors of each direction; whether they name a field; dual prime.
    let (mut count, mut select, mut dual) = (1, field, false);
    if (forward || backward) && !coding.frame_only {
        let motion = 1 + random.below(if coding.b { 2 } else { 3 });
        bits.number(motion, 2);
        (count, select, dual) = match (motion, field) {
            (1, true) => (1, true, false),
            (1, false) | (2, true) => (2, true, false),
            (2, false) => (1, false, false),
            _ => (1, false, true),
        };
    }
    if (coded || intra) && !field && !coding.frame_only {
        bits.bit(random.one_in(2));
    }
    if scale {
        bits.number(1 + random.below(31), 5);
    }
    for direction in [0, 1] {
        for _ in 0..if [forward, backward][direction] { count } else { 0 } {
            if select {
                bits.bit(random.one_in(2));
            }
            for component in [0, 1] {
                let size = random.below(17);
                bits.code(MOTIONS[size]);
                if size > 0 {
                    bits.bit(random.one_in(2));
                    let residual = coding.codes[direction][component] - 1;
                    bits.number(random.below(1 << residual), residual as u32);
                }
                if dual {
                    bits.code(["0", "10", "11"][random.below(3)]);
                }
            }
        }
    }
    let blocks = [4, 6, 8, 12][coding.chroma];
    if intra {
        // Each of its blocks is a mean and no more.
        for block in 0..blocks {
            bits.code(if block < 4 { "100" } else { "00" });
            bits.code("10");
        }
    }
    if coded {
        let pattern = if coding.chroma == 1 { 1 + random.below(63) } else { random.below(64) };
        bits.code(PATTERNS[pattern]);
        let more = random.below(1 << (blocks - 6));
        bits.number(more, blocks as u32 - 6);
        for _ in 0..pattern.count_ones() + more.count_ones() {
            block(random, bits, coding.mpeg1);
        }
    }
}

fn block(random: &mut Random, bits: &mut Bits, mpeg1: bool) {
    let mut place = 0;
    loop {
        let run = if random.one_in(9) { random.below(64) } else { random.below(5) };
        if place + run > 63 || (place > 0 && random.one_in(4)) {
            if place > 0 {
                break;
            }
            continue;
        }
        let levels = COEFFICIENTS.get(run).copied().unwrap_or_default();
        if levels.is_empty() || random.one_in(6) {
            bits.code("000001");
            bits.number(run, 6);
            let level = 1 + random.below(if mpeg1 { 255 } else { 2047 });
            let negative = random.one_in(2);
            match (mpeg1, level < 128) {
                (false, _) => bits.number(if negative { 4096 - level } else { level }, 12),
                (true, true) => bits.number(if negative { 256 - level } else { level }, 8),
                (true, false) => bits.number(if negative { 0x8000 + 256 - level } else { level }, 16),
            }
        } else {
            let level = random.below(levels.len());
            bits.code(if (place, run, level) == (0, 0, 0) { "1" } else { levels[level] });
            bits.bit(random.one_in(2));
        }
        place += run + 1;
    }
    bits.code("10");
}
