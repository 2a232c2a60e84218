//! Terminals behind decryption: between real terminals and a real broker sits somebody who has every key, alters what they
//! say, replays it and says things of its own; connections break, time passes, lists change.

use crate::input::Input;
use p2pgate::broker::Config;
use p2pgate::identifier::Identifier;
use p2pgate::link::SecretKey;
use p2pgate::mpeg::Class;
use p2pgate::route::{Attribute, Conditions, Route};
use p2pgate::terminal::{Change, Event, Offer};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use world::{Sending, Spoken, World};

#[allow(dead_code, unused_imports)]
#[path = "../../tests/terminal/world/mod.rs"]
mod world;

const NAMES: [&str; 3] = ["Ia", "Ib", "Ic"];
const PARTIES: [&str; 4] = ["Ia", "Ib", "Ic", "broker"];

/// What befalls the texts on their way: how many pass first, then what becomes of one.
#[derive(Default)]
struct Tampering {
    skip: usize,
    left: usize,
    how: usize,
    at: usize,
    with: Vec<u8>,
}

impl Tampering {
    fn apply(&mut self, spoken: &Spoken) -> Vec<String> {
        if self.left == 0 {
            return vec![spoken.text.clone()];
        }
        if self.skip > 0 {
            self.skip -= 1;
            return vec![spoken.text.clone()];
        }
        self.left -= 1;
        alter(&spoken.text, self.how, self.at, &self.with)
    }
}

fn alter(text: &str, how: usize, at: usize, with: &[u8]) -> Vec<String> {
    let with = String::from_utf8_lossy(with);
    let mut lines: Vec<&str> = text.lines().collect();
    let at = at % lines.len().max(1);
    match how % 6 {
        0 => return Vec::new(),
        1 => return vec![text.to_owned(), text.to_owned()],
        2 => drop(lines.get(at).is_some().then(|| lines.remove(at))),
        3 => lines.insert(at, &with),
        4 => {
            let name = lines.get(at).and_then(|line| line.split_once(':')).map_or("", |(name, _)| name);
            let line = format!("{name}:{with}");
            lines.splice(at..(at + 1).min(lines.len()), [line.as_str()]);
            return vec![bounded(&(lines.join("\n") + "\n"))];
        }
        _ => lines = with.lines().collect(),
    }
    vec![bounded(&(lines.join("\n") + "\n"))]
}

/// No more than fits into a record, or a handshake message.
fn bounded(text: &str) -> String {
    text[..text.floor_char_boundary(2_000)].to_owned()
}

/// The text with what was said last in the places of control bytes.
fn told(world: &World, text: &[u8]) -> String {
    let last = |name: &str| {
        let values = |said: &Spoken| {
            said.text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(':')?.to_owned()))
        };
        world.listener.texts.iter().rev().find_map(values).unwrap_or_default()
    };
    let mut out = String::new();
    for letter in String::from_utf8_lossy(text).chars() {
        match letter {
            '\u{1}' => out += &last("Transaction"),
            '\u{2}' => out += &last("Handle"),
            '\u{3}' => out += &last("Token"),
            '\u{4}' => out += &last("Deposit"),
            '\u{5}' => out += &last("Caller Key"),
            '\u{6}' => out += &last("Encrypt Key"),
            letter => out.push(letter),
        }
    }
    bounded(&out)
}

fn say(world: &mut World, from: &str, to: &str, text: &str) {
    let open = world.pipes.values().any(|pipe| {
        let Some(tap) = pipe.tap.as_ref().filter(|tap| !pipe.dead && tap.is_open()) else { return false };
        let side = tap.names.iter().position(|name| name == to);
        side.is_some_and(|side| tap.names[1 - side] == from)
    });
    if open {
        world.say(from, to, text);
    }
}

fn listed(world: &World) -> BTreeSet<(usize, String)> {
    (0..NAMES.len()).flat_map(|node| world.listed(node).into_iter().map(move |name| (node, name))).collect()
}

pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let mut world = World::new(Config::default());
    world.tapped = true;
    let tampering = Rc::new(RefCell::new(Tampering::default()));
    let edits = tampering.clone();
    world.listener.edit = Some(Box::new(move |spoken| edits.borrow_mut().apply(spoken)));
    for name in NAMES {
        world.add(name);
    }
    // Ia and Ib know each other's keys; Ic is on nobody's list.
    let keys: Vec<_> = world.nodes.iter().map(|node| SecretKey::new(node.secret).public_key()).collect();
    for (node, other) in [(0, 1), (1, 0)] {
        let entry = [(Identifier::new(NAMES[other]).unwrap(), Some(keys[other]))];
        world.nodes[node].terminal.permit(&Change::Change { add: &entry, delete: &[] }).unwrap();
    }
    world.settle();
    for _ in 0..40 {
        if input.is_empty() {
            break;
        }
        let before = listed(&world);
        // The broker may take an entry without a key for a group, and say who is in it.
        let may_be_group =
            |world: &World, node: usize| world.nodes[node].terminal.permitted().any(|(_, key)| key.is_none());
        let groups: Vec<bool> = (0..NAMES.len()).map(|node| may_be_group(&world, node)).collect();
        let counts: Vec<usize> = world.nodes.iter().map(|node| node.events.len()).collect();
        act(&mut world, &mut input, &tampering);
        let after = listed(&world);
        for node in 0..NAMES.len() {
            let place = &world.nodes[node];
            assert!(place.events.len() - counts[node] < 3_000, "{node} has ever more to tell");
            for event in &place.events[counts[node]..] {
                let (Event::Expected { session } | Event::Connected { session, .. }) = event else {
                    continue;
                };
                let Some(peer) = place.terminal.peer(*session) else { continue };
                if let Event::Expected { .. } = event {
                    let pair = (node, peer.as_str().to_owned());
                    let by_group = groups[node] || may_be_group(&world, node);
                    assert!(
                        by_group || before.contains(&pair) || after.contains(&pair),
                        "{node} expects {peer:?}"
                    );
                }
                // Whatever the broker says: who is pinned has that key.
                let pinned = place.terminal.permitted().find(|(name, _)| *name == peer);
                if let (Some((_, Some(pinned))), Some(key)) = (pinned, place.terminal.peer_key(*session)) {
                    assert_eq!(pinned, key, "{node} took another key for {peer:?}");
                }
            }
        }
    }
    *tampering.borrow_mut() = Tampering::default();
    world.pass(400_000);
    assert_eq!(world.broker.counts().queries, 0);
    for node in 0..NAMES.len() {
        assert!(world.open_pipes(node).len() <= 1, "what is over is closed");
    }
}

fn act(world: &mut World, input: &mut Input<'_>, tampering: &RefCell<Tampering>) {
    let node = input.below(3);
    let now = world.now;
    let sessions = world.nodes[node].events.iter().rev().filter_map(|event| match event {
        Event::Connected { session, .. } | Event::Expected { session } | Event::Permitted { session } => {
            Some(*session)
        }
        _ => None,
    });
    let session = sessions.take(3).nth(0);
    let recording = vec![7; 2_500];
    match input.below(14) {
        0 => drop((0..=input.below(40)).map(|_| world.step()).count()),
        1 | 2 => {
            let callee = Identifier::new(NAMES[input.below(3)]).unwrap();
            let _ = world.nodes[node].terminal.call(&callee, now);
            world.settle();
        }
        3 | 4 => {
            let (from, to) = (PARTIES[input.below(4)], PARTIES[input.below(4)]);
            let text = told(world, input.bytes());
            say(world, from, to, &text);
        }
        5 | 6 => {
            // Once more what was said before, to the same or another, as it was or altered.
            let count = world.listener.texts.len();
            let Some(spoken) = world.listener.texts.get(input.number() as usize % count.max(1)).cloned()
            else {
                return;
            };
            let to = if input.below(4) == 0 { PARTIES[input.below(4)] } else { &spoken.to };
            let texts = match input.below(2) {
                0 => vec![spoken.text.clone()],
                _ => alter(
                    &spoken.text,
                    input.below(6),
                    input.below(16),
                    told(world, input.bytes()).as_bytes(),
                ),
            };
            for text in texts {
                say(world, &spoken.from, to, &text);
            }
        }
        7 => {
            *tampering.borrow_mut() = Tampering {
                skip: input.below(8),
                left: 1 + input.below(3),
                how: input.below(6),
                at: input.below(16),
                with: told(world, input.bytes()).into_bytes(),
            };
        }
        8 => world.pass(input.number().min(130_000)),
        9 => {
            let pipes = world.open_pipes(node);
            if !pipes.is_empty() {
                let pipe = pipes[input.below(pipes.len())];
                match input.below(2) {
                    0 => world.cut(pipe),
                    _ => world.pipes.get_mut(&pipe).unwrap().to[1].extend(input.counted()),
                }
            }
        }
        10 => {
            let name = [NAMES[input.below(3)]];
            let (add, delete) = if input.below(2) == 0 { (&name[..], &[][..]) } else { (&[][..], &name[..]) };
            world.permit(node, add, delete);
        }
        11 => {
            let attribute = [Attribute::Confidential, Attribute::Public, Attribute::Split][input.below(3)];
            let route = Route::decide(attribute, Conditions { size: 0, relay_below: 0, relay: true });
            let size = recording.len() as u64;
            let offer = Offer {
                name: "a",
                size,
                source: b"",
                hash: false,
                route,
                sealed_bytes: size,
                rest_bytes: size,
            };
            if let Some(session) = session
                && world.nodes[node].terminal.offer(session, &offer, now).is_ok()
            {
                let class = if attribute == Attribute::Public { Class::Rest } else { Class::Sealed };
                let sending = Sending { segments: vec![(class, recording)], hash: None };
                world.nodes[node].sending.insert(session, sending);
            }
        }
        12 => {
            let Some(session) = session else { return };
            let terminal = &mut world.nodes[node].terminal;
            match input.below(7) {
                0 => terminal.close(session),
                1 => drop(terminal.abandon(session, "no", now)),
                2 => drop(terminal.fetch(session, Some("a"), now)),
                3 => drop(terminal.fetch(session, None, now)),
                4 => drop(terminal.refuse(session, "no", now)),
                5 => terminal.share(input.below(2) == 1),
                _ => terminal.set_load(input.byte()),
            }
        }
        _ => world.restart(node),
    }
    world.settle();
}
