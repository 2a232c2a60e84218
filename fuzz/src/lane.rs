//! Frames of a lane: what is altered never opens, what is not always does, and a header has one form.

use crate::input::Input;
use p2pgate::lane::{HEADROOM, Kind, LaneOpener, LaneSealer, Peeked, Place, TAILROOM, peek};
use p2pgate::sframe::{HEADER_MAX, Header, Suite};
use sha2::{Digest, Sha256};

const MAX: u32 = 4_096;

fn header(bytes: &[u8]) {
    if let Ok((header, length)) = Header::parse(bytes) {
        let mut out = [0; HEADER_MAX];
        assert_eq!(header.encode(&mut out), length);
        assert_eq!(out[HEADER_MAX - length..], bytes[..length], "one header has one form");
    }
}

pub fn check(input: &[u8]) {
    header(input);
    // A key for each input: the fuzzer sees what is compared, and finds the tags of a key that stays.
    let key: [u8; 32] = Sha256::digest(input).into();
    let mut input = Input(input);
    let suite = [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128][input.below(2)];
    let (mut sealer, mut opener) = (LaneSealer::new(suite, 1, &key), LaneOpener::new(suite, 1, &key));
    while !input.is_empty() {
        let kind = [Kind::Sealed, Kind::Clear, Kind::End][input.below(3)];
        let place =
            Place { transfer: input.number() as u32, kind, segment: input.number(), offset: input.number() };
        let payload = input.counted();
        let mut buffer = [&[0; HEADROOM], payload, &[0; TAILROOM]].concat();
        let Ok(range) = sealer.seal(place, &mut buffer, payload.len()) else { return };
        let sent = &buffer[range];
        let mut came = sent.to_vec();
        // Alter it, or put other bytes in its place.
        match input.below(4) {
            0 => came = input.counted().to_vec(),
            1 => {
                let at = usize::from(u16::from_be_bytes([input.byte(), input.byte()])) % came.len();
                came[at] ^= input.byte();
            }
            _ => {}
        }
        let same = came == sent;
        match peek(&came, MAX) {
            Ok(Peeked::NeedMore(needed)) => {
                assert!(needed > came.len() && needed <= 4 + MAX as usize);
                return assert!(!same);
            }
            Ok(Peeked::Frame(total, found)) => {
                assert!(total <= came.len());
                came.truncate(total);
                match opener.open(&mut came, found.kind) {
                    Ok(range) => assert!(same && found == place && came[range] == *payload),
                    Err(_) => return assert!(!same, "a good frame was refused"),
                }
            }
            Err(_) => return assert!(!same || sent.len() > 4 + MAX as usize),
        }
    }
}
