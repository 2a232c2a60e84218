//! Where all chance in a world comes from: SplitMix64, one stream for each thing that is decided, so that a step more or less, or a kind of fault
//! switched off, leaves the other decisions as they were.

#[derive(Clone)]
pub struct Rng(u64);

impl Rng {
    /// The stream of `what` in the world `seed`.
    pub fn new(seed: u64, what: u64) -> Self {
        let mut start = Self(seed ^ what.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(17));
        start.next();
        start
    }

    /// The keys and entropy of a device in one of its lives: the same in all worlds, so that what X25519 gives is known already
    /// (`src/link/remembered.rs`). What happens in a world doesn't hang on them.
    pub fn of_device(index: usize, life: u32) -> Self {
        Self::new(index as u64, u64::from(life))
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Under `limit`; 0 if that is 0.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn index(&mut self, length: usize) -> usize {
        self.below(length as u64) as usize
    }

    pub fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.next() as u8)
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> Option<T> {
        let index = self.index(from.len());
        from.get(index).copied()
    }
}
