//! V4: groups on a permitted list.

use crate::deposits::{data, deposited, hello};
use crate::world::{World, has, key, source, value};
use p2pgate::broker::{Config, Stored, What};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What the owner, alice, says of a group.
fn say(world: &mut World, alice: u64, group: &str, members: &str) -> String {
    world.texts(alice);
    world.ask(alice, &format!("GROUP\nIdentifier:alice\nGroup:{group}\nMembers:{members}\nTransaction:5\n"))
}

fn done(world: &mut World, alice: u64, members: &str) {
    assert_eq!(say(world, alice, "alice/family", members), "NOTIFY\nStatus:200 Registered.\nTransaction:5\n");
}

/// Alice, who has the group alice/family with bob in it; bob; carol, who permits the group.
fn family(config: Config) -> (World, u64, u64, u64) {
    let mut world = World::with(config);
    let alice = world.terminal("alice", 1);
    let bob = world.terminal("bob", 2);
    done(&mut world, alice, "Create bob");
    let carol = world.callee("carol", 3, "alice/family");
    (world, alice, bob, carol)
}

/// Bob asks for carol. `None`: he is not permitted, and she hears nothing; otherwise M12, which is acknowledged if `through`.
fn call(world: &mut World, bob: u64, carol: u64, through: bool) -> Option<String> {
    world.texts(bob);
    world.texts(carol);
    world.send(bob, "QUERY\nIdentifier:bob\nCallee:carol\n");
    let Some(question) = world.texts(carol).pop() else {
        assert!(world.text(bob).starts_with("NOTIFY\nPermission Denied.\n"));
        return None;
    };
    world.send(
        carol,
        &format!("NOTIFY\nSTATUS Acceptable.\nTransaction:{}\n", value(&question, "Transaction")),
    );
    let notice = world.text(carol);
    if through {
        let number = value(&notice, "Transaction");
        world.send(carol, &format!("NOTIFY\nRequest Accepted.\nTransaction:{number}\n"));
        assert!(world.texts(bob)[1].starts_with("NOTIFY\nCallee Address:"));
    }
    Some(notice)
}

#[test]
fn v4_a_group_on_the_list_admits_its_members_and_m12_names_it() {
    let (mut world, _, bob, carol) = family(Config::default());
    let dave = world.terminal("dave", 4);
    let notice = call(&mut world, bob, carol, true).unwrap();
    assert!(notice.starts_with("NOTIFY\nCaller ID:bob\n"));
    assert_eq!(value(&notice, "Group"), "alice/family");
    assert!(world.ask(dave, "QUERY\nIdentifier:dave\nCallee:carol\n").contains("Permission Denied."));
    // Who has an entry of its own comes by that.
    assert!(world.ask(carol, "REGISTER\nIdentifier:carol\nAccept:Add bob\n").contains("Status:200"));
    assert!(!has(&call(&mut world, bob, carol, true).unwrap(), "Group"));
}

#[test]
fn v4_the_four_forms_change_the_members_and_count_at_the_next_query() {
    let (mut world, alice, bob, carol) = family(Config::default());
    for (members, is_in) in [
        ("Create dave,erin", false),
        ("Add bob,frank", true),
        ("Delete bob", false),
        ("Add bob\nDelete dave", true),
        ("Add bob\nDelete bob", false),
        ("Create bob", true),
        ("Create ", false),
    ] {
        done(&mut world, alice, members);
        assert_eq!(call(&mut world, bob, carol, false).is_some(), is_in, "{members}");
    }
    assert_eq!(world.broker.counts().groups, 0, "a group that is created without members has ended");
    // The entry stays bound to its owner: what alice makes anew under the name is hers as before.
    done(&mut world, alice, "Create bob");
    assert!(call(&mut world, bob, carol, false).is_some());
}

