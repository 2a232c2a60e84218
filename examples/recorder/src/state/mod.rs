//! What a recorder keeps between runs, in one folder that only its owner can read:
//!
//! | file | what |
//! | --- | --- |
//! | `identity` | identifier, secret key, the broker's address and key; `Name:value` lines, written once |
//! | `identity.enrolling` | the same until the broker has confirmed it |
//! | `seed` | 32 bytes, replaced before every use |
//! | `peers` | the core's table of permitted recorders and pinned keys |
//! | `broker-ca.pem` | by whose certificates the broker may show itself in TLS; without it the system's |
//! | `placing-ID` | a collected deposit is being put in its place; the path of the folder |
//! | `lock` | held while any of them is read and written |
//! | `receiving` | held by the one process that receives |

mod durable;
mod identity;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use durable::{Fresh, replace, sync_folder};
pub use identity::Identity;
use p2pgate::message::DepositId;
use zeroize::Zeroizing;

use crate::failure::{Code, Failure};
use crate::node::{Certificate, Tls};

const IDENTITY: &str = "identity";
/// An identity that the broker has not confirmed.
const CANDIDATE: &str = "identity.enrolling";
/// What enrolling makes.
const ENROLLING: [&str; 5] = [CANDIDATE, "seed", "peers", "lock", AUTHORITIES];
/// Whom to trust in TLS.
const AUTHORITIES: &str = "broker-ca.pem";
/// What the name of a note begins with; the deposit's number follows.
const PLACING: &str = "placing-";

/// A recorder's folder.
#[derive(Clone, Debug)]
pub struct State {
    folder: PathBuf,
}

/// Tells whether a file was replaced since one last looked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Version(Option<(u64, u64, i64, i64)>);

/// The folder's lock; given back when dropped.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for its lock")] File);

