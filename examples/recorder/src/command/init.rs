//! `init` and `show`: who this recorder is.

use std::io::{BufRead, IsTerminal, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use p2pgate::identifier::Identifier;
use p2pgate::link::{PublicKey, SecretKey};
use p2pgate::terminal::{Event, OfflineCause};
use zeroize::Zeroizing;

use super::go_online;
use crate::cli::{Init, Show};
use crate::failure::{Code, Failure};
use crate::node::{Certificate, Node, Role, fill_random};
use crate::state::{Identity, State};

/// No ticket's line is as long.
const TICKET_LINE: u64 = 256;

/// Makes a key, enrols it and prints its fingerprint.
pub fn run(arguments: &Init) -> Result<(), Failure> {
    let identity = enrol(arguments)?;
    say!("enrolled {} fingerprint {}", identity.identifier, identity.secret.public_key());
    Ok(())
}

/// Makes a key and enrols it. If that fails the key stays for the next try, unless it is sure that the broker
/// has not bound the identifier to it: then nothing is left behind.
pub fn enrol(arguments: &Init) -> Result<Identity, Failure> {
    let identifier = parse_identifier(&arguments.id)?;
    let broker_key = parse_key(&arguments.broker_key)?;
    let ticket = read_ticket(arguments.ticket.as_deref())?;
    let (state, made) = State::create(&arguments.state)?;
    let before = state.candidate()?;
    let fresh = before.is_none();
    let secret = match before {
        // The broker lets a key in that it has bound without looking at the ticket: a lost answer does no harm.
        Some(before) if before.identifier == identifier && before.broker_key == broker_key => before.secret,
        Some(before) => {
            return Err(Failure::new(
                Code::Local,
                format!(
                    "{} holds an unfinished enrolment of {} with the broker whose key is {}: finish that with init, or choose another folder",
                    arguments.state.display(),
                    before.identifier,
                    before.broker_key
                ),
            ));
        }
        None => {
            let mut secret = Zeroizing::new([0; 32]);
            fill_random(&mut secret)?;
            SecretKey::new(*secret)
        }
    };
    let identity =
        Identity { identifier, secret, broker: arguments.broker.clone(), broker_key, tls: arguments.tls };
    let unbound = Arc::new(AtomicBool::new(fresh));
    let confirmed = confirm(&state, &identity, arguments, ticket, &unbound);
    if confirmed.is_err() && unbound.load(Ordering::Relaxed) {
        state.remove(made);
    }
    confirmed.map(|()| identity)
}

/// The ticket as given, or from standard input: what is an argument everybody on the machine can read.
fn read_ticket(given: Option<&str>) -> Result<Option<Zeroizing<String>>, Failure> {
    if given != Some("-") {
        return Ok(given.map(|text| Zeroizing::new(text.to_owned())));
    }
    let input = std::io::stdin().lock();
    if input.is_terminal() {
        eprintln!("the ticket, as p2pgate-broker enrol has printed it:");
    }
    // Of this length from the start: growing would leave copies.
    let mut line = Zeroizing::new(String::with_capacity(TICKET_LINE as usize));
    let read = input.take(TICKET_LINE).read_line(&mut line);
    read.map_err(|error| Failure::new(Code::Local, format!("cannot read the ticket: {error}")))?;
    Ok(Some(line))
}

/// `unbound`: the broker cannot have bound the identifier to the key, before and afterwards.
fn confirm(
    state: &State,
    identity: &Identity,
    arguments: &Init,
    ticket: Option<Zeroizing<String>>,
    unbound: &Arc<AtomicBool>,
) -> Result<(), Failure> {
    if let Some(path) = &arguments.tls_ca {
        let text = std::fs::read(path).map_err(|error| Failure::local("cannot read", path, &error))?;
        state.save_authorities(&text)?;
    }
    // The key must be on disk before the broker binds the identifier to it.
    state.save_candidate(identity)?;
    let mut node = Node::new(state.clone(), identity, Role::caller())?;
    if let Some((certificates, key)) = arguments.tls_cert.clone().zip(arguments.tls_key.clone())
        && let Some(tls) = state.tls_as(identity, Some(&Certificate { certificates, key }))?
    {
        node.present(tls);
    }
    if let Some(ticket) = ticket {
        let (terminal, _) = node.terminal();
        let wrong = |error| Failure::new(Code::Usage, format!("--ticket: {error}"));
        terminal.enrol(ticket.trim()).map_err(wrong)?;
    }
    // From here on the broker may hear of the key; whether it has is its word's affair.
    let fresh = unbound.swap(false, Ordering::Relaxed);
    let unbound = unbound.clone();
    node.watch(Box::new(move |event| match event {
        Event::Offline { cause: OfflineCause::NotEnrolled } => unbound.store(true, Ordering::Relaxed),
        Event::Offline { cause: OfflineCause::NotTheBroker } => unbound.store(fresh, Ordering::Relaxed),
        _ => {}
    }));
    go_online(&mut node)?;
    state.confirm_candidate()?;
    node.drain(Duration::from_secs(1))
}

/// Prints identifier, fingerprint and broker.
pub fn show(arguments: &Show) -> Result<(), Failure> {
    let (_, identity) = State::open(&arguments.state)?;
    say!("identifier {}", identity.identifier);
    say!("fingerprint {}", identity.secret.public_key());
    let tls = if identity.tls { " TLS" } else { "" };
    say!("broker {} key {}{tls}", identity.broker, identity.broker_key);
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
