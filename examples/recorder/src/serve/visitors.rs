//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Limits;

/// The connections there are.
#[derive(Debug)]
pub(super) struct Visitors {
    limits: Limits,
    present: Mutex<HashMap<IpAddr, usize>>,
}

/// One of them; it counts until it is dropped.
#[derive(Debug)]
pub(super) struct Visit {
    visitors: Arc<Visitors>,
    from: IpAddr,
}

impl Visitors {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, present: Mutex::default() })
    }

    /// One more, unless there are too many.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Visit> {
        let from = household(from);
        let mut present = self.present();
        if present.values().sum::<usize>() >= self.limits.connections {
            return None;
        }
        let count = present.entry(from).or_default();
        if *count >= self.limits.from_one {
            return None;
        }
        *count += 1;
        Some(Visit { visitors: self.clone(), from })
    }

    fn present(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        let mut present = self.visitors.present();
        if let Some(count) = present.get_mut(&self.from) {
            *count -= 1;
            if *count == 0 {
                present.remove(&self.from);
            }
        }
    }
}

/// Whoever has one IPv6 address has all of its /64.
fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from(u128::from(address) & !u128::from(u64::MAX))),
        address => address,
    }
}
