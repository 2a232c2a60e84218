//! V5: who is served.

use crate::world::{World, has, key, source};
use p2pgate::broker::{Next, What};

#[test]
fn v5_wrong_key_and_unknown_identifier_get_the_same_answer() {
    let mut world = World::new();
    world.terminal("alice", 1);
    let mut answers = Vec::new();
    for (identifier, ticket) in
        [("alice", ""), ("nobody", ""), ("alice", "Ticket:guess\n"), ("nobody", "Ticket:guess\n")]
    {
        let link = world.dial(&key(9), source(9), 4_096);
        answers.push(world.ask(link, &format!("HELLO\nIdentifier:{identifier}\n{ticket}")));
        assert!(world.is_closed(link));
    }
    assert!(answers[0].starts_with("NOTIFY\nStatus:401 "), "{answers:?}");
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[test]
fn v5_a_ticket_enrols_one_key_once() {
    let mut world = World::new();
    world.ticket("alice", "T1");
    let link = world.dial(&key(1), source(1), 4_096);
    assert_eq!(
        world.ask(link, "HELLO\nIdentifier:alice\nTicket:T1\nTransaction:4\n"),
        "NOTIFY\nStatus:200 Welcome.\nTransaction:4\nRelay:1\nLargest Transfer:1073741824\n"
    );

    // The thief has the ticket too, the same identifier or another.
    for identifier in ["alice", "bob"] {
        let thief = world.dial(&key(2), source(2), 4_096);
        let answer = world.ask(thief, &format!("HELLO\nIdentifier:{identifier}\nTicket:T1\n"));
        assert!(answer.contains("Status:401"), "{answer}");
        assert!(world.is_closed(thief));
    }
    // A second ticket for a bound identifier does not replace its key.
    world.ticket("alice", "T2");
    let thief = world.dial(&key(2), source(2), 4_096);
    assert!(world.ask(thief, "HELLO\nIdentifier:alice\nTicket:T2\n").contains("Status:401"));

    // Its own key needs the ticket no more, and may repeat it: the answer may have been lost.
    let again = world.dial(&key(1), source(1), 4_096);
    assert!(world.ask(again, "HELLO\nIdentifier:alice\nTicket:T1\n").contains("Status:200"));
}

#[test]
fn v5_enrolment_is_answered_once_it_is_on_disk() {
    let mut world = World::new();
    world.ticket("alice", "T1");
    world.hold = true;
    let link = world.dial(&key(1), source(1), 4_096);
    world.send(link, "HELLO\nIdentifier:alice\nTicket:T1\n");
    // What is sent behind it waits with it.
    world.send(link, "PING\nTransaction:2\n");
    assert!(world.texts(link).is_empty());
    world.release();
    let texts = world.texts(link);
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("Status:200 Welcome."));
    assert_eq!(texts[1], "NOTIFY\nStatus:200 Alive.\nTransaction:2\n");
}

#[test]
fn v5_too_much_behind_an_unanswered_hello_closes() {
    let mut world = World::new();
    world.ticket("alice", "T1");
    world.hold = true;
    let link = world.dial(&key(1), source(1), 4_096);
    world.send(link, "HELLO\nIdentifier:alice\nTicket:T1\n");
    for _ in 0..5 {
        world.send(link, "PING\n");
    }
    assert!(world.is_closed(link));
    assert!(world.logs.iter().any(|record| record.what == What::TooEager));
}

#[test]
fn v5_anything_but_hello_first_closes() {
    let mut world = World::new();
    world.callee("bob", 2, "alice");
    for text in ["PING\n", "QUERY\nIdentifier:alice\nCallee:bob\n", "RESOLVE\nIdentifier:bob\n"] {
        let link = world.dial(&key(1), source(1), 4_096);
        let answer = world.ask(link, text);
        assert!(answer.starts_with("NOTIFY\nStatus:400 "), "{answer}");
        assert!(world.is_closed(link));
    }
}

#[test]
fn v5_hello_twice_closes() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    assert!(world.ask(link, "HELLO\nIdentifier:alice\n").contains("Status:400"));
    assert!(world.is_closed(link));
}

#[test]
fn v5_a_replayed_message_1_has_no_effect() {
    let mut world = World::new();
    let caller = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    let wire = world.wire(bob);
    let before = (world.broker.counts(), world.held.len());

    // Preamble and message 1 alone, then everything that was ever sent on that link.
    let message_1 = &wire[..8 + 2 + 96];
    let replayed = world.connect(source(9));
    assert_eq!(world.feed(replayed, message_1, usize::MAX), Next::NeedMore);
    let all = world.connect(source(9));
    assert_eq!(world.feed(all, &wire, usize::MAX), Next::Closed);
    assert!(world.is_closed(all));
    world.disconnect(all);

    let after = world.broker.counts();
    assert_eq!(
        (after.terminals, after.grants, after.queries),
        (before.0.terminals, before.0.grants, before.0.queries)
    );
    assert!(!world.is_closed(bob));
    // Questions still go to the true listener.
    world.send(caller, "QUERY\nIdentifier:alice\nCallee:bob\n");
    assert!(world.text(bob).starts_with("QUERY\nSTATUS\n"));
    assert!(world.texts(replayed).is_empty());
    // The replay's slot is free again after the deadline.
    world.pass(10_000);
    assert!(world.is_closed(replayed));
}

