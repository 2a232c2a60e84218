//! P10, P11: store and forward, with real ciphertext.

use crate::parts::{CUT, Cut, parts, read};
use crate::world::{World, has, key, source, value};
use base64ct::{Base64, Encoding};
use p2pgate::broker::{Config, Next};
use p2pgate::link::{LaneToken, Preamble};
use p2pgate::message::DepositId;
use p2pgate::sframe::Suite;
use sha2::{Digest, Sha256};

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// A link that knows deposits.
pub fn hello(world: &mut World, identifier: &str, number: u8, lines: &str) -> u64 {
    let link = world.dial(&key(number), source(number.into()), 4_096);
    world.send(link, &format!("HELLO\nIdentifier:{identifier}\n{lines}Frame:1200\n"));
    link
}

/// Alice, whom bob permits; both know deposits, and bob has gone.
pub fn away(config: Config) -> (World, u64) {
    let mut world = World::with(config);
    let old = world.callee("bob", 2, "alice");
    world.disconnect(old);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert!(world.text(bob).contains("Status:200"));
    world.disconnect(bob);
    let old = world.terminal("alice", 1);
    world.disconnect(old);
    let alice = hello(&mut world, "alice", 1, "");
    assert!(world.text(alice).contains("Status:200"));
    (world, alice)
}

pub const QUERY: &str = "QUERY\nIdentifier:alice\nCallee:bob\nTransaction:4\n";

pub fn ask(world: &mut World, alice: u64, size: usize) -> String {
    let question = world.ask(alice, QUERY);
    assert!(question.starts_with("NOTIFY\nDeposit Question.\nTransaction:4\n"), "{question}");
    let yes = "DEPOSIT\nCaller:alice\nCallee:bob\nSize:";
    world.ask(alice, &format!("{yes}{size}\nTransaction:4\nSource:c291cmNlIDE=\n"))
}

pub fn id_of(text: &str) -> DepositId {
    let mut id = [0; 16];
    Base64::decode(value(text, "Deposit"), &mut id).unwrap();
    id
}

pub fn lane(world: &mut World, token: &str) -> (u64, Next) {
    let mut bytes = [0; 32];
    Base64::decode(token, &mut bytes).unwrap();
    let mut preamble = [0; 40];
    Preamble::Lane { token: LaneToken::new(bytes) }.encode(&mut preamble).unwrap();
    let lane = world.connect(source(60));
    let next = world.feed(lane, &preamble, usize::MAX);
    (lane, next)
}

/// Opens a lane for a new deposit.
pub fn open(world: &mut World, alice: u64, size: usize) -> (DepositId, u64) {
    let told = ask(world, alice, size);
    assert!(told.starts_with("NOTIFY\nDeposit:"), "{told}");
    let (lane, next) = lane(world, value(&told, "Token"));
    assert_eq!(next, Next::Deposit);
    (id_of(&told), lane)
}

pub fn data(size: usize) -> Vec<u8> {
    (0..size).map(|place| (place * 31 + place / 251) as u8).collect()
}

/// Deposits it whole.
pub fn deposited(world: &mut World, alice: u64, data: &[u8]) -> DepositId {
    let (id, lane) = open(world, alice, data.len());
    let all = parts(id, data, 0, 0, CUT).concat();
    assert_eq!(world.deposit(lane, &all, 777), all.len());
    let last = world.texts(alice).pop().unwrap();
    assert!(last.contains("Complete:1"), "{last}");
    assert!(world.is_closed(lane));
    world.disconnect(lane);
    id
}

pub fn refused(answer: &str) -> &str {
    assert!(answer.starts_with("NOTIFY\nTransfer Refused.\nAnswer:broker\n"), "{answer}");
    value(answer, "Cause")
}

/// Why a lane was broken off.
pub fn broken(world: &mut World, alice: u64, lane: u64) -> String {
    assert!(world.is_closed(lane));
    let told = world.texts(alice).pop().unwrap();
    assert!(told.starts_with("NOTIFY\nTransfer Failed.\nDeposit:"), "{told}");
    value(&told, "Cause").into()
}

pub fn base64(bytes: &[u8]) -> String {
    let mut out = vec![0; Base64::encoded_len(bytes)];
    Base64::encode(bytes, &mut out).unwrap().into()
}

