//! Lanes at work: opened, written, read, lost (rows P8, P9, V10b).

use super::event::{Destination, Event, LinkId, SessionId, TransferFailure};
use super::incoming::write_token;
use super::machine::{Input, Machine, Step, TransmitError};
use super::session::{End, Keys, Lane, LaneState, Open, Session, Stage, TransferState, Via, Work, index};
use super::{DAMAGED, IDLE_MS, after};
use crate::lane::{self, HEADROOM, Kind, OVERHEAD, Peeked, Place};
use crate::message::Class;
use crate::route::Path;
use core::ops::Range;
use sha2::Digest;
use thiserror::Error;

/// How long a depositor waits for the broker's word once its lane is closed.
const KEPT_MS: u32 = 30_000;

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
    /// A deposit's next part is due.
    #[error("a part of the deposit begins here; write its header by `seal_part` first")]
    PartDue,
    /// The part before the one that is open isn't kept yet, or the open one not full.
    #[error("the broker has not kept the part before yet; go on after the event DepositKept")]
    NotYet,
    /// A deposit's bytes come one after the other.
    #[error("a deposit has no gaps; its next byte is the one at {next}")]
    Gap {
        /// Its place in the recording.
        next: u64,
    },
    /// The name can't go into a part's header.
    #[error("the name is not one path component of 1 to 255 bytes; give it another")]
    Name,
}

