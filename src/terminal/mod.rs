//! The terminal: caller and callee in one state machine, with several sessions (rows P2, P4–P6, P8, P9, V5, V8, V9, V12, V14).
//!
//! It does no I/O. The application opens and closes connections as the [`Event`]s say, hands in what arrives by [`Terminal::handle_input`], writes
//! what [`Terminal::poll_transmit`] gives, and calls [`Terminal::handle_timeout`] when [`Terminal::poll_timeout`] says so. `now` is a monotonic clock in
//! milliseconds. After any call: take all events, then poll the transmission of every open link, in any order.
//!
//! ```text
//! connect ─▶ Connect{Broker} ─▶ link_opened ─▶ … ─▶ Online
//! call ─▶ Permitted ─▶ Granted ─▶ Connect{Address} ─▶ … ─▶ Connected        (or Denied)
//! offer ─▶ Connect (lanes) ─▶ Ready ─▶ seal …, seal_end ─▶ Delivered          (or TransferFailed)
//! fetch ─▶ Offered ─▶ accept ─▶ Payload … ─▶ Arrived ─▶ stored                 (at the other end: Wanted ─▶ offer …)
//! Expected ─▶ accepted ─▶ … ─▶ Connected ─▶ Offered ─▶ accept ─▶ Payload … ─▶ Arrived ─▶ stored
//! DepositOffered ─▶ deposit ─▶ Connect{Broker} ─▶ Ready ─▶ seal_part, seal …, seal_end ─▶ Deposited … DepositCollected
//! DepositWaiting … Collecting ─▶ Connect{Broker} ─▶ Offered ─▶ accept ─▶ Payload … ─▶ Arrived ─▶ stored
//! ```

mod call;
mod collect;
mod control;
mod deposit;
mod event;
mod incoming;
mod lanes;
mod machine;
mod peer;
mod peers;
mod session;
mod transfer;

pub use control::{AnnounceError, AskError, GroupError};
pub use deposit::{Deposit, DepositError};
pub use event::{
    ClosedCause, Denied, Destination, Event, LinkId, OfflineCause, Refusal, SessionId, TransferFailure,
};
pub use lanes::{FrameError, Piece};
pub use machine::{Input, Step, TransmitError};
pub use peers::{BlobTooSmall, Change, Entries, Peer, PermitError, RestoreError, blob_size};
pub use session::{MAX_NAME, MAX_SOURCE, Session};
pub use transfer::{FetchError, Offer, OfferError, Offered, OutOfTurn, Wanted};

use crate::entropy::Entropy;
use crate::identifier::Identifier;
use crate::lane::OVERHEAD;
use crate::link::{MaxRecord, PublicKey, SecretKey};
use crate::load::LoadGate;
use crate::message::DepositId;
use crate::mpeg::Class;
use crate::sframe::Suite;
use core::net::SocketAddr;
use core::ops::Range;
use machine::{Core, Machine};
use peers::Peers;
use session::{Endpoint, Ticket, TransferState};
use thiserror::Error;

/// How many connections may wait to say what they are for.
const INCOMING: usize = 4;
/// How long a session may go without a word or a byte, milliseconds.
const IDLE_MS: u32 = 120_000;
/// What a receiver tells the sender of a recording that was altered on its way, lost bytes or has another hash: the sender then hears
/// [`TransferFailure::Damaged`]. Also for [`Terminal::stored`].
pub const DAMAGED: &str = "what arrived was altered on its way";
/// The cause of [`Terminal::refuse`] if there is nothing of the name that is wanted: the other end then hears [`TransferFailure::NoSuchRecording`].
pub const NO_SUCH_RECORDING: &str = "there is no such recording";

/// So many milliseconds after `now`, which is the application's clock; what is behind its end is never.
#[inline(never)] // as often as it is needed, a call is smaller
fn after(now: u64, milliseconds: u32) -> u64 {
    now.saturating_add(milliseconds.into())
}
const NOBODY: &[Identifier] = &[];
/// The smallest frame that a receiver may limit a sender to, bytes.
pub const MIN_FRAME: u32 = OVERHEAD as u32 + 64;

