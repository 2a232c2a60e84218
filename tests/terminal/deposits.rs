//! P10, P11, M19–M22: what the callee can't take now waits at the broker, and is delivered once. How the callee collects is in `collections`.

use crate::world::{Spoken, ToDeposit, World};
use crate::{count, heard_pair, pair, recording, said};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::message::{Denial, DepositId};
use p2pgate::terminal::{Change, Denied, Event, SessionId, TransferFailure};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

pub const NAME: &str = "film.mpg";
pub const SOURCE: &[u8] = b"film.mpg, state 1";

pub fn of(data: &[u8]) -> Option<ToDeposit> {
    let hash = Some(Sha256::digest(data).into());
    Some(ToDeposit { data: data.to_vec(), name: NAME, source: SOURCE, hash })
}

/// The terminal's control link is lost; it comes back once time passes.
pub fn lose(world: &mut World, node: usize) {
    for pipe in world.open_pipes(node) {
        world.cut(pipe);
    }
    world.settle();
}

/// The first caller deposits for an absent callee.
pub fn deposited(world: &mut World, data: &[u8]) -> DepositId {
    lose(world, 1);
    world.nodes[0].deposit = of(data);
    world.call(0, 1);
    kept(world, 0).unwrap_or_else(|| panic!("{:?}\n{:#?}", world.events(0), world.logs))
}

pub fn kept(world: &World, node: usize) -> Option<DepositId> {
    world.events(node).iter().rev().find_map(|event| match event {
        Event::Deposited { deposit, .. } => Some(*deposit),
        _ => None,
    })
}

pub fn offered(world: &World, node: usize) -> usize {
    world.events(node).iter().filter(|event| matches!(event, Event::Offered { .. })).count()
}

pub fn failures(world: &World, node: usize) -> Vec<TransferFailure> {
    let failures = world.events(node).iter().filter_map(|event| match event {
        Event::TransferFailed { failure, .. } => Some(*failure),
        _ => None,
    });
    failures.collect()
}

fn denied(world: &World, session: SessionId) -> bool {
    let denial = Denied::Broker(Denial::NotConnected);
    world.events(0).contains(&Event::Denied { session, denial, retry_after: None })
}

/// Nothing is left of deposits, at the broker or as sessions.
pub fn is_over(world: &World) {
    assert_eq!(world.broker.counts().deposits, 0);
    assert!(world.shelf.files.is_empty());
    for node in 0..world.nodes.len() {
        assert_eq!(world.nodes[node].terminal.depositors().count(), 0);
        assert_eq!(world.open_pipes(node).len(), 1, "only the control link is left");
    }
}

#[test]
fn p10_p11_what_is_left_for_an_absent_callee_is_collected_and_the_depositor_told() {
    for length in [0, 1, 30_000, 2_600_000] {
        let mut world = pair();
        world.chunk = 3_000;
        let data = recording(length);
        let deposit = deposited(&mut world, &data);
        assert_eq!(world.broker.counts().deposits, 1);
        assert_eq!(world.open_pipes(0).len(), 1, "the session is over");
        world.clear(1);
        world.pass(5_000);
        let events = world.events(1);
        let waiting = Event::DepositWaiting { deposit, size: length as u64 };
        assert!(events.contains(&waiting), "{events:?}");
        assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data), "{events:?}\n{:#?}", world.logs);
        assert_eq!(world.nodes[1].hashes, [Some(Sha256::digest(&data).into())]);
        assert_eq!(count(&world, 0, Event::DepositCollected { deposit }), 1);
        is_over(&world);
        // Neither the broker's files nor any connection ever had a readable byte of it.
        if let Some(piece) = data.get(10_000..10_064) {
            let mut all = world.pipes.values().flat_map(|pipe| &pipe.record);
            assert!(!all.any(|bytes| bytes.windows(64).any(|window| window == piece)));
        }
    }
}

#[test]
fn m19_no_is_an_answer_and_so_is_none() {
    let mut world = heard_pair(BrokerConfig::default());
    lose(&mut world, 1);
    let session = world.call(0, 1);
    let most = world.events(0).iter().find_map(|event| match event {
        Event::DepositOffered { most, .. } => Some(*most),
        _ => None,
    });
    assert!(most.is_some_and(|most| most > 1_000_000), "{most:?}");
    assert!(denied(&world, session));
    assert_eq!(said(&world, "Ia", "broker", "NOTIFY\nDeposit Declined.\n").len(), 1);

    world.nodes[0].undecided = true;
    // The callee must not come back meanwhile.
    world.broker_down = true;
    let session = world.call(0, 1);
    world.pass(59_000);
    assert!(!denied(&world, session));
    world.pass(2_000);
    assert!(denied(&world, session));
    assert_eq!(said(&world, "Ia", "broker", "NOTIFY\nDeposit Declined.\n").len(), 2);
    assert_eq!(world.broker.counts().deposits, 0);
}

