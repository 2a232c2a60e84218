//! Transport streams (ISO/IEC 13818-1, 2.4) in packets of 188, 192 (a time stamp before) or 204 bytes (parity after).

use super::backlog::{Backlog, Tag};
use super::psi::{ANY, Carries, Psi};
use super::scan::Search;
use super::video::Video;
use super::{Context, Part, ps};

/// Video PIDs that are split; further ones are sealed.
const STREAMS: usize = 6;
const PACKET: usize = 188;
const SYNC: u8 = 0x47;
/// Bytes of a PES header up to PES_header_data_length.
const FIXED: u8 = 9;
/// Packets looked at together, at most.
const LONGEST_RUN: usize = 96;

#[derive(Copy, Clone)]
struct Stream {
    pid: u16,
    /// The last continuity counter; [`ANY`]: none.
    counter: u8,
    /// The last packet came twice already.
    repeated: bool,
    /// Bytes of the PES header seen, up to [`FIXED`], then those still to skip, of which the last are stuffing.
    header: u8,
    skip: u8,
    stuffing: u8,
    /// The PES packet can be read: not scrambled, and its start was seen.
    clear: bool,
    /// All of the last packet is as the stream goes on.
    even: bool,
    /// Of the last packet, to tell one sent twice from sixteen lost.
    print: u64,
    video: Video,
}

pub(super) struct Ts {
    size: u8,
    /// The packet being taken: its stream, payload left, bytes after it.
    stream: u8,
    left: u8,
    parity: u8,
    last_seen: u8,
    /// The next packet's beginning is a guess.
    resynced: bool,
    psi: Psi,
    streams: [Stream; STREAMS],
}

const IDLE: Stream = Stream {
    pid: 0,
    counter: ANY,
    repeated: false,
    header: FIXED,
    skip: 0,
    stuffing: 0,
    clear: false,
    even: false,
    print: 0,
    video: Video::NONE,
};
const UNDECIDED: Tag = Tag::Is(Part::Undecided);
const NOT_VIDEO: Tag = Tag::Is(Part::NotVideo);

/// Where a packet's payload begins, and whether its clock is new. `None`: there is no such packet, it is damaged.
fn payload(packet: &[u8; PACKET]) -> Option<(usize, bool)> {
    let field = usize::from(packet[4]);
    match packet[3] >> 4 & 3 {
        1 => return Some((4, false)),
        2 if field == 183 => {}
        3 if field <= 182 => {}
        _ => return None,
    }
    if field == 0 {
        return Some((5, false));
    }
    // What the flags announce has to fit, and the rest is stuffing: a payload taken for a field rarely looks so.
    let flags = packet[5];
    let mut at = 6;
    for (flag, len) in [(0x10, 6), (0x08, 6), (0x04, 1)] {
        at += if flags & flag != 0 { len } else { 0 };
    }
    for flag in [0x02, 0x01] {
        at += if flags & flag != 0 { 1 + usize::from(*packet.get(at)?) } else { 0 };
    }
    let stuffing = packet.get(at..5 + field)?;
    stuffing.iter().all(|&byte| byte == 0xff).then_some((5 + field, flags & 0x80 != 0))
}

impl Ts {
    pub(super) const fn new(size: u8) -> Self {
        Self {
            size,
            stream: 0,
            left: 0,
            parity: 0,
            last_seen: 0,
            resynced: false,
            psi: Psi::new(),
            streams: [IDLE; STREAMS],
        }
    }

    pub(super) const fn size(&self) -> u8 {
        self.size
    }

