//! H.264 and HEVC as byte streams of NAL units (their Annex B): what each byte belongs to.
//!
//! Every slice says itself whether it is I, P or B, so each goes by its own type: I-slices are sealed, P and B are
//! not, and thus a picture is sealed as a whole exactly if it is intra (all of its slices I), IDR or not. Waiting for
//! a picture's last slice would need unbounded memory. Parameter sets, SEI and delimiters go with the slice that
//! follows.
//!
//! P and B are believed only when everything agrees: the unit's type allows them, its parameter set has been seen, the
//! slice is a picture's first or continues one whose first slice was there, with the same parameter set and further on
//! in the picture, and the access unit delimiter, if there was one, announced such slices.
//!
//! What follows an I-picture completes its frame unless both are known not to be fields of one: so nothing that does is
//! taken for another's.

use super::avc::Avc;
use super::backlog::{Backlog, Tag};
use super::hevc::Hevc;
use super::layer::{LONGEST_RUN, Layer};
use super::{Codec, Context, Found, Part};

pub(super) const I: u8 = 1;
pub(super) const P: u8 = 2;
pub(super) const B: u8 = 4;
const ANY: u8 = I | P | B;
/// Bytes of a unit that are looked at, at most: a sequence parameter set up to the size of its blocks.
const LOOK: usize = 64;
/// Bytes of a slice up to its type and parameter set.
const SLICE: u8 = 10;

/// What a picture is of a frame. [`UNKNOWN`]: it may be a field.
pub(super) const UNKNOWN: u8 = 0;
pub(super) const TOP: u8 = 1;
pub(super) const BOTTOM: u8 = 2;
pub(super) const FRAME: u8 = 3;

/// What a NAL unit is to the picture.
pub(super) enum Unit {
    Slice,
    /// Goes with the slice that follows; `want` bytes of it matter. `delimits`: it is not between slices of a picture.
    Starts {
        delimits: bool,
        want: u8,
    },
    /// An access unit delimiter, with which the run begins; `want` bytes of it matter.
    Delimiter {
        want: u8,
    },
    /// Goes with what comes before.
    GoesOn,
    Unknown,
}

/// What a slice's header says.
pub(super) struct Slice {
    /// What all slices of a picture have in common, with `set`, their picture parameter set.
    pub(super) unit: u8,
    pub(super) set: u8,
    /// It is a picture's first.
    pub(super) first: bool,
    /// Where in the picture it begins.
    pub(super) address: u32,
    /// [`I`], [`P`] or [`B`].
    pub(super) kind: u8,
    pub(super) structure: u8,
}

#[derive(Copy, Clone)]
enum Syntax {
    Avc(Avc),
    Hevc(Hevc),
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum State {
    /// Undecided until the next slice.
    Lost,
    /// After a unit that goes with the next slice.
    Run,
    /// In a slice's header, whose type isn't known yet.
    Header,
    Slice,
}

/// The picture that the last slice belongs to.
#[derive(Copy, Clone)]
struct Picture {
    unit: u8,
    set: u8,
    address: u32,
    /// Types of its slices, and of the last of them; 0: none.
    kinds: u8,
    kind: u8,
    /// Types that its delimiter announced.
    announced: u8,
    structure: u8,
    /// What the picture before is, if it is intra and has none yet that completes its frame, else [`FRAME`].
    first_field: u8,
    /// Its first slice was there, and nothing is missing since.
    sound: bool,
}

/// One video stream.
#[derive(Copy, Clone)]
pub(super) struct Nal {
    syntax: Syntax,
    state: State,
    part: Part,
    /// Bytes of a start code seen at the end of the last payload.
    held: u8,
    run: u16,
    /// The first byte of the unit, and those after it: wanted, there so far, without emulation prevention.
    code: u8,
    want: u8,
    got: u8,
    bytes: [u8; LOOK],
    /// Zeros, up to two, that came last.
    zeros: u8,
    picture: Picture,
    /// A unit that no picture has between its slices came since the last slice.
    delimited: bool,
    /// What the last delimiter announced.
    announced: u8,
}

impl Picture {
    /// Unless the headers say that it doesn't.
    const fn may_complete(&self) -> bool {
        !matches!((self.first_field, self.structure), (FRAME, _) | (_, FRAME) | (TOP, TOP) | (BOTTOM, BOTTOM))
    }

