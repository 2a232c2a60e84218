//! One session with another terminal: its state, as caller or callee.

mod open;

pub(super) use open::{
    Collecting, Depositing, Done, End, Keys, Lane, LaneState, OfferAnswer, Open, Outbox, Stage, Transfer,
    TransferState, Via, class, index,
};
pub use open::{MAX_NAME, MAX_SOURCE};

use super::event::LinkId;
use super::peers::Mark;
use crate::identifier::Identifier;
use crate::link::{Handle, Handshake, LaneToken, Psk, PublicKey, Transport};
use crate::message::{DepositId, SecretText};
use core::net::{IpAddr, SocketAddr};
use heapless::Vec;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The most addresses of a callee that are tried.
pub(super) const MAX_CANDIDATES: usize = 4;
/// The longest password, bytes: base64 of 128 bits.
const MAX_PASSWORD: usize = 24;
/// The longest ticket, bytes.
const MAX_TICKET: usize = 64;

/// A session's place. All zeros but for discriminants while idle.
pub struct Session {
    pub(super) generation: u16,
    pub(super) phase: Phase,
    pub(super) grant: Grant,
    /// The next thing that happens by itself: what, depends on the phase.
    pub(super) deadline: u64,
    /// Which address the peer link goes to (a direct lane goes to the same).
    pub(super) address: Option<Endpoint>,
    pub(super) tunnel: bool,
    pub(super) link: Option<LinkId>,
    /// The callee: how many more failed handshakes there may be for this grant.
    pub(super) tries: u8,
    pub(super) work: Work,
}

/// What a session needs in its phase. One or the other: a place is as large as the larger.
#[allow(clippy::large_enum_variant)] // there is no allocator
pub(super) enum Work {
    Connecting(Connecting),
    Open(Open),
}

/// Until the peer link is up.
pub(super) struct Connecting {
    pub(super) candidates: Vec<Endpoint, MAX_CANDIDATES, u8>,
    pub(super) attempt: Attempt,
}

/// What the peer link is made of, one after the other.
#[allow(clippy::large_enum_variant)] // there is no allocator to box the handshake with
pub(super) enum Attempt {
    /// Connections to the candidates: how many were tried, and when the next is.
    Dialling {
        links: [Option<LinkId>; MAX_CANDIDATES],
        tried: u8,
        next: u64,
    },
    /// The tunnel's token, to be written first.
    Tunnel(LaneToken),
    Handshake(Handshake),
}

/// An address and a port, without what else a socket's address has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self { ip: address.ip(), port: address.port() }
    }
}

impl From<Endpoint> for SocketAddr {
    fn from(Endpoint { ip, port }: Endpoint) -> Self {
        Self::new(ip, port)
    }
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
    /// Caller: the tunnel's token is to be written.
    OpeningTunnel,
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
    /// Caller: the application decides whether to deposit (M19).
    Asked,
    /// Caller: the no to M19 is to be sent.
    Decline,
    /// Caller: the yes to M19 is to be sent.
    Deposit,
    /// Caller: M20 is awaited.
    AwaitGoAhead,
    /// Callee: COLLECT (M22) is to be sent.
    Collect,
    /// Callee: its answer is awaited.
    AwaitCollect,
    /// Callee: the broker is to be told that nothing came of it.
    NotCollected,
    /// Both: the peer link is up, or a deposit's lane is about to be.
    Open,
}

/// What the broker told of the other terminal and of the grant (M11, M12).
#[derive(Default)]
pub(super) struct Grant {
    pub(super) caller: bool,
    pub(super) peer: Option<Identifier>,
    pub(super) key: Option<PublicKey>,
    /// Callee: by which group the caller is permitted.
    pub(super) group: Option<Mark>,
    pub(super) handle: Option<Handle>,
    pub(super) psk: Option<Psk>,
    /// What the caller says (M13).
    pub(super) caller_password: Password,
    /// What the callee says in its answer (V9).
    pub(super) callee_password: Password,
    /// M6's or M12's number.
    pub(super) transaction: u32,
}

impl Grant {
    /// Takes what M11 and M12 say alike: the pre-shared key's text, the caller's password and the callee's. `false`, and nothing to go by: something is missing
    /// or longer than any that is issued.
    #[inline(never)]
    pub(super) fn agreed(
        &mut self,
        handle: Option<Handle>,
        key: Option<[u8; 32]>,
        (psk, caller, callee): (SecretText<'_>, SecretText<'_>, Option<SecretText<'_>>),
    ) -> bool {
        let (Some(_), Some(key), Some(psk), Some(callee)) = (handle, key, psk.key(), callee) else {
            return false;
        };
        if !self.caller_password.set(caller) || !self.callee_password.set(callee) {
            return false;
        }
        self.key = Some(PublicKey::new(key));
        self.psk = Some(Psk::new(*psk.expose()));
        self.handle = handle;
        true
    }
}

/// A short secret text, wiped when dropped. Bytes, since a `String` can't be wiped where it lies.
#[derive(Default)]
pub(super) struct Words<const MAX: usize>(Vec<u8, MAX, u8>);

pub(super) type Password = Words<MAX_PASSWORD>;
pub(super) type Ticket = Words<MAX_TICKET>;

impl<const MAX: usize> Words<MAX> {
    /// `None` if it is longer than any that is issued.
    pub(super) fn new(text: SecretText<'_>) -> Option<Self> {
        Vec::from_slice(text.expose().as_bytes()).ok().map(Self)
    }

