//! Names, sizes, the table of kinds, and unfinished recordings: the file side, without a network.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::time::Duration;

use p2pgate::mpeg::Container;
use p2pgate::route::{Attribute, Selection};
use p2pgate_broker::size::parse as parse_size;
use p2pgate_recorder::incoming::{Description, Incoming, Refusal};
use p2pgate_recorder::kinds::Kinds;
use p2pgate_recorder::names::{numbered, partial, sanitise};
use p2pgate_recorder::outgoing::{Plan, Source};
use p2pgate_recorder::sharing::attributes::{Attributes, kind};
use p2pgate_recorder::sharing::figures::Figures;
use p2pgate_recorder::state::State;

const TEST_CARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/test-card.mpg");

#[test]
fn names_never_lead_anywhere() {
    for (proposed, name) in [
        ("film.mpg", "film.mpg"),
        ("/etc/passwd", "passwd"),
        ("../../x", "x"),
        ("..", "recording"),
        (".", "recording"),
        ("", "recording"),
        ("a/", "recording"),
        ("...", "recording"),
        (".bashrc", "bashrc"),
        ("c:\\windows\\win.ini", "win.ini"),
        ("a:b", "a_b"),
        ("nul", "_nul"),
        ("COM1.txt", "_COM1.txt"),
        ("lpt9", "_lpt9"),
        ("COMET", "COMET"),
        ("end. ", "end"),
        ("a\u{0}b\nc", "a_b_c"),
        ("gpm\u{202e}exe", "gpm_exe"),
        ("gpm\u{61c}exe", "gpm_exe"),
        ("a\u{2028}b\u{fffe}c", "a_b_c"),
        ("映画.mpg", "映画.mpg"),
    ] {
        assert_eq!(sanitise(proposed), name, "{proposed:?}");
    }
}

#[test]
fn long_names_keep_their_extension_and_fit() {
    let name = sanitise(&format!("{}.mpg", "映".repeat(200)));
    assert!(name.len() <= 248 && name.ends_with("映.mpg"));
    assert!(numbered(&name, 9999).len() <= 255);
    assert!(partial(&name, "0123456789abcdef").len() <= 255);
    assert_eq!(numbered("film.mpg", 2), "film (2).mpg");
    assert_eq!(numbered("film", 1), "film (1)");
}

#[test]
fn sizes() {
    for (text, size) in [
        ("0", 0),
        ("12345", 12_345),
        ("10M", 10 << 20),
        ("10m", 10 << 20),
        ("1GiB", 1 << 30),
        ("500kB", 500_000),
        ("2TB", 2_000_000_000_000),
        ("7 MiB", 7 << 20),
        ("9B", 9),
    ] {
        assert_eq!(parse_size(text), Ok(size), "{text}");
    }
    for text in ["", "M", "1.5G", "-1", "10X", "10MBB", "99999999999999999999", "99999999999T", "µ"] {
        assert!(parse_size(text).is_err(), "{text}");
    }
}

#[test]
fn v10c_the_first_rule_that_matches_counts() {
    let table = "# kinds\n\nHoliday*  confidential\n.mpg split\n.vob split/anchors/seal-rest\n.ts2 split/intra-blocks\nmy film?.ts\tpublic\n*.j*g public\n";
    let kinds = Kinds::parse(table).unwrap();
    for (name, attribute) in [
        ("holiday 1.mpg", Some(Attribute::Confidential)),
        ("FILM.MPG", Some(Attribute::Split)),
        ("my film2.ts", Some(Attribute::Public)),
        ("my film.ts", None),
        ("x.jpg", Some(Attribute::Public)),
        ("x.jpeg", Some(Attribute::Public)),
        ("mpg", None),
    ] {
        assert_eq!(kinds.plan(name).map(|plan| plan.wanted), attribute, "{name}");
    }
    let sealed = |name: &str| kinds.plan(name).map(|plan| (plan.selection, plan.seal_rest));
    assert_eq!(sealed("film.mpg"), Some((Selection::Intra, false)));
    assert_eq!(sealed("film.vob"), Some((Selection::Anchors, true)));
    assert_eq!(sealed("film.ts2"), Some((Selection::IntraBlocks, false)));
    for wrong in ["*.mpg", "*.mpg secret", "*.mpg auto", "*.mpg split/most", "*.mpg public/intra"] {
        assert!(Kinds::parse(wrong).is_err(), "{wrong}");
    }
    // A pattern that would be slow with naive backtracking.
    let slow = Kinds::parse(&format!("{}b public", "*a".repeat(50))).unwrap();
    assert_eq!(slow.plan(&"a".repeat(5_000)), None);
}

