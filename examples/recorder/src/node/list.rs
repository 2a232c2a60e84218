//! The list of permitted recorders and the pins, which several processes of one recorder share through its folder.

use p2pgate::identifier::Identifier;
use p2pgate::link::PublicKey;
use p2pgate::terminal::{Change, GroupError, SessionId, blob_size};

use super::{Core, Node, PEERS};
use crate::failure::{Code, Failure};

impl Node {
    /// Changes the list (P2) on top of what is stored, and stores it: nobody else's change is lost.
    pub fn permit(&mut self, change: &Change<'_>) -> Result<(), Failure> {
        let lock = self.state.lock()?;
        self.reload()?;
        self.terminal
            .permit(change)
            .map_err(|error| Failure::new(Code::Refused, format!("the list stays as it was: {error}")))?;
        self.store()?;
        drop(lock);
        self.obey().map(|_| ())
    }

    /// Tells the broker who is in a group.
    pub fn group(
        &mut self,
        group: &Identifier,
        replace: bool,
        add: &[(Identifier, Option<PublicKey>)],
        delete: &[(Identifier, Option<PublicKey>)],
    ) -> Result<(), GroupError> {
        let (link, length) = self.terminal.group(group, replace, &add, &delete, &mut self.record)?;
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.queue(&self.record[..length]);
        }
        Ok(())
    }

    /// Tells the broker a domain name and a port to find this recorder at. Once more after each loss of the broker.
    pub fn announce(&mut self, name: &str, port: u16) {
        if let Ok((link, length)) = self.terminal.announce(name, port, &mut self.record)
            && let Some(wire) = self.wires.get_mut(&link)
        {
            wire.queue(&self.record[..length]);
        }
    }

    /// Stores the list and the pins. If another process has stored newer ones, those count; what is pinned here alone
    /// is kept.
    pub(super) fn persist(&mut self) -> Result<(), Failure> {
        let lock = self.state.lock()?;
        if self.state.peers_version() != self.peers {
            let ours = self.blob()?;
            self.reload()?;
            // A table that is full meanwhile has no room for a pin: no reason to end.
            let _ = self.terminal.adopt_pins(&ours);
        }
        self.store()?;
        drop(lock);
        self.terminal.persisted();
        Ok(())
    }

    fn store(&mut self) -> Result<(), Failure> {
        let blob = self.blob()?;
        self.state.save_peers(&blob)?;
        self.peers = self.state.peers_version();
        Ok(())
    }

    fn blob(&mut self) -> Result<Vec<u8>, Failure> {
        let mut blob = vec![0; blob_size(PEERS)];
        let length = self
            .terminal
            .blob(&mut blob)
            .map_err(|error| Failure::new(Code::Local, format!("cannot store the list: {error}")))?;
        blob.truncate(length);
        Ok(blob)
    }

    /// Takes over a list that another process (`allow`) has stored.
    pub(super) fn look_at_peers(&mut self) -> Result<(), Failure> {
        // Whoever takes no callers has no use for it, and would only register what another process does already.
        if self.listener.is_none() {
            return Ok(());
        }
        if self.state.peers_version() != self.peers {
            let lock = self.state.lock()?;
            let ours = self.blob()?;
            self.reload()?;
            // What this process alone knows, such as a deposit that it has just collected, stays.
            let _ = self.terminal.adopt_pins(&ours);
            drop(lock);
        }
        Ok(())
    }

    /// The stored list counts; sessions with callers that are no longer on it end.
    fn reload(&mut self) -> Result<(), Failure> {
        self.peers = self.state.peers_version();
        if let Some(blob) = self.state.peers()? {
            restore(&mut self.terminal, &blob)?;
        }
        let callers: Vec<SessionId> = self.callers.clone();
        for caller in callers {
            if !self.terminal.is_admitted(caller) {
                self.terminal.close(caller);
            }
        }
        Ok(())
    }
}

pub(super) fn restore(terminal: &mut Core, blob: &[u8]) -> Result<(), Failure> {
    terminal.restore(blob).map_err(|error| Failure::new(Code::Local, error.to_string()))
}
