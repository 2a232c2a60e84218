//! P4, V8, V14: how a caller gets to the callee, and how a terminal keeps its broker.

use crate::world::{End, Host, Spoken, World};
use crate::{connected, count, heard_pair, pair, said};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::terminal::{CallError, Change, ClosedCause, Denied, Destination, Event, OfflineCause};
use std::net::SocketAddr;

fn addresses() -> [SocketAddr; 4] {
    ["198.51.100.1:1", "198.51.100.2:2", "[2001:db8::3]:3", "198.51.100.4:4"]
        .map(|text| text.parse().unwrap())
}

/// A pair whose callee has four addresses, and what is there.
fn four(hosts: [Host; 4]) -> World {
    let mut world = pair();
    world.nodes[1].terminal.listen_at(&addresses()).unwrap();
    world.hosts.extend(addresses().into_iter().zip(hosts));
    world.settle();
    world.clear(0);
    world
}

/// When which address was tried, from `start` on.
fn dialled(world: &World, start: u64) -> Vec<(u64, SocketAddr)> {
    let events = world.nodes[0].events.iter().zip(&world.nodes[0].times);
    let of_address = |(event, at): (&Event, &u64)| match event {
        Event::Connect { to: Destination::Address(address), .. } => Some((at - start, *address)),
        _ => None,
    };
    events.filter_map(of_address).collect()
}

#[test]
fn p4_addresses_are_tried_a_quarter_second_apart_and_a_tunnel_after_five() {
    let mut world = four([Host::Silent; 4]);
    let start = world.now;
    let session = world.call(0, 1);
    world.pass(4_999);
    let [a, b, c, d] = addresses();
    assert_eq!(dialled(&world, start), [(0, a), (250, b), (500, c), (750, d)]);
    assert_eq!(connected(&world, 0), None);
    world.pass(1);
    assert_eq!(count(&world, 0, Event::Tunnelling { session }), 1);
    assert_eq!(connected(&world, 0), Some((session, true)));
    let closes = world.events(0).iter().filter(|event| matches!(event, Event::Close { .. })).count();
    assert_eq!(closes, 4, "every attempt is given up");
}

#[test]
fn p4_the_first_address_that_opens_wins() {
    let mut world = four([Host::Silent, Host::Delayed(1, 400), Host::Delayed(1, 100), Host::Silent]);
    let session = world.call(0, 1);
    world.pass(599);
    assert_eq!(connected(&world, 0), None);
    world.pass(1);
    assert_eq!(connected(&world, 0), Some((session, false)));
    world.pass(10_000);
    let closes = world.events(0).iter().filter(|event| matches!(event, Event::Close { .. })).count();
    assert_eq!(closes, 2, "the other two attempts");
    assert_eq!(dialled(&world, 0).len(), 3);
}

#[test]
fn p4_refused_addresses_are_passed_over_at_once() {
    let mut world = four([Host::Refuses, Host::Refuses, Host::Refuses, Host::Node(1)]);
    let session = world.call(0, 1);
    assert_eq!(connected(&world, 0), Some((session, false)));
    let mut world = four([Host::Refuses; 4]);
    let session = world.call(0, 1);
    assert_eq!(connected(&world, 0), Some((session, true)), "no need to wait for five seconds");
}

#[test]
fn p4_a_wrong_host_is_left_for_the_right_one() {
    for (says, wait) in [(&[][..], 10_000), (&[0, 100][..], 10_000), (&[1; 300], 0), (&[0xff; 4], 0)] {
        let mut world = four([Host::Wild, Host::Node(1), Host::Silent, Host::Silent]);
        let session = world.call(0, 1);
        let pipe = *world.open_pipes(0).last().unwrap();
        if !says.is_empty() {
            let wild = world.pipes[&pipe].ends[1];
            world.write(wild, says);
        }
        world.pass(wait);
        assert_eq!(connected(&world, 0), Some((session, false)), "{says:?} {:?}", world.events(0));
        assert!(!world.open_pipes(0).contains(&pipe));
    }
}

#[test]
fn p4_what_no_callee_can_have_is_not_dialled() {
    let bad = [
        "127.0.0.1",
        "127.9.9.9",
        "::1",
        "::ffff:127.0.0.1",
        "224.0.0.1",
        "239.1.2.3",
        "ff02::1",
        "0.0.0.0",
        "::",
        "255.255.255.255",
    ];
    for address in bad {
        let mut world = heard_pair(BrokerConfig { relay: false, ..BrokerConfig::default() });
        world.listener.edit = Some(Box::new(move |spoken: &Spoken| {
            vec![spoken.text.replace("Callee Address:192.0.2.2", &format!("Callee Address:{address}"))]
        }));
        let session = world.call(0, 1);
        assert!(!said(&world, "broker", "Ia", "NOTIFY\nCallee Address:").is_empty());
        assert!(dialled(&world, 0).is_empty(), "{address}");
        let denied = Event::Denied { session, denial: Denied::Unreachable, retry_after: None };
        assert!(world.events(0).contains(&denied), "{address}");
    }
    // The callee's end of a tunnel only.
    let mut world = pair();
    world.nodes[1].terminal.listen_at(&["0.0.0.0:0".parse().unwrap()]).unwrap();
    world.settle();
    let session = world.call(0, 1);
    assert!(dialled(&world, 0).is_empty());
    assert_eq!(connected(&world, 0), Some((session, true)));
}

