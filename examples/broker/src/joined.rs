//! Lanes that the broker has joined (P9).

use crate::links::{Link, Phase};
use crate::pair::{Ending, Pair, Turn};
use crate::server::{Role, Server};
use p2pgate::broker::ConnectionId;

impl Server {
    /// Joins two lanes that wait; the pair goes by the number of `first`.
    pub(crate) fn join(&mut self, first: ConnectionId, second: ConnectionId, limit: u64, tunnel: bool) {
        let (one, other) = (self.take_lane(first, first), self.take_lane(second, first));
        let now = self.now();
        let pipes = self.splice && self.pairs.len() < self.max_pipe_pairs;
        let joined = one.zip(other).and_then(|(one, other)| {
            Pair::new(
                [first, second],
                [one.socket, other.socket],
                [one.input, other.input],
                limit,
                pipes,
                self.relay_rate,
                now,
            )
        });
        if let Some(pair) = joined {
            self.pairs.insert(first, pair);
            // A tunnel carries a peer link, which has nothing to say while its lanes work: it ends with its grant.
            if !tunnel {
                self.deadlines.insert((now.saturating_add(self.lane_idle_ms), first));
            }
            self.ready.insert(first);
        } else {
            // One has gone meanwhile.
            self.broker.carried(first, 0, now);
            self.drop_connection(first);
            self.drop_connection(second);
        }
    }

    fn take_lane(&mut self, id: ConnectionId, pair: ConnectionId) -> Option<Link> {
        self.link(id).filter(|link| link.phase == Phase::Lane)?;
        match self.connections.insert(id, Role::Joined(pair)) {
            Some(Role::Link(link)) => Some(link),
            _ => None,
        }
    }

    pub(crate) fn serve_pair(&mut self, id: ConnectionId) {
        let now = self.now();
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        match pair.turn(now) {
            Turn::Wait => {}
            Turn::Again => drop(self.ready.insert(id)),
            Turn::Rest(time) => drop(self.resting.insert((now.saturating_add(time), id))),
            Turn::Over(ending) => {
                if let Some(pair) = self.remove_pair(id) {
                    let carried = pair.carried();
                    match ending {
                        Ending::Finished => tracing::info!(connection = id, carried, "lane ended"),
                        Ending::Limit => {
                            tracing::warn!(connection = id, carried, "lane cut: more came than was agreed");
                            pair.cut();
                        }
                        Ending::Lost(error) => {
                            tracing::info!(connection = id, carried, %error, "lane lost");
                            pair.cut();
                        }
                    }
                }
            }
        }
    }

    /// The broker wants the pair ended. It may have ended already.
    pub(crate) fn cut(&mut self, id: ConnectionId) {
        if let Some(pair) = self.remove_pair(id) {
            tracing::info!(connection = id, carried = pair.carried(), "lane cut");
            pair.cut();
        }
    }

    /// Ends a pair that stands still because nothing is sent; asks again later otherwise.
    pub(crate) fn pair_due(&mut self, id: ConnectionId, now: u64) {
        let Some(pair) = self.pairs.get_mut(&id) else { return };
        if pair.held_back() {
            pair.busy_at = now;
        }
        let due = pair.busy_at.saturating_add(self.lane_idle_ms);
        if due > now {
            self.deadlines.insert((due, id));
        } else if let Some(pair) = self.remove_pair(id) {
            // No reset: what the system has taken for a receiver that is behind still reaches it.
            tracing::info!(
                connection = id,
                carried = pair.carried(),
                "lane ended: nothing came for too long"
            );
        }
    }

    fn remove_pair(&mut self, id: ConnectionId) -> Option<Pair> {
        let pair = self.pairs.remove(&id)?;
        self.metrics.carried(pair.carried());
        self.broker.carried(id, pair.carried(), self.now());
        for number in pair.numbers {
            self.drop_connection(number);
        }
        Some(pair)
    }
}
