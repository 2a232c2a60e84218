//! P6, P8, V10a, V12, V14: the tables by which a terminal decides.

use p2pgate::load::LoadGate;
use p2pgate::mpeg::{Class, Part};
use p2pgate::route::{Attribute, Conditions, Path, Protection, Route, Selection, Way};

#[test]
fn p6_the_gate_is_busy_at_its_limit_and_free_again_below_it() {
    let mut gate = LoadGate::new(80, 10, 2);
    let steps =
        [(0, true), (79, true), (80, false), (79, false), (71, false), (70, true), (79, true), (100, false)];
    for (load, free) in steps {
        gate.set_load(load);
        assert_eq!((gate.load(), gate.is_free(0)), (load, free), "at {load}");
    }
}

#[test]
fn p6_limits_at_the_ends_of_the_scale() {
    let mut never = LoadGate::new(101, 10, 1);
    let mut always = LoadGate::new(0, 0, 1);
    assert!(!always.is_free(0), "before any figure, too");
    for load in [0, 1, 50, 100, 101, 255] {
        never.set_load(load);
        always.set_load(load);
        assert!(never.is_free(0) && !always.is_free(0), "at {load}");
    }
    let mut steep = LoadGate::new(5, 50, 1);
    for (load, free) in [(5, false), (1, false), (0, true)] {
        steep.set_load(load);
        assert_eq!(steep.is_free(0), free);
    }
}

#[test]
fn v12_the_gate_counts_sessions() {
    let gate = LoadGate::new(101, 0, 2);
    assert_eq!([0, 1, 2, 3].map(|open| gate.is_free(open)), [true, true, false, false]);
    assert!(!LoadGate::new(101, 0, 0).is_free(0));
    assert_eq!([0, 1].map(|open| LoadGate::default().is_free(open)), [true, false]);
}

#[test]
fn p8_v10a_v10b_v14_attributes_and_sizes_decide_the_route() {
    let route =
        |attribute, size, relay| Route::decide(attribute, Conditions { size, relay_below: 1_000, relay });
    let (relay, direct, clear) = (Some(Way::RELAY_SEALED), Some(Way::DIRECT_SEALED), Some(Way::DIRECT_CLEAR));
    let table = [
        (Attribute::Confidential, 0, true, relay, None),
        (Attribute::Confidential, u64::MAX, true, relay, None),
        (Attribute::Confidential, 0, false, direct, None),
        (Attribute::Public, 0, true, None, clear),
        (Attribute::Public, 0, false, None, clear),
        (Attribute::Split, 0, true, relay, clear),
        (Attribute::Split, 0, false, direct, clear),
        (Attribute::BySize, 999, true, relay, None),
        (Attribute::BySize, 1_000, true, direct, None),
        (Attribute::BySize, 999, false, direct, None),
    ];
    for (attribute, size, relays, sealed, rest) in table {
        let decided = route(attribute, size, relays);
        assert_eq!(decided, Route { sealed, rest }, "{attribute:?} {size} {relays}");
        assert_eq!((decided.way(Class::Sealed), decided.way(Class::Rest)), (sealed, rest));
    }
}

#[test]
fn v10b_selections_have_names_and_each_seals_what_those_before_it_seal() {
    let names = ["intra", "intra+second-field", "anchors", "all", "intra-blocks"];
    assert_eq!(Selection::EACH.map(Selection::name), names);
    assert_eq!(names.map(Selection::from_name), Selection::EACH.map(Some));
    for wrong in ["", "Intra", "intra ", "none"] {
        assert_eq!(Selection::from_name(wrong), None, "{wrong:?}");
    }
    let parts =
        [Part::Undecided, Part::Intra, Part::DcOnly, Part::SecondField, Part::Predicted, Part::Bidirectional];
    let sealed = |selection| parts.map(|part| part.class(selection, false) == Class::Sealed);
    for (selection, count) in Selection::EACH.into_iter().zip([3, 4, 5, 6, 6]) {
        assert_eq!(sealed(selection), [0, 1, 2, 3, 4, 5].map(|part| part < count), "{selection:?}");
        let without = Part::WithoutIntra.class(selection, false) == Class::Rest;
        assert_eq!(without, matches!(selection, Selection::Intra | Selection::IntraBlocks), "{selection:?}");
        assert_eq!(Part::NotVideo.class(selection, false), Class::Rest);
    }
}

#[test]
fn no_route_lowers_protection() {
    for attribute in [Attribute::Confidential, Attribute::Public, Attribute::Split, Attribute::BySize] {
        for relay in [false, true] {
            let route = Route::decide(attribute, Conditions { size: 7, relay_below: 9, relay });
            for way in [route.sealed, route.rest].into_iter().flatten() {
                // The broker never sees a readable byte, and the class sealed is never readable.
                assert!(way.path == Path::Direct || way.protection == Protection::Sealed);
            }
            assert!(route.sealed.is_none_or(|way| way.protection == Protection::Sealed));
            let tunnelled = route.tunnelled();
            assert_eq!(tunnelled.sealed.is_some(), route.sealed.is_some());
            assert_eq!(tunnelled.rest.is_some(), route.rest.is_some());
            for way in [tunnelled.sealed, tunnelled.rest].into_iter().flatten() {
                assert_eq!(way, Way::RELAY_SEALED);
            }
        }
    }
}