#[test]
fn m19_a_callee_with_another_key_than_the_pinned_one_gets_nothing() {
    let mut world = heard_pair(BrokerConfig::default());
    let session = world.call(0, 1);
    world.nodes[0].terminal.close(session);
    world.settle();
    lose(&mut world, 1);
    world.nodes[0].deposit = of(&recording(1_000));
    edit(
        &mut world,
        "NOTIFY\nDeposit Question.",
        "Callee Key:",
        "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=",
    );
    let session = world.call(0, 1);
    let denial = Event::Denied { session, denial: Denied::KeyChanged, retry_after: None };
    assert!(world.events(0).contains(&denial), "{:?}", world.events(0));
}

#[test]
fn m20_a_key_that_was_pinned_before_the_first_part_counts_for_the_deposit() {
    let mut world = heard_pair(BrokerConfig::default());
    lose(&mut world, 1);
    world.nodes[0].deposit = of(&recording(1_000));
    world.clear(0);
    let now = world.now;
    let callee = world.nodes[1].identifier.clone();
    let session = world.nodes[0].terminal.call(&callee, now).unwrap();
    // The broker has said that the deposit may come: its lane is being opened.
    let opens = |event: &Event| matches!(event, Event::Connect { .. });
    while !world.events(0).iter().any(opens) {
        assert!(world.step());
    }
    let other = p2pgate::link::SecretKey::new([77; 32]).public_key();
    let entry = [(callee, Some(other))];
    world.nodes[0].terminal.permit(&Change::Change { add: &entry, delete: &[] }).unwrap();
    world.settle();
    assert_eq!(count(&world, 0, Event::Denied { session, denial: Denied::KeyChanged, retry_after: None }), 1);
    assert!(world.shelf.files.values().all(Vec::is_empty), "nothing was sealed to the other key");
}

/// Replaces the value of a line in texts that start so.
pub fn edit(world: &mut World, start: &'static str, name: &'static str, value: &'static str) {
    world.listener.edit = Some(Box::new(move |spoken: &Spoken| {
        if !spoken.text.starts_with(start) {
            return vec![spoken.text.clone()];
        }
        let lines = spoken.text.lines().map(|line| match line.strip_prefix(name) {
            Some(_) => format!("{name}{value}\n"),
            None => format!("{line}\n"),
        });
        vec![lines.collect()]
    }));
}

#[test]
fn m20_a_limit_is_the_brokers_to_say() {
    let mut world = heard_pair(BrokerConfig { max_deposit: 20_000, ..BrokerConfig::default() });
    lose(&mut world, 1);
    world.nodes[0].deposit = of(&recording(20_001));
    let session = world.call(0, 1);
    assert_eq!(failures(&world, 0), [TransferFailure::RefusedByBroker]);
    assert!(world.events(0).iter().any(
        |event| matches!(event, Event::DepositOffered { session: other, most: 20_000 } if *other == session)
    ));
    let refused = said(&world, "broker", "Ia", "NOTIFY\nTransfer Refused.");
    assert!(refused[0].contains("larger than the broker keeps"), "{refused:?}");
    world.nodes[0].deposit = of(&recording(20_000));
    world.call(0, 1);
    assert!(kept(&world, 0).is_some());
}

#[test]
fn m20_what_is_kept_otherwise_than_it_was_sent_is_damaged() {
    let mut world = heard_pair(BrokerConfig::default());
    lose(&mut world, 1);
    edit(&mut world, "NOTIFY\nDeposit Kept.", "Digest:", "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=");
    world.nodes[0].deposit = of(&recording(5_000));
    world.call(0, 1);
    assert_eq!(failures(&world, 0), [TransferFailure::Damaged]);
    assert!(kept(&world, 0).is_none());
    assert_eq!(world.broker.counts().deposits, 0, "nobody is to collect it");
}

#[test]
fn p10_a_deposit_goes_on_where_it_was_broken_off() {
    let mut world = pair();
    world.chunk = 3_000;
    let data = recording(4_500_000);
    world.nodes[0].deposit = of(&data);
    lose(&mut world, 1);
    let callee = world.nodes[1].identifier.clone();
    let now = world.now;
    world.nodes[0].terminal.call(&callee, now).unwrap();
    // Until the second part is kept.
    while !world
        .events(0)
        .iter()
        .any(|event| matches!(event, Event::DepositKept { offset, .. } if *offset > 1_100_000))
    {
        assert!(world.step());
    }
    let lane = *world.open_pipes(0).last().unwrap();
    world.cut(lane);
    world.settle();
    assert_eq!(failures(&world, 0), [TransferFailure::LaneLost]);
    world.clear(0);
    world.call(0, 1);
    let from = world.events(0).iter().find_map(|event| match event {
        Event::Ready { offset, .. } => Some(*offset),
        _ => None,
    });
    assert!(from.is_some_and(|from| from > 1_100_000), "{from:?}");
    assert!(kept(&world, 0).is_some(), "{:?}", world.events(0));
    // Once more: it is kept already.
    world.clear(0);
    world.call(0, 1);
    assert!(kept(&world, 0).is_some());
    assert!(!world.events(0).iter().any(|event| matches!(event, Event::Ready { .. })));
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived, [data]);
    is_over(&world);
}