fn collect(world: &mut World, bob: u64, id: DepositId, offset: u64) -> Vec<u8> {
    let id = base64(&id);
    let text = format!("COLLECT\nCaller:alice\nCallee:bob\nTransaction:9\nDeposit:{id}\nOffset:{offset}\n");
    let answer = world.ask(bob, &text);
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted.\nAnswer:broker\nTransaction:9\n"), "{answer}");
    let (lane, next) = lane(world, value(&answer, "Token"));
    assert_eq!(next, Next::Lane);
    world.gives.remove(&lane).unwrap()
}

#[test]
fn p10_a_deposit_goes_all_the_way() {
    let (mut world, alice) = away(Config::default());
    let data = data(150_000);
    let told = ask(&mut world, alice, data.len());
    assert_eq!((value(&told, "Offset"), value(&told, "Part")), ("0", "0"));
    let id = id_of(&told);
    let (lane, next) = lane(&mut world, value(&told, "Token"));
    assert_eq!(next, Next::Deposit);
    let all = parts(id, &data, 0, 0, CUT);
    assert_eq!(all.len(), 3);
    world.deposit(lane, &all[0], 100);
    assert!(world.texts(alice).is_empty(), "only the next header shows that the part is whole");
    world.deposit(lane, &all[1][..200], 7);
    let kept = world.text(alice);
    assert!(kept.starts_with("NOTIFY\nDeposit Kept.\n"), "{kept}");
    assert_eq!((id_of(&kept), value(&kept, "Part"), value(&kept, "Offset")), (id, "0", "65536"));
    assert_eq!(value(&kept, "Digest"), base64(&digest(&all[0])));
    assert!(!has(&kept, "Complete"));
    world.deposit(lane, &[&all[1][200..], &all[2]].concat(), 5_000);
    let [second, third] = world.texts(alice).try_into().unwrap();
    assert_eq!((value(&second, "Offset"), value(&third, "Offset")), ("131072", "150000"));
    assert_eq!(value(&third, "Digest"), base64(&digest(&all[2])));
    assert_eq!(value(&third, "Complete"), "1");
    assert!(world.is_closed(lane));
    world.disconnect(lane);
    assert_eq!((world.broker.counts().deposits, world.broker.counts().deposited), (1, 150_000));

    // P11: bob comes back, hears of it, collects.
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    let [_, told] = world.texts(bob).try_into().unwrap();
    assert!(told.starts_with("NOTIFY\nDepositor:alice\n"), "{told}");
    assert_eq!((id_of(&told), value(&told, "Size")), (id, "150000"));
    assert_eq!(value(&told, "Caller Key"), base64(key(1).public_key().as_bytes()));
    let bytes = collect(&mut world, bob, id, 0);
    assert_eq!(read(id, &bytes, 0, 0), (data.clone(), true));
    // From the part that holds what comes next.
    for (offset, part) in [(65_535, 0), (65_536, 1), (140_000, 2), (150_000, 2)] {
        let bytes = collect(&mut world, bob, id, offset);
        let start = part as u64 * 65_536;
        assert_eq!(read(id, &bytes, part, start), (data[start as usize..].to_vec(), true), "{offset}");
    }
    let done = format!("NOTIFY\nTransfer Complete.\nTransaction:5\nDeposit:{}\n", base64(&id));
    assert!(world.ask(bob, &done).contains("Status:200 Done.\nTransaction:5\n"));
    assert_eq!(world.text(alice), format!("NOTIFY\nDeposit Collected.\nDeposit:{}\n", base64(&id)));
    assert!(world.store.deposits.is_empty());
    assert_eq!(world.broker.counts().deposits, 0);
    // A callee that has not heard the answer asks for it again.
    assert!(world.ask(bob, &done).contains("Status:200"));
    assert!(world.texts(alice).is_empty());
}

