//! Lanes: the frames of one transfer, one way, on a connection of their own (row V10b; `docs/protocol.md`, Lanes).
//!
//! A frame is `u32` big-endian length, then `SFrame header | place | payload | tag`. The [`Place`] says in clear which bytes of the
//! recording the payload is; it is SFrame's metadata, so it is authenticated, and so is a clear frame's payload. Since the place can be read before
//! the frame is opened, a receiver leaves a frame that is ahead of the other lane where it is.

use crate::sframe::{self, HEADER_MAX, Header, MetadataLen, Opener, Sealer, Suite, TAG_MAX};
use core::ops::Range;
use thiserror::Error;

/// Length of the length before each frame, bytes.
pub(crate) const PREFIX: usize = 4;
/// Length of the place in a frame, bytes.
pub(crate) const PLACE: usize = 21;

/// Bytes to leave free before the payload in a buffer for [`LaneSealer::seal`].
pub const HEADROOM: usize = PREFIX + HEADER_MAX + PLACE;
/// Bytes to leave free after the payload in a buffer for [`LaneSealer::seal`].
pub const TAILROOM: usize = TAG_MAX;
/// What a frame has besides its payload at most, bytes, its length not counted.
pub const OVERHEAD: usize = HEADER_MAX + PLACE + TAG_MAX;

/// What a frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Encrypted bytes of the recording.
    Sealed,
    /// Readable bytes of the recording.
    Clear,
    /// The lane's end; `segment` is the number of segments, `offset` the recording's length, the payload its hash or nothing.
    End,
}

impl Kind {
    const fn number(self) -> u8 {
        match self {
            Self::Sealed => 0,
            Self::Clear => 1,
            Self::End => 2,
        }
    }

    const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Sealed),
            1 => Some(Self::Clear),
            2 => Some(Self::End),
            _ => None,
        }
    }
}

/// Where a frame's payload belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The transfer's number.
    pub transfer: u32,
    /// What the frame holds.
    pub kind: Kind,
    /// The segment that the payload is of, from 0.
    pub segment: u64,
    /// The payload's first byte in the recording, from 0.
    pub offset: u64,
}

impl Place {
    fn encode(self) -> [u8; PLACE] {
        let mut bytes = [0; PLACE];
        bytes[..4].copy_from_slice(&self.transfer.to_be_bytes());
        bytes[4] = self.kind.number();
        bytes[5..13].copy_from_slice(&self.segment.to_be_bytes());
        bytes[13..].copy_from_slice(&self.offset.to_be_bytes());
        bytes
    }

    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let (transfer, rest) = bytes.split_first_chunk::<4>()?;
        let (&kind, rest) = rest.split_first()?;
        let (segment, rest) = rest.split_first_chunk::<8>()?;
        let offset = rest.first_chunk::<8>()?;
        Some(Self {
            transfer: u32::from_be_bytes(*transfer),
            kind: Kind::from_number(kind)?,
            segment: u64::from_be_bytes(*segment),
            offset: u64::from_be_bytes(*offset),
        })
    }
}

/// Seals one lane's frames.
pub struct LaneSealer(Sealer);

impl LaneSealer {
    /// For a lane that opens now: `base_key` must be fresh. `kid` is 0 for the class sealed, 1 for rest.
    #[must_use]
    pub fn new(suite: Suite, kid: u64, base_key: &[u8; 32]) -> Self {
        Self(Sealer::new(suite, kid, base_key))
    }