#[test]
fn v4_only_the_owner_names_groups_and_only_below_its_own_identifier() {
    let (mut world, alice, bob, carol) = family(Config::default());
    let mallory = world.terminal("mallory", 5);
    for (identifier, group) in [
        ("mallory", "alice/family"),
        ("alice", "alice/family"),
        ("mallory", "mum"),
        ("mallory", "mallory"),
        ("mallory", "mallory/"),
        ("mallory", "mallory/a/b"),
        ("mallory", "mallory2/a"),
    ] {
        let text = format!("GROUP\nIdentifier:{identifier}\nGroup:{group}\nMembers:Create mallory\n");
        assert!(world.ask(mallory, &text).contains("Status:403"), "{identifier} {group}");
    }
    assert_eq!(world.broker.counts().groups, 1);
    assert!(call(&mut world, bob, carol, false).is_some());
    // A terminal's name is no group's, nor one that a terminal has a ticket for; and the reverse.
    world.terminal("alice/tv", 6);
    world.ticket("alice/radio", "a ticket");
    for taken in ["alice/tv", "alice/radio"] {
        assert!(say(&mut world, alice, taken, "Create bob").contains("Status:403"), "{taken}");
    }
    world.ticket("alice/family", "another ticket");
    let link = world.dial(&key(7), source(7), 4_096);
    assert!(
        world.ask(link, "HELLO\nIdentifier:alice/family\nTicket:another ticket\n").contains("Status:401")
    );
}

#[test]
fn v4_a_re_issued_identifier_inherits_nothing() {
    // A member's.
    let (mut world, alice, bob, carol) = family(Config::default());
    assert!(call(&mut world, bob, carol, false).is_some());
    world.revoke("bob");
    let other = world.terminal("bob", 12);
    assert!(call(&mut world, other, carol, false).is_none());
    done(&mut world, alice, "Create bob");
    assert!(call(&mut world, other, carol, false).is_none(), "a member that stays keeps its key");
    done(&mut world, alice, "Delete bob");
    done(&mut world, alice, "Add bob");
    assert!(call(&mut world, other, carol, false).is_some());
    // The owner's: its groups go with its key, and an entry is for that owner's group only.
    world.revoke("alice");
    assert_eq!(world.broker.counts().groups, 0);
    assert!(call(&mut world, other, carol, false).is_none());
    let alice = world.terminal("alice", 11);
    done(&mut world, alice, "Create bob");
    assert!(call(&mut world, other, carol, false).is_none());
    assert!(
        world.ask(carol, "REGISTER\nIdentifier:carol\nAccept:Delete alice/family\n").contains("Status:200")
    );
    assert!(world.ask(carol, "REGISTER\nIdentifier:carol\nAccept:Add alice/family\n").contains("Status:200"));
    assert!(call(&mut world, other, carol, false).is_some());
}

#[test]
fn v4_entries_and_members_that_come_before_what_they_name_are_bound_by_it() {
    let mut world = World::new();
    let carol = world.callee("carol", 3, "alice/family");
    let alice = world.terminal("alice", 1);
    done(&mut world, alice, "Create bob");
    let bob = world.terminal("bob", 2);
    assert!(call(&mut world, bob, carol, false).is_some());
}

#[test]
fn v4_leaving_withdraws_grants_cuts_lanes_and_denies_what_is_under_way() {
    let ways: [fn(&mut World, u64, u64); 4] = [
        |world, alice, _| done(world, alice, "Delete bob"),
        |world, alice, _| done(world, alice, "Create "),
        |world, _, carol| {
            world.send(carol, "REGISTER\nIdentifier:carol\nAccept:Delete alice/family\n");
        },
        |world, _, _| world.revoke("alice"),
    ];
    for leave in ways {
        let (mut world, alice, bob, carol) = family(Config::default());
        let notice = call(&mut world, bob, carol, true).unwrap();
        let handle = value(&notice, "Handle").to_owned();
        let lane = format!("TRANSFER\nCaller:bob\nCallee:carol\nSize:100\nHandle:{handle}\n");
        let tokens = world.ask(bob, &lane);
        let mut connect = |token| crate::deposits::lane(&mut world, value(&tokens, token)).0;
        let ends = (connect("Token"), connect("Peer Token"));
        assert_eq!(world.splices.len(), 1);
        world.texts(carol);
        leave(&mut world, alice, carol);
        let withdrawn = |texts: Vec<String>| {
            texts.iter().any(|text| text.contains("WITHDRAW") && value(text, "Handle") == handle)
        };
        assert!(withdrawn(world.texts(bob)) && withdrawn(world.texts(carol)));
        assert_eq!(world.cuts, [ends]);
        assert!(call(&mut world, bob, carol, false).is_none());

        // The same while M12 is out.
        let (mut world, alice, bob, carol) = family(Config::default());
        let notice = call(&mut world, bob, carol, false).unwrap();
        world.texts(bob);
        leave(&mut world, alice, carol);
        assert!(world.text(bob).starts_with("NOTIFY\nPermission Denied.\n"));
        world.send(
            carol,
            &format!("NOTIFY\nRequest Accepted.\nTransaction:{}\n", value(&notice, "Transaction")),
        );
        assert!(world.texts(bob).is_empty());
        assert_eq!(world.broker.counts().grants, 0);
    }
}

