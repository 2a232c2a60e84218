//! Sealing and opening SFrame frames, in bytes of payload: both suites, frames of 1 KiB and 64 KiB, and clear ones.

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use p2pgate::sframe::{HEADER_MAX, MetadataLen, Opener, Sealer, Suite, TAG_MAX};
use sha2::{Digest, Sha256};
use std::hint::black_box;

const BASE_KEY: [u8; 32] = [7; 32];
const KID: u64 = 1;
const METADATA_LEN: usize = 32;

fn buffer(payload: usize) -> Vec<u8> {
    (0..HEADER_MAX + METADATA_LEN + payload + TAG_MAX).map(|i| (i * 31 / 8) as u8).collect()
}

fn sframe(criterion: &mut Criterion) {
    for suite in [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128] {
        for payload in [1 << 10, 64 << 10] {
            for clear in [false, true] {
                frames(criterion, suite, payload, clear);
            }
        }
    }
    // What AES_128_CTR_HMAC_SHA256_80 cannot be faster than.
    let data = buffer(64 << 10);
    let mut group = criterion.benchmark_group("yardstick");
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("sha256", |b| b.iter(|| Sha256::digest(black_box(&data))));
    group.finish();
    criterion.bench_function("derive", |b| {
        b.iter(|| Sealer::new(Suite::Aes128CtrHmacSha256_80, KID, black_box(&BASE_KEY)));
    });
}

fn frames(criterion: &mut Criterion, suite: Suite, payload: usize, clear: bool) {
    let (metadata, plaintext, metadata_len) = if clear {
        (METADATA_LEN + payload, 0, MetadataLen::AllButTag)
    } else {
        (METADATA_LEN, payload, MetadataLen::Bytes(METADATA_LEN))
    };
    let mut work = buffer(payload);
    let frame = Sealer::new(suite, KID, &BASE_KEY).seal(&mut work, metadata, plaintext).unwrap();
    let sealed = work[frame.clone()].to_vec();
    let opened = Opener::new(suite, KID, &BASE_KEY).open(&mut work[frame], metadata_len).unwrap();
    assert_eq!(opened.metadata.len(), metadata);
    let at = HEADER_MAX + metadata;
    assert_eq!(work[HEADER_MAX..at + plaintext], buffer(payload)[HEADER_MAX..at + plaintext]);
    assert_eq!(sealed[1 + metadata..][..plaintext] == work[at..at + plaintext], clear);

    let name = if clear { "clear" } else { "sealed" };
    let mut group = criterion.benchmark_group(format!("{suite:?}/{name}/{payload}"));
    group.throughput(Throughput::Bytes(payload as u64));
    let mut sealer = Sealer::new(suite, KID, &BASE_KEY);
    group.bench_function("seal", |b| b.iter(|| sealer.seal(black_box(&mut work), metadata, plaintext)));
    group.bench_function("open", |b| {
        // The opener takes each counter once: each run opens frame 0 with a fresh opener.
        b.iter_batched_ref(
            || (Opener::new(suite, KID, &BASE_KEY), sealed.clone()),
            |(opener, frame)| assert!(opener.open(black_box(frame), metadata_len).is_ok()),
            BatchSize::NumIterations(16),
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_millis(500))
        .measurement_time(std::time::Duration::from_secs(2));
    targets = sframe
}
criterion_main!(benches);
