//! Splitting MPEG recordings by picture type, and putting them together again (row V10b; claim 10).
//!
//! A [`Splitter`] says of every byte of an MPEG-1 or MPEG-2 elementary, program or transport stream whether it is to be
//! sealed; with the feature `nal`, of those of H.264 and HEVC (Annex B) too. It fails closed:
//! [`Class::Rest`] is only what is positively a P or B picture or known not to be video.
//!
//! In MPEG-1 and MPEG-2 a picture's header says its type, in H.264 and HEVC every slice says its own. So there each
//! slice goes by its own type: a picture is sealed as a whole exactly if it is intra, that is if all of its slices are
//! I, IDR or not, and of a picture of several types the I-slices are sealed. (To wait for a picture's last slice before
//! anything is said of its first would take unbounded memory.) Pictures are counted by all of their slices.
//! [`SegmentWriter`] and [`Merger`] keep the two classes in two files from which the recording can be rebuilt.
//!
//! The caller keeps the recording's bytes in a window: those not given out yet, oldest first, and new ones behind them.
//!
//! ```
//! # use p2pgate::mpeg::{Splitter, MAX_LAG};
//! # let recording = [0; 10_000];
//! # let mut source = recording.chunks(1000);
//! let mut splitter = Splitter::new();
//! let mut window = Vec::new();
//! loop {
//!     let chunk = source.next();
//!     window.extend_from_slice(chunk.unwrap_or_default());
//!     while let Some(span) = splitter.next(&window, chunk.is_none()) {
//!         let bytes = window.drain(..span.len);
//!         // Send `bytes` by the path of `span.class`.
//!     }
//!     assert!(window.len() < MAX_LAG);
//!     if chunk.is_none() {
//!         break;
//!     }
//! }
//! assert_eq!(splitter.counts().total(), 10_000);
//! ```

#[cfg(feature = "nal")]
mod avc;
mod backlog;
#[cfg(feature = "nal")]
mod bits;
#[cfg(feature = "blocks")]
mod blocks;
mod container;
mod es;
#[cfg(feature = "nal")]
mod hevc;
mod layer;
#[cfg(feature = "nal")]
mod nal;
mod ps;
mod psi;
mod scan;
mod segment;
mod ts;
mod video;
#[cfg(feature = "blocks")]
mod vlc;

use self::backlog::{Backlog, Tag};
use self::container::Probe;
#[cfg(feature = "nal")]
use self::layer::Layer;
use self::scan::Search;
pub use self::segment::{
    END_LEN, HEADER_LEN, MAX_RECORD_LEN, MergeError, Merger, RecordHeader, SegmentWriter, Step,
};

/// A window of this many bytes always gives a span: the most that a caller has to keep.
pub const MAX_LAG: usize = 4096;
/// As [`MAX_LAG`], of [`Selection::IntraBlocks`]: slices that are longer than what it leaves room for are sealed.
#[cfg(feature = "blocks")]
pub const MAX_BLOCKS_LAG: usize = 65_536;

/// Windows are looked at in pieces of at most this many bytes.
const WIDEST: usize = 1 << 30;
/// A file in which nothing known begins within this many bytes is of no known container.
const FAR_ENOUGH: u32 = 1 << 20;

/// What a route needs to know of a byte.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash)]
pub enum Class {
    /// To be encrypted.
    Sealed,
    /// Positively not part of what is selected for encryption.
    Rest,
}

/// What a byte belongs to. Sequence, group, extension and user data belong to the picture that they precede, a
/// sequence end to the one that it follows, and a packet's headers to the payload that they carry; in H.264 and HEVC
/// parameter sets, SEI and delimiters to the slice that they precede, filler and ends to the one that they follow.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, Default)]
#[repr(u8)]
pub enum Part {
    /// Damaged, reserved, scrambled, not yet or not at all understood.
    #[default]
    Undecided,
    /// An I-picture; in H.264 and HEVC an I-slice.
    Intra,
    /// A P-picture or slice.
    Predicted,
    /// A P-field that completes the frame of an I-field; in H.264 and HEVC whatever isn't I in a picture that does or
    /// may, unless the headers say that it doesn't.
    SecondField,
    /// A B-picture or slice.
    Bidirectional,
    /// A D-picture of MPEG-1.
    DcOnly,
    /// Sound, tables, null packets, headers of the system layer.
    NotVideo,
    /// A slice of a P or B picture in which no macroblock is intra-coded, or headers of such a picture. Slices are told
    /// apart only with [`Selection::IntraBlocks`]; the others go by their picture then.
    WithoutIntra,
}

