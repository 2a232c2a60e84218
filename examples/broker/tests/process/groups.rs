//! V4: groups, on a broker that is killed, and for its operator.

use crate::support::*;
use std::io::{Read, Write};
use std::path::Path;
use std::process::Command;

fn groups(data: &Path) -> String {
    let output = Command::new(PROGRAM).args(["groups", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn say(owner: &mut Terminal, members: &str) {
    let answer = owner.ask(&format!("GROUP\nIdentifier:olga\nGroup:olga/family\nMembers:{members}\n"));
    assert!(answer.contains("Status:200"), "{answer}");
}

/// Alice, whom olga has in her group, which bob permits.
fn family(served: &Served, data: &Path) -> [Terminal; 3] {
    let mut olga = served.enrol(data, "olga", 9);
    let alice = served.enrol(data, "alice", 1);
    let mut bob = served.enrol(data, "bob", 2);
    say(&mut olga, "Create alice,carol");
    permit(&mut bob);
    let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create olga/family\nRevision:2\n");
    assert!(answer.contains("Status:200"), "{answer}");
    [olga, alice, bob]
}

#[test]
fn v4_members_get_through_and_leaving_cuts_what_is_open_at_once() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    let [mut olga, mut alice, mut bob] = family(&served, data);
    let handle = grant(&mut alice, &mut bob);
    let [mut one, mut other] = lane(served.address, &mut alice, &handle, 1_000);
    one.write_all(b"before").unwrap();
    other.read_exact(&mut [0; 6]).unwrap();
    say(&mut olga, "Delete alice");
    for terminal in [&mut alice, &mut bob] {
        let text = terminal.text();
        assert!(text.starts_with("WITHDRAW\n") && value(&text, "Handle") == handle, "{text}");
    }
    assert!(is_closed(&mut one) && is_closed(&mut other));
    // At the next query.
    assert!(alice.ask("QUERY\nIdentifier:alice\nCallee:bob\n").contains("Permission Denied."));
    say(&mut olga, "Add alice");
    grant(&mut alice, &mut bob);
}

#[test]
fn v4_p13_groups_outlast_a_kill_and_the_operator_sees_them() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(family(&served, data));
    let key = |number| secret_key(number).public_key();
    let lines =
        |carol: &str| format!("olga/family\tolga\talice\t{}\nolga/family\tolga\tcarol\t{carol}\n", key(1));
    assert_eq!(groups(data), lines("not enrolled yet"));
    served.kill();
    assert_eq!(groups(data), lines("not enrolled yet"));
    let served = Served::start(data);
    let (mut alice, mut bob) = (served.terminal("alice", 1), served.terminal("bob", 2));
    grant(&mut alice, &mut bob);
    // Whoever enrols under a member's name is in from then on, also after another restart.
    drop(served.enrol(data, "carol", 3));
    assert_eq!(groups(data), lines(&key(3).to_string()));
    served.kill();
    let served = Served::start(data);
    let (mut carol, mut bob) = (served.terminal("carol", 3), served.terminal("bob", 2));
    carol.send("QUERY\nIdentifier:carol\nCallee:bob\n");
    assert!(bob.text().starts_with("QUERY\nSTATUS\n"));
    // The name is a group's: no terminal's.
    let output = command("enrol", data, "olga/family");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a group is called so"));
    assert!(command("check", data, "--contents").status.success());
    let shown = |identifier| String::from_utf8(command("show", data, identifier).stdout).unwrap();
    assert!(
        shown("olga").contains("\nowns\tolga/family\n")
            && shown("carol").contains("\nmember of\tolga/family\n")
    );
    assert!(!shown("bob").contains("member of"));
    // They go with their owner's key.
    assert!(command("revoke", data, "olga").status.success());
    assert_eq!(groups(data), "");
    assert!(
        served
            .terminal("alice", 1)
            .ask("QUERY\nIdentifier:alice\nCallee:bob\n")
            .contains("Permission Denied.")
    );
}

#[test]
fn v4_an_entry_stays_bound_to_its_owner_s_group_over_restarts() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start(data);
    drop(family(&served, data));
    assert!(command("revoke", data, "olga").status.success());
    served.kill();
    let served = Served::start(data);
    let mut other = served.enrol(data, "olga", 10);
    say(&mut other, "Create alice");
    let (mut alice, bob) = (served.terminal("alice", 1), served.terminal("bob", 2));
    assert!(alice.ask("QUERY\nIdentifier:alice\nCallee:bob\n").contains("Permission Denied."));
    drop(bob);
}

#[test]
fn v4_limits_by_flags() {
    let folder = folder();
    let data = folder.path();
    let served = Served::start_with(data, &["--max-groups", "1", "--max-members", "2"]);
    let mut olga = served.enrol(data, "olga", 9);
    for (group, members, status) in [("a", "x,y,z", 413), ("a", "x,y", 200), ("b", "x", 413)] {
        let text = format!("GROUP\nIdentifier:olga\nGroup:olga/{group}\nMembers:Create {members}\n");
        let answer = olga.ask(&text);
        assert!(answer.contains(&format!("Status:{status}")), "{group} {members}: {answer}");
    }
}
