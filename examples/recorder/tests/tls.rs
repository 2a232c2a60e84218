//! The broker by TLS (V7), and a certificate in a ticket's place (V5).
//!
//! The recorder in C takes OpenSSL's headers and `make`; `P2PGATE_OPENSSL=required` makes it an error that they are missing.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use common::{Stage, TEST_CARD, TEST_CARD_BYTES, eventually, same};
use p2pgate_broker::{Options, Secured, TlsFiles};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

/// An authority, and what it has signed for `names`: in `folder`, as NAME.pem and NAME.key, its own certificate as CA.pem.
fn authority(folder: &Path, ca: &str, names: &[(&str, &str)]) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, ca);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    fs::write(folder.join(format!("{ca}.pem")), issuer.pem()).unwrap();
    for (name, host) in names {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![(*host).to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, *name);
        fs::write(folder.join(format!("{name}.pem")), params.signed_by(&key, &issuer).unwrap().pem())
            .unwrap();
        fs::write(folder.join(format!("{name}.key")), key.serialize_pem()).unwrap();
    }
}

fn secured(options: &mut Options) {
    let folder = options.data.parent().unwrap().to_owned();
    if !folder.join("house.pem").exists() {
        authority(&folder, "house", &[("broker", "127.0.0.1"), ("clara", "x"), ("dora", "x")]);
        authority(&folder, "others", &[("eve", "x")]);
    }
    options.tls = Some(Secured {
        listen: ([127, 0, 0, 1], 0).into(),
        files: TlsFiles {
            certificates: folder.join("broker.pem"),
            key: folder.join("broker.key"),
            client_authorities: Some(folder.join("house.pem")),
            revoked_clients: None,
        },
    });
}

/// The arguments of `init` by TLS, which trusts `ca`.
fn by_tls<'a>(stage: &'a Stage, name: &'a str, ca: &str) -> Vec<String> {
    let file = |name: &str| stage.path(name).to_str().unwrap().to_owned();
    let address = stage.tls.unwrap().to_string();
    ["--id", name, "--broker", &address, "--broker-key", &stage.key, "--tls", "--tls-ca", &file(ca)]
        .map(str::to_owned)
        .to_vec()
}

