//! Splitting a 15 Mb/s recording and sealing it in frames of at most 64 KiB, as a sender does.
//!
//! `intra`: the I-pictures are sealed and nothing is done to the rest, which is the work that the source document means to save. `lanes`: the rest is authenticated
//! besides, as lanes do. `all`: everything is sealed.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use p2pgate::lane::{HEADROOM, Kind, LaneSealer, Place, TAILROOM};
use p2pgate::mpeg::{Class, Splitter};
use p2pgate::sframe::Suite;
use p2pgate_benches::{pictures, program_stream, transport_stream};

const PAYLOAD: usize = 64 * 1024;

#[derive(Clone, Copy, Debug, PartialEq)]
enum Work {
    Intra,
    Lanes,
    All,
}

struct Sender {
    lanes: [LaneSealer; 2],
    buffer: Vec<u8>,
    sealed: usize,
}

impl Sender {
    fn new(suite: Suite) -> Self {
        let lanes = [LaneSealer::new(suite, 0, &[1; 32]), LaneSealer::new(suite, 1, &[2; 32])];
        Self { lanes, buffer: vec![0; HEADROOM + PAYLOAD + TAILROOM], sealed: 0 }
    }

    fn frame(&mut self, kind: Kind, bytes: &[u8]) {
        let place = Place { transfer: 1, kind, segment: 0, offset: 0 };
        self.buffer[HEADROOM..HEADROOM + bytes.len()].copy_from_slice(bytes);
        let lane = &mut self.lanes[usize::from(kind == Kind::Clear)];
        black_box(lane.seal(place, &mut self.buffer, bytes.len()).expect("the buffer has room"));
        self.sealed += bytes.len();
    }

    fn run(&mut self, data: &[u8], work: Work) {
        let mut splitter = Splitter::new();
        let (mut start, mut end) = (0, 0);
        while start < data.len() {
            end = data.len().min(end.max(start) + PAYLOAD);
            while let Some(span) = splitter.next(&data[start..end], end == data.len()) {
                let bytes = &data[start..start + span.len];
                for piece in bytes.chunks(PAYLOAD) {
                    match (span.class, work) {
                        (Class::Sealed, _) | (Class::Rest, Work::All) => self.frame(Kind::Sealed, piece),
                        (Class::Rest, Work::Lanes) => self.frame(Kind::Clear, piece),
                        (Class::Rest, Work::Intra) => {}
                    }
                }
                start += span.len;
            }
        }
    }
}

fn measure(c: &mut Criterion) {
    let pictures = pictures(8);
    let streams =
        [("es", pictures.concat()), ("ps", program_stream(&pictures)), ("ts", transport_stream(&pictures))];
    for (name, data) in &streams {
        let mut group = c.benchmark_group(format!("split_and_seal/{name}"));
        group.throughput(Throughput::Bytes(data.len() as u64));
        for suite in [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128] {
            for work in [Work::Intra, Work::Lanes, Work::All] {
                let mut sender = Sender::new(suite);
                sender.run(data, work);
                let share = sender.sealed as f64 / data.len() as f64;
                let expected = if work == Work::Intra { 0.16..0.20 } else { 1.0..1.01 };
                assert!(expected.contains(&share), "{name} {work:?}: {share}");
                group.bench_function(BenchmarkId::new(format!("{work:?}"), format!("{suite:?}")), |b| {
                    b.iter(|| sender.run(black_box(data), work));
                });
            }
        }
        group.finish();
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20).measurement_time(std::time::Duration::from_secs(2));
    targets = measure
}
criterion_main!(benches);
