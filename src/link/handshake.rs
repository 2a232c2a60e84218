//! The two handshakes, message by message.

use super::noise::Suite;
use super::preamble::Handle;
use super::record::{PREFIX, is_whole};
use super::{
    MAX_PREAMBLE, MINIMUM_VERSION, MaxRecord, Preamble, Psk, PublicKey, SecretKey, Transport, VERSION,
};
use crate::secret::Secret;
use core::ops::Range;
use noise_protocol::ErrorKind;
use noise_protocol::patterns::{HandshakePattern, noise_ik, noise_kk_psk0};
use zeroize::{Zeroize, Zeroizing};

/// The longest payload of a peer link's handshake message, bytes: so every message fits into [`MaxRecord::MIN`], which
/// each side takes, and the stack that a handshake needs stays small.
pub const MAX_HANDSHAKE_PAYLOAD: usize = 448;

/// The longest identifier that a peer link's prologue takes, bytes of UTF-8.
pub const MAX_IDENTIFIER: usize = 255;

/// The versions that this library speaks, as message 2 says them.
const VERSIONS: &[u8] = &[VERSION];
const _: () = assert!(VERSION >= MINIMUM_VERSION);

/// Longest message, bytes.
const MESSAGE: usize = MaxRecord::MIN.get() as usize;

/// Longest message 2 payload that is written: versions, largest record, the caller's own.
const ANSWER: usize = 1 + VERSIONS.len() + 2 + MAX_HANDSHAKE_PAYLOAD;

/// Longest prologue: preamble and two identifiers, or what a deposit's part is bound to, each with its length.
const PROLOGUE: usize = 2 * (2 + MAX_IDENTIFIER) + max(2 + MAX_PREAMBLE, 2 + 17 + 2 + 16 + 2 + 4 + 2 + 8);

const fn max(a: usize, b: usize) -> usize {
    if a > b { a } else { b }
}

/// What both ends of a peer link know of it beforehand: the grant (M11, M12) and the other's pinned key.
#[derive(Clone, Copy)]
pub struct PeerGrant<'a> {
    /// The grant's random handle.
    pub handle: Handle,
    /// The caller's identifier, at most [`MAX_IDENTIFIER`] bytes.
    pub caller: &'a str,
    /// The callee's identifier, at most [`MAX_IDENTIFIER`] bytes.
    pub callee: &'a str,
    /// The other side's static key.
    pub remote: &'a PublicKey,
    /// The grant's Encrypt Key.
    pub psk: &'a Psk,
}

/// One attempt at a handshake, for one connection: the initiator writes, then reads; the responder reads, then writes;
/// then both [`finish`](Self::finish). Whatever was wrong with a message ends the attempt.
///
/// The secret keys inside are zeroized on drop.
pub struct Handshake {
    state: Suite,
    /// A peer link's key, until message 1 takes it.
    psk: Option<Psk>,
    /// On a peer link the grant's handle.
    handle: Option<Handle>,
    ours: MaxRecord,
    /// Known to the responder from the preamble, to the initiator from message 2.
    theirs: Option<MaxRecord>,
    failed: bool,
}

impl Handshake {
    /// A terminal's side of a control link, with its broker's pinned key. `max_record` is what the terminal takes;
    /// `ephemeral` is 32 fresh random bytes, never used before.
    pub fn control_initiator(
        own: &SecretKey,
        broker: &PublicKey,
        max_record: MaxRecord,
        ephemeral: [u8; 32],
    ) -> Self {
        let mut prologue = Prologue::new();
        prologue.preamble(&Preamble::Control { max_record });
        let state = prologue.start(noise_ik(), true, own, Some(broker), ephemeral);
        Self { state, psk: None, handle: None, ours: max_record, theirs: None, failed: false }
    }

    /// A broker's side of a control link that opened with `preamble`. `max_record` is what the broker takes;
    /// `ephemeral` is 32 fresh random bytes, never used before.
    ///
    /// # Errors
    /// [`SetupError::Preamble`] if the preamble is for another role.
    pub fn control_responder(
        preamble: &Preamble,
        own: &SecretKey,
        max_record: MaxRecord,
        ephemeral: [u8; 32],
    ) -> Result<Self, SetupError> {
        let &Preamble::Control { max_record: theirs } = preamble else {
            return Err(SetupError::Preamble);
        };
        let mut prologue = Prologue::new();
        prologue.preamble(preamble);
        let state = prologue.start(noise_ik(), false, own, None, ephemeral);
        Ok(Self { state, psk: None, handle: None, ours: max_record, theirs: Some(theirs), failed: false })
    }

