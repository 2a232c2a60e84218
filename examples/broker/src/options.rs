//! How a broker is set up.

use crate::Error;
use crate::leases::LeaseFiles;
use p2pgate::broker::Config;
use p2pgate::link::PublicKey;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How a broker is set up.
#[derive(Clone, Debug)]
pub struct Options {
    /// The folder of its key and its store. It is created if it is not there.
    pub data: PathBuf,
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where it listens as well, with TLS around each connection (V7).
    pub tls: Option<Secured>,
    /// Where the admin pages are served by HTTP, if anywhere; port 0 takes a free one.
    pub admin: Option<SocketAddr>,
    /// Lets [`admin`](Self::admin) be an address that other machines reach. The pages ask for no password, and name who is online.
    pub admin_exposed: bool,
    /// What it allows: [`Config::max_transfer`] and [`Config::relay`] among others.
    pub config: Config,
    /// The address resolution server that it asks; without one it keeps the table itself (V1).
    pub resolver: Option<AskedResolver>,
    /// It is an address resolution server itself, and nothing else.
    pub resolves: Option<Resolves>,
    /// Lets terminals and groups be called by names that look like another's (V4).
    pub allow_look_alike: bool,
    /// How long running lanes and queued answers may take once it is told to stop.
    pub grace: Duration,
    /// A joined pair of lanes ends when nothing has moved and nothing was held back for so long.
    pub lane_idle: Duration,
    /// What one pair of lanes may carry, both ways together, in bytes a second.
    pub relay_rate: Option<u64>,
    /// Joins lanes by `splice(2)` where the system has it; otherwise, and wherever pipes run out, bytes are copied.
    pub splice: bool,
}

/// An address with TLS.
#[derive(Clone, Debug)]
pub struct Secured {
    /// Where it listens; port 0 takes a free one.
    pub listen: SocketAddr,
    /// What it is set up with.
    pub files: TlsFiles,
}

/// The PEM files of TLS.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    /// The server's certificate, and those that lead from it to one that terminals trust.
    pub certificates: PathBuf,
    /// Its private key.
    pub key: PathBuf,
    /// Whose certificates enrol a terminal without a ticket (V5): for the identifier that is the certificate's common name.
    pub client_authorities: Option<PathBuf>,
    /// Their lists of certificates that count no longer.
    pub revoked_clients: Option<PathBuf>,
}

/// The address resolution server that a broker asks (P1).
#[derive(Clone, Copy, Debug)]
pub struct AskedResolver {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its key, as it prints it.
    pub key: PublicKey,
}

/// What makes a server an address resolution server (P1).
#[derive(Clone, Debug)]
pub struct Resolves {
    /// The key of the broker that may ask.
    pub broker: PublicKey,
    /// Who knows which addresses were assigned (V2).
    pub leases: Option<LeaseFiles>,
}

impl Options {
    /// The defaults: 127.0.0.1:7700, transfers up to 64 GiB.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 7700)),
            tls: None,
            admin: None,
            admin_exposed: false,
            config: Config { max_transfer: 64 << 30, ..Config::default() },
            resolver: None,
            resolves: None,
            allow_look_alike: false,
            grace: Duration::from_secs(5),
            lane_idle: Duration::from_secs(600),
            relay_rate: None,
            splice: true,
        }
    }

    /// Whether the addresses are ones to listen on, and the files of TLS go together.
    ///
    /// # Errors
    /// [`Error::Exposed`]: the admin pages would be open to other machines, and nobody has said that they may be. [`Error::Setting`]: a file of TLS is wrong.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(secured) = &self.tls {
            crate::tls::config(&secured.files)?;
        }
        match self.admin.filter(|address| !address.ip().to_canonical().is_loopback() && !self.admin_exposed) {
            Some(address) => Err(Error::Exposed(address)),
            None => Ok(()),
        }
    }
}
