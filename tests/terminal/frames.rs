//! Lanes under attack: nothing wrong is ever delivered, and both ends learn that something is wrong.

use crate::world::{Tamper, World};
use crate::{offer, pair, recording, segments, session_of};
use p2pgate::lane::OVERHEAD;
use p2pgate::route::Attribute;
use p2pgate::terminal::{Event, FrameError, Piece, TransferFailure};

const ATTRIBUTES: [Attribute; 3] = [Attribute::Confidential, Attribute::Public, Attribute::Split];

/// Sends 30,000 bytes through `tamper`. Whatever came is the recording's start; gives why the receiver failed.
fn attacked(attribute: Attribute, tamper: Tamper) -> (World, TransferFailure) {
    let mut world = pair();
    let session = world.call(0, 1);
    let there = session_of(&world, 1);
    let data = recording(30_000);
    world.tamper = Some(tamper);
    world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
    assert!(world.nodes[1].arrived.is_empty(), "{attribute:?}");
    assert!(data.starts_with(&world.nodes[1].received[&there]));
    let failure = world.events(1).iter().find_map(|event| match event {
        Event::TransferFailed { session, failure } if *session == there => Some(*failure),
        _ => None,
    });
    let failure = failure.unwrap_or_else(|| panic!("{attribute:?}: {:?}", world.events(1)));
    assert!(world.events(0).iter().any(|event| matches!(event, Event::TransferFailed { .. })));
    assert!(!world.events(0).contains(&Event::Delivered { session }));
    (0..2).for_each(|node| assert_eq!(world.open_pipes(node).len(), 2, "no lane is left"));
    world.tamper = None;
    let again = recording(9_000);
    world.send(0, session, &offer(&again, attribute), segments(&again, attribute));
    assert_eq!(world.nodes[1].arrived, [again], "the session stays");
    (world, failure)
}

fn damaged(
    attribute: Attribute,
    tamper: impl FnMut(&mut Vec<(p2pgate::terminal::LinkId, Vec<u8>)>) + 'static,
) {
    assert_eq!(attacked(attribute, Box::new(tamper)).1, TransferFailure::Damaged, "{attribute:?}");
}

#[test]
fn every_altered_byte_of_a_frame_is_noticed() {
    for attribute in ATTRIBUTES {
        // Header, place, payload, tag.
        for byte in [4, 5, 6, 8, 9, 10, 16, 20, 26, 27, 30, 500] {
            damaged(attribute, move |frames| frames[3].1[byte] ^= 0x10);
        }
        damaged(attribute, |frames| *frames[3].1.last_mut().unwrap() ^= 1);
        damaged(attribute, |frames| *frames.last_mut().unwrap().1.last_mut().unwrap() ^= 1);
    }
}

#[test]
fn replayed_reordered_and_lost_frames_are_noticed() {
    for attribute in ATTRIBUTES {
        damaged(attribute, |frames| {
            let again = frames[3].clone();
            frames.insert(4, again);
        });
        damaged(attribute, |frames| {
            // Two of one lane.
            let second = (4..frames.len()).find(|index| frames[*index].0 == frames[3].0).unwrap();
            frames.swap(3, second);
        });
        damaged(attribute, |frames| drop(frames.remove(3)));
        damaged(attribute, |frames| drop(frames.remove(0)));
    }
}

#[test]
fn an_end_that_comes_too_early_is_no_end() {
    for attribute in ATTRIBUTES {
        damaged(attribute, |frames| {
            let ends = if frames[frames.len() - 2].1.len() < 100 { 2 } else { 1 };
            let last = frames.len() - ends - 1;
            frames.remove(last);
        });
    }
}

#[test]
fn lanes_do_not_take_each_others_frames() {
    damaged(Attribute::Split, |frames| {
        let other = frames.iter().position(|frame| frame.0 != frames[0].0).unwrap();
        let link = frames[0].0;
        frames[other].0 = link;
    });
    // The end of one is no end of the other.
    damaged(Attribute::Split, |frames| {
        let last = frames.len() - 1;
        frames[last - 1].1 = frames[last].1.clone();
    });
}

