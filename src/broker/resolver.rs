//! The address resolution server as a process of its own (system 100, P1; Fig. 8 S801–S807), sans-IO: a [`Broker`] that answers for addresses and does
//! nothing else.
//!
//! One broker, known by its key, asks for any terminal's address (M24) and tells what terminals told it (M23). Terminals that are enrolled here tell their own
//! directly. An address that nobody has told again for a while is forgotten. Where the process can ask whoever assigned the addresses (V2), that counts for more than
//! what was told.

use super::connection::{Secured, Session, State};
use super::control::status;
use super::registration::Pending;
use super::timers::Timer;
use super::{Broker, Config, ConnectionId, Event, Level, Name, RequestId, RestoreError, StoreOperation};
use super::{StoredAddress, What};
use crate::identifier;
use crate::link::{PublicKey, SecretKey};
use crate::message::{self, Denial, Denied, Hello, Message, NotRegistered, Resolved, Status, StatusCode};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use core::net::IpAddr;

/// So many addresses are forgotten in one go.
const SWEEP: usize = 1_024;
/// So many questions to whoever assigned the addresses are under way at once.
const MAX_ASKED: usize = 1_024;

/// What makes a broker a resolver.
pub(super) struct Resolver {
    /// The key of the broker that may ask.
    broker: PublicKey,
    addresses: BTreeMap<Name, Entry>,
    /// Until when each address counts.
    ends: BTreeSet<(u64, Name)>,
    /// Whether the process can ask who assigned the addresses, and what it is asking.
    leases: bool,
    asked: BTreeMap<RequestId, Question>,
    armed: bool,
}

struct Entry {
    address: StoredAddress,
    until: u64,
}

/// M24 that is not answered yet.
struct Question {
    link: ConnectionId,
    identifier: Name,
    transaction: Option<u32>,
}

impl Resolver {
    fn forget(&mut self, identifier: &str) {
        if let Some((name, entry)) = self.addresses.remove_entry(identifier) {
            self.ends.remove(&(entry.until, name));
        }
    }

    fn insert(&mut self, name: Name, address: StoredAddress, until: u64) {
        self.forget(&name);
        self.ends.insert((until, name.clone()));
        self.addresses.insert(name, Entry { address, until });
    }

    fn get(&self, identifier: &str, now: u64) -> Option<&StoredAddress> {
        self.addresses.get(identifier).filter(|entry| entry.until > now).map(|entry| &entry.address)
    }
}

/// Who assigned an address (V2), as the process found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The address that the terminal has now.
    pub address: IpAddr,
    /// The port that it listens on; `None`: the one that it told.
    pub port: Option<u16>,
}

impl Broker {
    /// A resolver for the broker with the key `broker`. With `leases` the process answers [`Event::FindLease`] by [`found_lease`](Self::found_lease).
    pub fn resolver(
        config: Config,
        key: SecretKey,
        entropy: [u8; 32],
        broker: PublicKey,
        leases: bool,
    ) -> Self {
        let (addresses, ends, asked) = Default::default();
        let resolver = Resolver { broker, addresses, ends, leases, asked, armed: false };
        let config = Config { relay: false, deposits: false, ..config };
        Self { resolver: Some(resolver), ..Self::new(config, key, entropy) }
    }

    /// Brings an address back from a resolver's store (P13), `age_ms` after it was told.
    ///
    /// # Errors
    /// [`RestoreError`] if the identifier breaks the rules; nothing has changed.
    pub fn restore_resolved(
        &mut self,
        identifier: &str,
        address: StoredAddress,
        age_ms: u64,
        now: u64,
    ) -> Result<(), RestoreError> {
        identifier::check(identifier)?;
        let left = self.config.address_lifetime_ms.saturating_sub(age_ms);
        if let Some(resolver) = &mut self.resolver {
            resolver.insert(identifier.into(), address, now.saturating_add(left));
        }
        self.arm_sweep(now);
        Ok(())
    }