/// What a terminal is made with.
pub struct Config {
    /// What it is called.
    pub identifier: Identifier,
    /// Its static key: its identity.
    pub secret: SecretKey,
    /// The broker's static key, pinned.
    pub broker_key: PublicKey,
    /// The largest record that it takes: the buffer that the application has for each control and peer link, less two bytes for the length.
    pub max_record: MaxRecord,
    /// The largest frame that it takes, at least [`MIN_FRAME`]: the buffer that the application has for each lane, less four bytes for the length.
    pub max_frame: u32,
    /// How it seals what it sends.
    pub suite: Suite,
    /// Its control link takes the broker's questions and callers' grants. One link of a terminal does.
    pub listen: bool,
    /// Callees may be on loopback. Only if the broker is.
    pub allow_loopback: bool,
    /// When it takes callers.
    pub load: LoadGate,
}

/// A terminal with places for `SESSIONS` sessions at once and for `PEERS` terminals that it knows: those on its list and those it called.
pub type Terminal<const SESSIONS: usize, const PEERS: usize> =
    TerminalOver<[Session; SESSIONS], [Peer; PEERS]>;

/// A [`Terminal`] whose places may be anywhere, so that their number can be chosen at run time: `TerminalOver<&mut [Session], &mut [Peer]>`.
pub struct TerminalOver<S, P> {
    core: Core,
    sessions: S,
    peers: P,
}

impl<const SESSIONS: usize, const PEERS: usize> Terminal<SESSIONS, PEERS> {
    /// A terminal at rest, and the seed to store before anything else is called.
    ///
    /// `seed` is what was stored last (at first: 32 random bytes), `entropy` 32 fresh bytes from the best source there is. Secrets come from both and
    /// the static key; a seed that is used twice with the same entropy makes the same secrets twice.
    #[must_use]
    pub fn new(config: Config, seed: &[u8; 32], entropy: &[u8; 32]) -> (Self, [u8; 32]) {
        const { assert!(SESSIONS > 0 && SESSIONS < 256) }
        let sessions = core::array::from_fn(|_| Session::idle());
        Self::with(config, seed, entropy, sessions, [const { Peer::NONE }; PEERS])
    }
}

impl<'a> TerminalOver<&'a mut [Session], &'a mut [Peer]> {
    /// As [`Terminal::new`], with places that the caller keeps. What was in them is forgotten; those beyond 255 sessions are not used.
    #[must_use]
    pub fn over(
        config: Config,
        seed: &[u8; 32],
        entropy: &[u8; 32],
        sessions: &'a mut [Session],
        peers: &'a mut [Peer],
    ) -> (Self, [u8; 32]) {
        let most = sessions.len().min(255);
        let sessions = &mut sessions[..most];
        sessions.fill_with(Session::idle);
        peers.fill(Peer::NONE);
        Self::with(config, seed, entropy, sessions, peers)
    }
}

