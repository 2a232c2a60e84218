//! Writes recordings of the tests' making into `corpus/`, for the fuzzer to begin with.

#[allow(dead_code)]
#[path = "../../tests/mpeg/nal.rs"]
mod nal;
#[allow(dead_code)]
#[path = "../../tests/mpeg/streams.rs"]
mod streams;

use p2pgate::mpeg::Codec;
use streams::{Random, Syntax};

fn main() {
    for seed in 0..24u8 {
        let random = &mut Random(seed.into());
        let syntax = if seed % 2 == 0 { Syntax::Mpeg2 } else { Syntax::Mpeg1 };
        let mut video = streams::video(random, syntax, 3);
        video.truncate(3000);
        let nal = [Codec::H264, Codec::Hevc].map(|codec| nal::stream(random, codec, 4).data());
        let kinds = [(2, &video), (0x1b, &nal[0]), (0x24, &nal[1])];
        let (kind, stream) = kinds[usize::from(seed) % 3];
        let packets = streams::transport_stream_of(random, stream, 188, kind);
        let map = if kind == 2 { Vec::new() } else { vec![(kind, 0xe0)] };
        let program = streams::program_stream_of(random, stream, syntax == Syntax::Mpeg1, &map);
        for (target, data) in
            [("es", &video), ("ps", &program), ("ts", &packets), ("h264", &nal[0]), ("hevc", &nal[1])]
        {
            let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
            std::fs::create_dir_all(&folder).unwrap();
            let seed_byte = if target == "ts" { seed | 0x80 } else { seed };
            std::fs::write(folder.join(format!("seed-{seed}")), [&[seed_byte], &data[..]].concat()).unwrap();
        }
    }
}
