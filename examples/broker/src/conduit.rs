//! What holds a lane's bytes between two sockets: a pipe that `splice(2)` fills and empties without copying, or a buffer where there is none.

use crate::socket::{Socket, attempt};
use std::io;

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

    /// Takes up to `most` bytes from the socket; 0: it has ended; `None`: nothing there now, or the conduit is full.
    pub(crate) fn fill(&mut self, from: &mut Socket, most: u64) -> io::Result<Option<usize>> {
        let most = usize::try_from(most).unwrap_or(CAPACITY).min(CAPACITY);
        match self {
            #[cfg(target_os = "linux")]
            Self::Pipe { inlet, held, .. } => {
                let mut ready = from.readable;
                let moved = attempt(&mut ready, || splice(&from.stream, &*inlet, most))?;
                *held += moved.unwrap_or(0);
                // With bytes in it the pipe may be what is full: the socket is asked again once they are gone.
                from.readable = ready || *held > 0;
                Ok(moved)
            }
            Self::Buffer { bytes, start, end } => {
                if *start < *end {
                    return Ok(None);
                }
                let read = from.read(&mut bytes[..most])?;
                (*start, *end) = (0, read.unwrap_or(0));
                Ok(read)
            }
        }
    }

    /// Gives what is held to the socket, as far as that takes it.
    pub(crate) fn drain(&mut self, to: &mut Socket) -> io::Result<usize> {
        let moved = match self {
            #[cfg(target_os = "linux")]
            Self::Pipe { outlet, held, .. } => {
                let Socket { stream, writable, .. } = to;
                let moved = attempt(writable, || splice(&*outlet, &*stream, *held))?.unwrap_or(0);
                *held -= moved;
                moved
            }
            Self::Buffer { bytes, start, end } => {
                let moved = to.write(&bytes[*start..*end])?.unwrap_or(0);
                *start += moved;
                moved
            }
        };
        Ok(moved)
    }
}

#[cfg(target_os = "linux")]
fn splice(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, most: usize) -> io::Result<usize> {
    use rustix::pipe::SpliceFlags;
    Ok(rustix::pipe::splice(from, None, to, None, most, SpliceFlags::MOVE | SpliceFlags::NONBLOCK)?)
}
