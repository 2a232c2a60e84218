//! Frames of a lane.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::lane::check(input));
