//! A world: everybody in it, its time, and what is to happen when.

use super::device::Device;
use super::host::Host;
use super::liar::Lies;
use super::model::{Counted, Model};
use super::net::{Net, PipeId};
use super::plan::{Fault, Plan};
use super::rng::Rng;
use super::wild::Wild;
use crate::tap::Listener;
use p2pgate::broker::{Config, Name, RequestId};
use p2pgate::terminal::{Destination, LinkId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// What happens at a moment.
pub enum Happening {
    Arrive {
        pipe: PipeId,
        side: usize,
    },
    Tell {
        pipe: PipeId,
        side: usize,
    },
    Dialled {
        device: usize,
        life: u32,
        link: LinkId,
        to: Destination,
    },
    Stored {
        life: u32,
    },
    BrokerStarts,
    ResolverDialled {
        life: u32,
    },
    ResolverStored {
        life: u32,
    },
    /// Whoever assigned an address says what it knows.
    Leased {
        life: u32,
        request: RequestId,
        identifier: Name,
    },
    ResolverStarts,
    /// The power goes at a moment when something is half done.
    DeviceCrashes {
        device: usize,
        life: u32,
    },
    DeviceStarts {
        device: usize,
    },
    /// What a device has been writing is on its disk.
    Persisted {
        device: usize,
        life: u32,
    },
    /// A recording that arrived is.
    Recorded {
        device: usize,
        life: u32,
        session: u32,
    },
    /// A device that waited for room goes on.
    Served {
        device: usize,
        life: u32,
    },
    /// A device's application does what it does from time to time.
    Tick {
        device: usize,
        life: u32,
    },
}

pub struct World {
    pub plan: Plan,
    pub now: u64,
    pub chance: Rng,
    queue: BTreeMap<(u64, u64), Happening>,
    order: u64,
    pub host: Host,
    pub devices: Vec<Device>,
    pub net: Net,
    pub model: Model,
    pub wild: BTreeMap<u64, Wild>,
    pub wilds: u64,
    pub listener: Listener,
    pub lies: Option<Rc<RefCell<Lies>>>,
    /// So many of the chunks that are written next are altered on their way.
    pub flip: u32,
    /// So many of the connections that are opened next go elsewhere.
    pub misroute: u32,
    /// Faults have stopped.
    pub calm: bool,
    talks: bool,
}

fn config(plan: &Plan) -> Config {
    let mut config = Config { session_ms: 300_000, unfinished_deposit_ms: 600_000, ..Config::default() };
    if plan.has(Fault::SmallLimits) {
        config.max_grants_per_terminal = 3;
        config.max_links_per_terminal = 2;
        config.max_lanes_per_grant = 3;
        config.max_queries_per_link = 2;
        config.max_deposits_per_terminal = 3;
        config.max_deposits_per_pair = 2;
        config.max_deposited = 30_000;
        config.max_output = 6_000;
    }
    config
}

impl World {
    pub fn new(plan: Plan) -> Self {
        let chance = Rng::new(plan.seed, 3);
        let config = config(&plan);
        let count = plan.terminals();
        let talks = std::env::var_os("P2PGATE_TALK").is_some();
        let mut world = Self {
            now: 1_000,
            queue: BTreeMap::new(),
            order: 0,
            host: Host::new(config),
            devices: Vec::new(),
            net: Net::default(),
            model: Model::default(),
            wild: BTreeMap::new(),
            wilds: 0,
            listener: Listener::default(),
            lies: None,
            flip: 0,
            misroute: 0,
            calm: false,
            talks,
            chance,
            plan,
        };
        if world.plan.has(Fault::Liar) {
            world.begin_to_lie();
        }
        world.start_resolver();
        world.use_resolver();
        for _ in 0..count {
            world.add_device();
        }
        world
    }

    /// For whoever looks for what went wrong.
    pub fn note(&self, text: impl FnOnce() -> String) {
        if self.talks {
            println!("{:>8} {}", self.now, text());
        }
    }

    /// The broker lies in this world, so what rests on its word doesn't hold.
    pub fn lying(&self) -> bool {
        self.lies.is_some()
    }

    pub fn later(&mut self, when: u64, what: Happening) {
        self.order += 1;
        self.queue.insert((when.max(self.now), self.order), what);
    }

    /// Lets time pass, with all that happens meanwhile.
    pub fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        loop {
            let happens = self.queue.keys().next().map(|(when, _)| *when);
            let broker = self.host.due.map(|due| due.saturating_sub(self.host.ahead));
            let device =
                self.devices.iter().enumerate().filter_map(|(index, it)| Some((it.due_at()?, index))).min();
            let resolver = self.host.resolver.due_at();
            let next = [happens, broker, resolver, device.map(|(due, _)| due)].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else { break };
            self.now = self.now.max(next);
            if happens == Some(next) {
                let (_, what) = self.queue.pop_first().unwrap();
                self.happen(what);
            } else if broker == Some(next) {
                self.broker_do(|broker, now| broker.handle_timeout(now));
            } else if resolver == Some(next) {
                self.resolver_do(|process, now| process.handle_timeout(now));
            } else if let Some((_, index)) = device {
                self.time_out(index);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::Arrive { pipe, side } => self.arrive(pipe, side),
            Happening::Tell { pipe, side } => self.tell(pipe, side),
            Happening::Dialled { device, life, link, to } => self.dialled(device, life, link, to),
            Happening::Stored { life } => self.store_next(life),
            Happening::BrokerStarts => self.start_broker(),
            Happening::ResolverDialled { life } => self.resolver_dialled(life),
            Happening::ResolverStored { life } => self.resolver_stored(life),
            Happening::Leased { life, request, identifier } => self.leased(life, request, &identifier),
            Happening::ResolverStarts => self.start_resolver(),
            Happening::DeviceCrashes { device, life } if self.devices[device].life == life && !self.calm => {
                self.crash_device(device);
                self.later(self.now + 500, Happening::DeviceStarts { device });
            }
            Happening::DeviceCrashes { .. } => {}
            Happening::DeviceStarts { device } => self.start_device(device),
            Happening::Persisted { device, life } => self.persisted(device, life),
            Happening::Recorded { device, life, session } => self.recorded(device, life, session),
            Happening::Served { device, life } if self.devices[device].life == life => self.serve(device),
            Happening::Served { .. } => {}
            Happening::Tick { device, life } => self.tick(device, life),
        }
    }
}

/// Runs a world from its beginning to its end, with all checks.
pub fn run(plan: &Plan) -> Counted {
    let mut world = World::new(plan.clone());
    world.pass(3_000);
    for step in 0..plan.steps {
        let mut rng = Rng::new(plan.seed, 10_000 + u64::from(step));
        world.step(&mut rng);
        world.check_devices();
    }
    world.come_to_rest();
    world.model.counted
}
