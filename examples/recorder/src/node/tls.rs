//! TLS towards the broker (V7): around control links and lanes, whose own protection it leaves as it is.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};

use crate::failure::{Code, Failure};

/// What may wait to be written, bytes before they are sealed.
const BACKLOG: usize = 64 << 10;

/// How this recorder reaches its broker by TLS.
#[derive(Clone, Debug)]
pub struct Tls {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

/// A certificate of this recorder's own, which it enrols by (V5).
#[derive(Clone, Debug)]
pub struct Certificate {
    /// It, and those that lead from it to one that the broker trusts, PEM.
    pub certificates: PathBuf,
    /// Its private key, PEM.
    pub key: PathBuf,
}

impl Tls {
    /// For the broker at `address`, `HOST:PORT`. `authorities` is a PEM text of whom to trust; without it the system's are.
    pub fn new(
        address: &str,
        authorities: Option<&[u8]>,
        own: Option<&Certificate>,
    ) -> Result<Self, Failure> {
        let usage = |text: String| Failure::new(Code::Usage, text);
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let name = ServerName::try_from(host.to_owned()).map_err(|_| {
            usage(format!("{host:?} is no name that a certificate can have: give the broker as HOST:PORT"))
        })?;
        let mut roots = RootCertStore::empty();
        match authorities {
            Some(text) => {
                for certificate in CertificateDer::pem_slice_iter(text) {
                    let certificate =
                        certificate.map_err(|error| usage(format!("--tls-ca: {error}: give a PEM file")))?;
                    roots.add(certificate).map_err(|error| usage(format!("--tls-ca: {error}")))?;
                }
            }
            None => drop(roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs)),
        }
        if roots.is_empty() {
            return Err(usage("there is no authority to trust: give its certificate by --tls-ca".into()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| usage(format!("TLS: {error}")))?
            .with_root_certificates(roots);
        let config = match own {
            None => builder.with_no_client_auth(),
            Some(own) => {
                let wrong = |path: &Path, error: &dyn std::fmt::Display| {
                    usage(format!("{}: {error}: give a PEM file", path.display()))
                };
                let chain: Vec<_> = CertificateDer::pem_file_iter(&own.certificates)
                    .and_then(Iterator::collect)
                    .map_err(|error| wrong(&own.certificates, &error))?;
                let key = PrivateKeyDer::from_pem_file(&own.key).map_err(|error| wrong(&own.key, &error))?;
                builder.with_client_auth_cert(chain, key).map_err(|error| wrong(&own.certificates, &error))?
            }
        };
        Ok(Self { config: Arc::new(config), name })
    }

    /// For one connection.
    pub(super) fn connection(&self) -> io::Result<Box<ClientConnection>> {
        let connection = ClientConnection::new(self.config.clone(), self.name.clone());
        let mut connection = connection.map_err(io::Error::other)?;
        connection.set_buffer_limit(Some(BACKLOG));
        Ok(Box::new(connection))
    }
}
