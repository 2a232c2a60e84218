//! The whole way on loopback: a broker, a receiving and a sending recorder, real sockets and files, from the call to the stored recording.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use p2pgate_benches::{pictures, program_stream};
use p2pgate_broker::{Options, Server};
use p2pgate_recorder::cli::{self, Cli, Command};
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
        let state = folder.join(name);
        let (broker, key) = (broker.to_string(), key.to_string());
        let words = ["init", "--id", name, "--broker", &broker, "--broker-key", &key, "--ticket", &ticket];
        let Command::Init(init) = typed(&words, &[("--state", &state)]) else { unreachable!() };
        init::enrol(&init).expect("enrolled");
    }
    let callee = folder.join("callee");
    let words = ["allow", "--create", "caller"];
    let Command::Allow(allow) = typed(&words, &[("--state", &callee)]) else { unreachable!() };
    allow::change(&allow).expect("permitted");
    let words = ["receive", "--listen", "127.0.0.1:0", "--sessions", "1"];
    let out = folder.join("out");
    let Command::Receive(receive) = typed(&words, &[("--state", &callee), ("--out", &out)]) else {
        unreachable!()
    };
    let mut receiver = ReceiveLoop::start(&receive).expect("a receiver");
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
    let once = |attribute: &str, check: bool| {
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
    for attribute in ["confidential", "public", "split"] {
        once(attribute, true);
        group.bench_function(attribute, |b| b.iter(|| once(attribute, false)));
    }
    group.finish();
    done.store(true, Ordering::Relaxed);
    receiving.join().expect("the receiver's end");
    stop.stop();
    serving.join().expect("the broker's thread").expect("the broker's end");
}

fn sending(folder: &Path, file: &Path, attribute: &str) -> cli::Send {
    let state = folder.join("caller");
    let words = ["send", "--to", "callee", "--deposit", "never", "--as", attribute];
    let mut words: Vec<OsString> = words.map(OsString::from).to_vec();
    words.extend([OsString::from("--state"), state.into(), file.into()]);
    match parse(words) {
        Command::Send(send) => send,
        _ => unreachable!(),
    }
}

/// What a user types.
fn typed(words: &[&str], paths: &[(&str, &Path)]) -> Command {
    let paths = paths.iter().flat_map(|(flag, path)| [OsString::from(flag), path.into()]);
    parse(words.iter().map(OsString::from).chain(paths).collect())
}

fn parse(words: Vec<OsString>) -> Command {
    let words = std::iter::once(OsString::from("p2pgate-recorder")).chain(words);
    Cli::try_parse_from(words).expect("the arguments are understood").command
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).measurement_time(std::time::Duration::from_secs(5));
    targets = measure
}
criterion_main!(benches);
