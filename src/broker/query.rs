//! The decision of a query (P3, S1201–S1211): the callee's list, its address, whether it is free (P6, P7), then credentials to the callee and,
//! once it has acknowledged them, to the caller. Each query has one final answer, whatever happens meanwhile.

use super::credentials::{Credentials, Texts};
use super::grants::GrantId;
use super::groups::Admission;
use super::log::Outcome;
use super::timers::Timer;
use super::{Broker, ConnectionId, Level, Name, StoredAddress, What};
use crate::link::PublicKey;
use crate::message::{self, Accepted, CalleeAddress, CallerNotice, Denial, Denied, Message, StatusQuery};
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

pub(super) type QueryId = u64;

/// After how many seconds it may be worth another try.
const RETRY_BUSY: u32 = 30;
const RETRY_OFFLINE: u32 = 60;

/// The most that a busy callee may send a caller away for, seconds.
const RETRY_MAX: u32 = 3_600;

pub(super) struct Query {
    caller: Name,
    caller_key: PublicKey,
    caller_link: ConnectionId,
    transaction: Option<u32>,
    pub(super) callee: Name,
    callee_key: PublicKey,
    /// By which entry the callee permits the caller.
    by: Admission,
    /// Where the callee is, once that is found.
    pub(super) address: Option<StoredAddress>,
    /// Its link, once it is asked.
    callee_link: Option<ConnectionId>,
    /// The number of the question that the resolver or the callee is to answer.
    asked: u32,
    stage: Stage,
    deadline: u64,
}

impl Query {
    /// M24 is out.
    pub(super) fn resolves(&mut self, asked: u32) {
        (self.asked, self.stage) = (asked, Stage::Resolving);
    }

    pub(super) fn found(&mut self, address: StoredAddress, has_names: bool) {
        self.address = Some(address);
        if has_names {
            self.stage = Stage::LookingUp;
        }
    }

    pub(super) fn take_address(&mut self) -> Option<StoredAddress> {
        self.address.take()
    }

    /// [`Event::Reach`](super::Event::Reach) is out.
    pub(super) fn reaches(&mut self, addresses: Vec<SocketAddr>) {
        self.stage = Stage::Reaching { open: addresses, silent: Vec::new() };
    }

    /// An address is tried. `true` if it was the last one that was open.
    pub(super) fn reached(&mut self, address: SocketAddr, answered: bool) -> bool {
        let Stage::Reaching { open, silent } = &mut self.stage else { return false };
        let Some(place) = open.iter().position(|it| *it == address) else { return false };
        open.swap_remove(place);
        if !answered {
            silent.push(address);
        }
        open.is_empty()
    }

    /// The addresses that did not answer, or not yet.
    pub(super) fn unreached(&mut self) -> Vec<SocketAddr> {
        let Stage::Reaching { open, silent } = &mut self.stage else { return Vec::new() };
        silent.append(open);
        core::mem::take(silent)
    }

    /// Takes these out of what the caller is told. `false` if nothing is left.
    pub(super) fn forget_addresses(&mut self, silent: &[SocketAddr], source: IpAddr) -> bool {
        self.address.as_mut().is_some_and(|address| address.remove(silent, source))
    }

    pub(super) fn is_looking_up(&self) -> bool {
        matches!(self.stage, Stage::LookingUp)
    }
}

enum Stage {
    /// The resolver is being asked.
    Resolving,
    /// The address's domain names are being looked up.
    LookingUp,
    /// The process tries these addresses of the callee (P7); those did not answer.
    Reaching { open: Vec<SocketAddr>, silent: Vec<SocketAddr> },
    /// M15 is out.
    Status,
    /// M12 is out.
    Granting(GrantId, Box<Credentials>),
}

/// How a callee answers M15 or M12.
pub(super) enum Answer {
    /// M16, with its hint when to try again.
    Status { acceptable: bool, retry_after: Option<u32> },
    /// M7's text.
    Accepted,
    /// M8's to M10's text.
    Denied { denial: Denial, retry_after: Option<u32> },
}

