//! V4: a callee whose list names a group.

use crate::world::{End, PEERS, Spoken, World, identifier};
use crate::{connected, count, offer, recording, segments, session_of};
use p2pgate::broker::{Config as BrokerConfig, Name};
use p2pgate::link::PublicKey;
use p2pgate::message::Denial;
use p2pgate::route::Attribute;
use p2pgate::terminal::{
    AnnounceError, AskError, CallError, Change, ClosedCause, Denied, Event, GroupError, SessionId,
    TransmitError,
};

/// Ia, a member; Ib, who permits the group; Io, its owner.
fn family(tapped: bool) -> World {
    let mut world = World::new(BrokerConfig::default());
    world.tapped = tapped;
    for name in ["Ia", "Ib", "Io"] {
        world.add(name);
    }
    assert_eq!(world.group(2, true, &["Ia"], &[]), Some(200));
    world.permit(1, &["Io/family"], &[]);
    world
}

fn is_denied(world: &World, session: SessionId, denial: Denied) -> bool {
    let is_it = |event: &Event| matches!(event, Event::Denied { session: other, denial: why, .. } if (*other, *why) == (session, denial));
    world.events(0).iter().any(is_it)
}

fn not_permitted(world: &World, session: SessionId) -> bool {
    is_denied(world, session, Denied::Broker(Denial::NotPermitted))
}

#[test]
fn v4_a_member_of_a_listed_group_gets_through_and_is_pinned_as_at_any_first_use() {
    let mut world = family(false);
    let session = world.call(0, 1);
    assert!(connected(&world, 1).is_some(), "{:?}\n{:#?}", world.events(1), world.logs);
    let data = recording(20_000);
    world.send(0, session, &offer(&data, Attribute::Confidential), segments(&data, Attribute::Confidential));
    assert_eq!(world.nodes[1].arrived, [data]);
    world.nodes[0].terminal.close(session);
    world.settle();
    assert_eq!(world.listed(1), ["Io/family"], "the member has no entry of its own");
    // Another key under the member's name, with the broker's word for it, is not believed, after a reset neither.
    let key = PublicKey::new([5; 32]);
    world.restart(1);
    assert_eq!(
        world.nodes[1].terminal.permitted().next().unwrap().1,
        None,
        "nor is the group's entry pinned"
    );
    let add = [(identifier("Ia"), Some(key))];
    world.nodes[1].terminal.permit(&Change::Change { add: &add, delete: &[] }).unwrap();
    world.pass(5_000);
    world.clear(1);
    world.call(0, 1);
    assert_eq!(count(&world, 1, Event::Unexpected { key_changed: true }), 1);
}

#[test]
fn v4_the_callee_checks_the_group_against_its_own_list() {
    // A broker that names another group than the one on the list, or none.
    for told in ["Group:Io/work", "Group:Io", "Group:Ib", "Gruppe:Io/family"] {
        let mut world = family(true);
        world.listener.edit =
            Some(Box::new(move |spoken: &Spoken| vec![spoken.text.replace("Group:Io/family", told)]));
        let session = world.call(0, 1);
        assert_eq!(count(&world, 1, Event::Unexpected { key_changed: false }), 1, "{told}");
        assert!(not_permitted(&world, session), "{told} {:?}", world.events(0));
        assert!(connected(&world, 1).is_none());
    }
    // One that goes by its own table, when the entry has been struck off here and it has not heard of it.
    let mut world = family(false);
    world.nodes[1].auto_persist = false;
    world.permit(1, &[], &["Io/family"]);
    let session = world.call(0, 1);
    assert_eq!(count(&world, 1, Event::Unexpected { key_changed: false }), 1);
    assert!(not_permitted(&world, session));
}

#[test]
fn v4_an_entry_with_a_key_is_a_terminal_s_and_no_group_s() {
    let mut world = family(false);
    let add = [(identifier("Io/family"), Some(PublicKey::new([5; 32])))];
    world.nodes[1].terminal.permit(&Change::Change { add: &add, delete: &[] }).unwrap();
    world.settle();
    let session = world.call(0, 1);
    assert!(not_permitted(&world, session), "{:?}", world.events(0));
}

