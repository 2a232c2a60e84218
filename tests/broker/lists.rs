//! P2: who permits whom.

use crate::world::{World, has, key, source, value};
use p2pgate::broker::{Broker, Config, Name, Stored};
use p2pgate::permitted;
use proptest::prelude::*;
use std::collections::BTreeSet;

fn base64(bytes: &[u8]) -> String {
    use base64ct::Encoding;
    base64ct::Base64::encode(bytes, &mut [0; 64]).unwrap().into()
}

/// Revision and digest that a new link of `identifier` is told.
fn registered(world: &mut World, identifier: &str, number: u8) -> (String, String) {
    let link = world.dial(&key(number), source(number.into()), 4_096);
    let answer = world.ask(link, &format!("HELLO\nIdentifier:{identifier}\n"));
    world.disconnect(link);
    (value(&answer, "Revision").into(), value(&answer, "Digest").into())
}

/// How a query by `caller` ends, or begins: `true` if the callee is asked for its status.
fn permitted(world: &mut World, caller: u64, from: &str, callee: u64, to: &str) -> bool {
    world.texts(caller);
    world.texts(callee);
    world.send(caller, &format!("QUERY\nIdentifier:{from}\nCallee:{to}\n"));
    match world.texts(callee).as_slice() {
        [] => {
            assert!(world.text(caller).starts_with("NOTIFY\nPermission Denied.\n"));
            false
        }
        [question] => {
            let number = value(question, "Transaction").to_owned();
            world.send(callee, &format!("NOTIFY\nSTATUS Busy.\nTransaction:{number}\n"));
            assert!(world.text(caller).starts_with("NOTIFY\nCallee not Connected.\n"));
            true
        }
        texts => panic!("{texts:?}"),
    }
}

#[test]
fn p2_the_four_forms_change_the_list() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    let forms = [
        ("Accept:Create bob,frank", vec!["bob", "frank"]),
        ("Accept:Add carol,eve", vec!["bob", "carol", "eve", "frank"]),
        ("Accept:Delete frank", vec!["bob", "carol", "eve"]),
        ("Accept:Add gina,hal\nDelete bob,eve", vec!["carol", "gina", "hal"]),
        ("Accept:Create ", vec![]),
    ];
    for (number, (form, expected)) in forms.into_iter().enumerate() {
        let answer = world.ask(link, &format!("REGISTER\nIdentifier:alice\n{form}\nTransaction:{number}\n"));
        let revision = number + 1;
        assert_eq!(
            answer,
            format!("NOTIFY\nStatus:200 Registered.\nTransaction:{number}\nRevision:{revision}\n")
        );
        let digest = base64(&permitted::digest(expected));
        assert_eq!(registered(&mut world, "alice", 1), (revision.to_string(), digest));
    }
}

#[test]
fn p2_digest_is_of_length_prefixed_identifiers() {
    use sha2::{Digest, Sha256};
    assert_eq!(permitted::digest(["a", "bc"]), <[u8; 32]>::from(Sha256::digest(b"\0\x01a\0\x02bc")));
    assert_ne!(permitted::digest(["a", "bc"]), permitted::digest(["ab", "c"]));
}

#[test]
fn p2_answered_once_it_is_on_disk() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    world.hold = true;
    world.send(link, "REGISTER\nIdentifier:alice\nAccept:Create bob\nTransaction:1\n");
    assert!(world.texts(link).is_empty());
    world.release();
    assert_eq!(world.text(link), "NOTIFY\nStatus:200 Registered.\nTransaction:1\nRevision:1\n");
}

#[test]
fn p2_deletions_act_at_once_and_additions_once_on_disk() {
    let mut world = World::new();
    let (bob, carol) = (world.terminal("bob", 2), world.terminal("carol", 3));
    let alice = world.callee("alice", 1, "bob");
    world.hold = true;
    world.send(alice, "REGISTER\nIdentifier:alice\nAccept:Add carol\nDelete bob\n");
    assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
    assert!(!permitted(&mut world, carol, "carol", alice, "alice"));
    world.release();
    assert!(world.text(alice).contains("Status:200"));
    assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
    assert!(permitted(&mut world, carol, "carol", alice, "alice"));
}

#[test]
fn p2_a_deletion_acts_while_another_change_is_on_its_way_to_disk() {
    let mut world = World::new();
    let bob = world.terminal("bob", 2);
    let alice = world.callee("alice", 1, "bob");
    world.hold = true;
    world.send(alice, "REGISTER\nIdentifier:alice\nAccept:Add carol\nTransaction:1\n");
    world.send(alice, "REGISTER\nIdentifier:alice\nAccept:Delete bob\nTransaction:2\n");
    world.send(alice, "REGISTER\nIdentifier:alice\nAccept:Add dave\nTransaction:3\n");
    assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
    // One at a time: the first is stored with bob in it, and he is away again within the same call.
    while let Some((request, _)) = world.held.pop_front() {
        world.broker.stored(request, Stored::Done, world.now);
        world.run();
        assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
    }
    let (revision, digest) = registered(&mut world, "alice", 1);
    assert_eq!((revision.as_str(), digest), ("4", base64(&permitted::digest(["carol", "dave"]))));
}

