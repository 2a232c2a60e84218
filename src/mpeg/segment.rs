//! The two files of a split recording, and the way back.
//!
//! Each file is a header (magic, version, class), records, and an end. A record is the number of its segment and its
//! length, both as LEB128, then the bytes; the records of a segment follow each other. Segments are numbered from 0
//! across both files. The end is a record of length 0 whose number is the count of all segments, followed by the
//! length of the recording (8 bytes, big-endian) and its SHA-256.

use sha2::{Digest, Sha256};

use super::Class;

const MAGIC: [u8; 6] = *b"p2pgs\x01";

/// Bytes of a file's header.
pub const HEADER_LEN: usize = MAGIC.len() + 1;
/// Bytes of a file's end, at most.
pub const END_LEN: usize = MAX_RECORD_LEN + 40;
/// Bytes of a record's header, at most.
pub const MAX_RECORD_LEN: usize = 20;

/// Why two files don't go together. After any of these what was written so far is worth nothing.
#[derive(Copy, Clone, Eq, PartialEq, Debug, thiserror::Error)]
pub enum MergeError {
    /// A file doesn't begin as one of a split recording does.
    #[error("the {0} file is none that `split` wrote; give the one that it did")]
    NotAPart(&'static str),
    /// A file is of the other class.
    #[error("the {0} file holds the other class; exchange the two files")]
    WrongClass(&'static str),
    /// A file ends too early.
    #[error("the {0} file is cut off; fetch it again")]
    Truncated(&'static str),
    /// The files are damaged, or have bytes behind their end.
    #[error("the {0} file is damaged; fetch it again")]
    Corrupt(&'static str),
    /// The two files are of different recordings.
    #[error("the two files are not of the same recording; give both files of one `split`")]
    WrongPair,
}

const fn name(class: Class) -> &'static str {
    match class {
        Class::Sealed => "intra",
        Class::Rest => "rest",
    }
}

const fn index(class: Class) -> usize {
    match class {
        Class::Sealed => 0,
        Class::Rest => 1,
    }
}

const fn class_of(index: usize) -> Class {
    if index == 0 { Class::Sealed } else { Class::Rest }
}

/// A few bytes to write to a file of a split recording.
#[derive(Copy, Clone, Debug)]
pub struct RecordHeader {
    bytes: [u8; END_LEN],
    len: u8,
}

impl RecordHeader {
    const fn new() -> Self {
        Self { bytes: [0; END_LEN], len: 0 }
    }

    fn extend(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.extend(&[number as u8 | 0x80]);
            number >>= 7;
        }
        self.extend(&[number as u8]);
    }
}

impl AsRef<[u8]> for RecordHeader {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Writes a split recording: the caller writes what it returns to the file of the class, then the bytes themselves.
#[derive(Clone)]
pub struct SegmentWriter {
    class: Option<Class>,
    number: u64,
    total: u64,
    digest: Sha256,
}

impl Default for SegmentWriter {
    fn default() -> Self {
        Self::new()
    }
}

impl SegmentWriter {
    /// For a recording of which nothing has been written.
    pub fn new() -> Self {
        Self { class: None, number: 0, total: 0, digest: Sha256::new() }
    }

    /// What the file of `class` begins with.
    pub fn header(class: Class) -> [u8; HEADER_LEN] {
        let mut header = [index(class) as u8; HEADER_LEN];
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header
    }

    /// What goes before `bytes`, the recording's next, in the file of `class`.
    pub fn record(&mut self, class: Class, bytes: &[u8]) -> RecordHeader {
        let mut header = RecordHeader::new();
        if bytes.is_empty() {
            return header;
        }
        if self.class.is_some_and(|before| before != class) {
            self.number += 1;
        }
        self.class = Some(class);
        self.total += bytes.len() as u64;
        self.digest.update(bytes);
        header.number(self.number);
        header.number(bytes.len() as u64);
        header
    }

    /// What both files end with.
    pub fn finish(self) -> RecordHeader {
        let mut end = RecordHeader::new();
        end.number(if self.class.is_some() { self.number + 1 } else { 0 });
        end.number(0);
        end.extend(&self.total.to_be_bytes());
        end.extend(&self.digest.finalize());
        end
    }
}

/// What a [`Merger`] wants next.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Step {
    /// Bytes of the file of this class: give them to [`Merger::read`].
    Read(Class),
    /// The next bytes of the file of this class are the recording's next: write them, all or some, and give them to
    /// [`Merger::copied`].
    Copy(Class, u64),
    /// The recording is complete and right; both files have to end here.
    Done,
}

#[derive(Copy, Clone, Eq, PartialEq)]
struct End {
    segments: u64,
    total: u64,
    digest: [u8; 32],
}

/// One of the two files.
#[derive(Clone)]
struct Input {
    /// Bytes of what is being read: header, record header or end.
    bytes: [u8; END_LEN],
    len: u8,
    opened: bool,
    /// The record whose turn has not come or that is being copied: segment, bytes left.
    record: Option<(u64, u64)>,
    end: Option<End>,
}

/// Puts a split recording together again, from its two files to the recording.
#[derive(Clone)]
pub struct Merger {
    inputs: [Input; 2],
    number: u64,
    total: u64,
    digest: Sha256,
    done: bool,
}

impl Default for Merger {
    fn default() -> Self {
        Self::new()
    }
}

/// A LEB128 number and what follows it. `Ok(None)`: there is more to come.
fn number(bytes: &[u8]) -> Result<Option<(u64, &[u8])>, ()> {
    let mut number = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at > 9 || (at == 9 && bits > 1) {
            return Err(());
        }
        number |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((number, bytes.get(at + 1..).unwrap_or_default())));
        }
    }
    Ok(None)
}

