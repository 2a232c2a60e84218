//! What has to hold whatever comes in, a module for each target or family of targets.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

pub mod abi;
pub mod blob;
pub mod broker;
mod input;
pub mod lane;
pub mod link;
pub mod message;
pub mod part;
pub mod splitter;
pub mod terminal;
