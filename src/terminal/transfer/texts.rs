//! What goes out on the peer link: one text at a time, made from the session's state (M17, M18, LANE, done).

use crate::lane::LaneSealer;
use crate::link::Transport;
use crate::message::{self, EncodeError, Message, Status, StatusCode, TransferAnswer, TransferDone};
use crate::terminal::IDLE_MS;
use crate::terminal::machine::{Machine, TransmitError};
use crate::terminal::session::{Done, LaneCrypto, LaneState, OfferAnswer, Secure, class};

/// The next text for the other end.
#[derive(Clone, Copy)]
pub(super) enum Outgoing {
    Answer(OfferAnswer),
    RefuseOther(u32),
    Offer,
    Announce(usize),
    LaneAnswer(usize),
    Done(Done),
}

impl Machine<'_> {
    fn next_for_peer(&self, at: usize) -> Option<Outgoing> {
        let session = &self.sessions[at];
        let outbox = &session.outbox;
        if let Some(done) = outbox.done {
            return Some(Outgoing::Done(done));
        }
        if let Some(answer) = outbox.answer {
            return Some(Outgoing::Answer(answer));
        }
        if let Some(number) = outbox.refuse_other {
            return Some(Outgoing::RefuseOther(number));
        }
        if outbox.offer {
            return Some(Outgoing::Offer);
        }
        session.lanes.iter().enumerate().find_map(|(lane, state)| {
            if state.answer {
                Some(Outgoing::LaneAnswer(lane))
            } else if state.state == LaneState::Announce {
                Some(Outgoing::Announce(lane))
            } else {
                None
            }
        })
    }

    pub(in crate::terminal) fn transfer_transmit(
        &mut self,
        at: usize,
        out: &mut [u8],
        now: u64,
    ) -> Result<usize, TransmitError> {
        let Some(outgoing) = self.next_for_peer(at) else { return Ok(0) };
        let transaction = self.core.next_transaction();
        let secure = core::mem::replace(&mut self.sessions[at].secure, Secure::None);
        let Secure::Transport(mut transport) = secure else { return Ok(0) };
        let max = transport.max_payload();
        let result = self
            .encode_for_peer(at, outgoing, transaction, Transport::text_room(out, max))
            .map_err(|error| TransmitError::of_encode(error, max));
        if result.is_err() {
            // What there was room for must not stay there in clear.
            out.fill(0);
        }
        let result =
            result.and_then(|length| transport.seal_in_place(out, length).map_err(TransmitError::of_seal));
        self.sessions[at].secure = Secure::Transport(transport);
        let length = result?;
        self.sessions[at].deadline = now + IDLE_MS;
        self.sent_to_peer(at, outgoing, transaction);
        Ok(length)
    }

    pub(super) fn encode_for_peer(
        &self,
        at: usize,
        outgoing: Outgoing,
        number: u32,
        room: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let session = &self.sessions[at];
        let transfer = &session.transfer;
        let own = self.core.identifier.as_str();
        let refusal = |transaction, cause: &'static str| TransferAnswer {
            accepted: false,
            answer: own,
            transaction: Some(transaction),
            cause: Some(cause).filter(|cause| !cause.is_empty()),
            token: None,
            peer_token: None,
            offset: None,
            frame: None,
        };
        let message = match outgoing {
            Outgoing::Offer => {
                let peer = session.grant.peer.as_ref().map_or("", |peer| peer.as_str());
                let (caller, callee) = if session.grant.caller { (own, peer) } else { (peer, own) };
                Message::Transfer(message::Transfer {
                    caller,
                    callee,
                    size: transfer.size,
                    transaction: Some(transfer.number),
                    handle: None,
                    name: Some(transfer.name.as_str()),
                    source: Some(transfer.source.clone()).filter(|source| !source.is_empty()),
                    hash: transfer.hash,
                })
            }
            Outgoing::Answer(OfferAnswer::Accept { offset }) => Message::TransferAnswer(TransferAnswer {
                accepted: true,
                offset: Some(offset),
                frame: Some(self.core.max_frame),
                ..refusal(transfer.number, "")
            }),
            Outgoing::Answer(OfferAnswer::Refuse { transaction, cause }) => {
                Message::TransferAnswer(refusal(transaction, cause))
            }
            Outgoing::RefuseOther(number) => {
                Message::TransferAnswer(refusal(number, "one transfer at a time"))
            }
            Outgoing::Announce(lane) => {
                let state = &session.lanes[lane];
                let token = state.peer_token.as_ref().or(state.token.as_ref());
                Message::Lane(message::Lane {
                    class: class(lane),
                    transaction: Some(number),
                    path: Some(state.way.path),
                    protection: Some(state.way.protection),
                    suite: Some(self.core.suite.id()),
                    lane_key: state.key.clone(),
                    token: token.cloned(),
                })
            }
            Outgoing::LaneAnswer(lane) => Message::Status(Status {
                code: StatusCode::Done,
                text: "Lane taken.",
                transaction: Some(session.lanes[lane].transaction),
                retry_after: None,
                revision: None,
                digest: None,
                relay: false,
                largest_transfer: None,
            }),
            Outgoing::Done(Done { complete, transaction, cause }) => Message::TransferDone(TransferDone {
                complete,
                transaction: Some(transaction),
                cause: Some(cause).filter(|cause| !cause.is_empty()),
            }),
        };
        message.encode(room)
    }

    fn sent_to_peer(&mut self, at: usize, outgoing: Outgoing, transaction: u32) {
        let suite = self.core.suite;
        let session = &mut self.sessions[at];
        match outgoing {
            Outgoing::Offer => session.outbox.offer = false,
            Outgoing::Answer(_) => session.outbox.answer = None,
            Outgoing::RefuseOther(_) => session.outbox.refuse_other = None,
            Outgoing::Done(_) => session.outbox.done = None,
            Outgoing::LaneAnswer(lane) => session.lanes[lane].answer = false,
            Outgoing::Announce(place) => {
                let lane = &mut session.lanes[place];
                if let Some(key) = lane.key.take() {
                    lane.crypto = LaneCrypto::Sealer(LaneSealer::new(suite, place as u64, key.expose()));
                }
                lane.peer_token = None;
                lane.transaction = transaction;
                lane.state = LaneState::AwaitAnswer;
            }
        }
    }
}
