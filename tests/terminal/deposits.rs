//! P10, P11, M19–M22: what the callee can't take now waits at the broker, and is delivered once.

use crate::world::{PEERS, Spoken, ToDeposit, World, identifier};
use crate::{count, heard_pair, pair, recording, said};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::load::LoadGate;
use p2pgate::message::{Denial, DepositId};
use p2pgate::terminal::{Change, Denied, Event, SessionId, TransferFailure, blob_size};
use proptest::prelude::*;
use sha2::{Digest, Sha256};

const NAME: &str = "film.mpg";
const SOURCE: &[u8] = b"film.mpg, state 1";

fn of(data: &[u8]) -> Option<ToDeposit> {
    let hash = Some(Sha256::digest(data).into());
    Some(ToDeposit { data: data.to_vec(), name: NAME, source: SOURCE, hash })
}

/// The terminal's control link is lost; it comes back once time passes.
fn lose(world: &mut World, node: usize) {
    for pipe in world.open_pipes(node) {
        world.cut(pipe);
    }
    world.settle();
}

/// The first caller deposits for an absent callee.
fn deposited(world: &mut World, data: &[u8]) -> DepositId {
    lose(world, 1);
    world.nodes[0].deposit = of(data);
    world.call(0, 1);
    kept(world, 0).unwrap_or_else(|| panic!("{:?}\n{:#?}", world.events(0), world.logs))
}

fn kept(world: &World, node: usize) -> Option<DepositId> {
    world.events(node).iter().rev().find_map(|event| match event {
        Event::Deposited { deposit, .. } => Some(*deposit),
        _ => None,
    })
}

fn offered(world: &World, node: usize) -> usize {
    world.events(node).iter().filter(|event| matches!(event, Event::Offered { .. })).count()
}

fn failures(world: &World, node: usize) -> Vec<TransferFailure> {
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
fn is_over(world: &World) {
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
fn p11_s2901_to_s2907_a_busy_callee_collects_when_its_load_has_fallen() {
    let mut world = pair();
    world.nodes[1].terminal.set_load(90);
    let data = recording(50_000);
    world.nodes[0].deposit = of(&data);
    world.call(0, 1);
    let deposit = kept(&world, 0).unwrap();
    let waiting = Event::DepositWaiting { deposit, size: 50_000 };
    assert_eq!(count(&world, 1, waiting), 1);
    world.pass(300_000);
    assert_eq!(offered(&world, 1), 0, "it is busy");
    assert_eq!(world.nodes[1].terminal.depositors().collect::<Vec<_>>(), [(&identifier("Ia"), &deposit)]);
    world.nodes[1].terminal.set_load(75);
    world.settle();
    assert_eq!(offered(&world, 1), 0, "not yet by the gate's hysteresis");
    world.nodes[1].terminal.set_load(10);
    world.settle();
    assert_eq!(world.nodes[1].arrived, [data]);
    is_over(&world);
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
fn edit(world: &mut World, start: &'static str, name: &'static str, value: &'static str) {
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

/// The callee collects until it has some of the deposit, and loses the lane.
fn half_collected(world: &mut World, least: usize) -> Vec<u8> {
    world.chunk = 3_000;
    for _ in 0..10_000 {
        let received: Vec<_> =
            world.nodes[1].received.values().filter(|data| data.len() > least).cloned().collect();
        if let [received] = received.as_slice() {
            let lane = *world.open_pipes(1).last().unwrap();
            world.cut(lane);
            world.nodes[1].received.clear();
            world.settle();
            assert_eq!(failures(world, 1), [TransferFailure::LaneLost]);
            return received.clone();
        }
        if !world.step() {
            // The control link comes back.
            world.now += 1_500;
            let now = world.now;
            world.nodes[1].terminal.handle_timeout(now);
        }
    }
    panic!("{:?}", world.events(1));
}

#[test]
fn p11_a_collection_goes_on_at_any_byte() {
    for least in [100, 1_000_000, 1_048_576, 2_000_000] {
        let mut world = pair();
        world.chunk = 3_000;
        let data = recording(2_500_000);
        deposited(&mut world, &data);
        let received = half_collected(&mut world, least);
        assert_eq!(received, data[..received.len()]);
        (world.nodes[1].resume_at, world.nodes[1].start) = (received.len() as u64, received);
        world.pass(40_000);
        assert_eq!(world.nodes[1].arrived, [data], "{:?}\n{:#?}", world.events(1), world.logs);
        is_over(&world);
    }
}

#[test]
fn p11_all_of_it_may_be_there_already() {
    let mut world = pair();
    let data = recording(5_000);
    deposited(&mut world, &data);
    (world.nodes[1].resume_at, world.nodes[1].start) = (5_000, data.clone());
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived, [data]);
    is_over(&world);
}

#[test]
fn p11_a_callee_that_forgets_before_it_has_persisted_is_offered_it_again() {
    let mut world = pair();
    let data = recording(9_000);
    deposited(&mut world, &data);
    world.nodes[1].auto_persist = false;
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived.len(), 1);
    assert_eq!(world.broker.counts().deposits, 1, "the broker must not delete what may be forgotten");
    world.nodes[1].auto_persist = true;
    world.restart(1);
    assert_eq!(world.nodes[1].arrived, [data.clone(), data]);
    is_over(&world);
}

#[test]
fn p11_a_callee_that_has_persisted_is_not_offered_it_again() {
    let mut world = heard_pair(BrokerConfig::default());
    let data = recording(9_000);
    let deposit = deposited(&mut world, &data);
    // What the callee says of it doesn't reach the broker.
    world.listener.edit = Some(Box::new(|spoken: &Spoken| {
        if spoken.text.starts_with("NOTIFY\nTransfer Complete.") { vec![] } else { vec![spoken.text.clone()] }
    }));
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data));
    assert_eq!(world.broker.counts().deposits, 1);
    world.listener.edit = None;
    for _ in 0..2 {
        world.restart(1);
        assert_eq!(world.nodes[1].arrived.len(), 1, "once only");
    }
    assert_eq!(said(&world, "Ib", "broker", "NOTIFY\nTransfer Complete.").len(), 2);
    assert_eq!(count(&world, 0, Event::DepositCollected { deposit }), 1);
    is_over(&world);
}

