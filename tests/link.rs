//! Links: framing, both handshakes, transport; against `snow`, and against whatever is on the wire.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use p2pgate::link::*;
use proptest::prelude::*;

const HANDLE: Handle = [7; 16];
const REQUEST: &[u8] = b"REQUEST\nIdentifier:Ia\nPassword:p\n";
const ANSWER: &[u8] = b"NOTIFY\nRequest Accepted.\n";

fn secret(seed: u8) -> SecretKey {
    SecretKey::new([seed; 32])
}

/// What each side of a peer link goes by, so that tests can change one part of it.
#[derive(Clone)]
struct Side {
    own: SecretKey,
    remote: PublicKey,
    handle: Handle,
    caller: &'static str,
    callee: &'static str,
    psk: Psk,
}

impl Side {
    fn new(own: u8, remote: u8) -> Self {
        let remote = secret(remote).public_key();
        Self { own: secret(own), remote, handle: HANDLE, caller: "Ia", callee: "Ib", psk: Psk::new([9; 32]) }
    }

    fn caller() -> Self {
        Self::new(1, 2)
    }

    fn callee() -> Self {
        Self::new(2, 1)
    }

    fn grant(&self) -> PeerGrant<'_> {
        let Self { handle, caller, callee, remote, psk, .. } = self;
        PeerGrant { handle: *handle, caller, callee, remote, psk }
    }

    fn initiator(&self) -> Result<Handshake, SetupError> {
        Handshake::peer_initiator(&self.own, &self.grant(), MaxRecord::MAX, [3; 32])
    }

    fn responder(&self, preamble: &Preamble) -> Result<Handshake, SetupError> {
        Handshake::peer_responder(preamble, &self.own, &self.grant(), MaxRecord::MAX, [4; 32])
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Control,
    Peer,
}
use Kind::{Control, Peer};

impl Kind {
    fn initiator(self) -> Handshake {
        match self {
            Control => {
                Handshake::control_initiator(&secret(1), &secret(2).public_key(), MaxRecord::MAX, [3; 32])
            }
            Peer => Side::caller().initiator().unwrap(),
        }
    }

    fn preamble(self) -> Preamble {
        match self {
            Control => Preamble::Control { max_record: MaxRecord::MAX },
            Peer => Preamble::Peer { max_record: MaxRecord::MAX, handle: HANDLE },
        }
    }

    fn responder(self, preamble: &Preamble) -> Handshake {
        match self {
            Control => Handshake::control_responder(preamble, &secret(2), MaxRecord::MAX, [4; 32]).unwrap(),
            Peer => Side::callee().responder(preamble).unwrap(),
        }
    }

    fn payloads(self) -> (&'static [u8], &'static [u8]) {
        if self == Peer { (REQUEST, ANSWER) } else { (b"", b"") }
    }

    /// Message 1 (without the preamble) and message 2, as they go over the wire, and both sides after them.
    fn run(self) -> (Vec<u8>, Vec<u8>, Handshake, Handshake) {
        let (request, answer) = self.payloads();
        let mut initiator = self.initiator();
        let (preamble, first) = open_connection(&write(&mut initiator, request));
        let mut responder = self.responder(&preamble);
        let mut record = first.clone();
        let text = responder.read(&mut record).unwrap();
        assert_eq!(&record[text], request);
        assert_eq!(responder.remote_static(), Some(secret(1).public_key()));
        let second = write(&mut responder, answer);
        let mut record = second.clone();
        let text = initiator.read(&mut record).unwrap();
        assert_eq!(&record[text], answer);
        (first, second, initiator, responder)
    }
}

fn write(handshake: &mut Handshake, payload: &[u8]) -> Vec<u8> {
    let mut out = [0; 1024];
    let length = handshake.write(payload, &mut out).unwrap();
    out[..length].to_vec()
}

