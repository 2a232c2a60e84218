//! What goes out on the control link: one text at a time, made from the terminal's state.

use super::asked::Question;
use super::{ANSWER_MS, AddressState, Answer, ControlState};
use crate::lane;
use crate::link::{MAX_PART_HEADER, Transport};
use crate::message::{
    Accepted, Address, Candidate, Collect, Collected, Denial, Deposit, DepositDeclined, Deposits,
    EncodeError, Hello, Host, ListChange, Message, Ping, Query, Register, Release, StatusAnswer, StatusCode,
    Transfer, Tunnel, Withdraw,
};
use crate::terminal::after;
use crate::terminal::event::{ClosedCause, Denied, Event};
use crate::terminal::machine::{Machine, TransmitError};
use crate::terminal::peers::Peers;
use crate::terminal::session::{self, LaneState, Phase, Secure};

/// The next text for the broker.
#[derive(Clone, Copy)]
enum Outgoing {
    Hello,
    Answer,
    Register,
    Address,
    Notice(usize),
    Query(usize),
    AskBroker(usize, usize),
    Tunnel(usize),
    Decline(usize),
    Deposit(usize),
    Collect(usize),
    NotCollected(usize),
    Question(Question),
    Release,
    Ping,
}

impl Machine<'_> {
    pub(in crate::terminal) fn control_transmit(
        &mut self,
        out: &mut [u8],
        now: u64,
    ) -> Result<usize, TransmitError> {
        let control = &mut self.core.control;
        if control.state == ControlState::Opening {
            let Secure::Handshake(handshake) = &mut control.secure else { return Ok(0) };
            let length = handshake.write(&[], out).map_err(TransmitError::of_handshake)?;
            control.state = ControlState::AwaitHandshake;
            return Ok(length);
        }
        self.start_collecting(now);
        let Some(outgoing) = self.next_for_broker() else { return Ok(0) };
        let transaction = self.core.next_transaction();
        let Secure::Transport(transport, _) = &self.core.control.secure else { return Ok(0) };
        let result = self.encode_for_broker(outgoing, transaction, transport.max_payload(), out);
        if result.is_err() {
            // What there was room for must not stay there in clear.
            out.fill(0);
        }
        let Secure::Transport(transport, _) = &mut self.core.control.secure else { return Ok(0) };
        let result =
            result.and_then(|length| transport.seal_in_place(out, length).map_err(TransmitError::of_seal));
        if let (Outgoing::Register, Err(TransmitError::TextTooLong)) = (outgoing, result) {
            // It won't get shorter by itself: a person has to strike entries off.
            self.core.book.refuse();
            self.core.emit(Event::RegisterFailed { status: StatusCode::TooLarge.number() });
            return Ok(0);
        }
        let length = result?;
        self.sent_to_broker(outgoing, transaction, now);
        Ok(length)
    }

    fn next_for_broker(&mut self) -> Option<Outgoing> {
        let control = &self.core.control;
        if control.state == ControlState::Hello {
            return Some(Outgoing::Hello);
        }
        if !control.is_online() {
            return None;
        }
        if !control.answers.is_empty() {
            return Some(Outgoing::Answer);
        }
        if control.register.is_none() && !self.core.persisting && self.core.book.registered.is_none() {
            return Some(Outgoing::Register);
        }
        if control.address == AddressState::Unsent && !self.core.addresses.is_empty() {
            return Some(Outgoing::Address);
        }
        for (index, session) in self.sessions.iter().enumerate() {
            match session.phase {
                Phase::Noticed => return Some(Outgoing::Notice(index)),
                Phase::Query => return Some(Outgoing::Query(index)),
                Phase::AskTunnel => return Some(Outgoing::Tunnel(index)),
                Phase::Decline => return Some(Outgoing::Decline(index)),
                Phase::Deposit => return Some(Outgoing::Deposit(index)),
                Phase::Collect => return Some(Outgoing::Collect(index)),
                Phase::NotCollected => return Some(Outgoing::NotCollected(index)),
                _ => {}
            }
            if let Some(lane) = session.lanes().iter().position(|lane| lane.state == LaneState::AskBroker) {
                return Some(Outgoing::AskBroker(index, lane));
            }
        }
        if !control.releases.is_empty() {
            return Some(Outgoing::Release);
        }
        if control.ping == Some(0) {
            return Some(Outgoing::Ping);
        }
        self.next_question().map(Outgoing::Question)
    }

    /// Encodes the text where [`Transport::seal_in_place`] wants it, and gives its length.
    fn encode_for_broker(
        &mut self,
        outgoing: Outgoing,
        transaction: u32,
        max: usize,
        out: &mut [u8],
    ) -> Result<usize, TransmitError> {
        let room = Transport::text_room(out, max);
        let transaction = Some(transaction);
        if let Outgoing::Register = outgoing {
            return self
                .encode_register(transaction, room)
                .map_err(|error| TransmitError::of_encode(error, max));
        }
        let core = &*self.core;
        let identifier = core.identifier.as_str();
        let message = match outgoing {
            Outgoing::Hello => {
                let ticket = core.ticket.as_ref().map(session::Ticket::text);
                let hello = Hello { identifier, ticket, listen: core.listen, transaction };
                // Whoever has no room for a part's header has nothing to do with deposits.
                match core.max_frame as usize + lane::PREFIX >= MAX_PART_HEADER {
                    true => Message::DepositHello(hello, core.max_frame),
                    false => Message::Hello(hello),
                }
            }
            Outgoing::Answer => {
                let Some(&(transaction, answer)) = core.control.answers.first() else { return Ok(0) };
                match answer {
                    Answer::Status { acceptable } => {
                        Message::StatusAnswer(StatusAnswer { acceptable, transaction, retry_after: None })
                    }
                    Answer::Denied(denial) => Message::Denied(crate::message::Denied {
                        denial,
                        transaction,
                        cause: None,
                        retry_after: None,
                    }),
                }
            }
            Outgoing::Notice(index) => Message::Accepted(Accepted {
                transaction: Some(self.sessions[index].grant.transaction),
                callee_password: None,
            }),
            Outgoing::Register | Outgoing::Ping => Message::Ping(Ping { transaction }),
            Outgoing::Address => {
                let mut addresses = core.addresses.iter();
                let Some(first) = addresses.next() else { return Ok(0) };
                let candidates = addresses
                    .map(|address| Candidate { address: Host::Ip(address.ip), port: address.port })
                    .collect();
                let (address, port) = (Host::Ip(first.ip), first.port);
                Message::Address(Address { identifier, address, port, candidates, transaction })
            }
            Outgoing::Query(index) => {
                let Some(callee) = &self.sessions[index].grant.peer else { return Ok(0) };
                Message::Query(Query { identifier, callee: callee.as_str(), transaction })
            }
            Outgoing::AskBroker(index, lane) => {
                let session = &self.sessions[index];
                let Some(peer) = &session.grant.peer else { return Ok(0) };
                let (caller, callee) = match session.grant.caller {
                    true => (identifier, peer.as_str()),
                    false => (peer.as_str(), identifier),
                };
                Message::Transfer(Transfer {
                    caller,
                    callee,
                    size: session.lanes().get(lane).map_or(0, |lane| lane.bytes),
                    transaction,
                    handle: session.grant.handle,
                    name: None,
                    source: None,
                    hash: false,
                    fetch: None,
                })
            }
            Outgoing::Tunnel(index) => {
                let Some(handle) = self.sessions[index].grant.handle else { return Ok(0) };
                Message::Tunnel(Tunnel { handle, transaction })
            }
            Outgoing::Decline(index) => Message::DepositDeclined(DepositDeclined {
                transaction: Some(self.sessions[index].grant.transaction),
            }),
            Outgoing::Deposit(index) => {
                let session = &self.sessions[index];
                let (Some(callee), Some(open)) = (&session.grant.peer, session.open()) else { return Ok(0) };
                Message::Deposit(Deposit {
                    caller: identifier,
                    callee: callee.as_str(),
                    size: open.transfer.size,
                    transaction: Some(session.grant.transaction),
                    source: Some(open.transfer.source.clone()).filter(|source| !source.is_empty()),
                })
            }
            Outgoing::Collect(index) => {
                let session = &self.sessions[index];
                let (Some(caller), Some(open)) = (&session.grant.peer, session.open()) else { return Ok(0) };
                Message::Collect(Collect {
                    caller: caller.as_str(),
                    callee: identifier,
                    transaction,
                    deposit: session.collects().copied(),
                    offset: Some(open.transfer.offset),
                })
            }
            Outgoing::NotCollected(index) => {
                let Some((deposit, cause)) = self.not_collected_of(index) else { return Ok(0) };
                let cause = Some(cause).filter(|cause| !cause.is_empty());
                Message::Collected(Collected { complete: false, deposit, transaction, cause })
            }
            Outgoing::Question(Question::List) => Message::Deposits(Deposits { identifier, transaction }),
            Outgoing::Question(Question::Withdraw(handle)) => {
                Message::Withdraw(Withdraw { handle, cause: None, transaction })
            }
            Outgoing::Question(Question::Collected(deposit)) => {
                Message::Collected(Collected { complete: true, deposit, transaction, cause: None })
            }
            Outgoing::Release => {
                let Some(&handle) = core.control.releases.first() else { return Ok(0) };
                Message::Release(Release { handle })
            }
        };
        message.encode_said(room).map_err(|error| TransmitError::of_encode(error, max))
    }

    fn encode_register(&mut self, transaction: Option<u32>, room: &mut [u8]) -> Result<usize, EncodeError> {
        let core = &mut *self.core;
        let (whole, revision) = (core.book.whole, Some(core.book.revision));
        let identifier = core.identifier.as_str();
        let peers = Peers::new(self.places, &mut core.book);
        let (adds, deletes) = (peers.added().next().is_some(), peers.deleted().next().is_some());
        let change = match (whole, adds, deletes) {
            (false, true, true) => ListChange::AddAndDelete { add: peers.added(), delete: peers.deleted() },
            (false, true, false) => ListChange::Add(peers.added()),
            (false, false, true) => ListChange::Delete(peers.deleted()),
            _ => ListChange::Create(peers.permitted()),
        };
        let register = Register { identifier, change, revision, transaction };
        register.encode(room)
    }

    fn sent_to_broker(&mut self, outgoing: Outgoing, transaction: u32, now: u64) {
        let control = &mut self.core.control;
        match outgoing {
            Outgoing::Hello => {
                control.hello = transaction;
                control.state = ControlState::AwaitWelcome;
                control.deadline = after(now, ANSWER_MS);
            }
            Outgoing::Answer => {
                control.answers.remove(0);
            }
            Outgoing::Register => control.register = Some((transaction, self.core.book.revision)),
            Outgoing::Address => control.address = AddressState::Sent(transaction),
            Outgoing::Notice(index) => self.sessions[index].phase = Phase::Expected,
            Outgoing::Query(index) => {
                let session = &mut self.sessions[index];
                session.grant.transaction = transaction;
                session.phase = Phase::AwaitGrant;
            }
            Outgoing::AskBroker(index, lane) => {
                if let Some(open) = self.sessions[index].open_mut() {
                    let lane = &mut open.lanes[lane];
                    lane.transaction = transaction;
                    lane.state = LaneState::AwaitBroker;
                }
            }
            Outgoing::Tunnel(index) => {
                let session = &mut self.sessions[index];
                session.grant.transaction = transaction;
                session.phase = Phase::AwaitTunnel;
                session.deadline = after(now, ANSWER_MS);
            }
            Outgoing::Decline(index) => {
                self.deny(index, Denied::Broker(Denial::NotConnected), None);
            }
            Outgoing::Deposit(index) => self.sessions[index].phase = Phase::AwaitGoAhead,
            Outgoing::Collect(index) => {
                let session = &mut self.sessions[index];
                session.grant.transaction = transaction;
                session.phase = Phase::AwaitCollect;
            }
            Outgoing::NotCollected(index) => self.end_collecting(index, None, ClosedCause::OtherEnd),
            Outgoing::Question(question) => self.question_sent(question, transaction),
            Outgoing::Release => {
                control.releases.remove(0);
            }
            Outgoing::Ping => {
                control.ping = Some(transaction);
                control.deadline = after(now, ANSWER_MS);
            }
        }
    }
}
