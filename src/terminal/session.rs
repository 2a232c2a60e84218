//! One session with another terminal: its state, as caller or callee.

use super::event::LinkId;
use crate::Secret;
use crate::identifier::Identifier;
use crate::lane::{LaneOpener, LaneSealer};
use crate::link::{Handle, Handshake, LaneToken, Psk, PublicKey, Transport};
use crate::message::{Class, SecretText};
use crate::route::Way;
use core::net::SocketAddr;
use heapless::{String, Vec};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The most addresses of a callee that are tried.
pub(super) const MAX_CANDIDATES: usize = 4;
/// The longest name of a recording, bytes of UTF-8.
pub const MAX_NAME: usize = 255;
/// The longest text that names a source's state, bytes.
pub const MAX_SOURCE: usize = 32;
/// A password: text of at most so many bytes.
const MAX_PASSWORD: usize = 64;

/// A session's place. All zeros but for discriminants while idle.
pub struct Session {
    pub(super) generation: u16,
    pub(super) phase: Phase,
    pub(super) grant: Grant,
    /// The next thing that happens by itself: what, depends on the phase.
    pub(super) deadline: u64,
    pub(super) candidates: Vec<SocketAddr, MAX_CANDIDATES>,
    /// Which candidate's connection the peer link is (a direct lane goes to the same).
    pub(super) address: Option<SocketAddr>,
    pub(super) attempts: [Option<LinkId>; MAX_CANDIDATES],
    pub(super) tried: u8,
    pub(super) next_attempt: u64,
    pub(super) tunnel: bool,
    pub(super) tunnel_token: Option<LaneToken>,
    pub(super) link: Option<LinkId>,
    pub(super) secure: Secure,
    /// The callee: how many more failed handshakes there may be for this grant.
    pub(super) tries: u8,
    pub(super) outbox: Outbox,
    pub(super) transfer: Transfer,
    pub(super) lanes: [Lane; 2],
}

/// Where a session is between nothing and open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Idle,
    /// Caller: M6 is to be sent.
    Query,
    /// Caller: M11 is awaited.
    AwaitGrant,
    /// Caller: connections to the candidates are being opened.
    Dialling,
    /// Caller: TUNNEL is to be sent.
    AskTunnel,
    /// Caller: the tunnel's token is awaited.
    AwaitTunnel,
    /// Caller: the connection to the broker for the tunnel is being opened.
    DiallingTunnel,
    /// Caller: handshake message 1 (M13) is to be written.
    Requesting,
    /// Caller: handshake message 2 (M14) is awaited.
    AwaitAnswer,
    /// Callee: M12's answer is to be sent.
    Noticed,
    /// Callee: the caller is awaited.
    Expected,
    /// Callee: handshake message 2 (M14) is to be written.
    Answering {
        accept: bool,
    },
    /// Both: the peer link is up.
    Open,
}

/// What the broker told of the other terminal and of the grant (M11, M12).
#[derive(Default)]
pub(super) struct Grant {
    pub(super) caller: bool,
    pub(super) peer: Option<Identifier>,
    pub(super) key: Option<PublicKey>,
    pub(super) handle: Option<Handle>,
    pub(super) psk: Option<Psk>,
    /// What the caller says (M13).
    pub(super) caller_password: Password,
    /// What the callee says in its answer (V9).
    pub(super) callee_password: Password,
    /// M6's or M12's number.
    pub(super) transaction: u32,
}

/// A password as text, wiped when dropped. Bytes, since a `String` can't be wiped where it lies.
#[derive(Default)]
pub(super) struct Password(Vec<u8, MAX_PASSWORD>);

impl Password {
    /// `None` if it is longer than any that is issued.
    pub(super) fn new(text: SecretText<'_>) -> Option<Self> {
        Vec::from_slice(text.expose().as_bytes()).ok().map(Self)
    }

    pub(super) fn text(&self) -> SecretText<'_> {
        SecretText::new(core::str::from_utf8(&self.0).unwrap_or_default())
    }

    /// In constant time; an empty password, that is none, fits nothing.
    pub(super) fn fits(&self, given: SecretText<'_>) -> bool {
        !self.0.is_empty() && bool::from(self.text().ct_eq(&given))
    }
}