/// A final no.
#[derive(Clone, Copy)]
pub(super) struct No {
    denial: Denial,
    cause: &'static str,
    retry_after: Option<u32>,
    /// The callee is away for now: it could be kept for it.
    away: bool,
}

impl No {
    /// The same for a callee that does not exist: nobody learns who is enrolled.
    const NOT_PERMITTED: Self = Self::new(
        Denial::NotPermitted,
        "the callee has this terminal not on its list, or there is no such callee",
        None,
    );
    const NOT_ITSELF: Self =
        Self::new(Denial::NotPermitted, "a terminal asks under its own identifier only", None);
    pub(super) const NO_ADDRESS: Self =
        Self::new(Denial::NotFound, "the callee has no address registered", None);
    pub(super) const NO_SUCH_NAME: Self =
        Self::new(Denial::NotFound, "the callee's domain name has no address now", Some(RETRY_OFFLINE));
    pub(super) const RESOLVER_AWAY: Self =
        Self::new(Denial::NotFound, "the address resolution server is away", Some(RETRY_BUSY));
    const RESOLVER_SILENT: Self =
        Self::new(Denial::NotFound, "the address resolution server did not answer", Some(RETRY_BUSY));
    const NAME_SILENT: Self =
        Self::new(Denial::NotFound, "the callee's domain name was not looked up in time", Some(RETRY_BUSY));
    pub(super) const OFFLINE: Self = Self::away("the callee is not connected", RETRY_OFFLINE);
    pub(super) const LEFT: Self = Self::away("the callee's connection ended", RETRY_OFFLINE);
    const UNHEARD: Self = Self::away("the callee takes no message as long as this", RETRY_BUSY);
    pub(super) const UNREACHED: Self = Self::away("the callee does not answer at its address", RETRY_BUSY);
    const SILENT: Self = Self::away("the callee did not answer", RETRY_BUSY);
    const TOO_MANY: Self = Self::new(Denial::NotConnected, "too many queries at once", Some(RETRY_BUSY));
    const TOO_MANY_GRANTS: Self =
        Self::new(Denial::NotConnected, "too many grants at once", Some(RETRY_BUSY));

    const fn new(denial: Denial, cause: &'static str, retry_after: Option<u32>) -> Self {
        Self { denial, cause, retry_after, away: false }
    }

    const fn away(cause: &'static str, retry_after: u32) -> Self {
        Self { denial: Denial::NotConnected, cause, retry_after: Some(retry_after), away: true }
    }

    fn busy(retry_after: Option<u32>) -> Self {
        Self::away("the callee is busy", retry_after.unwrap_or(RETRY_BUSY).min(RETRY_MAX))
    }

    fn too_often(retry_after: u32) -> Self {
        Self::new(Denial::NotConnected, "too many queries in a minute", Some(retry_after))
    }

    fn outcome(self) -> Outcome {
        match self.denial {
            Denial::NotPermitted => Outcome::NotPermitted,
            Denial::NotFound => Outcome::NotFound(self.cause),
            Denial::NotConnected => Outcome::NotConnected(self.cause),
        }
    }
}

impl Broker {
    /// M6 (S1201). The callee hears of it only once it is known to permit the caller.
    pub(super) fn query(&mut self, link: ConnectionId, query: &message::Query<'_>, now: u64) {
        if let Err(no) = self.start_query(link, query, now) {
            self.deny(link, query.transaction, query.callee.into(), no);
        }
    }

