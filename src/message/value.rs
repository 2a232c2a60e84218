//! The values of lines that are more than a text or a number.

use core::fmt;
use core::net::IpAddr;

use crate::base64;
use crate::secret::Secret;
use subtle::ConstantTimeEq;

/// The most `Candidate` lines of a message.
pub const MAX_CANDIDATES: usize = 4;

/// Further addresses of a terminal, in the order in which to try them.
pub type Candidates<'a> = heapless::Vec<Candidate<'a>, MAX_CANDIDATES>;

/// 8 to 32 bytes that name the state of a recording's source.
pub type Source = heapless::Vec<u8, 32>;

/// A further address and its port: `Candidate:ADDRESS PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Where to.
    pub address: Host<'a>,
    /// Which port.
    pub port: u16,
}

/// An IP address, or a domain name that stands in for one (V3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host<'a> {
    /// IPv4 dotted, IPv6 as in RFC 5952, without brackets or zone.
    Ip(IpAddr),
    /// Labels of letters, digits, `-` and `_`, each 1 to 63 bytes, 253 in all. The last one is not a number, so that no name is read as an IPv4
    /// address by whoever looks it up.
    Name(&'a str),
}

impl<'a> Host<'a> {
    /// Reads an IP address or a domain name; `None` if it is neither.
    pub fn parse(text: &'a str) -> Option<Self> {
        match text.parse() {
            Ok(address) => Some(Self::Ip(address)),
            Err(_) => is_domain_name(text).then_some(Self::Name(text)),
        }
    }
}

pub(super) fn is_domain_name(text: &str) -> bool {
    // Bytes rather than text: the standard library's searches would double the code.
    let is_label = |label: &[u8]| {
        (1..=63).contains(&label.len())
            && label.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && label.first() != Some(&b'-')
            && label.last() != Some(&b'-')
    };
    let is_number = |label: &[u8]| match label {
        [b'0', b'x' | b'X', hex @ ..] => hex.iter().all(u8::is_ascii_hexdigit),
        decimal => decimal.iter().all(u8::is_ascii_digit),
    };
    let mut last = [].as_slice();
    text.len() <= 253
        && text.as_bytes().split(|byte| *byte == b'.').all(|label| {
            last = label;
            is_label(label)
        })
        && !is_number(last)
}

/// The code of a [`Status`](super::Status). The numbers are frozen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusCode {
    /// 200: done.
    Done,
    /// 400: the message is malformed.
    Malformed,
    /// 401: the key is not enrolled, or the ticket is not valid.
    NotEnrolled,
    /// 403: this key may not do this for this identifier.
    Forbidden,
    /// 409: the broker has a newer revision.
    Stale,
    /// 413: too large, or too many.
    TooLarge,
    /// 429: too often; see `retry_after`.
    TooOften,
    /// 503: the broker cannot do it now.
    Unavailable,
    /// Any other number from 100 to 999.
    Other(u16),
}

impl From<u16> for StatusCode {
    fn from(number: u16) -> Self {
        match number {
            200 => Self::Done,
            400 => Self::Malformed,
            401 => Self::NotEnrolled,
            403 => Self::Forbidden,
            409 => Self::Stale,
            413 => Self::TooLarge,
            429 => Self::TooOften,
            503 => Self::Unavailable,
            other => Self::Other(other),
        }
    }
}

impl StatusCode {
    /// The code's number.
    pub fn number(self) -> u16 {
        match self {
            Self::Done => 200,
            Self::Malformed => 400,
            Self::NotEnrolled => 401,
            Self::Forbidden => 403,
            Self::Stale => 409,
            Self::TooLarge => 413,
            Self::TooOften => 429,
            Self::Unavailable => 503,
            Self::Other(number) => number,
        }
    }
}

/// A secret text of a message (a password, a ticket, the text of a key). Compared in constant time; its [`Debug`](fmt::Debug) shows nothing of it.
/// It borrows, so wiping the bytes is up to whoever owns them.
#[derive(Clone, Copy)]
pub struct SecretText<'a>(&'a str);

impl<'a> SecretText<'a> {
    /// Marks `text` as secret.
    pub const fn new(text: &'a str) -> Self {
        Self(text)
    }

    /// Writes `secret` as base64 into `text`, which must hold 4 bytes for every 3 begun (24 for a password's 16, 44 for a key's 32);
    /// `None` if it doesn't.
    pub fn of_bytes(secret: &[u8], text: &'a mut [u8]) -> Option<Self> {
        base64::encode(secret, text).map(Self)
    }

    /// The text itself.
    pub const fn expose(self) -> &'a str {
        self.0
    }

    /// The 32 bytes that an encryption key's text stands for; `None` if it is another text, such as the figures' own `Key`.
    pub fn key(self) -> Option<Secret<32>> {
        let mut key = Secret::new([0; 32]);
        decode_exactly(self.0, &mut key.0).then_some(key)
    }
}

impl ConstantTimeEq for SecretText<'_> {
    fn ct_eq(&self, other: &Self) -> subtle::Choice {
        self.0.as_bytes().ct_eq(other.0.as_bytes())
    }
}

impl PartialEq for SecretText<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.ct_eq(other).into()
    }
}

impl Eq for SecretText<'_> {}

impl fmt::Debug for SecretText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretText(…)")
    }
}

/// Decodes base64 of exactly as many bytes as `bytes` has.
pub(super) fn decode_exactly(text: &str, bytes: &mut [u8]) -> bool {
    let length = bytes.len();
    text.len() == length.div_ceil(3) * 4
        && base64::decode(text, bytes).is_some_and(|decoded| decoded.len() == length)
}
