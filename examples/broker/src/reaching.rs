//! Tries whether callees answer at their addresses (P7, V11): a connection that is closed again without a word.

use crate::server::Server;
use mio::net::TcpStream;
use mio::{Interest, Token};
use p2pgate::broker::{ConnectionId, RequestId};
use std::io;
use std::net::SocketAddr;

/// Addresses that are being tried at most. What comes beyond is not tried: the caller does it.
const MAX_TRIES: usize = 256;

/// A connection that is on its way.
pub(crate) struct Try {
    stream: TcpStream,
    request: RequestId,
    address: SocketAddr,
}

impl Server {
    /// Begins to connect to each of the addresses.
    pub(crate) fn reach(&mut self, request: RequestId, addresses: Vec<SocketAddr>) {
        for address in addresses {
            let now = self.now();
            let patience = self.broker.config().reach_deadline_ms;
            let Some(patience) = patience.filter(|_| self.tries.len() < MAX_TRIES) else {
                self.broker.reached(request, address, true, now);
                continue;
            };
            let id = self.number();
            match self.connect_to(address, id) {
                Ok(stream) => {
                    self.tries.insert(id, Try { stream, request, address });
                    self.deadlines.insert((now.saturating_add(patience), id));
                }
                Err(error) => {
                    tracing::debug!(%error, %address, "a callee's address cannot be tried");
                    self.broker.reached(request, address, false, now);
                }
            }
        }
    }

    /// Begins a connection. What becomes of it the poll tells.
    pub(crate) fn connect_to(&mut self, address: SocketAddr, id: ConnectionId) -> io::Result<TcpStream> {
        let mut stream = TcpStream::connect(address)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut stream, Token(id as usize), interest)?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The poll has told something of a try.
    pub(crate) fn reach_told(&mut self, id: ConnectionId) {
        let Some(tried) = self.tries.get(&id) else { return };
        let answered = match (tried.stream.take_error(), tried.stream.peer_addr()) {
            (Ok(None), Ok(_)) => true,
            (Ok(None), Err(error)) if error.kind() == io::ErrorKind::NotConnected => return,
            _ => false,
        };
        self.end_try(id, answered);
    }

    /// It took too long.
    pub(crate) fn reach_due(&mut self, id: ConnectionId) {
        self.end_try(id, false);
    }

    fn end_try(&mut self, id: ConnectionId, answered: bool) {
        let Some(Try { request, address, .. }) = self.tries.remove(&id) else { return };
        let now = self.now();
        self.broker.reached(request, address, answered, now);
        self.obey();
    }
}
