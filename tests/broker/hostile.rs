//! Bad input of any kind: a reason in the log, a closed connection, bounded memory, and everybody else is still served.

use crate::world::{World, key, source};
use p2pgate::broker::{Config, Level, Next, What};
use proptest::prelude::*;

const CONTROL: &[u8] = b"P2PG\x01\x01\x10\x00";

fn why(world: &World, id: u64) -> What {
    let record = world.logs.iter().find(|record| record.connection == Some(id)).expect("the log says why");
    record.what.clone()
}

#[test]
fn p3_garbage_is_closed_at_the_first_byte_that_shows_it() {
    let mut world = World::new();
    let openings: &[&[u8]] = &[
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01",
        b"P2PG\x02",
        b"P2PG\x01\x09",
        b"P2PG\x01\x01\x00\x10",
        b"P2PG\x01\x03\x00\x01",
    ];
    for opening in openings {
        let id = world.connect(source(9));
        assert_eq!(world.feed(id, opening, 1), Next::Closed, "{opening:?}");
        assert!(matches!(why(&world, id), What::Preamble(_)));
        assert!(world.is_closed(id));
        // Fed again, nothing more happens.
        assert_eq!(world.feed(id, opening, 1), Next::Closed);
    }
}

#[test]
fn p3_a_broker_has_no_peer_links() {
    let mut world = World::new();
    let id = world.connect(source(9));
    assert_eq!(world.feed(id, b"P2PG\x01\x02\x10\x000123456789abcdef", usize::MAX), Next::Closed);
    assert_eq!(why(&world, id), What::PeerLink);
}

#[test]
fn p3_oversized_and_undersized_records_are_closed_by_their_length() {
    let mut world = World::new();
    for length in [[0, 0], [0, 15], [2, 1], [255, 255]] {
        let id = world.connect(source(9));
        world.feed(id, CONTROL, usize::MAX);
        assert_eq!(world.feed(id, &length, usize::MAX), Next::Closed, "handshake record {length:?}");
        assert!(matches!(why(&world, id), What::Record(_)));
        world.disconnect(id);
    }
    let link = world.terminal("alice", 1);
    assert_eq!(world.feed(link, &[0xff, 0xff], usize::MAX), Next::Closed);
    assert!(
        world
            .logs
            .iter()
            .any(|record| record.level == Level::Warning && record.identifier.as_deref() == Some("alice"))
    );
}

#[test]
fn p3_wrong_handshakes_are_closed() {
    let mut world = World::new();
    for length in [16u16, 95, 96, 97, 512] {
        let id = world.connect(source(9));
        world.feed(id, CONTROL, usize::MAX);
        let mut record = length.to_be_bytes().to_vec();
        record.resize(2 + usize::from(length), 9);
        assert_eq!(world.feed(id, &record, 7), Next::Closed);
        assert!(matches!(why(&world, id), What::Handshake(_)), "{length}");
        world.disconnect(id);
    }
}

#[test]
fn p3_half_messages_and_slow_senders_end_by_the_deadline() {
    let mut world = World::new();
    let whole = {
        let link = world.terminal("alice", 1);
        world.wire(link)
    };
    // Cut anywhere, up to the middle of HELLO.
    for cut in [0, 1, 7, 8, 9, 50, 105, 106, 107, 150, whole.len() - 1] {
        let id = world.connect(source(9));
        assert_eq!(world.feed(id, &whole[..cut], 1), Next::NeedMore);
        world.pass(9_999);
        assert!(!world.is_closed(id));
        world.pass(1);
        assert!(world.is_closed(id), "{cut}");
        assert_eq!(why(&world, id), What::HandshakeDeadline);
        world.disconnect(id);
    }
    assert_eq!(world.broker.counts().handshakes, 0);
}

