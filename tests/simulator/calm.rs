//! When faults stop: all that can finish finishes, and everything works.

use super::plan::Fault;
use super::rng::Rng;
use super::world::World;
use std::collections::BTreeSet;

/// So long until everybody is back, everything is over that nobody goes on with, and what waited is there.
const QUIET: u64 = 600_000;

impl World {
    pub fn come_to_rest(&mut self) {
        self.note(|| "--- all is quiet from here on".into());
        self.calm = true;
        (self.flip, self.misroute) = (0, 0);
        self.stop_lying();
        let ends: Vec<_> = self.wild.keys().copied().collect();
        for wild in ends {
            self.close_end(super::net::End::Wild(wild));
        }
        self.start_broker();
        if self.host.resolver.process.is_some() {
            // Nobody waits for a resolver that is not there.
            self.crash_resolver();
            self.pass(60_000);
            let queries = self.host.broker.as_ref().unwrap().counts().queries;
            assert_eq!(queries, 0, "queries wait for a resolver that is away");
        }
        self.start_resolver();
        for index in 0..self.devices.len() {
            self.devices[index].stopped_until = 0;
            self.start_device(index);
            if let Some(terminal) = &mut self.devices[index].terminal {
                terminal.set_load(0);
            }
            self.serve(index);
        }
        self.pass(120_000);
        for index in 0..self.devices.len() {
            if let Some(terminal) = &mut self.devices[index].terminal {
                terminal.collect_again();
            }
            self.serve(index);
        }
        self.pass(QUIET);
        self.check_rest();
        self.check_work();
    }

    fn check_rest(&self) {
        for (index, device) in self.devices.iter().enumerate() {
            let name = &device.name;
            let terminal = device.terminal.as_ref().unwrap();
            let cause = self.model.last_offline.get(&index);
            assert!(device.online, "{name} is online again: {cause:?}");
            assert!(terminal.is_registered(), "the list of {name} is registered");
            let listed = self.model.listed(index).names;
            let stored = self.host.store.lists.get(name.as_str());
            let stored: Option<BTreeSet<String>> =
                stored.map(|(_, list)| list.keys().map(|name| name.to_string()).collect());
            assert_eq!(stored.unwrap_or_default(), listed, "and is what the broker has of {name}");
            assert!(device.sessions.is_empty(), "no session of {name} is left: {:?}", device.sessions.keys());
            assert_eq!(device.links.len(), 1, "of {name}'s connections the control link is left");
        }
        let counts = self.host.broker.as_ref().unwrap().counts();
        assert_eq!(
            (counts.queries, counts.grants, counts.lanes, counts.handshakes),
            (0, 0, 0, 0),
            "nothing is left of calls at the broker"
        );
        let resolver = usize::from(self.plan.has(Fault::Resolver));
        assert_eq!(counts.connections, self.devices.len() + resolver, "{counts:?}");
        for (id, caller, callee) in self.model.pending() {
            let collects = self.model.both_permit(callee, caller)
                && self.model.stayed_wanted(callee, caller, self.model.deposits[id].opened)
                && self.model.pins_fit(callee, caller)
                && self.host.store.deposits[id].record.callee_key == self.model.key(callee);
            assert!(!collects || self.lying(), "{} has not collected a deposit", self.devices[callee].name);
        }
        self.model.check_store(&self.host.store);
    }

    /// Somebody permits somebody, who sends something.
    fn check_work(&mut self) {
        let mut rng = Rng::new(self.plan.seed, 4);
        let count = self.devices.len();
        let (caller, callee) = (rng.index(count), rng.index(count));
        if caller == callee || !self.model.pins_fit(caller, callee) {
            return;
        }
        // Whatever key it had: it is struck off, and put on again before the broker has heard of that, or behind it.
        self.strike(callee, caller);
        if rng.percent(50) {
            self.pass(3_000);
        }
        self.permit(callee, &[caller], &mut Rng::new(0, 0));
        self.pass(3_000);
        let recording = self.new_recording(caller, callee);
        let delivered = self.model.counted.delivered;
        assert!(self.call(caller, callee, Some(recording), 8), "a call can be made");
        self.pass(60_000);
        assert_eq!(self.model.counted.delivered, delivered + 1, "a recording is sent when all is quiet");
        if self.plan.has(Fault::Fetch) {
            let recording = self.new_recording(callee, caller);
            assert!(self.ask_for(caller, callee, Some(recording)));
            self.pass(60_000);
            assert_eq!(self.model.counted.delivered, delivered + 2, "and one is fetched");
        }
    }
}
