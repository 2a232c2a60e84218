//! Against `snow`, another implementation of Noise.

use super::*;

// ---- snow ----

fn snow_side(kind: Kind, initiator: bool) -> snow::HandshakeState {
    let (own, remote) = if initiator { (1, 2) } else { (2, 1) };
    let (own, remote) = (secret(own), secret(remote).public_key());
    let preamble = encode(&kind.preamble());
    let (name, prologue) = match kind {
        Control => ("Noise_IK_25519_AESGCM_SHA256", lp(&[&preamble])),
        Peer => ("Noise_KKpsk0_25519_AESGCM_SHA256", lp(&[&preamble, b"Ia", b"Ib"])),
    };
    let mut builder = snow::Builder::new(name.parse().unwrap())
        .local_private_key(own.to_bytes())
        .unwrap()
        .prologue(&prologue)
        .unwrap();
    if kind == Peer {
        builder = builder.psk(0, &[9; 32]).unwrap();
    }
    if initiator || kind == Peer {
        builder = builder.remote_public_key(remote.as_bytes()).unwrap();
    }
    if initiator { builder.build_initiator().unwrap() } else { builder.build_responder().unwrap() }
}

/// What `snow` writes, as a record.
pub fn framed(write: impl FnOnce(&mut [u8]) -> Result<usize, snow::Error>) -> Vec<u8> {
    let mut message = vec![0; 65535];
    let length = write(&mut message).unwrap();
    [&(length as u16).to_be_bytes(), &message[..length]].concat()
}

fn check_transport(ours: &mut Transport, snow: &mut snow::TransportState) {
    for text in [&b"hello"[..], &[3; 444]] {
        let record = seal(ours, text);
        let mut plain = [0; 2048];
        let length = snow.read_message(&record[2..], &mut plain).unwrap();
        let mut expected = [&(text.len() as u16).to_be_bytes(), text].concat();
        expected.resize(expected.len().next_multiple_of(64), 0);
        assert_eq!(plain[..length], expected);

        let mut record = framed(|out| snow.write_message(&expected, out));
        let range = ours.open(&mut record).unwrap();
        assert_eq!(&record[range], text);
    }
}

/// Our initiator after `snow` answered with `head` (versions and largest record).
pub fn answered_by_snow(
    kind: Kind,
    head: &[u8],
) -> (Result<Vec<u8>, HandshakeError>, Handshake, snow::HandshakeState) {
    let (request, answer) = kind.payloads();
    let mut ours = kind.initiator();
    let mut snow = snow_side(kind, false);
    let (preamble, message) = open_connection(&write(&mut ours, request));
    assert_eq!(preamble, kind.preamble());
    let mut payload = [0; 512];
    let length = snow.read_message(&message[2..], &mut payload).unwrap();
    assert_eq!(&payload[..length], request);
    assert_eq!(snow.get_remote_static().unwrap(), secret(1).public_key().as_bytes());
    let mut message = framed(|out| snow.write_message(&[head, answer].concat(), out));
    let result = ours.read(&mut message).map(|range| message[range].to_vec());
    (result, ours, snow)
}

#[test]
fn snow_answers_our_initiator() {
    for kind in [Control, Peer] {
        // It takes 520 bytes, and speaks a later version besides.
        let (result, ours, snow) = answered_by_snow(kind, &[2, 2, 1, 2, 8]);
        assert_eq!(result.unwrap(), kind.payloads().1);
        let mut ours = ours.finish().unwrap();
        assert_eq!(ours.max_payload(), 446);
        check_transport(&mut ours, &mut snow.into_transport_mode().unwrap());
    }
}

#[test]
fn downgrades_and_malformed_answers_are_refused() {
    for kind in [Control, Peer] {
        for (head, error) in [
            (&[0, 2, 8][..], HandshakeError::Version),
            (&[1, 0, 2, 8], HandshakeError::Version),
            (&[2, 2, 3, 2, 8], HandshakeError::Version),
            (&[1, 1, 1, 255], HandshakeError::Malformed),
            (&[255, 1, 2, 8], HandshakeError::Malformed),
        ] {
            let (result, mut ours, _) = answered_by_snow(kind, head);
            assert_eq!(result, Err(error), "{kind:?} {head:?}");
            assert_eq!(ours.read(&mut [0; 64]), Err(HandshakeError::Failed));
            assert_eq!(ours.remote_static(), None);
            assert_eq!(ours.finish().err(), Some(HandshakeError::Failed));
        }
    }
    let (result, ..) = answered_by_snow(Control, &[1, 1, 2, 8, 0]);
    assert_eq!(result, Err(HandshakeError::Malformed), "a control link's message 2 has no more");
}

#[test]
fn snow_initiates_to_our_responder() {
    for kind in [Control, Peer] {
        let (request, answer) = kind.payloads();
        let mut snow = snow_side(kind, true);
        let mut ours = kind.responder(&kind.preamble());
        let mut message = framed(|out| snow.write_message(request, out));
        let text = ours.read(&mut message).unwrap();
        assert_eq!(&message[text], request);
        let message = write(&mut ours, answer);
        let mut payload = [0; 512];
        let length = snow.read_message(&message[2..], &mut payload).unwrap();
        assert_eq!(payload[..length], [&[1, 1, 255, 255], answer].concat());
        check_transport(&mut ours.finish().unwrap(), &mut snow.into_transport_mode().unwrap());
    }
}

#[test]
fn snow_and_we_rekey_after_the_same_record() {
    let (_, ours, snow) = answered_by_snow(Control, &[1, 1, 2, 8]);
    let mut ours = ours.finish().unwrap();
    let mut snow = snow.into_transport_mode().unwrap();
    let (mut record, mut plain) = ([0; 82], [0; 64]);
    for _ in 0..REKEY_AFTER {
        ours.seal(b"", &mut record).unwrap();
        snow.read_message(&record[2..], &mut plain).unwrap();
    }
    let next = seal(&mut ours, b"after");
    assert!(snow.read_message(&next[2..], &mut plain).is_err(), "sealed with the old key");
    snow.rekey_incoming();
    snow.read_message(&next[2..], &mut plain).unwrap();
    assert_eq!(plain[..7], *b"\0\x05after");
}

#[test]
fn a_control_links_first_message_carries_nothing() {
    let mut snow = snow_side(Control, true);
    let mut message = framed(|out| snow.write_message(b"x", out));
    assert_eq!(Control.responder(&Control.preamble()).read(&mut message), Err(HandshakeError::Malformed));
}
