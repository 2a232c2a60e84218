//! `list`: what another recorder shares.

use std::io;

use p2pgate::terminal::SessionId;
use serde_json::Value;

use super::pull::{Refused, Taker, pull};
use crate::cli::List;
use crate::failure::{Code, Failure};
use crate::incoming::Description;
use crate::names;
use crate::node::Sink;
use crate::sharing::folder::is_shareable;

/// The longest list that is taken, bytes.
const LONGEST: u64 = 64 << 20;

/// Lists.
pub fn run(arguments: &List) -> Result<(), Failure> {
    let List { state, from, json } = arguments;
    let mut taker = ToMemory { from, bytes: Vec::new() };
    pull(state, from, None, &mut taker)?;
    let mut entries: Vec<Entry> = Vec::new();
    for line in taker.bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let read = serde_json::from_slice(line).ok().and_then(|line| Entry::read(&line));
        entries.push(read.ok_or_else(|| {
            Failure::new(Code::Damaged, format!("the list of {from} makes no sense: update both recorders"))
        })?);
    }
    // Nobody can fetch what has another kind of name, and no terminal is to show it.
    entries.retain(|entry| is_shareable(&entry.name));
    entries.sort_by(|one, other| one.name.cmp(&other.name));
    if *json {
        say!("{}", Value::from_iter(entries.iter().map(Entry::json)));
    } else if entries.is_empty() {
        say!("{from} shares no recordings");
    } else {
        say!("{:>14}  {:16}  {:12}  NAME", "BYTES", "MODIFIED (UTC)", "ATTRIBUTE");
        for Entry { name, size, attribute, modified } in &entries {
            say!("{size:>14}  {}  {attribute:12}  {}", date(*modified), names::shown(name));
        }
    }
    Ok(())
}

/// Gathers the list.
struct ToMemory<'a> {
    from: &'a str,
    bytes: Vec<u8>,
}

impl Sink for ToMemory<'_> {
    fn payload(&mut self, _: SessionId, _: u64, bytes: &[u8]) -> io::Result<()> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }
}

impl Taker for ToMemory<'_> {
    fn begin(&mut self, what: &Description<'_>, _: bool) -> Result<u64, Refused> {
        self.bytes.clear();
        if what.size > LONGEST {
            let text = format!("the list of {} is longer than any that makes sense", self.from);
            let failure = Failure::new(Code::Refused, text);
            return Err(Refused { cause: "there is no room for it", failure, again: false });
        }
        Ok(0)
    }

    fn store(&mut self, _: Option<[u8; 32]>) -> Result<(), Refused> {
        Ok(())
    }
}

/// One recording.
struct Entry {
    name: String,
    size: u64,
    attribute: &'static str,
    modified: i64,
}

impl Entry {
    fn read(line: &Value) -> Option<Self> {
        let attribute = match line["attribute"].as_str()? {
            "confidential" => "confidential",
            "public" => "public",
            "split" => "split",
            _ => return None,
        };
        let (name, size) = (line["name"].as_str()?.to_owned(), line["size"].as_u64()?);
        Some(Self { name, size, attribute, modified: line["modified"].as_i64()? })
    }

    fn json(&self) -> Value {
        let Self { name, size, attribute, modified } = self;
        serde_json::json!({ "name": name, "size": size, "attribute": attribute, "modified": modified })
    }
}

/// `YYYY-MM-DD HH:MM` of seconds since 1970; what is before that, or after 9999, is shown as the nearest.
fn date(seconds: i64) -> String {
    let minutes = seconds.clamp(0, 253_402_300_799) / 60;
    let (mut days, minute) = (minutes / 1440, minutes % 1440);
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(leap(year)) {
        days -= 365 + i64::from(leap(year));
        year += 1;
    }
    let mut month = 1;
    for length in [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02} {:02}:{:02}", days + 1, minute / 60, minute % 60)
}
