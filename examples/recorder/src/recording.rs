//! Recordings as files: what they are made of, and their bytes in order, class by class, in bounded memory.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use p2pgate::mpeg::{Class, Codec, Container, Counts, MAX_BLOCKS_LAG, Part, Splitter};
use sha2::{Digest, Sha256};

/// Bytes read at once.
const CHUNK: usize = 256 << 10;

/// How many coded pictures there are of each type; a pair of fields is two.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Pictures {
    /// I-pictures.
    pub i: u64,
    /// P-pictures.
    pub p: u64,
    /// B-pictures.
    pub b: u64,
    /// D-pictures of MPEG-1.
    pub d: u64,
}

/// What a recording is made of.
#[derive(Clone, Copy, Debug)]
pub struct Scan {
    /// Its container.
    pub container: Container,
    /// Bytes from one packet to the next in a transport stream.
    pub packet: Option<u8>,
    /// How its video is coded.
    pub codec: Codec,
    /// Its coded pictures.
    pub pictures: Pictures,
    /// Its length in bytes.
    pub bytes: u64,
    /// Bytes of I-pictures.
    pub i: u64,
    /// Bytes of P-pictures.
    pub p: u64,
    /// Bytes of B-pictures.
    pub b: u64,
    /// Bytes of the class sealed, if it is split.
    pub sealed: u64,
    /// Bytes of the class rest, if it is split.
    pub rest: u64,
    /// Its SHA-256, if asked for.
    pub hash: Option<[u8; 32]>,
}

/// Why a recording in this container cannot be split, if it cannot.
pub fn unsplittable(container: Container) -> Option<&'static str> {
    match container {
        Container::Unknown => Some("is no recording of MPEG-1, MPEG-2, H.264 or HEVC, so it cannot be split"),
        Container::Mp4 => Some("is an MP4 file, which cannot be split"),
        Container::Es | Container::Ps | Container::Ts => None,
    }
}

/// Where a container does not show in so many bytes, there is none that could be split.
const BEGINNING: u64 = 64 << 20;

/// A recording's container, by its beginning.
pub fn container(file: &File) -> io::Result<Container> {
    let mut pieces = Pieces::split(file.try_clone()?, Splitter::new(), 0, usize::MAX);
    while pieces.container() == Container::Unknown
        && pieces.next()?.is_some_and(|piece| piece.offset < BEGINNING)
    {}
    Ok(pieces.container())
}

/// Looks at a recording from end to end; `splitter`, new, says what counts as sealed.
pub fn scan(file: &File, splitter: Splitter, hash: bool) -> io::Result<Scan> {
    let mut pieces = Pieces::split(file.try_clone()?, splitter, 0, usize::MAX);
    let mut digest = hash.then(Sha256::new);
    let (mut sealed, mut rest) = (0, 0);
    while let Some(piece) = pieces.next()? {
        match piece.class {
            Class::Sealed => sealed += piece.bytes.len() as u64,
            Class::Rest => rest += piece.bytes.len() as u64,
        }
        if let Some(digest) = &mut digest {
            digest.update(piece.bytes);
        }
    }
    let splitter = &pieces.splitter;
    let counts: &Counts = splitter.counts();
    Ok(Scan {
        container: splitter.container(),
        packet: splitter.packet_size(),
        codec: splitter.codec(),
        pictures: Pictures { i: counts.i, p: counts.p, b: counts.b, d: counts.d },
        bytes: counts.total(),
        i: counts.bytes(Part::Intra),
        p: counts.bytes(Part::Predicted) + counts.bytes(Part::SecondField),
        b: counts.bytes(Part::Bidirectional),
        sealed,
        rest,
        hash: digest.map(|digest| digest.finalize().into()),
    })
}

/// Bytes of a recording that are of one class and segment.
#[derive(Debug)]
pub struct Piece<'a> {
    /// Their class.
    pub class: Class,
    /// Their segment, from 0.
    pub segment: u64,
    /// The place of the first of them in the recording.
    pub offset: u64,
    /// The bytes.
    pub bytes: &'a [u8],
}

