//! Texts that come out of place, on the peer link and on the control link.

use crate::world::World;
use crate::{connected, count, heard_pair, offer, recording, said, segments, session_of};
use p2pgate::broker::Config as BrokerConfig;
use p2pgate::route::Attribute;
use p2pgate::terminal::{ClosedCause, Event, OfflineCause, TransferFailure};

fn open() -> World {
    let mut world = heard_pair(BrokerConfig::default());
    world.call(0, 1);
    world
}

#[test]
fn texts_that_have_no_place_on_a_peer_link_end_the_session() {
    let texts = [
        "garbage\n",
        "QUERY\nSTATUS\n",
        "HELLO\nIdentifier:Ia\n",
        "PING\nTransaction:1\n",
        "NOTIFY\nRequest Accepted.\n",
        "REQUEST\nIdentifier:Ia\nPassword:x\n",
        "TRANSFER\nCaller:Ix\nCallee:Ib\nSize:1\nTransaction:9\nName:a\n",
        "TRANSFER\nCaller:Ib\nCallee:Ia\nSize:1\nTransaction:9\nName:a\n",
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nTransaction:9\n",
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nName:a\n",
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nTransaction:9\nName:../a\n",
    ];
    for text in texts {
        let mut world = open();
        let there = session_of(&world, 1);
        world.say("Ia", "Ib", text);
        let closed = Event::Closed { session: there, cause: ClosedCause::Protocol };
        assert!(world.events(1).contains(&closed), "{text:?} {:?}", world.events(1));
        assert!((0..2).all(|node| world.open_pipes(node).len() == 1));
    }
}

#[test]
fn answers_to_what_was_given_up_are_passed_over() {
    let texts = [
        "NOTIFY\nTransfer Complete.\nTransaction:99\n",
        "NOTIFY\nTransfer Failed.\nTransaction:99\n",
        "NOTIFY\nStatus:200 Lane taken.\nTransaction:99\n",
        "NOTIFY\nTransfer Accepted.\nAnswer:Ia\nTransaction:99\nOffset:0\nFrame:2048\n",
        "NOTIFY\nTransfer Refused.\nAnswer:Ia\nTransaction:99\n",
    ];
    let mut world = open();
    world.clear(1);
    for text in texts {
        world.say("Ia", "Ib", text);
    }
    assert!(world.events(1).is_empty(), "{:?}", world.events(1));
    let data = recording(5_000);
    let session = session_of(&world, 0);
    world.send(0, session, &offer(&data, Attribute::Split), segments(&data, Attribute::Split));
    assert_eq!(world.nodes[1].arrived, [data]);
}

#[test]
fn an_acceptance_that_can_not_be_ends_the_session() {
    for answer in ["Offset:10\nFrame:2048\n", "Offset:0\nFrame:10\n", "Offset:0\n", "Frame:2048\n"] {
        let mut world = open();
        world.nodes[1].auto_accept = false;
        let session = session_of(&world, 0);
        world.send(0, session, &offer(&[0; 9], Attribute::Public), Vec::new());
        let asked = said(&world, "Ia", "Ib", "TRANSFER\n").remove(0);
        let number = asked.lines().find(|line| line.starts_with("Transaction:")).unwrap();
        world.say("Ib", "Ia", &format!("NOTIFY\nTransfer Accepted.\nAnswer:Ib\n{number}\n{answer}"));
        let closed = Event::Closed { session, cause: ClosedCause::Protocol };
        assert!(world.events(0).contains(&closed), "{answer:?} {:?}", world.events(0));
        assert!(!world.events(0).iter().any(|event| matches!(event, Event::Ready { .. })));
    }
}

