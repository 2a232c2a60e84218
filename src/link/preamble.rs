//! The clear preamble that opens every connection.

use super::{LaneToken, MaxRecord};

/// The protocol version that this library speaks.
pub const VERSION: u8 = 1;

/// The oldest version that is still accepted, pinned: nothing older is ever spoken, whatever the other side offers.
pub const MINIMUM_VERSION: u8 = 1;

/// Length of the longest preamble, bytes.
pub const MAX_PREAMBLE: usize = 40;

const MAGIC: [u8; 4] = *b"P2PG";
const BASE: usize = 8;
const CONTROL: u8 = 1;
const PEER: u8 = 2;
const LANE: u8 = 3;

/// A grant's random handle: tells the callee which grant a peer link is for, and nobody else anything.
pub type Handle = [u8; 16];

/// What a connection is for, said in clear by the side that connects.
///
/// `"P2PG"`, version (1 byte), role (1: control, 2: peer, 3: lane), the largest record that the connecting side takes
/// (`u16` big-endian; 0 for a lane); then a peer link's handle (16 bytes) or a lane's token (32 bytes).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Preamble {
    /// A terminal's link to its broker.
    Control {
        /// The largest record that the terminal takes.
        max_record: MaxRecord,
    },
    /// A caller's link to the callee.
    Peer {
        /// The largest record that the caller takes.
        max_record: MaxRecord,
        /// Which grant.
        handle: Handle,
    },
    /// A lane for one transfer's frames.
    Lane {
        /// The one-time token that was issued for it.
        token: LaneToken,
    },
}

/// How far [`Preamble::parse`] got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A whole preamble, and how many bytes it took.
    Complete(Preamble, usize),
    /// All good so far: call again with at least this many bytes, counted from the connection's first.
    NeedMore(usize),
}

impl Preamble {
    /// Parses the first bytes of a connection. What is wrong is refused at the first byte that shows it.
    ///
    /// # Errors
    /// [`PreambleError`]: close the connection.
    pub fn parse(bytes: &[u8]) -> Result<Parsed, PreambleError> {
        if bytes.iter().zip(&MAGIC).any(|(byte, magic)| byte != magic) {
            return Err(PreambleError::Magic);
        }
        match bytes.get(4) {
            Some(&version) if !(MINIMUM_VERSION..=VERSION).contains(&version) => {
                return Err(PreambleError::Version { version });
            }
            _ => {}
        }
        let total = match bytes.get(5) {
            None | Some(&CONTROL) => BASE,
            Some(&PEER) => BASE + 16,
            Some(&LANE) => BASE + 32,
            Some(&role) => return Err(PreambleError::Role { role }),
        };
        let Some((base, rest)) = bytes.split_first_chunk::<BASE>() else {
            return Ok(Parsed::NeedMore(total));
        };
        let max_record = u16::from_be_bytes([base[6], base[7]]);
        let role = base[5];
        let announced = MaxRecord::new(max_record);
        let preamble = match (role, announced, rest.first_chunk(), rest.first_chunk()) {
            (CONTROL, Some(max_record), ..) => Preamble::Control { max_record },
            (PEER, Some(max_record), Some(&handle), _) => Preamble::Peer { max_record, handle },
            (LANE, None, _, Some(&token)) if max_record == 0 => {
                Preamble::Lane { token: LaneToken::new(token) }
            }
            (PEER, Some(_), ..) => return Ok(Parsed::NeedMore(total)),
            (LANE, ..) if max_record == 0 => return Ok(Parsed::NeedMore(total)),
            _ => return Err(PreambleError::MaxRecord { max_record }),
        };
        Ok(Parsed::Complete(preamble, total))
    }

    /// Writes the preamble to the start of `out` and gives its length: 8, 24 or 40 bytes.
    ///
    /// # Errors
    /// [`PreambleBufferTooSmall`]; nothing is written.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, PreambleBufferTooSmall> {
        let (role, max_record, rest): (u8, u16, &[u8]) = match self {
            Preamble::Control { max_record } => (CONTROL, max_record.get(), &[]),
            Preamble::Peer { max_record, handle } => (PEER, max_record.get(), handle),
            Preamble::Lane { token } => (LANE, 0, token.expose()),
        };
        let needed = BASE + rest.len();
        let out = out.get_mut(..needed).ok_or(PreambleBufferTooSmall { needed })?;
        out[..4].copy_from_slice(&MAGIC);
        out[4] = VERSION;
        out[5] = role;
        out[6..BASE].copy_from_slice(&max_record.to_be_bytes());
        out[BASE..].copy_from_slice(rest);
        Ok(needed)
    }
}

/// A connection opened with something else than a preamble of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// The first bytes are another protocol's.
    #[error(
        "the connecting side speaks another protocol; close the connection and check its address and port"
    )]
    Magic,
    /// The version is older than the pinned minimum or newer than ours.
    #[error(
        "the connecting side speaks version {version}, not {MINIMUM_VERSION} to {VERSION}; update the older one"
    )]
    Version {
        /// The version that it announced.
        version: u8,
    },
    /// The role is none that exists.
    #[error("the connecting side announced unknown role {role}; close the connection")]
    Role {
        /// The role that it announced.
        role: u8,
    },
    /// The largest record is under 512 bytes, or not 0 for a lane.
    #[error(
        "the connecting side announced records of at most {max_record} bytes, which its role may not; close it"
    )]
    MaxRecord {
        /// The size that it announced, bytes.
        max_record: u16,
    },
}

/// The buffer for a preamble is too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the output buffer is too small for the preamble; it takes {needed} bytes")]
pub struct PreambleBufferTooSmall {
    /// The bytes that it takes.
    pub needed: usize,
}