#[test]
fn p4_loopback_is_dialled_where_the_broker_is_there_too() {
    let mut world = World::new(BrokerConfig::default());
    let (caller, callee) = (world.add_with("Ia", |config| config.allow_loopback = true), world.add("Ib"));
    world.permit(callee, &["Ia"], &[]);
    let address: SocketAddr = "127.0.0.1:7".parse().unwrap();
    world.nodes[callee].terminal.listen_at(&[address]).unwrap();
    world.hosts.insert(address, Host::Node(callee));
    world.settle();
    world.call(caller, callee);
    assert_eq!(dialled(&world, world.now), [(0, address)]);
    assert!(connected(&world, caller).is_some());
}

#[test]
fn v14_without_relay_a_blocked_port_is_out_of_reach() {
    let mut world = crate::pair_of(World::new(BrokerConfig { relay: false, ..BrokerConfig::default() }));
    assert!(!world.nodes[0].terminal.broker_relays());
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Silent);
    let session = world.call(0, 1);
    world.pass(5_000);
    assert!(world.events(0).contains(&Event::Denied {
        session,
        denial: Denied::Unreachable,
        retry_after: None
    }));
    assert!(world.events(1).iter().any(|event| matches!(event, Event::Expected { .. })));
    assert!(
        world
            .events(1)
            .iter()
            .any(|event| matches!(event, Event::Closed { cause: ClosedCause::OtherEnd, .. })),
        "the callee's place is free again, at once"
    );
}

#[test]
fn a_tunnel_that_the_callee_does_not_come_to_ends() {
    let mut world = pair();
    let address = world.nodes[1].address;
    world.hosts.insert(address, Host::Silent);
    let session = world.call(0, 1);
    let control = world.open_pipes(1)[0];
    world.pipes.get_mut(&control).unwrap().stopped[0] = true;
    world.pass(30_001);
    assert!(world.events(0).iter().any(|event| matches!(
        event,
        Event::Denied { session: other, denial: Denied::Unreachable, .. } if *other == session
    )));
    assert_eq!(world.open_pipes(0).len(), 1);
}

#[test]
fn m6_calls_that_can_not_be_made_are_refused_in_type() {
    let mut world = pair();
    let (own, other) = (world.nodes[0].identifier.clone(), world.nodes[1].identifier.clone());
    let now = world.now;
    assert_eq!(world.nodes[0].terminal.call(&own, now), Err(CallError::Oneself));
    let control = world.open_pipes(0)[0];
    world.pipes.get_mut(&control).unwrap().stopped = [true; 2];
    for _ in 0..crate::world::SESSIONS {
        world.nodes[0].terminal.call(&other, now).unwrap();
    }
    assert_eq!(world.nodes[0].terminal.call(&other, now), Err(CallError::NoSession));
    world.cut(control);
    assert_eq!(world.nodes[0].terminal.call(&other, now), Err(CallError::Offline));
    world.settle();
    world.pass(0);
    let denied = |event: &&Event| matches!(event, Event::Denied { denial: Denied::NoAnswer, .. });
    assert_eq!(world.events(0).iter().filter(denied).count(), crate::world::SESSIONS);
}

#[test]
fn a_query_without_answer_ends_and_a_late_grant_is_given_back() {
    let mut world = pair();
    let control = world.open_pipes(0)[0];
    world.pipes.get_mut(&control).unwrap().stopped[0] = true;
    let session = world.call(0, 1);
    assert_eq!(world.broker.counts().grants, 1);
    world.nodes[0].terminal.close(session);
    world.pass(100);
    assert!(world.events(0).contains(&Event::Closed { session, cause: ClosedCause::Here }));
    world.pipes.get_mut(&control).unwrap().stopped[0] = false;
    world.settle();
    assert_eq!(world.broker.counts().grants, 0);

    world.pipes.get_mut(&control).unwrap().stopped[0] = true;
    let session = world.call(0, 1);
    world.pass(30_000);
    assert!(world.events(0).contains(&Event::Denied {
        session,
        denial: Denied::NoAnswer,
        retry_after: None
    }));
}