#[test]
fn p3_malformed_texts_are_answered_400_and_closed() {
    let long = format!("QUERY\nIdentifier:{}\nCallee:b\n", "x".repeat(16_000));
    let identifier = format!("QUERY\nIdentifier:alice\nCallee:{}\n", "x".repeat(129));
    let texts: &[&[u8]] = &[
        b"",
        b"\n",
        b"FROBNICATE\n",
        b"QUERY\n",
        b"QUERY\nIdentifier:alice\nCallee:bob",
        b"QUERY\nIdentifier:a,b\nCallee:bob\n",
        b"REGISTER\nIdentifier:alice\nAccept:Perhaps bob\n",
        b"PING\nTransaction:4294967296\n",
        b"\xff\xfe\n",
        b"PING\n\0\n",
        b"ADDRESS\nIdentifier:alice\nAddress:-\nPort:1\n",
        long.as_bytes(),
        identifier.as_bytes(),
        // What only a broker says.
        b"NOTIFY\nStatus:200 Welcome.\n",
        b"QUERY\nSTATUS\n",
        b"WITHDRAW\nHandle:AAAAAAAAAAAAAAAAAAAAAA==\n",
        b"NOTIFY\nCallee Address:198.51.100.1\nPassword:p\nEncrypt Key:k\n",
        // What belongs on a peer link.
        b"REQUEST\nIdentifier:alice\nPassword:p\n",
        b"LANE\nClass:sealed\n",
        b"NOTIFY\nTransfer Complete.\n",
    ];
    let mut world = World::new();
    for text in texts {
        let link = world.terminal("alice", 1);
        let record = world.seal(link, text);
        world.feed(link, &record, usize::MAX);
        assert!(world.text(link).starts_with("NOTIFY\nStatus:400 "), "{:?}", String::from_utf8_lossy(text));
        assert!(world.is_closed(link));
        world.disconnect(link);
    }
}

#[test]
fn p3_ten_megabytes_of_identifier_are_closed_within_a_record() {
    let mut world = World::new();
    let link = world.terminal("alice", 1);
    // A record that would hold it can't be announced; a stream without records ends at the first length.
    let mut stream = b"QUERY\nIdentifier:".to_vec();
    stream.resize(10 << 20, b'x');
    assert_eq!(world.feed(link, &stream, 16_384), Next::Closed);
    let fresh = world.connect(source(9));
    assert_eq!(world.feed(fresh, &stream, 16_384), Next::Closed);
    let again = world.terminal("alice", 1);
    assert!(world.ask(again, "PING\n").contains("Alive"));
}

#[test]
fn p3_changed_repeated_and_reordered_records_are_closed() {
    let mut world = World::new();
    for case in 0..3 {
        let link = world.terminal("alice", 1);
        let mut first = world.seal(link, b"PING\nTransaction:1\n");
        let second = world.seal(link, b"PING\nTransaction:2\n");
        let bytes = match case {
            0 => {
                *first.last_mut().unwrap() ^= 1;
                first
            }
            1 => [first.clone(), first].concat(),
            _ => [second, first].concat(),
        };
        assert_eq!(world.feed(link, &bytes, usize::MAX), Next::Closed);
        assert!(
            world
                .logs
                .iter()
                .any(|record| record.connection == Some(link) && matches!(record.what, What::Open(_)))
        );
        assert!(world.texts(link).iter().all(|text| text.contains("Transaction:1\n")));
    }
}

#[test]
fn p3_handshakes_are_bounded_by_source_and_in_all() {
    let limits = Config { max_handshakes: 6, max_handshakes_per_source: 4, ..Config::default() };
    let mut world = World::with(limits);
    let link = world.terminal("alice", 1);
    let ids: Vec<_> = (0..5).map(|_| world.connect(source(9))).collect();
    assert_eq!(world.closed, [ids[4]]);
    assert_eq!(why(&world, ids[4]), What::TooMany);
    world.disconnect(ids[4]);
    let other: Vec<_> = (0..2).map(|_| world.connect(source(10))).collect();
    assert_eq!((world.broker.counts().handshakes, world.closed.len()), (6, 1));
    // All are taken: the longest waiting of the source that has most goes.
    let third = world.connect(source(11));
    assert_eq!((&world.closed[1..], why(&world, ids[0])), (&ids[..1], What::TooMany));
    world.disconnect(third);
    // One IPv6 subscriber is one source, whatever its addresses.
    assert!(world.ask(link, "PING\n").contains("Alive"));
    for id in ids[..4].iter().chain(&other) {
        world.disconnect(*id);
    }
    assert_eq!(world.broker.counts().handshakes, 0);
    let six: Vec<_> =
        (0..5u16).map(|n| world.connect(format!("[2001:db8:1:2::{n:x}]:1").parse().unwrap())).collect();
    assert!(!world.is_closed(six[3]) && world.is_closed(six[4]));
    world.pass(10_000);
    assert!(six.iter().all(|id| world.is_closed(*id)));
}

