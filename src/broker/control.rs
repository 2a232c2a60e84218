//! What comes over a control link: HELLO (V5), then everything else.

use super::connection::{Enrolling, Secured, Session, State};
use super::deposits::frame_of;
use super::query::Answer;
use super::registration::Pending;
use super::{Broker, ConnectionId, Level, Name, StoreOperation, What, digest_of_ticket};
use crate::link::PublicKey;
use crate::message::{Hello, Message, Status, StatusCode};
use crate::permitted;
use alloc::boxed::Box;
use alloc::vec::Vec;

/// So many messages may come behind a HELLO with a ticket before it is answered.
const MAX_DEFERRED: usize = 4;

impl Broker {
    /// A record has opened.
    pub(super) fn text(&mut self, id: ConnectionId, text: &[u8], now: u64) {
        if let Some(State::Enrolling(enrolling)) = self.net.connections.get_mut(&id).map(|it| &mut it.state) {
            if enrolling.deferred.len() < MAX_DEFERRED {
                enrolling.deferred.push(text.into());
            } else {
                self.refuse(id, What::TooEager, now);
            }
            return;
        }
        let message = match Message::parse(text) {
            Ok(message) => message,
            Err(error) => return self.malformed(id, What::Message(error), now),
        };
        let idle = now.saturating_add(self.config.idle_ms);
        match self
            .net
            .connections
            .get_mut(&id)
            .map(|connection| (&connection.state, &mut connection.deadline))
        {
            Some((State::Unproven(_), _)) => match message {
                Message::Hello(hello) => self.hello(id, &hello, None, now),
                Message::DepositHello(hello, frame) => self.hello(id, &hello, frame_of(frame), now),
                _ => self.malformed(id, What::Unexpected, now),
            },
            Some((State::Resolver(_), _)) => self.resolver_said(id, &message, now),
            Some((State::Open(_), deadline)) => {
                *deadline = idle;
                if let Some(session) = self.net.session(id) {
                    session.heard = now;
                }
                self.message(id, message, now);
            }
            _ => {}
        }
    }

    fn message(&mut self, id: ConnectionId, message: Message<'_>, now: u64) {
        if self.resolver.is_some() {
            return match self.resolver_message(id, &message, now) {
                Some(()) => {}
                None => self.malformed(id, What::Unexpected, now),
            };
        }
        let answered = match message {
            Message::Register(register) => return self.register(id, register, now),
            Message::Group(group) => return self.group(id, group, now),
            Message::Address(address) => return self.address(id, &address, now),
            Message::Resolve(resolve) => return self.resolve(id, &resolve),
            Message::Query(query) => return self.query(id, &query, now),
            Message::Transfer(transfer) => return self.transfer(id, &transfer, now),
            Message::Tunnel(tunnel) => return self.tunnel(id, &tunnel, now),
            Message::Release(release) => return self.released(id, &release.handle),
            Message::Ping(ping) => {
                self.answer(id, StatusCode::Done, "Alive.", ping.transaction);
                return self.keep_frame(id, now);
            }
            Message::Deposit(deposit) => return self.deposit(id, &deposit, now),
            Message::Collect(collect) => return self.collect(id, &collect, now),
            Message::Collected(collected) => return self.collected(id, &collected, now),
            Message::Deposits(question) => return self.list_deposits(id, &question, now),
            Message::Withdraw(it) if it.transaction.is_some() => {
                return self.withdraw_deposit(id, &it.handle, it.transaction);
            }
            Message::DepositDeclined(declined) => self.deposit_declined(id, declined.transaction),
            Message::StatusAnswer(answer) => {
                let (acceptable, retry_after) = (answer.acceptable, answer.retry_after);
                self.callee_answered(id, answer.transaction, Answer::Status { acceptable, retry_after }, now)
            }
            Message::Accepted(answer) => self.callee_answered(id, answer.transaction, Answer::Accepted, now),
            Message::Denied(answer) => {
                let (denial, retry_after) = (answer.denial, answer.retry_after);
                self.callee_answered(id, answer.transaction, Answer::Denied { denial, retry_after }, now)
            }
            _ => false,
        };
        if !answered {
            self.malformed(id, What::Unexpected, now);
        }
    }

