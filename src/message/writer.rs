//! The lines of a message to be sent.

use core::net::{IpAddr, Ipv6Addr};

use super::lines::is_file_name;
use super::name::Name;
use super::value::is_domain_name;
use super::{Candidates, EncodeError, Host, MAX_BYTES, Secret, SecretText, Source};
use crate::{base64, identifier};

/// Writes lines. After the end of `out` it goes on counting, so that the error can say how much is needed; the first value that breaks the form
/// is remembered.
pub(super) struct Writer<'o> {
    out: &'o mut [u8],
    length: usize,
    refused: Option<&'static str>,
}

impl<'o> Writer<'o> {
    pub(super) fn new(out: &'o mut [u8]) -> Self {
        Self { out, length: 0, refused: None }
    }

    pub(super) fn finish(&self) -> Result<usize, EncodeError> {
        if let Some(field) = self.refused {
            Err(EncodeError::Value { field })
        } else if self.length > MAX_BYTES {
            Err(EncodeError::TooLong)
        } else if self.length > self.out.len() {
            Err(EncodeError::TooSmall { needed: self.length })
        } else {
            Ok(self.length)
        }
    }

    pub(super) fn put(&mut self, text: &str) {
        let end = self.length.saturating_add(text.len());
        if let Some(place) = self.out.get_mut(self.length..end) {
            place.copy_from_slice(text.as_bytes());
        }
        self.length = end;
    }

    pub(super) fn check(&mut self, name: Name, keeps_the_form: bool) {
        if !keeps_the_form && self.refused.is_none() {
            self.refused = Some(name.text());
        }
    }

    pub(super) fn line(&mut self, line: &str) {
        self.put(line);
        self.put("\n");
    }

    pub(super) fn notice(&mut self, line: &str) {
        self.line("NOTIFY");
        self.line(line);
    }

    /// A line whose value is known to keep the form.
    pub(super) fn value(&mut self, name: Name, value: &str) {
        self.put(name.text());
        self.put(":");
        self.line(value);
    }

    pub(super) fn text(&mut self, name: Name, text: Option<&str>) {
        if let Some(text) = text {
            self.check(name, is_text(text));
            self.value(name, text);
        }
    }

    pub(super) fn secret_text(&mut self, name: Name, text: Option<SecretText<'_>>) {
        self.text(name, text.map(SecretText::expose));
    }

    pub(super) fn identifier(&mut self, name: Name, identifier: &str) {
        self.check(name, identifier::check(identifier).is_ok());
        self.value(name, identifier);
    }

    /// The group by which a caller is permitted.
    pub(super) fn group(&mut self, group: Option<&str>) {
        if let Some(group) = group {
            self.identifier(Name::Group, group);
        }
    }

    pub(super) fn file_name(&mut self, name: Option<&str>) {
        self.check(Name::Recording, name.is_none_or(is_file_name));
        self.text(Name::Recording, name);
    }

    pub(super) fn flag(&mut self, name: Name, flag: bool) {
        if flag {
            self.value(name, "1");
        }
    }

    pub(super) fn number(&mut self, name: Name, number: Option<impl Into<u64>>) {
        if let Some(number) = number {
            self.put(name.text());
            self.put(":");
            self.put_number(number.into());
            self.put("\n");
        }
    }

    pub(super) fn transaction(&mut self, transaction: Option<u32>) {
        self.number(Name::Transaction, transaction);
    }

    pub(super) fn binary<const N: usize>(&mut self, name: Name, bytes: Option<&[u8; N]>) {
        if let Some(bytes) = bytes {
            self.base64(name, bytes);
        }
    }

    pub(super) fn secret(&mut self, name: Name, secret: Option<&Secret<32>>) {
        self.binary(name, secret.map(Secret::expose));
    }

    pub(super) fn source(&mut self, source: Option<&Source>) {
        if let Some(source) = source {
            self.check(Name::Source, source.len() >= 8);
            self.base64(Name::Source, source);
        }
    }

    /// Straight into `out`, so that no copy of a secret stays behind.
    fn base64(&mut self, name: Name, bytes: &[u8]) {
        self.put(name.text());
        self.put(":");
        let end = self.length.saturating_add(base64::encoded_length(bytes.len()));
        if let Some(place) = self.out.get_mut(self.length..end) {
            let written = base64::encode(bytes, place).is_some();
            self.check(name, written);
        }
        self.length = end;
        self.put("\n");
    }

    pub(super) fn host(&mut self, name: Name, host: Host<'_>) {
        self.put(name.text());
        self.put(":");
        self.put_host(name, host);
        self.put("\n");
    }

    pub(super) fn candidates(&mut self, candidates: &Candidates<'_>) {
        for candidate in candidates {
            self.put(Name::Candidate.text());
            self.put(":");
            self.put_host(Name::Candidate, candidate.address);
            self.put(" ");
            self.put_number(candidate.port.into());
            self.put("\n");
        }
    }

    // Numbers and addresses are written by hand: core::fmt would cost a device several KiB.

    pub(super) fn put_number(&mut self, number: u64) {
        self.put_digits(number, 10);
    }

    fn put_digits(&mut self, mut number: u64, base: u64) {
        let mut digits = [0; 20];
        let mut start = digits.len();
        for place in digits.iter_mut().rev() {
            *place = b"0123456789abcdef"[(number % base) as usize];
            start -= 1;
            number /= base;
            if number == 0 {
                break;
            }
        }
        self.put(core::str::from_utf8(&digits[start..]).unwrap_or_default());
    }

    fn put_host(&mut self, name: Name, host: Host<'_>) {
        match host {
            Host::Ip(IpAddr::V4(address)) => {
                for (place, byte) in address.octets().into_iter().enumerate() {
                    self.put(if place == 0 { "" } else { "." });
                    self.put_number(byte.into());
                }
            }
            Host::Ip(IpAddr::V6(address)) => self.put_ipv6(address),
            Host::Name(domain) => {
                self.check(name, is_domain_name(domain));
                self.put(domain);
            }
        }
    }

    /// RFC 5952, section 4: the first of the longest runs of two or more zeros is left out. IPv4-mapped addresses are written in hexadecimal too.
    fn put_ipv6(&mut self, address: Ipv6Addr) {
        let groups = address.segments();
        let zeros_at = |start: usize| groups[start..].iter().take_while(|group| **group == 0).count();
        let (mut gap, mut gap_length) = (groups.len(), 1);
        for start in 0..groups.len() {
            if zeros_at(start) > gap_length {
                (gap, gap_length) = (start, zeros_at(start));
            }
        }
        for (place, group) in groups.into_iter().enumerate() {
            if place == gap {
                self.put("::");
            } else if place < gap || place >= gap + gap_length {
                self.put(if place == 0 || place == gap + gap_length { "" } else { ":" });
                self.put_digits(group.into(), 16);
            }
        }
    }

    pub(super) fn put_list<I: AsRef<str>>(
        &mut self,
        change: &str,
        list: impl IntoIterator<Item = I>,
        may_be_empty: bool,
    ) {
        self.put(change);
        let mut is_empty = true;
        for identifier in list {
            let identifier = identifier.as_ref();
            self.check(Name::Accept, identifier::check(identifier).is_ok());
            self.put(if is_empty { "" } else { "," });
            self.put(identifier);
            is_empty = false;
        }
        self.check(Name::Accept, may_be_empty || !is_empty);
        self.put("\n");
    }
}

/// Whether a value can stand in a line: something, without a control character.
pub(super) fn is_text(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}