    fn start_query(&mut self, link: ConnectionId, query: &message::Query<'_>, now: u64) -> Result<(), No> {
        let Some(session) = self.net.session(link) else { return Ok(()) };
        let (caller, caller_key, in_flight) =
            (session.identifier.clone(), session.secured.key, session.queries.len());
        if *caller != *query.identifier {
            return Err(No::NOT_ITSELF);
        }
        let limit = self.config.queries_per_minute;
        let taken = self.registry.get_mut(&caller).map(|terminal| terminal.queries.take(limit, now));
        if let Some(Err(wait)) = taken {
            return Err(No::too_often(self.jittered(wait)));
        }
        if in_flight >= self.config.max_queries_per_link {
            return Err(No::TOO_MANY);
        }
        let by = self.registry.admission(query.callee, &caller, &caller_key).ok_or(No::NOT_PERMITTED)?;
        let callee_key = self.registry.key_of(query.callee).ok_or(No::NOT_PERMITTED)?;
        let id = self.next_id();
        let deadline = now.saturating_add(self.config.status_deadline_ms);
        let query = Query {
            caller,
            caller_key,
            caller_link: link,
            transaction: query.transaction,
            callee: query.callee.into(),
            callee_key,
            by,
            address: None,
            callee_link: None,
            asked: 0,
            stage: Stage::Resolving,
            deadline,
        };
        self.queries.insert(id, query);
        if let Some(session) = self.net.session(link) {
            session.queries.insert(id);
        }
        self.timers.arm(deadline, Timer::Query(id));
        if let Err(no) = self.find_address(id, now) {
            self.fail(id, no);
        }
        Ok(())
    }

    /// The address is there: M15 (P6), if the callee still permits the caller at this moment.
    pub(super) fn ask_status(&mut self, id: QueryId, now: u64) -> Result<(), No> {
        let query = self.queries.get(&id).ok_or(No::LEFT)?;
        if !self.may(query) {
            return Err(No::NOT_PERMITTED);
        }
        let link =
            self.registry.get(&query.callee).and_then(|terminal| terminal.listener).ok_or(No::OFFLINE)?;
        let callee = self.net.session(link).ok_or(No::OFFLINE)?;
        if callee.questions.len() >= self.config.max_questions_per_link {
            return Err(No::busy(None));
        }
        let asked = self.ask(link, id);
        if let Some(query) = self.queries.get_mut(&id) {
            (query.asked, query.callee_link, query.stage) = (asked, Some(link), Stage::Status);
        }
        self.query_until(id, now.saturating_add(self.config.status_deadline_ms));
        self.net.send(link, &Message::StatusQuery(StatusQuery { transaction: Some(asked) }));
        Ok(())
    }

    /// How long the query's stage may take.
    pub(super) fn query_until(&mut self, id: QueryId, deadline: u64) {
        let Some(query) = self.queries.get_mut(&id) else { return };
        let old = core::mem::replace(&mut query.deadline, deadline);
        self.timers.disarm(old, Timer::Query(id));
        self.timers.arm(deadline, Timer::Query(id));
    }

    /// Numbers a question to a callee.
    fn ask(&mut self, link: ConnectionId, query: QueryId) -> u32 {
        let Some(session) = self.net.session(link) else { return 0 };
        session.last = session.last.wrapping_add(1);
        session.questions.insert(session.last, query);
        session.last
    }

    /// The callee's answer to M15 or M12. An answer without number is to the oldest question; one that comes too late is nothing.
    /// `false` if it is no answer to what was asked.
    pub(super) fn callee_answered(
        &mut self,
        link: ConnectionId,
        transaction: Option<u32>,
        answer: Answer,
        now: u64,
    ) -> bool {
        let Some(session) = self.net.session(link) else { return true };
        let question = match transaction {
            Some(number) => session.questions.remove(&number),
            None => session.questions.pop_first().map(|(_, query)| query),
        };
        let Some(id) = question else { return true };
        let Some(query) = self.queries.get(&id) else { return true };
        match (&query.stage, answer) {
            (Stage::Status, Answer::Status { acceptable: true, .. }) => self.grant(id, now),
            (Stage::Status, Answer::Status { acceptable: false, retry_after }) => {
                self.fail(id, No::busy(retry_after))
            }
            (Stage::Granting(..), Answer::Accepted) => self.grant_acknowledged(id, now),
            (Stage::Granting(..), Answer::Denied { denial: Denial::NotPermitted, .. }) => {
                self.fail(id, No::NOT_PERMITTED);
            }
            (_, Answer::Denied { retry_after, .. }) => self.fail(id, No::busy(retry_after)),
            _ => {
                self.fail(id, No::SILENT);
                return false;
            }
        }
        true
    }

