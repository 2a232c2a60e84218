//! The search for 00 00 01, which is where nearly all of a splitter's time goes.

/// Bytes looked at in one go: a width that compilers turn into vector minima on x86-64 and AArch64.
const BLOCK: usize = 64;

/// Offset of the first 00 00 01 in `bytes` at or after `from`.
#[inline]
pub(super) fn prefix(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<{ BLOCK + 2 }>()) {
            let least = |block: &[u8; BLOCK + 2]| {
                let mut least = 0xff;
                for i in 0..BLOCK {
                    least = (block[i] | block[i + 1] | (block[i + 2] ^ 1)).min(least);
                }
                least
            };
            if least(block) == 0 {
                break;
            }
            at += BLOCK;
        }
    }
    // The third byte decides how far to go: only a 1 can end a prefix here, only a 0 can be part of one further on.
    while let Some(&[first, second, third]) = bytes.get(at..at + 3) {
        match third {
            1 if first == 0 && second == 0 => return Some(at),
            0 => at += 1,
            _ => at += 3,
        }
    }
    None
}

/// How many bytes at the end of `bytes` could be the beginning of 00 00 01 and a code that is not there yet (0 to 3).
pub(super) fn tail(bytes: &[u8]) -> usize {
    match bytes {
        [.., 0, 0, 1] => 3,
        [.., 0, 0] => 2,
        [.., 0] => 1,
        _ => 0,
    }
}
