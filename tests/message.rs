//! The text messages (rows M1–M18, M23, M24): the figures' own texts byte for byte, and the protocol's further lines.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "message/limits.rs"]
mod limits;
mod message_cases;

use p2pgate::Secret;
use p2pgate::identifier::{Identifier, IdentifierError};
use p2pgate::message::*;

/// The text is read as the message, and the message is written as the text.
#[track_caller]
fn golden(text: &str, message: Message<'_>) {
    assert_eq!(Message::parse(text.as_bytes()).as_ref(), Ok(&message));
    assert_eq!(encode(&message).as_deref(), Ok(text));
}

fn encode(message: &Message<'_>) -> Result<String, EncodeError> {
    let mut out = [0; MAX_BYTES];
    message.encode(&mut out).map(|length| String::from_utf8(out[..length].to_vec()).unwrap())
}

#[track_caller]
fn refused(text: &str, line: u16, field: &'static str, problem: Problem) {
    assert_eq!(Message::parse(text.as_bytes()), Err(ParseError { line, field, problem }), "{text:?}");
}

/// A REGISTER of the figures: its list goes out from the terminal's own storage and comes in as identifiers.
#[track_caller]
fn register(text: &str, change: ListChange<&[&str]>) {
    let register = Register { identifier: "Ia", change, revision: None, transaction: None };
    let mut out = [0; 256];
    let length = register.clone().encode(&mut out).unwrap();
    assert_eq!(&out[..length], text.as_bytes());

    let Ok(message) = Message::parse(text.as_bytes()) else { panic!("{text:?} is not read") };
    assert_eq!(encode(&message).as_deref(), Ok(text));
    let Message::Register(read) = message else { panic!("{text:?} is not a REGISTER") };
    let named = |change: ListChange<Vec<String>>| format!("{change:?}");
    assert_eq!(read.identifier, "Ia");
    assert_eq!(named(owned(read.change, List::into_iter)), named(owned(change, |list| list.iter().copied())));
}

fn owned<'a, L, I: Iterator<Item = &'a str>>(
    change: ListChange<L>,
    iter: fn(L) -> I,
) -> ListChange<Vec<String>> {
    let own = |list| iter(list).map(String::from).collect();
    match change {
        ListChange::Create(list) => ListChange::Create(own(list)),
        ListChange::Add(list) => ListChange::Add(own(list)),
        ListChange::Delete(list) => ListChange::Delete(own(list)),
        ListChange::AddAndDelete { add, delete } => {
            ListChange::AddAndDelete { add: own(add), delete: own(delete) }
        }
    }
}

#[test]
fn m1_create_text() {
    register("REGISTER\nIdentifier:Ia\nAccept:Create Ib,If\n", ListChange::Create(&["Ib", "If"]));
    register("REGISTER\nIdentifier:Ia\nAccept:Create \n", ListChange::Create(&[]));
}

#[test]
fn m2_add_text() {
    register("REGISTER\nIdentifier:Ia\nAccept:Add Ic,Ie\n", ListChange::Add(&["Ic", "Ie"]));
}

#[test]
fn m3_delete_text() {
    register("REGISTER\nIdentifier:Ia\nAccept:Delete If\n", ListChange::Delete(&["If"]));
}

#[test]
fn m4_add_and_delete_text() {
    register(
        "REGISTER\nIdentifier:Ia\nAccept:Add Ic,Ie\nDelete If\n",
        ListChange::AddAndDelete { add: &["Ic", "Ie"], delete: &["If"] },
    );
    // The line without a name of its own is not taken for a further one, whatever its identifiers hold.
    register(
        "REGISTER\nIdentifier:Ia\nAccept:Add Ic\nDelete a:b,c\n",
        ListChange::AddAndDelete { add: &["Ic"], delete: &["a:b", "c"] },
    );
}