const PARTS: usize = if cfg!(feature = "blocks") { 8 } else { 7 };

/// Which pictures are encrypted.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, Default)]
#[repr(u8)]
pub enum Selection {
    /// I-pictures, as the source document has it.
    #[default]
    Intra,
    /// I-pictures, and P-fields that complete the frame of an I-field.
    IntraAndSecondField,
    /// I and P pictures.
    Anchors,
    /// All of the video.
    All,
    /// I-pictures, and slices of P and B pictures that hold intra-coded macroblocks or may: those of MPEG-1 and MPEG-2
    /// are sealed unless they were read to their ends and hold none, those of H.264 and HEVC all. Without the feature
    /// `blocks` the same as [`Selection::All`].
    IntraBlocks,
}

impl Selection {
    /// A window of this many bytes always gives a span with this selection.
    pub const fn max_lag(self) -> usize {
        match self {
            #[cfg(feature = "blocks")]
            Self::IntraBlocks => MAX_BLOCKS_LAG,
            _ => MAX_LAG,
        }
    }
}

impl Part {
    /// The class of this part. What is undecided is sealed under every selection.
    pub const fn class(self, selection: Selection, seal_rest: bool) -> Class {
        let sealed = match self {
            Self::Undecided | Self::Intra | Self::DcOnly => true,
            Self::SecondField => !matches!(selection, Selection::Intra),
            Self::Predicted => !matches!(selection, Selection::Intra | Selection::IntraAndSecondField),
            Self::Bidirectional => matches!(selection, Selection::All | Selection::IntraBlocks),
            Self::WithoutIntra => !matches!(selection, Selection::Intra | Selection::IntraBlocks),
            Self::NotVideo => seal_rest,
        };
        if sealed { Class::Sealed } else { Class::Rest }
    }
}

/// The next bytes of the recording that are of one class.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub struct Span {
    /// Their class.
    pub class: Class,
    /// How many bytes, never 0.
    pub len: usize,
}

/// The container of a recording, as far as it has been recognised.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, Default)]
#[repr(u8)]
pub enum Container {
    /// None that is known; all of it is sealed.
    #[default]
    Unknown,
    /// A video elementary stream.
    Es,
    /// An MPEG-1 system stream or MPEG-2 program stream.
    Ps,
    /// A transport stream.
    Ts,
    /// An MP4 or QuickTime file; all of it is sealed, since where its pictures lie is often said at its end only.
    Mp4,
}

/// The coding of the first video stream whose pictures have been seen.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Hash, Default)]
#[repr(u8)]
pub enum Codec {
    /// None that is known.
    #[default]
    Unknown,
    /// ISO/IEC 11172-2.
    Mpeg1,
    /// ISO/IEC 13818-2.
    Mpeg2,
    /// ISO/IEC 14496-10; split with the feature `nal`, else sealed.
    H264,
    /// ISO/IEC 23008-2; split with the feature `nal`, else sealed.
    Hevc,
}

/// What has been seen so far.
#[derive(Copy, Clone, Eq, PartialEq, Debug, Default)]
pub struct Counts {
    /// Coded I-pictures; a pair of fields counts as two pictures.
    pub i: u64,
    /// Coded P-pictures; in H.264 and HEVC those with a P-slice and no B-slice.
    pub p: u64,
    /// Coded B-pictures; in H.264 and HEVC those with a B-slice.
    pub b: u64,
    /// Coded D-pictures.
    pub d: u64,
    bytes: [u64; PARTS],
}

impl Counts {
    const NONE: Self = Self { i: 0, p: 0, b: 0, d: 0, bytes: [0; PARTS] };