impl State {
    /// A recorder's existing folder, and who it is.
    pub fn open(folder: &Path) -> Result<(Self, Identity), Failure> {
        let state = Self { folder: folder.to_owned() };
        let path = state.path(IDENTITY);
        let text = fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Failure::new(
                Code::Local,
                format!("{} holds no recorder: make one with p2pgate-recorder init", folder.display()),
            ),
            _ => Failure::local("cannot read", &path, &error),
        })?;
        let identity = Identity::parse(&text).ok_or_else(|| {
            Failure::new(
                Code::Local,
                format!("{} is damaged: restore it or enrol this recorder anew", path.display()),
            )
        })?;
        Ok((state, identity))
    }

    /// A folder for a new recorder, made if need be, and whether it was. Refuses one that holds anything but an
    /// enrolment that came to no end.
    pub fn create(folder: &Path) -> Result<(Self, bool), Failure> {
        let state = Self { folder: folder.to_owned() };
        if state.path(IDENTITY).exists() {
            return Err(Failure::new(
                Code::Local,
                format!("{} holds a recorder already: choose another folder", folder.display()),
            ));
        }
        let made = !folder.exists();
        if made {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(|error| Failure::local("cannot make the folder", folder, &error))?;
        } else if !state.holds_only_a_candidate()? {
            return Err(Failure::new(
                Code::Local,
                format!("{} holds other files: choose a new or an empty folder", folder.display()),
            ));
        }
        Ok((state, made))
    }

    /// The same as nothing at all, or an enrolment that came to no end.
    fn holds_only_a_candidate(&self) -> Result<bool, Failure> {
        let cannot = |error: io::Error| Failure::local("cannot read", &self.folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(cannot)? {
            names.push(entry.map_err(cannot)?.file_name());
        }
        let ours = |name: &std::ffi::OsString| ENROLLING.iter().any(|one| name == one);
        Ok(names.is_empty() || names.iter().any(|name| name == CANDIDATE) && names.iter().all(ours))
    }

    /// Who an enrolment that came to no end was to make of this recorder.
    pub fn candidate(&self) -> Result<Option<Identity>, Failure> {
        let Some(bytes) = self.load(CANDIDATE)? else { return Ok(None) };
        match std::str::from_utf8(&bytes).ok().and_then(Identity::parse) {
            Some(identity) => Ok(Some(identity)),
            None => Err(Failure::new(
                Code::Local,
                format!("{} is damaged: choose another folder", self.path(CANDIDATE).display()),
            )),
        }
    }

    /// Takes away what an enrolment that failed has left; the folder too if it was `made` for it.
    pub fn remove(&self, made: bool) {
        for name in ENROLLING {
            let _ = fs::remove_file(self.path(name));
        }
        if made {
            let _ = fs::remove_dir(&self.folder);
        }
    }

    /// Writes down who this recorder wants to be.
    pub fn save_candidate(&self, identity: &Identity) -> Result<(), Failure> {
        self.save(CANDIDATE, identity.to_text().as_bytes())
    }

    /// The broker agrees: it is who it wanted to be.
    pub fn confirm_candidate(&self) -> Result<(), Failure> {
        let path = self.path(IDENTITY);
        fs::rename(self.path(CANDIDATE), &path)
            .and_then(|()| sync_folder(&path))
            .map_err(|error| Failure::local("cannot write", &path, &error))
    }

    /// Whose certificates count for the broker in TLS, PEM.
    pub fn save_authorities(&self, text: &[u8]) -> Result<(), Failure> {
        self.save(AUTHORITIES, text)
    }

    /// How the broker is reached by TLS, if it is.
    pub fn tls(&self, identity: &Identity) -> Result<Option<Tls>, Failure> {
        self.tls_as(identity, None)
    }

    /// The same, with a certificate of this recorder's own.
    pub fn tls_as(&self, identity: &Identity, own: Option<&Certificate>) -> Result<Option<Tls>, Failure> {
        if !identity.tls {
            return Ok(None);
        }
        let authorities = self.load(AUTHORITIES)?;
        Tls::new(&identity.broker, authorities.as_ref().map(|text| text.as_slice()), own).map(Some)
    }

    /// The seed as stored; zeros for a new recorder.
    pub fn seed(&self) -> Result<Zeroizing<[u8; 32]>, Failure> {
        let mut seed = Zeroizing::new([0; 32]);
        if let Some(bytes) = self.load("seed")? {
            if bytes.len() != seed.len() {
                return Err(Failure::new(
                    Code::Local,
                    format!("{} is damaged: restore it or delete it", self.path("seed").display()),
                ));
            }
            seed.copy_from_slice(&bytes);
        }
        Ok(seed)
    }

    /// Stores the next seed.
    pub fn save_seed(&self, seed: &[u8; 32]) -> Result<(), Failure> {
        self.save("seed", seed)
    }

    /// The core's table of peers, if there is one.
    pub fn peers(&self) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        self.load("peers")
    }

    /// Stores the core's table of peers.
    pub fn save_peers(&self, blob: &[u8]) -> Result<(), Failure> {
        self.save("peers", blob)
    }

    /// Which version of the table of peers is there; cheap enough to ask a few times a second.
    pub fn peers_version(&self) -> Version {
        Version(fs::metadata(self.path("peers")).ok().map(|m| (m.ino(), m.size(), m.mtime(), m.mtime_nsec())))
    }

    /// A deposit that was collected is about to be put in its place in this folder.
    pub fn note_placing(&self, deposit: &DepositId, folder: &Path) -> io::Result<()> {
        replace(&self.placing(deposit), &path_text(folder)?)
    }

    /// Whether it was about to be, in this folder and in no other, and this recorder has not told its terminal so.
    pub fn is_placing(&self, deposit: &DepositId, folder: &Path) -> bool {
        fs::read(self.placing(deposit)).is_ok_and(|noted| path_text(folder).is_ok_and(|text| text == noted))
    }

    /// The terminal remembers it, or it could not be put there.
    pub fn forget_placing(&self, deposit: &DepositId) {
        let _ = fs::remove_file(self.placing(deposit));
    }

    /// Forgets all but these: a process that was killed in between has left others.
    pub fn keep_placing(&self, deposits: impl Iterator<Item = DepositId>) {
        let kept: Vec<PathBuf> = deposits.map(|deposit| self.placing(&deposit)).collect();
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if entry.file_name().as_encoded_bytes().starts_with(PLACING.as_bytes()) && !kept.contains(&path) {
                let _ = fs::remove_file(path);
            }
        }
    }

    fn placing(&self, deposit: &DepositId) -> PathBuf {
        let id: String = deposit.iter().map(|byte| format!("{byte:02x}")).collect();
        self.path(&format!("{PLACING}{id}"))
    }

    /// Waits for the folder's lock.
    pub fn lock(&self) -> Result<Lock, Failure> {
        let path = self.path("lock");
        let file = self.lock_file(&path)?;
        file.lock().map_err(|error| Failure::local("cannot lock", &path, &error))?;
        Ok(Lock(file))
    }

    /// The lock of the one process that receives.
    pub fn lock_receiving(&self) -> Result<Lock, Failure> {
        let path = self.path("receiving");
        let file = self.lock_file(&path)?;
        match file.try_lock() {
            Ok(()) => Ok(Lock(file)),
            Err(TryLockError::WouldBlock) => Err(Failure::new(
                Code::Local,
                format!("another receive runs on {}: end it first", self.folder.display()),
            )),
            Err(TryLockError::Error(error)) => Err(Failure::local("cannot lock", &path, &error)),
        }
    }

    fn lock_file(&self, path: &Path) -> Result<File, Failure> {
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(|error| Failure::local("cannot open", path, &error))
    }

    fn load(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        let path = self.path(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(Zeroizing::new(bytes))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Failure::local("cannot read", &path, &error)),
        }
    }

    fn save(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let path = self.path(name);
        replace(&path, content).map_err(|error| Failure::local("cannot write", &path, &error))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The one path of a folder that is there.
fn path_text(folder: &Path) -> io::Result<Vec<u8>> {
    Ok(folder.canonicalize()?.into_os_string().into_encoded_bytes())
}