#[test]
fn m1_to_m4_lists_from_the_terminals_own_storage() {
    let permitted = ["+81312345678", "山田太郎 東京都"].map(|text| Some(Identifier::new(text).unwrap()));
    let change = ListChange::Create(permitted.iter().flatten());
    let mut out = [0; 256];
    let length = Register { identifier: "Ia", change, revision: Some(8), transaction: Some(7) }
        .encode(&mut out)
        .unwrap();
    let text =
        "REGISTER\nIdentifier:Ia\nAccept:Create +81312345678,山田太郎 東京都\nTransaction:7\nRevision:8\n";
    assert_eq!(&out[..length], text.as_bytes());

    for (empty, change) in [("Add", ListChange::Add([""; 0])), ("Delete", ListChange::Delete([""; 0]))] {
        let register = Register { identifier: "Ia", change, revision: None, transaction: None };
        assert_eq!(register.encode(&mut out), Err(EncodeError::Value { field: "Accept" }));
        refused(&format!("REGISTER\nIdentifier:Ia\nAccept:{empty} \n"), 3, "Accept", Problem::Empty);
    }
}

#[test]
fn m5_status_text() {
    let registered = Status {
        code: StatusCode::Done,
        text: "Registered.",
        transaction: None,
        retry_after: None,
        revision: None,
        digest: None,
        relay: false,
        largest_transfer: None,
    };
    golden("NOTIFY\nStatus:200 Registered.\n", Message::Status(registered.clone()));
    let stale = Status {
        code: StatusCode::Stale,
        text: "The broker has a newer list.",
        transaction: Some(1),
        revision: Some(u64::MAX),
        ..registered.clone()
    };
    golden(
        "NOTIFY\nStatus:409 The broker has a newer list.\nTransaction:1\nRevision:18446744073709551615\n",
        Message::Status(stale),
    );
    golden(
        "NOTIFY\nStatus:599 ?\n",
        Message::Status(Status { code: StatusCode::Other(599), text: "?", ..registered }),
    );
    for number in 100..1000 {
        assert_eq!(StatusCode::from(number).number(), number);
    }
    refused("NOTIFY\nStatus:200\n", 2, "Status", Problem::Form);
    refused("NOTIFY\nStatus:200 \n", 2, "Status", Problem::Empty);
    for code in ["", "99", "1000", "020", "2x0", "+20", "100000000000000000000"] {
        refused(&format!("NOTIFY\nStatus:{code} Text.\n"), 2, "Status", Problem::Number);
    }
}

#[test]
fn m6_query_text() {
    let query = Query { identifier: "Ia", callee: "Ib", transaction: None };
    golden("QUERY\nIdentifier:Ia\nCallee:Ib\n", Message::Query(query.clone()));
    golden(
        "QUERY\nIdentifier:Ia\nCallee:Ib\nTransaction:4294967295\n",
        Message::Query(Query { transaction: Some(u32::MAX), ..query }),
    );
}

#[test]
fn m7_accepted_text() {
    golden(
        "NOTIFY\nRequest Accepted.\n",
        Message::Accepted(Accepted { transaction: None, callee_password: None }),
    );
}

fn denied(denial: Denial) -> Message<'static> {
    Message::Denied(Denied { denial, transaction: None, cause: None, retry_after: None })
}

#[test]
fn m8_permission_denied_text() {
    golden("NOTIFY\nPermission Denied.\n", denied(Denial::NotPermitted));
}

#[test]
fn m9_callee_not_found_text() {
    golden("NOTIFY\nCallee not Found.\n", denied(Denial::NotFound));
}

#[test]
fn m10_callee_not_connected_text() {
    golden("NOTIFY\nCallee not Connected.\n", denied(Denial::NotConnected));
    golden(
        "NOTIFY\nCallee not Connected.\nTransaction:0\nCause:Both tuners are busy.\nRetry After:30\n",
        Message::Denied(Denied {
            denial: Denial::NotConnected,
            transaction: Some(0),
            cause: Some("Both tuners are busy."),
            retry_after: Some(30),
        }),
    );
}

fn m11() -> CalleeAddress<'static> {
    CalleeAddress {
        address: Host::Ip("202.224.186.82".parse().unwrap()),
        password: SecretText::new("Password"),
        encrypt_key: SecretText::new("Key"),
        transaction: None,
        port: None,
        candidates: Candidates::new(),
        handle: None,
        callee_key: None,
        callee_password: None,
        expires: None,
    }
}

#[test]
fn m11_callee_address_text() {
    golden(
        "NOTIFY\nCallee Address:202.224.186.82\nPassword:Password\nEncrypt Key:Key\n",
        Message::CalleeAddress(m11()),
    );
    assert_eq!(m11().encrypt_key.key(), None);
}

