//! The last hour, a sample a minute, for the status page's charts.

use std::collections::VecDeque;
use std::fmt;

const MINUTE_MS: u64 = 60_000;
/// Minutes that are remembered, the one under way included.
const MINUTES: usize = 60;

/// What is looked at; counts only ever grow.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// Terminals that have a control link.
    pub online: u64,
    /// Queries ended so far.
    pub queries: u64,
    /// Refusals so far.
    pub refusals: u64,
    /// Bytes relayed so far.
    pub relayed: u64,
    /// Payload bytes of the deposits.
    pub deposited: u64,
}

/// The samples at the minutes' starts.
pub(crate) struct History {
    starts: VecDeque<Sample>,
    next: u64,
}

impl History {
    pub(crate) fn new() -> Self {
        Self { starts: VecDeque::from([Sample::default()]), next: MINUTE_MS }
    }

    /// When the next minute begins.
    pub(crate) fn due(&self) -> u64 {
        self.next
    }

    /// Takes note of how things are; call it when a minute begins. Minutes that were slept through count as this one.
    pub(crate) fn note(&mut self, sample: Sample, now: u64) {
        while self.next <= now {
            self.next += MINUTE_MS;
            if self.starts.len() == MINUTES {
                self.starts.pop_front();
            }
            self.starts.push_back(sample);
        }
    }

    /// Each minute of a chart, up to `now`.
    fn minutes<'a>(&'a self, now: &'a Sample, chart: &'a Chart) -> impl Iterator<Item = u64> + 'a {
        let ends = self.starts.iter().skip(1).chain([now]);
        self.starts.iter().zip(ends).map(|(start, end)| match chart.kind {
            Kind::Level => (chart.value)(end),
            Kind::Count => (chart.value)(end).saturating_sub((chart.value)(start)),
        })
    }
}

enum Kind {
    /// As it was at the minute's end.
    Level,
    /// What came in the minute.
    Count,
}

struct Chart {
    title: &'static str,
    kind: Kind,
    value: fn(&Sample) -> u64,
}

const CHARTS: [Chart; 5] = [
    Chart { title: "Terminals online", kind: Kind::Level, value: |sample| sample.online },
    Chart { title: "Queries a minute", kind: Kind::Count, value: |sample| sample.queries },
    Chart { title: "Refusals a minute", kind: Kind::Count, value: |sample| sample.refusals },
    Chart { title: "Bytes relayed a minute", kind: Kind::Count, value: |sample| sample.relayed },
    Chart { title: "Bytes of deposits", kind: Kind::Level, value: |sample| sample.deposited },
];

/// The charts, as SVG within HTML: a bar a minute, the latest on the right.
pub(crate) struct Charts<'a>(pub &'a History, pub Sample);

impl fmt::Display for Charts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(history, now) = self;
        for chart in &CHARTS {
            let most = history.minutes(now, chart).max().unwrap_or(0);
            let title = chart.title;
            write!(f, "<figure><figcaption>{title}: at most {most}</figcaption>")?;
            write!(
                f,
                "<svg viewBox=\"0 0 {MINUTES} 20\" preserveAspectRatio=none role=img aria-label=\"{title}\">"
            )?;
            let first = MINUTES - history.starts.len();
            for (minute, value) in history.minutes(now, chart).enumerate().filter(|(_, value)| *value > 0) {
                // At most 20, whatever the figures.
                let height = (value as f64 / most as f64 * 20.0).max(0.5);
                let (x, y) = (first + minute, 20.0 - height);
                write!(f, "<rect x={x} y={y:.1} width=.8 height={height:.1} />")?;
            }
            f.write_str("</svg></figure>")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_kept_and_counts_are_what_came_in_each_minute() {
        let mut history = History::new();
        for minute in 1..=100 {
            history.note(
                Sample { queries: minute * minute, online: minute, ..Sample::default() },
                minute * MINUTE_MS,
            );
        }
        let now = Sample { queries: 100 * 100 + 7, online: 3, ..Sample::default() };
        let counts: Vec<u64> = history.minutes(&now, &CHARTS[1]).collect();
        assert_eq!(counts.len(), MINUTES);
        assert_eq!(counts[MINUTES - 3..], [2 * 99 - 1, 2 * 100 - 1, 7]);
        let levels: Vec<u64> = history.minutes(&now, &CHARTS[0]).collect();
        assert_eq!(levels[MINUTES - 3..], [99, 100, 3]);
        assert_eq!(history.due(), 101 * MINUTE_MS);
    }

    #[test]
    fn a_first_minute_has_a_chart_too() {
        let text = Charts(&History::new(), Sample { queries: 4, ..Sample::default() }).to_string();
        assert_eq!(text.matches("<svg").count(), CHARTS.len());
        assert!(text.contains("Queries a minute: at most 4") && text.matches("<rect").count() == 1, "{text}");
        assert!(text.contains("x=59 y=0.0 width=.8 height=20.0"), "{text}");
    }
}
