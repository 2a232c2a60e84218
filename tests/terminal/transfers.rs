//! P8, P9, M17, M18: offers, their answers, how transfers go on after something went wrong, and how sessions end.

use crate::world::{BUFFER, Spoken, World};
use crate::{connected, count, heard_pair, offer, pair, pair_of, recording, said, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::{Attribute, Conditions, Route};
use p2pgate::sframe::Suite;
use p2pgate::terminal::{
    ClosedCause, Event, FrameError, Offer, OfferError, OutOfTurn, Piece, SessionId, TransferFailure,
};

fn failed(session: SessionId, failure: TransferFailure) -> Event {
    Event::TransferFailed { session, failure }
}

/// Sends a recording whole and checks that it is there.
fn works(world: &mut World, from: usize, session: SessionId, attribute: Attribute) {
    let to = 1 - from;
    let (data, before) = (recording(9_000), world.nodes[to].arrived.len());
    world.send(from, session, &offer(&data, attribute), segments(&data, attribute));
    assert_eq!(world.nodes[to].arrived[before..], [data], "{:?}\n{:?}", world.events(0), world.events(1));
    assert_eq!(world.events(from).last(), Some(&Event::Delivered { session }));
}

/// No connections are left but control and peer links.
fn lanes_are_gone(world: &World) {
    for node in 0..2 {
        assert_eq!(world.open_pipes(node).len(), 2, "of {node}");
    }
}

#[test]
fn m17_m18_an_offer_is_told_whole_and_can_be_refused() {
    let mut world = heard_pair(BrokerConfig::default());
    world.nodes[1].auto_accept = false;
    let session = world.call(0, 1);
    let there = session_of(&world, 1);
    let data = recording(9_000);
    let described = Offer { source: b"state-01", hash: true, ..offer(&data, Attribute::Confidential) };
    world.send(0, session, &described, Vec::new());
    let offered = world.nodes[1].terminal.offered(there).unwrap();
    assert_eq!(
        (offered.name, offered.size, offered.source, offered.hash),
        ("film.mpg", 9_000, &b"state-01"[..], true)
    );
    let now = world.now;
    world.nodes[1].terminal.refuse(there, "no room is left", now).unwrap();
    // Its own offer right behind doesn't take the refusal's place.
    world.nodes[1].terminal.offer(there, &offer(&data, Attribute::Public), now).unwrap();
    world.nodes[0].auto_accept = false;
    world.settle();
    assert!(world.events(0).contains(&failed(session, TransferFailure::RefusedByReceiver)));
    assert!(world.events(0).contains(&Event::Offered { session }));
    let asked = said(&world, "Ia", "Ib", "TRANSFER\n").remove(0);
    assert!(asked.starts_with("TRANSFER\nCaller:Ia\nCallee:Ib\nSize:9000\n"), "{asked}");
    let number = asked.lines().find(|line| line.starts_with("Transaction:")).unwrap();
    let answer = said(&world, "Ib", "Ia", "NOTIFY\nTransfer Refused.\nAnswer:Ib\n").remove(0);
    assert!(answer.contains(number) && answer.contains("\nCause:no room is left\n"), "{answer}");
    world.nodes[0].terminal.refuse(session, "", now).unwrap();
    world.settle();
    world.nodes[1].auto_accept = true;
    works(&mut world, 0, session, Attribute::Split);
}

#[test]
fn a_cause_that_no_text_can_hold_stops_nothing() {
    for cause in ["two\nlines", "\u{7f}", Box::leak("é".repeat(4_000).into_boxed_str())] {
        let mut world = pair();
        world.nodes[1].auto_accept = false;
        let session = world.call(0, 1);
        let data = recording(100);
        world.send(0, session, &offer(&data, Attribute::Public), Vec::new());
        let (there, now) = (session_of(&world, 1), world.now);
        world.nodes[1].terminal.refuse(there, cause, now).unwrap();
        world.settle();
        assert!(world.events(0).contains(&failed(session, TransferFailure::RefusedByReceiver)));
        world.nodes[1].auto_accept = true;
        works(&mut world, 0, session, Attribute::Public);
    }
}

#[test]
fn m17_names_that_can_not_be_told_are_refused_in_type() {
    let mut world = World::new(BrokerConfig::default());
    let name = "Ib".repeat(60);
    world.add(&"Ia".repeat(60));
    let callee = world.add_with(&name, |config| config.max_record = p2pgate::link::MaxRecord::MIN);
    world.permit(callee, &[&"Ia".repeat(60)], &[]);
    let session = world.call(0, 1);
    let now = world.now;
    let terminal = &mut world.nodes[0].terminal;
    let good = offer(&[0; 9], Attribute::Public);
    for name in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256), &"x".repeat(250)] {
        assert_eq!(terminal.offer(session, &Offer { name, ..good }, now), Err(OfferError::Name), "{name}");
    }
    for source in [&[1; 7][..], &[1; 33]] {
        assert_eq!(terminal.offer(session, &Offer { source, ..good }, now), Err(OfferError::Source));
    }
    let route = Route { sealed: None, rest: None };
    assert_eq!(terminal.offer(session, &Offer { route, ..good }, now), Err(OfferError::NoLane));
    assert_eq!(terminal.offer(session, &good, now), Ok(()));
    assert_eq!(terminal.offer(session, &good, now), Err(OfferError::Busy));
    terminal.close(session);
    assert_eq!(terminal.offer(session, &good, now), Err(OfferError::NotOpen));
}

