//! P7, V11: the callee's address is tried before the caller is answered.

use crate::world::{World, has, key, source, value};
use p2pgate::broker::{Config, What};
use std::net::SocketAddr;

const QUERY: &str = "QUERY\nIdentifier:alice\nCallee:bob\nTransaction:7\n";
const PATIENCE: u64 = 2_000;

/// Alice, and bob, who permits her and tells this address; the broker tries.
fn pair(config: Config, address: &str) -> (World, u64, u64) {
    let mut world = World::with(Config { reach_deadline_ms: Some(PATIENCE), ..config });
    let alice = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    let told = world.ask(bob, &format!("ADDRESS\nIdentifier:bob\n{address}"));
    assert!(told.contains("Status:200"), "{told}");
    world.transcript.clear();
    (world, alice, bob)
}

/// The addresses that are to be tried.
fn tried(world: &mut World) -> (u64, Vec<SocketAddr>) {
    let mut reaches = std::mem::take(&mut world.reaches);
    assert_eq!(reaches.len(), 1);
    reaches.remove(0)
}

fn reached(world: &mut World, request: u64, address: SocketAddr, answered: bool) {
    world.broker.reached(request, address, answered, world.now);
    world.run();
}

/// Bob is free and takes the caller: M11.
fn granted(world: &mut World, alice: u64, bob: u64) -> String {
    for text in ["STATUS Acceptable.", "Request Accepted."] {
        let number = value(&world.text(bob), "Transaction").to_owned();
        world.send(bob, &format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    }
    world.texts(alice).remove(1)
}

#[test]
fn p7_only_an_address_of_the_callee_s_own_link_is_tried() {
    let address = "Address:0.0.0.0\nPort:7800\nCandidate:192.168.1.5 7800\nCandidate:198.51.100.9 22\nCandidate:203.0.113.2 7801\nCandidate:recorder.example 7800\n";
    let (mut world, alice, bob) = pair(Config::default(), address);
    world.send(alice, QUERY);
    let (request, names) = std::mem::take(&mut world.lookups).remove(0);
    // Neither what the name leads to, unless it is the same.
    world.broker.looked_up(request, &[(names[0].clone(), vec!["198.51.100.9".parse().unwrap()])], world.now);
    world.run();
    let (request, addresses) = tried(&mut world);
    assert_eq!(addresses, ["203.0.113.2:7800", "203.0.113.2:7801"].map(|it| it.parse().unwrap()));
    assert!(world.texts(bob).is_empty(), "bob is asked once that is known");
    reached(&mut world, request, addresses[0], false);
    reached(&mut world, request, "198.51.100.9:22".parse().unwrap(), true);
    assert!(world.texts(bob).is_empty());
    reached(&mut world, request, addresses[1], true);
    let m11 = granted(&mut world, alice, bob);
    // What did not answer is left out; what was not tried the caller tries.
    assert!(!m11.contains("203.0.113.2\nPort:7800") && !m11.contains("203.0.113.2 7800"), "{m11}");
    for kept in ["192.168.1.5", "198.51.100.9", "203.0.113.2"] {
        assert!(m11.contains(kept), "{kept}: {m11}");
    }
}

#[test]
fn p7_a_caller_is_sent_to_the_tunnel_at_once_if_nothing_answers() {
    for late in [false, true] {
        let (mut world, alice, bob) = pair(Config::default(), "Address:0.0.0.0\nPort:7800\n");
        world.send(alice, QUERY);
        let (request, addresses) = tried(&mut world);
        if late {
            world.pass(PATIENCE);
            reached(&mut world, request, addresses[0], true);
        } else {
            reached(&mut world, request, addresses[0], false);
        }
        let m11 = granted(&mut world, alice, bob);
        assert_eq!(value(&m11, "Port"), "0", "nothing to dial: {m11}");
        assert!(!has(&m11, "Candidate"));
        assert!(world.logs.iter().any(|log| log.what == What::Reached { answered: false }));
    }
}

#[test]
fn p7_without_a_tunnel_an_address_that_does_not_answer_counts_as_busy() {
    let (mut world, alice, bob) =
        pair(Config { relay: false, ..Config::default() }, "Address:0.0.0.0\nPort:7800\n");
    world.send(alice, QUERY);
    let (request, addresses) = tried(&mut world);
    reached(&mut world, request, addresses[0], false);
    let denied = world.text(alice);
    assert!(denied.contains("Callee not Connected."), "{denied}");
    assert_eq!(value(&denied, "Cause"), "the callee does not answer at its address");
    assert!(has(&denied, "Retry After") && world.texts(bob).is_empty());
    assert_eq!(world.broker.counts().queries, 0);
}

#[test]
fn p7_what_answers_is_told_as_ever() {
    let (mut world, alice, bob) = pair(Config::default(), "Address:0.0.0.0\nPort:7800\n");
    world.send(alice, QUERY);
    let (request, addresses) = tried(&mut world);
    reached(&mut world, request, addresses[0], true);
    let m11 = granted(&mut world, alice, bob);
    assert_eq!((value(&m11, "Callee Address"), value(&m11, "Port")), ("203.0.113.2", "7800"));
}

#[test]
fn p7_nobody_is_tried_for_a_stranger_or_unless_it_is_set() {
    let (mut world, _, _) = pair(Config::default(), "Address:0.0.0.0\nPort:7800\n");
    let carol = world.terminal("carol", 3);
    world.send(carol, "QUERY\nIdentifier:carol\nCallee:bob\n");
    assert!(world.reaches.is_empty() && world.text(carol).contains("Permission Denied."));
    let mut world = World::new();
    let alice = world.terminal("alice", 1);
    world.callee("bob", 2, "alice");
    world.send(alice, QUERY);
    assert!(world.reaches.is_empty());
    // Another source than the address that was told.
    let (mut world, alice, bob) = pair(Config::default(), "Address:198.51.100.9\nPort:22\n");
    world.send(alice, QUERY);
    assert!(world.reaches.is_empty() && world.text(bob).contains("STATUS"));
}

#[test]
fn p7_whoever_is_gone_meanwhile_is_nobody_s_address() {
    let (mut world, alice, bob) = pair(Config::default(), "Address:0.0.0.0\nPort:7800\n");
    world.send(alice, QUERY);
    let (request, addresses) = tried(&mut world);
    world.disconnect(bob);
    reached(&mut world, request, addresses[0], true);
    assert!(world.text(alice).contains("Callee not Connected."));
    // And nothing is left of a caller that goes.
    let bob = world.dial(&key(2), source(2), 4_096);
    world.ask(bob, "HELLO\nIdentifier:bob\nListen:1\n");
    world.send(alice, QUERY);
    let (request, addresses) = tried(&mut world);
    world.disconnect(alice);
    reached(&mut world, request, addresses[0], true);
    assert!(world.texts(bob).is_empty() && world.broker.counts().queries == 0);
}
