//! Each table of codes: every pattern of bits is one code or reserved, and no code begins another.
#![allow(clippy::unwrap_used, clippy::panic)]

extern crate std;

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::vec::Vec;

use super::*;

/// Bits of the longest code.
const WIDTH: u8 = 17;

/// The codes that a table has, by trying all patterns: length and bits, value.
fn codes<T: PartialEq + Debug>(decode: impl Fn(u32) -> Option<(u8, T)>) -> BTreeMap<(u8, u32), T> {
    let mut codes = BTreeMap::new();
    for bits in 0..1 << WIDTH {
        let Some((len, value)) = decode(bits << (32 - WIDTH)) else { continue };
        assert!((1..=WIDTH).contains(&len), "{len} bits");
        let code = (len, bits >> (WIDTH - len));
        if let Some(before) = codes.get(&code) {
            assert_eq!(before, &value, "{code:?} depends on what follows it");
        } else {
            codes.insert(code, value);
        }
    }
    codes
}

/// Patterns of [`WIDTH`] bits that begin with none of the codes; asserts that none begins with two.
fn reserved<T>(codes: &BTreeMap<(u8, u32), T>) -> u32 {
    for &(len, code) in codes.keys() {
        let beginnings = (1..len).map(|short| (short, code >> (len - short)));
        assert!(!beginnings.into_iter().any(|other| codes.contains_key(&other)), "{code:b} of {len} bits");
    }
    (1 << WIDTH) - codes.keys().map(|(len, _)| 1 << (WIDTH - len)).sum::<u32>()
}

#[test]
fn intra_blocks_increments_are_complete() {
    let codes = codes(increment);
    let mut steps: Vec<u8> = codes
        .values()
        .filter_map(|value| match value {
            Increment::By(by) => Some(*by),
            _ => None,
        })
        .collect();
    steps.sort_unstable();
    assert!(steps.into_iter().eq(1..=33));
    assert_eq!(codes.len(), 35);
    // 0000 0000 000 to 0000 0010 111, but for escape and stuffing.
    assert_eq!(reserved(&codes), (24 - 2) << 6);
}

#[test]
fn intra_blocks_motion_codes_are_complete() {
    let codes = codes(motion);
    // Sixteen of each sign and none.
    assert_eq!(codes.len(), 33);
    assert_eq!(codes.values().filter(|moves| !**moves).count(), 1);
    assert_eq!(reserved(&codes), 24 << 6);
}

#[test]
fn intra_blocks_types_are_complete() {
    let (predicted, bidirectional) = (codes(predicted), codes(bidirectional));
    assert_eq!((predicted.len(), reserved(&predicted)), (7, 1 << 11));
    assert_eq!((bidirectional.len(), reserved(&bidirectional)), (11, 1 << 11));
    for codes in [predicted, bidirectional] {
        assert_eq!(codes.values().filter(|flags| **flags & INTRA != 0).count(), 2);
        // A scale is only given to what has coefficients.
        assert!(codes.values().all(|flags| flags & QUANT == 0 || flags & (PATTERN | INTRA) != 0));
    }
}

#[test]
fn intra_blocks_patterns_are_complete() {
    let codes = codes(pattern);
    let mut patterns: Vec<u8> = codes.values().copied().collect();
    patterns.sort_unstable();
    assert!(patterns.into_iter().eq(0..64));
    assert_eq!(reserved(&codes), 1 << 8);
}

#[test]
fn intra_blocks_coefficients_are_complete() {
    for first in [false, true] {
        let codes = codes(|bits| coefficient(bits, first));
        assert_eq!(reserved(&codes), 1 << 5, "all but those that begin with twelve zeros");
        // By run, how many levels there are of either sign.
        let mut levels = [0; 32];
        for value in codes.values() {
            if let Coefficient::Run(run) = value {
                levels[usize::from(*run)] += 1;
            }
        }
        let of = |run| match run {
            0 => 40,
            1 => 18,
            2 => 5,
            3 => 4,
            4..=6 => 3,
            7..=16 => 2,
            _ => 1,
        };
        assert!(levels.into_iter().eq((0..32).map(|run| 2 * of(run))), "{levels:?}");
        let ends = codes.values().filter(|value| **value == Coefficient::End).count();
        assert_eq!(ends, usize::from(!first));
        assert_eq!(codes.get(&(6, 1)), Some(&Coefficient::Escape));
    }
}

#[test]
fn intra_blocks_escapes_hold_no_zero() {
    let bits = |run: u32, level: u32, len: u32| run << 26 | level << (26 - len);
    assert_eq!(escaped(bits(9, 0, 12), false), None);
    assert_eq!(escaped(bits(9, 0x800, 12), false), None);
    assert_eq!(escaped(bits(9, 0x801, 12), false), Some((18, 9)));
    assert_eq!(escaped(bits(63, 0x7ff, 12), false), Some((18, 63)));
    for level in 0..=u16::MAX {
        let (high, low) = (level >> 8, level & 0xff);
        let expected = match high {
            0 => (low >= 128).then_some((22, 5)),
            0x80 => (1..=128).contains(&low).then_some((22, 5)),
            _ => Some((14, 5)),
        };
        assert_eq!(escaped(bits(5, level.into(), 16), true), expected, "{level:x}");
    }
}
