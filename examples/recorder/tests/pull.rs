//! `receive --share`, `list`, `fetch` and `attribute`: a recorder takes what another one shares, by the attribute that is kept with it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Receiving, Stage, TEST_CARD, TEST_CARD_BYTES, eventually, recorder, same};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Output, Stdio};

const LARGE: u64 = 256 << 20;

/// ben shares a folder; anna may.
struct Shared {
    // Ended before his folder is gone.
    ben: Receiving,
    stage: Stage,
    folder: PathBuf,
}

impl Shared {
    fn new(further: &[&str]) -> Self {
        let stage = Stage::pair();
        let folder = stage.path("shared");
        fs::create_dir(&folder).unwrap();
        let ben = Self::share(&stage, &folder, further);
        Self { stage, folder, ben }
    }

    fn share(stage: &Stage, folder: &Path, further: &[&str]) -> Receiving {
        stage.receive("ben", &[&["--share", folder.to_str().unwrap()], further].concat())
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.folder.join(name), bytes).unwrap();
    }

    fn large(&self, name: &str) {
        fs::File::create(self.folder.join(name)).unwrap().set_len(LARGE).unwrap();
    }

    /// `attribute` of a file in the folder.
    fn attribute(&self, name: &str, further: &[&str]) -> Output {
        recorder().arg("attribute").arg(self.folder.join(name)).args(further).output().unwrap()
    }

    fn set(&self, name: &str, further: &[&str]) {
        let output = self.attribute(name, further);
        assert!(output.status.success() && output.stdout.is_empty(), "{name} {further:?}: {output:?}");
    }

    fn get(&self, name: &str) -> String {
        let output = self.attribute(name, &[]);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    fn fetched_to(&self) -> PathBuf {
        self.stage.path("fetched")
    }

    fn fetching(&self, name: &str) -> Child {
        let out = self.fetched_to();
        let arguments = ["--from", "ben", "--out", out.to_str().unwrap(), "--json", "--", name];
        self.stage
            .command("anna", "fetch", &arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    /// Where it is then.
    fn fetch(&self, name: &str) -> PathBuf {
        done(self.fetching(name))
    }

    /// Exit code and text.
    fn fail(&self, name: &str) -> (i32, String) {
        failure(self.fetching(name).wait_with_output().unwrap())
    }

    fn list(&self) -> Vec<Value> {
        let said = self.stage.done("anna", "list", &["--from", "ben", "--json"]);
        serde_json::from_str(&said).unwrap()
    }

    fn names(&self) -> Vec<String> {
        self.list().iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
    }

    /// What went direct in clear, direct and sealed, sealed through the broker, of the recording that ben has sent next.
    fn sent(&mut self, name: &str, bytes: u64) -> [u64; 3] {
        let line = self.ben.line();
        let ways = line
            .strip_prefix(&format!("sent {name} bytes {bytes} to anna: "))
            .unwrap_or_else(|| panic!("{line:?}"));
        let mut figures = ways.split(", ").map(|way| way.split(' ').next().unwrap().parse().unwrap());
        [(); 3].map(|()| figures.next().unwrap())
    }
}

fn done(fetching: Child) -> PathBuf {
    let output = fetching.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = PathBuf::from(report["path"].as_str().unwrap());
    assert_eq!(
        (&report["from"], report["bytes"].as_u64()),
        (&"ben".into(), Some(path.metadata().unwrap().len()))
    );
    path
}

fn signal(process: &Child, signal: Signal) {
    kill_process(Pid::from_child(process), signal).unwrap();
}

fn failure(output: Output) -> (i32, String) {
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    let code = output.status.code().unwrap();
    assert_eq!(json["error"]["code"], code);
    (code, json["error"]["text"].as_str().unwrap().to_owned())
}

/// The length of what is there of a recording that is on its way.
fn partial(folder: &Path, least: u64) -> u64 {
    eventually(|| {
        fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
            let length = entry.metadata().ok()?.len();
            (entry.file_name().to_str()?.contains(".part-") && length >= least).then_some(length)
        })
    })
}