    /// Says that what came is malformed, and closes.
    fn malformed(&mut self, id: ConnectionId, what: What, now: u64) {
        self.answer(id, StatusCode::Malformed, "Malformed message.", None);
        self.refuse(id, what, now);
    }

    /// HELLO (V5): an identifier is served to the key that is enrolled for it, and to no other.
    fn hello(&mut self, id: ConnectionId, hello: &Hello<'_>, frame: Option<u32>, now: u64) {
        let asker = self.asker();
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        let State::Unproven(secured) = core::mem::replace(&mut connection.state, State::Closing) else {
            return;
        };
        let key = secured.key;
        if asker == Some(key) {
            return self.admit_asker(id, *secured, hello, now);
        }
        let greeting = Greeting { listen: hello.listen, frame, transaction: hello.transaction };
        if self.registry.key_of(hello.identifier) == Some(key) {
            return self.admit(id, *secured, hello.identifier.into(), greeting, now);
        }
        let certified = connection.certified.as_deref() == Some(hello.identifier);
        if hello.ticket.is_none() && !certified {
            connection.state = State::Unproven(secured);
            return self.not_enrolled(id, hello.transaction, now);
        }
        let identifier = Name::from(hello.identifier);
        connection.state = State::Enrolling(Box::new(Enrolling { secured: *secured, deferred: Vec::new() }));
        let operation = StoreOperation::Enrol {
            identifier: identifier.clone(),
            ticket_digest: hello.ticket.map(|ticket| digest_of_ticket(ticket.expose())),
            key,
        };
        self.store(operation, Pending::Enrol { link: id, identifier, key, greeting });
    }

    /// The same for an identifier that does not exist and for one of another key: nobody learns which ones there are.
    pub(super) fn not_enrolled(&mut self, id: ConnectionId, transaction: Option<u32>, now: u64) {
        self.answer(id, StatusCode::NotEnrolled, "Not enrolled with this key.", transaction);
        self.refuse(id, What::NotEnrolled, now);
    }

    /// The store has bound the key.
    pub(super) fn enrolled(
        &mut self,
        id: ConnectionId,
        identifier: Name,
        key: PublicKey,
        greeting: Greeting,
        now: u64,
    ) {
        self.registry.enrol(&identifier, key);
        self.net.log(Level::Info, Some(id), Some(identifier.clone()), What::Enrolled(key));
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        match core::mem::replace(&mut connection.state, State::Closing) {
            State::Enrolling(enrolling) => {
                let Enrolling { secured, deferred } = *enrolling;
                self.admit(id, secured, identifier, greeting, now);
                for text in deferred {
                    self.text(id, &text, now);
                }
            }
            other => connection.state = other,
        }
    }

    /// The link is the terminal's.
    fn admit(&mut self, id: ConnectionId, secured: Secured, identifier: Name, greeting: Greeting, now: u64) {
        let Greeting { listen, frame, transaction } = greeting;
        self.make_link_room(&identifier, now);
        let session = Session { frame, ..Session::new(secured, identifier.clone(), now) };
        self.settled(id, State::Open(Box::new(session)), now.saturating_add(self.config.idle_ms));
        let displaced = listen.then(|| self.listens(id, &identifier)).flatten();
        let Some(terminal) = self.registry.get_mut(&identifier) else { return };
        terminal.links.push(id);
        let registered = terminal.revision > 0;
        let status = Status {
            revision: registered.then_some(terminal.revision),
            digest: registered.then(|| permitted::digest(terminal.list.keys().map(|name| &**name))),
            relay: self.config.relay,
            largest_transfer: self.config.relay.then_some(self.config.max_transfer),
            ..status(StatusCode::Done, "Welcome.", transaction)
        };
        self.net.send(id, &Message::Status(status));
        self.net.log_of(Level::Info, id, What::Opened { listen });
        if let Some(displaced) = displaced {
            // It keeps its link, and what it was asked already; whether to go on without calls is its own affair.
            self.answer(displaced, StatusCode::Stale, "Another link of this terminal listens now.", None);
        }
        self.terminal_present(&identifier);
        if let Some(terminal) = self.registry.get_mut(&identifier) {
            terminal.frame = frame.or(terminal.frame);
        }
        self.keep_frame(id, now);
        self.deposits_at_hello(id, listen && displaced != Some(id));
    }

