//! A device: a terminal, its disk, its crashes, and what it does when it is told to.

use super::app::{Job, Receiving};
use super::model::Listed;
use super::net::{BUFFER, End, PipeId};
use super::plan::Fault;
use super::rng::Rng;
use super::world::{Happening, World};
use p2pgate::broker::digest_of_ticket;
use p2pgate::identifier::Identifier;
use p2pgate::link::{MaxRecord, SecretKey};
use p2pgate::load::LoadGate;
use p2pgate::message::DepositId;
use p2pgate::sframe::Suite;
use p2pgate::terminal::{
    Config, Event, LinkId, OfflineCause, SessionId, Step, Terminal, TransmitError, blob_size,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

pub const PEERS: usize = 64;
type SimTerminal = Terminal<4, PEERS>;

/// What outlasts a crash.
#[derive(Clone, Default)]
pub struct Disk {
    pub blob: Vec<u8>,
    /// What the blob has, as the model says.
    pub listed: Listed,
    seed: [u8; 32],
    /// Whole recordings, and how much there is of others.
    pub recordings: BTreeSet<u64>,
    pub partial: BTreeMap<u64, u64>,
    /// The deposits of which the blob has it that they are collected.
    pub collected: BTreeSet<DepositId>,
}

pub struct Device {
    pub name: String,
    pub identifier: Identifier,
    pub secret: [u8; 32],
    pub address: SocketAddr,
    pub terminal: Option<Box<SimTerminal>>,
    /// How often it has been started.
    pub life: u32,
    pub disk: Disk,
    ticket: Option<String>,
    /// By how much its clock has been put forward.
    pub ahead: u64,
    pub due: Option<u64>,
    pub links: BTreeSet<LinkId>,
    blocked: BTreeSet<PipeId>,
    /// It reads nothing before then.
    pub stopped_until: u64,
    pub full_until: u64,
    pub firewalled: bool,
    frame: u32,
    /// Sessions that have not been said to be over.
    pub sessions: BTreeMap<u32, SessionId>,
    pub jobs: BTreeMap<u32, Job>,
    pub receiving: BTreeMap<u32, Receiving>,
    pub online: bool,
    pub collected: BTreeSet<DepositId>,
    wants_persist: bool,
    /// What is being written to its disk.
    writing: Option<(Vec<u8>, Listed, BTreeSet<DepositId>)>,
}

impl Device {
    pub fn due_at(&self) -> Option<u64> {
        self.due.map(|due| due.saturating_sub(self.ahead))
    }

    /// Whether bytes of this connection wait for something else.
    pub fn waits_on(&self, pipe: PipeId) -> bool {
        self.blocked.contains(&pipe)
    }
}

impl World {
    pub fn clock(&self, device: usize) -> u64 {
        self.now + self.devices[device].ahead
    }

    pub fn add_device(&mut self) {
        let index = self.devices.len();
        // Every other one looks like the one before it, to people.
        let name = match index % 4 {
            0 => format!("Recorder {index}"),
            1 => format!("Rес\u{43e}rder {}", index - 1),
            2 => format!("090-1234-{index:04}"),
            _ => format!("O90-1234-{:04}", index - 1),
        };
        let address = format!("192.0.2.{}:7000", index + 1).parse().unwrap();
        let firewalled = self.plan.has(Fault::Firewall) && self.chance.percent(40);
        let frame = [600, 1_500, 2_048][self.chance.index(3)];
        self.devices.push(Device {
            identifier: Identifier::new(&name).unwrap(),
            name: name.clone(),
            secret: [0; 32],
            address,
            terminal: None,
            life: 0,
            disk: Disk::default(),
            ticket: None,
            ahead: 0,
            due: None,
            links: BTreeSet::new(),
            blocked: BTreeSet::new(),
            stopped_until: 0,
            full_until: 0,
            firewalled,
            frame,
            sessions: BTreeMap::new(),
            jobs: BTreeMap::new(),
            receiving: BTreeMap::new(),
            online: false,
            collected: BTreeSet::new(),
            wants_persist: false,
            writing: None,
        });
        self.model.names.push(name);
        self.commission(index);
    }

    /// A new device under the identifier, with a ticket of the operator's.
    pub fn commission(&mut self, index: usize) {
        let ticket = format!("ticket {} {}", index, self.chance.below(1 << 40));
        let device = &mut self.devices[index];
        let mut own = Rng::of_device(index, device.life);
        let (secret, seed) = (own.bytes(), own.bytes());
        device.secret = secret;
        device.disk = Disk { seed, ..Disk::default() };
        device.ticket = Some(ticket.clone());
        let name = p2pgate::broker::Name::from(device.name.as_str());
        self.host.store.tickets.retain(|_, whose| *whose != name);
        self.host.store.tickets.insert(digest_of_ticket(&ticket), name);
        self.model.commissioned(index, SecretKey::new(secret).public_key(), ticket, self.now);
        self.start_device(index);
    }

    pub fn start_device(&mut self, index: usize) {
        if self.devices[index].terminal.is_some() {
            return;
        }
        self.note(|| format!("{} starts", self.devices[index].name));
        let entropy = Rng::of_device(index, self.devices[index].life).bytes();
        let (now, broker_key) = (self.clock(index), self.host.key);
        let suites = [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128];
        let suite = suites[self.chance.index(2)];
        let shares = self.plan.has(Fault::Fetch);
        let device = &mut self.devices[index];
        let config = Config {
            identifier: device.identifier.clone(),
            secret: SecretKey::new(device.secret),
            broker_key,
            max_record: MaxRecord::new(4_096).unwrap(),
            max_frame: device.frame,
            suite,
            listen: true,
            allow_loopback: false,
            load: LoadGate::new(80, 10, 3),
        };
        let (mut terminal, seed) = SimTerminal::new(config, &device.disk.seed, &entropy);
        device.disk.seed = seed;
        if !device.disk.blob.is_empty() {
            terminal.restore(&device.disk.blob).expect("what was written whole can be read");
        }
        if let Some(ticket) = &device.ticket {
            terminal.enrol(ticket).unwrap();
        }
        terminal.listen_at(&[device.address]).unwrap();
        terminal.share(shares);
        terminal.connect(now);
        device.terminal = Some(Box::new(terminal));
        device.collected = device.disk.collected.clone();
        device.life += 1;
        self.model.device_started(index, &self.devices[index].disk.listed, self.now);
        let life = self.devices[index].life;
        self.later(self.now + 1_000, Happening::Tick { device: index, life });
        self.serve(index);
        self.check_list(index);
    }

    pub fn crash_device(&mut self, index: usize) {
        let device = &mut self.devices[index];
        if device.terminal.take().is_none() {
            return;
        }
        let life = device.life;
        device.due = None;
        device.online = false;
        (device.wants_persist, device.stopped_until) = (false, 0);
        device.links.clear();
        device.blocked.clear();
        device.sessions.clear();
        device.jobs.clear();
        let receiving = std::mem::take(&mut device.receiving);
        let writing = device.writing.take();
        // A file is there whole or as it was; of a recording that was coming in there is some.
        if let Some((blob, listed, collected)) = writing
            && self.chance.percent(50)
        {
            let disk = &mut self.devices[index].disk;
            (disk.blob, disk.listed, disk.collected) = (blob, listed, collected);
        }
        for part in receiving.into_values() {
            let there = self.chance.below(part.offset + 1);
            self.devices[index].disk.partial.insert(part.recording, there);
        }
        self.note(|| format!("{} crashes", self.devices[index].name));
        self.abandon(
            |end| matches!(end, End::Device { device, life: of, .. } if device == index && of == life),
        );
    }

    pub fn time_out(&mut self, index: usize) {
        let now = self.clock(index);
        if let Some(terminal) = &mut self.devices[index].terminal {
            terminal.handle_timeout(now);
        }
        self.serve(index);
    }

    /// Takes events, sends what there is to be sent, and tries again what had to wait, until nothing moves.
    pub fn serve(&mut self, index: usize) {
        for _ in 0..10_000 {
            let mut moved = false;
            while let Some(event) = self.devices[index].terminal.as_mut().and_then(|it| it.poll_event()) {
                moved = true;
                self.device_event(index, event);
            }
            let links: Vec<_> = self.devices[index].links.iter().copied().collect();
            for link in links {
                moved |= self.transmit(index, link);
            }
            moved |= self.pump(index);
            if !moved && self.now >= self.devices[index].stopped_until {
                for pipe in std::mem::take(&mut self.devices[index].blocked) {
                    let device = &self.devices[index];
                    let mine = |end: &End| matches!(end, End::Device { device: whose, life, .. } if *whose == index && *life == device.life);
                    let side = self.net.pipes.get(&pipe).and_then(|it| it.ends.iter().position(mine));
                    if let Some(side) = side {
                        moved |= self.feed(pipe, side);
                    }
                }
            }
            if !moved {
                let device = &mut self.devices[index];
                let due = device.terminal.as_mut().and_then(|terminal| terminal.poll_timeout());
                device.due = due;
                return self.persist(index);
            }
        }
        panic!("{} never comes to rest", self.devices[index].name);
    }

    fn transmit(&mut self, index: usize, link: LinkId) -> bool {
        let now = self.clock(index);
        let end = End::Device { device: index, life: self.devices[index].life, link };
        let mut moved = false;
        let mut size = 1_200;
        while !self.net.is_full(end) {
            let mut out = vec![0; size];
            let Some(terminal) = &mut self.devices[index].terminal else { return moved };
            match terminal.poll_transmit(link, &mut out, now) {
                Ok(0) => break,
                Ok(length) => {
                    moved = true;
                    self.write(end, &out[..length]);
                }
                Err(TransmitError::BufferTooSmall { needed }) => {
                    assert!(needed > size && needed <= BUFFER, "{needed} bytes are never too few");
                    size = needed;
                }
                Err(error) => panic!("{error}"),
            }
        }
        moved
    }

    pub fn feed_device(&mut self, id: PipeId, side: usize, index: usize, link: LinkId) -> bool {
        if self.now < self.devices[index].stopped_until {
            let until = self.devices[index].stopped_until;
            self.later(until, Happening::Arrive { pipe: id, side });
            return false;
        }
        let now = self.clock(index);
        let mut bytes = self.take_unread(id, side);
        let mut moved = false;
        let mut start = 0;
        self.devices[index].blocked.remove(&id);
        while start < bytes.len() {
            let end = bytes.len().min(start + BUFFER);
            let held = &mut bytes[start..end];
            let Some(terminal) = &mut self.devices[index].terminal else { return false };
            let input = terminal.handle_input(link, held, now);
            match input.step {
                Step::Payload { session, offset, range } => {
                    let payload = held[range].to_vec();
                    self.payload(index, session, offset, &payload);
                }
                Step::Closed => {
                    bytes.clear();
                    start = 0;
                    moved = true;
                    break;
                }
                Step::Blocked => {
                    self.devices[index].blocked.insert(id);
                    break;
                }
                Step::NeedMore(total) => {
                    assert!(total > end - start && total <= BUFFER, "a record or frame has room: {total}");
                    break;
                }
                Step::Progress | Step::Deposit { .. } => {}
            }
            moved |= input.consumed > 0;
            start += input.consumed;
        }
        bytes.drain(..start);
        self.put_back(id, side, bytes);
        if moved {
            self.room(id, side);
            self.serve(index);
        }
        moved
    }

    pub fn opened(&mut self, index: usize, link: LinkId) {
        let now = self.clock(index);
        if let Some(terminal) = &mut self.devices[index].terminal {
            terminal.link_opened(link, now);
        }
        self.serve(index);
    }

    /// A connection of the device's is over, or did not come about.
    pub fn link_over(&mut self, index: usize, life: u32, link: LinkId) {
        let now = self.clock(index);
        let device = &mut self.devices[index];
        if device.life != life || !device.links.remove(&link) {
            return;
        }
        if let Some(terminal) = &mut device.terminal {
            terminal.link_closed(link, now);
        }
        self.serve(index);
    }

    fn device_event(&mut self, index: usize, event: Event) {
        self.note(|| format!("{}: {event:?}", self.devices[index].name));
        match event {
            Event::Connect { link, to } => {
                self.devices[index].links.insert(link);
                self.dial(index, link, to);
            }
            Event::Close { link } => {
                self.transmit(index, link);
                self.devices[index].links.remove(&link);
                let life = self.devices[index].life;
                self.close_end(End::Device { device: index, life, link });
            }
            Event::Persist => self.devices[index].wants_persist = true,
            Event::Online { .. } => {
                self.devices[index].online = true;
                self.model.session_event(index, &self.devices[index], event, self.now, self.lying());
            }
            Event::Offline { cause } => {
                self.devices[index].online = false;
                self.model.went_offline(index, cause, self.now);
                if cause == OfflineCause::NotEnrolled {
                    // A person looks after it, some time.
                    let life = self.devices[index].life;
                    self.later(self.now + 15_000, Happening::Tick { device: index, life });
                }
            }
            event => self.app_event(index, event),
        }
    }

    // --- its disk -------------------------------------------------------------------------------------------------

    /// Starts to write the blob, if that is due and nothing is being written.
    fn persist(&mut self, index: usize) {
        let device = &mut self.devices[index];
        let Some(terminal) =
            device.terminal.as_mut().filter(|_| device.wants_persist && device.writing.is_none())
        else {
            return;
        };
        device.wants_persist = false;
        let mut blob = vec![0; blob_size(PEERS)];
        let length = terminal.blob(&mut blob).unwrap();
        blob.truncate(length);
        device.writing = Some((blob, self.model.listed(index), device.collected.clone()));
        let slow = self.plan.has(Fault::Latency) && !self.calm && self.chance.percent(20);
        let when = self.now + 1 + self.chance.below(if slow { 3_000 } else { 30 });
        let life = self.devices[index].life;
        self.later(when, Happening::Persisted { device: index, life });
    }

    pub fn persisted(&mut self, index: usize, life: u32) {
        let (now, calm) = (self.now, self.calm);
        let device = &mut self.devices[index];
        if device.life != life || device.terminal.is_none() {
            return;
        }
        let Some((blob, listed, collected)) = device.writing.take() else { return };
        if now < device.full_until && !calm {
            // No room: what there is by then is written later.
            device.wants_persist = true;
            device.writing = None;
            return self.later(now + 2_000, Happening::Tick { device: index, life });
        }
        (device.disk.blob, device.disk.listed, device.disk.collected) = (blob, listed, collected);
        if let Some(terminal) = &mut device.terminal {
            terminal.persisted();
        }
        if self.plan.has(Fault::Crash) && !calm && self.chance.percent(3) {
            let when = self.now + self.chance.below(100);
            self.later(when, Happening::DeviceCrashes { device: index, life });
        }
        self.serve(index);
    }

    /// What the terminal has for its list is what the model has.
    pub fn check_list(&self, index: usize) {
        let Some(terminal) = &self.devices[index].terminal else { return };
        let theirs: BTreeSet<String> =
            terminal.permitted().map(|(name, _)| name.as_str().to_owned()).collect();
        assert_eq!(theirs, self.model.listed(index).names, "the list of {}", self.devices[index].name);
    }

    /// Whether it has the model's list, and the sessions that it should have.
    pub fn check_devices(&self) {
        for index in 0..self.devices.len() {
            self.check_list(index);
            let device = &self.devices[index];
            assert!(device.sessions.len() <= 4, "sessions are bounded: {:?}", device.sessions);
            assert!(device.links.len() <= 4 * 6 + 5, "connections are bounded: {:?}", device.links);
            self.model.check_sessions(index, device);
        }
    }
}
