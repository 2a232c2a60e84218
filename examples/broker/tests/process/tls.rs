//! TLS (V7) by the program's settings: its files, and new ones while it runs.

use crate::support::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, Stream};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

/// A certificate that stands by itself, written to `folder` with its key.
fn certificate(folder: &Path) -> CertificateDer<'static> {
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
    std::fs::write(folder.join("broker.pem"), certificate.pem()).unwrap();
    std::fs::write(folder.join("broker.key"), key.serialize_pem()).unwrap();
    certificate.der().clone()
}

/// Whether the broker at `address` shows this certificate, and then talks.
fn shows(address: SocketAddr, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = Arc::new(config.with_root_certificates(roots).with_no_client_auth());
    let mut tls = ClientConnection::new(config, ServerName::try_from("127.0.0.1").unwrap()).unwrap();
    let mut stream = connect(address);
    let mut stream = Stream::new(&mut tls, &mut stream);
    // A magic that is none: the broker closes, which in TLS is said.
    stream.write_all(b"NOPE\x01\x01\x20\x00").is_ok() && matches!(stream.read(&mut [0]), Ok(0))
}

#[test]
fn v7_certificates_are_read_anew_at_sighup() {
    let folder = folder();
    let first = certificate(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key) = (file("broker.pem"), file("broker.key"));
    let options = ["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    let mut served = Served::start_with(&folder.path().join("data"), &options);
    let address = served.further("tls ");
    assert!(shows(address, &first));
    let second = certificate(folder.path());
    assert!(shows(address, &first) && !shows(address, &second), "not by itself");
    served.signal(rustix::process::Signal::HUP);
    let changed = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        shows(address, &second)
    });
    assert!(changed && !shows(address, &first));
    // What can't be used leaves what there is.
    std::fs::write(&key, "no key").unwrap();
    served.signal(rustix::process::Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(shows(address, &second));
}

#[test]
fn v7_wrong_files_are_told_before_anything_is_served() {
    let folder = folder();
    certificate(folder.path());
    let other = KeyPair::generate().unwrap();
    std::fs::write(folder.path().join("other.key"), other.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("none.pem"), "nothing").unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for (certificate, key, cause) in [
        ("broker.pem", "other.key", "does not go with"),
        ("missing.pem", "broker.key", "missing.pem"),
        ("none.pem", "broker.key", "none.pem"),
        ("broker.pem", "none.pem", "none.pem"),
    ] {
        let mut command = Command::new(PROGRAM);
        command
            .args(["serve", "--check-config", "--tls-listen", "127.0.0.1:0", "--data"])
            .arg(folder.path().join("data"));
        command.args(["--tls-cert", &file(certificate), "--tls-key", &file(key)]);
        let output = command.output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{certificate} {key}: {error}");
        assert!(error.lines().count() == 1 && error.contains(cause), "{error}");
    }
    let mut command = Command::new(PROGRAM);
    command.args(["serve", "--check-config", "--tls-listen", "127.0.0.1:0", "--data"]).arg(folder.path());
    let output = command.output().unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("all three"), "{output:?}");
}
