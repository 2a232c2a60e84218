//! What has been looked at and not been given out yet: runs of bytes, some of which wait for a decision.

use super::{MAX_LAG, Part};

/// What of the window is for looking ahead.
const AHEAD: usize = 2624;
/// A wait may hold up this many bytes before it is ended as undecided: a header run, and what may lie between its
/// pieces.
const LONGEST_WAIT: usize = MAX_LAG - AHEAD;
/// Runs that a wait may hold up.
const WAITING_RUNS: usize = 16;
/// Runs that one step may add.
const ROOM: usize = 8;
/// As [`LONGEST_WAIT`] and [`WAITING_RUNS`], where slices wait for their ends. Packets of other streams may lie between
/// all of a slice's own.
#[cfg(feature = "blocks")]
const LONGEST_SLICE: usize = super::MAX_BLOCKS_LAG - AHEAD;
#[cfg(feature = "blocks")]
const SLICE_RUNS: usize = 120;
#[cfg(feature = "blocks")]
const RUNS: usize = SLICE_RUNS + ROOM;
#[cfg(not(feature = "blocks"))]
const RUNS: usize = WAITING_RUNS + ROOM;

/// What is known about a run of bytes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Tag {
    Is(Part),
    /// As the picture that this stream (or [`GLUE`]) begins next.
    Of(u8),
}

/// The owner of container headers whose packet has not been seen yet.
pub(super) const GLUE: u8 = 0xff;

/// Added to a stream's number: its slice, of which it isn't known what its macroblocks are.
#[cfg(feature = "blocks")]
pub(super) const SLICE: u8 = 0x40;

#[derive(Copy, Clone)]
struct Run {
    len: u32,
    tag: Tag,
}

pub(super) struct Backlog {
    runs: [Run; RUNS],
    count: u8,
    waiting: bool,
    /// Slices wait for their ends, and those of these streams (a bit for each) did so for too long.
    #[cfg(feature = "blocks")]
    slices: bool,
    #[cfg(feature = "blocks")]
    ended: u16,
}

impl Backlog {
    /// `slices`: they wait for their ends.
    pub(super) const fn new(_slices: bool) -> Self {
        Self {
            runs: [Run { len: 0, tag: Tag::Is(Part::Undecided) }; RUNS],
            count: 0,
            waiting: false,
            #[cfg(feature = "blocks")]
            slices: _slices,
            #[cfg(feature = "blocks")]
            ended: 0,
        }
    }

    /// How many bytes and runs a wait may hold up.
    #[inline]
    const fn limits(&self) -> (usize, usize) {
        #[cfg(feature = "blocks")]
        if self.slices {
            return (LONGEST_SLICE, SLICE_RUNS);
        }
        (LONGEST_WAIT, WAITING_RUNS)
    }

    /// How many bytes may be added before the longest wait is ended.
    #[cfg(feature = "blocks")]
    pub(super) fn room(&mut self) -> usize {
        let (most, _) = self.limits();
        let held = self.runs().iter().skip_while(|run| matches!(run.tag, Tag::Is(_)));
        most.saturating_sub(held.map(|run| run.len as usize).sum())
    }

    /// Whether this stream's slice waited for too long since this was last asked.
    #[cfg(feature = "blocks")]
    pub(super) fn take_ended(&mut self, id: u8) -> bool {
        let ended = self.ended & 1 << (id & 15);
        self.ended ^= ended;
        ended != 0
    }

    fn runs(&mut self) -> &mut [Run] {
        self.runs.get_mut(..usize::from(self.count)).unwrap_or_default()
    }

    /// Bytes looked at and not given out.
    pub(super) fn len(&self) -> usize {
        self.runs.iter().take(usize::from(self.count)).map(|run| run.len as usize).sum()
    }

    #[inline]
    pub(super) fn push(&mut self, len: usize, tag: Tag) {
        if len == 0 {
            return;
        }
        // Windows are cut to u32::MAX bytes, so this loses nothing.
        self.append(Run { len: len as u32, tag });
        if let Tag::Of(_) = tag {
            self.waiting = true;
        }
        if self.waiting {
            self.limit();
        }
    }

    fn append(&mut self, run: Run) {
        let count = usize::from(self.count);
        if let Some(back) = self.runs().last_mut() {
            if back.tag == run.tag {
                back.len += run.len;
                return;
            }
            if count == RUNS {
                // Not reached: a step starts with `ROOM` free. Were it, sealing is right.
                *back = Run { len: back.len + run.len, tag: Tag::Is(Part::Undecided) };
                return;
            }
        }
        self.runs[count] = run;
        self.count += 1;
    }

    /// Ends the longest waits while they hold up too many bytes or runs.
    fn limit(&mut self) {
        let (most_bytes, most_runs) = self.limits();
        loop {
            let first = self.runs().iter().position(|run| matches!(run.tag, Tag::Of(_)));
            let Some(first) = first else {
                self.waiting = false;
                return;
            };
            let held = self.runs().get(first..).unwrap_or_default();
            let bytes: usize = held.iter().map(|run| run.len as usize).sum();
            if bytes <= most_bytes && held.len() <= most_runs {
                return;
            }
            if let Some(&Run { tag: Tag::Of(owner), .. }) = held.first() {
                self.retag(owner, Tag::Is(Part::Undecided));
                #[cfg(feature = "blocks")]
                if owner & !15 == SLICE {
                    self.ended |= 1 << (owner & 15);
                }
            }
        }
    }

    /// Decides everything that waits for `owner`.
    pub(super) fn retag(&mut self, owner: u8, tag: Tag) {
        if !self.waiting || tag == Tag::Of(owner) {
            return;
        }
        let count = usize::from(self.count);
        (self.count, self.waiting) = (0, false);
        for at in 0..count {
            // Never before `at`, since a run is appended for a run at most.
            let mut run = self.runs[at];
            if run.tag == Tag::Of(owner) {
                run.tag = tag;
            }
            self.waiting |= matches!(run.tag, Tag::Of(_));
            self.append(run);
        }
    }

    /// Decides the oldest `len` bytes of those that wait for `owner`.
    pub(super) fn release(&mut self, owner: u8, mut len: u32, tag: Tag) {
        let (runs, count) = (self.runs, usize::from(self.count));
        self.count = 0;
        for run in runs.into_iter().take(count) {
            let now = if run.tag == Tag::Of(owner) { run.len.min(len) } else { 0 };
            len -= now;
            for run in [Run { len: now, tag }, Run { len: run.len - now, tag: run.tag }] {
                if run.len > 0 {
                    self.append(run);
                }
            }
        }
    }

    /// Takes the first run, if it is decided.
    pub(super) fn pop(&mut self) -> Option<(Part, usize)> {
        let first = self.peek()?;
        if self.count > 1 {
            self.runs().rotate_left(1);
        }
        self.count -= 1;
        Some(first)
    }

    #[inline]
    pub(super) fn peek(&mut self) -> Option<(Part, usize)> {
        match self.runs().first() {
            Some(&Run { len, tag: Tag::Is(part) }) => Some((part, len as usize)),
            _ => None,
        }
    }

    /// The end of the input: what still waits is undecided for good.
    pub(super) fn close(&mut self) {
        self.waiting = false;
        for run in self.runs() {
            if let Tag::Of(_) = run.tag {
                run.tag = Tag::Is(Part::Undecided);
            }
        }
    }
}
