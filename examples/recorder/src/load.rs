//! The machine's load as the load gate (P6) wants it: per cent of all processors, measured between two looks.

use std::time::{Duration, Instant};

/// Reads the processors' busy share from `/proc/stat`, once a second; 0 where there is no such file.
#[derive(Debug)]
pub struct LoadMeter {
    looked: Option<Instant>,
    busy: u64,
    total: u64,
}

impl Default for LoadMeter {
    fn default() -> Self {
        let (busy, total) = processor_times().unwrap_or_default();
        Self { looked: None, busy, total }
    }
}

impl LoadMeter {
    /// The load in per cent since the last answer, if a second has gone by.
    pub fn poll(&mut self) -> Option<u8> {
        if self.looked.is_some_and(|at| at.elapsed() < Duration::from_secs(1)) {
            return None;
        }
        let first = self.looked.replace(Instant::now()).is_none();
        let (busy, total) = processor_times().unwrap_or_default();
        let (busy_before, total_before) = (self.busy, self.total);
        (self.busy, self.total) = (busy, total);
        let elapsed = total.saturating_sub(total_before);
        if first || elapsed == 0 {
            return Some(0);
        }
        let share = busy.saturating_sub(busy_before).saturating_mul(100) / elapsed;
        Some(share.min(100) as u8)
    }
}

/// Busy and total time of all processors since the start, in the kernel's ticks.
fn processor_times() -> Option<(u64, u64)> {
    parse(&std::fs::read_to_string("/proc/stat").ok()?)
}

fn parse(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    // user nice system idle iowait irq softirq steal; guest time is in user already
    let times: Vec<u64> = line.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let idle = times.get(3)? + times.get(4).unwrap_or(&0);
    let total: u64 = times.iter().sum();
    Some((total - idle, total))
}