#[test]
fn m11_further_lines() {
    let mut text = [0; 44];
    let encrypt_key = SecretText::of_bytes(&[7; 32], &mut text).unwrap();
    assert_eq!(encrypt_key.key(), Some(Secret::new([7; 32])));
    let candidate = |address, port| Candidate { address: Host::parse(address).unwrap(), port };
    golden(
        "NOTIFY\nCallee Address:recorder.example\nPassword:Password\n\
         Encrypt Key:BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=\nTransaction:3\nPort:4099\n\
         Candidate:2001:db8::1 4099\nCandidate:192.0.2.1 65535\n\
         Handle:AQEBAQEBAQEBAQEBAQEBAQ==\nCallee Key:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n\
         Callee Password:other\nExpires:60\n",
        Message::CalleeAddress(CalleeAddress {
            address: Host::Name("recorder.example"),
            encrypt_key,
            transaction: Some(3),
            port: Some(4099),
            candidates: [candidate("2001:db8::1", 4099), candidate("192.0.2.1", 65535)].into_iter().collect(),
            handle: Some([1; 16]),
            callee_key: Some([2; 32]),
            callee_password: Some(SecretText::new("other")),
            expires: Some(60),
            ..m11()
        }),
    );
}

#[test]
fn m12_caller_notice_text() {
    golden(
        "NOTIFY\nCaller ID:Ia\nPassword:Password\nEncrypt Key:Key\n",
        Message::CallerNotice(CallerNotice {
            caller: "Ia",
            password: SecretText::new("Password"),
            encrypt_key: SecretText::new("Key"),
            transaction: None,
            handle: None,
            caller_key: None,
            callee_password: None,
            expires: None,
            group: None,
        }),
    );
}

#[test]
fn v4_m12_names_the_group_behind_the_figure_s_lines() {
    let notice = |group| {
        Message::CallerNotice(CallerNotice {
            caller: "Ia",
            password: SecretText::new("Password"),
            encrypt_key: SecretText::new("Key"),
            transaction: Some(3),
            handle: None,
            caller_key: None,
            callee_password: None,
            expires: Some(60),
            group,
        })
    };
    let figure = "NOTIFY\nCaller ID:Ia\nPassword:Password\nEncrypt Key:Key\nTransaction:3\nExpires:60\n";
    golden(&format!("{figure}Group:Ib/family\n"), notice(Some("Ib/family")));
    golden(figure, notice(None));
    refused(&format!("{figure}Group:a,b\n"), 7, "Group", Problem::Identifier(IdentifierError::Comma));
}

#[test]
fn v4_group_texts_have_the_form_of_m1_to_m4() {
    for (members, change) in [
        ("Create Ib,If", ListChange::Create(["Ib", "If"].as_slice())),
        ("Create ", ListChange::Create([].as_slice())),
        ("Add Ic,Ie", ListChange::Add(["Ic", "Ie"].as_slice())),
        ("Delete If", ListChange::Delete(["If"].as_slice())),
        (
            "Add Ic,Ie\nDelete If",
            ListChange::AddAndDelete { add: ["Ic", "Ie"].as_slice(), delete: ["If"].as_slice() },
        ),
    ] {
        let text = format!("GROUP\nIdentifier:Ia\nGroup:Ia/g\nMembers:{members}\nTransaction:9\n");
        let group = Group { identifier: "Ia", group: "Ia/g", change, transaction: Some(9) };
        let mut out = [0; 256];
        let length = group.encode(&mut out).unwrap();
        assert_eq!(&out[..length], text.as_bytes());
        let message = Message::parse(text.as_bytes()).unwrap();
        assert_eq!(encode(&message).as_deref(), Ok(&*text));
        assert_eq!(message.transaction(), Some(9));
        let Message::Group(read) = message else { panic!("{text:?} is no GROUP") };
        assert_eq!((read.identifier, read.group), ("Ia", "Ia/g"));
    }
    refused("GROUP\nIdentifier:Ia\nMembers:Create Ib\n", 3, "Group", Problem::Missing);
    refused("GROUP\nIdentifier:Ia\nGroup:Ia/g\n", 3, "Members", Problem::Missing);
    refused("GROUP\nIdentifier:Ia\nGroup:Ia/g\nMembers:Add \n", 4, "Members", Problem::Empty);
    refused("GROUP\nIdentifier:Ia\nGroup:Ia/g\nMembers:Remove Ib\n", 4, "Members", Problem::Choice);
}

