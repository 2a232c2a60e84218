//! Real packets lost, late, out of order, few, and cut off: in network namespaces of this test's own.
//!
//! It needs to make namespaces and TUN devices, and nftables; where it may not, it says that it was skipped.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod space;

use common::{TEST_CARD, TEST_CARD_BYTES, eventually, recorder, same};
use p2pgate_broker::{Options, Server};
use space::Network;
use std::io::{BufRead, BufReader, Lines, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Names the data folder that this test program is to serve, as a broker, instead of testing.
const SERVE: &str = "P2PGATE_TEST_SERVE";
const BROKER: &str = "10.77.0.1:7700";

#[test]
fn serve() {
    let Some(data) = std::env::var_os(SERVE) else { return };
    let mut options = Options::new(data);
    options.listen = BROKER.parse().unwrap();
    let server = Server::bind(options).unwrap();
    println!("listening {} key {}", server.local_addr(), server.public_key());
    let stop = server.stop_handle();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        stop.stop();
    });
    server.run().unwrap();
}

/// A process that is ended when this is dropped.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// anna in one namespace, ben in another, and the broker in a third.
struct Town {
    ben: Option<Running>,
    _broker: Running,
    folder: tempfile::TempDir,
    network: Network,
}

const SENDER: usize = 1;
const HOME: usize = 2;
const AWAY: usize = 3;

impl Town {
    fn new() -> Option<Self> {
        let mut network = Network::new()?;
        network.calm();
        let folder = tempfile::tempdir().unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve", "--nocapture"]).env(SERVE, folder.path().join("broker"));
        let mut broker = Running::start(network.spaces[0].inside(&command));
        let key = loop {
            let line = broker.line();
            if let Some((_, key)) = line.split_once(" key ") {
                break key.to_owned();
            }
        };
        let town = Self { ben: None, _broker: broker, folder, network };
        for (name, space, other) in [("anna", SENDER, "ben"), ("ben", HOME, "anna")] {
            let ticket = p2pgate_broker::enrol(&town.path("broker"), name).unwrap();
            let words = ["--id", name, "--broker", BROKER, "--broker-key", &key, "--ticket", &ticket];
            for (verb, words) in [("init", &words[..]), ("allow", &["--create", other])] {
                let output = town.command(name, space, verb, words).output().unwrap();
                assert!(output.status.success(), "{output:?}");
            }
        }
        Some(town)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, name: &str, space: usize, verb: &str, words: &[&str]) -> Command {
        let mut command = recorder();
        command.arg(verb).arg("--state").arg(self.path(name)).args(words);
        self.network.spaces[space].inside(&command)
    }

    /// ben receives there, and nowhere else.
    fn receive(&mut self, space: usize) {
        self.ben = None;
        let out = self.path("received");
        let listen = format!("{}:4000", self.network.spaces[space].address);
        let words = ["--listen", &listen, "--out", out.to_str().unwrap()];
        let mut ben = Running::start(self.command("ben", space, "receive", &words));
        assert!(ben.line().starts_with("ready "));
        self.ben = Some(ben);
    }

    fn sending(&self, words: &[&str]) -> Child {
        let mut all = vec!["--to", "ben", TEST_CARD, "--json"];
        all.extend(words);
        let mut command = self.command("anna", SENDER, "send", &all);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Bit-exact, or a documented exit code and nothing under the recording's name. `true`: it arrived.
    fn ends_well(&mut self, what: &str, child: Child) -> bool {
        let started = Instant::now();
        let output = ended(child);
        let code = output.status.code().unwrap();
        println!("{what}: exit code {code} after {:.1} s", started.elapsed().as_secs_f64());
        let there = self.path("received").join("test-card.mpg");
        if code != 0 {
            assert!((3..=9).contains(&code), "{what}: {output:?}");
            assert!(!there.exists(), "{what}");
            return false;
        }
        let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["bytes"], TEST_CARD_BYTES);
        // Who deposits is through before it is collected.
        eventually(|| there.exists().then_some(()));
        assert!(same(&there, TEST_CARD), "{what}");
        std::fs::remove_file(there).unwrap();
        true
    }