#[test]
fn v4_members_go_at_once_and_come_once_on_disk() {
    let (mut world, alice, bob, carol) = family(Config::default());
    let dave = world.terminal("dave", 4);
    world.hold = true;
    world.send(alice, "GROUP\nIdentifier:alice\nGroup:alice/family\nMembers:Add dave\nDelete bob\n");
    assert!(call(&mut world, bob, carol, false).is_none());
    assert!(world.ask(dave, "QUERY\nIdentifier:dave\nCallee:carol\n").contains("Permission Denied."));
    assert!(world.texts(alice).is_empty());
    let busy = world.ask(alice, "GROUP\nIdentifier:alice\nGroup:alice/other\nMembers:Add dave\n");
    assert!(busy.contains("Status:429") && has(&busy, "Retry After"), "{busy}");
    world.release();
    assert!(world.text(alice).contains("Status:200"));
    world.send(dave, "QUERY\nIdentifier:dave\nCallee:carol\n");
    assert!(world.text(carol).starts_with("QUERY\nSTATUS\n"));
    // What the store can't do is said, and nobody has come in.
    world.send(alice, "GROUP\nIdentifier:alice\nGroup:alice/family\nMembers:Add bob\n");
    let (request, _) = world.held.pop_front().unwrap();
    world.broker.stored(request, Stored::Failed, world.now);
    world.run();
    assert!(world.text(alice).contains("Status:503"));
    assert!(call(&mut world, bob, carol, false).is_none());
}

#[test]
fn v4_groups_are_bounded_and_each_limit_is_named() {
    let config = Config { max_groups: 2, max_members: 3, writes_per_minute: 8, ..Config::default() };
    let mut world = World::with(config);
    let alice = world.terminal("alice", 1);
    assert!(say(&mut world, alice, "alice/a", "Create b,c,d").contains("Status:200"));
    let answer = say(&mut world, alice, "alice/a", "Add e");
    assert!(answer.contains("Status:413") && answer.contains("members"), "{answer}");
    assert!(say(&mut world, alice, "alice/b", "Add e").contains("Status:200"));
    let answer = say(&mut world, alice, "alice/c", "Add e");
    assert!(answer.contains("Status:413") && answer.contains("groups"), "{answer}");
    assert!(say(&mut world, alice, "alice/c", "Create ").contains("Status:200"), "there is none to end");
    assert!(say(&mut world, alice, "alice/b", "Create ").contains("Status:200"));
    assert!(say(&mut world, alice, "alice/c", "Add e").contains("Status:200"));
    assert!(say(&mut world, alice, "alice/a", "Delete b").contains("Status:200"));
    assert!(say(&mut world, alice, "alice/a", "Delete c").contains("Status:429"));
    assert_eq!(world.broker.counts().groups, 2);
}

#[test]
fn v4_groups_outlast_a_restart() {
    let (mut world, ..) = family(Config::default());
    world.restart();
    let (alice, bob) = (world.terminal("alice", 1), world.terminal("bob", 2));
    let carol = world.terminal("carol", 3);
    assert!(call(&mut world, bob, carol, false).is_some());
    done(&mut world, alice, "Delete bob");
    world.restart();
    let (bob, carol) = (world.terminal("bob", 2), world.terminal("carol", 3));
    assert!(call(&mut world, bob, carol, false).is_none());
}