impl<S, P> TerminalOver<S, P>
where
    S: AsRef<[Session]> + AsMut<[Session]>,
    P: AsRef<[Peer]> + AsMut<[Peer]>,
{
    fn with(config: Config, seed: &[u8; 32], entropy: &[u8; 32], sessions: S, peers: P) -> (Self, [u8; 32]) {
        let (entropy, next_seed) = Entropy::new(config.secret.to_bytes(), seed, entropy, b"p2pgate terminal");
        (Self { core: Core::new(config, entropy), sessions, peers }, next_seed)
    }

    #[inline(never)] // each function of a C program's calls it
    fn machine(&mut self) -> Machine<'_> {
        Machine { core: &mut self.core, sessions: self.sessions.as_mut(), places: self.peers.as_mut() }
    }

    /// Mixes in fresh entropy, 32 bytes, at any time.
    pub fn add_entropy(&mut self, fresh: &[u8; 32]) {
        self.core.entropy.add(fresh);
    }

    // --- state that outlasts a reset ------------------------------------------------------------------------------

    /// Takes over what [`Self::blob`] gave before a reset, before [`Self::connect`].
    ///
    /// # Errors
    /// [`RestoreError`]; the list is then empty: don't go on without a person's word.
    pub fn restore(&mut self, blob: &[u8]) -> Result<(), RestoreError> {
        self.machine().peers().decode(blob)
    }

    /// Takes over the keys that `blob`, another of [`Self::blob`]'s, has for terminals without one here, and what it knows of their deposits; the list stays
    /// as it is. For several programs of one device that share what is stored: [`Self::restore`] what another has stored, then adopt one's own, so that no
    /// first-use pin is lost and nothing is collected twice.
    ///
    /// # Errors
    /// [`RestoreError`]; the keys before the damage, or as many as there is room for, are taken over.
    pub fn adopt_pins(&mut self, blob: &[u8]) -> Result<(), RestoreError> {
        self.machine().adopt_pins(blob)
    }

    /// Writes the list, the pins and the list's number, at most [`blob_size`]`(PEERS)` bytes, and gives the length.
    ///
    /// # Errors
    /// [`BlobTooSmall`].
    pub fn blob(&mut self, out: &mut [u8]) -> Result<usize, BlobTooSmall> {
        let length = self.machine().peers().encode(out)?;
        self.core.unwritten = false;
        Ok(length)
    }

    /// What [`Self::blob`] gave last outlasts a reset now. Only then is a changed list registered; what changed since that blob waits for the next.
    pub fn persisted(&mut self) {
        self.core.persisting = self.core.unwritten;
    }

    // --- this terminal --------------------------------------------------------------------------------------------

    /// This terminal's public key, which others pin.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        self.core.secret.public_key()
    }

    /// Opens the control link. Once lost it is tried again by itself.
    pub fn connect(&mut self, now: u64) {
        self.machine().control_connect(now);
    }

    /// Enrols this terminal's key with the next hello (V5).
    ///
    /// # Errors
    /// [`BadTicket`].
    pub fn enrol(&mut self, ticket: &str) -> Result<(), BadTicket> {
        let whole = !ticket.is_empty() && !ticket.contains(char::is_control);
        let ticket = Ticket::new(crate::message::SecretText::new(ticket)).filter(|_| whole);
        self.core.ticket = Some(ticket.ok_or(BadTicket)?);
        Ok(())
    }

    /// Tells where callers reach this terminal (M23, V8): up to four addresses; `0.0.0.0` or `::` stands for the address that the control link comes
    /// from. Port 0: nowhere directly, only through a tunnel. No address at all: callers are told that there is none.
    ///
    /// # Errors
    /// [`TooManyAddresses`].
    pub fn listen_at(&mut self, addresses: &[SocketAddr]) -> Result<(), TooManyAddresses> {
        if addresses.len() > self.core.addresses.capacity() {
            return Err(TooManyAddresses);
        }
        self.core.addresses = addresses.iter().copied().map(Endpoint::from).collect();
        self.core.control.address_changed();
        Ok(())
    }

    /// Tells a domain name that stands in for this terminal's address (V3), instead of [`Self::listen_at`]: the broker looks it up when a caller wants it. Writes the
    /// text to the start of `out` and gives its length: write it to the link, whole, before what [`Self::poll_transmit`] gives for that link next.
    /// [`Event::AddressKnown`] follows. Nothing of it is stored here: say it again after each [`Event::Online`].
    ///
    /// # Errors
    /// [`AnnounceError`]; nothing was said.
    pub fn announce(
        &mut self,
        name: &str,
        port: u16,
        out: &mut [u8],
    ) -> Result<(LinkId, usize), AnnounceError> {
        self.machine().announce(name, port, out)
    }

    /// The device's load, in per cent (P6).
    pub fn set_load(&mut self, percent: u8) {
        self.core.gate.set_load(percent);
    }

    /// Changes the list of permitted terminals (P2): it counts at once here, and is registered once it is stored.
    /// Sessions of callers that were struck off end. Who is put on again before the broker has heard of that comes in once it has: the list is
    /// registered without the entry first, and [`Event::Registered`] follows the second time.
    ///
    /// # Errors
    /// [`PermitError`]; the list is as it was.
    pub fn permit(&mut self, change: &Change<'_>) -> Result<(), PermitError> {
        match *change {
            Change::Create(entries) => self.permit_entries(true, &entries, &NOBODY),
            Change::Change { add, delete } => self.permit_entries(false, &add, &delete),
        }
    }

    /// [`Self::permit`] for lists that are no slices: adds, then deletes; with `replace`, `add` becomes the list.
    ///
    /// # Errors
    /// [`PermitError`]; the list is as it was.
    pub fn permit_entries(
        &mut self,
        replace: bool,
        add: &dyn Entries,
        delete: &dyn Entries,
    ) -> Result<(), PermitError> {
        self.machine().permit(replace, add, delete)
    }

    /// The terminals on the list, and the keys that they must have.
    pub fn permitted(&self) -> impl Iterator<Item = (&Identifier, Option<&PublicKey>)> {
        peers::listed(self.peers.as_ref())
    }

    /// Whether the list and the pins, as they are now, allow a session that this terminal is the callee or the collector of: by the caller's own entry or that of
    /// the group by which it came. For those who [`Self::restore`] while there are sessions; [`Self::permit`] ends by itself what must end.
    pub fn is_admitted(&mut self, session: SessionId) -> bool {
        let mut machine = self.machine();
        machine.index(session).is_some_and(|index| machine.is_admitted(index))
    }

    /// Tells the broker who is in a group of this terminal's (V4), called by this terminal's identifier, `/` and a name: adds, then deletes; with `replace`, `add`
    /// becomes the group, and without anybody in `add` it ends. Writes the text to the start of `out` and gives its length: write it to the link, whole, before
    /// what [`Self::poll_transmit`] gives for that link next. [`Event::GroupAnswered`] follows, or [`Event::Offline`].
    ///
    /// Nothing of it is stored here. Keys in `add` don't count: the broker binds members to the keys that are enrolled for them.
    ///
    /// # Errors
    /// [`GroupError`]; nothing was said.
    pub fn group(
        &mut self,
        group: &Identifier,
        replace: bool,
        add: &dyn Entries,
        delete: &dyn Entries,
        out: &mut [u8],
    ) -> Result<(LinkId, usize), GroupError> {
        self.machine().group(group, replace, add, delete, out)
    }

    /// The list's number.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.core.book.revision
    }

    /// Whether the broker has the list as it is now.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.core.book.registered == Some(self.core.book.revision) && !self.core.book.refused
    }

    /// Whether the broker relays, as far as is known (without: V14).
    #[must_use]
    pub fn broker_relays(&self) -> bool {
        self.core.control.relay
    }

    // --- sessions -------------------------------------------------------------------------------------------------

    /// Asks the broker for a callee (M6, S1101), and connects to it if it may.
    ///
    /// # Errors
    /// [`CallError`].
    pub fn call(&mut self, callee: &Identifier, now: u64) -> Result<SessionId, CallError> {
        self.machine().call(callee, now)
    }

    /// The other terminal of a session.
    #[must_use]
    pub fn peer(&self, session: SessionId) -> Option<&Identifier> {
        self.session(session)?.grant.peer.as_ref()
    }

    /// The other terminal's static key, once the peer link is up or announced.
    #[must_use]
    pub fn peer_key(&self, session: SessionId) -> Option<&PublicKey> {
        self.session(session)?.grant.key.as_ref()
    }

    fn session(&self, id: SessionId) -> Option<&Session> {
        self.sessions
            .as_ref()
            .get(usize::from(id.index))
            .filter(|session| session.generation == id.generation)
    }

    /// Offers a recording to the other end (M17). Either end may. While the other end wants one, this is the answer to that: under the name that is wanted,
    /// or any if it is the list.
    ///
    /// # Errors
    /// [`OfferError`].
    pub fn offer(&mut self, session: SessionId, offer: &Offer<'_>, now: u64) -> Result<(), OfferError> {
        self.machine().offer(session, offer, now)
    }

    /// What the other end offers, after [`Event::Offered`] and until it is accepted or refused.
    #[must_use]
    pub fn offered(&self, session: SessionId) -> Option<Offered<'_>> {
        let transfer = &self.session(session)?.open()?.transfer;
        (transfer.state == TransferState::Offered).then(|| Offered {
            name: transfer.name(),
            size: transfer.size,
            source: &transfer.source,
            hash: transfer.hash,
            fetched: transfer.fetch.is_some(),
        })
    }

    /// Whether other ends may ask this terminal for recordings ([`Event::Wanted`]). At first they may not: what they ask for is refused.
    pub fn share(&mut self, share: bool) {
        self.core.share = share;
    }

    /// Asks the other end for a recording, or without a name for the list of its recordings. Either end may; [`Event::Offered`] follows, with
    /// [`Offered::fetched`], or [`Event::TransferFailed`].
    ///
    /// # Errors
    /// [`FetchError`].
    pub fn fetch(&mut self, session: SessionId, name: Option<&str>, now: u64) -> Result<(), FetchError> {
        self.machine().fetch(session, name, now)
    }

    /// What the other end asks for, after [`Event::Wanted`] and until it is offered or refused.
    #[must_use]
    pub fn wanted(&self, session: SessionId) -> Option<Wanted<'_>> {
        let transfer = &self.session(session)?.open()?.transfer;
        let name = Some(transfer.name()).filter(|name| !name.is_empty());
        (transfer.state == TransferState::Wanted).then_some(Wanted { name })
    }

    /// Has the broker keep a recording for the callee (the yes to M19), after [`Event::DepositOffered`]: [`Event::Ready`] says where to begin.
    /// All of it is of the class sealed.
    ///
    /// # Errors
    /// [`DepositError`].
    pub fn deposit(
        &mut self,
        session: SessionId,
        deposit: &Deposit<'_>,
        now: u64,
    ) -> Result<(), DepositError> {
        self.machine().deposit(session, deposit, now)
    }

    /// The no to M19, after [`Event::DepositOffered`]: [`Event::Denied`] follows.
    ///
    /// # Errors
    /// [`OutOfTurn`].
    pub fn decline_deposit(&mut self, session: SessionId, now: u64) -> Result<(), OutOfTurn> {
        self.machine().decline_deposit(session, now)
    }

    /// Begins a deposit's next part, when [`Self::seal`] or [`Self::seal_end`] says [`FrameError::PartDue`]: writes its header to the start of `buffer`, at
    /// most [`MAX_PART_HEADER`](crate::link::MAX_PART_HEADER) bytes, and gives them as [`Self::seal`] gives a frame. `name` is the recording's, for people: one path
    /// component of at most [`MAX_NAME`] bytes, the same for each part and after each resumption.
    ///
    /// # Errors
    /// [`FrameError`]; with [`FrameError::NotYet`] wait for [`Event::DepositKept`].
    pub fn seal_part(
        &mut self,
        session: SessionId,
        name: &str,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        self.machine().seal_part(session, name, buffer, now)
    }

    /// Asks the broker for this terminal's deposits: [`Step::Deposit`] for each, then [`Event::DepositsListed`]. [`Event::Offline`] ends it.
    ///
    /// # Errors
    /// [`AskError`].
    pub fn list_deposits(&mut self) -> Result<(), AskError> {
        self.machine().list_deposits()
    }

    /// Takes back a deposit of this terminal's, or declines for good one that was made for it: [`Event::DepositWithdrawn`] follows, or [`Event::Offline`].
    ///
    /// # Errors
    /// [`AskError`].
    pub fn withdraw_deposit(&mut self, deposit: &DepositId) -> Result<(), AskError> {
        self.machine().withdraw_deposit(*deposit)
    }

    /// Who has deposited something for this terminal that it hasn't collected yet (P11): one deposit of each caller.
    pub fn depositors(&self) -> impl Iterator<Item = (&Identifier, &DepositId)> {
        peers::depositors(self.peers.as_ref())
    }

    /// The deposit that a session collects, after [`Event::Collecting`].
    #[must_use]
    pub fn deposit_of(&self, session: SessionId) -> Option<&DepositId> {
        self.session(session)?.collects()
    }

    /// Tries again at once what could not be collected or was refused, instead of after the next connection to the broker.
    pub fn collect_again(&mut self) {
        self.machine().collect_again();
    }

    /// Takes what is offered, from byte `offset` on (M18).
    ///
    /// # Errors
    /// [`OutOfTurn`]; also if `offset` is over the recording's length.
    pub fn accept(&mut self, session: SessionId, offset: u64, now: u64) -> Result<(), OutOfTurn> {
        self.machine().accept_offer(session, offset, now)
    }

    /// Refuses what is offered or wanted (M18); `cause` is for the other end's people, see [`NO_SUCH_RECORDING`].
    ///
    /// # Errors
    /// [`OutOfTurn`].
    pub fn refuse(&mut self, session: SessionId, cause: &'static str, now: u64) -> Result<(), OutOfTurn> {
        self.machine().refuse_offer(session, cause, now)
    }

    /// The most payload bytes of one frame in this session's transfer, after [`Event::Ready`].
    #[must_use]
    pub fn max_payload(&mut self, session: SessionId) -> usize {
        self.machine().max_payload(session)
    }

    /// Makes the frame of a piece of the recording, in place. `buffer` is [`crate::lane::HEADROOM`] bytes, the piece's bytes, and
    /// [`crate::lane::TAILROOM`] bytes. Gives the lane's link and the part of `buffer` to write to it, whole, before the next frame in source order.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn seal(
        &mut self,
        session: SessionId,
        piece: Piece,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        self.machine().seal(session, piece, buffer, now)
    }

    /// Makes the end frame of a class's lane: once for each class that has one, after all else. `segments` is the number of segments; `hash` the recording's
    /// SHA-256 if it was offered. `buffer` has room for [`crate::lane::HEADROOM`], 32 and [`crate::lane::TAILROOM`] bytes.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn seal_end(
        &mut self,
        session: SessionId,
        class: Class,
        segments: u64,
        hash: Option<&[u8; 32]>,
        buffer: &mut [u8],
        now: u64,
    ) -> Result<(LinkId, Range<usize>), FrameError> {
        self.machine().seal_end(session, class, segments, hash, buffer, now)
    }

    /// After [`Event::Arrived`]: the recording is stored where it lasts, or why it isn't. The sender is told.
    ///
    /// # Errors
    /// [`OutOfTurn`].
    pub fn stored(
        &mut self,
        session: SessionId,
        stored: Result<(), &'static str>,
        now: u64,
    ) -> Result<(), OutOfTurn> {
        self.machine().stored(session, stored, now)
    }

    /// Gives up a session's transfer; the session stays. `cause` is for the other end's people.
    ///
    /// # Errors
    /// [`OutOfTurn`].
    pub fn abandon(&mut self, session: SessionId, cause: &'static str, now: u64) -> Result<(), OutOfTurn> {
        self.machine().abandon(session, cause, now)
    }

    /// Ends a session at once: what [`Self::poll_transmit`] has not given yet, such as the word after [`Self::stored`], is not sent. Unknown sessions
    /// have ended already.
    pub fn close(&mut self, session: SessionId) {
        let mut machine = self.machine();
        if let Some(index) = machine.index(session) {
            machine.end_session(index, ClosedCause::Here);
        }
    }

    // --- I/O ------------------------------------------------------------------------------------------------------

    /// A connection came in.
    ///
    /// # Errors
    /// [`AcceptError`]: close it.
    pub fn accepted(&mut self, now: u64) -> Result<LinkId, AcceptError> {
        self.machine().accepted(now)
    }

    /// The connection that [`Event::Connect`] asked for is there.
    pub fn link_opened(&mut self, link: LinkId, now: u64) {
        self.machine().link_opened(link, now);
    }

    /// A connection could not be opened, or has ended: everything that it brought has been handed in.
    pub fn link_closed(&mut self, link: LinkId, now: u64) {
        self.machine().link_closed(link, now);
    }

    /// Takes what arrived on a link, opening it in place. See [`Step`] for what follows.
    pub fn handle_input(&mut self, link: LinkId, bytes: &mut [u8], now: u64) -> Input {
        self.machine().handle_input(link, bytes, now)
    }

    /// Writes the next bytes for a link to `out` and gives how many; 0: nothing for now. 1,200 bytes are room for everything but a long list.
    ///
    /// # Errors
    /// [`TransmitError`]; nothing is lost.
    pub fn poll_transmit(&mut self, link: LinkId, out: &mut [u8], now: u64) -> Result<usize, TransmitError> {
        self.machine().poll_transmit(link, out, now)
    }

    /// When [`Self::handle_timeout`] is to be called next, if nothing else is called before.
    #[must_use]
    pub fn poll_timeout(&mut self) -> Option<u64> {
        self.machine().poll_timeout()
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: u64) {
        self.machine().handle_timeout(now);
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.core.poll_event();
        self.machine().end_struck();
        event
    }
}