#[test]
fn p2_a_stale_revision_is_refused_and_changes_nothing() {
    let mut world = World::new();
    let bob = world.terminal("bob", 2);
    let alice = world.callee("alice", 1, "bob");
    let register = |revision| {
        format!("REGISTER\nIdentifier:alice\nAccept:Create \nTransaction:1\nRevision:{revision}\n")
    };
    assert!(
        world
            .ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add carol\nRevision:10\n")
            .contains("Revision:10")
    );
    for stale in [0, 9, 10] {
        let answer = world.ask(alice, &register(stale));
        assert!(answer.starts_with("NOTIFY\nStatus:409 "), "{answer}");
        assert_eq!((value(&answer, "Transaction"), value(&answer, "Revision")), ("1", "10"));
        assert!(permitted(&mut world, bob, "bob", alice, "alice"));
    }
    assert!(world.ask(alice, &register(u64::MAX)).contains("Status:200"));
    assert!(world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add bob\n").contains("Status:409"));
}

#[test]
fn p2_only_for_the_link_s_own_identifier() {
    let mut world = World::new();
    let (alice, bob) = (world.callee("alice", 1, ""), world.terminal("bob", 2));
    let answer = world.ask(bob, "REGISTER\nIdentifier:alice\nAccept:Create bob\n");
    assert!(answer.starts_with("NOTIFY\nStatus:403 "), "{answer}");
    assert!(
        world.ask(bob, "ADDRESS\nIdentifier:alice\nAddress:198.51.100.1\nPort:1\n").contains("Status:403")
    );
    assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
}

#[test]
fn p2_a_list_is_bounded() {
    let mut world = World::with(Config { max_list: 3, ..Config::default() });
    let alice = world.terminal("alice", 1);
    assert!(
        world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Create a,b,c,a,b,c\n").contains("Status:200")
    );
    assert!(world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add d\n").contains("Status:413"));
    assert!(world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add d\nDelete a\n").contains("Status:200"));
}

#[test]
fn p2_registrations_in_a_minute_are_bounded() {
    let mut world = World::with(Config { writes_per_minute: 2, ..Config::default() });
    let alice = world.terminal("alice", 1);
    let register = "REGISTER\nIdentifier:alice\nAccept:Add bob\n";
    world.ask(alice, register);
    world.ask(alice, register);
    let answer = world.ask(alice, register);
    assert!(answer.starts_with("NOTIFY\nStatus:429 "), "{answer}");
    // Not to the same second for all: who was sent away together does not come back together.
    let waits: BTreeSet<u32> =
        (0..20).map(|_| value(&world.ask(alice, register), "Retry After").parse().unwrap()).collect();
    assert!(waits.iter().all(|wait| (60..=75).contains(wait)) && waits.len() > 3, "{waits:?}");
    world.pass(60_000);
    assert!(world.ask(alice, register).contains("Status:200"));
}

#[test]
fn p2_store_trouble_is_told_and_the_deletion_holds() {
    let mut world = World::new();
    let bob = world.terminal("bob", 2);
    let alice = world.callee("alice", 1, "bob");
    world.hold = true;
    world.send(alice, "REGISTER\nIdentifier:alice\nAccept:Add carol\nDelete bob\nRevision:5\n");
    let (request, _) = world.held.pop_front().unwrap();
    world.broker.stored(request, Stored::Failed, world.now);
    world.run();
    let answer = world.text(alice);
    assert!(answer.starts_with("NOTIFY\nStatus:503 ") && has(&answer, "Retry After"), "{answer}");
    assert_eq!(value(&answer, "Revision"), "1");
    assert!(!permitted(&mut world, bob, "bob", alice, "alice"));
    world.hold = false;
    // The same change again.
    assert!(
        world
            .ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add carol\nDelete bob\nRevision:5\n")
            .contains("200")
    );
}

#[test]
fn p2_an_entry_is_bound_to_the_key_of_its_time() {
    let mut world = World::new();
    let bob = world.terminal("bob", 2);
    let alice = world.callee("alice", 1, "bob");
    assert!(permitted(&mut world, bob, "bob", alice, "alice"));
    world.revoke("bob");
    world.disconnect(bob);
    let other = world.terminal("bob", 3);
    assert!(!permitted(&mut world, other, "bob", alice, "alice"));
    // Repeating the list confirms nothing.
    world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Create bob\n");
    assert!(!permitted(&mut world, other, "bob", alice, "alice"));
    world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Delete bob\n");
    world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Add bob\n");
    assert!(permitted(&mut world, other, "bob", alice, "alice"));
}

#[test]
fn p2_an_entry_made_before_enrolment_is_bound_by_it() {
    let mut world = World::new();
    let alice = world.callee("alice", 1, "bob,carol");
    let bob = world.terminal("bob", 2);
    assert!(permitted(&mut world, bob, "bob", alice, "alice"));
    assert_eq!(world.store.lists["alice"].1["bob"], Some(key(2).public_key()));
    world.revoke("bob");
    let other = world.terminal("bob", 3);
    assert!(!permitted(&mut world, other, "bob", alice, "alice"));
    // Deleted before anybody enrolled: nothing to bind.
    world.ask(alice, "REGISTER\nIdentifier:alice\nAccept:Delete carol\n");
    let carol = world.terminal("carol", 4);
    assert!(!permitted(&mut world, carol, "carol", alice, "alice"));
}

#[test]
fn p2_enrolment_and_list_on_their_way_to_disk_together() {
    for list_first in [true, false] {
        let mut world = World::new();
        let alice = world.callee("alice", 1, "");
        world.ticket("bob", "T");
        let link = world.dial(&key(2), source(2), 4_096);
        world.hold = true;
        let register = "REGISTER\nIdentifier:alice\nAccept:Add bob\n";
        if list_first {
            world.send(alice, register);
        }
        world.send(link, "HELLO\nIdentifier:bob\nTicket:T\n");
        if !list_first {
            world.send(alice, register);
        }
        world.release();
        assert!(world.text(link).contains("Status:200"));
        assert!(permitted(&mut world, link, "bob", alice, "alice"));
        assert_eq!(world.store.lists["alice"].1["bob"], Some(key(2).public_key()));
    }
}

#[test]
fn p13_a_restored_broker_knows_lists_addresses_and_keys() {
    let mut old = World::new();
    old.callee("alice", 1, "bob,carol");
    old.terminal("bob", 2);
    let mut world = World::new();
    for (name, key) in &old.store.keys {
        let (revision, list) = old.store.lists.get(name).cloned().unwrap_or_default();
        let address = old.store.addresses.get(name).map(|address| address.to_string().parse().unwrap());
        world.broker.restore_terminal(name, Some(*key), revision, list, address).unwrap();
    }
    world.store = old.store;
    let (alice, bob) = (world.terminal("alice", 1), world.terminal("bob", 2));
    assert!(permitted(&mut world, bob, "bob", alice, "alice"));
    assert_eq!(
        registered(&mut world, "alice", 1),
        ("1".into(), base64(&permitted::digest(["bob", "carol"])))
    );
    assert!(world.ask(alice, "RESOLVE\nIdentifier:alice\n").contains("Port:7800"));
    let carol = world.terminal("carol", 3);
    assert!(permitted(&mut world, carol, "carol", alice, "alice"));
}

#[test]
fn p13_what_breaks_the_rules_is_not_restored() {
    let mut broker = Broker::new(Config::default(), key(200), [0; 32]);
    assert!(broker.restore_terminal("a,b", None, 0, [], None).is_err());
    assert!(broker.restore_terminal("a", None, 1, [(Name::from(" b"), None)], None).is_err());
    assert_eq!(broker.counts().terminals, 0);
    for text in ["", "198.51.100.1", "198.51.100.1 x", "198.51.100.1 1\n", "a b 1", "198.51.100.1 70000"] {
        assert!(text.parse::<p2pgate::broker::StoredAddress>().is_err(), "{text:?}");
    }
    let six = ["198.51.100.1 1"; 6].join("\n");
    assert!(six.parse::<p2pgate::broker::StoredAddress>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// The list is what a set makes of the same changes, on disk and in memory, however the store keeps up.
    #[test]
    fn p2_lists_follow_a_model(changes in prop::collection::vec((0..4u8, prop::collection::vec(0..6u8, 1..4), prop::collection::vec(0..6u8, 1..4), any::<bool>()), 1..12)) {
        let mut world = World::new();
        let alice = world.terminal("alice", 1);
        let mut model = BTreeSet::new();
        for (form, first, second, keeps_up) in changes {
            let first: Vec<String> = first.iter().map(|number| format!("t{number}")).collect();
            let second: Vec<String> = second.iter().map(|number| format!("t{number}")).collect();
            let (one, two) = (first.join(","), second.join(","));
            let accept = match form {
                0 => { model.clear(); model.extend(first); format!("Create {one}") }
                1 => { model.extend(first); format!("Add {one}") }
                2 => { model.retain(|name| !first.contains(name)); format!("Delete {one}") }
                _ => { model.extend(first); model.retain(|name| !second.contains(name)); format!("Add {one}\nDelete {two}") }
            };
            world.hold = !keeps_up;
            world.send(alice, &format!("REGISTER\nIdentifier:alice\nAccept:{accept}\n"));
            if world.held.len() > 1 || keeps_up {
                world.release();
            }
        }
        world.hold = false;
        world.release();
        let names = model.iter().map(String::as_str);
        prop_assert_eq!(registered(&mut world, "alice", 1).1, base64(&permitted::digest(names.clone())));
        let stored: Vec<&str> = world.store.lists["alice"].1.keys().map(|name| &**name).collect();
        prop_assert_eq!(stored, names.collect::<Vec<_>>());
    }
}