#[test]
fn offers_from_both_ends_at_once_are_both_refused_and_either_may_offer_again() {
    let mut world = pair();
    let session = world.call(0, 1);
    let (there, now) = (session_of(&world, 1), world.now);
    let good = offer(&[0; 9], Attribute::Public);
    world.nodes[0].terminal.offer(session, &good, now).unwrap();
    world.nodes[1].terminal.offer(there, &good, now).unwrap();
    world.settle();
    assert!(world.events(0).contains(&failed(session, TransferFailure::RefusedByReceiver)));
    assert!(world.events(1).contains(&failed(there, TransferFailure::RefusedByReceiver)));
    works(&mut world, 0, session, Attribute::Split);
    works(&mut world, 1, there, Attribute::Split);
}

#[test]
fn m18_what_is_too_large_for_the_broker_is_refused_by_it() {
    let config = BrokerConfig { max_transfer: 50_000, ..BrokerConfig::default() };
    let mut world = heard_pair(config);
    let session = world.call(0, 1);
    let data = recording(50_001);
    world.send(0, session, &offer(&data, Attribute::Confidential), Vec::new());
    assert!(world.events(0).contains(&failed(session, TransferFailure::RefusedByBroker)));
    assert!(said(&world, "broker", "Ia", "NOTIFY\nTransfer Refused.\nAnswer:broker\n").len() == 1);
    assert!(world.events(1).contains(&failed(session_of(&world, 1), TransferFailure::OtherEnd)));
    // No fallback lowers protection or changes the path by itself.
    assert!(said(&world, "Ia", "Ib", "LANE\n").is_empty());
    works(&mut world, 0, session, Attribute::Confidential);
    lanes_are_gone(&world);
}

#[test]
fn v14_without_relay_confidential_goes_direct_and_sealed() {
    let mut world = heard_pair(BrokerConfig { relay: false, ..BrokerConfig::default() });
    let session = world.call(0, 1);
    let data = recording(20_000);
    let relay = world.nodes[0].terminal.broker_relays();
    let route = Route::decide(Attribute::Confidential, Conditions { size: 0, relay_below: 0, relay });
    let offer = Offer { route, ..offer(&data, Attribute::Confidential) };
    world.send(0, session, &offer, segments(&data, Attribute::Confidential));
    assert_eq!(world.nodes[1].arrived, [data]);
    let lane = said(&world, "Ia", "Ib", "LANE\n").remove(0);
    assert!(lane.contains("\nPath:direct\n") && lane.contains("\nProtection:sealed\n"), "{lane}");
}

