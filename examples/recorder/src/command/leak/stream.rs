//! A video elementary stream as its pictures, and what of them an eavesdropper can decode.

use std::ops::Range;

use p2pgate::mpeg::{Class, Part, Splitter};
use p2pgate::route::Selection;

use super::grey;

const PICTURE: u8 = 0x00;
const SEQUENCE: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const SEQUENCE_END: u8 = 0xb7;
const GROUP: u8 = 0xb8;
const B: u8 = 3;
const FRAME: u8 = 3;

/// What a sequence header and its extension say of all pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sequence {
    /// Luma samples of a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// MPEG-2.
    pub extended: bool,
    progressive: bool,
    /// Chroma blocks of a macroblock: 2, 4 or 8.
    pub chroma_blocks: u8,
}

impl Sequence {
    /// Rows of macroblocks in a picture of this structure.
    pub fn rows(&self, structure: u8) -> usize {
        match (self.progressive, structure) {
            (true, _) => self.height.div_ceil(16),
            (false, FRAME) => 2 * self.height.div_ceil(32),
            (false, _) => self.height.div_ceil(32),
        }
    }

    fn read(header: &[u8]) -> Option<Self> {
        let &[first, second, third, ..] = header else { return None };
        let width = usize::from(first) << 4 | usize::from(second) >> 4;
        let height = usize::from(second & 15) << 8 | usize::from(third);
        let sequence = Self { width, height, extended: false, progressive: true, chroma_blocks: 2 };
        (width >= 8 && height >= 8).then_some(sequence)
    }

    fn extend(&mut self, extension: &[u8]) {
        let &[_, second, third, ..] = extension else { return };
        self.extended = true;
        self.progressive = second & 8 != 0;
        self.chroma_blocks = match second >> 1 & 3 {
            2 => 4,
            3 => 8,
            _ => 2,
        };
        self.width |= usize::from((second & 1) << 1 | third >> 7) << 12;
        self.height |= usize::from(third >> 5 & 3) << 12;
    }
}

/// What a picture's header and extensions say of it.
#[derive(Clone, Debug)]
pub struct Coding {
    /// Its place in display order within its group.
    pub temporal_reference: u16,
    kind: u8,
    /// Top field 1, bottom field 2, frame 3.
    pub structure: u8,
    /// The last two bytes of the picture coding extension.
    pub flags: [u8; 2],
    /// Its quant matrix extension, with start code.
    pub matrices: Vec<u8>,
}

impl Coding {
    fn read(header: &[u8]) -> Self {
        let (first, second) = match *header {
            [first, second, ..] => (first, second),
            _ => (0, 0),
        };
        Self {
            temporal_reference: u16::from(first) << 2 | u16::from(second) >> 6,
            kind: second >> 3 & 7,
            structure: FRAME,
            flags: [0x80, 0x80],
            matrices: Vec::new(),
        }
    }

    fn extend(&mut self, bytes: &[u8]) {
        match bytes {
            [0, 0, 1, EXTENSION, id, _, third, timing, progressive, ..] if id >> 4 == 8 => {
                if third & 3 != 0 {
                    self.structure = third & 3;
                }
                self.flags = [*timing, *progressive];
            }
            [0, 0, 1, EXTENSION, id, ..] if id >> 4 == 3 => self.matrices = bytes.to_vec(),
            _ => {}
        }
    }
}

/// A coded picture.
struct Picture {
    sequence: Sequence,
    coding: Coding,
    /// The headers before its own.
    before: Range<usize>,
    /// From its start code to the next picture's headers.
    all: Range<usize>,
    /// What the splitter says of its first slice.
    part: Part,
    /// One of its slices holds no intra-coded macroblock.
    without_intra: bool,
}

/// One picture or two fields.
struct Frame {
    pictures: Range<usize>,
    is_b: bool,
}

/// Where each run ends, and what it is.
type Runs = Vec<(usize, Part)>;

