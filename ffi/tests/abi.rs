//! The header under every C and C++ that it is for, and the C harness against the library.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn scratch() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
}

fn is_there(program: &str) -> bool {
    Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success())
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn the_header_compiles_everywhere() {
    let source = scratch().join("header.c");
    std::fs::write(&source, "#include \"p2pgate.h\"\n#include \"p2pgate.h\"\nint main(void) { return 0; }\n")
        .unwrap();
    let mut checked = 0;
    for (compiler, language, standards) in [
        ("gcc", "c", &["c99", "c11", "c17"][..]),
        ("clang", "c", &["c99", "c11", "c17"]),
        ("cc", "c", &["c99", "c11"]),
        ("g++", "c++", &["c++17"]),
        ("clang++", "c++", &["c++17"]),
    ] {
        if !is_there(compiler) {
            println!("skipped: there is no {compiler}");
            continue;
        }
        for standard in standards {
            run(Command::new(compiler)
                .args(WARNINGS)
                .args(["-x", language, "-fsyntax-only", &format!("-std={standard}"), "-I"])
                .arg(package().join("../include"))
                .arg(&source));
            checked += 1;
        }
    }
    assert!(checked > 0, "there is no C compiler");
}

#[test]
fn the_example_in_the_header_compiles() {
    let header = std::fs::read_to_string(package().join("../include/p2pgate.h")).unwrap();
    let (comment, _) = header.split_once("*/").unwrap();
    let example: String = comment
        .lines()
        .filter_map(|line| line.strip_prefix(" *     "))
        .map(|line| format!("{line}\n"))
        .collect();
    assert!(example.contains("p2pgate_terminal_init"));
    let source = scratch().join("example.c");
    let platform = "\
        #include \"p2pgate.h\"\n\
        int store_seed(const uint8_t *);\n\
        int store_list(uint64_t *);\n\
        uint64_t milliseconds(void);\n\
        void open_connection(uint32_t, const p2pgate_address_t *);\n\
        void close_connection(uint32_t);\n\
        int next_connection(size_t *, uint32_t *);\n\
        void write_connection(uint32_t, const uint8_t *, size_t);\n";
    let use_it = "int example(const uint8_t *k);\nint example(const uint8_t *k) { serve(); return start(k, k, k, k); }\n";
    std::fs::write(&source, format!("{platform}{example}{use_it}")).unwrap();
    run(Command::new("cc")
        .args(WARNINGS)
        .args(["-std=c99", "-fsyntax-only", "-I"])
        .arg(package().join("../include"))
        .arg(&source));
}

/// The library and the harness's broker, built as cargo builds the tests.
fn library() -> PathBuf {
    let target = std::env::current_exe().unwrap().ancestors().nth(3).unwrap().to_owned();
    run(Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline", "-p", "p2pgate-ffi", "--example", "p2pgate_harness"])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(package()));
    target.join("debug/examples/libp2pgate_harness.a")
}

/// An environment variable's words.
fn words(name: &str) -> Vec<String> {
    std::env::var(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// `CC` and `CFLAGS` as for make; `P2PGATE_RUN` is what it is run by, such as valgrind.
#[test]
fn the_c_harness_finds_nothing() {
    let harness = package().join("tests/harness");
    let program = scratch().join("harness");
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
    run(Command::new(compiler)
        .args(WARNINGS)
        .args(["-std=c99", "-g"])
        .args(words("CFLAGS"))
        .arg("-I")
        .arg(package().join("../include"))
        .args(["main.c", "objects.c", "terminal.c", "world.c"].map(|name| harness.join(name)))
        .arg(library())
        .args(["-lpthread", "-ldl", "-lm", "-o"])
        .arg(&program));
    let mut command = words("P2PGATE_RUN");
    command.push(program.display().to_string());
    assert!(run(Command::new(&command[0]).args(&command[1..])).contains("all is well"));
}

#[test]
fn storage_keeps_its_budget() {
    use p2pgate_ffi::splitter::{P2PGATE_SPLITTER_BLOCKS_WORDS, P2PGATE_SPLITTER_WORDS};
    use p2pgate_ffi::terminal::{P2PGATE_CORE_WORDS, P2PGATE_SESSION_WORDS};
    let terminal = |sessions| 8 * (P2PGATE_CORE_WORDS + sessions * P2PGATE_SESSION_WORDS);
    assert!(terminal(1) <= 3 * 1024, "a terminal with one session takes {} bytes", terminal(1));
    assert!(terminal(2) - terminal(1) <= 1024, "a further session takes {} bytes", terminal(2) - terminal(1));
    let splitter = 8 * P2PGATE_SPLITTER_WORDS;
    assert!(splitter <= 1024, "a splitter takes {splitter} bytes");
    let largest = 8 * P2PGATE_SPLITTER_BLOCKS_WORDS;
    assert!(largest <= 4096, "a splitter of everything takes {largest} bytes");
}