#[test]
fn p11_what_was_told_outlasts_a_reset_and_what_is_gone_is_forgotten() {
    let mut world = pair();
    world.nodes[1].terminal.set_load(90);
    world.nodes[0].deposit = of(&recording(1_000));
    world.call(0, 1);
    let deposit = kept(&world, 0).unwrap();
    assert_eq!(world.nodes[1].terminal.depositors().count(), 1);
    world.broker_down = true;
    world.restart(1);
    assert_eq!(world.nodes[1].terminal.depositors().collect::<Vec<_>>(), [(&identifier("Ia"), &deposit)]);
    world.nodes[0].terminal.withdraw_deposit(&deposit).unwrap();
    world.settle();
    world.broker_down = false;
    world.pass(10_000);
    assert_eq!(offered(&world, 1), 0);
    is_over(&world);
}

#[test]
fn p11_what_the_user_refuses_stays_until_the_next_connection_or_a_persons_word() {
    let mut world = heard_pair(BrokerConfig::default());
    world.nodes[1].auto_accept = false;
    let data = recording(9_000);
    deposited(&mut world, &data);
    world.pass(5_000);
    for round in 1..=3 {
        assert_eq!(offered(&world, 1), round);
        let session = world.events(1).iter().rev().find_map(|event| match event {
            Event::Offered { session } => Some(*session),
            _ => None,
        });
        let session = session.unwrap();
        let what = world.nodes[1].terminal.offered(session).unwrap();
        assert_eq!((what.name, what.size, what.source, what.hash), (NAME, 9_000, SOURCE, true));
        assert_eq!(world.nodes[1].terminal.peer(session), Some(&identifier("Ia")));
        let now = world.now;
        match round {
            3 => world.accept(1, session),
            _ => world.nodes[1].terminal.refuse(session, "not now", now).unwrap(),
        }
        world.pass(200_000);
        match round {
            1 => world.nodes[1].terminal.collect_again(),
            2 => lose(&mut world, 1),
            _ => {}
        }
        world.pass(5_000);
    }
    assert_eq!(said(&world, "Ib", "broker", "NOTIFY\nTransfer Failed.").len(), 2);
    assert_eq!(world.nodes[1].arrived, [data]);
    is_over(&world);
}

