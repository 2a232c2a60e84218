//! The bare-metal image of `examples/firmware` against the real broker and recorders. Skipped where QEMU and the compilers for it are missing.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/client.rs"]
mod client;
#[path = "../common/mod.rs"]
mod common;
mod image;
mod modem;

use client::Mallory;
use common::{Stage, TEST_CARD};
use image::Device;
use sha2::{Digest, Sha256};
use std::fmt::Write;
use std::fs;

/// The test card's first `bytes`: a file, and its SHA-256 as text.
fn recording(stage: &Stage, bytes: usize) -> (String, String) {
    let card = fs::read(TEST_CARD).unwrap();
    let path = stage.path("film.mpg");
    fs::write(&path, &card[..bytes]).unwrap();
    let mut hash = String::new();
    for byte in Sha256::digest(&card[..bytes]) {
        write!(hash, "{byte:02x}").unwrap();
    }
    (path.to_str().unwrap().to_owned(), hash)
}

/// A broker, a caller, and the device, which is ready.
fn scene(permitted: &[&str]) -> Option<(Stage, Device)> {
    let image = image::built()?;
    let stage = Stage::new();
    stage.init("anna");
    Device::provision(&stage, permitted);
    let mut device = Device::start(&stage, image);
    device.says("ready");
    Some((stage, device))
}

#[test]
fn a_split_recording_arrives_bit_exact() {
    let Some((stage, mut device)) = scene(&["anna"]) else { return };
    let (file, hash) = recording(&stage, 160 << 10);
    let report = stage.send("anna", "ben", &file, &["--as", "split", "--hash"]);
    assert!(report["path"]["direct_clear"].as_u64().unwrap() > 80_000, "{report}");
    assert!(report["path"]["relay_sealed"].as_u64().unwrap() > 20_000, "{report}");
    device.says("connected anna");
    device.figure("connection_instructions");
    assert_eq!(device.says("offered "), "film.mpg bytes 163840");
    assert_eq!(device.says("received bytes "), format!("163840 sha256 {hash} right"));
    let stack = device.figure("stack_bytes");
    let data = device.figure("data_bytes");
    let (most, memory) = if image::flavour() == "fast" { (9 << 10, 18 << 10) } else { (6 << 10, 16 << 10) };
    assert!(stack > 0 && stack <= most, "{stack}");
    assert!(data > 0 && stack + data <= memory, "{stack} {data}");
}

#[test]
fn a_wrong_password_is_refused_and_the_grant_is_spent() {
    let Some((stage, mut device)) = scene(&["anna", "mallory"]) else { return };
    let mallory = Mallory::enrol(&stage);
    let mut online = mallory.online(&stage);
    let grant = mallory.grant(&mut online).unwrap();
    device.says("expected mallory");
    let (mut link, answer) = mallory.call(&grant, "AAAAAAAAAAAAAAAAAAAAAA==").unwrap();
    assert!(answer.contains("Permission Denied."), "{answer}");
    assert_eq!(link.next(), None);
    // P2PGATE_REFUSED_CREDENTIALS.
    assert_eq!(device.says("refused "), "5");
    assert!(mallory.call(&grant, &grant.password).is_none());
    // P2PGATE_REFUSED_UNKNOWN_GRANT.
    assert_eq!(device.says("refused "), "2");
    // With the password it is let in.
    let grant = mallory.grant(&mut online).unwrap();
    let (_link, answer) = mallory.call(&grant, &grant.password).unwrap();
    assert!(answer.contains("Request Accepted."), "{answer}");
    device.says("connected mallory");
}

#[test]
fn m16_it_is_busy_while_its_load_is_over_the_limit() {
    let Some((stage, mut device)) = scene(&["anna"]) else { return };
    let (file, hash) = recording(&stage, 20_000);
    device.modem.work(true);
    device.says("load ");
    let (code, text) = stage.fail("anna", "ben", &file, &[]);
    assert!(code == 5 && text.contains("busy"), "{code} {text}");
    device.says("asked busy");
    device.modem.work(false);
    device.says("load ");
    common::eventually(|| stage.run("anna", "send", &["--to", "ben", &file]).status.success().then_some(()));
    device.says("asked free");
    assert!(device.says("received bytes 20000 sha256 ").starts_with(&hash));
}

#[test]
fn it_comes_back_after_the_broker_was_gone_and_after_a_reset() {
    let Some((mut stage, mut device)) = scene(&["anna"]) else { return };
    let (file, hash) = recording(&stage, 20_000);
    stage.stop_broker();
    device.says("offline");
    stage.start_broker();
    device.says("online");
    device.says("ready");
    stage.send("anna", "ben", &file, &[]);
    assert!(device.says("received bytes 20000 sha256 ").starts_with(&hash));
    drop(device);

    // Its key, its list and anna's key outlast that; the ticket is used.
    let folder = stage.path("device");
    assert!(!folder.join("ticket").exists());
    let configuration = fs::read_to_string(folder.join("configuration")).unwrap();
    fs::write(folder.join("configuration"), configuration.replace("permit anna\n", "")).unwrap();
    let seed = fs::read(folder.join("seed")).unwrap();
    let mut device = Device::start(&stage, image::built().unwrap());
    device.says("ready");
    assert_ne!(fs::read(folder.join("seed")).unwrap(), seed);
    stage.send("anna", "ben", &file, &["--as", "public", "--hash"]);
    assert_eq!(device.says("received bytes "), format!("20000 sha256 {hash} right"));
}
