//! SFrame frames against RFC 9605's vectors, against the `sframe` crate, and against those who alter them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use hex_literal::hex;
use p2pgate::sframe::{
    HEADER_MAX, Header, HeaderError, MetadataLen, OpenError, Opener, SealError, Sealer, Suite, TAG_MAX,
};
use proptest::prelude::*;

const CTR_HMAC: Suite = Suite::Aes128CtrHmacSha256_80;
const GCM: Suite = Suite::Aes128GcmSha256_128;
const SUITES: [Suite; 2] = [CTR_HMAC, GCM];
const BASE_KEY: [u8; 16] = hex!("000102030405060708090a0b0c0d0e0f");

/// Headers of RFC 9605, appendix C.1: key identifier, counter, encoding.
#[rustfmt::skip]
const HEADERS: &[(u64, u64, &[u8])] = &[
    (0x0, 0x0, &hex!("00")),
    (0x0, 0x1, &hex!("01")),
    (0x0, 0xff, &hex!("08ff")),
    (0x0, 0x100, &hex!("090100")),
    (0x0, 0xffff, &hex!("09ffff")),
    (0x0, 0x10000, &hex!("0a010000")),
    (0x0, 0xffffff, &hex!("0affffff")),
    (0x0, 0x1000000, &hex!("0b01000000")),
    (0x0, 0xffffffff, &hex!("0bffffffff")),
    (0x0, 0x100000000, &hex!("0c0100000000")),
    (0x0, 0xffffffffff, &hex!("0cffffffffff")),
    (0x0, 0x10000000000, &hex!("0d010000000000")),
    (0x0, 0xffffffffffff, &hex!("0dffffffffffff")),
    (0x0, 0x1000000000000, &hex!("0e01000000000000")),
    (0x0, 0xffffffffffffff, &hex!("0effffffffffffff")),
    (0x0, 0x100000000000000, &hex!("0f0100000000000000")),
    (0x0, 0xffffffffffffffff, &hex!("0fffffffffffffffff")),
    (0x1, 0x0, &hex!("10")),
    (0x1, 0x1, &hex!("11")),
    (0x1, 0x100000000000000, &hex!("1f0100000000000000")),
    (0x1, 0xffffffffffffffff, &hex!("1fffffffffffffffff")),
    (0xff, 0x0, &hex!("80ff")),
    (0xff, 0xff, &hex!("88ffff")),
    (0xff, 0xffffffffffffff, &hex!("8effffffffffffffff")),
    (0x100, 0x0, &hex!("900100")),
    (0x100, 0x100, &hex!("9901000100")),
    (0x100, 0x1000000000000, &hex!("9e010001000000000000")),
    (0xffff, 0x0, &hex!("90ffff")),
    (0xffff, 0xffff, &hex!("99ffffffff")),
    (0xffff, 0xffffffffffff, &hex!("9dffffffffffffffff")),
    (0x10000, 0x0, &hex!("a0010000")),
    (0x10000, 0x10000, &hex!("aa010000010000")),
    (0x10000, 0x10000000000, &hex!("ad010000010000000000")),
    (0xffffff, 0x0, &hex!("a0ffffff")),
    (0xffffff, 0xffffff, &hex!("aaffffffffffff")),
    (0xffffff, 0xffffffffff, &hex!("acffffffffffffffff")),
    (0x1000000, 0x0, &hex!("b001000000")),
    (0x1000000, 0x1000000, &hex!("bb0100000001000000")),
    (0x1000000, 0x100000000, &hex!("bc010000000100000000")),
    (0xffffffff, 0x0, &hex!("b0ffffffff")),
    (0xffffffff, 0xffffffff, &hex!("bbffffffffffffffff")),
    (0x100000000, 0x0, &hex!("c00100000000")),
    (0x100000000, 0x1000000, &hex!("cb010000000001000000")),
    (0x100000000, 0x100000000, &hex!("cc01000000000100000000")),
    (0xffffffffff, 0x0, &hex!("c0ffffffffff")),
    (0xffffffffff, 0xffffff, &hex!("caffffffffffffffff")),
    (0xffffffffff, 0xffffffffff, &hex!("ccffffffffffffffffffff")),
    (0x10000000000, 0x0, &hex!("d0010000000000")),
    (0x10000000000, 0x10000, &hex!("da010000000000010000")),
    (0x10000000000, 0x10000000000, &hex!("dd010000000000010000000000")),
    (0xffffffffffff, 0x0, &hex!("d0ffffffffffff")),
    (0xffffffffffff, 0xffff, &hex!("d9ffffffffffffffff")),
    (0xffffffffffff, 0xffffffffffff, &hex!("ddffffffffffffffffffffffff")),
    (0x1000000000000, 0x0, &hex!("e001000000000000")),
    (0x1000000000000, 0x100, &hex!("e9010000000000000100")),
    (0x1000000000000, 0x1000000000000, &hex!("ee0100000000000001000000000000")),
    (0xffffffffffffff, 0x0, &hex!("e0ffffffffffffff")),
    (0xffffffffffffff, 0xff, &hex!("e8ffffffffffffffff")),
    (0xffffffffffffff, 0xffffffffffffff, &hex!("eeffffffffffffffffffffffffffff")),
    (0x100000000000000, 0x0, &hex!("f00100000000000000")),
    (0x100000000000000, 0x1, &hex!("f10100000000000000")),
    (0x100000000000000, 0x100000000000000, &hex!("ff01000000000000000100000000000000")),
    (0xffffffffffffffff, 0x0, &hex!("f0ffffffffffffffff")),
    (0xffffffffffffffff, 0x1, &hex!("f1ffffffffffffffff")),
    (0xffffffffffffffff, 0xffffffffffffffff, &hex!("ffffffffffffffffffffffffffffffffff")),
];

