//! FETCH: one end asks, the other sends, or says no.

use crate::world::{Host, Spoken, World};
use crate::{connected, count, heard_pair, offer, recording, said, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::link::MaxRecord;
use p2pgate::route::Attribute;
use p2pgate::terminal::{
    ClosedCause, Event, FetchError, NO_SUCH_RECORDING, Offer, OfferError, SessionId, TransferFailure,
};

const ATTRIBUTES: [Attribute; 3] = [Attribute::Confidential, Attribute::Public, Attribute::Split];

fn failed(session: SessionId, failure: TransferFailure) -> Event {
    Event::TransferFailed { session, failure }
}

/// Both are connected, and both share.
fn sharing() -> World {
    let mut world = heard_pair(BrokerConfig::default());
    for node in &mut world.nodes {
        node.terminal.share(true);
    }
    world.call(0, 1);
    world
}

fn fetch(world: &mut World, node: usize, name: Option<&str>) -> SessionId {
    let (session, now) = (session_of(world, node), world.now);
    world.nodes[node].terminal.fetch(session, name, now).unwrap();
    world.settle();
    session
}

/// What a node is asked for.
fn wanted(world: &World, node: usize) -> Option<Option<String>> {
    let wanted = world.nodes[node].terminal.wanted(session_of(world, node))?;
    Some(wanted.name.map(str::to_owned))
}

/// Answers it, or offers unasked.
fn give(world: &mut World, node: usize, offer: &Offer<'_>, data: &[u8], attribute: Attribute) {
    let session = session_of(world, node);
    world.send(node, session, offer, segments(data, attribute));
}

#[test]
fn v10c_either_end_fetches_by_every_attribute() {
    for (attribute, from) in ATTRIBUTES.into_iter().flat_map(|attribute| [(attribute, 0), (attribute, 1)]) {
        let mut world = sharing();
        let to = 1 - from;
        world.nodes[from].auto_accept = false;
        let session = fetch(&mut world, from, Some("film.mpg"));
        assert_eq!(wanted(&world, to), Some(Some("film.mpg".to_owned())));
        let data = recording(60_000);
        give(&mut world, to, &offer(&data, attribute), &data, attribute);
        assert_eq!(wanted(&world, to), None);
        let offered = world.nodes[from].terminal.offered(session).unwrap();
        assert_eq!((offered.name, offered.size, offered.fetched), ("film.mpg", 60_000, true));
        world.accept(from, session);
        world.settle();
        assert_eq!(world.nodes[from].arrived, [data], "{attribute:?} {:?}", world.events(from));
        let there = session_of(&world, to);
        assert_eq!(world.events(to).last(), Some(&Event::Delivered { session: there }));
        // The offer names what it answers, behind its own number.
        let [one, other] = ["Ia", "Ib"];
        let (asker, asked) = if from == 0 { (one, other) } else { (other, one) };
        let question = said(&world, asker, asked, "FETCH\n").remove(0);
        let number = question.strip_prefix("FETCH\nName:film.mpg\nTransaction:").unwrap();
        assert!(said(&world, asked, asker, "TRANSFER\n")[0].ends_with(&format!("\nFetch:{number}")));
    }
}

#[test]
fn one_session_fetches_one_after_the_other_and_what_is_pushed_is_told_apart() {
    let mut world = sharing();
    let data = recording(9_000);
    for (round, name) in [None, Some("film.mpg"), None].into_iter().enumerate() {
        fetch(&mut world, 0, name);
        assert_eq!(wanted(&world, 1), Some(name.map(str::to_owned)));
        give(&mut world, 1, &offer(&data, Attribute::Confidential), &data, Attribute::Confidential);
        assert_eq!(world.nodes[0].arrived.len(), round + 1);
    }
    world.nodes[0].auto_accept = false;
    give(&mut world, 1, &offer(&data, Attribute::Public), &data, Attribute::Public);
    assert!(!world.nodes[0].terminal.offered(session_of(&world, 0)).unwrap().fetched);
}

#[test]
fn nothing_is_shared_unless_the_application_says_so() {
    let mut world = heard_pair(BrokerConfig::default());
    world.call(0, 1);
    for (asker, name) in [(0, Some("film.mpg")), (0, None), (1, Some("film.mpg"))] {
        let heard = world.events(1 - asker).len();
        let session = fetch(&mut world, asker, name);
        assert_eq!(world.events(asker).last(), Some(&failed(session, TransferFailure::FetchRefused)));
        assert_eq!(world.events(1 - asker).len(), heard, "the application hears nothing of it");
    }
    // It can be taken back, and the session goes on.
    world.nodes[1].terminal.share(true);
    fetch(&mut world, 0, None);
    assert_eq!(wanted(&world, 1), Some(None));
    world.nodes[1].terminal.share(false);
    let data = recording(5_000);
    give(&mut world, 1, &offer(&data, Attribute::Public), &data, Attribute::Public);
    assert_eq!(world.nodes[0].arrived, [data]);
    let session = fetch(&mut world, 0, None);
    assert_eq!(world.events(0).last(), Some(&failed(session, TransferFailure::FetchRefused)));
}

#[test]
fn an_unknown_name_is_told_from_a_refusal() {
    for (cause, failure) in [
        (NO_SUCH_RECORDING, TransferFailure::NoSuchRecording),
        ("not today", TransferFailure::FetchRefused),
        ("two\nlines", TransferFailure::FetchRefused),
    ] {
        let mut world = sharing();
        let session = fetch(&mut world, 0, Some("film.mpg"));
        let (there, now) = (session_of(&world, 1), world.now);
        world.nodes[1].terminal.refuse(there, cause, now).unwrap();
        assert!(world.nodes[1].terminal.refuse(there, cause, now).is_err());
        world.settle();
        assert_eq!(world.events(0).last(), Some(&failed(session, failure)));
        // The same word about an offer is no more than a refusal.
        world.nodes[1].auto_accept = false;
        let data = recording(100);
        give(&mut world, 0, &offer(&data, Attribute::Public), &data, Attribute::Public);
        world.nodes[1].terminal.refuse(there, cause, now).unwrap();
        world.settle();
        assert_eq!(world.events(0).last(), Some(&failed(session, TransferFailure::RefusedByReceiver)));
    }
}

#[test]
fn names_are_one_component_and_the_answer_has_the_one_that_was_asked_for() {
    let mut world = World::new(BrokerConfig::default());
    let name = "Ib".repeat(60);
    world.add_with(&"Ia".repeat(60), |config| config.max_record = MaxRecord::MIN);
    let callee = world.add_with(&name, |config| config.max_record = MaxRecord::MIN);
    world.permit(callee, &[&"Ia".repeat(60)], &[]);
    world.nodes[1].terminal.share(true);
    let session = world.call(0, 1);
    let now = world.now;
    for name in ["", ".", "..", "a/b", "a\\b", "a\nb", &"x".repeat(256)] {
        let terminal = &mut world.nodes[0].terminal;
        assert_eq!(terminal.fetch(session, Some(name), now), Err(FetchError::Name), "{name}");
    }
    let data = recording(100);
    world.nodes[0].terminal.fetch(session, Some("b"), now).unwrap();
    assert_eq!(world.nodes[0].terminal.fetch(session, None, now), Err(FetchError::Busy));
    assert_eq!(
        world.nodes[0].terminal.offer(session, &offer(&data, Attribute::Public), now),
        Err(OfferError::Busy)
    );
    world.settle();
    let (there, good) = (session_of(&world, 1), offer(&data, Attribute::Public));
    assert_eq!(world.nodes[1].terminal.offer(there, &good, now), Err(OfferError::Name));
    give(&mut world, 1, &Offer { name: "b", ..good }, &data, Attribute::Public);
    assert_eq!(world.nodes[0].arrived, std::slice::from_ref(&data));
    // A name that M17 has no room for is refused rather than left without an answer.
    let long = "x".repeat(180);
    fetch(&mut world, 0, Some(&long));
    let terminal = &mut world.nodes[1].terminal;
    assert_eq!(terminal.offer(there, &Offer { name: &long, ..good }, now), Err(OfferError::Name));
    world.settle();
    assert_eq!(world.events(0).last(), Some(&failed(session, TransferFailure::FetchRefused)));
    world.nodes[0].terminal.close(session);
    assert_eq!(world.nodes[0].terminal.fetch(session, None, now), Err(FetchError::NotOpen));
}

#[test]
fn a_fetch_that_broke_off_goes_on_where_it_stopped() {
    for attribute in ATTRIBUTES {
        let mut world = sharing();
        let data = recording(60_000);
        let offer = Offer { source: b"state-01", ..offer(&data, attribute) };
        world.tamper = Some(Box::new(|frames| frames.truncate(15)));
        let session = fetch(&mut world, 0, Some("film.mpg"));
        give(&mut world, 1, &offer, &data, attribute);
        let received = world.nodes[0].received.remove(&session).unwrap();
        assert!(!received.is_empty() && received.len() < data.len());
        let link = world.between(0, 1).unwrap();
        world.cut(link);
        world.nodes[0].terminal.close(session);
        world.settle();
        world.tamper = None;
        world.call(0, 1);
        (world.nodes[0].resume_at, world.nodes[0].start) = (received.len() as u64, received);
        fetch(&mut world, 0, Some("film.mpg"));
        give(&mut world, 1, &offer, &data, attribute);
        assert_eq!(world.nodes[0].arrived, [data], "{attribute:?} {:?}", world.events(0));
    }
}

#[test]
fn in_a_tunnel_a_fetch_comes_sealed_whatever_its_attribute() {
    for attribute in ATTRIBUTES {
        let mut world = heard_pair(BrokerConfig::default());
        world.nodes[1].terminal.share(true);
        let address = world.nodes[1].address;
        world.hosts.insert(address, Host::Silent);
        world.call(0, 1);
        world.pass(6_000);
        assert!(connected(&world, 0).unwrap().1);
        fetch(&mut world, 0, Some("film.mpg"));
        let data = recording(30_000);
        give(&mut world, 1, &offer(&data, attribute), &data, attribute);
        assert_eq!(world.nodes[0].arrived, std::slice::from_ref(&data));
        for pipe in world.pipes.values() {
            for record in &pipe.record {
                assert!(!record.windows(64).any(|window| window == &data[10_000..10_064]), "{attribute:?}");
            }
        }
    }
}

#[test]
fn either_end_may_give_up_and_the_session_stays() {
    // The asker, before and after its question went out.
    for told in [false, true] {
        let mut world = sharing();
        let (session, there, now) = (session_of(&world, 0), session_of(&world, 1), world.now);
        world.nodes[0].terminal.fetch(session, Some("film.mpg"), now).unwrap();
        if told {
            world.settle();
        }
        world.nodes[0].terminal.abandon(session, "changed my mind", now).unwrap();
        world.settle();
        assert_eq!(count(&world, 0, failed(session, TransferFailure::Abandoned)), 1);
        assert_eq!(count(&world, 1, failed(there, TransferFailure::OtherEnd)), usize::from(told));
        assert_eq!(wanted(&world, 1), None);
        fetch(&mut world, 0, None);
        assert_eq!(wanted(&world, 1), Some(None));
        // The one that is asked, also when its offer hasn't gone out yet.
        let data = recording(100);
        if told {
            world.nodes[1].terminal.offer(there, &offer(&data, Attribute::Public), now).unwrap();
        }
        world.nodes[1].terminal.abandon(there, "changed my mind", now).unwrap();
        world.settle();
        assert_eq!(world.events(0).last(), Some(&failed(session, TransferFailure::FetchRefused)));
    }
}

#[test]
fn an_answer_that_comes_too_late_is_refused() {
    let mut world = sharing();
    let session = fetch(&mut world, 0, Some("film.mpg"));
    let (there, now) = (session_of(&world, 1), world.now);
    let data = recording(100);
    // The offer and the word that nobody wants it any more cross.
    world.nodes[0].terminal.abandon(session, "changed my mind", now).unwrap();
    world.nodes[1].terminal.offer(there, &offer(&data, Attribute::Public), now).unwrap();
    world.clear(0);
    world.settle();
    assert!(!world.events(0).contains(&Event::Offered { session }), "{:?}", world.events(0));
    assert!(world.events(1).contains(&failed(there, TransferFailure::RefusedByReceiver)));
    give(&mut world, 1, &offer(&data, Attribute::Public), &data, Attribute::Public);
    assert_eq!(world.nodes[0].arrived, [data]);
}

#[test]
fn questions_from_both_ends_at_once_are_both_refused_and_either_may_ask_again() {
    let mut world = sharing();
    let (session, there, now) = (session_of(&world, 0), session_of(&world, 1), world.now);
    world.nodes[0].terminal.fetch(session, None, now).unwrap();
    world.nodes[1].terminal.fetch(there, None, now).unwrap();
    world.settle();
    assert_eq!(count(&world, 0, failed(session, TransferFailure::FetchRefused)), 1);
    assert_eq!(count(&world, 1, failed(there, TransferFailure::FetchRefused)), 1);
    // A question and an offer.
    let data = recording(100);
    world.nodes[0].terminal.fetch(session, None, now).unwrap();
    world.nodes[1].terminal.offer(there, &offer(&data, Attribute::Public), now).unwrap();
    world.settle();
    assert_eq!(count(&world, 0, failed(session, TransferFailure::FetchRefused)), 2);
    assert_eq!(count(&world, 1, failed(there, TransferFailure::RefusedByReceiver)), 1);
    fetch(&mut world, 1, None);
    assert_eq!(wanted(&world, 0), Some(None));
}

#[test]
fn whoever_is_asked_and_never_answers_is_not_waited_for_for_ever() {
    let mut world = sharing();
    let session = fetch(&mut world, 0, Some("film.mpg"));
    let there = session_of(&world, 1);
    world.pass(119_000);
    assert_eq!(count(&world, 0, failed(session, TransferFailure::Idle)), 0);
    world.pass(2_000);
    let [here, other] = [(0, session), (1, there)].map(|(node, session)| {
        world
            .events(node)
            .iter()
            .filter(|event| matches!(event, Event::TransferFailed { session: of, .. } if *of == session))
            .count()
    });
    assert_eq!((here, other), (1, 1), "{:?}\n{:?}", world.events(0), world.events(1));
    fetch(&mut world, 0, None);
    assert_eq!(wanted(&world, 1), Some(None));
}

#[test]
fn while_something_is_under_way_a_question_is_refused() {
    let mut world = sharing();
    fetch(&mut world, 0, Some("film.mpg"));
    for number in 900..1_000 {
        world.say("Ia", "Ib", &format!("FETCH\nName:b\nTransaction:{number}\n"));
    }
    let refusals = said(&world, "Ib", "Ia", "NOTIFY\nTransfer Refused.\n");
    assert!(refusals.iter().all(|text| text.contains("\nCause:one transfer at a time\n")), "{refusals:?}");
    assert!(refusals.last().unwrap().contains("\nTransaction:999\n"));
    let data = recording(5_000);
    give(&mut world, 1, &offer(&data, Attribute::Split), &data, Attribute::Split);
    assert_eq!(world.nodes[0].arrived, [data]);
}

#[test]
fn questions_and_answers_out_of_form_end_the_session() {
    for text in [
        "FETCH\nName:b\n",
        "FETCH\nName:../b\nTransaction:9\n",
        &format!("FETCH\nName:{}\nTransaction:9\n", "x".repeat(256)),
    ] {
        let mut world = sharing();
        let there = session_of(&world, 1);
        world.say("Ia", "Ib", text);
        assert!(
            world.events(1).contains(&Event::Closed { session: there, cause: ClosedCause::Protocol }),
            "{text}"
        );
    }
    // A yes without an offer; another recording than the one asked for.
    for answer in [
        "NOTIFY\nTransfer Accepted.\nAnswer:Ib\nOffset:0\nFrame:2048\nTransaction:",
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nName:other.mpg\nTransaction:9\nFetch:",
    ] {
        let mut world = sharing();
        let session = fetch(&mut world, 0, Some("film.mpg"));
        let question = said(&world, "Ia", "Ib", "FETCH\n").remove(0);
        let number = question.rsplit_once(':').unwrap().1.trim_end().to_owned();
        world.say("Ib", "Ia", &format!("{answer}{number}\n"));
        let closed = Event::Closed { session, cause: ClosedCause::Protocol };
        assert!(world.events(0).contains(&closed), "{answer} {:?}", world.events(0));
    }
}

#[test]
fn an_offer_that_claims_to_answer_what_was_not_asked_is_refused() {
    let mut world = sharing();
    world.listener.edit = Some(Box::new(|spoken: &Spoken| {
        let offer = spoken.text.starts_with("TRANSFER\n") && spoken.to == "Ia";
        vec![if offer { format!("{}Fetch:77\n", spoken.text) } else { spoken.text.clone() }]
    }));
    let data = recording(100);
    give(&mut world, 1, &offer(&data, Attribute::Public), &data, Attribute::Public);
    let (session, there) = (session_of(&world, 0), session_of(&world, 1));
    assert!(!world.events(0).contains(&Event::Offered { session }));
    assert!(world.events(1).contains(&failed(there, TransferFailure::RefusedByReceiver)));
}

#[test]
fn a_caller_that_is_struck_off_fetches_no_more() {
    let mut world = sharing();
    let session = fetch(&mut world, 0, Some("film.mpg"));
    world.permit(1, &[], &["Ia"]);
    assert!(
        world
            .events(0)
            .iter()
            .any(|event| matches!(event, Event::Closed { session: of, .. } if *of == session))
    );
    assert!(world.nodes[0].arrived.is_empty());
}
