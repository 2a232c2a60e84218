//! The operator's commands, `enrol` and `revoke`: through the running broker's Unix socket, or on the store itself while no broker runs.
//!
//! One line asks (`enrol ID`, `enrol-look-alike ID` or `revoke ID`), one answers (`done`, `done TICKET`, `refused TEXT` or `failed TEXT`). Whoever may open the socket is the operator.

use crate::Error;
use crate::folder::{Folder, fill_random};
use crate::store::{Operation, Sqlite, Store, composed, look_alike};
use base64ct::{Base64, Encoding};
use p2pgate::broker::{Name, Stored, digest_of_ticket};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// The longest line either way.
pub(crate) const MAX_LINE: usize = 1024;

/// How long a running broker may take to answer, and a starting one to listen.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a one-time ticket by which a terminal may enrol its key for `identifier` within 7 days, and gives its text.
/// An earlier ticket for the identifier is void.
///
/// # Errors
/// The text is no identifier or not in its composed form (NFC), it looks like another's (V4), a key is enrolled for it already, or the data folder or its broker
/// cannot be used.
pub fn enrol(data: &Path, identifier: &str) -> Result<Zeroizing<String>, Error> {
    enrol_with(data, identifier, Verb::Enrol { allow_look_alike: false })
}

/// The same for a name that may look like another's: a person has seen that, and wants it so.
///
/// # Errors
/// As [`enrol`]'s.
pub fn enrol_look_alike(data: &Path, identifier: &str) -> Result<Zeroizing<String>, Error> {
    enrol_with(data, identifier, Verb::Enrol { allow_look_alike: true })
}

fn enrol_with(data: &Path, identifier: &str, verb: Verb) -> Result<Zeroizing<String>, Error> {
    p2pgate::identifier::check(identifier)?;
    if let Some(composed) = composed(identifier) {
        return Err(Error::NotComposed { identifier: identifier.to_owned(), composed });
    }
    let folder = Folder::new(data);
    folder.create()?;
    ask(&folder, verb, identifier)
}

/// Takes `identifier`'s key, ticket, permitted list and address away. A running broker ends its links, grants and lanes at once.
///
/// # Errors
/// The identifier has neither key nor ticket, or the data folder or its broker cannot be used.
pub fn revoke(data: &Path, identifier: &str) -> Result<(), Error> {
    ask(&Folder::new(data), Verb::Revoke, identifier).map(drop)
}

#[derive(Clone, Copy)]
enum Verb {
    Enrol { allow_look_alike: bool },
    Revoke,
}

impl Verb {
    fn text(self) -> &'static str {
        match self {
            Self::Enrol { allow_look_alike: false } => "enrol",
            Self::Enrol { allow_look_alike: true } => "enrol-look-alike",
            Self::Revoke => "revoke",
        }
    }
}

impl Verb {
    /// A refusal that is due to another name says which.
    fn explained(self, error: Error, store: Option<&Sqlite>, identifier: &str) -> Error {
        let refused = matches!((&error, self), (Error::Refused(_), Self::Enrol { allow_look_alike: false }));
        match store.filter(|_| refused).map(|store| look_alike(store, identifier)) {
            Some(Ok(Some(other))) => Error::Refused(format!(
                "{identifier} looks like {other}, and people would take the one for the other: choose another name, or give --allow-look-alike"
            )),
            _ => error,
        }
    }
}

/// One command, on its way through the store.
pub(crate) struct Command {
    verb: Verb,
    identifier: Name,
    ticket: Zeroizing<String>,
}

impl Command {
    fn new(verb: Verb, identifier: &str) -> Result<Self, Error> {
        p2pgate::identifier::check(identifier)?;
        let mut ticket = Zeroizing::new(String::new());
        if let Verb::Enrol { .. } = verb {
            let mut bytes = Zeroizing::new([0; 16]);
            fill_random(&mut *bytes)?;
            *ticket = Base64::encode_string(&*bytes);
        }
        Ok(Self { verb, identifier: identifier.into(), ticket })
    }

    pub(crate) fn parse(line: &str) -> Result<Self, Error> {
        match line.split_once(' ') {
            Some(("enrol", identifier)) => Self::new(Verb::Enrol { allow_look_alike: false }, identifier),
            Some(("enrol-look-alike", identifier)) => {
                Self::new(Verb::Enrol { allow_look_alike: true }, identifier)
            }
            Some(("revoke", identifier)) => Self::new(Verb::Revoke, identifier),
            _ => Err(Error::Refused("this broker knows no such command: run the same release as it".into())),
        }
    }

    pub(crate) fn operation(&self) -> Operation {
        let identifier = self.identifier.clone();
        match self.verb {
            Verb::Enrol { allow_look_alike } => {
                Operation::Ticket { identifier, digest: digest_of_ticket(&self.ticket), allow_look_alike }
            }
            Verb::Revoke => Operation::Revoke { identifier },
        }
    }

