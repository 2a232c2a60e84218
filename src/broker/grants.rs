//! Grants: what one caller and one callee were told for one session. In memory only.
//!
//! A grant's lanes are asked for under its handle while the session lives: until RELEASE, until both parties' control links have been gone for
//! a while, until the callee no longer permits the caller, or for a day. Its passwords and key are forgotten as soon as M11 is out.

use super::timers::Timer;
use super::{Broker, ConnectionId, Level, Name, What, lanes::PairId, query::QueryId};
use crate::link::Handle;
use crate::message::{Message, Withdraw};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

pub(super) type GrantId = u64;

pub(super) struct Grant {
    pub handle: Handle,
    pub caller: Name,
    pub callee: Name,
    /// The group by which the callee permits the caller, unless it is by its own entry.
    pub group: Option<Name>,
    /// The callee's link that acknowledged M12: there is its session.
    pub callee_link: ConnectionId,
    /// The query that made it, until M11 is out.
    pub query: Option<QueryId>,
    /// Until when it may be used for a first connection.
    pub expires: u64,
    /// When it ends at the latest.
    ends: u64,
    /// When it ends unless one of the parties comes back.
    absent: Option<u64>,
    /// Nothing further may be asked under it.
    released: bool,
    pub lanes: BTreeSet<PairId>,
}

#[derive(Default)]
pub(super) struct Grants {
    grants: BTreeMap<GrantId, Grant>,
    handles: BTreeMap<Handle, GrantId>,
}

impl Grants {
    pub fn len(&self) -> usize {
        self.grants.len()
    }

    pub fn get(&self, id: GrantId) -> Option<&Grant> {
        self.grants.get(&id)
    }

    pub fn get_mut(&mut self, id: GrantId) -> Option<&mut Grant> {
        self.grants.get_mut(&id)
    }

    /// The grant that one of its parties names, once M11 is out and while its session lives.
    pub fn of_party(&self, handle: &Handle, party: &str) -> Option<(GrantId, &Grant)> {
        let id = *self.handles.get(handle)?;
        let grant = self.grants.get(&id)?;
        let is_party = *grant.caller == *party || *grant.callee == *party;
        (is_party && grant.query.is_none() && !grant.released).then_some((id, grant))
    }
}

impl Broker {
    /// Makes a grant for a query. `None` if the caller has as many as it may, all in use.
    pub(super) fn make_grant(
        &mut self,
        query: QueryId,
        (caller, callee): (&Name, &Name),
        group: Option<Name>,
        callee_link: ConnectionId,
        now: u64,
    ) -> Option<(GrantId, Handle)> {
        self.make_room(caller, now)?;
        let id = self.next_id();
        let handle = self.entropy.draw();
        let grant = Grant {
            handle,
            caller: caller.clone(),
            callee: callee.clone(),
            group,
            callee_link,
            query: Some(query),
            expires: now.saturating_add(self.config.grant_lifetime_ms),
            ends: now.saturating_add(self.config.session_ms),
            absent: None,
            released: false,
            lanes: BTreeSet::new(),
        };
        self.registry.get_mut(caller)?.calls.insert(id);
        if let Some(terminal) = self.registry.get_mut(callee) {
            terminal.called.insert(id);
        }
        self.timers.arm(grant.ends, Timer::GrantEnd(id));
        self.grants.handles.insert(handle, id);
        self.grants.grants.insert(id, grant);
        Some((id, handle))
    }

    /// Withdraws the caller's oldest grant that nobody can need, if there are too many: one that is kept without its parties knowing could not be
    /// withdrawn later.
    fn make_room(&mut self, caller: &Name, now: u64) -> Option<()> {
        let calls = &self.registry.get(caller)?.calls;
        if calls.len() >= self.config.max_grants_per_terminal {
            let unused = |id: &&GrantId| {
                self.grants.get(**id).is_some_and(|grant| grant.lanes.is_empty() && grant.expires <= now)
            };
            let oldest = *calls.iter().find(unused)?;
            self.withdraw(oldest, "a later grant takes its place");
        }
        Some(())
    }

