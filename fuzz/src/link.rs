//! Links: preamble, records and the handshakes of both patterns, each against a real counterpart whose bytes are altered.

use crate::input::Input;
use p2pgate::link::{
    Handle, Handshake, MaxRecord, Parsed, PeerGrant, Preamble, Psk, PublicKey, Record, SecretKey, record,
};
use sha2::{Digest, Sha256};

const HANDLE: Handle = [5; 16];

/// Bytes as they were sent, with some of them changed, lost or added.
fn altered(sent: &[u8], input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = sent.to_vec();
    for _ in 0..input.below(4) {
        let at = usize::from(u16::from_be_bytes([input.byte(), input.byte()])) % (bytes.len() + 1);
        match input.below(4) {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, input.byte()),
            2 => bytes.extend_from_slice(input.counted()),
            _ => {
                let with = input.byte();
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= with);
            }
        }
    }
    bytes
}

fn preamble(bytes: &[u8]) -> Option<(Preamble, usize)> {
    let mut needed = 0;
    for end in 0..=bytes.len() {
        match Preamble::parse(&bytes[..end]) {
            Ok(Parsed::NeedMore(more)) => {
                assert!(more > end, "the bytes that it needs are there");
                needed = more;
            }
            Ok(Parsed::Complete(preamble, used)) => {
                assert!(used <= end && needed <= end);
                let mut out = [0; 64];
                assert_eq!(preamble.encode(&mut out), Ok(used));
                assert_eq!(out[..used], bytes[..used], "one preamble has one form");
                return Some((preamble, used));
            }
            Err(_) => {
                assert!(Preamble::parse(bytes).is_err(), "what was wrong stays wrong");
                return None;
            }
        }
    }
    None
}

fn whole(bytes: &[u8], max: MaxRecord) -> Option<Vec<u8>> {
    match record(bytes, max) {
        Ok(Record::Complete(length)) => {
            assert!(length <= 2 + usize::from(max.get()));
            Some(bytes[..length].to_vec())
        }
        Ok(Record::NeedMore(needed)) => {
            assert!(needed > bytes.len() && needed <= 2 + usize::from(max.get()));
            None
        }
        Err(_) => None,
    }
}

/// Plain bytes: whatever they are taken for.
pub fn check_bytes(input: &[u8]) {
    let used = preamble(input).map_or(0, |(_, used)| used);
    whole(&input[used..], MaxRecord::MIN);
    whole(input, MaxRecord::MAX);
}

pub fn check(input: &[u8]) {
    check_bytes(input);
    let mut input = Input(input);
    let input = &mut input;
    let control = input.below(2) == 0;
    // Other keys for each input: the fuzzer sees what is compared, and finds the tags of keys that stay.
    let (caller, callee) = (SecretKey::new(Sha256::digest(input.0).into()), SecretKey::new([2; 32]));
    let keys: [PublicKey; 2] = [caller.public_key(), callee.public_key()];
    let psk = Psk::new([3; 32]);
    let grant = |remote| PeerGrant { handle: HANDLE, caller: "Ia", callee: "Ib", remote, psk: &psk };
    let max = MaxRecord::new(600).unwrap();
    let mut initiator = match control {
        true => Handshake::control_initiator(&caller, &keys[1], max, [6; 32]),
        false => Handshake::peer_initiator(&caller, &grant(&keys[1]), max, [6; 32]).unwrap(),
    };
    let payload = input.counted();
    let mut sent = [0; 700];
    // An IK initiator's first message carries nothing.
    let payload: &[u8] = if control { &[] } else { payload };
    let Ok(length) = initiator.write(payload, &mut sent) else { return };
    let came = altered(&sent[..length], input);
    let untouched = came == sent[..length];
    let Some((preamble, used)) = preamble(&came) else { return assert!(!untouched) };
    let responder = match control {
        true => Handshake::control_responder(&preamble, &callee, max, [7; 32]),
        false => Handshake::peer_responder(&preamble, &callee, &grant(&keys[0]), max, [7; 32]),
    };
    let Ok(mut responder) = responder else { return assert!(!untouched) };
    let Some(mut message) = whole(&came[used..], MaxRecord::MIN) else { return assert!(!untouched) };
    let same = used + message.len() <= length && came[..used + message.len()] == sent[..length];
    let Ok(range) = responder.read(&mut message) else { return assert!(!same, "a good message was refused") };
    assert!(same, "an altered message was taken");
    assert_eq!(&message[range], payload);
    assert_eq!(responder.remote_static(), Some(keys[0]));
    let Ok(length) = responder.write(input.counted(), &mut sent) else { return };
    let came = altered(&sent[..length], input);
    let Some(mut message) = whole(&came, MaxRecord::MIN) else { return };
    let same = message == sent[..length];
    assert_eq!(initiator.read(&mut message).is_ok(), same);
    if !same {
        return assert!(initiator.finish().is_err());
    }
    let (mut here, mut there) = (initiator.finish().unwrap(), responder.finish().unwrap());
    let mut sent = vec![0; 700];
    for turn in 0..4 {
        let text = input.counted();
        let Ok(length) = here.seal(text, &mut sent) else { return };
        let came = altered(&sent[..length], input);
        let Some(mut message) = whole(&came, there.max_record()) else { return };
        let same = message == sent[..length];
        match there.open(&mut message) {
            Ok(range) => assert!(same && message[range] == *text),
            Err(_) => return assert!(!same, "record {turn} was refused"),
        }
        core::mem::swap(&mut here, &mut there);
    }
}
