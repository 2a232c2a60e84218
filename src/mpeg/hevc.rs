//! What of HEVC (ISO/IEC 23008-2) has to be read to know a slice's type.

use super::bits::Bits;
use super::nal::{B, FRAME, I, P, Slice, UNKNOWN, Unit};

const NEVER: u8 = 0xff;
/// In a sequence's entry: its pictures may be fields.
const FIELDS: u8 = 0x40;

#[derive(Copy, Clone)]
pub(super) struct Hevc {
    /// By sequence parameter set: bits of a slice segment's address, and [`FIELDS`].
    sequences: [u8; 16],
    /// By picture parameter set: its sequence's (4 bits), dependent_slice_segments_enabled_flag,
    /// num_extra_slice_header_bits (3).
    pictures: [u8; 64],
    /// Those that can be believed: a set that differs from the one before has to come twice.
    known_sequences: u16,
    known_pictures: [u8; 8],
}

/// The rest of the unit's header: nuh_layer_id has to be 0.
fn layer(bits: &mut Bits) -> Option<()> {
    let byte = bits.bits(8)?;
    (byte >> 3 == 0 && byte != 0).then_some(())
}

impl Hevc {
    pub(super) const fn new() -> Self {
        Self { sequences: [NEVER; 16], pictures: [NEVER; 64], known_sequences: 0, known_pictures: [0; 8] }
    }

    /// By nal_unit_type.
    pub(super) const fn unit(code: u8) -> Unit {
        // forbidden_zero_bit, and the first bit of nuh_layer_id
        if code & 0x81 != 0 {
            return Unit::Unknown;
        }
        match code >> 1 {
            0..=9 | 16..=21 => Unit::Slice,
            // Video parameter set and SEI, sequence and picture parameter sets.
            32 | 39 => Unit::Starts { delimits: true, want: 0 },
            33 => Unit::Starts { delimits: true, want: 64 },
            34 => Unit::Starts { delimits: true, want: 6 },
            35 => Unit::Delimiter { want: 2 },
            // Ends of sequence and stream, filler, SEI of the picture before.
            36..=38 | 40 => Unit::GoesOn,
            _ => Unit::Unknown,
        }
    }

    /// What a delimiter says that the picture's slices may be.
    pub(super) fn header(&mut self, code: u8, bytes: &[u8]) -> Option<u8> {
        let mut bits = Bits::new(bytes);
        layer(&mut bits)?;
        match code >> 1 {
            33 => {
                let (set, value) = sequence(&mut bits)?;
                let place = self.sequences.get_mut(set as usize)?;
                let believed = *place == NEVER || *place == value;
                self.known_sequences = self.known_sequences & !(1 << set) | u16::from(believed) << set;
                *place = value;
            }
            34 => {
                let set = bits.number()?;
                let sequence = bits.number().filter(|&sequence| sequence < 16)? as u8;
                let dependent = bits.bits(1)? as u8;
                // output_flag_present_flag
                bits.skip(1);
                let value = sequence | dependent << 4 | (bits.bits(3)? as u8) << 5;
                let place = self.pictures.get_mut(set as usize)?;
                let believed = *place == NEVER || *place == value;
                let (known, bit) = (&mut self.known_pictures[set as usize / 8], set % 8);
                *known = *known & !(1 << bit) | u8::from(believed) << bit;
                *place = value;
            }
            _ => return [I, I | P].get(bits.bits(3)? as usize).copied(),
        }
        None
    }

    /// A slice segment's header up to slice_type. `before`: the type of the slice that it may continue, or 0.
    pub(super) fn slice(&self, code: u8, bytes: &[u8], before: u8) -> Option<Slice> {
        let mut bits = Bits::new(bytes);
        layer(&mut bits)?;
        let first = bits.flag()?;
        let access_point = (16..=23).contains(&(code >> 1));
        bits.skip(usize::from(access_point));
        let set = bits.number()?;
        let said = *self.pictures.get(set as usize)?;
        if self.known_pictures[set as usize / 8] >> (set % 8) & 1 == 0 {
            return None;
        }
        let sequence = usize::from(said & 15);
        let sequence = self.sequences.get(sequence).filter(|_| self.known_sequences >> sequence & 1 == 1);
        let (mut address, mut dependent) = (0, false);
        if !first {
            dependent = said & 0x10 != 0 && bits.flag()?;
            address = bits.bits(*sequence? & !FIELDS)?;
        }
        let structure = if sequence.is_none_or(|value| value & FIELDS != 0) { UNKNOWN } else { FRAME };
        let kind = if dependent {
            before
        } else {
            bits.skip(usize::from(said >> 5));
            *[B, P, I].get(bits.number()? as usize)?
        };
        let wrong = kind == 0 || (access_point && kind != I) || first != (address == 0);
        (!wrong).then_some(Slice { unit: code, set: set as u8, first, address, kind, structure })
    }
}

/// A sequence parameter set's number, and its entry in [`Hevc::sequences`].
fn sequence(bits: &mut Bits) -> Option<(u32, u8)> {
    const PROFILE: usize = 88;
    // Space, tier, profile and compatibility before the flags of which the first four count here.
    const BEFORE_FLAGS: usize = 40;
    const LEVEL: usize = 8;
    // sps_video_parameter_set_id, sps_max_sub_layers_minus1, sps_temporal_id_nesting_flag
    bits.skip(4);
    let sub_layers = bits.bits(3)?;
    bits.skip(1 + BEFORE_FLAGS);
    // general_progressive_source_flag, general_interlaced_source_flag, general_frame_only_constraint_flag
    let (_, interlaced, _, frames) = (bits.flag()?, bits.flag()?, bits.flag()?, bits.flag()?);
    bits.skip(PROFILE - BEFORE_FLAGS - 4 + LEVEL);
    let mut skip = 0;
    for layer in 0..if sub_layers > 0 { 8 } else { 0 } {
        let (profile, level) = (bits.flag()?, bits.flag()?);
        if layer < sub_layers {
            skip += if profile { PROFILE } else { 0 } + if level { LEVEL } else { 0 };
        }
    }
    bits.skip(skip);
    let set = bits.number().filter(|&set| set < 16)?;
    if bits.number()? == 3 {
        bits.skip(1);
    }
    let (width, height) = (bits.number()?, bits.number()?);
    // The conformance window.
    for _ in 0..if bits.flag()? { 4 } else { 0 } {
        bits.number()?;
    }
    // Two bit depths, log2_max_pic_order_cnt_lsb_minus4.
    for _ in 0..3 {
        bits.number()?;
    }
    let orders = if bits.flag()? { sub_layers + 1 } else { 1 };
    for _ in 0..3 * orders {
        bits.number()?;
    }
    let block = bits.number()?.checked_add(3 + bits.number()?).filter(|block| (3..=6).contains(block))?;
    let blocks = |length: u32| {
        Some(length).filter(|length| (1..=65_535).contains(length)).map(|length| ((length - 1) >> block) + 1)
    };
    let count = blocks(width)?.checked_mul(blocks(height)?)?;
    let fields = if interlaced && !frames { FIELDS } else { 0 };
    Some((set, (32 - (count - 1).leading_zeros()) as u8 | fields))
}