    /// A caller's side of a peer link (S1107). `max_record` is what the caller takes; `ephemeral` is 32 fresh random
    /// bytes, never used before: each candidate address gets its own.
    ///
    /// # Errors
    /// [`SetupError::Identifier`] if an identifier is too long.
    pub fn peer_initiator(
        own: &SecretKey,
        grant: &PeerGrant<'_>,
        max_record: MaxRecord,
        ephemeral: [u8; 32],
    ) -> Result<Self, SetupError> {
        Self::peer(own, grant, max_record, None, ephemeral)
    }

    /// A callee's side of a peer link that opened with `preamble` (S1301), whose handle is the grant's. `max_record`
    /// is what the callee takes; `ephemeral` is 32 fresh random bytes, never used before.
    ///
    /// # Errors
    /// [`SetupError::Preamble`] if the preamble is for another role or grant, [`SetupError::Identifier`] if an
    /// identifier is too long.
    pub fn peer_responder(
        preamble: &Preamble,
        own: &SecretKey,
        grant: &PeerGrant<'_>,
        max_record: MaxRecord,
        ephemeral: [u8; 32],
    ) -> Result<Self, SetupError> {
        match *preamble {
            Preamble::Peer { max_record: theirs, handle } if handle == grant.handle => {
                Self::peer(own, grant, max_record, Some(theirs), ephemeral)
            }
            _ => Err(SetupError::Preamble),
        }
    }

    /// Either side of a peer link: the responder has `theirs`.
    fn peer(
        own: &SecretKey,
        grant: &PeerGrant<'_>,
        ours: MaxRecord,
        theirs: Option<MaxRecord>,
        ephemeral: [u8; 32],
    ) -> Result<Self, SetupError> {
        let mut prologue = Prologue::new();
        prologue.preamble(&Preamble::Peer { max_record: theirs.unwrap_or(ours), handle: grant.handle });
        for identifier in [grant.caller, grant.callee] {
            if identifier.len() > MAX_IDENTIFIER {
                return Err(SetupError::Identifier);
            }
            prologue.add(identifier.as_bytes());
        }
        let state = prologue.start(noise_kk_psk0(), theirs.is_none(), own, Some(grant.remote), ephemeral);
        Ok(Self {
            state,
            psk: Some(grant.psk.clone()),
            handle: Some(grant.handle),
            ours,
            theirs,
            failed: false,
        })
    }

    /// The longest payload that the messages take: 0 on a control link, [`MAX_HANDSHAKE_PAYLOAD`] on a peer link.
    pub fn max_payload(&self) -> usize {
        if self.handle.is_some() { MAX_HANDSHAKE_PAYLOAD } else { 0 }
    }

    /// Writes this side's message as one record to the start of `out`, the initiator's behind the preamble, and gives
    /// the length of all of it. On a peer link `payload` is M13's text for the initiator, its answer (M14) for the
    /// responder; on a control link it is empty.
    ///
    /// # Errors
    /// [`HandshakeError`]. After `OutOfTurn`, `BufferTooSmall` and `PayloadTooLong` nothing has changed; any other ends
    /// the attempt.
    pub fn write(&mut self, payload: &[u8], out: &mut [u8]) -> Result<usize, HandshakeError> {
        self.check_turn(true)?;
        let max = self.max_payload();
        if payload.len() > max {
            return Err(HandshakeError::PayloadTooLong { max });
        }
        let mut preamble = [0; MAX_PREAMBLE];
        let mut answer = Zeroizing::new([0; ANSWER]);
        let (preamble, payload) = if self.state.get_is_initiator() {
            let opening = match self.handle {
                Some(handle) => Preamble::Peer { max_record: self.ours, handle },
                None => Preamble::Control { max_record: self.ours },
            };
            let length = opening.encode(&mut preamble).unwrap_or(0);
            (&preamble[..length], payload)
        } else {
            (&[][..], encode_answer(self.ours, payload, &mut answer))
        };

        let length = payload.len() + self.state.get_next_message_overhead();
        let start = preamble.len() + PREFIX;
        let needed = start + length;
        let out = out.get_mut(..needed).ok_or(HandshakeError::BufferTooSmall { needed })?;
        out[..preamble.len()].copy_from_slice(preamble);
        // At most `MESSAGE`: nothing is cut off.
        out[preamble.len()..start].copy_from_slice(&(length as u16).to_be_bytes());
        let written = self.with_psk(|state| state.write_message(payload, &mut out[start..]));
        if written.is_err() {
            // What was written so far must not go out.
            out.fill(0);
        }
        written?;
        Ok(needed)
    }