#[test]
fn m13_request_text() {
    let request = Request { identifier: "Ia", password: SecretText::new("Password") };
    golden("REQUEST\nIdentifier:Ia\nPassword:Password\n", Message::Request(request));
}

#[test]
fn m14_answer_text() {
    golden(
        "NOTIFY\nRequest Accepted.\nCallee Password:BwcHBwcHBwcHBwcHBwcHBw==\n",
        Message::Accepted(Accepted {
            transaction: None,
            callee_password: SecretText::of_bytes(&[7; 16], &mut [0; 24]),
        }),
    );
    golden("NOTIFY\nPermission Denied.\n", denied(Denial::NotPermitted));
}

#[test]
fn m15_status_query_text() {
    golden("QUERY\nSTATUS\n", Message::StatusQuery(StatusQuery { transaction: None }));
    golden("QUERY\nSTATUS\nTransaction:9\n", Message::StatusQuery(StatusQuery { transaction: Some(9) }));
}

#[test]
fn m16_status_answer_text() {
    let answer = |acceptable, retry_after| {
        Message::StatusAnswer(StatusAnswer { acceptable, transaction: None, retry_after })
    };
    golden("NOTIFY\nSTATUS Acceptable.\n", answer(true, None));
    golden("NOTIFY\nSTATUS Busy.\n", answer(false, None));
    golden("NOTIFY\nSTATUS Busy.\nRetry After:5\n", answer(false, Some(5)));
}

#[test]
fn m17_transfer_text() {
    let transfer = Transfer {
        caller: "Ia",
        callee: "Ib",
        size: 0,
        transaction: None,
        handle: None,
        name: None,
        source: None,
        hash: false,
        fetch: None,
    };
    golden("TRANSFER\nCaller:Ia\nCallee:Ib\nSize:0\n", Message::Transfer(transfer.clone()));
    golden(
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:4700000000\nTransaction:2\nName:ニュース 7.ts\nSource:CQkJCQkJCQk=\nHash:1\n",
        Message::Transfer(Transfer {
            size: 4_700_000_000,
            transaction: Some(2),
            name: Some("ニュース 7.ts"),
            source: Some([9; 8].into_iter().collect()),
            hash: true,
            ..transfer.clone()
        }),
    );
    golden(
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:0\nTransaction:2\nFetch:7\n",
        Message::Transfer(Transfer { transaction: Some(2), fetch: Some(7), ..transfer.clone() }),
    );
    golden(
        "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:1\nHandle:AQEBAQEBAQEBAQEBAQEBAQ==\n",
        Message::Transfer(Transfer { size: 1, handle: Some([1; 16]), ..transfer.clone() }),
    );
    for name in ["../up.ts", "/etc/passwd", "C:\\x.ts", ".", "..", ""] {
        let text = format!("TRANSFER\nCaller:Ia\nCallee:Ib\nSize:0\nName:{name}\n");
        refused(&text, 5, "Name", Problem::FileName);
        let message = Message::Transfer(Transfer { name: Some(name), ..transfer.clone() });
        assert_eq!(encode(&message), Err(EncodeError::Value { field: "Name" }));
    }
    for length in [7, 33] {
        let mut buffer = [0; 44];
        let source = SecretText::of_bytes(&[9; 33][..length], &mut buffer).unwrap().expose();
        let text = format!("TRANSFER\nCaller:Ia\nCallee:Ib\nSize:0\nSource:{source}\n");
        refused(&text, 5, "Source", Problem::Binary);
    }
    let short = Message::Transfer(Transfer { source: Some(Source::new()), ..transfer });
    assert_eq!(encode(&short), Err(EncodeError::Value { field: "Source" }));
}

