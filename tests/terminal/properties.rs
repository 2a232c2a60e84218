//! Whatever comes, in whatever order: no panic, nothing wedged, nothing lost.

use crate::world::{Host, World};
use crate::{connected, offer, pair, recording, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::Attribute;
use p2pgate::terminal::Event;
use proptest::prelude::*;

fn attribute() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        Just(Attribute::Confidential),
        Just(Attribute::Public),
        Just(Attribute::Split),
        Just(Attribute::BySize)
    ]
}

/// A whole run, with or without a tunnel, however `world` does things; checks that all went well and nothing is left over.
fn shares(mut world: World, attribute: Attribute, length: usize, tunnel: bool) {
    world.add("Ia");
    world.add("Ib");
    world.permit(1, &["Ia"], &[]);
    let address = world.nodes[1].address;
    if tunnel {
        world.hosts.insert(address, Host::Silent);
    }
    let session = world.call(0, 1);
    world.pass(6_000);
    assert_eq!(connected(&world, 0), Some((session, tunnel)), "{:?}\n{:#?}", world.events(0), world.logs);
    let data = recording(length);
    world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
    assert!(
        world.events(0).contains(&Event::Delivered { session }),
        "{:?}\n{:?}",
        world.events(0),
        world.events(1)
    );
    assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data));
    let there = session_of(&world, 1);
    world.send(1, there, &offer(&data, attribute), segments(&data, attribute));
    assert_eq!(world.nodes[0].arrived, [data]);
    world.nodes[0].terminal.close(session);
    world.settle();
    for node in 0..2 {
        assert_eq!(world.open_pipes(node).len(), 1, "only the control link is left");
        let opened = world.events(node).iter().filter(|event| matches!(event, Event::Connect { .. })).count();
        assert!(opened > 0);
    }
    assert_eq!(world.broker.counts().grants, 0);
    assert_eq!(world.broker.counts().lanes, 0);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_polls_and_portions_gives_the_same(
        seed in 1_u64.., attribute in attribute(), length in 1_usize..20_000, tunnel: bool, narrow: bool,
    ) {
        let mut world = World::new(BrokerConfig::default());
        (world.rng, world.narrow) = (seed, narrow);
        shares(world, attribute, length, tunnel);
    }

    #[test]
    fn any_chunking_gives_the_same(chunk in 1_usize..64, attribute in attribute(), length in 1_usize..6_000) {
        let mut world = World::new(BrokerConfig::default());
        world.chunk = chunk;
        shares(world, attribute, length, false);
    }

    /// Random bytes take the place of what one end of one connection would have heard next, at any moment of a run.
    #[test]
    fn garbage_on_any_link_in_any_phase_wedges_nobody(
        moment in 0_usize..120,
        pick in any::<prop::sample::Index>(),
        side in 0_usize..2,
        garbage in prop::collection::vec(any::<u8>(), 1..600),
        attribute in attribute(),
        tunnel: bool,
    ) {
        let mut world = World::new(BrokerConfig::default());
        let others = world_of_four(&mut world);
        let address = world.nodes[1].address;
        if tunnel {
            world.hosts.insert(address, Host::Silent);
        }
        let callee = world.nodes[1].identifier.clone();
        let now = world.now;
        let session = world.nodes[0].terminal.call(&callee, now).unwrap();
        let mut fed = false;
        let data = recording(9_000);
        for step in 0..160 {
            if step == moment {
                let pipes = world.open_pipes(step % 2);
                if !pipes.is_empty() {
                    let pipe = pipes[pick.index(pipes.len())];
                    world.pipes.get_mut(&pipe).unwrap().to[side].extend(&garbage);
                    fed = true;
                }
            }
            world.step();
            if step == 60 {
                world.pass(if tunnel { 5_100 } else { 0 });
            }
            let now = world.now;
            if step >= 70 && world.nodes[0].terminal.offer(session, &offer(&data, attribute), now).is_ok() {
                let segments = segments(&data, attribute);
                world.nodes[0].sending.insert(session, crate::world::Sending { segments, hash: None });
            }
        }
        world.settle();
        // Whatever came of it, after a while all is as new.
        world.pass(600_000);
        for node in 0..2 {
            prop_assert_eq!(world.open_pipes(node).len(), 1);
            prop_assert!(fed || node < 2);
        }
        for arrived in &world.nodes[1].arrived {
            prop_assert_eq!(arrived, &data);
        }
        prop_assert_eq!(world.broker.counts().grants, 0);
        works(&mut world, others[0], others[1]);
        works(&mut world, 0, 1);
    }

    #[test]
    fn random_bytes_at_the_callees_port_never_panic(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..80), 1..6), start in 0_usize..4) {
        let mut world = pair();
        let pipe = world.wild(Some(1));
        let preambles: [&[u8]; 4] = [b"", b"P2PG\x01\x01\x02\x00", b"P2PG\x01\x02\x02\x00", b"P2PG\x01\x03\x00\x00"];
        world.feed(pipe, preambles[start]);
        for part in parts {
            world.feed(pipe, &part);
        }
        world.pass(6_000);
        prop_assert!(world.pipes[&pipe].dead || world.pipes[&pipe].closing[1]);
        works(&mut world, 0, 1);
    }
}

fn world_of_four(world: &mut World) -> [usize; 2] {
    let nodes = ["Ia", "Ib", "Ic", "Id"].map(|name| world.add(name));
    world.permit(1, &["Ia"], &[]);
    world.permit(3, &["Ic"], &[]);
    [nodes[2], nodes[3]]
}

/// A call and a transfer, from nothing.
fn works(world: &mut World, caller: usize, callee: usize) {
    world.hosts.clear();
    let before = world.nodes[callee].arrived.len();
    let session = world.call(caller, callee);
    assert_eq!(connected(world, caller), Some((session, false)), "{:?}", world.events(caller));
    let data = recording(4_000);
    world.send(caller, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    assert_eq!(world.nodes[callee].arrived[before..], [data]);
}
