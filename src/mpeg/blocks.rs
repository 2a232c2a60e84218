//! The macroblock layer of P and B slices (ISO/IEC 11172-2, 2.4.2.6–2.4.2.8; 13818-2, 6.2.4–6.2.6): whether one is intra-coded.
//!
//! A slice is read up to its first intra macroblock, which seals it, or up to its end. That no macroblock is intra is
//! believed only if every code is valid, no value is reserved or impossible, nothing but zeros follow the last
//! macroblock, and the slice ends where the next begins. So intra macroblocks themselves are never read.

use super::vlc::{self, Coefficient, Increment};

/// Bits that the longest part takes that is read at once.
const ENOUGH: u8 = 32;

/// What a slice is, as far as it has been read.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub(super) enum Verdict {
    Open,
    Intra,
    Damaged,
}

/// What is read next.
#[derive(Copy, Clone, Eq, PartialEq)]
enum Step {
    Scale,
    Extra,
    Increment,
    Macroblock,
    Vectors,
    Pattern,
    Coefficients,
    /// The slice is over: zeros up to the next start code.
    End,
}

/// From the last sequence header and extension. At rest all zeros.
#[derive(Copy, Clone)]
struct Sequence {
    /// Lines, and macroblocks in a row; 0: not known.
    lines: u16,
    columns: u16,
    /// chroma_format of MPEG-2.
    chroma: u8,
    progressive: bool,
    /// There is an extension that isn't understood.
    beyond: bool,
}

/// From the picture's headers.
#[derive(Copy, Clone)]
struct Picture {
    b: bool,
    mpeg1: bool,
    /// A frame in which fields are predicted one by one, and one whose macroblocks don't say how they are.
    field: bool,
    frame_only: bool,
    rows: u16,
    /// Bits of a residual: forward, backward; horizontal, vertical.
    residuals: [[u8; 2]; 2],
    beyond: bool,
}

/// Reads slices as their bytes come in.
#[derive(Copy, Clone)]
pub(super) struct Blocks {
    sequence: Sequence,
    picture: Picture,
    verdict: Verdict,
    step: Step,
    /// The next bits, from the top, and how many.
    bits: u64,
    count: u8,
    /// Of the last macroblock, counted from 1.
    address: u32,
    /// The highest that the slice may have.
    most: u32,
    /// What escapes have added.
    escaped: u16,
    flags: u8,
    /// Components of vectors still to come, and what each has besides its code.
    vectors: u8,
    /// Components of each direction.
    each: u8,
    select: bool,
    dual: bool,
    /// Coded blocks still to come, and the place in the block.
    blocks: u8,
    place: u8,
}

impl Blocks {
    pub(super) const fn new() -> Self {
        Self {
            sequence: Sequence { lines: 0, columns: 0, chroma: 0, progressive: false, beyond: false },
            picture: Picture {
                b: false,
                mpeg1: false,
                field: false,
                frame_only: false,
                rows: 0,
                residuals: [[0; 2]; 2],
                beyond: false,
            },
            verdict: Verdict::Open,
            step: Step::Scale,
            bits: 0,
            count: 0,
            address: 0,
            most: 0,
            escaped: 0,
            flags: 0,
            vectors: 0,
            each: 0,
            select: false,
            dual: false,
            blocks: 0,
            place: 0,
        }
    }

    /// Something is missing: of what was known, only the sequence's sizes are likely to hold. If they don't, no slice
    /// ends where it should.
    pub(super) const fn lost(&self) -> Self {
        Self { sequence: self.sequence, ..Self::new() }
    }

    /// horizontal_size and vertical_size (12 bits each).
    pub(super) fn sequence_header(&mut self, header: [u8; 3]) {
        let [high, both, low] = header.map(u16::from);
        let columns = (high << 4 | both >> 4).div_ceil(16);
        self.sequence = Sequence { columns, lines: (both & 15) << 8 | low, ..Self::new().sequence };
    }

    /// A sequence header follows.
    pub(super) fn forget(&mut self) {
        self.sequence = Self::new().sequence;
    }

    /// Sequence extension: extension_start_code_identifier (4 bits), profile and level (8), progressive_sequence,
    /// chroma_format (2), the high bits of both sizes (2 each).
    pub(super) fn sequence_extension(&mut self, header: [u8; 3]) {
        let [_, second, third] = header;
        self.sequence.progressive = second & 8 != 0;
        self.sequence.chroma = second >> 1 & 3;
        // No profile has pictures so large.
        self.sequence.beyond |= second & 1 != 0 || third >> 5 != 0;
    }

    /// An extension besides those of sequence and picture coding. Display, quantiser matrices, copyright and pan-scan
    /// change nothing; scalable ones do, and what is reserved may.
    pub(super) fn extension(&mut self, identifier: u8, in_picture: bool) {
        match (identifier, in_picture) {
            (2, false) | (3 | 4 | 7, true) => {}
            (_, false) => self.sequence.beyond = true,
            (_, true) => self.picture.beyond = true,
        }
    }

