//! The primitives against the public vectors, below the records: their payloads are not in our format.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::handshake::best_common;
use super::noise::{Secret, Suite, X25519};
use hex_literal::hex;
use noise_protocol::patterns::{HandshakePattern, noise_ik, noise_kk_psk0, noise_x};
use noise_protocol::{CipherState, DH};
use std::vec;

const PROLOGUE: &[u8] = b"John Galt";
const PSK: [u8; 32] = *b"This is my Austrian perspective!";
const INITIATOR: [u8; 32] = hex!("e61ef9919cde45dd5f82166404bd08e38bceb5dfdfded0a34c8df7ed542214d1");
const RESPONDER: [u8; 32] = hex!("4a3acbfdb163dec651dfa3194dece676d437029c62a408b4c5ea9114246e4893");
const INITIATOR_EPHEMERAL: [u8; 32] =
    hex!("893e28b9dc6ca8d611ab664754b8ceb7bac5117349a4439a6b0569da977c464a");
const RESPONDER_EPHEMERAL: [u8; 32] =
    hex!("bbdb4cdbd309f1a1f2e1456967fe288cadd6f712d65dc7b7793d5e63da6b375b");
const PAYLOADS: [&[u8]; 6] = [
    b"Ludwig von Mises",
    b"Murray Rothbard",
    b"F. A. Hayek",
    b"Carl Menger",
    b"Jean-Baptiste Say",
    b"Eugen B\xf6hm von Bawerk",
];

/// Runs both sides through the handshake and the transport messages that follow, in turns.
fn check(
    pattern: fn() -> HandshakePattern,
    psk: bool,
    knows_initiator: bool,
    handshake: usize,
    hash: [u8; 32],
    ciphertexts: [&[u8]; 6],
) {
    let [initiator_public, responder_public] =
        [INITIATOR, RESPONDER].map(|key| X25519::pubkey(&Secret::new(key)));
    let key = |bytes| Some(Secret::new(bytes));
    let mut initiator = Suite::new(
        pattern(),
        true,
        PROLOGUE,
        key(INITIATOR),
        key(INITIATOR_EPHEMERAL),
        Some(responder_public),
        None,
    );
    let remote = knows_initiator.then_some(initiator_public);
    let mut responder =
        Suite::new(pattern(), false, PROLOGUE, key(RESPONDER), key(RESPONDER_EPHEMERAL), remote, None);
    if psk {
        initiator.push_psk(&PSK);
        responder.push_psk(&PSK);
    }
    for i in 0..handshake {
        let (from, to) =
            if i % 2 == 0 { (&mut initiator, &mut responder) } else { (&mut responder, &mut initiator) };
        let mut message = vec![0; PAYLOADS[i].len() + from.get_next_message_overhead()];
        from.write_message(PAYLOADS[i], &mut message).unwrap();
        assert_eq!(message, ciphertexts[i], "message {i}");
        let mut payload = vec![0; PAYLOADS[i].len()];
        to.read_message(&message, &mut payload).unwrap();
        assert_eq!(payload, PAYLOADS[i], "message {i}");
    }
    assert!(initiator.completed() && responder.completed());
    assert_eq!(initiator.get_hash(), hash);
    assert_eq!(responder.get_hash(), hash);
    assert_eq!(responder.get_rs(), Some(initiator_public));

    let (mut forth, mut back) = initiator.get_ciphers();
    let (mut forth_in, mut back_in) = responder.get_ciphers();
    for i in handshake..6 {
        // A one-way pattern has the initiator send everything.
        let (seal, open) = if handshake == 1 || i % 2 == 0 {
            (&mut forth, &mut forth_in)
        } else {
            (&mut back, &mut back_in)
        };
        let mut message = vec![0; PAYLOADS[i].len() + 16];
        seal.encrypt(PAYLOADS[i], &mut message);
        assert_eq!(message, ciphertexts[i], "message {i}");
        let length = open.decrypt_in_place(&mut message, ciphertexts[i].len()).unwrap();
        assert_eq!(&message[..length], PAYLOADS[i], "message {i}");
    }
}

