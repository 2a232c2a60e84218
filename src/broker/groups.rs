//! Groups of terminals (V4): one entry of a permitted list stands for all members of a group.
//!
//! A group is called by its owner's identifier, `/` and a name without `/`: nobody can take a name that others are about to permit, and whoever permits a
//! group sees whose it is. An entry for it is bound to its owner's key, as an entry for a terminal is to that terminal's; its members are bound to theirs. So a
//! re-issued identifier inherits nothing, be it a member's or the owner's. A group is no member of another.

use super::control::status;
use super::registration::Pending;
use super::registry::{Change, List};
use super::{Broker, ConnectionId, Level, Name, RestoreError, StoreOperation, Stored, What};
use crate::identifier;
use crate::link::PublicKey;
use crate::message::{self, ListChange, Message, Status, StatusCode};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

const LEFT: &str = "the caller left the group by which the callee permits it";

/// Which entry of a callee's list permits a caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// The caller's own.
    Itself,
    /// That of a group.
    Group(Name),
}

impl Admission {
    pub fn group(&self) -> Option<&Name> {
        match self {
            Self::Itself => None,
            Self::Group(group) => Some(group),
        }
    }
}

pub(super) struct Group {
    /// The owner's.
    pub key: PublicKey,
    pub members: List,
}

/// The groups, and who is in which.
#[derive(Default)]
pub(super) struct Groups {
    groups: BTreeMap<Name, Group>,
    joined: BTreeMap<Name, BTreeSet<Name>>,
}

impl Groups {
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    pub fn get(&self, group: &str) -> Option<&Group> {
        self.groups.get(group)
    }

    /// The groups that have this identifier among their members, with whatever key.
    pub fn joined(&self, member: &str) -> Option<&BTreeSet<Name>> {
        self.joined.get(member)
    }

    /// Puts a group in place of what there was.
    pub fn insert(&mut self, name: &Name, group: Group) {
        self.remove(name);
        for member in group.members.keys() {
            self.joined.entry(member.clone()).or_default().insert(name.clone());
        }
        self.groups.insert(name.clone(), group);
    }

    /// Forgets a group, and gives those who were in it.
    pub fn remove(&mut self, name: &str) -> Vec<Name> {
        let Some(group) = self.groups.remove(name) else { return Vec::new() };
        let members: Vec<Name> = group.members.into_keys().collect();
        for member in &members {
            self.forget(member, name);
        }
        members
    }

    /// Takes the members away that `list` does not have, and gives them.
    pub fn retain(&mut self, name: &str, list: &List) -> Vec<Name> {
        let Some(group) = self.groups.get_mut(name) else { return Vec::new() };
        let gone: Vec<Name> =
            group.members.keys().filter(|member| !list.contains_key(*member)).cloned().collect();
        group.members.retain(|member, _| list.contains_key(member));
        for member in &gone {
            self.forget(member, name);
        }
        gone
    }

    fn forget(&mut self, member: &str, group: &str) {
        if let Some(joined) = self.joined.get_mut(member) {
            joined.remove(group);
            if joined.is_empty() {
                self.joined.remove(member);
            }
        }
    }

    /// A key was enrolled: memberships of that identifier that had none are bound to it.
    pub fn enrol(&mut self, member: &Name, key: PublicKey) {
        for group in self.joined.get(member).into_iter().flatten() {
            let bound = self.groups.get_mut(group).and_then(|group| group.members.get_mut(member));
            if let Some(bound @ None) = bound {
                *bound = Some(key);
            }
        }
    }
}

/// Whether a group may be called so by this owner.
fn is_owned(group: &str, owner: &str) -> bool {
    group
        .strip_prefix(owner)
        .and_then(|rest| rest.strip_prefix('/'))
        .is_some_and(|name| !name.is_empty() && !name.contains('/'))
}

impl Broker {
    /// Brings a group back from the store (P13), behind the terminals that [`restore_terminal`](Self::restore_terminal) brought. One whose owner is not
    /// enrolled is passed over.
    ///
    /// # Errors
    /// [`RestoreError`] if an identifier breaks the rules; nothing has changed.
    pub fn restore_group(
        &mut self,
        group: &str,
        owner: &str,
        members: impl IntoIterator<Item = (Name, Option<PublicKey>)>,
    ) -> Result<(), RestoreError> {
        identifier::check(group)?;
        let members: List = members.into_iter().collect();
        members.keys().try_for_each(|member| identifier::check(member))?;
        if let Some(key) = self.registry.key_of(owner) {
            self.registry.place_group(owner, &Name::from(group), Group { key, members });
        }
        Ok(())
    }

