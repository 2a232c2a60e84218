//! Who is enrolled, whom each one permits (P2), and where it is (V1).

use super::groups::{Admission, Group, Groups};
use super::limits::Window;
use super::quota::Relayed;
use super::{ConnectionId, Name, RestoreError, StoredAddress, grants::GrantId};
use crate::identifier;
use crate::link::PublicKey;
use crate::message::ListChange;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

/// A list of permitted terminals. An entry is bound to the key that was enrolled for its identifier when it was made; one made before that is
/// bound by the first enrolment. So a re-issued identifier inherits nothing: its owner's friends delete and add it again.
pub(super) type List = BTreeMap<Name, Option<PublicKey>>;

#[derive(Default)]
pub(super) struct Terminal {
    /// `None`: not enrolled, or revoked.
    pub key: Option<PublicKey>,
    pub revision: u64,
    pub list: List,
    pub address: Option<StoredAddress>,
    /// The largest frame that it takes, if it knows deposits, and the one that is on disk.
    pub frame: Option<u32>,
    pub stored_frame: Option<u32>,
    /// What goes through the broker for it.
    pub relayed: Relayed,
    /// Its open control links, all of its key.
    pub links: Vec<ConnectionId>,
    pub listener: Option<ConnectionId>,
    /// Its grants as caller and as callee.
    pub calls: BTreeSet<GrantId>,
    pub called: BTreeSet<GrantId>,
    pub queries: Window,
    pub writes: Window,
    /// The list on its way to disk, and the changes that came meanwhile.
    pub saving: Option<Saving>,
    pub waiting: VecDeque<Registration>,
    /// Its groups (V4), and whether a change of them is on its way to disk.
    pub groups: BTreeSet<Name>,
    pub grouping: bool,
}

/// A list on its way to disk.
pub(super) struct Saving {
    /// Which of all that were.
    pub number: u64,
    pub revision: u64,
    pub list: List,
}

/// A REGISTER, to be answered.
pub(super) struct Registration {
    pub connection: ConnectionId,
    pub transaction: Option<u32>,
    pub revision: Option<u64>,
    pub change: Change,
}

/// What a REGISTER changes: `replaces` starts from an empty list; what is both added and deleted is deleted.
pub(super) struct Change {
    pub replaces: bool,
    pub add: Vec<Name>,
    pub delete: Vec<Name>,
}

impl<'a, L: IntoIterator<Item = &'a str>> From<ListChange<L>> for Change {
    fn from(change: ListChange<L>) -> Self {
        let names = |list: L| list.into_iter().map(Name::from).collect();
        let (replaces, add, delete) = match change {
            ListChange::Create(list) => (true, names(list), Vec::new()),
            ListChange::Add(list) => (false, names(list), Vec::new()),
            ListChange::Delete(list) => (false, Vec::new(), names(list)),
            ListChange::AddAndDelete { add, delete } => (false, names(add), names(delete)),
        };
        Self { replaces, add, delete }
    }
}

impl Change {
    /// The list after the change, `key` of new entries, names as `shared` has them.
    fn apply(
        &self,
        old: &List,
        key: impl Fn(&Name) -> Option<PublicKey>,
        shared: impl Fn(Name) -> Name,
    ) -> List {
        let mut list = if self.replaces { List::new() } else { old.clone() };
        for name in &self.add {
            // An entry that stays keeps its key: a terminal that repeats its list confirms no changed key by that.
            let key = old.get(name).copied().unwrap_or_else(|| key(name));
            list.insert(shared(name.clone()), key);
        }
        for name in &self.delete {
            list.remove(name);
        }
        list
    }
}

/// The terminals, by identifier.
#[derive(Default)]
pub(super) struct Registry {
    terminals: BTreeMap<Name, Terminal>,
    /// Identifiers that lists have without a key, and whose lists these are.
    unbound: BTreeMap<Name, BTreeSet<Name>>,
    pub groups: Groups,
}

impl Registry {
    pub fn len(&self) -> usize {
        self.terminals.len()
    }

    /// Who has a link, and whether it listens.
    pub fn online(&self) -> impl Iterator<Item = (&Name, bool)> {
        let linked = self.terminals.iter().filter(|(_, terminal)| !terminal.links.is_empty());
        linked.map(|(name, terminal)| (name, terminal.listener.is_some()))
    }

