//! The search for 00 00 01, which is where nearly all of a splitter's time goes.

#[cfg(target_arch = "aarch64")]
use memchr::arch::aarch64::neon::packedpair::Finder;
#[cfg(target_arch = "x86_64")]
use memchr::arch::x86_64::{avx2::packedpair::Finder as Wider, sse2::packedpair::Finder};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
const PREFIX: [u8; 3] = [0, 0, 1];

/// Searches with the widest vectors of this machine, if it has any. Made once for many searches: making it takes as long as
/// some hundred bytes.
pub(super) struct Search {
    #[cfg(target_arch = "x86_64")]
    wider: Option<Wider>,
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    finder: Option<Finder>,
}

impl Search {
    #[inline]
    pub(super) fn new() -> Self {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let pair = memchr::arch::all::packedpair::Pair::with_indices(&PREFIX, 0, 2);
        #[cfg(target_arch = "x86_64")]
        let wider = pair.and_then(|pair| Wider::with_pair(&PREFIX, pair));
        Self {
            #[cfg(target_arch = "x86_64")]
            finder: if wider.is_some() {
                None
            } else {
                pair.and_then(|pair| Finder::with_pair(&PREFIX, pair))
            },
            #[cfg(target_arch = "x86_64")]
            wider,
            #[cfg(target_arch = "aarch64")]
            finder: pair.and_then(|pair| Finder::with_pair(&PREFIX, pair)),
        }
    }

    /// `None`: there are no vectors, or `bytes` are too few for them.
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    #[inline]
    fn vectors(&self, bytes: &[u8]) -> Option<Option<usize>> {
        #[cfg(target_arch = "x86_64")]
        if let Some(finder) = &self.wider {
            return (bytes.len() >= finder.min_haystack_len()).then(|| finder.find(bytes, &PREFIX));
        }
        let finder = self.finder.as_ref()?;
        (bytes.len() >= finder.min_haystack_len()).then(|| finder.find(bytes, &PREFIX))
    }

    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    fn vectors(&self, _: &[u8]) -> Option<Option<usize>> {
        None
    }

    /// Offset of the first 00 00 01 in `bytes` at or after `from`.
    #[inline]
    pub(super) fn prefix(&self, bytes: &[u8], from: usize) -> Option<usize> {
        let rest = bytes.get(from..)?;
        if let Some(found) = self.vectors(rest) {
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
