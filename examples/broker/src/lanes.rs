//! Lanes of deposits: a depositor's goes into a file, a callee's comes out of one (P10, P11).

use crate::files::Work;
use crate::links::Phase;
use crate::server::{Role, Server};
use crate::socket::Socket;
use p2pgate::broker::ConnectionId;
use p2pgate::message::DepositId;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Reads or writes of one lane in a row before the others get their turn.
const STEPS: usize = 8;

/// What of one lane may wait for the disk, and of all.
const WINDOW: usize = 256 << 10;
const ALL_WINDOWS: usize = 64 << 20;

/// A depositor's lane.
pub(crate) struct Taking {
    pub(crate) socket: Socket,
    pub(crate) deposit: DepositId,
    unwritten: usize,
}

/// A callee's lane.
pub(crate) struct Giving {
    pub(crate) socket: Socket,
    deposit: DepositId,
    file: File,
    position: u64,
    end: u64,
    moved_at: u64,
}

impl Server {
    /// The connection is a depositor's lane.
    pub(crate) fn take_deposit(&mut self, id: ConnectionId, deposit: DepositId, start: u64) {
        if self.link(id).is_none() {
            return;
        }
        let Some(Role::Link(mut link)) = self.connections.remove(&id) else { return };
        link.socket.readable = true;
        let early = std::mem::take(&mut link.input);
        self.connections.insert(id, Role::Taking(Taking { socket: link.socket, deposit, unwritten: 0 }));
        self.files.submit(Work::Open { lane: id, deposit, start });
        self.took(id, early.to_vec());
        self.ready.insert(id);
    }

    pub(crate) fn serve_taking(&mut self, id: ConnectionId) {
        for _ in 0..STEPS {
            let all = self.files.unwritten();
            let Some(Role::Taking(taking)) = self.connections.get_mut(&id) else { return };
            if taking.unwritten >= WINDOW {
                return;
            }
            if all >= ALL_WINDOWS {
                self.held_back.insert(id);
                return;
            }
            let length = match taking.socket.read(&mut self.buffer) {
                Ok(None) => return,
                Ok(Some(length)) if length > 0 => length,
                Ok(Some(_)) | Err(_) => return self.drop_connection(id),
            };
            let bytes = self.buffer[..length].to_vec();
            self.took(id, bytes);
        }
        self.ready.insert(id);
    }

    /// What has come goes to the broker, and as far as that takes it to the file, before what it asks for is done.
    fn took(&mut self, id: ConnectionId, mut bytes: Vec<u8>) {
        let now = self.now();
        let taken = self.broker.deposit_input(id, &bytes, now);
        bytes.truncate(taken);
        if let Some(Role::Taking(taking)) = self.connections.get_mut(&id)
            && taken > 0
        {
            taking.unwritten += taken;
            let deposit = taking.deposit;
            self.files.submit(Work::Write { lane: id, deposit, bytes });
        }
        self.obey();
    }

    /// Some of it is written: the lane may bring more.
    pub(crate) fn written(&mut self, id: ConnectionId, length: usize) {
        if let Some(Role::Taking(taking)) = self.connections.get_mut(&id) {
            taking.unwritten = taking.unwritten.saturating_sub(length);
            self.ready.insert(id);
        }
        if self.files.unwritten() < ALL_WINDOWS {
            self.ready.append(&mut self.held_back);
        }
    }

    /// The connection is the lane of a callee that collects.
    pub(crate) fn give_deposit(&mut self, id: ConnectionId, deposit: DepositId, start: u64, end: u64) {
        let lane =
            self.link(id).is_some_and(|link| link.phase == Phase::Lane || link.phase == Phase::Talking);
        if !lane {
            return;
        }
        let Some(Role::Link(mut link)) = self.connections.remove(&id) else { return };
        link.socket.writable = true;
        match self.files.open(&deposit) {
            Ok(file) => {
                let moved_at = self.now();
                let giving = Giving { socket: link.socket, deposit, file, position: start, end, moved_at };
                self.connections.insert(id, Role::Giving(giving));
                self.deadlines.insert((moved_at.saturating_add(self.lane_idle_ms), id));
                self.ready.insert(id);
            }
            Err(error) => {
                self.connections.insert(id, Role::Link(link));
                self.lost(id, deposit, &error);
            }
        }
    }

    fn lost(&mut self, id: ConnectionId, deposit: DepositId, error: &io::Error) {
        tracing::error!(%error, "the deposit {} cannot be read: check the disk", crate::files::name(&deposit));
        // Only what is certainly gone is given up.
        if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) {
            let now = self.now();
            self.broker.deposit_lost(&deposit, now);
        }
        self.drop_connection(id);
        self.obey();
    }

    pub(crate) fn serve_giving(&mut self, id: ConnectionId) {
        let now = self.now();
        for _ in 0..STEPS {
            let Some(Role::Giving(giving)) = self.connections.get_mut(&id) else { return };
            if giving.position >= giving.end {
                // What the socket still holds goes out behind this.
                match giving.socket.finish() {
                    Ok(false) => return,
                    Ok(true) | Err(_) => return self.drop_connection(id),
                }
            }
            if !giving.socket.writable {
                return;
            }
            let rest = usize::try_from(giving.end - giving.position).unwrap_or(usize::MAX);
            let length = rest.min(self.buffer.len());
            let read = giving.file.read_at(&mut self.buffer[..length], giving.position);
            let read = read.and_then(|read| match read {
                0 => Err(io::ErrorKind::UnexpectedEof.into()),
                read => Ok(read),
            });
            match read {
                Ok(read) => match giving.socket.write(&self.buffer[..read]) {
                    Ok(Some(written)) => {
                        giving.position += written as u64;
                        giving.moved_at = now;
                    }
                    Ok(None) => return,
                    Err(_) => return self.drop_connection(id),
                },
                Err(error) => {
                    let deposit = giving.deposit;
                    return self.lost(id, deposit, &error);
                }
            }
        }
        self.ready.insert(id);
    }

    /// Ends a lane whose callee has not taken anything for too long: it collects the rest later.
    pub(crate) fn giving_due(&mut self, id: ConnectionId, now: u64) {
        let Some(Role::Giving(giving)) = self.connections.get_mut(&id) else { return };
        let due = giving.moved_at.saturating_add(self.lane_idle_ms);
        if due > now {
            self.deadlines.insert((due, id));
        } else {
            self.drop_connection(id);
        }
    }
}
