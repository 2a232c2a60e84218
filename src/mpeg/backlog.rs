//! What has been looked at and not been given out yet: runs of bytes, some of which wait for a decision.

use super::{MAX_LAG, Part};

/// A wait may hold up this many bytes before it is ended as undecided: a header run, and what may lie between its
/// pieces. The rest of [`MAX_LAG`] is for looking ahead.
const LONGEST_WAIT: usize = MAX_LAG - 2624;
const RUNS: usize = 24;
/// Runs that one step may add.
const ROOM: usize = 8;

/// What is known about a run of bytes.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Tag {
    Is(Part),
    /// As the picture that this stream (or [`GLUE`]) begins next.
    Of(u8),
}

/// The owner of container headers whose packet has not been seen yet.
pub(super) const GLUE: u8 = 0xff;

#[derive(Copy, Clone)]
struct Run {
    len: u32,
    tag: Tag,
}

pub(super) struct Backlog {
    runs: [Run; RUNS],
    count: u8,
    waiting: bool,
}

impl Backlog {
    pub(super) const fn new() -> Self {
        Self { runs: [Run { len: 0, tag: Tag::Is(Part::Undecided) }; RUNS], count: 0, waiting: false }
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
        loop {
            let first = self.runs().iter().position(|run| matches!(run.tag, Tag::Of(_)));
            let Some(first) = first else {
                self.waiting = false;
                return;
            };
            let held = self.runs().get(first..).unwrap_or_default();
            let bytes: usize = held.iter().map(|run| run.len as usize).sum();
            if bytes <= LONGEST_WAIT && held.len() <= RUNS - ROOM {
                return;
            }
            if let Some(&Run { tag: Tag::Of(owner), .. }) = held.first() {
                self.retag(owner, Tag::Is(Part::Undecided));
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
    pub(super) fn release(&mut self, owner: u8, mut len: u32, part: Part) {
        let (runs, count) = (self.runs, usize::from(self.count));
        self.count = 0;
        for run in runs.into_iter().take(count) {
            let now = if run.tag == Tag::Of(owner) { run.len.min(len) } else { 0 };
            len -= now;
            for run in [Run { len: now, tag: Tag::Is(part) }, Run { len: run.len - now, tag: run.tag }] {
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
