//! P7, V11: the broker tries the callee's address before it answers.

use crate::support::*;
use std::net::TcpListener;

/// Alice calls bob, who listens at `port`: M11.
fn told(served: &Served, data: &std::path::Path, port: u16) -> String {
    let mut alice = served.enrol(data, "alice", 1);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    assert!(
        bob.ask(&format!("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:{port}\n")).contains("Status:200")
    );
    alice.send("QUERY\nIdentifier:alice\nCallee:bob\n");
    for text in ["STATUS Acceptable.", "Request Accepted."] {
        let number = value(&bob.text(), "Transaction").to_owned();
        bob.send(&format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    }
    assert!(alice.text().starts_with("NOTIFY\nRequest Accepted.\n"));
    alice.text()
}

#[test]
fn p7_an_address_that_answers_is_told_and_hears_nothing_of_it() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--reach-seconds", "10"]);
    let callee = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = callee.local_addr().unwrap().port();
    let m11 = told(&served, folder.path(), port);
    assert_eq!((value(&m11, "Callee Address"), value(&m11, "Port")), ("127.0.0.1", &*port.to_string()));
    let (mut tried, _) = callee.accept().unwrap();
    assert!(is_closed(&mut tried));
    callee.set_nonblocking(true).unwrap();
    assert!(callee.accept().is_err(), "once");
}

#[test]
fn p7_a_caller_is_not_sent_to_where_nobody_answers() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--reach-seconds", "1"]);
    // A port at which nobody is.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let m11 = told(&served, folder.path(), port);
    assert_eq!(value(&m11, "Port"), "0", "{m11}");
}

#[test]
fn p7_who_says_nothing_at_all_counts_as_silent_after_the_time_that_is_set() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--reach-seconds", "1"]);
    // Linux takes no further connection of a listener whose queue is full, and says nothing.
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &std::net::SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&socket, 0).unwrap();
    let full = TcpListener::from(socket);
    let address = full.local_addr().unwrap();
    let waiting: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = mio::net::TcpStream::connect(address).unwrap();
            let _ = std::io::Write::write(&mut stream, b"x");
            stream
        })
        .collect();
    let m11 = told(&served, folder.path(), address.port());
    assert_eq!(value(&m11, "Port"), "0", "{m11}");
    drop(waiting);
}
