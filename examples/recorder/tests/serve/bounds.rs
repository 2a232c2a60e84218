//! Whoever asks for too much, or takes too long.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::common::eventually;
use crate::house::{House, content};

/// Whether the server has ended a connection.
fn is_over(stream: &mut TcpStream) -> bool {
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    }
}

#[test]
fn v13_silent_and_slow_requests_end() {
    let house = House::bounded(|limits| limits.idle = Duration::from_millis(200));
    let mut silent = TcpStream::connect(house.address()).unwrap();
    assert!(is_over(&mut silent));
    let mut half = TcpStream::connect(house.address()).unwrap();
    half.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ").unwrap();
    assert!(is_over(&mut half));
    // Kept open after an answer, and then nothing.
    let mut kept = TcpStream::connect(house.address()).unwrap();
    kept.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    assert!(is_over(&mut kept));
    // A call whose body does not come.
    let mut call = TcpStream::connect(house.address()).unwrap();
    call.write_all(
        b"POST /upnp/ContentDirectory HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
          SOAPAction: \"urn:schemas-upnp-org:service:ContentDirectory:1#Browse\"\r\n\r\n<",
    )
    .unwrap();
    assert!(is_over(&mut call));
}

#[test]
fn v13_heads_and_bodies_are_bounded() {
    let house = House::new();
    let long = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX-Long: {}\r\n\r\n", "a".repeat(64 << 10));
    let many = format!("GET / HTTP/1.1\r\nHost: localhost\r\n{}\r\n", "X: y\r\n".repeat(500));
    for request in [long, many] {
        assert_eq!(house.ask(&request).status(), 431);
    }
    let body = "a".repeat(64 << 10);
    let call = format!(
        "POST /upnp/ContentDirectory HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\
         SOAPAction: \"urn:schemas-upnp-org:service:ContentDirectory:1#Browse\"\r\n\r\n{body}",
        body.len()
    );
    assert_eq!(house.ask(&call).status(), 413);
}

#[test]
fn v13_who_does_not_read_is_left() {
    let house = House::bounded(|limits| {
        limits.slow = Duration::from_millis(200);
        limits.from_one = 1;
    });
    // More than any socket's buffers hold.
    let file = std::fs::File::create(house.path("long.mpg")).unwrap();
    file.set_len(1 << 30).unwrap();
    let mut lazy = TcpStream::connect(house.address()).unwrap();
    lazy.write_all(b"GET /recordings/long.mpg HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // Its place is free again, though it is still open at this end.
    eventually(|| {
        let mut next = TcpStream::connect(house.address()).ok()?;
        next.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = Vec::new();
        next.read_to_end(&mut answer).ok()?;
        answer.starts_with(b"HTTP/1.1 200").then_some(())
    });
    drop(lazy);
}

#[test]
fn v13_connections_are_bounded() {
    let house = House::bounded(|limits| limits.from_one = 3);
    house.put("film.mpg", &content(10));
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /recordings/film.mpg HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
        let mut start = [0; 12];
        stream.read_exact(&mut start).map(|()| start == *b"HTTP/1.1 200")
    };
    let mut kept: Vec<TcpStream> = (0..3).map(|_| TcpStream::connect(house.address()).unwrap()).collect();
    for stream in &mut kept {
        assert!(ask(stream).unwrap());
    }
    let mut one_more = TcpStream::connect(house.address()).unwrap();
    assert!(ask(&mut one_more).is_err());
    kept.pop();
    eventually(|| ask(&mut TcpStream::connect(house.address()).unwrap()).ok().filter(|answered| *answered));
}
