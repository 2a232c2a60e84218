//! Row V4: identifiers that people remember.
#![allow(clippy::unwrap_used)]

use p2pgate::identifier::{Identifier, IdentifierError, MAX_BYTES};
use proptest::prelude::*;

#[test]
fn v4_what_people_remember_is_an_identifier() {
    let longest = "a".repeat(MAX_BYTES);
    for text in [
        "Ia",
        "+81-3-1234-5678",
        "山田太郎　東京都千代田区霞が関３丁目４番３号",
        "Jane Doe; 1 High Street: Oxford = home",
        "می‌خواهم",
        "👩‍👩‍👧 living room",
        "x",
        &longest,
    ] {
        let identifier = Identifier::new(text).unwrap();
        assert_eq!(identifier.as_str(), text);
        assert_eq!(identifier.to_string(), text);
        assert_eq!(text.parse(), Ok(identifier));
    }
}

#[test]
fn v4_every_broken_rule_is_named() {
    for (text, error) in [
        ("", IdentifierError::Empty),
        ("Ia,Ib", IdentifierError::Comma),
        (",", IdentifierError::Comma),
        ("I\na", IdentifierError::Control),
        ("I\0a", IdentifierError::Control),
        ("Ia\u{7f}", IdentifierError::Control),
        ("Ia\u{85}", IdentifierError::Control),
        ("I\u{2028}a", IdentifierError::Control),
        ("I\u{2029}a", IdentifierError::Control),
        ("\u{202e}aI", IdentifierError::Control),
        ("I\u{200f}a", IdentifierError::Control),
        ("I\u{2066}a", IdentifierError::Control),
        (" Ia", IdentifierError::Space),
        ("Ia ", IdentifierError::Space),
        ("\u{3000}山田", IdentifierError::Space),
        ("山田\u{a0}", IdentifierError::Space),
        (" ", IdentifierError::Space),
    ] {
        assert_eq!(Identifier::new(text), Err(error), "{text:?}");
    }
}

#[test]
fn v4_length_is_counted_in_bytes() {
    assert!(Identifier::new(&"あ".repeat(42)).is_ok()); // 126 bytes
    assert_eq!(Identifier::new(&"あ".repeat(43)), Err(IdentifierError::TooLong)); // 129
    assert_eq!(Identifier::new(&"a".repeat(129)), Err(IdentifierError::TooLong));
}

#[test]
fn v4_ten_megabytes_are_refused_by_their_length() {
    // Were the characters looked at before the length, the comma would be what is found.
    assert_eq!(Identifier::new(&",".repeat(10 << 20)), Err(IdentifierError::TooLong));
}

#[test]
fn v4_equality_and_order_are_those_of_the_bytes() {
    let new = |text| Identifier::new(text).unwrap();
    assert_eq!(new("Ia"), new("Ia").clone());
    assert!(new("Ia") < new("Ib"));
    assert!(new("I") < new("Ia"));
    assert_ne!(new("Ia"), new("ia"));
    assert_ne!(new("\u{e9}"), new("e\u{301}")); // no normalization
    assert_eq!(format!("{:?} {:>3}|", new("Ia"), new("Ib")), "\"Ia\"  Ib|");
}

proptest! {
    /// A reference of the rules, written the other way round.
    #[test]
    fn v4_accepted_texts_keep_every_rule(text in "\\PC{0,60}|.{0,140}|[ ,a\u{202e}\u{85}]{0,4}") {
        let accepted = Identifier::new(&text).is_ok();
        let keeps = (1..=128).contains(&text.len()) && text.trim() == text
            && !text.chars().any(|c| c == ',' || c.is_control() || "\u{61c}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2066}\u{2067}\u{2068}\u{2069}".contains(c));
        prop_assert_eq!(accepted, keeps);
    }
}