const WHAT: Description<'static> =
    Description { peer: "anna", name: "film.mpg", size: 6, source: b"12345678" };

#[test]
fn an_unfinished_recording_goes_on_for_the_same_peer_and_source_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut incoming = Incoming::open(folder.path(), &WHAT, false).unwrap();
    incoming.write(0, b"abc").unwrap();
    assert!(incoming.write(4, b"e").is_err());
    assert!(incoming.write(3, b"defg").is_err());
    assert!(matches!(Incoming::open(folder.path(), &WHAT, false), Err(Refusal::Busy)));
    drop(incoming);

    for other in [
        Description { peer: "carl", ..WHAT },
        Description { name: "film2.mpg", ..WHAT },
        Description { size: 7, ..WHAT },
        Description { source: b"87654321", ..WHAT },
    ] {
        assert_eq!(Incoming::open(folder.path(), &other, false).unwrap().written(), 0);
    }
    let mut incoming = Incoming::open(folder.path(), &WHAT, true).unwrap();
    assert_eq!(incoming.written(), 3);
    incoming.write(3, b"def").unwrap();
    use sha2::Digest;
    assert_eq!(incoming.sha256().unwrap()[..], sha2::Sha256::digest(b"abcdef")[..]);
    let path = incoming.finish().unwrap();
    assert_eq!(path, folder.path().join("film.mpg"));
    assert_eq!(fs::read(path).unwrap(), b"abcdef");
}

#[test]
fn after_a_restart_of_the_machine_only_what_was_synced_counts() {
    const MEBIBYTE: u64 = 1 << 20;
    let what = Description { size: 200 * MEBIBYTE, ..WHAT };
    for (there, sure) in [(100 * MEBIBYTE, 36 * MEBIBYTE), (10 * MEBIBYTE, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let path = Incoming::path(folder.path(), &what);
        let file = fs::File::create(&path).unwrap();
        file.set_len(there).unwrap();
        assert_eq!(Incoming::open(folder.path(), &what, false).unwrap().written(), there);
        file.set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(Incoming::open(folder.path(), &what, false).unwrap().written(), sure);
        // What is left is sure from then on.
        assert_eq!(fs::metadata(&path).unwrap().len(), sure);
        assert_eq!(Incoming::open(folder.path(), &what, false).unwrap().written(), sure);
    }
}

#[test]
fn a_recording_that_has_its_name_never_changes_again() {
    // Whoever put it in its place was killed before the temporary name was gone; then the machine was started anew, and it is sent once more.
    let folder = tempfile::tempdir().unwrap();
    let (path, place) = (Incoming::path(folder.path(), &WHAT), folder.path().join("film.mpg"));
    fs::write(&path, b"abcdef").unwrap();
    fs::hard_link(&path, &place).unwrap();
    fs::File::open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let mut incoming = Incoming::open(folder.path(), &WHAT, false).unwrap();
    assert_eq!(incoming.written(), 0);
    incoming.write(0, b"abc").unwrap();
    drop(incoming);
    assert_eq!(fs::read(&place).unwrap(), b"abcdef");
    // What has come since goes on as ever.
    assert_eq!(Incoming::open(folder.path(), &WHAT, false).unwrap().written(), 3);
}

#[test]
fn an_unfinished_recording_is_not_finished() {
    let folder = tempfile::tempdir().unwrap();
    let mut incoming = Incoming::open(folder.path(), &WHAT, false).unwrap();
    incoming.write(0, b"abc").unwrap();
    assert!(incoming.finish().is_err());
    assert!(!folder.path().join("film.mpg").exists());
}

#[test]
fn no_file_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("film.mpg"), "old").unwrap();
    fs::create_dir(folder.path().join("film (1).mpg")).unwrap();
    std::os::unix::fs::symlink("/no/where", folder.path().join("film (2).mpg")).unwrap();
    let mut incoming = Incoming::open(folder.path(), &WHAT, false).unwrap();
    incoming.write(0, b"abcdef").unwrap();
    assert_eq!(incoming.finish().unwrap(), folder.path().join("film (3).mpg"));
    assert_eq!(fs::read(folder.path().join("film.mpg")).unwrap(), b"old");
}

