//! Everything that a connection may bring which it should not: it is closed, within bounds of time and memory, and others are served.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "common/client.rs"]
mod client;
mod common;
#[path = "common/process.rs"]
mod process;

use client::{Link, Mallory, connect, connect_from, fresh, last_words};
use common::{Receiving, Stage, TEST_CARD, eventually, same};
use process::{Broker, MEMORY, pair, peak_memory};
use rustix::process::{Resource, Rlimit};
use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[test]
fn serve() {
    if process::serve() {
        return;
    }
    // Here: the broker's process serves, and ends once nobody needs it.
    let (mut stage, mut broker) = pair();
    assert!(broker.is_running() && stage.run("anna", "allow", &["--add", "carol"]).status.success());
    drop(broker.child.stdin.take());
    assert!(broker.child.wait().unwrap().success());
    stage.start_broker();
}

/// Two processes to attack: the broker, and ben, who receives.
struct Scene {
    ben: Receiving,
    broker: Broker,
    stage: Stage,
}

impl Scene {
    fn new() -> Self {
        let (stage, broker) = pair();
        let ben = stage.receive("ben", &[]);
        Self { stage, broker, ben }
    }

    fn targets(&self) -> [SocketAddr; 2] {
        [self.stage.address, self.ben.address.parse().unwrap()]
    }

    fn honest_send(&mut self, attribute: &str) {
        self.stage.send("anna", "ben", TEST_CARD, &["--as", attribute]);
        assert!(same(&self.ben.received(), TEST_CARD));
    }
}

impl Drop for Scene {
    /// After every attack: both processes still run, have stayed small, and serve.
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        self.honest_send("split");
        assert!(self.broker.is_running() && self.ben.child.try_wait().unwrap().is_none());
        for process in [self.broker.child.id(), self.ben.child.id()] {
            let peak = peak_memory(process).unwrap();
            assert!(peak < MEMORY, "{peak} bytes");
        }
    }
}

/// Bytes without any order.
fn noise(length: usize) -> Vec<u8> {
    fresh().repeat(length.div_ceil(32))
}

fn control(rest: &[u8]) -> Vec<u8> {
    [b"P2PG\x01\x01\xff\xff", rest].concat()
}

#[test]
fn garbage_ends_in_a_closed_connection() {
    let scene = Scene::new();
    let openings = [
        b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![0; 1 << 20],
        noise(1 << 20),
        // Another version, no such role, records under the least.
        b"P2PG\x00".to_vec(),
        b"P2PG\x02".to_vec(),
        b"P2PG\x01\x00".to_vec(),
        b"P2PG\x01\x04".to_vec(),
        b"P2PG\x01\x01\x00\x01".to_vec(),
        [&b"P2PG\x01\x03\x10\x00"[..], &fresh()].concat(),
        // Records without anything, of the most, too short and too long for a handshake.
        control(&[0, 0]),
        control(&[0xff; 1 << 17]),
        control(&[&[0, 31][..], &[7; 31]].concat()),
        control(&[&[1, 255][..], &[7; 511]].concat()),
        // As long as message 1 is, with keys of nothing and of anything.
        control(&[&[0, 96][..], &[0; 96]].concat()),
        control(&[&[0, 96][..], &noise(96)].concat()),
    ];
    for target in scene.targets() {
        for opening in &openings {
            let mut stream = connect(target);
            // It may be closed while we write.
            let _ = stream.write_all(opening);
            let said = last_words(&mut stream);
            assert!(said.is_empty(), "{target} answers {opening:.20?} by {said:?}");
        }
        // Without end.
        let mut stream = connect(target);
        let block = noise(1 << 16);
        assert!((0..1 << 14).any(|_| stream.write_all(&block).is_err()), "{target} has taken a gigabyte");
    }
}

