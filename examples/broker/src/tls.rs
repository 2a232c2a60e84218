//! TLS around a connection (V7): inside it goes what goes over the plain port, Noise and frames, so that nothing rests on the certificates.

use crate::socket::attempt;
use crate::{Error, TlsFiles};
use mio::net::TcpStream;
use p2pgate::identifier::Identifier;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use std::io::{self, BufRead, Read, Write};
use std::path::Path;
use std::sync::Arc;

/// What may wait to be written, bytes before they are sealed.
const BACKLOG: usize = 64 << 10;

/// The server's side of TLS, from the files that the operator has given.
pub(crate) fn config(files: &TlsFiles) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let wrong = |path: &Path, cause: &dyn std::fmt::Display| {
        Error::Setting(format!("{}: {cause}: give a PEM file", path.display()))
    };
    let certificates: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.certificates)
        .and_then(Iterator::collect)
        .map_err(|error| wrong(&files.certificates, &error))?;
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|error| wrong(&files.key, &error))?;
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Setting(format!("TLS: {error}")))?;
    let builder = match &files.client_authorities {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for certificate in CertificateDer::pem_file_iter(path).map_err(|error| wrong(path, &error))? {
                let certificate = certificate.map_err(|error| wrong(path, &error))?;
                roots.add(certificate).map_err(|error| wrong(path, &error))?;
            }
            // Who shows no certificate comes in as over the plain port.
            let mut verifier =
                WebPkiClientVerifier::builder_with_provider(roots.into(), provider).allow_unauthenticated();
            if let Some(path) = &files.revoked_clients {
                let lists = CertificateRevocationListDer::pem_file_iter(path).and_then(Iterator::collect);
                let lists: Vec<_> = lists.map_err(|error| wrong(path, &error))?;
                // Without any list nothing would be looked up.
                if lists.is_empty() {
                    return Err(wrong(path, &"it has no list"));
                }
                verifier = verifier.with_crls(lists).enforce_revocation_expiration();
            }
            let verifier = verifier.build().map_err(|error| match (&error, &files.revoked_clients) {
                (VerifierBuilderError::InvalidCrl(_), Some(path)) => wrong(
                    path,
                    &format_args!(
                        "{error}; it takes lists of version 2, RFC 5280 section 5, which have a number"
                    ),
                ),
                _ => wrong(path, &error),
            })?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let config = builder.with_single_cert(certificates, key).map_err(|error| {
        wrong(&files.certificates, &format_args!("does not go with {} ({error})", files.key.display()))
    })?;
    Ok(Arc::new(config))
}

/// One connection's TLS.
pub(crate) struct Tls(Box<ServerConnection>);

impl Tls {
    pub(crate) fn new(config: Arc<ServerConfig>) -> io::Result<Self> {
        let mut connection = ServerConnection::new(config).map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(BACKLOG));
        Ok(Self(Box::new(connection)))
    }

    /// Whom the other end's certificate says it is, by its common name, once the handshake is over.
    pub(crate) fn identifier(&self) -> Option<Identifier> {
        if self.0.is_handshaking() {
            return None;
        }
        let certificate = self.0.peer_certificates()?.first()?;
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate).ok()?;
        let mut names = certificate.subject().iter_common_name();
        // Two names are no name: nobody says which of them was checked.
        let (name, None) = (names.next()?, names.next()) else { return None };
        Identifier::new(name.as_str().ok()?).ok()
    }

    /// Reads until there is something for the application; `None`: nothing there now. An end without close_notify is an error: somebody may have cut it.
    ///
    /// What was understood and is not read yet leaves `readable` as it is: only a socket that has nothing more changes it.
    pub(crate) fn read(
        &mut self,
        stream: &mut TcpStream,
        readable: &mut bool,
        writable: &mut bool,
        mut take: impl FnMut(&mut rustls::Reader<'_>) -> io::Result<usize>,
    ) -> io::Result<Option<usize>> {
        loop {
            match take(&mut self.0.reader()) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                taken => return taken.map(Some),
            }
            let read = attempt(readable, || self.0.read_tls(stream))?;
            let understood = self.0.process_new_packets();
            // The handshake's answers, or the alert that says what was wrong.
            self.push(stream, writable)?;
            understood.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            if read.is_none() {
                return Ok(None);
            }
        }
    }

    /// Seals what there is room for; `None`: no room now.
    pub(crate) fn write(
        &mut self,
        stream: &mut TcpStream,
        writable: &mut bool,
        bytes: &[u8],
    ) -> io::Result<Option<usize>> {
        if !self.push(stream, writable)? {
            return Ok(None);
        }
        let written = self.0.writer().write(bytes)?;
        self.push(stream, writable)?;
        Ok(Some(written))
    }

    /// Gives the socket what waits; `false`: it has not taken all of it.
    pub(crate) fn push(&mut self, stream: &mut TcpStream, writable: &mut bool) -> io::Result<bool> {
        while self.0.wants_write() {
            if attempt(writable, || self.0.write_tls(stream))?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Says that nothing more comes; once is enough.
    pub(crate) fn finish(&mut self) {
        self.0.send_close_notify();
    }
}

/// Takes up to a buffer of what is there.
pub(crate) fn read_into(buffer: &mut [u8]) -> impl FnMut(&mut rustls::Reader<'_>) -> io::Result<usize> {
    move |reader| reader.read(buffer)
}

/// Looks how much is there.
pub(crate) fn look(reader: &mut rustls::Reader<'_>) -> io::Result<usize> {
    Ok(reader.fill_buf()?.len())
}
