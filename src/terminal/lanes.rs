//! Lanes at work: opened, written, read, lost (rows P8, P9, V10b).

use super::event::{Destination, Event, LinkId, SessionId, TransferFailure};
use super::incoming::write_token;
use super::machine::{Input, Machine, Step, TransmitError};
use super::session::{End, LaneCrypto, LaneState, TransferState};
use super::{DAMAGED, IDLE_MS};
use crate::lane::{self, HEADROOM, Kind, OVERHEAD, Peeked, Place};
use crate::message::Class;
use crate::route::{Path, Protection};
use core::ops::Range;
use thiserror::Error;

/// The bytes of one frame: their place in the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The segment's class.
    pub class: Class,
    /// The segment's number, from 0.
    pub segment: u64,
    /// The first byte's place in the recording.
    pub offset: u64,
    /// How many bytes.
    pub length: usize,
}

/// Nothing was sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The session is not sending, or has no such lane, or its end is sealed.
    #[error("the session has no open lane for this class; wait for its event Ready")]
    NoLane,
    /// The payload is empty or larger than a frame of the receiver's may be.
    #[error("the payload is empty or over {most} bytes, the most that the receiver takes; cut it")]
    Size {
        /// Bytes.
        most: usize,
    },
    /// The buffer has no room for the frame.
    #[error("the buffer lacks room before or after the payload")]
    BufferTooSmall,
    /// The bytes reach over the length that was offered.
    #[error("the recording is longer than was offered; offer it anew")]
    TooLong,
}

