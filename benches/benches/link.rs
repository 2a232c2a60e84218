//! Handshakes and transport records of links.
#![allow(missing_docs, clippy::unwrap_used)]

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p2pgate::link::*;
use std::hint::black_box;

const MAX: MaxRecord = MaxRecord::MAX;

struct Keys {
    caller: SecretKey,
    callee: SecretKey,
    caller_public: PublicKey,
    callee_public: PublicKey,
    psk: Psk,
}

impl Keys {
    fn new() -> Self {
        let (caller, callee) = (SecretKey::new([1; 32]), SecretKey::new([2; 32]));
        let (caller_public, callee_public) = (caller.public_key(), callee.public_key());
        Self { caller, callee, caller_public, callee_public, psk: Psk::new([9; 32]) }
    }

    fn grant<'a>(&'a self, remote: &'a PublicKey) -> PeerGrant<'a> {
        PeerGrant { handle: [7; 16], caller: "Ia", callee: "Ib", remote, psk: &self.psk }
    }

    /// Both sides of a control link, from the first byte to both transports.
    fn control(&self) -> (Transport, Transport) {
        let initiator = Handshake::control_initiator(&self.caller, &self.callee_public, MAX, [3; 32]);
        let responder =
            |preamble: &Preamble| Handshake::control_responder(preamble, &self.callee, MAX, [4; 32]);
        handshake(initiator, |preamble| responder(preamble).unwrap(), b"", b"")
    }

    /// Both sides of a peer link.
    fn peer(&self) -> (Transport, Transport) {
        let initiator =
            Handshake::peer_initiator(&self.caller, &self.grant(&self.callee_public), MAX, [3; 32]).unwrap();
        let grant = self.grant(&self.caller_public);
        let responder = |preamble: &Preamble| {
            Handshake::peer_responder(preamble, &self.callee, &grant, MAX, [4; 32]).unwrap()
        };
        handshake(
            initiator,
            responder,
            b"REQUEST\nIdentifier:Ia\nPassword:p\n",
            b"NOTIFY\nRequest Accepted.\n",
        )
    }
}

fn handshake(
    mut initiator: Handshake,
    responder: impl FnOnce(&Preamble) -> Handshake,
    request: &[u8],
    answer: &[u8],
) -> (Transport, Transport) {
    let mut wire = [0; 1024];
    let length = initiator.write(request, &mut wire).unwrap();
    let Parsed::Complete(preamble, used) = Preamble::parse(&wire).unwrap() else { unreachable!() };
    let mut responder = responder(&preamble);
    responder.read(&mut wire[used..length]).unwrap();
    let length = responder.write(answer, &mut wire).unwrap();
    initiator.read(&mut wire[..length]).unwrap();
    (initiator.finish().unwrap(), responder.finish().unwrap())
}

fn carry(from: &mut Transport, to: &mut Transport, text: &[u8], wire: &mut [u8]) -> std::ops::Range<usize> {
    let length = from.seal(text, wire).unwrap();
    to.open(&mut wire[..length]).unwrap()
}

fn benches(criterion: &mut Criterion) {
    let keys = Keys::new();
    let text = [0xa5; 1024];
    let mut wire = [0; 2048];
    for (mut caller, mut callee) in [keys.control(), keys.peer()] {
        let range = carry(&mut caller, &mut callee, &text, &mut wire);
        assert_eq!(wire[range], text);
    }

    let mut group = criterion.benchmark_group("link");
    group.bench_function("IK handshake, both sides", |bencher| bencher.iter(|| black_box(keys.control())));
    group.bench_function("KKpsk0 handshake, both sides", |bencher| bencher.iter(|| black_box(keys.peer())));
    let (mut caller, mut callee) = keys.peer();
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("seal and open 1 KiB", |bencher| {
        bencher.iter(|| carry(&mut caller, &mut callee, black_box(&text), &mut wire));
    });
    group.finish();
}

criterion_group!(link, benches);
criterion_main!(link);
