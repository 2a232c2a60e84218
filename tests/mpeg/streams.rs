//! Streams made for the tests, with what each byte belongs to.

use p2pgate::mpeg::Part;

/// A small generator of evenly spread numbers, so that a seed gives the same stream everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == 0
    }

    /// Bytes as of coded data: no two zeros in a row, and none at the end.
    pub fn coded(&mut self, len: usize) -> Vec<u8> {
        let mut out: Vec<u8> = (0..len).map(|_| if self.one_in(9) { 0 } else { self.next() as u8 }).collect();
        for at in 1..len {
            if out[at - 1] == 0 && out[at] == 0 {
                out[at] = 0x55;
            }
        }
        if let Some(back) = out.last_mut() {
            *back |= 0x10;
        }
        out
    }
}

pub const FRAME: u8 = 3;

#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Syntax {
    Mpeg1,
    Mpeg2,
}

pub fn sequence(syntax: Syntax) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0xb3, 0x16, 0x01, 0x20, 0x13, 0xff, 0xff, 0xe0, 0x18];
    if syntax == Syntax::Mpeg2 {
        out.extend([0, 0, 1, 0xb5, 0x14, 0x8a, 0x00, 0x01, 0x00, 0x00]);
    }
    out
}

pub fn group() -> Vec<u8> {
    vec![0, 0, 1, 0xb8, 0x00, 0x08, 0x00, 0x40]
}

pub fn user_data(len: usize) -> Vec<u8> {
    [vec![0, 0, 1, 0xb2], vec![0x41; len]].concat()
}

/// A picture's header, and in MPEG-2 its extension. `kind`: picture_coding_type.
pub fn header(syntax: Syntax, kind: u8, structure: u8) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0x00, 0x12, 0x80 | kind << 3 | 0x05, 0xa7];
    let code = if syntax == Syntax::Mpeg2 { 7 } else { 3 };
    match kind {
        2 => out.extend([0x38 | code >> 1, code << 7]),
        3 => out.extend([0x38 | code >> 1, code << 7 | code << 3]),
        _ => out.push(0x38),
    }
    if syntax == Syntax::Mpeg2 {
        let (forward, backward) = (if kind == 1 { 15 } else { 4 }, if kind == 3 { 3 } else { 15 });
        out.extend([
            0,
            0,
            1,
            0xb5,
            0x80 | forward,
            forward << 4 | backward,
            backward << 4 | 8 | structure,
            0x80,
            0x80,
        ]);
    }
    out
}

pub fn slices(random: &mut Random, rows: u8, size: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for row in 1..=rows {
        for _ in 0..1 + usize::from(random.one_in(8)) {
            out.extend([0, 0, 1, row]);
            let len = 2 + random.below(size);
            out.extend(random.coded(len));
        }
    }
    out
}

/// A video elementary stream of `count` pictures in groups that begin with an I.
pub fn video(random: &mut Random, syntax: Syntax, count: usize) -> Vec<u8> {
    let mut out = sequence(syntax);
    let mut fields_left = None;
    for number in 0..count {
        let kind = match fields_left {
            Some(1) => 2,
            Some(kind) => kind,
            None if number == 0 || random.one_in(6) => 1,
            None => 2 + random.below(2) as u8,
        };
        let structure = match fields_left.take() {
            Some(_) => 2,
            None if syntax == Syntax::Mpeg2 && random.one_in(3) => {
                fields_left = Some(kind);
                1
            }
            None => FRAME,
        };
        if structure != 2 && kind == 1 && number > 0 {
            if random.one_in(3) {
                out.extend(sequence(syntax));
            }
            if random.one_in(8) {
                out.extend(user_data(20));
            }
            if random.one_in(2) {
                out.extend(group());
            }
        }
        out.extend(header(syntax, kind, structure));
        if random.one_in(4) {
            out.extend(user_data(random.below(90)));
        }
        let rows = 1 + random.below(12) as u8;
        out.extend(slices(random, rows, if kind == 1 { 200 } else { 60 }));
        if random.one_in(6) {
            out.resize(out.len() + random.below(40), 0);
        }
    }
    out.extend([0, 0, 1, 0xb7]);
    out
}

/// A packet of a program stream.
pub fn pes(id: u8, payload: &[u8], mpeg1: bool) -> Vec<u8> {
    let header: &[u8] = match mpeg1 {
        true => &[0xff, 0xff, 0x60, 0x2e, 0x21, 0x00, 0x01, 0x00, 0x01],
        false => &[0x81, 0x80, 0x07, 0x21, 0x00, 0x01, 0x00, 0x01, 0xff, 0xff],
    };
    let mut out = vec![0, 0, 1, id];
    out.extend(((header.len() + payload.len()) as u16).to_be_bytes());
    out.extend(header);
    out.extend(payload);
    out
}

