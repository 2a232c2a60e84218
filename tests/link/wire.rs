//! Whatever is on the wire: cut, flipped, repeated, reflected or made up.

use super::against_snow::{answered_by_snow, framed};
use super::*;

#[test]
fn any_truncation_of_a_handshake_message_is_refused() {
    for kind in [Control, Peer] {
        let (first, second, ..) = kind.run();
        for length in 0..first.len() {
            check_refused(kind, true, &first[..length]);
            check_refused(kind, true, &reframed(&first[..length]));
        }
        for length in 0..second.len() {
            check_refused(kind, false, &second[..length]);
            check_refused(kind, false, &reframed(&second[..length]));
        }
    }
}

/// The record with a length prefix that fits what is left of it.
fn reframed(record: &[u8]) -> Vec<u8> {
    let body = record.get(2..).unwrap_or_default();
    lp(&[body])
}

fn check_refused(kind: Kind, first: bool, record: &[u8]) {
    let mut handshake = if first { kind.responder(&kind.preamble()) } else { kind.initiator() };
    if !first {
        write(&mut handshake, kind.payloads().0);
    }
    assert!(handshake.read(&mut record.to_vec()).is_err());
    assert_eq!(handshake.read(&mut record.to_vec()), Err(HandshakeError::Failed));
    assert!(!handshake.is_complete());
}

#[test]
fn wrong_padding_or_length_inside_a_record_closes_the_link() {
    let mut nonzero = [0; 64];
    nonzero[63] = 1;
    let mut long = [0; 64];
    long[1] = 63;
    let mut full = [1; 64];
    full[..2].copy_from_slice(&[0, 62]);
    for (plain, good) in [
        (&nonzero[..], false),
        (&long, false),
        (&[0; 63], false),
        (&[0], false),
        (&[], false),
        (&full, true),
        (&[0; 64], true),
        (&[0; 128], true),
    ] {
        let (_, ours, snow) = answered_by_snow(Control, &[1, 1, 2, 8]);
        let (mut ours, mut snow) = (ours.finish().unwrap(), snow.into_transport_mode().unwrap());
        let mut record = framed(|out| snow.write_message(plain, out));
        let result = ours.open(&mut record);
        if good {
            assert_eq!(result.unwrap().len(), usize::from(plain[1]));
        } else {
            assert_eq!(result, Err(OpenError::Padding));
            assert_eq!(ours.seal(b"", &mut [0; 82]), Err(SealError::Closed));
        }
    }
}

#[test]
fn records_over_the_announced_size_are_refused() {
    let small = MaxRecord::new(600).unwrap();
    let mut initiator = Handshake::control_initiator(&secret(1), &secret(2).public_key(), small, [3; 32]);
    let (preamble, mut first) = open_connection(&write(&mut initiator, b""));
    let mut responder = Control.responder(&preamble);
    responder.read(&mut first).unwrap();
    initiator.read(&mut write(&mut responder, b"")).unwrap();
    let (mut initiator, mut responder) = (initiator.finish().unwrap(), responder.finish().unwrap());
    assert_eq!((initiator.max_record(), initiator.max_payload()), (small, 65470));
    assert_eq!((responder.max_record(), responder.max_payload()), (MaxRecord::MAX, 574));
    carry(&mut responder, &mut initiator, &[1; 574]);
    assert_eq!(responder.seal(&[1; 575], &mut [0; 2048]), Err(SealError::TextTooLong { max: 574 }));
    let mut long = lp(&[&[0; 601]]);
    let error = RecordError::TooLong { length: 601, max: 600 };
    assert_eq!(initiator.open(&mut long), Err(OpenError::Record(error)));
    assert_eq!(initiator.open(&mut seal(&mut responder, b"")), Err(OpenError::Closed));
}