#[test]
fn p8_v10c_each_recording_comes_by_the_attribute_that_is_kept_with_it() {
    let mut shared = Shared::new(&[]);
    fs::copy(TEST_CARD, shared.folder.join("card.mpg")).unwrap();
    let all = TEST_CARD_BYTES;
    let mut before = 0;
    for (arguments, attribute) in [
        (&[][..], "confidential"),
        (&["public"], "public"),
        (&["split"], "split"),
        (&["split", "--select", "anchors", "--seal-rest"], "split anchors seal-rest"),
        (&["confidential"], "confidential"),
    ] {
        if !arguments.is_empty() {
            shared.set("card.mpg", arguments);
        }
        assert_eq!(shared.get("card.mpg"), attribute);
        assert!(same(&shared.fetch("card.mpg"), TEST_CARD), "{attribute}");
        let [clear, direct, relayed] = shared.sent("card.mpg", all);
        match attribute {
            "confidential" => assert_eq!([clear, direct, relayed], [0, 0, all]),
            "public" => assert_eq!([clear, direct, relayed], [all, 0, 0]),
            _ => {
                assert_eq!([clear + relayed, direct], [all, 0]);
                assert!(clear > 0 && relayed >= 128_330 && relayed > before, "{clear} {relayed}");
                before = relayed;
            }
        }
        let kind = attribute.split(' ').next().unwrap();
        let list = shared.list();
        assert_eq!((list.len(), &list[0]["attribute"], &list[0]["size"]), (1, &kind.into(), &all.into()));
    }
    // None of them replaced another.
    assert_eq!(fs::read_dir(shared.fetched_to()).unwrap().count(), 5);
}

#[test]
fn the_list_is_complete_whatever_its_length() {
    let shared = Shared::new(&[]);
    assert!(shared.list().is_empty());
    assert_eq!(shared.stage.done("anna", "list", &["--from", "ben"]), "ben shares no recordings\n");
    for number in 0..1_000 {
        shared.put(&format!("episode {number:03}.ts"), &[7; 3][..number % 4]);
    }
    shared.set("episode 007.ts", &["public"]);
    let list = shared.list();
    assert_eq!(list.len(), 1_000);
    for (number, entry) in list.iter().enumerate() {
        assert_eq!(entry["name"], format!("episode {number:03}.ts"));
        assert_eq!(entry["size"], number % 4);
        assert_eq!(entry["attribute"], if number == 7 { "public" } else { "confidential" });
        let modified =
            shared.folder.join(entry["name"].as_str().unwrap()).metadata().unwrap().modified().unwrap();
        let modified = modified.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        assert_eq!(entry["modified"], modified);
    }
    // An empty recording is one too.
    assert_eq!(fs::read(shared.fetch("episode 000.ts")).unwrap(), b"");
}

#[test]
fn the_list_for_people_shows_date_size_and_attribute() {
    let shared = Shared::new(&[]);
    for (name, time) in [("a", 0), ("b", 951_827_696), ("c", 1_735_689_599), ("d", 4_107_542_400)] {
        shared.put(name, b"12345");
        let file = fs::File::options().append(true).open(shared.folder.join(name)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time)).unwrap();
    }
    shared.set("b", &["public"]);
    let said = shared.stage.done("anna", "list", &["--from", "ben"]);
    let lines: Vec<Vec<&str>> = said.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["BYTES", "MODIFIED", "(UTC)", "ATTRIBUTE", "NAME"]);
    assert_eq!(lines[1], ["5", "1970-01-01", "00:00", "confidential", "a"]);
    assert_eq!(lines[2], ["5", "2000-02-29", "12:34", "public", "b"]);
    assert_eq!(lines[3], ["5", "2024-12-31", "23:59", "confidential", "c"]);
    assert_eq!(lines[4], ["5", "2100-03-01", "00:00", "confidential", "d"]);
}

#[test]
fn odd_names_come_through_and_none_of_them_steers_a_terminal() {
    let shared = Shared::new(&[]);
    let long = format!("{}.mpg", "ü".repeat(125));
    let odd = [
        "-v",
        "--json",
        " leading",
        "ニュース 7.ts",
        "a'b\"c$(d)`e`;.mpg",
        "100% *?.ts",
        "\u{202e}gpm.exe",
        "{\"name\":1}",
        &long,
    ];
    for name in odd {
        shared.put(name, name.as_bytes());
    }
    // Those no message can name.
    for name in ["two\nlines", "\u{1b}[31mred", "\u{9b}31m", "back\\slash"] {
        shared.put(name, b"x");
    }
    let mut names: Vec<_> = odd.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    assert_eq!(shared.names(), names);
    for name in odd {
        assert_eq!(fs::read(shared.fetch(name)).unwrap(), name.as_bytes(), "{name}");
    }
    for path in fs::read_dir(shared.fetched_to()).unwrap() {
        assert!(path.unwrap().path().metadata().unwrap().is_file());
    }
    let said = shared.stage.done("anna", "list", &["--from", "ben"]);
    assert!(said.lines().count() == odd.len() + 1 && !said.contains('\u{202e}') && !said.contains('\u{1b}'));
    for name in ["two\nlines", "\u{1b}[31mred", "back\\slash", "", ".", ".."] {
        assert_eq!(shared.fail(name).0, 2, "{name:?}");
    }
}