#[test]
fn v5_one_of_several_links_listens() {
    let mut world = World::new();
    let caller = world.terminal("alice", 1);
    let first = world.callee("bob", 2, "alice");
    let silent = world.dial(&key(2), source(2), 4_096);
    world.ask(silent, "HELLO\nIdentifier:bob\n");
    world.send(caller, "QUERY\nIdentifier:alice\nCallee:bob\n");
    assert_eq!(world.texts(first).len(), 1);
    assert!(world.texts(silent).is_empty());

    let second = world.terminal("bob", 2);
    let told = world.text(first);
    assert!(told.starts_with("NOTIFY\nStatus:409 ") && !has(&told, "Transaction"), "{told}");
    world.send(caller, "QUERY\nIdentifier:alice\nCallee:bob\n");
    assert!(world.texts(first).is_empty());
    assert_eq!(world.texts(second).len(), 1);
    assert!(!world.is_closed(first), "it is still a link");
}

#[test]
fn v5_one_link_too_many_displaces_the_longest_silent() {
    let mut world = World::new();
    let listener = world.terminal("alice", 1);
    let mut links = Vec::new();
    for _ in 0..7 {
        world.pass(1_000);
        let link = world.dial(&key(1), source(1), 4_096);
        world.ask(link, "HELLO\nIdentifier:alice\n");
        links.push(link);
    }
    world.ask(links[0], "PING\n");
    let last = world.dial(&key(1), source(1), 4_096);
    world.ask(last, "HELLO\nIdentifier:alice\n");
    assert_eq!(world.closed.iter().filter(|id| links.contains(id)).collect::<Vec<_>>(), [&links[1]]);
    assert!(!world.is_closed(listener));
}

#[test]
fn v5_the_later_connection_listens_whenever_its_hello_came() {
    const HELLO: &str = "HELLO\nIdentifier:alice\nListen:1\n";
    let mut world = World::new();
    world.callee("alice", 1, "bob");
    let bob = world.terminal("bob", 2);
    let [late, later] = [1; 2].map(|number| world.dial(&key(number), source(1), 4_096));
    assert!(world.ask(later, HELLO).contains("Status:200"));
    world.send(late, HELLO);
    let answers = world.texts(late);
    assert!(answers.len() == 2 && answers[0].contains("Status:200") && answers[1].contains("Status:409"));
    world.send(bob, "QUERY\nIdentifier:bob\nCallee:alice\n");
    assert!(world.text(later).starts_with("QUERY\nSTATUS"), "and the other one goes on");
    // As ever, what is connected later takes its place.
    let last = world.dial(&key(1), source(1), 4_096);
    assert!(world.ask(last, HELLO).contains("Status:200"));
    assert!(world.text(later).contains("Status:409") && world.texts(late).is_empty());
}

#[test]
fn v5_revoke_ends_links_at_once_and_forgets_the_list() {
    let mut world = World::new();
    let link = world.callee("alice", 1, "bob,carol");
    world.revoke("alice");
    assert!(world.is_closed(link));
    world.disconnect(link);
    let again = world.dial(&key(1), source(1), 4_096);
    assert!(world.ask(again, "HELLO\nIdentifier:alice\n").contains("Status:401"));

    world.ticket("alice", "new");
    let other = world.dial(&key(2), source(2), 4_096);
    let answer = world.ask(other, "HELLO\nIdentifier:alice\nTicket:new\n");
    assert!(answer.contains("Status:200") && !answer.contains("Revision:"), "{answer}");
    assert_eq!(world.ask(other, "RESOLVE\nIdentifier:alice\n"), "NOTIFY\nNot Registered.\n");
    assert!(!world.broker.revoke("nobody", world.now));
}

#[test]
fn v5_store_trouble_is_told() {
    let mut world = World::new();
    world.ticket("alice", "T1");
    world.hold = true;
    let link = world.dial(&key(1), source(1), 4_096);
    world.send(link, "HELLO\nIdentifier:alice\nTicket:T1\n");
    let (request, _) = world.held.pop_front().unwrap();
    world.broker.stored(request, p2pgate::broker::Stored::Failed, world.now);
    world.run();
    assert!(world.text(link).starts_with("NOTIFY\nStatus:503 "));
    assert!(world.is_closed(link));
}

#[test]
fn p3_idle_links_are_closed_and_live_ones_are_not() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    for _ in 0..10 {
        world.pass(30_000);
        world.ask(link, "PING\n");
    }
    assert!(!world.is_closed(link));
    world.pass(90_000);
    assert!(world.is_closed(link));
}
