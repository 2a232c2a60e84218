//! The recorder in C (`examples/c`) against the real broker and this recorder, both ways.
//!
//! `P2PGATE_C_RECORDER` names another build of it, with what is to run it before (`qemu-arm -L … recorder`); else it is built here.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, TEST_CARD_BYTES, eventually, same};
use p2pgate_broker::Options;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;

const WARNINGS: [&str; 5] = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror"];
const SOURCES: [&str; 10] = [
    "recorder.c",
    "node.c",
    "app.c",
    "state.c",
    "incoming.c",
    "outgoing.c",
    "commands.c",
    "receive.c",
    "send.c",
    "fetch.c",
];

fn must(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {output:?}");
}

/// The library as it is installed, and the program with it.
fn build() -> String {
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let (prefix, program) = (scratch.join("c-prefix"), scratch.join("c-recorder"));
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    must(
        Command::new("sh")
            .arg(root.join("ffi/install.sh"))
            .args(["--static-only", "--prefix"])
            .arg(&prefix)
            .env("CARGO", env!("CARGO"))
            .env("CARGO_TARGET_DIR", scratch.parent().unwrap()),
    );
    let flags = std::env::var("CFLAGS").unwrap_or_else(|_| "-O2 -g".to_owned());
    must(
        Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()))
            .args(WARNINGS)
            .args(["-D_POSIX_C_SOURCE=200809L", "-D_FILE_OFFSET_BITS=64"])
            .args(flags.split_whitespace())
            .arg("-I")
            .arg(prefix.join("include"))
            .args(SOURCES.map(|name| root.join("examples/c").join(name)))
            .arg(prefix.join("lib/libp2pgate.a"))
            .arg("-o")
            .arg(&program),
    );
    program.to_str().unwrap().to_owned()
}

