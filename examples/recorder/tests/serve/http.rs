//! Whole recordings by HTTP.

use std::fs;
use std::os::unix::fs::symlink;

use crate::house::{House, client, content, output, probe, test_card};

#[test]
fn v13_ranges_are_bit_exact() {
    let house = House::new();
    let all = content(300_000);
    house.put("film.mpg", &all);
    let whole = house.get("/recordings/film.mpg", "");
    assert_eq!((whole.status(), &whole.body), (200, &all));
    assert_eq!(whole.header("accept-ranges"), Some("bytes"));
    assert_eq!(whole.header("content-type"), Some("video/mpeg"));
    assert_eq!(whole.header("content-length"), Some("300000"));
    let part = |range: &str| house.get("/recordings/film.mpg", &format!("Range: {range}\r\n"));
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1-65536", 1, 65_537),
        ("bytes=65535-65536", 65_535, 65_537),
        ("bytes=299999-", 299_999, 300_000),
        ("bytes=100000-", 100_000, 300_000),
        ("bytes=-1", 299_999, 300_000),
        ("bytes=-200000", 100_000, 300_000),
        ("bytes=-400000", 0, 300_000),
        ("bytes=299990-400000", 299_990, 300_000),
    ] {
        let answer = part(range);
        assert_eq!(answer.status(), 206, "{range}");
        assert_eq!(answer.header("content-range").unwrap(), format!("bytes {from}-{}/300000", to - 1));
        assert!(answer.body == all[from..to], "{range}");
    }
    for range in ["bytes=300000-", "bytes=400000-500000", "bytes=-0"] {
        let answer = part(range);
        assert_eq!(
            (answer.status(), answer.header("content-range")),
            (416, Some("bytes */300000")),
            "{range}"
        );
    }
    // Of another form, or several at once: all of it.
    for range in ["pages=1-2", "bytes=", "bytes=a-b", "bytes=0-1,5-6"] {
        let answer = part(range);
        assert!(answer.status() == 200 && answer.body == all, "{range}");
    }
}

#[test]
fn v13_what_has_changed_is_not_mixed() {
    let house = House::new();
    house.put("film.ts", &content(1000));
    let first = house.get("/recordings/film.ts", "");
    let (tag, date) = (first.header("etag").unwrap(), first.header("last-modified").unwrap());
    assert_eq!(house.get("/recordings/film.ts", &format!("If-None-Match: {tag}\r\n")).status(), 304);
    for known in [tag, date] {
        let headers = format!("If-Range: {known}\r\nRange: bytes=10-19\r\n");
        let answer = house.get("/recordings/film.ts", &headers);
        assert_eq!((answer.status(), answer.body), (206, content(1000)[10..20].to_vec()));
    }
    house.put("film.ts", &content(999));
    let headers = format!("If-Range: {tag}\r\nRange: bytes=10-19\r\n");
    let answer = house.get("/recordings/film.ts", &headers);
    assert_eq!((answer.status(), answer.body.len()), (200, 999));
    assert_eq!(house.get("/recordings/film.ts", &format!("If-None-Match: {tag}\r\n")).status(), 200);
}

