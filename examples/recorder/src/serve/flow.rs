//! A recording's bytes on their way to whoever asked: a few pieces at a time, at the pace of who takes them and, while the
//! recording still arrives, of who brings them.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::{Body, Bytes, Frame, SizeHint};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::{mpsc, watch};

use super::shelf::{Reach, read_at};

/// Bytes read at once.
const PIECE: u64 = 64 << 10;

/// Where the bytes are.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) file: Arc<File>,
    /// How far they have come, if more are to come.
    pub(super) reach: Option<watch::Receiver<Reach>>,
}

/// Bytes as they come: the body of an answer, or something to read from. Ends with an error if the last ones never come.
#[derive(Debug)]
pub struct Flow {
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    left: u64,
}

impl Flow {
    pub(super) fn start(source: Source, range: Range<u64>, patience: Duration) -> Self {
        let (sender, pieces) = mpsc::channel(1);
        let left = range.end - range.start;
        tokio::spawn(pour(source, range, patience, sender));
        Self { pieces, piece: Bytes::new(), left }
    }

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        if self.left == 0 {
            return Poll::Ready(Ok(Bytes::new()));
        }
        let piece = match ready!(self.pieces.poll_recv(context)) {
            Some(piece) => piece?,
            None => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
        };
        self.left -= piece.len() as u64;
        Poll::Ready(Ok(piece))
    }
}

/// Reads piece by piece until all is sent, nobody wants it any more, or nothing has come for too long.
async fn pour(
    mut source: Source,
    range: Range<u64>,
    patience: Duration,
    sender: mpsc::Sender<io::Result<Bytes>>,
) {
    let mut at = range.start;
    while at < range.end {
        let there = match &mut source.reach {
            None => range.end,
            Some(reach) => tokio::select! {
                () = sender.closed() => return,
                there = arrival(reach, at, patience) => match there {
                    Ok(there) => there.min(range.end),
                    Err(error) => {
                        let _ = sender.send(Err(error)).await;
                        return;
                    }
                },
            },
        };
        let length = (there - at).min(PIECE) as usize;
        let file = source.file.clone();
        let read = tokio::task::spawn_blocking(move || read_at(&file, at, length)).await;
        let piece = read.unwrap_or_else(|error| Err(io::Error::other(error))).map(Bytes::from);
        let failed = piece.is_err();
        at += length as u64;
        if sender.send(piece).await.is_err() || failed {
            return;
        }
    }
}

/// Waits until there is more than `at`, and says how much.
async fn arrival(reach: &mut watch::Receiver<Reach>, at: u64, patience: Duration) -> io::Result<u64> {
    let more = reach.wait_for(|reach| reach.bytes > at || reach.ended);
    let reach = match tokio::time::timeout(patience, more).await {
        Ok(Ok(reach)) => *reach,
        Ok(Err(_)) => Reach { bytes: 0, ended: true },
        Err(_) => return Err(io::ErrorKind::TimedOut.into()),
    };
    if reach.bytes > at { Ok(reach.bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

impl Body for Flow {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.poll_piece(context).map(|piece| Some(piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl AsyncRead for Flow {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.piece.is_empty() {
            self.piece = ready!(self.poll_piece(context))?;
        }
        let length = self.piece.len().min(buffer.remaining());
        buffer.put_slice(&self.piece.split_to(length));
        Poll::Ready(Ok(()))
    }
}