#[test]
fn a_transfer_resumes_where_it_broke_off_under_a_new_grant() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split] {
        let mut world = pair();
        let session = world.call(0, 1);
        let data = recording(60_000);
        let offer = Offer { source: b"state-01", ..offer(&data, attribute) };
        world.tamper = Some(Box::new(|frames| frames.truncate(15)));
        world.send(0, session, &offer, segments(&data, attribute));
        // The caller's connection is gone; the callee has not noticed yet.
        let there = session_of(&world, 1);
        let received = world.nodes[1].received.remove(&there).unwrap();
        assert!(!received.is_empty() && received.len() < data.len());
        for node in 0..2 {
            for pipe in &world.open_pipes(node)[1..] {
                world.pipes.get_mut(pipe).unwrap().stopped = [true; 2];
            }
        }
        world.nodes[0].terminal.close(session);
        world.settle();
        world.tamper = None;
        let again = world.call(0, 1);
        world.nodes[1].resume_at = received.len() as u64;
        world.nodes[1].start = received;
        world.send(0, again, &offer, segments(&data, attribute));
        assert!(world.events(0).contains(&Event::Delivered { session: again }), "{:?}", world.events(1));
        assert_eq!(world.nodes[1].arrived, [data]);
        assert!(world.events(1).contains(&Event::Closed { session: there, cause: ClosedCause::OtherEnd }));
    }
}