#[test]
fn code_6_nothing_but_the_recordings_in_the_folder_itself() {
    let shared = Shared::new(&[]);
    shared.put("film.mpg", b"film");
    shared.put(".hidden.mpg", b"x");
    shared.put(".film.mpg.part-0123456789abcdef", b"x");
    shared.put("film.mpg.new-4711-0", b"x");
    shared.set("film.mpg", &["public"]);
    let secret = shared.stage.path("secret.mpg");
    fs::write(&secret, b"secret").unwrap();
    symlink(&secret, shared.folder.join("link-out.mpg")).unwrap();
    symlink("film.mpg", shared.folder.join("link-in.mpg")).unwrap();
    symlink("/", shared.folder.join("link-root")).unwrap();
    fs::create_dir(shared.folder.join("folder.mpg")).unwrap();
    fs::write(shared.folder.join("folder.mpg").join("below.mpg"), b"x").unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, shared.folder.join("pipe.mpg"), 0o600.into()).unwrap();
    assert_eq!(shared.names(), ["film.mpg"]);
    for name in [
        "none.mpg",
        ".hidden.mpg",
        ".film.mpg.part-0123456789abcdef",
        "film.mpg.new-4711-0",
        ".p2pgate-attributes",
        "link-out.mpg",
        "link-in.mpg",
        "link-root",
        "folder.mpg",
        "pipe.mpg",
    ] {
        let (code, text) = shared.fail(name);
        assert!(code == 6 && text.contains("shares no recording of that name"), "{name}: {code} {text}");
    }
    for name in ["../secret.mpg", "/etc/passwd", "folder.mpg/below.mpg", "..", "..\\secret.mpg"] {
        assert_eq!(shared.fail(name).0, 2, "{name}");
    }
    assert_eq!(fs::read(shared.fetch("film.mpg")).unwrap(), b"film");
    assert_eq!(fs::read_dir(shared.fetched_to()).unwrap().count(), 1);
}

#[test]
fn code_6_nothing_is_shared_by_default() {
    let stage = Stage::pair();
    let _ben = stage.receive("ben", &[]);
    let out = stage.path("fetched");
    fs::create_dir(&out).unwrap();
    let fetch =
        stage.run("anna", "fetch", &["--from", "ben", "film.mpg", "--out", out.to_str().unwrap(), "--json"]);
    assert_eq!(failure(fetch).0, 6);
    let (code, text) = failure(stage.run("anna", "list", &["--from", "ben", "--json"]));
    assert!(code == 6 && text.contains("shares nothing"), "{text}");
    assert_eq!(fs::read_dir(out).unwrap().count(), 0);
}

#[test]
fn code_3_a_stranger_gets_nothing_and_nor_does_who_is_struck_off() {
    let shared = Shared::new(&[]);
    shared.put("film.mpg", b"film");
    let stage = &shared.stage;
    stage.init("eve");
    let out = stage.path("eves");
    let list = |name| failure(stage.run(name, "list", &["--from", "ben", "--json"]));
    let fetch = |name| {
        failure(stage.run(
            name,
            "fetch",
            &["--from", "ben", "film.mpg", "--out", out.to_str().unwrap(), "--json"],
        ))
    };
    assert_eq!((list("eve").0, fetch("eve").0), (3, 3));
    assert_eq!(shared.names(), ["film.mpg"]);
    // A large one is under way when anna is struck off.
    shared.large("large.bin");
    let fetching = shared.fetching("large.bin");
    partial(&shared.fetched_to(), 1);
    signal(&fetching, Signal::STOP);
    stage.done("ben", "allow", &["--delete", "anna"]);
    signal(&fetching, Signal::CONT);
    assert_eq!(failure(fetching.wait_with_output().unwrap()).0, 3);
    assert_eq!(fetch("anna").0, 3);
    assert_eq!(fs::read_dir(&out).unwrap().count(), 0);
}

#[test]
fn code_5_a_recorder_that_is_away_or_busy_is_not_fetched_from() {
    let shared = Shared::new(&["--load-limit", "0"]);
    shared.put("film.mpg", b"film");
    assert_eq!(shared.fail("film.mpg").0, 5);
    let Shared { stage, ben, .. } = shared;
    ben.kill();
    assert_eq!(failure(stage.run("anna", "list", &["--from", "ben", "--json"])).0, 5);
}

