//! What is done in a step: by people and their devices, and to them.

use super::plan::Fault;
use super::rng::Rng;
use super::world::{Happening, World};
use p2pgate::identifier::Identifier;
use p2pgate::terminal::{Change, OfflineCause};

const HOUR: u64 = 3_600_000;

/// Each device's group, if it has one.
pub fn group_of(owner: &str) -> String {
    format!("{owner}/home")
}

impl World {
    pub fn step(&mut self, rng: &mut Rng) {
        // A stream of their own, so that they change nothing of worlds that have none of them.
        let mut more = Rng::new(rng.clone().next(), 5);
        for _ in 0..1 + rng.below(3) {
            self.deed(rng);
        }
        self.further_deed(&mut more);
        for fault in Fault::ALL.iter().take_while(|fault| **fault != Fault::Groups) {
            // Drawn in any case, so that one kind switched off changes no other.
            let (comes, mut own) = (rng.percent(6), Rng::new(rng.next(), *fault as u64));
            if comes && self.plan.has(*fault) {
                self.befall(*fault, &mut own);
            }
        }
        let time = match rng.below(20) {
            0 => 20_000 + rng.below(100_000),
            1..4 => 2_000 + rng.below(10_000),
            _ => rng.below(1_500),
        };
        self.pass(time);
    }

    fn deed(&mut self, rng: &mut Rng) {
        let count = self.devices.len();
        let (index, other) = (rng.index(count), rng.index(count));
        if self.devices[index].terminal.is_none() || index == other {
            return;
        }
        match rng.below(20) {
            0..6 => self.permit(index, &[other], rng),
            6..15 => {
                // Mostly somebody who permits it.
                let friends: Vec<usize> =
                    (0..count).filter(|it| self.model.both_permit(*it, index)).collect();
                let callee = if rng.percent(80) { rng.pick(&friends).unwrap_or(other) } else { other };
                let recording = rng.percent(85).then(|| self.new_recording(index, callee));
                self.call(index, callee, recording, 0);
            }
            15 => {
                let sessions: Vec<_> = self.devices[index].sessions.values().copied().collect();
                if let Some(session) = rng.pick(&sessions) {
                    self.close(index, session);
                }
            }
            16 => {
                if let Some(terminal) = &mut self.devices[index].terminal {
                    let _ = terminal.list_deposits();
                }
            }
            17 => self.withdraw(index, rng),
            18 => {
                if let Some(terminal) = &mut self.devices[index].terminal {
                    terminal.collect_again();
                }
            }
            _ => {
                let sessions: Vec<_> = self.devices[index].sessions.values().copied().collect();
                if let (Some(session), now) = (rng.pick(&sessions), self.clock(index))
                    && let Some(terminal) = &mut self.devices[index].terminal
                {
                    let _ = terminal.abandon(session, "not any more", now);
                }
            }
        }
        self.serve(index);
    }

    /// Groups, questions for recordings, and the resolver's fate.
    fn further_deed(&mut self, rng: &mut Rng) {
        let count = self.devices.len();
        let (index, other) = (rng.index(count), rng.index(count));
        let there = index != other && self.devices[index].terminal.is_some();
        if self.plan.has(Fault::Groups) && rng.percent(50) && there {
            match rng.percent(60) {
                true => self.change_group(index, rng),
                false => {
                    let group = group_of(&self.devices[other].name);
                    let listed = self.model.listed(index).names.contains(&group);
                    let (add, delete) = if listed { (vec![], vec![group]) } else { (vec![group], vec![]) };
                    self.change(index, false, &add, &delete);
                }
            }
        }
        if self.plan.has(Fault::Fetch) && rng.percent(40) && there {
            let friends: Vec<usize> = (0..count).filter(|it| self.model.both_permit(*it, index)).collect();
            let callee = rng.pick(&friends).filter(|callee| *callee != index).unwrap_or(other);
            let wanted = match rng.below(4) {
                0 => None,
                // Somebody else's, or nobody's.
                1 => {
                    let count = self.model.recordings.len() as u64;
                    let id = rng.below(count + 2);
                    // Of those that don't exist one that never will.
                    Some(if id < count { id } else { u64::MAX - id })
                }
                _ => Some(self.new_recording(callee, index)),
            };
            self.ask_for(index, callee, wanted);
        }
        if self.plan.has(Fault::Resolver) {
            match rng.below(12) {
                0 => self.crash_resolver(),
                1 => self.host.resolver.stopped_until = self.now + rng.below(40_000),
                2 => self.host.resolver.ahead += rng.below(80 * HOUR),
                3 => self.host.resolver.full_until = self.now + rng.below(15_000),
                _ => {}
            }
        }
    }

