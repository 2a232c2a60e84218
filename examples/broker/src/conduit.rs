//! What holds a lane's bytes between two sockets: a pipe that `splice(2)` fills and empties without copying, or a buffer where there is none.

use mio::net::TcpStream;
use std::io::{self, Read, Write};

/// What a conduit holds at most; a pipe's own size on Linux.
const CAPACITY: usize = 64 * 1024;

/// Bytes on their way from one socket to another.
pub(crate) enum Conduit {
    #[cfg(target_os = "linux")]
    Pipe {
        outlet: std::os::fd::OwnedFd,
        inlet: std::os::fd::OwnedFd,
        held: usize,
    },
    Buffer {
        bytes: Box<[u8]>,
        start: usize,
        end: usize,
    },
}

impl Conduit {
    /// A pipe if `files` may be opened for it and the system gives one, else a buffer.
    pub(crate) fn new(files: bool) -> Self {
        #[cfg(target_os = "linux")]
        if files {
            use rustix::pipe::{PipeFlags, pipe_with};
            match pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC) {
                Ok((outlet, inlet)) => return Self::Pipe { outlet, inlet, held: 0 },
                Err(error) => tracing::debug!(%error, "no pipe for a lane: its bytes are copied"),
            }
        }
        let _ = files;
        Self::Buffer { bytes: vec![0; CAPACITY].into_boxed_slice(), start: 0, end: 0 }
    }

    pub(crate) fn held(&self) -> usize {
        match self {
            #[cfg(target_os = "linux")]
            Self::Pipe { held, .. } => *held,
            Self::Buffer { start, end, .. } => end - start,
        }
    }

    /// Takes up to `most` bytes from the socket; 0: it has ended. "Would block" also says that the conduit is full.
    pub(crate) fn fill(&mut self, mut from: &TcpStream, most: u64) -> io::Result<usize> {
        let most = usize::try_from(most).unwrap_or(CAPACITY).min(CAPACITY);
        match self {
            #[cfg(target_os = "linux")]
            Self::Pipe { inlet, held, .. } => {
                let moved = splice(from, inlet, most)?;
                *held += moved;
                Ok(moved)
            }
            Self::Buffer { bytes, start, end } => {
                if *start < *end {
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                (*start, *end) = (0, 0);
                *end = from.read(&mut bytes[..most])?;
                Ok(*end)
            }
        }
    }

    /// Gives what is held to the socket, as far as that takes it.
    pub(crate) fn drain(&mut self, mut to: &TcpStream) -> io::Result<usize> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Pipe { outlet, held, .. } => {
                let moved = splice(outlet, to, *held)?;
                *held -= moved;
                Ok(moved)
            }
            Self::Buffer { bytes, start, end } => {
                let moved = to.write(&bytes[*start..*end])?;
                *start += moved;
                Ok(moved)
            }
        }
    }
}

#[cfg(target_os = "linux")]
fn splice(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, most: usize) -> io::Result<usize> {
    use rustix::pipe::SpliceFlags;
    Ok(rustix::pipe::splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}