#[test]
fn a_recording_is_not_complete_before_its_end_was_sent() {
    let mut world = open();
    let session = session_of(&world, 0);
    world.send(0, session, &offer(&[0; 9], Attribute::Public), Vec::new());
    world.nodes[0].sending.clear();
    let asked = said(&world, "Ia", "Ib", "TRANSFER\n").remove(0);
    let number = asked.lines().find(|line| line.starts_with("Transaction:")).unwrap();
    let mut early = open();
    early.nodes[1].auto_accept = false;
    early.send(0, session, &offer(&[0; 9], Attribute::Public), Vec::new());
    early.say("Ib", "Ia", &format!("NOTIFY\nTransfer Complete.\n{number}\n"));
    assert!(!early.events(0).contains(&Event::Delivered { session }));
    assert!(early.events(0).contains(&Event::Closed { session, cause: ClosedCause::Protocol }));
}

#[test]
fn a_second_offer_is_refused_and_the_first_goes_on() {
    let mut world = open();
    world.nodes[1].auto_accept = false;
    let (session, there) = (session_of(&world, 0), session_of(&world, 1));
    let data = recording(5_000);
    world.send(0, session, &offer(&data, Attribute::Public), segments(&data, Attribute::Public));
    world.say("Ia", "Ib", "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nTransaction:777\nName:a\n");
    let refusals = said(&world, "Ib", "Ia", "NOTIFY\nTransfer Refused.\n");
    assert!(refusals.len() == 1 && refusals[0].contains("\nTransaction:777\n"), "{refusals:?}");
    world.accept(1, there);
    world.settle();
    assert_eq!(world.nodes[1].arrived, [data]);
}

#[test]
fn the_other_end_may_give_up_an_offer_before_it_was_answered() {
    let mut world = open();
    world.nodes[1].auto_accept = false;
    let (session, there, now) = (session_of(&world, 0), session_of(&world, 1), world.now);
    world.send(0, session, &offer(&[0; 9], Attribute::Public), Vec::new());
    world.nodes[0].terminal.abandon(session, "changed my mind", now).unwrap();
    world.settle();
    let failed = Event::TransferFailed { session: there, failure: TransferFailure::OtherEnd };
    assert!(world.events(1).contains(&failed));
    assert!(world.nodes[1].terminal.offered(there).is_none());
    assert!(world.nodes[1].terminal.accept(there, 0, now).is_err());
}

#[test]
fn texts_that_a_broker_does_not_say_end_the_control_link_until_the_next_try() {
    for text in ["garbage\n", "HELLO\nIdentifier:Ib\n", "REGISTER\nIdentifier:Ib\nAccept:Add Ix\n", "PING\n"]
    {
        let mut world = open();
        world.clear(1);
        world.say("broker", "Ib", text);
        assert!(world.events(1).contains(&Event::Offline { cause: OfflineCause::Broker }), "{text:?}");
        world.pass(3_000);
        assert!(world.events(1).contains(&Event::Online { relay: true }));
        assert_eq!(world.listed(1), ["Ia"]);
    }
}

#[test]
fn what_a_broker_says_out_of_place_changes_nothing() {
    let handle = "AAAAAAAAAAAAAAAAAAAAAA==";
    let key = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let texts = [
        format!("NOTIFY\nTunnel:{handle}\nToken:{key}\n"),
        format!(
            "NOTIFY\nCallee Address:192.0.2.9\nPassword:x\nEncrypt Key:{key}\nTransaction:99\nPort:7\nHandle:{handle}\nCallee Key:{key}\nCallee Password:y\n"
        ),
        "NOTIFY\nRequest Accepted.\nTransaction:99\n".to_owned(),
        "NOTIFY\nPermission Denied.\nTransaction:99\n".to_owned(),
        "NOTIFY\nTransfer Accepted.\nAnswer:broker\nTransaction:99\n".to_owned(),
        "NOTIFY\nStatus:200 Registered.\nTransaction:99\nRevision:7\n".to_owned(),
        "NOTIFY\nNot Registered.\n".to_owned(),
        format!("NOTIFY\nDeposit Question.\nTransaction:99\nCallee Key:{key}\nFrame:1000\n"),
        format!("NOTIFY\nDeposit:{handle}\nToken:{key}\nTransaction:99\n"),
        format!(
            "NOTIFY\nDeposit Kept.\nDeposit:{handle}\nPart:0\nDigest:{key}\nComplete:1\nTransaction:99\n"
        ),
        format!("NOTIFY\nTransfer Failed.\nDeposit:{handle}\n"),
        format!("NOTIFY\nDeposited for:Ix\nDeposit:{handle}\nTransaction:99\n"),
        "NOTIFY\nDepositor:Ia\n".to_owned(),
    ];
    let mut world = open();
    world.clear(1);
    for text in &texts {
        world.say("broker", "Ib", text);
        assert!(world.events(1).is_empty(), "{text:?} {:?}", world.events(1));
    }
    // Of a grant or deposit that this terminal doesn't know: the application will not know it either.
    world.say("broker", "Ib", &format!("WITHDRAW\nHandle:{handle}\n"));
    assert_eq!(world.events(1), [Event::DepositDropped { deposit: [0; 16] }]);
    assert!(world.nodes[1].terminal.is_registered());
}

