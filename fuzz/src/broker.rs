//! The broker behind decryption: terminals whose keys the fuzzer has say whatever it makes up, in any order.

use crate::input::Input;
use p2pgate::broker::Config;
use p2pgate::link::PublicKey;
use std::collections::BTreeSet;
use world::{World, key, source, value};

#[allow(dead_code, unused_imports)]
#[path = "../../tests/broker/world.rs"]
mod world;

const NAMES: [&str; 3] = ["Ia", "Ib", "Ic"];

/// The text with what was heard last in the places of control bytes.
fn told(world: &World, text: &[u8]) -> String {
    let last = |name: &str| {
        let said = world.transcript.iter().rev().find(|(_, text)| world::has(text, name));
        said.map_or("", |(_, text)| value(text, name))
    };
    let mut out = String::new();
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '\u{1}' => out += last("Transaction"),
            '\u{2}' => out += last("Handle"),
            '\u{3}' => out += last("Token"),
            '\u{4}' => out += last("Deposit"),
            '\u{5}' => out += last("Callee Key"),
            letter => out.push(letter),
        }
    }
    out.truncate(out.floor_char_boundary(3_500));
    out
}

/// Who has whom on its list, by name or by group, by the store.
fn lists(world: &World) -> BTreeSet<(String, String)> {
    let mut pairs = BTreeSet::new();
    for (owner, (_, list)) in &world.store.lists {
        for name in list.keys() {
            let members = world.store.groups.get(name).into_iter().flat_map(|(_, members)| members.keys());
            pairs.extend(members.chain([name]).map(|name| (owner.to_string(), name.to_string())));
        }
    }
    pairs
}

fn name_of(world: &World, text: &str, line: &str) -> Option<String> {
    let mut bytes = [0; 32];
    let key = base64(value(text, line), &mut bytes).then(|| PublicKey::new(bytes))?;
    world.store.keys.iter().find(|(_, other)| **other == key).map(|(name, _)| name.to_string())
}

fn base64(text: &str, out: &mut [u8; 32]) -> bool {
    PublicKey::from_base64(text.trim_end_matches('=')).map(|key| *out = *key.as_bytes()).is_ok()
}

pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let mut world = World::with(Config::default());
    let mut links: Vec<(u64, usize)> = Vec::new();
    for (number, name) in NAMES.iter().enumerate() {
        links.push((world.callee(name, number as u8 + 1, if number == 1 { "Ia" } else { "" }), number));
    }
    for _ in 0..60 {
        if input.is_empty() {
            break;
        }
        let (seen, before) = (world.transcript.len(), lists(&world));
        let at = input.below(links.len());
        let (link, who) = links[at];
        match input.below(12) {
            0..=3 => {
                let text = told(&world, input.bytes());
                world.send(link, &text);
            }
            4 => {
                let to = NAMES[input.below(3)];
                let number = input.byte();
                world.send(
                    link,
                    &format!("QUERY\nIdentifier:{}\nCallee:{to}\nTransaction:{number}\n", NAMES[who]),
                );
            }
            5 => {
                let answers =
                    ["STATUS Acceptable.", "STATUS Busy.", "Request Accepted.", "Permission Denied."];
                for question in world.texts(link) {
                    if world::has(&question, "Transaction") {
                        let number = value(&question, "Transaction").to_owned();
                        let fits = if question.starts_with("QUERY") { 0 } else { 2 };
                        let answer = answers[fits + usize::from(input.byte() == 1)];
                        world.send(link, &format!("NOTIFY\n{answer}\nTransaction:{number}\n"));
                    }
                }
            }
            6 => world.pass(input.number().min(200_000)),
            7 => {
                world.disconnect(link);
                let own = key(who as u8 + 1);
                let back = world.dial(&own, source(who as u64 + 1), 4_096);
                world.send(back, &format!("HELLO\nIdentifier:{}\nListen:1\nFrame:2048\n", NAMES[who]));
                links[at].0 = back;
            }
            8 => {
                world.hold = input.below(2) == 1;
                if !world.hold {
                    world.release();
                }
            }
            9 => drop(world.feed(link, input.counted(), 64)),
            10 => {
                // A lane, with the token that was told last.
                let token = told(&world, b"\x03");
                let mut opening = b"P2PG\x01\x03\x00\x00".to_vec();
                let mut bytes = [0; 32];
                base64(&token, &mut bytes);
                opening.extend_from_slice(&bytes);
                let lane = world.connect(source(9));
                world.feed(lane, &opening, 64);
                if world.takes.contains_key(&lane) {
                    world.deposit(lane, input.counted(), 100);
                }
            }
            _ => {
                world.store.broken = input.below(2) == 1;
                if input.byte() == 77 {
                    world.revoke(NAMES[who]);
                }
            }
        }
        // No address and no grant to anyone who is not on the list.
        let after = lists(&world);
        let may = |callee: &str, caller: &str| {
            let pair = (callee.to_owned(), caller.to_owned());
            before.contains(&pair) || after.contains(&pair)
        };
        for (to, text) in &world.transcript[seen..] {
            let Some(name) = links.iter().find(|(link, _)| link == to).map(|(_, who)| NAMES[*who]) else {
                continue;
            };
            if world::has(text, "Callee Address") {
                let callee = name_of(&world, text, "Callee Key");
                assert!(callee.is_none_or(|callee| may(&callee, name)), "{name} was told: {text}");
            }
            if world::has(text, "Caller ID") {
                assert!(may(name, value(text, "Caller ID")), "{name} was told: {text}");
            }
        }
        assert!(world.broker.counts().connections < 200 && world.transcript.len() - seen < 400);
    }
    world.hold = false;
    world.release();
    for id in 1..=world.connect(source(9)) {
        world.disconnect(id);
    }
    world.pass(120_000);
    let counts = world.broker.counts();
    assert_eq!((counts.connections, counts.queries, counts.grants, counts.lanes), (0, 0, 0, 0));
}
