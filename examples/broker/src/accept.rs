//! Where connections come in.

use crate::Error;
use crate::links::Link;
use crate::server::{Role, Server};
use crate::socket::Socket;
use crate::tls::Tls;
use mio::net::{TcpListener, TcpStream};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// Connections taken in a row at one door before the others get their turn.
const ACCEPT_TURN: usize = 8;
/// How long the doors rest when the system has no more files to give.
const ACCEPT_REST_MS: u64 = 100;

/// An address that is listened on.
pub(crate) struct Door {
    listener: TcpListener,
    pub(crate) local: SocketAddr,
    /// Around each connection (V7).
    pub(crate) tls: Option<Arc<ServerConfig>>,
}

/// Sockets that the service manager listens on already (systemd's socket activation), in the order of the doors.
pub(crate) struct Given(listenfd::ListenFd, usize);

impl Given {
    pub(crate) fn take() -> Self {
        Self(listenfd::ListenFd::from_env(), 0)
    }

    fn next(&mut self) -> io::Result<Option<std::net::TcpListener>> {
        self.1 += 1;
        if self.1 > self.0.len() { Ok(None) } else { self.0.take_tcp_listener(self.1 - 1) }
    }
}

impl Door {
    /// One of the sockets given, whatever its address, or else the address.
    pub(crate) fn open(
        given: &mut Given,
        address: SocketAddr,
        tls: Option<Arc<ServerConfig>>,
        registry: &Registry,
        token: Token,
    ) -> Result<Self, Error> {
        let refused = |source| Error::Listen { address, source };
        let mut listener = match given.next().map_err(refused)? {
            Some(listener) => {
                listener.set_nonblocking(true).map_err(refused)?;
                TcpListener::from_std(listener)
            }
            None => TcpListener::bind(address).map_err(refused)?,
        };
        let local = listener.local_addr().map_err(refused)?;
        registry.register(&mut listener, token, Interest::READABLE).map_err(Error::system("poll"))?;
        Ok(Self { listener, local, tls })
    }
}

impl Server {
    pub(crate) fn accept(&mut self) {
        self.accept_again = None;
        for door in 0..self.doors.len() {
            for turn in 0.. {
                // The poll tells only of newer ones.
                if turn == ACCEPT_TURN {
                    self.accept_again = Some(self.now());
                    break;
                }
                let Some(door) = self.doors.get(door) else { break };
                match door.listener.accept() {
                    Ok((stream, source)) => {
                        let tls = door.tls.clone();
                        self.admit(stream, tls, source);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if gone_already(&error) => {}
                    Err(error) => {
                        // No file, no memory: those that wait stay in the system's queue, and get their turn when others have left.
                        tracing::warn!(%error, "connections wait: raise the limit of open files");
                        self.accept_again = Some(self.now().saturating_add(ACCEPT_REST_MS));
                        return;
                    }
                }
            }
        }
    }

    fn admit(&mut self, mut stream: TcpStream, tls: Option<Arc<ServerConfig>>, source: SocketAddr) {
        if self.connections.len() >= self.max_connections {
            tracing::debug!(%source, "closed: there are as many connections as there may be");
            self.metrics.refused("connection", "too many connections");
            return;
        }
        let id = self.number();
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(&mut stream, Token(id as usize), interest);
        let prepared =
            registered.and_then(|()| stream.set_nodelay(true)).and_then(|()| tls.map(Tls::new).transpose());
        let tls = match prepared {
            Ok(tls) => tls,
            Err(error) => {
                tracing::debug!(%source, %error, "closed: the connection cannot be used");
                return;
            }
        };
        tracing::debug!(connection = id, %source, tls = tls.is_some(), "connected");
        self.metrics.accepted();
        self.connections.insert(id, Role::Link(Link::new(Socket::new(stream, tls))));
        self.strangers.push(id);
        let now = self.now();
        self.broker.connected(id, source, now);
        self.obey();
    }
}

fn gone_already(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}
