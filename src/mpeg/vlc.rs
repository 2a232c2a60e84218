//! Variable-length codes of MPEG-1 and MPEG-2 macroblocks that aren't intra-coded (ISO/IEC 11172-2, 13818-2, annex B).
//!
//! Each takes the next 32 bits of a slice, zeros behind its end, and says how many of them the code takes. Only what
//! tells where the next code begins is decoded: lengths, runs, blocks. `None`: no such code.

#[cfg(test)]
mod tests;

/// What comes before a macroblock.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Increment {
    By(u8),
    /// 33 more.
    Escape,
    /// Only in MPEG-1.
    Stuffing,
}

/// Length of a code of up to 11 bits that B.1 and B.10 have in common, and what its value is counted down from.
fn eleven(code: u32) -> Option<(u8, u8)> {
    Some(match code {
        1024.. => (1, 2),
        512.. => (3, 5),
        256.. => (4, 7),
        128.. => (5, 9),
        96.. => (7, 15),
        48.. => (8, 21),
        36.. => (10, 39),
        24.. => (11, 57),
        _ => return None,
    })
}

/// macroblock_address_increment (B.1).
pub(super) fn increment(bits: u32) -> Option<(u8, Increment)> {
    let code = bits >> 21;
    match code {
        8 => Some((11, Increment::Escape)),
        15 => Some((11, Increment::Stuffing)),
        _ => {
            let (len, most) = eleven(code)?;
            Some((len, Increment::By(most - (code >> (11 - len)) as u8)))
        }
    }
}

/// motion_code with its sign (B.10), and whether a residual may follow.
pub(super) fn motion(bits: u32) -> Option<(u8, bool)> {
    let (len, _) = eleven(bits >> 21)?;
    Some((len, len > 1))
}

pub(super) const QUANT: u8 = 0x10;
pub(super) const FORWARD: u8 = 8;
pub(super) const BACKWARD: u8 = 4;
pub(super) const PATTERN: u8 = 2;
pub(super) const INTRA: u8 = 1;

/// macroblock_type of P-pictures (B.3), as flags.
pub(super) fn predicted(bits: u32) -> Option<(u8, u8)> {
    Some(match bits >> 26 {
        32.. => (1, FORWARD | PATTERN),
        16.. => (2, PATTERN),
        8.. => (3, FORWARD),
        6.. => (5, INTRA),
        4.. => (5, QUANT | FORWARD | PATTERN),
        2.. => (5, QUANT | PATTERN),
        1 => (6, QUANT | INTRA),
        _ => return None,
    })
}

/// macroblock_type of B-pictures (B.4).
pub(super) fn bidirectional(bits: u32) -> Option<(u8, u8)> {
    Some(match bits >> 26 {
        48.. => (2, FORWARD | BACKWARD | PATTERN),
        32.. => (2, FORWARD | BACKWARD),
        24.. => (3, BACKWARD | PATTERN),
        16.. => (3, BACKWARD),
        12.. => (4, FORWARD | PATTERN),
        8.. => (4, FORWARD),
        6.. => (5, INTRA),
        4.. => (5, QUANT | FORWARD | BACKWARD | PATTERN),
        3 => (6, QUANT | FORWARD | PATTERN),
        2 => (6, QUANT | BACKWARD | PATTERN),
        1 => (6, QUANT | INTRA),
        _ => return None,
    })
}

/// coded_block_pattern (B.9) from the largest code down.
const PATTERNS: [u8; 64] = [
    60, 4, 8, 16, 32, 12, 48, 20, 40, 28, 44, 52, 56, 1, 61, 2, 62, 24, 36, 3, 63, 5, 9, 17, 33, 6, 10, 18,
    34, 7, 11, 19, 35, 13, 49, 21, 41, 14, 50, 22, 42, 15, 51, 23, 43, 25, 37, 26, 38, 29, 45, 53, 57, 30,
    46, 54, 58, 31, 47, 55, 59, 27, 39, 0,
];

