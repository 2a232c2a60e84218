//! One whole run, every text of it, as a golden transcript. `P2PGATE_BLESS=1` writes it anew.

use crate::{heard_pair, offer, recording, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::Attribute;
use p2pgate::terminal::Offer;
use std::collections::BTreeMap;

const SECRETS: [&str; 11] = [
    "Password",
    "Encrypt Key",
    "Callee Password",
    "Handle",
    "Callee Key",
    "Caller Key",
    "Token",
    "Peer Token",
    "Lane Key",
    "Digest",
    "Source",
];

#[test]
fn one_whole_run_says_what_it_always_said() {
    let mut world = heard_pair(BrokerConfig::default());
    let session = world.call(0, 1);
    let data = recording(30_000);
    let described = Offer { source: b"state-01", ..offer(&data, Attribute::Split) };
    world.send(0, session, &described, segments(&data, Attribute::Split));
    let there = session_of(&world, 1);
    world.send(1, there, &offer(&data, Attribute::Confidential), segments(&data, Attribute::Confidential));
    world.nodes[0].terminal.close(session);
    world.settle();
    world.pass(30_000);
    world.permit(1, &["Ic"], &["Ia"]);
    world.call(0, 1);

    // Values of chance become numbers: the same value the same number.
    let mut known: BTreeMap<String, usize> = BTreeMap::new();
    let mut transcript = String::new();
    for spoken in &world.listener.texts {
        transcript.push_str(&format!("{} -> {}\n", spoken.from, spoken.to));
        for line in spoken.text.lines() {
            let line = match line.split_once(':') {
                Some((name, value)) if SECRETS.contains(&name) => {
                    let next = known.len() + 1;
                    let number = known.entry(value.to_owned()).or_insert(next);
                    format!("{name}:<{number}>")
                }
                _ => line.to_owned(),
            };
            transcript.push_str(&format!("    {line}\n"));
        }
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/terminal/transcript.txt");
    if std::env::var_os("P2PGATE_BLESS").is_some() {
        std::fs::write(path, &transcript).unwrap();
    }
    assert_eq!(transcript, std::fs::read_to_string(path).unwrap());
}
