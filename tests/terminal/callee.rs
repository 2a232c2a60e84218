//! P5, P6, V9, V12: whom the callee takes.

use crate::world::{Host, Spoken, World, identifier};
use crate::{connected, count, heard_pair, pair, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::link::PublicKey;
use p2pgate::load::LoadGate;
use p2pgate::message::Denial;
use p2pgate::terminal::{Change, ClosedCause, Denied, Event, Refusal, SessionId};

fn no_relay() -> BrokerConfig {
    BrokerConfig { relay: false, ..BrokerConfig::default() }
}

fn denied(session: SessionId, denial: Denied) -> Event {
    Event::Denied { session, denial, retry_after: None }
}

fn refused(refusal: Refusal) -> Event {
    Event::Refused { refusal }
}

/// Replaces the value of a line in texts that start so.
fn replace(world: &mut World, start: &'static str, name: &'static str, value: &'static str) {
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

fn ended(world: &World, node: usize) -> bool {
    world.events(node).iter().any(|event| matches!(event, Event::Closed { .. }))
}

#[test]
fn p5_a_wrong_password_or_identifier_is_refused_and_spends_the_grant() {
    for (name, value) in [("Password:", "AAAAAAAAAAAAAAAAAAAAAA=="), ("Identifier:", "Ix")] {
        let mut world = heard_pair(BrokerConfig::default());
        replace(&mut world, "REQUEST\n", name, value);
        let session = world.call(0, 1);
        assert_eq!(count(&world, 1, refused(Refusal::Credentials)), 1);
        assert!(world.events(0).contains(&denied(session, Denied::Callee)), "{:?}", world.events(0));
        assert!(connected(&world, 0).is_none() && connected(&world, 1).is_none());
        assert!(ended(&world, 1));
        assert_eq!(world.open_pipes(1).len(), 1);
    }
}

#[test]
fn p5_another_key_or_encrypt_key_is_refused() {
    for other_key in [false, true] {
        let mut world = heard_pair(no_relay());
        if other_key {
            world.listener.wrong_caller = Some([66; 32]);
        } else {
            world.listener.wrong_psk = Some([66; 32]);
        }
        let session = world.call(0, 1);
        assert_eq!(count(&world, 1, refused(Refusal::Handshake)), 1);
        assert!(connected(&world, 1).is_none());
        assert!(world.events(0).contains(&denied(session, Denied::Unreachable)), "{:?}", world.events(0));
    }
}

#[test]
fn v9_a_callee_without_its_own_password_is_refused_by_the_caller() {
    let mut world = heard_pair(BrokerConfig::default());
    replace(
        &mut world,
        "NOTIFY\nRequest Accepted.\nCallee P",
        "Callee Password:",
        "AAAAAAAAAAAAAAAAAAAAAA==",
    );
    let session = world.call(0, 1);
    assert!(world.events(0).contains(&denied(session, Denied::NotTheCallee)), "{:?}", world.events(0));
    assert!(connected(&world, 0).is_none());
    assert!(ended(&world, 1));
}

#[test]
fn p6_a_callee_is_busy_by_load_until_it_has_fallen_enough() {
    let mut world = pair();
    for (load, free) in [(79, true), (80, false), (75, false), (71, false), (70, true), (79, true)] {
        world.nodes[1].terminal.set_load(load);
        world.clear(0);
        world.clear(1);
        let session = world.call(0, 1);
        assert_eq!(count(&world, 1, Event::Asked { acceptable: free }), 1, "{load}");
        assert_eq!(connected(&world, 0).is_some(), free, "{load}");
        if !free {
            let busy = |event: &Event| matches!(event, Event::Denied { session: other, denial: Denied::Broker(Denial::NotConnected), .. } if *other == session);
            assert!(world.events(0).iter().any(busy), "{:?}", world.events(0));
        }
        world.nodes[0].terminal.close(session);
        world.settle();
    }
}

#[test]
fn v12_a_callee_is_busy_while_it_has_its_sessions() {
    let mut world = World::new(BrokerConfig::default());
    let callee = world.add_with("Ib", |config| config.load = LoadGate::new(101, 0, 1));
    let (first, second) = (world.add("I1"), world.add("I2"));
    world.permit(callee, &["I1", "I2"], &[]);
    let session = world.call(first, callee);
    world.call(second, callee);
    assert!(connected(&world, first).is_some() && connected(&world, second).is_none());
    world.nodes[first].terminal.close(session);
    world.settle();
    world.call(second, callee);
    assert!(connected(&world, second).is_some());
}

#[test]
fn p7_a_callee_that_does_not_answer_status_counts_as_busy() {
    let mut world = pair();
    let pipe = world.open_pipes(1)[0];
    world.pipes.get_mut(&pipe).unwrap().stopped[0] = true;
    let session = world.call(0, 1);
    world.pass(6_000);
    let busy = |event: &Event| matches!(event, Event::Denied { session: other, denial: Denied::Broker(Denial::NotConnected), .. } if *other == session);
    assert!(world.events(0).iter().any(busy), "{:?}", world.events(0));
}

#[test]
fn p5_a_caller_struck_off_before_it_connects_is_told() {
    let mut world = pair();
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Silent);
    let session = world.call(0, 1);
    world.permit(1, &[], &["Ia"]);
    assert!(world.events(0).contains(&denied(session, Denied::Broker(Denial::NotPermitted))));
    assert!(
        world
            .events(1)
            .iter()
            .any(|event| matches!(event, Event::Closed { cause: ClosedCause::Withdrawn, .. }))
    );
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn p5_striking_off_counts_at_once_even_if_the_broker_does_not_hear_of_it() {
    let mut world = pair();
    let session = world.call(0, 1);
    world.nodes[1].auto_persist = false;
    world.permit(1, &[], &["Ia"]);
    assert!(
        world
            .events(1)
            .iter()
            .any(|event| matches!(event, Event::Closed { cause: ClosedCause::Withdrawn, .. }))
    );
    assert!(world.events(0).contains(&Event::Closed { session, cause: ClosedCause::OtherEnd }));
    // The broker still permits: the callee's own list decides.
    assert!(!world.nodes[1].terminal.is_registered());
    let session = world.call(0, 1);
    assert_eq!(count(&world, 1, Event::Unexpected { key_changed: false }), 1);
    let not_permitted = |event: &Event| matches!(event, Event::Denied { session: other, denial: Denied::Broker(Denial::NotPermitted), .. } if *other == session);
    assert!(world.events(0).iter().any(not_permitted), "{:?}", world.events(0));
}

#[test]
fn a_callers_changed_key_is_refused_until_a_person_confirms() {
    let mut world = pair();
    let pin = |world: &mut World, key: PublicKey| {
        let add = [(identifier("Ia"), Some(key))];
        world.nodes[1].terminal.permit(&Change::Change { add: &add, delete: &[] }).unwrap();
        world.settle();
    };
    pin(&mut world, PublicKey::new([5; 32]));
    world.call(0, 1);
    assert_eq!(count(&world, 1, Event::Unexpected { key_changed: true }), 1);
    assert!(connected(&world, 0).is_none());
    let key = world.nodes[0].terminal.public_key();
    pin(&mut world, key);
    world.call(0, 1);
    assert!(connected(&world, 0).is_some());
    // Whoever has another key now has no session under the old one either.
    pin(&mut world, PublicKey::new([6; 32]));
    assert!(
        world
            .events(1)
            .iter()
            .any(|event| matches!(event, Event::Closed { cause: ClosedCause::Withdrawn, .. }))
    );
}

#[test]
fn a_key_seen_first_is_the_only_one_from_then_on_at_both_ends() {
    let other = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let mut world = heard_pair(BrokerConfig::default());
    let session = world.call(0, 1);
    assert_eq!(world.nodes[0].terminal.peer_key(session), Some(&world.nodes[1].terminal.public_key()));
    world.nodes[0].terminal.close(session);
    world.settle();

    replace(&mut world, "NOTIFY\nCaller ID:", "Caller Key:", other);
    world.call(0, 1);
    assert_eq!(count(&world, 1, Event::Unexpected { key_changed: true }), 1);

    replace(&mut world, "NOTIFY\nCallee Address:", "Callee Key:", other);
    let session = world.call(0, 1);
    assert!(world.events(0).contains(&denied(session, Denied::KeyChanged)));
    // It outlasts a restart, and the callee's place is free again.
    world.restart(0);
    let session = world.call(0, 1);
    assert!(world.events(0).contains(&denied(session, Denied::KeyChanged)));
    assert_eq!(world.broker.counts().grants, 0);

    world.listener.edit = None;
    world.clear(0);
    world.call(0, 1);
    assert!(connected(&world, 0).is_some(), "{:?}", world.events(0));
    assert_eq!(world.nodes[1].terminal.peer(session_of(&world, 1)), Some(&identifier("Ia")));
}

#[test]
fn a_key_seen_first_is_pinned_though_its_entry_was_struck_off_just_before() {
    let other = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let mut world = heard_pair(BrokerConfig::default());
    world.permit(0, &["Ib"], &[]);
    // The broker has not heard of it.
    world.nodes[0].auto_persist = false;
    world.permit(0, &[], &["Ib"]);
    let session = world.call(0, 1);
    assert!(connected(&world, 0).is_some(), "{:?}", world.events(0));
    world.nodes[0].terminal.close(session);
    world.settle();
    replace(&mut world, "NOTIFY\nCallee Address:", "Callee Key:", other);
    let session = world.call(0, 1);
    assert!(world.events(0).contains(&denied(session, Denied::KeyChanged)), "{:?}", world.events(0));
    // Nor is the deletion forgotten.
    let mut blob = vec![0; 16 << 10];
    world.nodes[0].terminal.blob(&mut blob).unwrap();
    world.nodes[0].terminal.persisted();
    world.settle();
    assert!(world.nodes[0].terminal.is_registered());
    assert_eq!(world.nodes[0].terminal.permitted().count(), 0);
}

#[test]
fn p5_a_caller_that_gives_up_before_it_connects_frees_the_callees_place_at_once() {
    let mut world = World::new(BrokerConfig::default());
    world.add("Ia");
    world.add_with("Ib", |config| config.load = LoadGate::new(80, 10, 1));
    world.permit(1, &["Ia"], &[]);
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Silent);
    let session = world.call(0, 1);
    world.nodes[0].terminal.close(session);
    world.settle();
    let closed = |event: &&Event| matches!(event, Event::Closed { cause: ClosedCause::OtherEnd, .. });
    assert_eq!(world.events(1).iter().filter(closed).count(), 1, "{:?}", world.events(1));

    world.hosts.insert(address, Host::Node(1));
    world.call(0, 1);
    assert!(connected(&world, 0).is_some(), "{:?}", world.events(0));
}