    /// A picture's headers begin.
    pub(super) fn picture(&mut self) {
        self.picture = Self::new().picture;
    }

    /// MPEG-1's forward_f_code and backward_f_code.
    pub(super) fn codes(&mut self, forward: u8, backward: u8) {
        self.picture.residuals = [forward, backward].map(|code| [code.saturating_sub(1); 2]);
    }

    /// Picture coding extension: as [`Blocks::sequence_extension`] its identifier, four f_codes (4 each), intra_dc_precision and
    /// picture_structure (2 each), top_field_first, frame_pred_frame_dct.
    pub(super) fn coding_extension(&mut self, header: [u8; 4], b: bool) {
        let [first, second, third, fourth] = header;
        let codes = [[first & 15, second >> 4], [second & 15, third >> 4]];
        let used = if b { &codes[..] } else { &codes[..1] };
        self.picture.beyond |= used.iter().flatten().any(|code| !(1..=9).contains(code));
        self.picture.residuals = codes.map(|two| two.map(|code| code.saturating_sub(1)));
        self.picture.field = third & 3 != 3;
        self.picture.frame_only = fourth & 0x40 != 0 && !self.picture.field;
    }

    /// The picture's first slice comes. `false`: it isn't known how its slices are to be read.
    pub(super) fn begin(&mut self, b: bool, mpeg1: bool) -> bool {
        let (sequence, picture) = (&self.sequence, &mut self.picture);
        (picture.b, picture.mpeg1) = (b, mpeg1);
        picture.frame_only |= mpeg1;
        picture.field &= !mpeg1;
        let rows = sequence.lines.div_ceil(16);
        picture.rows = match (picture.field, mpeg1 || sequence.progressive) {
            (false, true) => rows,
            (false, false) => rows.next_multiple_of(2),
            (true, _) => rows.div_ceil(2),
        };
        // With more lines a slice's row has more bits.
        let sizes = sequence.columns > 0 && (1..=2800).contains(&sequence.lines);
        let fields = picture.field || !picture.frame_only;
        let agree = mpeg1 || (sequence.chroma != 0 && !(sequence.progressive && fields));
        sizes && agree && !picture.beyond && !sequence.beyond
    }

    /// A slice begins.
    pub(super) fn slice(&mut self, row: u8) {
        let columns = u32::from(self.sequence.columns);
        let before = u32::from(row).saturating_sub(1);
        let rows = u32::from(self.picture.rows);
        (self.verdict, self.step) = (Verdict::Open, Step::Scale);
        (self.bits, self.count) = (0, 0);
        self.address = before * columns;
        self.most = if self.picture.mpeg1 { rows * columns } else { (before + 1).min(rows) * columns };
        (self.escaped, self.vectors, self.blocks) = (0, 0, 0);
    }

