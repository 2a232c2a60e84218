//! Worlds that went wrong once, made small. What they found has a test of its own as well, since a world is another one as soon as the simulator draws
//! anything else by chance.

use super::plan::{Fault, Plan};
use super::world;

fn holds(seed: u64, steps: u32, off: &[Fault]) {
    world::run(&Plan { seed, steps, off: off.to_vec() });
}

/// The broker's disk was full: the terminal did not send its list again in that connection.
#[test]
fn a_list_that_could_not_be_stored_is_sent_again() {
    use Fault::*;
    let off = [
        Latency,
        Cut,
        HalfOpen,
        Flip,
        Replay,
        Misroute,
        Clock,
        Crash,
        BrokerCrash,
        DeviceFull,
        Load,
        Revoke,
        Stranger,
        Large,
    ];
    holds(7, 10, &off);
}

/// A HELLO on a connection that the terminal had given up came behind that on the next one, and displaced it for good.
#[test]
fn a_late_hello_keeps_no_terminal_away() {
    holds(111, 8, &[Fault::SlowReader, Fault::Revoke, Fault::Stranger, Fault::SmallLimits]);
}

/// A member's deposit was being collected when it was put on the list itself: its place was forgotten, and it was collected twice.
#[test]
fn a_collection_without_a_place_does_not_go_on() {
    holds(10160807, 29, &[Fault::Clock, Fault::Load, Fault::Revoke]);
}

/// A lying broker's attacker was the first that a caller met in a member's name: the member itself has changed its key, then.
#[test]
fn who_was_deceived_at_first_use_does_not_take_the_true_key() {
    holds(10232966, 19, &[Fault::Flip, Fault::Replay, Fault::Load]);
}

/// A callee answered a call, and was replaced: its last word came when there was another key for its name. It had been right when it was said.
#[test]
fn the_last_word_of_a_device_that_was_replaced_may_still_come() {
    holds(10127394, 24, &[]);
}
