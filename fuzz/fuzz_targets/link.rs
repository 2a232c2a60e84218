//! Links: preamble, records, handshakes and what comes behind them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| p2pgate_fuzz::link::check(input));
