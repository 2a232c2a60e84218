//! Text messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::message::check(input));
