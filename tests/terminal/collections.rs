//! P11, M21: what the broker keeps for the callee is collected, once, from those that it permits.

use crate::deposits::{NAME, SOURCE, deposited, edit, failures, is_over, kept, lose, of, offered};
use crate::world::{PEERS, Spoken, ToDeposit, World, identifier};
use crate::{count, heard_pair, pair, recording, said};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::load::LoadGate;
use p2pgate::terminal::{Change, Event, TransferFailure, blob_size};
use sha2::{Digest, Sha256};

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
        go_on(world);
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
fn m21_what_was_deposited_goes_with_the_entry_that_is_struck_off_and_put_back_at_once() {
    let mut world = pair();
    world.nodes[1].terminal.set_load(90);
    let data = recording(30_000);
    world.nodes[0].deposit = of(&data);
    world.call(0, 1);
    let deposit = kept(&world, 0).unwrap();
    assert_eq!(world.nodes[1].terminal.depositors().count(), 1);
    let (caller, links) = (identifier("Ia"), world.open_pipes(1));
    let terminal = &mut world.nodes[1].terminal;
    terminal.permit(&Change::Change { add: &[], delete: std::slice::from_ref(&caller) }).unwrap();
    terminal.permit(&Change::Change { add: &[(caller, None)], delete: &[] }).unwrap();
    world.settle();
    world.nodes[1].terminal.set_load(0);
    world.pass(60_000);
    assert!(world.nodes[1].arrived.is_empty(), "{:?}", world.events(1));
    assert_eq!(count(&world, 0, Event::DepositDropped { deposit }), 1);
    assert_eq!(world.open_pipes(1), links, "by the link that was there");
    is_over(&world);
    // What comes from then on is taken.
    deposited(&mut world, &data);
    world.pass(5_000);
    assert_eq!(world.nodes[1].arrived, [data], "{:?}", world.events(1));
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

/// A step, or the time until the control link comes back.
fn go_on(world: &mut World) {
    if !world.step() {
        world.now += 1_500;
        let now = world.now;
        world.nodes[1].terminal.handle_timeout(now);
    }
}

/// Steps until something is being collected.
fn collecting(world: &mut World) {
    for _ in 0..10_000 {
        if world.nodes[1].received.values().any(|data| !data.is_empty()) {
            return;
        }
        go_on(world);
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
