//! Bad input of any kind: the connection ends, and everybody else is served.

use crate::support::*;
use std::io::{Read, Write};
use std::net::TcpStream;

fn serve(test: impl FnOnce(&Served, &std::path::Path)) {
    let folder = folder();
    let served = Served::start(folder.path());
    test(&served, folder.path());
    // A whole grant still comes about, and the process ends well.
    let mut bob = served.enrol(folder.path(), "bob", 102);
    permit(&mut bob);
    grant(&mut served.enrol(folder.path(), "alice", 101), &mut bob);
    assert!(served.stop().success());
}

#[test]
fn garbage_ends_the_connection() {
    serve(|served, _| {
        let openings: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\nHost: broker\r\n\r\n",
            &[0; 100_000],
            b"P2PG\x02",
            b"P2PG\x01\x02\x10\x000123456789abcdef",
            b"P2PG\x01\x03\x00\x00never issued, thirty-two bytes in",
            b"P2PG\x01\x01\x10\x00\xff\xff",
        ];
        for opening in openings {
            let mut stream = connect(served.address);
            // It may close while we write.
            let _ = stream.write_all(opening);
            assert!(is_closed(&mut stream));
        }
        let mut stream = connect(served.address);
        let block = pattern(1, 1 << 20);
        while stream.write_all(&block).is_ok() {}
        assert!(is_closed(&mut stream));
    });
}

#[test]
fn oversized_and_damaged_records_end_the_link() {
    serve(|served, data| {
        let mut alice = served.enrol(data, "carol", 1);
        alice.stream.write_all(&[0xff, 0xff]).unwrap();
        assert!(alice.next().is_none());

        let mut alice = served.terminal("carol", 1);
        let mut record = alice.seal("PING\n");
        record[20] ^= 1;
        alice.stream.write_all(&record).unwrap();
        assert!(alice.next().is_none());

        let mut alice = served.terminal("carol", 1);
        let answer = alice.ask("FROBNICATE\n");
        assert!(answer.starts_with("NOTIFY\nStatus:400 "), "the answer comes before the end: {answer}");
        assert!(alice.next().is_none());
    });
}

#[test]
fn a_refused_hello_is_answered_though_more_has_been_sent() {
    serve(|served, _| {
        let mut stranger = Terminal::dial(served.address, &served.key, 1);
        let mut records = stranger.seal("HELLO\nIdentifier:nobody\n");
        for _ in 0..100 {
            records.extend(stranger.seal("PING\n"));
        }
        stranger.stream.write_all(&records).unwrap();
        assert!(stranger.text().contains("Status:401"));
        assert!(stranger.next().is_none());
    });
}

#[test]
fn slow_senders_hold_nobody_up() {
    serve(|served, data| {
        let halves: Vec<TcpStream> = (0..100)
            .map(|_| {
                let mut stream = connect(served.address);
                stream.write_all(b"P2PG\x01").unwrap();
                stream
            })
            .collect();
        let mut carol = served.enrol(data, "carol", 1);
        // Byte by byte is a way to send as well.
        let record = carol.seal("PING\nTransaction:7\n");
        for byte in record {
            carol.stream.write_all(&[byte]).unwrap();
        }
        assert!(carol.text().contains("Transaction:7"));
        // Many at once too.
        let records: Vec<u8> = (0..1000).flat_map(|_| carol.seal("PING\n")).collect();
        carol.stream.write_all(&records).unwrap();
        for _ in 0..1000 {
            assert!(carol.text().contains("Alive"));
        }
        drop(halves);
    });
}

#[test]
fn a_terminal_that_does_not_read_is_closed() {
    serve(|served, data| {
        let mut carol = served.enrol(data, "carol", 1);
        // Answers pile up until the broker has enough of it.
        let closed = (0..10_000_000).any(|_| {
            let record = carol.seal("PING\n");
            carol.stream.write_all(&record).is_err()
        });
        assert!(closed);
    });
}

#[test]
fn what_the_operators_socket_is_sent_is_checked() {
    serve(|_, data| {
        let ask = |bytes: &[u8]| {
            let mut stream = std::os::unix::net::UnixStream::connect(data.join("broker.sock")).unwrap();
            let _ = stream.write_all(bytes);
            let _ = stream.shutdown(std::net::Shutdown::Write);
            let mut answer = String::new();
            let _ = stream.read_to_string(&mut answer);
            answer
        };
        assert!(ask(b"frobnicate\n").starts_with("refused "));
        assert!(ask(b"enrol a,b\n").starts_with("refused "));
        assert_eq!(ask(b"enrol alice"), "");
        assert_eq!(ask(b"\xff\xfe\n"), "");
        assert_eq!(ask(&[b'x'; 100_000]), "");
    });
}

#[test]
fn connections_beyond_the_limit_of_open_files_wait_or_are_closed() {
    let folder = folder();
    let served = Served::start(folder.path());
    let id = rustix::process::Pid::from_child(&served.child);
    let files = rustix::process::Rlimit { current: Some(100), maximum: Some(100) };
    rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, files).unwrap();
    let crowd: Vec<TcpStream> = (0..150).map(|_| connect(served.address)).collect();
    drop(crowd);
    // Once they have gone there is room again.
    let mut stranger = Terminal::dial(served.address, &served.key, 1);
    assert!(stranger.ask("HELLO\nIdentifier:nobody\n").contains("Status:401"));
    assert!(served.stop().success());
}
