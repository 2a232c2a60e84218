//! From bytes to messages.

use super::lines::{Lines, parse_number};
use super::name::Name;
use super::*;

impl<'a> Message<'a> {
    /// Reads one message. Work is linear in its length and bounded by [`MAX_BYTES`].
    ///
    /// # Errors
    /// Which line breaks the protocol's form, and how.
    pub fn parse(_message: &'a [u8]) -> Result<Self, ParseError> {
        Lines::new(_message)?;
        Err(ParseError { line: 1, field: "verb", problem: Problem::Unknown })
    }
}