#[test]
fn p10_both_suites_and_a_hash_less_empty_recording() {
    for (size, suite) in [
        (0, Suite::Aes128GcmSha256_128),
        (1, Suite::Aes128GcmSha256_128),
        (3, Suite::Aes128CtrHmacSha256_80),
        (70_000, Suite::Aes128GcmSha256_128),
    ] {
        let (mut world, alice) = away(Config::default());
        let data = data(size);
        let (id, lane) = open(&mut world, alice, size);
        let all = parts(id, &data, 0, 0, Cut { suite, frame: 999, ..CUT }).concat();
        assert_eq!(world.deposit(lane, &all, 1), all.len());
        assert!(world.texts(alice).pop().unwrap().contains("Complete:1"));
        let bob = hello(&mut world, "bob", 2, "Listen:1\n");
        world.texts(bob);
        assert_eq!(read(id, &collect(&mut world, bob, id, 0), 0, 0), (data, true));
    }
}

#[test]
fn p10_who_is_asked_and_who_is_not() {
    let asked = |world: &mut World, link: u64| {
        let text = world.ask(link, QUERY);
        text.starts_with("NOTIFY\nDeposit Question.\n")
    };
    // Offline.
    let (mut world, alice) = away(Config::default());
    let question = world.ask(alice, QUERY);
    assert_eq!(value(&question, "Callee Key"), base64(key(2).public_key().as_bytes()));
    assert_eq!(
        (value(&question, "Frame"), value(&question, "Cause")),
        ("1200", "the callee is not connected")
    );
    assert_eq!(value(&question, "Largest Transfer"), (16_u64 << 30).to_string());
    // No is an answer, once.
    world.send(alice, "NOTIFY\nDeposit Declined.\nTransaction:4\n");
    assert!(world.texts(alice).is_empty() && !world.is_closed(alice));
    assert!(
        refused(&world.ask(alice, "DEPOSIT\nCaller:alice\nCallee:bob\nSize:1\nTransaction:4\n"))
            .contains("question")
    );
    // A caller that knows no deposits gets M10 as ever.
    let plain = world.terminal("alice", 1);
    assert!(world.ask(plain, QUERY).starts_with("NOTIFY\nCallee not Connected.\n"));
    // Busy, and silent.
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    world.send(alice, QUERY);
    let number = value(&world.text(bob), "Transaction").to_owned();
    world.send(bob, &format!("NOTIFY\nSTATUS Busy.\nTransaction:{number}\n"));
    assert!(value(&world.text(alice), "Cause").contains("busy"));
    world.send(alice, QUERY);
    world.pass(5_000);
    assert!(value(&world.text(alice), "Cause").contains("did not answer"));
    world.disconnect(bob);
    // After a restart the callee's frame is known still.
    world.restart();
    let alice = hello(&mut world, "alice", 1, "");
    world.texts(alice);
    assert!(asked(&mut world, alice));
    // Who is not permitted hears the same as ever, and one that is not there is not there.
    let eve = world.terminal("eve", 3);
    world.disconnect(eve);
    let eve = hello(&mut world, "eve", 3, "");
    world.texts(eve);
    for callee in ["bob", "nobody"] {
        let text = world.ask(eve, &format!("QUERY\nIdentifier:eve\nCallee:{callee}\n"));
        assert!(text.starts_with("NOTIFY\nPermission Denied.\n"), "{text}");
    }
    // A callee that has never said that it knows deposits.
    let mut world = World::new();
    let bob = world.callee("bob", 2, "alice");
    world.disconnect(bob);
    let old = world.terminal("alice", 1);
    world.disconnect(old);
    let alice = hello(&mut world, "alice", 1, "");
    world.texts(alice);
    assert!(!asked(&mut world, alice));
    // A broker that keeps nothing.
    let (mut world, alice) = away(Config { deposits: false, ..Config::default() });
    assert!(!asked(&mut world, alice));
}