impl Machine<'_> {
    /// The lane's token is known at both ends: whoever connects does so now.
    pub(super) fn connect_lane(&mut self, at: usize, lane: usize, now: u64) {
        let Session { grant, address, work, .. } = &mut self.sessions[at];
        let Work::Open(open) = work else { return };
        let to = match open.lanes[lane].way.map(|way| way.path) {
            None => return,
            Some(Path::Relay) => Destination::Broker,
            Some(Path::Direct) if !grant.caller => return,
            Some(Path::Direct) => match *address {
                Some(address) => Destination::Address(address.into()),
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
        let lane = &mut open.lanes[lane];
        lane.link = Some(link);
        lane.state = LaneState::Dialling;
        self.core.emit(Event::Connect { link, to });
    }

    pub(super) fn lane_opened(&mut self, at: usize, lane: usize, now: u64) {
        let session = &mut self.sessions[at];
        session.deadline = after(now, IDLE_MS);
        if let Some(Open { lanes, .. }) = session.open_mut()
            && lanes[lane].state == LaneState::Dialling
        {
            lanes[lane].state = LaneState::Token;
        }
    }

    pub(super) fn lane_lost(&mut self, at: usize, lane: usize, now: u64) {
        let Some(open) = self.sessions[at].open_mut() else { return };
        let lane = &mut open.lanes[lane];
        lane.link = None;
        let (failure, cause) = match lane.state {
            LaneState::Ended => {
                // A depositor hears on another connection whether the end has come.
                let session = &mut self.sessions[at];
                if session.is_depositing() {
                    session.deadline = session.deadline.min(after(now, KEPT_MS));
                }
                return;
            }
            LaneState::Dialling | LaneState::Token => {
                (TransferFailure::LaneUnreachable, "a lane could not be opened")
            }
            _ => (TransferFailure::LaneLost, "a lane was lost"),
        };
        self.fail_transfer(at, failure, cause, now);
    }

    #[inline(never)]
    pub(super) fn lane_transmit(
        &mut self,
        at: usize,
        lane: usize,
        out: &mut [u8],
    ) -> Result<usize, TransmitError> {
        let Some(open) = self.sessions[at].open_mut() else { return Ok(0) };
        let token = open.transfer.keys_of(lane).and_then(Keys::token);
        let (LaneState::Token, Some(token)) = (open.lanes[lane].state, token) else { return Ok(0) };
        let length = write_token(token, out)?;
        open.lane_up(lane);
        self.check_ready(at);
        Ok(length)
    }

    // --- the sender -----------------------------------------------------------------------------------------------

    pub(super) fn max_payload(&self, id: SessionId) -> usize {
        let open = self.index(id).and_then(|at| self.sessions[at].open());
        open.map_or(0, |open| open.transfer.frame as usize).saturating_sub(OVERHEAD)
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
        let open = self.in_state(id, TransferState::Sending, now).map_err(|_| FrameError::NoLane)?;
        if payload == 0 || payload > most {
            return Err(FrameError::Size { most });
        }
        if offset.checked_add(payload as u64).is_none_or(|end| end > open.transfer.size) {
            return Err(FrameError::TooLong);
        }
        let lane = open.lanes[index(class)];
        let (LaneState::Up, Some(link)) = (lane.state, lane.link) else { return Err(FrameError::NoLane) };
        if let Via::Deposit(depositing) = &open.via {
            if offset != open.transfer.offset {
                return Err(FrameError::Gap { next: open.transfer.offset });
            }
            if !depositing.has_room(offset, payload as u64) {
                return Err(FrameError::PartDue);
            }
        }
        let transfer = open.transfer.number;
        let Some(Keys::Sealer(sealer)) = open.transfer.keys(index(class)) else {
            return Err(FrameError::NoLane);
        };
        let place = Place { transfer, kind: lane.kind(), segment, offset };
        let range = sealer.seal(place, buffer, payload).map_err(|_| FrameError::BufferTooSmall)?;
        if let Stage::Part { running, .. } = &mut open.transfer.stage {
            running.update(&buffer[range.clone()]);
            open.transfer.offset = offset + payload as u64;
        }
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
        let Open { via, transfer, lanes, .. } =
            self.in_state(id, TransferState::Sending, now).map_err(|_| FrameError::NoLane)?;
        let place =
            Place { transfer: transfer.number, kind: Kind::End, segment: segments, offset: transfer.size };
        let Lane { state: LaneState::Up, link: Some(link), .. } = lanes[index(class)] else {
            return Err(FrameError::NoLane);
        };
        if let Via::Deposit(depositing) = via {
            if transfer.offset != transfer.size {
                return Err(FrameError::Gap { next: transfer.offset });
            }
            if !depositing.open {
                return Err(FrameError::PartDue);
            }
        }
        let Some(keys) = transfer.keys(index(class)) else { return Err(FrameError::NoLane) };
        let Keys::Sealer(sealer) = keys else { return Err(FrameError::NoLane) };
        let payload = hash.map_or(0, |hash| hash.len());
        if let Some(hash) = hash {
            buffer
                .get_mut(HEADROOM..HEADROOM + hash.len())
                .ok_or(FrameError::BufferTooSmall)?
                .copy_from_slice(hash);
        }
        let range = sealer.seal(place, buffer, payload).map_err(|_| FrameError::BufferTooSmall)?;
        *keys = Keys::None;
        if let Stage::Part { running, .. } = &mut transfer.stage {
            running.update(&buffer[range.clone()]);
        }
        lanes[index(class)].state = LaneState::Ended;
        if lanes.iter().all(|lane| matches!(lane.state, LaneState::Unused | LaneState::Ended)) {
            transfer.state = TransferState::Finishing;
        }
        Ok((link, range))
    }

    // --- the receiver ---------------------------------------------------------------------------------------------

    #[inline(never)]
    pub(super) fn lane_input(&mut self, at: usize, place: usize, bytes: &mut [u8], now: u64) -> Input {
        let max_frame = self.core.max_frame;
        let Some(Open { via, transfer, lanes, .. }) = self.sessions[at].open() else {
            return Input::closed();
        };
        let lane = &lanes[place];
        if transfer.sending || lane.state == LaneState::Ended {
            // Lanes go one way, and nothing follows the end.
            return if bytes.is_empty() { Input::need(1) } else { self.damaged(at, now) };
        }
        if lane.state != LaneState::Up {
            return Input::blocked();
        }
        let number = transfer.number;
        if let Via::Collect(_) = via
            && let Some(input) = self.part_input(at, bytes, now)
        {
            return input;
        }
        let (total, frame) = match lane::peek(bytes, max_frame) {
            Ok(Peeked::NeedMore(total)) => return Input::need(total),
            Ok(Peeked::Frame(total, frame)) => (total, frame),
            Err(_) => return self.damaged(at, now),
        };
        if frame.transfer != number {
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
        let Work::Open(Open { via, transfer, lanes, .. }) = &mut session.work else { return Input::closed() };
        let expected = match via {
            Via::Collect(collecting) => collecting.position,
            Via::Peer(_) | Via::Deposit(_) => transfer.offset,
        };
        if frame.offset > expected {
            // It is the other lane's turn. The place isn't authenticated yet: whoever altered it stops the lane, no more.
            lanes[place].ahead = true;
            return if self.is_stuck(at) { self.damaged(at, now) } else { Input::blocked() };
        }
        let follows = transfer
            .segment
            .is_none_or(|last| frame.segment == last || Some(frame.segment) == last.checked_add(1));
        if frame.offset != expected || frame.kind != lanes[place].kind() || !follows {
            return self.damaged(at, now);
        }
        let Some(Keys::Opener(opener)) = transfer.keys(place) else { return Input::blocked() };
        let Ok(range) = opener.open(bytes, frame.kind) else { return self.damaged(at, now) };
        let end = frame.offset.checked_add(range.len() as u64).filter(|&end| end <= transfer.size);
        let Some(end) = end.filter(|_| !range.is_empty()) else { return self.damaged(at, now) };
        transfer.segment = Some(frame.segment);
        for lane in lanes {
            lane.ahead = false;
        }
        session.deadline = after(now, IDLE_MS);
        if let Via::Collect(collecting) = via {
            collecting.position = end;
        }
        // A part starts before what was asked for: what is there already is passed over.
        let offset = transfer.offset;
        transfer.offset = end.max(offset);
        let known = usize::try_from(offset - frame.offset).unwrap_or(usize::MAX);
        if known >= range.len() {
            bytes[range].fill(0);
            return Input::progress(bytes.len());
        }
        let range = range.start + known..range.end;
        Input { consumed: bytes.len(), step: Step::Payload { session: id, offset, range } }
    }

    fn lane_ended(&mut self, at: usize, place: usize, frame: Place, bytes: &mut [u8], now: u64) -> Input {
        let session = &mut self.sessions[at];
        let Work::Open(Open { transfer, lanes, .. }) = &mut session.work else { return Input::closed() };
        let Some(keys) = transfer.keys(place) else { return Input::blocked() };
        let Keys::Opener(opener) = keys else { return Input::blocked() };
        let Ok(range) = opener.open(bytes, Kind::End) else { return self.damaged(at, now) };
        let hash = match &bytes[range] {
            [] => None,
            hash => match hash.first_chunk::<32>() {
                Some(chunk) if hash.len() == 32 => Some(*chunk),
                _ => return self.damaged(at, now),
            },
        };
        let end = End { segments: frame.segment, length: frame.offset, hash };
        *keys = Keys::None;
        if transfer.end.is_some_and(|other| other != end) || transfer.hash != hash.is_some() {
            return self.damaged(at, now);
        }
        transfer.end = Some(end);
        lanes[place].state = LaneState::Ended;
        session.deadline = after(now, IDLE_MS);
        if self.is_stuck(at) {
            return self.damaged(at, now);
        }
        self.check_arrived(at, now);
        Input::progress(bytes.len())
    }

    /// Every lane waits for bytes that another would have to bring, or has ended: something is lost, and waiting doesn't bring it.
    /// All lanes are known here, since a sender starts when the last one is up.
    fn is_stuck(&self, at: usize) -> bool {
        let lanes = self.sessions[at].lanes();
        let waits = |lane: &Lane| lane.ahead || matches!(lane.state, LaneState::Unused | LaneState::Ended);
        lanes.iter().all(waits) && lanes.iter().any(|lane| lane.ahead)
    }

    pub(super) fn damaged(&mut self, at: usize, now: u64) -> Input {
        self.fail_transfer(at, TransferFailure::Damaged, DAMAGED, now);
        Input::closed()
    }
}