/// coded_block_pattern (B.9).
pub(super) fn pattern(bits: u32) -> Option<(u8, u8)> {
    let code = bits >> 23;
    // Length, place in PATTERNS of the largest code of that length, and that code.
    let (len, first, largest) = match code {
        448.. => (3, 0, 7),
        320.. => (4, 1, 13),
        128.. => (5, 5, 19),
        96.. => (6, 17, 15),
        64.. => (7, 21, 23),
        8.. => (8, 29, 31),
        2.. => (9, 57, 7),
        1 => (9, 63, 1),
        0 => return None,
    };
    PATTERNS.get(first + largest - (code >> (9 - len)) as usize).map(|&pattern| (len, pattern))
}

/// What a block goes on with.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Coefficient {
    /// So many zeros and one that isn't.
    Run(u8),
    /// Run and level follow as numbers.
    Escape,
    End,
}

/// Runs of B.14 by the zeros that a code begins with, and by the bits behind the 1 that follows them.
const AFTER_3: [u8; 4] = [7, 6, 1, 5];
const AFTER_4: [u8; 4] = [2, 9, 0, 8];
const AFTER_2: [u8; 8] = [13, 0, 12, 11, 3, 1, 0, 10];
const AFTER_6: [u8; 8] = [16, 5, 0, 2, 1, 15, 14, 4];
const AFTER_7: [u8; 16] = [0, 8, 4, 0, 2, 7, 21, 20, 0, 19, 18, 1, 3, 0, 6, 17];
const AFTER_8: [u8; 16] = [10, 9, 5, 3, 2, 1, 1, 0, 0, 0, 0, 26, 25, 24, 23, 22];
const AFTER_11: [u8; 16] = [1, 1, 1, 1, 6, 16, 15, 14, 13, 12, 11, 31, 30, 29, 28, 27];

/// A coefficient with its sign (B.14); `first`: of a block, which has one.
#[inline]
pub(super) fn coefficient(bits: u32, first: bool) -> Option<(u8, Coefficient)> {
    let next = |from: u32, count: u32| (bits << from >> (32 - count)) as usize;
    let (len, run) = match bits.leading_zeros() {
        0 if first => (1, 0),
        0 if next(1, 1) == 0 => return Some((2, Coefficient::End)),
        0 => (2, 0),
        1 if next(2, 1) == 1 => (3, 1),
        1 => (4, [0, 2][next(3, 1)]),
        2 if next(3, 2) == 0 => (8, AFTER_2[next(5, 3)]),
        2 => (5, [0, 0, 4, 3][next(3, 2)]),
        3 => (6, AFTER_3[next(4, 2)]),
        4 => (7, AFTER_4[next(5, 2)]),
        5 => return Some((6, Coefficient::Escape)),
        6 => (10, AFTER_6[next(7, 3)]),
        7 => (12, AFTER_7[next(8, 4)]),
        8 => (13, AFTER_8[next(9, 4)]),
        9 => (14, 0),
        // Levels 40 to 32 without a zero, then 14 to 8 behind one.
        10 => (15, if next(11, 4) < 9 { 0 } else { 1 }),
        11 => (16, AFTER_11[next(12, 4)]),
        _ => return None,
    };
    Some((len + 1, Coefficient::Run(run)))
}

/// Run and level behind an escape (B.16; MPEG-1: B.5e and B.5f), and how many bits they take.
#[inline]
pub(super) fn escaped(bits: u32, mpeg1: bool) -> Option<(u8, u8)> {
    let run = (bits >> 26) as u8;
    let rest = bits << 6;
    let len = if mpeg1 {
        match (rest >> 24, rest >> 16 & 0xff) {
            (0, 128..) | (0x80, 1..=128) => 22,
            (0 | 0x80, _) => return None,
            _ => 14,
        }
    } else {
        match rest >> 20 {
            0 | 0x800 => return None,
            _ => 18,
        }
    };
    Some((len, run))
}
