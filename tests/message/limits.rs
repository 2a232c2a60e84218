//! What is malformed, too long, or would break the form is refused, and said to be so.

use super::*;

#[test]
fn m1_to_m4_malformed_lists() {
    let comma = Problem::Identifier(IdentifierError::Empty);
    refused("REGISTER\nIdentifier:Ia\nAccept:Create Ib,,If\n", 3, "Accept", comma);
    refused("REGISTER\nIdentifier:Ia\nAccept:Create Ib,\n", 3, "Accept", comma);
    refused(
        "REGISTER\nIdentifier:Ia\nAccept:Add Ib, If\n",
        3,
        "Accept",
        Problem::Identifier(IdentifierError::Space),
    );
    refused("REGISTER\nIdentifier:Ia\nAccept:Add Ib\nDelete \n", 4, "Delete", Problem::Empty);
    refused("REGISTER\nIdentifier:Ia\nAccept:Create\n", 3, "Accept", Problem::Choice);
    refused("REGISTER\nIdentifier:Ia\nAccept:Replace Ib\n", 3, "Accept", Problem::Choice);
    refused("REGISTER\nIdentifier:Ia\nAccept:Create Ib\nDelete If\n", 4, "further line", Problem::Form);
    refused("REGISTER\nIdentifier:Ia\nAccept>Delete If\n", 3, "Accept", Problem::Missing);
}

#[test]
fn further_lines_come_in_any_order_and_unknown_ones_are_skipped() {
    let text = "QUERY\nIdentifier:Ia\nCallee:Ib\nNew Thing:\nFuture::a:b\nNew Thing:again\nTransaction:3\nExpires:no number\nidentifier:x\n";
    let query = Message::Query(Query { identifier: "Ia", callee: "Ib", transaction: Some(3) });
    assert_eq!(Message::parse(text.as_bytes()), Ok(query));

    let one = Message::parse(b"NOTIFY\nCallee not Found.\nRetry After:1\nCause:c\nTransaction:2\n");
    let other = Message::parse(b"NOTIFY\nCallee not Found.\nTransaction:2\nRetry After:1\nCause:c\n");
    assert_eq!(one, other);
    assert_eq!(one.unwrap().transaction(), Some(2));
}

#[test]
fn malformed_messages_say_where_and_what() {
    refused("", 1, "message", Problem::Unterminated);
    refused("\n", 1, "verb", Problem::Unknown);
    refused("QUERY", 1, "message", Problem::Unterminated);
    refused("QUERY\nIdentifier:Ia\nCallee:Ib", 3, "message", Problem::Unterminated);
    refused("QUERY\r\nSTATUS\r\n", 1, "message", Problem::Control);
    refused("QUERY\nSTATUS\nX:\u{9b}\n", 3, "message", Problem::Control);
    refused("QUERY\nIdentifier:I\0a\nCallee:Ib\n", 2, "message", Problem::Control);
    refused("query\nSTATUS\n", 1, "verb", Problem::Unknown);
    refused("QUERY \nSTATUS\n", 1, "verb", Problem::Unknown);
    refused("NOTIFY\n", 1, "notice", Problem::Unknown);
    refused("NOTIFY\nrequest accepted.\n", 2, "notice", Problem::Unknown);
    refused("NOTIFY\nPort:1\n", 2, "notice", Problem::Unknown);
    refused("NOTIFY\nSTATUS\n", 2, "notice", Problem::Unknown);
    refused("QUERY\n", 1, "Identifier", Problem::Missing);
    refused("QUERY\nIdentifier:Ia\n", 2, "Callee", Problem::Missing);
    refused("QUERY\nCallee:Ib\nIdentifier:Ia\n", 2, "Identifier", Problem::Missing);
    refused("QUERY\nTransaction:1\nIdentifier:Ia\nCallee:Ib\n", 2, "Identifier", Problem::Missing);
    refused("QUERY\nIdentifier:Ia\nCallee:Ib\nCallee:Ic\n", 4, "Callee", Problem::Repeated);
    refused("PING\nTransaction:1\nTransaction:1\n", 3, "Transaction", Problem::Repeated);
    refused("PING\n\n", 2, "further line", Problem::Form);
    refused("PING\nTransaction\n", 2, "further line", Problem::Form);
    refused("PING\n:1\n", 2, "further line", Problem::Form);
    refused("QUERY\nSTATUS.\n", 2, "Identifier", Problem::Missing);
    refused(
        "QUERY\nIdentifier: Ia\nCallee:Ib\n",
        2,
        "Identifier",
        Problem::Identifier(IdentifierError::Space),
    );
    refused("QUERY\nIdentifier:\nCallee:Ib\n", 2, "Identifier", Problem::Identifier(IdentifierError::Empty));
    refused("QUERY\nIdentifier:Ia\nCallee:Ib,Ic\n", 3, "Callee", Problem::Identifier(IdentifierError::Comma));
    refused("REQUEST\nIdentifier:Ia\nPassword:\n", 3, "Password", Problem::Empty);
    refused("NOTIFY\nTransfer Failed.\nCause:\n", 3, "Cause", Problem::Empty);
    refused("HELLO\nIdentifier:Ia\nListen:0\n", 3, "Listen", Problem::Choice);
    refused("LANE\nClass:clear\n", 2, "Class", Problem::Choice);
    refused("LANE\nClass:rest\nPath:Direct\n", 3, "Path", Problem::Choice);
    refused("LANE\nClass:rest\nProtection:\n", 3, "Protection", Problem::Choice);
}

