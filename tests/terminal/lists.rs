//! P2, M1–M5: the list of permitted terminals, at the terminal, on its disk and at the broker.

use crate::world::{PEERS, World, identifier};
use crate::{connected, count, heard_pair, pair, said};
use p2pgate::broker::{Config as BrokerConfig, Stored};
use p2pgate::link::PublicKey;
use p2pgate::terminal::{
    BadTicket, Change, ClosedCause, Event, OfflineCause, PermitError, RestoreError, Terminal, blob_size,
};

fn alone() -> World {
    let mut world = World::new(BrokerConfig::default());
    world.tapped = true;
    world.add("Ia");
    world
}

fn last_register(world: &World) -> String {
    said(world, "Ia", "broker", "REGISTER\n").pop().unwrap()
}

fn stored(world: &World) -> Vec<&str> {
    world.lists["Ia"].1.iter().map(String::as_str).collect()
}

#[test]
fn m1_create_is_registered_in_the_figures_text() {
    let mut world = alone();
    world.create(0, &["Ib", "If"]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Create Ib,If\n"));
    assert!(last_register(&world).contains("\nRevision:1\n"));
    assert_eq!(stored(&world), ["Ib", "If"]);
    assert!(world.events(0).contains(&Event::Registered { revision: 1 }));
    assert!(world.nodes[0].terminal.is_registered());
}

#[test]
fn m1_an_empty_list_can_be_created() {
    let mut world = alone();
    world.create(0, &["Ib"]);
    world.create(0, &[]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Create \n"));
    assert!(stored(&world).is_empty());
}

#[test]
fn m2_m3_m4_changes_are_registered_as_differences() {
    let mut world = alone();
    world.create(0, &["Ib", "If"]);
    world.permit(0, &["Ic", "Ie"], &[]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Add Ic,Ie\n"));
    world.permit(0, &[], &["If"]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Delete If\n"));
    world.permit(0, &["If"], &["Ic"]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Add If\nDelete Ic\n"));
    assert_eq!(stored(&world), ["Ib", "Ie", "If"]);
    assert_eq!(world.listed(0), ["Ib", "Ie", "If"]);
    assert_eq!((world.nodes[0].terminal.revision(), world.lists["Ia"].0), (4, 4));
}

#[test]
fn p2_lists_that_agree_are_not_registered_again() {
    let mut world = alone();
    world.create(0, &["Ib", "If"]);
    let before = said(&world, "Ia", "broker", "REGISTER\n").len();
    world.restart(0);
    let pipe = world.open_pipes(0)[0];
    world.cut(pipe);
    world.pass(5_000);
    assert!(world.nodes[0].terminal.is_registered());
    assert_eq!(said(&world, "Ia", "broker", "REGISTER\n").len(), before);
    assert_eq!(world.listed(0), ["Ib", "If"]);
}

#[test]
fn p2_the_terminals_list_wins_over_a_broker_that_lost_one_or_has_another() {
    for (revision, names) in [(0, vec![]), (1, vec!["Ib"]), (2, vec!["Ix"]), (9, vec!["Ix", "Ib", "If"])] {
        let mut world = alone();
        world.add("Ix");
        world.create(0, &["Ib"]);
        world.permit(0, &["If"], &[]);
        let mut lists = world.lists.clone();
        lists.insert("Ia".into(), (revision, names.iter().map(|name| (*name).to_owned()).collect()));
        world.restart_broker(&lists);
        assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Create Ib,If\n"));
        assert_eq!(stored(&world), ["Ib", "If"], "over {revision}");
        assert!(world.lists["Ia"].0 >= revision);
        assert!(world.nodes[0].terminal.is_registered());
        assert_eq!(world.nodes[0].terminal.revision(), world.lists["Ia"].0);
    }
}

#[test]
fn p2_changes_while_a_registration_is_under_way_end_alike_at_both() {
    type Names = &'static [&'static str];
    let changes: [(Names, Names, Names, Names); 3] = [
        (&["Ix"], &[], &["Iy"], &["Ix"]),
        (&[], &["Ib"], &["Ib", "Iy"], &[]),
        (&["Ix"], &["Ib"], &["Ib"], &["Ix"]),
    ];
    for (add, delete, then_add, then_delete) in changes {
        let mut world = alone();
        world.create(0, &["Ib"]);
        let pipe = world.open_pipes(0)[0];
        world.pipes.get_mut(&pipe).unwrap().stopped[0] = true;
        world.permit(0, add, delete);
        world.permit(0, then_add, then_delete);
        world.pipes.get_mut(&pipe).unwrap().stopped[0] = false;
        world.settle();
        assert_eq!(stored(&world), world.listed(0), "{add:?} {delete:?} {then_add:?} {then_delete:?}");
        assert!(world.nodes[0].terminal.is_registered());
    }
}

#[test]
fn p2_a_full_list_refuses_and_stays_as_it_was() {
    let mut world = alone();
    let names: Vec<String> = (0..PEERS).map(|index| format!("I{index}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    world.create(0, &names);
    let entry = [(identifier("one more"), None)];
    let terminal = &mut world.nodes[0].terminal;
    assert_eq!(terminal.permit(&Change::Change { add: &entry, delete: &[] }), Err(PermitError::Full));
    assert_eq!(terminal.revision(), 1);
    assert_eq!(world.listed(0).len(), PEERS);
    world.permit(0, &[], &["I3"]);
    world.permit(0, &["one more"], &[]);
    assert_eq!(stored(&world).len(), PEERS);
    assert_eq!(stored(&world), world.listed(0));
}

#[test]
fn p2_nothing_is_registered_before_it_is_stored() {
    let mut world = alone();
    world.nodes[0].auto_persist = false;
    world.create(0, &["Ib"]);
    assert_eq!(count(&world, 0, Event::Persist), 1);
    assert!(said(&world, "Ia", "broker", "REGISTER\n").is_empty());
    // What changes between the blob and the word that it is stored waits for the next blob.
    let mut blob = vec![0; blob_size(PEERS)];
    world.nodes[0].terminal.blob(&mut blob).unwrap();
    world.permit(0, &["Ic"], &[]);
    world.nodes[0].terminal.persisted();
    world.settle();
    assert!(said(&world, "Ia", "broker", "REGISTER\n").is_empty());
    assert_eq!(count(&world, 0, Event::Persist), 2);
    world.nodes[0].terminal.blob(&mut blob).unwrap();
    world.nodes[0].terminal.persisted();
    world.settle();
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Create Ib,Ic\n"));
}

#[test]
fn m5_a_refused_list_is_told_and_the_next_one_goes_out_whole() {
    let mut world = alone();
    world.create(0, &["Ib"]);
    world.list_outcome = Stored::Failed;
    world.permit(0, &["Ic"], &[]);
    assert!(world.events(0).contains(&Event::RegisterFailed { status: 503 }));
    assert!(!world.nodes[0].terminal.is_registered());
    world.list_outcome = Stored::Done;
    world.permit(0, &["Id"], &[]);
    assert!(last_register(&world).starts_with("REGISTER\nIdentifier:Ia\nAccept:Create Ib,Ic,Id\n"));
    assert_eq!(stored(&world), ["Ib", "Ic", "Id"]);
    assert!(world.nodes[0].terminal.is_registered());
}

#[test]
fn m5_a_list_that_is_too_long_for_the_broker_is_refused_once() {
    let mut world = World::new(BrokerConfig { max_list: 1, ..BrokerConfig::default() });
    world.tapped = true;
    world.add("Ia");
    world.create(0, &["Ib", "Ic"]);
    world.pass(60_000);
    assert_eq!(count(&world, 0, Event::RegisterFailed { status: 413 }), 1);
    assert_eq!(said(&world, "Ia", "broker", "REGISTER\n").len(), 1);
    assert!(!world.nodes[0].terminal.is_registered());
}

#[test]
fn p13_the_list_its_pins_and_its_number_outlast_a_restart() {
    let mut world = pair();
    let key = PublicKey::new([5; 32]);
    let add = [(identifier("Iz"), Some(key))];
    world.nodes[1].terminal.permit(&Change::Change { add: &add, delete: &[] }).unwrap();
    world.settle();
    world.call(0, 1);
    world.restart(1);
    assert_eq!(world.listed(1), ["Ia", "Iz"]);
    assert_eq!(world.nodes[1].terminal.revision(), 2);
    let caller_key = world.nodes[0].terminal.public_key();
    let terminal = &world.nodes[1].terminal;
    let pin = |name: &str| terminal.permitted().find(|(listed, _)| listed.as_str() == name).unwrap().1;
    assert_eq!(pin("Iz"), Some(&key));
    assert_eq!(pin("Ia"), Some(&caller_key));
}

#[test]
fn p13_a_damaged_blob_is_refused_whole() {
    let mut world = pair();
    world.permit(1, &["Ic", "If"], &[]);
    world.call(0, 1);
    let blob = world.nodes[1].blob.clone();
    let fresh = || {
        let mut world = World::new(BrokerConfig::default());
        world.add("Ib");
        world
    };
    let mut world = fresh();
    for bit in 0..blob.len() * 8 {
        let mut damaged = blob.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let restored = world.nodes[0].terminal.restore(&damaged);
        if !(1..=3).contains(&damaged[0]) {
            assert_eq!(restored, Err(RestoreError::Version(damaged[0])));
        } else {
            assert_eq!(restored, Err(RestoreError::Damaged), "bit {bit}");
        }
        assert!(world.listed(0).is_empty());
    }
    for length in 0..blob.len() {
        assert_eq!(world.nodes[0].terminal.restore(&blob[..length]), Err(RestoreError::Damaged));
    }
    let mut longer = blob.clone();
    longer.push(0);
    assert_eq!(world.nodes[0].terminal.restore(&longer), Err(RestoreError::Damaged));
    assert_eq!(world.nodes[0].terminal.restore(&blob), Ok(()));
    assert_eq!(world.listed(0), ["Ia", "Ic", "If"]);
    let config = |world: &World| p2pgate::terminal::Config {
        identifier: identifier("Ib"),
        secret: p2pgate::link::SecretKey::new([1; 32]),
        broker_key: world.broker.public_key(),
        max_record: p2pgate::link::MaxRecord::MIN,
        max_frame: 2_048,
        suite: p2pgate::sframe::Suite::Aes128CtrHmacSha256_80,
        listen: true,
        allow_loopback: false,
        load: Default::default(),
    };
    let (mut small, _) = Terminal::<1, 2>::new(config(&world), &[1; 32], &[2; 32]);
    assert_eq!(small.restore(&blob), Err(RestoreError::TooMany));
}

#[test]
fn p2_striking_off_ends_every_session_of_the_struck_and_no_event_is_lost() {
    let mut world = World::new(BrokerConfig::default());
    let callee = world.add_with("Ib", |config| config.load = p2pgate::load::LoadGate::new(101, 0, 4));
    let names = ["I1", "I2", "I3", "I4"];
    let callers: Vec<usize> = names.iter().map(|name| world.add(name)).collect();
    world.permit(callee, &names, &[]);
    for caller in &callers {
        world.call(*caller, callee);
    }
    world.permit(callee, &[], &names);
    let closed = |event: &&Event| matches!(event, Event::Closed { cause: ClosedCause::Withdrawn, .. });
    assert_eq!(world.events(callee).iter().filter(closed).count(), 4);
    for caller in callers {
        assert!(connected(&world, caller).is_some());
        assert!(world.events(caller).iter().any(|event| matches!(event, Event::Closed { .. })));
        assert_eq!(world.open_pipes(caller).len(), 1, "only the control link is left");
    }
}

#[test]
fn v5_a_key_that_is_not_enrolled_is_told_and_does_not_try_again() {
    let mut world = World::new(BrokerConfig::default());
    world.add("Ia");
    world.keys.clear();
    world.restart_broker(&Default::default());
    world.clear(0);
    world.pass(600_000);
    assert_eq!(world.open_pipes(0).len(), 0);
    let connects = world.events(0).iter().filter(|event| matches!(event, Event::Connect { .. })).count();
    assert_eq!(connects, 0, "{:?}", world.events(0));
}

#[test]
fn v5_another_brokers_key_is_noticed() {
    let mut world = heard_pair(BrokerConfig::default());
    world.tapped = false;
    let other = world.add_with("Ic", |config| config.broker_key = PublicKey::new([3; 32]));
    assert!(world.events(other).contains(&Event::Offline { cause: OfflineCause::NotTheBroker }));
    assert!(!world.events(other).iter().any(|event| matches!(event, Event::Online { .. })));
}

#[test]
fn pins_of_two_programs_of_one_device_are_put_together() {
    let blob = |world: &mut World, node: usize| {
        let mut blob = vec![0; blob_size(16)];
        let length = world.nodes[node].terminal.blob(&mut blob).unwrap();
        blob.truncate(length);
        blob
    };
    let mut world = pair();
    // One program has called Ib and pinned its key, another has stored a list meanwhile.
    world.call(0, 1);
    let ours = blob(&mut world, 0);
    world.add("Ic");
    world.permit(2, &["Ix"], &[]);
    let theirs = blob(&mut world, 2);

    let key = world.nodes[1].terminal.public_key();
    let terminal = &mut world.nodes[2].terminal;
    terminal.restore(&theirs).unwrap();
    terminal.adopt_pins(&ours).unwrap();
    assert_eq!(terminal.permitted().map(|(name, _)| name.as_str().to_owned()).collect::<Vec<_>>(), ["Ix"]);
    let both = blob(&mut world, 2);
    assert!(both.windows(32).any(|window| window == key.as_bytes()));
    let mut damaged = ours;
    damaged[20] ^= 1;
    assert_eq!(world.nodes[2].terminal.adopt_pins(&damaged), Err(RestoreError::Damaged));
}

#[test]
fn v5_a_text_that_no_operator_prints_is_no_ticket() {
    let mut world = alone();
    for text in ["", "two\nlines", &"x".repeat(65)] {
        assert_eq!(world.nodes[0].terminal.enrol(text), Err(BadTicket), "{text:?}");
    }
    assert_eq!(world.nodes[0].terminal.enrol(&"x".repeat(64)), Ok(()));
}
