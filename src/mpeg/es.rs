//! The video layer (ISO/IEC 11172-2, 13818-2): which picture each byte of one video stream belongs to.
//!
//! P and B are believed only when everything agrees: the type bits, the forward and backward codes that go with that
//! type, in MPEG-2 the picture coding extension and its codes, and a first slice in row 1. One wrong bit in an
//! I-picture's header therefore never makes it a P or B. A slice out of order ends a picture: what follows is undecided.

#[cfg(feature = "blocks")]
use super::backlog::SLICE;
use super::backlog::{Backlog, Tag};
#[cfg(feature = "blocks")]
use super::blocks::{Blocks, Verdict};
use super::layer::{Fed, LONGEST_RUN, Layer};
use super::{Codec, Context, Found, Part};

const PICTURE: u8 = 0x00;
const LAST_SLICE: u8 = 0xaf;
const USER_DATA: u8 = 0xb2;
const SEQUENCE: u8 = 0xb3;
const EXTENSION: u8 = 0xb5;
const SEQUENCE_END: u8 = 0xb7;
const GROUP: u8 = 0xb8;

const I: u8 = 1;
const P: u8 = 2;
const B: u8 = 3;
const D: u8 = 4;

#[derive(Copy, Clone, Eq, PartialEq)]
enum State {
    /// Undecided until the next picture.
    Lost,
    /// After a sequence or group header: waits for the picture.
    Run,
    /// Between a picture's start code and its first slice; waits unless the type alone seals it.
    Header,
    Slices,
    /// As `Slices`, of a P or B picture whose macroblocks are read.
    #[cfg(feature = "blocks")]
    Blocks,
}

/// Whether `bytes` begin with a start code and header that a video stream can begin with.
pub(super) fn begins(bytes: &[u8]) -> bool {
    match *bytes {
        // Sizes and frame rate are not 0, the marker after the bit rate is 1.
        [0, 0, 1, SEQUENCE, width, sizes, height, rates, _, _, marker, ..] => {
            (width != 0 || sizes >> 4 != 0)
                && (height != 0 || sizes & 15 != 0)
                && rates & 15 != 0
                && marker & 0x20 != 0
        }
        [0, 0, 1, GROUP, _, marker, ..] => marker & 8 != 0,
        [0, 0, 1, PICTURE, _, kind, ref rest @ ..] => {
            let next = if let P | B = kind >> 3 & 7 { 3 } else { 2 };
            (I..=D).contains(&(kind >> 3 & 7))
                && matches!(rest.get(next..), Some([0, 0, 1, 1 | USER_DATA | EXTENSION, ..]))
        }
        _ => false,
    }
}

/// One video stream. At rest all zeros.
#[derive(Copy, Clone)]
pub(super) struct Es {
    state: State,
    /// What the bytes outside header runs are.
    part: Part,
    /// Bytes of a start code seen at the end of the last payload.
    held: u8,
    /// Bytes of a header wanted, and those there so far.
    want: u8,
    got: u8,
    header: [u8; 5],
    /// The start code that it follows.
    code: u8,
    /// Bytes of the header run.
    run: u16,
    /// The picture's type as far as it can be believed, else 0.
    kind: u8,
    /// `picture_structure` where there was a valid picture coding extension, else 0.
    structure: u8,
    /// The sequence is MPEG-2: its pictures have a picture coding extension.
    extended: bool,
    row: u8,
    /// By how much the slice row may go up.
    stride: u8,
    /// Parity of an I-field whose second field has not come.
    field: u8,
    #[cfg(feature = "blocks")]
    blocks: Blocks,
    /// The slice is being read, and what it is if it holds intra macroblocks.
    #[cfg(feature = "blocks")]
    reads: bool,
    #[cfg(feature = "blocks")]
    holds: Part,
}

