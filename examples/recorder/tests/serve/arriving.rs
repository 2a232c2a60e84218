//! Recordings that are still on their way.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};
use std::time::Duration;

use p2pgate_recorder::incoming::{Description, Incoming};
use rustix::process::{Pid, Signal, kill_process};

use crate::common::{Stage, eventually};
use crate::house::{House, ask, client, content, open, parse};

const SIZE: usize = 1 << 20;

fn begin(house: &House, name: &str) -> Incoming {
    let what = Description { peer: "anna", name, size: SIZE as u64, source: b"source" };
    let mut incoming = Incoming::open(house.folder.path(), &what, false).unwrap();
    incoming.show_on(house.serving.shelf()).unwrap();
    incoming
}

/// Reads so many bytes behind the head.
fn body(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut all = Vec::new();
    let mut byte = [0];
    while !all.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        all.push(byte[0]);
    }
    assert!(all.starts_with(b"HTTP/1.1 20"), "{}", String::from_utf8_lossy(&all));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    body
}

#[test]
fn v13_a_recording_is_read_while_it_arrives() {
    let house = House::new();
    let all = content(SIZE);
    let mut incoming = begin(&house, "film.mpg");
    let get = "GET /recordings/film.mpg HTTP/1.1\r\nHost: localhost\r\n";
    // Before its first byte.
    let mut early = open(house.address(), &format!("{get}\r\n"));
    incoming.write(0, &all[..SIZE / 2]).unwrap();
    assert!(body(&mut early, SIZE / 4) == all[..SIZE / 4]);

    let page = house.get("/", "").text();
    assert!(page.contains("film.mpg") && page.contains("arriving, 50 %"), "{page}");
    let head = house.ask("HEAD /recordings/film.mpg HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!(head.header("content-length").unwrap(), SIZE.to_string());
    // Otherwise a player looks for the end first, and waits for it.
    assert_eq!(head.header("accept-ranges"), Some("none"));
    let part = |range: &str| house.get("/recordings/film.mpg", &format!("Range: bytes={range}\r\n"));
    let there = part("1000-1999");
    assert_eq!((there.status(), there.body), (206, all[1000..2000].to_vec()));
    for beyond in [format!("{}-", SIZE - 10), "-10".to_owned()] {
        assert_eq!(part(&beyond).status(), 416, "{beyond}");
    }
    // A player that asks for all of it by a range is not told that it could ask for others.
    let mut linear = open(house.address(), &format!("{get}Range: bytes=0-\r\n\r\n"));
    let mut midway = open(house.address(), &format!("{get}Range: bytes={}-\r\n\r\n", SIZE / 2 - 5));
    incoming.write((SIZE / 2) as u64, &all[SIZE / 2..]).unwrap();
    assert_eq!(incoming.finish().unwrap(), house.path("film.mpg"));
    assert!(body(&mut linear, SIZE) == all);
    assert!(body(&mut midway, SIZE / 2 + 5) == all[SIZE / 2 - 5..]);
    let mut rest = Vec::new();
    early.read_to_end(&mut rest).unwrap();
    assert!(rest == all[SIZE / 4..]);
    // From then on like any other.
    let whole = house.get("/recordings/film.mpg", "Range: bytes=-10\r\n");
    assert_eq!((whole.status(), whole.header("accept-ranges")), (206, Some("bytes")));
    assert_ne!(whole.header("etag"), head.header("etag"));
}

#[test]
fn v13_a_recording_that_breaks_off_ends_whoever_reads_it() {
    let house = House::new();
    let all = content(SIZE);
    let mut incoming = begin(&house, "film.mpg");
    incoming.write(0, &all[..SIZE / 2]).unwrap();
    let mut reader = open(house.address(), "GET /recordings/film.mpg HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert!(body(&mut reader, 1000) == all[..1000]);
    drop(incoming);
    let mut rest = Vec::new();
    // Too little for the length that was told: a client knows.
    let _ = reader.read_to_end(&mut rest);
    assert!(rest.len() < SIZE - 1000 && all[1000..].starts_with(&rest));
    assert_eq!(house.get("/recordings/film.mpg", "").status(), 404);
    assert!(!house.get("/", "").text().contains("film.mpg"));
    // It comes again, from where it stopped.
    let mut incoming = begin(&house, "film.mpg");
    let there = incoming.written() as usize;
    assert!(there > 0);
    incoming.write(there as u64, &all[there..]).unwrap();
    incoming.finish().unwrap();
    assert!(house.get("/recordings/film.mpg", "").body == all);
}

#[test]
fn v13_nobody_waits_for_ever_for_a_sender_that_is_silent() {
    let house = House::bounded(|limits| limits.arrival = Duration::from_millis(200));
    let all = content(SIZE);
    let mut incoming = begin(&house, "film.mpg");
    incoming.write(0, &all[..SIZE / 2]).unwrap();
    let answer = house.get("/recordings/film.mpg", "");
    assert!(answer.body.len() < SIZE && all.starts_with(&answer.body));
}

#[test]
fn v13_two_of_one_name_on_their_way_are_two() {
    let house = House::new();
    house.put("film.mpg", b"old");
    let all = content(SIZE);
    let mut first = begin(&house, "film.mpg");
    let what = Description { peer: "carl", name: "film.mpg", size: 4, source: b"" };
    let mut second = Incoming::open(house.folder.path(), &what, false).unwrap();
    second.show_on(house.serving.shelf()).unwrap();
    first.write(0, &all).unwrap();
    assert!(house.get("/recordings/film%20(1).mpg", "").body == all);
    second.write(0, b"four").unwrap();
    assert_eq!(first.finish().unwrap(), house.path("film (1).mpg"));
    assert_eq!(second.finish().unwrap(), house.path("film (2).mpg"));
    assert_eq!(house.get("/recordings/film.mpg", "").body, b"old");
    assert_eq!(house.get("/recordings/film%20(2).mpg", "").body, b"four");
}

/// A process that stands still; it goes on when dropped.
struct Stopped<'a>(&'a Child);

impl<'a> Stopped<'a> {
    fn new(child: &'a Child) -> Self {
        signal(child, Signal::STOP);
        Self(child)
    }
}

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        signal(self.0, Signal::CONT);
    }
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

