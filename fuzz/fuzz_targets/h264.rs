//! An elementary stream of H.264.
#![no_main]

const HEAD: &[u8] =
    &[0, 0, 1, 0x67, 100, 0, 40, 0xac, 0xd9, 0x40, 0x78, 0x02, 0x27, 0xe5, 0x80, 0, 0, 1, 0x68, 0xeb];

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::splitter::check(HEAD, input));
