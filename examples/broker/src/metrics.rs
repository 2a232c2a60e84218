//! What is counted, for Prometheus and for the status page. Never an identifier and never a secret: causes are few, and fixed.

use p2pgate::broker::{Outcome, Stored, What};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::{counter::Counter, family::Family, gauge::Gauge};
use prometheus_client::registry::{Registry, Unit};
use std::collections::BTreeSet;

/// A metric's two labels, names and values.
type Labels = [(&'static str, &'static str); 2];

/// Counters by label, which can be listed.
#[derive(Default)]
pub(crate) struct Tally {
    family: Family<Labels, Counter>,
    seen: BTreeSet<Labels>,
}

impl Tally {
    fn count(&mut self, labels: Labels) {
        self.family.get_or_create(&labels).inc();
        self.seen.insert(labels);
    }

    /// How often in all.
    pub(crate) fn total(&self) -> u64 {
        self.rows().map(|(_, _, count)| count).sum()
    }

    /// The two labels' values, and how often.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        self.seen.iter().map(|labels| {
            let [(_, first), (_, second)] = *labels;
            (first, second, self.family.get_or_create(labels).get())
        })
    }
}

/// What there is now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Now {
    pub terminals: usize,
    pub groups: usize,
    pub online: usize,
    pub listening: usize,
    pub connections: usize,
    pub handshakes: usize,
    pub queries: usize,
    pub grants: usize,
    /// Joined lanes and tunnels, and those that wait for their other end.
    pub relays: usize,
    pub lanes: usize,
    pub deposits: usize,
    pub deposited: u64,
    /// Bytes that are free on the data folder's disk, and how many it has; 0: the system doesn't say.
    pub disk_free: u64,
    pub disk: u64,
    /// Operations that wait for the disk.
    pub pending: usize,
    /// Terminals that have had their relay bytes of the day.
    pub spent: usize,
    /// Bytes that the joined lanes have carried so far.
    pub carried: u64,
}

const GAUGES: usize = 16;

impl Now {
    /// Name, what it is, value.
    pub(crate) fn rows(&self) -> [(&'static str, &'static str, u64); GAUGES] {
        let row = |name, help, value: usize| (name, help, value as u64);
        [
            row("terminals", "Terminals that are known", self.terminals),
            row("groups", "Groups of terminals", self.groups),
            row("terminals_online", "Terminals that have a control link", self.online),
            row("terminals_listening", "Terminals that can be called", self.listening),
            row("connections", "Connections of all kinds", self.connections),
            row("handshakes", "Connections that have not got through HELLO", self.handshakes),
            row("queries", "Queries in flight", self.queries),
            row("grants", "Grants that have not ended", self.grants),
            row("relays", "Joined lanes and tunnels", self.relays),
            row("lanes", "Lanes and tunnels, waiting and joined", self.lanes),
            row("deposits", "Deposits that are kept or coming", self.deposits),
            ("deposited_bytes", "Payload bytes of the deposits", self.deposited),
            row("terminals_spent", "Terminals whose relay bytes of the day are used up", self.spent),
            ("disk_free_bytes", "Bytes that are free on the data folder's disk", self.disk_free),
            ("disk_bytes", "Bytes that this disk has", self.disk),
            row("store_pending", "Operations that wait for the disk", self.pending),
        ]
    }
}

