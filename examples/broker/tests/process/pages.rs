//! The admin pages, by a plain TCP client.

use crate::support::*;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

fn serve(data: &Path) -> Served {
    Served::start_with(data, &["--admin", "127.0.0.1:0"])
}

/// The whole answer.
fn answer(address: SocketAddr, request: &str) -> String {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The answer's body, which is as long as it says.
pub(crate) fn get(address: SocketAddr, path: &str, status: &str) -> String {
    let text = answer(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n"));
    assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("\r\nContent-Length: {}\r\n", body.len())), "{head}");
    body.to_owned()
}

/// A metric's value.
fn metric(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

#[test]
fn metrics_tell_what_happens() {
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    assert_eq!(get(admin, "/healthz", "200"), "ok\n");
    assert_eq!(get(admin, "/readyz", "200"), "ready\n");
    assert_eq!(metric(&get(admin, "/metrics", "200"), "p2pgate_broker_terminals"), 0);

    let mut alice = served.enrol(data, "alice", 1);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    let handle = grant(&mut alice, &mut bob);
    let [mut one, mut other] = lane(served.address, &mut alice, &handle, 1000);
    one.write_all(b"before").unwrap();
    let mut six = [0; 6];
    other.read_exact(&mut six).unwrap();
    let answer = bob.ask("QUERY\nIdentifier:bob\nCallee:alice\n");
    assert!(answer.starts_with("NOTIFY\nPermission Denied."), "{answer}");
    let mut stranger = Terminal::dial(served.address, &served.key, 9);
    assert!(stranger.ask("HELLO\nIdentifier:alice\n").contains("Status:401"));

    let text = get(admin, "/metrics", "200");
    assert!(text.ends_with("# EOF\n"));
    for (name, value) in [
        ("terminals", 2),
        ("terminals_online", 2),
        ("terminals_listening", 2),
        ("grants", 1),
        ("relays", 1),
        ("relayed_bytes_total", 6),
        ("deposits", 0),
        ("queries_ended_total{outcome=\"granted\",cause=\"\"}", 1),
        ("queries_ended_total{outcome=\"not permitted\",cause=\"\"}", 1),
        ("refusals_total{what=\"link\",cause=\"not enrolled\"}", 1),
    ] {
        assert_eq!(metric(&text, &format!("p2pgate_broker_{name}")), value, "{name}");
    }
    assert!(metric(&text, "p2pgate_broker_connections_accepted_total") >= 5);
    assert!(!text.contains("alice"), "a metric names nobody");
    let [free, disk] =
        ["disk_free_bytes", "disk_bytes"].map(|name| metric(&text, &format!("p2pgate_broker_{name}")));
    assert!(0 < free && free <= disk);

    // The count goes on when lanes end, and never back.
    drop((one, other));
    loop {
        let text = get(admin, "/metrics?again", "200");
        assert_eq!(metric(&text, "p2pgate_broker_relayed_bytes_total"), 6);
        if metric(&text, "p2pgate_broker_relays") == 0 {
            break;
        }
    }
}

#[test]
fn the_status_page_says_who_is_online_and_keeps_secrets() {
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    let ticket = ticket(data, "carol");
    let mut alice = served.enrol(data, "<script>alice</script>", 1);
    let page = get(admin, "/", "200");
    assert!(page.contains("&lt;script&gt;alice&lt;/script&gt;<td>can be called"), "{page}");
    assert!(!page.contains("<script"));
    assert!(page.contains("<tr><td>Terminals that can be called<td>1"));
    assert!(!page.contains(&ticket) && !page.contains(&secret_key(1).public_key().to_string()));
    let question = alice.ask("QUERY\nIdentifier:<script>alice</script>\nCallee:nobody\n");
    assert!(question.starts_with("NOTIFY\n"));
    assert!(get(admin, "/", "200").contains("<tr><td>not permitted<td><td>1"));
}

/// In a real browser: everything is rendered, and nothing is refused by the page's own policy.
#[test]
fn the_status_page_in_a_browser() {
    let Some(browser) = ["chromium", "chromium-browser"].into_iter().find(|name| {
        Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success())
    }) else {
        assert!(std::env::var_os("P2PGATE_CHROMIUM").is_none(), "there is no chromium here");
        return println!("left out: chromium is not installed");
    };
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    let mut alice = served.enrol(data, "alice \u{1f4fa} <b>", 1);
    alice.ask("QUERY\nIdentifier:alice \u{1f4fa} <b>\nCallee:nobody\n");
    let mut command = Command::new(browser);
    command.args([
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
    ]);
    command.arg(format!("--user-data-dir={}", data.join("browser").display()));
    let output = command.arg("--dump-dom").arg(format!("http://{admin}/")).output().unwrap();
    let (page, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(page.contains("<td>alice \u{1f4fa} &lt;b&gt;</td><td>can be called</td>"), "{page}\n{log}");
    assert_eq!(page.matches("</svg>").count(), 5, "{page}");
    assert!(page.contains("Queries a minute: at most 1</figcaption>") && page.contains("<rect "), "{page}");
    assert!(!log.contains("CONSOLE"), "{log}");
}

#[test]
fn what_is_no_request_for_a_page_is_answered_so() {
    let folder = folder();
    let mut served = serve(folder.path());
    let admin = served.admin();
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(9_000));
    for (request, status) in [
        ("GET /secret HTTP/1.1\r\n\r\n", "404"),
        ("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", "405"),
        ("\0\r\n\r\n", "400"),
        (&*long, "431"),
        ("GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\nHost: elsewhere.example:80\r\n\r\n", "403"),
        ("GET / HTTP/1.1\r\nHost: localhost:9\r\n\r\n", "200"),
        ("GET / HTTP/1.1\r\nHost: [::1]:9\r\n\r\n", "200"),
        ("GET / HTTP/1.0\r\n\r\n", "200"),
    ] {
        let text = answer(admin, request);
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {text}");
    }
    // By bytes, as they come.
    let mut stream = connect(admin);
    for byte in b"GET /healthz HTTP/1.1\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.ends_with("\r\n\r\nok\n"), "{text}");
}