    /// The owner says who is in its group.
    fn change_group(&mut self, index: usize, rng: &mut Rng) {
        let (now, life) = (self.now, self.devices[index].life);
        let members: Vec<String> =
            self.devices.iter().map(|other| other.name.clone()).filter(|_| rng.percent(40)).collect();
        let group = Identifier::new(&group_of(&self.devices[index].name)).unwrap();
        let entries: Vec<_> = members.iter().map(|name| (Identifier::new(name).unwrap(), None)).collect();
        let gone: Vec<Identifier> = match self.model.group_said(index) {
            // What changes, if it is known what there was; else all of it.
            Some(before) if rng.percent(50) => {
                let gone = before.iter().filter(|name| !members.contains(name));
                gone.map(|name| Identifier::new(name).unwrap()).collect()
            }
            _ => Vec::new(),
        };
        let replace = gone.is_empty();
        let mut out = [0; 8_192];
        let Some(terminal) = &mut self.devices[index].terminal else { return };
        let said = terminal.group(&group, replace, &entries.as_slice(), &gone.as_slice(), &mut out);
        // Err: it is offline, or has not been answered yet, or there are more than the broker takes at once.
        let Ok((link, length)) = said else { return };
        self.note(|| format!("{} puts {members:?} into its group", self.devices[index].name));
        self.model.says_group(index, members, now);
        self.write(super::net::End::Device { device: index, life, link }, &out[..length]);
        self.serve(index);
    }

    /// Puts others on a device's list.
    pub fn permit(&mut self, index: usize, others: &[usize], rng: &mut Rng) {
        let replace = rng.percent(15);
        let mut names: Vec<String> = others.iter().map(|other| self.devices[*other].name.clone()).collect();
        if replace {
            names.extend(self.model.listed(index).names.into_iter().filter(|_| rng.percent(70)));
        }
        self.change(index, replace, &names, &[]);
    }

    pub fn strike(&mut self, index: usize, other: usize) {
        let name = self.devices[other].name.clone();
        self.change(index, false, &[], &[name]);
    }

    fn change(&mut self, index: usize, replace: bool, add: &[String], delete: &[String]) {
        let Some(terminal) = &mut self.devices[index].terminal else { return };
        let entries: Vec<_> = add.iter().map(|name| (Identifier::new(name).unwrap(), None)).collect();
        let gone: Vec<_> = delete.iter().map(|name| Identifier::new(name).unwrap()).collect();
        let change = match replace {
            true => Change::Create(&entries),
            false => Change::Change { add: &entries, delete: &gone },
        };
        terminal.permit(&change).expect("there is room on the list");
        let now = self.now;
        self.note(|| format!("{} permits {replace} {add:?} {delete:?}", self.devices[index].name));
        self.model.permits(index, replace, add, delete, now);
        self.serve(index);
    }

    fn withdraw(&mut self, index: usize, rng: &mut Rng) {
        let theirs: Vec<_> = self
            .model
            .pending()
            .filter(|(_, from, to)| *from == index || *to == index)
            .map(|(id, ..)| *id)
            .collect();
        let Some(deposit) = rng.pick(&theirs) else { return };
        if let Some(terminal) = &mut self.devices[index].terminal
            && terminal.withdraw_deposit(&deposit).is_ok()
        {
            self.model.withdraws(&deposit);
        }
    }

