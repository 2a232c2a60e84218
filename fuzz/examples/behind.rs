//! Writes inputs of the targets behind decryption and of the parsers into `corpus/`, for the fuzzer to begin with.

use std::path::Path;

/// The control bytes stand for what was said last: see `told` in `src/broker.rs`.
const TEXTS: &[&str] = &[
    "HELLO\nIdentifier:Ia\nListen:1\nFrame:2048\n",
    "NOTIFY\nStatus:200 Welcome.\nTransaction:1\nRelay:1\nLargest Transfer:1000000\n",
    "REGISTER\nIdentifier:Ib\nAccept:Create Ia,Ic\nRevision:9\nTransaction:2\n",
    "REGISTER\nIdentifier:Ib\nAccept:Add Ic\nDelete Ia\nTransaction:2\n",
    "QUERY\nIdentifier:Ia\nCallee:Ib\nTransaction:3\n",
    "NOTIFY\nRequest Accepted.\nTransaction:\u{1}\n",
    "NOTIFY\nPermission Denied.\nTransaction:\u{1}\nCause:no\nRetry After:3\n",
    "NOTIFY\nCaller ID:Ia\nPassword:AQEBAQEBAQEBAQEBAQEBAQ==\nEncrypt Key:\u{6}\nTransaction:7\nHandle:\u{2}\nCaller Key:\u{5}\nCallee Password:AQEBAQEBAQEBAQEBAQEBAQ==\nExpires:60\n",
    "NOTIFY\nCallee Address:192.0.2.2\nPassword:AQEBAQEBAQEBAQEBAQEBAQ==\nEncrypt Key:\u{6}\nTransaction:\u{1}\nPort:7000\nHandle:\u{2}\nCallee Key:\u{5}\nCallee Password:AQEBAQEBAQEBAQEBAQEBAQ==\nExpires:60\n",
    "QUERY\nSTATUS\nTransaction:4\n",
    "NOTIFY\nSTATUS Acceptable.\nTransaction:\u{1}\n",
    "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:2500\nTransaction:5\nHandle:\u{2}\nName:a\n",
    "TRANSFER\nCaller:Ia\nCallee:Ib\nSize:2500\nTransaction:5\nName:a\nFetch:\u{1}\n",
    "FETCH\nName:a\nTransaction:9\n",
    "FETCH\nTransaction:9\n",
    "NOTIFY\nTransfer Accepted.\nAnswer:Ib\nTransaction:\u{1}\nOffset:0\nFrame:2048\n",
    "NOTIFY\nTransfer Refused.\nAnswer:broker\nTransaction:\u{1}\nCause:no\n",
    "LANE\nClass:sealed\nTransaction:\u{1}\nPath:direct\nProtection:sealed\nSuite:1\nLane Key:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nToken:\u{3}\n",
    "NOTIFY\nTransfer Complete.\nTransaction:\u{1}\n",
    "TUNNEL\nHandle:\u{2}\nTransaction:6\n",
    "WITHDRAW\nHandle:\u{2}\nCause:no\n",
    "RELEASE\nHandle:\u{2}\n",
    "ADDRESS\nIdentifier:Ia\nAddress:0.0.0.0\nPort:7000\nCandidate:192.0.2.9 7001\nTransaction:7\n",
    "RESOLVE\nIdentifier:Ib\nTransaction:8\n",
    "NOTIFY\nDeposit Question.\nTransaction:\u{1}\nCallee Key:\u{5}\nFrame:2048\nLargest Transfer:9000\n",
    "DEPOSIT\nCaller:Ia\nCallee:Ib\nSize:2500\nTransaction:3\n",
    "NOTIFY\nDeposit:AQEBAQEBAQEBAQEBAQEBAQ==\nToken:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\nTransaction:\u{1}\nOffset:0\nPart:0\n",
    "NOTIFY\nDepositor:Ia\nDeposit:AQEBAQEBAQEBAQEBAQEBAQ==\nSize:2500\nCaller Key:AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=\n",
    "COLLECT\nCaller:Ia\nCallee:Ib\nTransaction:9\nOffset:0\n",
    "DEPOSITS\nIdentifier:Ia\nTransaction:9\n",
    "PING\nTransaction:9\n",
];

fn write(target: &str, name: usize, bytes: &[u8]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join(format!("seed-{name}")), bytes).unwrap();
}

fn main() {
    for (number, text) in TEXTS.iter().enumerate() {
        let text = text.as_bytes();
        write("message", number, text);
        // After a call from the first to the second, said by each party on the other links.
        let who = number as u8;
        let called = [0, 1, 1];
        write(
            "terminal",
            number,
            &[&called[..], &[who, 3, who, who / 4], text, &[0xff, 0, 11, 0, who, 8, 90]].concat(),
        );
        let spoken = [1, 1, 0, 0, 7, who % 8, 0, who % 6, who];
        write(
            "terminal",
            100 + number,
            &[&spoken[..], text, &[0xff, 0, 1, 1, 0, 11, 1, 0, 5, who, 1, 1, 3, 2]].concat(),
        );
        // A query that the callee answers twice, then the text.
        let asked = [0, 4, 1, 3, 1, 5, 0, 1, 5, 0];
        write(
            "broker",
            number,
            &[&asked[..], &[who, 0], text, &[0xff, who, 10, 0, 20], &[0x80; 20]].concat(),
        );
        // Made, connected, opened, shaken hands, welcomed; then the text.
        let online = [
            &[0, 200, 0, 0, 200, 1, 0, 200, 2, 0, 200, 4, 0, 200, 4, 0, 200, 6][..],
            TEXTS[1].as_bytes(),
            &[0xff],
        ];
        let call = b"\0\xc8\x0bIb\xff\0\xc8\x04\0\xc8\x06";
        write("abi", number, &[&online.concat(), &call[..], text, &[0xff, 0, 200, 4, 0, 200, who]].concat());
    }
    for number in 0..6_u8 {
        write(
            "link",
            number.into(),
            &[&[number % 2, 0, 5], &b"hello"[..], &[number / 2, 0, number, 3, 9, 0, 2, 1, 1], &[0; 12]]
                .concat(),
        );
        write(
            "lane",
            number.into(),
            &[&[number % 2, number / 2, 1, 0, 0, 0, 9], &b"recording"[..], &[number, 2, 3, 4]].concat(),
        );
        write(
            "part",
            number.into(),
            &[&[number, 9, 200, 1, 1, 0, 8], &b"12345678\0\x05a.mpg"[..], &[0, number * 9, number / 3]]
                .concat(),
        );
    }
    write(
        "blob",
        0,
        &[
            &[2, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 2, 0x81, 2][..],
            b"Ib",
            &[7; 32],
            &[0x41, 2],
            b"Ic",
            &[8; 16],
        ]
        .concat(),
    );
    write("blob", 1, &[1, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 2, 1, b'X']);
    write("blob", 2, b"192.0.2.1 7000\n2001:db8::1 7001\nexample.org 0");
}