pub fn pack(mpeg1: bool) -> Vec<u8> {
    match mpeg1 {
        true => vec![0, 0, 1, 0xba, 0x21, 0x00, 0x01, 0x00, 0x01, 0x80, 0x01, 0x01],
        false => vec![0, 0, 1, 0xba, 0x44, 0x00, 0x04, 0x00, 0x04, 0x01, 0x01, 0x89, 0xc3, 0xfa, 0xff, 0xff],
    }
}

/// A program stream map. `streams`: stream_type and stream_id.
pub fn map(streams: &[(u8, u8)]) -> Vec<u8> {
    let mut out = vec![0, 0, 1, 0xbc, 0, 0, 0xe1, 0xff, 0, 2, 0x09, 0x00, 0, 0];
    for &(kind, id) in streams {
        out.extend([kind, id, 0, 3, 0x0a, 0x01, 0x65]);
    }
    let entries = out.len() - 14;
    (out[5], out[13]) = ((out.len() - 6 + 4) as u8, entries as u8);
    out.extend(crc(&out).to_be_bytes());
    out
}

/// A program stream with sound, padding and a navigation packet between the video.
pub fn program_stream(random: &mut Random, video: &[u8], mpeg1: bool) -> Vec<u8> {
    program_stream_of(random, video, mpeg1, &[])
}

/// `map`: what a [`map`] says that comes first, if it says anything.
pub fn program_stream_of(random: &mut Random, video: &[u8], mpeg1: bool, streams: &[(u8, u8)]) -> Vec<u8> {
    let mut out = pack(mpeg1);
    out.extend([0, 0, 1, 0xbb, 0, 6, 0x80, 0, 1, 4, 0xe1, 0x7f]);
    if !streams.is_empty() {
        out.extend(map(streams));
    }
    let mut left = video;
    while !left.is_empty() {
        let len = if random.one_in(5) { random.below(4) } else { random.below(900) }.min(left.len());
        out.extend(pes(0xe0, &left[..len], mpeg1));
        left = &left[len..];
        if random.one_in(4) {
            let sound = random.coded(300);
            out.extend(if random.one_in(2) { pack(mpeg1) } else { Vec::new() });
            out.extend(pes(if random.one_in(2) { 0xc0 } else { 0xbd }, &sound, mpeg1));
        }
        if random.one_in(6) {
            out.extend([0, 0, 1, 0xbe, 0, 40]);
            out.resize(out.len() + 40, 0xff);
        }
        if random.one_in(6) {
            out.extend(pack(mpeg1));
        }
        if random.one_in(20) {
            out.extend([0, 0, 1, 0xbf, 0x03, 0xd4]);
            out.extend([0, 0, 1, 0xe0, 0, 10, 0x80, 0].repeat(130).into_iter().take(980));
            out.extend(pack(mpeg1));
        }
    }
    out.extend([0, 0, 1, 0xb9]);
    out
}

