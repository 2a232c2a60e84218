//! How a command fails: one exit code, one line of text.

use std::fmt;
use std::path::Path;

/// Exit codes; scripts rely on the numbers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Code {
    /// The command line or the input makes no sense.
    Usage = 2,
    /// The callee doesn't permit this caller, or there is no such identifier.
    NotPermitted = 3,
    /// The callee permits the caller but has never given an address.
    NoAddress = 4,
    /// The callee is offline, busy or out of reach.
    NotReachable = 5,
    /// Refused by the broker or the other recorder: size, quota; the other recorder shares nothing, or no recording of that name.
    Refused = 6,
    /// The broker is out of reach or isn't the pinned one.
    Broker = 7,
    /// Content is damaged.
    Damaged = 8,
    /// A local file can't be read or written.
    Local = 9,
}

/// A command that failed: the exit code, and what happened and what to do about it, on one line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// One line for people.
    pub text: String,
}

impl Failure {
    /// A failure; line breaks and control characters in `text` (a peer's words may be in it) become spaces.
    pub fn new(code: Code, text: impl Into<String>) -> Self {
        let text = text.into().replace(|c: char| c.is_control(), " ");
        Self { code, text }
    }

    /// A local file that can't be used (exit code 9).
    pub fn local(what: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::new(Code::Local, format!("{what} {}: {error}", path.display()))
    }

    /// The object that `--json` prints on standard output.
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({ "error": { "code": self.code as u8, "text": self.text } })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