fn pair(suite: Suite, kid: u64) -> (Sealer, Opener) {
    (Sealer::new(suite, kid, &BASE_KEY), Opener::new(suite, kid, &BASE_KEY))
}

/// One frame: header, metadata, ciphertext, tag.
fn seal(sealer: &mut Sealer, metadata: &[u8], plaintext: &[u8]) -> Vec<u8> {
    let mut buffer = [&[0; HEADER_MAX], metadata, plaintext, &[0; TAG_MAX]].concat();
    let frame = sealer.seal(&mut buffer, metadata.len(), plaintext.len()).unwrap();
    buffer[frame].to_vec()
}

/// Metadata and plaintext of a frame.
fn open(
    opener: &mut Opener,
    frame: &[u8],
    metadata_len: MetadataLen,
) -> Result<(Vec<u8>, Vec<u8>), OpenError> {
    let mut opened = frame.to_vec();
    match opener.open(&mut opened, metadata_len) {
        Ok(parts) => Ok((opened[parts.metadata].to_vec(), opened[parts.plaintext].to_vec())),
        Err(error) => {
            assert_eq!(opened, frame, "a frame that is refused stays as it was");
            Err(error)
        }
    }
}

fn suites() -> impl Strategy<Value = Suite> {
    prop_oneof![Just(CTR_HMAC), Just(GCM)]
}

fn bytes(len: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..len)
}

/// Numbers of every length in bytes.
fn numbers() -> impl Strategy<Value = u64> {
    (any::<u64>(), 0..64u32).prop_map(|(number, shift)| number >> shift)
}

#[test]
fn suite_numbers_are_the_registry_s() {
    for (suite, id, tag_len) in [(CTR_HMAC, 1, 10), (GCM, 4, 16)] {
        assert_eq!((suite.id(), suite.tag_len()), (id, tag_len));
        assert_eq!(Suite::from_id(id), Some(suite));
    }
    for id in (0..=u16::MAX).filter(|id| ![1, 4].contains(id)) {
        assert_eq!(Suite::from_id(id), None);
    }
}

#[test]
fn rfc_headers() {
    for &(kid, counter, encoded) in HEADERS {
        let header = Header { kid, counter };
        let mut headroom = [0xee; HEADER_MAX];
        let len = header.encode(&mut headroom);
        assert_eq!(&headroom[HEADER_MAX - len..], encoded);
        assert!(headroom[..HEADER_MAX - len].iter().all(|&byte| byte == 0xee));
        assert_eq!(Header::parse(encoded), Ok((header, len)));
        assert_eq!(Header::parse(&[encoded, &[0xff; 20]].concat()), Ok((header, len)));
        for cut in 0..len {
            assert_eq!(Header::parse(&encoded[..cut]), Err(HeaderError::Truncated));
        }
    }
}

#[test]
fn headers_in_more_bytes_than_needed_are_refused() {
    for encoded in [
        &hex!("0807")[..],
        &hex!("0800"),
        &hex!("8007"),
        &hex!("090008"),
        &hex!("0900ff"),
        &hex!("9000ff"),
        &hex!("0f00ffffffffffffff"),
        &hex!("f000ffffffffffffff"),
        &hex!("88ff07"),
    ] {
        assert_eq!(Header::parse(encoded), Err(HeaderError::NotMinimal), "{encoded:02x?}");
    }
}