#[test]
fn a_fetch_that_was_killed_goes_on_where_it_stopped() {
    for attribute in ["confidential", "public"] {
        let mut shared = Shared::new(&[]);
        shared.large("large.bin");
        shared.set("large.bin", &[attribute]);
        let mut fetching = shared.fetching("large.bin");
        partial(&shared.fetched_to(), 1 << 20);
        fetching.kill().unwrap();
        fetching.wait().unwrap();
        let there = partial(&shared.fetched_to(), 1 << 20);
        assert!(there < LARGE);
        let path = shared.fetch("large.bin");
        assert!(path.ends_with("large.bin") && path.metadata().unwrap().len() == LARGE);
        let [clear, _, relayed] = shared.sent("large.bin", LARGE);
        assert_eq!(clear + relayed, LARGE - there, "what was there did not come again");
        assert_eq!(fs::read_dir(shared.fetched_to()).unwrap().count(), 1);
    }
}

#[test]
fn a_fetch_outlives_the_other_recorder() {
    let mut shared = Shared::new(&[]);
    let bytes: Vec<u8> =
        (0..40_000_000_u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    shared.put("film.mpg", &bytes);
    // The broker cuts nothing: it is ben who is gone in the middle, and is there again.
    shared.large("large.bin");
    let fetching = shared.fetching("large.bin");
    partial(&shared.fetched_to(), 1 << 20);
    let Shared { stage, folder, ben } = shared;
    ben.kill();
    let ben = Shared::share(&stage, &folder, &[]);
    shared = Shared { stage, folder, ben };
    assert_eq!(done(fetching).metadata().unwrap().len(), LARGE);
    let [_, _, relayed] = shared.sent("large.bin", LARGE);
    assert!(relayed < LARGE, "{relayed}");
    assert_eq!(fs::read(shared.fetch("film.mpg")).unwrap(), bytes);
}

#[test]
fn a_recording_that_changes_meanwhile_is_not_taken_for_whole() {
    let shared = Shared::new(&[]);
    shared.large("large.bin");
    let fetching = shared.fetching("large.bin");
    partial(&shared.fetched_to(), 1 << 20);
    let file = fs::File::options().append(true).open(shared.folder.join("large.bin")).unwrap();
    file.set_len(LARGE / 2).unwrap();
    // The first try fails; another takes it as it is now.
    assert_eq!(done(fetching).metadata().unwrap().len(), LARGE / 2);
    assert_eq!(
        fs::read_dir(shared.fetched_to()).unwrap().count(),
        1,
        "nothing is left of what it was before"
    );
}

#[test]
fn several_fetch_at_once_while_something_is_sent_to_the_same_recorder() {
    let mut shared = Shared::new(&[]);
    fs::copy(TEST_CARD, shared.folder.join("card.mpg")).unwrap();
    shared.large("large.bin");
    shared.set("card.mpg", &["split"]);
    let large = shared.fetching("large.bin");
    partial(&shared.fetched_to(), 1);
    // One more of the same, which has to do without.
    signal(&large, Signal::STOP);
    assert_eq!(shared.fail("large.bin").0, 9);
    signal(&large, Signal::CONT);
    let card = shared.fetching("card.mpg");
    assert!(same(&done(card), TEST_CARD));
    let report = shared.stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert_eq!(report["path"]["direct_clear"], TEST_CARD_BYTES);
    assert_eq!(done(large).metadata().unwrap().len(), LARGE);
    let said = [(); 3].map(|()| shared.ben.line());
    for start in ["sent card.mpg ", "sent large.bin ", "received "] {
        assert_eq!(said.iter().filter(|line| line.starts_with(start)).count(), 1, "{said:?}");
    }
}

#[test]
fn a_fetcher_that_takes_nothing_holds_up_nobody_else() {
    let shared = Shared::new(&[]);
    shared.large("large.bin");
    fs::copy(TEST_CARD, shared.folder.join("card.mpg")).unwrap();
    let mut stopped = shared.fetching("large.bin");
    partial(&shared.fetched_to(), 1);
    signal(&stopped, Signal::STOP);
    for _ in 0..3 {
        assert!(same(&shared.fetch("card.mpg"), TEST_CARD));
    }
    stopped.kill().unwrap();
    stopped.wait().unwrap();
}

#[test]
fn in_a_tunnel_everything_is_sealed() {
    // Where ben says that he is, nobody answers.
    let mut shared = Shared::new(&["--announce", "127.0.0.1:1"]);
    fs::copy(TEST_CARD, shared.folder.join("card.mpg")).unwrap();
    for attribute in ["public", "split"] {
        shared.set("card.mpg", &[attribute]);
        assert!(same(&shared.fetch("card.mpg"), TEST_CARD));
        assert_eq!(shared.sent("card.mpg", TEST_CARD_BYTES), [0, 0, TEST_CARD_BYTES]);
    }
}

#[test]
fn v10b_only_mpeg_is_split_and_what_no_longer_is_is_sealed() {
    let mut shared = Shared::new(&[]);
    shared.put("text.mpg", b"no film");
    let output = shared.attribute("text.mpg", &["split"]);
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(shared.get("text.mpg"), "confidential");
    fs::copy(TEST_CARD, shared.folder.join("card.mpg")).unwrap();
    shared.set("card.mpg", &["split"]);
    shared.put("card.mpg", b"a film no more");
    assert_eq!(fs::read(shared.fetch("card.mpg")).unwrap(), b"a film no more");
    assert_eq!(shared.sent("card.mpg", 14), [0, 0, 14]);
}

#[test]
fn p8_the_table_fails_closed() {
    let mut shared = Shared::new(&[]);
    let table = shared.folder.join(".p2pgate-attributes");
    for name in ["a b.mpg", "c.mpg", "public c.mpg"] {
        shared.put(name, b"12345");
    }
    fs::write(
        &table,
        "# a remark\npublic a b.mpg\nPUBLIC c.mpg\npublic\nnonsense public c.mpg\npublic/anchors c.mpg\n",
    )
    .unwrap();
    assert_eq!(
        ["a b.mpg", "c.mpg", "public c.mpg"].map(|name| shared.get(name)),
        ["public", "confidential", "confidential"]
    );
    // What is gone has no attribute when it comes again, be it by hand or by another recorder.
    fs::remove_file(shared.folder.join("a b.mpg")).unwrap();
    shared.set("c.mpg", &["public"]);
    shared.put("a b.mpg", b"another");
    assert_eq!(shared.get("a b.mpg"), "confidential");
    assert_eq!(
        fs::read_to_string(&table).unwrap().lines().filter(|line| !line.starts_with('#')).collect::<Vec<_>>(),
        ["public c.mpg"]
    );
    // A table that can't be read opens nothing.
    fs::write(&table, b"public c.mpg\n\xff").unwrap();
    assert_eq!(shared.list()[1]["attribute"], "confidential");
    assert_eq!(fs::read(shared.fetch("c.mpg")).unwrap(), b"12345");
    assert_eq!(shared.sent("c.mpg", 5), [0, 0, 5]);
    assert_eq!(shared.attribute("c.mpg", &["public"]).status.code(), Some(9));
}

#[test]
fn what_comes_in_to_the_shared_folder_is_shared_and_confidential() {
    let stage = Stage::pair();
    let folder = stage.path("ben-received");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(".p2pgate-attributes"), "public test-card.mpg\n").unwrap();
    let mut ben = Shared::share(&stage, &folder, &[]);
    stage.send("anna", "ben", TEST_CARD, &[]);
    ben.received();
    let mut shared = Shared { stage, folder, ben };
    assert_eq!(shared.get("test-card.mpg"), "confidential");
    assert!(same(&shared.fetch("test-card.mpg"), TEST_CARD));
    assert_eq!(shared.sent("test-card.mpg", TEST_CARD_BYTES), [0, 0, TEST_CARD_BYTES]);
}

#[test]
fn many_attributes_set_at_once_are_all_kept() {
    let shared = Shared::new(&[]);
    let names: Vec<String> = (0..16).map(|number| format!("{number}.mpg")).collect();
    for name in &names {
        shared.put(name, b"x");
    }
    std::thread::scope(|scope| {
        for name in &names {
            scope.spawn(|| shared.set(name, &["public"]));
        }
    });
    assert!(names.iter().all(|name| shared.get(name) == "public"));
}

#[test]
fn code_2_attributes_of_what_is_never_shared() {
    let shared = Shared::new(&[]);
    shared.put("film.mpg", b"x");
    shared.put(".hidden", b"x");
    let code = |name: &str, further: &[&str]| shared.attribute(name, further).status.code();
    assert_eq!(code(".hidden", &["public"]), Some(2));
    assert_eq!(code("film.mpg", &["auto"]), Some(2));
    assert_eq!(code("film.mpg", &["public", "--seal-rest"]), Some(2));
    assert_eq!(code("none.mpg", &["public"]), Some(9));
    assert_eq!(code("none.mpg", &[]), Some(9));
}
