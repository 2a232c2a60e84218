//! Which container a file is, from its first bytes.

use super::{Codec, MAX_LAG, es, ps, scan};

/// Bytes that one look decides about; the rest of the window is for looking ahead.
const STRETCH: usize = MAX_LAG / 2;
/// Sync bytes looked for in a transport stream, and how many of them must be there.
const SYNCS: usize = 8;
const SYNCS_NEEDED: usize = 6;

pub(super) enum Probe {
    /// More bytes are needed.
    More,
    /// A transport stream begins after `skip` bytes, with packets of `size`.
    Ts { skip: usize, size: u8 },
    /// A program stream (`packs`) or an elementary one begins after `skip` bytes.
    Ps { skip: usize, packs: bool },
    /// An elementary stream of H.264 or HEVC begins after `skip` bytes.
    Nal { skip: usize, codec: Codec },
    /// An MP4 or QuickTime file.
    Mp4,
    /// Nothing known begins within so many bytes.
    Nothing(usize),
}

pub(super) fn probe(window: &[u8], first: bool, last: bool) -> Probe {
    if window.len() < MAX_LAG && !last {
        return Probe::More;
    }
    let window = window.get(..MAX_LAG).unwrap_or(window);
    if first && boxes(window) {
        return Probe::Mp4;
    }
    for skip in 0..window.len().min(STRETCH) {
        for (size, lead) in [(188, 0), (192, 4), (204, 0)] {
            if transport(window.get(skip + lead..).unwrap_or_default(), size) {
                return Probe::Ts { skip, size: size as u8 };
            }
        }
    }
    if let (true, Some(codec)) = (first, nal_units(window)) {
        return Probe::Nal { skip: 0, codec };
    }
    if first && ps::video_header(window).is_some() {
        return Probe::Ps { skip: 0, packs: true };
    }
    let (search, mut from) = (scan::Search::new(), 0);
    while let Some(at) = search.prefix(window, from).filter(|&at| at < STRETCH) {
        let rest = window.get(at..).unwrap_or_default();
        if ps::pack_header(rest).is_some() {
            return Probe::Ps { skip: at, packs: true };
        }
        if es::begins(rest) {
            return Probe::Ps { skip: at, packs: false };
        }
        if let Some(codec) = parameter_set(rest) {
            return Probe::Nal { skip: at, codec };
        }
        from = at + 3;
    }
    Probe::Nothing(window.len().min(STRETCH))
}

/// How a stream is coded, as [`super::video::Video::new`] takes it, if one of the headers in `bytes` says so.
#[cfg(feature = "nal")]
pub(super) fn coding(bytes: &[u8]) -> Option<Option<Codec>> {
    let (search, mut from) = (scan::Search::new(), 0);
    while let Some(at) = search.prefix(bytes, from) {
        let rest = bytes.get(at..).unwrap_or_default();
        if es::begins(rest) {
            return Some(None);
        }
        if let Some(codec) = parameter_set(rest) {
            return Some(Some(codec));
        }
        from = at + 3;
    }
    None
}

fn transport(bytes: &[u8], size: usize) -> bool {
    if bytes.first() != Some(&0x47) {
        return false;
    }
    let seen = bytes.len().div_ceil(size).min(SYNCS);
    let there = bytes.iter().step_by(size).take(SYNCS).filter(|&&byte| byte == 0x47).count();
    // A short file may have fewer packets; then all of them, and no fewer than three.
    there >= SYNCS_NEEDED || (seen < SYNCS_NEEDED && there == seen && seen > 2)
}

/// Whether a file begins with a box (ISO/IEC 14496-12) that MP4 and QuickTime files begin with: its length, its type.
fn boxes(window: &[u8]) -> bool {
    let kinds = [*b"ftyp", *b"styp", *b"moov", *b"mdat", *b"wide", *b"free", *b"skip", *b"pnot"];
    window.get(4..8).is_some_and(|kind| kinds.iter().any(|known| known == kind))
}

/// Profiles of H.264.
const PROFILES: [u8; 11] = [44, 66, 77, 88, 100, 110, 118, 122, 128, 144, 244];

/// H.264 and HEVC in Annex B begin with a parameter set or an access unit delimiter.
fn nal_units(window: &[u8]) -> Option<Codec> {
    let (&[0, 0, 1, ref unit @ ..] | &[0, 0, 0, 1, ref unit @ ..]) = window else { return None };
    match *unit {
        [0x09, payload, 0, 0, ..] if payload & 0x1f == 0x10 => Some(Codec::H264),
        [0x27 | 0x47 | 0x67, profile, ..] if PROFILES.contains(&profile) => Some(Codec::H264),
        [0x40 | 0x42 | 0x46, 0x01, ..] => Some(Codec::Hevc),
        _ => None,
    }
}

/// A file cut at its head: a parameter set that slices of MPEG-1 and MPEG-2 don't look like. In H.264 that of a
/// sequence, with its reserved bits and the start of a picture's behind it; in HEVC that of the video.
fn parameter_set(bytes: &[u8]) -> Option<Codec> {
    match *bytes {
        [0, 0, 1, 0x27 | 0x47 | 0x67, profile, constraints, 9..=62, ref rest @ ..]
            if PROFILES.contains(&profile) && constraints & 3 == 0 =>
        {
            let next = scan::Search::new().prefix(rest.get(..300).unwrap_or(rest), 0)?;
            matches!(rest.get(next + 3), Some(0x28 | 0x48 | 0x68)).then_some(Codec::H264)
        }
        [0, 0, 1, 0x40, 0x01, _, _, 0xff, 0xff, ..] => Some(Codec::Hevc),
        _ => None,
    }
}
