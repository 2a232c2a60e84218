//! Sequences of calls of the C ABI.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::abi::check(input));