fn init(stage: &Stage, name: &str) {
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), name).unwrap().to_string();
    let mut arguments = by_tls(stage, name, "house.pem");
    arguments.extend(["--ticket".to_owned(), ticket]);
    stage.done(name, "init", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Runs `init`: exit code and what it says.
fn try_init(stage: &Stage, name: &str, arguments: &[String]) -> (i32, String) {
    let output = stage.run(name, "init", &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn v7_recordings_travel_whatever_end_has_tls_around_it() {
    let stage = Stage::with(secured);
    init(&stage, "anna");
    init(&stage, "ben");
    stage.init("carl");
    stage.done("ben", "allow", &["--create", "anna,carl"]);
    stage.done("carl", "allow", &["--create", "anna"]);
    assert!(stage.done("anna", "show", &[]).contains(" TLS\n"));
    let large = stage.path("large.bin");
    let bytes: Vec<u8> = (0..5_000_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
    fs::write(&large, &bytes).unwrap();
    let large = large.to_str().unwrap();
    let mut ben = stage.receive("ben", &[]);
    let mut carl = stage.receive("carl", &[]);

    // Both ends by TLS, one end, the other.
    for (from, to) in [("anna", "ben"), ("carl", "ben"), ("anna", "carl")] {
        let receiving = if to == "ben" { &mut ben } else { &mut carl };
        let report = stage.send(from, to, large, &[]);
        assert_eq!(report["path"]["relay_sealed"], bytes.len(), "{report}");
        assert!(same(Path::new(large), receiving.received()), "{from} to {to}");
        let report = stage.send(from, to, TEST_CARD, &["--as", "split"]);
        assert_eq!(report["bytes"], TEST_CARD_BYTES);
        assert!(report["path"]["direct_clear"].as_u64().unwrap() > 0);
        assert!(same(Path::new(TEST_CARD), receiving.received()), "{from} to {to}");
    }
}

#[test]
fn v7_deposits_by_tls() {
    let stage = Stage::with(secured);
    init(&stage, "anna");
    init(&stage, "ben");
    stage.done("ben", "allow", &["--create", "anna"]);
    stage.done("anna", "allow", &["--create", "ben"]);
    drop(stage.receive("ben", &[]));
    let large = stage.path("large.bin");
    fs::write(&large, vec![7; 3_000_000]).unwrap();
    stage.send("anna", "ben", large.to_str().unwrap(), &["--deposit", "always"]);
    assert!(same(&large, stage.receive("ben", &[]).received()));
}

#[test]
fn v7_nothing_but_tls_is_taken_at_its_port() {
    let stage = Stage::with(secured);
    let mut stream = TcpStream::connect(stage.tls.unwrap()).unwrap();
    stream.write_all(b"P2PG\x01\x01\x20\x00").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.len() <= 7, "at most an alert: {rest:?}");
    stage.init("anna");
}

#[test]
fn v7_a_broker_whose_certificate_does_not_count_gets_nothing() {
    let stage = Stage::with(secured);
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "anna").unwrap().to_string();
    let mut arguments = by_tls(&stage, "anna", "others.pem");
    arguments.extend(["--ticket".to_owned(), ticket.clone()]);
    let (code, said) = try_init(&stage, "anna", &arguments);
    assert!(code == 7 && said.contains("UnknownIssuer") && said.contains("--tls-ca"), "{code} {said}");
    // A name that is not in the certificate.
    let mut arguments = by_tls(&stage, "anna", "house.pem");
    let port = stage.tls.unwrap().port();
    arguments[3] = format!("localhost:{port}");
    arguments.extend(["--ticket".to_owned(), ticket.clone()]);
    let (code, said) = try_init(&stage, "anna", &arguments);
    assert!(code == 7 && said.contains("not valid for name"), "{code} {said}");
    // The ticket is still good, and nothing was left behind.
    let mut arguments = by_tls(&stage, "anna", "house.pem");
    arguments.extend(["--ticket".to_owned(), ticket]);
    assert_eq!(try_init(&stage, "anna", &arguments).0, 0);
}

#[test]
fn v5_a_certificate_enrols_its_name_and_no_other() {
    let stage = Stage::with(secured);
    let certified = |id: &str, certificate: &str| {
        let mut arguments = by_tls(&stage, id, "house.pem");
        for (flag, end) in [("--tls-cert", "pem"), ("--tls-key", "key")] {
            let file = stage.path(&format!("{certificate}.{end}"));
            arguments.extend([flag.to_owned(), file.to_str().unwrap().to_owned()]);
        }
        arguments
    };
    let (code, said) = try_init(&stage, "frank", &certified("frank", "clara"));
    assert_eq!(code, 3, "another's name: {said}");
    let (code, said) = try_init(&stage, "eve", &certified("eve", "eve"));
    assert!(code == 7 && said.contains("TLS"), "another authority's: {code} {said}");
    assert_eq!(try_init(&stage, "clara", &certified("clara", "clara")), (0, String::new()));
    // The identifier is taken: the certificate is no means of having it served to another key.
    let mut again = certified("clara", "clara");
    again.extend(["--state".to_owned(), stage.path("second").to_str().unwrap().to_owned()]);
    let output = common::recorder().arg("init").args(&again).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    // From then on its key is who it is.
    stage.init("ben");
    stage.done("clara", "allow", &["--create", "ben"]);
    let mut clara = stage.receive("clara", &[]);
    stage.send("ben", "clara", TEST_CARD, &[]);
    assert!(same(Path::new(TEST_CARD), clara.received()));
}

/// The recorder in C with TLS, if it can be built here.
fn c_recorder() -> Option<PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    PROGRAM.get_or_init(build_c_recorder).clone()
}

fn build_c_recorder() -> Option<PathBuf> {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let probe = Command::new("sh")
        .args(["-c", "echo '#include <openssl/ssl.h>' | cc -E - && make --version && pkg-config --version"])
        .output()
        .unwrap();
    if !probe.status.success() {
        assert!(std::env::var_os("P2PGATE_OPENSSL").is_none(), "{probe:?}");
        println!("left out: OpenSSL's headers, make or pkg-config are not installed");
        return None;
    }
    let (prefix, program) = (scratch.join("tls-prefix"), scratch.join("c-recorder-tls"));
    let mut install = Command::new("sh");
    install.arg(root.join("ffi/install.sh")).args(["--static-only", "--prefix"]).arg(&prefix);
    install.env("CARGO", env!("CARGO")).env("CARGO_TARGET_DIR", scratch.parent().unwrap());
    let output = install.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut make = Command::new("make");
    make.arg("-C").arg(root.join("examples/c")).args(["-B", "STATIC=1", "TLS=1"]);
    make.arg(format!("PROGRAM={}", program.display())).env("PKG_CONFIG_PATH", prefix.join("lib/pkgconfig"));
    let output = make.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Some(program)
}

/// Passes on what comes for `to`, and resets the first connection once told so. Where it listens.
fn fragile(to: SocketAddr, reset: Arc<AtomicBool>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (number, client) in listener.incoming().flatten().enumerate() {
            let (reset, server) = (reset.clone(), TcpStream::connect(to).unwrap());
            std::thread::spawn(move || {
                for stream in [&client, &server] {
                    stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
                }
                let mut buffer = [0; 4096];
                while !(number == 0 && reset.load(Ordering::Relaxed)) {
                    for (mut from, mut to) in [(&client, &server), (&server, &client)] {
                        match from.read(&mut buffer) {
                            Ok(0) => return,
                            Ok(length) => to.write_all(&buffer[..length]).unwrap(),
                            Err(_) => {}
                        }
                    }
                }
                rustix::net::sockopt::set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
            });
        }
    });
    address
}

