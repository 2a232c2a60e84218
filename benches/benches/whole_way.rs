//! The whole way on loopback: a broker, a receiving and a sending recorder, real sockets and files, from the call to the stored recording.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p2pgate_benches::{pictures, program_stream};
use p2pgate_broker::{Options, Server};
use p2pgate_recorder::cli::{self, Attribute};
use p2pgate_recorder::command::receive::ReceiveLoop;
use p2pgate_recorder::command::{allow, init, send};

fn measure(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let mut options = Options::new(folder.join("broker"));
    options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    options.grace = Duration::from_millis(200);
    // It calls more often than people do.
    options.config.queries_per_minute = 10_000;
    let server = Server::bind(options).expect("a broker");
    let (broker, key, stop) = (server.local_addr(), server.public_key(), server.stop_handle());
    let serving = std::thread::spawn(move || server.run());

    for name in ["caller", "callee"] {
        let ticket = p2pgate_broker::enrol(&folder.join("broker"), name).expect("a ticket");
        init::enrol(&cli::Init {
            state: folder.join(name),
            id: name.to_owned(),
            broker: broker.to_string(),
            broker_key: key.to_string(),
            ticket: ticket.to_string(),
        })
        .expect("enrolled");
    }
    allow::change(&cli::Allow {
        state: folder.join("callee"),
        create: Some("caller".to_owned()),
        add: None,
        delete: None,
        fingerprints: false,
    })
    .expect("permitted");
    let mut receiver = ReceiveLoop::start(&cli::Receive {
        state: folder.join("callee"),
        out: folder.join("out"),
        listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
        announce: None,
        load_limit: None,
        share: None,
        sessions: 1,
        once: false,
    })
    .expect("a receiver");
    let done = Arc::new(AtomicBool::new(false));
    let ended = done.clone();
    let (arrived, arrivals) = std::sync::mpsc::channel();
    let receiving = std::thread::spawn(move || {
        while !ended.load(Ordering::Relaxed) {
            if let Some(received) = receiver.turn(Duration::from_millis(20)).expect("a turn") {
                arrived.send(received.path).expect("somebody waits");
            }
        }
    });

    let recording = program_stream(&pictures(40));
    let file = folder.join("film.mpg");
    std::fs::write(&file, &recording).expect("a file");
    let once = |attribute: Attribute, check: bool| {
        let report = send::send(&sending(folder, &file, attribute), None).expect("sent");
        assert_eq!(report.bytes, recording.len() as u64);
        let path = arrivals.recv_timeout(Duration::from_secs(60)).expect("received");
        if check {
            assert!(std::fs::read(&path).expect("a file") == recording, "not bit-exact");
        }
        std::fs::remove_file(&path).expect("removed");
    };
    let mut group = c.benchmark_group("whole_way");
    group.throughput(Throughput::Bytes(recording.len() as u64));
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split] {
        once(attribute, true);
        group.bench_function(format!("{attribute:?}"), |b| b.iter(|| once(attribute, false)));
    }
    group.finish();
    done.store(true, Ordering::Relaxed);
    receiving.join().expect("the receiver's end");
    stop.stop();
    serving.join().expect("the broker's thread").expect("the broker's end");
}

fn sending(folder: &Path, file: &Path, attribute: Attribute) -> cli::Send {
    cli::Send {
        state: folder.join("caller"),
        to: "callee".to_owned(),
        file: file.to_owned(),
        attribute,
        relay_below: None,
        kinds: None,
        select: None,
        deposit: Some(cli::Deposit::Never),
        seal_rest: false,
        hash: false,
        json: false,
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(5));
    targets = measure
}
criterion_main!(benches);
