//! What goes out on the peer link: one text at a time, made from the session's state (M17, M18, LANE, done).

use crate::link::Transport;
use crate::message::{self, EncodeError, Message, Status, StatusCode, TransferAnswer, TransferDone};
use crate::terminal::machine::{Machine, TransmitError};
use crate::terminal::session::{Done, Keys, LaneState, OfferAnswer, Open, TransferState, Via, class};
use crate::terminal::{IDLE_MS, after};

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
    fn next_for_peer(open: &Open) -> Option<Outgoing> {
        let outbox = &open.outbox;
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
        open.lanes.iter().enumerate().find_map(|(lane, state)| {
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
        let Some(outgoing) = self.sessions[at].open().and_then(Self::next_for_peer) else { return Ok(0) };
        let transaction = self.core.next_transaction();
        let open = self.sessions[at].open().ok_or(TransmitError::Closed)?;
        let Via::Peer(transport) = &open.via else { return Ok(0) };
        let max = transport.max_payload();
        let result = self
            .encode_for_peer(at, open, outgoing, transaction, Transport::text_room(out, max))
            .map_err(|error| TransmitError::of_encode(error, max));
        if result.is_err() {
            // What there was room for must not stay there in clear.
            out.fill(0);
        }
        let length = result?;
        let session = &mut self.sessions[at];
        session.deadline = after(now, IDLE_MS);
        let open = session.open_mut().ok_or(TransmitError::Closed)?;
        let transport = open.transport().ok_or(TransmitError::Closed)?;
        let length = transport.seal_in_place(out, length).map_err(TransmitError::of_seal)?;
        Self::sent_to_peer(open, outgoing, transaction);
        Ok(length)
    }

    pub(super) fn encode_for_peer(
        &self,
        at: usize,
        open: &Open,
        outgoing: Outgoing,
        number: u32,
        room: &mut [u8],
    ) -> Result<usize, EncodeError> {
        let Open { transfer, lanes, .. } = open;
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
            Outgoing::Offer if transfer.state == TransferState::Fetching => Message::Fetch(message::Fetch {
                name: Some(transfer.name()).filter(|name| !name.is_empty()),
                transaction: Some(transfer.number),
            }),
            Outgoing::Offer => {
                let grant = &self.sessions[at].grant;
                let peer = grant.peer.as_ref().map_or("", |peer| peer.as_str());
                let (caller, callee) = if grant.caller { (own, peer) } else { (peer, own) };
                Message::Transfer(message::Transfer {
                    caller,
                    callee,
                    size: transfer.size,
                    transaction: Some(transfer.number),
                    handle: None,
                    name: Some(transfer.name()),
                    source: Some(transfer.source.clone()).filter(|source| !source.is_empty()),
                    hash: transfer.hash,
                    fetch: transfer.fetch,
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
                let way = lanes[lane].way;
                let (suite, lane_key, token) = match transfer.keys_of(lane) {
                    Some(Keys::Opening { suite, base, token, peer_token }) => {
                        (Some(suite.id()), Some(base.clone()), peer_token.as_ref().or(token.as_ref()))
                    }
                    _ => (None, None, None),
                };
                Message::Lane(message::Lane {
                    class: class(lane),
                    transaction: Some(number),
                    path: way.map(|way| way.path),
                    protection: way.map(|way| way.protection),
                    suite,
                    lane_key,
                    token: token.cloned(),
                })
            }
            Outgoing::LaneAnswer(lane) => Message::Status(Status {
                code: StatusCode::Done,
                text: "Lane taken.",
                transaction: Some(lanes[lane].transaction),
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
        message.encode_said(room)
    }

    fn sent_to_peer(open: &mut Open, outgoing: Outgoing, transaction: u32) {
        let Open { outbox, transfer, lanes, .. } = open;
        match outgoing {
            Outgoing::Offer => outbox.offer = false,
            Outgoing::Answer(_) => outbox.answer = None,
            Outgoing::RefuseOther(_) => outbox.refuse_other = None,
            Outgoing::Done(_) => outbox.done = None,
            Outgoing::LaneAnswer(lane) => lanes[lane].answer = false,
            Outgoing::Announce(lane) => {
                if let Some(Keys::Opening { peer_token, .. }) = transfer.keys(lane) {
                    *peer_token = None;
                }
                lanes[lane].transaction = transaction;
                lanes[lane].state = LaneState::AwaitAnswer;
            }
        }
    }
}