    /// Seals a frame in place and gives its range in `buffer`, length included.
    ///
    /// `buffer` is [`HEADROOM`] bytes, the payload, and at least [`TAILROOM`] bytes. The payload is encrypted unless the kind is [`Kind::Clear`].
    ///
    /// # Errors
    /// [`sframe::SealError`]; no counter is used.
    pub fn seal(
        &mut self,
        place: Place,
        buffer: &mut [u8],
        payload: usize,
    ) -> Result<Range<usize>, sframe::SealError> {
        let frame = buffer.get_mut(PREFIX..).ok_or(sframe::SealError::BufferTooSmall)?;
        frame
            .get_mut(HEADER_MAX..HEADER_MAX + PLACE)
            .ok_or(sframe::SealError::BufferTooSmall)?
            .copy_from_slice(&place.encode());
        let (metadata, plaintext) = match place.kind {
            Kind::Clear => (PLACE + payload, 0),
            Kind::Sealed | Kind::End => (PLACE, payload),
        };
        let range = self.0.seal(frame, metadata, plaintext)?;
        let length = u32::try_from(range.len()).map_err(|_| sframe::SealError::TooLong)?;
        // The frame starts PREFIX later in `buffer` than in `frame`, so its length goes just before it.
        buffer[range.start..range.start + PREFIX].copy_from_slice(&length.to_be_bytes());
        Ok(range.start..range.end + PREFIX)
    }
}

/// How far [`peek`] got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peeked {
    /// Call again with at least so many bytes.
    NeedMore(usize),
    /// A whole frame: how many bytes it takes, its length included, and what it says of its place. Nothing is authenticated yet.
    Frame(usize, Place),
}

/// Looks at the first frame of `bytes`, for a receiver that takes frames of at most `max` bytes after the length.
///
/// # Errors
/// [`FrameError`]: close the lane.
pub fn peek(bytes: &[u8], max: u32) -> Result<Peeked, FrameError> {
    let Some((length, rest)) = bytes.split_first_chunk::<PREFIX>() else {
        return Ok(Peeked::NeedMore(PREFIX));
    };
    let length = u32::from_be_bytes(*length);
    if length > max {
        return Err(FrameError::TooLong { length, max });
    }
    let total = PREFIX + length as usize;
    let Some(frame) = rest.get(..length as usize) else {
        return Ok(Peeked::NeedMore(total));
    };
    let (_, header) = Header::parse(frame).map_err(|_| FrameError::Malformed)?;
    let place = frame.get(header..).and_then(Place::parse).ok_or(FrameError::Malformed)?;
    Ok(Peeked::Frame(total, place))
}

/// Opens one lane's frames, in order.
pub struct LaneOpener(Opener);

impl LaneOpener {
    /// As the sealer's.
    #[must_use]
    pub fn new(suite: Suite, kid: u64, base_key: &[u8; 32]) -> Self {
        Self(Opener::new(suite, kid, base_key))
    }

    /// Opens a whole frame, as [`peek`] found it, in place: where in `bytes` its payload is.
    ///
    /// # Errors
    /// [`FrameError::NotAuthentic`]: close the lane.
    pub fn open(&mut self, bytes: &mut [u8], kind: Kind) -> Result<Range<usize>, FrameError> {
        let frame = bytes.get_mut(PREFIX..).ok_or(FrameError::Malformed)?;
        let metadata = match kind {
            Kind::Clear => MetadataLen::AllButTag,
            Kind::Sealed | Kind::End => MetadataLen::Bytes(PLACE),
        };
        let opened = self.0.open(frame, metadata).map_err(|_| FrameError::NotAuthentic)?;
        let payload = match kind {
            Kind::Clear => opened.metadata.start + PLACE..opened.metadata.end,
            Kind::Sealed | Kind::End => opened.plaintext,
        };
        if payload.start > payload.end {
            return Err(FrameError::Malformed);
        }
        Ok(payload.start + PREFIX..payload.end + PREFIX)
    }
}

/// A frame can't be taken; its lane is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The frame is longer than the receiver said it takes.
    #[error("a frame of {length} bytes came, over the {max} that this side takes; close the lane")]
    TooLong {
        /// The frame's length, bytes.
        length: u32,
        /// The most this side takes, bytes.
        max: u32,
    },
    /// The bytes are no frame.
    #[error("bytes that are no frame came; close the lane")]
    Malformed,
    /// The frame was altered, replayed, lost, or sealed under another key.
    #[error("a frame was altered, replayed or lost on its way; close the lane and resume")]
    NotAuthentic,
}