/// RFC 9605, appendix C.3: counter 17767 = 0x4567, reached as a sender would.
#[test]
fn rfc_frames() {
    let metadata = hex!("4945544620534672616d65205747");
    let plaintext = hex!("64726166742d696574662d736672616d652d656e63");
    let frames = [
        &hex!("9901234567449408b6f490086165b9d6f62b24ae1a59a56486b4ae8ed036b88912e24f11")[..],
        &hex!("9901234567b7412c2513a1b66dbb48841bbaf17f598751176ad847681a69c6d0b091c07018ce4adb34eb"),
    ];
    for (suite, rfc) in SUITES.into_iter().zip(frames) {
        let (mut sealer, mut opener) = pair(suite, 0x123);
        let mut buffer = [0; HEADER_MAX + TAG_MAX];
        for _ in 0..17767 {
            let frame = sealer.seal(&mut buffer, 0, 0).unwrap();
            opener.open(&mut buffer[frame], MetadataLen::Bytes(0)).unwrap();
        }
        let frame = seal(&mut sealer, &metadata, &plaintext);
        let (header, rest) = frame.split_at(5);
        assert_eq!([header, &rest[metadata.len()..]].concat(), rfc);
        assert_eq!(&rest[..metadata.len()], metadata);
        let opened = open(&mut opener, &frame, MetadataLen::Bytes(metadata.len()));
        assert_eq!(opened, Ok((metadata.to_vec(), plaintext.to_vec())));
        assert_eq!((sealer.next_counter(), opener.next_counter()), (17768, 17768));
    }
}

/// The `sframe` crate, which keeps metadata outside of the frame.
mod other {
    use super::*;
    use sframe::CipherSuite;
    use sframe::frame::{EncryptedFrame, MediaFrame, MonotonicCounter};
    use sframe::key::{DecryptionKey, EncryptionKey};

    fn cipher_suite(suite: Suite) -> CipherSuite {
        match suite {
            CTR_HMAC => CipherSuite::AesCtr128HmacSha256_80,
            GCM => CipherSuite::AesGcm128Sha256,
        }
    }

    proptest! {
        #[test]
        fn opens_ours(
            suite in suites(), kid in numbers(), base_key in bytes(80),
            frames in prop::collection::vec((bytes(40), bytes(9000)), 1..12),
        ) {
            let mut sealer = Sealer::new(suite, kid, &base_key);
            let key = DecryptionKey::derive_from(cipher_suite(suite), kid, &base_key).unwrap();
            for (metadata, plaintext) in frames {
                let mut frame = seal(&mut sealer, &metadata, &plaintext);
                let (_, header_len) = Header::parse(&frame).unwrap();
                frame.drain(header_len..header_len + metadata.len());
                let frame = EncryptedFrame::try_with_meta_data(frame, &metadata).unwrap();
                let opened = frame.decrypt(&key).unwrap();
                prop_assert_eq!(opened.payload(), plaintext);
            }
        }

        #[test]
        fn seals_for_us(
            suite in suites(), kid in numbers(), base_key in bytes(80),
            frames in prop::collection::vec((bytes(40), bytes(9000)), 1..12),
        ) {
            let mut opener = Opener::new(suite, kid, &base_key);
            let key = EncryptionKey::derive_from(cipher_suite(suite), kid, &base_key).unwrap();
            let mut counter = MonotonicCounter::default();
            for (metadata, plaintext) in frames {
                let media = MediaFrame::try_with_meta_data(&mut counter, &plaintext, &metadata).unwrap();
                let sealed = media.encrypt(&key).unwrap();
                let mut frame = sealed.sframe_cipher_text().to_vec();
                let (_, header_len) = Header::parse(&frame).unwrap();
                frame.splice(header_len..header_len, metadata.iter().copied());
                let opened = open(&mut opener, &frame, MetadataLen::Bytes(metadata.len()));
                prop_assert_eq!(opened, Ok((metadata, plaintext)));
            }
        }
    }
}

