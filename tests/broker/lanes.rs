//! P9: relay lanes and tunnels.

use crate::world::{World, source, value};
use base64ct::{Base64, Encoding};
use p2pgate::broker::{Config, Next};
use p2pgate::link::{LaneToken, Preamble};

/// Alice calls bob; a grant that both know.
fn granted(world: &mut World) -> (u64, u64, String) {
    let alice = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    let handle = grant(world, alice, bob);
    (alice, bob, handle)
}

pub fn grant(world: &mut World, alice: u64, bob: u64) -> String {
    world.send(alice, "QUERY\nIdentifier:alice\nCallee:bob\n");
    answered(world, alice, bob)
}

/// Bob takes a query: the grant's handle.
pub fn answered(world: &mut World, alice: u64, bob: u64) -> String {
    for text in ["STATUS Acceptable.", "Request Accepted."] {
        let number = value(&world.text(bob), "Transaction").to_owned();
        world.send(bob, &format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    }
    let told = world.texts(alice).remove(1);
    value(&told, "Handle").to_owned()
}

pub fn transfer(handle: &str, size: u64) -> String {
    format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:{size}\nTransaction:5\nHandle:{handle}\n")
}

/// The preamble of a lane.
fn preamble(token: &str) -> Vec<u8> {
    let mut bytes = [0; 32];
    Base64::decode(token, &mut bytes).unwrap();
    let mut out = [0; 40];
    Preamble::Lane { token: LaneToken::new(bytes) }.encode(&mut out).unwrap();
    out.to_vec()
}

pub fn open(world: &mut World, token: &str) -> (u64, Next) {
    let id = world.connect(source(50));
    let next = world.feed(id, &preamble(token), usize::MAX);
    (id, next)
}

/// The tokens that the answer to `text` has.
pub fn tokens(world: &mut World, link: u64, text: &str) -> [String; 2] {
    let answer = world.ask(link, text);
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted.\nAnswer:broker\n"), "{answer}");
    ["Token", "Peer Token"].map(|name| value(&answer, name).to_owned())
}

pub fn refused(answer: &str) -> &str {
    assert!(answer.starts_with("NOTIFY\nTransfer Refused.\nAnswer:broker\n"), "{answer}");
    assert!(!answer.contains("Token:"));
    value(answer, "Cause")
}

#[test]
fn p9_a_lane_joins_the_two_ends_that_have_its_tokens() {
    let mut world = World::new();
    let (alice, bob, handle) = granted(&mut world);
    // Either party may ask, and each token is its own.
    for asker in [alice, bob] {
        let [token, peer_token] = tokens(&mut world, asker, &transfer(&handle, 1_000));
        assert_ne!(token, peer_token);
        let (first, next) = open(&mut world, &peer_token);
        assert_eq!(next, Next::Lane);
        assert!(world.splices.is_empty());
        let (second, next) = open(&mut world, &token);
        assert_eq!(next, Next::Lane);
        assert_eq!(world.splices.pop(), Some((second, first, 2 * 1_000 + 65_536, false)));
        // One time only.
        let (third, next) = open(&mut world, &token);
        assert_eq!((next, world.is_closed(third)), (Next::Closed, true));
        // Joined lanes have no deadline.
        for _ in 0..8 {
            world.pass(30_000);
            world.ask(alice, "PING\n");
            world.ask(bob, "PING\n");
        }
        assert!(!world.is_closed(first) && !world.is_closed(second) && world.cuts.is_empty());
        world.disconnect(first);
        assert_eq!(world.broker.counts().lanes, 1);
        world.disconnect(second);
        assert_eq!(world.broker.counts().lanes, 0);
    }
}

#[test]
fn p9_bytes_behind_a_lane_s_preamble_stay_the_process_s() {
    let mut world = World::new();
    let (alice, _, handle) = granted(&mut world);
    let [token, _] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let id = world.connect(source(50));
    let mut bytes = preamble(&token);
    bytes.extend_from_slice(b"frames");
    let input = world.broker.handle_input(id, &mut bytes[..20], world.now);
    assert_eq!((input.consumed, input.next), (0, Next::NeedMore));
    let input = world.broker.handle_input(id, &mut bytes, world.now);
    assert_eq!((input.consumed, input.next), (40, Next::Lane));
    assert_eq!(&bytes[40..], b"frames");
}

#[test]
fn p9_tokens_that_were_never_issued_open_nothing() {
    let mut world = World::new();
    let (alice, _, handle) = granted(&mut world);
    let [token, _] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let mut bytes = [0; 32];
    Base64::decode(&token, &mut bytes).unwrap();
    bytes[31] ^= 1;
    let (id, next) = open(&mut world, Base64::encode(&bytes, &mut [0; 44]).unwrap());
    assert_eq!((next, world.is_closed(id)), (Next::Closed, true));
    assert_eq!(open(&mut world, &token).1, Next::Lane);
}

#[test]
fn p9_an_unpaired_lane_ends_after_30_s_and_its_tokens_with_it() {
    let mut world = World::new();
    let (alice, _, handle) = granted(&mut world);
    let [token, peer_token] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let (waiting, _) = open(&mut world, &token);
    world.pass(29_999);
    assert!(!world.is_closed(waiting));
    world.pass(1);
    assert!(world.is_closed(waiting));
    assert_eq!(open(&mut world, &peer_token).1, Next::Closed);
    assert_eq!(world.broker.counts().lanes, 0);
    // An end that goes away before the other has come.
    let [token, peer_token] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let (waiting, _) = open(&mut world, &token);
    world.disconnect(waiting);
    assert_eq!(open(&mut world, &peer_token).1, Next::Closed);
}

#[test]
fn p9_refuses_what_is_over_its_limit() {
    let mut world = World::with(Config { max_transfer: 5_000, max_lanes_per_grant: 2, ..Config::default() });
    let (alice, _, handle) = granted(&mut world);
    assert!(refused(&world.ask(alice, &transfer(&handle, 5_001))).contains("larger"));
    assert!(refused(&world.ask(alice, &transfer(&handle, u64::MAX))).contains("larger"));
    tokens(&mut world, alice, &transfer(&handle, 5_000));
    tokens(&mut world, alice, &transfer(&handle, 0));
    assert!(refused(&world.ask(alice, &transfer(&handle, 1))).contains("too many"));
}

#[test]
fn v14_a_broker_without_relay_offers_none() {
    let mut world = World::with(Config { relay: false, ..Config::default() });
    let (alice, _, handle) = granted(&mut world);
    assert!(refused(&world.ask(alice, &transfer(&handle, 1))).contains("no relay"));
    assert!(refused(&world.ask(alice, &format!("TUNNEL\nHandle:{handle}\n"))).contains("no relay"));
    let hello = world.transcript.iter().find(|(_, text)| text.contains("Welcome")).unwrap();
    assert!(!hello.1.contains("Relay:") && !hello.1.contains("Largest"));
}

#[test]
fn p9_only_for_the_parties_of_a_grant_and_as_it_names_them() {
    let mut world = World::new();
    let (alice, bob, handle) = granted(&mut world);
    let carol = world.terminal("carol", 3);
    let mut causes = vec![
        refused(&world.ask(carol, &transfer(&handle, 1))).to_owned(),
        refused(&world.ask(alice, &transfer("AAAAAAAAAAAAAAAAAAAAAA==", 1))).to_owned(),
        refused(&world.ask(alice, "TRANSFER\nCaller:alice\nCallee:bob\nSize:1\n")).to_owned(),
    ];
    for names in ["Caller:bob\nCallee:alice", "Caller:alice\nCallee:carol", "Caller:carol\nCallee:bob"] {
        let text = format!("TRANSFER\n{names}\nSize:1\nHandle:{handle}\n");
        causes.push(refused(&world.ask(alice, &text)).to_owned());
    }
    causes.push(refused(&world.ask(carol, &format!("TUNNEL\nHandle:{handle}\n"))).to_owned());
    // The callee doesn't ask for a tunnel.
    causes.push(refused(&world.ask(bob, &format!("TUNNEL\nHandle:{handle}\n"))).to_owned());
    assert!(causes.iter().all(|cause| *cause == causes[0]), "{causes:?}");
    world.send(carol, &format!("RELEASE\nHandle:{handle}\n"));
    tokens(&mut world, alice, &transfer(&handle, 1));
}

#[test]
fn p9_no_lane_before_m11() {
    let mut world = World::new();
    let alice = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    world.send(alice, "QUERY\nIdentifier:alice\nCallee:bob\n");
    world.texts(bob);
    world.send(bob, "NOTIFY\nSTATUS Acceptable.\nTransaction:1\n");
    let handle = value(&world.text(bob), "Handle").to_owned();
    refused(&world.ask(bob, &transfer(&handle, 1)));
}

#[test]
fn p4_a_tunnel_gives_both_ends_a_token() {
    let mut world = World::new();
    let (alice, bob, handle) = granted(&mut world);
    // A later listener has no part in this session.
    let later = world.terminal("bob", 2);
    assert!(world.text(bob).starts_with("NOTIFY\nStatus:409 "));
    let to_caller = world.ask(alice, &format!("TUNNEL\nHandle:{handle}\nTransaction:9\n"));
    let to_callee = world.text(bob);
    assert!(world.texts(later).is_empty());
    assert!(to_caller.starts_with(&format!("NOTIFY\nTunnel:{handle}\nToken:")), "{to_caller}");
    assert!(to_callee.starts_with(&format!("NOTIFY\nTunnel:{handle}\nToken:")), "{to_callee}");
    assert_eq!(value(&to_caller, "Transaction"), "9");
    let tokens = [value(&to_caller, "Token"), value(&to_callee, "Token")];
    assert_ne!(tokens[0], tokens[1]);
    let (first, _) = open(&mut world, tokens[0]);
    let (second, _) = open(&mut world, tokens[1]);
    assert_eq!(world.splices, [(first, second, 64 << 20, true)]);

    // Without the link that took the grant, the listener is told; without any, nobody.
    world.disconnect(bob);
    world.ask(alice, &format!("TUNNEL\nHandle:{handle}\n"));
    assert!(world.text(later).starts_with("NOTIFY\nTunnel:"));
    world.disconnect(later);
    assert!(refused(&world.ask(alice, &format!("TUNNEL\nHandle:{handle}\n"))).contains("not connected"));
}

#[test]
fn p9_withdrawing_a_grant_cuts_its_lanes() {
    for revoke in [false, true] {
        let mut world = World::new();
        let (alice, bob, handle) = granted(&mut world);
        let [token, peer_token] = tokens(&mut world, alice, &transfer(&handle, 1_000));
        let (first, second) = (open(&mut world, &token).0, open(&mut world, &peer_token).0);
        let [waiting, due] = tokens(&mut world, bob, &transfer(&handle, 1_000));
        let (waiting, _) = open(&mut world, &waiting);
        world.hold = true;
        if revoke {
            world.revoke("alice");
        } else {
            world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n");
        }
        assert!(
            world.texts(bob).iter().any(|text| text.starts_with(&format!("WITHDRAW\nHandle:{handle}\n")))
        );
        assert_eq!(world.cuts, [(first, second)]);
        assert!(world.is_closed(waiting));
        assert_eq!(open(&mut world, &due).1, Next::Closed);
        for id in [first, second, waiting] {
            world.disconnect(id);
        }
        assert_eq!((world.broker.counts().lanes, world.broker.counts().grants), (0, 0));
    }
}

#[test]
fn p9_release_lets_lanes_run_dry_and_gives_no_more() {
    let mut world = World::new();
    let (alice, bob, handle) = granted(&mut world);
    let [token, peer_token] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let (first, second) = (open(&mut world, &token).0, open(&mut world, &peer_token).0);
    world.send(bob, &format!("RELEASE\nHandle:{handle}\n"));
    assert!(world.texts(bob).is_empty() && world.cuts.is_empty());
    refused(&world.ask(alice, &transfer(&handle, 1)));
    assert_eq!(world.broker.counts().grants, 1, "while a lane runs it can still be withdrawn");
    world.disconnect(first);
    world.disconnect(second);
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn p9_a_session_outlives_one_party_s_link_but_not_both() {
    let mut world = World::new();
    let (alice, bob, handle) = granted(&mut world);
    world.disconnect(alice);
    world.pass(80_000);
    world.ask(bob, "PING\n");
    world.pass(80_000);
    let alice = world.terminal("alice", 1);
    tokens(&mut world, alice, &transfer(&handle, 1));

    world.disconnect(alice);
    world.disconnect(bob);
    world.pass(59_999);
    let alice = world.terminal("alice", 1);
    world.pass(60_000);
    tokens(&mut world, alice, &transfer(&handle, 1));
    world.disconnect(alice);
    world.pass(60_000);
    assert_eq!(world.broker.counts().grants, 0);
    let alice = world.terminal("alice", 1);
    refused(&world.ask(alice, &transfer(&handle, 1)));
}

#[test]
fn p9_no_session_lasts_longer_than_it_may() {
    let mut world = World::with(Config { session_ms: 100_000, ..Config::default() });
    let (alice, bob, handle) = granted(&mut world);
    let [token, peer_token] = tokens(&mut world, alice, &transfer(&handle, 1_000));
    let (first, second) = (open(&mut world, &token).0, open(&mut world, &peer_token).0);
    world.pass(60_000);
    world.ask(alice, "PING\n");
    world.ask(bob, "PING\n");
    world.pass(40_000);
    assert!(world.text(alice).starts_with(&format!("WITHDRAW\nHandle:{handle}\n")));
    assert!(world.text(bob).starts_with("WITHDRAW\n"));
    assert_eq!(world.cuts, [(first, second)]);
}