    pub(super) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Takes the slice's next bytes.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Verdict {
        while self.verdict == Verdict::Open {
            while self.count <= 56
                && let [byte, rest @ ..] = bytes
            {
                self.bits |= u64::from(*byte) << (56 - self.count);
                self.count += 8;
                bytes = rest;
            }
            if self.count < ENOUGH {
                break;
            }
            while self.count >= ENOUGH && self.verdict == Verdict::Open {
                self.advance();
            }
        }
        self.verdict
    }

    /// The slice is over; `next` is the row of the one that follows, if one does. Whether none of its macroblocks is intra.
    pub(super) fn finish(&mut self, next: Option<u8>) -> bool {
        while self.verdict == Verdict::Open && self.count > 0 && self.step != Step::End {
            self.advance();
        }
        let columns = u32::from(self.sequence.columns).max(1);
        let ends = match next {
            Some(row) => self.address / columns + 1 == u32::from(row),
            None => self.address == u32::from(self.picture.rows) * columns,
        };
        let between = matches!(self.step, Step::End | Step::Increment) && self.escaped == 0;
        self.verdict == Verdict::Open && between && self.bits == 0 && ends
    }

    #[inline]
    fn advance(&mut self) {
        match self.part((self.bits >> 32) as u32) {
            Some(Part::Bits(len)) if len <= self.count => {
                self.bits <<= len;
                self.count -= len;
            }
            Some(Part::Intra) => self.verdict = Verdict::Intra,
            _ => self.verdict = Verdict::Damaged,
        }
    }

    /// The next part, with which `bits` begin. `None`: it isn't valid.
    #[inline]
    fn part(&mut self, bits: u32) -> Option<Part> {
        let len = match self.step {
            Step::Coefficients => self.coefficient(bits)?,
            Step::Increment => self.increment(bits)?,
            Step::Macroblock => return self.macroblock(bits),
            Step::Vectors => self.vector(bits)?,
            Step::Pattern => self.pattern(bits)?,
            Step::Scale => {
                self.step = Step::Extra;
                scale(bits)?
            }
            Step::Extra if bits >> 31 == 1 => 9,
            Step::Extra => {
                self.step = Step::Increment;
                1
            }
            Step::End if bits == 0 => self.count.min(ENOUGH),
            Step::End => return None,
        };
        Some(Part::Bits(len))
    }

    fn increment(&mut self, bits: u32) -> Option<u8> {
        if bits >> 9 == 0 && self.escaped == 0 {
            self.step = Step::End;
            return Some(self.count.min(23));
        }
        let (len, increment) = vlc::increment(bits)?;
        match increment {
            Increment::Escape => self.escaped += 33,
            Increment::Stuffing if self.picture.mpeg1 => {}
            Increment::Stuffing => return None,
            Increment::By(by) => {
                self.address += u32::from(self.escaped) + u32::from(by);
                self.escaped = 0;
                self.step = Step::Macroblock;
            }
        }
        (self.address + u32::from(self.escaped) <= self.most).then_some(len)
    }

    /// macroblock_type and what goes with it up to the vectors.
    fn macroblock(&mut self, bits: u32) -> Option<Part> {
        let picture = &self.picture;
        let (mut len, flags) = if picture.b { vlc::bidirectional(bits)? } else { vlc::predicted(bits)? };
        if flags & vlc::INTRA != 0 {
            return Some(Part::Intra);
        }
        self.flags = flags;
        let next = |len: u8, count: u8| bits << len >> (32 - count);
        let directions = (flags & (vlc::FORWARD | vlc::BACKWARD)).count_ones() as u8;
        // Vectors of each direction, whether each says of which field it is.
        let (each, select, dual) = if directions == 0 || picture.frame_only {
            (1, picture.field, false)
        } else {
            len += 2;
            match (next(len - 2, 2), picture.field) {
                (1, true) => (1, true, false),
                (2, true) | (1, false) => (2, true, false),
                (2, false) => (1, false, false),
                (3, _) if !picture.b => (1, false, true),
                _ => return None,
            }
        };
        (self.each, self.select, self.dual) = (2 * each, select, dual);
        self.vectors = directions * self.each;
        let coded = flags & vlc::PATTERN != 0;
        if coded && !picture.field && !picture.frame_only {
            // dct_type
            len += 1;
        }
        if flags & vlc::QUANT != 0 {
            len += scale(bits << len)?;
        }
        self.step = if self.vectors > 0 { Step::Vectors } else { self.after_vectors() };
        Some(Part::Bits(len))
    }

    const fn after_vectors(&self) -> Step {
        if self.flags & vlc::PATTERN != 0 { Step::Pattern } else { Step::Increment }
    }

    /// A component of a vector: motion_vertical_field_select before the first, motion_code, motion_residual, dmvector.
    fn vector(&mut self, bits: u32) -> Option<u8> {
        // Those of the second direction are the last; a lone one is the backward one if there is no forward.
        let backward =
            self.flags & vlc::FORWARD == 0 || (self.flags & vlc::BACKWARD != 0 && self.vectors <= self.each);
        let vertical = self.vectors % 2 == 1;
        let select = u8::from(self.select && !vertical);
        let (mut len, moves) = vlc::motion(bits << select)?;
        len += select;
        if moves {
            len += self.picture.residuals[usize::from(backward)][usize::from(vertical)];
        }
        if self.dual {
            len += if bits << len >> 31 == 0 { 1 } else { 2 };
        }
        self.vectors -= 1;
        if self.vectors == 0 {
            self.step = self.after_vectors();
        }
        Some(len)
    }

    fn pattern(&mut self, bits: u32) -> Option<u8> {
        let (len, pattern) = vlc::pattern(bits)?;
        // coded_block_pattern_1 and _2, for the chroma blocks that 4:2:2 and 4:4:4 have besides.
        let more = match self.sequence.chroma {
            _ if self.picture.mpeg1 => 0,
            2 => 2,
            3 => 6,
            _ => 0,
        };
        if more == 0 && pattern == 0 {
            return None;
        }
        let further = if more == 0 { 0 } else { bits << len >> (32 - more) };
        self.blocks = (pattern.count_ones() + further.count_ones()) as u8;
        self.place = 0;
        self.step = if self.blocks > 0 { Step::Coefficients } else { Step::Increment };
        Some(len + more)
    }

    #[inline]
    fn coefficient(&mut self, bits: u32) -> Option<u8> {
        let (len, coefficient) = vlc::coefficient(bits, self.place == 0)?;
        let (len, run) = match coefficient {
            Coefficient::Run(run) => (len, run),
            Coefficient::Escape => {
                let (more, run) = vlc::escaped(bits << len, self.picture.mpeg1)?;
                (len + more, run)
            }
            Coefficient::End => {
                self.place = 0;
                self.blocks -= 1;
                if self.blocks == 0 {
                    self.step = Step::Increment;
                }
                return Some(len);
            }
        };
        self.place += run + 1;
        (self.place <= 64).then_some(len)
    }
}

enum Part {
    Bits(u8),
    Intra,
}

/// quantiser_scale_code, which is not 0.
fn scale(bits: u32) -> Option<u8> {
    (bits >> 27 != 0).then_some(5)
}