    /// Voids a grant: tells its parties, cuts its lanes, and denies the query that it was being made for.
    pub(super) fn withdraw(&mut self, id: GrantId, cause: &'static str) {
        let Some(grant) = self.grants.get(id) else { return };
        let (handle, caller, callee) = (grant.handle, grant.caller.clone(), grant.callee.clone());
        if let Some(query) = grant.query {
            // Ends the grant in its turn.
            return self.query_not_permitted(query);
        }
        let shown = (!self.config.deny_without_cause).then_some(cause);
        let message = Message::Withdraw(Withdraw { handle, cause: shown, transaction: None });
        self.tell_all(&caller, &message);
        self.tell_all(&callee, &message);
        self.net.log(Level::Info, None, Some(caller), What::Withdrawn { callee, cause });
        self.remove_grant(id);
    }

    /// Voids a grant of which only the callee knows.
    pub(super) fn withdraw_unsent(&mut self, id: GrantId) {
        let Some(grant) = self.grants.get(id) else { return };
        let (handle, callee) = (grant.handle, grant.callee.clone());
        self.tell_all(&callee, &Message::Withdraw(Withdraw { handle, cause: None, transaction: None }));
        self.remove_grant(id);
    }

    /// Its session is over: it goes once its last lanes have run dry.
    pub(super) fn release(&mut self, id: GrantId) {
        let Some(grant) = self.grants.get_mut(id) else { return };
        grant.released = true;
        if grant.lanes.is_empty() {
            self.remove_grant(id);
        }
    }

    pub(super) fn grant_lost_lane(&mut self, id: GrantId, lane: PairId) {
        if let Some(grant) = self.grants.get_mut(id) {
            grant.lanes.remove(&lane);
            if grant.released && grant.lanes.is_empty() {
                self.remove_grant(id);
            }
        }
    }

    pub(super) fn remove_grant(&mut self, id: GrantId) {
        let Some(grant) = self.grants.grants.remove(&id) else { return };
        self.grants.handles.remove(&grant.handle);
        self.timers.disarm(grant.ends, Timer::GrantEnd(id));
        if let Some(at) = grant.absent {
            self.timers.disarm(at, Timer::GrantAbsent(id));
        }
        if let Some(terminal) = self.registry.get_mut(&grant.caller) {
            terminal.calls.remove(&id);
        }
        if let Some(terminal) = self.registry.get_mut(&grant.callee) {
            terminal.called.remove(&id);
        }
        for lane in grant.lanes {
            self.end_lane(lane);
        }
    }

    /// Sends to all links of a terminal: whichever of its programs has the session.
    pub(super) fn tell_all(&mut self, identifier: &str, message: &Message<'_>) {
        let links = self.registry.get(identifier).map(|terminal| terminal.links.clone());
        for link in links.unwrap_or_default() {
            self.net.send(link, message);
        }
    }

    /// A terminal's last link is gone: its grants end unless one of their parties comes back in time.
    pub(super) fn terminal_absent(&mut self, identifier: &str, now: u64) {
        let at = now.saturating_add(self.config.absent_ms);
        for id in self.grants_of(identifier) {
            let Some(grant) = self.grants.get(id) else { continue };
            if self.is_absent(&grant.caller) && self.is_absent(&grant.callee) {
                if let Some(grant) = self.grants.get_mut(id) {
                    grant.absent = Some(at);
                }
                self.timers.arm(at, Timer::GrantAbsent(id));
            }
        }
    }

    /// A terminal has a link again.
    pub(super) fn terminal_present(&mut self, identifier: &str) {
        for id in self.grants_of(identifier) {
            if let Some(at) = self.grants.get_mut(id).and_then(|grant| grant.absent.take()) {
                self.timers.disarm(at, Timer::GrantAbsent(id));
            }
        }
    }

    fn is_absent(&self, identifier: &str) -> bool {
        self.registry.get(identifier).is_none_or(|terminal| terminal.links.is_empty())
    }

    /// All grants in which a terminal is a party.
    pub(super) fn grants_of(&self, identifier: &str) -> Vec<GrantId> {
        let terminal = self.registry.get(identifier);
        terminal
            .map(|terminal| terminal.calls.iter().chain(&terminal.called).copied().collect())
            .unwrap_or_default()
    }
}