impl Es {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Lost,
            part: Part::Undecided,
            held: 0,
            want: 0,
            got: 0,
            header: [0; 5],
            code: 0,
            run: 0,
            kind: 0,
            structure: 0,
            extended: false,
            row: 0,
            stride: 0,
            field: 0,
            #[cfg(feature = "blocks")]
            blocks: Blocks::new(),
            #[cfg(feature = "blocks")]
            reads: false,
            #[cfg(feature = "blocks")]
            holds: Part::Undecided,
        }
    }

    /// In a picture whose headers and slices agree.
    #[cfg(feature = "nal")]
    pub(super) const fn is_decided(&self) -> bool {
        #[cfg(feature = "blocks")]
        if self.is_read() {
            return true;
        }
        matches!(self.state, State::Slices)
    }

    /// A header run starts.
    fn begin(&mut self, id: u8, state: State, backlog: &mut Backlog) {
        if self.state == State::Header {
            backlog.retag(id, Tag::Is(Part::Undecided));
        }
        self.state = state;
        self.part = Part::Undecided;
        (self.run, self.kind) = (0, 0);
    }

    /// temporal_reference (10 bits), picture_coding_type (3), vbv_delay (16), then full_pel flags and f_codes.
    fn picture_header(&mut self, id: u8, context: &mut Context) -> bool {
        let [_, second, _, fourth, fifth] = self.header;
        if self.got == 4 {
            self.kind = second >> 3 & 7;
            let part = match self.kind {
                I => Part::Intra,
                P => Part::Predicted,
                B => Part::Bidirectional,
                D => Part::DcOnly,
                _ => return false,
            };
            context.found.picture(part);
            if let P | B = self.kind {
                self.want = 5;
            } else {
                self.part = part;
                if self.run <= LONGEST_RUN {
                    context.backlog.retag(id, Tag::Is(part));
                }
            }
            return true;
        }
        let forward = (fourth & 3) << 1 | fifth >> 7;
        let backward = fifth >> 3 & 7;
        #[cfg(feature = "blocks")]
        self.blocks.codes(forward, backward);
        // extra_bit_picture and the bits up to the next start code are 0.
        forward != 0
            && match self.kind {
                P => fifth & 0x7f == 0,
                _ => backward != 0 && fifth & 7 == 0,
            }
    }

    /// extension_start_code_identifier (4 bits); for a picture coding extension four f_codes (4 each),
    /// intra_dc_precision (2), picture_structure (2). An f_code that is not used is 15.
    fn extension(&mut self, _found: &Found) -> bool {
        let [first, second, third, ..] = self.header;
        match (self.state, first >> 4, self.got) {
            #[cfg(feature = "blocks")]
            (State::Run, 1, 1) if _found.blocks => (self.extended, self.want) = (true, 3),
            #[cfg(feature = "blocks")]
            (State::Run, 1, 3) => self.blocks.sequence_extension([first, second, third]),
            (State::Run, 1, _) => self.extended = true,
            #[cfg(feature = "blocks")]
            (State::Header, 8, 1) if _found.blocks => self.want = 4,
            (State::Header, 8, 1) => self.want = 3,
            (State::Header, 8, _) => {
                #[cfg(feature = "blocks")]
                self.blocks.coding_extension([first, second, third, self.header[3]], self.kind == B);
                self.structure = third & 3;
                let used = |codes: [u8; 2]| codes.iter().all(|code| (1..15).contains(code));
                let forward = used([first & 15, second >> 4]);
                let backward = used([second & 15, third >> 4]);
                return self.structure != 0
                    && match self.kind {
                        P => forward && !backward,
                        B => forward && backward,
                        _ => true,
                    };
            }
            #[cfg(feature = "blocks")]
            (state, identifier, _) => self.blocks.extension(identifier, state == State::Header),
            #[cfg(not(feature = "blocks"))]
            _ => {}
        }
        true
    }

    /// The first slice is there: the header run is this picture's.
    fn decide(&mut self, id: u8, context: &mut Context) {
        if self.extended && self.structure == 0 {
            return self.lose(id, context.backlog);
        }
        let second = self.field != 0 && self.structure == 3 - self.field;
        let part = match self.kind {
            I => Part::Intra,
            P if second => Part::SecondField,
            P => Part::Predicted,
            B => Part::Bidirectional,
            D => Part::DcOnly,
            _ => return self.lose(id, context.backlog),
        };
        self.field = if self.kind == I && !second && self.structure < 3 { self.structure } else { 0 };
        self.stride = if self.structure == 0 { u8::MAX } else { 1 };
        context.found.codec(if self.structure == 0 { Codec::Mpeg1 } else { Codec::Mpeg2 });
        (self.state, self.part, self.row) = (State::Slices, part, 1);
        #[cfg(feature = "blocks")]
        if context.found.blocks && matches!(self.kind, P | B) {
            context.backlog.retag(id, Tag::Is(Part::WithoutIntra));
            self.holds = part;
            if self.blocks.begin(self.kind == B, self.structure == 0) {
                self.state = State::Blocks;
                self.begin_slice(id, 1, context.backlog);
            } else {
                self.part = Part::Undecided;
            }
            return;
        }
        context.backlog.retag(id, Tag::Is(part));
    }
}