    /// Looks at what comes next and returns how many bytes that were; 0: more are needed.
    pub(super) fn step(&mut self, fresh: &[u8], last: bool, context: &mut Context) -> usize {
        if self.left > 0 {
            return self.payload(fresh, context);
        }
        let size = usize::from(self.size);
        let lead = if size == 192 { 4 } else { 0 };
        if fresh.len() < 3 * size + 5 && !last {
            return 0;
        }
        // Past the end of the input there is nothing to be wrong.
        let sync = |at: usize| fresh.get(at + lead).is_none_or(|&byte| byte == SYNC);
        // Two of the next three have to agree with this one: a packet cut short is often followed by one right byte.
        let wrong = [1, 2, 3].into_iter().filter(|&packet| !sync(packet * size)).count();
        let agree = wrong == 0 || (wrong == 1 && fresh.len() > 3 * size + lead);
        let packet =
            fresh.get(lead..).and_then(|rest| rest.first_chunk::<PACKET>()).filter(|_| fresh.len() >= size);
        match packet {
            Some(packet) if agree && sync(0) && !self.resynced => {
                let following = if wrong == 0 { fresh.get(size..).unwrap_or_default() } else { &[] };
                self.packet(packet, following, size, lead, context)
            }
            Some(_) if agree && (!sync(0) || self.resynced) && fresh.len() > 2 * size + lead => {
                self.resynced = false;
                context.backlog.push(size, UNDECIDED);
                size
            }
            _ => {
                for (id, stream) in (0..).zip(&mut self.streams) {
                    stream.lose(id, context.backlog);
                }
                self.resynced = true;
                let skip = (1..size).find(|&at| sync(at) && sync(at + size) && sync(at + 2 * size));
                let skip = skip.unwrap_or(size).min(fresh.len());
                context.backlog.push(skip, UNDECIDED);
                skip
            }
        }
    }

    fn packet(
        &mut self,
        packet: &[u8; PACKET],
        following: &[u8],
        size: usize,
        lead: usize,
        context: &mut Context,
    ) -> usize {
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (damaged, starts) = (packet[1] & 0x80 != 0, packet[1] & 0x40 != 0);
        let (scrambled, carries_payload, counter) =
            (packet[3] >> 6 != 0, packet[3] & 0x10 != 0, packet[3] & 15);
        let tag = match self.slot(pid) {
            _ if damaged => UNDECIDED,
            Some(slot) => return self.video(slot, packet, following, size, lead, context),
            None => match (self.psi.carries(pid), payload(packet)) {
                (Carries::NotVideo, _) if !carries_payload || self.psi.continues(pid, counter) => NOT_VIDEO,
                // Nothing but a clock.
                (_, Some((PACKET.., _))) => NOT_VIDEO,
                (Carries::Map, Some((at, _))) if !scrambled => {
                    match self.psi.feed(pid, packet.get(at..).unwrap_or_default(), starts) {
                        Some(changed) => {
                            if changed {
                                self.assign(context);
                            }
                            NOT_VIDEO
                        }
                        None => UNDECIDED,
                    }
                }
                (carries, _) => {
                    if let Some(codec) = carries.codec() {
                        context.found.codec(codec);
                    }
                    UNDECIDED
                }
            },
        };
        context.backlog.push(size, tag);
        size
    }

    #[inline]
    fn slot(&mut self, pid: u16) -> Option<u8> {
        if self.streams.get(usize::from(self.last_seen)).is_some_and(|stream| stream.pid == pid && pid != 0) {
            return Some(self.last_seen);
        }
        let slot = self.streams.iter().position(|stream| stream.pid == pid && pid != 0)? as u8;
        self.last_seen = slot;
        Some(slot)
    }

    /// Gives each video PID of the tables a place, and takes it from those that are gone.
    fn assign(&mut self, context: &mut Context) {
        for (id, stream) in (0..).zip(&mut self.streams) {
            let carries = self.psi.carries(stream.pid);
            if stream.pid != 0 && !(carries.is_video() && carries.codec() == stream.video.codec()) {
                stream.video.lose(id, context.backlog);
                stream.video.finish(id, context);
                *stream = IDLE;
            }
        }
        for (pid, carries) in self.psi.video() {
            if !self.streams.iter().any(|stream| stream.pid == pid)
                && let Some(video) = Video::new(carries.codec())
                && let Some(free) = self.streams.iter_mut().find(|stream| stream.pid == 0)
            {
                (free.pid, free.video) = (pid, video);
            }
        }
    }