#[test]
fn a_lost_broker_is_tried_again_later_each_time() {
    let mut world = pair();
    world.broker_down = true;
    let control = world.open_pipes(0)[0];
    world.clear(0);
    let start = world.now;
    world.cut(control);
    world.pass(200_000);
    let events = world.nodes[0].events.iter().zip(&world.nodes[0].times);
    let tries: Vec<u64> = events
        .filter(|(event, _)| matches!(event, Event::Connect { to: Destination::Broker, .. }))
        .map(|(_, at)| at - start)
        .collect();
    let gaps: Vec<u64> = tries.iter().scan(0, |last, at| Some(at - std::mem::replace(last, *at))).collect();
    for (gap, least) in gaps.iter().zip([1, 2, 4, 8, 16, 32, 60]) {
        assert!((least * 1_000..=least * 1_250).contains(gap), "{gaps:?}");
    }
    assert!(gaps.len() >= 7, "{gaps:?}");
    world.broker_down = false;
    world.pass(80_000);
    assert!(world.events(0).iter().any(|event| matches!(event, Event::Online { .. })));
}

#[test]
fn a_broker_that_falls_silent_is_noticed_and_a_quiet_one_is_kept() {
    let mut world = pair();
    world.clear(0);
    world.pass(600_000);
    assert!(world.events(0).is_empty(), "{:?}", world.events(0));
    let control = world.open_pipes(0)[0];
    world.pipes.get_mut(&control).unwrap().stopped = [true; 2];
    world.pass(45_001);
    assert!(world.events(0).contains(&Event::Offline { cause: OfflineCause::Unreachable }));
}

#[test]
fn a_broker_that_never_answers_the_handshake_or_hello_is_given_up_in_time() {
    for after in 0..2 {
        let mut world = pair();
        let control = world.open_pipes(0)[0];
        world.cut(control);
        world.clear(0);
        world.pass(900);
        if after == 1 {
            world.tapped = true;
            world.listener.edit = Some(Box::new(|spoken: &Spoken| {
                if spoken.text.starts_with("HELLO") { vec![] } else { vec![spoken.text.clone()] }
            }));
        } else {
            world.broker_down = true;
        }
        world.pass(30_000);
        assert!(!world.events(0).iter().any(|event| matches!(event, Event::Online { .. })));
        world.tapped = false;
        world.broker_down = false;
        world.pass(80_000);
        assert!(world.events(0).iter().any(|event| matches!(event, Event::Online { .. })), "{after}");
    }
}

#[test]
fn sessions_outlast_the_control_link() {
    let mut world = pair();
    let session = world.call(0, 1);
    for node in 0..2 {
        let control = world.open_pipes(node)[0];
        world.cut(control);
    }
    world.pass(10_000);
    let data = crate::recording(20_000);
    let attribute = p2pgate::route::Attribute::Confidential;
    world.send(0, session, &crate::offer(&data, attribute), crate::segments(&data, attribute));
    assert_eq!(world.nodes[1].arrived, [data]);
}

#[test]
fn a_key_that_was_pinned_while_a_call_was_on_its_way_counts_for_it() {
    let mut world = pair();
    world.hosts.insert(world.nodes[1].address, Host::Delayed(1, 1_000));
    let session = world.call(0, 1);
    assert_eq!(count(&world, 0, Event::Granted { session }), 1);
    let other = p2pgate::link::SecretKey::new([77; 32]).public_key();
    let entry = [(world.nodes[1].identifier.clone(), Some(other))];
    world.nodes[0].terminal.permit(&Change::Change { add: &entry, delete: &[] }).unwrap();
    world.pass(2_000);
    let denied = Event::Denied { session, denial: Denied::KeyChanged, retry_after: None };
    assert_eq!(connected(&world, 0), None);
    assert_eq!(count(&world, 0, denied), 1);
}

#[test]
fn v5_a_late_hello_of_its_own_displaces_no_terminal() {
    let mut world = pair();
    let control = world.open_pipes(1)[0];
    world.cut(control);
    world.clear(1);
    // The connection is lost to the terminal, with its HELLO still on the way.
    let is_late = |world: &World| {
        world.open_pipes(1).first().is_some_and(|pipe| !world.pipes[pipe].record[0].is_empty())
    };
    world.now += 2_000;
    let now = world.now;
    world.nodes[1].terminal.handle_timeout(now);
    while !is_late(&world) {
        assert!(world.step());
    }
    let late = world.open_pipes(1)[0];
    world.pipes.get_mut(&late).unwrap().stopped[1] = true;
    world.settle();
    let End::Node(_, link) = world.pipes[&late].ends[0] else { panic!("the terminal has connected") };
    let now = world.now;
    world.nodes[1].terminal.link_closed(link, now);
    world.pass(5_000);
    let online = Event::Online { relay: true };
    assert_eq!(count(&world, 1, online), 1, "{:?}", world.events(1));
    world.pipes.get_mut(&late).unwrap().stopped[1] = false;
    world.settle();
    world.cut(late);
    world.pass(5_000);
    assert_eq!(count(&world, 1, online), 1, "{:?}", world.events(1));
    let session = world.call(0, 1);
    assert_eq!(connected(&world, 0), Some((session, false)), "and it listens");
}