#[test]
fn v4_names_that_the_callee_has_no_room_for_do_not_close_its_link() {
    let mut world = World::new();
    let owner = "o".repeat(120);
    let group = format!("{owner}/family");
    let caller = "c".repeat(128);
    let (alice, bob) = (world.terminal(&owner, 1), world.terminal(&caller, 2));
    let text = format!("GROUP\nIdentifier:{owner}\nGroup:{group}\nMembers:Create {caller}\n");
    assert!(world.ask(alice, &text).contains("Status:200"));
    let old = world.callee("carol", 3, &group);
    world.disconnect(old);
    let carol = world.dial(&key(3), source(3), 512);
    assert!(world.ask(carol, "HELLO\nIdentifier:carol\nListen:1\n").contains("Status:200"));
    world.send(bob, &format!("QUERY\nIdentifier:{caller}\nCallee:carol\n"));
    let number = value(&world.text(carol), "Transaction").to_owned();
    world.send(carol, &format!("NOTIFY\nSTATUS Acceptable.\nTransaction:{number}\n"));
    assert!(world.texts(bob).pop().unwrap().starts_with("NOTIFY\nCallee not Connected.\n"));
    assert!(!world.is_closed(carol) && world.broker.counts().grants == 0);
    assert!(world.ask(carol, "PING\n").contains("Status:200"));
}

#[test]
fn v4_a_member_s_deposits_are_kept_and_go_when_it_leaves() {
    let mut world = World::new();
    let owner = world.terminal("owner", 9);
    let group = |members: &str| format!("GROUP\nIdentifier:owner\nGroup:owner/g\nMembers:{members}\n");
    assert!(world.ask(owner, &group("Create alice")).contains("Status:200"));
    for (identifier, number, list) in [("bob", 2, "owner/g"), ("alice", 1, "bob")] {
        let old = world.callee(identifier, number, list);
        world.disconnect(old);
    }
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.disconnect(bob);
    let alice = hello(&mut world, "alice", 1, "");
    world.texts(alice);
    deposited(&mut world, alice, &data(1_000));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    let told = world.texts(bob).pop().unwrap();
    assert!(told.starts_with("NOTIFY\nDepositor:alice\n"), "{told}");
    assert_eq!(value(&told, "Group"), "owner/g");
    assert!(world.ask(owner, &group("Delete alice")).contains("Status:200"));
    assert_eq!(world.broker.counts().deposits, 0);
    assert!(world.text(alice).starts_with("WITHDRAW\n"));
}

/// Bob, who permits alice by an entry or by the group owner/g, and for whom she has deposited something; her link.
fn kept_for(list: &str) -> (World, u64) {
    let mut world = World::new();
    let owner = world.terminal("owner", 9);
    let group = "GROUP\nIdentifier:owner\nGroup:owner/g\nMembers:Create alice\n";
    for (identifier, number, list) in [("alice", 1, "bob"), ("bob", 2, list)] {
        let old = world.callee(identifier, number, list);
        world.disconnect(old);
    }
    assert!(world.ask(owner, group).contains("Status:200"));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.disconnect(bob);
    let alice = hello(&mut world, "alice", 1, "");
    world.texts(alice);
    deposited(&mut world, alice, &data(1_000));
    world.texts(alice);
    (world, alice)
}