#[cfg(feature = "blocks")]
impl Es {
    const fn is_read(&self) -> bool {
        matches!(self.state, State::Blocks)
    }

    /// Whether this start code begins the next slice of a picture whose macroblocks are read; ends the one before.
    fn next_slice(&mut self, id: u8, code: u8, backlog: &mut Backlog) -> bool {
        if !self.is_read() {
            return false;
        }
        let slice = (1..=LAST_SLICE).contains(&code);
        self.end_slice(id, slice.then_some(code), backlog);
        let follows = slice && code.wrapping_sub(self.row) <= self.stride;
        if follows {
            self.begin_slice(id, code, backlog);
        }
        follows
    }

    fn begin_slice(&mut self, id: u8, code: u8, backlog: &mut Backlog) {
        (self.row, self.reads) = (code, true);
        self.blocks.slice(code);
        // What came before of its start code.
        backlog.retag(id, Tag::Of(id | SLICE));
    }

    /// It is known what the slice is.
    fn settle(&mut self, id: u8, part: Part, backlog: &mut Backlog) {
        (self.reads, self.part) = (false, part);
        backlog.retag(id | SLICE, Tag::Is(part));
    }

    fn end_slice(&mut self, id: u8, next: Option<u8>, backlog: &mut Backlog) {
        let late = backlog.take_ended(id);
        if self.reads {
            let part = match self.blocks.finish(next) {
                true if !late => Part::WithoutIntra,
                _ if self.blocks.verdict() == Verdict::Intra => self.holds,
                _ => Part::Undecided,
            };
            self.settle(id, part, backlog);
        }
    }

    /// Reads a slice's bytes for as long as that is of use, and returns how many.
    fn read(&mut self, id: u8, bytes: &[u8], backlog: &mut Backlog) -> usize {
        let mut taken = 0;
        while self.reads
            && let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty())
        {
            // The byte for which there is no more room is taken by itself: so it is the same one in any chunking.
            let now = rest.get(..backlog.room().max(1)).unwrap_or(rest);
            match self.blocks.feed(now) {
                _ if backlog.take_ended(id) => self.settle(id, Part::Undecided, backlog),
                Verdict::Open => {
                    self.push(id, now.len(), backlog);
                    taken += now.len();
                }
                Verdict::Intra => self.settle(id, self.holds, backlog),
                Verdict::Damaged => self.settle(id, Part::Undecided, backlog),
            }
        }
        taken
    }
}

impl Layer for Es {
    #[inline]
    fn held(&mut self) -> &mut u8 {
        &mut self.held
    }

    #[inline]
    fn run(&mut self) -> Option<&mut u16> {
        matches!(self.state, State::Run | State::Header).then_some(&mut self.run)
    }

    #[inline]
    fn part(&self) -> Part {
        self.part
    }

    #[cfg(feature = "blocks")]
    #[inline]
    fn body_tag(&self, id: u8) -> Tag {
        if self.reads { Tag::Of(id | SLICE) } else { Tag::Is(self.part) }
    }

    fn waits(&self) -> bool {
        match self.state {
            State::Lost | State::Slices => false,
            #[cfg(feature = "blocks")]
            State::Blocks => false,
            State::Run => self.run <= LONGEST_RUN,
            State::Header => self.run <= LONGEST_RUN && !matches!(self.kind, I | D),
        }
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.want == 0 && matches!(self.state, State::Lost | State::Slices)
    }

    #[inline]
    fn row(&self) -> u8 {
        self.row
    }

    #[inline]
    fn set_row(&mut self, row: u8) {
        self.row = row;
    }

    /// A slice in its place, which changes nothing. In MPEG-2 every row has its slices, in MPEG-1 one may cover many.
    #[inline]
    fn goes_on(&mut self, code: u8) -> bool {
        if code == PICTURE || code > LAST_SLICE {
            return false;
        }
        match self.state {
            State::Slices => {
                let in_order = code.wrapping_sub(self.row) <= self.stride;
                self.row = code;
                in_order
            }
            State::Lost => true,
            _ => false,
        }
    }

