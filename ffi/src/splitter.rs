//! The splitter: which bytes of an MPEG recording are sealed (row V10b).

use crate::memory::{Object, Out, bytes, code, end, live, place, shared, usable};
use crate::result::*;
use p2pgate::mpeg::{Class, Codec, Container, MAX_LAG, Part, Selection, Splitter};

/// To be encrypted.
pub const P2PGATE_CLASS_SEALED: u32 = 0;
/// Positively not part of what is selected for encryption.
pub const P2PGATE_CLASS_REST: u32 = 1;

/// Seal I-pictures, as the source document has it.
pub const P2PGATE_SELECT_INTRA: u32 = 0;
/// Seal I-pictures, and P-fields that complete the frame of an I-field.
pub const P2PGATE_SELECT_INTRA_AND_SECOND_FIELD: u32 = 1;
/// Seal I and P pictures.
pub const P2PGATE_SELECT_ANCHORS: u32 = 2;
/// Seal all of the video.
pub const P2PGATE_SELECT_ALL: u32 = 3;
/// Seal I-pictures, and slices of P and B pictures of MPEG-1 and MPEG-2 that hold intra-coded macroblocks or can't be read, and all of H.264 and HEVC.
/// Only in a library built with the feature `blocks`, which it has by default; the window has to be P2PGATE_SPLITTER_BLOCKS_WINDOW bytes.
pub const P2PGATE_SELECT_INTRA_BLOCKS: u32 = 4;

/// No container that is known: all is sealed.
pub const P2PGATE_CONTAINER_UNKNOWN: u32 = 0;
/// A video elementary stream.
pub const P2PGATE_CONTAINER_ES: u32 = 1;
/// An MPEG-1 system stream or MPEG-2 program stream.
pub const P2PGATE_CONTAINER_PS: u32 = 2;
/// A transport stream.
pub const P2PGATE_CONTAINER_TS: u32 = 3;
/// An MP4 or QuickTime file: all is sealed.
pub const P2PGATE_CONTAINER_MP4: u32 = 4;

/// No video coding that is known.
pub const P2PGATE_CODEC_UNKNOWN: u32 = 0;
/// ISO/IEC 11172-2.
pub const P2PGATE_CODEC_MPEG1: u32 = 1;
/// ISO/IEC 13818-2.
pub const P2PGATE_CODEC_MPEG2: u32 = 2;
/// ISO/IEC 14496-10; sealed as a whole by a library built without the feature `nal`.
pub const P2PGATE_CODEC_H264: u32 = 3;
/// ISO/IEC 23008-2; sealed as a whole by a library built without the feature `nal`.
pub const P2PGATE_CODEC_HEVC: u32 = 4;

/// A window of this many bytes always gives a span: the most that the application has to keep.
pub const P2PGATE_SPLITTER_WINDOW: usize = 4096;
/// The same with P2PGATE_SELECT_INTRA_BLOCKS; slices that need more are sealed.
pub const P2PGATE_SPLITTER_BLOCKS_WINDOW: usize = 65536;
/// Words of a splitter for MPEG-1 and MPEG-2, which is what a library without the feature `nal` has.
pub const P2PGATE_SPLITTER_WORDS: usize = 124;
/// Words of a splitter for H.264 and HEVC too.
pub const P2PGATE_SPLITTER_NAL_WORDS: usize = 256;
/// Words of a splitter that has P2PGATE_SELECT_INTRA_BLOCKS too, which is what the library has by default.
pub const P2PGATE_SPLITTER_BLOCKS_WORDS: usize = 384;

/// The next bytes of a recording that are of one class.
#[repr(C)]
pub struct p2pgate_span_t {
    /// How many bytes, never 0.
    pub length: usize,
    /// P2PGATE_CLASS_SEALED or P2PGATE_CLASS_REST.
    pub class_: u32,
}

/// What a splitter has seen.
#[repr(C)]
pub struct p2pgate_counts_t {
    /// Coded I-pictures; a pair of fields counts as two.
    pub intra: u64,
    /// Coded P-pictures.
    pub predicted: u64,
    /// Coded B-pictures.
    pub bidirectional: u64,
    /// Coded D-pictures of MPEG-1.
    pub dc_only: u64,
    /// Bytes given out.
    pub bytes: u64,
    /// Of these: of I-pictures.
    pub intra_bytes: u64,
    /// Of these: of P-pictures, but for those that complete the frame of an I-field.
    pub predicted_bytes: u64,
    /// Of these: of P-fields that complete the frame of an I-field.
    pub second_field_bytes: u64,
    /// Of these: of B-pictures.
    pub bidirectional_bytes: u64,
    /// Of these: of D-pictures.
    pub dc_only_bytes: u64,
    /// Of these: not video.
    pub not_video_bytes: u64,
    /// Of these: undecided, so sealed. With P2PGATE_SELECT_INTRA_BLOCKS those of slices without intra-coded macroblocks are in `bytes` alone, and what
    /// the pictures have here is the slices that may hold such.
    pub undecided_bytes: u64,
    /// P2PGATE_CONTAINER_...
    pub container: u32,
    /// P2PGATE_CODEC_...
    pub codec: u32,
    /// Bytes from one packet of a transport stream to the next, 188, 192 or 204; else 0.
    pub packet_size: u32,
    /// 0.
    pub reserved: u32,
}

impl Object for Splitter {
    const MAGIC: u64 = 0x7032_7067_7370_6c74;
}

