//! The connection to the address resolution server, and what is looked up.

use crate::links::Link;
use crate::lookups::Found;
use crate::server::{Role, Server};
use crate::socket::Socket;

impl Server {
    /// Begins a connection to the resolver. What becomes of it the poll tells.
    pub(crate) fn dial_resolver(&mut self) {
        let Some(address) = self.resolver else { return };
        let (id, now) = (self.number(), self.now());
        self.broker.resolver_dialled(id, address, now);
        match self.connect_to(address, id) {
            Ok(stream) => {
                // Nothing can be read or written before the poll says so.
                let mut socket = Socket::new(stream, None);
                (socket.readable, socket.writable) = (false, false);
                let mut link = Link::new(socket);
                link.spent = None;
                self.connections.insert(id, Role::Link(link));
            }
            Err(error) => {
                tracing::debug!(%error, %address, "the address resolution server cannot be reached");
                self.broker.disconnected(id, now);
            }
        }
    }

    /// Hands in what was looked up.
    pub(crate) fn take_found(&mut self) {
        while let Some(found) = self.lookups.found() {
            let now = self.now();
            match found {
                Found::Names(request, found) => self.broker.looked_up(request, &found, now),
                Found::Lease(request, lease) => self.broker.found_lease(request, lease, now),
            }
            self.obey();
        }
    }
}
