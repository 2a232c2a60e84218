//! P9: how much of a terminal's goes through the broker in a day, and how long its records are.

use crate::lanes::{grant, open, refused, tokens, transfer};
use crate::world::{World, key, source};
use p2pgate::broker::Config;
use p2pgate::link::MaxRecord;

const OWN: &str = "this terminal's relay bytes of the day are used up";
const OTHER: &str = "the other terminal's relay bytes of the day are used up";
const DAY: u64 = 24 * 60 * 60 * 1_000;

fn config(most: u64) -> Config {
    // The parties say nothing for a day.
    Config {
        relay_bytes_per_day: Some(most),
        idle_ms: 3 * DAY,
        session_ms: 3 * DAY,
        grant_lifetime_ms: 3 * DAY,
        ..Config::default()
    }
}

fn granted(config: Config) -> (World, u64, u64, String) {
    let mut world = World::with(config);
    let alice = world.terminal("alice", 1);
    let bob = world.callee("bob", 2, "alice");
    let handle = grant(&mut world, alice, bob);
    (world, alice, bob, handle)
}

/// A lane of so many bytes, joined: its two connections.
fn joined(world: &mut World, alice: u64, handle: &str, size: u64) -> (u64, u64) {
    let tokens = tokens(world, alice, &transfer(handle, size));
    let [(first, _), (second, _)] = tokens.map(|token| open(world, &token));
    (first, second)
}

fn end(world: &mut World, (first, second): (u64, u64), carried: Option<u64>) {
    if let Some(carried) = carried {
        world.broker.carried(first, carried, world.now);
    }
    world.disconnect(first);
    world.disconnect(second);
}

#[test]
fn p9_what_a_terminal_has_relayed_in_a_day_is_bounded() {
    let (mut world, alice, bob, handle) = granted(config(10_000));
    let lane = joined(&mut world, alice, &handle, 6_000);
    // What is under way counts.
    assert_eq!(refused(&world.ask(alice, &transfer(&handle, 5_000))), OWN);
    assert_eq!(world.broker.spent_terminals(world.now), 0);
    // It has carried less than it was asked for.
    end(&mut world, lane, Some(4_000));
    let lane = joined(&mut world, alice, &handle, 6_000);
    end(&mut world, lane, Some(6_100));
    assert_eq!(world.broker.spent_terminals(world.now), 2);
    assert_eq!(refused(&world.ask(bob, &transfer(&handle, 1))), OWN);
    assert_eq!(refused(&world.ask(alice, &format!("TUNNEL\nHandle:{handle}\nTransaction:6\n"))), OWN);
    // Whose limit it is: carol has had nothing yet.
    let carol = world.terminal("carol", 3);
    world.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Add carol\nRevision:2\n");
    world.send(carol, "QUERY\nIdentifier:carol\nCallee:bob\n");
    let handle_of_carol = crate::lanes::answered(&mut world, carol, bob);
    let text =
        format!("TRANSFER\nCaller:carol\nCallee:bob\nSize:1\nTransaction:5\nHandle:{handle_of_carol}\n");
    assert_eq!(refused(&world.ask(carol, &text)), OTHER);
    // The next day it begins anew.
    world.pass(DAY);
    let lane = joined(&mut world, alice, &handle, 9_000);
    end(&mut world, lane, None);
    assert_eq!(refused(&world.ask(alice, &transfer(&handle, 5_000))), OWN, "nobody said what it carried");
}

#[test]
fn p9_a_lane_that_never_came_about_counts_for_nothing() {
    let (mut world, alice, _, handle) = granted(config(10_000));
    tokens(&mut world, alice, &transfer(&handle, 9_000));
    assert_eq!(refused(&world.ask(alice, &transfer(&handle, 9_000))), OWN);
    world.pass(60_000);
    tokens(&mut world, alice, &transfer(&handle, 9_000));
}

#[test]
fn p9_another_limit_counts_at_once() {
    let (mut world, alice, _, handle) = granted(config(1_000));
    assert_eq!(refused(&world.ask(alice, &transfer(&handle, 2_000))), OWN);
    world.broker.set_config(config(3_000));
    let lane = joined(&mut world, alice, &handle, 2_000);
    world.broker.set_config(config(1_000));
    assert_eq!(world.broker.spent_terminals(world.now), 2);
    end(&mut world, lane, Some(10));
    world.broker.set_config(Config { relay_bytes_per_day: None, ..config(0) });
    assert_eq!(world.broker.spent_terminals(world.now), 0);
    tokens(&mut world, alice, &transfer(&handle, 1 << 29));
}

#[test]
fn the_largest_record_is_a_setting() {
    let small = Config { max_record: MaxRecord::MIN, ..Config::default() };
    let mut world = World::with(small);
    let alice = world.terminal("alice", 1);
    let list = |count: usize| (0..count).map(|number| format!("a{number:03}")).collect::<Vec<_>>().join(",");
    let text = |count| format!("REGISTER\nIdentifier:alice\nAccept:Add {}\n", list(count));
    assert!(world.ask(alice, &text(70)).contains("Status:200"));
    // Who is there already keeps what was agreed: a record of 513 bytes is too long.
    world.broker.set_config(Config::default());
    world.feed(alice, &513_u16.to_be_bytes(), 2);
    assert!(world.is_closed(alice));
    let again = world.dial(&key(1), source(1), 4_096);
    assert!(world.ask(again, "HELLO\nIdentifier:alice\n").contains("Status:200"));
    assert!(world.ask(again, &text(900)).contains("Status:200"));
}