#[test]
fn frames_of_another_transfer_are_noticed() {
    let mut world = pair();
    let session = world.call(0, 1);
    let data = recording(30_000);
    let kept = std::rc::Rc::new(std::cell::RefCell::new(Vec::new()));
    let keep = kept.clone();
    world.tamper = Some(Box::new(move |frames| *keep.borrow_mut() = frames.clone()));
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    assert_eq!(world.nodes[1].arrived.len(), 1);
    world.tamper = Some(Box::new(move |frames| {
        for (frame, old) in frames.iter_mut().zip(kept.borrow().iter()) {
            frame.1 = old.1.clone();
        }
    }));
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    assert_eq!(world.nodes[1].arrived.len(), 1);
    let there = session_of(&world, 1);
    assert!(
        world
            .events(1)
            .contains(&Event::TransferFailed { session: there, failure: TransferFailure::Damaged })
    );
    // The sender hears why.
    assert!(world.events(0).contains(&Event::TransferFailed { session, failure: TransferFailure::Damaged }));
}

#[test]
fn a_frame_over_the_receivers_limit_is_refused_by_its_length() {
    for attribute in ATTRIBUTES {
        damaged(attribute, |frames| frames[2].1[..4].copy_from_slice(&2_049_u32.to_be_bytes()));
        damaged(attribute, |frames| frames[2].1[..4].copy_from_slice(&[0xff; 4]));
        damaged(attribute, |frames| frames[2].1[..4].copy_from_slice(&[0; 4]));
    }
}

#[test]
fn what_follows_an_end_is_damage() {
    for attribute in ATTRIBUTES {
        let mut world = pair();
        world.nodes[1].auto_store = false;
        let session = world.call(0, 1);
        let data = recording(9_000);
        world.tamper = Some(Box::new(|frames| frames.last_mut().unwrap().1.push(0)));
        world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
        let failed =
            |event: &Event| matches!(event, Event::TransferFailed { failure: TransferFailure::Damaged, .. });
        assert!(world.events(1).iter().any(failed), "{:?}", world.events(1));
    }
}

#[test]
fn a_sender_keeps_to_the_receivers_largest_frame_and_to_its_offer() {
    let mut world = World::new(Default::default());
    world.add("Ia");
    world.add_with("Ib", |config| config.max_frame = 300);
    world.permit(1, &["Ia"], &[]);
    let session = world.call(0, 1);
    let data = recording(9_000);
    let seen = std::rc::Rc::new(std::cell::Cell::new(0));
    let longest = seen.clone();
    world.tamper = Some(Box::new(move |frames| {
        longest.set(frames.iter().map(|frame| frame.1.len()).max().unwrap());
    }));
    world.send(0, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    assert_eq!(world.nodes[1].arrived, std::slice::from_ref(&data));
    assert!(seen.get() <= 304 && seen.get() > 250, "{}", seen.get());

    // Without segments to send by itself, the world leaves the lanes open.
    let now = world.now;
    world.tamper = None;
    world.nodes[0].terminal.offer(session, &offer(&data, Attribute::Split), now).unwrap();
    world.settle();
    let most = 300 - OVERHEAD;
    assert_eq!(world.nodes[0].terminal.max_payload(session), most);
    let piece = Piece { class: p2pgate::mpeg::Class::Rest, segment: 0, offset: 0, length: most };
    let mut buffer = vec![0; 400];
    let mut seal = |piece| world.nodes[0].terminal.seal(session, piece, &mut buffer, now).map(|_| ());
    assert_eq!(seal(Piece { length: most + 1, ..piece }), Err(FrameError::Size { most }));
    assert_eq!(seal(Piece { length: 0, ..piece }), Err(FrameError::Size { most }));
    assert_eq!(seal(Piece { offset: 8_999, length: 2, ..piece }), Err(FrameError::TooLong));
    assert_eq!(seal(Piece { offset: u64::MAX, ..piece }), Err(FrameError::TooLong));
    assert_eq!(seal(piece), Ok(()));
    let short = world.nodes[0].terminal.seal(session, piece, &mut [0; 60], now);
    assert_eq!(short, Err(FrameError::BufferTooSmall));
}

#[test]
fn a_sender_takes_nothing_from_its_lanes() {
    let mut world = pair();
    let session = world.call(0, 1);
    let data = recording(30_000);
    world.tamper = Some(Box::new(|frames| frames.truncate(3)));
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    let lane = *world.open_pipes(0).last().unwrap();
    let there = world.pipes[&lane].ends[1];
    world.write(there, b"hello");
    world.settle();
    assert!(world.events(0).contains(&Event::TransferFailed { session, failure: TransferFailure::Damaged }));
}
