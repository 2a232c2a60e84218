//! P10, P11: depositors and collectors that mean harm.

use crate::deposits::{ask, away, base64, broken, data, deposited, hello, lane as open_lane, open, refused};
use crate::parts::{CUT, Cut, frame, header, parts, sealer};
use crate::world::value;
use p2pgate::broker::Config;
use p2pgate::lane::{Kind, Place};
use p2pgate::message::DepositId;

#[test]
fn p10_hostile_collectors_get_nothing() {
    let (mut world, alice) = away(Config::default());
    let id = base64(&deposited(&mut world, alice, &data(5_000)));
    let eve = world.terminal("eve", 3);
    let bob = hello(&mut world, "bob", 2, "Listen:1\n");
    world.texts(bob);
    for (link, text) in [
        (eve, format!("COLLECT\nCaller:alice\nCallee:bob\nDeposit:{id}\n")),
        (eve, format!("COLLECT\nCaller:alice\nCallee:eve\nDeposit:{id}\n")),
        (alice, format!("COLLECT\nCaller:alice\nCallee:bob\nDeposit:{id}\n")),
        (bob, format!("COLLECT\nCaller:eve\nCallee:bob\nDeposit:{id}\n")),
        (bob, format!("COLLECT\nCaller:alice\nCallee:bob\nDeposit:{}\n", base64(&[1; 16]))),
        (bob, format!("COLLECT\nCaller:alice\nCallee:bob\nDeposit:{id}\nOffset:5001\n")),
    ] {
        world.send(link, &text);
        let answers = world.texts(link);
        refused(&answers[0]);
        // Only the callee hears what there is instead of what is not.
        let told = link == bob && text.contains(&base64(&[1; 16]));
        assert_eq!(answers.len(), if told { 2 } else { 1 }, "{answers:?}");
        assert!(answers[1..].iter().all(|told| told.starts_with("NOTIFY\nDepositor:alice\n")));
    }
    for link in [eve, alice] {
        assert!(
            world.ask(link, &format!("NOTIFY\nTransfer Complete.\nDeposit:{id}\n")).contains("Status:200")
        );
    }
    assert_eq!(world.store.deposits.len(), 1);
    // Answers to what was never asked end the link.
    world.send(eve, "NOTIFY\nDeposit Declined.\n");
    assert!(world.is_closed(eve));
}

#[test]
fn p10_hostile_depositors_are_broken_off() {
    let size = 300_000_usize;
    let suite = CUT.suite;
    let place = |number, kind, offset| Place { transfer: number, kind, segment: 0, offset };
    type Make = fn(DepositId) -> Vec<u8>;
    fn good(id: DepositId) -> Vec<Vec<u8>> {
        parts(id, &data(300_000), 0, 0, CUT)
    }
    let cases: [(&str, Make); 14] = [
        ("before its part's header", |id| good(id)[0][header(id, 0, 0, 300_000, CUT.suite).len()..].to_vec()),
        ("a part is not the next one", |id| header(id, 1, 0, 300_000, CUT.suite)),
        ("not where the one before ends", |id| header(id, 0, 1, 300_000, CUT.suite)),
        ("too short or too long", |id| {
            [header(id, 0, 0, 300_000, CUT.suite), header(id, 1, 0, 300_000, CUT.suite)].concat()
        }),
        ("not where the one before ends", |id| {
            [&good(id)[0][..], &header(id, 1, 65_535, 300_000, CUT.suite)].concat()
        }),
        ("part header is malformed", |_| vec![0x80, 0, 0, 9]),
        ("part header is malformed", |_| vec![0xff; 4]),
        ("not the next one of its part", |id| {
            // The second frame for the first.
            let header = header(id, 0, 0, 300_000, CUT.suite);
            let frame = 4 + 1 + 21 + 1_000 + 10;
            [&header[..], &good(id)[0][header.len() + frame..]].concat()
        }),
        ("larger than the callee takes", |id| {
            parts(id, &data(300_000), 0, 0, Cut { frame: 1_169, ..CUT }).concat()
        }),
        ("a frame is malformed", |id| [&header(id, 0, 0, 300_000, CUT.suite)[..], &[0, 0, 0, 21]].concat()),
        ("too short or too long", |id| parts(id, &data(300_000), 0, 0, Cut { part: 1_000, ..CUT }).concat()),
        ("less comes than was said", |id| parts(id, &data(100), 0, 0, CUT).concat()),
        ("more comes than was said", |id| {
            parts(id, &data(300_001), 0, 0, Cut { part: 1 << 20, ..CUT }).concat()
        }),
        ("too little each", |id| {
            parts(id, &data(300_000), 0, 0, Cut { part: 1 << 20, frame: 5, ..CUT }).concat()
        }),
    ];
    for (cause, make) in &cases {
        let (mut world, alice) = away(Config::default());
        let (id, lane) = open(&mut world, alice, size);
        let bytes = make(id);
        world.deposit(lane, &bytes, 313);
        let told = broken(&mut world, alice, lane);
        assert!(told.contains(cause), "{cause}: {told}");
    }
    // Readable frames, and an end with something in it.
    for kind in [Kind::Clear, Kind::End] {
        let (mut world, alice) = away(Config::default());
        let (id, lane) = open(&mut world, alice, size);
        let mut bytes = header(id, 0, 0, size as u64, suite);
        bytes.extend(frame(&mut sealer(0, suite), place(0, kind, 0), &[1; 10]));
        world.deposit(lane, &bytes, usize::MAX);
        assert!(broken(&mut world, alice, lane).contains("frame is"));
    }
    // What comes behind the end is dropped, and the deposit stands.
    let (mut world, alice) = away(Config::default());
    let (id, lane) = open(&mut world, alice, size);
    let bytes = good(id).concat();
    let taken = world.deposit(lane, &[&bytes[..], &[0; 50]].concat(), 777);
    assert_eq!(taken, bytes.len());
    assert!(world.texts(alice).pop().unwrap().contains("Complete:1"));
    assert_eq!(world.files[&id], bytes);
}

mod random {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn p10_no_bytes_of_a_lane_do_harm(
            size in 0..200_000_usize,
            at in any::<prop::sample::Index>(),
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
            piece in 1..5_000_usize,
        ) {
            let (mut world, alice) = away(Config::default());
            let (id, lane) = open(&mut world, alice, size);
            let mut bytes = parts(id, &data(size), 0, 0, CUT).concat();
            bytes.truncate(at.index(bytes.len()) + 1);
            for (place, byte) in &changes {
                *place.get_mut(&mut bytes) = *byte;
            }
            world.deposit(lane, &bytes, piece);
            world.disconnect(lane);
            world.texts(alice);
            // Whatever was kept goes on where it ends.
            let told = ask(&mut world, alice, size);
            let kept: usize = value(&told, "Offset").parse().unwrap();
            prop_assert!(kept <= size);
            if told.contains("Token:") {
                let (lane, _) = open_lane(&mut world, value(&told, "Token"));
                let part = value(&told, "Part").parse().unwrap();
                let rest = parts(id, &data(size), part, kept, CUT).concat();
                prop_assert_eq!(world.deposit(lane, &rest, piece), rest.len());
                let complete = world.texts(alice).pop().is_some_and(|text| text.contains("Complete:1"));
                prop_assert!(complete);
            }
        }
    }
}