#[test]
fn p3_a_flood_from_anywhere_keeps_nobody_out() {
    let limits = Config { max_handshakes: 64, max_handshakes_per_source: 16, ..Config::default() };
    for sources in [4, 16, 64, 1_000] {
        let mut world = World::with(limits.clone());
        let mut count = 0;
        let mut flood = |world: &mut World| {
            count += 1;
            world.connect(source(100 + count % sources));
        };
        for _ in 0..300 {
            flood(&mut world);
        }
        assert_eq!(world.broker.counts().handshakes, 64);
        // Others come between each two messages of the honest terminal.
        let link = world.connect(source(1));
        for _ in 0..30 {
            flood(&mut world);
        }
        world.feed(link, CONTROL, usize::MAX);
        for _ in 0..30 {
            flood(&mut world);
        }
        assert!(!world.is_closed(link), "from {sources} sources");
        assert_eq!(world.broker.counts().handshakes, 64);
        // Nor does it reach who is through.
        let alice = world.terminal("alice", 1);
        for _ in 0..300 {
            flood(&mut world);
        }
        assert!(world.ask(alice, "PING\n").contains("Alive"));
        world.pass(10_000);
        assert_eq!(world.broker.counts().handshakes, 0);
    }
}

#[test]
fn p3_connections_are_bounded() {
    let mut world = World::with(Config { max_connections: 2, ..Config::default() });
    let first = world.terminal("alice", 1);
    world.connect(source(8));
    let third = world.connect(source(9));
    assert!(world.is_closed(third) && !world.is_closed(first));
}

#[test]
fn p3_a_terminal_that_does_not_read_is_closed() {
    let mut world = World::with(Config { max_output: 4_096, ..Config::default() });
    let link = world.terminal("alice", 1);
    let mut fed = 0;
    loop {
        let mut record = world.seal(link, b"PING\n");
        fed += 1;
        // Nothing is polled: its socket takes no more.
        if world.broker.handle_input(link, &mut record, world.now).next == Next::Closed {
            break;
        }
        assert!(fed < 100, "4096 bytes hold no hundred answers");
    }
    let mut out = Vec::new();
    world.broker.poll_transmit(link, &mut out);
    assert!(out.len() <= 4_096);
    world.run();
    assert!(world.is_closed(link));
}

/// What a random run does.
#[derive(Clone, Debug)]
enum Act {
    Query(usize, usize),
    Answer(usize, u8),
    List(usize, Vec<usize>),
    Drop(usize),
    Return(usize),
    Revoke(usize),
    Pass(u64),
    Hold(bool),
    Garbage(usize),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let who = 0..4usize;
    let act = prop_oneof![
        4 => (who.clone(), who.clone()).prop_map(|(from, to)| Act::Query(from, to)),
        6 => (who.clone(), 0..5u8).prop_map(|(who, how)| Act::Answer(who, how)),
        2 => (who.clone(), prop::collection::vec(who.clone(), 0..4)).prop_map(|(who, list)| Act::List(who, list)),
        1 => who.clone().prop_map(Act::Drop),
        2 => who.clone().prop_map(Act::Return),
        1 => who.clone().prop_map(Act::Revoke),
        1 => (0..100_000u64).prop_map(Act::Pass),
        1 => any::<bool>().prop_map(Act::Hold),
        1 => who.prop_map(Act::Garbage),
    ];
    prop::collection::vec(act, 1..60)
}

