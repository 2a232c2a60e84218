//! What the wire shows: all connections of whole runs are recorded and searched.

use crate::world::{End, Host, World};
use crate::{connected, offer, recording, said, segments};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::mpeg::Class;
use p2pgate::route::Attribute;
use p2pgate::terminal::Event;

const NAMES: [&str; 2] = ["caller-identifier-0", "callee-identifier-1"];

/// A run in which a recording is shared, with everything that went over any connection.
fn run(attribute: Attribute, tapped: bool, tunnel: bool) -> (World, Vec<u8>) {
    let mut world = World::new(BrokerConfig::default());
    world.tapped = tapped;
    world.add(NAMES[0]);
    world.add(NAMES[1]);
    world.permit(1, &[NAMES[0]], &[]);
    let address = world.nodes[1].address;
    if tunnel {
        world.hosts.insert(address, Host::Silent);
    }
    let session = world.call(0, 1);
    world.pass(6_000);
    assert_eq!(connected(&world, 0), Some((session, tunnel)));
    let data = recording(60_000);
    world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
    assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data));
    world.nodes[0].terminal.close(session);
    world.settle();
    (world, data)
}

fn shows(bytes: &[u8], wanted: &[u8]) -> bool {
    wanted.len() >= 8 && bytes.windows(wanted.len()).any(|window| window == wanted)
}

fn anywhere(world: &World, wanted: &[u8]) -> bool {
    world.pipes.values().any(|pipe| pipe.record.iter().any(|bytes| shows(bytes, wanted)))
}

fn is_direct(ends: &[End; 2]) -> bool {
    ends.iter().all(|end| matches!(end, End::Node(..)))
}

#[test]
fn no_identifier_password_or_key_is_ever_readable() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split] {
        for tunnel in [false, true] {
            let (world, _) = run(attribute, true, tunnel);
            let mut secrets: Vec<Vec<u8>> = NAMES.iter().map(|name| name.as_bytes().to_vec()).collect();
            for name in NAMES {
                secrets.push(format!("ticket of {name}").into_bytes());
            }
            for spoken in &world.listener.texts {
                for line in spoken.text.lines() {
                    let secret = ["Password:", "Encrypt Key:", "Callee Password:", "Lane Key:"];
                    let Some(value) = secret.iter().find_map(|name| line.strip_prefix(name)) else {
                        continue;
                    };
                    secrets.push(value.as_bytes().to_vec());
                    secrets.push(base64(value));
                }
            }
            // M11 and M12, M13 and M14 if the tap could hear the peer link, and the lanes' keys.
            assert!(secrets.len() > 10, "{}", secrets.len());
            for node in &world.nodes {
                secrets.push(node.terminal.public_key().as_bytes().to_vec());
                secrets.push(node.secret.to_vec());
            }
            for secret in secrets {
                assert!(!anywhere(&world, &secret), "{}", String::from_utf8_lossy(&secret));
            }
        }
    }
}

#[test]
fn confidential_bytes_are_nowhere_readable_and_public_ones_only_directly() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split, Attribute::BySize] {
        let (world, data) = run(attribute, false, false);
        let mut at = 0;
        let mut readable = 0;
        for (class, bytes) in segments(&data, attribute) {
            let piece = &data[at + bytes.len() / 2..][..64];
            let direct = world.pipes.values().filter(|pipe| is_direct(&pipe.ends));
            let through = world.pipes.values().filter(|pipe| !is_direct(&pipe.ends));
            let clear = direct.flat_map(|pipe| &pipe.record).any(|bytes| shows(bytes, piece));
            assert_eq!(clear, class == Class::Rest, "{attribute:?} at {at}");
            assert!(!through.flat_map(|pipe| &pipe.record).any(|bytes| shows(bytes, piece)));
            readable += usize::from(clear);
            at += bytes.len();
        }
        assert_eq!(readable > 0, matches!(attribute, Attribute::Public | Attribute::Split));
    }
}

#[test]
fn passwords_keys_handles_and_tokens_never_repeat() {
    let mut world = World::new(BrokerConfig::default());
    world.tapped = true;
    world.add(NAMES[0]);
    world.add(NAMES[1]);
    world.permit(1, &[NAMES[0]], &[]);
    for _ in 0..5 {
        let session = world.call(0, 1);
        let data = recording(9_000);
        for _ in 0..2 {
            world.send(0, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
            assert_eq!(world.events(0).last(), Some(&Event::Delivered { session }));
        }
        world.nodes[0].terminal.close(session);
        world.settle();
    }
    let mut values = Vec::new();
    for start in ["NOTIFY\nCaller ID:", "LANE\n"] {
        let (from, to) = if start == "LANE\n" { (NAMES[0], NAMES[1]) } else { ("broker", NAMES[1]) };
        for text in said(&world, from, to, start) {
            let names = ["Password:", "Callee Password:", "Encrypt Key:", "Handle:", "Token:", "Lane Key:"];
            let found = text.lines().filter(|line| names.iter().any(|name| line.starts_with(name)));
            values.extend(found.map(|line| line.split_once(':').unwrap().1.to_owned()));
        }
    }
    assert_eq!(values.len(), 5 * 4 + 20 * 2);
    let different: std::collections::HashSet<_> = values.iter().collect();
    assert_eq!(different.len(), values.len());
}

fn base64(text: &str) -> Vec<u8> {
    let value = |byte: u8| {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        alphabet.iter().position(|other| *other == byte).unwrap() as u32
    };
    let mut out = Vec::new();
    for group in text.trim_end_matches('=').as_bytes().chunks(4) {
        let bits = group.iter().fold(0, |bits, byte| bits << 6 | value(*byte)) << (6 * (4 - group.len()));
        out.extend(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}