    /// Puts another text in its place; `false`: it is too long.
    #[inline(never)]
    fn set(&mut self, text: SecretText<'_>) -> bool {
        self.0.as_mut_slice().zeroize();
        self.0.clear();
        self.0.extend_from_slice(text.expose().as_bytes()).is_ok()
    }

    pub(super) fn text(&self) -> SecretText<'_> {
        SecretText::new(core::str::from_utf8(&self.0).unwrap_or_default())
    }

    /// In constant time; an empty password, that is none, fits nothing.
    pub(super) fn fits(&self, given: SecretText<'_>) -> bool {
        !self.0.is_empty() && bool::from(self.text().ct_eq(&given))
    }
}

impl<const MAX: usize> Drop for Words<MAX> {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// The control link's cryptography.
#[allow(clippy::large_enum_variant)] // there is no allocator to box the handshake with
pub(super) enum Secure {
    None,
    Handshake(Handshake),
    Transport(Transport, super::control::Asked),
}

impl Connecting {
    fn new() -> Self {
        Self { candidates: Vec::new(), attempt: Attempt::none() }
    }
}

impl Attempt {
    pub(super) fn none() -> Self {
        Self::Dialling { links: [None; MAX_CANDIDATES], tried: 0, next: 0 }
    }

    /// The connections that are being opened.
    pub(super) fn links(&self) -> &[Option<LinkId>] {
        match self {
            Self::Dialling { links, .. } => links,
            _ => &[],
        }
    }
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
            address: None,
            tunnel: false,
            link: None,
            tries: 0,
            work: Work::Connecting(Connecting::new()),
        }
    }

    /// Empties the place. The next session in it has another id.
    pub(super) fn reset(&mut self) {
        *self = Self { generation: self.generation.wrapping_add(1), ..Self::idle() };
    }

    /// What there is while the peer link is up.
    pub(super) fn open(&self) -> Option<&Open> {
        match &self.work {
            Work::Open(open) => Some(open),
            Work::Connecting(_) => None,
        }
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut Open> {
        match &mut self.work {
            Work::Open(open) => Some(open),
            Work::Connecting(_) => None,
        }
    }

    /// What there is before.
    pub(super) fn connecting(&mut self) -> Option<&mut Connecting> {
        match &mut self.work {
            Work::Connecting(connecting) => Some(connecting),
            Work::Open(_) => None,
        }
    }

    /// Connections that are being opened to candidates.
    pub(super) fn attempts(&self) -> &[Option<LinkId>] {
        match &self.work {
            Work::Connecting(connecting) => connecting.attempt.links(),
            Work::Open(_) => &[],
        }
    }

    pub(super) fn lanes(&self) -> &[Lane] {
        self.open().map_or(&[], |open| &open.lanes)
    }

    pub(super) fn transfer_state(&self) -> TransferState {
        self.open().map_or(TransferState::None, |open| open.transfer.state)
    }

    /// Every connection that this session has.
    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> + '_ {
        let lanes = self.lanes().iter().filter_map(|lane| lane.link);
        self.link.into_iter().chain(self.attempts().iter().filter_map(|link| *link)).chain(lanes)
    }

    /// Whether it counts as open for the load gate (V12): this terminal is its callee.
    pub(super) fn is_accepted(&self) -> bool {
        !self.grant.caller && self.phase != Phase::Idle
    }

    pub(super) fn is_depositing(&self) -> bool {
        matches!(&self.work, Work::Open(Open { via: Via::Deposit(_), .. }))
    }

    /// Which deposit it collects.
    pub(super) fn collects(&self) -> Option<&DepositId> {
        match &self.work {
            Work::Open(Open { via: Via::Collect(collect), .. }) => Some(&collect.deposit),
            _ => None,
        }
    }

    /// A lane's token is to come from the broker, or what it has kept is to be heard of.
    pub(super) fn awaits_broker(&self) -> bool {
        self.is_depositing()
            || matches!(
                self.phase,
                Phase::Query
                    | Phase::AwaitGrant
                    | Phase::AskTunnel
                    | Phase::AwaitTunnel
                    | Phase::Noticed
                    | Phase::Collect
                    | Phase::AwaitCollect
                    | Phase::NotCollected
            )
            || self
                .lanes()
                .iter()
                .any(|lane| matches!(lane.state, LaneState::AskBroker | LaneState::AwaitBroker))
    }
}