    /// The callee is free: M7 to the caller, then the credentials, to the callee first (S1207–S1209).
    fn grant(&mut self, id: QueryId, now: u64) {
        let Some(query) = self.queries.get(&id) else { return };
        if !self.may(query) {
            return self.fail(id, No::NOT_PERMITTED);
        }
        let (caller, callee) = (query.caller.clone(), query.callee.clone());
        let Some(callee_link) = query.callee_link else { return };
        let (caller_link, caller_key) = (query.caller_link, query.caller_key);
        let (transaction, group) = (query.transaction, query.by.group().cloned());
        let made = self.make_grant(id, (&caller, &callee), group.clone(), callee_link, now);
        let Some((grant, handle)) = made else {
            return self.fail(id, No::TOO_MANY_GRANTS);
        };
        let mut credentials = Box::<Credentials>::default();
        *credentials.password = self.entropy.draw();
        *credentials.callee_password = self.entropy.draw();
        *credentials.key = self.entropy.draw();
        let accepted = Accepted { transaction, callee_password: None };
        self.net.send(caller_link, &Message::Accepted(accepted));

        let asked = self.ask(callee_link, id);
        let mut texts = Texts::new();
        let Some([password, callee_password, encrypt_key]) = texts.fill(&credentials) else {
            return self.withdraw_unsent(grant);
        };
        let notice = CallerNotice {
            caller: &caller,
            password,
            encrypt_key,
            transaction: Some(asked),
            handle: Some(handle),
            caller_key: Some(*caller_key.as_bytes()),
            callee_password: Some(callee_password),
            expires: Some(seconds(self.config.grant_lifetime_ms)),
            group: group.as_deref(),
        };
        if !self.net.try_send(callee_link, &Message::CallerNotice(notice)) {
            // Long names, or a callee that doesn't read: that is no reason to close its link on a caller's behalf.
            self.remove_grant(grant);
            return self.fail(id, No::UNHEARD);
        }

        self.query_until(id, now.saturating_add(self.config.status_deadline_ms));
        if let Some(query) = self.queries.get_mut(&id) {
            (query.asked, query.stage) = (asked, Stage::Granting(grant, credentials));
        }
    }

    /// The callee expects the caller.
    fn grant_acknowledged(&mut self, id: QueryId, now: u64) {
        if let Err(no) = self.tell_caller(id, now) {
            return self.fail(id, no);
        }
        let Some(Query { caller, caller_link, callee, .. }) = self.end_query(id) else { return };
        let what = What::Query { callee, outcome: Outcome::Granted };
        self.net.log(Level::Info, Some(caller_link), Some(caller), what);
    }

    /// M11 (S1210), if the callee still permits the caller at this moment.
    fn tell_caller(&mut self, id: QueryId, now: u64) -> Result<(), No> {
        let query = self.queries.get(&id).ok_or(No::LEFT)?;
        if !self.may(query) {
            return Err(No::NOT_PERMITTED);
        }
        let Stage::Granting(grant, credentials) = &query.stage else { return Err(No::LEFT) };
        let link = query.callee_link.and_then(|link| self.net.connections.get(&link));
        let source = link.ok_or(No::LEFT)?.source.ip();
        let address = query.address.as_ref().and_then(|address| address.resolve(source));
        let (address, port, candidates) = address.ok_or(No::NO_ADDRESS)?;
        let grant = self.grants.get_mut(*grant).ok_or(No::NOT_PERMITTED)?;
        let mut texts = Texts::new();
        let [password, callee_password, encrypt_key] = texts.fill(credentials).ok_or(No::LEFT)?;
        let mut told = CalleeAddress {
            address,
            password,
            encrypt_key,
            transaction: query.transaction,
            port: Some(port),
            candidates,
            handle: Some(grant.handle),
            callee_key: Some(*query.callee_key.as_bytes()),
            callee_password: Some(callee_password),
            expires: Some(seconds(grant.expires.saturating_sub(now))),
        };
        // A caller that takes small records does without the last candidates.
        while !self.net.try_send(query.caller_link, &Message::CalleeAddress(told.clone())) {
            if told.candidates.pop().is_none() {
                self.net.condemned.push(query.caller_link);
                return Err(No::LEFT);
            }
        }
        grant.query = None;
        Ok(())
    }

