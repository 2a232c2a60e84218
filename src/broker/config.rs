//! The broker's limits.

use crate::link::MaxRecord;

/// What the broker allows. Every limit has a safe default; see [`Config::default`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The most payload bytes that a relay lane may be asked for (P9).
    pub max_transfer: u64,
    /// The most bytes that one terminal may have relayed in a day, sent and received, from its first lane on; `None`: any number. In memory only.
    pub relay_bytes_per_day: Option<u64>,
    /// Whether lanes go through the broker. `false` is a system without relay (V14).
    pub relay: bool,
    /// Leaves the causes out of denials and refusals (V6).
    pub deny_without_cause: bool,
    /// How long a grant may be used for a first connection, from M12 on.
    pub grant_lifetime_ms: u64,
    /// How long a callee may take to answer M15 (P6, P7), and to acknowledge M12.
    pub status_deadline_ms: u64,
    /// How long a callee's address may take to answer a connection before the caller is told of it (P7, V11). `None`: it is not tried.
    pub reach_deadline_ms: Option<u64>,
    /// How long a connection may take from its start to the answered HELLO.
    pub handshake_deadline_ms: u64,
    /// A control link without a record for so long is closed. Terminals send PING every 30 s.
    pub idle_ms: u64,
    /// How long a lane token waits to be used, and its lane to be joined.
    pub token_lifetime_ms: u64,
    /// The longest that a grant's session may ask for lanes, and keep them.
    pub session_ms: u64,
    /// A grant ends once both of its parties have had no control link for so long.
    pub absent_ms: u64,
    /// The largest record of a control link that the broker takes, at most [`MAX_RECORD`](super::MAX_RECORD); links keep theirs. Terminals say what is longer in
    /// several messages.
    pub max_record: MaxRecord,
    /// Connections of all kinds.
    pub max_connections: usize,
    /// The same from one source: an IPv4 address or an IPv6 /64.
    pub max_connections_per_source: usize,
    /// Connections that have not got through HELLO, and are no lanes. One more displaces the longest waiting of the source that has most.
    pub max_handshakes: usize,
    /// The same from one source: an IPv4 address or an IPv6 /64.
    pub max_handshakes_per_source: usize,
    /// Entries of one terminal's list.
    pub max_list: usize,
    /// Groups of one owner (V4).
    pub max_groups: usize,
    /// Members of one group.
    pub max_members: usize,
    /// Control links of one key. One more displaces the longest silent that does not listen.
    pub max_links_per_terminal: usize,
    /// Grants of one caller. One more displaces the oldest that is past its first use and has no lane.
    pub max_grants_per_terminal: usize,
    /// Lanes of one grant at the same time, waiting and joined.
    pub max_lanes_per_grant: usize,
    /// Queries in flight from one link.
    pub max_queries_per_link: usize,
    /// Questions in flight to one callee.
    pub max_questions_per_link: usize,
    /// Queries of one terminal in a minute.
    pub queries_per_minute: u32,
    /// What one terminal may have stored in a minute: REGISTER, GROUP and ADDRESS.
    pub writes_per_minute: u32,
    /// How long a resolver may take to answer M24.
    pub resolver_deadline_ms: u64,
    /// How long a domain name may take to be looked up (V3).
    pub lookup_deadline_ms: u64,
    /// How often the resolver is told again of those that are here.
    pub address_refresh_ms: u64,
    /// A resolver's: how long an address counts that nobody tells again.
    pub address_lifetime_ms: u64,
    /// A resolver's: addresses.
    pub max_addresses: usize,
    /// Whether anything is kept for callees that cannot be called (P10).
    pub deposits: bool,
    /// The most payload bytes of one deposit. This limit and the three after it count payload; on disk a deposit takes at most twice that and 64 KiB.
    pub max_deposit: u64,
    /// The same of all deposits of one depositor.
    pub max_deposited_per_caller: u64,
    /// The same of all deposits for one callee.
    pub max_deposited_per_callee: u64,
    /// The same of all deposits.
    pub max_deposited: u64,
    /// Deposits of one depositor, and for one callee.
    pub max_deposits_per_terminal: usize,
    /// Deposits of one depositor for one callee.
    pub max_deposits_per_pair: usize,
    /// How long a deposit is kept. Its depositor is told when it goes.
    pub deposit_ms: u64,
    /// How long an unfinished deposit is kept behind its last part.
    pub unfinished_deposit_ms: u64,
    /// Bytes queued for one connection: a terminal that does not read is closed.
    pub max_output: usize,
}

pub(super) const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

impl Default for Config {
    fn default() -> Self {
        Self {
            max_transfer: 1 << 30,
            relay_bytes_per_day: None,
            relay: true,
            deny_without_cause: false,
            grant_lifetime_ms: 60_000,
            status_deadline_ms: 5_000,
            reach_deadline_ms: None,
            handshake_deadline_ms: 10_000,
            idle_ms: 90_000,
            token_lifetime_ms: 30_000,
            session_ms: DAY_MS,
            absent_ms: 60_000,
            max_record: super::MAX_RECORD,
            max_connections: 16_384,
            max_connections_per_source: 4_096,
            max_handshakes: 1_024,
            max_handshakes_per_source: 256,
            max_list: 1_000,
            max_groups: 32,
            max_members: 1_000,
            max_links_per_terminal: 8,
            max_grants_per_terminal: 64,
            max_lanes_per_grant: 32,
            max_queries_per_link: 16,
            max_questions_per_link: 64,
            queries_per_minute: 120,
            writes_per_minute: 60,
            resolver_deadline_ms: 3_000,
            lookup_deadline_ms: 5_000,
            address_refresh_ms: DAY_MS / 4,
            address_lifetime_ms: 3 * DAY_MS,
            max_addresses: 1_000_000,
            deposits: true,
            max_deposit: 16 << 30,
            max_deposited_per_caller: 64 << 30,
            max_deposited_per_callee: 64 << 30,
            max_deposited: 256 << 30,
            max_deposits_per_terminal: 256,
            max_deposits_per_pair: 32,
            deposit_ms: 14 * DAY_MS,
            unfinished_deposit_ms: DAY_MS,
            max_output: 256 * 1_024,
        }
    }
}
