//! What names look like (V4): whoever permits one must not take it for another.

use super::StoreError;
use super::sqlite::now;
use p2pgate::broker::Name;
use rusqlite::{Connection, Transaction, params};
use std::collections::{BTreeSet, HashMap};
use unicode_normalization::UnicodeNormalization;
use unicode_security::skeleton;

/// All that is called something: terminals, those that have a ticket, groups.
const NAMES: &str = "SELECT identifier FROM terminals UNION SELECT identifier FROM tickets WHERE expires > ?1
    UNION SELECT name FROM terminal_groups";
const IS_NAME: &str = "SELECT EXISTS (SELECT 1 FROM terminals WHERE identifier = ?2)
    OR EXISTS (SELECT 1 FROM tickets WHERE identifier = ?2 AND expires > ?1)
    OR EXISTS (SELECT 1 FROM terminal_groups WHERE name = ?2)";

/// The text's composed form (NFC), if it is another text: two texts that are the same to people have one form.
pub fn composed(text: &str) -> Option<String> {
    let composed: String = text.nfc().collect();
    (composed != text).then_some(composed)
}

/// Names by what they look like (UTS #39, section 4), from their first use on. What is gone may still be in it.
#[derive(Default)]
pub(super) struct Looks(Option<HashMap<String, BTreeSet<String>>>);

impl Looks {
    fn names(&mut self, connection: &Connection) -> rusqlite::Result<&mut HashMap<String, BTreeSet<String>>> {
        let names = match self.0.take() {
            Some(names) => names,
            None => {
                let mut names: HashMap<String, BTreeSet<String>> = HashMap::new();
                let mut statement = connection.prepare(NAMES)?;
                for name in statement.query_map(params![now()], |row| row.get::<_, String>(0))? {
                    let name = name?;
                    names.entry(skeleton(&name).collect()).or_default().insert(name);
                }
                names
            }
        };
        Ok(self.0.insert(names))
    }

    /// Another name that looks like this one.
    pub(super) fn like(&mut self, connection: &Connection, name: &str) -> rusqlite::Result<Option<String>> {
        let look: String = skeleton(name).collect();
        let alike = self.names(connection)?.get(&look).cloned().unwrap_or_default();
        let mut exists = connection.prepare_cached(IS_NAME)?;
        for other in alike.into_iter().filter(|other| other != name) {
            if exists.query_row(params![now(), other], |row| row.get(0))? {
                return Ok(Some(other));
            }
        }
        Ok(None)
    }

    /// Somebody is called so from now on.
    pub(super) fn add(&mut self, name: &str) {
        if let Some(names) = &mut self.0 {
            names.entry(skeleton(name).collect()).or_default().insert(name.to_owned());
        }
    }

    /// Whether nobody has to take this for another: a name that is new, without an operator's look at it.
    pub(super) fn may_be_called(
        &mut self,
        transaction: &Transaction<'_>,
        name: &Name,
    ) -> rusqlite::Result<bool> {
        if let Some(composed) = composed(name) {
            tracing::warn!("{name} is refused: it is not in the composed form (NFC), which is {composed}");
            return Ok(false);
        }
        let like = self.like(transaction, name)?;
        if let Some(other) = &like {
            tracing::warn!("{name} is refused: it looks like {other}");
        }
        Ok(like.is_none())
    }
}

/// Another name in the store that looks like this one, unless somebody has this one.
pub(crate) fn look_alike(store: &super::Sqlite, name: &str) -> Result<Option<String>, StoreError> {
    let taken = "SELECT EXISTS (SELECT 1 FROM terminals WHERE identifier = ?1) OR EXISTS (SELECT 1 FROM terminal_groups WHERE name = ?1)";
    if store.connection.query_row(taken, params![name], |row| row.get(0))? {
        return Ok(None);
    }
    Ok(Looks::default().like(&store.connection, name)?)
}
