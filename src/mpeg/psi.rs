//! PAT and PMT (ISO/IEC 13818-1, 2.4.4): which PID carries what. Sections are read as they come, without a buffer;
//! what they say counts once their CRC is right.

use super::Codec;

/// PIDs that are remembered; those past it stay unknown, and so are sealed.
const ENTRIES: usize = 48;

/// Owners from here on are sections of the PAT.
const IN_PAT: u16 = 0x2000;

/// CRC_32 (Annex A) with one more byte.
#[inline]
pub(super) fn crc(crc: u32, byte: u8) -> u32 {
    (0..8)
        .fold(crc ^ u32::from(byte) << 24, |crc, _| (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
}

const PAT: u8 = 0;
const PMT: u8 = 2;

/// What a PID carries. The later in this order wins when programs disagree.
#[derive(Copy, Clone, Eq, PartialEq, Ord, PartialOrd, Debug)]
pub(super) enum Carries {
    Unknown,
    NotVideo,
    Map,
    /// MPEG-1 or MPEG-2 video.
    Video,
    H264,
    Hevc,
    /// Programs say different codings of video.
    Disputed,
}

impl Carries {
    pub(super) const fn codec(self) -> Option<Codec> {
        match self {
            Self::H264 => Some(Codec::H264),
            Self::Hevc => Some(Codec::Hevc),
            _ => None,
        }
    }

    fn and(self, other: Self) -> Self {
        let disputed = self != other && self.is_video() && other.is_video();
        if disputed { Self::Disputed } else { self.max(other) }
    }

    pub(super) const fn is_video(self) -> bool {
        matches!(self, Self::Video | Self::H264 | Self::Hevc)
    }

    pub(super) const fn by_stream_type(kind: u8) -> Self {
        match kind {
            0x01 | 0x02 => Self::Video,
            0x1b => Self::H264,
            0x24 => Self::Hevc,
            // Audio; private sections; DSM-CC; AAC; metadata; AC-3, DTS, TrueHD and SCTE-35; Blu-ray's graphics, text.
            0x03..=0x05 | 0x08 | 0x0a..=0x0d | 0x0f | 0x11 | 0x15 | 0x81..=0x87 | 0x8a | 0x90..=0x92 => {
                Self::NotVideo
            }
            _ => Self::Unknown,
        }
    }
}

#[derive(Copy, Clone)]
struct Entry {
    pid: u16,
    /// The PID of the PMT that says so, or the number of the PAT's section.
    owner: u16,
    carries: Carries,
    /// From a section whose CRC has not come.
    draft: bool,
    /// The next continuity counter of a PID that isn't video; 16: any.
    counter: u8,
}

const EMPTY: Entry = Entry { pid: 0, owner: 0, carries: Carries::Unknown, draft: false, counter: ANY };
/// Any continuity counter will do.
pub(super) const ANY: u8 = 16;

pub(super) struct Psi {
    entries: [Entry; ENTRIES],
    count: u8,
    /// The section being read: its PID, bytes so far, and bytes in all (0: none, or what is left is stuffing).
    pid: u16,
    at: u16,
    len: u16,
    crc: u32,
    table: u8,
    owner: u16,
    usable: bool,
    /// Nothing but sections, their CRCs right as far as they have come, in the packet being read.
    sound: bool,
    /// Descriptors or names to skip, and the entry being read.
    skip: u16,
    field: u8,
    bytes: [u8; 5],
    /// The entry's type is 6, private: only a descriptor says what it is.
    private: bool,
    descriptor: (u8, u8, u8),
}

impl Psi {
    pub(super) const fn new() -> Self {
        Self {
            entries: [EMPTY; ENTRIES],
            count: 0,
            pid: 0,
            at: 0,
            len: 0,
            crc: 0,
            table: 0,
            owner: 0,
            usable: false,
            sound: false,
            skip: 0,
            field: 0,
            bytes: [0; 5],
            private: false,
            descriptor: (0, 0, 0),
        }
    }

    fn entries(&self) -> &[Entry] {
        self.entries.get(..usize::from(self.count)).unwrap_or_default()
    }

    #[inline]
    pub(super) fn carries(&self, pid: u16) -> Carries {
        match pid {
            0 => return Carries::Map,
            // Service information, null packets, and ATSC's PSIP.
            0x01..=0x1f | 0x1ffb | 0x1fff => return Carries::NotVideo,
            _ => {}
        }
        let said = self.entries().iter().filter(|entry| entry.pid == pid && !entry.draft);
        said.map(|entry| entry.carries).reduce(Carries::and).unwrap_or(Carries::Unknown)
    }

    /// The PIDs that carry video.
    pub(super) fn video(&self) -> impl Iterator<Item = (u16, Carries)> {
        let pids = self.entries().iter().map(|entry| entry.pid);
        pids.map(|pid| (pid, self.carries(pid))).filter(|(_, carries)| carries.is_video())
    }

    /// Whether `counter` is what a PID that isn't video has next.
    pub(super) fn continues(&mut self, pid: u16, counter: u8) -> bool {
        let Some(entry) =
            self.entries.iter_mut().take(usize::from(self.count)).find(|entry| entry.pid == pid)
        else {
            return true;
        };
        let as_expected = [ANY, counter, (counter + 1) & 15].contains(&entry.counter);
        entry.counter = (counter + 1) & 15;
        as_expected
    }

    /// Takes the payload of a packet of PAT or PMT. `Some(true)`: a table changed; `None`: no part of a section.
    pub(super) fn feed(&mut self, pid: u16, payload: &[u8], starts: bool) -> Option<bool> {
        let mut changed = false;
        let mut rest = payload;
        self.sound = true;
        if starts {
            let (&pointer, sections) = payload.split_first()?;
            let (end, sections) = sections.split_at_checked(usize::from(pointer))?;
            if self.pid == pid {
                end.iter().for_each(|&byte| changed |= self.byte(byte));
            }
            self.begin(pid);
            rest = sections;
        } else if self.pid != pid || self.len == 0 {
            return None;
        }
        for &byte in rest {
            changed |= self.byte(byte);
        }
        self.sound.then_some(changed)
    }

    fn begin(&mut self, pid: u16) {
        self.discard();
        (self.pid, self.at, self.len, self.crc, self.usable) = (pid, 0, 3, u32::MAX, true);
    }

    fn discard(&mut self) {
        self.retain(|entry| !entry.draft);
        self.len = 0;
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let mut kept = 0;
        for at in 0..usize::from(self.count) {
            let entry = self.entries[at];
            if keep(&entry) {
                self.entries[kept] = entry;
                kept += 1;
            }
        }
        self.count = kept as u8;
    }

    /// One byte of a section; true when it ends one that says something new.
    fn byte(&mut self, byte: u8) -> bool {
        if self.len == 0 {
            return false;
        }
        self.crc = crc(self.crc, byte);
        let at = self.at;
        self.at += 1;
        match at {
            0 => {
                self.table = byte;
                self.usable = if self.pid == 0 { byte == PAT } else { byte == PMT };
                if byte == 0xff {
                    self.len = 0;
                }
            }
            1 => self.bytes[0] = byte,
            2 => {
                let len = u16::from_be_bytes([self.bytes[0] & 0x0f, byte]);
                // section_syntax_indicator, '0'
                self.sound &= self.bytes[0] & 0xc0 == 0x80;
                self.usable &= self.sound;
                let least = if self.table == PAT { 9 } else { 13 };
                self.usable &= (least..=1021).contains(&len);
                self.len = 3 + len;
                (self.skip, self.field, self.private) = (0, 0, false);
            }
            // current_next_indicator
            5 => self.usable &= byte & 1 == 1,
            6 => self.owner = if self.table == PAT { IN_PAT | u16::from(byte) } else { self.pid },
            10 if self.table == PMT => self.bytes[0] = byte,
            11 if self.table == PMT => self.skip = u16::from_be_bytes([self.bytes[0] & 0x0f, byte]),
            _ if at >= self.len.saturating_sub(4) || !self.usable => {}
            8.. if self.table == PAT => self.program(byte),
            12.. => self.stream(byte),
            _ => {}
        }
        if self.len == 0 || self.at < self.len {
            return false;
        }
        self.sound &= self.crc == 0;
        let changed = self.usable && self.sound && self.commit();
        self.discard();
        // Another section may follow in the same packet.
        let pid = self.pid;
        self.begin(pid);
        changed
    }

    /// program_number (16 bits), PID (13).
    fn program(&mut self, byte: u8) {
        self.bytes[usize::from(self.field)] = byte;
        self.field = (self.field + 1) % 4;
        if self.field == 0 {
            let [high, low, a, b, _] = self.bytes;
            let carries = if high | low == 0 { Carries::NotVideo } else { Carries::Map };
            self.draft(u16::from_be_bytes([a & 0x1f, b]), carries);
        }
    }

    /// stream_type (8 bits), PID (13), ES_info_length (12), descriptors.
    fn stream(&mut self, byte: u8) {
        if self.skip > 0 {
            self.skip -= 1;
            if self.private {
                self.descriptor_byte(byte);
            }
            return;
        }
        self.bytes[usize::from(self.field)] = byte;
        self.field = (self.field + 1) % 5;
        if self.field == 0 {
            let [kind, a, b, high, low] = self.bytes;
            self.draft(u16::from_be_bytes([a & 0x1f, b]), Carries::by_stream_type(kind));
            self.skip = u16::from_be_bytes([high & 0x0f, low]);
            self.private = kind == 6;
            self.descriptor = (0, 0, 0);
        }
    }

    /// A private stream is known not to be video by the descriptors of DVB's VBI, teletext, subtitles and sound,
    /// ATSC's AC-3, and ARIB's captions.
    fn descriptor_byte(&mut self, byte: u8) {
        let (tag, left, at) = self.descriptor;
        self.descriptor = match at {
            0 => (byte, 0, 1),
            1 if byte == 0 => (0, 0, 0),
            1 => (tag, byte, 2),
            _ if left == 1 => (0, 0, 0),
            _ => (tag, left - 1, 2),
        };
        let sound_or_text = matches!(tag, 0x45 | 0x46 | 0x56 | 0x59 | 0x6a | 0x7a..=0x7c | 0x81 | 0xfd);
        let entry = self.entries.get_mut(usize::from(self.count).wrapping_sub(1));
        if let (1, true, Some(entry @ Entry { draft: true, .. })) = (at, sound_or_text, entry) {
            entry.carries = Carries::NotVideo;
        }
    }

    fn draft(&mut self, pid: u16, carries: Carries) {
        if let Some(place) = self.entries.get_mut(usize::from(self.count)) {
            *place = Entry { pid, owner: self.owner, carries, draft: true, counter: ANY };
            self.count += 1;
        } else {
            // Half a table would be a wrong one.
            self.usable = false;
        }
    }

    /// The section replaces what its owner said before.
    fn commit(&mut self) -> bool {
        let (owner, table) = (self.owner, self.table);
        let is_map = |entry: &Entry| entry.owner >= IN_PAT;
        let same_owner = move |entry: &Entry| entry.owner == owner && (table == PAT) == is_map(entry);
        let drafts = self.entries().iter().filter(|entry| entry.draft);
        let old = self.entries().iter().filter(|entry| !entry.draft && same_owner(entry));
        if drafts.map(|entry| (entry.pid, entry.carries)).eq(old.map(|entry| (entry.pid, entry.carries))) {
            return false;
        }
        self.retain(|entry| entry.draft || !same_owner(entry));
        for at in 0..usize::from(self.count) {
            self.entries[at].draft = false;
        }
        if table == PAT {
            // Programs that are gone take their streams with them.
            let (entries, count) = (self.entries, usize::from(self.count));
            let maps = entries.get(..count).unwrap_or_default();
            self.retain(|entry| {
                is_map(entry)
                    || maps
                        .iter()
                        .any(|map| is_map(map) && map.pid == entry.owner && map.carries == Carries::Map)
            });
        }
        true
    }
}
