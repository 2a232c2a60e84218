//! What terminals register: their lists (P2) and addresses (V1, V8). Answered once it is on disk.

use super::control::{Greeting, status};
use super::deposits::DepositNumber;
use super::registry::{Change, List, Registration, Saving};
use super::{
    Broker, ConnectionId, DepositNotice, Event, KeptPart, Level, Name, StoreOperation, Stored, StoredAddress,
    What,
};
use crate::link::PublicKey;
use crate::message::{self, Message, NotRegistered, Resolved, Status, StatusCode};

/// So many REGISTERs of one terminal wait while one is on its way to disk.
const MAX_WAITING: usize = 8;

/// What to do once the store has answered.
pub(super) enum Pending {
    Enrol {
        link: ConnectionId,
        identifier: Name,
        key: PublicKey,
        greeting: Greeting,
    },
    List {
        link: ConnectionId,
        identifier: Name,
        key: PublicKey,
        number: u64,
        transaction: Option<u32>,
    },
    Address {
        link: ConnectionId,
        identifier: Name,
        key: PublicKey,
        address: StoredAddress,
        transaction: Option<u32>,
    },
    Group {
        link: ConnectionId,
        owner: Name,
        key: PublicKey,
        group: Name,
        /// `None`: it ends.
        members: Option<List>,
        transaction: Option<u32>,
    },
    Resolved {
        link: ConnectionId,
        identifier: Name,
        /// The terminal's, if it told its own.
        key: Option<PublicKey>,
        address: Option<StoredAddress>,
        transaction: Option<u32>,
    },
    /// Nobody waits for it.
    Unawaited,
    Frame {
        identifier: Name,
        key: PublicKey,
        frame: u32,
    },
    DepositOpen {
        number: DepositNumber,
    },
    DepositKeep {
        number: DepositNumber,
        part: KeptPart,
    },
    DepositEnd {
        number: DepositNumber,
        notice: Option<DepositNotice>,
        asker: Option<(ConnectionId, Option<u32>)>,
    },
}

impl Broker {
    pub(super) fn store(&mut self, operation: StoreOperation, pending: Pending) {
        let request = self.next_id();
        self.pending.insert(request, pending);
        self.net.events.push_back(Event::Store(request, operation));
    }

    pub(super) fn store_answered(&mut self, pending: Pending, outcome: Stored, now: u64) {
        match pending {
            Pending::Enrol { link, identifier, key, greeting } => match outcome {
                Stored::Done => self.enrolled(link, identifier, key, greeting, now),
                Stored::Refused => self.not_enrolled(link, greeting.transaction, now),
                Stored::Failed => {
                    self.unavailable(
                        link,
                        &identifier,
                        status(StatusCode::Unavailable, STORE_FAILED, greeting.transaction),
                    );
                    self.close(link, now);
                }
            },
            Pending::List { link, identifier, key, number, transaction } => {
                let terminal = self.registry.enrolled(&identifier, &key);
                let saved = terminal.and_then(|it| it.saving.take_if(|it| it.number == number));
                if let Some(Saving { revision, list, .. }) = saved {
                    self.list_stored(link, &identifier, revision, list, transaction, outcome);
                    self.register_waiting(&identifier);
                    if outcome == Stored::Done {
                        self.deposits_at_register(&identifier, now);
                    }
                }
            }
            Pending::Address { link, identifier, key, address, transaction } => {
                let Some(terminal) = self.registry.enrolled(&identifier, &key) else { return };
                match outcome {
                    Stored::Done => {
                        terminal.address = Some(address);
                        self.answer(link, StatusCode::Done, "Registered.", transaction);
                        self.address_changed(&identifier);
                        self.net.log(Level::Info, Some(link), Some(identifier), What::AddressRegistered);
                    }
                    Stored::Refused => self.answer(link, StatusCode::Forbidden, REVOKED, transaction),
                    Stored::Failed => self.store_failed(link, &identifier, transaction),
                }
            }
            Pending::Group { link, owner, key, group, members, transaction } => {
                self.group_stored(link, (&owner, key), (group, members), transaction, outcome);
            }
            Pending::Resolved { link, identifier, key, address, transaction } => {
                // A key that was taken away meanwhile took its address with it.
                if key.is_some_and(|key| self.registry.key_of(&identifier) != Some(key)) {
                    return;
                }
                let done = outcome == Stored::Done;
                self.address_stored(link, (identifier, address), transaction, done, now);
            }
            Pending::Unawaited => {}
            Pending::Frame { identifier, key, frame } => {
                let terminal = self.registry.enrolled(&identifier, &key);
                if let Some(terminal) = terminal.filter(|_| outcome == Stored::Done) {
                    terminal.stored_frame = Some(frame);
                }
            }
            Pending::DepositOpen { number } => self.deposit_opened(number, outcome, now),
            Pending::DepositKeep { number, part } => self.part_stored(number, &part, outcome, now),
            Pending::DepositEnd { number, notice, asker } => {
                self.deposit_ended(number, notice, asker, outcome, now);
            }
        }
    }

