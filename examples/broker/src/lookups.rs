//! What takes a while to be found: domain names (V3), by the system's resolver, and leases (V2). On threads of their own, so that nothing holds the network up.

use crate::leases::Leases;
use p2pgate::broker::{Lease, Name, RequestId};
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// The system's resolver takes seconds for a name that nobody answers for.
const THREADS: usize = 4;
/// Questions for names that wait at most; what comes beyond is answered at once: nothing was found.
const QUEUE: usize = 256;

/// What was found.
pub(crate) enum Found {
    Names(RequestId, Vec<(Name, Vec<IpAddr>)>),
    Lease(RequestId, Option<Lease>),
}

/// The threads. They end by themselves once this is gone: none is waited for.
pub(crate) struct Lookups {
    names: Sender<(RequestId, Vec<Name>)>,
    leases: Option<Sender<(RequestId, Name)>>,
    sender: Sender<Found>,
    found: Receiver<Found>,
    waiting: usize,
}

impl Lookups {
    pub(crate) fn start(
        leases: Option<Box<dyn Leases>>,
        wake: impl Fn() + Clone + Send + 'static,
    ) -> io::Result<Self> {
        let (sender, found) = channel();
        let (names, asked) = channel::<(RequestId, Vec<Name>)>();
        let asked = Arc::new(Mutex::new(asked));
        for _ in 0..THREADS {
            let (asked, sender, wake) = (asked.clone(), sender.clone(), wake.clone());
            std::thread::Builder::new().name("names".into()).spawn(move || {
                loop {
                    let next = asked.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((request, names)) = next else { return };
                    let found = names.into_iter().map(|name| (name.clone(), addresses(&name))).collect();
                    if sender.send(Found::Names(request, found)).is_err() {
                        return;
                    }
                    wake();
                }
            })?;
        }
        let leases = leases.map(|mut leases| {
            let (questions, asked) = channel::<(RequestId, Name)>();
            let sender = sender.clone();
            let thread = std::thread::Builder::new().name("leases".into()).spawn(move || {
                while let Ok((request, identifier)) = asked.recv() {
                    if sender.send(Found::Lease(request, leases.lease_of(&identifier))).is_err() {
                        return;
                    }
                    wake();
                }
            });
            thread.map(|_| questions)
        });
        Ok(Self { names, leases: leases.transpose()?, sender, found, waiting: 0 })
    }

    pub(crate) fn names(&mut self, request: RequestId, names: Vec<Name>) {
        if self.waiting < QUEUE && self.names.send((request, names)).is_ok() {
            self.waiting += 1;
        } else {
            let _ = self.sender.send(Found::Names(request, Vec::new()));
            self.waiting += 1;
        }
    }

    pub(crate) fn lease(&mut self, request: RequestId, identifier: Name) {
        let sent = self.leases.as_ref().is_some_and(|leases| leases.send((request, identifier)).is_ok());
        if !sent {
            let _ = self.sender.send(Found::Lease(request, None));
        }
    }

    /// The next thing that was found.
    pub(crate) fn found(&mut self) -> Option<Found> {
        let found = self.found.try_recv().ok()?;
        if let Found::Names(..) = found {
            self.waiting -= 1;
        }
        Some(found)
    }
}

fn addresses(name: &str) -> Vec<IpAddr> {
    let mut found: Vec<IpAddr> = Vec::new();
    match (name, 0).to_socket_addrs() {
        Ok(addresses) => {
            for address in addresses.map(|address| address.ip()) {
                if !found.contains(&address) {
                    found.push(address);
                }
            }
        }
        Err(error) => tracing::debug!(%error, "{name} was not found"),
    }
    found
}
