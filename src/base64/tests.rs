use super::{decode, encode};
use base64ct::{Base64, Encoding};
use proptest::prelude::*;

#[test]
fn rfc_4648_section_10() {
    for (bytes, text) in [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
    ] {
        assert_eq!(encode(bytes.as_bytes(), &mut [0; 8]), Some(text));
        assert_eq!(decode(text, &mut [0; 6]), Some(bytes.as_bytes()));
    }
}

#[test]
fn what_has_no_room_is_none() {
    assert_eq!(encode(b"foob", &mut [0; 7]), None);
    assert_eq!(decode("Zm9vYg==", &mut [0; 3]), None);
}

proptest! {
    #[test]
    fn every_text_is_as_another_writes_it(bytes in prop::collection::vec(any::<u8>(), 0..70)) {
        let (mut ours, mut theirs) = ([0; 96], [0; 96]);
        prop_assert_eq!(encode(&bytes, &mut ours), Base64::encode(&bytes, &mut theirs).ok());
    }

    #[test]
    fn every_text_is_read_as_another_reads_it(text in "[A-Za-z0-9+/=]{0,12}|[ -~]{0,8}|[AQgw/]{2,3}={1,2}") {
        let (mut ours, mut theirs) = ([0; 12], [0; 12]);
        prop_assert_eq!(decode(&text, &mut ours), Base64::decode(&text, &mut theirs).ok());
    }
}