/// What becomes of the deposit when bob registers these lists, all on their way to disk at once: whether it is kept, and what bob is told of it then.
fn after(list: &str, changes: &[&str], first: Stored) -> (bool, Option<String>) {
    let (mut world, alice) = kept_for(list);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    world.hold = true;
    for change in changes {
        world.send(bob, &format!("REGISTER\nIdentifier:bob\nAccept:{change}\n"));
    }
    let at_once = world.broker.counts().deposits == 1;
    assert!(!world.texts(bob).iter().any(|text| text.contains("Depositor:")), "nothing is told on the way");
    if first == Stored::Failed {
        let (request, _) = world.held.pop_front().unwrap();
        world.broker.stored(request, first, world.now);
        world.run();
    }
    world.release();
    assert_eq!(world.broker.counts().deposits == 1, at_once, "what goes goes at once");
    let told = world.texts(bob).into_iter().rfind(|text| text.contains("Depositor:alice"));
    let dropped = world.texts(alice).iter().any(|text| text.starts_with("WITHDRAW\n"));
    assert_eq!(dropped, !at_once);
    // On disk it is as in memory.
    world.hold = false;
    world.restart();
    assert_eq!(world.broker.counts().deposits == 1, at_once);
    (at_once, told)
}

#[test]
fn v4_a_deposit_outlasts_that_a_group_takes_the_place_of_a_member_s_entry_or_the_reverse() {
    for (list, changes, by_group) in [
        ("alice", &["Add owner/g\nDelete alice"][..], true),
        ("alice", &["Create owner/g"], true),
        ("owner/g", &["Add alice\nDelete owner/g"], false),
        ("owner/g", &["Create carol,alice"], false),
        ("owner/g,alice", &["Delete alice"], true),
        ("owner/g,alice", &["Delete owner/g"], false),
        // One behind the other, while the first is on its way to disk.
        ("alice", &["Add owner/g", "Delete alice"], true),
        ("alice", &["Add carol", "Add owner/g\nDelete alice", "Add dave"], true),
        ("owner/g", &["Add dave", "Add alice", "Delete owner/g"], false),
        ("alice", &["Add owner/g", "Delete alice", "Add alice", "Delete owner/g"], false),
    ] {
        let (kept, told) = after(list, changes, Stored::Done);
        assert!(kept, "{list}: {changes:?}");
        let told = told.expect("bob is told of it again");
        assert_eq!(has(&told, "Group"), by_group, "{list}: {changes:?}: {told}");
    }
}

#[test]
fn v4_a_deposit_goes_with_the_last_entry_that_permits_its_depositor() {
    for (list, changes) in [
        ("alice", &["Delete alice"][..]),
        ("owner/g", &["Delete owner/g"]),
        ("owner/g,alice", &["Delete owner/g,alice"]),
        ("owner/g,alice", &["Create carol"]),
        ("alice", &["Add owner/other\nDelete alice"]),
        // Struck off for good, whatever is put on behind it.
        ("alice", &["Delete alice", "Add owner/g"]),
        ("alice", &["Delete alice", "Add alice"]),
        ("alice", &["Add carol", "Delete alice", "Add alice"]),
        ("alice", &["Add owner/g", "Delete alice", "Delete owner/g"]),
    ] {
        assert_eq!(after(list, changes, Stored::Done), (false, None), "{list}: {changes:?}");
    }
}

#[test]
fn v4_a_list_that_could_not_be_stored_costs_nobody_a_deposit_that_it_permits() {
    let (kept, told) = after("alice", &["Add owner/g\nDelete alice"], Stored::Failed);
    assert!(kept);
    assert_eq!(told, None, "nobody is told while no list permits it");
}

#[test]
fn v4_who_leaves_one_group_while_another_is_on_its_way_to_the_list_loses_no_deposit() {
    let (mut world, _) = kept_for("owner/g");
    let owner = hello(&mut world, "owner", 9, "");
    let group = |name: &str, members: &str| {
        format!("GROUP\nIdentifier:owner\nGroup:owner/{name}\nMembers:{members}\n")
    };
    world.texts(owner);
    assert!(world.ask(owner, &group("h", "Create alice")).contains("Status:200"));
    let bob = hello(&mut world, "bob", 2, "");
    world.hold = true;
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Add owner/h\n");
    world.send(owner, &group("g", "Delete alice"));
    assert_eq!(world.broker.counts().deposits, 1);
    world.hold = false;
    world.release();
    world.texts(owner);
    assert_eq!(world.broker.counts().deposits, 1);
    assert!(world.ask(owner, &group("h", "Delete alice")).contains("Status:200"));
    assert_eq!(world.broker.counts().deposits, 0);
}

