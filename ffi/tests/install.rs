//! The library as it is installed: what it exports, and that C projects build with it by pkg-config and by CMake.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn package() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Whether all of these programs are there; says so if not.
fn are_there(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found =
            Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
        if !found {
            println!("skipped: there is no {program}");
        }
        found
    })
}

/// Where the library is installed.
fn prefix() -> &'static Path {
    static PREFIX: OnceLock<PathBuf> = OnceLock::new();
    PREFIX.get_or_init(|| {
        let prefix = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("installed");
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        run(Command::new("sh")
            .arg(package().join("install.sh"))
            .arg("--prefix")
            .arg(&prefix)
            .env("CARGO", env!("CARGO"))
            .env("CARGO_TARGET_DIR", target));
        prefix
    })
}

fn exported() -> Vec<String> {
    let symbols = std::fs::read_to_string(package().join("abi.symbols")).unwrap();
    symbols.lines().map(str::to_owned).collect()
}

/// The symbols of these types, by `nm`.
fn symbols(arguments: &[&str], library: &str, types: &[&str]) -> Vec<String> {
    let listed = run(Command::new("nm").args(arguments).arg(prefix().join("lib").join(library)));
    let mut found: Vec<String> = listed
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace().rev();
            let (name, kind) = (words.next()?, words.next()?);
            types.contains(&kind).then(|| name.split('@').next().unwrap_or(name).to_owned())
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_symbols_are_the_headers_functions() {
    let header = std::fs::read_to_string(package().join("../include/p2pgate.h")).unwrap();
    let mut functions: Vec<String> = header
        .lines()
        .filter(|line| !line.starts_with(['/', ' ', '#', '}']) && line.contains('('))
        .filter_map(|line| line.split_once('(')?.0.rsplit([' ', '*']).next().map(str::to_owned))
        .collect();
    functions.sort();
    assert!(functions.iter().all(|function| function.starts_with("p2pgate_")), "{functions:?}");
    assert_eq!(exported(), functions, "ffi/abi.symbols is not the header's functions, sorted");
}

#[test]
fn the_libraries_export_these_symbols_and_need_only_the_memory_functions() {
    let every: Vec<String> = ('A'..='Z').filter(|kind| *kind != 'U').map(String::from).collect();
    let every: Vec<&str> = every.iter().map(String::as_str).collect();
    for (arguments, library) in [(&["-g"][..], "libp2pgate.a"), (&["-D"], "libp2pgate.so")] {
        assert_eq!(symbols(arguments, library, &every), exported(), "{library}");
        // `bcmp` is what the compiler makes of a `memcmp` for equality, where the C library has it.
        for needed in symbols(arguments, library, &["U"]) {
            assert!(["bcmp", "memcmp", "memcpy", "memmove", "memset"].contains(&needed.as_str()), "{needed}");
        }
    }
    let link = std::fs::read_link(prefix().join("lib/libp2pgate.so")).unwrap();
    assert_eq!(link, Path::new("libp2pgate.so.0.1"));
    if are_there(&["readelf"]) {
        let dynamic = run(Command::new("readelf").arg("-d").arg(prefix().join("lib/libp2pgate.so")));
        assert!(dynamic.contains("soname: [libp2pgate.so.0.1]"), "{dynamic}");
    }
}

/// The example as a project of somebody who has the library installed.
fn project() -> PathBuf {
    package().join("../examples/c")
}

fn works(program: &Path) {
    let help = run(Command::new(program).arg("--help").env("LD_LIBRARY_PATH", prefix().join("lib")));
    assert!(help.contains("recorder receive"), "{help}");
    let linked = run(Command::new("nm").arg(program));
    let shared = program.to_str().unwrap().contains("shared");
    assert_eq!(linked.contains(" U p2pgate_terminal_init"), shared, "{}", program.display());
}

#[test]
fn a_project_builds_by_make_and_pkg_config() {
    if !are_there(&["make", "pkg-config"]) {
        return;
    }
    for (name, statically) in [("static", true), ("shared", false)] {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("make-{name}"));
        std::fs::create_dir_all(&folder).unwrap();
        run(Command::new("make")
            .arg("--always-make")
            .arg("-f")
            .arg(project().join("Makefile"))
            .args(statically.then_some("STATIC=1"))
            .arg(format!("VPATH={}", project().display()))
            .env_remove("MAKEFLAGS")
            .env("PKG_CONFIG_PATH", prefix().join("lib/pkgconfig"))
            .current_dir(&folder));
        works(&folder.join("recorder"));
    }
}

