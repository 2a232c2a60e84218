//! A program stream.
#![no_main]

const HEAD: &[u8] = &[0, 0, 1, 0xba, 0x44, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x89, 0xc3, 0xf8];

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::splitter::check(HEAD, input));