    /// Reads the other side's message from one whole record, length prefix included, and gives where in it the payload
    /// is, opened in place.
    ///
    /// # Errors
    /// [`HandshakeError`]. After `OutOfTurn` nothing has changed; any other ends the attempt: close the connection.
    pub fn read(&mut self, record: &mut [u8]) -> Result<Range<usize>, HandshakeError> {
        self.check_turn(false)?;
        let result = self.read_next(record);
        self.failed |= result.is_err();
        result
    }

    fn read_next(&mut self, record: &mut [u8]) -> Result<Range<usize>, HandshakeError> {
        let overhead = self.state.get_next_message_overhead();
        if !is_whole(record, MaxRecord::MIN) || record.len() < PREFIX + overhead {
            return Err(HandshakeError::Malformed);
        }
        // Noise wants a second buffer: the copy is of the ciphertext, so nothing secret is left on the stack.
        let mut copy = [0; MESSAGE];
        let message = &mut copy[..record.len() - PREFIX];
        message.copy_from_slice(&record[PREFIX..]);
        let end = record.len() - overhead;
        self.with_psk(|state| state.read_message(message, &mut record[PREFIX..end]))?;

        let payload = &record[PREFIX..end];
        let start = if self.state.get_is_initiator() {
            let (max_record, used) = parse_answer(payload)?;
            self.theirs = Some(max_record);
            PREFIX + used
        } else {
            PREFIX
        };
        if end - start > self.max_payload() {
            return Err(HandshakeError::Malformed);
        }
        Ok(start..end)
    }

    /// Runs the step that takes the pre-shared key, if there is one. It lies in the state no longer than that: the
    /// state keeps the bytes of a key that it has used, and would not clear them.
    fn with_psk(
        &mut self,
        step: impl FnOnce(&mut Suite) -> Result<(), noise_protocol::Error>,
    ) -> Result<(), HandshakeError> {
        let psk = self.psk.take();
        if let Some(psk) = &psk {
            self.state.push_psk(psk.expose());
        }
        let result = step(&mut self.state);
        if psk.is_some() {
            self.state.push_psk(&[0; 32]);
        }
        self.failed |= result.is_err();
        result.map_err(|error| match error.kind() {
            ErrorKind::DH => HandshakeError::KeyRefused,
            _ => HandshakeError::Authentication,
        })
    }

    /// The other side's static key: the pinned one, or on a broker the one that a valid message 1 came with.
    ///
    /// A message 1 can be a replay: the key is proven once the first transport record opens. Until then nothing may
    /// be displaced, started, disclosed or spent on its account.
    pub fn remote_static(&self) -> Option<PublicKey> {
        if self.failed { None } else { self.state.get_rs().map(PublicKey::new) }
    }

    /// Whether both messages are through.
    pub fn is_complete(&self) -> bool {
        !self.failed && self.state.completed()
    }

    /// The transport, once both messages are through.
    ///
    /// # Errors
    /// `OutOfTurn` if they aren't, `Failed` if one was wrong.
    pub fn finish(self) -> Result<Transport, HandshakeError> {
        let theirs = match self.theirs {
            _ if self.failed => return Err(HandshakeError::Failed),
            Some(theirs) if self.state.completed() => theirs,
            _ => return Err(HandshakeError::OutOfTurn),
        };
        let (initiator, responder) = self.state.get_ciphers();
        let (send, receive) =
            if self.state.get_is_initiator() { (initiator, responder) } else { (responder, initiator) };
        Ok(Transport::new(send, receive, self.ours, theirs))
    }

    fn check_turn(&self, write: bool) -> Result<(), HandshakeError> {
        if self.failed {
            Err(HandshakeError::Failed)
        } else if self.state.completed() || self.state.is_write_turn() != write {
            Err(HandshakeError::OutOfTurn)
        } else {
            Ok(())
        }
    }
}

/// Message 2's payload: number of versions and the versions (a byte each), largest record (`u16` big-endian), then the
/// caller's own.
fn encode_answer<'a>(max_record: MaxRecord, payload: &[u8], out: &'a mut [u8; ANSWER]) -> &'a [u8] {
    let (head, rest) = out.split_at_mut(ANSWER - MAX_HANDSHAKE_PAYLOAD);
    head[0] = VERSIONS.len() as u8;
    head[1..=VERSIONS.len()].copy_from_slice(VERSIONS);
    head[1 + VERSIONS.len()..].copy_from_slice(&max_record.get().to_be_bytes());
    rest[..payload.len()].copy_from_slice(payload);
    let length = head.len() + payload.len();
    &out[..length]
}

