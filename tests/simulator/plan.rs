//! What a world is made of: its seed, how long it goes on, and which kinds of fault are switched off.

use super::rng::Rng;
use std::fmt;

macro_rules! faults {
    ($($name:ident $text:literal),* $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($name),* }

        impl Fault {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }
        }
    };
}

faults! {
    Latency "latency",
    Cut "cut",
    HalfOpen "half-open",
    Flip "flip",
    Replay "replay",
    Misroute "misroute",
    Clock "clock",
    Crash "crash",
    BrokerCrash "broker-crash",
    StoreFull "store-full",
    DeviceFull "device-full",
    SlowReader "slow-reader",
    Load "load",
    Strike "strike",
    Revoke "revoke",
    Stranger "stranger",
    SmallLimits "small-limits",
    Firewall "firewall",
    Large "large",
    Liar "liar",
    Groups "groups",
    Fetch "fetch",
    Resolver "resolver",
}

#[derive(Clone, PartialEq, Eq)]
pub struct Plan {
    pub seed: u64,
    pub steps: u32,
    /// Kinds that don't happen though the seed says so.
    pub off: Vec<Fault>,
}

impl Plan {
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed, 1);
        Self { seed, steps: 10 + rng.below(60) as u32, off: Vec::new() }
    }

    /// Most worlds are small, some have up to fifty terminals.
    pub fn terminals(&self) -> usize {
        let mut rng = Rng::new(self.seed, 2);
        match rng.below(1_000) {
            0..700 => 2 + rng.index(3),
            700..960 => 5 + rng.index(5),
            960..996 => 10 + rng.index(15),
            _ => 25 + rng.index(26),
        }
    }

    /// Each world has about half of the kinds; one of eight has a broker that lies.
    pub fn has(&self, fault: Fault) -> bool {
        let mut rng = Rng::new(self.seed, 100 + fault as u64);
        let chance = match fault {
            Fault::Liar => 12,
            Fault::SmallLimits | Fault::Large => 10,
            _ => 50,
        };
        rng.percent(chance) && !self.off.contains(&fault)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "P2PGATE_SEED={} P2PGATE_STEPS={}", self.seed, self.steps)?;
        for (index, fault) in self.off.iter().enumerate() {
            write!(f, "{}{}", if index == 0 { " P2PGATE_OFF=" } else { "," }, fault.name())?;
        }
        f.write_str(" cargo test -p p2pgate --features broker --test simulator replay -- --nocapture")
    }
}