impl Drop for Password {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// A link's cryptography.
#[allow(clippy::large_enum_variant)] // there is no allocator to box the handshake with
pub(super) enum Secure {
    None,
    Handshake(Handshake),
    Transport(Transport),
}

/// Which texts are to be sent to the other end, when the link has room.
#[derive(Default)]
pub(super) struct Outbox {
    /// M17.
    pub(super) offer: bool,
    /// M18: no, to an offer that came while there was a transfer.
    pub(super) refuse_other: Option<u32>,
    /// M18.
    pub(super) answer: Option<OfferAnswer>,
    pub(super) done: Option<Done>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OfferAnswer {
    Accept {
        offset: u64,
    },
    /// With M17's number and the cause, for the other end's people: there may be another transfer before this goes out.
    Refuse {
        transaction: u32,
        cause: &'static str,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Done {
    pub(super) complete: bool,
    pub(super) transaction: u32,
    /// Why not, for the other end's people.
    pub(super) cause: &'static str,
}

/// The transfer that a session has, if any.
pub(super) struct Transfer {
    pub(super) state: TransferState,
    pub(super) sending: bool,
    /// M17's number.
    pub(super) number: u32,
    pub(super) name: String<MAX_NAME>,
    pub(super) source: Vec<u8, MAX_SOURCE>,
    pub(super) size: u64,
    pub(super) hash: bool,
    /// The largest frame that the other end takes.
    pub(super) frame: u32,
    /// Both: where the transfer starts or goes on.
    pub(super) offset: u64,
    /// Receiver: the segment of the last frame taken.
    pub(super) segment: Option<u64>,
    /// Receiver: what the first lane's end said.
    pub(super) end: Option<End>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TransferState {
    None,
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
pub(super) struct End {
    pub(super) segments: u64,
    pub(super) length: u64,
    pub(super) hash: Option<[u8; 32]>,
}

/// One class's lane.
pub(super) struct Lane {
    pub(super) state: LaneState,
    pub(super) way: Way,
    /// Sender: the payload that will go over it.
    pub(super) bytes: u64,
    pub(super) link: Option<LinkId>,
    pub(super) token: Option<LaneToken>,
    /// Sender, relay: the token that the receiver needs.
    pub(super) peer_token: Option<LaneToken>,
    /// Sender: the base key until it has been told.
    pub(super) key: Option<Secret<32>>,
    /// The number of TRANSFER to the broker, then of LANE.
    pub(super) transaction: u32,
    /// Receiver: LANE's answer is to be sent.
    pub(super) answer: bool,
    /// Receiver: its next frame waits for other lanes'.
    pub(super) ahead: bool,
    pub(super) crypto: LaneCrypto,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneState {
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

#[allow(clippy::large_enum_variant)] // there is no allocator
pub(super) enum LaneCrypto {
    None,
    Sealer(LaneSealer),
    Opener(LaneOpener),
}

impl Lane {
    pub(super) const UNUSED: Self = Self {
        state: LaneState::Unused,
        way: Way::RELAY_SEALED,
        bytes: 0,
        link: None,
        token: None,
        peer_token: None,
        key: None,
        transaction: 0,
        answer: false,
        ahead: false,
        crypto: LaneCrypto::None,
    };
}

impl Transfer {
    pub(super) const NONE: Self = Self {
        state: TransferState::None,
        sending: false,
        number: 0,
        name: String::new(),
        source: Vec::new(),
        size: 0,
        hash: false,
        frame: 0,
        offset: 0,
        segment: None,
        end: None,
    };
}

impl Session {
    /// An idle place.
    #[must_use]
    pub fn idle() -> Self {
        Self {
            generation: 0,
            phase: Phase::Idle,
            grant: Grant::default(),
            deadline: 0,
            candidates: Vec::new(),
            address: None,
            attempts: [None; MAX_CANDIDATES],
            tried: 0,
            next_attempt: 0,
            tunnel: false,
            tunnel_token: None,
            link: None,
            secure: Secure::None,
            tries: 0,
            outbox: Outbox::default(),
            transfer: Transfer::NONE,
            lanes: [Lane::UNUSED; 2],
        }
    }

    /// Empties the place. The next session in it has another id.
    pub(super) fn reset(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::idle() };
    }

    /// Every connection that this session has.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        let lanes = self.lanes.iter().filter_map(|lane| lane.link);
        self.link.into_iter().chain(self.attempts.iter().filter_map(|link| *link)).chain(lanes)
    }

    /// Whether it counts as open for the load gate (V12): this terminal is its callee.
    pub(super) fn is_accepted(&self) -> bool {
        !self.grant.caller && self.phase != Phase::Idle
    }

    /// A lane's token is to come from the broker.
    pub(super) fn awaits_broker(&self) -> bool {
        self.lanes.iter().any(|lane| matches!(lane.state, LaneState::AskBroker | LaneState::AwaitBroker))
    }

    pub(super) fn lane(&mut self, class: Class) -> &mut Lane {
        &mut self.lanes[index(class)]
    }
}

/// A lane's place, and its KID.
pub(super) const fn index(class: Class) -> usize {
    match class {
        Class::Sealed => 0,
        Class::Rest => 1,
    }
}

/// The class of a lane's place.
pub(super) const fn class(index: usize) -> Class {
    if index == 0 { Class::Sealed } else { Class::Rest }
}
