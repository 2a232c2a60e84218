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