    /// What the next picture may complete.
    const fn first_field(&self) -> u8 {
        match *self {
            Self { sound: false, .. } => UNKNOWN,
            Self { first_field: TOP, structure: BOTTOM, .. }
            | Self { first_field: BOTTOM, structure: TOP, .. } => FRAME,
            Self { kinds: I, structure, .. } => structure,
            _ => FRAME,
        }
    }
}

const NO_PICTURE: Picture = Picture {
    unit: 0,
    set: 0,
    address: 0,
    kinds: 0,
    kind: 0,
    announced: ANY,
    structure: UNKNOWN,
    first_field: FRAME,
    sound: false,
};

impl Nal {
    pub(super) const fn new(codec: Codec) -> Self {
        Self {
            syntax: match codec {
                Codec::Hevc => Syntax::Hevc(Hevc::new()),
                _ => Syntax::Avc(Avc::new()),
            },
            state: State::Lost,
            part: Part::Undecided,
            held: 0,
            run: 0,
            code: 0,
            want: 0,
            got: 0,
            bytes: [0; LOOK],
            zeros: 0,
            picture: NO_PICTURE,
            delimited: false,
            announced: ANY,
        }
    }

    pub(super) const fn codec(&self) -> Codec {
        match self.syntax {
            Syntax::Avc(_) => Codec::H264,
            Syntax::Hevc(_) => Codec::Hevc,
        }
    }

    const fn unit(&self, code: u8) -> Unit {
        match self.syntax {
            Syntax::Avc(_) => Avc::unit(code),
            Syntax::Hevc(_) => Hevc::unit(code),
        }
    }

    fn take(&mut self, byte: u8) {
        if self.zeros == 2 && byte == 3 {
            // emulation_prevention_three_byte
            self.zeros = 0;
            return;
        }
        self.zeros = if byte == 0 { (self.zeros + 1).min(2) } else { 0 };
        if let Some(place) = self.bytes.get_mut(usize::from(self.got)).filter(|_| self.got < self.want) {
            *place = byte;
            self.got += 1;
        }
    }

    /// What is wanted of the unit is there, or the unit is over.
    fn look(&mut self, id: u8, context: &mut Context) {
        if self.want == 0 {
            return;
        }
        let bytes = self.bytes;
        let bytes = bytes.get(..usize::from(self.got)).unwrap_or_default();
        self.want = 0;
        if self.state == State::Header {
            let slice = match &self.syntax {
                Syntax::Avc(avc) => avc.slice(self.code, bytes),
                Syntax::Hevc(hevc) => {
                    hevc.slice(self.code, bytes, if self.delimited { 0 } else { self.picture.kind })
                }
            };
            return self.decide(slice, id, context);
        }
        let announced = match &mut self.syntax {
            Syntax::Avc(avc) => avc.header(self.code, bytes),
            Syntax::Hevc(hevc) => hevc.header(self.code, bytes),
        };
        self.announced = announced.unwrap_or(self.announced);
    }

