//! Links: framing, both handshakes, transport; against `snow`, and against whatever is on the wire.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "link/snow.rs"]
mod against_snow;
#[path = "link/wire.rs"]
mod wire;

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
fn the_states_stay_small() {
    let sizes = (size_of::<Handshake>(), size_of::<Transport>());
    println!("Handshake, Transport: {sizes:?} bytes");
    assert!(sizes.0 <= 640 && sizes.1 <= 96, "{sizes:?}");
}
