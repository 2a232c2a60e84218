//! FTP.

use std::fs;
use std::io::Read;
use std::process::Stdio;

use p2pgate_recorder::cli;
use p2pgate_recorder::incoming::{Description, Incoming};

use crate::house::{House, LOOPBACK, client, content, output};

fn house() -> House {
    House::with(cli::Serve { serve_ftp: Some(LOOPBACK.parse().unwrap()), ..cli::Serve::default() }, |_| {})
}

#[test]
fn v13_curl_lists_and_fetches_by_ftp() {
    let Some(mut list) = client("curl") else { return };
    let house = house();
    let all = content(3_000_000);
    house.put("long film.mpg", &all);
    house.put(".hidden", b"hidden");
    let listed = String::from_utf8(output(list.args(["-sS", &house.url("ftp")]))).unwrap();
    assert!(
        listed.contains("3000000") && listed.contains("long film.mpg") && !listed.contains("hidden"),
        "{listed}"
    );
    let url = format!("{}long%20film.mpg", house.url("ftp"));
    let get = |options: &[&str]| output(client("curl").unwrap().args(["-sS"]).args(options).arg(&url));
    assert!(get(&[]) == all);
    assert!(get(&["-r", "2999990-"]) == all[2_999_990..]);
    assert!(get(&["-C", "1000000"]) == all[1_000_000..]);
    assert!(get(&["--disable-epsv"]) == all);
}

#[test]
fn v13_ftp_leads_nowhere_and_changes_nothing() {
    if client("curl").is_none() {
        return;
    }
    let house = house();
    house.put("film.mpg", b"film");
    house.put(".hidden", b"hidden");
    let url = house.url("ftp");
    let run = |arguments: &[&str]| {
        client("curl").unwrap().args(["-sS", "--path-as-is"]).args(arguments).output().unwrap()
    };
    for path in [".hidden", "../etc/passwd", "%2fetc/passwd", "%2e%2e/x", "none.mpg"] {
        let output = run(&[&format!("{url}{path}")]);
        assert!(!output.status.success() && output.stdout.is_empty(), "{path}: {output:?}");
    }
    let source = house.path("film.mpg");
    let source = source.to_str().unwrap();
    for arguments in [
        &["-T", source, &format!("{url}new.mpg")][..],
        &["-T", source, "-a", &format!("{url}film.mpg")],
        &["-Q", "DELE film.mpg", &url],
        &["-Q", "MKD folder", &url],
        &["-Q", "RNFR film.mpg", "-Q", "RNTO other.mpg", &url],
    ] {
        assert!(!run(arguments).status.success(), "{arguments:?}");
    }
    let mut names: Vec<_> =
        fs::read_dir(house.folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    names.sort();
    assert_eq!(names, [".hidden", "film.mpg"]);
    assert_eq!(fs::read(source).unwrap(), b"film");
}

#[test]
fn v13_ftp_fetches_what_is_still_arriving() {
    let Some(mut curl) = client("curl") else { return };
    let house = house();
    let all = content(1_000_000);
    let what = Description { peer: "anna", name: "film.mpg", size: all.len() as u64, source: b"" };
    let mut incoming = Incoming::open(house.folder.path(), &what, false).unwrap();
    incoming.show_on(house.serving.shelf()).unwrap();
    incoming.write(0, &all[..500_000]).unwrap();
    curl.args(["-sS", &format!("{}film.mpg", house.url("ftp"))]).stdout(Stdio::piped());
    let mut fetching = curl.spawn().unwrap();
    let mut start = vec![0; 1000];
    fetching.stdout.as_mut().unwrap().read_exact(&mut start).unwrap();
    incoming.write(500_000, &all[500_000..]).unwrap();
    incoming.finish().unwrap();
    let output = fetching.wait_with_output().unwrap();
    assert!(output.status.success() && start == all[..1000] && output.stdout == all[1000..]);
}
