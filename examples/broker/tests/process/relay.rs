//! P9: what goes in at one end of a lane comes out at the other, byte for byte, in bounded memory.

use crate::support::*;
use p2pgate_broker::{Options, Server, Stop};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;
use tempfile::TempDir;

/// A broker with two terminals and a grant between them.
struct Stage {
    served: Served,
    alice: Terminal,
    bob: Terminal,
    handle: String,
    _folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let folder = folder();
        let served = Served::start(folder.path());
        let mut alice = served.enrol(folder.path(), "alice", 1);
        let mut bob = served.enrol(folder.path(), "bob", 2);
        permit(&mut bob);
        let handle = grant(&mut alice, &mut bob);
        Self { served, alice, bob, handle, _folder: folder }
    }

    fn lane(&mut self, size: u64) -> [TcpStream; 2] {
        lane(self.served.address, &mut self.alice, &self.handle, size)
    }
}

/// Writes in pieces of changing size, then ends this way.
fn write_all_of(mut stream: TcpStream, bytes: Vec<u8>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut rest = &bytes[..];
        let mut piece = 1;
        while !rest.is_empty() {
            let (now, later) = rest.split_at(piece.min(rest.len()));
            stream.write_all(now).unwrap();
            rest = later;
            piece = piece * 7 % 100_003 + 1;
        }
        stream.shutdown(Shutdown::Write).unwrap();
    })
}

/// Reads to the end, resting now and then.
fn read_slowly(mut stream: TcpStream) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let mut buffer = vec![0; 50_000];
        for turn in 1.. {
            match stream.read(&mut buffer).unwrap() {
                0 => break,
                length => all.extend_from_slice(&buffer[..length]),
            }
            if turn % 40 == 0 {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        all
    })
}

/// Megabytes both ways at once, to slow readers.
fn both_ways(one: &TcpStream, other: &TcpStream) {
    let there = pattern(3, 6_000_001);
    let back = pattern(5, 4_000_003);
    let writers = [(one, &there), (other, &back)]
        .map(|(end, bytes)| write_all_of(end.try_clone().unwrap(), bytes.clone()));
    let readers = [other, one].map(|end| read_slowly(end.try_clone().unwrap()));
    for writer in writers {
        writer.join().unwrap();
    }
    let [got_there, got_back] = readers.map(|reader| reader.join().unwrap());
    assert!(got_there == there, "{} of {} bytes", got_there.len(), there.len());
    assert!(got_back == back, "{} of {} bytes", got_back.len(), back.len());
}

#[test]
fn p9_a_lane_is_bit_exact_both_ways() {
    let mut stage = Stage::new();
    let [one, other] = stage.lane(10_000_000);
    both_ways(&one, &other);
    // Both links live, and the broker goes on.
    assert!(stage.alice.ask("PING\n").contains("Alive"));
    assert!(stage.bob.ask("PING\n").contains("Alive"));
}

/// A server in this process, with other options than the program has.
fn with_server(change: impl FnOnce(&mut Options), test: impl FnOnce(&Path, &Terminals, &Stop)) {
    let folder = folder();
    let mut options = Options::new(folder.path());
    options.listen = "127.0.0.1:0".parse().unwrap();
    change(&mut options);
    let server = Server::bind(options).unwrap();
    let (address, key, stop) = (server.local_addr(), server.public_key(), server.stop_handle());
    let running = std::thread::spawn(move || server.run());
    let terminals = Terminals { address, key };
    test(folder.path(), &terminals, &stop);
    stop.stop();
    running.join().unwrap().unwrap();
}

struct Terminals {
    address: std::net::SocketAddr,
    key: p2pgate::link::PublicKey,
}

impl Terminals {
    fn enrol(&self, data: &Path, identifier: &str, key: u8) -> Terminal {
        let ticket = p2pgate_broker::enrol(data, identifier).unwrap();
        let mut terminal = Terminal::dial(self.address, &self.key, key);
        let hello = format!("HELLO\nIdentifier:{identifier}\nListen:1\nTicket:{}\n", *ticket);
        assert!(terminal.ask(&hello).contains("Status:200"));
        terminal
    }