    /// Bytes given out that belong to `part`.
    pub fn bytes(&self, part: Part) -> u64 {
        self.bytes.get(part as usize).copied().unwrap_or_default()
    }

    /// Bytes given out.
    pub fn total(&self) -> u64 {
        self.bytes.iter().sum()
    }
}

/// What the layers report besides the bytes.
struct Found {
    counts: Counts,
    codec: Codec,
    container: Container,
    /// Macroblocks are to be read.
    #[cfg(feature = "blocks")]
    blocks: bool,
}

/// What every step works with.
struct Context<'a> {
    backlog: &'a mut Backlog,
    found: &'a mut Found,
    search: &'a Search,
}

impl Found {
    fn picture(&mut self, part: Part) {
        match part {
            Part::Intra => self.counts.i += 1,
            Part::Bidirectional => self.counts.b += 1,
            Part::DcOnly => self.counts.d += 1,
            _ => self.counts.p += 1,
        }
    }

    fn codec(&mut self, codec: Codec) {
        if self.codec == Codec::Unknown {
            self.codec = codec;
        }
    }
}

// One lives in each splitter, and without an allocator there is nowhere else to put the larger.
#[allow(clippy::large_enum_variant)]
enum Mode {
    /// Looking for the container; so many bytes were none.
    Probe(u32),
    /// Program or elementary stream.
    Ps(ps::Ps),
    Ts(ts::Ts),
    /// An elementary stream of H.264 or HEVC.
    #[cfg(feature = "nal")]
    Nal(nal::Nal),
    /// Nothing that can be split.
    Sealed,
}

/// Says of every byte of a recording whether it is to be sealed (row V10b).
///
/// What it says depends on the recording alone, not on how it comes in. It allocates nothing, and looks at each byte
/// a bounded number of times.
pub struct Splitter {
    selection: Selection,
    seal_rest: bool,
    mode: Mode,
    backlog: Backlog,
    found: Found,
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}

impl Splitter {
    /// Seals I-pictures, D-pictures and what is undecided.
    pub const fn new() -> Self {
        Self::with(Selection::Intra, false)
    }

    /// Seals `selection`, and with `seal_rest` what isn't video too.
    pub const fn with(selection: Selection, seal_rest: bool) -> Self {
        Self {
            selection,
            seal_rest,
            mode: Mode::Probe(0),
            backlog: Backlog::new(matches!(selection, Selection::IntraBlocks)),
            found: Found {
                counts: Counts::NONE,
                codec: Codec::Unknown,
                container: Container::Unknown,
                #[cfg(feature = "blocks")]
                blocks: matches!(selection, Selection::IntraBlocks),
            },
        }
    }

    /// The next span of the recording, with which `window` begins.
    ///
    /// `window` is the recording from the end of the last span on, as far as it is there; `last` says that it goes up
    /// to the recording's end. Between two calls the caller drops the span from the window's front and may add bytes
    /// behind; nothing else may change. `None`: more bytes are needed, which never happens with [`Selection::max_lag`]
    /// bytes or more in the window, or with `last` and any at all. Spans that follow each other may be of the same class.
    pub fn next(&mut self, window: &[u8], last: bool) -> Option<Span> {
        let (selection, seal_rest) = (self.selection, self.seal_rest);
        let class = |part: Part| part.class(selection, seal_rest);
        let (part, len) = self.run(window, last, |a, b| class(a) == class(b))?;
        Some(Span { class: class(part), len })
    }

    /// As [`Splitter::next`], by part: what the next bytes belong to, and how many they are.
    pub fn next_part(&mut self, window: &[u8], last: bool) -> Option<(Part, usize)> {
        self.run(window, last, |a, b| a == b)
    }

    /// Pictures and bytes so far.
    pub fn counts(&self) -> &Counts {
        &self.found.counts
    }

    /// The container, once recognised.
    pub fn container(&self) -> Container {
        self.found.container
    }

    /// Bytes from one packet of a transport stream to the next: 188, 192 or 204.
    pub fn packet_size(&self) -> Option<u8> {
        match &self.mode {
            Mode::Ts(ts) => Some(ts.size()),
            _ => None,
        }
    }