/// The pictures of a stream that can be decoded.
pub struct Stream {
    bytes: Vec<u8>,
    pictures: Vec<Picture>,
    frames: Vec<Frame>,
    /// By part, what the splitter gave out: where each run ends; the same with the slices told apart.
    runs: Runs,
    by_slice: Runs,
}

impl Stream {
    /// Reads an MPEG-1 or MPEG-2 video elementary stream, up to where the pictures change their size. Pictures whose
    /// references are not in it are left out.
    pub fn read(bytes: Vec<u8>) -> Self {
        let (runs, by_slice) = (runs(&bytes, Selection::Intra), runs(&bytes, Selection::IntraBlocks));
        let pictures = pictures(&bytes, &runs, &by_slice);
        let mut stream = Self { bytes, pictures, frames: Vec::new(), runs, by_slice };
        stream.pair();
        stream
    }

    /// The size of the pictures; `None` if there are none.
    pub fn size(&self) -> Option<(usize, usize)> {
        let first = self.frames.first()?;
        let sequence = self.pictures.get(first.pictures.start)?.sequence;
        Some((sequence.width, sequence.height))
    }

    /// How many frames.
    pub fn frames(&self) -> usize {
        self.frames.len()
    }

    /// For each frame in display order whether any of its pictures is in clear under `selection`.
    pub fn in_clear(&self, selection: Selection) -> Vec<bool> {
        let mut shown = Vec::with_capacity(self.frames.len());
        // An anchor is shown when the next one comes.
        let mut waiting = None;
        for frame in &self.frames {
            let pictures = self.pictures.get(frame.pictures.clone()).unwrap_or_default();
            let clear = pictures.iter().any(|picture| !picture.is_sealed(selection));
            if frame.is_b { shown.push(clear) } else { shown.extend(waiting.replace(clear)) }
        }
        shown.extend(waiting);
        shown
    }

    /// The stream that can be decoded of what is in clear under `selection`: grey stands for what is sealed. `None`: nothing is
    /// sealed. The headers are all there, since an eavesdropper knows them from other recordings of the kind.
    pub fn view(&self, selection: Option<Selection>) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes.len());
        for picture in self.frames.iter().flat_map(|frame| &self.pictures[frame.pictures.clone()]) {
            out.extend(&self.bytes[picture.before.clone()]);
            match selection {
                None => out.extend(&self.bytes[picture.all.clone()]),
                Some(selection) if picture.is_sealed(selection) => {
                    grey::picture(&mut out, &picture.sequence, &picture.coding);
                }
                Some(selection) => self.clear(&mut out, &picture.all, selection),
            }
        }
        // Lets a decoder that searches for the next start code find the last picture's end.
        out.extend([0, 0, 1, SEQUENCE_END]);
        out
    }

    /// Appends what of `range` is in clear.
    fn clear(&self, out: &mut Vec<u8>, range: &Range<usize>, selection: Selection) {
        let mut at = range.start;
        let runs = if selection == Selection::IntraBlocks { &self.by_slice } else { &self.runs };
        let from = runs.partition_point(|(end, _)| *end <= at);
        for (end, part) in runs.get(from..).unwrap_or_default() {
            let end = (*end).min(range.end);
            if part.class(selection, false) == Class::Rest {
                out.extend(&self.bytes[at..end]);
            }
            at = end;
            if at == range.end {
                break;
            }
        }
    }

    /// Puts fields together, and leaves out what can't be decoded.
    fn pair(&mut self) {
        let mut anchors = 0;
        let mut size = None;
        let mut at = 0;
        while let Some(first) = self.pictures.get(at) {
            let other_field = |second: &Picture| {
                first.coding.structure != FRAME
                    && second.coding.structure == 3 - first.coding.structure
                    && (second.coding.kind == B) == (first.coding.kind == B)
            };
            let count = 1 + usize::from(self.pictures.get(at + 1).is_some_and(other_field));
            let now = (first.sequence.width, first.sequence.height);
            if *size.get_or_insert(now) != now {
                // Pictures of another size can't be compared in one go.
                break;
            }
            let is_b = first.coding.kind == B;
            let needs = match first.coding.kind {
                B => 2,
                2 => 1,
                _ => 0,
            };
            if anchors >= needs {
                self.frames.push(Frame { pictures: at..at + count, is_b });
                anchors += usize::from(!is_b);
            } else if let Some(next) = self.pictures.get(at + count).map(|next| next.before.clone()) {
                // Its headers are still wanted.
                let before = first.before.clone();
                if next.is_empty() {
                    self.pictures[at + count].before = before;
                }
            }
            at += count;
        }
    }
}

