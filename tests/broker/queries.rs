//! P3, P6, P7: who is told where the callee is.

use crate::world::{World, has, key, source, value};
use p2pgate::broker::{Config, What};
use std::collections::BTreeSet;

const QUERY: &str = "QUERY\nIdentifier:alice\nCallee:bob\nTransaction:7\n";

/// A caller, alice, and a callee, bob, who permits her.
fn pair(world: &mut World) -> (u64, u64) {
    let alice = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    world.transcript.clear();
    (alice, bob)
}

/// An answer to the one question that has come on a link.
fn reply(world: &mut World, link: u64, text: &str) -> String {
    let question = world.text(link);
    let number = value(&question, "Transaction").to_owned();
    world.send(link, &format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    question
}

/// Brings a query to where M12 is out, and gives it.
fn up_to_notice(world: &mut World, alice: u64, bob: u64) -> String {
    world.send(alice, QUERY);
    reply(world, bob, "STATUS Acceptable.");
    assert_eq!(world.text(alice), "NOTIFY\nRequest Accepted.\nTransaction:7\n");
    let notice = world.text(bob);
    assert!(notice.starts_with("NOTIFY\nCaller ID:alice\n"), "{notice}");
    notice
}

fn accept(world: &mut World, link: u64, notice: &str) {
    let number = value(notice, "Transaction").to_owned();
    world.send(link, &format!("NOTIFY\nRequest Accepted.\nTransaction:{number}\n"));
}

#[test]
fn p3_granted_query_tells_the_callee_before_the_caller() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.send(bob, "NOTIFY\nSTATUS Acceptable.\nTransaction:1\n");
    assert_eq!(world.transcript.len(), 3, "nothing for the caller but M7 until the callee has acknowledged");
    world.send(bob, "NOTIFY\nRequest Accepted.\nTransaction:2\n");

    let [status, m7, m12, m11] = world.transcript.clone().try_into().unwrap();
    assert_eq!(status, (bob, "QUERY\nSTATUS\nTransaction:1\n".into()));
    assert_eq!(m7, (alice, "NOTIFY\nRequest Accepted.\nTransaction:7\n".into()));
    let names = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
    };
    let (to, m12) = m12;
    assert_eq!(to, bob);
    assert_eq!(
        names(&m12)[..4],
        ["NOTIFY", "Caller ID", "Password", "Encrypt Key"].map(String::from),
        "the figure's own lines come first (M12)"
    );
    let (to, m11) = m11;
    assert_eq!(to, alice);
    assert_eq!(names(&m11)[..4], ["NOTIFY", "Callee Address", "Password", "Encrypt Key"].map(String::from));

    assert_eq!((value(&m11, "Transaction"), value(&m12, "Transaction")), ("7", "2"));
    for same in ["Password", "Encrypt Key", "Handle", "Callee Password"] {
        assert_eq!(value(&m11, same), value(&m12, same));
    }
    assert_ne!(value(&m11, "Password"), value(&m11, "Callee Password"));
    assert_eq!((value(&m11, "Password").len(), value(&m11, "Encrypt Key").len()), (24, 44));
    // V1, V8: the address that the link comes from, and the port that was registered.
    assert_eq!((value(&m11, "Callee Address"), value(&m11, "Port")), ("203.0.113.2", "7800"));
    let fingerprint = |number| key(number).public_key().fingerprint();
    assert_eq!(value(&m11, "Callee Key").trim_end_matches('='), fingerprint(2).as_str());
    assert_eq!(value(&m12, "Caller Key").trim_end_matches('='), fingerprint(1).as_str());
    assert_eq!((value(&m11, "Expires"), value(&m12, "Expires")), ("60", "60"));
    assert_eq!((world.broker.counts().grants, world.broker.counts().queries), (1, 0));
}

#[test]
fn p3_a_caller_not_on_the_list_learns_nothing_and_the_callee_neither() {
    let mut world = World::new();
    let (_, bob) = pair(&mut world);
    let mallory = world.terminal("mallory", 3);
    let mut answers = BTreeSet::new();
    for callee in ["bob", "nobody", "mallory"] {
        answers.insert(world.ask(mallory, &format!("QUERY\nIdentifier:mallory\nCallee:{callee}\n")));
    }
    assert_eq!(answers.len(), 1, "who exists and who doesn't look the same: {answers:?}");
    assert!(answers.first().unwrap().starts_with("NOTIFY\nPermission Denied.\n"));
    assert!(
        world.ask(mallory, QUERY).starts_with("NOTIFY\nPermission Denied.\n"),
        "under another's identifier"
    );
    assert_eq!(world.ask(mallory, "RESOLVE\nIdentifier:bob\n"), "NOTIFY\nNot Registered.\n");
    for text in ["TUNNEL\nHandle:AAAAAAAAAAAAAAAAAAAAAA==\n", "TRANSFER\nCaller:alice\nCallee:bob\nSize:1\n"]
    {
        assert!(world.ask(mallory, text).starts_with("NOTIFY\nTransfer Refused.\n"));
    }
    assert!(world.texts(bob).is_empty());
    assert!(world.transcript.iter().all(|(to, text)| *to == bob || !text.contains("203.0.113.2")));
}

