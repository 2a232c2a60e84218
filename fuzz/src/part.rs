//! Part headers of a deposit: any bytes, and a real header with bytes changed.

use crate::input::Input;
use p2pgate::Secret;
use p2pgate::link::{
    MAX_PART_HEADER, MIN_PART_HEADER, PartContents, PartPlace, PeekedPart, SecretKey, open_part, peek_part,
    seal_part,
};
use sha2::{Digest, Sha256};

pub fn check(input: &[u8]) {
    match peek_part(input) {
        Ok(PeekedPart::NeedMore(needed)) => assert!(needed > input.len() && needed <= MAX_PART_HEADER),
        Ok(PeekedPart::Part { length, .. }) => {
            assert!((MIN_PART_HEADER..=MAX_PART_HEADER).contains(&length));
        }
        Ok(PeekedPart::Frame) | Err(_) => {}
    }
    // Other keys for each input: the fuzzer sees what is compared, and finds the tags of keys that stay.
    let (caller, callee) = (SecretKey::new(Sha256::digest(input).into()), SecretKey::new([2; 32]));
    let place = |part, offset| PartPlace { caller: "Ia", callee: "Ib", deposit: [3; 16], part, offset };
    let due = place(0, 0);
    assert!(open_part(&callee, &caller.public_key(), &due, &mut input.to_vec()).is_err(), "nobody sealed it");

    let mut input = Input(input);
    let (part, offset, size) = (input.number() as u32, input.number(), input.number());
    let (suite, hash) = (input.number() as u16, input.below(2) == 1);
    let (source, name) = (input.counted(), String::from_utf8_lossy(input.counted()).into_owned());
    let contents = PartContents { base_key: Secret::new([4; 32]), suite, size, hash, source, name: &name };
    let mut header = [0; MAX_PART_HEADER];
    let place = place(part, offset);
    let sealed = seal_part(&caller, &callee.public_key(), &place, &contents, [9; 32], &mut header);
    let Ok(length) = sealed else { return };
    assert_eq!(peek_part(&header[..length]), Ok(PeekedPart::Part { length, part, offset }));
    let mut came = header[..length].to_vec();
    let at = usize::from(u16::from_be_bytes([input.byte(), input.byte()])) % length;
    let with = input.byte();
    came[at] ^= with;
    match open_part(&callee, &caller.public_key(), &place, &mut came) {
        Ok(found) => assert!(with == 0 && found == contents),
        Err(_) => assert!(with != 0, "a good header was refused"),
    }
}
