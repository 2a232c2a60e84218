//! What a depositor's lane carries, followed frame by frame without keys and in bounded memory: part headers in their order, frames that the
//! callee takes, offsets that go on where they stopped, no more payload than was said. The frames themselves are opaque.

use crate::lane::Place;
use crate::lane::{Kind, PLACE, PREFIX};
use crate::link::{PeekedPart, peek_part};
use crate::sframe::{HEADER_MAX, Header, Suite};
use sha2::{Digest, Sha256};

/// The most payload bytes of a part.
pub(super) const MAX_PART: u64 = 1 << 20;
/// The least of one that is not the last: so their number is bounded by the recording's length.
pub(super) const MIN_PART: u64 = 64 << 10;
/// What a deposit may take on disk beside twice its payload: frames have an overhead of their own.
const SPARE: u64 = 64 << 10;
/// What the end frame holds besides nothing: SHA-256.
const HASH: u64 = 32;

/// The largest thing that is looked at before it is let through: a part header's clear bytes, or a frame's up to its place.
const HEAD: usize = PREFIX + HEADER_MAX + PLACE;

/// A part that has come to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub number: u32,
    /// Its first byte's place in the recording, and the payload that is there with it.
    pub offset: u64,
    pub kept: u64,
    /// Where it lies in the deposit's bytes.
    pub start: u64,
    pub end: u64,
    pub digest: [u8; 32],
    /// The last one.
    pub complete: bool,
}

/// Follows one lane.
pub(super) struct Framing {
    frame_max: u32,
    size: u64,
    /// Bytes of the deposit so far.
    position: u64,
    next_part: u32,
    part: Option<Open>,
    /// Payload bytes before the part that is open.
    offset: u64,
    head: [u8; HEAD],
    held: usize,
    /// Opaque bytes that are still to come.
    skip: u64,
    /// Set with the end frame's first bytes; over once these have come.
    ending: bool,
    over: bool,
}

/// The part that is coming.
struct Open {
    number: u32,
    start: u64,
    frames: u64,
    /// Payload and tags of its frames.
    sealed: u64,
    /// The lengths of tag that all offsets so far agree with: the suite is not the broker's to know.
    tags: [bool; TAGS.len()],
    digest: Sha256,
}

const TAGS: [u64; 2] =
    [Suite::Aes128CtrHmacSha256_80.tag_len() as u64, Suite::Aes128GcmSha256_128.tag_len() as u64];

impl Open {
    /// Payload bytes, if its tags have the `n`th length.
    fn payload(&self, n: usize) -> Option<u64> {
        self.sealed.checked_sub(self.frames.checked_mul(TAGS[n])?)
    }

    /// Whether so many payload bytes can have come; what doesn't agree is excluded.
    fn agrees(&mut self, payload: u64) -> bool {
        for n in 0..TAGS.len() {
            self.tags[n] &= self.payload(n) == Some(payload);
        }
        self.tags.contains(&true)
    }

    /// The least that can have come.
    fn least(&self) -> u64 {
        let possible = (0..TAGS.len()).filter(|n| self.tags[*n]);
        possible.filter_map(|n| self.payload(n)).min().unwrap_or(u64::MAX)
    }
}

/// How far [`Framing::take`] got.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Taken {
    pub length: usize,
    pub part: Option<Part>,
}

impl Framing {
    /// For a lane that goes on behind `position` bytes, `parts` parts and `offset` payload bytes.
    pub fn new(frame_max: u32, size: u64, position: u64, parts: u32, offset: u64) -> Self {
        Self {
            frame_max,
            size,
            position,
            next_part: parts,
            part: None,
            offset,
            head: [0; HEAD],
            held: 0,
            skip: 0,
            ending: false,
            over: false,
        }
    }

