//! The UPnP AV MediaServer.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use quick_xml::Reader;
use quick_xml::escape::{resolve_xml_entity, unescape};
use quick_xml::events::Event;
use socket2::{Domain, Socket, Type};

use crate::common::eventually;
use crate::house::{Answer, House, client, content, output};

const DIRECTORY: &str = "urn:schemas-upnp-org:service:ContentDirectory:1";
const MANAGER: &str = "urn:schemas-upnp-org:service:ConnectionManager:1";

fn post(house: &House, service: &str, action: &str, body: &str) -> Answer {
    let name = service.split(':').nth(3).unwrap();
    house.ask(&format!(
        "POST /upnp/{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nSOAPACTION: \"{service}#{action}\"\r\n\
         Content-Type: text/xml\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

fn call(house: &House, service: &str, action: &str, arguments: &[(&str, &str)]) -> Answer {
    let arguments: String =
        arguments.iter().map(|(name, value)| format!("<{name}>{value}</{name}>")).collect();
    let body = format!(
        "<?xml version=\"1.0\"?><s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <u:{action} xmlns:u=\"{service}\">{arguments}</u:{action}></s:Body></s:Envelope>"
    );
    post(house, service, action, &body)
}

/// The texts of all elements, by their names.
fn texts(xml: &str) -> HashMap<String, Vec<String>> {
    let mut reader = Reader::from_str(xml);
    let mut texts: HashMap<String, Vec<String>> = HashMap::new();
    let mut open: Vec<(String, String)> = Vec::new();
    loop {
        match reader.read_event().unwrap() {
            Event::Start(start) => open.push((start.local_name().as_ref().to_owned(), String::new())),
            Event::Text(text) => {
                if let Some(last) = open.last_mut() {
                    last.1.push_str(&text);
                }
            }
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().unwrap();
                let text = character
                    .map(String::from)
                    .unwrap_or_else(|| resolve_xml_entity(&reference).unwrap().to_owned());
                open.last_mut().unwrap().1.push_str(&text);
            }
            Event::End(_) => {
                let (name, text) = open.pop().unwrap();
                texts.entry(name).or_default().push(text);
            }
            Event::Eof => return texts,
            _ => {}
        }
    }
}

fn browse(house: &House, arguments: &[(&str, &str)]) -> Answer {
    let mut all = HashMap::from([
        ("ObjectID", "0"),
        ("BrowseFlag", "BrowseDirectChildren"),
        ("Filter", "*"),
        ("StartingIndex", "0"),
        ("RequestedCount", "0"),
        ("SortCriteria", ""),
    ]);
    all.extend(arguments.iter().copied());
    call(house, DIRECTORY, "Browse", &all.into_iter().collect::<Vec<_>>())
}

/// What was found: titles, numbers returned and in all.
fn found(answer: &Answer) -> (Vec<String>, String, String) {
    assert_eq!(answer.status(), 200, "{}", answer.text());
    let values = texts(&answer.text());
    let listed = texts(&values["Result"][0]);
    let titles = listed.get("title").cloned().unwrap_or_default();
    (titles, values["NumberReturned"][0].clone(), values["TotalMatches"][0].clone())
}

fn fault(answer: &Answer) -> String {
    assert_eq!(answer.status(), 500);
    texts(&answer.text())["errorCode"][0].clone()
}

#[test]
fn v13_everything_is_browsed_in_parts_and_in_order() {
    let house = House::new();
    for number in 0..450 {
        house.put(&format!("film {number:03}.mpg"), &[0; 10]);
    }
    let (titles, returned, total) = found(&browse(&house, &[]));
    assert_eq!((returned.as_str(), total.as_str(), titles.len()), ("200", "450", 200));
    let mut all = Vec::new();
    while all.len() < 450 {
        let start = all.len().to_string();
        let (titles, ..) = found(&browse(&house, &[("StartingIndex", &start), ("RequestedCount", "60")]));
        assert!(!titles.is_empty() && titles.len() <= 60);
        all.extend(titles);
    }
    let expected: Vec<String> = (0..450).map(|number| format!("film {number:03}.mpg")).collect();
    assert_eq!(all, expected);
    let (last, ..) = found(&browse(&house, &[("SortCriteria", "-dc:title"), ("RequestedCount", "1")]));
    assert_eq!(last, ["film 449.mpg"]);
    assert_eq!(found(&browse(&house, &[("StartingIndex", "4000000000")])).1, "0");
}

#[test]
fn v13_every_name_is_found_and_can_be_fetched() {
    let house = House::new();
    let names = ["a & b <c> \"d\" 'e'.mpg", "100 %25? #1.ts", "日本語.mpg", "]]>.mpg", "  &amp;.mpg"];
    for name in names {
        house.put(name, name.as_bytes());
    }
    let answer = browse(&house, &[]);
    let (titles, ..) = found(&answer);
    let mut sorted: Vec<&str> = names.to_vec();
    sorted.sort_by_key(|name| name.to_lowercase());
    assert_eq!(titles, sorted);
    let listed = texts(&answer.text())["Result"][0].clone();
    for (title, url) in titles.iter().zip(&texts(&listed)["res"]) {
        let path = url.strip_prefix(house.url("http").trim_end_matches('/')).unwrap();
        assert_eq!(house.get(path, "").text(), *title);
    }
    // Each by its own identifier.
    for id in listed.split("<item id=\"").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        let answer = browse(&house, &[("ObjectID", id), ("BrowseFlag", "BrowseMetadata")]);
        let (title, returned, _) = found(&answer);
        assert_eq!((format!("r/{}", title[0]), returned.as_str()), (unescape(id).unwrap().into_owned(), "1"));
    }
    let (root, ..) = found(&browse(&house, &[("BrowseFlag", "BrowseMetadata")]));
    assert_eq!(root.len(), 1);
}

#[test]
fn v13_sizes_kinds_and_whether_it_can_be_sought_are_told() {
    let house = House::new();
    house.put("film.mpg", &content(1234));
    let listed = texts(&browse(&house, &[]).text())["Result"][0].clone();
    assert!(listed.contains("size=\"1234\""), "{listed}");
    assert!(listed.contains("http-get:*:video/mpeg:DLNA.ORG_OP=01;"), "{listed}");
    assert!(listed.contains("object.item.videoItem"), "{listed}");
    let headers = "getcontentFeatures.dlna.org: 1\r\ntransferMode.dlna.org: Streaming\r\n";
    let answer = house.get("/recordings/film.mpg", headers);
    assert!(answer.header("contentFeatures.dlna.org").unwrap().starts_with("DLNA.ORG_OP=01;"));
    assert_eq!(answer.header("transferMode.dlna.org"), Some("Streaming"));
}

#[test]
fn v13_the_update_number_moves_with_the_folder() {
    let house = House::new();
    let number = || {
        let answer = call(&house, DIRECTORY, "GetSystemUpdateID", &[]);
        texts(&answer.text())["Id"][0].clone()
    };
    let before = number();
    assert_eq!(number(), before);
    house.put("film.mpg", b"film");
    let after = number();
    assert_ne!(before, after);
    assert_eq!(texts(&browse(&house, &[]).text())["UpdateID"][0], after);
}

#[test]
fn v13_the_other_actions_answer() {
    let house = House::new();
    let value = |service, action, arguments: &[(&str, &str)], name: &str| {
        let answer = call(&house, service, action, arguments);
        assert_eq!(answer.status(), 200, "{action}");
        texts(&answer.text())[name][0].clone()
    };
    assert_eq!(value(DIRECTORY, "GetSearchCapabilities", &[], "SearchCaps"), "");
    assert!(value(DIRECTORY, "GetSortCapabilities", &[], "SortCaps").contains("dc:title"));
    assert!(value(MANAGER, "GetProtocolInfo", &[], "Source").contains("http-get:*:video/mp2t:*"));
    assert_eq!(value(MANAGER, "GetCurrentConnectionIDs", &[], "ConnectionIDs"), "0");
    let info = value(MANAGER, "GetCurrentConnectionInfo", &[("ConnectionID", "0")], "Direction");
    assert_eq!(info, "Output");
}

#[test]
fn v13_wrong_calls_are_refused_by_their_number() {
    let house = House::new();
    house.put("film.mpg", b"film");
    for (arguments, code) in [
        (&[("ObjectID", "r/none.mpg"), ("BrowseFlag", "BrowseMetadata")][..], "701"),
        (&[("ObjectID", "../etc")], "701"),
        (&[("ObjectID", "r/film.mpg")], "701"),
        (&[("BrowseFlag", "Everything")], "402"),
        (&[("StartingIndex", "-1")], "402"),
        (&[("RequestedCount", "many")], "402"),
        (&[("SortCriteria", "+upnp:artist")], "709"),
    ] {
        assert_eq!(fault(&browse(&house, arguments)), code, "{arguments:?}");
    }
    assert_eq!(fault(&call(&house, DIRECTORY, "Browse", &[])), "402");
    assert_eq!(fault(&call(&house, DIRECTORY, "DestroyObject", &[("ObjectID", "r/film.mpg")])), "401");
    assert_eq!(fault(&call(&house, MANAGER, "PrepareForConnection", &[])), "401");
    assert!(house.path("film.mpg").exists());
}

#[test]
fn v13_no_entities_no_events_and_no_calls_from_web_pages() {
    let house = House::new();
    let bomb = "<!DOCTYPE s [<!ENTITY a \"aaaa\"><!ENTITY b SYSTEM \"file:///etc/passwd\">]>\
                <s:Envelope><s:Body><u:Browse><ObjectID>&b;</ObjectID></u:Browse></s:Body></s:Envelope>";
    assert_eq!(post(&house, DIRECTORY, "Browse", bomb).status(), 400);
    for body in
        ["", "<", "<a/>", "<s:Envelope><s:Body/></s:Envelope>", "\u{0}", "<s:Envelope><s:Body><u:Browse>"]
    {
        assert_eq!(post(&house, DIRECTORY, "Browse", body).status(), 400, "{body:?}");
    }
    // A page elsewhere can send this without asking, for want of the header.
    let plain = "POST /upnp/ContentDirectory HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(house.ask(plain).status(), 400);
    for path in ["/upnp/ContentDirectory", "/upnp/events", "/"] {
        let subscribe = format!(
            "SUBSCRIBE {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nCALLBACK: <http://192.0.2.1/>\r\nNT: upnp:event\r\n\r\n"
        );
        assert!([405, 501].contains(&house.ask(&subscribe).status()), "{path}");
    }
    let description = house.get("/upnp/device.xml", "").text();
    assert!(texts(&description)["eventSubURL"].iter().all(String::is_empty));
}

#[test]
fn v13_a_search_finds_it() {
    let Some(mut discover) = client("gssdp-discover") else { return };
    let house = House::new();
    let description = house.get("/upnp/device.xml", "").text();
    let udn = texts(&description)["UDN"][0].clone();
    let target = "urn:schemas-upnp-org:device:MediaServer:1";
    let location = format!("{}upnp/device.xml", house.url("http"));
    let found = output(discover.args(["-i", "lo", "-n", "4", "-t", target]));
    let found = String::from_utf8(found).unwrap();
    assert!(found.contains(&format!("{udn}::{target}")) && found.contains(&location), "{found}");
}

#[test]
fn v13_its_coming_and_its_leave_are_heard() {
    let heard = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    heard.set_reuse_address(true).unwrap();
    heard.bind(&SocketAddr::from(([239, 255, 255, 250], 1900)).into()).unwrap();
    heard.join_multicast_v4(&Ipv4Addr::new(239, 255, 255, 250), &Ipv4Addr::LOCALHOST).unwrap();
    heard.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let heard = UdpSocket::from(heard);
    let house = House::new();
    let udn = texts(&house.get("/upnp/device.xml", "").text())["UDN"][0].clone();
    let location = format!("{}upnp/device.xml", house.url("http"));
    // Other tests' houses are about.
    let next = |what: &str, also: &str| {
        let mut buffer = [0; 2048];
        loop {
            let length = heard.recv(&mut buffer).unwrap();
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.starts_with("NOTIFY * HTTP/1.1\r\n")
                && text.contains(&format!("NTS: {what}\r\n"))
                && text.contains(&format!("USN: {udn}"))
                && text.contains(also)
            {
                return text;
            }
        }
    };
    let alive = next("ssdp:alive", &location);
    let age = alive.split("max-age=").nth(1).unwrap().split('\r').next().unwrap();
    assert!(age.parse::<u32>().unwrap() >= 1800, "{alive}");
    drop(house);
    next("ssdp:byebye", "");
}

#[test]
fn v13_only_a_whole_search_for_what_it_is_is_answered() {
    let house = House::new();
    let location = format!("{}upnp/device.xml", house.url("http"));
    let asking = Socket::new(Domain::IPV4, Type::DGRAM, None).unwrap();
    asking.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    asking.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    asking.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    let asking = UdpSocket::from(asking);
    let search = |head: &str, headers: &str| {
        let text = format!("{head}\r\nHOST: 239.255.255.250:1900\r\n{headers}\r\n");
        asking.send_to(text.as_bytes(), "239.255.255.250:1900").unwrap();
    };
    let (whole, man) = ("M-SEARCH * HTTP/1.1", "MAN: \"ssdp:discover\"\r\n");
    let mut buffer = [0; 2048];
    // Whoever searches by datagrams searches again: the first may come before the device listens, or be lost.
    let answer = eventually(|| {
        search("NOTIFY * HTTP/1.1", &format!("{man}MX: 0\r\nST: ssdp:all\r\n"));
        search("M-SEARCH / HTTP/1.1", &format!("{man}MX: 0\r\nST: ssdp:all\r\n"));
        search(whole, "MX: 0\r\nST: ssdp:all\r\n");
        search(whole, &format!("{man}ST: ssdp:all\r\n"));
        search(whole, &format!("{man}MX: -1\r\nST: ssdp:all\r\n"));
        search(whole, &format!("{man}MX: 0\r\n"));
        search(whole, &format!("{man}MX: 0\r\nST: urn:schemas-upnp-org:device:InternetGatewayDevice:1\r\n"));
        search(&"x".repeat(1400), "");
        search(whole, &format!("{man}MX: 0\r\nST: upnp:rootdevice\r\n"));
        // Other tests' houses answer as well.
        loop {
            let length = asking.recv(&mut buffer).ok()?;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text.contains(&location) {
                return Some(text);
            }
        }
    });
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\r\nST: upnp:rootdevice\r\n"),
        "{answer}"
    );
}

