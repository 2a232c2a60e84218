//! What is read from disk: a terminal's blob, and the broker's addresses.

use p2pgate::broker::StoredAddress;
use p2pgate::identifier::Identifier;
use p2pgate::link::{MaxRecord, SecretKey};
use p2pgate::load::LoadGate;
use p2pgate::sframe::Suite;
use p2pgate::terminal::{Config, Terminal, blob_size};
use sha2::{Digest, Sha256};

const PEERS: usize = 5;

fn terminal() -> Terminal<1, PEERS> {
    let config = Config {
        identifier: Identifier::new("Ia").unwrap(),
        secret: SecretKey::new([1; 32]),
        broker_key: SecretKey::new([2; 32]).public_key(),
        max_record: MaxRecord::MIN,
        max_frame: 512,
        suite: Suite::Aes128CtrHmacSha256_80,
        listen: true,
        allow_loopback: false,
        load: LoadGate::new(80, 10, 1),
    };
    Terminal::new(config, &[3; 32], &[4; 32]).0
}

fn blob(terminal: &mut Terminal<1, PEERS>) -> Vec<u8> {
    let mut out = vec![0; blob_size(PEERS)];
    let length = terminal.blob(&mut out).expect("there is room");
    out.truncate(length);
    out
}

pub fn check(input: &[u8]) {
    stored(input);
    // As it would be if whoever altered it had made the check value anew.
    stored(&[input, &Sha256::digest(input)[..8]].concat());
}

fn stored(input: &[u8]) {
    let mut first = terminal();
    if first.restore(input).is_ok() {
        let stored = blob(&mut first);
        let mut second = terminal();
        assert_eq!(second.restore(&stored), Ok(()), "what is written can be read");
        assert_eq!(blob(&mut second), stored);
        assert!(first.permitted().eq(second.permitted()));
        assert_eq!(first.revision(), second.revision());
    } else {
        assert_eq!(first.permitted().count(), 0, "a damaged list is no list");
    }
    let mut third = terminal();
    let _ = third.adopt_pins(input);
    assert_eq!(third.permitted().count(), 0, "pins permit nobody");
    let stored = blob(&mut third);
    assert_eq!(terminal().restore(&stored), Ok(()));
    if let Ok(text) = std::str::from_utf8(input)
        && let Ok(address) = text.parse::<StoredAddress>()
    {
        assert_eq!(address.to_string().parse(), Ok(address));
    }
}