/// The initiator's first bytes as preamble and record.
fn open_connection(bytes: &[u8]) -> (Preamble, Vec<u8>) {
    let Parsed::Complete(preamble, used) = Preamble::parse(bytes).unwrap() else { panic!("incomplete") };
    assert_eq!(record(&bytes[used..], MaxRecord::MIN), Ok(Record::Complete(bytes.len() - used)));
    (preamble, bytes[used..].to_vec())
}

fn pair(kind: Kind) -> (Transport, Transport) {
    let (_, _, initiator, responder) = kind.run();
    assert!(initiator.is_complete() && responder.is_complete());
    (initiator.finish().unwrap(), responder.finish().unwrap())
}

fn seal(transport: &mut Transport, text: &[u8]) -> Vec<u8> {
    let mut out = vec![0xff; Transport::sealed_length(text.len())];
    let length = transport.seal(text, &mut out).unwrap();
    assert_eq!(length, out.len());
    out
}

fn carry(from: &mut Transport, to: &mut Transport, text: &[u8]) {
    let mut record = seal(from, text);
    let range = to.open(&mut record).unwrap();
    assert_eq!(&record[range], text);
}

fn lp(parts: &[&[u8]]) -> Vec<u8> {
    parts.iter().flat_map(|part| [&(part.len() as u16).to_be_bytes(), *part].concat()).collect()
}

fn encode(preamble: &Preamble) -> Vec<u8> {
    let mut out = [0; MAX_PREAMBLE];
    let length = preamble.encode(&mut out).unwrap();
    out[..length].to_vec()
}

// ---- preamble, framing, keys ----

#[test]
fn preambles_are_these_bytes() {
    let max_record = MaxRecord::new(0x1234).unwrap();
    assert_eq!(encode(&Preamble::Control { max_record }), b"P2PG\x01\x01\x12\x34");
    assert_eq!(
        encode(&Preamble::Peer { max_record, handle: *b"0123456789abcdef" }),
        b"P2PG\x01\x02\x12\x340123456789abcdef"
    );
    let token = LaneToken::new([b't'; 32]);
    assert_eq!(encode(&Preamble::Lane { token }), b"P2PG\x01\x03\0\0tttttttttttttttttttttttttttttttt");
}

#[test]
fn preambles_are_parsed_byte_by_byte_and_garbage_refused_at_its_first_byte() {
    for preamble in [Control.preamble(), Peer.preamble(), Preamble::Lane { token: LaneToken::new([5; 32]) }] {
        let bytes = encode(&preamble);
        for length in 0..bytes.len() {
            let Ok(Parsed::NeedMore(more)) = Preamble::parse(&bytes[..length]) else { panic!("{length}") };
            assert!(more > length && more <= bytes.len());
            assert!(preamble.encode(&mut vec![0; length]).is_err());
        }
        let complete = Ok(Parsed::Complete(preamble, bytes.len()));
        assert_eq!(Preamble::parse(&bytes), complete);
        assert_eq!(Preamble::parse(&[&bytes[..], b"more"].concat()), complete);
    }
    for (bytes, error) in [
        (&b"G"[..], PreambleError::Magic),
        (b"P2Pg", PreambleError::Magic),
        (b"P2PG\0", PreambleError::Version { version: 0 }),
        (b"P2PG\x02", PreambleError::Version { version: 2 }),
        (b"P2PG\x01\0", PreambleError::Role { role: 0 }),
        (b"P2PG\x01\x04", PreambleError::Role { role: 4 }),
        (b"P2PG\x01\x01\x01\xff", PreambleError::MaxRecord { max_record: 511 }),
        (b"P2PG\x01\x02\0\0", PreambleError::MaxRecord { max_record: 0 }),
        (b"P2PG\x01\x03\x02\0", PreambleError::MaxRecord { max_record: 512 }),
    ] {
        assert_eq!(Preamble::parse(bytes), Err(error), "{bytes:?}");
    }
}