#[test]
fn p11_what_cannot_be_stored_stays_at_the_broker() {
    let mut world = pair();
    world.nodes[1].auto_store = false;
    deposited(&mut world, &recording(9_000));
    world.pass(5_000);
    let session = world.events(1).iter().find_map(|event| match event {
        Event::Arrived { session, .. } => Some(*session),
        _ => None,
    });
    let now = world.now;
    world.nodes[1].terminal.stored(session.unwrap(), Err("no room"), now).unwrap();
    world.pass(60_000);
    assert_eq!(offered(&world, 1), 1);
    assert_eq!(world.broker.counts().deposits, 1);
    world.nodes[1].auto_store = true;
    lose(&mut world, 1);
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived.len(), 2);
    is_over(&world);
}

#[test]
fn p11_what_was_altered_at_the_broker_is_damaged_wherever_it_was() {
    let data = recording(1_100_000);
    let mut world = pair();
    world.chunk = 4_000;
    deposited(&mut world, &data);
    let length = world.shelf.files.values().next().unwrap().len();
    drop(world);
    for at in [0, 3, 10, 30, 150, 300, 5_000, length / 2, length - 100_000, length - 1] {
        let mut world = pair();
        world.chunk = 4_000;
        deposited(&mut world, &data);
        world.shelf.files.values_mut().next().unwrap()[at] ^= 1;
        world.pass(60_000);
        assert_eq!(failures(&world, 1), [TransferFailure::Damaged], "at {at}");
        assert!(world.nodes[1].arrived.is_empty());
        assert_eq!(world.broker.counts().deposits, 1);
    }
}

#[test]
fn p11_what_cannot_be_collected_holds_up_no_later_one() {
    let mut world = pair();
    deposited(&mut world, &recording(5_000));
    world.shelf.files.values_mut().next().unwrap()[30] ^= 1;
    let later = recording(6_000);
    world.nodes[0].deposit = Some(ToDeposit { source: b"film.mpg, state 2", ..of(&later).unwrap() });
    world.call(0, 1);
    world.pass(120_000);
    // It is tried once more after the other.
    assert_eq!(failures(&world, 1), [TransferFailure::Damaged; 2]);
    assert_eq!(world.nodes[1].arrived, [later]);
    assert_eq!(world.broker.counts().deposits, 1, "what was altered is kept");
}

#[test]
fn p11_what_is_collected_is_known_though_its_depositor_was_struck_off_meanwhile() {
    let mut world = pair();
    deposited(&mut world, &recording(5_000));
    world.nodes[1].auto_persist = false;
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived.len(), 1);
    assert_eq!(world.broker.counts().deposits, 1, "the broker has not heard of it");
    world.permit(1, &[], &["Ia"]);
    world.permit(1, &["Ia"], &[]);
    world.nodes[1].auto_persist = true;
    let mut blob = vec![0; blob_size(PEERS)];
    world.nodes[1].terminal.blob(&mut blob).unwrap();
    world.nodes[1].terminal.persisted();
    world.pass(120_000);
    assert_eq!(world.nodes[1].arrived.len(), 1);
    is_over(&world);
}

#[test]
fn p11_parts_left_out_or_exchanged_are_damaged() {
    for exchange in [false, true] {
        let mut world = pair();
        world.chunk = 4_000;
        deposited(&mut world, &recording(3_500_000));
        let parts = world.shelf.deposits.values().next().unwrap().1.clone();
        let file = world.shelf.files.values_mut().next().unwrap();
        let part = |n: usize| file[parts[n].start as usize..parts[n].end as usize].to_vec();
        let order: &[usize] = if exchange { &[0, 2, 1, 3] } else { &[0, 2, 3, 3] };
        *file = order.iter().flat_map(|n| part(*n)).collect();
        file.resize(parts[3].end as usize, 0);
        world.pass(60_000);
        assert_eq!(failures(&world, 1), [TransferFailure::Damaged], "{exchange}");
    }
}

