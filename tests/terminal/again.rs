//! P2: whoever is struck off and put on again before the broker has heard of it is struck off there first, with the key that the entry was bound to.

use crate::world::{PEERS, World, identifier};
use crate::{connected, count, heard_pair, pair, said};
use p2pgate::broker::{Config as BrokerConfig, Stored};
use p2pgate::message::Denial;
use p2pgate::terminal::{Change, Denied, Event, blob_size};
use sha2::{Digest, Sha256};

/// `Ib` permits `Ia`, whose key was pinned in a session and is taken away then; another terminal is enrolled in its place, as node 2.
fn replaced() -> World {
    let mut world = pair();
    let session = world.call(0, 1);
    world.nodes[0].terminal.close(session);
    world.settle();
    let now = world.now;
    world.keys.remove("Ia");
    assert!(world.broker.revoke("Ia", now));
    world.settle();
    assert_eq!(world.add("Ia"), 2);
    let session = world.call(2, 1);
    let denied = |event: &Event| matches!(event, Event::Denied { session: of, denial: Denied::Broker(Denial::NotPermitted), .. } if *of == session);
    assert!(world.events(2).iter().any(denied), "the entry is bound to the earlier key");
    world.clear(1);
    world.clear(2);
    world
}

fn lose(world: &mut World, node: usize) {
    for pipe in world.open_pipes(node) {
        world.cut(pipe);
    }
}

/// What somebody does to a list, without a step in between.
fn deeds(world: &mut World, deeds: &[(bool, &[&str], &[&str])]) {
    for (replace, add, delete) in deeds {
        let add: Vec<_> = add.iter().map(|name| (identifier(name), None)).collect();
        let delete: Vec<_> = delete.iter().map(|name| identifier(name)).collect();
        let change = match replace {
            true => Change::Create(&add),
            false => Change::Change { add: &add, delete: &delete },
        };
        world.nodes[1].terminal.permit(&change).unwrap();
    }
}

type Deeds<'a> = &'a [(bool, &'a [&'a str], &'a [&'a str])];

const WAYS: [Deeds<'static>; 6] = [
    &[(false, &[], &["Ia"]), (false, &["Ia"], &[])],
    &[(true, &[], &[]), (true, &["Ia"], &[])],
    &[(true, &["Ix"], &[]), (false, &["Ia"], &[])],
    &[(false, &["Ix"], &["Ia"]), (false, &["Ia"], &["Ix"])],
    // Twice.
    &[(false, &[], &["Ia"]), (false, &["Ia"], &[]), (false, &[], &["Ia"]), (false, &["Ia"], &[])],
    // What the broker has been told only just.
    &[(false, &["Ix"], &["Ia"]), (false, &["Ia"], &[]), (true, &["Iy", "Ia"], &[])],
];

fn gets_through(world: &mut World, what: &str) {
    world.clear(1);
    world.clear(2);
    world.call(2, 1);
    assert!(connected(world, 1).is_some(), "{what}: {:?}\n{:#?}", world.events(2), world.logs);
    assert!(world.nodes[1].terminal.is_registered(), "{what}");
    let stored: Vec<&str> = world.lists["Ib"].1.iter().map(String::as_str).collect();
    assert_eq!(stored, world.listed(1), "{what}");
    assert_eq!(world.lists["Ib"].0, world.nodes[1].terminal.revision(), "{what}");
}

#[test]
fn p2_a_new_key_gets_through_whose_entry_was_struck_off_and_put_on_again_unheard() {
    for (number, way) in WAYS.iter().enumerate() {
        for restarts in [false, true] {
            let mut world = replaced();
            lose(&mut world, 1);
            deeds(&mut world, way);
            world.settle();
            if restarts {
                world.restart(1);
            }
            world.pass(5_000);
            gets_through(&mut world, &format!("way {number}, {restarts}"));
        }
    }
}

#[test]
fn p2_nor_does_a_break_at_any_moment_keep_it_out() {
    let (mut broke, mut moments) = (0, 0);
    for (number, way) in WAYS.iter().enumerate().take(4) {
        for restarts in [false, true] {
            // What was not stored before a restart was not done.
            for moment in usize::from(restarts).. {
                let mut world = replaced();
                world.chunk = 64;
                deeds(&mut world, way);
                let mut goes_on = true;
                for _ in 0..moment {
                    goes_on &= world.step();
                }
                moments += 1;
                broke += usize::from(!world.nodes[1].terminal.is_registered());
                if restarts {
                    world.restart(1);
                } else {
                    lose(&mut world, 1);
                }
                world.pass(5_000);
                gets_through(&mut world, &format!("way {number}, {restarts}, {moment}"));
                if !goes_on {
                    break;
                }
            }
        }
    }
    assert!(broke > 20 && moments > broke, "{broke} of {moments}");
}

#[test]
fn p2_deletions_that_there_was_no_place_for_are_remembered_all_the_same() {
    for restarts in [false, true] {
        let mut world = replaced();
        lose(&mut world, 1);
        let names: Vec<String> = (0..PEERS).map(|index| format!("I{index}")).collect();
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        deeds(&mut world, &[(false, &[], &["Ia"]), (false, &names, &[]), (false, &[], &["I3", "I4"])]);
        world.settle();
        if restarts {
            // Before it is told.
            let blob = world.nodes[1].blob.clone();
            world.nodes[1].terminal.restore(&blob).unwrap();
        }
        deeds(&mut world, &[(false, &["Ia"], &[])]);
        world.settle();
        world.pass(5_000);
        gets_through(&mut world, &format!("{restarts}"));
    }
}