fn c_recorder() -> Command {
    static WORDS: OnceLock<Vec<String>> = OnceLock::new();
    let words = WORDS.get_or_init(|| {
        let words = std::env::var("P2PGATE_C_RECORDER").unwrap_or_else(|_| build());
        words.split_whitespace().map(str::to_owned).collect()
    });
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// A command of the C recorder; `--state` is put behind the verb.
fn command(stage: &Stage, name: &str, verb: &str, arguments: &[&str]) -> Command {
    let mut command = c_recorder();
    command.arg(verb).arg("--state").arg(stage.path(name)).args(arguments);
    command
}

/// It has to go well: what it prints.
fn done(stage: &Stage, name: &str, verb: &str, arguments: &[&str]) -> String {
    let output = command(stage, name, verb, arguments).output().unwrap();
    assert!(output.status.success(), "{name} {verb} {arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// It has to fail: exit code and text.
fn fails(stage: &Stage, name: &str, verb: &str, arguments: &[&str]) -> (i32, String) {
    let Output { status, stderr, .. } = command(stage, name, verb, arguments).output().unwrap();
    assert!(!status.success());
    (status.code().unwrap(), String::from_utf8(stderr).unwrap())
}

fn init(stage: &Stage, name: &str) {
    let ticket = p2pgate_broker::enrol(&stage.path("broker"), name).unwrap().to_string();
    let said = done(stage, name, "init", &stage.init_arguments(name, &ticket));
    assert!(said.starts_with(&format!("enrolled {name} fingerprint ")), "{said}");
}

/// anna runs this recorder and carla the one in C; each is on the other's list.
fn pair() -> Stage {
    let stage = Stage::new();
    stage.init("anna");
    init(&stage, "carla");
    stage.done("anna", "allow", &["--create", "carla"]);
    done(&stage, "carla", "allow", &["--create", "anna"]);
    stage
}

/// The C recorder receiving; ended when dropped.
struct Receiving {
    child: Child,
    lines: BufReader<ChildStdout>,
    out: PathBuf,
}

impl Receiving {
    fn start(stage: &Stage, name: &str, arguments: &[&str]) -> Self {
        Self::start_by(stage, name, &[&["--listen", "127.0.0.1:0"], arguments].concat(), "127.0.0.1")
    }

    /// Listening where the arguments say, which is that place.
    fn start_by(stage: &Stage, name: &str, arguments: &[&str], place: &str) -> Self {
        let out = stage.path(&format!("{name}-received"));
        let mut command = command(stage, name, "receive", &["--out"]);
        let mut child = command.arg(&out).args(arguments).stdout(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        let mut receiving = Self { child, lines, out };
        let ready = receiving.line();
        assert!(ready.starts_with(&format!("ready {place}:")) && ready.ends_with(name), "{ready:?}");
        receiving
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Waits for the next recording: where it is.
    fn received(&mut self) -> PathBuf {
        let line = self.line();
        PathBuf::from(line.strip_prefix("received ").unwrap().split(" bytes ").next().unwrap())
    }
}

impl Drop for Receiving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Direct in clear, direct and sealed, sealed through the broker.
fn figures(sent: &str) -> Vec<u64> {
    let (_, ways) = sent.split_once(" s: ").unwrap();
    ways.split(|c: char| !c.is_ascii_digit()).filter_map(|word| word.parse().ok()).collect()
}

fn assert_ways(attribute: &str, ways: &[u64]) {
    match attribute {
        "public" => assert_eq!(ways, [TEST_CARD_BYTES, 0, 0]),
        "split" => {
            assert_eq!(ways[0] + ways[2], TEST_CARD_BYTES);
            assert!(ways[1] == 0 && ways[0] > 300_000 && ways[2] >= 128_330, "{ways:?}");
        }
        _ => assert_eq!(ways, [0, 0, TEST_CARD_BYTES]),
    }
}

#[test]
fn p4_who_listens_anywhere_is_reached_by_ipv6_and_ipv4() {
    let places: [fn(&mut Options); 2] = [
        |options| options.listen = "127.0.0.1:0".parse().unwrap(),
        |options| options.listen = "[::1]:0".parse().unwrap(),
    ];
    if TcpListener::bind("[::1]:0").is_err() {
        println!("skipped: this machine has no IPv6");
        return;
    }
    for setting in places {
        let stage = Stage::with(setting);
        stage.init("anna");
        init(&stage, "carla");
        done(&stage, "carla", "allow", &["--create", "anna"]);
        let mut receiving = Receiving::start_by(&stage, "carla", &[], "[::]");
        let report = stage.send("anna", "carla", TEST_CARD, &["--as", "public"]);
        assert!(same(&receiving.received(), TEST_CARD));
        assert_eq!(
            (&report["tunnel"], &report["path"]["direct_clear"]),
            (&false.into(), &TEST_CARD_BYTES.into())
        );
    }
}

#[test]
fn p8_every_attribute_goes_its_way_from_c() {
    let stage = pair();
    let mut receiving = stage.receive("anna", &[]);
    for attribute in ["confidential", "public", "split", "auto"] {
        let sent = done(&stage, "carla", "send", &["--to", "anna", TEST_CARD, "--as", attribute, "--hash"]);
        assert_ways(attribute, &figures(&sent));
        assert!(same(&receiving.received(), TEST_CARD), "{attribute}");
    }
    let sent =
        done(&stage, "carla", "send", &["--to", "anna", TEST_CARD, "--as", "auto", "--relay-below", "1"]);
    assert_eq!(figures(&sent), [0, TEST_CARD_BYTES, 0]);
    assert!(same(&receiving.received(), TEST_CARD));
}

#[test]
fn p8_every_attribute_goes_its_way_to_c() {
    let stage = pair();
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    for attribute in ["confidential", "public", "split", "auto"] {
        stage.send("anna", "carla", TEST_CARD, &["--as", attribute, "--hash"]);
        assert!(same(&receiving.received(), TEST_CARD), "{attribute}");
    }
}

#[test]
fn p8_every_attribute_goes_its_way_between_two_in_c_and_through_the_tunnel() {
    let stage = pair();
    init(&stage, "cleo");
    done(&stage, "carla", "allow", &["--add", "cleo"]);
    // Port 1 refuses: as behind a home router, nobody comes in.
    for (announce, tunnel) in [("127.0.0.1:0", false), ("127.0.0.1:1", true)] {
        let mut receiving = Receiving::start(&stage, "carla", &["--announce", announce]);
        for attribute in ["confidential", "public", "split"] {
            let sent =
                done(&stage, "cleo", "send", &["--to", "carla", TEST_CARD, "--as", attribute, "--hash"]);
            assert_ways(if tunnel { "confidential" } else { attribute }, &figures(&sent));
            assert!(same(&receiving.received(), TEST_CARD), "{attribute}");
        }
    }
}

#[test]
fn who_is_not_on_the_list_is_refused() {
    let stage = pair();
    let (_in_c, _in_rust) = (Receiving::start(&stage, "carla", &[]), stage.receive("anna", &[]));
    done(&stage, "carla", "allow", &["--delete", "anna"]);
    stage.done("anna", "allow", &["--delete", "carla"]);
    assert_eq!(stage.fail("anna", "carla", TEST_CARD, &[]).0, 3);
    assert_eq!(fails(&stage, "carla", "send", &["--to", "anna", TEST_CARD]).0, 3);
    assert_eq!(done(&stage, "carla", "allow", &[]), "");
    // And one that never was.
    init(&stage, "cleo");
    assert_eq!(fails(&stage, "cleo", "send", &["--to", "carla", TEST_CARD]).0, 3);
}

#[test]
fn a_list_that_another_process_changed_counts_at_once() {
    let stage = pair();
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    for _ in 0..3 {
        done(&stage, "carla", "allow", &["--create", ""]);
        assert_eq!(stage.fail("anna", "carla", TEST_CARD, &[]).0, 3);
        done(&stage, "carla", "allow", &["--create", "anna"]);
        stage.send("anna", "carla", TEST_CARD, &[]);
        assert!(same(&receiving.received(), TEST_CARD));
    }
    // A key once seen stays with its entry.
    let anna = stage.done("anna", "show", &[]);
    let key = anna.lines().find_map(|line| line.strip_prefix("fingerprint ")).unwrap();
    assert_eq!(done(&stage, "carla", "allow", &["--fingerprints"]), format!("anna={key}\n"));
}

#[test]
fn m1_a_long_list_is_registered() {
    let stage = pair();
    // As many as it has places for but one, each as long as may be.
    let mut names: Vec<String> = (0..62).map(|number| format!("{number:0128}")).collect();
    names.push("anna".to_owned());
    done(&stage, "carla", "allow", &["--create", &names.join(",")]);
    assert_eq!(done(&stage, "carla", "allow", &[]).lines().count(), 63);
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    stage.send("anna", "carla", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    names.extend(["one".to_owned(), "too many".to_owned()]);
    let (code, text) = fails(&stage, "carla", "allow", &["--create", &names.join(",")]);
    assert!(code == 6 && text.contains("the list is full"), "{text}");
}

#[test]
fn v12_it_is_busy_by_its_load_limit() {
    let stage = pair();
    let busy = Receiving::start(&stage, "carla", &["--load-limit", "0"]);
    let (code, text) = stage.fail("anna", "carla", TEST_CARD, &[]);
    assert!(code == 5 && text.contains("busy"), "{text}");
    drop(busy);
    let _busy = stage.receive("anna", &["--load-limit", "0"]);
    let (code, text) = fails(&stage, "carla", "send", &["--to", "anna", TEST_CARD]);
    assert!(code == 5 && text.contains("busy"), "{text}");
}

#[test]
fn another_key_than_the_pinned_one_is_refused() {
    let stage = pair();
    let carla = done(&stage, "carla", "show", &[]);
    let other = carla.lines().find_map(|line| line.strip_prefix("fingerprint ")).unwrap();
    // As callee.
    done(&stage, "carla", "allow", &["--create", &format!("anna={other}")]);
    let receiving = Receiving::start(&stage, "carla", &[]);
    assert_eq!(stage.fail("anna", "carla", TEST_CARD, &[]).0, 3);
    drop(receiving);
    // As caller.
    let _receiving = stage.receive("anna", &[]);
    let (code, text) = fails(&stage, "carla", "send", &["--to", "anna", TEST_CARD]);
    assert!(code == 3 && text.contains("another key"), "{text}");
    // And of the broker.
    let wrong = ["--id", "x", "--broker", &stage.address.to_string(), "--broker-key", other, "--ticket", "t"];
    assert_eq!(fails(&stage, "x", "init", &wrong).0, 7);
}

#[test]
fn v5_the_ticket_may_come_by_standard_input() {
    let stage = Stage::new();
    let arguments = stage.init_arguments("carla", "-");
    for input in ["", "\n", &"x".repeat(300)] {
        let output = stage.init_by_input(command(&stage, "carla", "init", &arguments), input);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
    }
    for (number, end) in ["\n", "\r\n", ""].iter().enumerate() {
        let name = format!("carla {number}");
        let arguments = stage.init_arguments(&name, "-");
        let ticket = p2pgate_broker::enrol(&stage.path("broker"), &name).unwrap().to_string();
        let output =
            stage.init_by_input(command(&stage, &name, "init", &arguments), &format!("{ticket}{end}"));
        assert!(output.status.success(), "{output:?}");
        done(&stage, &name, "allow", &["--create", "anna"]);
    }
}

#[test]
fn a_received_name_stays_in_the_folder_and_replaces_nothing() {
    let stage = pair();
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    for (sent, expected) in [
        ("..x", "x"),
        (".hidden.mpg", "hidden.mpg"),
        ("..\\..\\up.mpg", "_.._up.mpg"),
        ("line\nbreak", "line_break"),
        ("\u{202e}gpm.exe", "_gpm.exe"),
        ("film.mpg", "film.mpg"),
        ("film.mpg", "film (1).mpg"),
    ] {
        let file = stage.path(sent);
        fs::write(&file, sent).unwrap();
        stage.send("anna", "carla", file.to_str().unwrap(), &[]);
        let received = receiving.received();
        assert_eq!(received, receiving.out.join(expected), "{sent}");
        assert_eq!(fs::read_to_string(received).unwrap(), sent);
    }
    let long = stage.path(&format!("{}.mpg", "ä".repeat(125)));
    for _ in 0..2 {
        fs::write(&long, "long").unwrap();
        stage.send("anna", "carla", long.to_str().unwrap(), &[]);
        let name = receiving.received().file_name().unwrap().to_str().unwrap().to_owned();
        assert!(name.starts_with("ää") && name.ends_with(".mpg") && name.len() <= 255, "{name}");
    }
    // Nothing is left but what was received.
    assert_eq!(fs::read_dir(&receiving.out).unwrap().count(), 9);
}

#[test]
fn an_interrupted_recording_goes_on_where_it_stopped() {
    let stage = pair();
    // 48 MiB in which no two places look alike.
    let file = stage.path("long.bin");
    let words: Vec<u8> = (0..6_u64 << 20).flat_map(u64::to_be_bytes).collect();
    fs::write(&file, words).unwrap();
    let file = file.to_str().unwrap();
    let first = Receiving::start(&stage, "carla", &[]);
    std::thread::scope(|scope| {
        let sending = scope.spawn(|| stage.send("anna", "carla", file, &["--as", "public", "--hash"]));
        eventually(|| {
            let entries = fs::read_dir(&first.out).ok()?;
            entries.flatten().find(|entry| entry.metadata().is_ok_and(|file| file.len() > 8 << 20))
        });
        drop(first);
        let mut second = Receiving::start(&stage, "carla", &[]);
        assert!(same(&second.received(), file));
        let sent = sending.join().unwrap()["path"]["direct_clear"].as_u64().unwrap();
        // Not all of it was sent twice.
        assert!(sent < 2 * (48 << 20) - (4 << 20), "{sent}");
    });
}

#[test]
fn a_recording_that_has_its_name_never_changes_again() {
    let stage = pair();
    let file = stage.large_file(64 << 20);
    let receiving = Receiving::start(&stage, "carla", &[]);
    let mut sending = stage.command("anna", "send", &["--to", "carla", &file, "--as", "public"]);
    let mut sending = sending.stderr(Stdio::null()).spawn().unwrap();
    let partial = eventually(|| {
        let entries = fs::read_dir(&receiving.out).ok()?;
        let large = |path: &PathBuf| path.metadata().is_ok_and(|file| file.len() > 8 << 20);
        entries.flatten().map(|entry| entry.path()).find(large)
    });
    sending.kill().unwrap();
    sending.wait().unwrap();
    let out = receiving.out.clone();
    drop(receiving);
    // As one leaves it that is killed between giving the name and taking the temporary one away.
    let place = out.join("placed.bin");
    fs::hard_link(&partial, &place).unwrap();
    let length = place.metadata().unwrap().len();
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    stage.send("anna", "carla", &file, &["--as", "public"]);
    assert!(same(&receiving.received(), &file));
    assert_eq!(place.metadata().unwrap().len(), length);
}

#[test]
fn v5_a_session_ends_when_its_caller_is_to_have_another_key() {
    let stage = pair();
    let receiving = Receiving::start(&stage, "carla", &[]);
    let file = stage.large_file(400 << 20);
    let mut sending = stage.command("anna", "send", &["--to", "carla", &file]);
    let sending = sending.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually(|| {
        let mut entries = fs::read_dir(&receiving.out).ok()?.flatten();
        entries.find(|entry| entry.metadata().is_ok_and(|file| file.len() > 1 << 20))
    });
    let other = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE";
    done(&stage, "carla", "allow", &["--add", &format!("anna={other}")]);
    let output = sending.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}

#[test]
fn either_recorder_goes_on_with_the_others_folder() {
    let stage = pair();
    // What C enrolled and permitted, Rust receives with; then C again, with the keys that Rust has seen.
    let mut receiving = stage.receive("carla", &["--once"]);
    stage.send("anna", "carla", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    eventually(|| receiving.child.try_wait().unwrap());
    let mut receiving = Receiving::start(&stage, "carla", &["--once"]);
    stage.send("anna", "carla", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    let status = eventually(|| receiving.child.try_wait().unwrap());
    assert!(status.success());
    assert!(done(&stage, "carla", "allow", &["--fingerprints"]).starts_with("anna="));
}

#[test]
fn a_session_with_a_known_terminal_writes_nothing_but_the_recording() {
    use std::os::unix::fs::MetadataExt;
    let stage = pair();
    // Each write makes a new file.
    let stored = |name: &str| {
        let file = fs::metadata(stage.path("carla").join(name)).unwrap();
        (file.ino(), file.mtime(), file.mtime_nsec())
    };
    let mut receiving = Receiving::start(&stage, "carla", &[]);
    let (seed, peers) = (stored("seed"), stored("peers"));
    stage.send("anna", "carla", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    let pinned = stored("peers");
    assert_ne!(pinned, peers, "the first session pins");
    for _ in 0..2 {
        stage.send("anna", "carla", TEST_CARD, &[]);
        assert!(same(&receiving.received(), TEST_CARD));
    }
    assert_eq!((stored("seed"), stored("peers")), (seed, pinned));
}

#[test]
fn its_command_line_is_checked() {
    let stage = Stage::new();
    for arguments in [
        &["receive", "--state"][..],
        &["send", "--state", "x", "--to", "y"],
        &["send", "--state", "x", "--to", "y", TEST_CARD, "--as", "secret"],
        &["send", "--state", "x", "--to", "y", TEST_CARD, "--seal-rest"],
        &["send", "--state", "x", "--out", "y", TEST_CARD],
        &["receive", "--state", "x", "--out", "y", "--load-limit", "101"],
        &["dance"],
        &[],
    ] {
        let output = c_recorder().args(arguments).current_dir(stage.folder.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
    }
    let file = stage.path("file");
    fs::write(&file, "no recording").unwrap();
    let nobody = stage.path("nobody");
    let arguments = ["--to", "y", file.to_str().unwrap()];
    assert_eq!(fails(&stage, "nobody", "send", &arguments).0, 9);
    assert_eq!(fails(&stage, "nobody", "send", &[&arguments[..], &["--as", "split"]].concat()).0, 2);
    assert!(!nobody.exists());
}

#[test]
fn the_c_recorder_lists_and_fetches_what_is_shared() {
    let stage = pair();
    let folder = stage.path("shared");
    fs::create_dir(&folder).unwrap();
    let out = stage.path("fetched");
    let fetch = ["--from", "anna", "--out", out.to_str().unwrap()];
    fs::copy(TEST_CARD, folder.join("card.mpg")).unwrap();
    fs::File::create(folder.join("large.bin")).unwrap().set_len(64 << 20).unwrap();
    {
        let _anna = stage.receive("anna", &[]);
        assert_eq!(fails(&stage, "carla", "list", &["--from", "anna"]).0, 6);
    }
    let mut anna = stage.receive("anna", &["--share", folder.to_str().unwrap()]);
    let listed = done(&stage, "carla", "list", &["--from", "anna"]);
    let mut names: Vec<_> = listed
        .lines()
        .map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap()["name"].as_str().unwrap().to_owned()
        })
        .collect();
    names.sort();
    assert_eq!(names, ["card.mpg", "large.bin"]);
    for (number, attribute) in ["confidential", "public", "split"].into_iter().enumerate() {
        stage.done_alone("attribute", &[folder.join("card.mpg").to_str().unwrap(), attribute]);
        let said = done(&stage, "carla", "fetch", &[&fetch[..], &["card.mpg"]].concat());
        let name = if number == 0 { "card.mpg".to_owned() } else { format!("card ({number}).mpg") };
        assert!(said.ends_with(&format!("/{name} bytes {TEST_CARD_BYTES} from anna\n")), "{said}");
        assert!(same(&out.join(name), TEST_CARD), "{attribute}");
        let ways = anna.line();
        let (_, ways) = ways.split_once(" to carla: ").unwrap();
        let ways: Vec<u64> =
            ways.split(", ").map(|way| way.split(' ').next().unwrap().parse().unwrap()).collect();
        assert_ways(attribute, &ways);
    }
    let (code, text) = fails(&stage, "carla", "fetch", &[&fetch[..], &["none.mpg"]].concat());
    assert!(code == 6 && text.contains("no recording of that name"), "{text}");
    assert_eq!(fails(&stage, "carla", "fetch", &[&fetch[..], &["../card.mpg"]].concat()).0, 2);
    // Killed in the middle, it goes on there, but for the 4 MiB that may not have been on the disk.
    let mut child =
        command(&stage, "carla", "fetch", &[&fetch[..], &["large.bin"]].concat()).spawn().unwrap();
    let there = || {
        fs::read_dir(&out).unwrap().flatten().find_map(|entry| {
            let length = entry.metadata().ok()?.len();
            (entry.file_name().to_str()?.contains(".part-") && length > 8 << 20).then_some(length)
        })
    };
    eventually(there);
    child.kill().unwrap();
    child.wait().unwrap();
    let there = there().unwrap();
    done(&stage, "carla", "fetch", &[&fetch[..], &["large.bin"]].concat());
    assert!(same(&out.join("large.bin"), folder.join("large.bin")));
    let ways = anna.line();
    assert!(ways.ends_with(&format!(" {} sealed through the broker", (68 << 20) - there)), "{there}: {ways}");
}
