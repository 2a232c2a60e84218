//! The names of all `Name:value` lines, once, for parsing and encoding.

macro_rules! names {
    ($($name:ident = $text:literal,)*) => {
        /// The name of a line.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) enum Name { $($name,)* }

        impl Name {
            /// Every name, in the order of the enum, so that a name's number is its place here.
            pub(super) const ALL: &'static [Name] = &[$(Name::$name,)*];

            /// The name as it stands in a message.
            pub(super) const fn text(self) -> &'static str {
                const TEXTS: &[&str] = &[$($text,)*];
                TEXTS[self as usize]
            }
        }
    };
}

names! {
    Accept = "Accept",
    Address = "Address",
    Answer = "Answer",
    Callee = "Callee",
    CalleeAddress = "Callee Address",
    CalleeKey = "Callee Key",
    CalleePassword = "Callee Password",
    Caller = "Caller",
    CallerId = "Caller ID",
    CallerKey = "Caller Key",
    Candidate = "Candidate",
    Cause = "Cause",
    Class = "Class",
    Complete = "Complete",
    Deposit = "Deposit",
    DepositedFor = "Deposited for",
    Depositor = "Depositor",
    Digest = "Digest",
    EncryptKey = "Encrypt Key",
    Expires = "Expires",
    Recording = "Name",
    Fetch = "Fetch",
    Frame = "Frame",
    Group = "Group",
    Handle = "Handle",
    Hash = "Hash",
    Identifier = "Identifier",
    LaneKey = "Lane Key",
    LargestTransfer = "Largest Transfer",
    Listen = "Listen",
    Members = "Members",
    Offset = "Offset",
    Part = "Part",
    Password = "Password",
    Path = "Path",
    PeerToken = "Peer Token",
    Port = "Port",
    Protection = "Protection",
    Relay = "Relay",
    RetryAfter = "Retry After",
    Revision = "Revision",
    Size = "Size",
    Source = "Source",
    Status = "Status",
    Suite = "Suite",
    Ticket = "Ticket",
    Token = "Token",
    Transaction = "Transaction",
    Tunnel = "Tunnel",
}

impl Name {
    /// The name that a line of a message starts with, if it is known.
    pub(super) fn find(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.text() == text)
    }
}
