//! Broker, senders and receivers as real processes, one of which is killed (`kill -9`) at any moment, started again, and asked again.
//!
//! `P2PGATE_KILLS` says how many rounds, `P2PGATE_SEED` which ones.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod cast;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/process.rs"]
mod process;
mod rounds;

use cast::Cast;
use rounds::{Figures, Kind, round};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rounds unless told otherwise: one of each kind, and each with another victim.
const ROUNDS: usize = 6;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[test]
fn serve() {
    if process::serve() {
        return;
    }
    // Here: without a kill, every kind arrives, and nothing is sent twice.
    let mut cast = Cast::new();
    let mut figures = Figures::default();
    for kind in Kind::EACH {
        round(&mut cast, kind, None, &mut figures);
    }
    assert_eq!((figures.again, figures.codes.len()), (0, 0), "{figures:?}");
}

#[test]
fn every_transfer_outlives_kills_of_anybody_at_any_moment() {
    let rounds = number("P2PGATE_KILLS").map_or(ROUNDS, |rounds| rounds as usize);
    let clock = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_nanos() as u64);
    let seed = number("P2PGATE_SEED").unwrap_or(clock);
    println!("P2PGATE_SEED={seed}");
    let mut cast = Cast::new();
    cast.dice = rounds::Dice(seed);
    // How long each kind takes when nothing happens.
    let mut quiet = Figures::default();
    let typical = Kind::EACH.map(|kind| round(&mut cast, kind, None, &mut quiet));
    let mut figures = Figures::default();
    for number in 0..rounds {
        let place = number % Kind::EACH.len();
        let longest = typical[place].mul_f64(1.1) + Duration::from_millis(20);
        let after = longest.mul_f64(cast.dice.fraction());
        round(&mut cast, Kind::EACH[place], Some(after), &mut figures);
    }
    println!("{rounds} rounds: {figures}");
    assert!(figures.again < 1 << 20, "{} bytes went again", figures.again);
}