#[test]
fn p3_no_address_is_not_found() {
    let mut world = World::new();
    let alice = world.terminal("alice", 1);
    let bob = world.terminal("bob", 2);
    world.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Create alice\n");
    assert!(world.ask(alice, QUERY).starts_with("NOTIFY\nCallee not Found.\nTransaction:7\n"));
    assert!(world.texts(bob).is_empty());
}

#[test]
fn p3_no_listening_link_is_not_connected() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.disconnect(bob);
    let idle = world.dial(&key(2), source(2), 4_096);
    world.ask(idle, "HELLO\nIdentifier:bob\n");
    let answer = world.ask(alice, QUERY);
    assert!(answer.starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"), "{answer}");
    assert!(has(&answer, "Retry After"));
    assert!(world.texts(idle).is_empty());
}

#[test]
fn p6_a_busy_callee_is_not_connected() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.send(bob, "NOTIFY\nSTATUS Busy.\nTransaction:1\nRetry After:120\n");
    let answer = world.text(alice);
    assert!(answer.starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"), "{answer}");
    assert_eq!(value(&answer, "Retry After"), "120");
    assert_eq!(world.broker.counts().grants, 0);
    // A hint is a hint: a callee can't send anybody away for a year.
    world.texts(bob);
    world.send(alice, QUERY);
    world.send(bob, "NOTIFY\nSTATUS Busy.\nTransaction:2\nRetry After:4294967295\n");
    assert_eq!(value(&world.text(alice), "Retry After"), "3600");
}

#[test]
fn p6_answers_without_a_number_are_to_the_oldest_question() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.send(bob, "NOTIFY\nSTATUS Acceptable.\n");
    world.send(bob, "NOTIFY\nRequest Accepted.\n");
    assert!(world.texts(alice)[1].starts_with("NOTIFY\nCallee Address:203.0.113.2\n"));
}

#[test]
fn p7_no_answer_counts_as_not_connected() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.pass(4_999);
    assert!(world.texts(alice).is_empty());
    world.pass(1);
    assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\n"));
    // What comes too late is nothing.
    reply(&mut world, bob, "STATUS Acceptable.");
    assert!(world.texts(alice).is_empty() && world.texts(bob).is_empty() && !world.is_closed(bob));
}

#[test]
fn p7_no_acknowledgement_withdraws_the_grant() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let notice = up_to_notice(&mut world, alice, bob);
    world.pass(5_000);
    assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"));
    assert_eq!(world.text(bob), format!("WITHDRAW\nHandle:{}\n", value(&notice, "Handle")));
    accept(&mut world, bob, &notice);
    assert!(world.texts(alice).is_empty());
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn p7_a_callee_that_goes_is_answered_for_at_once() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.disconnect(bob);
    assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"));
    let bob = world.terminal("bob", 2);
    up_to_notice(&mut world, alice, bob);
    world.disconnect(bob);
    assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"));
    assert_eq!((world.broker.counts().queries, world.broker.counts().grants), (0, 0));
}

#[test]
fn p5_the_callee_s_own_list_has_the_last_word() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    for (says, caller_gets) in [
        ("Permission Denied.", "Permission Denied."),
        ("Callee not Connected.", "Callee not Connected."),
        ("Callee not Found.", "Callee not Connected."),
    ] {
        let notice = up_to_notice(&mut world, alice, bob);
        let number = value(&notice, "Transaction").to_owned();
        world.send(bob, &format!("NOTIFY\n{says}\nTransaction:{number}\n"));
        let answer = world.text(alice);
        assert!(answer.starts_with(&format!("NOTIFY\n{caller_gets}\nTransaction:7\n")), "{answer}");
        world.texts(bob);
    }
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn p3_an_answer_to_something_else_closes() {
    for wrong in ["Request Accepted.", "STATUS Busy."] {
        let mut world = World::new();
        let (alice, bob) = pair(&mut world);
        if wrong == "STATUS Busy." {
            let notice = up_to_notice(&mut world, alice, bob);
            let number = value(&notice, "Transaction").to_owned();
            world.send(bob, &format!("NOTIFY\n{wrong}\nTransaction:{number}\n"));
        } else {
            world.send(alice, QUERY);
            reply(&mut world, bob, wrong);
        }
        assert!(world.is_closed(bob));
        assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"));
        assert!(!world.transcript.iter().any(|(_, text)| text.contains("Callee Address")));
    }
}

