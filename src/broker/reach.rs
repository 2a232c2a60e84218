//! P7, V11: whether the callee can be reached, tried by the process before the caller is answered. Off unless [`Config::reach_deadline_ms`] is set.
//!
//! A terminal says where it is, and could say anything. So only an address from which its own control link comes is tried: nobody has the broker connect to
//! somebody else. The others (a home's own network, a domain name) the caller tries as it would without.

use super::query::{No, QueryId};
use super::{Broker, Event, Level, RequestId, What};
use core::net::SocketAddr;

impl Broker {
    /// The address is there: S1901 if it can be tried, then M15.
    pub(super) fn reach(&mut self, id: QueryId, now: u64) -> Result<(), No> {
        let query = self.queries.get(&id).ok_or(No::LEFT)?;
        let (Some(patience), true) = (self.config.reach_deadline_ms, self.may(query)) else {
            return self.ask_status(id, now);
        };
        let callee = self.registry.get(&query.callee);
        let link = callee.and_then(|terminal| terminal.listener);
        let source = link.and_then(|link| self.net.connections.get(&link)).map(|it| it.source.ip());
        let own = source.zip(query.address.as_ref()).map(|(source, address)| address.within(source));
        let addresses = own.unwrap_or_default();
        if addresses.is_empty() {
            return self.ask_status(id, now);
        }
        if let Some(query) = self.queries.get_mut(&id) {
            query.reaches(addresses.clone());
        }
        self.query_until(id, now.saturating_add(patience));
        self.net.events.push_back(Event::Reach { request: id, addresses });
        Ok(())
    }

    /// What [`Event::Reach`] came to at one of its addresses: whether it took the connection. Of one that was not tried say that it did.
    /// One that comes too late is nothing.
    pub fn reached(&mut self, request: RequestId, address: SocketAddr, answered: bool, now: u64) {
        let known = self.queries.get_mut(&request).is_some_and(|query| query.reached(address, answered));
        if known && let Err(no) = self.reach_tested(request, now) {
            self.fail(request, no);
        }
        self.close_condemned(now);
    }

    /// S1902: all have answered, or it took too long. The caller is told of no address that did not: without any it takes a tunnel at once.
    pub(super) fn reach_tested(&mut self, id: QueryId, now: u64) -> Result<(), No> {
        let query = self.queries.get_mut(&id).ok_or(No::LEFT)?;
        let silent = query.unreached();
        let callee = query.callee.clone();
        let link = self.registry.get(&callee).and_then(|terminal| terminal.listener).ok_or(No::OFFLINE)?;
        let source = self.net.connections.get(&link).map(|it| it.source.ip()).ok_or(No::OFFLINE)?;
        let query = self.queries.get_mut(&id).ok_or(No::LEFT)?;
        let left = query.forget_addresses(&silent, source);
        self.net.log(Level::Debug, None, Some(callee), What::Reached { answered: silent.is_empty() });
        if !left && !self.config.relay {
            return Err(No::UNREACHED);
        }
        self.ask_status(id, now)
    }
}
