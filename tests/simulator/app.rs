//! What applications do: they call, send, receive, deposit and collect.

use super::net::End;
use super::plan::Fault;
use super::world::{Happening, World};
use p2pgate::lane::{HEADROOM, TAILROOM};
use p2pgate::link::MAX_PART_HEADER;
use p2pgate::mpeg::Class;
use p2pgate::route::{Attribute, Conditions, Route};
use p2pgate::terminal::{
    Deposit, Event, FrameError, LinkId, NO_SUCH_RECORDING, Offer, Piece, SessionId, TransferFailure,
};
use std::ops::Range;

/// Each block of a recording says which one it is, and where.
pub const BLOCK: u64 = 64;
pub const MARK: [u8; 8] = *b"\0rec\xffp2p";
/// Bytes of a segment.
const SEGMENT: u64 = 512;
/// A deposit's parts may end behind so many bytes.
const PART: u64 = 64 << 10;

pub struct Recording {
    pub from: usize,
    pub to: usize,
    pub size: u64,
    pub attribute: Attribute,
}

/// The bytes of recording `id` at `offset`.
pub fn fill(id: u64, offset: u64, out: &mut [u8]) {
    for (at, byte) in out.iter_mut().enumerate() {
        let place = offset + at as u64;
        let (block, within) = (place / BLOCK, (place % BLOCK) as usize);
        *byte = match within {
            0..8 => MARK[within],
            8..16 => id.to_be_bytes()[within - 8],
            16..24 => block.to_be_bytes()[within - 16],
            _ => (id.wrapping_mul(31) ^ block.wrapping_mul(7) ^ within as u64) as u8,
        };
    }
}

pub fn class_of(attribute: Attribute, offset: u64) -> Class {
    match attribute {
        Attribute::Public => Class::Rest,
        Attribute::Split if !(offset / SEGMENT).is_multiple_of(3) => Class::Rest,
        _ => Class::Sealed,
    }
}

fn name_of(id: u64) -> String {
    format!("{id}.mpg")
}

fn source_of(id: u64) -> [u8; 16] {
    let mut source = [0xaa; 16];
    source[..8].copy_from_slice(&id.to_be_bytes());
    source
}

/// What a session is for.
pub struct Job {
    pub session: SessionId,
    pub peer: usize,
    pub recording: Option<u64>,
    pub tries: u32,
    /// Where sending has got to.
    sending: Option<u64>,
    depositing: bool,
    /// Nothing more is to be sent for now.
    waits: bool,
    decides: bool,
    /// What it asks the other end for: the list, or a recording.
    wants: Option<Option<u64>>,
}

impl Job {
    /// A session's, to send a recording or for nothing.
    fn new(session: SessionId, peer: usize, recording: Option<u64>, tries: u32) -> Self {
        let (sending, depositing, waits, decides, wants) = (None, false, false, true, None);
        Self { session, peer, recording, tries, sending, depositing, waits, decides, wants }
    }
}

/// What is coming in.
pub struct Receiving {
    pub session: SessionId,
    pub recording: u64,
    pub offset: u64,
    whole: bool,
}

impl World {
    /// A device calls another, to send a recording or for nothing.
    pub fn call(&mut self, index: usize, peer: usize, recording: Option<u64>, tries: u32) -> bool {
        self.call_for(index, peer, recording, None, tries)
    }

    /// The same, to have a recording of the other's, or the list of them.
    pub fn ask_for(&mut self, index: usize, peer: usize, wanted: Option<u64>) -> bool {
        self.call_for(index, peer, None, Some(wanted), 3)
    }

    fn call_for(
        &mut self,
        index: usize,
        peer: usize,
        recording: Option<u64>,
        wants: Option<Option<u64>>,
        tries: u32,
    ) -> bool {
        let now = self.clock(index);
        let callee = self.devices[peer].identifier.clone();
        let Some(terminal) = &mut self.devices[index].terminal else { return false };
        let Ok(session) = terminal.call(&callee, now) else { return false };
        self.note(|| format!("{} calls {}: {session:?}", self.devices[index].name, self.devices[peer].name));
        self.model.calls(index, peer, session.number(), self.now);
        let decides = !self.plan.has(Fault::Strike) || self.calm || self.chance.percent(80);
        let job = Job { decides, wants, ..Job::new(session, peer, recording, tries) };
        self.devices[index].sessions.insert(session.number(), session);
        self.devices[index].jobs.insert(session.number(), job);
        self.serve(index);
        true
    }

