//! RTP and RTSP.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::Stdio;
use std::time::Duration;

use p2pgate_recorder::cli;
use p2pgate_recorder::incoming::{Description, Incoming};

use crate::common::eventually;
use crate::house::{House, LOOPBACK, client, test_card};

fn rtsp() -> Option<House> {
    client("ffmpeg")?;
    let house = House::with(
        cli::Serve { serve_rtsp: Some(LOOPBACK.parse().unwrap()), ..cli::Serve::default() },
        |_| {},
    );
    house.put("test card.mpg", &test_card());
    Some(house)
}

fn is_the_test_card(streams: &str) -> bool {
    streams.contains("codec_name=mpeg2video") && streams.contains("codec_name=mp2")
}

#[test]
fn v13_ffprobe_plays_by_rtsp_over_udp_and_tcp() {
    let Some(house) = rtsp() else { return };
    let url = format!("{}test%20card.mpg", house.url("rtsp"));
    for transport in ["udp", "tcp"] {
        let Some(streams) = rtsp_probe(&url, transport) else { return };
        assert!(is_the_test_card(&streams), "{transport}: {streams}");
    }
}

fn rtsp_probe(url: &str, transport: &str) -> Option<String> {
    let mut command = client("ffprobe")?;
    command.args(["-v", "error", "-rtsp_transport", transport, "-timeout", "60000000"]);
    command.args(["-show_entries", "stream=codec_name", "-of", "default=nw=1", url]);
    Some(String::from_utf8(crate::house::output(&mut command)).unwrap())
}

#[test]
fn v13_every_picture_comes_by_rtsp_and_then_it_is_over() {
    let Some(house) = rtsp() else { return };
    let url = format!("{}test%20card.mpg", house.url("rtsp"));
    let mut command = client("ffprobe").unwrap();
    command.args(["-v", "error", "-rtsp_transport", "tcp", "-select_streams", "v", "-count_packets"]);
    command.args(["-show_entries", "stream=nb_read_packets", "-of", "default=nw=1:nk=1", &url]);
    let counted = String::from_utf8(crate::house::output(&mut command)).unwrap();
    // The test card has 150 pictures. ffprobe gives out one when the next begins, by RTP not the last; and it tells of a
    // transport stream's programme and of the whole.
    let all = |line: &str| line == "149" || line == "150";
    assert!(!counted.is_empty() && counted.lines().all(all), "{counted}");
}

#[test]
fn v13_rtsp_refuses_what_is_not_there_or_not_the_askers() {
    let Some(house) = rtsp() else { return };
    let address = house.url("rtsp");
    let address = address.trim_start_matches("rtsp://").trim_end_matches('/').to_owned();
    let mut stream = TcpStream::connect(&address).unwrap();
    let mut number = 0;
    let mut ask = |method: &str, path: &str, headers: &str| {
        number += 1;
        write!(stream, "{method} rtsp://{address}/{path} RTSP/1.0\r\nCSeq: {number}\r\n{headers}\r\n")
            .unwrap();
        let mut answer = Vec::new();
        let mut byte = [0];
        while !answer.ends_with(b"\r\n\r\n") {
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains(&format!("CSeq: {number}\r\n")), "{answer}");
        let status: u16 = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer)
    };
    let (status, options) = ask("OPTIONS", "", "");
    assert!(status == 200 && options.contains("DESCRIBE"));
    for path in ["none.mpg", "..%2fsecret", "", "%2e%2e/x"] {
        assert_eq!(ask("DESCRIBE", path, "").0, 404, "{path}");
    }
    let card = "test%20card.mpg/stream";
    assert_eq!(ask("PLAY", card, "Session: 1234\r\n").0, 454);
    assert_eq!(ask("RECORD", card, "").0, 405);
    // Multicast; another's low port; no RTP at all.
    for transport in ["RTP/AVP;multicast", "RTP/AVP;unicast;client_port=53-54", "RAW/RAW/UDP;unicast"] {
        let (status, _) = ask("SETUP", card, &format!("Transport: {transport}\r\n"));
        assert!([400, 461].contains(&status), "{transport}: {status}");
    }
    // Another's address is not taken up: it goes to whoever asks.
    let own = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = own.local_addr().unwrap().port();
    let (status, answer) = ask(
        "SETUP",
        card,
        &format!("Transport: RTP/AVP;unicast;destination=127.0.0.2;client_port={port}-{}\r\n", port ^ 1),
    );
    assert!(status == 200 && !answer.contains("127.0.0.2"), "{answer}");
    let session = answer.split("Session: ").nth(1).unwrap().split([';', '\r']).next().unwrap().to_owned();
    assert_eq!(ask("PLAY", card, &format!("Session: {session}\r\n")).0, 200);
    let mut packet = [0; 2048];
    own.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let length = own.recv(&mut packet).unwrap();
    // RTP version 2, payload type 33, whole packets of a transport stream.
    assert_eq!((packet[0], packet[1] & 0x7f, (length - 12) % 188, packet[12]), (0x80, 33, 0, 0x47));
    assert_eq!(ask("TEARDOWN", card, &format!("Session: {session}\r\n")).0, 200);
}

