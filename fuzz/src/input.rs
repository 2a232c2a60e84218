//! The fuzzer's bytes, taken one choice at a time; once they are used up, every choice is 0.

pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let Some((&byte, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        byte
    }

    pub fn below(&mut self, limit: usize) -> usize {
        usize::from(self.byte()) % limit
    }

    pub fn number(&mut self) -> u64 {
        // Small numbers, or large ones by their logarithm.
        match self.byte() {
            byte @ 0..=127 => byte.into(),
            byte => (1_u64 << (byte & 63)).wrapping_sub(u64::from(byte >> 6 & 1)),
        }
    }

    /// Up to the next byte 0xff, which no text has.
    pub fn bytes(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0xff).unwrap_or(self.0.len());
        let (bytes, rest) = self.0.split_at(end);
        self.0 = rest.get(1..).unwrap_or_default();
        bytes
    }

    /// As many as the two bytes before them say.
    pub fn counted(&mut self) -> &'a [u8] {
        let length = usize::from(u16::from_be_bytes([self.byte(), self.byte()])).min(self.0.len());
        let (bytes, rest) = self.0.split_at(length);
        self.0 = rest;
        bytes
    }
}
