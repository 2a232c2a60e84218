//! A recording on its way out: what is sent of which file, and how.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use p2pgate::mpeg::{Class, Container, Selection, Splitter};
use p2pgate::route::{Attribute as Wanted, Conditions, Path as By, Protection, Route, Way};
use p2pgate::terminal::{Offer, OfferError, SessionId};
use sha2::{Digest, Sha256};

use crate::failure::{Code, Failure};
use crate::node::Node;
use crate::recording::{Pictures, Pieces, Scan, container, scan};

/// With `auto`: smaller recordings go through the broker unless the user says another size.
pub const RELAY_BELOW: u64 = 16 << 20;

/// What is read of a resumed recording in one turn.
const CATCH_UP: u64 = 16 << 20;

/// How a recording is to travel (P8, V10).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Its attribute.
    pub wanted: Wanted,
    /// With `split`: which pictures are sealed.
    pub selection: Selection,
    /// With `split`: what is no video is sealed too.
    pub seal_rest: bool,
}

impl Plan {
    /// Everything sealed.
    pub const CONFIDENTIAL: Self =
        Self { wanted: Wanted::Confidential, selection: Selection::Intra, seal_rest: false };
}

/// The file to send.
pub struct Source {
    file: File,
    path: PathBuf,
    /// What the other recorder is told that it is called.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// Coded pictures, once it has been looked at.
    pub pictures: Pictures,
    /// Its SHA-256, if that was asked for.
    pub hash: Option<[u8; 32]>,
    /// How it is to travel.
    pub plan: Plan,
    /// Payload bytes of the classes sealed and rest.
    classes: (u64, u64),
    /// Size and modification time at the start.
    stamp: (u64, i64, i64),
    /// Names this state of the file.
    tag: Option<[u8; 16]>,
}

impl Source {
    /// An open file, which `path` names for people.
    pub fn new(file: File, path: &Path, name: String, plan: Plan) -> Result<Self, Failure> {
        let metadata = file.metadata().map_err(|error| Failure::local("cannot read", path, &error))?;
        if !metadata.is_file() {
            return Err(Failure::new(
                Code::Local,
                format!("{} is not a file: name a recording", path.display()),
            ));
        }
        let (stamp, bytes) = (stamp(&metadata), metadata.len());
        let mut hash = Sha256::new();
        for number in [metadata.dev(), metadata.ino(), stamp.0, stamp.1 as u64, stamp.2 as u64] {
            hash.update(number.to_be_bytes());
        }
        let mut tag = [0; 16];
        tag.copy_from_slice(&hash.finalize()[..16]);
        let pictures = Pictures::default();
        let classes = (bytes, bytes);
        let tag = Some(tag);
        Ok(Self { file, path: path.to_owned(), name, bytes, pictures, hash: None, plan, classes, stamp, tag })
    }

    /// A file that is made for this once, about what is at `path`: nobody goes on with it later.
    pub fn unkept(file: File, path: &Path, name: String) -> Result<Self, Failure> {
        Ok(Self { tag: None, ..Self::new(file, path, name, Plan::CONFIDENTIAL)? })
    }

    /// Whether it is more than a file that was made for this once.
    pub fn is_kept(&self) -> bool {
        self.tag.is_some()
    }

    /// Looks at it from end to end, which `split` needs: how much is of which class, its pictures, and with `hash` its SHA-256.
    pub fn look(&mut self, hash: bool) -> Result<Container, Failure> {
        let scan = scan(&self.file, self.splitter(), hash).map_err(|error| self.unreadable(error))?;
        self.seen(&scan)
    }

    /// What looks at it from end to end, on whatever thread.
    pub fn scanner(&self) -> io::Result<impl FnOnce() -> io::Result<Scan> + Send + use<>> {
        let (file, splitter) = (self.file.try_clone()?, self.splitter());
        Ok(move || scan(&file, splitter, false))
    }

    /// Its container, by its beginning.
    pub fn container(&self) -> Result<Container, Failure> {
        container(&self.file).map_err(|error| self.unreadable(error))
    }

    /// Takes over what a look at it has found. Without that, each class counts as large as the whole may be.
    pub fn seen(&mut self, scan: &Scan) -> Result<Container, Failure> {
        (self.bytes, self.pictures, self.hash) = (scan.bytes, scan.pictures, scan.hash);
        if self.plan.wanted == Wanted::Split {
            self.classes = (scan.sealed, scan.rest);
        }
        self.check_unchanged()?;
        Ok(scan.container)
    }

    fn splitter(&self) -> Splitter {
        Splitter::with(self.plan.selection, self.plan.seal_rest)
    }

    /// Names this state of the file for the other recorder.
    pub fn tag(&self) -> &[u8] {
        self.tag.as_ref().map_or(&[], |tag| tag)
    }

    /// Its bytes at that place, all of `buffer`.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Failure> {
        self.file.read_exact_at(buffer, offset).map_err(|error| self.unreadable(error))
    }

    /// Its bytes from `offset` on, `most` at a time.
    fn pieces(&self, offset: u64, most: usize) -> Result<Pieces, Failure> {
        let file = self.file.try_clone().map_err(|error| self.unreadable(error))?;
        Ok(match self.plan.wanted {
            Wanted::Split => Pieces::split(file, self.splitter(), offset, most),
            _ => Pieces::whole(file, offset, most),
        })
    }

    /// What was sent so far would not fit what comes, if the file changes meanwhile.
    pub fn check_unchanged(&self) -> Result<(), Failure> {
        let now = self.file.metadata().map_err(|error| self.unreadable(error))?;
        if stamp(&now) == self.stamp && now.len() == self.bytes { Ok(()) } else { Err(self.changed()) }
    }

    fn changed(&self) -> Failure {
        let path = self.path.display();
        Failure::new(
            Code::Local,
            format!("{path} changed while it was sent: wait until its recording is over, then send again"),
        )
    }

    fn unreadable(&self, error: std::io::Error) -> Failure {
        Failure::local("cannot read", &self.path, &error)
    }
}

