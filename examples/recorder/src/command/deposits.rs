//! `deposits`: what this recorder has left at the broker, and taking it back (P10).

use p2pgate::message::DepositId;
use p2pgate::terminal::{AskError, Event, OfflineCause};

use super::{PATIENCE, go_online, outcome, wait};
use crate::cli::Deposits;
use crate::failure::{Code, Failure};
use crate::node::{Node, Role};
use crate::state::State;

/// Lists, or withdraws one.
pub fn run(arguments: &Deposits) -> Result<(), Failure> {
    let withdraw = arguments.withdraw.as_deref().map(parse).transpose()?;
    let (state, identity) = State::open(&arguments.state)?;
    let mut node = Node::new(state, &identity, Role::caller())?;
    go_online(&mut node)?;
    let status = match withdraw {
        Some(id) => {
            let asked = node.terminal().0.withdraw_deposit(&id);
            ask(&mut node, asked, |event| match event {
                Event::DepositWithdrawn { deposit, status } if *deposit == id => Some(*status),
                _ => None,
            })?
        }
        None => {
            let asked = node.terminal().0.list_deposits();
            ask(&mut node, asked, |event| match event {
                Event::DepositsListed { status } => Some(*status),
                _ => None,
            })?
        }
    };
    if status != 200 {
        return Err(Failure::new(
            Code::Refused,
            format!("the broker at {} can't do this now (status {status}): try again later", node.broker()),
        ));
    }
    for deposit in node.listed() {
        let state = if deposit.kept == deposit.size { "whole" } else { "unfinished" };
        say!(
            "{} bytes {} kept {} {state} for {}",
            text(&deposit.id),
            deposit.size,
            deposit.kept,
            deposit.callee
        );
    }
    Ok(())
}

fn ask(
    node: &mut Node,
    asked: Result<(), AskError>,
    status: impl Fn(&Event) -> Option<u16>,
) -> Result<u16, Failure> {
    if asked.is_err() {
        return Err(outcome::offline(OfflineCause::Unreachable, node.broker()));
    }
    let mut answer = None;
    wait(node, PATIENCE, |event| {
        answer = status(event);
        answer.is_some()
    })?;
    Ok(answer.unwrap_or_default())
}

/// A deposit's number as people copy it.
pub fn text(id: &DepositId) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn parse(text: &str) -> Result<DepositId, Failure> {
    let wrong = || {
        Failure::new(
            Code::Usage,
            format!("{text} is no deposit: copy its 32 characters as deposits prints them"),
        )
    };
    let mut id = [0; 16];
    if text.len() != 32 || !text.is_ascii() {
        return Err(wrong());
    }
    for (place, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * place..2 * place + 2], 16).map_err(|_| wrong())?;
    }
    Ok(id)
}