    /// How much of it ben has.
    fn partial(&self) -> u64 {
        let entries = std::fs::read_dir(self.path("received")).into_iter().flatten().flatten();
        entries.map(|entry| entry.metadata().map_or(0, |metadata| metadata.len())).sum()
    }
}

fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + Duration::from_secs(300);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it neither ends nor fails: {:?}", child.wait_with_output());
        }
        sleep(Duration::from_millis(5));
    }
    child.wait_with_output().unwrap()
}

const EACH: [&str; 3] = ["public", "confidential", "split"];

/// Whether there is time for everything.
fn slow() -> bool {
    std::env::var("P2PGATE_SLOW").is_ok_and(|slow| slow == "1")
}

fn town() -> Option<Town> {
    let town = Town::new();
    if town.is_none() {
        println!("skipped: no network namespaces with TUN devices and nftables can be made here");
    }
    town
}

#[test]
fn recordings_get_through_loss_delay_reordering_and_a_low_rate() {
    let Some(mut town) = town() else { return };
    town.receive(HOME);
    type Weather = (&'static str, fn(&mut Network));
    let weathers: [Weather; 5] = [
        ("calm", |_| {}),
        ("5 % loss", |network| network.lose(5)),
        ("200 ms, out of order", |network| network.order("delay 70 60")),
        ("1 Mbit/s", |network| network.slow("1mbit")),
        ("5 % loss, 200 ms, out of order, 2 Mbit/s", |network| {
            network.lose(5);
            network.order("delay 70 60");
            network.slow("2mbit");
        }),
    ];
    for (name, weather) in weathers {
        town.network.calm();
        weather(&mut town.network);
        for attribute in if slow() { &EACH[..] } else { &EACH[2..] } {
            let child = town.sending(&["--as", attribute]);
            let what = format!("{name}, {attribute}");
            if !town.ends_well(&what, child) {
                town.network.calm();
                let child = town.sending(&["--as", attribute]);
                assert!(town.ends_well(&format!("{what}, once more"), child));
                weather(&mut town.network);
            }
        }
    }
}

#[test]
fn recordings_get_over_cuts() {
    let Some(mut town) = town() else { return };
    town.receive(HOME);
    for attribute in if slow() { &EACH[..] } else { &EACH[2..] } {
        for cut in ["10.77.0.1", "10.77.0.3"] {
            town.network.calm();
            town.network.slow("2mbit");
            town.network.order("delay 20 10");
            let child = town.sending(&["--as", attribute]);
            eventually(|| (town.partial() > 100_000).then_some(()));
            town.network.order(&format!("cut {cut}"));
            sleep(Duration::from_secs(3));
            town.network.order(&format!("join {cut}"));
            if !town.ends_well(&format!("{cut} cut off for 3 s, {attribute}"), child) {
                let child = town.sending(&["--as", attribute]);
                assert!(town.ends_well("once more", child));
            }
        }
    }
}

#[test]
fn a_callee_that_moves_gets_the_rest_where_it_is() {
    let Some(mut town) = town() else { return };
    for (attribute, from, to) in [("public", HOME, AWAY), ("confidential", AWAY, HOME), ("split", HOME, AWAY)]
    {
        town.network.calm();
        town.receive(from);
        town.network.slow("2mbit");
        let child = town.sending(&["--as", attribute]);
        eventually(|| (town.partial() > 100_000).then_some(()));
        let old = town.network.spaces[from].address.clone();
        if slow() {
            // Its old address says nothing any more, not even that nobody is there.
            town.network.order(&format!("cut {old}"));
            town.receive(to);
        } else {
            town.receive(to);
            town.network.order(&format!("cut {old}"));
        }
        let arrived = town.ends_well(&format!("moved, {attribute}"), child);
        if !arrived {
            let child = town.sending(&["--as", attribute]);
            assert!(town.ends_well("once more", child));
        }
        town.network.order(&format!("join {old}"));
    }
}