#[test]
fn malformed_numbers() {
    for number in
        ["", "01", "00", "+1", "-1", "1 ", " 1", "1.0", "0x1", "１", "4294967296", "99999999999999999999999"]
    {
        refused(&format!("PING\nTransaction:{number}\n"), 2, "Transaction", Problem::Number);
    }
    refused("TRANSFER\nCaller:Ia\nCallee:Ib\nSize:18446744073709551616\n", 4, "Size", Problem::Number);
    refused("ADDRESS\nIdentifier:Ia\nAddress:::\nPort:65536\n", 4, "Port", Problem::Number);
}

#[test]
fn malformed_binary_values() {
    for handle in [
        "",
        "AQEBAQEBAQEBAQEBAQEBAQ",   // not padded
        "AQEBAQEBAQEBAQEBAQEBAR==", // bits beyond the bytes
        "AQEBAQEBAQEBAQEBAQEBAQE=", // 17 bytes
        "AQEBAQEBAQEBAQEBAQEB",     // 15 bytes
        "AQEBAQEBAQEBAQEBAQEBA_==", // another alphabet
        "AQEBAQEBAQEBAQEBAQEBAQ== ",
        "あああああああ===",
    ] {
        refused(&format!("RELEASE\nHandle:{handle}\n"), 2, "Handle", Problem::Binary);
    }
    refused(
        "NOTIFY\nTunnel:AQEBAQEBAQEBAQEBAQEBAQ==\nToken:AQEBAQEBAQEBAQEBAQEBAQ==\n",
        3,
        "Token",
        Problem::Binary,
    );
}

#[test]
fn malformed_addresses() {
    let base = "ADDRESS\nIdentifier:Ia\nAddress:192.0.2.1\nPort:1\n";
    refused("ADDRESS\nIdentifier:Ia\nAddress:192.0.2.256\nPort:1\n", 3, "Address", Problem::Host);
    refused("NOTIFY\nCallee Address:\nPassword:p\nEncrypt Key:k\n", 2, "Callee Address", Problem::Host);
    for (candidate, problem) in [
        ("", Problem::Host),
        ("192.0.2.1", Problem::Host),
        ("192.0.2.1:80", Problem::Host),
        (" 80", Problem::Host),
        ("[::1] 80", Problem::Host),
        ("::1 080", Problem::Number),
        ("::1 80 ", Problem::Number),
        ("::1 65536", Problem::Number),
    ] {
        refused(&format!("{base}Candidate:{candidate}\n"), 5, "Candidate", problem);
    }
    let five = format!("{base}{}", "Candidate:::1 80\n".repeat(5));
    refused(&five, 9, "Candidate", Problem::TooManyCandidates);
}