#[test]
fn p2_it_is_told_by_a_deletion_and_an_addition_and_is_registered_behind_both() {
    let mut world = heard_pair(BrokerConfig::default());
    let before = said(&world, "Ib", "broker", "REGISTER\n").len();
    world.clear(1);
    deeds(&mut world, &[(false, &["Ic"], &["Ia"]), (false, &["Ia"], &[])]);
    world.settle();
    let told = said(&world, "Ib", "broker", "REGISTER\n").split_off(before);
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].starts_with("REGISTER\nIdentifier:Ib\nAccept:Add Ic\nDelete Ia\n"), "{told:?}");
    assert!(told[0].contains("\nRevision:3\n"));
    assert!(told[1].starts_with("REGISTER\nIdentifier:Ib\nAccept:Add Ia\n"), "{told:?}");
    assert!(told[1].contains("\nRevision:4\n"));
    let registered = |event: &&Event| matches!(event, Event::Registered { .. });
    let all: Vec<_> = world.events(1).iter().filter(registered).collect();
    assert_eq!(all, [&Event::Registered { revision: 4 }], "said once it is so");
    assert_eq!(world.listed(1), ["Ia", "Ic"]);
}

#[test]
fn p2_what_the_broker_could_not_store_is_told_again_in_both_steps() {
    for fails_at in [0, 1] {
        let mut world = replaced();
        let revision = world.nodes[1].terminal.revision();
        if fails_at == 0 {
            world.list_outcome = Stored::Failed;
        }
        deeds(&mut world, WAYS[0]);
        while fails_at == 1 && world.lists["Ib"].0 < revision + 2 {
            assert!(world.step());
        }
        world.list_outcome = Stored::Failed;
        world.settle();
        assert_eq!(count(&world, 1, Event::RegisterFailed { status: 503 }), 1, "{fails_at}");
        world.list_outcome = Stored::Done;
        world.pass(30_000);
        gets_through(&mut world, &format!("{fails_at}"));
    }
}

#[test]
fn p5_nobody_comes_in_by_what_was_struck_off_while_the_broker_has_not_heard_of_it() {
    let mut world = pair();
    world.nodes[1].auto_persist = false;
    deeds(&mut world, WAYS[0]);
    world.settle();
    let session = world.call(0, 1);
    let denied = Event::Denied { session, denial: Denied::Broker(Denial::NotPermitted), retry_after: None };
    assert!(world.events(0).contains(&denied), "{:?}", world.events(0));
    assert!(world.events(1).contains(&Event::Unexpected { key_changed: false }));
    let pin = world.nodes[1].terminal.permitted().next().unwrap().1;
    assert_eq!(pin, None, "nor is its key taken for that of whoever comes next");
    // Once it is stored it is told.
    world.nodes[1].auto_persist = true;
    world.nodes[1].terminal.blob(&mut vec![0; blob_size(PEERS)]).unwrap();
    world.nodes[1].terminal.persisted();
    world.settle();
    world.call(0, 1);
    assert!(connected(&world, 1).is_some());
}

#[test]
fn p2_a_session_by_an_entry_that_another_program_struck_off_and_put_on_again_ends() {
    let mut world = pair();
    world.call(0, 1);
    let (session, _) = connected(&world, 1).unwrap();
    let ours = world.nodes[1].blob.clone();
    // What `allow` stores while `receive` has the session.
    let theirs = {
        let mut world = World::new(BrokerConfig::default());
        world.add("Ia");
        world.add("Ib");
        lose(&mut world, 1);
        world.settle();
        world.nodes[1].terminal.restore(&ours).unwrap();
        deeds(&mut world, WAYS[0]);
        world.settle();
        world.nodes[1].blob.clone()
    };
    let key = world.nodes[0].terminal.public_key();
    let terminal = &mut world.nodes[1].terminal;
    terminal.restore(&theirs).unwrap();
    terminal.adopt_pins(&ours).unwrap();
    assert!(!terminal.is_admitted(session));
    let kept: Vec<_> =
        terminal.permitted().map(|(name, pin)| (name.as_str().to_owned(), pin.copied())).collect();
    assert_eq!(kept, [("Ia".to_owned(), None)]);
    assert!(ours.windows(32).any(|window| window == key.as_bytes()), "the key that is not taken over");
}

#[test]
fn p13_who_is_struck_off_and_put_on_again_is_so_after_a_restart() {
    let mut world = pair();
    lose(&mut world, 1);
    deeds(&mut world, WAYS[0]);
    world.settle();
    let blob = world.nodes[1].blob.clone();
    assert_eq!((blob[0], blob[17]), (3, 4), "version and standing");
    // A standing that there is not.
    let mut other = blob[..blob.len() - 8].to_vec();
    other[17] = 5;
    let check = Sha256::digest(&other);
    other.extend_from_slice(&check[..8]);
    assert!(world.nodes[1].terminal.restore(&other).is_err());
    world.nodes[1].terminal.restore(&blob).unwrap();
    assert_eq!(world.listed(1), ["Ia"]);
}