    pub fn new_recording(&mut self, from: usize, to: usize) -> u64 {
        let large = self.plan.has(Fault::Large) && self.chance.percent(20);
        let most = if large { 200_000 } else { 4_000 };
        let attributes = [Attribute::Confidential, Attribute::Public, Attribute::Split, Attribute::BySize];
        let recording = Recording {
            from,
            to,
            size: self.chance.below(most),
            attribute: attributes[self.chance.index(4)],
        };
        self.model.recordings.push(recording);
        self.model.recordings.len() as u64 - 1
    }

    pub fn app_event(&mut self, index: usize, event: Event) {
        let now = self.now;
        match event {
            Event::Expected { session } | Event::Collecting { session } => {
                self.devices[index].sessions.insert(session.number(), session);
                self.model.session_event(index, &self.devices[index], event, self.now, self.lying());
            }
            Event::Connected { session, .. } => {
                self.model.session_event(index, &self.devices[index], event, now, self.lying());
                let recording = match self.devices[index].jobs.get(&session.number()) {
                    Some(Job { wants: Some(wanted), .. }) => {
                        let (now, name) = (self.clock(index), wanted.map(name_of));
                        // Err: the other end's offer came first.
                        let _ = self.devices[index]
                            .terminal
                            .as_mut()
                            .map(|terminal| terminal.fetch(session, name.as_deref(), now));
                        None
                    }
                    Some(job) => job.recording,
                    // Callees send as well, now and then.
                    None if !self.calm && self.chance.percent(20) => self.answer_with(index, session),
                    None => None,
                };
                if let Some(recording) = recording {
                    self.offer(index, session, recording);
                }
            }
            Event::Offered { session } => self.offered(index, session),
            Event::Wanted { session } => self.wanted(index, session),
            Event::GroupAnswered { status } => self.model.group_answered(index, status, &self.host.store),
            Event::Ready { session, offset } | Event::DepositKept { session, offset } => {
                if let Some(job) = self.devices[index].jobs.get_mut(&session.number()) {
                    let from = job.sending.unwrap_or(offset);
                    (job.sending, job.waits) = (Some(from), false);
                }
            }
            Event::Arrived { session, .. } => {
                if let Some(receiving) = self.devices[index].receiving.get_mut(&session.number()) {
                    receiving.whole = true;
                    self.model.arrived(index, receiving.recording, receiving.offset);
                }
                let (life, wait) = (self.devices[index].life, 1 + self.chance.below(40));
                let session = session.number();
                self.later(now + wait, Happening::Recorded { device: index, life, session });
            }
            Event::DepositOffered { session, .. } => {
                self.model.session_event(index, &self.devices[index], event, now, self.lying());
                self.deposit(index, session);
            }
            Event::Deposited { session, deposit } => {
                let job = self.devices[index].jobs.get_mut(&session.number());
                let recording = job.and_then(|job| job.recording.take()).expect("what is deposited was sent");
                self.model.deposited(index, deposit, recording, &self.host.store);
            }
            Event::Delivered { session } => {
                if let Some(recording) =
                    self.devices[index].jobs.get(&session.number()).and_then(|job| job.recording)
                {
                    self.model.delivered(index, recording);
                }
                self.stop_sending(index, session, true);
            }
            Event::TransferFailed { session, failure } => {
                if let Some(Job { peer, wants: Some(Some(id)), .. }) =
                    self.devices[index].jobs.get(&session.number())
                    && failure == TransferFailure::NoSuchRecording
                {
                    self.model.has_none(index, *peer, *id);
                }
                if let Some(part) = self.devices[index].receiving.remove(&session.number()) {
                    self.devices[index].disk.partial.insert(part.recording, part.offset);
                }
                self.stop_sending(index, session, false);
            }
            Event::Denied { session, .. } | Event::Closed { session, .. } => {
                self.model.session_event(index, &self.devices[index], event, now, self.lying());
                self.devices[index].sessions.remove(&session.number());
                if let Some(part) = self.devices[index].receiving.remove(&session.number()) {
                    self.devices[index].disk.partial.insert(part.recording, part.offset);
                }
                if let Some(job) = self.devices[index].jobs.remove(&session.number())
                    && let Some(recording) = job.recording.filter(|_| job.tries < 3 && !self.calm)
                    && self.chance.percent(60)
                {
                    self.call(index, job.peer, Some(recording), job.tries + 1);
                }
            }
            event => self.model.session_event(index, &self.devices[index], event, now, self.lying()),
        }
    }

