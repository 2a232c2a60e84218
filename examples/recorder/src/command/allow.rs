//! `allow`: the list of recorders that may call this one (P2).

use std::time::Duration;

use p2pgate::identifier::Identifier;
use p2pgate::link::PublicKey;
use p2pgate::terminal::{Change, Event};

use super::init::parse_identifier;
use super::{PATIENCE, go_online, wait};
use crate::cli::Allow;
use crate::failure::{Code, Failure};
use crate::node::{Node, Role};
use crate::state::State;

/// An entry of the list, with the key it must have.
type Entry = (Identifier, Option<PublicKey>);

/// Changes the list, or prints it.
pub fn run(arguments: &Allow) -> Result<(), Failure> {
    if arguments.create.is_some() || arguments.add.is_some() || arguments.delete.is_some() {
        return change(arguments);
    }
    let (state, identity) = State::open(&arguments.state)?;
    print(&mut Node::new(state, &identity, Role::caller())?, arguments.fingerprints);
    Ok(())
}

/// Changes the list, here first and then at the broker.
pub fn change(arguments: &Allow) -> Result<(), Failure> {
    let create = arguments.create.as_deref().map(parse_entries).transpose()?;
    let add = parse_entries(arguments.add.as_deref().unwrap_or_default())?;
    let delete = parse_entries(arguments.delete.as_deref().unwrap_or_default())?;
    let delete: Vec<Identifier> = delete.into_iter().map(|(identifier, _)| identifier).collect();
    let (state, identity) = State::open(&arguments.state)?;
    let mut node = Node::new(state, &identity, Role::caller())?;
    node.permit(&match &create {
        Some(entries) => Change::Create(entries),
        None => Change::Change { add: &add, delete: &delete },
    })?;
    let registered = go_online(&mut node).and_then(|_| register(&mut node));
    registered.map_err(|failure| {
        let text =
            format!("{failure}; the list is changed here, and the broker is told at the next connection");
        Failure::new(failure.code, text)
    })?;
    node.drain(Duration::from_secs(1))
}

/// Waits until the broker has the list.
fn register(node: &mut Node) -> Result<(), Failure> {
    // A receive of the same recorder may have been quicker.
    if node.terminal().0.is_registered() {
        return Ok(());
    }
    let mut refused = None;
    wait(node, PATIENCE, |event| match event {
        Event::Registered { .. } => true,
        Event::RegisterFailed { status } => {
            refused = Some(*status);
            true
        }
        _ => false,
    })?;
    match refused {
        None => Ok(()),
        Some(413) => Err(Failure::new(Code::Refused, "the broker refuses a list this long: delete entries")),
        Some(429) => {
            Err(Failure::new(Code::Refused, "the broker was told of too many changes: try again later"))
        }
        Some(503) => Err(Failure::new(Code::Broker, "the broker cannot store the list now: try again later")),
        Some(status) => Err(Failure::new(
            Code::Refused,
            format!("the broker refuses the list (status {status}): ask its operator"),
        )),
    }
}

fn print(node: &mut Node, fingerprints: bool) {
    let (terminal, _) = node.terminal();
    for (identifier, pin) in terminal.permitted() {
        match pin {
            Some(key) if fingerprints => say!("{identifier}={key}"),
            _ => say!("{identifier}"),
        }
    }
}

/// Entries parted by commas: `ID` or `ID=FINGERPRINT`.
fn parse_entries(text: &str) -> Result<Vec<Entry>, Failure> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    text.split(',').map(parse_entry).collect()
}

/// An identifier may itself hold `=`: only what is a whole key after the last one counts as a fingerprint.
fn parse_entry(text: &str) -> Result<Entry, Failure> {
    let unpadded = text.strip_suffix('=').unwrap_or(text);
    if let Some((identifier, fingerprint)) = unpadded.rsplit_once('=')
        && let Ok(key) = PublicKey::from_base64(fingerprint)
    {
        return Ok((parse_identifier(identifier)?, Some(key)));
    }
    Ok((parse_identifier(text)?, None))
}