#[test]
fn m21_only_who_is_permitted_with_the_pinned_key_is_collected() {
    for (name, value) in
        [("Depositor:", "Ix"), ("Caller Key:", "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=")]
    {
        let mut world = heard_pair(BrokerConfig::default());
        // Its key is pinned from a call.
        let session = world.call(0, 1);
        world.nodes[0].terminal.close(session);
        world.settle();
        edit(&mut world, "NOTIFY\nDepositor:", name, value);
        let text = if name == "Depositor:" { "NOTIFY\nDepositor:" } else { name };
        deposited(&mut world, &recording(1_000));
        if name == "Depositor:" {
            // The figure's own line is in the first.
            world.listener.edit = Some(Box::new(move |spoken: &Spoken| {
                vec![spoken.text.replace("Depositor:Ia\n", "Depositor:Ix\n")]
            }));
        }
        world.pass(60_000);
        assert_eq!(count(&world, 1, Event::Unexpected { key_changed: name != "Depositor:" }), 1, "{text}");
        assert_eq!(offered(&world, 1), 0);
        assert_eq!(world.nodes[1].terminal.depositors().count(), 0);
    }
}

#[test]
fn p11_a_depositor_that_is_struck_off_is_not_collected() {
    let mut world = pair();
    let deposit = deposited(&mut world, &recording(1_000));
    world.nodes[1].terminal.set_load(90);
    world.pass(5_000);
    assert_eq!(world.nodes[1].terminal.depositors().count(), 1);
    world.permit(1, &[], &["Ia"]);
    assert_eq!(world.nodes[1].terminal.depositors().count(), 0);
    assert_eq!(count(&world, 0, Event::DepositDropped { deposit }), 1);
    world.nodes[1].terminal.set_load(0);
    world.pass(60_000);
    assert_eq!(offered(&world, 1), 0);
    is_over(&world);
}

/// The depositor is permitted by a group of a third terminal's.
fn family() -> World {
    let mut world = World::new(BrokerConfig::default());
    for name in ["Ia", "Ib", "Io"] {
        world.add(name);
    }
    assert_eq!(world.group(2, true, &["Ia"], &[]), Some(200));
    world.permit(1, &["Io/family"], &[]);
    world
}

#[test]
fn v4_a_member_s_deposit_is_collected() {
    let mut world = family();
    let data = recording(30_000);
    let deposit = deposited(&mut world, &data);
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived, [data], "{:?}", world.events(1));
    assert_eq!(count(&world, 0, Event::DepositCollected { deposit }), 1);
    is_over(&world);
}

#[test]
fn v4_a_member_s_deposit_is_not_collected_once_its_group_is_struck_off() {
    for (restart, hears) in [(false, true), (false, false), (true, false)] {
        let mut world = family();
        world.nodes[1].terminal.set_load(90);
        deposited(&mut world, &recording(1_000));
        world.pass(5_000);
        assert_eq!(world.nodes[1].terminal.depositors().count(), 1);
        if !hears {
            world.list_outcome = p2pgate::broker::Stored::Failed;
        }
        world.permit(1, &[], &["Io/family"]);
        if restart {
            world.restart(1);
        }
        world.nodes[1].terminal.set_load(0);
        world.pass(60_000);
        assert_eq!((offered(&world, 1), world.nodes[1].terminal.depositors().count()), (0, 0));
    }
}

#[test]
fn p11_several_depositors_are_collected_one_after_the_other() {
    let mut world = World::new(BrokerConfig::default());
    for name in ["I1", "I2", "I3"] {
        world.add(name);
    }
    let callee = world.add_with("Ib", |config| config.load = LoadGate::new(80, 10, 1));
    world.permit(callee, &["I1", "I2", "I3"], &[]);
    lose(&mut world, callee);
    let mut all = Vec::new();
    // Two of the first's: it is told of the second once it has the first.
    for (node, state) in [(0, b"state 001"), (1, b"state 002"), (2, b"state 003"), (0, b"state 004")] {
        let data = recording(10_000 + all.len());
        let hash = Some(Sha256::digest(&data).into());
        world.nodes[node].deposit = Some(ToDeposit { data: data.clone(), name: NAME, source: state, hash });
        world.call(node, callee);
        all.push(data);
    }
    assert_eq!(world.broker.counts().deposits, 4);
    world.pass(5_000);
    let mut arrived = world.nodes[callee].arrived.clone();
    arrived.sort_by_key(Vec::len);
    assert_eq!(arrived, all);
    is_over(&world);
}