#[test]
fn p8_what_comes_from_elsewhere_inherits_no_attribute() {
    // Neither `receive` nor `fetch` need know that another process shares the folder; and none may see the new one with the old one's attribute.
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join(".p2pgate-attributes");
    fs::write(&table, "public film (1).mpg\npublic film.mpg\n").unwrap();
    fs::write(folder.path().join("film.mpg"), "its own").unwrap();
    let mut incoming = Incoming::open(folder.path(), &WHAT, false).unwrap();
    incoming.write(0, b"abcdef").unwrap();
    assert_eq!(incoming.finish().unwrap(), folder.path().join("film (1).mpg"));
    let table = Attributes::read(folder.path()).unwrap();
    assert_eq!(["film.mpg", "film (1).mpg"].map(|name| kind(&table.of(name))), ["public", "confidential"]);
}

#[test]
fn p11_what_was_put_in_one_folder_is_not_taken_for_there_in_another() {
    // Killed while it was put in its place, and started anew with another `--out`: it would be told to be stored, and lie nowhere.
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    fs::create_dir(&one).unwrap();
    fs::create_dir(&other).unwrap();
    let (state, _) = State::create(&folder.path().join("state")).unwrap();
    let deposit = [7; 16];
    state.note_placing(&deposit, &one).unwrap();
    let is_there =
        |folder: &std::path::Path| state.is_placing(&deposit, folder) && Incoming::is_placed(folder, &WHAT);
    assert!(is_there(&one) && is_there(&folder.path().join("other/../one")));
    assert!(!is_there(&other));
    // Of others, that a killed process has left, nothing is kept.
    state.note_placing(&[8; 16], &one).unwrap();
    state.keep_placing([deposit].into_iter());
    assert!(is_there(&one) && !state.is_placing(&[8; 16], &one));
    state.forget_placing(&deposit);
    assert!(!is_there(&one));
}

#[test]
fn a_recording_larger_than_the_disk_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let what = Description { size: u64::MAX / 2, ..WHAT };
    assert!(matches!(Incoming::open(folder.path(), &what, false), Err(Refusal::NoRoom)));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn v10b_a_recording_is_looked_at_once_for_each_of_its_states() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("card.mpg");
    fs::write(&path, fs::read(TEST_CARD).unwrap()).unwrap();
    let plan = Plan { wanted: Attribute::Split, ..Plan::CONFIDENTIAL };
    let open = |plan| Source::new(File::open(&path).unwrap(), &path, "card.mpg".into(), plan).unwrap();
    let figures = Figures::default();
    let source = open(plan);
    // Who can't wait goes without, by what the recording's beginning says.
    assert!(figures.of(&source, Duration::ZERO).unwrap().is_none());
    assert_eq!(source.container().unwrap(), Container::Ps);
    let scan = figures.of(&source, Duration::from_secs(60)).unwrap().unwrap();
    assert!(scan.sealed > 0 && scan.rest > 0 && scan.sealed + scan.rest == source.bytes);
    // Known from then on, for whoever asks for the same.
    assert_eq!(figures.of(&open(plan), Duration::ZERO).unwrap().unwrap().sealed, scan.sealed);
    let all = Plan { selection: Selection::Anchors, ..plan };
    assert!(figures.of(&open(all), Duration::ZERO).unwrap().is_none());
    // Another state of the file is another recording.
    let file = fs::OpenOptions::new().append(true).open(&path).unwrap();
    file.set_len(source.bytes - 188).unwrap();
    assert!(figures.of(&open(plan), Duration::ZERO).unwrap().is_none());
    fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
    assert_eq!(open(plan).container().unwrap(), Container::Unknown);
}