#[test]
fn p10_an_upload_goes_on_where_it_was_kept() {
    let (mut world, alice) = away(Config::default());
    let data = data(200_000);
    let (id, first) = open(&mut world, alice, data.len());
    let all = parts(id, &data, 0, 0, CUT);
    world.deposit(first, &all.concat()[..all[0].len() + all[1].len() / 2], 1_000);
    assert_eq!(value(&world.text(alice), "Part"), "0");
    world.disconnect(first);

    let told = ask(&mut world, alice, data.len());
    assert_eq!(id_of(&told), id);
    assert_eq!((value(&told, "Offset"), value(&told, "Part")), ("65536", "1"));
    let (second, _) = lane(&mut world, value(&told, "Token"));
    assert_eq!(world.files[&id], all[0], "what was not kept is cut off");
    world.deposit(second, &all[1], 1_000);

    // The broker is killed.
    world.restart();
    let alice = hello(&mut world, "alice", 1, "");
    world.texts(alice);
    let told = ask(&mut world, alice, data.len());
    assert_eq!((id_of(&told), value(&told, "Offset"), value(&told, "Part")), (id, "65536", "1"));
    let (third, _) = lane(&mut world, value(&told, "Token"));
    let rest = parts(id, &data, 1, 65_536, CUT).concat();
    assert_eq!(world.deposit(third, &rest, 10_000), rest.len());
    assert!(world.texts(alice).pop().unwrap().contains("Complete:1"));
    // Alice has not heard it: it is not deposited twice.
    let told = ask(&mut world, alice, data.len());
    assert!(
        told.starts_with("NOTIFY\nDeposit Kept.\n") && told.contains("Complete:1\nTransaction:4\n"),
        "{told}"
    );
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert_eq!(world.texts(bob).len(), 2);
    assert_eq!(read(id, &collect(&mut world, bob, id, 0), 0, 0), (data, true));
}

#[test]
fn p10_a_newer_lane_displaces_the_older() {
    let (mut world, alice) = away(Config::default());
    let (id, first) = open(&mut world, alice, 100_000);
    let again = hello(&mut world, "alice", 1, "");
    world.texts(again);
    let told = ask(&mut world, again, 100_000);
    assert_eq!(id_of(&told), id);
    assert!(world.is_closed(first));
    assert_eq!(world.broker.deposit_input(first, b"late", world.now), 0);
    // A token works once.
    let token = value(&told, "Token").to_owned();
    assert_eq!(lane(&mut world, &token).1, Next::Deposit);
    assert_eq!(lane(&mut world, &token).1, Next::Closed);
    // And for 30 s.
    let told = ask(&mut world, again, 100_000);
    world.pass(30_000);
    assert_eq!(lane(&mut world, value(&told, "Token")).1, Next::Closed);
}

#[test]
fn p10_nothing_is_kept_that_is_not_on_disk() {
    let (mut world, alice) = away(Config::default());
    let data = data(200_000);
    let (id, first) = open(&mut world, alice, data.len());
    let all = parts(id, &data, 0, 0, CUT);
    world.hold = true;
    world.deposit(first, &all[..2].concat(), 1_000);
    assert!(world.texts(alice).is_empty());
    // A second part may come meanwhile, not a third.
    world.deposit(first, &all[2], 1_000);
    assert!(broken(&mut world, alice, first).contains("before the ones before them are kept"));
    world.disconnect(first);
    // The next lane waits for the disk.
    world.send(alice, QUERY);
    world.texts(alice);
    world.send(alice, "DEPOSIT\nCaller:alice\nCallee:bob\nSize:200000\nTransaction:4\nSource:c291cmNlIDE=\n");
    assert!(world.texts(alice).is_empty());
    world.hold = false;
    world.release();
    let [kept, told] = world.texts(alice).try_into().unwrap();
    assert_eq!(value(&kept, "Part"), "0");
    assert_eq!((id_of(&told), value(&told, "Offset")), (id, "65536"));
    // The disk fails: the lane ends, what was kept is.
    let (second, _) = lane(&mut world, value(&told, "Token"));
    world.store.broken = true;
    world.deposit(second, &[&all[1], &all[2][..100]].concat(), 1_000);
    assert!(broken(&mut world, alice, second).contains("cannot store"));
    world.store.broken = false;
    let told = ask(&mut world, alice, data.len());
    assert_eq!((value(&told, "Offset"), value(&told, "Part")), ("65536", "1"));
    // A deposit that could not be opened is refused, and counts for nothing.
    let (mut world, alice) = away(Config::default());
    world.store.broken = true;
    assert!(refused(&ask(&mut world, alice, 100)).contains("cannot store"));
    assert_eq!(world.broker.counts().deposits, 0);
    assert_eq!(world.broker.counts().deposited, 0);
}

