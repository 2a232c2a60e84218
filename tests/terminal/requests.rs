//! P5, M13: what comes to the callee's port: replays, garbage, half messages, too much.

use crate::world::{Host, World};
use crate::{connected, count, offer, pair, recording, segments};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::Attribute;
use p2pgate::terminal::{AcceptError, ClosedCause, Event, FetchError, Refusal};

/// A peer link's preamble.
const PREAMBLE: usize = 24;

fn refused(refusal: Refusal) -> Event {
    Event::Refused { refusal }
}

/// A pair whose caller has called somebody between: what it wrote to them, preamble and message 1.
fn stolen() -> (World, Vec<u8>) {
    let mut world = pair();
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Wild);
    world.call(0, 1);
    // The caller gets no tunnel.
    let (control, pipe) = (world.open_pipes(0)[0], *world.open_pipes(0).last().unwrap());
    world.pipes.get_mut(&control).unwrap().stopped = [true; 2];
    let bytes = world.pipes[&pipe].record[1].clone();
    assert!(bytes.len() > PREAMBLE + 100);
    (world, bytes)
}

fn is_over(world: &World, pipe: u64) -> bool {
    world.pipes[&pipe].closing[1] || world.pipes[&pipe].dead
}

#[test]
fn p5_a_request_that_was_held_back_gets_through_within_its_time_only() {
    for (wait, in_time) in [(58_000, true), (61_000, false)] {
        let (mut world, bytes) = stolen();
        world.pass(wait);
        let pipe = world.wild(Some(1));
        world.feed(pipe, &bytes);
        assert_eq!(connected(&world, 1).is_some(), in_time, "{:?}", world.events(1));
        assert_eq!(count(&world, 1, refused(Refusal::UnknownGrant)), usize::from(!in_time));
        assert_eq!(is_over(&world, pipe), !in_time);
    }
}

#[test]
fn p5_no_call_out_of_turn_makes_a_grant_last_longer() {
    let (mut world, bytes) = stolen();
    let expected =
        |event: &Event| if let Event::Expected { session } = event { Some(*session) } else { None };
    let session = world.events(1).iter().find_map(expected).unwrap();
    world.pass(58_000);
    let now = world.now;
    assert_eq!(world.nodes[1].terminal.fetch(session, None, now), Err(FetchError::NotOpen));
    world.pass(3_000);
    let pipe = world.wild(Some(1));
    world.feed(pipe, &bytes);
    assert!(connected(&world, 1).is_none() && is_over(&world, pipe));
}

#[test]
fn p5_a_replayed_session_has_no_effect() {
    let mut world = pair();
    let session = world.call(0, 1);
    let data = recording(10_000);
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    let streams: Vec<Vec<u8>> = world
        .pipes
        .values()
        .filter(|pipe| pipe.ends.iter().all(|end| matches!(end, crate::world::End::Node(..))))
        .map(|pipe| pipe.record[1].clone())
        .collect();
    assert_eq!(streams.len(), 2, "a peer link and a lane");
    for ended in [false, true] {
        if ended {
            world.nodes[0].terminal.close(session);
            world.settle();
        }
        world.clear(1);
        for bytes in &streams {
            let pipe = world.wild(Some(1));
            world.feed(pipe, bytes);
            assert!(is_over(&world, pipe));
            assert!(world.pipes[&pipe].record[0].is_empty(), "nothing is answered");
        }
        assert_eq!(count(&world, 1, refused(Refusal::UnknownGrant)), 1);
        assert_eq!(count(&world, 1, refused(Refusal::UnknownToken)), 1);
        assert!(!world.events(1).iter().any(|event| matches!(
            event,
            Event::Connected { .. }
                | Event::Offered { .. }
                | Event::TransferFailed { .. }
                | Event::Closed { .. }
        )));
    }
    assert_eq!(world.nodes[1].arrived, [data]);
}

#[test]
fn p5_a_replay_does_not_touch_a_later_grant() {
    let mut world = pair();
    let session = world.call(0, 1);
    let pipe = world.between(0, 1).unwrap();
    let old = world.pipes[&pipe].record[1].clone();
    world.nodes[0].terminal.close(session);
    world.settle();
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Wild);
    world.call(0, 1);
    let fresh = world.pipes[world.open_pipes(0).last().unwrap()].record[1].clone();
    for _ in 0..5 {
        let pipe = world.wild(Some(1));
        world.feed(pipe, &old);
    }
    world.clear(1);
    let pipe = world.wild(Some(1));
    world.feed(pipe, &fresh);
    assert!(connected(&world, 1).is_some());
}

#[test]
fn p5_garbage_costs_one_of_three_tries() {
    for garbage in 1..=3 {
        let (mut world, bytes) = stolen();
        for attempt in 0..garbage {
            let mut damaged = bytes.clone();
            damaged[PREAMBLE + 2 + 40 * attempt] ^= 1;
            let pipe = world.wild(Some(1));
            world.feed(pipe, &damaged);
            assert!(is_over(&world, pipe) && world.pipes[&pipe].record[0].is_empty());
        }
        assert_eq!(count(&world, 1, refused(Refusal::Handshake)), garbage);
        let dead = world.events(1).iter().any(|event| matches!(event, Event::Closed { .. }));
        assert_eq!(dead, garbage == 3);
        let pipe = world.wild(Some(1));
        world.feed(pipe, &bytes);
        assert_eq!(connected(&world, 1).is_some(), garbage < 3);
    }
}

