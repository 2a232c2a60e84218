//! Framing: `u16` big-endian length, then that many bytes.

use super::noise::TAG;

/// Length of the length prefix, bytes.
pub(super) const PREFIX: usize = 2;

/// The largest record that one side takes, in bytes after the length prefix: 512 to 65535.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaxRecord(u16);

impl MaxRecord {
    /// What every side takes at least, 512 bytes: the limit for handshake messages.
    pub const MIN: Self = Self(512);

    /// The largest there is, 65535 bytes.
    pub const MAX: Self = Self(u16::MAX);

    /// `None` under 512.
    pub const fn new(bytes: u16) -> Option<Self> {
        if bytes < Self::MIN.0 { None } else { Some(Self(bytes)) }
    }

    /// In bytes, without the length prefix.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// What [`record()`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The first record is the first so many bytes, length prefix included.
    Complete(usize),
    /// Call again with at least this many bytes, counted from the record's first.
    NeedMore(usize),
}

/// Finds the first record's end, for the receiver that announced `max`: [`MaxRecord::MIN`] during the handshake,
/// [`Transport::max_record`](super::Transport::max_record) after it.
///
/// # Errors
/// [`RecordError`] as soon as the length is known: close the connection.
pub fn record(bytes: &[u8], max: MaxRecord) -> Result<Record, RecordError> {
    let Some(&prefix) = bytes.first_chunk::<PREFIX>() else {
        return Ok(Record::NeedMore(PREFIX));
    };
    let length = u16::from_be_bytes(prefix);
    if length > max.get() {
        return Err(RecordError::TooLong { length, max: max.get() });
    }
    if usize::from(length) < TAG {
        return Err(RecordError::TooShort { length });
    }
    let total = PREFIX + usize::from(length);
    Ok(if bytes.len() < total { Record::NeedMore(total) } else { Record::Complete(total) })
}

/// Whether `bytes` is one record, no more and no less.
pub(super) fn is_whole(bytes: &[u8], max: MaxRecord) -> bool {
    record(bytes, max) == Ok(Record::Complete(bytes.len()))
}

/// A record's length is out of bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Longer than what the receiver announced.
    #[error(
        "the other side sent a record of {length} bytes, over the {max} that were announced; close the connection"
    )]
    TooLong {
        /// Its length, bytes.
        length: u16,
        /// The most that was announced, bytes.
        max: u16,
    },
    /// Too short for an authentication tag.
    #[error(
        "the other side sent a record of {length} bytes, too short for any message; close the connection"
    )]
    TooShort {
        /// Its length, bytes.
        length: u16,
    },
}
