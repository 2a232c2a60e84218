//! An elementary stream of HEVC.
#![no_main]

const HEAD: &[u8] = &[0, 0, 1, 0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60];

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::splitter::check(HEAD, input));
