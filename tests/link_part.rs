//! P10, P11: a deposit's part headers; against `snow` in both roles, and against whatever a broker may make of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use p2pgate::Secret;
use p2pgate::link::*;
use proptest::prelude::*;

fn secret(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

fn place() -> PartPlace<'static> {
    PartPlace {
        caller: "living room", callee: "おばあちゃん", deposit: [9; 16], part: 3, offset: 3 << 20
    }
}

fn contents<'a>() -> PartContents<'a> {
    PartContents {
        base_key: Secret::new([7; 32]),
        suite: 4,
        size: 5_000_000_000,
        hash: true,
        source: b"source's state",
        name: "Tatort.ts",
    }
}

fn sealed(place: &PartPlace<'_>, contents: &PartContents<'_>) -> Vec<u8> {
    let mut out = vec![0; MAX_PART_HEADER];
    let length = seal_part(&secret(1), &secret(2).public_key(), place, contents, [5; 32], &mut out).unwrap();
    out.truncate(length);
    out
}

fn open<'a>(place: &PartPlace<'_>, header: &'a mut [u8]) -> Result<PartContents<'a>, PartError> {
    open_part(&secret(2), &secret(1).public_key(), place, header)
}

fn snow_builder<'a>(own: &'a [u8; 32], prologue: &'a [u8]) -> snow::Builder<'a> {
    let name = "Noise_X_25519_AESGCM_SHA256".parse().unwrap();
    snow::Builder::new(name).local_private_key(own).unwrap().prologue(prologue).unwrap()
}

