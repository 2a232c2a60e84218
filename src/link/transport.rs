//! Transport records: sealed texts, padded, rekeyed.

use super::noise::{AesGcm, TAG};
use super::record::PREFIX;
use super::{MaxRecord, Record, RecordError, record};
use core::ops::Range;
use noise_protocol::CipherState;

/// Each direction's key is replaced (Noise, section 11.3) after so many records.
pub const REKEY_AFTER: u64 = 1 << 20;

/// Plaintexts are padded to a multiple of this, so that a record's size shows little of what it says.
const PADDING: usize = 64;

/// Length of the text's length field inside the plaintext.
const LENGTH: usize = 2;

/// A link after its handshake: seals texts for the other side and opens its records, each in order.
///
/// A record's plaintext: the text's length (`u16` big-endian), the text, zeros up to a multiple of 64 bytes.
pub struct Transport {
    send: CipherState<AesGcm>,
    receive: CipherState<AesGcm>,
    ours: MaxRecord,
    theirs: MaxRecord,
    closed: bool,
}

impl Transport {
    pub(super) fn new(
        send: CipherState<AesGcm>,
        receive: CipherState<AesGcm>,
        ours: MaxRecord,
        theirs: MaxRecord,
    ) -> Self {
        Self { send, receive, ours, theirs, closed: false }
    }

    /// The largest record that this side announced: what [`record()`] checks incoming ones against.
    pub fn max_record(&self) -> MaxRecord {
        self.ours
    }

    /// The longest text that fits into the largest record that the other side takes, bytes.
    pub fn max_payload(&self) -> usize {
        (usize::from(self.theirs.get()) - TAG) / PADDING * PADDING - LENGTH
    }

    /// The bytes that a text of `length` takes as a record, length prefix included.
    pub const fn sealed_length(length: usize) -> usize {
        PREFIX + (LENGTH + length).next_multiple_of(PADDING) + TAG
    }

    /// Seals a text as one record at the start of `out` and gives the record's length.
    ///
    /// # Errors
    /// [`SealError`]; nothing is written or changed.
    pub fn seal(&mut self, text: &[u8], out: &mut [u8]) -> Result<usize, SealError> {
        if self.closed || self.send.get_next_n() == u64::MAX {
            return Err(SealError::Closed);
        }
        let max = self.max_payload();
        if text.len() > max {
            return Err(SealError::TextTooLong { max });
        }
        let needed = Self::sealed_length(text.len());
        let out = out.get_mut(..needed).ok_or(SealError::BufferTooSmall { needed })?;
        let (prefix, body) = out.split_at_mut(PREFIX);
        // Both lengths are at most a `MaxRecord`: nothing is cut off.
        prefix.copy_from_slice(&(body.len() as u16).to_be_bytes());
        body[..LENGTH].copy_from_slice(&(text.len() as u16).to_be_bytes());
        let (filled, padding) = body[LENGTH..].split_at_mut(text.len());
        filled.copy_from_slice(text);
        padding.fill(0);
        let plaintext = body.len() - TAG;
        self.send.encrypt_in_place(body, plaintext);
        rekey_if_due(&mut self.send);
        Ok(needed)
    }

    /// Opens one whole record, length prefix included, in place, and gives where in it the text is.
    ///
    /// # Errors
    /// [`OpenError`]: the link is closed for good, in both directions; close the connection.
    pub fn open(&mut self, record: &mut [u8]) -> Result<Range<usize>, OpenError> {
        if self.closed {
            return Err(OpenError::Closed);
        }
        let result = self.open_next(record);
        self.closed = result.is_err();
        result
    }

    fn open_next(&mut self, bytes: &mut [u8]) -> Result<Range<usize>, OpenError> {
        match record(bytes, self.ours)? {
            Record::Complete(total) if total == bytes.len() => {}
            _ => return Err(OpenError::NotOneRecord),
        }
        if self.receive.get_next_n() == u64::MAX {
            return Err(OpenError::Closed);
        }
        let body = &mut bytes[PREFIX..];
        let length = body.len();
        let length = self.receive.decrypt_in_place(body, length).map_err(|()| OpenError::Authentication)?;
        rekey_if_due(&mut self.receive);
        let (prefix, rest) = body[..length].split_first_chunk::<LENGTH>().ok_or(OpenError::Padding)?;
        let text = usize::from(u16::from_be_bytes(*prefix));
        let padding = rest.get(text..).ok_or(OpenError::Padding)?;
        if !length.is_multiple_of(PADDING) || padding.iter().any(|&byte| byte != 0) {
            return Err(OpenError::Padding);
        }
        let start = PREFIX + LENGTH;
        Ok(start..start + text)
    }
}

/// The counter goes on through a rekey, so it says on both sides alike when the next one is due.
fn rekey_if_due(cipher: &mut CipherState<AesGcm>) {
    if cipher.get_next_n().is_multiple_of(REKEY_AFTER) {
        cipher.rekey();
    }
}

/// A text could not be sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// The output is too small.
    #[error("the output buffer is too small for the record; it takes {needed} bytes")]
    BufferTooSmall {
        /// The bytes that it takes.
        needed: usize,
    },
    /// The other side takes no record as large.
    #[error("the text is too long for the other side, which takes {max} bytes; send less")]
    TextTooLong {
        /// The longest text, bytes.
        max: usize,
    },
    /// An earlier record failed to open.
    #[error("the link was closed by a record that could not be opened; connect again")]
    Closed,
}

/// A record could not be opened. The link is closed for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Its length is out of bounds.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The bytes given are not exactly one record.
    #[error(
        "the bytes given to open are not exactly one record; cut them with `record` first, and connect again"
    )]
    NotOneRecord,
    /// It was not sealed by the other side, or lost, changed, repeated or out of order.
    #[error("a record from the other side was changed, lost or repeated on its way; connect again")]
    Authentication,
    /// The other side sealed something malformed.
    #[error(
        "the other side sent a text with wrong length or padding; close the connection and update that side"
    )]
    Padding,
    /// An earlier record failed to open.
    #[error("the link was closed by a record that could not be opened; connect again")]
    Closed,
}