impl Machine<'_> {
    fn permit(&mut self, replace: bool, add: &dyn Entries, delete: &dyn Entries) -> Result<(), PermitError> {
        self.peers().change(replace, add, delete)?;
        if self.core.control.is_registering() {
            // The broker is about to have what this change may undo: differences don't tell that.
            self.core.book.whole = true;
        }
        self.persist();
        self.core.struck = true;
        self.end_struck();
        Ok(())
    }

    /// Whether the list and the pins allow a session with its caller, or with its depositor.
    fn is_admitted(&mut self, index: usize) -> bool {
        let Self { core, sessions, places } = self;
        let session = &sessions[index];
        let Some(peer) = session.grant.peer.as_ref().map(Identifier::as_str) else { return true };
        let peers = Peers::new(places, &mut core.book);
        let fits = session.grant.key.is_none_or(|key| peers.key_fits(peer, &key));
        // A collection goes on as long as it keeps its place, whoever else is put on the list or struck off: without that nobody would remember that it was
        // done. Where the depositor still is permitted, the broker tells of it again.
        fits && session
            .collects()
            .map_or_else(|| peers.admits(peer, session.grant.group), |deposit| peers.waits(deposit))
    }

    /// Ends the sessions of callers that were struck off or must have another key: as many at once as there is room for their events.
    fn end_struck(&mut self) {
        if !core::mem::take(&mut self.core.struck) {
            return;
        }
        for index in 0..self.sessions.len() {
            if !self.sessions[index].is_accepted() || self.is_admitted(index) {
                continue;
            }
            if !self.core.has_room() {
                self.core.struck = true;
                return;
            }
            self.end_session(index, ClosedCause::Withdrawn);
        }
    }
}

/// No call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CallError {
    /// The callee is this terminal itself.
    #[error("a terminal can't call itself; give another identifier")]
    Oneself,
    /// The control link is not up.
    #[error("the broker is not connected; wait for it")]
    Offline,
    /// All places for sessions are taken.
    #[error("all sessions are in use; wait until one ends")]
    NoSession,
    /// There is no place to remember the callee's key.
    #[error("too many terminals are known; strike one off the list")]
    TooManyPeers,
}

/// The connection was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum AcceptError {
    /// Too many connections have not yet said what they are for.
    #[error("{most} connections wait to say what they are for; close this one")]
    Full {
        /// How many may.
        most: usize,
    },
}

/// The text can't be a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a ticket is a line of 1 to 64 bytes; copy it as the operator printed it")]
pub struct BadTicket;

/// More addresses than a message holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a terminal tells at most four addresses; leave some out")]
pub struct TooManyAddresses;
