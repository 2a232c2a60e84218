//! `fetch`: takes a recording that another recorder shares.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use p2pgate::terminal::{DAMAGED, SessionId};

use super::pull::{Refused, Taker, pull};
use crate::cli::Fetch;
use crate::failure::{Code, Failure};
use crate::incoming::{self, Description, Incoming};
use crate::node::Sink;

/// Fetches, and says where the recording is.
pub fn run(arguments: &Fetch) -> Result<(), Failure> {
    let started = Instant::now();
    let Fetch { state, from, name, out, json } = arguments;
    std::fs::create_dir_all(out).map_err(|error| Failure::local("cannot make the folder", out, &error))?;
    let mut taker = ToFolder { folder: out, from, incoming: None, stored: None };
    pull(state, from, Some(name), &mut taker)?;
    let (path, bytes) = taker.stored.unwrap_or_default();
    if *json {
        let seconds = started.elapsed().as_secs_f64();
        say!("{}", serde_json::json!({ "path": path, "bytes": bytes, "from": from, "seconds": seconds }));
    } else {
        say!("fetched {} bytes {bytes} from {from}", path.display());
    }
    Ok(())
}

/// Writes to a folder as `receive` does.
struct ToFolder<'a> {
    folder: &'a Path,
    from: &'a str,
    incoming: Option<Incoming>,
    stored: Option<(PathBuf, u64)>,
}

impl Sink for ToFolder<'_> {
    fn payload(&mut self, _: SessionId, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.incoming.as_mut().ok_or(io::ErrorKind::NotFound)?.write(offset, bytes)
    }
}

impl Taker for ToFolder<'_> {
    fn begin(&mut self, what: &Description<'_>, hash: bool) -> Result<u64, Refused> {
        let folder = self.folder;
        match self.incoming.take() {
            // It has changed there: what an earlier try has brought is of no use any more.
            Some(before) if before.temporary() != Incoming::path(folder, what) => before.discard(),
            // It is written and given free before it is opened again.
            before => drop(before),
        }
        let opened = Incoming::open(folder, what, hash).map_err(|refusal| match refusal {
            incoming::Refusal::NoRoom => Refused {
                cause: "there is no room for it",
                failure: Failure::new(
                    Code::Local,
                    format!("{} has no room for {} bytes: make some", folder.display(), what.size),
                ),
                again: false,
            },
            incoming::Refusal::Busy => Refused {
                cause: "it is coming in already",
                failure: Failure::new(
                    Code::Local,
                    format!("another fetch is taking it to {}: wait for that", folder.display()),
                ),
                again: false,
            },
            incoming::Refusal::Local(error) => Refused {
                cause: "the receiver cannot write files",
                failure: Failure::local("cannot write to", folder, &error),
                again: false,
            },
        });
        Ok(self.incoming.insert(opened?).written())
    }

    fn store(&mut self, hash: Option<[u8; 32]>) -> Result<(), Refused> {
        let Some(incoming) = self.incoming.take() else { return Ok(()) };
        if hash.is_some() && incoming.sha256() != hash {
            incoming.discard();
            let text = format!("what came from {} has not the SHA-256 that it gave: fetch again", self.from);
            return Err(Refused { cause: DAMAGED, failure: Failure::new(Code::Damaged, text), again: true });
        }
        let bytes = incoming.size();
        match incoming.finish() {
            Ok(path) => {
                self.stored = Some((path, bytes));
                Ok(())
            }
            Err(error) => Err(Refused {
                cause: "it could not be stored",
                failure: Failure::local("cannot write to", self.folder, &error),
                again: false,
            }),
        }
    }
}