#[test]
fn control_link_vectors() {
    check(
        noise_ik,
        false,
        false,
        2,
        hex!("669c8640d9e42a3cda2f232f78597ceefb01daa6e3df81181ccce6fc6b5026bf"),
        [
            &hex!(
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79444e417bc55c7a8166c993356c1be41ef67818a292426f301556c7f26b21d25ddb097153891a9a956cff47b83e63ad8d701c1342c209cff1ca5ecd43402762ac249e3bd3a4c0a145fe07cb5dae28ea13a3"
            ),
            &hex!(
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843af2ccf9972e22afc67aeafcd25162f7f98c363b7762e3e4cb7d272e39f27a5"
            ),
            &hex!("66acfc92e3197de166809e6d4d5d003dcc819a84bc3522ca53c9d9"),
            &hex!("71f89aa6533a6de70b0826864dd75f60806ee40170c16290189eb3"),
            &hex!("4795a3423550c8bf00386bd496a3e2c76c10669d2a75ab8f79b5094c5412a25705"),
            &hex!("aa0bb39097555c918e40be82abc2b909eb79d9eb87adb07e268fc37323a6cf904fd01fb391"),
        ],
    );
}

#[test]
fn sealed_box_vectors() {
    check(
        noise_x,
        false,
        false,
        1,
        hex!("e761ec4e29a2d951745dcad46b28d1211c550bdd94042500f51dd4d789e456b0"),
        [
            &hex!(
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c794470bc7d4db4b390c2b19e03d60cf1ee8630c74c121706378730dcf60ef41a212c23c47ef2f4ab632abfc6258a30ca2149e2c2f8756c40d832fc206e31a5f64087b6fba7638c9a9fdd2eee96f9ea816629"
            ),
            &hex!("68356b58d8500a2edc2c10a5941b9aaa0cb9b9e47cc125424300a56693775d"),
            &hex!("9d783c351fd707625359d5a1de888fa4be80ea48ad0a1fc3a42fe6"),
            &hex!("d121d6dce3ce77ad12ea7542dc23f2e0fd24b62ca7035a85a00fc8"),
            &hex!("1a97fc0b1fe571b2e489dd6b8c682084a4d14f7c02b380afddf8ad0e031c362c20"),
            &hex!("7011c403c92a9069047e2f00203877ad80c565c118cea0d4d6813589e9a15701d62e2236fe"),
        ],
    );
}

#[test]
fn peer_link_vectors() {
    check(
        noise_kk_psk0,
        true,
        true,
        2,
        hex!("574508da75f9e5a1c25707190adc49e63c754ec27a4183d9e6acc312e076613a"),
        [
            &hex!(
                "ca35def5ae56cec33dc2036731ab14896bc4c75dbb07a61f879f8e3afa4c79441f33bde990995eea7167375d6b68e2a7fa07887dd4f0f21023317d7b04fb0a67"
            ),
            &hex!(
                "95ebc60d2b1fa672c1f46a8aa265ef51bfe38e7ccb39ec5be34069f144808843e3502578269a63176a4e59632b20df3393996180e261048266e49c0c0d9240"
            ),
            &hex!("a08f4d4f142f605e9b30daa66784552576b30265889139b97f15cf"),
            &hex!("5871e43af881754e8ba7def42a69c23bfc9f7d47c3c1009f8ed986"),
            &hex!("9e20a696864cb0e321197abcd721538c2155073c14313c3fa243a65fef13eb0e79"),
            &hex!("c4fa90a3f3e7524bdf5dce131ad0b67a0fa1eedd30f717a42596bef8f53d369b5dc94ce508"),
        ],
    );
}

/// Noise, section 4.2: `REKEY(k)` is the first 32 bytes of `ENCRYPT(k, maxnonce, "", zeros)`.
#[test]
fn rekey_is_the_specifications() {
    use noise_protocol::Cipher;
    let mut block = [0; 48];
    super::noise::AesGcm::encrypt(&Secret::new(PSK), u64::MAX, &[], &[0; 32], &mut block);
    let mut by_hand = CipherState::<super::noise::AesGcm>::new(&block[..32], 0);
    let mut rekeyed = CipherState::<super::noise::AesGcm>::new(&PSK, 0);
    rekeyed.rekey();
    let (mut one, mut other) = ([0; 19], [0; 19]);
    by_hand.encrypt(b"abc", &mut one);
    rekeyed.encrypt(b"abc", &mut other);
    assert_eq!(one, other);
}

#[test]
fn the_highest_common_version_is_the_one_to_speak() {
    assert_eq!(best_common(&[1, 2, 3], &[2, 1]), Some(2));
    assert_eq!(best_common(&[1], &[3, 2, 1]), Some(1));
    assert_eq!(best_common(&[2], &[1]), None);
    assert_eq!(best_common(&[1], &[]), None);
}
