//! What the video codings have in common: bytes between start codes, and headers that wait for what they start.

use super::backlog::{Backlog, Tag};
use super::{Context, Part, scan};

/// Header runs longer than this are sealed (design, section 3).
pub(super) const LONGEST_RUN: u16 = 1024;

/// The first of MPEG's codes of the system layer.
pub(super) const SYSTEM: u8 = 0xb9;

pub(super) struct Fed {
    pub(super) taken: usize,
    /// Stopped before a start code of the system layer.
    pub(super) system: bool,
}

impl Fed {
    pub(super) const fn taken(taken: usize) -> Self {
        Self { taken, system: false }
    }
}

/// One video stream.
pub(super) trait Layer {
    /// Bytes of a start code seen at the end of the last payload.
    fn held(&mut self) -> &mut u8;

    /// Length of the header run that goes on, if one does.
    fn run(&mut self) -> Option<&mut u16>;

    /// What bytes outside header runs are.
    fn part(&self) -> Part;

    /// Bytes that come now wait for what they start.
    fn waits(&self) -> bool;

    /// What bytes outside header runs are, or what they wait for.
    #[inline]
    fn body_tag(&self, _id: u8) -> Tag {
        Tag::Is(self.part())
    }

    /// A start code that changes nothing.
    #[inline]
    fn goes_on(&mut self, _code: u8) -> bool {
        false
    }

    /// Nothing but start codes can change anything.
    fn is_inside(&self) -> bool;

    /// What [`Layer::goes_on`] has learnt, to go back to.
    #[inline]
    fn row(&self) -> u8 {
        0
    }

    #[inline]
    fn set_row(&mut self, _row: u8) {}

    /// A start code of which `len` bytes are new.
    fn start(&mut self, id: u8, code: u8, len: usize, context: &mut Context);

    /// Takes bytes that are no part of a start code.
    fn body(&mut self, id: u8, bytes: &[u8], context: &mut Context);

    /// Bytes held as the beginning of a start code begin none.
    fn released(&mut self, _bytes: &[u8]) {}

    /// The bytes that have to come before the next start code, if some are still missing.
    #[inline]
    fn gather(&mut self, _id: u8, _bytes: &[u8], _context: &mut Context) -> Option<Fed> {
        None
    }

    /// Something is missing or damaged: undecided until the next picture.
    fn lose(&mut self, id: u8, backlog: &mut Backlog);

    /// The end of the stream.
    fn finish(&mut self, id: u8, context: &mut Context);

    /// What a byte is that comes now and is no part of a new start code.
    #[inline]
    fn tag(&mut self, id: u8) -> Tag {
        if *self.held() > 0 || self.waits() { Tag::Of(id) } else { self.body_tag(id) }
    }

    #[inline]
    fn push(&mut self, id: u8, len: usize, backlog: &mut Backlog) {
        let tag = self.tag(id);
        self.push_as(len, tag, backlog);
    }

    fn push_as(&mut self, len: usize, tag: Tag, backlog: &mut Backlog) {
        backlog.push(len, tag);
        if let Some(run) = self.run().filter(|run| **run <= LONGEST_RUN) {
            *run = u16::try_from(len).map_or(u16::MAX, |len| run.saturating_add(len));
            if let (Tag::Of(id), true) = (tag, *run > LONGEST_RUN) {
                backlog.retag(id, Tag::Is(Part::Undecided));
            }
        }
    }

    /// Takes payload up to and with the next start code that matters. `complete`: `bytes` go up to the payload's end;
    /// otherwise bytes that could begin a start code are left for the next call. `system`: stop at system start codes.
    fn feed(&mut self, id: u8, bytes: &[u8], complete: bool, system: bool, context: &mut Context) -> Fed {
        if *self.held() > 0
            && let Some(fed) = self.straddle(id, bytes, complete, context)
        {
            return fed;
        }
        if let Some(fed) = self.gather(id, bytes, context) {
            return fed;
        }
        let mut from = 0;
        while let Some(at) = context.search.prefix(bytes, from) {
            let Some(&code) = bytes.get(at + 3) else { break };
            if self.goes_on(code) {
                from = at + 4;
                continue;
            }
            self.body(id, bytes.get(..at).unwrap_or_default(), context);
            if system && code >= SYSTEM {
                return Fed { taken: at, system: true };
            }
            self.start(id, code, 4, context);
            return Fed::taken(at + 4);
        }
        let tail = scan::tail(bytes.get(from..).unwrap_or_default());
        let (body, tail) = bytes.split_at_checked(bytes.len() - tail).unwrap_or_default();
        self.body(id, body, context);
        if !complete {
            return Fed::taken(body.len());
        }
        if !tail.is_empty() {
            self.push_as(tail.len(), Tag::Of(id), context.backlog);
            *self.held() = tail.len() as u8;
        }
        Fed::taken(bytes.len())
    }

    /// Takes a payload in which nothing begins or ends; most are.
    #[inline]
    fn goes_through(&mut self, bytes: &[u8], search: &scan::Search) -> bool {
        let row = self.row();
        if *self.held() > 0 || !self.is_inside() {
            return false;
        }
        let mut from = 0;
        while let Some(at) = search.prefix(bytes, from) {
            if !bytes.get(at + 3).is_some_and(|&code| self.goes_on(code)) {
                self.set_row(row);
                return false;
            }
            from = at + 4;
        }
        let through = scan::tail(bytes.get(from..).unwrap_or_default()) == 0;
        if !through {
            self.set_row(row);
        }
        through
    }

    /// A start code that began in an earlier payload. `None`: there was none after all.
    fn straddle(&mut self, id: u8, bytes: &[u8], complete: bool, context: &mut Context) -> Option<Fed> {
        let held = usize::from((*self.held()).min(3));
        let new = bytes.len().min(3);
        let mut joined = [0, 0, 1, 0, 0, 0];
        joined[held..held + new].copy_from_slice(&bytes[..new]);
        let joined = &joined[..held + new];
        let free = |len: usize, tag: Tag, waits: bool, backlog: &mut Backlog| {
            if !waits && len > 0 {
                backlog.release(id, len as u32, tag);
            }
        };
        for at in 0..held {
            if let Some(&[0, 0, 1, code]) = joined.get(at..at + 4) {
                free(at, self.body_tag(id), self.waits(), context.backlog);
                self.released(joined.get(..at).unwrap_or_default());
                *self.held() = 0;
                let taken = at + 4 - held;
                if self.goes_on(code) {
                    context.backlog.retag(id, Tag::Is(self.part()));
                    self.push(id, taken, context.backlog);
                } else {
                    self.start(id, code, taken, context);
                }
                return Some(Fed::taken(taken));
            }
        }
        if new == 3 {
            if !self.waits() {
                context.backlog.retag(id, self.body_tag(id));
            }
            *self.held() = 0;
            self.released(&joined[..held]);
            return None;
        }
        if !complete {
            return Some(Fed::taken(0));
        }
        let tail = scan::tail(joined);
        if tail > new {
            free(joined.len() - tail, self.body_tag(id), self.waits(), context.backlog);
            self.released(&joined[..joined.len() - tail]);
            self.push_as(new, Tag::Of(id), context.backlog);
        } else {
            // Headers of packets may wait along with the held bytes.
            if !self.waits() {
                context.backlog.retag(id, self.body_tag(id));
            }
            *self.held() = 0;
            self.released(&joined[..held]);
            self.body(id, &bytes[..new - tail], context);
            self.push_as(tail, Tag::Of(id), context.backlog);
        }
        *self.held() = tail as u8;
        Some(Fed::taken(new))
    }
}
