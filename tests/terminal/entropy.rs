//! Where secrets come from: key, stored seed and fresh entropy together.

use crate::world::identifier;
use p2pgate::link::{MaxRecord, PublicKey, SecretKey};
use p2pgate::sframe::Suite;
use p2pgate::terminal::{Config, Event, Terminal};

/// The first handshake message of a terminal, whose ephemeral key is its first secret, and the seed to store.
fn first(secret: u8, seed: u8, entropy: u8, added: Option<u8>) -> (Vec<u8>, [u8; 32]) {
    let config = Config {
        identifier: identifier("Ia"),
        secret: SecretKey::new([secret; 32]),
        broker_key: SecretKey::new([9; 32]).public_key(),
        max_record: MaxRecord::MIN,
        max_frame: 2_048,
        suite: Suite::Aes128CtrHmacSha256_80,
        listen: true,
        allow_loopback: false,
        load: Default::default(),
    };
    let (mut terminal, next) = Terminal::<1, 1>::new(config, &[seed; 32], &[entropy; 32]);
    if let Some(added) = added {
        terminal.add_entropy(&[added; 32]);
    }
    assert_ne!(terminal.public_key(), PublicKey::new([0; 32]));
    terminal.connect(0);
    let Some(Event::Connect { link, .. }) = terminal.poll_event() else { panic!("nothing to connect") };
    terminal.link_opened(link, 0);
    let mut out = [0; 512];
    let length = terminal.poll_transmit(link, &mut out, 0).unwrap();
    (out[..length].to_vec(), next)
}

#[test]
fn secrets_differ_as_soon_as_one_of_their_sources_does() {
    let runs = [
        first(1, 2, 3, None),
        first(2, 2, 3, None),
        first(1, 3, 3, None),
        first(1, 2, 4, None),
        first(1, 2, 3, Some(1)),
        first(1, 2, 3, Some(2)),
    ];
    for (index, (message, next)) in runs.iter().enumerate() {
        for (other, other_next) in &runs[..index] {
            // The ephemeral public key, behind preamble and length.
            assert_ne!(message[10..42], other[10..42]);
            // What is added later does not change the seed that was stored before.
            assert!(next != other_next || index >= 4);
        }
        assert_ne!(*next, [2; 32], "a seed is never used twice");
    }
    // The same in, the same out: which is why the next seed is stored before use.
    assert_eq!(first(1, 2, 3, None), runs[0]);
    let (message, _) = &runs[0];
    assert!(!message.windows(32).any(|window| window == runs[0].1));
}

#[test]
fn a_chain_of_stored_seeds_never_repeats_with_a_generator_that_is_stuck() {
    let mut seed = [0; 32];
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let config = Config {
            identifier: identifier("Ia"),
            secret: SecretKey::new([1; 32]),
            broker_key: PublicKey::new([9; 32]),
            max_record: MaxRecord::MIN,
            max_frame: 2_048,
            suite: Suite::Aes128CtrHmacSha256_80,
            listen: true,
            allow_loopback: false,
            load: Default::default(),
        };
        seed = Terminal::<1, 1>::new(config, &seed, &[0; 32]).1;
        assert!(seen.insert(seed));
    }
}
