//! An elementary stream of MPEG-1 or MPEG-2.
#![no_main]

const HEAD: &[u8] = &[0, 0, 1, 0xb3, 0x16, 0x01, 0x20, 0x13, 0xff, 0xff, 0xe0, 0x18];

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::splitter::check(HEAD, input));
