//! `init` and `show`: who this recorder is.

use std::time::Duration;

use p2pgate::identifier::Identifier;
use p2pgate::link::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use super::go_online;
use crate::cli::{Init, Show};
use crate::failure::{Code, Failure};
use crate::node::{Node, Role, fill_random};
use crate::state::{Identity, State};

/// Makes a key, enrols it and prints its fingerprint.
pub fn run(arguments: &Init) -> Result<(), Failure> {
    let identity = enrol(arguments)?;
    println!("enrolled {} fingerprint {}", identity.identifier, identity.secret.public_key());
    Ok(())
}

/// Makes a key and enrols it. Nothing is left behind if that fails.
pub fn enrol(arguments: &Init) -> Result<Identity, Failure> {
    let identifier = parse_identifier(&arguments.id)?;
    let broker_key = parse_key(&arguments.broker_key)?;
    let mut secret = Zeroizing::new([0; 32]);
    fill_random(&mut secret)?;
    let identity = Identity {
        identifier,
        secret: SecretKey::new(*secret),
        broker: arguments.broker.clone(),
        broker_key,
    };
    let (state, made) = State::create(&arguments.state)?;
    let confirmed = confirm(&state, &identity, &arguments.ticket);
    if confirmed.is_err() {
        state.remove(made);
    }
    confirmed.map(|()| identity)
}

fn confirm(state: &State, identity: &Identity, ticket: &str) -> Result<(), Failure> {
    // The key must be on disk before the broker binds the identifier to it.
    state.save_candidate(identity)?;
    let mut node = Node::new(state.clone(), identity, Role::caller())?;
    let (terminal, _) = node.terminal();
    terminal.enrol(ticket.trim()).map_err(|error| Failure::new(Code::Usage, format!("--ticket: {error}")))?;
    go_online(&mut node)?;
    state.confirm_candidate()?;
    node.drain(Duration::from_secs(1))
}

/// Prints identifier, fingerprint and broker.
pub fn show(arguments: &Show) -> Result<(), Failure> {
    let (_, identity) = State::open(&arguments.state)?;
    println!("identifier {}", identity.identifier);
    println!("fingerprint {}", identity.secret.public_key());
    println!("broker {} key {}", identity.broker, identity.broker_key);
    Ok(())
}

/// An identifier as typed.
pub fn parse_identifier(text: &str) -> Result<Identifier, Failure> {
    Identifier::new(text).map_err(|error| Failure::new(Code::Usage, format!("{text:?}: {error}")))
}

/// A key as typed: base64, padded or not.
pub fn parse_key(text: &str) -> Result<PublicKey, Failure> {
    let text = text.trim();
    PublicKey::from_base64(text.strip_suffix('=').unwrap_or(text))
        .map_err(|error| Failure::new(Code::Usage, format!("{text:?}: {error}")))
}
