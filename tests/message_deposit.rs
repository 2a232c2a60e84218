//! The text messages of store and forward (rows M19–M22, P10, P11).
#![allow(clippy::unwrap_used, clippy::panic)]

use p2pgate::Secret;
use p2pgate::message::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

const ID: &str = "AQEBAQEBAQEBAQEBAQEBAQ==";
const KEY: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

#[track_caller]
fn golden(text: &str, message: Message<'_>) {
    assert_eq!(Message::parse(text.as_bytes()).as_ref(), Ok(&message));
    let mut out = [0; 512];
    let length = message.encode(&mut out).unwrap();
    assert_eq!(str::from_utf8(&out[..length]), Ok(text));
}

#[track_caller]
fn refused(text: &str, line: u16, field: &'static str, problem: Problem) {
    assert_eq!(Message::parse(text.as_bytes()), Err(ParseError { line, field, problem }), "{text:?}");
}

#[test]
fn m19_question_and_its_answers() {
    let question = DepositQuestion {
        transaction: None,
        callee_key: None,
        frame: None,
        largest_transfer: None,
        cause: None,
    };
    golden("NOTIFY\nDeposit Question.\n", Message::DepositQuestion(question.clone()));
    golden(
        &format!(
            "NOTIFY\nDeposit Question.\nTransaction:7\nCallee Key:{KEY}\nFrame:1200\nLargest Transfer:5000000000\nCause:the callee is busy\n"
        ),
        Message::DepositQuestion(DepositQuestion {
            transaction: Some(7),
            callee_key: Some([2; 32]),
            frame: Some(1200),
            largest_transfer: Some(5_000_000_000),
            cause: Some("the callee is busy"),
        }),
    );
    let yes = Deposit { caller: "Ia", callee: "Ib", size: 4096, transaction: None, source: None };
    golden("DEPOSIT\nCaller:Ia\nCallee:Ib\nSize:4096\n", Message::Deposit(yes.clone()));
    golden(
        "DEPOSIT\nCaller:Ia\nCallee:Ib\nSize:4096\nTransaction:7\nSource:AwMDAwMDAwM=\n",
        Message::Deposit(Deposit {
            transaction: Some(7),
            source: Some(Source::from_slice(&[3; 8]).unwrap()),
            ..yes
        }),
    );
    golden("NOTIFY\nDeposit Declined.\n", Message::DepositDeclined(DepositDeclined { transaction: None }));
    golden(
        "NOTIFY\nDeposit Declined.\nTransaction:7\n",
        Message::DepositDeclined(DepositDeclined { transaction: Some(7) }),
    );
}

#[test]
fn m20_go_ahead_and_kept() {
    let go_ahead = DepositGoAhead {
        deposit: [1; 16],
        token: Secret::new([2; 32]),
        transaction: None,
        offset: None,
        part: None,
    };
    golden(&format!("NOTIFY\nDeposit:{ID}\nToken:{KEY}\n"), Message::DepositGoAhead(go_ahead.clone()));
    golden(
        &format!("NOTIFY\nDeposit:{ID}\nToken:{KEY}\nTransaction:7\nOffset:2097152\nPart:2\n"),
        Message::DepositGoAhead(DepositGoAhead {
            transaction: Some(7),
            offset: Some(2 << 20),
            part: Some(2),
            ..go_ahead
        }),
    );
    let kept = DepositKept {
        deposit: Some([1; 16]),
        part: Some(2),
        offset: Some(3 << 20),
        digest: Some([2; 32]),
        complete: false,
        transaction: None,
    };
    let text = format!("NOTIFY\nDeposit Kept.\nDeposit:{ID}\nPart:2\nOffset:3145728\nDigest:{KEY}\n");
    golden(&text, Message::DepositKept(kept.clone()));
    golden(
        &format!("{text}Complete:1\nTransaction:9\n"),
        Message::DepositKept(DepositKept { complete: true, transaction: Some(9), ..kept }),
    );
}