#[test]
fn p10_a_lane_that_loses_its_end_is_noticed() {
    let mut world = pair();
    lose(&mut world, 1);
    // The end frame doesn't get through.
    world.tamper = Some(Box::new(|frames| drop(frames.pop())));
    world.nodes[0].deposit = of(&recording(9_000));
    world.call(0, 1);
    let lane = *world.open_pipes(0).last().unwrap();
    world.cut(lane);
    world.pass(31_000);
    assert_eq!(failures(&world, 0), [TransferFailure::Idle]);
    world.tamper = None;
    world.clear(0);
    world.nodes[1].terminal.set_load(100);
    world.call(0, 1);
    assert!(kept(&world, 0).is_some(), "{:?}", world.events(0));
}

#[test]
fn p10_a_restarted_broker_has_what_it_said_to_be_kept() {
    let mut world = pair();
    world.chunk = 3_000;
    let data = recording(2_000_000);
    deposited(&mut world, &data);
    let lists = world.lists.clone();
    world.restart_broker(&lists);
    world.pass(60_000);
    assert_eq!(world.nodes[1].arrived, [data]);
    is_over(&world);
}

#[test]
fn p10_deposits_are_listed_and_withdrawn_by_their_depositor() {
    let mut world = pair();
    let deposit = deposited(&mut world, &recording(40_000));
    world.nodes[0].terminal.list_deposits().unwrap();
    assert!(world.nodes[0].terminal.list_deposits().is_err());
    world.settle();
    assert_eq!(world.nodes[0].listed, [(deposit, "Ib".to_owned(), 40_000, 40_000)]);
    assert_eq!(count(&world, 0, Event::DepositsListed { status: 200 }), 1);
    world.nodes[0].terminal.withdraw_deposit(&deposit).unwrap();
    world.settle();
    assert_eq!(count(&world, 0, Event::DepositWithdrawn { deposit, status: 200 }), 1);
    world.nodes[0].terminal.list_deposits().unwrap();
    world.settle();
    assert_eq!(world.nodes[0].listed.len(), 1);
    assert_eq!(count(&world, 0, Event::DepositsListed { status: 200 }), 2);
    world.pass(5_000);
    assert_eq!(offered(&world, 1), 0);
    is_over(&world);
}

#[test]
fn p10_what_nobody_collects_in_time_is_dropped_and_the_depositor_told() {
    let mut world = pair();
    world.nodes[1].auto_accept = false;
    world.nodes[1].terminal.set_load(100);
    let deposit = deposited(&mut world, &recording(4_000));
    world.pass(BrokerConfig::default().deposit_ms + 60_000);
    assert_eq!(count(&world, 0, Event::DepositDropped { deposit }), 1);
    assert_eq!(world.broker.counts().deposits, 0);
}

#[test]
fn lists_that_earlier_versions_stored_are_still_read() {
    // Before there were deposits, and before there was anybody struck off and put on again.
    for version in [1, 2] {
        let mut world = pair();
        let session = world.call(0, 1);
        world.nodes[0].terminal.close(session);
        world.settle();
        let blob = &mut world.nodes[1].blob;
        let end = blob.len() - 8;
        blob[0] = version;
        let check = Sha256::digest(&blob[..end]);
        blob[end..].copy_from_slice(&check[..8]);
        world.restart(1);
        assert_eq!(world.listed(1), ["Ia"]);
        deposited(&mut world, &recording(3_000));
        world.pass(5_000);
        assert_eq!(world.nodes[1].arrived.len(), 1);
    }
}

fn few() -> ProptestConfig {
    let config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 32, ..config } }
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn p11_any_order_of_polls_and_any_break_delivers_once(
        seed in 1_u64.., length in 1_usize..60_000, breaks in prop::collection::vec((1_usize..600, 0_usize..3), 0..4), narrow: bool,
    ) {
        let mut world = pair();
        (world.rng, world.narrow) = (seed, narrow);
        let data = recording(length);
        world.nodes[0].deposit = of(&data);
        world.nodes[1].terminal.set_load(100);
        let callee = world.nodes[1].identifier.clone();
        for (steps, what) in breaks {
            // A callee that has restarted knows of no load and may have collected it: sent again it would be another deposit.
            if !world.nodes[1].arrived.is_empty() {
                break;
            }
            let now = world.now;
            let _ = world.nodes[0].terminal.call(&callee, now);
            for _ in 0..steps {
                world.step();
            }
            match what {
                0 => lose(&mut world, 0),
                1 => world.restart(1),
                _ => world.restart(0),
            }
            world.nodes[1].received.clear();
            world.nodes[0].deposit = of(&data);
            world.pass(5_000);
        }
        // What was not deposited whole is deposited now.
        world.pass(130_000);
        world.nodes[1].received.clear();
        if world.nodes[1].arrived.is_empty() {
            world.nodes[1].terminal.set_load(100);
            world.call(0, 1);
            world.pass(5_000);
            world.nodes[1].terminal.set_load(0);
            world.pass(40_000);
        }
        prop_assert_eq!(&world.nodes[1].arrived, &[data], "{:?}\n{:?}\n{:#?}", world.events(0), world.events(1), world.logs);
        is_over(&world);
    }
}
