//! What was recorded on the wire and is sent once more.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, eventually, same};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::Duration;

/// Passes connections on, and keeps what the connecting side sent over each.
struct Proxy {
    address: SocketAddr,
    target: Arc<OnceLock<SocketAddr>>,
    streams: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Proxy {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let proxy =
            Self { address: listener.local_addr().unwrap(), target: Arc::default(), streams: Arc::default() };
        let (target, streams) = (proxy.target.clone(), proxy.streams.clone());
        thread::spawn(move || {
            for incoming in listener.incoming().flatten() {
                let Ok(outgoing) = TcpStream::connect(target.wait()) else { continue };
                let [there, back] = [(&incoming, &outgoing), (&outgoing, &incoming)]
                    .map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()));
                let streams = streams.clone();
                let index = streams.lock().unwrap().len();
                streams.lock().unwrap().push(Vec::new());
                thread::spawn(move || {
                    copy(there, |bytes| streams.lock().unwrap()[index].extend_from_slice(bytes));
                });
                thread::spawn(move || copy(back, |_| {}));
            }
        });
        proxy
    }

    fn streams(&self) -> Vec<Vec<u8>> {
        self.streams.lock().unwrap().clone()
    }
}

fn copy((mut from, mut to): (TcpStream, TcpStream), mut keep: impl FnMut(&[u8])) {
    let mut buffer = vec![0; 1 << 16];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        keep(&buffer[..length]);
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Sends it, and keeps the connection.
fn replay(stream: &[u8], to: SocketAddr) -> TcpStream {
    let mut connection = TcpStream::connect(to).unwrap();
    connection.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    // It may be closed while we write.
    let _ = connection.write_all(stream);
    connection
}

/// What it is answered until the other end closes.
fn answer(mut connection: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    match connection.read_to_end(&mut said) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "it was not closed: {error}"),
    }
    said
}

#[test]
fn what_a_caller_sent_has_no_effect_a_second_time() {
    let stage = Stage::pair();
    let proxy = Proxy::new();
    let mut ben = stage.receive("ben", &["--announce", &proxy.address.to_string()]);
    let address = ben.address.parse().unwrap();
    proxy.target.set(address).unwrap();

    // While the transfer runs, of something that takes a while.
    let large = stage.large_file(100 << 20);
    thread::scope(|scope| {
        let sending = scope.spawn(|| stage.send("anna", "ben", &large, &["--as", "public"]));
        ben.partial(1);
        for stream in proxy.streams() {
            let first = &stream[..stream.len().min(1 << 20)];
            assert!(answer(replay(first, address)).is_empty());
        }
        sending.join().unwrap();
    });
    assert!(same(&ben.received(), &large));

    // And once it is over: each connection's whole stream, one by one and all together.
    proxy.streams.lock().unwrap().clear();
    stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert!(same(&ben.received(), TEST_CARD));
    let streams = proxy.streams();
    // The peer link, and a lane that carried the recording.
    assert!(streams.len() >= 2 && streams.iter().any(|stream| stream.len() > 500_000));
    for stream in &streams {
        assert!(answer(replay(stream, address)).is_empty());
    }
    let replayed: Vec<TcpStream> = streams.iter().map(|stream| replay(stream, address)).collect();
    for connection in replayed {
        assert!(answer(connection).is_empty());
    }
    // Nothing came of it, complete or not; and ben serves.
    assert_eq!(fs::read_dir(&ben.out).unwrap().count(), 2);
    stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert!(same(&ben.received(), TEST_CARD));
}

#[test]
fn v5_a_terminals_first_message_displaces_nobody_when_it_is_replayed() {
    let mut stage = Stage::pair();
    let broker = stage.address;
    let proxy = Proxy::new();
    proxy.target.set(broker).unwrap();
    // Only ben's way to the broker leads through the proxy.
    let ben_identity = stage.path("ben").join("identity");
    let identity = fs::read_to_string(&ben_identity).unwrap();
    assert!(identity.contains(&broker.to_string()), "the state says where the broker is");
    fs::write(&ben_identity, identity.replace(&broker.to_string(), &proxy.address.to_string())).unwrap();
    let mut ben = stage.receive("ben", &[]);

    let stream = eventually(|| proxy.streams().into_iter().next().filter(|stream| stream.len() > 200));
    let first = 8 + 2 + usize::from(u16::from_be_bytes([stream[8], stream[9]]));
    assert!(first < stream.len());
    // The broker cannot know the first message from a fresh one, and answers; ben is listening all the while.
    let held: Vec<TcpStream> = (0..20).map(|_| replay(&stream[..first], broker)).collect();
    stage.send("anna", "ben", TEST_CARD, &[]);
    assert!(same(&ben.received(), TEST_CARD));
    // The records behind it were for another handshake.
    for _ in 0..20 {
        let said = answer(replay(&stream, broker));
        assert!(said.len() < 200, "only message 2: {} bytes", said.len());
    }
    for connection in held {
        assert!(answer(connection).len() < 200);
    }
    stage.send("anna", "ben", TEST_CARD, &["--as", "split"]);
    assert!(same(&ben.received(), TEST_CARD));
    assert!(ben.child.try_wait().unwrap().is_none());
    // Ben has not had to come back.
    let links = proxy.streams().iter().filter(|stream| stream.get(5) == Some(&1)).count();
    assert_eq!(links, 1);
    stage.address = broker;
}
