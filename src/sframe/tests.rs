//! What the public interface cannot reach: RFC 9605's vector for the cipher alone, and the last counters.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::cipher::{CtrHmac, Keys, Refused};
use super::{HEADER_MAX, MetadataLen, OpenError, Opener, SealError, Sealer, Suite};
use hex_literal::hex;

const SUITES: [Suite; 2] = [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128];
const KID: u64 = 0x123;
const BASE_KEY: [u8; 16] = hex!("000102030405060708090a0b0c0d0e0f");

/// RFC 9605, appendix C.2.
#[test]
fn rfc_aes_ctr_hmac() {
    let key = hex!(
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
        "202122232425262728292a2b2c2d2e2f"
    );
    let nonce = hex!("101112131415161718191a1b");
    let aad = hex!("4945544620534672616d65205747");
    let plaintext = hex!("64726166742d696574662d736672616d652d656e63");
    let ciphertext = hex!("6339af04ada1d064688a442b8dc69d5b6bfa40f4be");
    let tag = hex!("f0583e8081069cc60705");

    let aead = CtrHmac::new(&key);
    let mut data = plaintext;
    assert_eq!(aead.seal(&nonce, &aad, &mut data), Ok(tag));
    assert_eq!(data, ciphertext);
    assert_eq!(aead.open(&nonce, &aad, &mut data, &tag), Ok(()));
    assert_eq!(data, plaintext);

    // A short or an empty tag is none at all.
    data = ciphertext;
    for len in 0..tag.len() - 1 {
        assert_eq!(aead.open(&nonce, &aad, &mut data, &[0; 10][..len]), Err(Refused));
    }
    assert_eq!(data, ciphertext);
}

/// RFC 9605, appendix C.3: the nonces.
#[test]
fn rfc_nonces() {
    let nonces = [hex!("50b29329a04dc0f184ac740f"), hex!("75234edefe07819026755d71")];
    for (suite, nonce) in SUITES.into_iter().zip(nonces) {
        assert_eq!(Keys::derive(suite, KID, &BASE_KEY).nonce(17767), nonce);
    }
}

#[test]
fn last_counters_are_used_once() {
    for suite in SUITES {
        let (mut sealer, mut opener) =
            (Sealer::new(suite, KID, &BASE_KEY), Opener::new(suite, KID, &BASE_KEY));
        (sealer.next, opener.next) = (u64::MAX - 1, u64::MAX - 1);
        let mut buffer = [5; HEADER_MAX + 8 + 16];
        let frame = sealer.seal(&mut buffer, 0, 8).unwrap();
        let sealed = buffer;
        assert_eq!(sealer.seal(&mut buffer, 0, 8), Err(SealError::Exhausted));
        assert_eq!(sealer.seal(&mut buffer, 0, 8), Err(SealError::Exhausted));
        assert_eq!(buffer, sealed, "nothing is written without a counter");

        let opened = opener.open(&mut buffer[frame.clone()], MetadataLen::Bytes(0)).unwrap();
        assert_eq!(buffer[frame.clone()][opened.plaintext], [5; 8]);
        buffer = sealed;
        assert_eq!(opener.open(&mut buffer[frame], MetadataLen::Bytes(0)), Err(OpenError::WrongCounter));
    }
}
