//! The bytes of a deposit's lane, as a depositor makes them and a callee reads them.

use p2pgate::Secret;
use p2pgate::lane::{HEADROOM, Kind, LaneOpener, LaneSealer, Peeked, Place, TAILROOM, peek};
use p2pgate::link::{
    MAX_PART_HEADER, PartContents, PartPlace, PeekedPart, SecretKey, open_part, peek_part, seal_part,
};
use p2pgate::message::DepositId;
use p2pgate::sframe::Suite;

fn key(number: u8) -> SecretKey {
    SecretKey::new([number; 32])
}

/// How a depositor cuts its recording.
#[derive(Clone, Copy)]
pub struct Cut {
    pub suite: Suite,
    /// Payload bytes of a part and of a frame.
    pub part: usize,
    pub frame: usize,
}

pub const CUT: Cut = Cut { suite: Suite::Aes128CtrHmacSha256_80, part: 64 << 10, frame: 1_000 };

pub fn place(deposit: DepositId, part: u32, offset: u64) -> PartPlace<'static> {
    PartPlace { caller: "alice", callee: "bob", deposit, part, offset }
}

pub fn header(deposit: DepositId, part: u32, offset: u64, size: u64, suite: Suite) -> Vec<u8> {
    let contents = PartContents {
        base_key: Secret::new([(part as u8).wrapping_add(1); 32]),
        suite: suite.id(),
        size,
        hash: false,
        source: b"source 1",
        name: "film.ts",
    };
    let mut out = [0; MAX_PART_HEADER];
    let place = place(deposit, part, offset);
    let length = seal_part(
        &key(1),
        &key(2).public_key(),
        &place,
        &contents,
        [(part as u8).wrapping_add(9); 32],
        &mut out,
    )
    .unwrap();
    out[..length].to_vec()
}

pub fn frame(sealer: &mut LaneSealer, place: Place, payload: &[u8]) -> Vec<u8> {
    let mut buffer = vec![0; HEADROOM + payload.len() + TAILROOM];
    buffer[HEADROOM..][..payload.len()].copy_from_slice(payload);
    let range = sealer.seal(place, &mut buffer, payload.len()).unwrap();
    buffer[range].to_vec()
}

pub fn sealer(part: u32, suite: Suite) -> LaneSealer {
    LaneSealer::new(suite, 0, &[(part as u8).wrapping_add(1); 32])
}

/// The parts from `first` on, which starts at `offset`, each with its frames; the last one with the end.
pub fn parts(deposit: DepositId, data: &[u8], first: u32, offset: usize, cut: Cut) -> Vec<Vec<u8>> {
    let size = data.len() as u64;
    let mut all = Vec::new();
    let mut pieces: Vec<&[u8]> = data[offset..].chunks(cut.part).collect();
    if pieces.is_empty() {
        pieces.push(&[]);
    }
    let last = first + pieces.len() as u32 - 1;
    let mut offset = offset as u64;
    for (number, piece) in (first..).zip(pieces) {
        let mut bytes = header(deposit, number, offset, size, cut.suite);
        let mut sealer = sealer(number, cut.suite);
        for payload in piece.chunks(cut.frame) {
            let place = Place { transfer: number, kind: Kind::Sealed, segment: 0, offset };
            bytes.extend(frame(&mut sealer, place, payload));
            offset += payload.len() as u64;
        }
        if number == last {
            let place = Place { transfer: number, kind: Kind::End, segment: 1, offset: size };
            bytes.extend(frame(&mut sealer, place, &[]));
        }
        all.push(bytes);
    }
    all
}

/// What the callee gets out of a lane that starts with part `part` at `offset`; whether the end has come.
pub fn read(deposit: DepositId, mut bytes: &[u8], mut part: u32, mut offset: u64) -> (Vec<u8>, bool) {
    let mut data = Vec::new();
    let mut opener = None;
    while !bytes.is_empty() {
        if let PeekedPart::Part { length, .. } = peek_part(bytes).unwrap() {
            let mut header = bytes[..length].to_vec();
            let place = place(deposit, part, offset);
            let contents = open_part(&key(2), &key(1).public_key(), &place, &mut header).unwrap();
            let suite = Suite::from_id(contents.suite).unwrap();
            opener = Some(LaneOpener::new(suite, 0, contents.base_key.expose()));
            part += 1;
            bytes = &bytes[length..];
            continue;
        }
        let Peeked::Frame(length, place) = peek(bytes, 1 << 20).unwrap() else { panic!("a whole frame") };
        assert_eq!((place.transfer, place.offset), (part - 1, offset));
        let mut frame = bytes[..length].to_vec();
        let payload = opener.as_mut().unwrap().open(&mut frame, place.kind).unwrap();
        bytes = &bytes[length..];
        if place.kind == Kind::End {
            assert!(bytes.is_empty());
            return (data, true);
        }
        offset += payload.len() as u64;
        data.extend_from_slice(&frame[payload]);
    }
    (data, false)
}