proptest! {
    #[test]
    fn header_has_one_encoding(kid in numbers(), counter in numbers(), garbage in bytes(20)) {
        let mut headroom = [0; HEADER_MAX];
        let len = Header { kid, counter }.encode(&mut headroom);
        prop_assert_eq!(Header::parse(&headroom[HEADER_MAX - len..]), Ok((Header { kid, counter }, len)));
        if let Ok((header, len)) = Header::parse(&garbage) {
            prop_assert_eq!(header.encode(&mut headroom), len);
            prop_assert_eq!(&headroom[HEADER_MAX - len..], &garbage[..len]);
        }
    }

    #[test]
    fn sealed_frames_open(
        suite in suites(), kid in numbers(), slack in 0..40usize,
        frames in prop::collection::vec((bytes(100), bytes(13000)), 1..12),
    ) {
        let (mut sealer, mut opener) = pair(suite, kid);
        prop_assert_eq!((sealer.suite(), opener.suite()), (suite, suite));
        for (metadata, plaintext) in frames {
            let room = vec![0xee; suite.tag_len() + slack];
            let mut buffer = [&[0xee; HEADER_MAX], &metadata[..], &plaintext, &room].concat();
            let frame = sealer.seal(&mut buffer, metadata.len(), plaintext.len()).unwrap();
            prop_assert!(buffer[..frame.start].iter().chain(&buffer[frame.end..]).all(|&byte| byte == 0xee));
            prop_assert_eq!(frame.end, buffer.len() - slack);
            if plaintext.len() >= 8 {
                prop_assert!(!buffer.windows(plaintext.len()).any(|window| window == plaintext));
            }
            let opened = open(&mut opener, &buffer[frame], MetadataLen::Bytes(metadata.len()));
            prop_assert_eq!(opened, Ok((metadata, plaintext)));
        }
    }

    #[test]
    fn v10b_clear_frames_are_readable_and_authentic(
        suite in suites(), kid in numbers(), payload in bytes(9000), bit in any::<prop::sample::Index>(),
    ) {
        let (mut sealer, mut opener) = pair(suite, kid);
        let mut frame = seal(&mut sealer, &payload, &[]);
        let (_, header_len) = Header::parse(&frame).unwrap();
        prop_assert_eq!(&frame[header_len..frame.len() - suite.tag_len()], &payload);

        let bit = bit.index(frame.len() * 8);
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(open(&mut opener, &frame, MetadataLen::AllButTag).is_err());
        frame[bit / 8] ^= 1 << (bit % 8);
        prop_assert_eq!(open(&mut opener, &frame, MetadataLen::AllButTag), Ok((payload, vec![])));
    }

    #[test]
    fn metadata_is_not_taken_for_ciphertext(
        suite in suites(), metadata in bytes(50), plaintext in bytes(50), other in 0..110usize,
    ) {
        let (mut sealer, mut opener) = pair(suite, 1);
        let frame = seal(&mut sealer, &metadata, &plaintext);
        if other != metadata.len() {
            prop_assert!(open(&mut opener, &frame, MetadataLen::Bytes(other)).is_err());
        }
        if !plaintext.is_empty() {
            let opened = open(&mut opener, &frame, MetadataLen::AllButTag);
            prop_assert_eq!(opened, Err(OpenError::NotAuthentic));
        }
        prop_assert!(open(&mut opener, &frame, MetadataLen::Bytes(metadata.len())).is_ok());
    }

    #[test]
    fn garbage_is_refused(
        suite in suites(), mut garbage in bytes(200), own_header in any::<bool>(),
        metadata_len in prop_oneof![
            (0..220usize).prop_map(MetadataLen::Bytes),
            any::<usize>().prop_map(MetadataLen::Bytes),
            Just(MetadataLen::Bytes(usize::MAX)),
            Just(MetadataLen::AllButTag),
        ],
    ) {
        if own_header {
            garbage.insert(0, 0x10);
        }
        let mut opener = Opener::new(suite, 1, &BASE_KEY);
        prop_assert!(open(&mut opener, &garbage, metadata_len).is_err());
        prop_assert_eq!(opener.next_counter(), 0);
    }
}

#[test]
fn any_bit_that_changes_is_noticed() {
    for suite in SUITES {
        let (mut sealer, mut opener) = pair(suite, 0x123);
        for (metadata, plaintext) in [(&b"offset"[..], &b"an I-picture"[..]), (b"", b"x"), (b"clear", b"")] {
            let metadata_len = MetadataLen::Bytes(metadata.len());
            let frame = seal(&mut sealer, metadata, plaintext);
            for bit in 0..frame.len() * 8 {
                let mut altered = frame.clone();
                altered[bit / 8] ^= 1 << (bit % 8);
                assert!(open(&mut opener, &altered, metadata_len).is_err(), "bit {bit}");
            }
            for len in 0..frame.len() {
                assert!(open(&mut opener, &frame[..len], metadata_len).is_err(), "{len} bytes");
            }
            assert_eq!(
                open(&mut opener, &[&frame[..], &[0]].concat(), metadata_len),
                Err(OpenError::NotAuthentic)
            );
            let opened = open(&mut opener, &frame, metadata_len);
            assert_eq!(opened, Ok((metadata.to_vec(), plaintext.to_vec())));
        }
    }
}

