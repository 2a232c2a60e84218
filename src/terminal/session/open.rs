//! What a session has while its peer link is up: a transfer, its lanes, and what is to be said of them.

use crate::Secret;
use crate::lane::{Kind, LaneOpener, LaneSealer};
use crate::link::{LaneToken, Transport};
use crate::message::{Class, DepositId, Source};
use crate::route::{Path, Protection, Way};
use crate::sframe::Suite;
use crate::terminal::event::LinkId;
use heapless::String;
use sha2::Sha256;

/// The longest name of a recording, bytes of UTF-8.
pub const MAX_NAME: usize = 255;
/// The longest text that names a source's state, bytes.
pub const MAX_SOURCE: usize = 32;

/// While the peer link is up, or something goes to or comes from a deposit.
pub(in crate::terminal) struct Open {
    pub(in crate::terminal) via: Via,
    pub(in crate::terminal) outbox: Outbox,
    pub(in crate::terminal) transfer: Transfer,
    pub(in crate::terminal) lanes: [Lane; 2],
}

/// What a session's transfer goes through.
pub(in crate::terminal) enum Via {
    /// The peer link.
    Peer(Transport),
    /// The broker keeps what this terminal sends (P10).
    Deposit(Depositing),
    /// The broker has kept what this terminal receives (P11).
    Collect(Collecting),
}

/// What a depositor knows of its deposit. What each part needs is in [`Stage::Part`].
pub(in crate::terminal) struct Depositing {
    pub(in crate::terminal) deposit: DepositId,
    /// The part's number that is open, or comes first.
    pub(in crate::terminal) part: u32,
    /// The place of the open part's first byte in the recording.
    pub(in crate::terminal) start: u64,
    /// Its header is written.
    pub(in crate::terminal) open: bool,
}

/// What a collector knows of the deposit. The part's number is the transfer's.
pub(in crate::terminal) struct Collecting {
    pub(in crate::terminal) deposit: DepositId,
    /// The lane's first part has been opened: the next one must follow.
    pub(in crate::terminal) begun: bool,
    /// The place in the recording of the frame that comes next. Behind the transfer's offset, what comes is there already.
    pub(in crate::terminal) position: u64,
    /// The first part's key, until it is accepted.
    pub(in crate::terminal) base: Option<(Suite, Secret<32>)>,
    /// SHA-256 over what all parts must say alike.
    pub(in crate::terminal) alike: [u8; 32],
}

