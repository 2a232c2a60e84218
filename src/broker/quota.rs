//! How much a terminal may have relayed in a day (P9).
//!
//! What a lane was asked for counts for both of its parties from the moment on at which it is allowed, so that nobody asks for many at once; what it has
//! carried takes that place once it is over.

use super::config::DAY_MS;
use super::lanes::Charge;
use super::{Broker, ConnectionId, Name};

pub(super) const OWN_SPENT: &str = "this terminal's relay bytes of the day are used up";
pub(super) const OTHER_SPENT: &str = "the other terminal's relay bytes of the day are used up";

/// What counts for a terminal since its day began, with its first lane.
#[derive(Clone, Copy, Default)]
pub(super) struct Relayed {
    start: u64,
    bytes: u64,
}

impl Relayed {
    pub fn bytes(&self, now: u64) -> u64 {
        if now >= self.start.saturating_add(DAY_MS) { 0 } else { self.bytes }
    }

    fn replace(&mut self, before: u64, bytes: u64, now: u64) {
        if self.bytes == 0 || now >= self.start.saturating_add(DAY_MS) {
            *self = Self { start: now, bytes: 0 };
        }
        self.bytes = self.bytes.saturating_sub(before).saturating_add(bytes);
    }
}

impl Broker {
    /// Whether both parties may have `size` bytes more relayed. `asker` is told whose limit it is.
    pub(super) fn within_quota(
        &self,
        asker: &Name,
        parties: [&Name; 2],
        size: u64,
        now: u64,
    ) -> Result<(), &'static str> {
        let Some(quota) = self.config.relay_bytes_per_day else { return Ok(()) };
        let spent = |party: &Name| {
            let relayed = self.registry.get(party).map_or(0, |terminal| terminal.relayed.bytes(now));
            // A tunnel's size is not known: there has to be something left.
            relayed.saturating_add(size.max(1)) > quota
        };
        match parties.into_iter().any(spent) {
            true if spent(asker) => Err(OWN_SPENT),
            true => Err(OTHER_SPENT),
            false => Ok(()),
        }
    }

    /// What counts for two terminals is another number from now on.
    pub(super) fn recharge(&mut self, parties: &[Name; 2], before: u64, bytes: u64, now: u64) {
        for party in parties {
            if let Some(terminal) = self.registry.get_mut(party) {
                terminal.relayed.replace(before, bytes, now);
            }
        }
    }

    /// A pair that was joined by [`Event::Splice`](super::Event::Splice) has ended and has carried so many bytes, both ways together. To be said before
    /// its connections are [`disconnected`](Self::disconnected); otherwise what it was asked for counts.
    pub fn carried(&mut self, first: ConnectionId, bytes: u64, now: u64) {
        if let Some(Charge { parties, reserved }) = self.lanes.take_charge(first) {
            self.recharge(&parties, reserved, bytes, now);
        }
    }

    /// How many terminals have had their [`Config::relay_bytes_per_day`](super::Config::relay_bytes_per_day), for metrics.
    pub fn spent_terminals(&self, now: u64) -> usize {
        let Some(quota) = self.config.relay_bytes_per_day else { return 0 };
        self.registry.all().filter(|terminal| terminal.relayed.bytes(now) >= quota).count()
    }
}
