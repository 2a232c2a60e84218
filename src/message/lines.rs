//! The lines of a received message: a cursor over the figure's own lines, then all further lines in one pass.

use super::name::Name;
use super::value::decode_exactly;
use super::{
    Candidate, Candidates, Host, MAX_BYTES, MAX_LINES, ParseError, Problem, Secret, SecretText, Source,
};
use crate::{base64, identifier};

/// What a line's value is read as.
type Read<'a, T> = fn(&'a str) -> Result<T, Problem>;

pub(super) fn text(text: &str) -> Result<&str, Problem> {
    if text.is_empty() { Err(Problem::Empty) } else { Ok(text) }
}

pub(super) fn secret_text(value: &str) -> Result<SecretText<'_>, Problem> {
    text(value).map(SecretText::new)
}

pub(super) fn identifier(text: &str) -> Result<&str, Problem> {
    identifier::check(text).map(|()| text).map_err(Problem::Identifier)
}

pub(super) fn file_name(text: &str) -> Result<&str, Problem> {
    if is_file_name(text) { Ok(text) } else { Err(Problem::FileName) }
}

pub(super) fn number_u64(text: &str) -> Result<u64, Problem> {
    parse_number(text).ok_or(Problem::Number)
}

pub(super) fn number_u32(text: &str) -> Result<u32, Problem> {
    number_u64(text)?.try_into().map_err(|_| Problem::Number)
}

pub(super) fn number_u16(text: &str) -> Result<u16, Problem> {
    number_u64(text)?.try_into().map_err(|_| Problem::Number)
}

/// One of two words: whether it is the first.
pub(super) fn choice(text: &str, first: &str, second: &str) -> Result<bool, Problem> {
    if text == first || text == second { Ok(text == first) } else { Err(Problem::Choice) }
}

pub(super) fn host(text: &str) -> Result<Host<'_>, Problem> {
    Host::parse(text).ok_or(Problem::Host)
}

fn candidate(text: &str) -> Result<Candidate<'_>, Problem> {
    let (address, port) = text.split_once(' ').ok_or(Problem::Host)?;
    Ok(Candidate { address: host(address)?, port: number_u16(port)? })
}

pub(super) fn bytes<const N: usize>(text: &str) -> Result<[u8; N], Problem> {
    let mut bytes = [0; N];
    if decode_exactly(text, &mut bytes) { Ok(bytes) } else { Err(Problem::Binary) }
}

pub(super) fn secret(text: &str) -> Result<Secret<32>, Problem> {
    SecretText::new(text).key().ok_or(Problem::Binary)
}

pub(super) fn source(text: &str) -> Result<Source, Problem> {
    let mut bytes = [0; 32];
    let decoded = base64::decode(text, &mut bytes);
    let source =
        decoded.filter(|source| source.len() >= 8).and_then(|source| Source::from_slice(source).ok());
    source.ok_or(Problem::Binary)
}

/// Reads all further lines; gives the one that nearly every message has.
pub(super) fn further(lines: &mut Lines<'_>) -> Option<u32> {
    lines.further();
    lines.get(Name::Transaction, number_u32)
}

/// A decimal number without sign or leading zeros.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    if text.is_empty() || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    text.bytes().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// Whether a recording's name is one path component, so that a receiver can't be led elsewhere by it.
pub(super) fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.bytes().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// The value of a line that came.
#[derive(Clone, Copy)]
struct Value<'a> {
    text: &'a str,
    line: u16,
}

/// A message that is text, ends in LF and keeps the limits; read line by line. The first error is remembered, and what is read after it doesn't count.
pub(super) struct Lines<'a> {
    rest: &'a str,
    line: u16,
    found: [Option<Value<'a>>; Name::ALL.len()],
    candidates: Candidates<'a>,
    pub(super) error: Option<ParseError>,
}

impl<'a> Lines<'a> {
    /// Checks the message as a whole, in one pass and never beyond [`MAX_BYTES`].
    pub(super) fn new(message: &'a [u8]) -> Result<Self, ParseError> {
        let fail = |line, problem| Err(ParseError { line, field: "message", problem });
        if message.len() > MAX_BYTES {
            return fail(0, Problem::TooLong);
        }
        let Ok(rest) = core::str::from_utf8(message) else { return fail(0, Problem::NotUtf8) };
        let mut line = 1;
        for character in rest.chars() {
            if character == '\n' {
                line += 1;
            } else if character.is_control() {
                return fail(line, Problem::Control);
            }
        }
        if !rest.ends_with('\n') {
            return fail(line, Problem::Unterminated);
        }
        if usize::from(line) > MAX_LINES + 1 {
            return fail(0, Problem::TooManyLines);
        }
        Ok(Self { rest, line: 0, found: [None; Name::ALL.len()], candidates: Candidates::new(), error: None })
    }

    /// The next line; it stays.
    pub(super) fn peek(&self) -> Option<&'a str> {
        self.rest.split_once('\n').map(|(line, _)| line)
    }

    /// Takes the next line, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        let (line, rest) = self.rest.split_once('\n')?;
        self.rest = rest;
        self.line += 1;
        Some(line)
    }

    /// Remembers an error at the line last taken.
    pub(super) fn fail(&mut self, field: &'static str, problem: Problem) {
        let line = self.line;
        self.error.get_or_insert(ParseError { line, field, problem });
    }

    #[inline(never)] // once for all that is read
    fn fail_at(&mut self, line: u16, name: Name, problem: Problem) {
        self.error.get_or_insert(ParseError { line, field: name.text(), problem });
    }

    /// What `read` makes of the next line, which the figure has here.
    pub(super) fn required<T>(&mut self, name: Name, read: Read<'a, T>) -> Option<T> {
        self.take(name);
        self.get(name, read)
    }

    fn take(&mut self, name: Name) {
        match self.next().and_then(|line| line.strip_prefix(name.text())?.strip_prefix(':')) {
            Some(text) => self.keep(name, text),
            None => self.fail(name.text(), Problem::Missing),
        }
    }

    /// Takes all further lines, for [`Lines::get`] to look up.
    pub(super) fn further(&mut self) {
        while self.error.is_none()
            && let Some(line) = self.next()
        {
            match line.split_once(':') {
                Some((name, text)) if !name.is_empty() => match Name::find(name) {
                    Some(Name::Candidate) => self.candidate(text),
                    Some(name) => self.keep(name, text),
                    None => {}
                },
                _ => self.fail("further line", Problem::Form),
            }
        }
    }

    fn candidate(&mut self, text: &'a str) {
        let added =
            candidate(text).and_then(|new| self.candidates.push(new).map_err(|_| Problem::TooManyCandidates));
        if let Err(problem) = added {
            self.fail(Name::Candidate.text(), problem);
        }
    }

    fn keep(&mut self, name: Name, text: &'a str) {
        if self.found[name as usize].replace(Value { text, line: self.line }).is_some() {
            self.fail(name.text(), Problem::Repeated);
        }
    }

    /// What `read` makes of the line of this name; `None` without the line, and on an error.
    pub(super) fn get<T>(&mut self, name: Name, read: Read<'a, T>) -> Option<T> {
        let value = self.found[name as usize]?;
        read(value.text).map_err(|problem| self.fail_at(value.line, name, problem)).ok()
    }

    /// Whether a further line says `1`. Without the line it doesn't.
    pub(super) fn flag(&mut self, name: Name) -> bool {
        self.get(name, |text| choice(text, "1", "1")).is_some()
    }

    /// The `Candidate` lines.
    pub(super) fn candidates(&mut self) -> Candidates<'a> {
        core::mem::take(&mut self.candidates)
    }
}