    /// Who assigned the address has answered [`Event::FindLease`]. `None`: it knows of none.
    pub fn found_lease(&mut self, request: RequestId, lease: Option<Lease>, now: u64) {
        let question = self.resolver.as_mut().and_then(|resolver| resolver.asked.remove(&request));
        if let Some(question) = question {
            self.answer_resolve(question, lease, now);
        }
        self.close_condemned(now);
    }

    /// The key of the broker that may ask, if this is a resolver.
    pub(super) fn asker(&self) -> Option<PublicKey> {
        self.resolver.as_ref().map(|resolver| resolver.broker)
    }

    /// A terminal's key was taken away: what it told directly goes with it.
    pub(super) fn address_revoked(&mut self, identifier: &Name) {
        if let Some(resolver) = &mut self.resolver {
            resolver.forget(identifier);
            let operation = StoreOperation::SaveResolved { identifier: identifier.clone(), address: None };
            self.store(operation, Pending::Unawaited);
        }
    }

    /// The broker's link is up.
    pub(super) fn admit_asker(&mut self, id: ConnectionId, secured: Secured, hello: &Hello<'_>, now: u64) {
        let session = Session { asks: true, ..Session::new(secured, hello.identifier.into(), now) };
        self.settled(id, State::Open(Box::new(session)), now.saturating_add(self.config.idle_ms));
        self.answer(id, StatusCode::Done, "Welcome.", hello.transaction);
        self.net.log_of(Level::Info, id, What::Opened { listen: false });
    }

    /// What comes over a link to a resolver. `None`: nothing that a resolver is sent.
    pub(super) fn resolver_message(
        &mut self,
        id: ConnectionId,
        message: &Message<'_>,
        now: u64,
    ) -> Option<()> {
        match message {
            Message::Address(address) => self.address_told(id, address, now),
            Message::Resolve(resolve) => self.address_wanted(id, resolve, now),
            Message::Ping(ping) => self.answer(id, StatusCode::Done, "Alive.", ping.transaction),
            // A terminal may take it for a broker.
            Message::Register(_) | Message::Group(_) => {
                let text = "This is an address resolution server.";
                self.answer(id, StatusCode::Forbidden, text, message.transaction());
            }
            Message::Query(query) => {
                let cause = Some("this is an address resolution server");
                let (denial, transaction) = (Denial::NotPermitted, query.transaction);
                self.net.send(id, &Message::Denied(Denied { denial, transaction, cause, retry_after: None }));
            }
            _ => return None,
        }
        Some(())
    }

    fn asks(&mut self, link: ConnectionId) -> bool {
        self.net.session(link).is_some_and(|session| session.asks)
    }

    /// M23.
    fn address_told(&mut self, link: ConnectionId, address: &message::Address<'_>, now: u64) {
        let transaction = address.transaction;
        let told = StoredAddress::new(address);
        let (identifier, key, address) = if self.asks(link) {
            // The broker has put in where its terminals' links come from: without an address it says that there is none.
            (address.identifier.into(), None, (!told.is_open()).then_some(told))
        } else {
            let Some(own) = self.own_identifier(link, address.identifier, transaction) else { return };
            if !self.may_write(link, &own, transaction, now) {
                return;
            }
            let Some(source) = self.net.connections.get(&link).map(|it| it.source.ip()) else { return };
            let key = self.registry.key_of(&own);
            (own, key, Some(told.settled(source)))
        };
        let Some(resolver) = &self.resolver else { return };
        let new = !resolver.addresses.contains_key(&identifier);
        if new && address.is_some() && resolver.addresses.len() >= self.config.max_addresses {
            self.answer(link, StatusCode::TooLarge, "There are too many addresses.", transaction);
            return self.net.log_of(Level::Warning, link, What::Refused(StatusCode::TooLarge.number()));
        }
        let operation =
            StoreOperation::SaveResolved { identifier: identifier.clone(), address: address.clone() };
        self.store(operation, Pending::Resolved { link, identifier, key, address, transaction });
    }