#[test]
fn v4_a_session_ends_when_its_caller_leaves_the_group_or_the_group_is_struck_off() {
    let ways: [fn(&mut World); 4] = [
        |world| assert_eq!(world.group(2, false, &[], &["Ia"]), Some(200)),
        |world| assert_eq!(world.group(2, true, &[], &[]), Some(200)),
        |world| world.permit(1, &[], &["Io/family"]),
        |world| {
            world.nodes[1].auto_persist = false;
            world.create(1, &["Ix"]);
        },
    ];
    for leave in ways {
        let mut world = family(false);
        let session = world.call(0, 1);
        let there = session_of(&world, 1);
        assert!(world.nodes[1].terminal.is_admitted(there));
        leave(&mut world);
        let closed = Event::Closed { session: there, cause: ClosedCause::Withdrawn };
        assert!(world.events(1).contains(&closed), "{:?}", world.events(1));
        assert!(!world.nodes[1].terminal.is_admitted(there));
        let ended =
            |event: &Event| matches!(event, Event::Closed { session: other, .. } if *other == session);
        assert!(world.events(0).iter().any(ended), "{:?}", world.events(0));
        world.clear(0);
        let session = world.call(0, 1);
        assert!(not_permitted(&world, session), "{:?}", world.events(0));
    }
}

#[test]
fn v4_other_changes_of_the_list_leave_a_member_s_session() {
    let mut world = family(false);
    world.permit(1, &["Ix"], &[]);
    world.call(0, 1);
    let there = session_of(&world, 1);
    world.permit(1, &["Iy"], &["Ix"]);
    world.create(1, &["Io/family"]);
    assert!(world.nodes[1].terminal.is_admitted(there));
    assert!(!world.events(1).iter().any(|event| matches!(event, Event::Closed { .. })));
}

#[test]
fn v4_a_member_for_whose_key_there_is_no_place_is_not_taken() {
    let mut world = family(false);
    let names: Vec<String> = (1..PEERS).map(|number| format!("I{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.permit(1, &names, &[]);
    let session = world.call(0, 1);
    assert!(is_denied(&world, session, Denied::Broker(Denial::NotConnected)), "{:?}", world.events(0));
    world.permit(1, &[], &["I1"]);
    world.call(0, 1);
    assert!(connected(&world, 1).is_some());
    // The last place is the member's now: this terminal can't call another.
    let now = world.now;
    assert_eq!(world.nodes[1].terminal.call(&identifier("Iz"), now), Err(CallError::TooManyPeers));
}

#[test]
fn v4_a_change_of_a_group_is_answered_and_one_waits_for_the_other() {
    let mut world = family(false);
    let (group, other) = (identifier("Io/family"), identifier("Ia/family"));
    let some = [(identifier("Ia"), None)];
    let (none, some) = (&some[..0], some.as_slice());
    let mut out = [0; 1_200];
    let terminal = &mut world.nodes[2].terminal;
    assert_eq!(terminal.group(&group, false, &none, &none, &mut out), Err(GroupError::Empty));
    let small = terminal.group(&group, false, &some, &none, &mut out[..60]);
    let Err(GroupError::Transmit(TransmitError::BufferTooSmall { needed })) = small else {
        panic!("{small:?}")
    };
    let (link, length) = terminal.group(&other, false, &some, &none, &mut out[..needed]).unwrap();
    assert_eq!(length, needed);
    assert_eq!(terminal.group(&group, false, &some, &none, &mut [0; 1_200]), Err(GroupError::Busy));
    world.clear(2);
    world.write(End::Node(2, link), &out[..length]);
    world.settle();
    assert_eq!(count(&world, 2, Event::GroupAnswered { status: 403 }), 1, "another's group");
    assert_eq!(world.group(2, false, &["Ix"], &["Ia"]), Some(200));
    for pipe in world.open_pipes(2) {
        world.cut(pipe);
    }
    world.settle();
    let terminal = &mut world.nodes[2].terminal;
    assert_eq!(terminal.group(&group, false, &some, &none, &mut out), Err(GroupError::Offline));
    assert_eq!(terminal.list_deposits(), Err(AskError::Offline));
}

#[test]
fn v3_a_domain_name_is_told_and_looked_up_when_somebody_calls() {
    let mut world = family(false);
    let mut out = [0; 1_200];
    let terminal = &mut world.nodes[1].terminal;
    assert_eq!(terminal.announce("no name", 1, &mut out), Err(AnnounceError::Name));
    let small = terminal.announce("b.example", 7_000, &mut out[..10]);
    assert!(matches!(small, Err(AnnounceError::Transmit(TransmitError::BufferTooSmall { .. }))));
    let (link, length) = terminal.announce("b.example", 7_000, &mut out).unwrap();
    world.clear(1);
    world.write(End::Node(1, link), &out[..length]);
    world.settle();
    assert_eq!(count(&world, 1, Event::AddressKnown), 1);
    let session = world.call(0, 1);
    assert!(connected(&world, 0).is_none());
    let (request, names) = world.lookups.pop().unwrap();
    assert_eq!(names, [Name::from("b.example")]);
    let found = [(names[0].clone(), vec![world.nodes[1].address.ip()])];
    let now = world.now;
    world.broker.looked_up(request, &found, now);
    world.settle();
    assert_eq!(connected(&world, 0), Some((session, false)));
}
