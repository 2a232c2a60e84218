use crate::identifier::IdentifierError;

/// Why bytes are not a message, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("line {line} ({field}): {problem}")]
pub struct ParseError {
    /// The line, counted from 1; 0 when it is the message as a whole.
    pub line: u16,
    /// The name of the line, as in `Name:value`, or a word for what has no name.
    pub field: &'static str,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// More than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("the message is longer than 16384 bytes")]
    TooLong,
    /// More than [`MAX_LINES`](super::MAX_LINES).
    #[error("the message has more than 256 lines")]
    TooManyLines,
    /// Bytes that are not UTF-8.
    #[error("the message is not UTF-8")]
    NotUtf8,
    /// The last line has no LF.
    #[error("the last line does not end in LF")]
    Unterminated,
    /// A control character other than LF.
    #[error("there is a control character")]
    Control,
    /// The first line, or the second of a `NOTIFY`, is none that the protocol has.
    #[error("no such message is known")]
    Unknown,
    /// This line has to come here, and does not.
    #[error("the line is missing, or not in its place")]
    Missing,
    /// This line came before.
    #[error("the line is repeated")]
    Repeated,
    /// More than [`MAX_CANDIDATES`](super::MAX_CANDIDATES) `Candidate` lines.
    #[error("there are more than 4 candidates")]
    TooManyCandidates,
    /// The line is not of the form `Name:value`.
    #[error("the line is not a name, a colon and a value")]
    Form,
    /// There is no value.
    #[error("the value is empty")]
    Empty,
    /// The value is none of those that the protocol has for this line.
    #[error("the value is none of those allowed")]
    Choice,
    /// Not a decimal number without leading zeros, or too large.
    #[error("the value is not a decimal number, has leading zeros or is too large")]
    Number,
    /// Neither an IP address nor a domain name (a candidate: with its port).
    #[error("the value is neither an IP address nor a domain name")]
    Host,
    /// Not base64 of as many bytes as the line has.
    #[error("the value is not base64 of the right length")]
    Binary,
    /// Not one path component.
    #[error("the value is not a file name without a path")]
    FileName,
    /// Not an identifier.
    #[error(transparent)]
    Identifier(IdentifierError),
}

/// Why a message was not encoded. The caller's buffer may then hold part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The caller's buffer is too small.
    #[error("the message takes {needed} bytes: give it a larger buffer")]
    TooSmall {
        /// The message's length in bytes.
        needed: usize,
    },
    /// The message would be longer than [`MAX_BYTES`](super::MAX_BYTES).
    #[error("the message would be longer than 16384 bytes: send less of it at a time")]
    TooLong,
    /// A value that would break the form: empty, with a line feed or another control character, not an identifier, out of range.
    #[error("the value of {field} does not keep the protocol's form")]
    Value {
        /// The name of the line.
        field: &'static str,
    },
}