    /// It is on disk.
    pub(super) fn address_taken(&mut self, identifier: Name, address: Option<StoredAddress>, now: u64) {
        let until = now.saturating_add(self.config.address_lifetime_ms);
        let Some(resolver) = &mut self.resolver else { return };
        match address {
            Some(address) => resolver.insert(identifier, address, until),
            None => resolver.forget(&identifier),
        }
        self.arm_sweep(now);
    }

    /// M24 (S801, S802).
    fn address_wanted(&mut self, link: ConnectionId, resolve: &message::Resolve<'_>, now: u64) {
        let own = self.net.session(link).is_some_and(|session| *session.identifier == *resolve.identifier);
        let transaction = resolve.transaction;
        if !own && !self.asks(link) {
            return self.net.send(link, &Message::NotRegistered(NotRegistered { transaction }));
        }
        let question = Question { link, identifier: resolve.identifier.into(), transaction };
        let request = self.next_id();
        match &mut self.resolver {
            Some(resolver) if resolver.leases && resolver.asked.len() < MAX_ASKED => {
                let identifier = question.identifier.clone();
                resolver.asked.insert(request, question);
                self.net.events.push_back(Event::FindLease { request, identifier });
            }
            _ => self.answer_resolve(question, None, now),
        }
    }

    /// S803–S807.
    fn answer_resolve(&mut self, question: Question, lease: Option<Lease>, now: u64) {
        let Question { link, identifier, transaction } = question;
        let Some(resolver) = &self.resolver else { return };
        let told = resolver.get(&identifier, now);
        let leased = lease.and_then(|lease| {
            let port = lease.port.or_else(|| told.map(StoredAddress::port))?;
            Some(StoredAddress::of_ip(lease.address, port))
        });
        let Some(source) = self.net.connections.get(&link).map(|it| it.source.ip()) else { return };
        let found = leased.as_ref().or(told).and_then(|address| address.resolve(source));
        let what = What::Resolved { identifier: identifier.clone(), found: found.is_some() };
        let message = match found {
            Some((address, port, candidates)) => {
                Message::Resolved(Resolved { address, port, candidates, transaction })
            }
            None => Message::NotRegistered(NotRegistered { transaction }),
        };
        self.net.send(link, &message);
        self.net.log_of(Level::Debug, link, what);
    }

    fn arm_sweep(&mut self, now: u64) {
        let Some(resolver) = self.resolver.as_mut().filter(|resolver| !resolver.armed) else { return };
        if let Some((first, _)) = resolver.ends.first() {
            resolver.armed = true;
            // What was left over of one go has to wait for the next.
            self.timers.arm((*first).max(now.saturating_add(1)), Timer::Addresses);
        }
    }

    /// Forgets what nobody has told again in time.
    pub(super) fn addresses_due(&mut self, now: u64) {
        for _ in 0..SWEEP {
            let Some(resolver) = &mut self.resolver else { return };
            let Some((_, name)) = resolver.ends.first().filter(|(until, _)| *until <= now).cloned() else {
                break;
            };
            resolver.forget(&name);
            self.store(StoreOperation::SaveResolved { identifier: name, address: None }, Pending::Unawaited);
        }
        if let Some(resolver) = &mut self.resolver {
            resolver.armed = false;
        }
        self.arm_sweep(now);
    }

    /// The outcome of storing a told address.
    pub(super) fn address_stored(
        &mut self,
        link: ConnectionId,
        taken: (Name, Option<StoredAddress>),
        transaction: Option<u32>,
        done: bool,
        now: u64,
    ) {
        let (identifier, address) = taken;
        let what = What::AddressRegistered;
        if !done {
            return self.store_failed(link, &identifier, transaction);
        }
        self.net.log(Level::Debug, Some(link), Some(identifier.clone()), what);
        self.address_taken(identifier, address, now);
        let done: Status<'_> = status(StatusCode::Done, "Registered.", transaction);
        self.net.send(link, &Message::Status(done));
    }
}