#[test]
fn visitors_are_bounded_and_hold_no_terminal_up() {
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    let silent: Vec<TcpStream> = (0..16).map(|_| connect(admin)).collect();
    let mut alice = served.enrol(data, "alice", 1);
    // More than there may be: closed without an answer.
    let mut more: Vec<TcpStream> = (0..50).map(|_| connect(admin)).collect();
    assert!(more.iter_mut().all(is_closed));
    assert!(alice.ask("PING\n").contains("Alive"));
    drop(silent);
    while !reached(admin) {
        std::thread::yield_now();
    }
}

fn reached(admin: SocketAddr) -> bool {
    let mut stream = connect(admin);
    let mut text = String::new();
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\n\r\n").is_ok();
    asked && stream.read_to_string(&mut text).is_ok() && text.contains(" 200 ")
}

#[test]
fn a_broker_that_stops_is_alive_and_not_ready() {
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    let mut alice = served.enrol(data, "alice", 1);
    let mut bob = served.enrol(data, "bob", 2);
    permit(&mut bob);
    let handle = grant(&mut alice, &mut bob);
    let [one, mut other] = lane(served.address, &mut alice, &handle, 1000);
    (&one).write_all(b"early").unwrap();
    other.read_exact(&mut [0; 5]).unwrap();
    served.signal(rustix::process::Signal::TERM);
    while TcpStream::connect(served.address).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(get(admin, "/healthz", "200"), "ok\n");
    assert_eq!(get(admin, "/readyz", "503"), "stopping\n");
    drop((one, other));
    assert!(served.child.wait().unwrap().success());
}

#[test]
fn a_broker_whose_store_does_not_write_is_not_ready() {
    let folder = folder();
    let data = folder.path();
    let mut served = serve(data);
    let admin = served.admin();
    let mut bob = served.enrol(data, "bob", 2);
    let mut tell = || bob.ask("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:4000\n");
    // Somebody else holds the store.
    let store = rusqlite::Connection::open(data.join("broker.sqlite")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(tell().contains("Status:503"));
    assert!(get(admin, "/readyz", "503").starts_with("the store does not write"));
    assert_eq!(get(admin, "/healthz", "200"), "ok\n");
    store.execute_batch("ROLLBACK").unwrap();
    assert!(tell().contains("Status:200"));
    assert_eq!(get(admin, "/readyz", "200"), "ready\n");
}

#[test]
fn other_machines_are_let_in_only_on_purpose() {
    let folder = folder();
    for address in ["0.0.0.0:0", "[::]:0"] {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", address, "--data"]);
        let output = command.arg(folder.path().join("data")).output().unwrap();
        assert_eq!(output.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&output.stderr).contains("--admin-exposed"));
        assert!(!folder.path().join("data").exists());
    }
    let mut served = Served::start_with(folder.path(), &["--admin", "0.0.0.0:0", "--admin-exposed"]);
    let admin = SocketAddr::from(([127, 0, 0, 1], served.admin().port()));
    let named = answer(admin, "GET /readyz HTTP/1.1\r\nHost: broker.example\r\n\r\n");
    assert!(named.starts_with("HTTP/1.1 200 "), "{named}");
}