#[test]
fn p3_a_caller_that_goes_leaves_no_grant() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let notice = up_to_notice(&mut world, alice, bob);
    world.disconnect(alice);
    assert_eq!(world.text(bob), format!("WITHDRAW\nHandle:{}\n", value(&notice, "Handle")));
    assert_eq!((world.broker.counts().queries, world.broker.counts().grants), (0, 0));
}

#[test]
fn p3_permission_is_checked_again_when_m11_goes_out() {
    // Deleted before the callee answers M15: it hears no more, and the caller is not told.
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    let question = world.text(bob);
    world.hold = true;
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n");
    world
        .send(bob, &format!("NOTIFY\nSTATUS Acceptable.\nTransaction:{}\n", value(&question, "Transaction")));
    assert!(world.text(alice).starts_with("NOTIFY\nPermission Denied.\nTransaction:7\n"));
    assert!(world.texts(bob).is_empty());

    // Deleted between M12 and its acknowledgement: denied at once, once.
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let notice = up_to_notice(&mut world, alice, bob);
    world.hold = true;
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n");
    assert_eq!(world.text(bob), format!("WITHDRAW\nHandle:{}\n", value(&notice, "Handle")));
    accept(&mut world, bob, &notice);
    assert!(world.text(alice).starts_with("NOTIFY\nPermission Denied.\nTransaction:7\n"));
    assert!(!world.transcript.iter().any(|(_, text)| text.contains("Callee Address")));

    // The caller's key is revoked there.
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let notice = up_to_notice(&mut world, alice, bob);
    world.revoke("alice");
    accept(&mut world, bob, &notice);
    assert!(!world.transcript.iter().any(|(_, text)| text.contains("Callee Address")));
    assert_eq!((world.broker.counts().queries, world.broker.counts().grants), (0, 0));
}