#[test]
fn p11_a_collection_that_failed_is_offered_again() {
    let (mut world, alice) = away(Config::default());
    let id = deposited(&mut world, alice, &data(5_000));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    let failed = format!("NOTIFY\nTransfer Failed.\nTransaction:5\nDeposit:{}\nCause:no room\n", base64(&id));
    assert!(world.ask(bob, &failed).contains("Status:200"));
    // Without a number: the oldest of that caller's.
    let answer = world.ask(bob, "COLLECT\nCaller:alice\nCallee:bob\n");
    assert!(answer.starts_with("NOTIFY\nTransfer Accepted."), "{answer}");
    world.restart();
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert_eq!(id_of(&world.texts(bob)[1]), id);
    // The store fails to forget it: bob is told, and asks again.
    let done = format!("NOTIFY\nTransfer Complete.\nDeposit:{}\n", base64(&id));
    world.store.broken = true;
    assert!(world.ask(bob, &done).contains("Status:503"));
    assert!(refused(&world.ask(bob, "COLLECT\nCaller:alice\nCallee:bob\n")).contains("no such deposit"));
    world.store.broken = false;
    assert!(world.ask(bob, &done).contains("Status:200"));
    // Alice hears of it when she comes, even after a restart, and once.
    world.restart();
    for told in [2, 1] {
        let alice = hello(&mut world, "alice", 1, "");
        assert_eq!(world.texts(alice).len(), told);
        world.disconnect(alice);
    }
}

#[test]
fn p11_a_callee_that_missed_the_last_answer_is_told_of_the_next() {
    let (mut world, alice) = away(Config::default());
    let first = deposited(&mut world, alice, &data(100));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    let done = format!("NOTIFY\nTransfer Complete.\nDeposit:{}\n", base64(&first));
    world.send(bob, &done);
    // It was struck, and bob is gone before the answer; the next comes meanwhile.
    world.disconnect(bob);
    assert!(world.text(alice).contains("Deposit Collected."));
    let second = deposited(&mut world, alice, &data(200));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    let told = world.texts(bob);
    assert!(told[1].starts_with("NOTIFY\nDepositor:alice\n"), "{told:?}");
    // He can't keep a second one of alice's in mind, and says the first again.
    world.send(bob, &done);
    let [answer, told] = world.texts(bob).try_into().unwrap();
    assert!(answer.contains("Status:200"), "{answer}");
    assert_eq!(id_of(&told), second);
    // As often as he may ask.
    for _ in 0..200 {
        world.send(bob, &done);
    }
    assert_eq!(world.texts(bob).iter().filter(|text| has(text, "Deposit")).count(), 119);
}

#[test]
fn p11_only_a_listening_link_that_knows_deposits_is_told() {
    let (mut world, alice) = away(Config::default());
    deposited(&mut world, alice, &data(5_000));
    let plain = world.terminal("bob", 2);
    assert!(world.texts(plain).is_empty());
    let silent = hello(&mut world, "bob", 2, "");
    assert_eq!(world.texts(silent).len(), 1);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert_eq!(world.texts(bob).len(), 2);
    // And now, while it is there.
    world.send(alice, QUERY);
    let number = value(&world.text(bob), "Transaction").to_owned();
    world.send(bob, &format!("NOTIFY\nSTATUS Busy.\nTransaction:{number}\n"));
    world.texts(alice);
    let told = world.ask(alice, "DEPOSIT\nCaller:alice\nCallee:bob\nSize:7\nTransaction:4\n");
    let (lane, _) = lane(&mut world, value(&told, "Token"));
    let id = id_of(&told);
    world.deposit(lane, &parts(id, &data(7), 0, 0, CUT).concat(), 100);
    assert_eq!(id_of(&world.text(bob)), id);
}