    fn answer_with(&mut self, index: usize, session: SessionId) -> Option<u64> {
        let peer = self.devices[index].terminal.as_ref()?.peer(session)?.as_str().to_owned();
        let peer = self.model.index_of(&peer)?;
        let recording = self.new_recording(index, peer);
        let job = Job::new(session, peer, Some(recording), 9);
        self.devices[index].jobs.insert(session.number(), job);
        Some(recording)
    }

    /// Another terminal asks for something: nobody hears of a recording that is not for it.
    fn wanted(&mut self, index: usize, session: SessionId) {
        let now = self.clock(index);
        let (refuses, size) = (!self.calm && self.chance.percent(10), self.chance.below(4_000));
        let Some(terminal) = &mut self.devices[index].terminal else { return };
        // None: it was withdrawn before its event was taken.
        let (Some(wanted), Some(peer)) = (terminal.wanted(session), terminal.peer(session)) else { return };
        let (name, peer) = (wanted.name.map(str::to_owned), self.model.known(peer.as_str()));
        self.model.asked_for(index, peer);
        let recording = match &name {
            None => {
                let list = Recording { from: index, to: peer, size, attribute: Attribute::Confidential };
                self.model.recordings.push(list);
                Some(self.model.recordings.len() as u64 - 1)
            }
            Some(name) => {
                let theirs = |it: &Recording| (it.from, it.to) == (index, peer);
                let id = name.strip_suffix(".mpg").and_then(|id| id.parse::<u64>().ok());
                id.filter(|id| self.model.recordings.get(*id as usize).is_some_and(theirs))
            }
        };
        let Some(recording) = recording.filter(|_| !refuses) else {
            let cause = if refuses { "not now" } else { NO_SUCH_RECORDING };
            let terminal = self.devices[index].terminal.as_mut().unwrap();
            return terminal.refuse(session, cause, now).expect("it is wanted");
        };
        let job = Job::new(session, peer, Some(recording), 9);
        self.devices[index].jobs.insert(session.number(), job);
        self.offer(index, session, recording);
    }

    fn offer(&mut self, index: usize, session: SessionId, id: u64) {
        let now = self.clock(index);
        let Recording { size, attribute, .. } = self.model.recordings[id as usize];
        let relay = self.devices[index].terminal.as_ref().is_some_and(|terminal| terminal.broker_relays());
        let route = Route::decide(attribute, Conditions { size, relay_below: 2_000, relay });
        let (name, source) = (name_of(id), source_of(id));
        let offer = Offer {
            name: &name,
            size,
            source: &source,
            hash: false,
            route,
            sealed_bytes: size,
            rest_bytes: size,
        };
        if let Some(terminal) = &mut self.devices[index].terminal {
            // Err: the other end's offer came first.
            let _ = terminal.offer(session, &offer, now);
        }
    }

    fn stop_sending(&mut self, index: usize, session: SessionId, delivered: bool) {
        let arriving = self.devices[index].receiving.contains_key(&session.number());
        let Some(job) = self.devices[index].jobs.get_mut(&session.number()) else { return };
        // What came is on its way to the disk.
        if job.wants.is_some() && arriving {
            return;
        }
        job.sending = None;
        if delivered {
            job.recording = None;
        }
        // Some stay connected for another while, or until nothing has moved for too long.
        if job.tries < 9 && self.chance.percent(70) {
            self.close(index, session);
        }
    }

    pub fn close(&mut self, index: usize, session: SessionId) {
        if let Some(terminal) = &mut self.devices[index].terminal {
            terminal.close(session);
        }
    }

