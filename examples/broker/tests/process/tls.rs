//! TLS (V7) by the program's settings: its files, and new ones while it runs.

use crate::support::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
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
    talks(address, certificate, None)
}

/// The same for a terminal that shows the certificate of this file itself, whose key lies beside it.
fn talks(address: SocketAddr, certificate: &CertificateDer<'static>, own: Option<&Path>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots);
    let config = Arc::new(match own {
        None => config.with_no_client_auth(),
        Some(own) => {
            let key = PrivateKeyDer::from_pem_file(own.with_extension("key")).unwrap();
            config.with_client_auth_cert(vec![CertificateDer::from_pem_file(own).unwrap()], key).unwrap()
        }
    });
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

/// An authority of OpenSSL's `ca`, which keeps account of what it has signed and revoked.
struct Authority<'a>(&'a Path);

impl<'a> Authority<'a> {
    fn new(folder: &'a Path) -> Self {
        let config = "[ca]\ndefault_ca=own\n[own]\ndir=.\ndatabase=index.txt\nserial=serial\ncrlnumber=crlnumber\nnew_certs_dir=.\ncertificate=ca.pem\nprivate_key=ca.key\n\
            default_md=sha256\npolicy=any\ndefault_crl_days=30\ndefault_days=30\nx509_extensions=client\ncrl_extensions=list\n[list]\nauthorityKeyIdentifier=keyid\n\
            [any]\ncommonName=supplied\n[client]\nbasicConstraints=CA:FALSE\nextendedKeyUsage=clientAuth\n\
            [req]\ndistinguished_name=name\nx509_extensions=root\n[name]\n[root]\nbasicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n\
            subjectKeyIdentifier=hash\n";
        std::fs::write(folder.join("ca.cnf"), config).unwrap();
        std::fs::write(folder.join("index.txt"), "").unwrap();
        for name in ["serial", "crlnumber"] {
            std::fs::write(folder.join(name), "1000\n").unwrap();
        }
        let own = Self(folder);
        own.openssl("req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout ca.key -out ca.pem -days 30 -subj /CN=house -config ca.cnf");
        own
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl").args(arguments.split(' ')).current_dir(self.0).output().unwrap();
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn sign(&self, name: &str) -> std::path::PathBuf {
        self.openssl(&format!("req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout {name}.key -out {name}.csr -subj /CN={name} -config ca.cnf"));
        self.openssl(&format!("ca -batch -notext -config ca.cnf -in {name}.csr -out {name}.pem"));
        self.0.join(format!("{name}.pem"))
    }

    fn revoke(&self, name: &str) {
        self.openssl(&format!("ca -config ca.cnf -revoke {name}.pem"));
    }

    fn list(&self) {
        self.openssl("ca -config ca.cnf -gencrl -out revoked.pem");
    }
}

#[test]
fn v5_a_revoked_certificate_is_refused_once_the_list_is_read_anew() {
    let folder = folder();
    let authority = Authority::new(folder.path());
    let [anna, ben] = ["anna", "ben"].map(|name| authority.sign(name));
    authority.revoke("ben");
    authority.list();
    let certificate = certificate(folder.path());
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (cert, key, ca, crl) = (file("broker.pem"), file("broker.key"), file("ca.pem"), file("revoked.pem"));
    let mut options = vec!["--tls-listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key];
    options.extend(["--tls-client-ca", &ca, "--tls-client-crl", &crl]);
    let mut served = Served::start_with(&folder.path().join("data"), &options);
    let address = served.further("tls ");
    assert!(talks(address, &certificate, Some(&anna)));
    assert!(!talks(address, &certificate, Some(&ben)), "revoked before the start");
    assert!(talks(address, &certificate, None), "without a certificate by a ticket");
    authority.revoke("anna");
    authority.list();
    assert!(talks(address, &certificate, Some(&anna)), "not by itself");
    served.signal(rustix::process::Signal::HUP);
    let refused = (0..100).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        !talks(address, &certificate, Some(&anna))
    });
    assert!(refused && shows(address, &certificate));
    // What OpenSSL makes without `crl_extensions` is no list that can be read: that is told, with its name.
    let config = folder.path().join("ca.cnf");
    let old = std::fs::read_to_string(&config)
        .unwrap()
        .replace("crl_extensions=list\n", "")
        .replace("crlnumber=crlnumber\n", "");
    std::fs::write(&config, old).unwrap();
    authority.openssl("ca -config ca.cnf -gencrl -out old.pem");
    let old = file("old.pem");
    let mut command = Command::new(PROGRAM);
    command
        .args(["serve", "--check-config", "--data", "x"])
        .args(&options[..8])
        .args(["--tls-client-crl", &old]);
    let output = command.output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.code() == Some(2) && error.contains("old.pem") && error.contains("version 2"),
        "{error}"
    );
    // A list that can't be read leaves the one there is.
    std::fs::write(&crl, "no list").unwrap();
    served.signal(rustix::process::Signal::HUP);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert!(!talks(address, &certificate, Some(&anna)) && shows(address, &certificate));
}