impl Input {
    const fn new() -> Self {
        Self { bytes: [0; END_LEN], len: 0, opened: false, record: None, end: None }
    }

    fn wants(&self) -> bool {
        self.record.is_none() && self.end.is_none()
    }

    /// Takes one byte of what isn't recording.
    fn byte(&mut self, byte: u8, class: Class) -> Result<(), MergeError> {
        if let Some(place) = self.bytes.get_mut(usize::from(self.len)) {
            *place = byte;
            self.len += 1;
        }
        let bytes = self.bytes.get(..usize::from(self.len)).unwrap_or_default();
        if !self.opened {
            if !SegmentWriter::header(class).starts_with(bytes) {
                return Err(match bytes.strip_prefix(&MAGIC) {
                    Some([0 | 1]) => MergeError::WrongClass(name(class)),
                    _ => MergeError::NotAPart(name(class)),
                });
            }
            if bytes.len() == HEADER_LEN {
                (self.opened, self.len) = (true, 0);
            }
            return Ok(());
        }
        let corrupt = |()| MergeError::Corrupt(name(class));
        let Some((segment, rest)) = number(bytes).map_err(corrupt)? else { return Ok(()) };
        let Some((len, rest)) = number(rest).map_err(corrupt)? else { return Ok(()) };
        if len > 0 {
            (self.record, self.len) = (Some((segment, len)), 0);
        } else if let Some((total, digest)) = rest.split_first_chunk()
            && let Ok(digest) = digest.try_into()
        {
            self.end = Some(End { segments: segment, total: u64::from_be_bytes(*total), digest });
        }
        Ok(())
    }
}

impl Merger {
    /// For two files of which nothing has been read.
    pub fn new() -> Self {
        Self { inputs: [const { Input::new() }; 2], number: 0, total: 0, digest: Sha256::new(), done: false }
    }

    /// What to do next.
    ///
    /// # Errors
    /// The files don't go together, or differ from what was written.
    pub fn step(&mut self) -> Result<Step, MergeError> {
        if self.done {
            return Ok(Step::Done);
        }
        if let Some(at) = self.inputs.iter().position(Input::wants) {
            return Ok(Step::Read(class_of(at)));
        }
        // The segment goes on, or the next begins; at first either file may have it.
        for number in [Some(self.number), self.number.checked_add(1).filter(|_| self.total > 0)] {
            for (at, input) in self.inputs.iter().enumerate() {
                if let Some((segment, len)) = input.record.filter(|(segment, _)| Some(*segment) == number) {
                    self.number = segment;
                    return Ok(Step::Copy(class_of(at), len));
                }
            }
        }
        match self.inputs.each_ref().map(|input| input.end) {
            [Some(sealed), Some(rest)] if sealed != rest => Err(MergeError::WrongPair),
            [Some(end), Some(_)] => {
                let segments = if self.total > 0 { self.number.saturating_add(1) } else { 0 };
                let digest: [u8; 32] = self.digest.clone().finalize().into();
                if (end.segments, end.total, end.digest) != (segments, self.total, digest) {
                    return Err(MergeError::Corrupt("intra or rest"));
                }
                self.done = true;
                Ok(Step::Done)
            }
            _ => Err(MergeError::WrongPair),
        }
    }

    /// Takes bytes of the file of `class` that [`Step::Read`] asked for, and returns how many; the others are left for
    /// the next step. An empty slice says that the file has ended.
    ///
    /// # Errors
    /// The file is none of a split recording, of the other class, damaged, or cut off.
    pub fn read(&mut self, class: Class, bytes: &[u8]) -> Result<usize, MergeError> {
        let input = &mut self.inputs[index(class)];
        if bytes.is_empty() && input.wants() {
            return Err(MergeError::Truncated(name(class)));
        }
        let mut taken = 0;
        for &byte in bytes {
            if !input.wants() {
                break;
            }
            input.byte(byte, class)?;
            taken += 1;
        }
        Ok(taken)
    }

    /// The next bytes of the file of `class` that have been copied to the recording, as [`Step::Copy`] said.
    ///
    /// # Errors
    /// None were copied since the file has ended, or more than there were to copy.
    pub fn copied(&mut self, class: Class, bytes: &[u8]) -> Result<(), MergeError> {
        let input = &mut self.inputs[index(class)];
        let len = bytes.len() as u64;
        match &mut input.record {
            _ if len == 0 => return Err(MergeError::Truncated(name(class))),
            Some((_, left)) if *left >= len => {
                *left -= len;
                if *left == 0 {
                    input.record = None;
                }
            }
            _ => return Err(MergeError::Corrupt(name(class))),
        }
        self.total = self.total.saturating_add(len);
        self.digest.update(bytes);
        Ok(())
    }
}