#[test]
fn p3_deleting_an_entry_withdraws_its_grants() {
    let mut world = World::new();
    let alice = world.terminal("alice", 1);
    let carol = world.terminal("carol", 3);
    let bob = world.callee("bob", 2, "alice,carol");
    let notice = up_to_notice(&mut world, alice, bob);
    accept(&mut world, bob, &notice);
    world.send(carol, "QUERY\nIdentifier:carol\nCallee:bob\n");
    reply(&mut world, bob, "STATUS Acceptable.");
    reply(&mut world, bob, "Request Accepted.");
    world.texts(alice);
    world.texts(carol);

    world.hold = true;
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n");
    let withdrawn = world.text(alice);
    assert!(
        withdrawn.starts_with(&format!("WITHDRAW\nHandle:{}\n", value(&notice, "Handle"))),
        "{withdrawn}"
    );
    assert_eq!(world.text(bob), withdrawn);
    assert!(world.texts(carol).is_empty());
    assert_eq!(world.broker.counts().grants, 1);
    // Revoking a key does it as well.
    world.revoke("carol");
    assert!(world.text(bob).starts_with("WITHDRAW\n"));
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn p3_queries_are_bounded() {
    let mut world =
        World::with(Config { max_queries_per_link: 2, queries_per_minute: 5, ..Config::default() });
    let (alice, bob) = pair(&mut world);
    world.send(alice, QUERY);
    world.send(alice, QUERY);
    let answer = world.ask(alice, QUERY);
    assert!(answer.starts_with("NOTIFY\nCallee not Connected.\n") && has(&answer, "Retry After"), "{answer}");
    assert_eq!(world.texts(bob).len(), 2);
    world.pass(5_000);
    world.texts(alice);
    world.send(alice, QUERY);
    world.send(alice, QUERY);
    assert_eq!(world.texts(bob).len(), 2);
    // The sixth of this minute.
    let answer = world.ask(alice, QUERY);
    assert!(value(&answer, "Cause").contains("minute"), "{answer}");
    assert!((55..=68).contains(&value(&answer, "Retry After").parse::<u32>().unwrap()), "{answer}");
}

#[test]
fn p3_one_callee_is_asked_only_so_much() {
    let mut world = World::with(Config { max_questions_per_link: 1, ..Config::default() });
    let alice = world.terminal("alice", 1);
    let carol = world.terminal("carol", 3);
    let bob = world.callee("bob", 2, "alice,carol");
    world.send(alice, QUERY);
    assert_eq!(world.texts(bob).len(), 1);
    assert!(
        world
            .ask(carol, "QUERY\nIdentifier:carol\nCallee:bob\n")
            .starts_with("NOTIFY\nCallee not Connected.\n")
    );
    assert!(world.texts(bob).is_empty());
}

#[test]
fn p7_questions_that_were_not_answered_take_no_room() {
    let mut world = World::with(Config { max_questions_per_link: 1, ..Config::default() });
    let (alice, bob) = pair(&mut world);
    for _ in 0..3 {
        world.send(alice, QUERY);
        assert!(world.text(bob).starts_with("QUERY\nSTATUS\n"));
        world.pass(5_000);
        assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\n"));
    }
    // Nor do those of a caller that has gone.
    world.send(alice, QUERY);
    world.texts(bob);
    world.disconnect(alice);
    let alice = world.terminal("alice", 1);
    up_to_notice(&mut world, alice, bob);
}

#[test]
fn p3_grants_are_bounded_by_withdrawing_the_oldest_that_is_over() {
    let mut world = World::with(Config { max_grants_per_terminal: 2, ..Config::default() });
    let (alice, bob) = pair(&mut world);
    let mut handles = Vec::new();
    for _ in 0..2 {
        let notice = up_to_notice(&mut world, alice, bob);
        accept(&mut world, bob, &notice);
        world.texts(alice);
        handles.push(value(&notice, "Handle").to_owned());
    }
    // None of them is over.
    world.send(alice, QUERY);
    reply(&mut world, bob, "STATUS Acceptable.");
    assert!(world.text(alice).starts_with("NOTIFY\nCallee not Connected.\nTransaction:7\n"));
    world.pass(60_000);
    world.send(alice, QUERY);
    reply(&mut world, bob, "STATUS Acceptable.");
    let texts = world.texts(alice);
    assert!(texts[0].starts_with(&format!("WITHDRAW\nHandle:{}\n", handles[0])), "{texts:?}");
    assert_eq!(world.broker.counts().grants, 2);
}

#[test]
fn v6_each_denial_says_its_cause_unless_set_otherwise() {
    for silent in [false, true] {
        let mut world = World::with(Config { deny_without_cause: silent, ..Config::default() });
        let (alice, bob) = pair(&mut world);
        let mut denials = vec![world.ask(alice, "QUERY\nIdentifier:alice\nCallee:carol\n")];
        world.send(alice, QUERY);
        reply(&mut world, bob, "STATUS Busy.");
        denials.push(world.text(alice));
        world.send(alice, QUERY);
        world.pass(5_000);
        denials.push(world.text(alice));
        world.disconnect(bob);
        denials.push(world.ask(alice, QUERY));
        denials.push(world.ask(alice, "TRANSFER\nCaller:alice\nCallee:bob\nSize:1\n"));
        let causes: BTreeSet<_> =
            denials.iter().filter(|text| has(text, "Cause")).map(|text| value(text, "Cause")).collect();
        assert_eq!(causes.len(), if silent { 0 } else { denials.len() }, "{denials:?}");
    }
}

#[test]
fn v8_address_port_and_candidates_are_handed_to_the_caller() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let address = "ADDRESS\nIdentifier:bob\nAddress:198.51.100.9\nPort:7801\nCandidate:2001:db8::1 7802\n\
                   Candidate::: 7803\nCandidate:192.168.1.5 7804\nTransaction:3\n";
    assert_eq!(world.ask(bob, address), "NOTIFY\nStatus:200 Registered.\nTransaction:3\n");
    let notice = up_to_notice(&mut world, alice, bob);
    accept(&mut world, bob, &notice);
    let told = world.text(alice);
    assert_eq!((value(&told, "Callee Address"), value(&told, "Port")), ("198.51.100.9", "7801"));
    let candidates: Vec<_> = told.lines().filter(|line| line.starts_with("Candidate:")).collect();
    assert_eq!(
        candidates,
        ["Candidate:2001:db8::1 7802", "Candidate:203.0.113.2 7803", "Candidate:192.168.1.5 7804"]
    );
}

