//! The status page, for people.

use crate::history::{Charts, History, Sample};
use crate::metrics::{Metrics, Now};
use std::fmt::{self, Write};

/// Terminals that the page names.
pub(crate) const NAMED: usize = 200;

/// What the page says beside the counts.
pub(crate) struct Status<'a> {
    pub now: Now,
    pub metrics: &'a Metrics,
    pub history: &'a History,
    pub sample: Sample,
    /// Why the broker is not ready.
    pub trouble: Option<&'static str>,
    pub seconds: u64,
    /// Those that are online, each with whether it can be called; the first [`NAMED`].
    pub online: Vec<(&'a str, bool)>,
}

const HEAD: &str = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content=10>\
<meta name=viewport content=\"width=device-width\"><title>p2pgate broker</title><style>\
body{font:15px/1.5 sans-serif;max-width:50em;margin:2em auto;padding:0 1em;color:#222;background:#fff}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.15em .5em;border-bottom:1px solid #ddd}\
td:last-child{text-align:right}figure{margin:.3em 0}svg{width:100%;height:2.5em;border-bottom:1px solid #ddd}rect{fill:#47a}h2{font-size:1.1em;margin:1.5em 0 .3em}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#444}}</style>";

impl fmt::Display for Status<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, hours, minutes) =
            (self.seconds / 86_400, self.seconds / 3_600 % 24, self.seconds / 60 % 60);
        let state = self.trouble.unwrap_or("ready");
        write!(f, "{HEAD}<h1>p2pgate broker</h1><p>{state}, up for {days} d {hours} h {minutes} min")?;
        write!(f, "<h2>The last hour</h2>{}", Charts(self.history, self.sample))?;
        f.write_str("<h2>Now</h2><table>")?;
        for (_, help, value) in self.now.rows() {
            write!(f, "<tr><td>{help}<td>{value}")?;
        }
        let relayed = self.metrics.relayed(&self.now);
        write!(f, "<tr><td>Bytes relayed since the start<td>{relayed}</table>")?;
        for (title, tally) in [("Queries", &self.metrics.queries), ("Refusals", &self.metrics.refusals)] {
            write!(f, "<h2>{title} since the start</h2><table>")?;
            for (first, second, count) in tally.rows() {
                write!(f, "<tr><td>{}<td>{}<td>{count}", Escaped(first), Escaped(second))?;
            }
            f.write_str("</table>")?;
        }
        f.write_str("<h2>Online</h2><table>")?;
        for (name, listening) in &self.online {
            let state = if *listening { "can be called" } else { "" };
            write!(f, "<tr><td>{}<td>{state}", Escaped(name))?;
        }
        f.write_str("</table>")?;
        match self.now.online.saturating_sub(self.online.len()) {
            0 => Ok(()),
            more => write!(f, "<p>and {more} more"),
        }
    }
}

/// Text that a terminal or its owner chose.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|character| match character {
            '<' => f.write_str("&lt;"),
            '>' => f.write_str("&gt;"),
            '&' => f.write_str("&amp;"),
            '"' => f.write_str("&quot;"),
            '\'' => f.write_str("&#39;"),
            other => f.write_char(other),
        })
    }
}
