//! Base64 (RFC 4648, section 4) in constant time: the crate's functions once in the code, instead of once for each caller.

use base64ct::{Base64, Encoding};

/// Length of the text of so many bytes.
pub(crate) const fn encoded_length(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

/// Writes the text of `bytes` to the start of `text`; `None` if it has no room.
#[inline(never)]
pub(crate) fn encode<'t>(bytes: &[u8], text: &'t mut [u8]) -> Option<&'t str> {
    Base64::encode(bytes, text).ok()
}

/// Reads a text into the start of `bytes`; `None` if it has no room, or the text is not what [`encode`] writes.
#[inline(never)]
pub(crate) fn decode<'b>(text: &str, bytes: &'b mut [u8]) -> Option<&'b [u8]> {
    Base64::decode(text, bytes).ok()
}
