//! A broker in a process of its own, and how much memory a process has taken.

#![allow(dead_code)] // each test file uses its part

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Command, Stdio};

use p2pgate_broker::{Options, Server};

use crate::common::Stage;

/// The most that any party may take, bytes.
pub const MEMORY: u64 = 32 << 20;

/// Names the data folder that the test program is to serve, as a broker, instead of testing.
const SERVE: &str = "P2PGATE_TEST_SERVE";

/// And where.
const LISTEN: &str = "P2PGATE_TEST_LISTEN";

/// The reference server in a process of its own. It is this test program once more, which needs a test `serve` that calls [`serve`]:
/// cargo gives a package's tests only that package's programs.
pub struct Broker {
    pub child: Child,
    _out: BufReader<ChildStdout>,
}

impl Broker {
    /// Serves the stage's data in place of the broker within this process.
    pub fn start(stage: &mut Stage) -> Self {
        stage.stop_broker();
        Self::start_with(stage, "127.0.0.1:0", &[])
    }

    /// The same once nobody serves that data, at an address, and in an environment.
    pub fn start_with(stage: &mut Stage, listen: &str, environment: &[(&str, &str)]) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "serve", "--nocapture"])
            .envs(environment.iter().copied())
            .env(SERVE, stage.path("broker"))
            .env(LISTEN, listen)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        let address = loop {
            line.clear();
            assert!(out.read_line(&mut line).unwrap() > 0, "the broker's process ended");
            // Behind what the test harness prints.
            if let Some((_, address)) = line.trim_end().split_once("listening ") {
                break address.parse().unwrap();
            }
        };
        stage.address = address;
        Self { child, _out: out }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// anna and ben, each on the other's list, and their broker in a process of its own.
pub fn pair() -> (Stage, Broker) {
    let mut stage = Stage::new();
    let broker = Broker::start(&mut stage);
    for (name, other) in [("anna", "ben"), ("ben", "anna")] {
        stage.init(name);
        stage.done(name, "allow", &["--create", other]);
    }
    (stage, broker)
}

/// In the broker's process: serves until whoever started it is gone. Elsewhere `false`.
pub fn serve() -> bool {
    let Some(data) = std::env::var_os(SERVE) else { return false };
    let mut options = Options::new(data);
    options.listen = std::env::var(LISTEN).unwrap().parse().unwrap();
    // The one before may be dying still.
    let server = crate::common::eventually(|| Server::bind(options.clone()).ok());
    println!("listening {}", server.local_addr());
    let stop = server.stop_handle();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read(&mut [0]);
        stop.stop();
    });
    server.run().unwrap();
    true
}

/// The most memory that a running process has taken so far, bytes; `None` once it has ended.
pub fn peak_memory(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB").unwrap().parse().unwrap();
    Some(kibibytes << 10)
}