/// What this library's splitter takes.
const WORDS: usize = if cfg!(feature = "blocks") {
    P2PGATE_SPLITTER_BLOCKS_WORDS
} else if cfg!(feature = "nal") {
    P2PGATE_SPLITTER_NAL_WORDS
} else {
    P2PGATE_SPLITTER_WORDS
};
const _: () = assert!(size_of::<crate::memory::Slot<Splitter>>() <= WORDS * 8);
const _: () = assert!(P2PGATE_SPLITTER_WINDOW == MAX_LAG);
#[cfg(feature = "blocks")]
const _: () = assert!(P2PGATE_SPLITTER_BLOCKS_WINDOW == p2pgate::mpeg::MAX_BLOCKS_LAG);

pub(crate) const fn class_number(class: Class) -> u32 {
    match class {
        Class::Sealed => P2PGATE_CLASS_SEALED,
        Class::Rest => P2PGATE_CLASS_REST,
    }
}

pub(crate) const fn class_of(number: u32) -> Result<Class, p2pgate_result_t> {
    match number {
        P2PGATE_CLASS_SEALED => Ok(Class::Sealed),
        P2PGATE_CLASS_REST => Ok(Class::Rest),
        _ => Err(P2PGATE_E_ARGUMENT),
    }
}

/// Makes a splitter for one recording of `storage`, `words` words that stay where they are until p2pgate_splitter_deinit: P2PGATE_SPLITTER_BLOCKS_WORDS,
/// P2PGATE_SPLITTER_NAL_WORDS if the library is without the feature `blocks`, P2PGATE_SPLITTER_WORDS if it is without H.264 and HEVC too; with fewer than it needs it says P2PGATE_E_STORAGE. `selection` is P2PGATE_SELECT_...; with `seal_rest` other than 0 what isn't video is sealed too.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_splitter_init(
    storage: *mut u64,
    words: usize,
    selection: u32,
    seal_rest: u32,
) -> p2pgate_result_t {
    code((|| {
        usable::<Splitter>(storage)?;
        if words < WORDS {
            return Err(P2PGATE_E_STORAGE);
        }
        let selection = match selection {
            P2PGATE_SELECT_INTRA => Selection::Intra,
            P2PGATE_SELECT_INTRA_AND_SECOND_FIELD => Selection::IntraAndSecondField,
            P2PGATE_SELECT_ANCHORS => Selection::Anchors,
            P2PGATE_SELECT_ALL => Selection::All,
            #[cfg(feature = "blocks")]
            P2PGATE_SELECT_INTRA_BLOCKS => Selection::IntraBlocks,
            _ => return Err(P2PGATE_E_ARGUMENT),
        };
        // SAFETY: the caller's promise.
        unsafe { place(storage, Splitter::with(selection, seal_rest != 0)) }
    })())
}

/// The next span of the recording, with which `window` begins.
///
/// `window` is the recording from the end of the last span on, as far as it is there; `last` other than 0 says that it goes up to the recording's end.
/// Between two calls drop the span from the window's front and add bytes behind, nothing else. P2PGATE_NOTHING: more bytes are needed, which never
/// happens with P2PGATE_SPLITTER_WINDOW bytes (P2PGATE_SPLITTER_BLOCKS_WINDOW with P2PGATE_SELECT_INTRA_BLOCKS), or with `last` and any at all. Spans that follow each other may be of the same class.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_splitter_next(
    splitter: *mut u64,
    window: *const u8,
    length: usize,
    last: u32,
    span: *mut p2pgate_span_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (splitter, window, out) =
            unsafe { (live::<Splitter>(splitter)?, bytes(window, length)?, Out::new(span)?) };
        let span = splitter.next(window, last != 0).ok_or(P2PGATE_NOTHING)?;
        out.put(p2pgate_span_t { length: span.len, class_: class_number(span.class) });
        Ok(())
    })())
}

/// Pictures and bytes so far, and what the recording was recognised as.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_splitter_counts(
    splitter: *const u64,
    counts: *mut p2pgate_counts_t,
) -> p2pgate_result_t {
    code((|| {
        // SAFETY: the caller's promise.
        let (splitter, out) = unsafe { (shared::<Splitter>(splitter)?, Out::new(counts)?) };
        let seen = splitter.counts();
        out.put(p2pgate_counts_t {
            intra: seen.i,
            predicted: seen.p,
            bidirectional: seen.b,
            dc_only: seen.d,
            bytes: seen.total(),
            intra_bytes: seen.bytes(Part::Intra),
            predicted_bytes: seen.bytes(Part::Predicted),
            second_field_bytes: seen.bytes(Part::SecondField),
            bidirectional_bytes: seen.bytes(Part::Bidirectional),
            dc_only_bytes: seen.bytes(Part::DcOnly),
            not_video_bytes: seen.bytes(Part::NotVideo),
            undecided_bytes: seen.bytes(Part::Undecided),
            container: match splitter.container() {
                Container::Unknown => P2PGATE_CONTAINER_UNKNOWN,
                Container::Es => P2PGATE_CONTAINER_ES,
                Container::Ps => P2PGATE_CONTAINER_PS,
                Container::Ts => P2PGATE_CONTAINER_TS,
                Container::Mp4 => P2PGATE_CONTAINER_MP4,
            },
            codec: match splitter.codec() {
                Codec::Unknown => P2PGATE_CODEC_UNKNOWN,
                Codec::Mpeg1 => P2PGATE_CODEC_MPEG1,
                Codec::Mpeg2 => P2PGATE_CODEC_MPEG2,
                Codec::H264 => P2PGATE_CODEC_H264,
                Codec::Hevc => P2PGATE_CODEC_HEVC,
            },
            packet_size: splitter.packet_size().unwrap_or(0).into(),
            reserved: 0,
        });
        Ok(())
    })())
}

/// Ends the splitter and wipes its storage.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_splitter_deinit(splitter: *mut u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    code(unsafe { end::<Splitter>(splitter, WORDS) })
}