#[test]
fn v13_receive_serves_what_a_sender_is_still_sending() {
    let stage = Stage::pair();
    let mut receiving = stage.receive("ben", &["--serve", "127.0.0.1:0"]);
    let line = receiving.line();
    let url = line.strip_prefix("serving ").unwrap().to_owned();
    let address = url.trim_start_matches("http://").trim_end_matches('/').parse().unwrap();
    let all = content(128 << 20);
    let file = stage.path("long film.mpg");
    fs::write(&file, &all).unwrap();
    let file = file.to_str().unwrap();
    let mut sender = stage
        .command("anna", "send", &["--to", "ben", file, "--as", "public"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let stopped = {
        receiving.partial(1);
        Stopped::new(&sender)
    };
    let path = "/recordings/long%20film.mpg";
    let part =
        ask(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nRange: bytes=100-199\r\n\r\n"));
    assert_eq!((part.status(), part.header("accept-ranges")), (206, Some("none")), "the sender was too fast");
    assert!(part.body == all[100..200]);
    let mut stream = open(address, &format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    let curl = client("curl").map(|mut curl| {
        curl.args(["-sS", "--fail", &format!("{}{}", url.trim_end_matches('/'), path)]);
        let child = curl.stdout(Stdio::piped()).spawn().unwrap();
        std::thread::spawn(move || child.wait_with_output().unwrap())
    });
    let start = body(&mut stream, 1000);
    drop(stopped);
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert!(start == all[..1000] && rest == all[1000..]);
    if let Some(curl) = curl {
        let output = curl.join().unwrap();
        assert!(output.status.success() && output.stdout == all, "{:?}", output.status);
    }
    assert!(sender.wait().unwrap().success());
    let placed = receiving.received();
    assert!(fs::read(&placed).unwrap() == all);
    // It takes its leave, and ends as by the signal.
    signal(&receiving.child, Signal::TERM);
    let status = eventually(|| receiving.child.try_wait().unwrap());
    assert_eq!(status.code(), Some(143));
}

#[test]
fn v13_nothing_is_served_unless_asked_for() {
    let stage = Stage::pair();
    let receiving = stage.receive("ben", &[]);
    let process = receiving.child.id();
    let listening = fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let sockets: Vec<String> = fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|entry| fs::read_link(entry.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| link.strip_prefix("socket:[")?.strip_suffix(']').map(str::to_owned))
        .collect();
    // State 0A is LISTEN; the tenth field is the socket's inode.
    let own = listening.lines().filter(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields.get(3) == Some(&"0A")
            && fields.get(9).is_some_and(|inode| sockets.iter().any(|own| own == inode))
    });
    assert_eq!(own.count(), 1, "only the port for callers");
}

#[test]
fn v13_half_a_request_gets_no_recording() {
    let house = House::new();
    house.put("film.mpg", b"film");
    let mut stream = TcpStream::connect(house.address()).unwrap();
    stream.write_all(b"GET /recordings/film.mpg HTTP/1.1\r\nHost: local").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(all.is_empty() || parse(&all).status() == 400);
}