    fn start(&mut self, id: u8, code: u8, len: usize, context: &mut Context) {
        #[cfg(feature = "blocks")]
        if self.next_slice(id, code, context.backlog) {
            return self.push(id, len, context.backlog);
        }
        match (code, self.state) {
            (PICTURE, _) => {
                if self.state != State::Run {
                    self.begin(id, State::Header, context.backlog);
                }
                self.state = State::Header;
                self.code = code;
                #[cfg(feature = "blocks")]
                self.blocks.picture();
                (self.want, self.got, self.kind, self.structure) = (4, 0, 0, 0);
            }
            (SEQUENCE | GROUP, state) => {
                if state != State::Run {
                    self.begin(id, State::Run, context.backlog);
                }
                if code == SEQUENCE {
                    self.extended = false;
                    #[cfg(feature = "blocks")]
                    self.blocks.forget();
                    #[cfg(feature = "blocks")]
                    if context.found.blocks {
                        (self.want, self.got, self.code) = (3, 0, code);
                    }
                }
            }
            (EXTENSION | USER_DATA, state) => {
                // After slices they have no place, unless a picture's start code was lost: slices that follow tell.
                if !matches!(state, State::Run | State::Header) {
                    self.begin(id, State::Run, context.backlog);
                }
                if code == EXTENSION {
                    (self.want, self.got, self.code) = (1, 0, code);
                }
            }
            (1..=LAST_SLICE, State::Header) if code == 1 => self.decide(id, context),
            #[cfg(feature = "blocks")]
            (SEQUENCE_END, State::Blocks) => {
                context.backlog.retag(id, Tag::Is(self.part));
                self.push(id, len, context.backlog);
                return self.lose(id, context.backlog);
            }
            (SEQUENCE_END, State::Slices) => {
                context.backlog.retag(id, Tag::Is(self.part));
                self.push(id, len, context.backlog);
                return self.lose(id, context.backlog);
            }
            _ => self.lose(id, context.backlog),
        }
        self.push(id, len, context.backlog);
    }

    fn body(&mut self, id: u8, bytes: &[u8], context: &mut Context) {
        let backlog = &mut *context.backlog;
        #[cfg(feature = "blocks")]
        let bytes = bytes.get(self.read(id, bytes, backlog)..).unwrap_or_default();
        self.push(id, bytes.len(), backlog);
    }

    #[cfg(feature = "blocks")]
    fn released(&mut self, bytes: &[u8]) {
        if self.reads {
            self.blocks.feed(bytes);
        }
    }

    fn gather(&mut self, id: u8, bytes: &[u8], context: &mut Context) -> Option<Fed> {
        if self.want == 0 {
            return None;
        }
        let mut taken = 0;
        for &byte in bytes {
            if self.got >= self.want {
                break;
            }
            if let Some(place) = self.header.get_mut(usize::from(self.got)) {
                *place = byte;
            }
            self.got += 1;
            taken += 1;
        }
        self.push(id, taken, context.backlog);
        if self.got >= self.want {
            let valid = match self.code {
                PICTURE => self.picture_header(id, context),
                #[cfg(feature = "blocks")]
                SEQUENCE => {
                    let [first, second, third, ..] = self.header;
                    self.blocks.sequence_header([first, second, third]);
                    true
                }
                _ => self.extension(context.found),
            };
            if self.got >= self.want {
                self.want = 0;
            }
            if !valid {
                self.lose(id, context.backlog);
            }
        }
        Some(Fed::taken(taken))
    }

    fn lose(&mut self, id: u8, backlog: &mut Backlog) {
        backlog.retag(id, Tag::Is(Part::Undecided));
        #[cfg(feature = "blocks")]
        {
            backlog.retag(id | SLICE, Tag::Is(Part::Undecided));
            backlog.take_ended(id);
        }
        *self = Self {
            extended: self.extended,
            #[cfg(feature = "blocks")]
            blocks: self.blocks.lost(),
            ..Self::new()
        };
    }

    fn finish(&mut self, id: u8, context: &mut Context) {
        let backlog = &mut *context.backlog;
        #[cfg(feature = "blocks")]
        self.end_slice(id, None, backlog);
        if !self.waits() {
            backlog.retag(id, Tag::Is(self.part));
        }
        self.lose(id, backlog);
    }
}
