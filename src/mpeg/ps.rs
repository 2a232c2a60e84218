//! Program streams (ISO/IEC 11172-1 and 13818-1, 2.5) and bare elementary streams, which are read as one payload
//! without end until a pack header shows that the file began in the middle of a program stream.

use super::backlog::{Backlog, GLUE, Tag};
use super::layer::SYSTEM;
use super::video::Video;
use super::{Container, Context, Part, scan};
#[cfg(feature = "nal")]
use super::{container, psi::Carries};

/// Video streams of a program stream that are split; further ones are sealed.
const STREAMS: usize = 4;
/// Packets up to this size that aren't video are looked at whole: those of discs (2048 and 2324 bytes) are smaller.
const CHECKED: usize = 2560;
/// Zeros that may follow a packet.
const STUFFING: [u8; 16] = [0; 16];
/// What a packet's header may need: start code, length, flags, 255 bytes of header data.
const LOOK_AHEAD: usize = 6 + 3 + 255;
const UNBOUNDED: u32 = u32::MAX;

const PROGRAM_END: u8 = 0xb9;
const PACK: u8 = 0xba;
const SYSTEM_HEADER: u8 = 0xbb;
#[cfg(feature = "nal")]
const MAP: u8 = 0xbc;
const AUDIO: u8 = 0xc0;

#[derive(Copy, Clone, Eq, PartialEq)]
enum Payload {
    /// None: the next packet is to begin.
    Between,
    Video(u8),
    /// MPEG audio, whose stream numbers are one wrong bit away from video's.
    Audio,
    Other,
    /// Not video, and another packet begins where this one ends.
    Checked,
    /// Goes with the packet that follows.
    SystemHeader,
    Undecided,
}

pub(super) struct Ps {
    payload: Payload,
    /// Bytes of the payload still to come, or [`UNBOUNDED`].
    left: u32,
    ids: [u8; STREAMS],
    streams: [Video; STREAMS],
    /// The stream whose packet ends where this one begins, or [`STREAMS`].
    #[cfg(target_pointer_width = "64")]
    ended: u8,
    /// A bit for each stream: how it is coded is known, and it is coded in a way that can't be split.
    #[cfg(feature = "nal")]
    known: u8,
    #[cfg(feature = "nal")]
    refused: u8,
    /// Packs have been seen: not an elementary stream.
    packs: bool,
}

/// Length of a pack header's fixed part and stuffing, if `bytes` begin with one.
pub(super) fn pack_header(bytes: &[u8]) -> Option<usize> {
    match *bytes {
        [0, 0, 1, PACK, a, _, c, _, e, f, _, h, ..]
            if a & 0xf1 == 0x21 && c & 1 == 1 && e & 1 == 1 && f & 0x80 == 0x80 && h & 1 == 1 =>
        {
            Some(12)
        }
        [0, 0, 1, PACK, a, _, c, _, e, f, _, _, i, j, ..]
            if a & 0xc4 == 0x44 && c & 4 == 4 && e & 4 == 4 && f & 1 == 1 && i & 3 == 3 =>
        {
            Some(14 + usize::from(j & 7))
        }
        _ => None,
    }
}

/// Bytes of the fields that the second flag byte of an MPEG-2 PES header announces: PTS and DTS, ESCR, ES rate, trick
/// mode, copyright, CRC. `None`: they can't be told, as there is an extension.
pub(super) fn announced(flags: u8) -> Option<u8> {
    let fields = [(0x80, 5), (0x40, 5), (0x20, 6), (0x10, 3), (0x08, 1), (0x04, 1), (0x02, 2)];
    (flags & 1 == 0).then(|| fields.iter().filter(|(flag, _)| flags & flag != 0).map(|(_, len)| len).sum())
}

