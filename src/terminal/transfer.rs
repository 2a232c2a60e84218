//! Transfers: who offers what, which lanes they take, and how they end (rows P8, P9, M17, M18, V10a, V10b).

mod fetch;
mod texts;

use super::event::{ClosedCause, Event, SessionId, TransferFailure};
use super::machine::Machine;
use super::session::{
    Done, End, Keys, Lane, LaneState, MAX_NAME, MAX_SOURCE, OfferAnswer, Open, Outbox, Transfer,
    TransferState, Via, index,
};
use super::{DAMAGED, IDLE_MS, MIN_FRAME, NO_SUCH_RECORDING, after};
use crate::Secret;
use crate::link::LaneToken;
use crate::message::{self, EncodeError, Message, Status, StatusCode, TransferAnswer, TransferDone};
use crate::route::{Path, Protection, Route, Way};
use crate::sframe::Suite;
pub use fetch::{FetchError, Wanted};
use texts::Outgoing;
use thiserror::Error;

/// The longest cause that the other end is told, bytes: with two identifiers it fits into the smallest record.
const MAX_CAUSE: usize = 120;

/// What a sender offers.
#[derive(Clone, Copy, Debug)]
pub struct Offer<'a> {
    /// The recording's name for people: one path component of at most [`MAX_NAME`] bytes.
    pub name: &'a str,
    /// The recording's length in bytes.
    pub size: u64,
    /// Names the source's state (say, a digest of path, size and modification time), so that the receiver can tell whether what it has is of
    /// this: 8 to 32 bytes, or none.
    pub source: &'a [u8],
    /// The end will carry the recording's SHA-256.
    pub hash: bool,
    /// Which classes there are, and their ways. In a tunnel every way becomes relayed and sealed.
    pub route: Route,
    /// The payload bytes of the class sealed, at least what will be sent: the broker decides by it (P9).
    pub sealed_bytes: u64,
    /// The payload bytes of the class rest.
    pub rest_bytes: u64,
}

/// What a receiver was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offered<'a> {
    /// As the sender calls it: one path component. Not yet checked for what a file system makes of it.
    pub name: &'a str,
    /// Bytes.
    pub size: u64,
    /// Names the source's state; may be empty.
    pub source: &'a [u8],
    /// The end will carry the recording's SHA-256.
    pub hash: bool,
    /// It answers [`TerminalOver::fetch`](super::TerminalOver::fetch), and has the name that was asked for (a list of recordings: any).
    pub fetched: bool,
}

/// The offer can't be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum OfferError {
    /// There is no such session, or it is not open.
    #[error("the session is not open; call again")]
    NotOpen,
    /// The session has a transfer already.
    #[error("the session has a transfer under way; wait for its end")]
    Busy,
    /// The name is empty, no path component, too long, be it for the records that the other end takes, or not the one that is wanted.
    #[error(
        "the name is not one path component of 1 to {MAX_NAME} bytes, too long for the other end, or not the one that it asked for; give it another"
    )]
    Name,
    /// The source's name is not of 8 to 32 bytes.
    #[error("what names the source's state is not 8 to 32 bytes long; hash it")]
    Source,
    /// No class has a way.
    #[error("the route has no lane; give one class a way")]
    NoLane,
}

/// The session or its transfer is not where this call belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the session has no transfer that waits for this; take its events first")]
pub struct OutOfTurn;

