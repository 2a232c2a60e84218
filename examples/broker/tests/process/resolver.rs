//! P1, V2, V3, system 100: the address resolution server as a process of its own.

use crate::support::*;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const ASK: &str = "QUERY\nIdentifier:alice\nCallee:bob\n";

fn key(data: &Path) -> String {
    let output = Command::new(PROGRAM).args(["key", "--data"]).arg(data).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Both processes, alice, and bob who permits her.
struct System {
    resolver: Option<Served>,
    /// Where it listens.
    at: String,
    broker: Served,
    alice: Terminal,
    bob: Terminal,
    folders: [TempDir; 2],
}

impl System {
    fn start(options: &[&str]) -> Self {
        let folders = [folder(), folder()];
        let [at_resolver, at_broker] = [folders[0].path(), folders[1].path()];
        let resolver = Served::resolver(at_resolver, "127.0.0.1:0", &key(at_broker), options);
        assert_eq!(key(at_resolver), resolver.key.to_string(), "as it says itself");
        let at = resolver.address.to_string();
        let options = ["--resolver", &*at, "--resolver-key", &*key(at_resolver)];
        let broker = Served::start_with(at_broker, &options);
        let alice = broker.enrol(at_broker, "alice", 1);
        let mut bob = broker.enrol(at_broker, "bob", 2);
        let answer = bob.ask("REGISTER\nIdentifier:bob\nAccept:Create alice\n");
        assert!(answer.contains("Status:200"), "{answer}");
        Self { resolver: Some(resolver), at, broker, alice, bob, folders }
    }

    fn data(&self) -> &Path {
        self.folders[0].path()
    }

    fn kill_resolver(&mut self) {
        self.resolver.take().unwrap().kill();
    }

    fn restart_resolver(&mut self, options: &[&str]) {
        let broker = self.broker.key.to_string();
        self.resolver = Some(Served::resolver(self.data(), &self.at, &broker, options));
    }

    fn tell(&mut self, lines: &str) {
        let answer = self.bob.ask(&format!("ADDRESS\nIdentifier:bob\n{lines}\n"));
        assert!(answer.contains("Status:200"), "{answer}");
    }

    /// Where bob is, or the cause of M9.
    fn ask(&mut self) -> Result<String, String> {
        self.alice.send(ASK);
        // Bob is asked, if at all, before alice is answered; either is told of the other's end.
        let first = self.alice_or_bob();
        let Some(question) = first else {
            let answer = self.alice.text();
            assert!(answer.starts_with("NOTIFY\nCallee not Found.\n"), "{answer}");
            return Err(value(&answer, "Cause").to_owned());
        };
        let mut question = question;
        for status in ["STATUS Acceptable.", "Request Accepted."] {
            let number = value(&question, "Transaction").to_owned();
            self.bob.send(&format!("NOTIFY\n{status}\nTransaction:{number}\n"));
            if status.starts_with("STATUS") {
                question = self.bob.text();
            }
        }
        assert!(self.alice.text().starts_with("NOTIFY\nRequest Accepted.\n"));
        let told = self.alice.text();
        let handle = value(&told, "Handle").to_owned();
        self.alice.send(&format!("RELEASE\nHandle:{handle}\n"));
        let released = self.bob.text();
        assert!(released.contains(&handle), "{released}");
        Ok(format!("{} {}", value(&told, "Callee Address"), value(&told, "Port")))
    }

    /// What bob is asked; `None`: alice has her answer.
    fn alice_or_bob(&mut self) -> Option<String> {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            assert!(Instant::now() < deadline, "neither is told anything");
            let [bob, alice] = [&self.bob, &self.alice].map(|terminal| {
                terminal.stream.set_nonblocking(true).unwrap();
                let there = terminal.stream.peek(&mut [0]).is_ok();
                terminal.stream.set_nonblocking(false).unwrap();
                there
            });
            if bob {
                return Some(self.bob.text());
            }
            if alice {
                return None;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Asks until the answer is this one: the broker finds out by and by that the resolver is back, or has another address.
    fn comes_to(&mut self, expected: &str) {
        let mut last = None;
        for _ in 0..60 {
            let answer = self.ask();
            if answer.as_deref() == Ok(expected) {
                return;
            }
            last = Some(answer);
            std::thread::sleep(Duration::from_millis(250));
        }
        panic!("{last:?} instead of {expected}");
    }
}

#[test]
fn p1_system_100_lives_through_a_killed_resolver() {
    let mut system = System::start(&[]);
    assert!(system.ask().unwrap_err().contains("no address"), "bob has told none");
    system.tell("Address:0.0.0.0\nPort:4000");
    system.comes_to("127.0.0.1 4000");
    system.kill_resolver();
    let cause = system.ask().unwrap_err();
    assert!(cause.contains("address resolution server"), "{cause}");
    // What is told meanwhile it is told once it is back.
    system.tell("Address:192.0.2.7\nPort:4001");
    assert!(system.ask().is_err());
    system.restart_resolver(&[]);
    system.comes_to("192.0.2.7 4001");
    // What it was told before outlasts a kill, with the broker's too.
    system.kill_resolver();
    system.restart_resolver(&[]);
    system.comes_to("192.0.2.7 4001");
}

#[test]
fn p1_a_resolver_that_answers_nothing_is_m9_by_the_deadline() {
    let mut system = System::start(&[]);
    system.tell("Address:0.0.0.0\nPort:4000");
    system.comes_to("127.0.0.1 4000");
    let resolver = system.resolver.as_ref().unwrap();
    resolver.signal(rustix::process::Signal::STOP);
    let cause = system.ask().unwrap_err();
    system.resolver.as_ref().unwrap().signal(rustix::process::Signal::CONT);
    assert!(cause.contains("did not answer"), "{cause}");
    system.comes_to("127.0.0.1 4000");
}

#[test]
fn p1_a_stranger_s_key_cannot_ask_the_resolver() {
    let mut system = System::start(&[]);
    system.tell("Address:192.0.2.7\nPort:4000");
    system.comes_to("192.0.2.7 4000");
    let resolver = system.resolver.as_ref().unwrap();
    let mut stranger = Terminal::dial(resolver.address, &resolver.key, 66);
    assert!(stranger.ask("HELLO\nIdentifier:broker\n").contains("Status:401"));
    assert!(stranger.next().is_none());
    // Nor can a terminal that it knows, for others.
    let mut eve = resolver.enrol(system.data(), "eve", 5);
    assert_eq!(eve.ask("RESOLVE\nIdentifier:bob\n"), "NOTIFY\nNot Registered.\n");
    assert!(eve.ask("ADDRESS\nIdentifier:bob\nAddress:192.0.2.66\nPort:1\n").contains("Status:403"));
    system.comes_to("192.0.2.7 4000");
    // A broker that has another resolver's key asks nobody.
    let wrong = secret_key(9).public_key().to_string();
    let options = ["--resolver", &*system.at, "--resolver-key", &*wrong];
    let data = folder();
    let broker = Served::start_with(data.path(), &options);
    let mut alice = broker.enrol(data.path(), "alice", 1);
    let mut bob = broker.enrol(data.path(), "bob", 2);
    permit(&mut bob);
    let answer = alice.ask(ASK);
    assert!(answer.contains("Callee not Found.") && answer.contains("address resolution server"), "{answer}");
}

#[test]
fn p1_entries_expire() {
    let mut system = System::start(&[]);
    system.tell("Address:192.0.2.7\nPort:4000");
    system.comes_to("192.0.2.7 4000");
    // Of those who are online the broker tells again.
    system.bob.stream.shutdown(std::net::Shutdown::Both).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        assert!(Instant::now() < deadline);
        system.alice.send(ASK);
        if system.alice.text().starts_with("NOTIFY\nCallee not Connected.\n") {
            break;
        }
        std::thread::sleep(Duration::from_secs(2));
    }
    system.kill_resolver();
    let store = rusqlite::Connection::open(system.data().join("broker.sqlite")).unwrap();
    assert_eq!(store.execute("UPDATE resolved SET written = written - 72 * 3600", []).unwrap(), 1);
    let left = || -> i64 { store.query_row("SELECT COUNT(*) FROM resolved", [], |row| row.get(0)).unwrap() };
    system.restart_resolver(&["--address-hours", "73"]);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(left(), 1);
    system.kill_resolver();
    system.restart_resolver(&[]);
    let deadline = Instant::now() + Duration::from_secs(30);
    while left() > 0 {
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn v2_a_terminal_may_tell_the_resolver_itself() {
    let mut system = System::start(&[]);
    assert!(system.ask().is_err());
    let data = system.data().to_path_buf();
    let mut bob = system.resolver.as_ref().unwrap().enrol(&data, "bob", 2);
    assert!(bob.ask("ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:4005\n").contains("Status:200"));
    drop(bob);
    system.comes_to("127.0.0.1 4005");
}

#[test]
fn v2_leases_are_asked_and_count_as_they_change() {
    let files = folder();
    let (leases, hosts) = (files.path().join("leases"), files.path().join("hosts"));
    let later = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3_600;
    let write = |address: &str, expires: u64| {
        let line = format!("{expires} 02:00:00:00:00:01 {address} recorder *\n");
        std::fs::write(&leases, line).unwrap();
    };
    write("192.0.2.20", later);
    std::fs::write(&hosts, "bob\trecorder\t4020\n").unwrap();
    let options = ["--leases", leases.to_str().unwrap(), "--hosts", hosts.to_str().unwrap()];
    let mut system = System::start(&options);
    // He has told no address at all.
    system.comes_to("192.0.2.20 4020");
    write("192.0.2.21", later);
    assert_eq!(system.ask().as_deref(), Ok("192.0.2.21 4020"));
    write("192.0.2.21", 1);
    assert!(system.ask().unwrap_err().contains("no address"));
    system.tell("Address:192.0.2.7\nPort:4000");
    system.comes_to("192.0.2.7 4000");
    write("192.0.2.22", later);
    assert_eq!(system.ask().as_deref(), Ok("192.0.2.22 4020"), "who assigns it knows better");
}

#[test]
fn v3_a_domain_name_is_looked_up() {
    let mut system = System::start(&[]);
    system.tell("Address:localhost\nPort:4000");
    let found = ["127.0.0.1 4000", "::1 4000"];
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let answer = system.ask();
        if answer.as_ref().is_ok_and(|answer| found.contains(&&**answer)) {
            break;
        }
        assert!(Instant::now() < deadline, "{answer:?}");
    }
    system.tell("Address:no-such-host.invalid\nPort:4000");
    let deadline = Instant::now() + Duration::from_secs(30);
    while !system.ask().is_err_and(|cause| cause.contains("domain name")) {
        assert!(Instant::now() < deadline);
    }
    // Without a resolver as well (V1).
    let data = folder();
    let broker = Served::start(data.path());
    let mut alice = broker.enrol(data.path(), "alice", 1);
    let mut bob = broker.enrol(data.path(), "bob", 2);
    permit(&mut bob);
    assert!(bob.ask("ADDRESS\nIdentifier:bob\nAddress:localhost\nPort:4000\n").contains("Status:200"));
    alice.send(ASK);
    for text in ["STATUS Acceptable.", "Request Accepted."] {
        let number = value(&bob.text(), "Transaction").to_owned();
        bob.send(&format!("NOTIFY\n{text}\nTransaction:{number}\n"));
    }
    alice.text();
    let told = alice.text();
    assert!(["127.0.0.1", "::1"].contains(&value(&told, "Callee Address")), "{told}");
}

#[test]
fn the_key_is_made_once_and_never_anew_for_a_store_that_has_lost_it() {
    let folder = folder();
    let data = folder.path();
    let first = key(data);
    assert_eq!(first, key(data));
    let served = Served::start(data);
    assert_eq!(first, served.key.to_string());
    assert_eq!(first, key(data), "while it runs");
    drop(served);
    std::fs::remove_file(data.join("broker.key")).unwrap();
    let output = Command::new(PROGRAM).args(["key", "--data"]).arg(data).output().unwrap();
    assert_eq!(output.status.code(), Some(9));
    for options in [&["--resolver", "127.0.0.1:1"][..], &["--resolver-key", &first]] {
        let mut command = Command::new(PROGRAM);
        command.args(["serve", "--check-config", "--data"]).arg(data).args(options);
        assert_eq!(command.output().unwrap().status.code(), Some(2));
    }
}

#[test]
fn the_resolver_s_settings_come_from_file_environment_and_flags_too() {
    let [folder, other] = [folder(), folder()];
    let file = folder.path().join("resolver.toml");
    let data = folder.path().join("data");
    let broker = key(other.path());
    let resolver = |flags: &[&str], variables: &[(&str, &str)]| {
        let mut command = Command::new(PROGRAM);
        command.args(["resolver", "--config"]).arg(&file).args(flags).envs(variables.iter().copied());
        command
    };
    let listen = "listen = \"127.0.0.1:1\"\n";
    std::fs::write(&file, format!("data = {data:?}\nbroker-key = \"{broker}\"\nmax-addresses = 5\n{listen}"))
        .unwrap();
    let output = resolver(&["--check-config"], &[]).output().unwrap();
    assert!(output.status.success() && output.stdout.is_empty() && !data.exists(), "{output:?}");
    // A variable of `serve` is none of its.
    let variables = [("P2PGATE_RESOLVER_LISTEN", "127.0.0.1:0"), ("P2PGATE_BROKER_MAX_LIST", "4")];
    let served = Served::started_by(resolver(&[], &variables));
    assert!(served.address.port() != 1);
    served.stop();
    let served = Served::started_by(resolver(&["--listen", "[::1]:0"], &variables));
    assert!(served.address.is_ipv6());
    // SIGHUP reads them anew.
    served.signal(rustix::process::Signal::HUP);
    assert!(served.stop().success());
    for (flags, variables, cause) in [
        (&["--max-list", "3"][..], &[][..], "--max-list"),
        (
            &[],
            &[("P2PGATE_RESOLVER_MAX_LIST", "3")][..],
            "P2PGATE_RESOLVER_MAX_LIST: there is no setting max-list: see resolver --help",
        ),
        (&["--leases", "x"], &[], "--leases and --hosts go together"),
        (&[], &[("P2PGATE_RESOLVER_ADMIN", "0.0.0.0:1")], "0.0.0.0:1"),
        (&["--address-hours", "1"], &[], "--address-hours"),
    ] {
        let mut command = resolver(flags, variables);
        let output = command.arg("--check-config").output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.lines().count() == 1 && error.contains(cause), "{error}");
    }
    for (text, cause) in [
        ("data = \"x\"\n", "--broker-key"),
        ("max-addresses = 0\n", "max-addresses"),
        ("max-lists = 1\n", "no setting max-lists: see resolver --help"),
        ("", "no data folder"),
    ] {
        std::fs::write(&file, text).unwrap();
        let output = resolver(&["--check-config"], &[]).output().unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.lines().count() == 1 && error.contains(cause), "{error}");
    }
}