#[test]
fn p11_what_was_told_and_is_gone_does_not_hide_another_of_the_same_depositor() {
    let mut world = pair();
    world.nodes[1].terminal.set_load(90);
    let (first, second) = (recording(2_000), recording(3_000));
    let mut told = Vec::new();
    for (data, source) in [(&first, b"state 01"), (&second, b"state 02")] {
        world.nodes[0].deposit = Some(ToDeposit { data: data.clone(), name: NAME, source, hash: None });
        world.call(0, 1);
        told.push(kept(&world, 0).unwrap());
    }
    assert_eq!(world.nodes[1].terminal.depositors().collect::<Vec<_>>(), [(&identifier("Ia"), &told[0])]);
    world.nodes[0].terminal.withdraw_deposit(&told[0]).unwrap();
    world.settle();
    world.nodes[1].terminal.set_load(0);
    world.pass(40_000);
    assert_eq!(world.nodes[1].arrived, [second]);
    is_over(&world);
}

#[test]
fn p11_what_is_told_meanwhile_does_not_hide_that_something_was_collected() {
    let mut world = pair();
    world.nodes[1].auto_accept = false;
    let (first, second) = (recording(30_000), recording(20_000));
    deposited(&mut world, &first);
    world.pass(5_000);
    let collecting = world.events(1).iter().find_map(|event| match event {
        Event::Offered { session } => Some(*session),
        _ => None,
    });
    // A person wants everything tried again, while the device is at it and takes no calls.
    world.nodes[1].terminal.collect_again();
    world.nodes[1].terminal.set_load(90);
    world.nodes[0].deposit = Some(ToDeposit { source: b"film.mpg, state 2", ..of(&second).unwrap() });
    world.call(0, 1);
    assert_eq!(world.broker.counts().deposits, 2);
    world.nodes[1].auto_accept = true;
    world.accept(1, collecting.unwrap());
    world.nodes[1].terminal.set_load(0);
    world.pass(60_000);
    lose(&mut world, 1);
    world.pass(60_000);
    assert_eq!(world.nodes[1].arrived, [first, second]);
    is_over(&world);
}