#[test]
fn repeated_lost_and_reflected_records_close_the_link() {
    let (mut caller, mut callee) = pair(Control);
    let record = seal(&mut caller, b"once");
    callee.open(&mut record.clone()).unwrap();
    assert_eq!(callee.open(&mut record.clone()), Err(OpenError::Authentication));
    let (mut caller, mut callee) = pair(Control);
    seal(&mut caller, b"lost");
    assert_eq!(callee.open(&mut seal(&mut caller, b"next")), Err(OpenError::Authentication));
    let (mut caller, _) = pair(Control);
    let mut own = seal(&mut caller, b"mine");
    assert_eq!(caller.open(&mut own), Err(OpenError::Authentication));
    let (mut caller, mut callee) = pair(Control);
    let mut two = [seal(&mut caller, b"one"), seal(&mut caller, b"two")].concat();
    assert_eq!(callee.open(&mut two), Err(OpenError::NotOneRecord));
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop_oneof![Just(Control), Just(Peer)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bit_flipped_in_a_handshake_message_is_refused(
        kind in kinds(), first: bool, at: prop::sample::Index, bit in 0..8u8,
    ) {
        let (one, two, ..) = kind.run();
        let mut message = if first { one } else { two };
        let at = at.index(message.len());
        // The top bit of a public key is ignored by X25519 (RFC 7748), but it is hashed.
        message[at] ^= 1 << bit;
        check_refused(kind, first, &message);
    }

    #[test]
    fn any_bit_flipped_in_a_transport_record_closes_the_link(
        text in prop::collection::vec(any::<u8>(), 0..300), at: prop::sample::Index, bit in 0..8u8,
    ) {
        let (mut caller, mut callee) = pair(Control);
        let mut record = seal(&mut caller, &text);
        let at = at.index(record.len());
        record[at] ^= 1 << bit;
        prop_assert!(callee.open(&mut record).is_err());
        prop_assert_eq!(callee.open(&mut record), Err(OpenError::Closed));
    }

    #[test]
    fn any_truncated_transport_record_closes_the_link(length in 0usize..146, reframe: bool) {
        let (mut caller, mut callee) = pair(Control);
        let record = seal(&mut caller, &[1; 100]);
        let cut = &record[..length];
        let mut cut = if reframe { reframed(cut) } else { cut.to_vec() };
        prop_assert!(callee.open(&mut cut).is_err());
        prop_assert_eq!(callee.seal(b"", &mut [0; 82]), Err(SealError::Closed));
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..700), kind in kinds()) {
        let _ = Preamble::parse(&bytes);
        let _ = record(&bytes, MaxRecord::MIN);
        let framed = lp(&[&bytes]);
        for mut bytes in [bytes.clone(), framed] {
            check_refused(kind, true, &bytes);
            check_refused(kind, false, &bytes);
            prop_assert!(pair(kind).0.open(&mut bytes).is_err());
        }
        bytes.splice(0..0, *b"P2PG\x01");
        let _ = Preamble::parse(&bytes);
    }

    #[test]
    fn any_chunking_and_any_record_size_give_the_same_texts(
        max in 512u16..,
        lengths in prop::collection::vec(any::<prop::sample::Index>(), 1..5),
        chunk in 1usize..5000,
    ) {
        let max_record = MaxRecord::new(max).unwrap();
        let mut initiator = Handshake::control_initiator(&secret(1), &secret(2).public_key(), max_record, [3; 32]);
        let (preamble, mut first) = open_connection(&write(&mut initiator, b""));
        let mut responder = Control.responder(&preamble);
        responder.read(&mut first).unwrap();
        initiator.read(&mut write(&mut responder, b"")).unwrap();
        let (mut receiver, mut sender) = (initiator.finish().unwrap(), responder.finish().unwrap());

        let texts: Vec<Vec<u8>> =
            lengths.iter().map(|length| vec![0xa5; length.index(sender.max_payload() + 1)]).collect();
        let wire: Vec<u8> = texts.iter().flat_map(|text| seal(&mut sender, text)).collect();
        let mut got = vec![];
        let mut buffer: Vec<u8> = vec![];
        for piece in wire.chunks(chunk) {
            buffer.extend_from_slice(piece);
            loop {
                match record(&buffer, receiver.max_record()).unwrap() {
                    Record::Complete(length) => {
                        let range = receiver.open(&mut buffer[..length]).unwrap();
                        got.push(buffer[range].to_vec());
                        buffer.drain(..length);
                    }
                    Record::NeedMore(more) => {
                        prop_assert!(more > buffer.len());
                        break;
                    }
                }
            }
        }
        prop_assert!(buffer.is_empty());
        prop_assert_eq!(got, texts);
    }
}