fn stamp(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Payload bytes by the way that they took.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sent {
    /// In clear, straight to the other recorder.
    pub direct_clear: u64,
    /// Sealed, straight to the other recorder.
    pub direct_sealed: u64,
    /// Sealed, through the broker.
    pub relay_sealed: u64,
}

impl Sent {
    fn count(&mut self, way: Way, bytes: u64) {
        match (way.path, way.protection) {
            (By::Relay, _) => self.relay_sealed += bytes,
            (By::Direct, Protection::Sealed) => self.direct_sealed += bytes,
            (By::Direct, Protection::Clear) => self.direct_clear += bytes,
        }
    }
}

/// A source and its way out, over one session after the other if need be.
pub struct Outgoing {
    /// What is sent.
    pub source: Source,
    /// What went which way, over all sessions.
    pub sent: Sent,
    /// As the attribute asks for it, and as it is in this session.
    wanted: Route,
    route: Route,
    pieces: Option<Pieces>,
    /// Lanes whose end isn't out yet.
    open: Vec<Class>,
}

impl Outgoing {
    /// Decides the way of a source; `relay`: the broker relays.
    pub fn new(source: Source, relay_below: u64, relay: bool) -> Self {
        let conditions = Conditions { size: source.bytes, relay_below, relay };
        let wanted = Route::decide(source.plan.wanted, conditions);
        Self { source, sent: Sent::default(), wanted, route: wanted, pieces: None, open: Vec::new() }
    }

    /// Offers it over a session (M17).
    pub fn offer(&mut self, node: &mut Node, session: SessionId, tunnel: bool) -> Result<(), OfferError> {
        self.route = if tunnel { self.wanted.tunnelled() } else { self.wanted };
        (self.pieces, self.open) = (None, Vec::new());
        let Source { name, bytes, hash, classes: (sealed_bytes, rest_bytes), .. } = &self.source;
        let (route, sealed_bytes, rest_bytes) = (self.wanted, *sealed_bytes, *rest_bytes);
        let (source, hash) = (self.source.tag(), hash.is_some());
        let offer = Offer { name, size: *bytes, source, hash, route, sealed_bytes, rest_bytes };
        let (terminal, now) = node.terminal();
        terminal.offer(session, &offer, now)
    }

    /// The other recorder takes it from `offset` on.
    pub fn ready(&mut self, node: &mut Node, session: SessionId, offset: u64) -> Result<(), Failure> {
        let most = node.terminal().0.max_payload(session);
        self.pieces = Some(self.source.pieces(offset, most)?);
        self.open = [Class::Rest, Class::Sealed].into();
        self.open.retain(|class| self.route.way(*class).is_some());
        Ok(())
    }

    /// Without a tunnel some of it would go straight to the other recorder.
    pub fn wants_direct(&self) -> bool {
        self.wanted != self.wanted.tunnelled()
    }

    /// Not all of it has gone out.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// There is something to seal now.
    pub fn can_go_on(&self, node: &Node, session: SessionId) -> bool {
        !self.open.is_empty() && node.can_send(session)
    }

    /// Seals and queues as much as the lanes take, `most` bytes or a piece more, and at last their ends. Gives the place in the recording behind what went
    /// out. After an error nothing more can come of it: the transfer is to be abandoned.
    pub fn pump(&mut self, node: &mut Node, session: SessionId, most: u64) -> Result<Option<u64>, Failure> {
        let Self { source, sent, route, pieces: Some(pieces), open, .. } = self else { return Ok(None) };
        let only = if route.rest.is_none() {
            Some(Class::Sealed)
        } else {
            route.sealed.is_none().then_some(Class::Rest)
        };
        // Others have their turn while a resumed recording is read up to where it goes on.
        if !pieces.catch_up(CATCH_UP).map_err(|error| source.unreadable(error))? {
            return Ok(None);
        }
        let (mut gone, mut place) = (0, None);
        while !open.is_empty() && node.can_send(session) && gone < most {
            let Some(piece) = pieces.next().map_err(|error| source.unreadable(error))? else {
                let segments = pieces.segments();
                self.end(node, session, segments)?;
                break;
            };
            let class = only.unwrap_or(piece.class);
            let length = piece.bytes.len() as u64;
            if node.send(session, class, &piece).is_err() {
                // The transfer is over; its event says why. Or the file has grown.
                let grown = piece.offset + length > source.bytes;
                open.clear();
                return if grown { Err(source.changed()) } else { Ok(place) };
            }
            gone += length;
            if let Some(way) = route.way(class) {
                sent.count(way, length);
            }
            place = Some(piece.offset + length);
        }
        Ok(place)
    }

    /// As many ends as the lanes take now.
    fn end(&mut self, node: &mut Node, session: SessionId, segments: u64) -> Result<(), Failure> {
        self.source.check_unchanged()?;
        while node.can_send(session)
            && let Some(class) = self.open.pop()
        {
            if node.send_end(session, class, segments, self.source.hash.as_ref()).is_err() {
                // The transfer is over; its event says why.
                self.open.clear();
            }
        }
        Ok(())
    }
}
