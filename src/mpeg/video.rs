//! A video stream of a program or transport stream, of any coding.

use super::backlog::{Backlog, Tag};
use super::es::Es;
use super::layer::{Fed, Layer};
#[cfg(feature = "nal")]
use super::nal::Nal;
use super::scan::Search;
use super::{Codec, Context};

#[derive(Copy, Clone)]
pub(super) enum Video {
    Mpeg(Es),
    #[cfg(feature = "nal")]
    Nal(Nal),
}

impl Video {
    pub(super) const NONE: Self = Self::Mpeg(Es::new());

    /// `codec`: of a stream that isn't MPEG-1 or MPEG-2. `None`: it can't be split.
    pub(super) const fn new(codec: Option<Codec>) -> Option<Self> {
        match codec {
            None => Some(Self::NONE),
            #[cfg(feature = "nal")]
            Some(codec) => Some(Self::Nal(Nal::new(codec))),
            #[cfg(not(feature = "nal"))]
            Some(_) => None,
        }
    }

    /// Pictures have been seen that leave no doubt about the coding.
    #[cfg(feature = "nal")]
    pub(super) const fn is_decided(&self) -> bool {
        match self {
            Self::Mpeg(es) => es.is_decided(),
            Self::Nal(_) => true,
        }
    }

    /// As given to [`Video::new`].
    pub(super) const fn codec(&self) -> Option<Codec> {
        match self {
            Self::Mpeg(_) => None,
            #[cfg(feature = "nal")]
            Self::Nal(nal) => Some(nal.codec()),
        }
    }
}

macro_rules! either {
    ($self:ident, $layer:ident => $call:expr) => {
        match $self {
            Video::Mpeg($layer) => $call,
            #[cfg(feature = "nal")]
            Video::Nal($layer) => $call,
        }
    };
}

impl Video {
    #[inline]
    pub(super) fn tag(&mut self, id: u8) -> Tag {
        either!(self, layer => layer.tag(id))
    }

    #[inline]
    pub(super) fn goes_on(&mut self, code: u8) -> bool {
        either!(self, layer => layer.goes_on(code))
    }

    #[inline]
    pub(super) fn row(&self) -> u8 {
        either!(self, layer => layer.row())
    }

    #[inline]
    pub(super) fn set_row(&mut self, row: u8) {
        either!(self, layer => layer.set_row(row));
    }

    #[inline]
    pub(super) fn goes_through(&mut self, bytes: &[u8], search: &Search) -> bool {
        either!(self, layer => layer.goes_through(bytes, search))
    }

    /// See [`Layer::feed`].
    pub(super) fn feed(
        &mut self,
        id: u8,
        bytes: &[u8],
        complete: bool,
        system: bool,
        context: &mut Context,
    ) -> Fed {
        either!(self, layer => layer.feed(id, bytes, complete, system, context))
    }

    pub(super) fn lose(&mut self, id: u8, backlog: &mut Backlog) {
        either!(self, layer => layer.lose(id, backlog));
    }

    pub(super) fn finish(&mut self, id: u8, context: &mut Context) {
        either!(self, layer => layer.finish(id, context));
    }
}