#[test]
fn a_records_length_is_checked_before_its_body_comes() {
    let max = MaxRecord::new(600).unwrap();
    assert_eq!(record(&[], max), Ok(Record::NeedMore(2)));
    assert_eq!(record(&[2], max), Ok(Record::NeedMore(2)));
    assert_eq!(record(&[0, 15], max), Err(RecordError::TooShort { length: 15 }));
    assert_eq!(record(&[2, 89], max), Err(RecordError::TooLong { length: 601, max: 600 }));
    assert_eq!(record(&[2, 88], max), Ok(Record::NeedMore(602)));
    assert_eq!(record(&[0, 16].repeat(20), max), Ok(Record::Complete(18)));
    assert_eq!(MaxRecord::new(511), None);
}

#[test]
fn fingerprints_are_the_key_in_base64() {
    let key = secret(1).public_key();
    let text = key.to_string();
    assert_eq!((text.len(), key.fingerprint().as_str()), (FINGERPRINT_LENGTH, text.as_str()));
    assert_eq!(PublicKey::from_base64(&text), Ok(key));
    assert_eq!(PublicKey::new([0; 32]).to_string(), "A".repeat(43));
    for wrong in ["", "A", &text[1..], &format!("{text}A"), &format!("{text}="), &format!("-{}", &text[1..])]
    {
        assert_eq!(PublicKey::from_base64(wrong), Err(FingerprintError), "{wrong}");
    }
}