    // --- receiving ------------------------------------------------------------------------------------------------

    fn offered(&mut self, index: usize, session: SessionId) {
        let now = self.clock(index);
        let refuses = !self.calm && self.chance.percent(8);
        let device = &mut self.devices[index];
        let Some(terminal) = &mut device.terminal else { return };
        // None: it was withdrawn before its event was taken.
        let Some(offered) = terminal.offered(session) else { return };
        let id = u64::from_be_bytes(*offered.source.first_chunk().expect("every recording has a source"));
        assert_eq!(offered.name, name_of(id));
        let wants = device.jobs.get(&session.number()).and_then(|job| job.wants);
        match wants.filter(|_| offered.fetched) {
            Some(Some(wanted)) => assert_eq!(id, wanted, "what was asked for is offered"),
            Some(None) => {}
            None => assert!(!offered.fetched, "nothing is said to have been asked for that was not"),
        }
        let peer = terminal.peer(session).map(|peer| peer.as_str().to_owned()).unwrap_or_default();
        self.model.offered(index, &peer, id, terminal.offered(session).unwrap().size);
        if refuses {
            let _ = terminal.refuse(session, "not now", now);
            return;
        }
        let size = self.model.recordings[id as usize].size;
        let there = match device.disk.recordings.contains(&id) {
            true => size,
            false => device.disk.partial.get(&id).copied().unwrap_or(0),
        };
        terminal.accept(session, there, now).expect("it is offered");
        let receiving = Receiving { session, recording: id, offset: there, whole: false };
        device.receiving.insert(session.number(), receiving);
    }

    pub fn payload(&mut self, index: usize, session: SessionId, offset: u64, bytes: &[u8]) {
        let lying = self.lying();
        let device = &mut self.devices[index];
        let receiving =
            device.receiving.get_mut(&session.number()).expect("nothing comes that was not accepted");
        assert_eq!(offset, receiving.offset, "bytes come in their order");
        let mut expected = vec![0; bytes.len()];
        fill(receiving.recording, offset, &mut expected);
        assert!(bytes == expected, "what arrives is what was sent, byte for byte");
        receiving.offset += bytes.len() as u64;
        self.model.may_hear(index, &self.devices[index], session, lying);
    }

    /// What arrived is on the disk, or there was no room.
    pub fn recorded(&mut self, index: usize, life: u32, session: u32) {
        if self.devices[index].life != life || self.devices[index].terminal.is_none() {
            return;
        }
        let (now, full) = (self.clock(index), self.now < self.devices[index].full_until && !self.calm);
        let Some(part) = self.devices[index].receiving.remove(&session) else { return };
        assert!(part.whole);
        let device = &mut self.devices[index];
        let Some(terminal) = &mut device.terminal else { return };
        let deposit = terminal.deposit_of(part.session).copied();
        if full {
            device.disk.partial.remove(&part.recording);
            let _ = terminal.stored(part.session, Err("the disk is full"), now);
        } else {
            device.disk.partial.remove(&part.recording);
            device.disk.recordings.insert(part.recording);
            let stored = terminal.stored(part.session, Ok(()), now);
            if let (Some(deposit), Ok(())) = (deposit, stored) {
                device.collected.insert(deposit);
            }
            self.model.recorded(index, part.recording);
        }
        self.serve(index);
    }

    // --- sending --------------------------------------------------------------------------------------------------

    fn deposit(&mut self, index: usize, session: SessionId) {
        let now = self.clock(index);
        let Some(job) = self.devices[index].jobs.get_mut(&session.number()) else { return };
        let (decides, recording) = (job.decides, job.recording);
        job.depositing = true;
        let Some(terminal) = &mut self.devices[index].terminal else { return };
        match recording {
            Some(id) if decides => {
                let deposit = Deposit {
                    size: self.model.recordings[id as usize].size,
                    source: &source_of(id),
                    hash: false,
                };
                terminal.deposit(session, &deposit, now).expect("it was asked");
            }
            None => terminal.decline_deposit(session, now).expect("it was asked"),
            // It leaves the question alone.
            Some(_) => {}
        }
    }

