//! Denial: crowds of connections and floods of messages, and honest terminals that are served meanwhile.
//!
//! `P2PGATE_CROWD` says how many connections the crowds have, `P2PGATE_SECONDS` for how long each attack lasts. It prints memory, and the honest
//! terminals' times without the attack and under it.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod attacks;
mod honest;
#[path = "../process/support.rs"]
mod support;

use attacks::Crowd;
use honest::{Household, Times};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use support::{Served, folder};

/// The most memory that the broker may take, bytes: less than 5 KiB for each of ten thousand connections, and what it takes anyway.
const MEMORY: u64 = 64 << 20;

static ALONE: Mutex<()> = Mutex::new(());

fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The most memory that a running process has taken so far, bytes.
fn peak_memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() << 10
}

/// Honest terminals before and during an attack, which goes on until it is told to stop and says what it came to.
fn endure(
    name: &str,
    attack: impl FnOnce(&Served, &std::path::Path, &AtomicBool, &AtomicBool) -> String + Send,
) {
    // They would be each other's attack.
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let all = rustix::process::Rlimit { current: limit.maximum, ..limit };
    rustix::process::setrlimit(rustix::process::Resource::Nofile, all).unwrap();
    let seconds = Duration::from_secs(number("P2PGATE_SECONDS", 2));
    let folder = folder();
    let mut served = Served::start(folder.path());
    let mut household = Household::enrol(&served, folder.path());
    let mut quiet = household.live(&served, seconds);
    let before = peak_memory(served.child.id());
    let (there, over) = (AtomicBool::new(false), AtomicBool::new(false));
    let (said, mut under) = thread::scope(|scope| {
        let attack = scope.spawn(|| {
            // Attackers have machines of their own: here they get what the broker and the honest ones leave. It holds for this thread and those that it starts.
            let _ = rustix::process::nice(19);
            attack(&served, folder.path(), &there, &over)
        });
        let deadline = Instant::now() + Duration::from_secs(60);
        while !there.load(Ordering::Relaxed) && Instant::now() < deadline && !attack.is_finished() {
            thread::sleep(Duration::from_millis(5));
        }
        let under = household.live(&served, seconds);
        over.store(true, Ordering::Relaxed);
        (attack.join().unwrap(), under)
    });
    let peak = peak_memory(served.child.id());
    println!(
        "{name}: {said}; memory {:.1} MiB, before {:.1}; {}",
        peak as f64 / f64::from(1 << 20),
        before as f64 / f64::from(1 << 20),
        Times::compare(&mut quiet, &mut under)
    );
    assert!(served.child.try_wait().unwrap().is_none(), "the broker ended");
    assert!(peak < MEMORY, "{name}: {peak} bytes");
    assert_eq!((quiet.refused, under.refused), (0, 0), "{name}: honest ones were refused");
    assert!(!under.queries.is_empty(), "{name}: nobody was served");
}

fn crowd(served: &Served, opening: &[u8], slowly: bool, there: &AtomicBool, over: &AtomicBool) -> String {
    Crowd::new(served.address, number("P2PGATE_CROWD", 600) as usize, opening, slowly).stay(there, over)
}

/// Whether an identifier exists is told by no word; how far by the time is measured here, not promised.
#[test]
fn who_exists_and_who_does_not_gets_the_same_words_in_much_the_same_time() {
    let folder = folder();
    let served = Served::start_with(folder.path(), &["--queries-per-minute", "1000000"]);
    let mut bob = served.enrol(folder.path(), "bob", 2);
    let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create carol\nRevision:1\n");
    assert!(answer.contains("Status:200"), "{answer}");
    let mut alice = served.enrol(folder.path(), "alice", 1);
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..number("P2PGATE_QUERIES", 500) {
        let mut said = Vec::new();
        for (callee, times) in ["bob", "bot"].into_iter().zip(&mut times) {
            let asked = Instant::now();
            let first = alice.ask(&format!("QUERY\nIdentifier:alice\nCallee:{callee}\n"));
            let second =
                if first.starts_with("NOTIFY\nRequest Accepted.") { alice.text() } else { String::new() };
            times.push(asked.elapsed());
            said.push(first + &second);
        }
        assert_eq!(said[0], said[1]);
    }
    let [there, unknown] = &mut times;
    // How often one guesses right who looks at one time only: half the time if it tells nothing.
    let slower = there.iter().map(|one| unknown.iter().filter(|other| one > other).count()).sum::<usize>();
    let guess = slower as f64 / (there.len() * unknown.len()) as f64;
    for times in [&mut *there, &mut *unknown] {
        times.sort_unstable();
    }
    let median = |times: &[Duration]| times[times.len() / 2].as_nanos() as f64 / 1e3;
    println!(
        "{} each: who is there but permits nobody {:.1} µs, who isn't {:.1} µs (medians); the first is the slower one in {:.1} % of pairs",
        there.len(),
        median(there),
        median(unknown),
        guess * 100.0
    );
}

#[test]
fn connections_that_say_nothing() {
    endure("silent", |served, _, there, over| crowd(served, &[], false, there, over));
}

#[test]
fn connections_that_shake_hands_and_stall() {
    endure("stalled", |served, _, there, over| {
        crowd(served, &attacks::message_1(served), false, there, over)
    });
}

#[test]
fn connections_that_send_a_byte_a_second() {
    endure("slow", |served, _, there, over| crowd(served, &attacks::message_1(served), true, there, over));
}

#[test]
fn a_flood_of_handshakes() {
    endure("handshakes", |served, _, there, over| attacks::handshakes(served, there, over));
}

#[test]
fn a_flood_of_queries() {
    endure("queries", |served, data, there, over| {
        attacks::texts(served, data, there, over, |name, _| format!("QUERY\nIdentifier:{name}\nCallee:bob\n"))
    });
}

#[test]
fn a_flood_of_the_longest_lists() {
    endure("registrations", |served, data, there, over| {
        attacks::texts(served, data, there, over, |name, count| {
            // As many entries as there may be, as long as a message takes.
            let list: Vec<String> =
                (0..1_000).map(|entry| format!("{entry:06}{:06}", count % 1_000_000)).collect();
            format!("REGISTER\nIdentifier:{name}\nAccept:Create {}\n", list.join(","))
        })
    });
}

#[test]
fn a_terminal_that_never_reads() {
    endure("unread", attacks::unread);
}
