//! The selection `intra-blocks`: which slices of P and B pictures of MPEG-1 and MPEG-2 hold intra-coded macroblocks.
#![cfg(feature = "blocks")]
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "intra_blocks/truth.rs"]
mod truth;
