//! Lists of permitted terminals (M1–M4).

use super::Problem;
use crate::identifier;

/// Identifiers in a message, parted by commas, each checked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct List<'a>(&'a str);

impl<'a> List<'a> {
    /// Checks `text`: nothing, or identifiers parted by commas. Repeated identifiers pass.
    pub(super) fn parse(text: &'a str) -> Result<Self, Problem> {
        let list = Self(text);
        list.iter().try_for_each(identifier::check).map_err(Problem::Identifier)?;
        Ok(list)
    }

    /// Whether there are no identifiers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The identifiers, in the message's order.
    pub fn iter(&self) -> Identifiers<'a> {
        // An empty text would split into one empty part.
        Identifiers((!self.0.is_empty()).then(|| self.0.split(',')))
    }
}

/// The identifiers of a [`List`].
#[derive(Debug, Clone)]
pub struct Identifiers<'a>(Option<core::str::Split<'a, char>>);

impl<'a> Iterator for Identifiers<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        self.0.as_mut()?.next()
    }
}

impl<'a> IntoIterator for List<'a> {
    type Item = &'a str;
    type IntoIter = Identifiers<'a>;

    fn into_iter(self) -> Identifiers<'a> {
        self.iter()
    }
}

impl core::fmt::Debug for List<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// What a REGISTER does to the list. `L` is anything that can be iterated for identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListChange<L> {
    /// M1: this is the list, which may be empty.
    Create(L),
    /// M2: add these, at least one.
    Add(L),
    /// M3: take these away, at least one.
    Delete(L),
    /// M4: both in one. What is in both is taken away.
    AddAndDelete {
        /// At least one.
        add: L,
        /// At least one.
        delete: L,
    },
}