#[test]
fn only_the_next_frame_opens() {
    for suite in SUITES {
        let (mut sealer, mut opener) = pair(suite, 9);
        let frames: Vec<_> = (0..20u8).map(|number| seal(&mut sealer, &[number], b"picture")).collect();
        for next in 0..frames.len() {
            for (number, frame) in frames.iter().enumerate().filter(|&(number, _)| number != next) {
                let opened = open(&mut opener, frame, MetadataLen::Bytes(1));
                assert_eq!(opened, Err(OpenError::WrongCounter), "{number} for {next}");
            }
            let opened = open(&mut opener, &frames[next], MetadataLen::Bytes(1));
            assert_eq!(opened, Ok((vec![next as u8], b"picture".to_vec())));
        }
    }
}

#[test]
fn other_keys_do_not_open() {
    for suite in SUITES {
        let frame = seal(&mut Sealer::new(suite, 9, &BASE_KEY), b"meta", b"picture");
        let metadata_len = MetadataLen::Bytes(4);
        let refused = |suite, kid, key: &[u8]| open(&mut Opener::new(suite, kid, key), &frame, metadata_len);
        assert_eq!(refused(suite, 8, &BASE_KEY), Err(OpenError::WrongKey));
        assert_eq!(refused(suite, 9, &[1; 16]), Err(OpenError::NotAuthentic));
        assert_eq!(refused(suite, 9, &[]), Err(OpenError::NotAuthentic));
        let other = if suite == GCM { CTR_HMAC } else { GCM };
        assert!(matches!(refused(other, 9, &BASE_KEY), Err(OpenError::NotAuthentic | OpenError::Truncated)));
        assert!(refused(suite, 9, &BASE_KEY).is_ok());
    }
}

#[test]
fn short_frames_name_what_is_missing() {
    let mut opener = Opener::new(CTR_HMAC, 1, &BASE_KEY);
    let mut refused = |frame: &[u8], metadata_len| open(&mut opener, frame, metadata_len).unwrap_err();
    assert_eq!(refused(&[], MetadataLen::AllButTag), OpenError::Header(HeaderError::Truncated));
    assert_eq!(refused(&hex!("0807"), MetadataLen::AllButTag), OpenError::Header(HeaderError::NotMinimal));
    let header_and_tag = [&[0x10][..], &[0; 10]].concat();
    assert_eq!(refused(&header_and_tag[..10], MetadataLen::AllButTag), OpenError::Truncated);
    assert_eq!(refused(&header_and_tag, MetadataLen::AllButTag), OpenError::NotAuthentic);
    assert_eq!(refused(&header_and_tag, MetadataLen::Bytes(1)), OpenError::Truncated);
    assert_eq!(refused(&header_and_tag, MetadataLen::Bytes(usize::MAX)), OpenError::Truncated);
}

#[test]
fn a_frame_that_does_not_fit_costs_no_counter() {
    for suite in SUITES {
        let (mut sealer, mut opener) = pair(suite, 1);
        let needed = HEADER_MAX + 3 + 5 + suite.tag_len();
        for len in 0..needed {
            let mut buffer = vec![0xee; len];
            assert_eq!(sealer.seal(&mut buffer, 3, 5), Err(SealError::BufferTooSmall));
            assert_eq!(buffer, vec![0xee; len]);
        }
        let mut buffer = vec![0xee; needed];
        for (metadata_len, plaintext_len) in [(usize::MAX, 0), (usize::MAX - HEADER_MAX, 5), (0, 1 << 30)] {
            let sealed = sealer.seal(&mut buffer, metadata_len, plaintext_len);
            assert_eq!(sealed, Err(SealError::BufferTooSmall));
        }
        #[cfg(target_pointer_width = "64")]
        for plaintext_len in [(1 << 36) - 31, usize::MAX] {
            assert_eq!(sealer.seal(&mut buffer, 0, plaintext_len), Err(SealError::TooLong));
        }
        assert_eq!(sealer.next_counter(), 0);
        let frame = sealer.seal(&mut buffer, 3, 5).unwrap();
        assert!(opener.open(&mut buffer[frame], MetadataLen::Bytes(3)).is_ok());
    }
}

/// A device holds one of each for every lane.
#[test]
fn state_is_small() {
    assert!(size_of::<Sealer>() <= 256, "{}", size_of::<Sealer>());
    assert!(size_of::<Opener>() <= 256, "{}", size_of::<Opener>());
}
