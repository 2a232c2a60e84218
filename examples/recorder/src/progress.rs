//! Progress bars on a terminal, nothing when piped.

use std::collections::HashMap;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// One bar a transfer, and lines between them that don't tear them. All on standard error.
#[derive(Debug, Default)]
pub struct Bars {
    all: MultiProgress,
    bars: HashMap<u32, ProgressBar>,
}

impl Bars {
    /// Starts a bar.
    pub fn begin(&mut self, number: u32, name: &str, bytes: u64) {
        let name: String = name.chars().filter(|c| !c.is_control()).take(40).collect();
        let style = ProgressStyle::with_template(
            "{msg} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}",
        )
        .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.all.add(ProgressBar::new(bytes).with_style(style).with_message(name));
        self.bars.insert(number, bar);
    }

    /// Moves a bar.
    pub fn advance(&mut self, number: u32, bytes: u64) {
        if let Some(bar) = self.bars.get(&number) {
            bar.set_position(bytes);
        }
    }

    /// Takes a bar away.
    pub fn end(&mut self, number: u32) {
        if let Some(bar) = self.bars.remove(&number) {
            bar.finish_and_clear();
        }
    }

    /// A line for people.
    pub fn say(&self, line: &str) {
        self.all.suspend(|| eprintln!("p2pgate-recorder: {line}"));
    }
}