/// The responder's largest record, and the length of what stands before the caller's own.
fn parse_answer(payload: &[u8]) -> Result<(MaxRecord, usize), HandshakeError> {
    let (&count, rest) = payload.split_first().ok_or(HandshakeError::Malformed)?;
    let (versions, rest) = rest.split_at_checked(count.into()).ok_or(HandshakeError::Malformed)?;
    let max_record = rest.first_chunk().ok_or(HandshakeError::Malformed)?;
    // Whoever made the two sides fall back to less than both can do gains nothing by it.
    if best_common(VERSIONS, versions) != Some(VERSION) {
        return Err(HandshakeError::Version);
    }
    let max_record = MaxRecord::new(u16::from_be_bytes(*max_record)).ok_or(HandshakeError::Malformed)?;
    Ok((max_record, 1 + versions.len() + 2))
}

/// The highest version that both lists have.
pub(super) fn best_common(ours: &[u8], theirs: &[u8]) -> Option<u8> {
    ours.iter().copied().filter(|version| theirs.contains(version)).max()
}

/// Collects the prologue: each part with its length (`u16` big-endian) before it.
pub(super) struct Prologue {
    bytes: [u8; PROLOGUE],
    length: usize,
}

impl Prologue {
    pub(super) fn new() -> Self {
        Self { bytes: [0; PROLOGUE], length: 0 }
    }

    fn preamble(&mut self, preamble: &Preamble) {
        let mut bytes = [0; MAX_PREAMBLE];
        let length = preamble.encode(&mut bytes).unwrap_or(0);
        self.add(&bytes[..length]);
    }

    /// `PROLOGUE` has room for whatever is ever added: identifiers are of checked length.
    pub(super) fn add(&mut self, part: &[u8]) {
        let rest = &mut self.bytes[self.length..];
        rest[..2].copy_from_slice(&(part.len() as u16).to_be_bytes());
        rest[2..2 + part.len()].copy_from_slice(part);
        self.length += 2 + part.len();
    }

    pub(super) fn start(
        self,
        pattern: HandshakePattern,
        initiator: bool,
        own: &SecretKey,
        remote: Option<&PublicKey>,
        mut ephemeral: [u8; 32],
    ) -> Suite {
        let secret = Secret::new(ephemeral);
        ephemeral.zeroize();
        let remote = remote.map(|key| *key.as_bytes());
        let prologue = &self.bytes[..self.length];
        Suite::new(pattern, initiator, prologue, Some(own.0.clone()), Some(secret), remote, None)
    }
}

/// A handshake could not be set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The preamble is for another role or another grant's handle.
    #[error("the connection's preamble is for another role or grant; close the connection")]
    Preamble,
    /// An identifier is too long.
    #[error("the caller's or callee's identifier is over {MAX_IDENTIFIER} bytes; use a shorter one")]
    Identifier,
}

/// A handshake message could not be written or read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandshakeError {
    /// It is the other side's turn, or both messages are through, or `finish` came before they were.
    #[error("this handshake step is out of turn; write, read and finish in the pattern's order")]
    OutOfTurn,
    /// The output is too small.
    #[error("the output buffer is too small for the handshake message; it takes {needed} bytes")]
    BufferTooSmall {
        /// The bytes that it takes.
        needed: usize,
    },
    /// The payload is too long.
    #[error("the handshake payload is over {max} bytes; send the rest once the link is up")]
    PayloadTooLong {
        /// The longest payload, bytes.
        max: usize,
    },
    /// The message is not one whole record, or its length or payload is wrong.
    #[error("the other side's handshake message is malformed; close the connection")]
    Malformed,
    /// The message fails to open: wrong key, wrong grant, other identifiers or preamble, or changed on its way.
    #[error("the other side has not the expected key or grant, or its message was changed; check both keys")]
    Authentication,
    /// The other side's key is of low order: no secret can be agreed with it.
    #[error(
        "the other side's key is one that gives no secret; close the connection and don't trust that key"
    )]
    KeyRefused,
    /// Both sides could speak a better version than the preamble's, or have none in common.
    #[error(
        "the other side's versions don't allow version {VERSION}; somebody interferes, or one side needs an update"
    )]
    Version,
    /// An earlier message was wrong.
    #[error("the handshake has failed before; connect again")]
    Failed,
}