impl Machine<'_> {
    /// The lane's token is known at both ends: whoever connects does so now.
    pub(super) fn connect_lane(&mut self, at: usize, lane: usize, now: u64) {
        let session = &mut self.sessions[at];
        let to = match session.lanes[lane].way.path {
            Path::Relay => Destination::Broker,
            Path::Direct if !session.grant.caller => return,
            Path::Direct => match session.address {
                Some(address) => Destination::Address(address),
                None => {
                    return self.fail_transfer(
                        at,
                        TransferFailure::LaneUnreachable,
                        "no direct connection",
                        now,
                    );
                }
            },
        };
        let link = self.core.new_link();
        let lane = &mut self.sessions[at].lanes[lane];
        lane.link = Some(link);
        lane.state = LaneState::Dialling;
        self.core.emit(Event::Connect { link, to });
    }

    pub(super) fn lane_opened(&mut self, at: usize, lane: usize, now: u64) {
        let session = &mut self.sessions[at];
        session.deadline = now + IDLE_MS;
        let lane = &mut session.lanes[lane];
        if lane.state == LaneState::Dialling {
            lane.state = LaneState::Token;
        }
    }

    pub(super) fn lane_lost(&mut self, at: usize, lane: usize, now: u64) {
        let lane = &mut self.sessions[at].lanes[lane];
        lane.link = None;
        let (failure, cause) = match lane.state {
            LaneState::Ended => return,
            LaneState::Dialling | LaneState::Token => {
                (TransferFailure::LaneUnreachable, "a lane could not be opened")
            }
            _ => (TransferFailure::LaneLost, "a lane was lost"),
        };
        self.fail_transfer(at, failure, cause, now);
    }

    pub(super) fn lane_transmit(
        &mut self,
        at: usize,
        lane: usize,
        out: &mut [u8],
    ) -> Result<usize, TransmitError> {
        let lane = &mut self.sessions[at].lanes[lane];
        let (LaneState::Token, Some(token)) = (lane.state, &lane.token) else { return Ok(0) };
        let length = write_token(token, out)?;
        lane.token = None;
        lane.state = LaneState::Up;
        self.check_ready(at);
        Ok(length)
    }

    // --- the sender -----------------------------------------------------------------------------------------------

    pub(super) fn max_payload(&self, id: SessionId) -> usize {
        self.index(id).map_or(0, |at| self.sessions[at].transfer.frame as usize).saturating_sub(OVERHEAD)
    }

    pub(super) fn seal(
        &mut self,
        id: SessionId,
        piece: Piece,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        let Piece { class, segment, offset, length: payload } = piece;
        let most = self.max_payload(id);
        let at = self.in_state(id, TransferState::Sending).map_err(|_| FrameError::NoLane)?;
        if payload == 0 || payload > most {
            return Err(FrameError::Size { most });
        }
        let session = &mut self.sessions[at];
        if offset.checked_add(payload as u64).is_none_or(|end| end > session.transfer.size) {
            return Err(FrameError::TooLong);
        }
        session.deadline = now + IDLE_MS;
        let transfer = session.transfer.number;
        let lane = session.lane(class);
        let kind = match lane.way.protection {
            Protection::Sealed => Kind::Sealed,
            Protection::Clear => Kind::Clear,
        };
        let (LaneState::Up, Some(link), LaneCrypto::Sealer(sealer)) =
            (lane.state, lane.link, &mut lane.crypto)
        else {
            return Err(FrameError::NoLane);
        };
        let place = Place { transfer, kind, segment, offset };
        let range = sealer.seal(place, buffer, payload).map_err(|_| FrameError::BufferTooSmall)?;
        Ok((link, range))
    }

    pub(super) fn seal_end(
        &mut self,
        id: SessionId,
        class: Class,
        segments: u64,
        hash: Option<&[u8; 32]>,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        let at = self.in_state(id, TransferState::Sending).map_err(|_| FrameError::NoLane)?;
        let session = &mut self.sessions[at];
        session.deadline = now + IDLE_MS;
        let place = Place {
            transfer: session.transfer.number,
            kind: Kind::End,
            segment: segments,
            offset: session.transfer.size,
        };
        let lane = session.lane(class);
        let (LaneState::Up, Some(link), LaneCrypto::Sealer(sealer)) =
            (lane.state, lane.link, &mut lane.crypto)
        else {
            return Err(FrameError::NoLane);
        };
        let payload = hash.map_or(0, |hash| hash.len());
        if let Some(hash) = hash {
            buffer
                .get_mut(HEADROOM..HEADROOM + hash.len())
                .ok_or(FrameError::BufferTooSmall)?
                .copy_from_slice(hash);
        }
        let range = sealer.seal(place, buffer, payload).map_err(|_| FrameError::BufferTooSmall)?;
        lane.state = LaneState::Ended;
        lane.crypto = LaneCrypto::None;
        if session.lanes.iter().all(|lane| matches!(lane.state, LaneState::Unused | LaneState::Ended)) {
            session.transfer.state = TransferState::Finishing;
        }
        Ok((link, range))
    }

    // --- the receiver ---------------------------------------------------------------------------------------------

    pub(super) fn lane_input(&mut self, at: usize, place: usize, bytes: &mut [u8], now: u64) -> Input {
        let max_frame = self.core.max_frame;
        let session = &mut self.sessions[at];
        let lane = &session.lanes[place];
        if session.transfer.sending || lane.state == LaneState::Ended {
            // Lanes go one way, and nothing follows the end.
            return if bytes.is_empty() { Input::need(1) } else { self.damaged(at, now) };
        }
        if lane.state != LaneState::Up {
            return Input::blocked();
        }
        let (total, frame) = match lane::peek(bytes, max_frame) {
            Ok(Peeked::NeedMore(total)) => return Input::need(total),
            Ok(Peeked::Frame(total, frame)) => (total, frame),
            Err(_) => return self.damaged(at, now),
        };
        if frame.transfer != session.transfer.number {
            return self.damaged(at, now);
        }
        match frame.kind {
            Kind::End => self.lane_ended(at, place, frame, &mut bytes[..total], now),
            Kind::Sealed | Kind::Clear => self.payload(at, place, frame, &mut bytes[..total], now),
        }
    }

    fn payload(&mut self, at: usize, place: usize, frame: Place, bytes: &mut [u8], now: u64) -> Input {
        let id = self.id(at);
        let session = &mut self.sessions[at];
        let transfer = &mut session.transfer;
        if frame.offset > transfer.offset {
            // It is the other lane's turn. The place isn't authenticated yet: whoever altered it stops the lane, no more.
            session.lanes[place].ahead = true;
            return if self.is_stuck(at) { self.damaged(at, now) } else { Input::blocked() };
        }
        let lane = &mut session.lanes[place];
        let expected = match lane.way.protection {
            Protection::Sealed => Kind::Sealed,
            Protection::Clear => Kind::Clear,
        };
        let follows = transfer
            .segment
            .is_none_or(|last| frame.segment == last || Some(frame.segment) == last.checked_add(1));
        let LaneCrypto::Opener(opener) = &mut lane.crypto else { return Input::blocked() };
        if frame.offset != transfer.offset || frame.kind != expected || !follows {
            return self.damaged(at, now);
        }
        let Ok(range) = opener.open(bytes, frame.kind) else { return self.damaged(at, now) };
        let end = frame.offset.checked_add(range.len() as u64).filter(|&end| end <= transfer.size);
        let Some(end) = end.filter(|_| !range.is_empty()) else { return self.damaged(at, now) };
        transfer.offset = end;
        transfer.segment = Some(frame.segment);
        for lane in &mut session.lanes {
            lane.ahead = false;
        }
        session.deadline = now + IDLE_MS;
        Input { consumed: bytes.len(), step: Step::Payload { session: id, offset: frame.offset, range } }
    }

    fn lane_ended(&mut self, at: usize, place: usize, frame: Place, bytes: &mut [u8], now: u64) -> Input {
        let session = &mut self.sessions[at];
        let lane = &mut session.lanes[place];
        let LaneCrypto::Opener(opener) = &mut lane.crypto else { return Input::blocked() };
        let Ok(range) = opener.open(bytes, Kind::End) else { return self.damaged(at, now) };
        let hash = match &bytes[range] {
            [] => None,
            hash => match hash.first_chunk::<32>() {
                Some(chunk) if hash.len() == 32 => Some(*chunk),
                _ => return self.damaged(at, now),
            },
        };
        let end = End { segments: frame.segment, length: frame.offset, hash };
        if session.transfer.end.is_some_and(|other| other != end) || session.transfer.hash != hash.is_some() {
            return self.damaged(at, now);
        }
        session.transfer.end = Some(end);
        lane.state = LaneState::Ended;
        lane.crypto = LaneCrypto::None;
        session.deadline = now + IDLE_MS;
        if self.is_stuck(at) {
            return self.damaged(at, now);
        }
        self.check_arrived(at, now);
        Input::progress(bytes.len())
    }

    /// Every lane waits for bytes that another would have to bring, or has ended: something is lost, and waiting doesn't bring it.
    /// All lanes are known here, since a sender starts when the last one is up.
    fn is_stuck(&self, at: usize) -> bool {
        let lanes = &self.sessions[at].lanes;
        let waits = |lane: &super::session::Lane| {
            lane.ahead || matches!(lane.state, LaneState::Unused | LaneState::Ended)
        };
        lanes.iter().all(waits) && lanes.iter().any(|lane| lane.ahead)
    }

    fn damaged(&mut self, at: usize, now: u64) -> Input {
        self.fail_transfer(at, TransferFailure::Damaged, DAMAGED, now);
        Input::closed()
    }
}