#[test]
fn p10_each_limit_is_named() {
    let limit = |config: Config, before: &[usize], size: usize| {
        let (mut world, alice) = away(config);
        for (number, size) in before.iter().enumerate() {
            world.ask(alice, QUERY);
            let source = base64(&[number as u8; 8]);
            let text =
                format!("DEPOSIT\nCaller:alice\nCallee:bob\nSize:{size}\nTransaction:4\nSource:{source}\n");
            assert!(world.ask(alice, &text).starts_with("NOTIFY\nDeposit:"));
        }
        let question = world.ask(alice, QUERY);
        let largest: usize = value(&question, "Largest Transfer").parse().unwrap();
        let yes = |size| format!("DEPOSIT\nCaller:alice\nCallee:bob\nSize:{size}\nTransaction:4\n");
        let cause = refused(&world.ask(alice, &yes(size))).to_owned();
        (largest, cause)
    };
    let free = Config::default();
    let (largest, cause) = limit(Config { max_deposit: 1_000, ..free.clone() }, &[], 1_001);
    assert!(largest == 1_000 && cause.contains("of one deposit"), "{largest} {cause}");
    let config = Config { max_deposited_per_caller: 1_000, ..free.clone() };
    let (largest, cause) = limit(config, &[400], 601);
    assert!(largest == 600 && cause.contains("no more of this depositor"), "{largest} {cause}");
    let config = Config { max_deposited_per_callee: 1_000, ..free.clone() };
    let (largest, cause) = limit(config, &[100, 300], 601);
    assert!(largest == 600 && cause.contains("no more for this callee"), "{largest} {cause}");
    let (largest, cause) = limit(Config { max_deposited: 1_000, ..free.clone() }, &[400], 601);
    assert!(largest == 600 && cause.contains("full"), "{largest} {cause}");
    let (_, cause) = limit(Config { max_deposits_per_pair: 2, ..free.clone() }, &[1, 1], 1);
    assert!(cause.contains("of this depositor for this callee"), "{cause}");
    let (_, cause) = limit(Config { max_deposits_per_terminal: 2, ..free }, &[1, 1], 1);
    assert!(cause.contains("no more deposits of this depositor"), "{cause}");
}

#[test]
fn p10_full_is_not_asked_and_frees_when_collected() {
    let (mut world, alice) = away(Config { max_deposited: 5_000, ..Config::default() });
    let id = deposited(&mut world, alice, &data(5_000));
    assert!(world.ask(alice, QUERY).starts_with("NOTIFY\nCallee not Connected.\n"));
    let withdraw = format!("WITHDRAW\nHandle:{}\nTransaction:6\n", base64(&id));
    assert!(world.ask(alice, &withdraw).contains("Status:200 Done.\nTransaction:6"));
    assert!(world.store.deposits.is_empty());
    assert!(world.ask(alice, QUERY).starts_with("NOTIFY\nDeposit Question.\n"));
}

#[test]
fn p10_one_s_own_deposits_are_listed_and_taken_back() {
    let (mut world, alice) = away(Config::default());
    let whole = deposited(&mut world, alice, &data(5_000));
    let (half, lane) = open(&mut world, alice, 200_000);
    let all = parts(half, &data(200_000), 0, 0, CUT).concat();
    world.deposit(lane, &all[..80_000], 1_000);
    world.texts(alice);
    world.send(alice, "DEPOSITS\nIdentifier:alice\nTransaction:8\n");
    let [first, second, end] = world.texts(alice).try_into().unwrap();
    assert!(first.starts_with("NOTIFY\nDeposited for:bob\n"), "{first}");
    assert_eq!((id_of(&first), value(&first, "Size"), value(&first, "Offset")), (whole, "5000", "5000"));
    assert_eq!((id_of(&second), value(&second, "Size"), value(&second, "Offset")), (half, "200000", "65536"));
    assert!(end.contains("Status:200") && end.contains("Transaction:8"));
    assert!(world.ask(alice, "DEPOSITS\nIdentifier:bob\n").contains("Status:403"));
    // While its lane runs.
    let withdraw = |id: DepositId| format!("WITHDRAW\nHandle:{}\nTransaction:6\n", base64(&id));
    assert!(world.ask(alice, &withdraw(half)).contains("Status:200"));
    assert!(world.is_closed(lane));
    assert!(!world.store.deposits.contains_key(&half));
    // Another cannot, and learns nothing.
    let eve = world.terminal("eve", 3);
    assert_eq!(world.ask(eve, &withdraw(whole)), world.ask(eve, &withdraw([1; 16])));
    assert!(world.store.deposits.contains_key(&whole));
    // The callee does not want it: alice is told.
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    assert!(world.ask(bob, &withdraw(whole)).contains("Status:200"));
    let told = world.text(alice);
    assert!(told.starts_with("WITHDRAW\n") && told.contains("does not want"), "{told}");
    assert!(world.store.deposits.is_empty());
}

