//! `group`: who is in a group of this recorder's, which others may permit as a whole (V4).

use p2pgate::identifier::Identifier;
use p2pgate::link::PublicKey;
use p2pgate::terminal::{Event, GroupError};

use super::init::parse_identifier;
use super::{PATIENCE, go_online, outcome, wait};
use crate::cli::Group;
use crate::failure::{Code, Failure};
use crate::node::{Node, Role};
use crate::state::State;

/// Members, as entries of a list without keys.
type Members = Vec<(Identifier, Option<PublicKey>)>;

/// Tells the broker, and prints what the group is called.
pub fn run(arguments: &Group) -> Result<(), Failure> {
    let replace = arguments.remove || arguments.create.is_some();
    let add = arguments.create.as_deref().or(arguments.add.as_deref());
    let (add, delete) = (members(add)?, members(arguments.delete.as_deref())?);
    if !replace && add.is_empty() && delete.is_empty() {
        let text = "nothing to do: give --create, --add, --delete or --remove";
        return Err(Failure::new(Code::Usage, text));
    }
    let (state, identity) = State::open(&arguments.state)?;
    let name = match arguments.name.contains('/') {
        true => arguments.name.clone(),
        false => format!("{}/{}", identity.identifier, arguments.name),
    };
    let group = parse_identifier(&name)?;
    // What exists already can be ended, whatever it is called.
    if let Some(composed) = p2pgate_broker::composed(&name).filter(|_| !arguments.remove) {
        let text = format!("{name} is not in the composed form (NFC): give {composed}, which looks the same");
        return Err(Failure::new(Code::Usage, text));
    }
    let mut node = Node::new(state, &identity, Role::caller())?;
    go_online(&mut node)?;
    node.group(&group, replace, &add, &delete).map_err(|error| match error {
        GroupError::Offline => outcome::offline(p2pgate::terminal::OfflineCause::Unreachable, node.broker()),
        error => Failure::new(Code::Refused, format!("the group stays as it was: {error}")),
    })?;
    let mut answer = None;
    wait(&mut node, PATIENCE, |event| {
        if let Event::GroupAnswered { status } = event {
            answer = Some(*status);
        }
        answer.is_some()
    })?;
    let refused = |text: String| Err(Failure::new(Code::Refused, text));
    match answer.unwrap_or_default() {
        200 => {
            say!("{group}");
            Ok(())
        }
        403 => refused(format!(
            "the broker refuses the group {group}: it is called by this recorder's identifier, a slash and a name without one, which is no terminal's and looks like no other's"
        )),
        413 => refused("the broker allows no more groups, or no more members: take some out".into()),
        429 => refused("the broker was told of too many changes: try again later".into()),
        503 => Err(Failure::new(Code::Broker, "the broker cannot store the group now: try again later")),
        status => refused(format!("the broker refuses the group (status {status}): ask its operator")),
    }
}

/// Identifiers parted by commas.
fn members(text: Option<&str>) -> Result<Members, Failure> {
    let names = text.unwrap_or_default().split(',').filter(|name| !name.is_empty());
    names.map(|name| Ok((parse_identifier(name)?, None))).collect()
}