/// async-upnp-client's own program, a control point of others' making.
#[test]
fn v13_a_control_point_finds_it_browses_and_fetches() {
    if client("upnp-client").is_none() {
        return;
    }
    let house = House::new();
    house.put("film & sound.mpg", &content(5000));
    let location = format!("{}upnp/device.xml", house.url("http"));
    let run = |arguments: &[&str]| {
        let mut command = client("upnp-client").unwrap();
        String::from_utf8(output(command.args(["--strict"]).args(arguments))).unwrap()
    };
    eventually(|| {
        let target = "urn:schemas-upnp-org:device:MediaServer:1";
        let found = run(&["search", "--bind", "127.0.0.1", "--search_target", target]);
        found.contains(&location).then_some(())
    });
    let answer = run(&[
        "call-action",
        &location,
        "CD/Browse",
        "ObjectID=0",
        "BrowseFlag=BrowseDirectChildren",
        "Filter=*",
        "StartingIndex=0",
        "RequestedCount=10",
        "SortCriteria=",
    ]);
    let answer: serde_json::Value = serde_json::from_str(answer.lines().next_back().unwrap()).unwrap();
    let listed = texts(answer["out_parameters"]["Result"].as_str().unwrap());
    assert_eq!(listed["title"], ["film & sound.mpg"]);
    let path = listed["res"][0].strip_prefix(house.url("http").trim_end_matches('/')).unwrap();
    assert!(house.get(path, "").body == content(5000));
}