#[test]
fn m21_depositor() {
    let bare = Depositor { caller: "Ia", deposit: None, size: None, caller_key: None, group: None };
    golden("NOTIFY\nDepositor:Ia\n", Message::Depositor(bare.clone()));
    golden(
        &format!("NOTIFY\nDepositor:Ia\nDeposit:{ID}\nSize:4096\nCaller Key:{KEY}\n"),
        Message::Depositor(Depositor {
            deposit: Some([1; 16]),
            size: Some(4096),
            caller_key: Some([2; 32]),
            ..bare.clone()
        }),
    );
    golden(
        "NOTIFY\nDepositor:Ia\nGroup:Ib/family\n",
        Message::Depositor(Depositor { group: Some("Ib/family"), ..bare }),
    );
}

#[test]
fn m22_collect_and_collected() {
    let bare = Collect { caller: "Ia", callee: "Ib", transaction: None, deposit: None, offset: None };
    golden("COLLECT\nCaller:Ia\nCallee:Ib\n", Message::Collect(bare.clone()));
    golden(
        &format!("COLLECT\nCaller:Ia\nCallee:Ib\nTransaction:3\nDeposit:{ID}\nOffset:77\n"),
        Message::Collect(Collect { transaction: Some(3), deposit: Some([1; 16]), offset: Some(77), ..bare }),
    );
    let collected = Collected { complete: true, deposit: [1; 16], transaction: Some(4), cause: None };
    golden(
        &format!("NOTIFY\nTransfer Complete.\nTransaction:4\nDeposit:{ID}\n"),
        Message::Collected(collected.clone()),
    );
    golden(
        &format!("NOTIFY\nTransfer Failed.\nTransaction:4\nDeposit:{ID}\nCause:no room\n"),
        Message::Collected(Collected { complete: false, cause: Some("no room"), ..collected }),
    );
    // Without the deposit's line it is the peer link's.
    golden(
        "NOTIFY\nTransfer Complete.\nTransaction:4\n",
        Message::TransferDone(TransferDone { complete: true, transaction: Some(4), cause: None }),
    );
    golden(
        &format!("NOTIFY\nDeposit Collected.\nDeposit:{ID}\n"),
        Message::Delivered(Delivered { deposit: Some([1; 16]) }),
    );
}

#[test]
fn p10_lists_and_withdrawals() {
    golden(
        "DEPOSITS\nIdentifier:Ia\nTransaction:5\n",
        Message::Deposits(Deposits { identifier: "Ia", transaction: Some(5) }),
    );
    golden(
        &format!("NOTIFY\nDeposited for:Ib\nDeposit:{ID}\nSize:9\nOffset:8\nTransaction:5\n"),
        Message::DepositedFor(DepositedFor {
            callee: "Ib",
            deposit: Some([1; 16]),
            size: Some(9),
            offset: Some(8),
            transaction: Some(5),
        }),
    );
    golden(
        &format!("WITHDRAW\nHandle:{ID}\nTransaction:6\n"),
        Message::Withdraw(Withdraw { handle: [1; 16], cause: None, transaction: Some(6) }),
    );
}

#[test]
fn p10_hello_of_a_terminal_that_knows_deposits() {
    let hello = Hello { identifier: "Ia", ticket: None, listen: true, transaction: Some(1) };
    let text = "HELLO\nIdentifier:Ia\nListen:1\nTransaction:1\n";
    golden(text, Message::Hello(hello.clone()));
    golden(&format!("{text}Frame:1024\n"), Message::DepositHello(hello, 1024));
}

#[test]
fn m19_to_m22_malformed() {
    refused("DEPOSIT\nCallee:Ib\nCaller:Ia\nSize:1\n", 2, "Caller", Problem::Missing);
    refused("DEPOSIT\nCaller:Ia\nCallee:Ib\nSize:01\n", 4, "Size", Problem::Number);
    refused("DEPOSIT\nCaller:Ia\nCallee:Ib\nSize:1\nSource:AA==\n", 5, "Source", Problem::Binary);
    refused("COLLECT\nCaller:Ia\nCallee:Ib\nDeposit:AA==\n", 4, "Deposit", Problem::Binary);
    refused(&format!("NOTIFY\nDeposit:{ID}\n"), 2, "Token", Problem::Missing);
    refused("NOTIFY\nDeposit Kept.\nPart:4294967296\n", 3, "Part", Problem::Number);
    refused("NOTIFY\nDeposit Kept.\nComplete:0\n", 3, "Complete", Problem::Choice);
    refused("NOTIFY\nTransfer Complete.\nDeposit:\n", 3, "Deposit", Problem::Binary);
    refused(
        "NOTIFY\nDeposited for:\n",
        2,
        "Deposited for",
        Problem::Identifier(p2pgate::identifier::IdentifierError::Empty),
    );
    refused("HELLO\nIdentifier:Ia\nFrame:x\n", 3, "Frame", Problem::Number);
}

