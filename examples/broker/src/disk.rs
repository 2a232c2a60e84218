//! What the loop hands to the store's thread and to that of the deposits' files, and what becomes of it.

use crate::Error;
use crate::admin::{Command, answer};
use crate::files::{Done, Work};
use crate::server::Server;
use crate::store::Operation;
use p2pgate::broker::{ConnectionId, RequestId, StoreOperation, Stored};
use std::io;

/// How often a disk that failed is tried.
const PROBE_MS: u64 = 1_000;

/// Who waits for an outcome of the store.
pub(crate) enum Asker {
    Terminal(RequestId),
    Operator(ConnectionId, Command),
    /// The server, whether the store writes again.
    Probe,
}

impl Server {
    pub(crate) fn store(&mut self, request: RequestId, operation: StoreOperation) {
        if self.worker.submit(Asker::Terminal(request), Operation::Terminal(operation)).is_err() {
            tracing::warn!("the store does not keep up: a terminal is told to come back");
            let now = self.now();
            self.broker.stored(request, Stored::Failed, now);
        }
    }

    pub(crate) fn take_written(&mut self) -> Result<(), Error> {
        while let Some(done) = self.files.outcome().map_err(Error::system("keep the deposits' thread"))? {
            let now = self.now();
            match done {
                Done::Written { lane, length } => self.written(lane, length),
                Done::Synced { request, operation, durable: true } => self.store(request, operation),
                Done::Synced { request, .. } => {
                    self.disk_failed(now);
                    self.metrics.files_work = false;
                    self.broker.stored(request, Stored::Failed, now);
                }
                Done::NotRemoved | Done::Probed { works: false } => {
                    self.disk_failed(now);
                    self.metrics.files_work = false;
                }
                Done::Probed { works: true } => self.metrics.files_work = true,
            }
            self.obey();
        }
        Ok(())
    }

    pub(crate) fn take_outcomes(&mut self) -> Result<(), Error> {
        loop {
            let outcome = self.worker.outcome();
            let gone = |_| Error::system("keep the store's thread")(io::ErrorKind::BrokenPipe.into());
            let now = self.now();
            let outcome = outcome.map_err(gone)?;
            if let Some((_, _, stored)) = &outcome {
                self.metrics.stored(*stored);
                if *stored == Stored::Failed {
                    self.disk_failed(now);
                }
            }
            match outcome {
                None => return Ok(()),
                Some((Asker::Probe, ..)) => {}
                Some((Asker::Terminal(request), operation, stored)) => {
                    if let (Operation::Terminal(StoreOperation::EndDeposit { deposit, .. }), Stored::Done) =
                        (operation, stored)
                    {
                        self.files.submit(Work::Remove { deposit });
                    }
                    self.broker.stored(request, stored, now);
                }
                Some((Asker::Operator(client, command), operation, stored)) => {
                    if let (Operation::Revoke { identifier }, Stored::Done) = (&operation, stored) {
                        self.broker.revoke(identifier, now);
                    }
                    tracing::info!(outcome = ?stored, "operator: {command}");
                    let line = answer(command.finish(stored));
                    if let Some(client) = self.clients.remove(&client) {
                        client.answer(&line);
                    }
                }
            }
            self.obey();
        }
    }

    fn disk_failed(&mut self, now: u64) {
        self.probe_at.get_or_insert(now.saturating_add(PROBE_MS));
    }

    /// Whoever is told that this broker is not ready may stay away: it finds out by itself that the disk is written again.
    pub(crate) fn probe(&mut self, now: u64) {
        self.probe_at = None;
        if !self.metrics.files_work {
            self.files.submit(Work::Probe);
        }
        if !self.metrics.store_works() && self.worker.submit(Asker::Probe, Operation::Touch).is_err() {
            self.disk_failed(now);
        }
    }
}