    /// Takes bytes up to the end of a part, or all of them. A part other than the last has its end when the next one's header has begun; those
    /// first bytes are taken with it, but count to the next.
    pub fn take(&mut self, bytes: &[u8]) -> Result<Taken, &'static str> {
        let mut taken = 0;
        while taken < bytes.len() && !self.over {
            let rest = &bytes[taken..];
            if self.skip > 0 {
                let length = rest.len().min(usize::try_from(self.skip).unwrap_or(usize::MAX));
                self.count(&rest[..length]);
                self.skip -= length as u64;
                taken += length;
                if self.skip == 0 && self.ending {
                    self.over = true;
                    return Ok(Taken { length: taken, part: self.close(true) });
                }
                continue;
            }
            self.head[self.held] = rest[0];
            self.held += 1;
            taken += 1;
            if let Some(part) = self.look()? {
                return Ok(Taken { length: taken, part: Some(part) });
            }
        }
        Ok(Taken { length: taken, part: None })
    }

    /// Whether the end has come. What comes behind it is nothing.
    pub fn is_over(&self) -> bool {
        self.over
    }

    fn count(&mut self, bytes: &[u8]) {
        self.position = self.position.saturating_add(bytes.len() as u64);
        if let Some(part) = &mut self.part {
            part.digest.update(bytes);
        }
    }

    /// Lets the head through once it is understood.
    fn look(&mut self) -> Result<Option<Part>, &'static str> {
        let head = &self.head[..self.held];
        match peek_part(head).map_err(|_| "a part header is malformed")? {
            PeekedPart::NeedMore(_) => return Ok(None),
            PeekedPart::Part { length, part, offset } => return self.part_begins(length, part, offset),
            PeekedPart::Frame => {}
        }
        let Some((prefix, frame)) = head.split_first_chunk::<PREFIX>() else { return Ok(None) };
        let length = u32::from_be_bytes(*prefix);
        if length > self.frame_max {
            return Err("a frame is larger than the callee takes");
        }
        if self.part.is_none() {
            return Err("a frame comes before its part's header");
        }
        // The shortest possible is enough to refuse one that says it is shorter.
        if (length as usize) < 1 + PLACE {
            return Err("a frame is malformed");
        }
        let (header, at) = match Header::parse(frame) {
            Ok(parsed) => parsed,
            Err(crate::sframe::HeaderError::Truncated) => return Ok(None),
            Err(_) => return Err("a frame is malformed"),
        };
        let Some(place) = frame.get(at..at + PLACE) else { return Ok(None) };
        let place = Place::parse(place).ok_or("a frame is malformed")?;
        let sealed = u64::from(length).checked_sub((at + PLACE) as u64).ok_or("a frame is malformed")?;
        self.frame_begins(header, place, sealed)?;
        self.let_through(u64::from(length) + PREFIX as u64);
        Ok(None)
    }

    fn let_through(&mut self, length: u64) {
        let (head, held) = (self.head, self.held);
        self.held = 0;
        self.count(&head[..held]);
        self.skip = length.saturating_sub(held as u64);
    }

    fn part_begins(&mut self, length: usize, part: u32, offset: u64) -> Result<Option<Part>, &'static str> {
        if part != self.next_part {
            return Err("a part is not the next one");
        }
        let closed = match &mut self.part {
            None if offset == self.offset => None,
            Some(open) => {
                let payload = offset.checked_sub(self.offset).filter(|payload| open.agrees(*payload));
                let payload = payload.ok_or("a part's offset is not where the one before ends")?;
                if !(MIN_PART..=MAX_PART).contains(&payload) {
                    return Err("a part is too short or too long");
                }
                self.close(false)
            }
            None => return Err("a part's offset is not where the one before ends"),
        };
        self.offset = offset;
        self.next_part = part.checked_add(1).ok_or("there are too many parts")?;
        self.part = Some(Open {
            number: part,
            start: self.position,
            frames: 0,
            sealed: 0,
            tags: [true; TAGS.len()],
            digest: Sha256::new(),
        });
        self.room(length as u64)?;
        self.let_through(length as u64);
        Ok(closed)
    }

    fn frame_begins(&mut self, header: Header, place: Place, sealed: u64) -> Result<(), &'static str> {
        let (offset, size) = (self.offset, self.size);
        let open = self.part.as_mut().ok_or("a frame comes before its part's header")?;
        if header.kid != 0 || header.counter != open.frames || place.transfer != open.number {
            return Err("a frame is not the next one of its part");
        }
        let payload = place.offset.checked_sub(offset).filter(|payload| open.agrees(*payload));
        let payload = payload.ok_or("a frame's offset is not where the one before ends")?;
        match place.kind {
            Kind::Clear => return Err("a frame is readable"),
            Kind::Sealed => {
                open.frames += 1;
                open.sealed = open.sealed.saturating_add(sealed);
                for (possible, tag) in open.tags.iter_mut().zip(TAGS) {
                    // Of a frame with nothing in it there could be any number.
                    *possible &= sealed > tag;
                }
                if !open.tags.contains(&true) {
                    return Err("a frame is malformed");
                }
                if open.least() > MAX_PART {
                    return Err("a part is too short or too long");
                }
                if open.least() > size.saturating_sub(offset) {
                    return Err("more comes than was said");
                }
            }
            Kind::End => {
                let fits = |tag: u64| sealed == tag || sealed == tag + HASH;
                if !(0..TAGS.len()).any(|n| open.tags[n] && fits(TAGS[n])) {
                    return Err("a frame is malformed");
                }
                if place.offset != size || payload > MAX_PART {
                    return Err("less comes than was said");
                }
                self.ending = true;
                self.offset = size;
            }
        }
        self.room(sealed)
    }

    /// Frames of a few bytes each could fill a disk.
    fn room(&self, more: u64) -> Result<(), &'static str> {
        let after = self.position.saturating_add(more);
        let most = self.size.saturating_mul(2).saturating_add(SPARE);
        if after > most { Err("its frames hold too little each") } else { Ok(()) }
    }

    fn close(&mut self, complete: bool) -> Option<Part> {
        let open = self.part.take()?;
        let payload = (0..TAGS.len()).find(|n| open.tags[*n]).and_then(|n| open.payload(n)).unwrap_or(0);
        let (offset, kept) = if complete {
            (self.size.saturating_sub(payload), self.size)
        } else {
            (self.offset, self.offset + payload)
        };
        Some(Part {
            number: open.number,
            offset,
            kept,
            start: open.start,
            end: self.position,
            digest: open.digest.finalize().into(),
            complete,
        })
    }
}