    fn video(
        &mut self,
        slot: u8,
        packet: &[u8; PACKET],
        following: &[u8],
        size: usize,
        lead: usize,
        context: &mut Context,
    ) -> usize {
        let backlog = &mut *context.backlog;
        let Some(stream) = self.streams.get_mut(usize::from(slot)) else { return 0 };
        let counter = packet[3] & 15;
        let (start, jump) = match payload(packet) {
            Some((PACKET.., _)) => {
                backlog.push(size, stream.video.tag(slot));
                return size;
            }
            Some(found) if packet[3] >> 6 == 0 => found,
            _ => {
                stream.lose(slot, backlog);
                stream.counter = counter;
                backlog.push(size, UNDECIDED);
                return size;
            }
        };
        let print = print(packet);
        if counter == stream.counter && print == stream.print && !stream.repeated {
            stream.repeated = true;
            backlog.push(size, if stream.even { stream.video.tag(slot) } else { UNDECIDED });
            return size;
        }
        if jump || (stream.counter != ANY && counter != (stream.counter + 1) & 15) {
            stream.lose(slot, backlog);
        }
        (stream.counter, stream.print, stream.repeated, stream.even) = (counter, print, false, true);
        if packet[1] & 0x40 != 0 {
            (stream.header, stream.skip, stream.clear) = (0, 0, true);
        }
        let bytes = packet.get(start..).unwrap_or_default();
        if stream.header == FIXED
            && stream.skip == 0
            && stream.clear
            && stream.video.goes_through(bytes, context.search)
        {
            let more = stream.run(packet, following, size, lead, context.search);
            backlog.push(size + more, stream.video.tag(slot));
            return size + more;
        }
        // The packet's own header goes with its payload.
        backlog.push(lead + start, stream.video.tag(slot));
        (self.stream, self.left, self.parity) = (slot, (PACKET - start) as u8, (size - lead - PACKET) as u8);
        lead + start
    }

    /// Payload of a video packet, which is all there.
    fn payload(&mut self, fresh: &[u8], context: &mut Context) -> usize {
        let (slot, left) = (self.stream, usize::from(self.left));
        let bytes = fresh.get(..left).unwrap_or(fresh);
        let Some(stream) = self.streams.get_mut(usize::from(slot)) else { return 0 };
        let before = stream.video.tag(slot);
        let mut taken = stream.pes_header(slot, bytes, context.backlog);
        if taken == 0 {
            taken = if stream.clear {
                stream.video.feed(slot, bytes, true, false, context).taken
            } else {
                context.backlog.push(bytes.len(), UNDECIDED);
                bytes.len()
            };
        }
        // Where something waits, it may be for two pictures.
        stream.even &= stream.video.tag(slot) == before && matches!(before, Tag::Is(_));
        self.left -= taken as u8;
        if self.left == 0 && self.parity > 0 {
            let parity = usize::from(self.parity);
            context.backlog.push(parity, stream.video.tag(slot));
            return taken + parity;
        }
        taken
    }

    pub(super) fn finish(&mut self, context: &mut Context) {
        for (id, stream) in (0..).zip(&mut self.streams) {
            stream.video.finish(id, context);
        }
    }
}

/// What tells a packet from others, well enough to tell one sent twice from sixteen lost.
fn print(packet: &[u8; PACKET]) -> u64 {
    let last = packet.last_chunk().map_or(0, |last| u64::from_be_bytes(*last));
    let first = packet.first_chunk().map_or(0, |first: &[u8; 8]| u64::from_be_bytes(*first));
    last ^ first.rotate_left(29)
}

