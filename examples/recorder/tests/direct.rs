//! A transfer that began in a tunnel goes on directly once the other recorder can be reached.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{Stage, TEST_CARD, eventually, same};
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

/// Passes on whatever comes in, with a rest after each 64 KiB.
fn forward(listener: TcpListener, to: SocketAddr, rest: Duration) {
    let copy = move |mut from: TcpStream, mut to: TcpStream| {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..length]).is_err() {
                break;
            }
            std::thread::sleep(rest);
        }
        let _ = to.shutdown(std::net::Shutdown::Both);
        let _ = from.shutdown(std::net::Shutdown::Both);
    };
    std::thread::spawn(move || {
        while let Ok((here, _)) = listener.accept() {
            let Ok(there) = TcpStream::connect(to) else { continue };
            let [back, forth] = [here.try_clone().unwrap(), there.try_clone().unwrap()];
            std::thread::spawn(move || copy(here, there));
            std::thread::spawn(move || copy(forth, back));
        }
    });
}

/// anna, whose way to the broker is slow, and ben, who says that he is where nobody listens yet; and a recording.
fn far_apart() -> (Stage, SocketAddr, PathBuf) {
    let mut stage = Stage::new();
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let broker = std::mem::replace(&mut stage.address, slow.local_addr().unwrap());
    forward(slow, broker, Duration::from_millis(32));
    stage.init("anna");
    stage.address = broker;
    stage.init("ben");
    stage.done("anna", "allow", &["--create", "ben"]);
    stage.done("ben", "allow", &["--create", "anna"]);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let film = stage.path("film.bin");
    let bytes: Vec<u8> =
        (0..32_u32 << 20).map(|number| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(&film, bytes).unwrap();
    (stage, nobody, film)
}

fn under_way(folder: &Path) {
    eventually(|| {
        let mut entries = fs::read_dir(folder).ok()?.flatten();
        entries
            .any(|entry| {
                let unfinished = entry.file_name().to_str().is_some_and(|name| name.contains(".part-"));
                unfinished && entry.metadata().is_ok_and(|metadata| metadata.len() > 0)
            })
            .then_some(())
    });
}

#[test]
fn what_is_sent_goes_on_directly() {
    let (stage, address, film) = far_apart();
    let mut ben = stage.receive("ben", &["--announce", &address.to_string()]);
    let arguments = ["--to", "ben", film.to_str().unwrap(), "--as", "public", "--json"];
    let sending = stage.command("anna", "send", &arguments).stdout(Stdio::piped()).spawn().unwrap();
    under_way(&ben.out);
    forward(TcpListener::bind(address).unwrap(), ben.address.parse().unwrap(), Duration::ZERO);
    assert!(same(&ben.received(), &film));
    let output = sending.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let path = |way: &str| report["path"][way].as_u64().unwrap();
    // What had gone into the tunnel and not come out of it went twice.
    assert!(path("relay_sealed") > 0 && path("direct_clear") > 0, "{report}");
    assert_eq!((path("direct_sealed"), &report["tunnel"]), (0, &false.into()));
    assert_eq!(fs::read_dir(&ben.out).unwrap().count(), 1);
}

#[test]
fn what_is_fetched_goes_on_directly() {
    let (stage, address, film) = far_apart();
    let folder = stage.path("shared");
    fs::create_dir(&folder).unwrap();
    fs::rename(&film, folder.join("film.bin")).unwrap();
    let film = folder.join("film.bin");
    stage.done_alone("attribute", &[film.to_str().unwrap(), "public"]);
    let mut ben =
        stage.receive("ben", &["--announce", &address.to_string(), "--share", folder.to_str().unwrap()]);
    let out = stage.path("fetched");
    let arguments = ["--from", "ben", "film.bin", "--out", out.to_str().unwrap()];
    let fetching = stage.command("anna", "fetch", &arguments).stdout(Stdio::piped()).spawn().unwrap();
    under_way(&out);
    forward(TcpListener::bind(address).unwrap(), ben.address.parse().unwrap(), Duration::ZERO);
    assert!(fetching.wait_with_output().unwrap().status.success());
    assert!(same(&out.join("film.bin"), &film));
    let said = ben.line();
    let clear = said.split(": ").nth(1).unwrap().split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(0 < clear && clear < 32 << 20, "{said}");
}

#[test]
fn a_transfer_whose_tunnel_stays_the_only_way_says_so() {
    let (stage, address, _) = far_apart();
    let film = stage.path("short.bin");
    fs::write(&film, vec![7; 8 << 20]).unwrap();
    let mut ben = stage.receive("ben", &["--announce", &address.to_string()]);
    let report = stage.send("anna", "ben", film.to_str().unwrap(), &["--as", "public"]);
    assert!(same(&ben.received(), &film));
    assert_eq!((&report["tunnel"], &report["path"]["relay_sealed"]), (&true.into(), &(8 << 20).into()));
    let report = stage.send("anna", "ben", film.to_str().unwrap(), &["--as", "confidential"]);
    assert_eq!(report["tunnel"], true);
}

#[test]
fn p7_what_the_broker_finds_out_of_reach_is_not_tried_and_what_answers_is_reached() {
    let stage = Stage::pair_with(|options| options.config.reach_deadline_ms = Some(10_000));
    let card = Path::new(TEST_CARD);
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut ben = stage.receive("ben", &["--announce", &nobody.to_string()]);
    let report = stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert!(same(&ben.received(), card));
    assert_eq!((&report["tunnel"], &report["path"]["direct_clear"]), (&true.into(), &0.into()));
    drop(ben);
    let mut ben = stage.receive("ben", &[]);
    let report = stage.send("anna", "ben", TEST_CARD, &["--as", "public"]);
    assert!(same(&ben.received(), card));
    assert_eq!((&report["tunnel"], &report["path"]["relay_sealed"]), (&false.into(), &0.into()));
}