    pub(crate) fn finish(mut self, outcome: Stored) -> Result<Zeroizing<String>, Error> {
        let identifier = &self.identifier;
        let text = match (outcome, self.verb) {
            (Stored::Done, _) => return Ok(std::mem::take(&mut self.ticket)),
            (Stored::Failed, _) => {
                return Err(Error::Failed("the store did not write: check that the disk has room".into()));
            }
            (Stored::Refused, Verb::Enrol { .. }) => {
                format!(
                    "{identifier} is enrolled already, or a group is called so: revoke it first if it is to have another key. Or it looks like another name"
                )
            }
            (Stored::Refused, Verb::Revoke) => {
                format!("{identifier} is not enrolled here: check its spelling")
            }
        };
        Err(Error::Refused(text))
    }
}

/// Without the ticket, for the log.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb.text(), self.identifier)
    }
}

/// The line that answers a command.
pub(crate) fn answer(result: Result<Zeroizing<String>, Error>) -> Zeroizing<String> {
    Zeroizing::new(match result {
        Ok(ticket) if ticket.is_empty() => "done\n".into(),
        Ok(ticket) => format!("done {}\n", *ticket),
        Err(error @ Error::Failed(_)) => format!("failed {error}\n"),
        Err(error) => format!("refused {error}\n"),
    })
}

fn ask(folder: &Folder, verb: Verb, identifier: &str) -> Result<Zeroizing<String>, Error> {
    let command = Command::new(verb, identifier)?;
    if !folder.path().is_dir() {
        let missing = io::Error::from(io::ErrorKind::NotFound);
        return Err(Error::file("open", folder.path())(missing));
    }
    let give_up = Instant::now() + PATIENCE;
    loop {
        match Address::of(folder).and_then(|address| UnixStream::connect(address.path())) {
            Ok(stream) => {
                return converse(stream, folder, verb, identifier).map_err(|error| {
                    let store = Sqlite::read(&folder.store()).ok();
                    verb.explained(error, store.as_ref(), identifier)
                });
            }
            Err(error) => {
                // Whoever has the lock is the only one that writes.
                if let Some(_lock) = folder.lock(Duration::ZERO)? {
                    let path = folder.store();
                    let store = Sqlite::open(&path);
                    let mut store = store.map_err(|source| Error::Store { path, source })?;
                    let outcome = store.apply(&[command.operation()]);
                    let finished = command.finish(outcome.first().copied().unwrap_or(Stored::Failed));
                    return finished.map_err(|error| verb.explained(error, Some(&store), identifier));
                }
                if Instant::now() > give_up {
                    return Err(Error::Silent { folder: folder.path().to_path_buf(), source: error });
                }
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn converse(
    mut stream: UnixStream,
    folder: &Folder,
    verb: Verb,
    identifier: &str,
) -> Result<Zeroizing<String>, Error> {
    let silent = |source| Error::Silent { folder: folder.path().to_path_buf(), source };
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINE));
    let mut exchange = || {
        stream.set_read_timeout(Some(PATIENCE))?;
        writeln!(stream, "{} {identifier}", verb.text())?;
        BufReader::new(&stream).take(MAX_LINE as u64).read_line(&mut line)
    };
    exchange().map_err(silent)?;
    let end = || silent(io::ErrorKind::UnexpectedEof.into());
    let text = line.strip_suffix('\n').ok_or_else(end)?;
    match text.split_once(' ').unwrap_or((text, "")) {
        ("done", ticket) => Ok(Zeroizing::new(ticket.to_owned())),
        ("failed", cause) => Err(Error::Failed(cause.to_owned())),
        ("refused", cause) => Err(Error::Refused(cause.to_owned())),
        _ => Err(end()),
    }
}

/// Where the socket is, by a path short enough for the system's socket addresses (some 100 bytes) however long the folder's is.
pub(crate) struct Address {
    path: PathBuf,
    /// Keeps the short path alive.
    _folder: Option<std::fs::File>,
}

impl Address {
    pub(crate) fn of(folder: &Folder) -> io::Result<Self> {
        let path = folder.socket();
        if cfg!(target_os = "linux") && path.as_os_str().len() > 100 {
            use std::os::fd::AsRawFd;
            let opened = std::fs::File::open(folder.path())?;
            let path = format!("/proc/self/fd/{}/broker.sock", opened.as_raw_fd()).into();
            return Ok(Self { path, _folder: Some(opened) });
        }
        Ok(Self { path, _folder: None })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// An operator's connection, as the running broker has it.
pub(crate) struct Client {
    pub(crate) stream: mio::net::UnixStream,
    line: Vec<u8>,
}

impl Client {
    pub(crate) fn new(stream: mio::net::UnixStream) -> Self {
        Self { stream, line: Vec::new() }
    }

    /// Reads on; the line once it is whole. `Err`: nothing will come of this connection.
    pub(crate) fn read(&mut self) -> io::Result<Option<String>> {
        let mut buffer = [0; MAX_LINE];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.line.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
                self.line.truncate(end);
                let line = String::from_utf8(std::mem::take(&mut self.line));
                return line.map(Some).map_err(|_| io::ErrorKind::InvalidData.into());
            }
            if self.line.len() > MAX_LINE {
                return Err(io::ErrorKind::InvalidData.into());
            }
        }
    }

    /// Answers. The line fits a fresh socket's buffer.
    pub(crate) fn answer(mut self, line: &str) {
        if let Err(error) = self.stream.write_all(line.as_bytes()) {
            tracing::warn!(%error, "the operator's command could not be answered");
        }
    }
}