/// Which texts are to be sent to the other end, when the link has room.
#[derive(Default)]
pub(in crate::terminal) struct Outbox {
    /// M17, or FETCH.
    pub(in crate::terminal) offer: bool,
    /// M18: no, to an offer or a FETCH that came while there was a transfer.
    pub(in crate::terminal) refuse_other: Option<u32>,
    /// M18.
    pub(in crate::terminal) answer: Option<OfferAnswer>,
    pub(in crate::terminal) done: Option<Done>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum OfferAnswer {
    Accept {
        offset: u64,
    },
    /// With M17's or FETCH's number and the cause, for the other end's people: there may be another transfer before this goes out.
    Refuse {
        transaction: u32,
        cause: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) struct Done {
    pub(in crate::terminal) complete: bool,
    pub(in crate::terminal) transaction: u32,
    /// Why not, for the other end's people.
    pub(in crate::terminal) cause: &'static str,
}

/// The transfer that a session has, if any.
pub(in crate::terminal) struct Transfer {
    pub(in crate::terminal) state: TransferState,
    pub(in crate::terminal) sending: bool,
    /// M17's number, or FETCH's until that is answered.
    pub(in crate::terminal) number: u32,
    /// The number of the FETCH that it answers.
    pub(in crate::terminal) fetch: Option<u32>,
    pub(in crate::terminal) source: Source,
    pub(in crate::terminal) size: u64,
    pub(in crate::terminal) hash: bool,
    /// The largest frame that the other end takes.
    pub(in crate::terminal) frame: u32,
    /// Both: where the transfer starts or goes on.
    pub(in crate::terminal) offset: u64,
    /// Receiver: the segment of the last frame taken.
    pub(in crate::terminal) segment: Option<u64>,
    /// Receiver: what the first lane's end said.
    pub(in crate::terminal) end: Option<End>,
    pub(in crate::terminal) stage: Stage,
}

/// What a transfer needs before it is accepted, and after.
#[allow(clippy::large_enum_variant)] // there is no allocator
pub(in crate::terminal) enum Stage {
    /// The recording's name; empty: the list of recordings is wanted.
    Offer(String<MAX_NAME>),
    /// Each lane's keys.
    Lanes([Keys; 2]),
    /// A depositor's lane.
    Part {
        keys: Keys,
        /// Over the open part's bytes so far.
        running: Sha256,
        /// The digest of the part before, which the broker hasn't said to be kept.
        pending: Option<[u8; 32]>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum TransferState {
    None,
    /// Receiver: the answer to FETCH is awaited.
    Fetching,
    /// Sender: the application decides about a FETCH.
    Wanted,
    /// Sender: the receiver's answer is awaited.
    Offering,
    /// Sender: lanes are being opened.
    Opening,
    /// Sender: frames go out.
    Sending,
    /// Sender: the ends are sealed, the receiver's word is awaited.
    Finishing,
    /// Receiver: the application decides.
    Offered,
    /// Receiver: frames come in.
    Receiving,
    /// Receiver: the application stores.
    Arrived,
}

/// What an end frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) struct End {
    pub(in crate::terminal) segments: u64,
    pub(in crate::terminal) length: u64,
    pub(in crate::terminal) hash: Option<[u8; 32]>,
}

/// One class's lane, but for its keys.
#[derive(Clone, Copy)]
pub(in crate::terminal) struct Lane {
    pub(in crate::terminal) state: LaneState,
    /// None: the transfer has no such lane.
    pub(in crate::terminal) way: Option<Way>,
    /// Sender: the payload that will go over it.
    pub(in crate::terminal) bytes: u64,
    pub(in crate::terminal) link: Option<LinkId>,
    /// The number of TRANSFER to the broker, then of LANE.
    pub(in crate::terminal) transaction: u32,
    /// Receiver: LANE's answer is to be sent.
    pub(in crate::terminal) answer: bool,
    /// Receiver: its next frame waits for other lanes'.
    pub(in crate::terminal) ahead: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::terminal) enum LaneState {
    Unused,
    /// Sender: TRANSFER to the broker is to be sent.
    AskBroker,
    /// Sender: the broker's answer is awaited.
    AwaitBroker,
    /// Sender: LANE is to be sent.
    Announce,
    /// Sender: its answer is awaited.
    AwaitAnswer,
    /// Either: the caller's connection is awaited.
    AwaitLink,
    /// Either: the connection is being opened.
    Dialling,
    /// Either: the token is to be written.
    Token,
    /// Frames go.
    Up,
    /// Its end has been sealed or opened.
    Ended,
}

/// A lane's secrets.
#[allow(clippy::large_enum_variant)] // there is no allocator
pub(in crate::terminal) enum Keys {
    None,
    /// Until it is up.
    Opening {
        suite: Suite,
        base: Secret<32>,
        token: Option<LaneToken>,
        /// Sender, relay: the token that the receiver needs, until it has been told.
        peer_token: Option<LaneToken>,
    },
    Sealer(LaneSealer),
    Opener(LaneOpener),
}

impl Keys {
    pub(in crate::terminal) fn token(&self) -> Option<&LaneToken> {
        match self {
            Self::Opening { token, .. } => token.as_ref(),
            _ => None,
        }
    }
}

impl Lane {
    pub(in crate::terminal) const UNUSED: Self = Self {
        state: LaneState::Unused,
        way: None,
        bytes: 0,
        link: None,
        transaction: 0,
        answer: false,
        ahead: false,
    };

    /// Whether its bytes go from device to device.
    pub(in crate::terminal) fn is_direct(&self) -> bool {
        self.way.is_some_and(|way| way.path == Path::Direct)
    }

    /// What its payload's frames are.
    pub(in crate::terminal) fn kind(&self) -> Kind {
        match self.way {
            Some(Way { protection: Protection::Clear, .. }) => Kind::Clear,
            _ => Kind::Sealed,
        }
    }
}

impl Transfer {
    // Made by code, and set where they lie: a constant would be hundreds of zeros in flash, and what is handed about by value costs code and stack.

    fn new() -> Self {
        Self {
            state: TransferState::None,
            sending: false,
            number: 0,
            fetch: None,
            source: Source::new(),
            size: 0,
            hash: false,
            frame: 0,
            offset: 0,
            segment: None,
            end: None,
            stage: Stage::Offer(String::new()),
        }
    }

    /// Forgets all of it; gives the number that it had.
    #[inline(never)]
    pub(in crate::terminal) fn reset(&mut self) -> u32 {
        let number = self.number;
        *self = Self::new();
        number
    }

    /// Puts another in its place, with a name of at most [`MAX_NAME`] bytes.
    #[inline(never)]
    pub(in crate::terminal) fn begin(&mut self, state: TransferState, number: u32, name: &str) {
        self.reset();
        self.state = state;
        self.number = number;
        if let Stage::Offer(place) = &mut self.stage {
            let _ = place.push_str(name);
        }
    }

    /// What it is of. The source's name is at most [`MAX_SOURCE`] bytes.
    pub(in crate::terminal) fn describe(&mut self, source: &[u8], size: u64, hash: bool) {
        let _ = self.source.extend_from_slice(source);
        self.size = size;
        self.hash = hash;
    }

    /// The recording's name, until the transfer is accepted.
    pub(in crate::terminal) fn name(&self) -> &str {
        match &self.stage {
            Stage::Offer(name) => name,
            Stage::Lanes(_) | Stage::Part { .. } => "",
        }
    }

    /// A lane's secrets, once the transfer is accepted.
    pub(in crate::terminal) fn keys(&mut self, lane: usize) -> Option<&mut Keys> {
        match &mut self.stage {
            Stage::Offer(_) => None,
            Stage::Lanes(keys) => keys.get_mut(lane),
            Stage::Part { keys, .. } => (lane == 0).then_some(keys),
        }
    }

    pub(in crate::terminal) fn keys_of(&self, lane: usize) -> Option<&Keys> {
        match &self.stage {
            Stage::Offer(_) => None,
            Stage::Lanes(keys) => keys.get(lane),
            Stage::Part { keys, .. } => (lane == 0).then_some(keys),
        }
    }

    /// It is accepted: lanes will come.
    pub(in crate::terminal) fn accepted(&mut self) {
        self.stage = Stage::Lanes([Keys::None, Keys::None]);
    }
}

impl Open {
    pub(in crate::terminal) fn new(via: Via) -> Self {
        Self { via, outbox: Outbox::default(), transfer: Transfer::new(), lanes: [Lane::UNUSED; 2] }
    }

    /// The peer link's.
    pub(in crate::terminal) fn transport(&mut self) -> Option<&mut Transport> {
        match &mut self.via {
            Via::Peer(transport) => Some(transport),
            Via::Deposit(_) | Via::Collect(_) => None,
        }
    }

    pub(in crate::terminal) fn depositing(&mut self) -> Option<&mut Depositing> {
        match &mut self.via {
            Via::Deposit(deposit) => Some(deposit),
            Via::Peer(_) | Via::Collect(_) => None,
        }
    }

    pub(in crate::terminal) fn collecting(&mut self) -> Option<&mut Collecting> {
        match &mut self.via {
            Via::Collect(collect) => Some(collect),
            Via::Peer(_) | Via::Deposit(_) => None,
        }
    }

    /// Its lane to the broker's deposits is about to be opened with this token.
    pub(in crate::terminal) fn deposit_lane(&mut self, token: LaneToken, suite: Suite) {
        self.lanes[0] = Lane { way: Some(Way::RELAY_SEALED), ..Lane::UNUSED };
        if let Some(keys) = self.transfer.keys(0) {
            // The keys are those of its parts.
            let base = Secret::new([0; 32]);
            *keys = Keys::Opening { suite, base, token: Some(token), peer_token: None };
        }
    }

    /// Its lane is up: what it needed before is wiped.
    pub(in crate::terminal) fn lane_up(&mut self, place: usize) {
        self.lanes[place].state = LaneState::Up;
        let sending = self.transfer.sending;
        let parts = !matches!(self.via, Via::Peer(_));
        let Some(keys) = self.transfer.keys(place) else { return };
        if parts {
            *keys = Keys::None;
        }
        if let Keys::Opening { suite, base, .. } = keys {
            let (suite, kid, base) = (*suite, place as u64, base.expose());
            *keys = match sending {
                true => Keys::Sealer(LaneSealer::new(suite, kid, base)),
                false => Keys::Opener(LaneOpener::new(suite, kid, base)),
            };
        }
    }
}

/// A lane's place, and its KID.
pub(in crate::terminal) const fn index(class: Class) -> usize {
    match class {
        Class::Sealed => 0,
        Class::Rest => 1,
    }
}

/// The class of a lane's place.
pub(in crate::terminal) const fn class(index: usize) -> Class {
    if index == 0 { Class::Sealed } else { Class::Rest }
}
