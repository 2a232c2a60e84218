//! The splitter over elementary, program and transport streams, beside the search for 00 00 01 alone, which is the
//! least that any splitter has to do.
//!
//! The streams are made here: 15 Mb/s, 25 pictures a second, 68 slices a picture. With `P2PGATE_SYNTH` naming a folder
//! with `big.m2v`, `big.mpg` and `big.ts`, those are measured as well.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use p2pgate::mpeg::{Part, Selection, Splitter};
use p2pgate_benches::{pictures, program_stream, split, split_with, transport_stream};

fn measure(c: &mut Criterion) {
    let pictures = pictures(8);
    let elementary = pictures.concat();
    let video = elementary.len();
    let intra: usize = pictures.iter().step_by(15).map(Vec::len).sum();
    let mut streams = vec![
        ("es".to_string(), elementary),
        ("ps".to_string(), program_stream(&pictures)),
        ("ts".to_string(), transport_stream(&pictures)),
    ];
    for (name, data) in &streams {
        let ([sealed, rest], splitter) = split(data);
        let counts = splitter.counts();
        assert_eq!([counts.i, counts.p, counts.b], [14, 53, 133], "{name}");
        assert_eq!(sealed + rest, data.len());
        let share = sealed as f64 / data.len() as f64 / (intra as f64 / video as f64);
        assert!((0.99..1.01).contains(&share), "{name}: {share}");
        assert!(counts.bytes(Part::Undecided) < 1000, "{name}");
    }
    if let Some(folder) = std::env::var_os("P2PGATE_SYNTH") {
        for name in ["big.m2v", "big.mpg", "big.ts"] {
            let data = std::fs::read(std::path::Path::new(&folder).join(name)).expect(name);
            let (_, splitter) = split(&data);
            let counts = splitter.counts();
            assert_eq!([counts.i, counts.p, counts.b], [91, 360, 899], "{name}");
            streams.push((name.to_string(), data));
        }
    }
    let mut group = c.benchmark_group("split");
    for (name, data) in &streams {
        group.throughput(Throughput::Bytes(data.len() as u64));
        for (selection, label) in [
            (Selection::Intra, "splitter"),
            (Selection::IntraAndSecondField, "intra+second-field"),
            (Selection::Anchors, "anchors"),
            (Selection::All, "all"),
        ] {
            group.bench_with_input(BenchmarkId::new(label, name), data, |b, data| {
                b.iter(|| split_with(black_box(data), selection).0)
            });
        }
        // The macroblocks of the streams made here aren't any: slices are given up at once.
        if name.starts_with("big") {
            group.bench_with_input(BenchmarkId::new("intra-blocks", name), data, |b, data| {
                b.iter(|| split_with(black_box(data), Selection::IntraBlocks).0)
            });
        }
        group.bench_with_input(BenchmarkId::new("memmem", name), data, |b, data| {
            b.iter(|| memchr::memmem::find_iter(black_box(data), &[0, 0, 1]).count())
        });
    }
    group.finish();
    println!("a splitter takes {} bytes", size_of::<Splitter>());
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = measure
}
criterion_main!(benches);
