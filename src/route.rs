//! Which way a recording's data goes: attribute, size and kind to paths (rows P8, V10a–V10c; steps S2301–S2306).

pub use crate::mpeg::{Class, Selection};

/// What the owner says of a recording (P8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attribute {
    /// All of it encrypted, through the broker where the broker relays.
    Confidential,
    /// All of it straight to the callee, authenticated but readable on the way.
    Public,
    /// What the [`Selection`] says (I-pictures unless the owner wants more) and all that is undecided encrypted through
    /// the broker, the rest direct and readable (V10b).
    Split,
    /// By size: small recordings encrypted through the broker, large ones encrypted and direct (V10a).
    BySize,
}

impl Selection {
    /// Each selection. Those before [`Selection::IntraBlocks`] seal what those before them seal.
    pub const EACH: [Self; 5] =
        [Self::Intra, Self::IntraAndSecondField, Self::Anchors, Self::All, Self::IntraBlocks];

    /// What owners call it: `intra`, `intra+second-field`, `anchors`, `all` or `intra-blocks`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Intra => "intra",
            Self::IntraAndSecondField => "intra+second-field",
            Self::Anchors => "anchors",
            Self::All => "all",
            Self::IntraBlocks => "intra-blocks",
        }
    }

    /// The selection of this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|selection| selection.name() == name)
    }
}

/// The way that a lane takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// A connection between caller and callee.
    Direct,
    /// Through the broker, which joins two connections.
    Relay,
}

/// What a lane's frames hide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    /// Encrypted and authenticated, end to end.
    Sealed,
    /// Authenticated, readable on the way.
    Clear,
}

/// One class's lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Way {
    /// The path of the lane.
    pub path: Path,
    /// The protection of its frames.
    pub protection: Protection,
}

impl Way {
    /// Encrypted, through the broker.
    pub const RELAY_SEALED: Self = Self { path: Path::Relay, protection: Protection::Sealed };
    /// Encrypted, straight to the other terminal.
    pub const DIRECT_SEALED: Self = Self { path: Path::Direct, protection: Protection::Sealed };
    /// Readable, straight to the other terminal.
    pub const DIRECT_CLEAR: Self = Self { path: Path::Direct, protection: Protection::Clear };
}

/// What the route depends on besides the attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conditions {
    /// The recording's size in bytes.
    pub size: u64,
    /// [`Attribute::BySize`]: below this many bytes through the broker (V10a).
    pub relay_below: u64,
    /// The broker relays; without it (V14) sealed data goes direct.
    pub relay: bool,
}

/// The lanes of a transfer: for each class that the recording has, the way it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The way of the class [`Class::Sealed`].
    pub sealed: Option<Way>,
    /// The way of the class [`Class::Rest`].
    pub rest: Option<Way>,
}

impl Route {
    /// Decides the route of a recording (P8: confidential → encrypted, through the broker; otherwise straight to the callee).
    #[must_use]
    pub const fn decide(attribute: Attribute, conditions: Conditions) -> Self {
        let sealed = if conditions.relay { Way::RELAY_SEALED } else { Way::DIRECT_SEALED };
        match attribute {
            Attribute::Confidential => Self { sealed: Some(sealed), rest: None },
            Attribute::BySize if conditions.size < conditions.relay_below => {
                Self { sealed: Some(sealed), rest: None }
            }
            Attribute::BySize => Self { sealed: Some(Way::DIRECT_SEALED), rest: None },
            Attribute::Public => Self { sealed: None, rest: Some(Way::DIRECT_CLEAR) },
            Attribute::Split => Self { sealed: Some(sealed), rest: Some(Way::DIRECT_CLEAR) },
        }
    }

    /// The same route where the two terminals have no direct connection: every lane goes through the broker, and so is sealed.
    /// No change of path ever lowers protection.
    #[must_use]
    pub fn tunnelled(self) -> Self {
        let through = |way: Option<Way>| way.map(|_| Way::RELAY_SEALED);
        Self { sealed: through(self.sealed), rest: through(self.rest) }
    }

    /// The way of a class, if the transfer has it.
    #[must_use]
    pub const fn way(&self, class: Class) -> Option<Way> {
        match class {
            Class::Sealed => self.sealed,
            Class::Rest => self.rest,
        }
    }
}