impl Machine<'_> {
    // --- the application ------------------------------------------------------------------------------------------

    pub(super) fn offer(&mut self, id: SessionId, offer: &Offer<'_>, now: u64) -> Result<(), OfferError> {
        let at = self.index(id).ok_or(OfferError::NotOpen)?;
        let number = self.core.next_transaction();
        let tunnel = self.sessions[at].tunnel;
        let open = self.sessions[at].open_mut().ok_or(OfferError::NotOpen)?;
        open.transport().ok_or(OfferError::NotOpen)?;
        let wanted = &open.transfer;
        let fetch = match wanted.state {
            TransferState::None => None,
            TransferState::Wanted => Some(wanted.number),
            _ => return Err(OfferError::Busy),
        };
        let fits = wanted.name().is_empty() || wanted.name() == offer.name;
        if !fits || !is_component(offer.name) || offer.name.len() > MAX_NAME {
            return Err(OfferError::Name);
        }
        if !is_source(offer.source) {
            return Err(OfferError::Source);
        }
        let route = if tunnel { offer.route.tunnelled() } else { offer.route };
        if route.sealed.is_none() && route.rest.is_none() {
            return Err(OfferError::NoLane);
        }
        open.transfer.begin(TransferState::Offering, number, offer.name);
        open.transfer.describe(offer.source, offer.size, offer.hash);
        open.transfer.sending = true;
        open.transfer.fetch = fetch;
        let fits = self.offer_fits(at);
        let session = &mut self.sessions[at];
        session.deadline = after(now, IDLE_MS);
        let open = session.open_mut().ok_or(OfferError::NotOpen)?;
        if !fits {
            open.transfer.reset();
            // Whoever asked for it hears that it doesn't come.
            open.outbox.answer = fetch.map(|transaction| OfferAnswer::Refuse {
                transaction,
                cause: "its name is too long for you",
            });
            return Err(OfferError::Name);
        }
        open.lanes = [(route.sealed, offer.sealed_bytes), (route.rest, offer.rest_bytes)]
            .map(|(way, bytes)| Lane { way, bytes, ..Lane::UNUSED });
        open.outbox.offer = true;
        Ok(())
    }

    /// Whether the other end's records have room for M17 or FETCH: what is too long would never go out, nor anything behind it.
    fn offer_fits(&self, at: usize) -> bool {
        let Some(open) = self.sessions[at].open() else { return false };
        let Via::Peer(transport) = &open.via else { return false };
        match self.encode_for_peer(at, open, Outgoing::Offer, 0, &mut []) {
            Err(EncodeError::TooSmall { needed }) => needed <= transport.max_payload(),
            _ => false,
        }
    }

    pub(super) fn accept_offer(&mut self, id: SessionId, offset: u64, now: u64) -> Result<(), OutOfTurn> {
        let open = self.in_state(id, TransferState::Offered, now)?;
        if offset > open.transfer.size {
            return Err(OutOfTurn);
        }
        open.transfer.state = TransferState::Receiving;
        open.transfer.offset = offset;
        open.transfer.accepted();
        if let Via::Collect(_) = open.via {
            self.collect_accepted(usize::from(id.index), offset, now);
        } else {
            open.outbox.answer = Some(OfferAnswer::Accept { offset });
        }
        Ok(())
    }

    pub(super) fn refuse_offer(
        &mut self,
        id: SessionId,
        cause: &'static str,
        now: u64,
    ) -> Result<(), OutOfTurn> {
        let wanted = self.in_state(id, TransferState::Wanted, now).is_ok();
        let state = if wanted { TransferState::Wanted } else { TransferState::Offered };
        let open = self.in_state(id, state, now)?;
        if let Via::Collect(_) = open.via {
            self.not_collected(usize::from(id.index), shown(cause), now);
            return Ok(());
        }
        let transaction = open.transfer.reset();
        open.outbox.answer = Some(OfferAnswer::Refuse { transaction, cause: shown(cause) });
        Ok(())
    }

    pub(super) fn stored(
        &mut self,
        id: SessionId,
        stored: Result<(), &'static str>,
        now: u64,
    ) -> Result<(), OutOfTurn> {
        let open = self.in_state(id, TransferState::Arrived, now)?;
        let cause = shown(stored.err().unwrap_or_default());
        if let Via::Collect(_) = open.via {
            let at = usize::from(id.index);
            match stored {
                Ok(()) => self.collected(at),
                Err(_) => self.not_collected(at, cause, now),
            }
            return Ok(());
        }
        let transaction = open.transfer.reset();
        open.outbox.done = Some(Done { complete: stored.is_ok(), transaction, cause });
        self.close_lanes(usize::from(id.index));
        Ok(())
    }

    pub(super) fn abandon(&mut self, id: SessionId, cause: &'static str, now: u64) -> Result<(), OutOfTurn> {
        let at = self.index(id).ok_or(OutOfTurn)?;
        if self.sessions[at].transfer_state() == TransferState::None {
            return Err(OutOfTurn);
        }
        self.fail_transfer(at, TransferFailure::Abandoned, cause, now);
        Ok(())
    }

    /// A session whose transfer is in that state. It isn't idle: something is done with it.
    pub(super) fn in_state(
        &mut self,
        id: SessionId,
        state: TransferState,
        now: u64,
    ) -> Result<&mut Open, OutOfTurn> {
        let at = self.index(id).ok_or(OutOfTurn)?;
        let session = &mut self.sessions[at];
        if session.transfer_state() != state {
            return Err(OutOfTurn);
        }
        session.deadline = after(now, IDLE_MS);
        session.open_mut().ok_or(OutOfTurn)
    }

    /// The transfer is over without success; the other end is told, the session stays.
    pub(super) fn fail_transfer(
        &mut self,
        at: usize,
        failure: TransferFailure,
        cause: &'static str,
        now: u64,
    ) {
        if self.sessions[at].is_depositing() {
            return self.deposit_failed(at, failure);
        }
        if self.sessions[at].collects().is_some() {
            return self.collect_failed(at, failure, shown(cause), now);
        }
        self.close_lanes(at);
        let id = self.id(at);
        let session = &mut self.sessions[at];
        session.deadline = after(now, IDLE_MS);
        let Some(Open { transfer, outbox, .. }) = session.open_mut() else { return };
        let (state, fetch) = (transfer.state, transfer.fetch);
        let transaction = transfer.reset();
        let cause = shown(cause);
        if core::mem::take(&mut outbox.offer) {
            // The other end has not heard of it, and awaits nothing unless it has asked for it.
            if let Some(transaction) = fetch {
                outbox.answer = Some(OfferAnswer::Refuse { transaction, cause });
            }
        } else if matches!(state, TransferState::Offered | TransferState::Wanted) {
            outbox.answer = Some(OfferAnswer::Refuse { transaction, cause });
        } else {
            outbox.answer = None;
            outbox.done = Some(Done { complete: false, transaction, cause });
        }
        self.core.emit(Event::TransferFailed { session: id, failure });
    }

    pub(super) fn close_lanes(&mut self, at: usize) {
        let Some(open) = self.sessions[at].open_mut() else { return };
        for lane in &mut open.lanes {
            if let Some(link) = core::mem::replace(lane, Lane::UNUSED).link {
                self.core.emit(Event::Close { link });
            }
        }
    }

    // --- in -------------------------------------------------------------------------------------------------------

    /// A text from the other end; `false`: it has no place here.
    pub(super) fn peer_message(&mut self, at: usize, message: &Message<'_>, now: u64) -> bool {
        match message {
            Message::Transfer(transfer) => self.offered(at, transfer),
            Message::Fetch(fetch) => self.wanted(at, fetch),
            Message::TransferAnswer(answer) => self.offer_answered(at, answer, now),
            Message::Lane(lane) => self.lane_announced(at, lane, now),
            Message::Status(status) => self.lane_answered(at, status, now),
            Message::TransferDone(done) => self.done(at, done),
            _ => false,
        }
    }

    fn offered(&mut self, at: usize, offer: &message::Transfer<'_>) -> bool {
        let id = self.id(at);
        let own = self.core.identifier.as_str();
        let session = &mut self.sessions[at];
        let peer = session.grant.peer.as_ref().map_or("", |peer| peer.as_str());
        let parties = if session.grant.caller { (own, peer) } else { (peer, own) };
        let (Some(number), Some(name)) = (offer.transaction, offer.name) else { return false };
        if name.len() > MAX_NAME || (offer.caller, offer.callee) != parties {
            return false;
        }
        let Some(Open { transfer, outbox, .. }) = session.open_mut() else { return false };
        let fetched = transfer.state == TransferState::Fetching
            && !outbox.offer
            && offer.fetch == Some(transfer.number);
        if fetched && !transfer.name().is_empty() && transfer.name() != name {
            return false;
        }
        if !fetched && (offer.fetch.is_some() || is_taken(transfer, outbox)) {
            // Both ends began at once, or one didn't wait, or this was asked for no longer: one transfer at a time.
            outbox.refuse_other = Some(number);
            return true;
        }
        let source = offer.source.as_deref().unwrap_or_default();
        transfer.begin(TransferState::Offered, number, name);
        transfer.describe(source, offer.size, offer.hash);
        transfer.fetch = offer.fetch;
        self.replace_half_open(at, source);
        self.core.emit(Event::Offered { session: id });
        true
    }

    /// The same source is offered anew by the same terminal: its earlier session lost its connection there, and not yet here.
    fn replace_half_open(&mut self, at: usize, source: &[u8]) {
        let is_older = |other: usize| {
            let (new, old) = (&self.sessions[at], &self.sessions[other]);
            other != at
                && old.grant.key == new.grant.key
                && old.open().is_some_and(|open| {
                    open.transfer.state == TransferState::Receiving
                        && !source.is_empty()
                        && open.transfer.source == source
                })
        };
        if let Some(older) = (0..self.sessions.len()).find(|&other| is_older(other)) {
            self.end_session(older, ClosedCause::OtherEnd);
        }
    }

    /// M18 from the receiver: the lanes are opened.
    fn offer_answered(&mut self, at: usize, answer: &TransferAnswer<'_>, now: u64) -> bool {
        let Some(Open { transfer, lanes, outbox, .. }) = self.sessions[at].open_mut() else { return false };
        let fetching = transfer.state == TransferState::Fetching;
        let asked = fetching || transfer.state == TransferState::Offering;
        if !asked || outbox.offer || answer.transaction != Some(transfer.number) {
            // Of a transfer that was given up meanwhile.
            return true;
        }
        if !answer.accepted {
            let failure = match answer.cause {
                Some(NO_SUCH_RECORDING) if fetching => TransferFailure::NoSuchRecording,
                _ if fetching => TransferFailure::FetchRefused,
                _ => TransferFailure::RefusedByReceiver,
            };
            transfer.reset();
            self.close_lanes(at);
            let session = self.id(at);
            self.core.emit(Event::TransferFailed { session, failure });
            return true;
        }
        if fetching {
            return false;
        }
        let (Some(offset), Some(frame)) = (answer.offset, answer.frame) else { return false };
        if offset > transfer.size || frame < MIN_FRAME {
            return false;
        }
        transfer.state = TransferState::Opening;
        transfer.offset = offset;
        transfer.frame = frame;
        transfer.accepted();
        let mut relayed = false;
        for (place, lane) in lanes.iter_mut().enumerate() {
            let (Some(way), Some(keys)) = (lane.way, transfer.keys(place)) else { continue };
            let direct = way.path == Path::Direct;
            relayed |= !direct;
            lane.state = if direct { LaneState::Announce } else { LaneState::AskBroker };
            *keys = Keys::Opening {
                suite: self.core.suite,
                base: Secret::new(self.core.entropy.draw()),
                // A relay's tokens are the broker's.
                token: direct.then(|| LaneToken::new(self.core.entropy.draw())),
                peer_token: None,
            };
        }
        if relayed && !self.core.control.is_online() {
            self.fail_transfer(at, TransferFailure::LaneUnreachable, "the sender has no broker", now);
        }
        true
    }

    /// M18 from the broker: it relays, or refuses to.
    pub(super) fn broker_answered(&mut self, answer: &TransferAnswer<'_>, now: u64) {
        let asked = self.sessions.iter().enumerate().find_map(|(at, session)| {
            let awaits = |lane: &Lane| {
                lane.state == LaneState::AwaitBroker && Some(lane.transaction) == answer.transaction
            };
            session.lanes().iter().position(awaits).map(|lane| (at, lane))
        });
        let Some((at, lane)) = asked else { return self.tunnel_refused(answer.transaction) };
        match (answer.accepted, &answer.token, &answer.peer_token) {
            (true, Some(token), Some(given)) => {
                let Some(open) = self.sessions[at].open_mut() else { return };
                open.lanes[lane].state = LaneState::Announce;
                if let Some(Keys::Opening { token: own, peer_token, .. }) = open.transfer.keys(lane) {
                    *own = Some(LaneToken::new(*token.expose()));
                    *peer_token = Some(LaneToken::new(*given.expose()));
                }
            }
            _ => self.fail_transfer(
                at,
                TransferFailure::RefusedByBroker,
                "the broker refused to relay it",
                now,
            ),
        }
    }

    /// LANE: the receiver's side of it. What would lower protection is refused.
    fn lane_announced(&mut self, at: usize, announced: &message::Lane, now: u64) -> bool {
        let session = &mut self.sessions[at];
        let tunnel = session.tunnel;
        let Some(Open { transfer, lanes, .. }) = session.open_mut() else { return false };
        if transfer.sending || transfer.state != TransferState::Receiving {
            // Of a transfer that was given up meanwhile; its sender has been told.
            return true;
        }
        let (Some(transaction), Some(path), Some(protection)) =
            (announced.transaction, announced.path, announced.protection)
        else {
            return false;
        };
        let (Some(suite), Some(key), Some(token)) =
            (announced.suite.and_then(Suite::from_id), &announced.lane_key, &announced.token)
        else {
            return false;
        };
        let way = Way { path, protection };
        let readable = protection == Protection::Clear;
        let bare = readable && (path == Path::Relay || announced.class == message::Class::Sealed);
        let kid = index(announced.class);
        let lane = &mut lanes[kid];
        if lane.state != LaneState::Unused || bare || (tunnel && path == Path::Direct) {
            return false;
        }
        *lane =
            Lane { state: LaneState::AwaitLink, way: Some(way), transaction, answer: true, ..Lane::UNUSED };
        if let Some(keys) = transfer.keys(kid) {
            let token = Some(LaneToken::new(*token.expose()));
            *keys = Keys::Opening { suite, base: key.clone(), token, peer_token: None };
        }
        self.connect_lane(at, kid, now);
        true
    }

    /// The receiver's status for LANE.
    fn lane_answered(&mut self, at: usize, status: &Status<'_>, now: u64) -> bool {
        let awaits = |lane: &Lane| {
            lane.state == LaneState::AwaitAnswer && Some(lane.transaction) == status.transaction
        };
        let Some(lane) = self.sessions[at].lanes().iter().position(awaits) else {
            // Of a transfer that was given up meanwhile.
            return true;
        };
        if status.code != StatusCode::Done {
            self.fail_transfer(at, TransferFailure::LaneUnreachable, "the receiver refused a lane", now);
            return true;
        }
        let Some(open) = self.sessions[at].open_mut() else { return false };
        if open.lanes[lane].link.is_some() {
            open.lane_up(lane);
            self.check_ready(at);
        } else {
            open.lanes[lane].state = LaneState::AwaitLink;
            self.connect_lane(at, lane, now);
        }
        true
    }

    fn done(&mut self, at: usize, done: &TransferDone<'_>) -> bool {
        let Some(Open { transfer, outbox, .. }) = self.sessions[at].open_mut() else { return false };
        if transfer.state == TransferState::None || done.transaction != Some(transfer.number) {
            return true;
        }
        if done.complete && transfer.state != TransferState::Finishing {
            return false;
        }
        transfer.reset();
        *outbox = Outbox { refuse_other: outbox.refuse_other, ..Default::default() };
        self.close_lanes(at);
        let session = self.id(at);
        self.core.emit(match done.complete {
            true => Event::Delivered { session },
            false if done.cause == Some(DAMAGED) => {
                Event::TransferFailed { session, failure: TransferFailure::Damaged }
            }
            false => Event::TransferFailed { session, failure: TransferFailure::OtherEnd },
        });
        true
    }

    /// The sender: all lanes are there.
    pub(super) fn check_ready(&mut self, at: usize) {
        let Some(Open { transfer, lanes, .. }) = self.sessions[at].open_mut() else { return };
        let pending = lanes.iter().any(|lane| !matches!(lane.state, LaneState::Unused | LaneState::Up));
        if transfer.state == TransferState::Opening && !pending {
            transfer.state = TransferState::Sending;
            let offset = transfer.offset;
            let session = self.id(at);
            self.core.emit(Event::Ready { session, offset });
        }
    }

    /// The receiver: every lane has ended, all alike, and every byte has come.
    pub(super) fn check_arrived(&mut self, at: usize, now: u64) {
        let Some(Open { transfer, lanes, .. }) = self.sessions[at].open_mut() else { return };
        let Some(End { segments, length, hash }) = transfer.end else { return };
        if lanes.iter().any(|lane| !matches!(lane.state, LaneState::Unused | LaneState::Ended)) {
            return;
        }
        let counted = transfer.segment.is_none_or(|last| last.checked_add(1) == Some(segments));
        if length != transfer.offset || length != transfer.size || !counted {
            return self.fail_transfer(at, TransferFailure::Damaged, DAMAGED, now);
        }
        transfer.state = TransferState::Arrived;
        let session = self.id(at);
        self.core.emit(Event::Arrived { session, hash });
    }
}

/// Whether there is no room for another transfer yet, nor for the answer to it.
fn is_taken(transfer: &Transfer, outbox: &Outbox) -> bool {
    transfer.state != TransferState::None || outbox.done.is_some() || outbox.answer.is_some()
}

/// Whether it can name a source's state; nothing: the source has no name.
pub(super) fn is_source(source: &[u8]) -> bool {
    source.is_empty() || (8..=MAX_SOURCE).contains(&source.len())
}

/// Whether it can be a recording's name.
pub(super) fn is_component(name: &str) -> bool {
    let barred = |character: char| character == '/' || character == '\\' || character.is_control();
    !name.is_empty() && name != "." && name != ".." && !name.contains(barred)
}

/// A cause as the other end can be told it: whole lines of ordinary length go as they are, longer ones are cut, others are left out.
fn shown(cause: &'static str) -> &'static str {
    if cause.contains(char::is_control) {
        return "";
    }
    let mut end = cause.len().min(MAX_CAUSE);
    while !cause.is_char_boundary(end) {
        end -= 1;
    }
    &cause[..end]
}