#[test]
fn p10_a_callee_that_strikes_the_depositor_off_is_rid_of_its_deposits() {
    let (mut world, alice) = away(Config::default());
    deposited(&mut world, alice, &data(5_000));
    let (_, lane) = open(&mut world, alice, 9_000);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    assert!(world.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n").contains("Status:200"));
    assert!(world.store.deposits.is_empty() && world.is_closed(lane));
    assert_eq!(world.texts(alice).iter().filter(|text| text.starts_with("WITHDRAW\n")).count(), 2);
    assert!(refused(&world.ask(bob, "COLLECT\nCaller:alice\nCallee:bob\n")).contains("no such deposit"));
    // A question that was asked before is not good any more.
    assert!(world.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Add alice\n").contains("Status:200"));
    world.disconnect(bob);
    world.ask(alice, QUERY);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    world.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\n");
    let answer = world.ask(alice, "DEPOSIT\nCaller:alice\nCallee:bob\nSize:7\nTransaction:4\n");
    assert!(refused(&answer).contains("no longer permits"));
}

#[test]
fn p10_a_revoked_key_leaves_nothing() {
    for who in ["alice", "bob"] {
        let (mut world, alice) = away(Config::default());
        deposited(&mut world, alice, &data(5_000));
        world.revoke(who);
        assert!(world.store.deposits.is_empty());
        assert_eq!(world.broker.counts().deposits, 0);
        // The operator did it while no broker ran.
        let (mut world, alice) = away(Config::default());
        deposited(&mut world, alice, &data(5_000));
        world.store.keys.remove(who);
        world.restart();
        assert_eq!(world.broker.counts().deposits, 0);
        assert_eq!(world.store.deposits.len(), usize::from(who == "bob"), "alice is to be told");
    }
}

#[test]
fn p10_deposits_age() {
    let config = Config { deposit_ms: 1_000_000, unfinished_deposit_ms: 100_000, ..Config::default() };
    let (mut world, alice) = away(config);
    let whole = deposited(&mut world, alice, &data(5_000));
    let (_, lane) = open(&mut world, alice, 9_000);
    world.disconnect(alice);
    // A lane that is open keeps it; an idle one is closed.
    world.pass(400_000);
    assert_eq!(world.broker.counts().deposits, 2);
    world.pass(300_000);
    assert!(world.is_closed(lane));
    world.disconnect(lane);
    assert_eq!(world.broker.counts().deposits, 1);
    world.pass(300_000);
    assert_eq!(world.broker.counts().deposits, 0);
    // It is not dropped in silence.
    world.restart();
    let alice = hello(&mut world, "alice", 1, "");
    let told = world.texts(alice).pop().unwrap();
    assert!(told.starts_with(&format!("WITHDRAW\nHandle:{}\n", base64(&whole))), "{told}");
    assert!(world.store.deposits.is_empty());
}

#[test]
fn p10_the_largest_frame_is_the_one_that_m19_told() {
    let (mut world, alice) = away(Config::default());
    let (id, lane) = open(&mut world, alice, 100_000);
    world.disconnect(lane);
    let bob = world.dial(&key(2), source(2), 4_096);
    let welcome = world.ask(bob, "HELLO\nIdentifier:bob\nFrame:5000\n");
    assert!(welcome.contains("Status:200"));
    world.disconnect(bob);
    let told = ask(&mut world, alice, 100_000);
    let (lane, _) = crate::deposits::lane(&mut world, value(&told, "Token"));
    let all = parts(id, &data(100_000), 0, 0, Cut { frame: 4_900, ..CUT }).concat();
    assert_eq!(world.deposit(lane, &all, 4_000), all.len());
    world.texts(alice);
    // One that says less than any frame needs says nothing.
    let bob = world.dial(&key(2), source(2), 4_096);
    world.ask(bob, "HELLO\nIdentifier:bob\nListen:1\nFrame:127\n");
    world.disconnect(bob);
    assert_eq!(value(&world.ask(alice, QUERY), "Frame"), "5000");
}

#[test]
fn p11_a_callee_that_asks_again_whether_it_was_heard_is_told_of_what_it_passed_over() {
    let (mut world, alice) = away(Config::default());
    let id = deposited(&mut world, alice, &data(3_000));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert!(world.texts(bob)[1].contains("Depositor:alice"));
    world.disconnect(bob);
    // The broker's answer is lost, and so is what it tells of the second then.
    let later = deposited(&mut world, alice, &data(4_000));
    let done = format!("NOTIFY\nTransfer Complete.\nTransaction:5\nDeposit:{}\n", base64(&id));
    let bob = hello(&mut world, "bob", 2, "");
    world.send(bob, &done);
    world.disconnect(bob);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    world.send(bob, &done);
    let told = world.texts(bob);
    assert!(told[0].contains("Status:200"), "{told:?}");
    assert!(told[1].contains("Depositor:alice") && told[1].contains(&base64(&later)), "{told:?}");
    assert_eq!(told.len(), 2, "once");
}

#[test]
fn p11_a_callee_that_says_it_again_while_the_deposit_is_being_struck_off_is_told_of_what_it_passed_over() {
    let (mut world, alice) = away(Config::default());
    let id = deposited(&mut world, alice, &data(3_000));
    let later = deposited(&mut world, alice, &data(4_000));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert!(world.texts(bob).iter().any(|text| text.contains(&base64(&id))));
    let done = format!("NOTIFY\nTransfer Complete.\nTransaction:5\nDeposit:{}\n", base64(&id));
    world.hold = true;
    world.send(bob, &done);
    // The link breaks, and bob says it again by the next, while the first is on its way to disk.
    world.disconnect(bob);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    world.send(bob, &done);
    assert_eq!(world.held.len(), 2, "both are to be struck off");
    assert!(world.texts(bob).is_empty());
    world.hold = false;
    world.release();
    let told = world.texts(bob);
    let is_answer = |text: &String| text.contains("Status:200") && value(text, "Transaction") == "5";
    let answered = told.iter().position(is_answer).expect("it is answered");
    // Until then bob keeps no other of alice's in mind: what it is told of the later one before, it passes over.
    let behind = &told[answered..];
    let of_later = |text: &String| text.contains("Depositor:alice") && text.contains(&base64(&later));
    assert_eq!(behind.iter().filter(|text| of_later(text)).count(), 1, "{told:?}");
    assert!(told.iter().all(|text| !text.contains(&base64(&id))), "{told:?}");
}

#[test]
fn p10_a_frame_that_the_store_did_not_take_is_stored_later() {
    let mut world = World::new();
    let old = world.callee("bob", 2, "alice");
    world.disconnect(old);
    world.store.broken = true;
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert!(world.text(bob).contains("Status:200"));
    assert!(world.ask(bob, "PING\n").contains("Alive"));
    assert!(world.store.frames.is_empty());
    world.store.broken = false;
    assert!(world.ask(bob, "PING\n").contains("Alive"));
    assert_eq!(world.store.frames.get("bob"), Some(&1_200));
    // Once: nothing is written with each PING.
    world.hold = true;
    assert!(world.ask(bob, "PING\n").contains("Alive"));
    assert!(world.held.is_empty());
}

#[test]
fn m21_comes_again_with_each_list_that_still_permits_the_depositor() {
    let (mut world, alice) = away(Config::default());
    let id = deposited(&mut world, alice, &data(3_000));
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    assert_eq!(world.texts(bob).len(), 2);
    // Struck off and put back before the broker heard of it, or another struck off: bob has forgotten what it was told.
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Create alice,carol\nRevision:2\n");
    let told = world.texts(bob);
    assert!(told[0].contains("Status:200"), "{told:?}");
    assert!(told[1].contains("Depositor:alice") && told[1].contains(&base64(&id)), "{told:?}");
    // Who is struck off for good is not told of.
    world.send(bob, "REGISTER\nIdentifier:bob\nAccept:Delete alice\nRevision:3\n");
    assert_eq!(world.texts(bob).len(), 1);
    assert!(world.store.deposits.values().all(|(_, _, notice)| notice.is_some()));
}