const NAMES: [&str; 4] = ["alice", "bob", "carol", "dave"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn p3_random_bytes_never_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), valid in 0..200usize, size in 1..64usize) {
        let mut world = World::new();
        let link = world.terminal("alice", 1);
        let mut stream = world.wire(link);
        stream.truncate(valid);
        stream.extend_from_slice(&bytes);
        let id = world.connect(source(9));
        world.feed(id, &stream, size);
        world.pass(10_000);
        prop_assert!(world.is_closed(id));
        prop_assert!(world.ask(link, "PING\n").contains("Alive"));
    }

    /// Whatever happens in whatever order: a query has one final answer, only those who are permitted get an address, and nothing is left.
    #[test]
    fn p3_any_order_of_events_keeps_the_promises(acts in acts()) {
        let mut world = World::new();
        let mut links = [0; 4];
        for (number, name) in NAMES.iter().enumerate() {
            links[number] = world.callee(name, number as u8 + 1, "alice,bob,carol,dave");
        }
        let mut asked: std::collections::BTreeMap<(u64, u32), (usize, usize)> = Default::default();
        let mut permits = [[true; 4]; 4];
        let mut revoked = [false; 4];
        let mut transaction = 1_000;
        world.transcript.clear();
        for act in acts {
            let seen = world.transcript.len();
            // An entry counts from the moment it is added until it is deleted, whatever the disk does: more is never permitted.
            match act {
                Act::Query(from, to) if links[from] != 0 => {
                    transaction += 1;
                    asked.insert((links[from], transaction), (from, to));
                    world.send(links[from], &format!("QUERY\nIdentifier:{}\nCallee:{}\nTransaction:{transaction}\n", NAMES[from], NAMES[to]));
                }
                Act::Answer(who, how) if links[who] != 0 => {
                    let texts = ["STATUS Acceptable.", "STATUS Busy.", "Request Accepted.", "Permission Denied.", "Callee not Connected."];
                    for question in world.texts(links[who]) {
                        let (fits, notice) = (question.starts_with("QUERY\nSTATUS"), question.contains("Caller ID:"));
                        if !fits && !notice {
                            continue;
                        }
                        let number = crate::world::value(&question, "Transaction").to_owned();
                        let text = match (notice, how) {
                            (true, 0) => texts[2],
                            (false, 2) => texts[0],
                            _ => texts[usize::from(how)],
                        };
                        world.send(links[who], &format!("NOTIFY\n{text}\nTransaction:{number}\n"));
                        if world.is_closed(links[who]) {
                            break;
                        }
                    }
                }
                Act::List(who, list) if links[who] != 0 => {
                    let names: Vec<_> = list.iter().map(|number| NAMES[*number]).collect();
                    world.send(links[who], &format!("REGISTER\nIdentifier:{}\nAccept:Create {}\n", NAMES[who], names.join(",")));
                    if !world.transcript[seen..].iter().any(|(_, text)| text.contains("Status:429")) {
                        permits[who] = [0, 1, 2, 3].map(|number| list.contains(&number));
                    }
                }
                Act::Drop(who) if links[who] != 0 => world.disconnect(std::mem::take(&mut links[who])),
                Act::Return(who) if links[who] == 0 && !revoked[who] => links[who] = world.terminal(NAMES[who], who as u8 + 1),
                Act::Revoke(who) if !revoked[who] => {
                    world.revoke(NAMES[who]);
                    revoked[who] = true;
                }
                Act::Pass(milliseconds) => world.pass(milliseconds),
                Act::Hold(hold) => {
                    world.hold = hold;
                    if !hold {
                        world.release();
                    }
                }
                Act::Garbage(who) if links[who] != 0 => drop(world.feed(links[who], &[0, 16, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], 5)),
                _ => {}
            }
            for link in &mut links {
                if *link != 0 && world.is_closed(*link) {
                    world.disconnect(std::mem::take(link));
                }
            }
            for (to, text) in world.transcript[seen..].iter().filter(|(_, text)| text.contains("Callee Address:")) {
                let number = crate::world::value(text, "Transaction").parse().unwrap();
                let (from, callee) = asked[&(*to, number)];
                prop_assert!(permits[callee][from] && !revoked[from] && !revoked[callee], "{from} was told of {callee}");
            }
        }
        world.hold = false;
        world.release();
        world.pass(10_000);
        for ((link, number), _) in asked {
            let finals = world.transcript.iter().filter(|(to, text)| {
                *to == link && text.contains(&format!("\nTransaction:{number}\n")) && !text.starts_with("NOTIFY\nRequest Accepted.")
            });
            let finals = finals.count();
            let there = links.contains(&link);
            prop_assert!(finals == 1 || (finals == 0 && !there), "query {number}: {finals} answers");
        }
        for link in links.into_iter().filter(|link| *link != 0) {
            world.disconnect(link);
        }
        world.pass(120_000);
        let counts = world.broker.counts();
        prop_assert_eq!((counts.connections, counts.handshakes, counts.queries, counts.grants, counts.lanes), (0, 0, 0, 0, 0));
        prop_assert_eq!(world.broker.poll_timeout(), None);
    }
}

#[test]
fn p3_a_key_is_never_confused_with_an_identifier() {
    // The same key may be enrolled for two identifiers: each link is for one.
    let mut world = World::new();
    world.callee("alice", 1, "");
    let home = world.terminal("alice's other", 1);
    assert!(world.ask(home, "REGISTER\nIdentifier:alice\nAccept:Create alice's other\n").contains("403"));
    let stranger = world.dial(&key(7), source(7), 4_096);
    assert!(world.ask(stranger, "HELLO\nIdentifier:alice\n").contains("401"));
}
