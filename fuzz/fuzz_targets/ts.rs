//! A transport stream of 188-byte packets.
#![no_main]

/// PAT: program 1 has its PMT on PID 0x100.
const PAT: &[u8] = &[0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xe1, 0, 0xe8, 0xf9, 0x5e, 0x7d];
/// PMT: MPEG-2, H.264, HEVC and MPEG-2 video on PIDs 0x101, 0x102, 0x103 and 0x110, sound on 0x111.
const PMT: &[u8] = &[
    2, 0xb0, 0x26, 0, 1, 0xc1, 0, 0, 0xe1, 1, 0xf0, 0, 2, 0xe1, 1, 0xf0, 0, 0x1b, 0xe1, 2, 0xf0, 0, 0x24,
    0xe1, 3, 0xf0, 0, 2, 0xe1, 0x10, 0xf0, 0, 3, 0xe1, 0x11, 0xf0, 0, 0xe7, 0x17, 0x11, 0x2e,
];

fn packet(pid: u16, section: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x47, 0x40 | (pid >> 8) as u8, pid as u8, 0x10, 0];
    packet.extend(section);
    packet.resize(188, 0xff);
    packet
}

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    let head = [packet(0, PAT), packet(0x100, PMT)].concat();
    p2pgate_fuzz::splitter::check_packets(&head, input);
});