    /// A link of the terminal's is to listen; gives the one that does not listen for that. The later connection does, and not the later HELLO: one from
    /// before a restart may have been long on its way.
    fn listens(&mut self, id: ConnectionId, identifier: &Name) -> Option<ConnectionId> {
        let opened = |id| self.net.connections.get(&id).map(|connection| connection.opened);
        let terminal = self.registry.get_mut(identifier)?;
        if terminal.listener.is_some_and(|listener| opened(listener) > opened(id)) {
            return Some(id);
        }
        terminal.listener.replace(id)
    }

    /// The largest frame counts while the terminal is away, so it has to outlast a restart. What the store did not take is tried again with the next PING.
    fn keep_frame(&mut self, link: ConnectionId, now: u64) {
        let limit = self.config.writes_per_minute;
        let Some(session) = self.net.session(link) else { return };
        let (identifier, key) = (session.identifier.clone(), session.secured.key);
        let Some((terminal, frame)) = self.registry.get_mut(&identifier).zip(session.frame) else { return };
        if terminal.stored_frame == Some(frame) || terminal.writes.take(limit, now).is_err() {
            return;
        }
        let operation = StoreOperation::SaveFrame { identifier: identifier.clone(), key, frame };
        self.store(operation, Pending::Frame { identifier, key, frame });
    }

    /// Displaces the link that has been silent for longest, if the terminal has as many as it may: likely it is dead.
    fn make_link_room(&mut self, identifier: &str, now: u64) {
        let Some(terminal) = self.registry.get(identifier) else { return };
        if terminal.links.len() < self.config.max_links_per_terminal.max(1) {
            return;
        }
        let listener = terminal.listener;
        let others = terminal.links.iter().copied().filter(|link| Some(*link) != listener);
        let silent = others.min_by_key(|link| self.net.session(*link).map(|session| session.heard));
        if let Some(link) = silent.or(listener) {
            self.refuse(link, What::TooMany, now);
        }
    }

    /// Takes an open link out of everything: its terminal, its queries, what it was asked.
    pub(super) fn leave(&mut self, id: ConnectionId, now: u64) {
        if self.resolving.as_ref().is_some_and(|resolving| resolving.link == Some(id)) {
            return self.resolver_lost(now);
        }
        let Some(connection) = self.net.connections.get_mut(&id) else { return };
        if !matches!(connection.state, State::Open(_)) {
            return;
        }
        self.net.log_of(Level::Debug, id, What::Left);
        let Some(session) = self.net.session(id) else { return };
        let identifier = session.identifier.clone();
        let queries = core::mem::take(&mut session.queries);
        let questions = core::mem::take(&mut session.questions);
        if let Some(terminal) = self.registry.get_mut(&identifier) {
            terminal.links.retain(|link| *link != id);
            terminal.listener = terminal.listener.filter(|link| *link != id);
            if terminal.links.is_empty() {
                self.terminal_absent(&identifier, now);
            }
        }
        for query in queries {
            self.query_abandoned(query);
        }
        for query in questions.into_values() {
            self.query_lost_callee(query);
        }
    }

    /// Answers with a status.
    pub(super) fn answer(
        &mut self,
        id: ConnectionId,
        code: StatusCode,
        text: &str,
        transaction: Option<u32>,
    ) {
        self.net.send(id, &Message::Status(status(code, text, transaction)));
    }
}

/// What a HELLO says of its link.
#[derive(Clone, Copy)]
pub(super) struct Greeting {
    /// It takes questions and grants.
    pub listen: bool,
    /// The largest frame that the terminal takes, if it knows deposits.
    pub frame: Option<u32>,
    pub transaction: Option<u32>,
}

pub(super) fn status(code: StatusCode, text: &str, transaction: Option<u32>) -> Status<'_> {
    Status {
        code,
        text,
        transaction,
        retry_after: None,
        revision: None,
        digest: None,
        relay: false,
        largest_transfer: None,
    }
}