impl Stream {
    /// Takes the packets after `packet` that are nothing but more of the same picture, and returns their bytes. Their
    /// payloads are searched in one go: that of 184 bytes each would take longer than all else.
    fn run(
        &mut self,
        packet: &[u8; PACKET],
        following: &[u8],
        size: usize,
        lead: usize,
        search: &Search,
    ) -> usize {
        let header = u32::from_be_bytes([SYNC, packet[1] & 0x1f, packet[2], 0x10]);
        let at = |packet: usize| packet * size + lead;
        let (mut packets, mut counter, mut zero) = (0_usize, packet[3] & 15, false);
        for next in following.chunks_exact(size).take(LONGEST_RUN) {
            counter = (counter + 1) & 15;
            let Some(next) = next.get(lead..).and_then(|next| next.first_chunk::<PACKET>()) else { break };
            let expected = header | u32::from(counter);
            // A zero at a packet's end may begin a start code, which nothing but a 0 or 1 goes on with.
            if u32::from_be_bytes([next[0], next[1], next[2], next[3]]) != expected || (zero && next[4] < 2) {
                break;
            }
            zero = next[PACKET - 1] == 0;
            packets += 1;
        }
        // Three packets behind each have to begin with the sync byte: behind the last three these weren't looked at.
        let sync = |packet: usize| following.get(at(packet)) == Some(&SYNC);
        packets = (packets.saturating_sub(3)..packets).find(|packet| !sync(packet + 3)).unwrap_or(packets);
        // What comes behind the last one isn't known.
        while packets > 0 && following.get(at(packets - 1) + PACKET - 1) == Some(&0) {
            packets -= 1;
        }
        let mut from = 0;
        let (mut row, mut last) = (self.video.row(), 0);
        while let Some(found) = search.prefix(following.get(..packets * size).unwrap_or_default(), from) {
            let (number, offset) = (found / size, (found % size).wrapping_sub(lead));
            if number > last {
                (row, last) = (self.video.row(), number);
            }
            // Bytes before and after a packet, and those of its header, only look like a prefix.
            let mut changes = || offset == PACKET - 3 || !self.video.goes_on(following[found + 3]);
            if (4..PACKET - 2).contains(&offset) && changes() {
                self.video.set_row(row);
                packets = number;
                break;
            }
            from = found + 3;
        }
        if let Some(packet) = packets.checked_sub(1).and_then(|last| following.get(at(last)..)?.first_chunk())
        {
            (self.counter, self.print) = (packet[3] & 15, print(packet));
        }
        packets * size
    }

    /// Something is missing.
    fn lose(&mut self, id: u8, backlog: &mut Backlog) {
        self.video.lose(id, backlog);
        self.counter = ANY;
        // The payload goes on behind what is missing; had it been in the middle of a PES header, it waits for the next.
        self.clear &= self.header == FIXED && self.skip == 0;
    }

    /// Takes what is left of a PES header, which belongs to what comes before it.
    fn pes_header(&mut self, id: u8, bytes: &[u8], backlog: &mut Backlog) -> usize {
        let mut taken = 0;
        for &byte in bytes {
            if self.header < FIXED {
                let valid = match self.header {
                    0 | 1 => byte == 0,
                    2 => byte == 1,
                    3 => byte & 0xf0 == 0xe0,
                    // '10', PES_scrambling_control '00'
                    6 => byte & 0xf0 == 0x80,
                    7 => {
                        self.stuffing = ps::announced(byte).unwrap_or(u8::MAX);
                        true
                    }
                    8 => {
                        let fields = if self.stuffing == u8::MAX { byte } else { self.stuffing };
                        (self.skip, self.stuffing) = (byte, byte.saturating_sub(fields));
                        fields <= byte
                    }
                    _ => true,
                };
                self.header += 1;
                if !valid {
                    (self.header, self.skip, self.clear) = (FIXED, 0, false);
                    self.video.lose(id, backlog);
                }
            } else if self.skip > 0 {
                if self.skip <= self.stuffing && byte != 0xff {
                    (self.skip, self.clear) = (1, false);
                    self.video.lose(id, backlog);
                }
                self.skip -= 1;
            } else {
                break;
            }
            taken += 1;
        }
        backlog.push(taken, self.video.tag(id));
        taken
    }
}