#[test]
fn v13_silent_long_and_broken_rtsp_requests_end() {
    if client("ffmpeg").is_none() {
        return;
    }
    let at = cli::Serve { serve_rtsp: Some(LOOPBACK.parse().unwrap()), ..cli::Serve::default() };
    let house = House::with(at, |limits| limits.idle = Duration::from_millis(200));
    let address = house.url("rtsp");
    let address = address.trim_start_matches("rtsp://").trim_end_matches('/');
    let long = format!("OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nX-Long: {}", "a".repeat(1 << 20));
    for request in ["", "OPTIONS * RTSP/1.0\r\nCSeq", &long, "GET / HTTP/1.1\r\n\r\n", "\0\0\0\0\r\n\r\n"] {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        // It may have been closed in the middle of it.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let ended = stream.read_to_end(&mut answer);
        let reset = |error: std::io::Error| error.kind() == ErrorKind::ConnectionReset;
        assert!(ended.map_or_else(reset, |length| length == 0) && answer.is_empty(), "{request:.20?}");
        assert!(TcpStream::connect(address).is_ok());
    }
}

#[test]
fn v13_a_recording_goes_out_by_rtp_as_it_arrives() {
    if client("ffmpeg").is_none() || client("ffprobe").is_none() {
        return;
    }
    // A port that is free, and its neighbour for RTCP.
    let port = eventually(|| {
        let port = UdpSocket::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
        (port % 2 == 0 && UdpSocket::bind(("127.0.0.1", port + 1)).is_ok()).then_some(port)
    });
    let to = format!("127.0.0.1:{port}");
    let house = House::with(cli::Serve { rtp: Some(to.parse().unwrap()), ..cli::Serve::default() }, |_| {});
    let description = house.path("session.sdp");
    fs::write(
        &description,
        format!(
            "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=p2pgate\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 33\n"
        ),
    )
    .unwrap();
    let mut command = client("ffprobe").unwrap();
    command.args([
        "-v",
        "error",
        "-protocol_whitelist",
        "file,rtp,udp",
        "-show_entries",
        "stream=codec_name",
    ]);
    let probing =
        command.args(["-of", "default=nw=1"]).arg(&description).stdout(Stdio::piped()).spawn().unwrap();
    eventually(|| UdpSocket::bind(("127.0.0.1", port)).err());
    let all = test_card();
    let what = Description { peer: "anna", name: "card.mpg", size: all.len() as u64, source: b"" };
    let mut incoming = Incoming::open(house.folder.path(), &what, false).unwrap();
    incoming.show_on(house.serving.shelf()).unwrap();
    incoming.write(0, &all).unwrap();
    incoming.finish().unwrap();
    let streams = probing.wait_with_output().unwrap();
    let streams = String::from_utf8(streams.stdout).unwrap();
    assert!(is_the_test_card(&streams), "{streams}");
}