#[test]
fn p11_a_broker_that_hands_over_later_is_asked_again() {
    let mut world = heard_pair(BrokerConfig::default());
    let data = recording(2_000);
    deposited(&mut world, &data);
    // M22 is lost on its way once, and refused in the broker's place.
    let mut refused = false;
    world.listener.edit = Some(Box::new(move |spoken: &Spoken| {
        if spoken.text.starts_with("NOTIFY\nTransfer Accepted.") && !std::mem::replace(&mut refused, true) {
            let number = spoken.text.lines().find(|line| line.starts_with("Transaction:")).unwrap();
            return vec![format!("NOTIFY\nTransfer Refused.\nAnswer:broker\n{number}\nCause:too often\n")];
        }
        vec![spoken.text.clone()]
    }));
    world.pass(20_000);
    assert!(world.nodes[1].arrived.is_empty());
    world.pass(20_000);
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
fn lists_stored_before_there_were_deposits_are_still_read() {
    let mut world = pair();
    let session = world.call(0, 1);
    world.nodes[0].terminal.close(session);
    world.settle();
    let blob = &mut world.nodes[1].blob;
    let end = blob.len() - 8;
    blob[0] = 1;
    let check = Sha256::digest(&blob[..end]);
    blob[end..].copy_from_slice(&check[..8]);
    world.restart(1);
    assert_eq!(world.listed(1), ["Ia"]);
    deposited(&mut world, &recording(3_000));
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived.len(), 1);
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

#[test]
fn m21_who_is_struck_off_and_put_back_at_once_is_collected_all_the_same() {
    let mut world = pair();
    world.nodes[1].terminal.set_load(90);
    let data = recording(30_000);
    world.nodes[0].deposit = of(&data);
    world.call(0, 1);
    assert_eq!(world.nodes[1].terminal.depositors().count(), 1);
    let (caller, links) = (identifier("Ia"), world.open_pipes(1));
    let terminal = &mut world.nodes[1].terminal;
    terminal.permit(&Change::Change { add: &[], delete: std::slice::from_ref(&caller) }).unwrap();
    terminal.permit(&Change::Change { add: &[(caller, None)], delete: &[] }).unwrap();
    world.settle();
    world.nodes[1].terminal.set_load(0);
    world.pass(60_000);
    assert_eq!(world.nodes[1].arrived, [data], "{:?}", world.events(1));
    assert_eq!(world.open_pipes(1), links, "by the link that was there");
    is_over(&world);
}

#[test]
fn v4_a_member_s_deposit_is_collected_whoever_else_is_struck_off_meanwhile() {
    let mut world = family();
    world.nodes[1].terminal.set_load(90);
    let data = recording(30_000);
    deposited(&mut world, &data);
    world.pass(5_000);
    world.permit(1, &["Ix"], &[]);
    world.permit(1, &[], &["Ix"]);
    let links = world.open_pipes(1);
    world.nodes[1].terminal.set_load(0);
    world.pass(60_000);
    assert_eq!(world.nodes[1].arrived, [data], "{:?}", world.events(1));
    assert_eq!(world.open_pipes(1), links);
    is_over(&world);
}

/// The bytes that the terminal would store now.
fn blob(world: &mut World) -> Vec<u8> {
    let mut out = vec![0; 16 << 10];
    let length = world.nodes[1].terminal.blob(&mut out).unwrap();
    out.truncate(length);
    out
}

/// Steps until something is being collected.
fn collecting(world: &mut World) {
    for _ in 0..10_000 {
        if world.nodes[1].received.values().any(|data| !data.is_empty()) {
            return;
        }
        if !world.step() {
            world.now += 1_500;
            let now = world.now;
            world.nodes[1].terminal.handle_timeout(now);
        }
    }
    panic!("{:?}", world.events(1));
}

#[test]
fn p11_what_is_being_collected_is_kept_in_mind_whatever_another_program_has_stored() {
    for member in [false, true] {
        let mut world = if member { family() } else { pair() };
        world.chunk = 3_000;
        let before = blob(&mut world);
        let first = recording(200_000);
        deposited(&mut world, &first);
        collecting(&mut world);
        // A program that has read the list before this deposit was told has written it.
        let ours = blob(&mut world);
        world.nodes[1].terminal.restore(&before).unwrap();
        world.nodes[1].terminal.adopt_pins(&ours).unwrap();
        world.settle();
        world.pass(60_000);
        assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&first), "{member}: {:?}", world.events(1));
        is_over(&world);

        // One that knows of an earlier deposit of the same caller.
        let second = recording(210_000);
        deposited(&mut world, &second);
        collecting(&mut world);
        let now = blob(&mut world);
        world.nodes[1].terminal.restore(&ours).unwrap();
        world.nodes[1].terminal.adopt_pins(&now).unwrap();
        world.settle();
        world.pass(60_000);
        assert_eq!(world.nodes[1].arrived, [first, second], "{member}: {:?}", world.events(1));
        is_over(&world);
    }
}

#[test]
fn v4_a_member_that_is_put_on_the_list_itself_is_not_collected_twice() {
    for replaces in [false, true] {
        let mut world = family();
        world.chunk = 3_000;
        let data = recording(200_000);
        let deposit = deposited(&mut world, &data);
        collecting(&mut world);
        let (caller, group) = ((identifier("Ia"), None), (identifier("Io/family"), None));
        let change = match replaces {
            true => Change::Create(&[caller, group]),
            false => Change::Change { add: &[caller], delete: &[identifier("Ix")] },
        };
        // The broker can't store that for now: it does not tell again what there is.
        world.list_outcome = p2pgate::broker::Stored::Failed;
        world.nodes[1].terminal.permit(&change).unwrap();
        world.settle();
        world.pass(5_000);
        world.list_outcome = p2pgate::broker::Stored::Done;
        lose(&mut world, 1);
        world.pass(60_000);
        assert!(
            world.nodes[1].arrived == [data],
            "{} arrived: {:?}",
            world.nodes[1].arrived.len(),
            world.events(1)
        );
        assert_eq!(count(&world, 0, Event::DepositCollected { deposit }), 1);
        is_over(&world);
    }
}