/// Length of the header of a packet of video, sound or a private stream, if `bytes` begin with one that is not
/// scrambled and whose parts go together.
pub(super) fn packet_header(bytes: &[u8]) -> Option<usize> {
    let &[0, 0, 1, _, high, low, ref rest @ ..] = bytes else { return None };
    let header = match *rest {
        // MPEG-2: '10', PES_scrambling_control '00'; what no flag announces is stuffing.
        [first, flags, len, ref fields @ ..] if first & 0xf0 == 0x80 => {
            let stuffing = fields.get(..usize::from(len))?.get(announced(flags).unwrap_or(len).into()..)?;
            if stuffing.iter().any(|&byte| byte != 0xff) {
                return None;
            }
            3 + usize::from(len)
        }
        _ => {
            let stuffing = rest.iter().take(16).take_while(|&&byte| byte == 0xff).count();
            let buffer = if rest.get(stuffing)? & 0xc0 == 0x40 { 2 } else { 0 };
            let at = stuffing + buffer;
            at + match rest.get(at)? {
                0x0f => 1,
                0x21..=0x2f => 5,
                0x31..=0x3f => 10,
                _ => return None,
            }
        }
    };
    let len = usize::from(u16::from_be_bytes([high, low]));
    (len == 0 || header <= len).then_some(6 + header)
}

/// As [`packet_header`], of video.
pub(super) fn video_header(bytes: &[u8]) -> Option<usize> {
    packet_header(bytes).filter(|_| matches!(bytes.get(3), Some(0xe0..=0xef)))
}

/// Whether the packet that ends at `end` is followed by another, by zeros, or by the end of the input. `None`: more
/// bytes are needed to tell.
fn ends_well(fresh: &[u8], end: usize, last: bool) -> Option<bool> {
    match fresh.get(end..) {
        Some(&[0, 0, 1, code, ..]) => Some(code >= SYSTEM),
        Some(rest) if rest.starts_with(&STUFFING) => Some(true),
        Some(rest) if rest.len() >= STUFFING.len() => Some(false),
        Some(rest) if last => Some(rest.is_empty()),
        None if last => Some(false),
        _ => None,
    }
}

impl Ps {
    pub(super) const fn new(packs: bool) -> Self {
        Self {
            payload: if packs { Payload::Between } else { Payload::Video(0) },
            left: if packs { 0 } else { UNBOUNDED },
            ids: [0; STREAMS],
            streams: [Video::NONE; STREAMS],
            #[cfg(target_pointer_width = "64")]
            ended: STREAMS as u8,
            #[cfg(feature = "nal")]
            known: 0,
            #[cfg(feature = "nal")]
            refused: 0,
            packs,
        }
    }

    /// Looks at what comes next and returns how many bytes that were; 0: more are needed.
    #[inline]
    pub(super) fn step(&mut self, fresh: &[u8], last: bool, context: &mut Context) -> usize {
        if self.payload == Payload::Between {
            return self.packet(fresh, last, context);
        }
        let left = usize::try_from(self.left).unwrap_or(usize::MAX);
        let complete = fresh.len() >= left || last;
        let bytes = fresh.get(..left).unwrap_or(fresh);
        let taken = match self.payload {
            Payload::Video(slot) => {
                let Some(video) = self.streams.get_mut(usize::from(slot)) else { return 0 };
                let fed = video.feed(slot, bytes, complete, true, context);
                if fed.system && fed.taken == 0 {
                    return self.interrupted(fresh, last, context);
                }
                fed.taken
            }
            _ => self.other(bytes, fresh, complete, last, context),
        };
        if self.left != UNBOUNDED {
            // No more than `left` was taken.
            self.left -= taken as u32;
            if self.left == 0 {
                #[cfg(target_pointer_width = "64")]
                if let Payload::Video(slot) = self.payload {
                    self.ended = slot;
                }
                self.payload = Payload::Between;
                if taken == 0 {
                    return self.packet(fresh, last, context);
                }
            }
        }
        taken
    }