#[test]
fn a_project_builds_by_cmake() {
    if !are_there(&["cmake"]) {
        return;
    }
    for (name, shared) in [("static", "OFF"), ("shared", "ON")] {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cmake-{name}"));
        // Of another checkout with the same target folder, CMake would take nothing.
        let _ = std::fs::remove_dir_all(&folder);
        run(Command::new("cmake")
            .arg("-S")
            .arg(project())
            .arg("-B")
            .arg(&folder)
            .arg(format!("-DCMAKE_PREFIX_PATH={}", prefix().display()))
            .arg(format!("-DP2PGATE_SHARED={shared}")));
        run(Command::new("cmake").arg("--build").arg(&folder));
        works(&folder.join("recorder"));
    }
}

#[test]
fn the_cpp_header_compiles_everywhere_and_ends_its_objects() {
    let source = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("objects.cpp");
    std::fs::write(
        &source,
        r#"#include "p2pgate.hpp"
#include "p2pgate.hpp"
#include <new>
#include <type_traits>
using terminal = p2pgate::terminal<1, 2>;
static_assert(!std::is_copy_constructible_v<terminal> && !std::is_move_constructible_v<p2pgate::sha256>);
static_assert(terminal::blob_length == P2PGATE_BLOB_LENGTH(2) && terminal::transmit_length >= 1200);
alignas(terminal) static unsigned char room[sizeof(terminal)];
int main()
{
    const std::uint8_t key[32] = {1};
    std::uint8_t new_seed[32];
    p2pgate_config_t config{};
    p2pgate::set_identifier(config, std::string_view("living-room, not this", 11));
    config.secret_key = config.broker_key = key;
    config.max_record = config.max_frame = 2048;
    config.suite = P2PGATE_SUITE_AES_128_CTR_HMAC_SHA256_80;
    auto *made = new (room) terminal;
    auto *words = made->get();
    // Twice: the first terminal ends.
    for (int time = 0; time < 2; time++)
        if (made->init(config, key, key, new_seed) != P2PGATE_OK)
            return 1;
    p2pgate_status_t status;
    if (p2pgate_terminal_status(words, &status) != P2PGATE_OK)
        return 2;
    made->~terminal();
    if (p2pgate_terminal_status(words, &status) != P2PGATE_E_OBJECT)
        return 3;
    p2pgate::sha256 sha256;
    if (p2pgate_sha256_init(sha256.get()) != P2PGATE_OK || p2pgate_sha256_finish(sha256.get(), new_seed) != P2PGATE_OK)
        return 4;
    p2pgate::splitter never;
    p2pgate_peer_t peer{2, 0, {'a', 'b'}, {}};
    return p2pgate::identifier(peer) == "ab" && !p2pgate::message(P2PGATE_E_NULL).empty() ? 0 : 5;
}
"#,
    )
    .unwrap();
    for compiler in ["g++", "clang++"] {
        if !are_there(&[compiler]) {
            continue;
        }
        for standard in ["c++17", "c++20"] {
            let program =
                PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("objects-{compiler}-{standard}"));
            run(Command::new(compiler)
                .args(["-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fno-exceptions", "-fno-rtti"])
                .arg(format!("-std={standard}"))
                .arg("-I")
                .arg(prefix().join("include"))
                .arg(&source)
                .arg(prefix().join("lib/libp2pgate.a"))
                .arg("-o")
                .arg(&program));
            run(&mut Command::new(&program));
        }
    }
}
