//! Part headers of a deposit.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::part::check(input));
