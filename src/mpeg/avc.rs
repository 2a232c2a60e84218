//! What of H.264 (ISO/IEC 14496-10) has to be read to know a slice's type and field.

use super::bits::Bits;
use super::nal::{B, BOTTOM, FRAME, I, P, Slice, TOP, UNKNOWN, Unit};

/// Macroblocks of the largest picture.
const MOST_MACROBLOCKS: u32 = 139_264;

#[derive(Copy, Clone)]
pub(super) struct Avc {
    /// Which picture parameter sets there have been.
    known: [u8; 32],
    /// By sequence parameter set: bits of frame_num, [`FIELDS`] and [`PLANES`]. 0: not known; a set that differs from
    /// the one before has to come twice.
    sequences: [u8; 32],
    /// By picture parameter set, of those that there mostly are: its sequence's.
    pictures: [u8; 32],
}

/// Not frame_mbs_only_flag: slices say whether they are of a field.
const FIELDS: u8 = 0x20;
/// separate_colour_plane_flag: slices say of which.
const PLANES: u8 = 0x40;
/// Profiles whose sequence parameter sets have chroma_format_idc.
const HIGH: [u32; 13] = [44, 83, 86, 100, 110, 118, 122, 128, 134, 135, 138, 139, 244];

impl Avc {
    pub(super) const fn new() -> Self {
        Self { known: [0; 32], sequences: [0; 32], pictures: [0; 32] }
    }

    /// By nal_unit_type. Data partitions and the views and layers of other annexes are not understood.
    pub(super) const fn unit(code: u8) -> Unit {
        if code & 0x80 != 0 {
            return Unit::Unknown;
        }
        match code & 0x1f {
            1 | 5 => Unit::Slice,
            // SEI, sequence and picture parameter sets.
            6 => Unit::Starts { delimits: true, want: 0 },
            7 => Unit::Starts { delimits: true, want: 64 },
            8 => Unit::Starts { delimits: true, want: 4 },
            9 => Unit::Delimiter { want: 1 },
            // They may stand before each slice.
            13..=15 => Unit::Starts { delimits: false, want: 0 },
            // Ends of sequence and stream, filler.
            10..=12 => Unit::GoesOn,
            _ => Unit::Unknown,
        }
    }

    /// What a delimiter says that the picture's slices may be.
    pub(super) fn header(&mut self, code: u8, bytes: &[u8]) -> Option<u8> {
        let mut bits = Bits::new(bytes);
        match code & 0x1f {
            7 => {
                let (set, value) = sequence(&mut bits)?;
                let place = self.sequences.get_mut(set as usize)?;
                *place = if *place == 0 || *place == value { value } else { 0 };
                return None;
            }
            8 => {
                let set = bits.number().filter(|&set| set < 256)?;
                self.known[set as usize / 8] |= 1 << (set % 8);
                *self.pictures.get_mut(set as usize)? = bits.number()? as u8;
                return None;
            }
            _ => {}
        }
        Some([I, I | P, I | P | B, I, I | P, I, I | P, I | P | B][bits.bits(3)? as usize & 7])
    }

    /// first_mb_in_slice, slice_type, pic_parameter_set_id, then as [`Avc::structure`].
    pub(super) fn slice(&self, code: u8, bytes: &[u8]) -> Option<Slice> {
        let mut bits = Bits::new(bytes);
        let address = bits.number().filter(|&address| address < MOST_MACROBLOCKS)?;
        let kind = match bits.number()? {
            0 | 3 | 5 | 8 => P,
            1 | 6 => B,
            2 | 4 | 7 | 9 => I,
            _ => return None,
        };
        let set = bits.number().filter(|&set| set < 256)?;
        let known = self.known[set as usize / 8] >> (set % 8) & 1 == 1;
        let idr = code & 0x1f == 5;
        // What may not differ in a picture: the unit's type, and whether others refer to it.
        let unit = code & 0x1f | if code & 0x60 == 0 { 0 } else { 0x20 };
        (known && !(idr && kind != I)).then_some(Slice {
            unit,
            set: set as u8,
            first: address == 0,
            address,
            kind,
            structure: self.structure(set as usize, &mut bits).unwrap_or(UNKNOWN),
        })
    }

    /// colour_plane_id, frame_num, field_pic_flag, bottom_field_flag.
    fn structure(&self, set: usize, bits: &mut Bits) -> Option<u8> {
        let sequence =
            *self.sequences.get(usize::from(*self.pictures.get(set)?)).filter(|&&value| value > 0)?;
        if sequence & FIELDS == 0 {
            return Some(FRAME);
        }
        bits.skip(usize::from(sequence & 0x1f) + if sequence & PLANES == 0 { 0 } else { 2 });
        Some(if !bits.flag()? {
            FRAME
        } else if bits.flag()? {
            BOTTOM
        } else {
            TOP
        })
    }
}

/// A sequence parameter set's number, and its entry in [`Avc::sequences`].
fn sequence(bits: &mut Bits) -> Option<(u32, u8)> {
    let profile = bits.bits(8)?;
    // Constraints, level.
    bits.skip(16);
    let set = bits.number()?;
    let mut value = 0;
    if HIGH.contains(&profile) {
        let chroma = bits.number()?;
        if chroma == 3 && bits.flag()? {
            value |= PLANES;
        }
        // Two bit depths, qpprime_y_zero_transform_bypass_flag.
        bits.number()?;
        bits.number()?;
        bits.skip(1);
        for list in 0..match (bits.flag()?, chroma) {
            (false, _) => 0,
            (true, 3) => 12,
            (true, _) => 8,
        } {
            if bits.flag()? {
                scaling_list(bits, if list < 6 { 16 } else { 64 })?;
            }
        }
    }
    value |= 4 + bits.number().filter(|&bits| bits <= 12)? as u8;
    // pic_order_cnt_type
    match bits.number()? {
        0 => drop(bits.number()?),
        1 => {
            bits.skip(1);
            for _ in 0..2 {
                bits.number()?;
            }
            for _ in 0..bits.number()? {
                bits.number()?;
            }
        }
        2 => {}
        _ => return None,
    }
    // max_num_ref_frames, gaps_in_frame_num_value_allowed_flag, width and height.
    bits.number()?;
    bits.skip(1);
    bits.number()?;
    bits.number()?;
    Some((set, if bits.flag()? { value } else { value | FIELDS }))
}

/// Differences, until one leads to 0.
fn scaling_list(bits: &mut Bits, length: usize) -> Option<()> {
    let mut scale = 8u8;
    for _ in 0..length {
        let number = bits.number()?;
        let difference = number.div_ceil(2) as u8;
        scale = if number % 2 == 1 { scale.wrapping_add(difference) } else { scale.wrapping_sub(difference) };
        if scale == 0 {
            break;
        }
    }
    Some(())
}
