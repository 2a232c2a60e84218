//! What a terminal is called (row V4): text that people remember, such as a phone number or a name and address.

use core::fmt;

/// The largest identifier, in bytes of UTF-8.
pub const MAX_BYTES: usize = 128;

/// An identifier that keeps row V4's rules: UTF-8, 1 to 128 bytes, no comma, no control character, no space at either end.
///
/// Identifiers are equal when their bytes are; there is no normalization. An identifier is no credential: see the key it is enrolled with.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identifier(heapless::String<MAX_BYTES, u8>);

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdentifierError {
    /// There is no text.
    #[error("the identifier is empty: give it at least one character")]
    Empty,
    /// The text is more than [`MAX_BYTES`] long.
    #[error("the identifier is longer than 128 bytes of UTF-8: shorten it")]
    TooLong,
    /// There is a comma, which parts the identifiers of a list.
    #[error("the identifier has a comma, which parts identifiers in a list: leave it out")]
    Comma,
    /// There is a control character, a line or paragraph separator, or a control of writing direction.
    #[error("the identifier has a control character, line separator or direction mark: leave it out")]
    Control,
    /// There is white space at the start or at the end.
    #[error("the identifier starts or ends with a space: leave it out")]
    Space,
}

impl Identifier {
    /// Takes a copy of `text` if it keeps the rules of row V4.
    ///
    /// # Errors
    /// The first rule that [`check`] finds broken.
    pub fn new(text: &str) -> Result<Self, IdentifierError> {
        check(text)?;
        // All of its room is written: what happens to lie there is copied along with it, and may have been a password.
        let mut bytes = heapless::Vec::new();
        bytes.resize_default(MAX_BYTES).map_err(|_| IdentifierError::TooLong)?;
        bytes.clear();
        bytes.extend_from_slice(text.as_bytes()).map_err(|_| IdentifierError::TooLong)?;
        heapless::String::from_utf8(bytes).map(Self).map_err(|_| IdentifierError::TooLong)
    }

    /// The identifier's text.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

/// Checks the rules of row V4 without copying. Longer texts are refused before any of their characters is looked at.
///
/// # Errors
/// The first broken rule.
pub fn check(text: &str) -> Result<(), IdentifierError> {
    if text.is_empty() {
        return Err(IdentifierError::Empty);
    }
    if text.len() > MAX_BYTES {
        return Err(IdentifierError::TooLong);
    }
    for character in text.chars() {
        if character == ',' {
            return Err(IdentifierError::Comma);
        }
        if character.is_control() || reorders(character) {
            return Err(IdentifierError::Control);
        }
    }
    if text.starts_with(char::is_whitespace) || text.ends_with(char::is_whitespace) {
        return Err(IdentifierError::Space);
    }
    Ok(())
}

/// Line and paragraph separators, and the characters with Unicode's property `Bidi_Control`. They are not in the category of control characters,
/// but do what these do: break lines, and make one identifier look like another to the person who permits it.
/// The joiners U+200C and U+200D stay allowed: Persian, Indic scripts and emoji are spelled with them.
fn reorders(character: char) -> bool {
    matches!(character, '\u{2028}' | '\u{2029}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

impl AsRef<str> for Identifier {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl core::str::FromStr for Identifier {
    type Err = IdentifierError;

    fn from_str(text: &str) -> Result<Self, IdentifierError> {
        Self::new(text)
    }
}

impl fmt::Debug for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Identifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