#[test]
fn v1_addresses_are_answered_once_on_disk_and_resolved_for_oneself() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    assert_eq!(
        world.ask(link, "RESOLVE\nIdentifier:alice\nTransaction:1\n"),
        "NOTIFY\nNot Registered.\nTransaction:1\n"
    );
    world.hold = true;
    world.send(link, "ADDRESS\nIdentifier:alice\nAddress:::\nPort:7800\nTransaction:2\n");
    assert!(world.texts(link).is_empty());
    world.release();
    assert_eq!(world.text(link), "NOTIFY\nStatus:200 Registered.\nTransaction:2\n");
    assert_eq!(
        world.ask(link, "RESOLVE\nIdentifier:alice\nTransaction:3\n"),
        "NOTIFY\nAddress:203.0.113.1\nPort:7800\nTransaction:3\n"
    );
    // The address follows the link.
    let moved = world.dial(&key(1), source(77), 4_096);
    world.ask(moved, "HELLO\nIdentifier:alice\n");
    assert!(world.ask(moved, "RESOLVE\nIdentifier:alice\n").contains("Address:203.0.113.77\n"));
}

#[test]
fn v8_a_caller_with_small_records_does_without_candidates() {
    let mut world = World::new();
    let (first, bob) = pair(&mut world);
    world.disconnect(first);
    let candidates: String =
        (1..5).map(|n| format!("Candidate:2001:db8:1111:2222:3333:4444:5555:{n} 65535\n")).collect();
    world.ask(bob, &format!("ADDRESS\nIdentifier:bob\nAddress:198.51.100.1\nPort:65535\n{candidates}"));
    let alice = world.dial(&key(1), source(1), 512);
    world.ask(alice, "HELLO\nIdentifier:alice\n");
    let notice = up_to_notice(&mut world, alice, bob);
    accept(&mut world, bob, &notice);
    let told = world.text(alice);
    assert_eq!(value(&told, "Callee Address"), "198.51.100.1");
    assert!(told.matches("Candidate:").count() < 4);
    assert!(has(&told, "Callee Key") && has(&told, "Handle"));
}

#[test]
fn p12_passwords_keys_and_handles_never_repeat() {
    let limits =
        Config { queries_per_minute: u32::MAX, max_grants_per_terminal: usize::MAX, ..Config::default() };
    let mut world = World::with(limits);
    let (alice, bob) = pair(&mut world);
    let mut seen = BTreeSet::new();
    let mut bits = [0u32; 8];
    for round in 1..=1_000 {
        let notice = up_to_notice(&mut world, alice, bob);
        accept(&mut world, bob, &notice);
        world.texts(alice);
        for name in ["Password", "Callee Password", "Encrypt Key", "Handle"] {
            let text = value(&notice, name);
            assert!(seen.insert(text.to_owned()), "{name} repeats in round {round}");
        }
        let mut bytes = [0; 32];
        use base64ct::Encoding;
        base64ct::Base64::decode(value(&notice, "Encrypt Key"), &mut bytes).unwrap();
        for byte in bytes {
            (0..8).for_each(|bit| bits[bit] += u32::from(byte >> bit & 1));
        }
    }
    // 32,000 bits each: 16,000 ± 900 is ten standard deviations.
    assert!(bits.iter().all(|count| (15_100..16_900).contains(count)), "{bits:?}");

    // Other entropy, other secrets; more of it changes what comes.
    let again = |more: Option<[u8; 32]>| {
        let mut world = World::new();
        if let Some(more) = more {
            world.broker.add_entropy(more);
        }
        let (alice, bob) = pair(&mut world);
        value(&up_to_notice(&mut world, alice, bob), "Password").to_owned()
    };
    assert_ne!(again(None), again(Some([0; 32])));
    assert_ne!(again(Some([1; 32])), again(Some([0; 32])));
}

#[test]
fn p3_no_secret_is_ever_logged() {
    let mut world = World::new();
    let (alice, bob) = pair(&mut world);
    let notice = up_to_notice(&mut world, alice, bob);
    accept(&mut world, bob, &notice);
    world.texts(alice);
    let handle = value(&notice, "Handle").to_owned();
    let lane = world.ask(alice, &format!("TRANSFER\nCaller:alice\nCallee:bob\nSize:1\nHandle:{handle}\n"));
    let logged: String = world.logs.iter().map(|record| format!("{record} {record:?}\n")).collect();
    assert!(logged.contains("query for bob: granted"));
    assert!(world.logs.iter().any(|record| matches!(record.what, What::Enrolled(_))));
    for (text, names) in
        [(&notice, &["Password", "Callee Password", "Encrypt Key"][..]), (&lane, &["Token", "Peer Token"])]
    {
        for name in names {
            assert!(!logged.contains(value(text, name)), "{name}");
        }
    }
    assert!(!logged.contains("ticket of"));
}