#[test]
fn v4_a_grant_by_a_group_stays_with_the_member_s_own_entry_and_one_by_the_entry_goes() {
    let with = |list: &str, change: &str| {
        let (mut world, _, bob, carol) = family(Config::default());
        world.ask(carol, &format!("REGISTER\nIdentifier:carol\nAccept:Create {list}\n"));
        call(&mut world, bob, carol, true).unwrap();
        world.send(carol, &format!("REGISTER\nIdentifier:carol\nAccept:{change}\n"));
        assert!(world.texts(carol).iter().any(|text| text.contains("200 Registered.")));
        (world, bob, carol)
    };
    let withdrawn =
        |world: &mut World, bob| world.texts(bob).iter().any(|text| text.starts_with("WITHDRAW\n"));
    let (mut world, bob, carol) = with("alice/family", "Add bob\nDelete alice/family");
    assert!(!withdrawn(&mut world, bob));
    assert_eq!(world.broker.counts().grants, 1);
    // It is the entry's from then on.
    world.send(carol, "REGISTER\nIdentifier:carol\nAccept:Add alice/family\nDelete bob\n");
    assert!(withdrawn(&mut world, bob));
    assert_eq!(world.broker.counts().grants, 0);
    // The callee was told nothing of a group: it ends the session itself.
    let (mut world, bob, _) = with("bob", "Add alice/family\nDelete bob");
    assert!(withdrawn(&mut world, bob));
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn v4_what_happens_to_groups_is_logged() {
    let (mut world, alice, ..) = family(Config::default());
    done(&mut world, alice, "Create ");
    let told: Vec<_> = world
        .logs
        .iter()
        .filter_map(|log| match &log.what {
            What::GroupRegistered { group, members } => Some((group.to_string(), *members)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [("alice/family".to_owned(), Some(1)), ("alice/family".to_owned(), None)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever owners do, a caller is permitted exactly if a group on the list has it, by the simplest reckoning.
    #[test]
    fn v4_any_changes_admit_exactly_the_members(
        changes in prop::collection::vec((0..2_usize, 0..4_usize, 0..3_usize, any::<bool>()), 1..24)
    ) {
        let config = Config { writes_per_minute: 1_000, queries_per_minute: 1_000, ..Config::default() };
        let mut world = World::with(config);
        let names = ["c0", "c1", "c2"];
        let mut alice = world.terminal("alice", 1);
        let mut callers = names.map(|name| world.terminal(name, name.as_bytes()[1]));
        let mut carol = world.callee("carol", 3, "alice/g0");
        let mut groups: BTreeMap<usize, [bool; 3]> = BTreeMap::new();
        for (group, form, member, restart) in changes {
            let name = names[member];
            let text = [format!("Create {name}"), format!("Add {name}"), format!("Delete {name}"), "Create ".into()];
            let answer = say(&mut world, alice, &format!("alice/g{group}"), &text[form]);
            prop_assert!(answer.contains("Status:200"), "{}", answer);
            let members = groups.entry(group).or_default();
            if matches!(form, 0 | 3) {
                *members = [false; 3];
            }
            if form != 3 {
                members[member] = form != 2;
            }
            if restart {
                world.restart();
                alice = world.terminal("alice", 1);
                callers = names.map(|name| world.terminal(name, name.as_bytes()[1]));
                carol = world.terminal("carol", 3);
            }
            let expected = groups.get(&0).copied().unwrap_or_default();
            for ((name, caller), is_in) in names.into_iter().zip(callers).zip(expected) {
                world.texts(caller);
                world.texts(carol);
                world.send(caller, &format!("QUERY\nIdentifier:{name}\nCallee:carol\n"));
                let asked = world.texts(carol);
                prop_assert_eq!(!asked.is_empty(), is_in);
                if let Some(question) = asked.first() {
                    let number = value(question, "Transaction").to_owned();
                    world.send(carol, &format!("NOTIFY\nSTATUS Busy.\nTransaction:{number}\n"));
                }
            }
        }
    }
}