/// By the protocol's words, not by our code.
fn prologue(place: &PartPlace<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in [
        b"p2pgate deposit 1",
        place.caller.as_bytes(),
        place.callee.as_bytes(),
        &place.deposit,
        &place.part.to_be_bytes(),
        &place.offset.to_be_bytes(),
    ] {
        bytes.extend_from_slice(&(part.len() as u16).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}

fn payload(contents: &PartContents<'_>) -> Vec<u8> {
    let mut bytes = contents.base_key.expose().to_vec();
    bytes.extend_from_slice(&contents.suite.to_be_bytes());
    bytes.extend_from_slice(&contents.size.to_be_bytes());
    bytes.push(if contents.hash { b'1' } else { b'0' });
    for name in [contents.source, contents.name.as_bytes()] {
        bytes.push(name.len() as u8);
        bytes.extend_from_slice(name);
    }
    bytes
}

fn framed(place: &PartPlace<'_>, message: &[u8]) -> Vec<u8> {
    let mut bytes = (1_u32 << 31 | (12 + message.len()) as u32).to_be_bytes().to_vec();
    bytes.extend_from_slice(&place.part.to_be_bytes());
    bytes.extend_from_slice(&place.offset.to_be_bytes());
    bytes.extend_from_slice(message);
    bytes
}

fn sealed_by_snow(from: u8, payload: &[u8]) -> Vec<u8> {
    let prologue = prologue(&place());
    let remote = secret(2).public_key();
    let own = [from; 32];
    let mut snow = snow_builder(&own, &prologue)
        .remote_public_key(remote.as_bytes())
        .unwrap()
        .build_initiator()
        .unwrap();
    let mut message = [0; 512];
    let length = snow.write_message(payload, &mut message).unwrap();
    framed(&place(), &message[..length])
}

#[test]
fn p10_snow_opens_what_we_seal() {
    let header = sealed(&place(), &contents());
    assert_eq!(&header[..16], &framed(&place(), &header[16..])[..16]);
    let prologue = prologue(&place());
    let mut snow = snow_builder(&[2; 32], &prologue).build_responder().unwrap();
    let mut plain = [0; 512];
    let length = snow.read_message(&header[16..], &mut plain).unwrap();
    assert_eq!(&plain[..length], &payload(&contents())[..]);
    assert_eq!(snow.get_remote_static().unwrap(), secret(1).public_key().as_bytes());
}

#[test]
fn p11_we_open_what_snow_seals() {
    let mut header = sealed_by_snow(1, &payload(&contents()));
    assert_eq!(open(&place(), &mut header), Ok(contents()));
    // The key is nowhere else any more.
    assert!(!header.windows(8).any(|bytes| bytes == [7; 8]));
}

#[test]
fn p11_another_depositor_s_key_is_refused() {
    let mut header = sealed_by_snow(3, &payload(&contents()));
    assert_eq!(open(&place(), &mut header), Err(PartError::Depositor));
    assert!(header.iter().all(|byte| *byte == 0), "nothing readable stays");
}

#[test]
fn p11_a_part_opens_in_its_place_only() {
    let header = sealed(&place(), &contents());
    let here = place();
    for (other, error) in [
        (PartPlace { caller: "kitchen", ..here }, PartError::Authentication),
        (PartPlace { callee: "kitchen", ..here }, PartError::Authentication),
        (PartPlace { deposit: [8; 16], ..here }, PartError::Authentication),
        (PartPlace { part: 2, ..here }, PartError::Place),
        (PartPlace { offset: 0, ..here }, PartError::Place),
    ] {
        assert_eq!(open(&other, &mut header.clone()), Err(error));
    }
    // Nor does it with the clear numbers altered to what is expected.
    let mut moved = header.clone();
    moved[7] = 4;
    assert_eq!(open(&PartPlace { part: 4, ..here }, &mut moved), Err(PartError::Authentication));
    // Nor for another callee.
    let (other, mut header) = (secret(4), header);
    let opened = open_part(&other, &secret(1).public_key(), &here, &mut header);
    assert_eq!(opened, Err(PartError::Authentication));
}

#[test]
fn p10_keys_of_low_order_give_no_secret() {
    let mut one = [0; 32];
    one[0] = 1;
    for low in [[0; 32], one] {
        let mut out = [1; MAX_PART_HEADER];
        let refused = seal_part(&secret(1), &PublicKey::new(low), &place(), &contents(), [5; 32], &mut out);
        assert_eq!(refused, Err(PartError::KeyRefused));
    }
    let mut header = sealed(&place(), &contents());
    header[16..48].fill(0);
    assert_eq!(open(&place(), &mut header), Err(PartError::KeyRefused));
}

#[test]
fn p10_lengths_are_checked_first() {
    assert_eq!(peek_part(&[0x80, 0]), Ok(PeekedPart::NeedMore(4)));
    assert_eq!(peek_part(&[0, 0, 1, 0]), Ok(PeekedPart::Frame));
    let length = |length: usize| (1_u32 << 31 | (length - 4) as u32).to_be_bytes();
    for wrong in [4, MIN_PART_HEADER - 1, MAX_PART_HEADER + 1, 1 << 31] {
        assert_eq!(peek_part(&length(wrong)), Err(PartError::Malformed), "{wrong}");
    }
    assert_eq!(peek_part(&length(MIN_PART_HEADER)), Ok(PeekedPart::NeedMore(16)));
    let header = sealed(&place(), &contents());
    let whole = PeekedPart::Part { length: header.len(), part: 3, offset: 3 << 20 };
    assert_eq!(peek_part(&header[..16]), Ok(whole));

    // The longest and the shortest.
    let (source, name) = ([1; MAX_PART_SOURCE], "n".repeat(MAX_PART_NAME));
    let longest = PartContents { source: &source, name: &name, ..contents() };
    let mut header = sealed(&place(), &longest);
    assert_eq!(header.len(), MAX_PART_HEADER);
    assert_eq!(open(&place(), &mut header), Ok(longest.clone()));
    let shortest = PartContents { source: &[], name: "", hash: false, ..contents() };
    let mut header = sealed(&place(), &shortest);
    assert_eq!(header.len(), MIN_PART_HEADER);
    assert_eq!(open(&place(), &mut header), Ok(shortest));

    let (own, callee) = (secret(1), secret(2).public_key());
    let seal = |place: &PartPlace<'_>, contents: &PartContents<'_>, out: &mut [u8]| {
        seal_part(&own, &callee, place, contents, [5; 32], out)
    };
    let mut short = [0; MAX_PART_HEADER - 1];
    let needed = Err(PartError::BufferTooSmall { needed: MAX_PART_HEADER });
    assert_eq!(seal(&place(), &longest, &mut short), needed);
    assert_eq!(short, [0; MAX_PART_HEADER - 1]);
    let name = "n".repeat(MAX_PART_NAME + 1);
    let long = PartContents { name: &name, ..contents() };
    assert_eq!(seal(&place(), &long, &mut [0; 1024]), Err(PartError::TooLong));
    let long = PartContents { source: &[0; MAX_PART_SOURCE + 1], ..contents() };
    assert_eq!(seal(&place(), &long, &mut [0; 1024]), Err(PartError::TooLong));
    let caller = "c".repeat(MAX_IDENTIFIER + 1);
    let long = PartPlace { caller: &caller, ..place() };
    assert_eq!(seal(&long, &contents(), &mut [0; 1024]), Err(PartError::TooLong));
    let (caller, callee) = ("c".repeat(MAX_IDENTIFIER), "d".repeat(MAX_IDENTIFIER));
    let longest = PartPlace { caller: &caller, callee: &callee, ..place() };
    let mut header = sealed(&longest, &contents());
    assert_eq!(open(&longest, &mut header), Ok(contents()));
}

#[test]
fn p11_payloads_of_a_wrong_form_are_refused() {
    let good = payload(&contents());
    let source = 32 + 2 + 8 + 1;
    let change = |place: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[place] = byte;
        bytes
    };
    for wrong in [
        change(source - 1, b'2'),
        change(source, 33),
        change(source, 255),
        change(good.len() - 1, 0xff),
        [&good[..], b"x"].concat(),
        good[..good.len() - 1].to_vec(),
    ] {
        let mut header = sealed_by_snow(1, &wrong);
        assert_eq!(open(&place(), &mut header), Err(PartError::Malformed), "{wrong:?}");
    }
}

proptest! {
    #[test]
    fn p11_whatever_is_changed_is_refused(at in any::<prop::sample::Index>(), bit in 0..8_u32) {
        let mut header = sealed(&place(), &contents());
        *at.get_mut(&mut header) ^= 1 << bit;
        prop_assert!(open(&place(), &mut header).is_err());
    }

    #[test]
    fn p11_no_bytes_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..600), marked in any::<bool>()) {
        if marked && bytes.len() > 16 {
            let length = bytes.len();
            bytes[..4].copy_from_slice(&(1_u32 << 31 | (length - 4) as u32).to_be_bytes());
        }
        let _ = peek_part(&bytes);
        prop_assert!(open(&place(), &mut bytes).is_err());
    }
}