    pub fn all(&self) -> impl Iterator<Item = &Terminal> {
        self.terminals.values()
    }

    pub fn get(&self, identifier: &str) -> Option<&Terminal> {
        self.terminals.get(identifier)
    }

    pub fn get_mut(&mut self, identifier: &str) -> Option<&mut Terminal> {
        self.terminals.get_mut(identifier)
    }

    /// The terminal, if this is its key.
    pub fn enrolled(&mut self, identifier: &str, key: &PublicKey) -> Option<&mut Terminal> {
        self.terminals.get_mut(identifier).filter(|terminal| terminal.key.as_ref() == Some(key))
    }

    /// The key that an identifier is enrolled with.
    pub fn key_of(&self, identifier: &str) -> Option<PublicKey> {
        self.terminals.get(identifier)?.key
    }

    /// The one name of a known identifier, with which its copies share their memory.
    fn shared(&self, name: Name) -> Name {
        self.terminals.get_key_value(&name).map_or(name, |(known, _)| known.clone())
    }

    /// By which entry the callee, if it is enrolled, permits this caller with this key.
    pub fn admission(&self, callee: &str, caller: &str, key: &PublicKey) -> Option<Admission> {
        let terminal = self.terminals.get(callee).filter(|terminal| terminal.key.is_some())?;
        self.admission_by(&terminal.list, caller, key)
    }

    fn admission_by(&self, list: &List, caller: &str, key: &PublicKey) -> Option<Admission> {
        if list.get(caller) == Some(&Some(*key)) {
            return Some(Admission::Itself);
        }
        let joined = self.groups.joined(caller)?;
        let by = |group: &&Name| self.admits_group(list, group, caller, key);
        // The shorter of the two: a list is bounded, and so is this work.
        let found = if joined.len() < list.len() { joined.iter().find(by) } else { list.keys().find(by) };
        found.cloned().map(Admission::Group)
    }

    fn admits_group(&self, list: &List, group: &str, caller: &str, key: &PublicKey) -> bool {
        self.groups.get(group).is_some_and(|found| {
            list.get(group) == Some(&Some(found.key)) && found.members.get(caller) == Some(&Some(*key))
        })
    }

    /// Whether that entry still permits this caller.
    pub fn still_admits(&self, callee: &str, caller: &str, key: &PublicKey, by: &Admission) -> bool {
        self.terminals.get(callee).is_some_and(|terminal| match by {
            Admission::Itself => terminal.list.get(caller) == Some(&Some(*key)),
            Admission::Group(group) => self.admits_group(&terminal.list, group, caller, key),
        })
    }

    /// Whether the callee permits this caller with this key, by whatever entry.
    pub fn permits(&self, callee: &str, caller: &str, key: &PublicKey) -> bool {
        self.admission(callee, caller, key).is_some()
    }

    /// Whether it will, if it does not now: once all that it has registered is on disk.
    pub fn will_permit(&self, callee: &str, caller: &str, key: &PublicKey) -> bool {
        let under_way = self.terminals.get(callee).is_some_and(|terminal| terminal.saving.is_some());
        under_way && self.admission_by(&self.resulting(callee), caller, key).is_some()
    }

    /// The key that a new entry for `name` is bound to: the terminal's, or the group's owner's.
    fn binding(&self, name: &str) -> Option<PublicKey> {
        self.key_of(name).or_else(|| self.groups.get(name).map(|group| group.key))
    }

    /// Puts a group in place that is on disk, and binds the entries for it that had no key.
    pub fn place_group(&mut self, owner: &str, name: &Name, mut group: Group) {
        for (member, bound) in &mut group.members {
            *bound = bound.or_else(|| self.key_of(member));
        }
        let key = group.key;
        if let Some(terminal) = self.terminals.get_mut(owner) {
            terminal.groups.insert(name.clone());
        }
        self.groups.insert(name, group);
        self.bind(name, key);
    }

    /// The group's members after the change, new ones bound to the keys of this moment.
    pub fn changed_members(&self, group: &str, change: &Change) -> List {
        let none = List::new();
        let old = self.groups.get(group).map_or(&none, |group| &group.members);
        change.apply(old, |name| self.key_of(name), |name| self.shared(name))
    }