#[test]
fn v13_head_says_what_get_would() {
    let house = House::new();
    house.put("film.vob", &content(5000));
    let answer = house.ask("HEAD /recordings/film.vob HTTP/1.1\r\nHost: localhost\r\n\r\n");
    assert_eq!((answer.status(), answer.body.len()), (200, 0));
    assert_eq!(answer.header("content-length"), Some("5000"));
    assert_eq!(answer.header("content-type"), Some("video/mpeg"));
    for method in ["POST", "PUT", "DELETE", "PATCH", "MKCOL"] {
        let request = format!("{method} /recordings/film.vob HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert_eq!(house.ask(&request).status(), 405, "{method}");
    }
    assert!(fs::read(house.path("film.vob")).unwrap() == content(5000));
}

#[test]
fn v13_a_recording_without_a_telling_name_is_known_by_its_bytes() {
    let house = House::new();
    house.put("card", &test_card());
    let mut packets = content(188 * 4);
    packets.iter_mut().step_by(188).for_each(|byte| *byte = 0x47);
    house.put("packets", &packets);
    house.put("page", "<script>alert(1)</script>".repeat(40).as_bytes());
    house.put("page.html", b"<script>alert(1)</script>");
    let kind = |name: &str| {
        let answer = house.get(&format!("/recordings/{name}"), "");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        answer.header("content-type").unwrap().to_owned()
    };
    assert_eq!(kind("card"), "video/mpeg");
    assert_eq!(kind("packets"), "video/mp2t");
    assert_eq!(kind("page"), "application/octet-stream");
    assert_eq!(kind("page.html"), "application/octet-stream");
}

#[test]
fn v13_nothing_but_the_folders_recordings_is_served() {
    let house = House::new();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret.mpg"), b"secret").unwrap();
    house.put("film.mpg", b"film");
    for name in [".hidden.mpg", ".film.mpg.part-0123456789abcdef", "film.mpg.part", "film~", "x.new-12-0"] {
        house.put(name, b"secret");
    }
    fs::create_dir(house.path("folder")).unwrap();
    house.put("folder/inner.mpg", b"secret");
    symlink(outside.path().join("secret.mpg"), house.path("link.mpg")).unwrap();
    symlink(outside.path(), house.path("linked")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, house.path("pipe.mpg"), rustix::fs::Mode::RUSR).unwrap();
    let outside = outside.path().to_str().unwrap();
    let up = "../".repeat(12);
    for path in [
        "link.mpg".to_owned(),
        "linked/secret.mpg".to_owned(),
        "linked%2fsecret.mpg".to_owned(),
        "folder".to_owned(),
        "folder/inner.mpg".to_owned(),
        "folder%2Finner.mpg".to_owned(),
        "pipe.mpg".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        "%2e%2e".to_owned(),
        String::new(),
        "%00".to_owned(),
        "film.mpg%00".to_owned(),
        "%ff".to_owned(),
        "film.mpg/".to_owned(),
        "./film.mpg".to_owned(),
        "..%5csecret.mpg".to_owned(),
        format!("{up}{}", outside.trim_start_matches('/')),
        format!("{outside}/secret.mpg"),
        format!("%2f{outside}%2fsecret.mpg"),
        "a".repeat(300),
        ".hidden.mpg".to_owned(),
        ".film.mpg.part-0123456789abcdef".to_owned(),
        "film.mpg.part".to_owned(),
        "film~".to_owned(),
        "x.new-12-0".to_owned(),
    ] {
        let answer = house.get(&format!("/recordings/{path}"), "");
        assert_eq!(answer.status(), 404, "{path}");
        assert!(!answer.text().contains("secret"), "{path}");
    }
    assert_eq!(house.get("/recordings/film.mpg", "").body, b"film");
    let page = house.get("/", "").text();
    assert!(page.contains("film.mpg"));
    for name in ["hidden", "part", "link", "folder", "pipe", "new-12"] {
        assert!(!page.contains(name), "{name}");
    }
}

#[test]
fn v13_the_page_runs_nothing_and_leads_to_every_name() {
    let house = House::new();
    let names = ["<script>alert(1)<%2fscript>.mpg", "a & b \"c\" 'd'.mpg", "100 %? #1.mpg", "日本語 – ß.ts"];
    for name in names {
        house.put(name, name.as_bytes());
    }
    let answer = house.get("/", "");
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    let page = answer.text();
    assert!(!page.contains("<script"), "{page}");
    let links: Vec<&str> =
        page.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert_eq!(links.len(), names.len());
    for link in links {
        let answer = house.get(link, "");
        assert_eq!(answer.status(), 200, "{link}");
        assert!(names.contains(&answer.text().as_str()), "{link}");
    }
}

#[test]
fn v13_a_name_that_was_pointed_here_sees_nothing() {
    let house = House::new();
    house.put("film.mpg", b"film");
    let own = rustix::system::uname().nodename().to_str().unwrap().to_owned();
    for path in ["/", "/recordings/film.mpg", "/upnp/device.xml"] {
        let ask = |host: &str| house.ask(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status();
        for host in
            ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""]
        {
            assert_eq!(ask(host), 403, "{host}");
        }
        for host in ["127.0.0.1", "127.0.0.1:8200", "[::1]:8200", "localhost", "LOCALHOST:1", &own] {
            assert_eq!(ask(host), 200, "{host}");
        }
    }
}

#[test]
fn v13_curl_and_ffprobe_are_served() {
    let house = House::new();
    house.put("test card.mpg", &test_card());
    let url = format!("{}recordings/test%20card.mpg", house.url("http"));
    if let Some(mut curl) = client("curl") {
        let part = output(curl.args(["-sS", "--fail", "-r", "1000-1999", &url]));
        assert!(part == test_card()[1000..2000]);
    }
    if let Some(streams) = probe(&url, &[]) {
        assert!(streams.contains("codec_name=mpeg2video") && streams.contains("codec_name=mp2"), "{streams}");
    }
}