pub(crate) struct Metrics {
    registry: Registry,
    gauges: [Gauge; GAUGES],
    pub(crate) queries: Tally,
    pub(crate) refusals: Tally,
    reached: Tally,
    accepted: Counter,
    carried: Counter,
    /// Bytes of the lanes that have ended.
    carried_before: u64,
    /// Whether the store and the deposits' files took the last thing that they were given.
    store_works: bool,
    pub(crate) files_work: bool,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut registry = Registry::with_prefix("p2pgate_broker");
        let gauges = Now::default().rows().map(|(name, help, _)| {
            let gauge = Gauge::default();
            registry.register(name, help, gauge.clone());
            gauge
        });
        let (queries, refusals, reached) = (Tally::default(), Tally::default(), Tally::default());
        registry.register("reach_tests", "Callees that were tried, by outcome", reached.family.clone());
        registry.register("queries_ended", "Queries by outcome", queries.family.clone());
        registry.register(
            "refusals",
            "What was refused or closed for a fault, by cause",
            refusals.family.clone(),
        );
        let (accepted, carried) = (Counter::default(), Counter::default());
        registry.register("connections_accepted", "Connections that were taken", accepted.clone());
        let help = "What the joined lanes and tunnels have carried";
        registry.register_with_unit("relayed", help, Unit::Bytes, carried.clone());
        Self {
            registry,
            gauges,
            queries,
            refusals,
            reached,
            accepted,
            carried,
            carried_before: 0,
            store_works: true,
            files_work: true,
        }
    }

    pub(crate) fn accepted(&self) {
        self.accepted.inc();
    }

    pub(crate) fn carried(&mut self, bytes: u64) {
        self.carried_before = self.carried_before.saturating_add(bytes);
    }

    pub(crate) fn stored(&mut self, outcome: Stored) {
        match outcome {
            Stored::Done => self.store_works = true,
            Stored::Failed => self.store_works = false,
            // Nothing was written.
            Stored::Refused => {}
        }
    }

    pub(crate) fn store_works(&self) -> bool {
        self.store_works
    }

    pub(crate) fn refused(&mut self, what: &'static str, cause: &'static str) {
        self.refusals.count([("what", what), ("cause", cause)]);
    }

    pub(crate) fn happened(&mut self, what: &What) {
        if let What::Query { outcome, .. } = what {
            let (outcome, cause) = match *outcome {
                Outcome::Granted => ("granted", ""),
                Outcome::NotPermitted => ("not permitted", ""),
                Outcome::NotFound(cause) => ("no address", cause),
                Outcome::NotConnected(cause) => ("not connected", cause),
                Outcome::DepositAsked(cause) => ("asked whether to deposit", cause),
                Outcome::Abandoned => ("abandoned", ""),
            };
            self.queries.count([("outcome", outcome), ("cause", cause)]);
        } else if let What::Reached { answered } = *what {
            let outcome = if answered { "answered" } else { "silent" };
            self.reached.count([("outcome", outcome), ("cause", "")]);
        } else if let Some((what, cause)) = refusal(what) {
            self.refused(what, cause);
        }
    }

    /// All of it, as OpenMetrics text.
    pub(crate) fn text(&self, now: &Now) -> String {
        for (gauge, (_, _, value)) in self.gauges.iter().zip(now.rows()) {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let carried = self.relayed(now);
        self.carried.inner().store(carried, std::sync::atomic::Ordering::Relaxed);
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }

    /// What all lanes have carried since the start.
    pub(crate) fn relayed(&self, now: &Now) -> u64 {
        self.carried_before.saturating_add(now.carried)
    }
}

/// What was refused or closed, and why.
fn refusal(what: &What) -> Option<(&'static str, &'static str)> {
    Some(match what {
        What::Preamble(_) => ("connection", "no preamble"),
        What::PeerLink => ("connection", "a peer link"),
        What::Record(_) => ("connection", "a record's length"),
        What::Handshake(_) => ("connection", "the handshake failed"),
        What::TooEager => ("connection", "too much before HELLO"),
        What::TooMany => ("connection", "too many connections"),
        What::HandshakeDeadline => ("connection", "the handshake was not through in time"),
        What::Open(_) => ("link", "a record did not open"),
        What::Message(_) => ("link", "no message"),
        What::Unexpected => ("link", "a message that the broker is not sent"),
        What::Idle => ("link", "silent for too long"),
        What::Output => ("link", "does not read"),
        What::NotEnrolled => ("link", "not enrolled"),
        What::Forbidden => ("link", "another's identifier"),
        What::Refused(429) => ("registration", "too many in a minute"),
        What::Refused(503) => ("registration", "the store failed"),
        What::Refused(_) => ("registration", "not valid"),
        What::UnknownToken => ("lane", "unknown token"),
        What::LaneRefused(cause) => ("lane", cause),
        What::DepositBroken(cause) => ("deposit", cause),
        What::StoreFailed => ("store", "the store failed"),
        _ => return None,
    })
}
