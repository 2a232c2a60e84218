//! Text messages: no panic, and what is a message stays the same one when it is written and read again.

use p2pgate::message::{MAX_BYTES, Message};

pub fn check(input: &[u8]) {
    let Ok(message) = Message::parse(input) else { return };
    let mut out = vec![0; MAX_BYTES];
    let length = message.encode(&mut out).expect("what was read can be written");
    assert_eq!(Message::parse(&out[..length]).as_ref(), Ok(&message));
    let mut short = vec![0; length - 1];
    assert!(message.encode(&mut short).is_err(), "nothing is cut short");
}
