//! Runs many worlds, and makes those that fail small.

use super::model::Counted;
use super::plan::{Fault, Plan};
use super::world;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// So many worlds if nobody says another number.
const WORLDS: u64 = 200;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

/// What there was in a world, or what went wrong.
fn outcome(plan: &Plan) -> Result<Counted, String> {
    catch_unwind(AssertUnwindSafe(|| world::run(plan))).map_err(|cause| {
        let text = cause.downcast_ref::<String>().cloned();
        text.or_else(|| cause.downcast_ref::<&str>().map(|text| (*text).to_owned())).unwrap_or_default()
    })
}

fn failure(plan: &Plan) -> Option<String> {
    outcome(plan).err()
}

/// The fewest steps and kinds of fault with which it still goes wrong, as far as a few tries show.
fn shrunk(plan: &Plan) -> Plan {
    let mut small = plan.clone();
    let fails = |plan: &Plan| failure(plan).is_some();
    let mut step = small.steps / 2;
    while step > 0 {
        let fewer = Plan { steps: small.steps.saturating_sub(step), ..small.clone() };
        if fewer.steps < small.steps && fails(&fewer) {
            small = fewer;
        } else {
            step /= 2;
        }
    }
    for fault in Fault::ALL.iter().filter(|fault| plan.has(**fault)) {
        let mut fewer = small.clone();
        fewer.off.push(*fault);
        if fails(&fewer) {
            small = fewer;
        }
    }
    small
}

#[test]
fn worlds_keep_their_promises() {
    let (worlds, first) = (number("P2PGATE_WORLDS").unwrap_or(WORLDS), number("P2PGATE_FIRST").unwrap_or(0));
    let most = number("P2PGATE_STEPS").map_or(u32::MAX, |steps| steps as u32);
    let next = AtomicU64::new(first);
    let failed: Mutex<Vec<(Plan, String)>> = Mutex::default();
    let counted: Mutex<Counted> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, |count| count.get());
    // What goes wrong is told once, when it is small.
    std::panic::set_hook(Box::new(|_| ()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + worlds || !failed.lock().unwrap().is_empty() {
                        return;
                    }
                    let mut plan = Plan::new(seed);
                    plan.steps = plan.steps.min(most);
                    match outcome(&plan) {
                        Ok(there) => counted.lock().unwrap().add(&there),
                        Err(cause) => failed.lock().unwrap().push((plan, cause)),
                    }
                }
            });
        }
    });
    let failed = failed.into_inner().unwrap();
    let counted = counted.into_inner().unwrap();
    println!("{counted:?}");
    let told: Vec<String> = failed
        .iter()
        .map(|(plan, cause)| {
            let small = shrunk(plan);
            format!("{cause}\n  {plan}\nsmaller: {}\n  {small}\n", failure(&small).unwrap_or_default())
        })
        .collect();
    let _ = std::panic::take_hook();
    let ran = next.load(Ordering::Relaxed).min(first + worlds) - first;
    assert!(told.is_empty(), "of {ran} worlds from {first} on some fail:\n{}", told.join("\n"));
    // A simulator in which nothing happens proves nothing.
    if worlds >= WORLDS {
        counted.check(most < u32::MAX);
    }
}

/// One world, as the others' failures say.
#[test]
fn replay() {
    let Some(seed) = number("P2PGATE_SEED") else { return println!("skipped: P2PGATE_SEED names no world") };
    let mut plan = Plan::new(seed);
    plan.steps = number("P2PGATE_STEPS").map_or(plan.steps, |steps| steps as u32);
    let off = std::env::var("P2PGATE_OFF").unwrap_or_default();
    plan.off =
        Fault::ALL.iter().filter(|fault| off.split(',').any(|name| name == fault.name())).copied().collect();
    println!("{:?}", world::run(&plan));
}
