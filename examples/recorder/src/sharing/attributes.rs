//! The table of attributes, which is kept with the recordings (P8, V10c): one file in their folder, never shared itself.
//!
//! A line is `ATTRIBUTE NAME`; the name is a file's in this folder, to the end of the line. The attribute is `public` or `split`, the latter with
//! `/SELECTION` and `/seal-rest` behind it if that is wanted. What has no line, or one that makes no sense, is confidential. Empty lines and lines that begin
//! with `#` are passed over.
//!
//! ```text
//! public news.ts
//! split/anchors/seal-rest holiday film.mpg
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use p2pgate::mpeg::Selection;
use p2pgate::route::Attribute;

use crate::failure::Failure;
use crate::outgoing::Plan;
use crate::state::replace;

/// The table's file.
pub const TABLE: &str = ".p2pgate-attributes";
/// The largest table that is read, bytes.
const LARGEST: u64 = 32 << 20;
const HEAD: &str = "# How recordings in this folder travel; written by p2pgate-recorder attribute. All others are confidential.\n";

/// The table's lines.
#[derive(Clone, Debug, Default)]
pub struct Attributes(BTreeMap<String, Plan>);

impl Attributes {
    /// Reads a folder's table; no table is an empty one.
    ///
    /// # Errors
    /// It is there and can't be read: nothing is known then but that everything is confidential.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut text = String::new();
        match File::open(folder.join(TABLE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
            Ok(file) => file.take(LARGEST + 1).read_to_string(&mut text)?,
        };
        if text.len() as u64 > LARGEST {
            return Err(io::Error::other("it is larger than any that was written"));
        }
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let read = |line: &str| {
            let (attribute, name) = line.split_once(' ')?;
            Some((name.to_owned(), parse(attribute)?))
        };
        Ok(Self(lines.filter_map(read).collect()))
    }

    /// How a recording of this name travels.
    pub fn of(&self, name: &str) -> Plan {
        self.0.get(name).copied().unwrap_or(Plan::CONFIDENTIAL)
    }

    /// A recording that came from elsewhere is about to get this name: it has none of the attributes that an earlier one had. If there is one of this name,
    /// it keeps its own.
    ///
    /// # Errors
    /// The table has a line for it, and can't be changed.
    pub fn forget(folder: &Path, name: &str) -> io::Result<()> {
        // A table that can't be read opens nothing.
        let listed = Self::read(folder).is_ok_and(|table| table.0.contains_key(name));
        if listed && folder.join(name).symlink_metadata().is_err() {
            Self::set(folder, name, Plan::CONFIDENTIAL).map_err(io::Error::other)?;
        }
        Ok(())
    }

    /// Changes a folder's table. Lines of files that are gone go with it: another file of that name is another recording.
    pub fn set(folder: &Path, name: &str, plan: Plan) -> Result<(), Failure> {
        let path = folder.join(TABLE);
        let cannot = |what, error: io::Error| Failure::local(what, &path, &error);
        // Held until the table is replaced: nobody else's change is lost.
        let lock = File::open(folder).map_err(|error| cannot("cannot open the folder of", error))?;
        lock.lock().map_err(|error| cannot("cannot lock the folder of", error))?;
        let Self(mut lines) = Self::read(folder).map_err(|error| cannot("cannot read", error))?;
        lines.retain(|name, _| folder.join(name).symlink_metadata().is_ok());
        match plan.wanted {
            Attribute::Public | Attribute::Split => lines.insert(name.to_owned(), plan),
            Attribute::Confidential | Attribute::BySize => lines.remove(name),
        };
        let mut text = HEAD.to_owned();
        for (name, plan) in lines {
            text += &format!("{} {name}\n", words(&plan, '/'));
        }
        replace(&path, text.as_bytes()).map_err(|error| cannot("cannot write", error))
    }
}

/// `confidential`, `public` or `split`.
pub fn kind(plan: &Plan) -> &'static str {
    match plan.wanted {
        Attribute::Confidential | Attribute::BySize => "confidential",
        Attribute::Public => "public",
        Attribute::Split => "split",
    }
}

/// The same with what `split` is to seal, if that is more than I-pictures.
pub fn words(plan: &Plan, between: char) -> String {
    let mut words = kind(plan).to_owned();
    if plan.wanted == Attribute::Split && plan.selection != Selection::default() {
        words.push(between);
        words += plan.selection.name();
    }
    if plan.wanted == Attribute::Split && plan.seal_rest {
        words.push(between);
        words += "seal-rest";
    }
    words
}

/// `confidential`, `public` or `split`, with what [`words`] puts behind it.
pub fn parse(words: &str) -> Option<Plan> {
    let mut words = words.split('/');
    let wanted = match words.next()? {
        "confidential" => Attribute::Confidential,
        "public" => Attribute::Public,
        "split" => Attribute::Split,
        _ => return None,
    };
    let mut plan = Plan { wanted, ..Plan::CONFIDENTIAL };
    for word in words {
        match Selection::from_name(word) {
            Some(selection) if wanted == Attribute::Split => plan.selection = selection,
            None if wanted == Attribute::Split && word == "seal-rest" => plan.seal_rest = true,
            _ => return None,
        }
    }
    Some(plan)
}
