//! The operators' connections to the running broker.

use crate::Error;
use crate::admin::{Address, Client, Command, answer};
use crate::disk::Asker;
use crate::folder::Folder;
use crate::server::Server;
use mio::net::UnixListener;
use mio::{Interest, Token};
use p2pgate::broker::ConnectionId;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt;

/// Connections at a time, and how long one may take.
const MAX_CLIENTS: usize = 16;
const CLIENT_MS: u64 = 10_000;

impl Server {
    pub(crate) fn accept_operators(&mut self) {
        while let Some(Ok((mut stream, _))) = self.admin.as_ref().map(UnixListener::accept) {
            let id = self.number();
            if self.clients.len() >= MAX_CLIENTS {
                continue;
            }
            let token = Token(id as usize);
            if self.poll.registry().register(&mut stream, token, Interest::READABLE).is_ok() {
                self.clients.insert(id, Client::new(stream));
                self.ready.insert(id);
                self.deadlines.insert((self.now().saturating_add(CLIENT_MS), id));
            }
        }
    }

    pub(crate) fn serve_operator(&mut self, id: ConnectionId) {
        let Some(client) = self.clients.get_mut(&id) else { return };
        match client.read() {
            Ok(None) => {}
            Ok(Some(line)) => {
                let queued = Command::parse(&line).and_then(|command| {
                    let operation = command.operation();
                    let queued = self.worker.submit(Asker::Operator(id, command), operation);
                    queued.map_err(|_| Error::Failed("the store does not keep up: try again".into()))
                });
                if let Err(error) = queued
                    && let Some(client) = self.clients.remove(&id)
                {
                    client.answer(&answer(Err(error)));
                }
            }
            Err(_) => drop(self.clients.remove(&id)),
        }
    }
}

/// Listens beside the store, for this user alone.
pub(crate) fn listen_for_operator(folder: &Folder) -> Result<UnixListener, Error> {
    let path = folder.socket();
    let bind = || {
        // What a broker that was killed has left; the lock says that none runs.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = UnixListener::bind(Address::of(folder)?.path())?;
        std::fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map_err(Error::file("listen on", &path))
}