    pub(super) fn store_failed(&mut self, link: ConnectionId, identifier: &Name, transaction: Option<u32>) {
        self.unavailable(link, identifier, status(StatusCode::Unavailable, STORE_FAILED, transaction));
    }

    fn unavailable(&mut self, link: ConnectionId, identifier: &Name, failed: Status<'_>) {
        let failed = Status { retry_after: Some(STORE_RETRY), ..failed };
        self.net.send(link, &Message::Status(failed));
        self.net.log(Level::Warning, Some(link), Some(identifier.clone()), What::StoreFailed);
    }

    /// M1–M4.
    pub(super) fn register(&mut self, link: ConnectionId, register: message::Register<'_>, now: u64) {
        let transaction = register.transaction;
        let Some(identifier) = self.own_identifier(link, register.identifier, transaction) else { return };
        if !self.may_write(link, &identifier, transaction, now) {
            return;
        }
        let registration = Registration {
            connection: link,
            transaction,
            revision: register.revision,
            change: Change::from(register.change),
        };
        let Some(terminal) = self.registry.get_mut(&identifier) else { return };
        if terminal.saving.is_none() {
            return self.start_saving(&identifier, registration);
        }
        if terminal.waiting.len() >= MAX_WAITING {
            let wait =
                Status { retry_after: Some(1), ..status(StatusCode::TooOften, "Too often.", transaction) };
            return self.net.send(link, &Message::Status(wait));
        }
        // It is checked in its turn, but takes away at once.
        terminal.waiting.push_back(registration);
        self.take_away(&identifier);
    }

    /// Checks a change, has it stored, and does its deletions.
    fn start_saving(&mut self, identifier: &Name, registration: Registration) {
        let Registration { connection: link, transaction, revision, change } = registration;
        let Some(terminal) = self.registry.get(identifier) else { return };
        let (old, Some(key)) = (terminal.revision, terminal.key) else { return };
        let new = revision.unwrap_or(old.saturating_add(1));
        // A change is no longer than a message, and a list than its limit: this work is bounded.
        let list = self.registry.changed(identifier, &change);
        let refusal = if new <= old {
            Some((StatusCode::Stale, "The broker has a newer list."))
        } else if list.len() > self.config.max_list {
            Some((StatusCode::TooLarge, "The list is too long."))
        } else {
            None
        };
        if let Some((code, text)) = refusal {
            let refused = Status { revision: Some(old), ..status(code, text, transaction) };
            self.net.send(link, &Message::Status(refused));
            return self.net.log_of(Level::Info, link, What::Refused(code.number()));
        }
        let operation = StoreOperation::SaveList {
            identifier: identifier.clone(),
            key,
            revision: new,
            list: list.iter().map(|(name, key)| (name.clone(), *key)).collect(),
        };
        let number = self.next_id();
        if let Some(terminal) = self.registry.get_mut(identifier) {
            terminal.saving = Some(Saving { number, revision: new, list });
        }
        let pending = Pending::List { link, identifier: identifier.clone(), key, number, transaction };
        self.store(operation, pending);
        // Behind it: what was deposited goes once it is on disk that it is not wanted.
        self.take_away(identifier);
    }

    /// Takes effect at once: who is not permitted by the list that results of all that was registered loses grants and lanes before anything is on disk.
    fn take_away(&mut self, identifier: &Name) {
        let list = self.registry.resulting(identifier);
        for gone in &self.registry.retain(identifier, &list) {
            let called = self.registry.get(identifier).map(|terminal| terminal.called.clone());
            for id in called.unwrap_or_default() {
                let Some(grant) = self.grants.get_mut(id) else { continue };
                if grant.group.as_ref().unwrap_or(&grant.caller) != gone {
                    continue;
                }
                // By its own entry the callee knows it whatever group it was announced by, but not the other way round.
                let own = list.get(&grant.caller).copied().flatten();
                match grant.group.take() {
                    Some(_) if own.is_some() && own == self.registry.key_of(&grant.caller) => {}
                    _ => self.withdraw(id, "the callee no longer permits the caller"),
                }
            }
        }
        self.deposits_unwanted(identifier);
    }