impl Picture {
    /// All of it.
    fn is_sealed(&self, selection: Selection) -> bool {
        match selection {
            Selection::IntraBlocks => !self.without_intra,
            _ => self.part.class(selection, false) == Class::Sealed,
        }
    }
}

/// What the splitter says, run by run.
fn runs(bytes: &[u8], selection: Selection) -> Runs {
    let mut splitter = Splitter::with(selection, false);
    let (mut runs, mut at) = (Vec::new(), 0);
    while let Some((part, length)) = splitter.next_part(&bytes[at..], true) {
        at += length;
        runs.push((at, part));
    }
    runs
}

/// The pictures that have slices, in coded order.
fn pictures(bytes: &[u8], runs: &Runs, by_slice: &Runs) -> Vec<Picture> {
    let said = |runs: &Runs, at: usize| {
        let run = runs.get(runs.partition_point(|(end, _)| *end <= at));
        run.map(|(_, part)| *part).unwrap_or_default()
    };
    let mut found: Vec<Picture> = Vec::new();
    let mut sequence: Option<Sequence> = None;
    // Where the headers before the next picture begin; its own begin; what they say.
    let mut before: Option<usize> = None;
    let mut own: Option<(usize, Coding)> = None;
    // The last picture goes on.
    let mut open = false;
    let mut codes = start_codes(bytes).peekable();
    while let Some(at) = codes.next() {
        let unit = &bytes[at..codes.peek().copied().unwrap_or(bytes.len())];
        let (code, body) = (unit[3], &unit[4..]);
        if let PICTURE | SEQUENCE | GROUP = code
            && std::mem::take(&mut open)
            && let Some(last) = found.last_mut()
        {
            last.all.end = at;
        }
        match code {
            SEQUENCE => {
                sequence = Sequence::read(body);
                before = before.or(Some(at));
            }
            GROUP => before = before.or(Some(at)),
            PICTURE => own = Some((at, Coding::read(body))),
            EXTENSION if body.first().is_some_and(|first| first >> 4 == 1) => {
                if let Some(sequence) = &mut sequence {
                    sequence.extend(body);
                }
            }
            EXTENSION => {
                if let Some((_, coding)) = &mut own {
                    coding.extend(unit);
                }
            }
            1..=0xaf => {
                let without_intra = said(by_slice, at) == Part::WithoutIntra;
                if let (true, None, Some(last)) = (open, &own, found.last_mut()) {
                    last.without_intra |= without_intra;
                }
                let (Some((start, coding)), Some(sequence)) = (own.take(), sequence) else { continue };
                found.push(Picture {
                    sequence,
                    coding,
                    before: before.take().unwrap_or(start)..start,
                    all: start..bytes.len(),
                    part: said(runs, at),
                    without_intra,
                });
                open = true;
            }
            SEQUENCE_END => {
                if std::mem::take(&mut open)
                    && let Some(last) = found.last_mut()
                {
                    last.all.end = at;
                }
            }
            _ => {}
        }
    }
    found
}

/// Where start codes begin that have their fourth byte.
fn start_codes(bytes: &[u8]) -> impl Iterator<Item = usize> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() > 3) {
            // The third byte says whether one can begin here, or how far away the next can.
            match rest[2] {
                1 if rest[..2] == [0, 0] => {
                    at += 4;
                    return Some(at - 4);
                }
                0 => at += 1,
                _ => at += 3,
            }
        }
        None
    })
}
