//! The load gate: whether this terminal takes another session (rows P6, V12; steps S1606–S1608, Fig. 30).
//!
//! The callee compares its load with a limit. A gate without hysteresis would flap between free and busy around the limit, so
//! once busy it stays busy until the load has fallen `hysteresis` points below.

/// Decides whether another session is taken: by load (P6) and by the number of sessions open (V12).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadGate {
    limit: u8,
    hysteresis: u8,
    sessions: u8,
    load: u8,
    over: bool,
}

impl LoadGate {
    /// A gate that is busy while the load is at or over `limit` per cent (0: always busy; over 100: never by load), until it has
    /// fallen to `hysteresis` points below the limit, and while `sessions` sessions or more are open.
    #[must_use]
    pub const fn new(limit: u8, hysteresis: u8, sessions: u8) -> Self {
        Self { limit, hysteresis, sessions, load: 0, over: limit == 0 }
    }

    /// Takes the newest load figure, in per cent of the device's capacity; over 100 counts as 100.
    pub fn set_load(&mut self, percent: u8) {
        let percent = if percent > 100 { 100 } else { percent };
        self.load = percent;
        self.over = if percent >= self.limit {
            true
        } else {
            self.over && percent > self.limit.saturating_sub(self.hysteresis)
        };
    }

    /// The load figure last given, in per cent.
    #[must_use]
    pub const fn load(&self) -> u8 {
        self.load
    }

    /// Whether one more session is taken while `open` are there already.
    #[must_use]
    pub const fn is_free(&self, open: usize) -> bool {
        !self.over && open < self.sessions as usize
    }
}

impl Default for LoadGate {
    /// Busy from 80 per cent until down to 70, and at one session.
    fn default() -> Self {
        Self::new(80, 10, 1)
    }
}
