//! One transfer, one kill, and what has to hold then.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::cast::{Cast, ended, is_typed};
use crate::common::{eventually, same};

/// How often a sender tries again.
const TRIES: usize = 40;

/// splitmix64
#[derive(Clone, Copy)]
pub struct Dice(pub u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    pub fn fraction(&mut self) -> f64 {
        self.below(1 << 20) as f64 / f64::from(1 << 20)
    }
}

/// What is done while somebody is killed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    Direct,
    Relay,
    Split,
    Tunnel,
    Deposit,
    Collect,
    Register,
}

impl Kind {
    pub const EACH: [Self; 7] =
        [Self::Direct, Self::Relay, Self::Split, Self::Tunnel, Self::Deposit, Self::Collect, Self::Register];
}

/// What came of all rounds.
#[derive(Default, Debug)]
pub struct Figures {
    /// Rounds by kind and victim.
    kills: BTreeMap<(Kind, &'static str), usize>,
    /// Kills that came before the transfer was over.
    midway: usize,
    /// How often each exit code ended a try.
    pub codes: BTreeMap<i32, usize>,
    /// The most that a sender sent again of what the receiver had, bytes.
    pub again: u64,
    /// The most that a sender which went on by itself sent more than the recording has: what was under way is lost with the connection.
    under_way: u64,
    /// Recordings whose sender was killed before it heard that they had arrived, and which so arrived twice.
    twice: usize,
    longest: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills midway; {:?}; exit codes of tries {:?}; sent again {} bytes at most; lost under way {} bytes at most; \
             {} recordings twice as their sender was killed at the end; longest {:.1} s",
            self.midway,
            self.kills,
            self.codes,
            self.again,
            self.under_way,
            self.twice,
            self.longest.as_secs_f64()
        )
    }
}

/// One round; without `after` nobody is killed. How long the first try took.
pub fn round(cast: &mut Cast, kind: Kind, after: Option<Duration>, figures: &mut Figures) -> Duration {
    let started = Instant::now();
    let took = match kind {
        Kind::Direct => transfer(cast, "ben", &["--as", "public"], after, kind, figures),
        Kind::Relay => transfer(cast, "ben", &["--as", "confidential", "--hash"], after, kind, figures),
        Kind::Split => transfer(cast, "ben", &["--as", "split"], after, kind, figures),
        Kind::Tunnel => transfer(cast, "tim", &["--as", "confidential"], after, kind, figures),
        Kind::Deposit => deposit(cast, after, None, figures),
        Kind::Collect => deposit(cast, None, after, figures),
        Kind::Register => register(cast, after, figures),
    };
    figures.longest = figures.longest.max(started.elapsed());
    took
}