#[test]
fn limits_of_a_message() {
    let lines = |count: usize| format!("PING\n{}", "X:\n".repeat(count - 1));
    assert!(Message::parse(lines(MAX_LINES).as_bytes()).is_ok());
    refused(&lines(MAX_LINES + 1), 0, "message", Problem::TooManyLines);
    let bytes = |count: usize| format!("PING\nX:{}\n", "x".repeat(count - 8));
    assert!(Message::parse(bytes(MAX_BYTES).as_bytes()).is_ok());
    refused(&bytes(MAX_BYTES + 1), 0, "message", Problem::TooLong);
    let error = Message::parse(b"PING\nX:\xff\n").unwrap_err();
    assert_eq!(error, ParseError { line: 0, field: "message", problem: Problem::NotUtf8 });
    // By its length alone: what follows is not looked at, or the first byte would be what is wrong.
    let huge = [b"\xff".as_slice(), &vec![b'a'; 10 << 20]].concat();
    assert_eq!(Message::parse(&huge).unwrap_err().problem, Problem::TooLong);
    let long = format!("QUERY\nIdentifier:{}\nCallee:Ib\n", "a".repeat(129));
    refused(&long, 2, "Identifier", Problem::Identifier(IdentifierError::TooLong));
}

#[test]
fn encoding_refuses_what_would_break_the_form() {
    let refusal = |field| Err(EncodeError::Value { field });
    for cause in ["", "two\nlines", "bell\u{7}", "\u{85}"] {
        let mut message = denied(Denial::NotFound);
        let Message::Denied(denied) = &mut message else { panic!() };
        denied.cause = Some(cause);
        assert_eq!(encode(&message), refusal("Cause"));
        let request = Request { identifier: "Ia", password: SecretText::new(cause) };
        assert_eq!(encode(&Message::Request(request)), refusal("Password"));
    }
    for callee in ["", "Ib\nTransaction:1", "Ib,Ic", " Ib"] {
        let query = Message::Query(Query { identifier: "Ia", callee, transaction: None });
        assert_eq!(encode(&query), refusal("Callee"));
        let change = ListChange::Create(["Ib", callee]);
        let register = Register { identifier: "Ia", change, revision: None, transaction: None };
        assert_eq!(register.encode(&mut [0; 256]), Err(EncodeError::Value { field: "Accept" }));
    }
    let address = Host::Name("a\nPort:1");
    assert_eq!(
        encode(&Message::CalleeAddress(CalleeAddress { address, ..m11() })),
        refusal("Callee Address")
    );
    let candidates = [Candidate { address: Host::Name("a b"), port: 1 }].into_iter().collect();
    assert_eq!(encode(&Message::CalleeAddress(CalleeAddress { candidates, ..m11() })), refusal("Candidate"));
    for (code, text) in [(99, "Text."), (1000, "Text."), (200, ""), (200, "a\nb")] {
        let status = Status {
            code: code.into(),
            text,
            transaction: None,
            retry_after: None,
            revision: None,
            digest: None,
            relay: false,
            largest_transfer: None,
        };
        assert_eq!(encode(&Message::Status(status)), refusal("Status"));
    }
}

#[test]
fn encoding_cuts_nothing_short() {
    let message = Message::CalleeAddress(m11());
    let mut out = [0; 100];
    let needed = message.encode(&mut out).unwrap();
    for size in 0..needed {
        assert_eq!(message.encode(&mut out[..size]), Err(EncodeError::TooSmall { needed }));
    }
    assert_eq!(message.encode(&mut out[..needed]), Ok(needed));

    let names: Vec<String> = (0..2000).map(|number| format!("terminal {number}")).collect();
    let change = ListChange::Create(&names);
    let register = Register { identifier: "Ia", change, revision: None, transaction: None };
    assert_eq!(register.encode(&mut vec![0; 1 << 20]), Err(EncodeError::TooLong));
}