    fn lane(&self, data: &Path) -> (Terminal, Terminal, [TcpStream; 2]) {
        let (mut alice, mut bob) = (self.enrol(data, "alice", 1), self.enrol(data, "bob", 2));
        permit(&mut bob);
        let handle = grant(&mut alice, &mut bob);
        let ends = lane(self.address, &mut alice, &handle, 30_000_000);
        (alice, bob, ends)
    }
}

#[test]
fn p9_a_lane_that_is_copied_is_bit_exact_too() {
    with_server(
        |options| options.splice = false,
        |data, terminals, _| {
            let (_alice, _bob, [one, other]) = terminals.lane(data);
            both_ways(&one, &other);
        },
    );
}

#[test]
fn p9_what_comes_before_the_other_end_is_kept_for_it() {
    let mut stage = Stage::new();
    let answer = stage
        .alice
        .ask(&format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:1000000\nHandle:{}\n", stage.handle));
    let bytes = pattern(7, 1_000_000);
    let mut one = connect(stage.served.address);
    // Token and first bytes in one write, all of the rest before the receiver is there.
    let mut first = opening(value(&answer, "Token"));
    first.extend_from_slice(&bytes[..5000]);
    one.write_all(&first).unwrap();
    let writer = write_all_of(one, bytes[5000..].to_vec());
    assert!(stage.bob.ask("PING\n").contains("Alive"));
    let mut other = connect(stage.served.address);
    other.write_all(&opening(value(&answer, "Peer Token"))).unwrap();
    other.shutdown(Shutdown::Write).unwrap();
    let got = read_slowly(other).join().unwrap();
    writer.join().unwrap();
    assert!(got == bytes);
}

#[test]
fn p9_a_half_close_leaves_the_other_direction_open() {
    let mut stage = Stage::new();
    let [mut one, mut other] = stage.lane(1000);
    one.write_all(b"question").unwrap();
    one.shutdown(Shutdown::Write).unwrap();
    let mut question = Vec::new();
    other.read_to_end(&mut question).unwrap();
    assert_eq!(question, b"question");
    other.write_all(b"answer").unwrap();
    let mut answer = [0; 6];
    one.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"answer");
    drop(other);
    assert!(is_closed(&mut one));
}

#[test]
fn p9_an_end_that_is_lost_takes_the_other_with_it() {
    let mut stage = Stage::new();
    let [mut one, other] = stage.lane(1 << 30);
    // Bytes that it has not read make the system reset the connection.
    one.write_all(&pattern(1, 100_000)).unwrap();
    drop(other);
    let block = pattern(2, 100_000);
    while one.write_all(&block).is_ok() {}
    assert!(is_closed(&mut one));
    // Its place is free for the next.
    let [mut one, mut other] = stage.lane(10);
    one.write_all(b"0123456789").unwrap();
    let mut ten = [0; 10];
    other.read_exact(&mut ten).unwrap();
}

#[test]
fn p9_a_lane_is_cut_at_its_limit() {
    let mut stage = Stage::new();
    // Twice the size and 64 KiB, both ways together.
    let limit = 2 * 100_000 + 65_536;
    let [one, mut other] = stage.lane(100_000);
    let bytes = pattern(11, limit);
    write_all_of(one, bytes.clone()).join().unwrap();
    let mut got = Vec::new();
    other.read_to_end(&mut got).unwrap();
    assert!(got == bytes, "exactly the limit goes through");

    let [mut one, mut other] = stage.lane(100_000);
    let reader = std::thread::spawn(move || {
        let mut got = Vec::new();
        let end = other.read_to_end(&mut got);
        (got.len(), end.is_err())
    });
    let mut sent = 0;
    while one.write_all(&bytes[..10_000]).is_ok() {
        sent += 10_000;
        assert!(sent < 100 * limit, "it is never cut");
    }
    let (got, reset) = reader.join().unwrap();
    assert!(got <= limit && reset, "{got} bytes, reset: {reset}");
}