#[test]
fn half_messages_and_slow_senders_are_closed_and_hold_nobody_up() {
    let mut scene = Scene::new();
    let attacks: Vec<_> = scene
        .targets()
        .into_iter()
        .flat_map(|target| {
            [&b""[..], b"P2PG\x01", b"P2PG\x01\x02\x10\x00half", b"P2PG\x01\x03\x00\x00half"]
                .map(|half| (target, half.to_vec()))
        })
        .chain([&[][..], &[0], &[0, 96, 1, 2, 3]].map(|half| (scene.stage.address, control(half))))
        .map(|(target, half)| {
            let mut stream = connect(target);
            stream.write_all(&half).unwrap();
            thread::spawn(move || assert!(last_words(&mut stream).is_empty()))
        })
        .collect();
    let slow = scene.targets().map(|target| {
        let mut stream = connect(target);
        thread::spawn(move || {
            let message = [b"P2PG\x01\x02\x10\x00", &noise(1 << 10)[..]].concat();
            let written = message.iter().take_while(|byte| {
                thread::sleep(Duration::from_secs(1));
                stream.write_all(&[**byte]).is_ok()
            });
            // Not even the preamble got through.
            assert!(written.count() < 24);
            assert!(last_words(&mut stream).is_empty());
        })
    });
    scene.honest_send("confidential");
    for attack in attacks.into_iter().chain(slow) {
        attack.join().unwrap();
    }
}

#[test]
fn what_no_terminal_says_is_answered_by_400_and_the_end() {
    let scene = Scene::new();
    let mallory = Mallory::enrol(&scene.stage);
    let texts: [&[u8]; 17] = [
        b"",
        b"\n",
        b"FROBNICATE\n",
        b"hello\nIdentifier:mallory\n",
        b"NOTIFY\n",
        b"NOTIFY\nStatus:200 Welcome.\n",
        b"REQUEST\nIdentifier:mallory\nPassword:p\n",
        b"HELLO\nIdentifier:mallory\n",
        b"QUERY\n",
        b"QUERY\nIdentifier:mallory\n",
        b"QUERY\nIdentifier:mallory\nCallee:\n",
        b"PING\nTransaction:99999999999999999999\n",
        b"PING\nTransaction:-1\n",
        b"PING\nTransaction:1\nTransaction:2\n",
        b"PING\r\n",
        b"PING\nX:\x00\n",
        b"\xff\xfe\xfd",
    ];
    for text in texts {
        let shown = String::from_utf8_lossy(text);
        // Before HELLO, and behind it.
        let mut links = vec![mallory.online(&scene.stage)];
        if !text.starts_with(b"HELLO") {
            links.push(Link::control(&scene.stage, &mallory.secret));
        }
        for mut link in links {
            link.send(text);
            let answer = link.next().unwrap_or_default();
            assert!(answer.starts_with("NOTIFY\nStatus:400 "), "{shown:?}: {answer:?}");
            assert_eq!(link.next(), None, "{shown:?}");
        }
    }
    // Damaged on its way: there is nobody to answer.
    let mut link = mallory.online(&scene.stage);
    let mut record = link.seal(b"PING\n");
    record[20] ^= 1;
    link.stream.write_all(&record).unwrap();
    assert_eq!(link.next(), None);
    // In the name of another.
    let mut link = mallory.online(&scene.stage);
    let answer = link.ask("REGISTER\nIdentifier:ben\nAccept:Create mallory\nRevision:99\n");
    assert!(answer.contains("Status:403"), "{answer}");
}

#[test]
fn identifiers_of_any_length_are_refused_and_not_kept() {
    let scene = Scene::new();
    let mallory = Mallory::enrol(&scene.stage);
    let long = vec![b'x'; 10_000_000];
    // In clear, where a handshake belongs.
    for target in scene.targets() {
        let mut stream = connect(target);
        let _ = stream.write_all(&[&control(b"HELLO\nIdentifier:")[..], &long].concat());
        assert!(last_words(&mut stream).is_empty());
    }
    // In records of the most that the broker takes; and all of it as the list's.
    for start in [
        "HELLO\nIdentifier:",
        "REGISTER\nIdentifier:mallory\nRevision:1\nAccept:Create ",
        "QUERY\nIdentifier:mallory\nCallee:",
    ] {
        let mut link = if start.starts_with("HELLO") {
            Link::control(&scene.stage, &mallory.secret)
        } else {
            mallory.online(&scene.stage)
        };
        let text = [start.as_bytes(), &long].concat();
        for piece in text.chunks(link.max_payload()) {
            link.send(piece);
        }
        let answer = link.next().unwrap_or_default();
        assert!(answer.starts_with("NOTIFY\nStatus:400 "), "{start}: {answer:?}");
        assert_eq!(link.next(), None);
    }
    // The longest that a command line takes.
    let argument = "x".repeat(100_000);
    assert_eq!(scene.stage.fail("anna", &argument, TEST_CARD, &[]).0, 2);
    assert_eq!(scene.stage.run("anna", "allow", &["--add", &argument]).status.code(), Some(2));
}

