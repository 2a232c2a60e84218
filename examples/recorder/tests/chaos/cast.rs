//! Who takes part: a broker and recorders, each a process that can be killed and started again.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::common::{Stage, eventually};
use crate::process::Broker;
use crate::rounds::Dice;

/// What a receiving recorder has said that it received, over all its lives.
type Said = Arc<Mutex<Vec<PathBuf>>>;

pub struct Cast {
    pub stage: Stage,
    pub dice: Dice,
    broker: Option<Broker>,
    /// By name.
    receivers: HashMap<&'static str, (Child, Said)>,
    rounds: u64,
    /// Received, found to be whole, and put away.
    whole: HashSet<PathBuf>,
}

impl Cast {
    /// The broker; anna who sends; ben who receives, tim who is reached through a tunnel only; dora who is away.
    pub fn new() -> Self {
        let mut stage = Stage::new();
        for name in ["anna", "ben", "tim", "dora"] {
            stage.init(name);
            stage.done(name, "allow", &["--create", "anna,ben"]);
        }
        stage.stop_broker();
        let mut cast = Self {
            stage,
            dice: Dice(1),
            broker: None,
            receivers: HashMap::new(),
            rounds: 0,
            whole: HashSet::new(),
        };
        cast.start("broker");
        // Whoever has never been there can't be sent to.
        for name in ["ben", "tim", "dora"] {
            cast.start(name);
        }
        cast.kill("dora");
        cast
    }

    /// Starts the broker or a receiver, and waits until it is ready.
    pub fn start(&mut self, name: &'static str) {
        if name == "broker" {
            let address = self.stage.address;
            self.broker = Some(Broker::start_with(&mut self.stage, &address.to_string(), &[]));
            assert_eq!(address, self.stage.address);
            return;
        }
        let said = self.receivers.remove(name).map(|(_, said)| said).unwrap_or_default();
        let out = self.out(name);
        let announced = if name == "tim" { "127.0.0.1:1" } else { "127.0.0.1:0" };
        let arguments = ["--listen", "127.0.0.1:0", "--announce", announced, "--out"];
        let mut command = self.stage.command(name, "receive", &arguments);
        command.arg(&out).stdout(Stdio::piped()).stderr(Stdio::null());
        // The broker may be on its way up: who starts then is started again.
        let (child, lines) = eventually(|| {
            let mut child = command.spawn().unwrap();
            let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
            match lines.next() {
                Some(Ok(line)) if line.starts_with("ready ") => Some((child, lines)),
                _ => {
                    let status = child.wait().unwrap();
                    assert!(status.code().is_some_and(is_typed), "{name}: {status}");
                    None
                }
            }
        });
        let heard = said.clone();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let path = line.strip_prefix("received ").unwrap().split(" bytes ").next().unwrap();
                heard.lock().unwrap().push(PathBuf::from(path));
            }
        });
        self.receivers.insert(name, (child, said));
    }

    /// `kill -9`
    pub fn kill(&mut self, name: &'static str) {
        let child = match name {
            "broker" => self.broker.as_mut().map(|broker| &mut broker.child),
            name => self.receivers.get_mut(name).map(|(child, _)| child),
        };
        let child = child.unwrap();
        assert!(child.try_wait().unwrap().is_none(), "the {name} ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// Where a recorder puts what it receives.
    pub fn out(&self, name: &str) -> PathBuf {
        self.stage.path(&format!("{name}-received"))
    }

    /// Removes what a recorder has received, which was looked at. What it has said to have received so far must be among that:
    /// one that was killed may not have come to say so, and one that lives may still be about to.
    pub fn put_away(&mut self, name: &str) {
        for path in self.files(name).0 {
            fs::remove_file(&path).unwrap();
            self.whole.insert(path);
        }
        let said = std::mem::take(&mut *self.receivers[name].1.lock().unwrap());
        assert!(said.iter().all(|path| self.whole.contains(path)), "{name}: {said:?}");
    }

    /// The finished and the unfinished files there.
    pub fn files(&self, name: &str) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let entries = fs::read_dir(self.out(name)).unwrap().flatten().map(|entry| entry.path());
        entries.partition(|path| !path.file_name().unwrap().to_str().unwrap().contains(".part-"))
    }

    /// A recording that no other is like; one that can be split, if asked for.
    pub fn recording(&mut self, mpeg: bool) -> String {
        self.rounds += 1;
        let length = (4 << 20) + self.dice.below(12 << 20) as usize;
        let mut bytes = Vec::with_capacity(length + (1 << 20));
        if mpeg {
            let card = fs::read(crate::common::TEST_CARD).unwrap();
            while bytes.len() < length {
                // A padding packet with a number, lest two places are alike.
                bytes.extend_from_slice(&[0, 0, 1, 0xbe, 0, 16]);
                bytes.extend_from_slice(format!("{:016}", self.dice.next() % 1_000_000_007).as_bytes());
                bytes.extend_from_slice(&card);
            }
        } else {
            while bytes.len() < length {
                bytes.extend_from_slice(&self.dice.next().to_le_bytes());
            }
        }
        let path = self.stage.path(&format!("film-{}.mpg", self.rounds));
        fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }

    pub fn sending(&self, to: &str, file: &str, arguments: &[&str]) -> Child {
        let mut command = self.stage.command("anna", "send", &["--to", to, file, "--json"]);
        command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Drop for Cast {
    fn drop(&mut self) {
        for child in self.receivers.values_mut().map(|(child, _)| child) {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether an exit code is one of those that are documented, and says that it didn't go well.
pub fn is_typed(code: i32) -> bool {
    (3..=9).contains(&code)
}

/// Waits for a process, but not for ever.
pub fn ended(mut child: Child) -> Output {
    let deadline = Instant::now() + Duration::from_secs(120);
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            let _ = child.kill();
            panic!("it neither ends nor fails: {:?}", child.wait_with_output());
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    child.wait_with_output().unwrap()
}