/// A recording's bytes in order.
pub struct Pieces {
    file: File,
    splitter: Splitter,
    /// Without it all is one segment, called sealed.
    split: bool,
    /// Longest piece, bytes.
    most: usize,
    /// Pieces before this place are left out.
    from: u64,
    class: Option<Class>,
    segment: u64,
    /// The place in the recording of the next byte to give out.
    offset: u64,
    /// What is left of the span that the splitter gave last.
    left: usize,
    window: Vec<u8>,
    start: usize,
    end: usize,
    last: bool,
}

impl Pieces {
    /// The recording from byte `from` on, split by `splitter`, which is new; pieces of `most` bytes at most.
    pub fn split(file: File, splitter: Splitter, from: u64, most: usize) -> Self {
        Self::new(file, splitter, true, from, 0, most)
    }

    /// The recording from byte `from` on, as one segment.
    pub fn whole(file: File, from: u64, most: usize) -> Self {
        Self::new(file, Splitter::new(), false, from, from, most)
    }

    fn new(file: File, splitter: Splitter, split: bool, from: u64, offset: u64, most: usize) -> Self {
        Self {
            file,
            splitter,
            split,
            most,
            from,
            class: None,
            segment: 0,
            offset,
            left: 0,
            window: vec![0; CHUNK + MAX_BLOCKS_LAG],
            start: 0,
            end: 0,
            last: false,
        }
    }

    /// The container, as far as it is known yet.
    pub fn container(&self) -> Container {
        self.splitter.container()
    }

    /// How many segments there were so far.
    pub fn segments(&self) -> u64 {
        if self.class.is_some() || self.offset > 0 { self.segment + 1 } else { 0 }
    }

    /// Passes over what is left out, `most` bytes or a span more: a splitter has to see all that is before. `true`: that is done.
    pub fn catch_up(&mut self, most: u64) -> io::Result<bool> {
        let end = self.offset.saturating_add(most);
        while self.offset < self.from && self.offset < end {
            if self.left == 0 && !self.find_span()? {
                return Ok(true);
            }
            self.skip();
        }
        Ok(self.offset >= self.from)
    }

    /// Passes over what is left of the span, as far as it is left out.
    fn skip(&mut self) {
        let gap = usize::try_from(self.from.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        let length = self.left.min(gap);
        self.start += length;
        self.left -= length;
        self.offset += length as u64;
    }

    /// The next bytes.
    #[allow(clippy::should_implement_trait)] // the bytes are lent
    pub fn next(&mut self) -> io::Result<Option<Piece<'_>>> {
        loop {
            if self.left == 0 && !self.find_span()? {
                return Ok(None);
            }
            if self.offset < self.from {
                self.skip();
                continue;
            }
            let length = self.left.min(self.most);
            let (start, offset) = (self.start, self.offset);
            self.start += length;
            self.left -= length;
            self.offset += length as u64;
            let class = self.class.unwrap_or(Class::Sealed);
            let bytes = &self.window[start..start + length];
            return Ok(Some(Piece { class, segment: self.segment, offset, bytes }));
        }
    }

    /// Finds the next run of bytes of one class. `false`: the recording is over.
    fn find_span(&mut self) -> io::Result<bool> {
        loop {
            let window = &self.window[self.start..self.end];
            if self.split {
                if let Some(span) = self.splitter.next(window, self.last) {
                    if self.class.is_some_and(|before| before != span.class) {
                        self.segment += 1;
                    }
                    self.class = Some(span.class);
                    self.left = span.len;
                    return Ok(true);
                }
            } else if !window.is_empty() {
                self.left = window.len();
                return Ok(true);
            }
            if self.last {
                return Ok(false);
            }
            self.read()?;
        }
    }

    fn read(&mut self) -> io::Result<()> {
        self.window.copy_within(self.start..self.end, 0);
        self.end -= self.start;
        self.start = 0;
        let place = self.offset + self.end as u64;
        loop {
            match self.file.read_at(&mut self.window[self.end..], place) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(bytes) => {
                    self.end += bytes;
                    self.last = bytes == 0;
                    return Ok(());
                }
            }
        }
    }
}