    /// `GROUP`: its owner says who is in it. As with lists, who is taken out is out at once, who is put in is in once it is on disk.
    pub(super) fn group(&mut self, link: ConnectionId, message: message::Group<'_>, now: u64) {
        let transaction = message.transaction;
        let Some(owner) = self.own_identifier(link, message.identifier, transaction) else { return };
        if !self.may_write(link, &owner, transaction, now) {
            return;
        }
        let (group, ends) = (Name::from(message.group), is_empty(&message.change));
        if let Err((code, text)) = self.change_group(link, &owner, group, message, ends) {
            let retry_after = (code == StatusCode::TooOften).then_some(1);
            let refused = Status { retry_after, ..status(code, text, transaction) };
            self.net.send(link, &Message::Status(refused));
            self.net.log_of(Level::Info, link, What::Refused(code.number()));
        }
    }

    fn change_group(
        &mut self,
        link: ConnectionId,
        owner: &Name,
        group: Name,
        message: message::Group<'_>,
        ends: bool,
    ) -> Result<(), (StatusCode, &'static str)> {
        let terminal = self.registry.get(owner).and_then(|it| Some((it, it.key?)));
        let (terminal, key) = terminal.ok_or((StatusCode::Forbidden, "The key was taken away."))?;
        if !is_owned(&group, owner) {
            return Err((StatusCode::Forbidden, "A group is called OWNER/NAME, and NAME has no slash."));
        }
        if self.registry.key_of(&group).is_some() {
            return Err((StatusCode::Forbidden, TAKEN));
        }
        if terminal.grouping {
            return Err((StatusCode::TooOften, "One change of groups at a time."));
        }
        let members = self.registry.changed_members(&group, &Change::from(message.change));
        if members.len() > self.config.max_members {
            return Err((StatusCode::TooLarge, "The group has too many members."));
        }
        let new = self.registry.groups.get(&group).is_none();
        if new && !ends && terminal.groups.len() >= self.config.max_groups {
            return Err((StatusCode::TooLarge, "There are too many groups of this owner."));
        }
        let gone = self.registry.groups.retain(&group, &members);
        if let Some(terminal) = self.registry.get_mut(owner) {
            terminal.grouping = true;
        }
        let operation = StoreOperation::SaveGroup {
            group: group.clone(),
            owner: owner.clone(),
            key,
            members: (!ends).then(|| members.iter().map(|(name, key)| (name.clone(), *key)).collect()),
        };
        let members = (!ends).then_some(members);
        let (owner, transaction) = (owner.clone(), message.transaction);
        let name = group.clone();
        self.store(operation, Pending::Group { link, owner, key, group, members, transaction });
        // Behind it: what was deposited goes once it is on disk that they have left.
        self.left(&name, &gone);
        Ok(())
    }

    pub(super) fn group_stored(
        &mut self,
        link: ConnectionId,
        (owner, key): (&Name, PublicKey),
        (group, members): (Name, Option<List>),
        transaction: Option<u32>,
        outcome: Stored,
    ) {
        let Some(terminal) = self.registry.enrolled(owner, &key) else { return };
        terminal.grouping = false;
        match outcome {
            Stored::Done => {
                let count = members.as_ref().map(List::len);
                match members {
                    Some(members) => self.registry.place_group(owner, &group, Group { key, members }),
                    None => {
                        terminal.groups.remove(&group);
                        self.registry.groups.remove(&group);
                    }
                }
                self.answer(link, StatusCode::Done, "Registered.", transaction);
                let what = What::GroupRegistered { group, members: count };
                self.net.log(Level::Info, Some(link), Some(owner.clone()), what);
            }
            Stored::Refused => self.answer(link, StatusCode::Forbidden, TAKEN, transaction),
            Stored::Failed => self.store_failed(link, owner, transaction),
        }
    }

    /// Whoever left a group loses what it was granted by it, and what it has deposited unless it is permitted otherwise.
    fn left(&mut self, group: &Name, gone: &[Name]) {
        for member in gone {
            let calls = self.registry.get(member).map(|terminal| terminal.calls.clone()).unwrap_or_default();
            for grant in calls {
                if self.grants.get(grant).is_some_and(|grant| grant.group.as_ref() == Some(group)) {
                    self.withdraw(grant, LEFT);
                }
            }
            self.deposits_left(member);
        }
    }

    /// An owner's key was taken away: its groups go with it.
    pub(super) fn groups_revoked(&mut self, owner: &str) {
        let groups = self.registry.get_mut(owner).map(|terminal| core::mem::take(&mut terminal.groups));
        for group in groups.unwrap_or_default() {
            let members = self.registry.groups.remove(&group);
            self.left(&group, &members);
        }
    }
}

const TAKEN: &str = "The name is a terminal's, or looks like another's.";

/// The form that ends a group.
fn is_empty(change: &ListChange<message::List<'_>>) -> bool {
    matches!(change, ListChange::Create(list) if list.is_empty())
}