    /// A system start code where there is video: a packet without length ends, or something is missing.
    fn interrupted(&mut self, fresh: &[u8], last: bool, context: &mut Context) -> usize {
        if fresh.len() < LOOK_AHEAD && !last {
            return 0;
        }
        if self.packs {
            if self.left != UNBOUNDED {
                self.lose(context.backlog);
            }
            self.payload = Payload::Between;
            return self.packet(fresh, last, context);
        }
        self.lose(context.backlog);
        if pack_header(fresh).is_some() {
            *self = Self::new(true);
            return self.packet(fresh, last, context);
        }
        let len = fresh.len().min(4);
        context.backlog.push(len, Tag::Is(Part::Undecided));
        len
    }

    /// Payload that isn't video. Its length may be wrong and what follows be video all the same, so it is searched
    /// for pack and video packet headers.
    fn other(
        &mut self,
        bytes: &[u8],
        fresh: &[u8],
        complete: bool,
        last: bool,
        context: &mut Context,
    ) -> usize {
        let backlog = &mut *context.backlog;
        let mut tag = match self.payload {
            Payload::SystemHeader => Tag::Of(GLUE),
            Payload::Undecided => Tag::Is(Part::Undecided),
            _ => Tag::Is(Part::NotVideo),
        };
        let mut from = 0;
        while let Some(at) = context.search.prefix(bytes, from) {
            let rest = fresh.get(at..).unwrap_or_default();
            if rest.len() < LOOK_AHEAD && !last {
                backlog.push(at, tag);
                return at;
            }
            // Small numbers, of which navigation packets are full, look like start codes.
            let checked = self.payload == Payload::Checked;
            let packet = pack_header(rest).is_some() || (!checked && video_header(rest).is_some());
            let video = self.payload == Payload::Audio && rest.get(3).is_some_and(|&code| code < SYSTEM);
            if packet || video {
                backlog.push(at, tag);
                self.lose(backlog);
                if packet {
                    // The packet ends here; nothing is left of it once these bytes are taken.
                    self.left = at as u32;
                    return at;
                }
                self.payload = Payload::Undecided;
                tag = Tag::Is(Part::Undecided);
                backlog.push(3, tag);
                return at + 3;
            }
            from = at + 3;
        }
        let tail = if complete { 0 } else { scan::tail(bytes.get(from..).unwrap_or_default()) };
        backlog.push(bytes.len() - tail, tag);
        bytes.len() - tail
    }

    /// Something is missing: every stream is undecided until its next picture.
    fn lose(&mut self, backlog: &mut Backlog) {
        for (id, video) in (0..).zip(&mut self.streams) {
            video.lose(id, backlog);
        }
    }

    pub(super) fn finish(&mut self, context: &mut Context) {
        for (id, video) in (0..).zip(&mut self.streams) {
            video.finish(id, context);
        }
    }