#[test]
fn secrets_are_not_printed() {
    let lane = Preamble::Lane { token: LaneToken::new([171; 32]) };
    assert_eq!(format!("{:?} {lane:?}", secret(171)), "SecretKey(Secret(..)) Lane { token: Secret(..) }");
}

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
fn framed(write: impl FnOnce(&mut [u8]) -> Result<usize, snow::Error>) -> Vec<u8> {
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
fn answered_by_snow(
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
fn a_control_links_first_message_carries_nothing() {
    let mut snow = snow_side(Control, true);
    let mut message = framed(|out| snow.write_message(b"x", out));
    assert_eq!(Control.responder(&Control.preamble()).read(&mut message), Err(HandshakeError::Malformed));
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

// ---- handshakes ----

#[test]
fn both_links_carry_texts_both_ways() {
    for kind in [Control, Peer] {
        let (mut caller, mut callee) = pair(kind);
        assert_eq!(caller.max_payload(), 65470);
        for length in [0, 1, 61, 62, 63, 4000, 65470] {
            carry(&mut caller, &mut callee, &vec![1; length]);
            carry(&mut callee, &mut caller, &vec![2; length]);
        }
    }
}

#[test]
fn rekeying_stays_in_step() {
    let (mut caller, mut callee) = pair(Peer);
    let mut record = [0; 82];
    for _ in 0..REKEY_AFTER + 2 {
        caller.seal(b"", &mut record).unwrap();
        callee.open(&mut record).unwrap();
    }
    carry(&mut callee, &mut caller, b"the other direction has its own count");
}

#[test]
fn steps_out_of_turn_change_nothing() {
    for kind in [Control, Peer] {
        let (request, answer) = kind.payloads();
        let mut out = [0; 1024];
        let mut initiator = kind.initiator();
        assert_eq!(initiator.read(&mut [0; 200]), Err(HandshakeError::OutOfTurn));
        let (preamble, mut first) = open_connection(&write(&mut initiator, request));
        assert_eq!(initiator.write(request, &mut out), Err(HandshakeError::OutOfTurn));
        let mut responder = kind.responder(&preamble);
        assert_eq!(responder.write(answer, &mut out), Err(HandshakeError::OutOfTurn));
        responder.read(&mut first).unwrap();
        let mut second = write(&mut responder, answer);
        initiator.read(&mut second).unwrap();
        assert_eq!(responder.write(answer, &mut out), Err(HandshakeError::OutOfTurn));
        assert_eq!(initiator.read(&mut second), Err(HandshakeError::OutOfTurn));
        carry(&mut initiator.finish().unwrap(), &mut responder.finish().unwrap(), b"still fine");
        assert_eq!(kind.initiator().finish().err(), Some(HandshakeError::OutOfTurn));
    }
}

#[test]
fn outputs_of_any_size_either_take_the_message_or_change_nothing() {
    let longest = [b'x'; MAX_HANDSHAKE_PAYLOAD];
    for (kind, payload) in [(Control, &b""[..]), (Peer, &longest)] {
        let mut initiator = kind.initiator();
        let needed = write(&mut kind.initiator(), payload).len();
        let mut out = vec![0; needed];
        for length in 0..needed {
            let error = Err(HandshakeError::BufferTooSmall { needed });
            assert_eq!(initiator.write(payload, &mut out[..length]), error);
        }
        assert!(out.iter().all(|&byte| byte == 0));
        let max = payload.len();
        assert_eq!(
            initiator.write(&[b'x'; 449][..max + 1], &mut [0; 1024]),
            Err(HandshakeError::PayloadTooLong { max })
        );
        initiator.write(payload, &mut out).unwrap();
        let (preamble, mut first) = open_connection(&out);
        let mut responder = kind.responder(&preamble);
        let text = responder.read(&mut first).unwrap();
        assert_eq!(&first[text], payload);
        let mut second = write(&mut responder, payload);
        assert!(second.len() <= 514);
        let text = initiator.read(&mut second).unwrap();
        assert_eq!(&second[text], payload);
    }
    let (mut transport, _) = pair(Peer);
    let mut out = [0; 82];
    for length in 0..82 {
        assert_eq!(transport.seal(b"a", &mut out[..length]), Err(SealError::BufferTooSmall { needed: 82 }));
    }
    assert_eq!(out, [0; 82]);
    assert_eq!(transport.seal(&[0; 65471], &mut out), Err(SealError::TextTooLong { max: 65470 }));
}

#[test]
fn v5_whoever_differs_in_key_grant_or_identifier_is_refused() {
    let changes: [fn(&mut Side); 5] = [
        |side| side.psk = Psk::new([8; 32]),
        |side| side.own = secret(5),
        |side| side.remote = secret(5).public_key(),
        |side| side.caller = "Ic",
        |side| side.callee = "I",
    ];
    for (i, change) in changes.iter().enumerate() {
        let mut caller = Side::caller();
        change(&mut caller);
        let (preamble, mut first) = open_connection(&write(&mut caller.initiator().unwrap(), REQUEST));
        let mut responder = Peer.responder(&preamble);
        assert_eq!(responder.read(&mut first), Err(HandshakeError::Authentication), "{i}");
        assert_eq!(responder.remote_static(), None);
        assert_eq!(responder.write(ANSWER, &mut [0; 512]), Err(HandshakeError::Failed));
    }

    // The preamble is part of the prologue: a handle or record size changed on the way fails as well.
    let (_, first) = open_connection(&write(&mut Peer.initiator(), REQUEST));
    let max_record = MaxRecord::MIN;
    let shrunk = Preamble::Peer { max_record, handle: HANDLE };
    assert_eq!(Peer.responder(&shrunk).read(&mut first.clone()), Err(HandshakeError::Authentication));
    let other = Side { handle: [6; 16], ..Side::callee() };
    let handle = Preamble::Peer { max_record: MaxRecord::MAX, handle: [6; 16] };
    let mut responder = other.responder(&handle).unwrap();
    assert_eq!(responder.read(&mut first.clone()), Err(HandshakeError::Authentication));
    assert_eq!(other.responder(&Peer.preamble()).err(), Some(SetupError::Preamble));
    assert_eq!(other.responder(&Control.preamble()).err(), Some(SetupError::Preamble));
    let control = Handshake::control_responder(&handle, &secret(2), max_record, [4; 32]);
    assert_eq!(control.err(), Some(SetupError::Preamble));

    let (_, mut first) = open_connection(&write(&mut Control.initiator(), b""));
    let mut other =
        Handshake::control_responder(&Control.preamble(), &secret(5), max_record, [4; 32]).unwrap();
    assert_eq!(other.read(&mut first), Err(HandshakeError::Authentication), "another broker's key");
}

#[test]
fn identifiers_have_a_limit() {
    let long: &'static str = Box::leak("x".repeat(MAX_IDENTIFIER + 1).into_boxed_str());
    let longest = Side { caller: &long[1..], callee: &long[1..], ..Side::caller() };
    assert!(longest.initiator().is_ok());
    for side in [Side { caller: long, ..Side::caller() }, Side { callee: long, ..Side::caller() }] {
        assert_eq!(side.initiator().err(), Some(SetupError::Identifier));
        assert_eq!(side.responder(&Peer.preamble()).err(), Some(SetupError::Identifier));
    }
}

#[test]
fn a_replayed_first_message_gives_nothing_that_the_replayer_can_use() {
    for kind in [Control, Peer] {
        let answer = kind.payloads().1;
        let (first, mut second, initiator, _) = kind.run();
        // Another connection: the responder has another ephemeral key.
        let mut again = match kind {
            Control => Handshake::control_responder(&kind.preamble(), &secret(2), MaxRecord::MAX, [40; 32]),
            Peer => {
                let side = Side::callee();
                Handshake::peer_responder(
                    &kind.preamble(),
                    &side.own,
                    &side.grant(),
                    MaxRecord::MAX,
                    [40; 32],
                )
            }
        }
        .unwrap();
        again.read(&mut first.clone()).unwrap();
        assert_ne!(write(&mut again, answer), second);
        let mut again = again.finish().unwrap();
        // Neither what the first connection carried nor an echo opens.
        let mut old = seal(&mut initiator.finish().unwrap(), b"QUERY\n");
        assert_eq!(again.open(&mut old), Err(OpenError::Authentication));
        assert_eq!(again.open(&mut second), Err(OpenError::Closed));
    }
}

#[test]
fn keys_of_low_order_are_refused() {
    let one = core::array::from_fn(|i| u8::from(i == 0));
    for low in [[0; 32], one] {
        let key = PublicKey::new(low);
        let mut out = [0; 256];
        let mut initiator = Handshake::control_initiator(&secret(1), &key, MaxRecord::MAX, [3; 32]);
        assert_eq!(initiator.write(b"", &mut out), Err(HandshakeError::KeyRefused));
        assert_eq!(out, [0; 256]);
        let mut initiator = Side { remote: key, ..Side::caller() }.initiator().unwrap();
        assert_eq!(initiator.write(REQUEST, &mut out), Err(HandshakeError::KeyRefused));
        for kind in [Control, Peer] {
            let (mut first, mut second, ..) = kind.run();
            first[2..34].copy_from_slice(&low);
            let refused = kind.responder(&kind.preamble()).read(&mut first);
            assert_eq!(refused, Err(HandshakeError::KeyRefused));
            second[2..34].copy_from_slice(&low);
            let mut initiator = kind.initiator();
            write(&mut initiator, kind.payloads().0);
            assert_eq!(initiator.read(&mut second), Err(HandshakeError::KeyRefused));
        }
    }
}

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

// ---- transport ----

#[test]
fn padding_hides_lengths_within_64() {
    let (mut caller, _) = pair(Peer);
    let sizes: Vec<usize> = (0..200).map(|length| seal(&mut caller, &vec![1; length]).len() - 18).collect();
    assert!(sizes[..=62].iter().all(|&size| size == 64));
    assert!(sizes[63..=126].iter().all(|&size| size == 128));
    assert!(sizes[127..=190].iter().all(|&size| size == 192));
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

#[test]
fn the_states_stay_small() {
    let sizes = (size_of::<Handshake>(), size_of::<Transport>());
    println!("Handshake, Transport: {sizes:?} bytes");
    assert!(sizes.0 <= 640 && sizes.1 <= 96, "{sizes:?}");
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