#[test]
fn v7_a_recorder_in_c_outlives_a_broker_that_resets_its_connection() {
    let Some(program) = c_recorder() else { return };
    let stage = Stage::with(secured);
    init(&stage, "anna");
    // A state of this recorder's is one of the other's as well.
    init(&stage, "carla");
    stage.done("anna", "allow", &["--create", "carla"]);
    stage.done("carla", "allow", &["--create", "anna"]);
    let (state, out) = (stage.path("carla"), stage.path("carla-received"));
    let reset = Arc::new(AtomicBool::new(false));
    let way = fragile(stage.tls.unwrap(), reset.clone()).to_string();
    let identity = fs::read_to_string(state.join("identity")).unwrap();
    let identity = identity.replace(&stage.tls.unwrap().to_string(), &way);
    fs::write(state.join("identity"), identity).unwrap();

    let mut receive = Command::new(&program);
    receive.arg("receive").arg("--state").arg(&state).args(["--listen", "127.0.0.1:0", "--once", "--out"]);
    let mut receiving = receive.arg(&out).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(receiving.stdout.take().unwrap());
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
    assert!(ready.starts_with("ready "), "{ready}");
    reset.store(true, Ordering::Relaxed);
    // Once it is there again, it takes what comes.
    eventually(|| {
        assert_eq!(receiving.try_wait().unwrap(), None);
        stage.run("anna", "send", &["--to", "carla", TEST_CARD]).status.success().then_some(())
    });
    assert!(receiving.wait().unwrap().success());
    assert!(same(Path::new(TEST_CARD), out.join("test-card.mpg")));
}

#[test]
fn v7_a_recorder_in_c_by_openssl() {
    let Some(program) = c_recorder() else { return };
    let stage = Stage::with(secured);
    init(&stage, "anna");
    let state = stage.path("carla");
    let run = |verb: &str, arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg(verb).arg("--state").arg(&state).args(arguments);
        command
    };
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), "carla").unwrap().to_string();
    let with = |ca: &str| {
        let mut arguments = by_tls(&stage, "carla", ca);
        arguments.extend(["--ticket".to_owned(), ticket.clone()]);
        arguments
    };
    let wrong = with("others.pem");
    let output = run("init", &wrong.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(7) && said.contains("TLS with the broker fails"), "{said}");
    let right = with("house.pem");
    let output = run("init", &right.iter().map(String::as_str).collect::<Vec<_>>()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(run("allow", &["--create", "anna"]).status().unwrap().success());
    stage.done("anna", "allow", &["--create", "carla"]);

    let large = stage.path("large.bin");
    let bytes: Vec<u8> = (0..3_000_000_u32).flat_map(|number| (number % 251).to_le_bytes()).collect();
    fs::write(&large, &bytes).unwrap();
    let large = large.to_str().unwrap();
    let mut anna = stage.receive("anna", &[]);
    assert!(run("send", &["--to", "anna", large]).status().unwrap().success());
    assert!(same(Path::new(large), anna.received()));
    drop(anna);

    let out = stage.path("carla-received");
    let mut receive = run("receive", &["--listen", "127.0.0.1:0", "--once", "--out"]);
    let mut receiving = receive.arg(&out).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufReader::new(receiving.stdout.take().unwrap());
    let mut ready = String::new();
    std::io::BufRead::read_line(&mut lines, &mut ready).unwrap();
    assert!(ready.starts_with("ready "), "{ready}");
    stage.send("anna", "carla", large, &[]);
    assert!(receiving.wait().unwrap().success());
    assert!(same(Path::new(large), out.join("large.bin")));
}
