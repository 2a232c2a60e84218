//! The recordings by FTP (RFC 959, 2428, 3659): read-only, without a password, passive only. libunftp speaks the protocol.
//!
//! Without TLS, like the rest of what is served: whoever asked for FTP asked for that.

use std::fmt::Debug;
use std::io::{self, Cursor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use libunftp::ServerBuilder;
use libunftp::options::ActivePassiveMode;
use tokio::io::AsyncRead;
use tokio::net::TcpListener;
use unftp_core::auth::DefaultUser;
use unftp_core::storage::{Error, ErrorKind, Fileinfo, Metadata, Permissions, Result, StorageBackend};

use super::shelf::{Item, Recording};
use super::visitors::Visitors;
use super::{Limits, Shelf, http};

/// After a connection could not be accepted.
const REST: Duration = Duration::from_millis(50);

/// Takes connections for ever.
pub(super) async fn serve(listener: TcpListener, shelf: Arc<Shelf>, limits: Limits) {
    let visitors = Visitors::new(limits);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(REST).await;
            continue;
        };
        let Some(visit) = visitors.enter(peer.ip()) else { continue };
        let storage = Readable { shelf: shelf.clone(), arrival: limits.arrival };
        let built = ServerBuilder::new(Box::new(move || storage.clone()))
            .greeting("p2pgate: recordings, for reading")
            .active_passive_mode(ActivePassiveMode::PassiveOnly)
            .idle_session_timeout(limits.slow.as_secs().max(1))
            .build();
        if let Ok(server) = built {
            tokio::spawn(async move {
                // Whoever breaks off, breaks off.
                let _ = server.service(stream).await;
                drop(visit);
            });
        }
    }
}

/// The shelf, as libunftp wants its storage.
#[derive(Clone, Debug)]
struct Readable {
    shelf: Arc<Shelf>,
    arrival: Duration,
}

/// The folder, or what is in it.
#[derive(Debug)]
enum Entry {
    Folder,
    Recording(Item),
}

impl Metadata for Entry {
    fn len(&self) -> u64 {
        match self {
            Self::Folder => 0,
            Self::Recording(item) => item.size,
        }
    }

    fn is_dir(&self) -> bool {
        matches!(self, Self::Folder)
    }

    fn is_file(&self) -> bool {
        !self.is_dir()
    }

    fn is_symlink(&self) -> bool {
        false
    }

    fn modified(&self) -> Result<SystemTime> {
        Ok(match self {
            Self::Folder => SystemTime::UNIX_EPOCH,
            Self::Recording(item) => item.modified,
        })
    }

    fn gid(&self) -> u32 {
        0
    }

    fn uid(&self) -> u32 {
        0
    }

    fn permissions(&self) -> Permissions {
        Permissions(if self.is_dir() { 0o555 } else { 0o444 })
    }
}

impl Readable {
    /// The recording that a path names: its one component.
    async fn find(&self, path: &Path) -> Result<Recording> {
        let name =
            path.strip_prefix("/").unwrap_or(path).to_str().ok_or(ErrorKind::FileNameNotAllowedError)?;
        let (shelf, name) = (self.shelf.clone(), name.to_owned());
        Ok(http::blocking(move || shelf.find(&name)).await?)
    }
}

fn is_root(path: &Path) -> bool {
    path == Path::new("/") || path == Path::new("") || path == Path::new(".")
}

fn read_only<T>() -> Result<T> {
    Err(ErrorKind::PermissionDenied.into())
}

#[async_trait]
impl StorageBackend<DefaultUser> for Readable {
    type Metadata = Entry;

    fn supported_features(&self) -> u32 {
        unftp_core::storage::FEATURE_RESTART
    }

    async fn metadata<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, path: P) -> Result<Entry> {
        if is_root(path.as_ref()) {
            return Ok(Entry::Folder);
        }
        Ok(Entry::Recording(self.find(path.as_ref()).await?.item))
    }

    async fn list<P: AsRef<Path> + Send + Debug>(
        &self,
        _: &DefaultUser,
        path: P,
    ) -> Result<Vec<Fileinfo<PathBuf, Entry>>> {
        let entry =
            |item: Item| Fileinfo { path: PathBuf::from(&item.name), metadata: Entry::Recording(item) };
        if !is_root(path.as_ref()) {
            return Ok(vec![entry(self.find(path.as_ref()).await?.item)]);
        }
        let shelf = self.shelf.clone();
        Ok(http::blocking(move || shelf.list()).await?.into_iter().map(entry).collect())
    }

    async fn get<P: AsRef<Path> + Send + Debug>(
        &self,
        _: &DefaultUser,
        path: P,
        start: u64,
    ) -> Result<Box<dyn AsyncRead + Send + Sync + Unpin>> {
        let recording = self.find(path.as_ref()).await?;
        let size = recording.item.size;
        if start >= size {
            return Ok(Box::new(Cursor::new([])));
        }
        if start > recording.there() {
            // It has not come yet: asked again later, it may have.
            return Err(Error::from(ErrorKind::TransientFileNotAvailable));
        }
        Ok(Box::new(recording.flow(start..size, self.arrival)))
    }

    /// Its default reads whole files for whoever asks.
    async fn md5<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, _: P) -> Result<String> {
        Err(ErrorKind::CommandNotImplemented.into())
    }

    async fn put<P: AsRef<Path> + Send + Debug, R: AsyncRead + Send + Sync + Unpin + 'static>(
        &self,
        _: &DefaultUser,
        _: R,
        _: P,
        _: u64,
    ) -> Result<u64> {
        read_only()
    }

    async fn del<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        read_only()
    }

    async fn mkd<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        read_only()
    }

    async fn rename<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, _: P, _: P) -> Result<()> {
        read_only()
    }

    async fn rmd<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, _: P) -> Result<()> {
        read_only()
    }

    async fn cwd<P: AsRef<Path> + Send + Debug>(&self, _: &DefaultUser, path: P) -> Result<()> {
        if is_root(path.as_ref()) {
            return Ok(());
        }
        Err(io::Error::from(io::ErrorKind::NotFound).into())
    }
}