#[test]
fn fetch_text() {
    let fetch = |name, transaction| Message::Fetch(Fetch { name, transaction });
    golden("FETCH\n", fetch(None, None));
    golden("FETCH\nName:ニュース 7.ts\nTransaction:9\n", fetch(Some("ニュース 7.ts"), Some(9)));
    assert_eq!(
        Message::parse(b"FETCH\nTransaction:9\nName:a b.mpg\nFurther:x\n"),
        Ok(fetch(Some("a b.mpg"), Some(9)))
    );
    for name in ["../up.ts", "/etc/passwd", "C:\\x.ts", ".", "..", ""] {
        refused(&format!("FETCH\nName:{name}\n"), 2, "Name", Problem::FileName);
        assert_eq!(encode(&fetch(Some(name), None)), Err(EncodeError::Value { field: "Name" }));
    }
}

#[test]
fn m18_transfer_answer_text() {
    let refusal = TransferAnswer {
        accepted: false,
        answer: "broker",
        transaction: None,
        cause: None,
        token: None,
        peer_token: None,
        offset: None,
        frame: None,
    };
    golden("NOTIFY\nTransfer Refused.\nAnswer:broker\n", Message::TransferAnswer(refusal.clone()));
    golden(
        "NOTIFY\nTransfer Refused.\nAnswer:broker\nCause:Over 1 GiB.\n",
        Message::TransferAnswer(TransferAnswer { cause: Some("Over 1 GiB."), ..refusal.clone() }),
    );
    golden(
        "NOTIFY\nTransfer Accepted.\nAnswer:broker\nToken:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n\
         Peer Token:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n",
        Message::TransferAnswer(TransferAnswer {
            accepted: true,
            token: Some(Secret::new([1; 32])),
            peer_token: Some(Secret::new([2; 32])),
            ..refusal.clone()
        }),
    );
    golden(
        "NOTIFY\nTransfer Accepted.\nAnswer:Ib\nTransaction:2\nOffset:1048576\nFrame:65536\n",
        Message::TransferAnswer(TransferAnswer {
            accepted: true,
            answer: "Ib",
            transaction: Some(2),
            offset: Some(1 << 20),
            frame: Some(1 << 16),
            ..refusal
        }),
    );
}

#[test]
fn m23_address_text() {
    let address = |address, candidates| {
        Message::Address(Address { identifier: "Ia", address, port: 4099, candidates, transaction: None })
    };
    let unspecified = Host::Ip(core::net::Ipv4Addr::UNSPECIFIED.into());
    golden("ADDRESS\nIdentifier:Ia\nAddress:0.0.0.0\nPort:4099\n", address(unspecified, Candidates::new()));
    let four =
        (1..=4).map(|port| Candidate { address: Host::Ip(core::net::Ipv6Addr::LOCALHOST.into()), port });
    golden(
        "ADDRESS\nIdentifier:Ia\nAddress:a.example\nPort:4099\n\
         Candidate:::1 1\nCandidate:::1 2\nCandidate:::1 3\nCandidate:::1 4\n",
        address(Host::Name("a.example"), four.collect()),
    );
}

#[test]
fn m24_resolve_text() {
    golden("RESOLVE\nIdentifier:Ib\n", Message::Resolve(Resolve { identifier: "Ib", transaction: None }));
    golden("NOTIFY\nNot Registered.\n", Message::NotRegistered(NotRegistered { transaction: None }));
    golden(
        "NOTIFY\nAddress:202.224.186.82\nPort:4099\nTransaction:1\n",
        Message::Resolved(Resolved {
            address: Host::Ip("202.224.186.82".parse().unwrap()),
            port: 4099,
            candidates: Candidates::new(),
            transaction: Some(1),
        }),
    );
}

#[test]
fn v5_hello_text() {
    let hello = Hello { identifier: "Ia", ticket: None, listen: false, transaction: None };
    golden("HELLO\nIdentifier:Ia\n", Message::Hello(hello.clone()));
    golden(
        "HELLO\nIdentifier:Ia\nTicket:K7QM-2F4T\nListen:1\nTransaction:0\n",
        Message::Hello(Hello {
            ticket: Some(SecretText::new("K7QM-2F4T")),
            listen: true,
            transaction: Some(0),
            ..hello
        }),
    );
    golden(
        "NOTIFY\nStatus:200 Welcome.\nTransaction:0\nRevision:8\n\
         Digest:BQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQU=\nRelay:1\nLargest Transfer:1073741824\n",
        Message::Status(Status {
            code: StatusCode::Done,
            text: "Welcome.",
            transaction: Some(0),
            retry_after: None,
            revision: Some(8),
            digest: Some([5; 32]),
            relay: true,
            largest_transfer: Some(1 << 30),
        }),
    );
}

