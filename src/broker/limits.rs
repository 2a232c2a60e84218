//! How often and from where.

use core::net::{IpAddr, Ipv6Addr, SocketAddr};

const MINUTE_MS: u64 = 60_000;

/// Counts what happens in a minute.
#[derive(Clone, Copy, Default)]
pub(super) struct Window {
    start: u64,
    count: u32,
}

impl Window {
    /// Takes one of `limit` a minute, or gives the seconds until there is one again.
    pub fn take(&mut self, limit: u32, now: u64) -> Result<(), u32> {
        if self.count == 0 || now >= self.start.saturating_add(MINUTE_MS) {
            *self = Self { start: now, count: 0 };
        }
        if self.count >= limit {
            let rest = self.start.saturating_add(MINUTE_MS).saturating_sub(now);
            // At most 60.
            return Err(rest.div_ceil(1_000) as u32);
        }
        self.count += 1;
        Ok(())
    }
}

/// The part of an address that one subscriber has: IPv4 whole, of IPv6 the first 64 bits.
pub(super) fn source_of(address: SocketAddr) -> IpAddr {
    match address.ip().to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}