#[test]
fn a_receiver_that_has_every_byte_still_gets_the_end() {
    let mut world = pair();
    let session = world.call(0, 1);
    let data = recording(5_000);
    (world.nodes[1].resume_at, world.nodes[1].start) = (5_000, data.clone());
    world.send(0, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    assert_eq!(world.nodes[1].arrived, [data]);
}

#[test]
fn a_lane_that_breaks_fails_the_transfer_at_both_ends_and_the_session_stays() {
    for attribute in [Attribute::Confidential, Attribute::Public] {
        let mut world = pair();
        let session = world.call(0, 1);
        let there = session_of(&world, 1);
        let data = recording(60_000);
        world.tamper = Some(Box::new(|frames| frames.truncate(10)));
        world.send(0, session, &offer(&data, attribute), segments(&data, attribute));
        world.tamper = None;
        let lane = *world.open_pipes(0).last().unwrap();
        world.cut(lane);
        world.settle();
        let has = |node: usize| {
            world.events(node).iter().any(|event| matches!(event, Event::TransferFailed { .. }))
        };
        assert!(has(0) && has(1), "{attribute:?}");
        assert!(world.events(1).contains(&failed(there, TransferFailure::LaneLost)));
        lanes_are_gone(&world);
        assert!(world.nodes[1].arrived.is_empty());
        works(&mut world, 0, session, Attribute::Split);
        works(&mut world, 1, there, Attribute::Split);
    }
}

#[test]
fn a_peer_link_that_breaks_ends_everything() {
    let mut world = pair();
    let session = world.call(0, 1);
    let there = session_of(&world, 1);
    let peer = world.between(0, 1).unwrap();
    let data = recording(60_000);
    world.tamper = Some(Box::new(|frames| frames.truncate(10)));
    world.send(0, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    world.cut(peer);
    world.settle();
    for (node, session) in [(0, session), (1, there)] {
        assert!(world.events(node).contains(&failed(session, TransferFailure::OtherEnd)));
        assert!(world.events(node).contains(&Event::Closed { session, cause: ClosedCause::OtherEnd }));
        assert_eq!(world.open_pipes(node).len(), 1);
    }
    assert_eq!(world.broker.counts().grants, 0);
}

#[test]
fn either_end_may_close_or_abandon() {
    for end in 0..2 {
        let mut world = pair();
        let sessions = [world.call(0, 1), session_of(&world, 1)];
        let data = recording(60_000);
        world.tamper = Some(Box::new(|frames| frames.truncate(10)));
        world.send(0, sessions[0], &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
        world.tamper = None;
        let now = world.now;
        world.nodes[end].terminal.abandon(sessions[end], "enough", now).unwrap();
        assert_eq!(world.nodes[end].terminal.abandon(sessions[end], "enough", now), Err(OutOfTurn));
        world.settle();
        assert!(world.events(end).contains(&failed(sessions[end], TransferFailure::Abandoned)));
        let other = 1 - end;
        assert!(world.events(other).iter().any(|event| matches!(event, Event::TransferFailed { .. })));
        lanes_are_gone(&world);
        works(&mut world, 0, sessions[0], Attribute::Split);

        world.nodes[end].terminal.close(sessions[end]);
        world.settle();
        let closed = |session, cause| Event::Closed { session, cause };
        assert!(world.events(end).contains(&closed(sessions[end], ClosedCause::Here)));
        assert!(world.events(other).contains(&closed(sessions[other], ClosedCause::OtherEnd)));
        assert!((0..2).all(|node| world.open_pipes(node).len() == 1));
        assert_eq!(world.broker.counts().grants, 0);
        world.nodes[end].terminal.close(sessions[end]);
    }
}

#[test]
fn an_offer_that_is_given_up_before_it_went_out_is_never_told() {
    let mut world = heard_pair(BrokerConfig::default());
    let session = world.call(0, 1);
    let (now, good) = (world.now, offer(&[0; 9], Attribute::Public));
    for _ in 0..3 {
        world.nodes[0].terminal.offer(session, &good, now).unwrap();
        world.nodes[0].terminal.abandon(session, "no", now).unwrap();
    }
    world.settle();
    assert!(said(&world, "Ia", "Ib", "TRANSFER\n").is_empty());
    assert!(said(&world, "Ia", "Ib", "NOTIFY\n").is_empty());
    works(&mut world, 0, session, Attribute::Public);
}

#[test]
fn a_recording_that_could_not_be_stored_is_told_so() {
    let mut world = heard_pair(BrokerConfig::default());
    world.nodes[1].auto_store = false;
    let session = world.call(0, 1);
    let (there, data) = (session_of(&world, 1), recording(5_000));
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    let now = world.now;
    assert!(!world.events(0).contains(&Event::Delivered { session }));
    world.nodes[1].terminal.stored(there, Err("the disk is full"), now).unwrap();
    assert_eq!(world.nodes[1].terminal.stored(there, Ok(()), now), Err(OutOfTurn));
    world.settle();
    assert!(world.events(0).contains(&failed(session, TransferFailure::OtherEnd)));
    let told = said(&world, "Ib", "Ia", "NOTIFY\nTransfer Failed.\n");
    assert!(told[0].contains("\nCause:the disk is full\n"));
    lanes_are_gone(&world);
}

#[test]
fn what_does_not_move_ends_by_itself() {
    let mut world = pair();
    let sessions = [world.call(0, 1), session_of(&world, 1)];
    let data = recording(60_000);
    world.tamper = Some(Box::new(|frames| frames.truncate(10)));
    world.send(0, sessions[0], &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    world.pass(121_000);
    for node in 0..2 {
        assert!(world.events(node).iter().any(|event| matches!(event, Event::TransferFailed { .. })));
    }
    // Whichever notices first tells the other.
    let idle = |node: usize| count(&world, node, failed(sessions[node], TransferFailure::Idle));
    assert!(idle(0) + idle(1) > 0);
    lanes_are_gone(&world);
    world.pass(241_000);
    for node in 0..2 {
        assert!(world.events(node).iter().any(|event| matches!(event, Event::Closed { .. })));
        assert_eq!(world.open_pipes(node).len(), 1);
    }
}

#[test]
fn p8_empty_and_tiny_recordings_arrive_with_their_hash() {
    for length in [0, 1, 2_000] {
        for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split] {
            for suite in [Suite::Aes128CtrHmacSha256_80, Suite::Aes128GcmSha256_128] {
                let mut world = World::new(BrokerConfig::default());
                world.add_with("Ia", move |config| config.suite = suite);
                world.add("Ib");
                world.permit(1, &["Ia"], &[]);
                let session = world.call(0, 1);
                let data = recording(length);
                let offer = Offer { hash: true, ..offer(&data, attribute) };
                let parts = if length == 0 { Vec::new() } else { segments(&data, attribute) };
                world.send_with(0, session, &offer, parts, Some([7; 32]));
                assert_eq!(world.nodes[1].arrived, [data], "{length} {attribute:?}");
                assert_eq!(world.nodes[1].hashes, [Some([7; 32])]);
                assert!(world.events(0).contains(&Event::Delivered { session }));
            }
        }
    }
}

#[test]
fn v10b_a_lane_that_is_ahead_waits_in_bounded_memory() {
    let mut world = pair();
    let session = world.call(0, 1);
    let data = recording(400_000);
    // One class for a long time, then the other: its lane is ahead all the while.
    let (first, second) = data.split_at(200_000);
    let parts =
        vec![(p2pgate::mpeg::Class::Rest, first.to_vec()), (p2pgate::mpeg::Class::Sealed, second.to_vec())];
    world.send(0, session, &offer(&data, Attribute::Split), parts);
    assert_eq!(world.nodes[1].arrived, [data]);
    assert!(world.waited > 0, "nothing was ever ahead");
    assert!(world.most_held <= BUFFER, "{}", world.most_held);
}

#[test]
fn p8_several_sessions_at_once() {
    let mut world = World::new(BrokerConfig::default());
    let callee = world.add("Ib");
    let callers: Vec<usize> = ["I1", "I2", "I3"].iter().map(|name| world.add(name)).collect();
    world.permit(callee, &["I1", "I2", "I3"], &[]);
    let sessions: Vec<SessionId> = callers.iter().map(|caller| world.call(*caller, callee)).collect();
    let mut wanted = Vec::new();
    for (index, (caller, session)) in callers.iter().zip(&sessions).enumerate() {
        let (data, now) = (recording(30_000 + index), world.now);
        let terminal = &mut world.nodes[*caller].terminal;
        terminal.offer(*session, &offer(&data, Attribute::Split), now).unwrap();
        let sending = crate::world::Sending { segments: segments(&data, Attribute::Split), hash: None };
        world.nodes[*caller].sending.insert(*session, sending);
        wanted.push(data);
    }
    world.settle();
    world.nodes[callee].arrived.sort_by_key(Vec::len);
    assert_eq!(world.nodes[callee].arrived, wanted);
}

#[test]
fn calls_in_a_wrong_state_are_errors_in_type() {
    let mut world = pair();
    let session = world.call(0, 1);
    let (there, now) = (session_of(&world, 1), world.now);
    let piece = Piece { class: p2pgate::mpeg::Class::Sealed, segment: 0, offset: 0, length: 1 };
    for (node, session) in [(0, session), (1, there)] {
        let terminal = &mut world.nodes[node].terminal;
        assert_eq!(terminal.accept(session, 0, now), Err(OutOfTurn));
        assert_eq!(terminal.refuse(session, "", now), Err(OutOfTurn));
        assert_eq!(terminal.stored(session, Ok(()), now), Err(OutOfTurn));
        assert_eq!(terminal.abandon(session, "", now), Err(OutOfTurn));
        assert_eq!(terminal.seal(session, piece, &mut [0; 100], now), Err(FrameError::NoLane));
        assert!(terminal.offered(session).is_none());
    }
    world.nodes[1].auto_accept = false;
    world.send(0, session, &offer(&[0; 9], Attribute::Public), Vec::new());
    assert_eq!(world.nodes[1].terminal.accept(there, 10, now), Err(OutOfTurn), "over the length");
    assert_eq!(world.nodes[1].terminal.accept(there, 9, now), Ok(()));
    assert_eq!(connected(&world, 0), Some((session, false)));
}

#[test]
fn protection_is_never_lowered_by_the_sender_of_a_lane() {
    let lower: [(&str, &str); 3] =
        [("Path:direct", "Path:relay"), ("Class:rest", "Class:sealed"), ("Suite:1", "Suite:3")];
    for (from, to) in lower {
        let mut world = pair_of({
            let mut world = World::new(BrokerConfig::default());
            world.tapped = true;
            world
        });
        world.listener.edit = Some(Box::new(move |spoken: &Spoken| {
            let lane = spoken.text.starts_with("LANE\n");
            vec![if lane { spoken.text.replace(from, to) } else { spoken.text.clone() }]
        }));
        let session = world.call(0, 1);
        let data = recording(5_000);
        world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
        let there = session_of(&world, 1);
        assert!(
            world.events(1).contains(&Event::Closed { session: there, cause: ClosedCause::Protocol }),
            "{to} {:?}",
            world.events(1)
        );
        assert!(world.nodes[1].arrived.is_empty());
    }
}
