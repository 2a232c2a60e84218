//! mpeg

/// The class of a segment.
#[derive(Copy, Clone, Eq, PartialEq, Debug)]
pub enum Class {
    /// To be sealed.
    Sealed,
    /// All others.
    Rest,
}
