//! What of H.264 (ISO/IEC 14496-10) has to be read to know a slice's type.

use super::bits::Bits;
use super::nal::{B, I, P, Slice, Unit};

/// Macroblocks of the largest picture.
const MOST_MACROBLOCKS: u32 = 139_264;

#[derive(Copy, Clone)]
pub(super) struct Avc {
    /// Which picture parameter sets there have been.
    known: [u8; 32],
}

impl Avc {
    pub(super) const fn new() -> Self {
        Self { known: [0; 32] }
    }

    /// By nal_unit_type. Data partitions and the views and layers of other annexes are not understood.
    pub(super) const fn unit(code: u8) -> Unit {
        if code & 0x80 != 0 {
            return Unit::Unknown;
        }
        match code & 0x1f {
            1 | 5 => Unit::Slice,
            // SEI and sequence parameter sets, picture parameter set.
            6 | 7 => Unit::Starts { delimits: true, want: 0 },
            8 => Unit::Starts { delimits: true, want: 3 },
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
        if code & 0x1f == 8 {
            let set = bits.number().filter(|&set| set < 256)?;
            self.known[set as usize / 8] |= 1 << (set % 8);
            return None;
        }
        Some([I, I | P, I | P | B, I, I | P, I, I | P, I | P | B][bits.bits(3)? as usize & 7])
    }

    /// first_mb_in_slice, slice_type, pic_parameter_set_id.
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
        })
    }
}