#[test]
fn guessed_handles_and_tokens_open_nothing() {
    let scene = Scene::new();
    for target in scene.targets() {
        for _ in 0..50 {
            let peer = [&b"P2PG\x01\x02\xff\xff"[..], &fresh()[..16], &[0, 96], &noise(96)].concat();
            let lane = [&b"P2PG\x01\x03\x00\x00"[..], &fresh(), &noise(1 << 10)].concat();
            for opening in [peer, lane] {
                let mut stream = connect(target);
                let _ = stream.write_all(&opening);
                assert!(last_words(&mut stream).is_empty());
            }
        }
    }
}

#[test]
fn a_thousand_idle_connections_keep_nobody_out() {
    // Each of them is a file of this process.
    let limit = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let mut scene = Scene::new();
    let [broker, ben] = scene.targets();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // All the places for callers who have said nothing yet are taken, again and again.
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let crowd: Vec<TcpStream> = (0..20).map(|_| connect(ben)).collect();
                thread::sleep(Duration::from_millis(200));
                drop(crowd);
            }
        });
        // From four sources: one alone does not get as many.
        let crowds = [broker, ben].map(|target| {
            (0..1_000_u16).map(|at| connect_from(2 + (at % 4) as u8, target)).collect::<Vec<_>>()
        });
        scene.honest_send("confidential");
        scene.honest_send("public");
        for mut stream in crowds.into_iter().flatten() {
            assert!(last_words(&mut stream).is_empty());
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_permitted_caller_without_manners_is_closed_as_well() {
    let scene = Scene::new();
    let mallory = Mallory::enrol(&scene.stage);
    scene.stage.done("ben", "allow", &["--add", "mallory"]);
    let mut online = mallory.online(&scene.stage);
    // The receiving process looks at its list from time to time.
    let mut grant = eventually(|| mallory.grant(&mut online));
    let mut next_grant = || mallory.grant(&mut online).unwrap();

    // A wrong key tells nothing; a wrong password is told so, and spends the grant.
    let psk = std::mem::replace(&mut grant.psk, [7; 32]);
    assert!(mallory.call(&grant, &grant.password).is_none());
    grant.psk = psk;
    let (mut link, answer) = mallory.call(&grant, "AAAAAAAAAAAAAAAAAAAAAA==").unwrap();
    assert!(answer.contains("Permission Denied."), "{answer}");
    assert_eq!(link.next(), None);
    assert!(mallory.call(&grant, &grant.password).is_none());

    // Longer than message 1 may be; half of it is closed by the deadline.
    let grant = next_grant();
    for rest in [&[0xff; 1 << 10][..], &[0, 96, 1]] {
        let mut stream = connect(grant.address);
        let preamble = [&b"P2PG\x01\x02\xff\xff"[..], &grant.handle].concat();
        stream.write_all(&[&preamble, rest].concat()).unwrap();
        assert!(last_words(&mut stream).is_empty());
    }
    // Both were tries without the key, of which a grant has a few.
    assert!(mallory.call(&grant, &grant.password).is_some_and(|(_, answer)| answer.contains("Accepted")));

    for text in [
        &b"FROBNICATE\n"[..],
        b"",
        b"\xff\xfe",
        b"HELLO\nIdentifier:mallory\n",
        b"LANE\nClass:everything\nTransaction:1\n",
        b"TRANSFER\nCaller:anna\nCallee:ben\nSize:99999999999999999999\nTransaction:1\n",
    ] {
        let grant = next_grant();
        let (mut link, answer) = mallory.call(&grant, &grant.password).unwrap();
        assert!(answer.contains("Request Accepted."), "{answer}");
        link.send(text);
        // Whatever it says, it ends.
        while link.next().is_some() {}
    }
    // Nothing came of any of it.
    assert_eq!(std::fs::read_dir(&scene.ben.out).unwrap().count(), 0);
}
