//! The lines of a received message: a cursor over the figure's own lines, then all further lines in one pass.

use super::name::Name;
use super::value::decode_exactly;
use super::{
    Candidate, Candidates, Host, MAX_BYTES, MAX_LINES, ParseError, Problem, Secret, SecretText, Source,
};
use crate::identifier;

/// The value of a line, with what an error has to say about its place.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) text: &'a str,
    line: u16,
    name: Name,
}

type Parsed<T> = Result<T, ParseError>;

impl<'a> Value<'a> {
    pub(super) fn fail(self, problem: Problem) -> ParseError {
        ParseError { line: self.line, field: self.name.text(), problem }
    }

    fn some<T>(self, value: Option<T>, problem: Problem) -> Parsed<T> {
        value.ok_or_else(|| self.fail(problem))
    }

    pub(super) fn text(self) -> Parsed<&'a str> {
        self.some(Some(self.text).filter(|text| !text.is_empty()), Problem::Empty)
    }

    pub(super) fn secret_text(self) -> Parsed<SecretText<'a>> {
        self.text().map(SecretText::new)
    }

    pub(super) fn identifier(self) -> Parsed<&'a str> {
        identifier::check(self.text)
            .map(|()| self.text)
            .map_err(|error| self.fail(Problem::Identifier(error)))
    }

    pub(super) fn file_name(self) -> Parsed<&'a str> {
        self.some(Some(self.text).filter(|text| is_file_name(text)), Problem::FileName)
    }

    pub(super) fn u64(self) -> Parsed<u64> {
        self.some(parse_number(self.text), Problem::Number)
    }

    pub(super) fn u32(self) -> Parsed<u32> {
        self.u64().and_then(|number| self.some(u32::try_from(number).ok(), Problem::Number))
    }

    pub(super) fn u16(self) -> Parsed<u16> {
        self.u64().and_then(|number| self.some(u16::try_from(number).ok(), Problem::Number))
    }

    /// The value for `text` in `choices`.
    pub(super) fn choice<T: Copy>(self, choices: [(&str, T); 2]) -> Parsed<T> {
        self.some(
            choices.iter().find(|(text, _)| *text == self.text).map(|(_, value)| *value),
            Problem::Choice,
        )
    }

    pub(super) fn host(self) -> Parsed<Host<'a>> {
        self.some(Host::parse(self.text), Problem::Host)
    }

    fn candidate(self) -> Parsed<Candidate<'a>> {
        let (address, port) = self.some(self.text.split_once(' '), Problem::Host)?;
        Ok(Candidate {
            address: Self { text: address, ..self }.host()?,
            port: Self { text: port, ..self }.u16()?,
        })
    }

    pub(super) fn bytes<const N: usize>(self) -> Parsed<[u8; N]> {
        let mut bytes = [0; N];
        let decoded = decode_exactly(self.text, &mut bytes);
        self.some(decoded.then_some(bytes), Problem::Binary)
    }

    pub(super) fn secret(self) -> Parsed<Secret<32>> {
        self.some(SecretText::new(self.text).key(), Problem::Binary)
    }

    pub(super) fn source(self) -> Parsed<Source> {
        let mut bytes = [0; 32];
        let decoded = <base64ct::Base64 as base64ct::Encoding>::decode(self.text, &mut bytes).ok();
        let source =
            decoded.filter(|source| source.len() >= 8).and_then(|source| Source::from_slice(source).ok());
        self.some(source, Problem::Binary)
    }
}

/// A decimal number without sign or leading zeros.
pub(super) fn parse_number(text: &str) -> Option<u64> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    if plain { text.parse().ok() } else { None }
}

/// Whether a recording's name is one path component, so that a receiver can't be led elsewhere by it.
pub(super) fn is_file_name(text: &str) -> bool {
    !matches!(text, "" | "." | "..") && !text.contains(['/', '\\'])
}