/// Kills one of `victims` after a while and starts it again; the sender's own process is called `sender`.
/// Gives how the sender's process ended, `None` if it was killed.
fn strike(
    cast: &mut Cast,
    child: Child,
    victims: &[&'static str],
    after: Duration,
    kind: Kind,
    figures: &mut Figures,
) -> Option<std::process::Output> {
    let victim = victims[cast.dice.below(victims.len() as u64) as usize];
    *figures.kills.entry((kind, victim)).or_default() += 1;
    sleep(after);
    let mut child = child;
    figures.midway += usize::from(child.try_wait().unwrap().is_none());
    if victim == "sender" {
        child.kill().unwrap();
        let output = child.wait_with_output().unwrap();
        // It may have been over.
        return output.status.success().then_some(output);
    }
    cast.kill(victim);
    sleep(Duration::from_millis(cast.dice.below(200)));
    cast.start(victim);
    Some(ended(child))
}

/// The report of a sender that ended well; otherwise its code must be a documented one.
fn report(output: &std::process::Output, figures: &mut Figures) -> Option<serde_json::Value> {
    let code = output.status.code().unwrap_or_else(|| panic!("{output:?}"));
    if code == 0 {
        return Some(serde_json::from_slice(&output.stdout).unwrap());
    }
    assert!(is_typed(code), "{output:?}");
    *figures.codes.entry(code).or_default() += 1;
    None
}

/// All bytes that a report tells of.
fn sent(report: &serde_json::Value) -> u64 {
    report["path"].as_object().unwrap().values().map(|bytes| bytes.as_u64().unwrap()).sum()
}

fn transfer(
    cast: &mut Cast,
    to: &'static str,
    arguments: &[&str],
    after: Option<Duration>,
    kind: Kind,
    figures: &mut Figures,
) -> Duration {
    let file = cast.recording(kind == Kind::Split);
    let size = fs::metadata(&file).unwrap().len();
    let started = Instant::now();
    let child = cast.sending(to, &file, arguments);
    let mut last = match after {
        Some(after) => strike(cast, child, &["broker", "sender", to], after, kind, figures),
        None => Some(ended(child)),
    };
    let took = started.elapsed();
    // Whatever has its name is whole, at once.
    let whole = |cast: &Cast| {
        let finished = cast.files(to).0;
        assert!(finished.iter().all(|path| same(path, &file)), "{kind:?}: {finished:?} is half-written");
        finished.len()
    };
    let mut there = whole(cast);
    let before = there;
    let mut tries = 0;
    let done = loop {
        if let Some(done) = last.as_ref().and_then(|output| report(output, figures)) {
            break done;
        }
        tries += 1;
        assert!(tries < TRIES, "{kind:?} doesn't come to an end: {last:?}");
        sleep(Duration::from_millis(100 * tries as u64));
        there = whole(cast);
        let partial: u64 = cast.files(to).1.iter().map(|path| fs::metadata(path).unwrap().len()).sum();
        let output = ended(cast.sending(to, &file, arguments));
        if output.status.success() && there == before {
            let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            // What the receiver had, and is sent again all the same.
            figures.again = figures.again.max((sent(&done) + partial).saturating_sub(size));
        }
        last = Some(output);
    };
    if tries == 0 {
        figures.under_way = figures.under_way.max(sent(&done).saturating_sub(size));
    }
    // The receiver says so once it has it, and it is there.
    let copies = whole(cast);
    assert!((1..=2).contains(&copies), "{kind:?}: {copies} copies");
    figures.twice += copies - 1;
    assert!(cast.files(to).1.is_empty(), "{kind:?}: {:?} is left", cast.files(to).1);
    cast.put_away(to);
    fs::remove_file(file).unwrap();
    took
}

fn deposit(
    cast: &mut Cast,
    leaving: Option<Duration>,
    collecting: Option<Duration>,
    figures: &mut Figures,
) -> Duration {
    let file = cast.recording(false);
    let size = fs::metadata(&file).unwrap().len();
    let arguments = ["--deposit", "always", "--hash"];
    let mut started = Instant::now();
    let child = cast.sending("dora", &file, &arguments);
    let mut last = match leaving {
        Some(after) => strike(cast, child, &["broker", "sender"], after, Kind::Deposit, figures),
        None => Some(ended(child)),
    };
    let mut took = started.elapsed();
    let mut tries = 0;
    while last.as_ref().and_then(|output| report(output, figures)).is_none() {
        tries += 1;
        assert!(tries < TRIES, "the deposit doesn't come to an end: {last:?}");
        sleep(Duration::from_millis(100 * tries as u64));
        let kept = listed(cast).map_or(0, |(kept, _)| kept);
        let output = ended(cast.sending("dora", &file, &arguments));
        if output.status.success() {
            let done: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
            figures.again = figures.again.max((sent(&done) + kept).saturating_sub(size));
        }
        last = Some(output);
    }
    assert_eq!(listed(cast), Some((size, size)), "it was said to be kept");

    // From here on it is the broker's and the callee's affair.
    started = Instant::now();
    cast.start("dora");
    if let Some(after) = collecting {
        let victim = ["broker", "dora"][cast.dice.below(2) as usize];
        *figures.kills.entry((Kind::Collect, victim)).or_default() += 1;
        sleep(after);
        figures.midway += usize::from(cast.files("dora").0.is_empty());
        cast.kill(victim);
        let finished = cast.files("dora").0;
        assert!(finished.iter().all(|path| same(path, &file)), "{finished:?} is half-written");
        sleep(Duration::from_millis(cast.dice.below(200)));
        cast.start(victim);
    }
    eventually(|| (!cast.files("dora").0.is_empty()).then_some(()));
    if leaving.is_none() {
        took = started.elapsed();
    }
    eventually(|| listed(cast).is_none().then_some(()));
    cast.kill("dora");
    let (finished, partial) = cast.files("dora");
    assert_eq!((finished.len(), partial.len()), (1, 0), "delivered once: {finished:?} {partial:?}");
    assert!(same(&finished[0], &file));
    cast.put_away("dora");
    fs::remove_file(file).unwrap();
    took
}

/// The one deposit of anna's: bytes kept, and in all.
fn listed(cast: &Cast) -> Option<(u64, u64)> {
    let output = eventually(|| {
        let output = cast.stage.run("anna", "deposits", &[]);
        assert!(output.status.success() || is_typed(output.status.code().unwrap()), "{output:?}");
        output.status.success().then_some(output)
    });
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines.len() < 2, "{lines:?}");
    let words: Vec<&str> = lines.first()?.split(' ').collect();
    Some((words[4].parse().unwrap(), words[2].parse().unwrap()))
}

/// A list that the broker has confirmed is there when it is killed right then.
fn register(cast: &mut Cast, after: Option<Duration>, figures: &mut Figures) -> Duration {
    let guest = format!("guest-{}", cast.dice.next());
    let started = Instant::now();
    let mut command = cast.stage.command("anna", "allow", &["--create", &format!("anna,ben,{guest}")]);
    let child =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let output = match after {
        Some(after) => strike(cast, child, &["broker", "sender"], after, Kind::Register, figures),
        None => Some(ended(child)),
    };
    let took = started.elapsed();
    let answered = output.is_some_and(|output| {
        let code = output.status.code().unwrap();
        if code != 0 {
            assert!(is_typed(code), "{output:?}");
            *figures.codes.entry(code).or_default() += 1;
        }
        code == 0
    });
    if answered {
        // Killed once more, so that only what is on disk counts.
        if after.is_some() {
            cast.kill("broker");
            cast.start("broker");
        }
        let shown = p2pgate_broker::show(&cast.stage.path("broker"), "anna").unwrap();
        let list = shown.terminal.unwrap().list;
        assert!(
            list.iter().any(|(entry, _)| entry.as_ref() == guest),
            "{guest} was confirmed, and is not there"
        );
    }
    took
}