#[test]
fn p5_a_record_that_is_too_long_is_refused_by_its_length() {
    let (mut world, bytes) = stolen();
    let pipe = world.wild(Some(1));
    world.feed(pipe, &bytes[..PREAMBLE]);
    world.feed(pipe, &[0xff, 0xff]);
    assert_eq!(count(&world, 1, refused(Refusal::Handshake)), 1);
    assert!(is_over(&world, pipe));
}

#[test]
fn a_slow_or_silent_connection_ends_and_costs_nothing() {
    let (mut world, bytes) = stolen();
    for length in [0, 3, PREAMBLE - 1, PREAMBLE, PREAMBLE + 1, bytes.len() - 1] {
        let pipe = world.wild(Some(1));
        world.feed(pipe, &bytes[..length]);
        world.pass(5_001);
        assert!(is_over(&world, pipe), "after {length} bytes");
    }
    assert_eq!(count(&world, 1, refused(Refusal::Preamble)), 6);
    let pipe = world.wild(Some(1));
    world.feed(pipe, &bytes);
    assert!(connected(&world, 1).is_some());
}

#[test]
fn what_is_no_preamble_is_refused_at_its_first_wrong_byte() {
    let mut world = pair();
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"P", b"P2PG\x02", b"P2PG\x01\x09", b"P2PG\x01\x01\x10\x00"] {
        let pipe = world.wild(Some(1));
        world.feed(pipe, bytes);
        assert_eq!(is_over(&world, pipe), bytes.len() > 1);
    }
    assert_eq!(count(&world, 1, refused(Refusal::Preamble)), 4);
}

#[test]
fn an_unknown_handle_or_token_is_closed_without_an_answer() {
    let mut world = pair();
    let mut peer = b"P2PG\x01\x02\x10\x00".to_vec();
    peer.extend([7; 16]);
    let mut lane = b"P2PG\x01\x03\x00\x00".to_vec();
    lane.extend([7; 32]);
    for (bytes, refusal) in [(peer, Refusal::UnknownGrant), (lane, Refusal::UnknownToken)] {
        let pipe = world.wild(Some(1));
        world.feed(pipe, &bytes);
        assert!(is_over(&world, pipe) && world.pipes[&pipe].record[0].is_empty());
        assert_eq!(count(&world, 1, refused(refusal)), 1);
    }
}

#[test]
fn too_many_silent_connections_are_refused_and_keep_no_tunnel_out() {
    let mut world = pair();
    let mut pipes = Vec::new();
    while pipes.len() < 4 {
        pipes.push(world.wild(Some(1)));
    }
    let now = world.now;
    assert_eq!(world.nodes[1].terminal.accepted(now), Err(AcceptError::Full { most: 4 }));
    world.call(0, 1);
    assert_eq!(connected(&world, 0).map(|(_, tunnel)| tunnel), Some(true), "{:?}", world.events(0));
    world.pass(5_001);
    assert!(pipes.iter().all(|pipe| is_over(&world, *pipe)));
    assert!(world.nodes[1].terminal.accepted(now).is_ok());
}

#[test]
fn a_callers_handshake_is_answered_once_however_often_it_comes() {
    let (mut world, bytes) = stolen();
    let first = world.wild(Some(1));
    let second = world.wild(Some(1));
    world.feed(second, &bytes[..PREAMBLE]);
    world.feed(first, &bytes);
    world.feed(second, &bytes[PREAMBLE..]);
    assert!(connected(&world, 1).is_some());
    assert!(!is_over(&world, first) && is_over(&world, second));
    assert_eq!(count(&world, 1, refused(Refusal::UnknownGrant)), 1);
}

#[test]
fn whoever_replays_a_request_but_has_no_key_gets_no_further() {
    let (mut world, bytes) = stolen();
    let pipe = world.wild(Some(1));
    world.feed(pipe, &bytes);
    world.feed(pipe, &[0, 80, 1, 2, 3]);
    world.feed(pipe, &[9; 200]);
    assert!(
        world
            .events(1)
            .iter()
            .any(|event| matches!(event, Event::Closed { cause: ClosedCause::Protocol, .. }))
    );
    assert!(is_over(&world, pipe));
}

#[test]
fn v5_a_replayed_control_link_has_no_effect() {
    let mut world = World::new(BrokerConfig::default());
    world.add("Ia");
    world.permit(0, &["Ib"], &[]);
    let pipe = world.open_pipes(0)[0];
    let bytes = world.pipes[&pipe].record[1].clone();
    let (lists, logs) = (world.lists.clone(), world.logs.len());
    world.clear(0);
    // Message 1 alone, then all of it.
    let first = 8 + 2 + usize::from(u16::from_be_bytes([bytes[8], bytes[9]]));
    for length in [first, bytes.len()] {
        let wild = world.wild(None);
        world.feed(wild, &bytes[..length]);
        let said = world.logs[logs..].join("\n");
        assert!(!said.contains("enrolled with") && !said.contains("link open"), "{said}");
    }
    world.pass(20_000);
    assert!(!world.events(0).iter().any(|event| matches!(event, Event::Offline { .. })));
    assert_eq!(world.lists, lists);
    assert_eq!(world.broker.counts().connections, 1);
}
