//! A recording of a gigabyte between real processes: how much memory each of the three parties takes.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/process.rs"]
mod process;

use common::{TEST_CARD, same};
use process::{Broker, MEMORY, pair, peak_memory};
use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Bytes of the recording, at least.
const SIZE: u64 = 1 << 30;

/// The test card again and again. A numbered padding packet goes before each, so that no two places are alike.
fn write_recording(path: &Path) -> u64 {
    let card = fs::read(TEST_CARD).unwrap();
    let mut file = BufWriter::new(File::create(path).unwrap());
    let mut written = 0;
    for number in 0_u64.. {
        if written >= SIZE {
            break;
        }
        let padding = format!("{number:016}");
        file.write_all(&[0, 0, 1, 0xbe, 0, padding.len() as u8]).unwrap();
        file.write_all(padding.as_bytes()).unwrap();
        file.write_all(&card).unwrap();
        written += (6 + padding.len() + card.len()) as u64;
    }
    file.flush().unwrap();
    written
}

/// Large files, without holding them.
fn alike(one: &Path, other: &Path) -> bool {
    let mut files = [one, other].map(|path| File::open(path).unwrap());
    let mut buffers = [vec![0; 1 << 20], vec![0; 1 << 20]];
    loop {
        let mut lengths = [0; 2];
        for ((file, buffer), length) in files.iter_mut().zip(&mut buffers).zip(&mut lengths) {
            while *length < buffer.len() {
                match file.read(&mut buffer[*length..]).unwrap() {
                    0 => break,
                    read => *length += read,
                }
            }
        }
        if lengths[0] != lengths[1] || buffers[0][..lengths[0]] != buffers[1][..lengths[1]] {
            return false;
        }
        if lengths[0] == 0 {
            return true;
        }
    }
}

#[test]
fn serve() {
    if process::serve() {
        return;
    }
    // Here: a recording over a broker in a process of its own.
    let (stage, mut broker) = pair();
    let mut receiving = stage.receive("ben", &[]);
    stage.send("anna", "ben", TEST_CARD, &[]);
    assert!(same(&receiving.received(), TEST_CARD));
    assert!(peak_memory(broker.child.id()).is_some() && broker.is_running());
}

fn sent_within_bounds(broker: &Broker, stage: &common::Stage, file: &Path, size: u64, attribute: &str) {
    // A receiver of its own each time, so that its peak is this transfer's.
    let mut receiving = stage.receive("ben", &[]);
    let file_name = file.to_str().unwrap();
    let arguments = ["--to", "ben", file_name, "--json", "--hash", "--as", attribute];
    let mut sender = stage.command("anna", "send", &arguments).stdout(Stdio::piped()).spawn().unwrap();
    let mut sender_peak = 0;
    let status = loop {
        // The peak only grows, and what ends says nothing any more.
        sender_peak = peak_memory(sender.id()).unwrap_or(0).max(sender_peak);
        if let Some(status) = sender.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    assert!(status.success(), "{attribute}: {status}");
    let report: serde_json::Value = serde_json::from_reader(sender.stdout.take().unwrap()).unwrap();
    let path = receiving.received();
    let peaks = [
        ("broker", peak_memory(broker.child.id()).unwrap()),
        ("sender", sender_peak),
        ("receiver", peak_memory(receiving.child.id()).unwrap()),
    ];
    println!("{attribute}: {report} {peaks:?}");
    for (party, peak) in peaks {
        assert!((1..MEMORY).contains(&peak), "{attribute}: the {party} took {peak} bytes");
    }
    assert_eq!(report["bytes"], size);
    if attribute == "confidential" {
        assert_eq!(report["path"]["relay_sealed"], size);
    }
    assert!(alike(&path, file), "{attribute}");
    fs::remove_file(path).unwrap();
}

#[test]
fn a_gigabyte_takes_less_than_32_mib_at_each_of_the_three_parties() {
    if std::env::var("P2PGATE_SLOW").is_ok_and(|slow| slow == "1") {
        let (stage, broker) = pair();
        let file = stage.path("large.mpg");
        let size = write_recording(&file);
        for attribute in ["confidential", "split"] {
            sent_within_bounds(&broker, &stage, &file, size, attribute);
        }
    } else {
        println!("skipped: P2PGATE_SLOW is not 1");
    }
}
