//! A broker in this process and recorders as real processes.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use p2pgate_broker::{Options, Server, Stop};

/// The recording that ships with the program.
pub const TEST_CARD: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/media/test-card.mpg");
pub const TEST_CARD_BYTES: u64 = 530_432;

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Stage {
    pub folder: tempfile::TempDir,
    pub address: SocketAddr,
    pub key: String,
    /// Where the broker listens with TLS, if it does.
    pub tls: Option<SocketAddr>,
    setting: fn(&mut Options),
    broker: Option<(Stop, JoinHandle<()>)>,
}

impl Stage {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(setting: fn(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut stage = Self { folder, address, key: String::new(), tls: None, setting, broker: None };
        stage.start_broker();
        stage
    }

    /// With the same data and at the same address as before.
    pub fn start_broker(&mut self) {
        let mut options = Options::new(self.path("broker"));
        options.listen = self.address;
        options.grace = Duration::from_millis(200);
        (self.setting)(&mut options);
        let server = eventually(|| Server::bind(options.clone()).ok());
        self.address = server.local_addr();
        self.key = server.public_key().to_string();
        self.tls = server.tls_addr();
        let stop = server.stop_handle();
        self.broker = Some((stop, std::thread::spawn(move || server.run().unwrap())));
    }

    pub fn stop_broker(&mut self) {
        let (stop, running) = self.broker.take().unwrap();
        stop.stop();
        running.join().unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A recorder's command; `--state` is put behind the verb.
    pub fn command(&self, name: &str, verb: &str, arguments: &[&str]) -> Command {
        let mut command = recorder();
        command.arg(verb).arg("--state").arg(self.path(name)).args(arguments);
        command
    }

    pub fn run(&self, name: &str, verb: &str, arguments: &[&str]) -> Output {
        self.command(name, verb, arguments).output().unwrap()
    }

    /// The same, and it has to go well.
    pub fn done(&self, name: &str, verb: &str, arguments: &[&str]) -> String {
        let output = self.run(name, verb, arguments);
        assert!(output.status.success(), "{name} {verb} {arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// A command that needs no recorder's folder.
    pub fn done_alone(&self, verb: &str, arguments: &[&str]) {
        let output = recorder().arg(verb).args(arguments).output().unwrap();
        assert!(output.status.success(), "{verb} {arguments:?}: {output:?}");
    }

    pub fn init(&self, name: &str) {
        let ticket = p2pgate_broker::enrol(&self.path("broker"), name).unwrap().to_string();
        self.done(name, "init", &self.init_arguments(name, &ticket));
    }

    pub fn init_arguments<'a>(&'a self, name: &'a str, ticket: &'a str) -> [&'a str; 8] {
        let address = Box::leak(self.address.to_string().into_boxed_str());
        ["--id", name, "--broker", address, "--broker-key", &self.key, "--ticket", ticket]
    }

    /// `init` by the ticket that stands on standard input.
    pub fn init_by_input(&self, mut command: Command, input: &str) -> Output {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let arguments = fs::read(format!("/proc/{}/cmdline", child.id()));
        let shown = arguments.is_ok_and(|shown| String::from_utf8_lossy(&shown).contains(input.trim()));
        assert!(!shown || input.trim().is_empty(), "the ticket is in the list of processes");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// anna and ben, each on the other's list.
    pub fn pair() -> Self {
        Self::pair_with(|_| {})
    }

    pub fn pair_with(setting: fn(&mut Options)) -> Self {
        let stage = Self::with(setting);
        for (name, other) in [("anna", "ben"), ("ben", "anna")] {
            stage.init(name);
            stage.done(name, "allow", &["--create", other]);
        }
        stage
    }

    pub fn receive(&self, name: &str, arguments: &[&str]) -> Receiving {
        self.receive_in(name, arguments, &[])
    }

    /// The same in an environment.
    pub fn receive_in(&self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Receiving {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        all.extend(arguments);
        self.receive_by(name, &all, environment)
    }

    /// The same, listening where the arguments say.
    pub fn receive_by(&self, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Receiving {
        let out = self.path(&format!("{name}-received"));
        let mut command = self.command(name, "receive", arguments);
        command.arg("--out").arg(&out).envs(environment.iter().copied()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut ready = String::new();
        lines.read_line(&mut ready).unwrap();
        let mut receiving = Receiving { child, lines, out, address: String::new() };
        let words: Vec<&str> = ready.trim_end().splitn(3, ' ').collect();
        assert_eq!((words[0], words[2]), ("ready", name), "{ready:?}");
        receiving.address = words[1].to_owned();
        receiving
    }

    /// Sends and gives the report.
    pub fn send(&self, from: &str, to: &str, file: &str, arguments: &[&str]) -> serde_json::Value {
        let mut all = vec!["--to", to, file, "--json"];
        all.extend(arguments);
        serde_json::from_str(&self.done(from, "send", &all)).unwrap()
    }

    /// Sends, which has to fail: exit code, and the text that standard error and the JSON object have alike.
    pub fn fail(&self, from: &str, to: &str, file: &str, arguments: &[&str]) -> (i32, String) {
        let mut all = vec!["--to", to, file, "--json"];
        all.extend(arguments);
        let output = self.run(from, "send", &all);
        let code = output.status.code().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let text = json["error"]["text"].as_str().unwrap().to_owned();
        assert_eq!(json["error"]["code"], code);
        assert!(said.trim_end().ends_with(&text), "{said:?} {text:?}");
        (code, text)
    }

    /// A file of so many zeros that takes no room.
    pub fn large_file(&self, bytes: u64) -> String {
        let path = self.path("large.bin");
        File::create(&path).unwrap().set_len(bytes).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if self.broker.is_some() {
            self.stop_broker();
        }
    }
}

/// A recorder that receives; ended when dropped.
pub struct Receiving {
    pub child: Child,
    lines: BufReader<ChildStdout>,
    pub out: PathBuf,
    pub address: String,
}

impl Receiving {
    /// The next line that it prints.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for the next recording: where it is.
    pub fn received(&mut self) -> PathBuf {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        let path = line.strip_prefix("received ").unwrap().split(" bytes ").next().unwrap();
        PathBuf::from(path)
    }

    /// Waits until some of a recording is there: the unfinished file and its length.
    pub fn partial(&self, least: u64) -> (PathBuf, u64) {
        eventually(|| {
            let entries = fs::read_dir(&self.out).ok()?;
            entries.flatten().find_map(|entry| {
                let length = entry.metadata().ok()?.len();
                let unfinished = entry.file_name().to_str()?.contains(".part-");
                (unfinished && length >= least).then(|| (entry.path(), length))
            })
        })
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn recorder() -> Command {
    Command::new(env!("CARGO_BIN_EXE_p2pgate-recorder"))
}

/// Waits until there is an answer.
pub fn eventually<T>(mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "it did not happen");
        std::thread::sleep(Duration::from_millis(2));
    }
}

pub fn same(one: &Path, other: impl AsRef<Path>) -> bool {
    fs::read(one).unwrap() == fs::read(other).unwrap()
}
