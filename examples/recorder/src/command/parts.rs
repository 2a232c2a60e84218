//! `split` and `merge`: a recording in two files, and the way back.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use p2pgate::mpeg::{Class, MergeError, Merger, SegmentWriter, Splitter, Step};

use crate::cli::{Merge, Split};
use crate::failure::{Code, Failure};
use crate::recording::{Pieces, unsplittable};
use crate::state::Fresh;

const BUFFER: usize = 256 << 10;

/// Parts a recording. Each file appears whole or not at all, the second one after the first.
pub fn split(arguments: &Split) -> Result<(), Failure> {
    let source = &arguments.file;
    never_over(&arguments.intra, &[source])?;
    never_over(&arguments.rest, &[source, &arguments.intra])?;
    let cannot = |error: std::io::Error| Failure::local("cannot read", source, &error);
    let splitter = Splitter::with(arguments.select, false);
    let mut pieces = Pieces::split(File::open(source).map_err(cannot)?, splitter, 0, BUFFER);
    let mut intra = Output::create(&arguments.intra)?;
    let mut rest = Output::create(&arguments.rest)?;
    intra.write(&SegmentWriter::header(Class::Sealed))?;
    rest.write(&SegmentWriter::header(Class::Rest))?;
    let mut writer = SegmentWriter::new();
    while let Some(piece) = pieces.next().map_err(cannot)? {
        let output = match piece.class {
            Class::Sealed => &mut intra,
            Class::Rest => &mut rest,
        };
        output.write(writer.record(piece.class, piece.bytes).as_ref())?;
        output.write(piece.bytes)?;
    }
    if let Some(why) = unsplittable(pieces.container()) {
        return Err(Failure::new(Code::Usage, format!("{} {why}", source.display())));
    }
    let end = writer.finish();
    intra.write(end.as_ref())?;
    rest.write(end.as_ref())?;
    intra.commit()?;
    rest.commit()
}

/// Puts the two parts together; the recording appears only if it is right to the last bit.
pub fn merge(arguments: &Merge) -> Result<(), Failure> {
    never_over(&arguments.out, &[&arguments.intra, &arguments.rest])?;
    let mut intra = Input::open(&arguments.intra)?;
    let mut rest = Input::open(&arguments.rest)?;
    let mut output = Output::create(&arguments.out)?;
    let mut merger = Merger::new();
    let damaged = |error: MergeError| Failure::new(Code::Damaged, error.to_string());
    loop {
        match merger.step().map_err(damaged)? {
            Step::Read(class) => {
                let input = if class == Class::Sealed { &mut intra } else { &mut rest };
                let taken = merger.read(class, input.bytes()?).map_err(damaged)?;
                input.consume(taken);
            }
            Step::Copy(class, most) => {
                let input = if class == Class::Sealed { &mut intra } else { &mut rest };
                let bytes = input.bytes()?;
                let bytes = &bytes[..bytes.len().min(usize::try_from(most).unwrap_or(usize::MAX))];
                merger.copied(class, bytes).map_err(damaged)?;
                output.write(bytes)?;
                let taken = bytes.len();
                input.consume(taken);
            }
            Step::Done => break,
        }
    }
    for (input, path) in [(&mut intra, &arguments.intra), (&mut rest, &arguments.rest)] {
        if !input.bytes()?.is_empty() {
            return Err(Failure::new(
                Code::Damaged,
                format!("{} has bytes behind its end: fetch it again", path.display()),
            ));
        }
    }
    output.commit()
}

/// What is written must replace neither what is read nor what else is written.
fn never_over(output: &Path, others: &[&Path]) -> Result<(), Failure> {
    match others.iter().find(|other| place(other) == place(output)) {
        None => Ok(()),
        Some(other) => Err(Failure::new(
            Code::Usage,
            format!("{} and {} are the same file: name another one", output.display(), other.display()),
        )),
    }
}

/// The one name of a file, be it there or not.
fn place(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default();
    path.canonicalize()
        .or_else(|_| parent.canonicalize().map(|parent| parent.join(name)))
        .unwrap_or_else(|_| path.to_owned())
}

struct Output<'a> {
    fresh: Fresh,
    file: BufWriter<File>,
    path: &'a Path,
}

impl<'a> Output<'a> {
    fn create(path: &'a Path) -> Result<Self, Failure> {
        let cannot = |error: std::io::Error| Failure::local("cannot write", path, &error);
        let fresh = Fresh::create(path).map_err(cannot)?;
        let file = BufWriter::with_capacity(BUFFER, fresh.file.try_clone().map_err(cannot)?);
        Ok(Self { fresh, file, path })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.file.write_all(bytes).map_err(|error| Failure::local("cannot write", self.path, &error))
    }

    fn commit(mut self) -> Result<(), Failure> {
        self.file
            .flush()
            .and_then(|()| self.fresh.commit())
            .map_err(|error| Failure::local("cannot write", self.path, &error))
    }
}

struct Input<'a> {
    file: File,
    path: &'a Path,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl<'a> Input<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| Failure::local("cannot read", path, &error))?;
        Ok(Self { file, path, buffer: vec![0; BUFFER], start: 0, end: 0 })
    }

    /// The next bytes of the file; none at its end.
    fn bytes(&mut self) -> Result<&[u8], Failure> {
        if self.start == self.end {
            self.start = 0;
            self.end = loop {
                match self.file.read(&mut self.buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                    read => break read.map_err(|error| Failure::local("cannot read", self.path, &error))?,
                }
            };
        }
        Ok(&self.buffer[self.start..self.end])
    }

    fn consume(&mut self, bytes: usize) {
        self.start += bytes;
    }
}