    pub fn restore(
        &mut self,
        identifier: &str,
        key: Option<PublicKey>,
        revision: u64,
        list: impl IntoIterator<Item = (Name, Option<PublicKey>)>,
        address: Option<StoredAddress>,
    ) -> Result<(), RestoreError> {
        identifier::check(identifier)?;
        let mut entries = List::new();
        for (name, key) in list {
            identifier::check(&name)?;
            entries.insert(self.shared(name), key);
        }
        let name = self.shared(identifier.into());
        let terminal = self.terminals.entry(name.clone()).or_default();
        (terminal.key, terminal.revision, terminal.address) = (key, revision, address);
        self.replace_list(&name, entries);
        Ok(())
    }

    /// Binds a key to an identifier, and to the entries for it that had none.
    pub fn enrol(&mut self, name: &Name, key: PublicKey) {
        self.terminals.entry(name.clone()).or_default().key = Some(key);
        self.groups.enrol(name, key);
        self.bind(name, key);
    }

    fn bind(&mut self, name: &Name, key: PublicKey) {
        for owner in self.unbound.remove(name).unwrap_or_default() {
            if let Some(entry) =
                self.terminals.get_mut(&owner).and_then(|terminal| terminal.list.get_mut(name))
            {
                *entry = Some(key);
            }
        }
    }

    /// Forgets everything that was registered under the key. Links and grants are the caller's to end first.
    pub fn revoke(&mut self, name: &Name) {
        self.replace_list(name, List::new());
        self.terminals.remove(name);
    }

    /// The owner's list after the change, new entries bound to the keys of this moment.
    pub fn changed(&self, owner: &str, change: &Change) -> List {
        let old = self.terminals.get(owner).map(|terminal| &terminal.list);
        old.map(|old| self.change(old, change)).unwrap_or_default()
    }

    fn change(&self, old: &List, change: &Change) -> List {
        change.apply(old, |name| self.binding(name), |name| self.shared(name))
    }

    /// The owner's list once all that it has registered is on disk.
    pub fn resulting(&self, owner: &str) -> List {
        let Some(terminal) = self.terminals.get(owner) else { return List::new() };
        let now = (terminal.revision, &terminal.list);
        let (mut revision, list) = terminal.saving.as_ref().map_or(now, |it| (it.revision, &it.list));
        let mut list = list.clone();
        for registration in &terminal.waiting {
            let new = registration.revision.unwrap_or(revision.saturating_add(1));
            if new > revision {
                (revision, list) = (new, self.change(&list, &registration.change));
            }
        }
        list
    }

    /// Takes the entries away that `list` does not have, or for another key, and gives them.
    pub fn retain(&mut self, owner: &str, list: &List) -> Vec<Name> {
        let Some(terminal) = self.terminals.get_mut(owner) else { return Vec::new() };
        // One without a key is bound when it is put in place.
        let stays = |name: &Name, bound: &Option<PublicKey>| {
            list.get(name).is_some_and(|new| new.is_none() || new == bound)
        };
        let gone: Vec<Name> = terminal
            .list
            .iter()
            .filter(|(name, bound)| !stays(name, bound))
            .map(|(name, _)| name.clone())
            .collect();
        for name in &gone {
            if terminal.list.remove(name).flatten().is_none() {
                forget_unbound(&mut self.unbound, name, owner);
            }
        }
        gone
    }

    /// Puts the list in place that is now on disk.
    pub fn replace_list(&mut self, owner: &Name, mut list: List) {
        for (name, bound) in &mut list {
            *bound = bound.or_else(|| self.binding(name));
            if bound.is_none() {
                self.unbound.entry(name.clone()).or_default().insert(owner.clone());
            }
        }
        let Some(terminal) = self.terminals.get_mut(owner) else { return };
        let old = core::mem::replace(&mut terminal.list, list);
        for (name, _) in old.iter().filter(|(_, bound)| bound.is_none()) {
            if terminal.list.get(name) != Some(&None) {
                forget_unbound(&mut self.unbound, name, owner);
            }
        }
    }
}

fn forget_unbound(unbound: &mut BTreeMap<Name, BTreeSet<Name>>, name: &Name, owner: &str) {
    if let Some(owners) = unbound.get_mut(name) {
        owners.remove(owner);
        if owners.is_empty() {
            unbound.remove(name);
        }
    }
}
