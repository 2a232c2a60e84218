//! The search for 00 00 01, which is where nearly all of a splitter's time goes.

/// Whether one of the first `N - 2` bytes begins a prefix, without a branch, which compilers turn into vector minima.
#[inline(always)]
fn any<const N: usize>(block: &[u8; N]) -> bool {
    let mut least = 0xff;
    for at in 0..N - 2 {
        least = (block[at] | block[at + 1] | (block[at + 2] ^ 1)).min(least);
    }
    least == 0
}

/// The first block of `N` bytes at or after `at`, in steps of `N - 2`, that has a prefix; or where there are no more.
#[inline(always)]
fn skip<const N: usize>(bytes: &[u8], mut at: usize) -> usize {
    while let Some(block) = bytes.get(at..).and_then(|rest| rest.first_chunk::<N>()) {
        if any(block) {
            break;
        }
        at += N - 2;
    }
    at
}

/// Offset of the first 00 00 01 in `bytes` at or after `from`.
#[inline]
pub(super) fn prefix(bytes: &[u8], from: usize) -> Option<usize> {
    let mut at = from;
    if cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) {
        at = skip::<66>(bytes, at);
        at = skip::<18>(bytes, at);
        // The last block, which overlaps with the one before.
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.len() < 18
            && bytes.len() >= from + 18
            && bytes.last_chunk::<18>().is_some_and(|block| !any(block))
        {
            return None;
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