pub fn crc(section: &[u8]) -> u32 {
    section.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

fn section(mut body: Vec<u8>) -> Vec<u8> {
    let len = body.len() as u16 - 3 + 4;
    body[1] = 0xb0 | (len >> 8) as u8;
    body[2] = len as u8;
    body.extend(crc(&body).to_be_bytes());
    body
}

pub const PMT: u16 = 0x1000;
pub const VIDEO: u16 = 0x100;
pub const AUDIO: u16 = 0x101;

/// `programs`: number and PID of the PMT.
pub fn pat(programs: &[(u16, u16)]) -> Vec<u8> {
    let mut body = vec![0x00, 0, 0, 0, 1, 0xc1, 0, 0];
    for &(number, pid) in programs {
        body.extend([(number >> 8) as u8, number as u8, 0xe0 | (pid >> 8) as u8, pid as u8]);
    }
    section(body)
}

/// `streams`: stream_type, PID, descriptors.
pub fn pmt(program: u16, streams: &[(u8, u16, &[u8])]) -> Vec<u8> {
    let mut body =
        vec![0x02, 0, 0, (program >> 8) as u8, program as u8, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 2, 0x09, 0x00];
    for (kind, pid, descriptors) in streams {
        body.extend([*kind, 0xe0 | (pid >> 8) as u8, *pid as u8, 0xf0 | (descriptors.len() >> 8) as u8]);
        body.push(descriptors.len() as u8);
        body.extend(*descriptors);
    }
    section(body)
}

/// Makes packets, counting each PID's.
pub struct Mux {
    pub size: usize,
    counters: Vec<(u16, u8)>,
    pub out: Vec<u8>,
}

impl Mux {
    pub fn new(size: usize) -> Self {
        Self { size, counters: Vec::new(), out: Vec::new() }
    }

    /// One packet with as much of `payload` as `room` allows; returns how much that was.
    pub fn packet(&mut self, pid: u16, payload: &[u8], starts: bool, room: usize) -> usize {
        let at = match self.counters.iter().position(|&(other, _)| other == pid) {
            Some(at) => at,
            None => {
                self.counters.push((pid, 0));
                self.counters.len() - 1
            }
        };
        let len = payload.len().min(room).min(184);
        let stuffing = 184 - len;
        let flags = if len > 0 { 0x10 } else { 0 } | if stuffing > 0 { 0x20 } else { 0 };
        let mut packet =
            vec![0x47, (pid >> 8) as u8 | u8::from(starts) << 6, pid as u8, flags | self.counters[at].1];
        if stuffing > 0 {
            packet.push(stuffing as u8 - 1);
            packet.extend([0, 0xff].iter().copied().take(stuffing - 1));
            packet.resize(188 - len, 0xff);
        }
        packet.extend(&payload[..len]);
        if len > 0 {
            self.counters[at].1 = (self.counters[at].1 + 1) & 15;
        }
        self.out.extend(if self.size == 192 { vec![0x12, 0x34, 0x47, 0x78] } else { Vec::new() });
        self.out.extend(packet);
        self.out.extend(if self.size == 204 { vec![0xa5; 16] } else { Vec::new() });
        len
    }

    pub fn section(&mut self, pid: u16, section: &[u8]) {
        let mut payload = vec![0];
        payload.extend(section);
        payload.resize(payload.len().div_ceil(184) * 184, 0xff);
        for (number, bytes) in payload.chunks(184).enumerate() {
            self.packet(pid, bytes, number == 0, 184);
        }
    }

    pub fn tables(&mut self) {
        self.tables_of(2);
    }

    /// `kind`: the video's stream_type.
    pub fn tables_of(&mut self, kind: u8) {
        self.section(0, &pat(&[(1, PMT)]));
        self.section(PMT, &pmt(1, &[(kind, VIDEO, &[]), (3, AUDIO, &[])]));
    }

    pub fn null(&mut self) {
        self.packet(0x1fff, &[0xff; 184], false, 184);
    }

    /// A PES packet without length on a PID of its own.
    pub fn pes(&mut self, pid: u16, id: u8, payload: &[u8]) {
        let bytes = [&[0, 0, 1, id, 0, 0, 0x80, 0x80, 0x05, 0x21, 0x00, 0x01, 0x00, 0x01], payload].concat();
        let mut left = &bytes[..];
        while !left.is_empty() {
            let len = self.packet(pid, left, left.len() == bytes.len(), 184);
            left = &left[len..];
        }
    }
}

/// A transport stream with sound, null packets, repeated tables, and packets of any payload size.
pub fn transport_stream(random: &mut Random, video: &[u8], size: usize) -> Vec<u8> {
    transport_stream_of(random, video, size, 2)
}

/// `kind`: the video's stream_type.
pub fn transport_stream_of(random: &mut Random, video: &[u8], size: usize, kind: u8) -> Vec<u8> {
    let mut mux = Mux::new(size);
    mux.tables_of(kind);
    let mut left = video;
    while !left.is_empty() {
        let len = (1 + random.below(1500)).min(left.len());
        let pes =
            [&[0, 0, 1, 0xe0, 0, 0, 0x80, 0x80, 0x05, 0x21, 0x00, 0x01, 0x00, 0x01], &left[..len]].concat();
        left = &left[len..];
        let mut bytes = &pes[..];
        while !bytes.is_empty() {
            let room = if random.one_in(4) { 1 + random.below(184) } else { 184 };
            let taken = mux.packet(VIDEO, bytes, bytes.len() == pes.len(), room);
            bytes = &bytes[taken..];
            match random.below(30) {
                0 => mux.pes(AUDIO, 0xc0, &random.coded(400)),
                1 => mux.null(),
                2 => mux.tables_of(kind),
                3 => drop(mux.packet(VIDEO, &[], false, 0)),
                4 => {
                    let twice = mux.out[mux.out.len() - size..].to_vec();
                    mux.out.extend(twice);
                }
                _ => {}
            }
        }
    }
    mux.out
}

/// What a picture of this type is.
pub fn part_of(kind: u8) -> Part {
    match kind {
        1 => Part::Intra,
        2 => Part::Predicted,
        3 => Part::Bidirectional,
        4 => Part::DcOnly,
        _ => Part::Undecided,
    }
}
