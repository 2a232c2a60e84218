//! include/p2pgate.h is what cbindgen makes of the sources.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::path::Path;

#[test]
fn the_header_is_up_to_date() {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let committed = package.join("../include/p2pgate.h");
    let config = cbindgen::Config::from_file(package.join("cbindgen.toml")).unwrap();
    let mut header = Vec::new();
    // By source and not by crate: that would ask cargo for packages of other platforms.
    let builder = cbindgen::Builder::new().with_config(config).with_src(package.join("src/lib.rs"));
    builder.generate().unwrap().write(&mut header);
    if std::env::var_os("P2PGATE_WRITE_HEADER").is_some() {
        std::fs::write(&committed, &header).unwrap();
    }
    assert!(
        std::fs::read(&committed).unwrap_or_default() == header,
        "include/p2pgate.h is out of date; run P2PGATE_WRITE_HEADER=1 cargo test -p p2pgate-ffi --test header"
    );
}

#[test]
fn every_item_of_the_header_is_documented() {
    let header =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../include/p2pgate.h")).unwrap();
    let (_, body) = header.split_once("*/").unwrap();
    let mut previous = "";
    for line in body.lines() {
        let item = line.starts_with("#define P2PGATE_") && line != "#define P2PGATE_H"
            || line.starts_with("typedef ")
            || line.starts_with("p2pgate_result_t ")
            || line.starts_with("uint32_t ")
            || line.starts_with("const char ");
        assert!(!item || previous.trim_start().starts_with("//"), "without a comment: {line}");
        previous = line;
    }
    for version in [("MAJOR", 0), ("MINOR", 1), ("PATCH", 2)] {
        let number = env!("CARGO_PKG_VERSION").split('.').nth(version.1).unwrap();
        assert!(header.contains(&format!("#define P2PGATE_VERSION_{} {number}\n", version.0)));
    }
}