#[derive(Debug, Clone)]
struct Values {
    ids: [String; 2],
    cause: Option<String>,
    numbers: [Option<u32>; 3],
    longs: [Option<u64>; 2],
    keys: [Option<[u8; 32]>; 2],
    deposit: Option<[u8; 16]>,
    source: Option<Vec<u8>>,
    flag: bool,
}

prop_compose! {
    fn values()(
        ids in ["[a-zあ-ん]{1,12}", "[a-z0-9:]{1,12}"],
        cause in of("\\PC{1,40}"),
        numbers in any::<[Option<u32>; 3]>(),
        longs in any::<[Option<u64>; 2]>(),
        keys in any::<[Option<[u8; 32]>; 2]>(),
        deposit in any::<Option<[u8; 16]>>(),
        source in of(vec(any::<u8>(), 8..=32)),
        flag in any::<bool>(),
    ) -> Values {
        Values { ids, cause, numbers, longs, keys, deposit, source, flag }
    }
}

fn messages(v: &Values) -> Vec<Message<'_>> {
    let [caller, callee] = v.ids.each_ref().map(String::as_str);
    let [transaction, frame, part] = v.numbers;
    let [size, offset] = v.longs;
    let (cause, deposit, complete) = (v.cause.as_deref(), v.deposit, v.flag);
    let (known, [key, digest]) = (deposit.unwrap_or([9; 16]), v.keys);
    let source = v.source.as_deref().map(|source| Source::from_slice(source).unwrap());
    vec![
        Message::DepositHello(
            Hello { identifier: caller, ticket: None, listen: complete, transaction },
            frame.unwrap_or_default(),
        ),
        Message::DepositQuestion(DepositQuestion {
            transaction,
            callee_key: key,
            frame,
            largest_transfer: size,
            cause,
        }),
        Message::Deposit(Deposit { caller, callee, size: size.unwrap_or_default(), transaction, source }),
        Message::DepositDeclined(DepositDeclined { transaction }),
        Message::DepositGoAhead(DepositGoAhead {
            deposit: known,
            token: Secret::new(key.unwrap_or_default()),
            transaction,
            offset,
            part,
        }),
        Message::DepositKept(DepositKept { deposit, part, offset, digest, complete, transaction }),
        Message::Depositor(Depositor {
            caller,
            deposit,
            size,
            caller_key: key,
            group: deposit.map(|_| callee),
        }),
        Message::Collect(Collect { caller, callee, transaction, deposit, offset }),
        Message::Collected(Collected { complete, deposit: known, transaction, cause }),
        Message::Delivered(Delivered { deposit }),
        Message::Deposits(Deposits { identifier: caller, transaction }),
        Message::DepositedFor(DepositedFor { callee, deposit, size, offset, transaction }),
        Message::Withdraw(Withdraw { handle: known, cause, transaction }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_parses_to_the_same(values in values()) {
        let mut out = [0; 1024];
        for message in messages(&values) {
            let length = message.encode(&mut out).unwrap();
            prop_assert_eq!(Message::parse(&out[..length]), Ok(message.clone()));
            prop_assert_eq!(message.encode(&mut out[..length - 1]), Err(EncodeError::TooSmall { needed: length }));
            let numbered = !matches!(message, Message::Depositor(_) | Message::Delivered(_));
            prop_assert_eq!(message.transaction(), values.numbers[0].filter(|_| numbered));
        }
    }

    #[test]
    fn changed_bytes_are_an_error_or_a_message_that_stands(
        values in values(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut out = [0; 1024];
        for message in messages(&values) {
            let length = message.encode(&mut out).unwrap();
            let mut bytes = out[..length].to_vec();
            for (place, byte) in &changes {
                *place.get_mut(&mut bytes) = *byte;
            }
            if let Ok(message) = Message::parse(&bytes) {
                let length = message.encode(&mut out).unwrap();
                prop_assert_eq!(Message::parse(&out[..length]), Ok(message));
            }
        }
    }
}
