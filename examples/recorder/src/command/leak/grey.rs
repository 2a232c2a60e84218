//! A picture of mid-grey in the syntax of MPEG-1 and MPEG-2 (ISO/IEC 11172-2, 13818-2).

#![allow(clippy::unusual_byte_groupings)] // a group of bits is a code of the syntax

use super::stream::{Coding, Sequence};

const INTRA: u32 = 1;
/// A slice's number is its row, and start codes for slices end here.
const LAST_SLICE: usize = 0xaf;

/// Appends an I-picture of mid-grey with the place in time and the structure of the one that `coding` was read from.
pub fn picture(out: &mut Vec<u8>, sequence: &Sequence, coding: &Coding) {
    start(out, 0);
    let mut bits = Bits::default();
    bits.put(coding.temporal_reference.into(), 10);
    bits.put(INTRA, 3);
    // vbv_delay unknown; no extra information.
    bits.put(0xffff, 16);
    bits.put(0, 1);
    bits.flush(out);
    if sequence.extended {
        let [timing, progressive] = coding.flags;
        // No vectors, DC of 8 bits; frame pictures predict and transform by frame, so no macroblock says how.
        let by_frame = u8::from(coding.structure == 3) << 6;
        start(out, 0xb5);
        out.extend([0x8f, 0xff, 0xf0 | coding.structure, timing & 0x83 | by_frame, progressive & 0x80]);
    }
    out.extend(&coding.matrices);
    for row in 1..=sequence.rows(coding.structure).min(LAST_SLICE) {
        start(out, row as u8);
        // The quantiser, 1, and no extra information.
        bits.put(0b00001, 5);
        bits.put(0, 1);
        for _ in 0..sequence.width.div_ceil(16) {
            // The next macroblock, intra; each block has a DC that differs by nothing from the mid-grey that a slice begins with, and no more.
            bits.put(0b11, 2);
            for _ in 0..4 {
                bits.put(0b10010, 5);
            }
            for _ in 0..sequence.chroma_blocks {
                bits.put(0b0010, 4);
            }
        }
        bits.flush(out);
    }
}

fn start(out: &mut Vec<u8>, code: u8) {
    out.extend([0, 0, 1, code]);
}

/// Bits on their way to bytes, most significant first.
#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    last: u64,
    count: u32,
}

impl Bits {
    fn put(&mut self, value: u32, bits: u32) {
        self.last = self.last << bits | u64::from(value);
        self.count += bits;
        while self.count >= 8 {
            self.count -= 8;
            self.bytes.push((self.last >> self.count) as u8);
        }
    }

    /// Fills up the last byte with zeros and hands all out.
    fn flush(&mut self, out: &mut Vec<u8>) {
        if self.count > 0 {
            self.put(0, 8 - self.count);
        }
        out.append(&mut self.bytes);
        self.last = 0;
    }
}