    /// A packet is to begin.
    fn packet(&mut self, fresh: &[u8], last: bool, context: &mut Context) -> usize {
        if fresh.len() < LOOK_AHEAD && !last {
            return 0;
        }
        #[cfg(target_pointer_width = "64")]
        if let Some((slot, len)) = self.run(fresh, context.search) {
            context.backlog.push(len, slot);
            return len;
        }
        let undecided = Tag::Is(Part::Undecided);
        let not_video = Tag::Is(Part::NotVideo);
        let &[0, 0, 1, code @ SYSTEM..=0xff, ref rest @ ..] = fresh else {
            return self.stray(fresh, last, context.backlog);
        };
        let len = match *rest {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        let header = match code {
            PROGRAM_END => {
                context.backlog.retag(GLUE, not_video);
                context.backlog.push(4, not_video);
                return 4;
            }
            PACK => {
                let Some(header) = pack_header(fresh) else {
                    return self.stray(fresh, last, context.backlog);
                };
                context.found.container = Container::Ps;
                let header = header.min(fresh.len());
                context.backlog.push(header, Tag::Of(GLUE));
                return header;
            }
            0xe0..=0xef if self.is_refused(code) => 0,
            0xe0..=0xef => video_header(fresh).unwrap_or(0),
            _ => 6,
        };
        #[cfg(feature = "nal")]
        if header > 0 && !self.look(code, fresh, header, len, last, context) {
            return 0;
        }
        let (payload, tag) = match code {
            0xe0..=0xef => match self.stream(code).filter(|_| header > 0) {
                Some((slot, video)) => (Payload::Video(slot), video.tag(slot)),
                None => {
                    if let Some((slot, video)) = self.stream(code) {
                        video.lose(slot, context.backlog);
                    }
                    (Payload::Undecided, undecided)
                }
            },
            0xbd | AUDIO..=0xdf if packet_header(fresh).is_none() => {
                self.lose(context.backlog);
                (Payload::Undecided, undecided)
            }
            0xbb..=0xdf if 6 + len > CHECKED => {
                (if code < AUDIO { Payload::Other } else { Payload::Audio }, not_video)
            }
            0xbb..=0xdf => match ends_well(fresh, 6 + len, last) {
                None => return 0,
                Some(false) => {
                    self.lose(context.backlog);
                    (Payload::Undecided, undecided)
                }
                _ if code == SYSTEM_HEADER => (Payload::SystemHeader, Tag::Of(GLUE)),
                #[cfg(feature = "nal")]
                _ if code == MAP => {
                    self.map(fresh.get(..6 + len).unwrap_or_default(), context);
                    (Payload::Checked, not_video)
                }
                _ => (if code < AUDIO { Payload::Checked } else { Payload::Audio }, not_video),
            },
            _ => (Payload::Undecided, undecided),
        };
        context.backlog.retag(GLUE, tag);
        let header = header.max(6).min(fresh.len());
        context.backlog.push(header, tag);
        self.left = match len {
            0 if matches!(payload, Payload::Video(_)) => UNBOUNDED,
            // At most 65535 + 6.
            _ => (len + 6).saturating_sub(header) as u32,
        };
        self.payload = if self.left == 0 { Payload::Between } else { payload };
        header
    }

    /// The stream is coded in a way that can't be split.
    fn is_refused(&self, _id: u8) -> bool {
        #[cfg(feature = "nal")]
        return self.ids.iter().position(|&id| id == _id).is_some_and(|slot| self.refused >> slot & 1 == 1);
        #[cfg(not(feature = "nal"))]
        false
    }

    /// Packs and packets that are nothing but more of the picture with which the last packet ended: what they are, and
    /// their bytes. To take them one by one takes as long as to search them. Microcontrollers search slower.
    #[cfg(target_pointer_width = "64")]
    fn run(&mut self, fresh: &[u8], search: &scan::Search) -> Option<(Tag, usize)> {
        let slot = core::mem::replace(&mut self.ended, STREAMS as u8);
        let (&id, video) = (self.ids.get(usize::from(slot))?, self.streams.get_mut(usize::from(slot))?);
        let mut len = 0;
        while let Some(rest) = fresh.get(len..) {
            let pack = pack_header(rest).unwrap_or(0);
            let Some(&[0, 0, 1, stream, high, low, ..]) = rest.get(pack..) else { break };
            let size = 6 + usize::from(u16::from_be_bytes([high, low]));
            let Some(packet) = rest.get(pack..pack + size).filter(|_| stream == id) else { break };
            let payload = video_header(packet).and_then(|header| packet.get(header..));
            if !payload.is_some_and(|payload| video.goes_through(payload, search)) {
                break;
            }
            len += pack + size;
            self.ended = slot;
        }
        (len > 0).then(|| (video.tag(slot), len))
    }

    /// Learns how the video is coded to which the packet that `fresh` begins with belongs, from its first headers if no
    /// map has said it. `false`: more bytes are needed.
    #[cfg(feature = "nal")]
    #[allow(clippy::too_many_arguments)]
    fn look(
        &mut self,
        code: u8,
        fresh: &[u8],
        header: usize,
        len: usize,
        last: bool,
        context: &mut Context,
    ) -> bool {
        let Some((slot, video)) = self.stream(code) else { return true };
        let decided = video.is_decided();
        if decided {
            self.known |= 1 << slot;
        }
        if self.known >> slot & 1 == 1 {
            return true;
        }
        let end = if len == 0 { CHECKED } else { CHECKED.min(6 + len) };
        if fresh.len() < end && !last {
            return false;
        }
        if let Some(codec) = container::coding(fresh.get(header..end.min(fresh.len())).unwrap_or_default()) {
            self.assign(slot, codec, context);
        }
        true
    }

    /// What a program stream map (13818-1, 2.5.4) says, if it is whole and applies now.
    #[cfg(feature = "nal")]
    fn map(&mut self, packet: &[u8], context: &mut Context) {
        let number =
            |at: usize| packet.get(at..at + 2).map(|two| usize::from(two[0]) << 8 | usize::from(two[1]));
        let whole = packet.iter().fold(u32::MAX, |crc, &byte| super::psi::crc(crc, byte)) == 0;
        if !whole || packet.get(6).is_none_or(|flags| flags & 0x80 == 0) {
            return;
        }
        let Some(mut at) = number(8).map(|information| 12 + information) else { return };
        while let (Some(&[kind, id]), Some(information)) = (packet.get(at..at + 2), number(at + 2)) {
            at += 4 + information;
            if !matches!(id, 0xe0..=0xef) || at + 4 > packet.len() {
                continue;
            }
            let Some((slot, _)) = self.stream(id) else { continue };
            let carries = Carries::by_stream_type(kind);
            self.assign(slot, carries.codec(), context);
            self.refused = self.refused & !(1 << slot) | u8::from(!carries.is_video()) << slot;
        }
    }

    /// `codec`: as [`Video::new`] takes it.
    #[cfg(feature = "nal")]
    fn assign(&mut self, slot: u8, codec: Option<super::Codec>, context: &mut Context) {
        self.known |= 1 << slot;
        if let (Some(video), Some(new)) = (self.streams.get_mut(usize::from(slot)), Video::new(codec))
            && video.codec() != codec
        {
            video.lose(slot, context.backlog);
            video.finish(slot, context);
            *video = new;
        }
    }

    fn stream(&mut self, id: u8) -> Option<(u8, &mut Video)> {
        let at = self.ids.iter().position(|&other| other == id || other == 0)?;
        *self.ids.get_mut(at)? = id;
        Some((at as u8, self.streams.get_mut(at)?))
    }

    /// Bytes between packets that begin none. Zeros are stuffing, anything else means damage.
    fn stray(&mut self, fresh: &[u8], last: bool, backlog: &mut Backlog) -> usize {
        backlog.retag(GLUE, Tag::Is(Part::Undecided));
        let zeros = fresh.iter().take_while(|&&byte| byte == 0).count();
        let begins = matches!(fresh.get(zeros..), Some([1, SYSTEM..=0xff, ..]));
        let len = match zeros {
            3.. if begins || (zeros == fresh.len() && !last) => zeros - 2,
            _ if zeros == fresh.len() => zeros,
            _ => {
                self.lose(backlog);
                let search = scan::Search::new();
                let mut next = search.prefix(fresh, 1);
                while let Some(at) = next.filter(|at| matches!(fresh.get(at + 3), Some(..SYSTEM))) {
                    next = search.prefix(fresh, at + 3);
                }
                next.unwrap_or(if last { fresh.len() } else { fresh.len() - scan::tail(fresh) })
            }
        };
        backlog.push(len, Tag::Is(Part::Undecided));
        len
    }
}