#[test]
fn lane_and_done_texts() {
    let lane = Lane {
        class: Class::Sealed,
        transaction: None,
        path: None,
        protection: None,
        suite: None,
        lane_key: None,
        token: None,
    };
    golden("LANE\nClass:sealed\n", Message::Lane(lane.clone()));
    golden(
        "LANE\nClass:rest\nTransaction:4\nPath:relay\nProtection:clear\nSuite:1\n\
         Lane Key:AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM=\nToken:AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n",
        Message::Lane(Lane {
            class: Class::Rest,
            transaction: Some(4),
            path: Some(Path::Relay),
            protection: Some(Protection::Clear),
            suite: Some(1),
            lane_key: Some(Secret::new([3; 32])),
            token: Some(Secret::new([1; 32])),
        }),
    );
    let direct = Lane { path: Some(Path::Direct), protection: Some(Protection::Sealed), ..lane };
    golden("LANE\nClass:sealed\nPath:direct\nProtection:sealed\n", Message::Lane(direct));
    let done = |complete, cause| Message::TransferDone(TransferDone { complete, transaction: None, cause });
    golden("NOTIFY\nTransfer Complete.\n", done(true, None));
    golden("NOTIFY\nTransfer Failed.\nCause:The disk is full.\n", done(false, Some("The disk is full.")));
}

#[test]
fn tunnel_withdraw_release_and_ping_texts() {
    let handle = [1; 16];
    golden(
        "TUNNEL\nHandle:AQEBAQEBAQEBAQEBAQEBAQ==\n",
        Message::Tunnel(Tunnel { handle, transaction: None }),
    );
    golden(
        "NOTIFY\nTunnel:AQEBAQEBAQEBAQEBAQEBAQ==\nToken:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nTransaction:1\n",
        Message::TunnelToken(TunnelToken { handle, token: Secret::new([2; 32]), transaction: Some(1) }),
    );
    golden(
        "WITHDRAW\nHandle:AQEBAQEBAQEBAQEBAQEBAQ==\nCause:No longer permitted.\n",
        Message::Withdraw(Withdraw { handle, cause: Some("No longer permitted."), transaction: None }),
    );
    golden("RELEASE\nHandle:AQEBAQEBAQEBAQEBAQEBAQ==\n", Message::Release(Release { handle }));
    golden("PING\n", Message::Ping(Ping { transaction: None }));
    golden("PING\nTransaction:12\n", Message::Ping(Ping { transaction: Some(12) }));
}

#[test]
fn v3_hosts() {
    for name in [
        "a",
        "recorder.example",
        "a-b.c_d",
        "1.example",
        "xn--nxasmq6b.example",
        "0xg",
        "9a",
        &"a".repeat(63),
    ] {
        assert_eq!(Host::parse(name), Some(Host::Name(name)));
    }
    let labels = ["a"; 127].join(".");
    assert_eq!(Host::parse(&labels), Some(Host::Name(&labels))); // 253 bytes
    for text in [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a b",
        "例え",
        "a:1",
        "256.1.1.1",
        "1.2.3",
        "1.2.3.4.5",
        "01.2.3.4",
        "0x7f.1.1.0x1",
        "127.1",
        "0x7f000001",
        "0x",
        "[::1]",
        "fe80::1%eth0",
        ":::",
        "a/b",
        &"a".repeat(64),
        &format!("{labels}a"),
    ] {
        assert_eq!(Host::parse(text), None, "{text:?}");
    }
}

#[test]
fn secrets_do_not_show() {
    let text = format!("{:?} {:?}", m11(), Secret::new([123; 32]));
    assert!(!text.contains("Password\"") && !text.contains("\"Key\"") && !text.contains("123"), "{text}");
    assert_ne!(SecretText::new("one"), SecretText::new("two"));
    assert_ne!(Secret::new([1; 32]), Secret::new([2; 32]));
    assert_eq!(SecretText::of_bytes(&[0; 16], &mut [0; 23]), None);
}
