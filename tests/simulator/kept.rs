//! Worlds that went wrong once.
