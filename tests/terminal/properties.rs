//! Whatever comes, in whatever order: no panic, nothing wedged, nothing lost.

use crate::world::{Host, World};
use crate::{connected, offer, pair, recording, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::Attribute;
use p2pgate::terminal::{Destination, Event};
use proptest::prelude::*;

/// PROPTEST_CASES asks for more.
fn config() -> ProptestConfig {
    let config = ProptestConfig::default();
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { ProptestConfig { cases: 48, ..config } }
}

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

/// Whatever the application takes for the time.
#[test]
fn a_clock_at_its_end_stops_nothing() {
    for left in [20_000, 7_000] {
        let mut world = World::new(BrokerConfig::default());
        world.now = u64::MAX - left;
        shares(world, Attribute::Split, 5_000, false);
    }
    let mut world = pair();
    let control = world.events(0).iter().find_map(|event| match event {
        Event::Connect { link, to: Destination::Broker } => Some(*link),
        _ => None,
    });
    let control = control.unwrap();
    for now in [u64::MAX - 1, u64::MAX] {
        let terminal = &mut world.nodes[0].terminal;
        terminal.handle_timeout(now);
        terminal.link_closed(control, now);
        terminal.connect(now);
        let _ = terminal.accepted(now);
        // Nothing that is over is waited for again and again.
        terminal.handle_timeout(now);
        assert!(std::iter::from_fn(|| terminal.poll_event()).count() < 20);
    }
}

proptest! {
    #![proptest_config(config())]

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

    /// Whatever applications do and whatever breaks, afterwards a call and a transfer work.
    #[test]
    fn any_deeds_in_any_order_wedge_nobody(deeds in prop::collection::vec(deed(), 1..80)) {
        let mut world = pair();
        world.permit(0, &["Ib"], &[]);
        for node in &mut world.nodes {
            (node.auto_accept, node.auto_store) = (false, false);
        }
        for (node, deed) in deeds {
            act(&mut world, node, deed);
        }
        world.settle();
        world.pass(600_000);
        for node in 0..2 {
            prop_assert_eq!(world.open_pipes(node).len(), 1);
            world.nodes[node].terminal.set_load(0);
            (world.nodes[node].auto_accept, world.nodes[node].auto_store) = (true, true);
        }
        prop_assert_eq!(world.broker.counts().grants, 0);
        world.permit(1, &["Ia"], &[]);
        works(&mut world, 0, 1);
        prop_assert!(world.nodes[1].terminal.is_registered());
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

/// What an application may do, wisely or not.
#[derive(Clone, Debug)]
enum Deed {
    Call(usize),
    Close(usize),
    Offer(usize, Attribute),
    Accept(usize, u64),
    Refuse(usize),
    Abandon(usize),
    Stored(usize, bool),
    Seal(usize, bool, u64, usize),
    End(usize, bool),
    Permit(bool),
    Load(u8),
    Cut(prop::sample::Index),
    Forget(prop::sample::Index),
    Step(usize),
    Wait(u64),
}

fn deed() -> impl Strategy<Value = (usize, Deed)> {
    let session = 0..4_usize;
    let deed = prop_oneof![
        4 => (0..2_usize).prop_map(Deed::Call),
        1 => session.clone().prop_map(Deed::Close),
        4 => (session.clone(), attribute()).prop_map(|(session, attribute)| Deed::Offer(session, attribute)),
        4 => (session.clone(), 0..3_000_u64).prop_map(|(session, offset)| Deed::Accept(session, offset)),
        1 => session.clone().prop_map(Deed::Refuse),
        1 => session.clone().prop_map(Deed::Abandon),
        2 => (session.clone(), any::<bool>()).prop_map(|(session, stored)| Deed::Stored(session, stored)),
        4 => (session.clone(), any::<bool>(), 0..3_000_u64, 0..2_500_usize)
            .prop_map(|(session, rest, offset, length)| Deed::Seal(session, rest, offset, length)),
        2 => (session, any::<bool>()).prop_map(|(session, rest)| Deed::End(session, rest)),
        1 => any::<bool>().prop_map(Deed::Permit),
        1 => any::<u8>().prop_map(Deed::Load),
        1 => any::<prop::sample::Index>().prop_map(Deed::Cut),
        1 => any::<prop::sample::Index>().prop_map(Deed::Forget),
        12 => (1..30_usize).prop_map(Deed::Step),
        2 => (0..130_000_u64).prop_map(Deed::Wait),
    ];
    (0..2_usize, deed)
}

/// One deed. What it comes to doesn't matter here, as long as it is an answer.
fn act(world: &mut World, node: usize, deed: Deed) {
    let now = world.now;
    let sessions: Vec<_> = world
        .events(node)
        .iter()
        .rev()
        .filter_map(|event| match event {
            Event::Connected { session, .. } | Event::Expected { session } | Event::Permitted { session } => {
                Some(*session)
            }
            _ => None,
        })
        .collect();
    let id = |index: usize| sessions.get(index).copied();
    let other = world.nodes[1 - node].identifier.clone();
    let terminal = &mut world.nodes[node].terminal;
    let mut buffer = vec![0; 4_000];
    let class = |rest| if rest { p2pgate::mpeg::Class::Rest } else { p2pgate::mpeg::Class::Sealed };
    match deed {
        Deed::Call(0) => drop(terminal.call(&crate::world::identifier("nobody"), now)),
        Deed::Call(_) => drop(terminal.call(&other, now)),
        Deed::Close(at) => id(at).into_iter().for_each(|id| terminal.close(id)),
        Deed::Offer(at, attribute) => {
            if let Some(id) = id(at) {
                let _ = terminal.offer(id, &offer(&[0; 3_000], attribute), now);
            }
        }
        Deed::Accept(at, offset) => {
            if let Some(id) = id(at)
                && terminal.accept(id, offset, now).is_ok()
            {
                world.nodes[node].received.insert(id, vec![0; offset as usize]);
            }
        }
        Deed::Refuse(at) => drop(id(at).map(|id| terminal.refuse(id, "no", now))),
        Deed::Abandon(at) => drop(id(at).map(|id| terminal.abandon(id, "no", now))),
        Deed::Stored(at, stored) => {
            let stored = if stored { Ok(()) } else { Err("no") };
            let _ = id(at).map(|id| terminal.stored(id, stored, now));
        }
        Deed::Seal(at, rest, offset, length) => {
            let piece = p2pgate::terminal::Piece { class: class(rest), segment: 0, offset, length };
            if let Some(Ok((link, range))) = id(at).map(|id| terminal.seal(id, piece, &mut buffer, now)) {
                world.write(crate::world::End::Node(node, link), &buffer[range]);
            }
        }
        Deed::End(at, rest) => {
            let sealed = id(at).map(|id| terminal.seal_end(id, class(rest), 1, None, &mut buffer, now));
            if let Some(Ok((link, range))) = sealed {
                world.write(crate::world::End::Node(node, link), &buffer[range]);
            }
        }
        Deed::Permit(add) => {
            let names = [other.as_str()];
            let (add, delete) = if add { (&names[..], &[][..]) } else { (&[][..], &names[..]) };
            world.permit(node, add, delete);
        }
        Deed::Load(load) => terminal.set_load(load),
        Deed::Cut(pick) | Deed::Forget(pick) => {
            let pipes = world.open_pipes(node);
            if !pipes.is_empty() {
                let pipe = pipes[pick.index(pipes.len())];
                match deed {
                    Deed::Cut(_) => world.cut(pipe),
                    _ => world.pipes.get_mut(&pipe).unwrap().to[1].clear(),
                }
            }
        }
        Deed::Step(steps) => {
            for _ in 0..steps {
                world.step();
            }
        }
        Deed::Wait(time) => world.pass(time),
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
