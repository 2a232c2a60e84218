//! What is read from disk.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::blob::check(input));