    /// Up to a quarter more seconds: those who were sent away together are not to come back together.
    pub(super) fn jittered(&mut self, seconds: u32) -> u32 {
        let [random] = self.entropy.draw::<1>();
        seconds + (seconds / 4 + 1) * u32::from(random) / 256
    }

    /// Whether both ends are still who they were, and the callee permits the caller.
    pub(super) fn may(&self, query: &Query) -> bool {
        self.registry.still_admits(&query.callee, &query.caller, &query.caller_key, &query.by)
            && self.registry.key_of(&query.callee) == Some(query.callee_key)
            && self.registry.key_of(&query.caller) == Some(query.caller_key)
    }

    fn end_query(&mut self, id: QueryId) -> Option<Query> {
        let query = self.queries.remove(&id)?;
        self.timers.disarm(query.deadline, Timer::Query(id));
        if let Some(session) = self.net.session(query.caller_link) {
            session.queries.remove(&id);
        }
        match (query.callee_link, &mut self.resolving) {
            (Some(link), _) => {
                if let Some(session) = self.net.session(link) {
                    session.questions.remove(&query.asked);
                }
            }
            (None, Some(resolving)) => resolving.forget(query.asked),
            (None, None) => {}
        }
        Some(query)
    }

    /// The final no of a query in flight.
    pub(super) fn fail(&mut self, id: QueryId, no: No) {
        let Some(query) = self.end_query(id) else { return };
        if let Stage::Granting(grant, _) = query.stage {
            self.withdraw_unsent(grant);
        }
        self.deny(query.caller_link, query.transaction, query.callee, no);
    }

    fn deny(&mut self, link: ConnectionId, transaction: Option<u32>, callee: Name, no: No) {
        if no.away && self.ask_deposit(link, transaction, &callee, no.cause) {
            let outcome = Outcome::DepositAsked(no.cause);
            return self.net.log_of(Level::Info, link, What::Query { callee, outcome });
        }
        let cause = (!self.config.deny_without_cause).then_some(no.cause);
        let denied = Denied { denial: no.denial, transaction, cause, retry_after: no.retry_after };
        self.net.send(link, &Message::Denied(denied));
        self.net.log_of(Level::Info, link, What::Query { callee, outcome: no.outcome() });
    }

    /// The grant that a query was for has been withdrawn.
    pub(super) fn query_not_permitted(&mut self, id: QueryId) {
        self.fail(id, No::NOT_PERMITTED);
    }

    /// P7: no answer counts as not connected.
    pub(super) fn query_timed_out(&mut self, id: QueryId, now: u64) {
        let no = match self.queries.get(&id).map(|query| &query.stage) {
            Some(Stage::Reaching { .. }) => match self.reach_tested(id, now) {
                Ok(()) => return,
                Err(no) => no,
            },
            Some(Stage::Resolving) => No::RESOLVER_SILENT,
            Some(Stage::LookingUp) => No::NAME_SILENT,
            _ => No::SILENT,
        };
        self.fail(id, no);
    }

    /// The callee's link is gone.
    pub(super) fn query_lost_callee(&mut self, id: QueryId) {
        self.fail(id, No::LEFT);
    }

    /// The caller's link is gone: there is nobody to answer.
    pub(super) fn query_abandoned(&mut self, id: QueryId) {
        let Some(query) = self.end_query(id) else { return };
        if let Stage::Granting(grant, _) = query.stage {
            self.withdraw_unsent(grant);
        }
        let what = What::Query { callee: query.callee, outcome: Outcome::Abandoned };
        self.net.log(Level::Info, None, Some(query.caller), what);
    }
}

/// Whole seconds that certainly are left.
fn seconds(milliseconds: u64) -> u32 {
    u32::try_from(milliseconds / 1_000).unwrap_or(u32::MAX)
}
