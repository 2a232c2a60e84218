//! The search for 00 00 01, which is where nearly all of a splitter's time goes.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const PREFIX: [u8; 3] = [0, 0, 1];

/// The search with the widest vectors of this machine. `None`: it has none, or `bytes` are too few for them.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#[inline]
fn vectors(bytes: &[u8]) -> Option<Option<usize>> {
    #[cfg(target_arch = "aarch64")]
    use memchr::arch::aarch64::neon::packedpair::Finder;
    use memchr::arch::all::packedpair::Pair;
    #[cfg(target_arch = "x86_64")]
    use memchr::arch::x86_64::{avx2::packedpair::Finder as Wider, sse2::packedpair::Finder};

    let pair = Pair::with_indices(&PREFIX, 0, 2)?;
    #[cfg(target_arch = "x86_64")]
    if let Some(finder) = Wider::with_pair(&PREFIX, pair) {
        return (bytes.len() >= finder.min_haystack_len()).then(|| finder.find(bytes, &PREFIX));
    }
    let finder = Finder::with_pair(&PREFIX, pair)?;
    (bytes.len() >= finder.min_haystack_len()).then(|| finder.find(bytes, &PREFIX))
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn vectors(_: &[u8]) -> Option<Option<usize>> {
    None
}

/// Offset of the first 00 00 01 in `bytes` at or after `from`.
#[inline]
pub(super) fn prefix(bytes: &[u8], from: usize) -> Option<usize> {
    let rest = bytes.get(from..)?;
    if let Some(found) = vectors(rest) {
        return found.map(|found| from + found);
    }
    // The third byte decides how far to go: only a 1 can end a prefix here, only a 0 can be part of one further on.
    let mut third = from + 2;
    while let Some(byte) = bytes.get(third) {
        match byte {
            2.. => third += 3,
            1 if bytes.get(third - 2..third) == Some(&[0, 0]) => return Some(third - 2),
            1 => third += 3,
            0 => third += 1,
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