/// A message that is text, ends in LF and keeps the limits; read line by line.
pub(super) struct Lines<'a> {
    rest: &'a str,
    line: u16,
    found: [Option<Value<'a>>; Name::ALL.len()],
    candidates: Candidates<'a>,
}

impl<'a> Lines<'a> {
    /// Checks the message as a whole, in one pass and never beyond [`MAX_BYTES`].
    pub(super) fn new(message: &'a [u8]) -> Parsed<Self> {
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
        Ok(Self { rest, line: 0, found: [None; Name::ALL.len()], candidates: Candidates::new() })
    }

    /// The next line, if there is one.
    pub(super) fn next(&mut self) -> Option<&'a str> {
        self.next_if(Some)
    }

    /// The rest of the next line if it starts with `prefix`; otherwise the line stays.
    pub(super) fn next_after(&mut self, prefix: &str) -> Option<&'a str> {
        self.next_if(|line| line.strip_prefix(prefix))
    }

    fn next_if<T>(&mut self, wanted: impl FnOnce(&'a str) -> Option<T>) -> Option<T> {
        let (line, rest) = self.rest.split_once('\n')?;
        let taken = wanted(line)?;
        self.rest = rest;
        self.line += 1;
        Some(taken)
    }

    /// The value of the next line, which the figure has here.
    pub(super) fn required(&mut self, name: Name) -> Parsed<Value<'a>> {
        let line = self.next();
        let text = line.and_then(|line| line.strip_prefix(name.text())?.strip_prefix(':'));
        let value = Value { text: text.unwrap_or_default(), line: self.line, name };
        if text.is_none() {
            return Err(value.fail(Problem::Missing));
        }
        self.keep(value)?;
        Ok(value)
    }

    /// Takes the next line if it is `line`.
    pub(super) fn next_line_is(&mut self, line: &str) -> bool {
        self.next_if(|next| (next == line).then_some(())).is_some()
    }

    /// The known name that the next line starts with. The line stays.
    pub(super) fn next_name(&self) -> Option<Name> {
        let (line, _) = self.rest.split_once('\n')?;
        Name::find(line.split_once(':')?.0)
    }

    /// Reads all further lines, for [`Lines::get`] to look up.
    pub(super) fn further(&mut self) -> Parsed<()> {
        while let Some(line) = self.next() {
            let Some((name, text)) = line.split_once(':').filter(|(name, _)| !name.is_empty()) else {
                return Err(self.fail("further line", Problem::Form));
            };
            let Some(name) = Name::find(name) else { continue };
            let value = Value { text, line: self.line, name };
            if name == Name::Candidate {
                let candidate = value.candidate()?;
                self.candidates.push(candidate).map_err(|_| value.fail(Problem::TooManyCandidates))?;
            } else {
                self.keep(value)?;
            }
        }
        Ok(())
    }

    fn keep(&mut self, value: Value<'a>) -> Parsed<()> {
        match self.found[value.name as usize].replace(value) {
            Some(_) => Err(value.fail(Problem::Repeated)),
            None => Ok(()),
        }
    }

    /// What `parse` makes of a further line; `None` without the line.
    pub(super) fn get<T>(&self, name: Name, parse: fn(Value<'a>) -> Parsed<T>) -> Parsed<Option<T>> {
        self.found[name as usize].map(parse).transpose()
    }

    /// Whether a further line says `1`. Without the line it doesn't.
    pub(super) fn flag(&self, name: Name) -> Parsed<bool> {
        let value = self.found[name as usize];
        value
            .filter(|value| value.text != "1")
            .map_or(Ok(value.is_some()), |value| Err(value.fail(Problem::Choice)))
    }

    /// The `Candidate` lines.
    pub(super) fn candidates(&mut self) -> Candidates<'a> {
        core::mem::take(&mut self.candidates)
    }

    /// An error at the line last read.
    pub(super) fn fail(&self, field: &'static str, problem: Problem) -> ParseError {
        ParseError { line: self.line, field, problem }
    }
}