    /// The type of a slice is there: the header run is this slice's.
    fn decide(&mut self, slice: Option<Slice>, id: u8, context: &mut Context) {
        let Some(slice) = slice else { return self.lose(id, context.backlog) };
        let picture = &self.picture;
        let goes_on = picture.kinds != 0
            && !slice.first
            && !self.delimited
            && (slice.unit, slice.set, slice.structure) == (picture.unit, picture.set, picture.structure)
            && slice.address > picture.address;
        if !goes_on {
            let first_field = picture.first_field();
            self.count(context.found);
            self.picture = Picture {
                announced: self.announced,
                structure: slice.structure,
                first_field,
                sound: slice.first,
                ..NO_PICTURE
            };
            (self.announced, self.delimited) = (ANY, false);
        }
        let picture = &mut self.picture;
        (picture.unit, picture.set, picture.address) = (slice.unit, slice.set, slice.address);
        picture.kinds |= slice.kind;
        picture.kind = slice.kind;
        self.part = match slice.kind {
            I => Part::Intra,
            kind if !picture.sound || picture.announced & kind == 0 => Part::Undecided,
            _ if picture.may_complete() => Part::SecondField,
            P => Part::Predicted,
            _ => Part::Bidirectional,
        };
        self.state = State::Slice;
        context.found.codec(self.codec());
        context.backlog.retag(id, Tag::Is(self.part));
    }

    /// The picture is over.
    fn count(&mut self, found: &mut Found) {
        match self.picture.kinds {
            0 => {}
            I => found.picture(Part::Intra),
            kinds if kinds & B != 0 => found.picture(Part::Bidirectional),
            _ => found.picture(Part::Predicted),
        }
        self.picture = NO_PICTURE;
    }

    /// A header run starts.
    fn begin(&mut self, state: State) {
        if self.state != State::Run {
            (self.part, self.run) = (Part::Undecided, 0);
        }
        self.state = state;
    }
}

impl Layer for Nal {
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

    fn waits(&self) -> bool {
        matches!(self.state, State::Run | State::Header) && self.run <= LONGEST_RUN
    }

    #[inline]
    fn is_inside(&self) -> bool {
        self.want == 0 && matches!(self.state, State::Lost | State::Slice)
    }

    fn start(&mut self, id: u8, code: u8, len: usize, context: &mut Context) {
        self.look(id, context);
        match self.unit(code) {
            Unit::Slice => {
                self.begin(State::Header);
                self.want = SLICE;
            }
            Unit::Starts { delimits, want } => {
                self.begin(State::Run);
                self.delimited |= delimits;
                self.want = want;
            }
            Unit::Delimiter { want } => {
                if self.state == State::Run {
                    // A slice is missing, which may lie in the run.
                    context.backlog.retag(id, Tag::Is(Part::Undecided));
                    self.state = State::Lost;
                }
                self.begin(State::Run);
                self.delimited = true;
                self.want = want;
            }
            Unit::GoesOn if self.state != State::Lost => context.backlog.retag(id, self.tag(id)),
            _ => {
                context.backlog.retag(id, Tag::Is(Part::Undecided));
                (self.state, self.part) = (State::Lost, Part::Undecided);
            }
        }
        (self.code, self.got, self.zeros) = (code, 0, 0);
        self.push(id, len, context.backlog);
    }

    fn body(&mut self, id: u8, bytes: &[u8], context: &mut Context) {
        let mut taken = 0;
        while self.got < self.want
            && let Some(&byte) = bytes.get(taken)
        {
            self.take(byte);
            taken += 1;
        }
        self.push(id, taken, context.backlog);
        if self.got >= self.want {
            self.look(id, context);
        }
        self.push(id, bytes.len() - taken, context.backlog);
    }

    fn released(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.take(byte));
    }

    fn lose(&mut self, id: u8, backlog: &mut Backlog) {
        backlog.retag(id, Tag::Is(Part::Undecided));
        (self.state, self.part, self.held, self.want) = (State::Lost, Part::Undecided, 0, 0);
        (self.picture.sound, self.announced) = (false, ANY);
    }

    fn finish(&mut self, id: u8, context: &mut Context) {
        self.look(id, context);
        if !self.waits() {
            context.backlog.retag(id, Tag::Is(self.part));
        }
        self.lose(id, context.backlog);
        self.count(context.found);
    }
}
