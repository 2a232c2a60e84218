//! What `docs/security.md` says is held by a test has that test.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

const DOCUMENT: &str = "docs/security.md";

/// Every `file: test` that the document cites.
fn cited(document: &str) -> Vec<(&str, &str)> {
    let quoted = document.split('`').skip(1).step_by(2);
    quoted.filter_map(|text| text.split_once(".rs: ")).collect()
}

#[test]
fn every_test_that_the_security_document_cites_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join(DOCUMENT)).unwrap();
    let cited = cited(&document);
    assert!(cited.len() > 50, "{} tests are cited: is the form another?", cited.len());
    for (file, test) in cited {
        let path = root.join(format!("{file}.rs"));
        let source = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}.rs: {error}"));
        let mut lines = source.lines().map(str::trim);
        let found = lines.by_ref().scan(false, |marked, line| {
            let is_it = line.strip_prefix("fn ").is_some_and(|rest| rest.starts_with(&format!("{test}(")));
            let held = is_it && *marked;
            // Attributes and comments may stand between the mark and the function.
            *marked = line == "#[test]" || (*marked && (line.starts_with("#[") || line.starts_with("//")));
            Some(held)
        });
        assert!(
            found.into_iter().any(|held| held),
            "{DOCUMENT} cites {file}.rs: {test}, which is no test there"
        );
    }
}

#[test]
fn every_fuzz_target_that_the_security_document_cites_is_run() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(root.join(DOCUMENT)).unwrap();
    let run = std::fs::read_to_string(root.join("fuzz/run")).unwrap();
    let targets = run.lines().find_map(|line| line.split_once("set -- ")).unwrap().1;
    let cited = document.split("fuzz target `").skip(1).filter_map(|rest| rest.split('`').next());
    let mut count = 0;
    for target in cited {
        count += 1;
        assert!(targets.split(' ').any(|other| other == target), "fuzz/run leaves out {target}");
        assert!(root.join(format!("fuzz/fuzz_targets/{target}.rs")).is_file(), "{target} is no target");
    }
    assert!(count > 5);
}
