//! What an eavesdropper sees: all connections between the parties are recorded and searched.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;

use base64ct::{Base64Unpadded, Encoding};
use common::{Stage, TEST_CARD, same};

type Streams = Arc<Mutex<Vec<Arc<Mutex<Vec<u8>>>>>>;

/// Passes connections on and keeps what went over each, by direction.
#[derive(Clone)]
struct Tap {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    streams: Streams,
    /// Streams longer than this still have a bit to be altered.
    alter: Arc<Mutex<Option<usize>>>,
}

impl Tap {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tap = Self {
            address: listener.local_addr().unwrap(),
            target: Arc::default(),
            streams: Streams::default(),
            alter: Arc::default(),
        };
        let working = tap.clone();
        thread::spawn(move || {
            for incoming in listener.incoming() {
                let Ok(incoming) = incoming else { return };
                let Ok(outgoing) = TcpStream::connect(working.target.wait()) else { continue };
                working.copy(incoming.try_clone().unwrap(), outgoing.try_clone().unwrap());
                working.copy(outgoing, incoming);
            }
        });
        tap
    }

    fn copy(&self, mut from: TcpStream, mut to: TcpStream) {
        let kept: Arc<Mutex<Vec<u8>>> = Arc::default();
        let alter = self.alter.clone();
        self.streams.lock().unwrap().push(kept.clone());
        thread::spawn(move || {
            let mut buffer = vec![0; 1 << 16];
            while let Ok(length) = from.read(&mut buffer) {
                if length == 0 {
                    break;
                }
                let mut from_here = alter.lock().unwrap();
                if from_here.is_some_and(|least| kept.lock().unwrap().len() > least) {
                    *from_here = None;
                    buffer[length / 2] ^= 1;
                }
                drop(from_here);
                kept.lock().unwrap().extend_from_slice(&buffer[..length]);
                if to.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            let _ = to.shutdown(Shutdown::Write);
        });
    }

    fn bytes(&self) -> usize {
        self.streams.lock().unwrap().iter().map(|stream| stream.lock().unwrap().len()).sum()
    }

    fn shows(&self, secret: &[u8]) -> bool {
        let streams = self.streams.lock().unwrap();
        streams.iter().any(|stream| {
            let stream = stream.lock().unwrap();
            stream.windows(secret.len()).any(|window| window == secret)
        })
    }
}

/// Pieces of the recording from all over it; long enough not to be met by chance.
fn samples() -> Vec<Vec<u8>> {
    let recording = fs::read(TEST_CARD).unwrap();
    recording
        .chunks(20_000)
        .map(|chunk| chunk[chunk.len() / 2..].iter().copied().take(24).collect::<Vec<u8>>())
        .filter(|sample| sample.iter().any(|byte| *byte != sample[0]))
        .collect()
}

/// anna sends to ben: the tap at the broker, and the one between the two.
fn listen_in(attribute: &str) -> (Tap, Tap, Vec<Vec<u8>>) {
    let mut stage = Stage::new();
    let broker = Tap::new();
    broker.target.set(stage.address).unwrap();
    stage.address = broker.address;
    let mut secrets: Vec<Vec<u8>> =
        ["anna", "ben", "Password", "Encrypt Key", "REQUEST", "HELLO", "test-card"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    for (name, other) in [("anna", "ben"), ("ben", "anna")] {
        stage.init(name);
        stage.done(name, "allow", &["--create", other]);
        let identity = fs::read_to_string(stage.path(name).join("identity")).unwrap();
        let shown = stage.done(name, "show", &[]);
        let fingerprint = shown.lines().find_map(|line| line.strip_prefix("fingerprint ")).unwrap();
        let secret = identity.lines().find_map(|line| line.strip_prefix("Secret Key:")).unwrap();
        for key in [fingerprint, secret.trim_end_matches('=')] {
            secrets.push(Base64Unpadded::decode_vec(key).unwrap());
            secrets.push(key.as_bytes().to_vec());
        }
    }
    let direct = Tap::new();
    let announced = direct.address.to_string();
    let mut receiving = stage.receive("ben", &["--announce", &announced]);
    direct.target.set(receiving.address.parse().unwrap()).unwrap();
    stage.send("anna", "ben", TEST_CARD, &["--as", attribute, "--hash"]);
    assert!(same(&receiving.received(), TEST_CARD));
    drop(receiving);
    (broker, direct, secrets)
}

#[test]
fn nothing_confidential_is_on_any_wire() {
    let (broker, direct, secrets) = listen_in("confidential");
    // The lane passes the tap twice: to the broker and from it.
    assert!(broker.bytes() > 1_000_000 && direct.bytes() > 100);
    for secret in secrets.iter().chain(&samples()) {
        assert!(!broker.shows(secret) && !direct.shows(secret), "{}", String::from_utf8_lossy(secret));
    }
}

#[test]
fn v10b_of_a_split_recording_only_p_b_and_sound_are_in_clear_and_only_between_the_two() {
    let (broker, direct, secrets) = listen_in("split");
    for secret in &secrets {
        assert!(!broker.shows(secret) && !direct.shows(secret), "{}", String::from_utf8_lossy(secret));
    }
    let samples = samples();
    assert!(samples.iter().all(|sample| !broker.shows(sample)));
    let clear = samples.iter().filter(|sample| direct.shows(sample)).count();
    // The taps do see what is in clear; what is sealed is not there either.
    assert!(clear > 0 && clear < samples.len(), "{clear} of {}", samples.len());
}

#[test]
fn what_is_altered_on_its_way_is_never_taken_and_sent_again() {
    let stage = Stage::pair();
    let direct = Tap::new();
    *direct.alter.lock().unwrap() = Some(200_000);
    let announced = direct.address.to_string();
    let mut receiving = stage.receive("ben", &["--announce", &announced]);
    direct.target.set(receiving.address.parse().unwrap()).unwrap();
    // Readable on the way, but authenticated.
    let report = stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert!(same(&receiving.received(), TEST_CARD));
    assert!(direct.alter.lock().unwrap().is_none(), "nothing was altered");
    // Some of it had to be sent twice, and not all of it.
    let sent = report["path"]["direct_clear"].as_u64().unwrap();
    assert!(sent > common::TEST_CARD_BYTES && sent < 2 * common::TEST_CARD_BYTES, "{sent}");
}