    /// Sends as much as the connections take now.
    pub fn pump(&mut self, index: usize) -> bool {
        let jobs = self.devices[index].jobs.values().filter(|job| job.sending.is_some() && !job.waits);
        let sessions: Vec<_> = jobs.map(|job| job.session).collect();
        let mut moved = false;
        for session in sessions {
            while self.send_next(index, session) {
                moved = true;
            }
        }
        moved
    }

    /// The next frame, part or end; `false`: none for now.
    fn send_next(&mut self, index: usize, session: SessionId) -> bool {
        let (now, life) = (self.clock(index), self.devices[index].life);
        let device = &mut self.devices[index];
        let end = |link: LinkId| End::Device { device: index, life, link };
        if device.links.iter().any(|link| self.net.is_full(end(*link))) {
            return false;
        }
        let Some(job) = device.jobs.get_mut(&session.number()) else { return false };
        let (Some(at), Some(id), Some(terminal)) =
            (job.sending.filter(|_| !job.waits), job.recording, &mut device.terminal)
        else {
            return false;
        };
        let Recording { size, attribute, .. } = self.model.recordings[id as usize];
        let (segment, class, edge) = match job.depositing {
            true => (0, Class::Sealed, (at / PART + 1) * PART),
            false => (at / SEGMENT, class_of(attribute, at), (at / SEGMENT + 1) * SEGMENT),
        };
        let most = terminal.max_payload(session) as u64;
        let length = most.min(edge.min(size).saturating_sub(at)) as usize;
        let mut buffer = vec![0; (HEADROOM + length.max(32) + TAILROOM).max(MAX_PART_HEADER)];
        let end_of_part = (at + length as u64).is_multiple_of(PART) && at + (length as u64) < size;
        let early = job.depositing && length > 0 && end_of_part;
        let sealed = if length == 0 {
            let segments = if job.depositing { 1 } else { size.div_ceil(SEGMENT) };
            let mut ends = Vec::new();
            let mut error = None;
            for class in [Class::Sealed, Class::Rest] {
                match terminal.seal_end(session, class, segments, None, &mut buffer, now) {
                    Ok((link, range)) => ends.push((link, buffer[range].to_vec())),
                    Err(FrameError::NoLane) => {}
                    Err(other) => error = Some(other),
                }
            }
            match error {
                None => {
                    job.sending = None;
                    for (link, bytes) in ends {
                        self.write(end(link), &bytes);
                    }
                    return false;
                }
                Some(error) => Err(error),
            }
        } else {
            fill(id, at, &mut buffer[HEADROOM..HEADROOM + length]);
            let piece = Piece { class, segment, offset: at, length };
            terminal.seal(session, piece, &mut buffer, now)
        };
        let sealed: Result<(LinkId, Range<usize>), FrameError> = match sealed {
            Ok(done) => {
                job.sending = Some(at + length as u64);
                Ok(done)
            }
            Err(FrameError::PartDue) => terminal.seal_part(session, &name_of(id), &mut buffer, now),
            Err(FrameError::Gap { next }) => {
                job.sending = Some(next);
                return true;
            }
            Err(error) => Err(error),
        };
        match sealed {
            Ok((link, range)) => {
                let bytes = buffer[range].to_vec();
                self.write(end(link), &bytes);
                if early {
                    self.early_part(index, session, id);
                }
                true
            }
            Err(FrameError::NotYet) => {
                job.waits = true;
                false
            }
            // The transfer has ended; its event is still to be taken.
            Err(FrameError::NoLane) => {
                job.sending = None;
                false
            }
            Err(error) => panic!("{error}"),
        }
    }

    /// Parts need not be as long as they may be.
    fn early_part(&mut self, index: usize, session: SessionId, id: u64) {
        let (now, life) = (self.clock(index), self.devices[index].life);
        let mut buffer = [0; MAX_PART_HEADER];
        let Some(terminal) = &mut self.devices[index].terminal else { return };
        if let Ok((link, range)) = terminal.seal_part(session, &name_of(id), &mut buffer, now) {
            self.write(End::Device { device: index, life, link }, &buffer[range]);
        }
    }
}
