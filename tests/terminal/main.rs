//! Terminals and a broker, end to end, on virtual time.
#![cfg(feature = "broker")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod again;
mod callee;
mod collections;
mod connecting;
mod deposits;
mod entropy;
mod fetches;
mod frames;
mod groups;
mod lists;
mod policy;
mod properties;
mod requests;
mod texts;
mod transcript;
mod transfers;
mod wire;
mod world;

use p2pgate::broker::Config as BrokerConfig;
use p2pgate::message::Denial;
use p2pgate::mpeg::Class;
use p2pgate::route::{Attribute, Conditions, Route};
use p2pgate::terminal::{Denied, Event, Offer, SessionId};
use world::World;

fn route(attribute: Attribute) -> Route {
    Route::decide(attribute, Conditions { size: 0, relay_below: 0, relay: true })
}

fn recording(length: usize) -> Vec<u8> {
    // No part of it comes twice.
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

fn segments(data: &[u8], attribute: Attribute) -> Vec<(Class, Vec<u8>)> {
    match attribute {
        Attribute::Split => data
            .chunks(5_000)
            .enumerate()
            .map(|(index, bytes)| (if index % 3 == 0 { Class::Sealed } else { Class::Rest }, bytes.to_vec()))
            .collect(),
        Attribute::Public => vec![(Class::Rest, data.to_vec())],
        Attribute::Confidential | Attribute::BySize => vec![(Class::Sealed, data.to_vec())],
    }
}

fn offer(data: &[u8], attribute: Attribute) -> Offer<'static> {
    Offer {
        name: "film.mpg",
        size: data.len() as u64,
        source: b"",
        hash: false,
        route: route(attribute),
        sealed_bytes: data.len() as u64,
        rest_bytes: data.len() as u64,
    }
}

/// The sessions at both ends, once a call has come through.
fn connected(world: &World, node: usize) -> Option<(SessionId, bool)> {
    world.events(node).iter().rev().find_map(|event| match event {
        Event::Connected { session, tunnel } => Some((*session, *tunnel)),
        _ => None,
    })
}

fn pair() -> World {
    pair_of(World::new(BrokerConfig::default()))
}

/// Two terminals whose links' texts the test hears.
fn heard_pair(config: BrokerConfig) -> World {
    let mut world = World::new(config);
    world.tapped = true;
    pair_of(world)
}

fn pair_of(mut world: World) -> World {
    let caller = world.add("Ia");
    let callee = world.add("Ib");
    world.permit(callee, &["Ia"], &[]);
    assert_eq!((caller, callee), (0, 1));
    world
}

/// What `from` said to `to` that starts so.
fn said(world: &World, from: &str, to: &str, start: &str) -> Vec<String> {
    let texts = world.listener.texts.iter();
    let these = texts.filter(|said| said.from == from && said.to == to && said.text.starts_with(start));
    these.map(|said| said.text.clone()).collect()
}

fn count(world: &World, node: usize, event: Event) -> usize {
    world.events(node).iter().filter(|other| **other == event).count()
}

/// The callee's end of the newest session.
fn session_of(world: &World, node: usize) -> SessionId {
    connected(world, node).unwrap().0
}

#[test]
fn p4_a_permitted_caller_gets_through_to_the_callee() {
    let mut world = pair();
    let session = world.call(0, 1);
    assert_eq!(
        connected(&world, 0),
        Some((session, false)),
        "{:?}\n{:?}\n{:#?}",
        world.events(0),
        world.events(1),
        world.logs
    );
    assert!(connected(&world, 1).is_some());
}

#[test]
fn p8_every_route_ends_bit_exact() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split, Attribute::BySize] {
        let mut world = pair();
        let session = world.call(0, 1);
        let data = recording(100_000);
        world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
        assert!(
            world.events(0).contains(&Event::Delivered { session }),
            "{attribute:?} {:?}\n{:?}\n{:#?}",
            world.events(0),
            world.events(1),
            world.logs
        );
        assert_eq!(world.nodes[1].arrived, [data]);
    }
}

#[test]
fn p8_the_callee_may_send_as_well() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split] {
        let mut world = pair();
        world.call(0, 1);
        let (session, _) = connected(&world, 1).unwrap();
        let data = recording(30_000);
        world.send(1, session, &offer(&data, attribute), segments(&data, attribute));
        assert!(
            world.events(1).contains(&Event::Delivered { session }),
            "{attribute:?} {:?}",
            world.events(1)
        );
        assert_eq!(world.nodes[0].arrived, [data]);
    }
}

#[test]
fn a_blocked_port_is_got_round_by_a_tunnel_and_every_route_ends_bit_exact() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split, Attribute::BySize] {
        let mut world = pair();
        let address = world.nodes[1].address;
        world.hosts.insert(address, world::Host::Silent);
        let session = world.call(0, 1);
        world.pass(6_000);
        assert_eq!(
            connected(&world, 0),
            Some((session, true)),
            "{:?}\n{:?}\n{:#?}",
            world.events(0),
            world.events(1),
            world.logs
        );
        let data = recording(30_000);
        world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
        assert!(
            world.events(0).contains(&Event::Delivered { session }),
            "{attribute:?} {:?}",
            world.events(0)
        );
        assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data));
        // Nothing of it is readable on any connection.
        for pipe in world.pipes.values() {
            for record in &pipe.record {
                assert!(!record.windows(64).any(|window| window == &data[10_000..10_064]), "{attribute:?}");
            }
        }
    }
}

#[test]
fn p3_a_caller_not_on_the_list_is_denied_and_the_callee_sees_nothing() {
    let mut world = pair();
    let stranger = world.add("Ix");
    let before = world.events(1).len();
    let session = world.call(stranger, 1);
    let denied = Event::Denied { session, denial: Denied::Broker(Denial::NotPermitted), retry_after: None };
    assert!(world.events(stranger).contains(&denied), "{:?}", world.events(stranger));
    assert_eq!(world.events(1).len(), before);
}