#[test]
fn m12_that_lacks_what_proves_the_caller_is_denied() {
    let key = "BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=";
    let mut world = open();
    world.clear(1);
    // As the figures have it, without the further lines; a caller that is not on the list; an Encrypt Key that is none.
    for (caller, key) in [("Ia", key), ("Ix", key), ("Ia", "Key")] {
        world.say(
            "broker",
            "Ib",
            &format!("NOTIFY\nCaller ID:{caller}\nPassword:p\nEncrypt Key:{key}\nTransaction:5\n"),
        );
    }
    assert!(
        !world.events(1).iter().any(|event| matches!(event, Event::Expected { .. } | Event::Offline { .. }))
    );
    let answered = |text| said(&world, "Ib", "broker", text).len();
    assert_eq!(answered("NOTIFY\nCallee not Connected.\n") + answered("NOTIFY\nPermission Denied.\n"), 3);
}

#[test]
fn a_displaced_terminal_does_not_fight_for_its_place() {
    let mut world = open();
    world.clear(1);
    world.say("broker", "Ib", "NOTIFY\nStatus:409 Another link listens.\n");
    assert_eq!(count(&world, 1, Event::Offline { cause: OfflineCause::Displaced }), 1);
    world.pass(100_000);
    assert!(!world.events(1).iter().any(|event| matches!(event, Event::Online { .. })));
}

#[test]
fn a_registration_that_is_answered_as_stale_goes_out_again_above_it() {
    let mut world = heard_pair(BrokerConfig::default());
    world.listener.edit = Some(Box::new(|spoken| {
        let first = spoken.text.contains("\nRevision:2\n") && spoken.text.starts_with("NOTIFY\nStatus:200");
        vec![match first {
            true => spoken.text.replace("200 Registered.", "409 Stale.").replace("Revision:2", "Revision:40"),
            false => spoken.text.clone(),
        }]
    }));
    world.permit(1, &["Ic"], &[]);
    assert_eq!(world.nodes[1].terminal.revision(), 41);
    let last = said(&world, "Ib", "broker", "REGISTER\n").pop().unwrap();
    assert!(last.starts_with("REGISTER\nIdentifier:Ib\nAccept:Create Ia,Ic\n"), "{last}");
    assert!(world.nodes[1].terminal.is_registered());
    assert_eq!(world.lists["Ib"], (41, vec!["Ia".to_owned(), "Ic".to_owned()]));
    // A number that nothing can be above is a refusal, not a reason to go on for ever.
    world.listener.edit = Some(Box::new(|spoken| {
        let stale = spoken.text.replace("200 Registered.", "409 Stale.");
        vec![stale.replace("Revision:42", &format!("Revision:{}", u64::MAX))]
    }));
    world.permit(1, &["Id"], &[]);
    assert!(world.events(1).contains(&Event::RegisterFailed { status: 409 }));
    assert!(!world.nodes[1].terminal.is_registered());
    assert_eq!(connected(&world, 0), None);
}