    /// How the video is coded, once known.
    pub fn codec(&self) -> Codec {
        self.found.codec
    }

    fn run(&mut self, window: &[u8], last: bool, same: impl Fn(Part, Part) -> bool) -> Option<(Part, usize)> {
        let last = last && window.len() <= WIDEST;
        let window = window.get(..WIDEST).unwrap_or(window);
        let search = Search::new();
        let mut run: Option<(Part, usize)> = None;
        loop {
            while let Some((part, len)) = self.backlog.peek() {
                match &mut run {
                    Some((first, _)) if !same(*first, part) => return run,
                    Some((_, sum)) => *sum += len,
                    None => run = Some((part, len)),
                }
                if let Some(bytes) = self.found.counts.bytes.get_mut(part as usize) {
                    *bytes += len as u64;
                }
                self.backlog.pop();
            }
            let seen = run.map_or(0, |(_, len)| len) + self.backlog.len();
            let fresh = window.get(seen..).unwrap_or_default();
            if fresh.is_empty() {
                let waiting = self.backlog.len() > 0;
                if last {
                    self.finish();
                }
                if !last || !waiting {
                    return run;
                }
            } else if self.step(fresh, last, &search) == 0 {
                if !last {
                    return run;
                }
                self.backlog.push(fresh.len(), Tag::Is(Part::Undecided));
            }
        }
    }

    fn finish(&mut self) {
        let context =
            &mut Context { backlog: &mut self.backlog, found: &mut self.found, search: &Search::new() };
        match &mut self.mode {
            Mode::Ps(ps) => ps.finish(context),
            Mode::Ts(ts) => ts.finish(context),
            #[cfg(feature = "nal")]
            Mode::Nal(nal) => nal.finish(0, context),
            Mode::Probe(_) | Mode::Sealed => {}
        }
        self.backlog.close();
    }

    #[inline]
    fn step(&mut self, fresh: &[u8], last: bool, search: &Search) -> usize {
        let context = &mut Context { backlog: &mut self.backlog, found: &mut self.found, search };
        match &mut self.mode {
            Mode::Ps(ps) => ps.step(fresh, last, context),
            Mode::Ts(ts) => ts.step(fresh, last, context),
            #[cfg(feature = "nal")]
            Mode::Nal(nal) => nal.feed(0, fresh, last, false, context).taken,
            Mode::Probe(_) => self.probe(fresh, last, search),
            Mode::Sealed => {
                self.backlog.push(fresh.len(), Tag::Is(Part::Undecided));
                fresh.len()
            }
        }
    }

    fn probe(&mut self, fresh: &[u8], last: bool, search: &Search) -> usize {
        let Mode::Probe(before) = self.mode else { return 0 };
        let mut len = 0;
        match container::probe(fresh, before == 0, last) {
            Probe::More => {}
            Probe::Ts { skip, size } => {
                self.mode = Mode::Ts(ts::Ts::new(size));
                self.found.container = Container::Ts;
                len = skip;
            }
            Probe::Ps { skip, packs } => {
                self.mode = Mode::Ps(ps::Ps::new(packs));
                self.found.container = if packs { Container::Ps } else { Container::Es };
                len = skip;
            }
            Probe::Nal { skip, codec } => {
                #[cfg(feature = "nal")]
                {
                    self.mode = Mode::Nal(nal::Nal::new(codec));
                }
                #[cfg(not(feature = "nal"))]
                {
                    self.mode = Mode::Sealed;
                }
                (self.found.container, self.found.codec) = (Container::Es, codec);
                len = skip;
            }
            Probe::Mp4 => {
                self.mode = Mode::Sealed;
                self.found.container = Container::Mp4;
            }
            Probe::Nothing(bytes) => {
                self.mode =
                    if before < FAR_ENOUGH { Mode::Probe(before + bytes as u32) } else { Mode::Sealed };
                len = bytes;
            }
        }
        self.backlog.push(len, Tag::Is(Part::Undecided));
        if len == 0 && !matches!(self.mode, Mode::Probe(_)) {
            return self.step(fresh, last, search);
        }
        len
    }
}