    /// A device's application looks around.
    pub fn tick(&mut self, index: usize, life: u32) {
        let device = &self.devices[index];
        if device.life != life || device.terminal.is_none() {
            return;
        }
        let enrolled = self.model.enrolled_key(index);
        if enrolled.is_none() && self.model.last_offline.get(&index) == Some(&OfflineCause::NotEnrolled) {
            // The operator gives it another ticket.
            self.crash_device(index);
            return self.commission(index);
        }
        let mine = enrolled.is_none() || enrolled == Some(self.model.key(index));
        if !device.online && mine {
            // Nothing, or the end, if its key isn't known: a person tries again.
            let now = self.clock(index);
            if let Some(terminal) = &mut self.devices[index].terminal {
                terminal.connect(now);
            }
            self.later(self.now + 30_000, Happening::Tick { device: index, life });
        }
        self.serve(index);
    }

    fn befall(&mut self, fault: Fault, rng: &mut Rng) {
        let count = self.devices.len();
        let index = rng.index(count);
        self.note(|| format!("--- {}", fault.name()));
        match fault {
            Fault::Cut | Fault::HalfOpen => {
                let pipes = self.net.open_pipes();
                let bytes = [rng.index(3_000), rng.index(3_000)];
                let told = match fault {
                    Fault::Cut => [true; 2],
                    _ => [rng.percent(50), rng.percent(30)],
                };
                if let Some(pipe) = rng.pick(&pipes) {
                    self.cut(pipe, bytes, told);
                }
            }
            Fault::Flip => self.flip += 1 + rng.below(3) as u32,
            Fault::Misroute => self.misroute += 1 + rng.below(3) as u32,
            Fault::Replay => self.replay(rng),
            Fault::Stranger => self.stranger(rng),
            Fault::Clock => {
                let ahead = [rng.below(10_000), rng.below(HOUR), rng.below(24 * HOUR)][rng.index(3)];
                // The broker's is one of the clocks.
                match rng.index(count + 1).checked_sub(1) {
                    Some(index) => self.devices[index].ahead += ahead,
                    None => self.host.ahead += ahead,
                }
            }
            Fault::Crash => {
                self.crash_device(index);
                let long = rng.percent(20);
                let when = self.now + 200 + rng.below(if long { 120_000 } else { 10_000 });
                self.later(when, Happening::DeviceStarts { device: index });
            }
            Fault::BrokerCrash => self.crash_broker(),
            Fault::StoreFull => self.host.full_until = self.now + rng.below(15_000),
            Fault::DeviceFull => self.devices[index].full_until = self.now + rng.below(15_000),
            Fault::SlowReader => self.devices[index].stopped_until = self.now + rng.below(30_000),
            Fault::Load => {
                let load = rng.below(101) as u8;
                if let Some(terminal) = &mut self.devices[index].terminal {
                    terminal.set_load(load);
                }
                self.serve(index);
            }
            Fault::Strike => {
                let listed: Vec<usize> = self
                    .model
                    .listed(index)
                    .names
                    .iter()
                    .filter_map(|name| self.model.index_of(name))
                    .collect();
                if let Some(other) = rng.pick(&listed) {
                    self.strike(index, other);
                    if rng.percent(40) {
                        self.change(index, false, &[self.devices[other].name.clone()], &[]);
                    }
                }
            }
            Fault::Revoke => {
                let (name, secret) = (self.devices[index].name.clone(), self.devices[index].secret);
                let ticket = self.model.used_ticket(index).to_owned();
                self.revoke(&name);
                self.pass(rng.below(8_000));
                // Whoever had it tries on; then another device is enrolled under the identifier.
                self.impostor(index, secret, ticket, rng);
                self.pass(rng.below(4_000));
                self.crash_device(index);
                if self.model.enrolled_key(index).is_none() {
                    self.commission(index);
                } else {
                    let when = self.now + 500;
                    self.later(when, Happening::DeviceStarts { device: index });
                }
            }
            Fault::Liar => self.lie(rng),
            Fault::Latency | Fault::SmallLimits | Fault::Firewall | Fault::Large => {}
            Fault::Groups | Fault::Fetch | Fault::Resolver => {}
        }
    }
}
