//! Base64 (RFC 4648, section 4). It carries secrets, so no branch and no place in memory depends on what the bytes are; and it is small.

#[cfg(test)]
mod tests;

/// Length of the text of so many bytes.
pub(crate) const fn encoded_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Writes the text of `bytes` to the start of `text`; `None` if it has no room.
pub(crate) fn encode<'t>(bytes: &[u8], text: &'t mut [u8]) -> Option<&'t str> {
    let text = text.get_mut(..encoded_length(bytes.len()))?;
    for (group, digits) in bytes.chunks(3).zip(text.chunks_exact_mut(4)) {
        let mut bits = 0;
        for place in 0..3 {
            bits = bits << 8 | i32::from(group.get(place).copied().unwrap_or(0));
        }
        for (place, to) in digits.iter_mut().enumerate() {
            *to = if place <= group.len() { digit(bits >> (18 - 6 * place) & 63) } else { b'=' };
        }
    }
    core::str::from_utf8(text).ok()
}

/// Reads a text into the start of `bytes`; `None` if it has no room, or the text is not what [`encode`] writes.
pub(crate) fn decode<'b>(text: &str, bytes: &'b mut [u8]) -> Option<&'b [u8]> {
    let text = text.as_bytes();
    if !text.len().is_multiple_of(4) {
        return None;
    }
    let padding = text.iter().rev().take(2).take_while(|digit| **digit == b'=').count();
    let bytes = bytes.get_mut(..text.len() / 4 * 3 - padding)?;
    // Negative once anything is.
    let mut wrong = 0;
    for (digits, group) in text.chunks_exact(4).zip(bytes.chunks_mut(3)) {
        let mut bits = 0;
        for (place, digit) in digits.iter().enumerate() {
            let six = if place <= group.len() { value(*digit) } else { 0 };
            wrong |= six;
            bits = bits << 6 | six;
        }
        for byte in group.iter_mut() {
            *byte = (bits >> 16) as u8;
            bits = bits << 8 & 0xff_ffff;
        }
        // What the bytes leave over.
        wrong |= -bits;
    }
    (wrong >= 0).then_some(bytes)
}

/// The digit of six bits.
fn digit(value: i32) -> u8 {
    let from = |first: i32, step: i32| (first - 1 - value) >> 31 & step;
    let upper = i32::from(b'A');
    (value + upper + from(26, 6) + from(52, -75) + from(62, -15) + from(63, 3)) as u8
}

/// A digit's six bits; -1 if it is none.
fn value(digit: u8) -> i32 {
    let within = |first: u8, last: u8, value: i32| {
        let (after, before) = (i32::from(digit) - i32::from(first), i32::from(last) - i32::from(digit));
        !(after | before) >> 31 & (after + value + 1)
    };
    (within(b'A', b'Z', 0)
        | within(b'a', b'z', 26)
        | within(b'0', b'9', 52)
        | within(b'+', b'+', 62)
        | within(b'/', b'/', 63))
        - 1
}