    fn list_stored(
        &mut self,
        link: ConnectionId,
        identifier: &Name,
        revision: u64,
        list: List,
        transaction: Option<u32>,
        outcome: Stored,
    ) {
        let entries = list.len();
        if outcome == Stored::Done {
            self.registry.replace_list(identifier, list);
        }
        let Some(terminal) = self.registry.get_mut(identifier) else { return };
        if outcome == Stored::Done {
            terminal.revision = revision;
        }
        let revision = terminal.revision;
        match outcome {
            Stored::Done => {
                let done = Status {
                    revision: Some(revision),
                    ..status(StatusCode::Done, "Registered.", transaction)
                };
                self.net.send(link, &Message::Status(done));
                let what = What::Registered { revision, entries };
                self.net.log(Level::Info, Some(link), Some(identifier.clone()), what);
            }
            Stored::Refused => self.answer(link, StatusCode::Forbidden, REVOKED, transaction),
            Stored::Failed => {
                let failed = status(StatusCode::Unavailable, STORE_FAILED, transaction);
                self.unavailable(link, identifier, Status { revision: Some(revision), ..failed });
            }
        }
    }

    /// The next of the changes that waited: within the same call, so that nothing that any of them takes away comes back in between.
    fn register_waiting(&mut self, identifier: &Name) {
        while let Some(terminal) = self.registry.get_mut(identifier)
            && terminal.saving.is_none()
            && let Some(registration) = terminal.waiting.pop_front()
        {
            self.start_saving(identifier, registration);
        }
    }

    /// M23.
    pub(super) fn address(&mut self, link: ConnectionId, address: &message::Address<'_>, now: u64) {
        let transaction = address.transaction;
        let Some(identifier) = self.own_identifier(link, address.identifier, transaction) else { return };
        if !self.may_write(link, &identifier, transaction, now) {
            return;
        }
        let Some(key) = self.registry.key_of(&identifier) else { return };
        let address = StoredAddress::new(address);
        let operation =
            StoreOperation::SaveAddress { identifier: identifier.clone(), key, address: address.clone() };
        self.store(operation, Pending::Address { link, identifier, key, address, transaction });
    }

    /// M24, for oneself only: another's address is told in M11, to those whom it permits.
    pub(super) fn resolve(&mut self, link: ConnectionId, resolve: &message::Resolve<'_>) {
        let transaction = resolve.transaction;
        let Some(connection) = self.net.connections.get_mut(&link) else { return };
        let source = connection.source.ip();
        let own = connection.session().is_some_and(|session| *session.identifier == *resolve.identifier);
        let address =
            self.registry.get(resolve.identifier).filter(|_| own).and_then(|it| it.address.as_ref());
        let message = match address.and_then(|address| address.resolve(source)) {
            Some((address, port, candidates)) => {
                Message::Resolved(Resolved { address, port, candidates, transaction })
            }
            None => Message::NotRegistered(NotRegistered { transaction }),
        };
        self.net.send(link, &message);
    }

    /// The link's identifier, if that is what the message is for; otherwise it is refused.
    pub(super) fn own_identifier(
        &mut self,
        link: ConnectionId,
        identifier: &str,
        transaction: Option<u32>,
    ) -> Option<Name> {
        let own = self.net.session(link)?.identifier.clone();
        if *own == *identifier {
            return Some(own);
        }
        self.answer(link, StatusCode::Forbidden, "Another's identifier.", transaction);
        self.net.log_of(Level::Warning, link, What::Forbidden);
        None
    }

    /// Whether the terminal may have something stored; otherwise it is refused.
    pub(super) fn may_write(
        &mut self,
        link: ConnectionId,
        identifier: &str,
        transaction: Option<u32>,
        now: u64,
    ) -> bool {
        let Some(terminal) = self.registry.get_mut(identifier) else { return false };
        let Err(wait) = terminal.writes.take(self.config.writes_per_minute, now) else { return true };
        let wait = self.jittered(wait);
        let refused =
            Status { retry_after: Some(wait), ..status(StatusCode::TooOften, "Too often.", transaction) };
        self.net.send(link, &Message::Status(refused));
        self.net.log_of(Level::Info, link, What::Refused(StatusCode::TooOften.number()));
        false
    }
}

const STORE_FAILED: &str = "The broker cannot store it now.";
const REVOKED: &str = "The key was taken away.";

/// After how many seconds the store may be there again.
const STORE_RETRY: u32 = 10;