#[test]
fn p9_a_lane_held_back_is_not_idle_and_an_idle_one_ends() {
    with_server(
        |options| options.lane_idle = Duration::from_secs(1),
        |data, terminals, _| {
            let (mut alice, _bob, [mut one, mut other]) = terminals.lane(data);
            let bytes = pattern(13, 30_000_000);
            let writer = write_all_of(one.try_clone().unwrap(), bytes.clone());
            // More than all buffers on the way take, and a multiple of the idle time without a read: it waits.
            std::thread::sleep(Duration::from_secs(3));
            let mut got = vec![0; bytes.len()];
            other.read_exact(&mut got).unwrap();
            writer.join().unwrap();
            assert!(got == bytes);
            // Now nothing moves any more, and nothing is held back.
            assert!(is_closed(&mut other) && is_closed(&mut one));
            assert!(alice.ask("PING\n").contains("Alive"));
        },
    );
}

#[test]
fn p9_a_stalled_lane_does_not_hold_others_up() {
    let mut stage = Stage::new();
    let [stalled, _nobody_reads] = stage.lane(1 << 30);
    stalled.set_nonblocking(true).unwrap();
    let block = pattern(17, 1 << 20);
    // Until every buffer on the way is full, and stays so.
    let mut idle = 0;
    while idle < 20 {
        match (&stalled).write(&block) {
            Ok(written) => idle = if written > 0 { 0 } else { idle + 1 },
            Err(_) => {
                idle += 1;
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }
    let lanes: Vec<_> = (0..8).map(|_| stage.lane(10_000_000)).collect();
    for [one, other] in &lanes {
        both_ways(one, other);
    }
    assert!(stage.bob.ask("PING\n").contains("Alive"));
}

#[cfg(target_os = "linux")]
#[test]
fn p9_a_gigabyte_leaves_the_broker_under_32_mb() {
    let mut stage = Stage::new();
    let size = 1_000_000_000_usize;
    let [mut one, mut other] = stage.lane(size as u64);
    let block = pattern(19, 1 << 20);
    let reader = std::thread::spawn(move || {
        let mut buffer = vec![0; 1 << 20];
        let mut got = 0;
        loop {
            match other.read(&mut buffer).unwrap() {
                0 => return got,
                length => got += length,
            }
        }
    });
    let mut left = size;
    while left > 0 {
        let length = left.min(block.len());
        one.write_all(&block[..length]).unwrap();
        left -= length;
    }
    one.shutdown(Shutdown::Write).unwrap();
    assert_eq!(reader.join().unwrap(), size);
    let status = std::fs::read_to_string(format!("/proc/{}/status", stage.served.child.id())).unwrap();
    let peak = value(&status, "VmHWM").trim().trim_end_matches(" kB").parse::<u64>().unwrap();
    println!("the broker's peak: {peak} kB");
    assert!(peak < 32_000, "{peak} kB");
}

#[test]
fn p9_a_lane_keeps_to_the_rate_that_is_set_and_loses_nothing() {
    let (rate, length) = (8 << 20, 6 << 20);
    with_server(
        |options| options.relay_rate = Some(rate),
        |data, terminals, _| {
            let (_alice, _bob, [one, other]) = terminals.lane(data);
            let bytes = pattern(5, length);
            let started = std::time::Instant::now();
            let writing = write_all_of(one, bytes.clone());
            assert!(read_slowly(other).join().unwrap() == bytes);
            writing.join().unwrap();
            // It may be a tenth of a second ahead, and one turn of half a MiB.
            let least = Duration::from_millis((length as u64 - (1 << 20) - rate / 10) * 1_000 / rate);
            assert!(started.elapsed() >= least, "{:?} rather than {least:?}", started.elapsed());
        },
    );
}
