//! Any message at all, and any bytes.

use p2pgate::Secret;
use p2pgate::message::*;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;

/// Owned stand-in for the texts that a message borrows.
#[derive(Debug, Clone)]
struct Texts {
    ids: [String; 2],
    list: [Vec<String>; 2],
    text: String,
    texts: [Option<String>; 3],
    file: Option<String>,
    hosts: Vec<(Result<std::net::IpAddr, String>, u16)>,
    numbers: [Option<u32>; 4],
    longs: [Option<u64>; 3],
    keys: [Option<[u8; 32]>; 3],
    handle: Option<[u8; 16]>,
    source: Option<Vec<u8>>,
    flags: [bool; 4],
    code: u16,
}

fn id() -> impl Strategy<Value = String> {
    "[a-zあ-ん0-9+:=]{1,12}( [a-z:]{1,9}){0,2}"
}

fn host() -> impl Strategy<Value = Result<std::net::IpAddr, String>> {
    // Addresses with runs of zeros, where the short form of IPv6 is decided.
    let sparse = vec(select(vec![0_u16, 0, 1, 0xabc]), 8).prop_map(|g| {
        let groups: [u16; 8] = g.try_into().unwrap();
        Ok(std::net::IpAddr::from(groups))
    });
    prop_oneof![
        any::<[u8; 4]>().prop_map(|octets| Ok(octets.into())),
        any::<[u8; 16]>().prop_map(|octets| Ok(octets.into())),
        sparse,
        "([a-z0-9_]{1,9}\\.){0,3}[a-z]{1,9}".prop_map(Err),
    ]
}

fn texts() -> impl Strategy<Value = Texts> {
    let text = || "\\PC{1,40}";
    let words = (
        [id(), id()],
        [vec(id(), 1..5), vec(id(), 1..5)],
        text(),
        [of(text()), of(text()), of(text())],
        of("[a-zあ-ん ]{1,20}\\.ts"),
        vec((host(), any::<u16>()), 1..=5),
    );
    let values = (
        any::<[Option<u32>; 4]>(),
        any::<[Option<u64>; 3]>(),
        any::<[Option<[u8; 32]>; 3]>(),
        any::<Option<[u8; 16]>>(),
        of(vec(any::<u8>(), 8..=32)),
        any::<[bool; 4]>(),
        100..1000_u16,
    );
    (words, values).prop_map(
        |((ids, list, text, texts, file, hosts), (numbers, longs, keys, handle, source, flags, code))| {
            Texts { ids, list, text, texts, file, hosts, numbers, longs, keys, handle, source, flags, code }
        },
    )
}

/// Every kind of message, filled from the same texts.
fn messages(t: &Texts) -> Vec<Message<'_>> {
    let [identifier, callee] = t.ids.each_ref().map(String::as_str);
    let [transaction, retry_after, expires, frame] = t.numbers;
    let [revision, largest_transfer, offset] = t.longs;
    let [lane_key, token, peer_token] = t.keys.map(|key| key.map(Secret::new));
    let text = t.text.as_str();
    let [cause, secret, other_secret] = t.texts.each_ref().map(Option::as_deref);
    let [password, encrypt_key] = [secret, other_secret].map(|secret| SecretText::new(secret.unwrap_or("x")));
    let callee_password = cause.map(SecretText::new);
    let handle = t.handle.unwrap_or_default();
    let hosts: Vec<_> = t.hosts.iter().map(|(host, port)| (as_host(host), *port)).collect();
    let (address, port) = hosts[0];
    let candidates: Candidates<'_> =
        hosts[1..].iter().map(|&(address, port)| Candidate { address, port }).collect();
    let [first, second, third, fourth] = t.flags;
    let mut messages = vec![
        Message::Hello(Hello { identifier, ticket: callee_password, listen: first, transaction }),
        Message::Query(Query { identifier, callee, transaction }),
        Message::Request(Request { identifier, password }),
        Message::StatusQuery(StatusQuery { transaction }),
        Message::Transfer(Transfer {
            caller: identifier,
            callee,
            size: revision.unwrap_or_default(),
            transaction,
            handle: t.handle,
            name: t.file.as_deref(),
            source: t.source.as_deref().map(|source| Source::from_slice(source).unwrap()),
            hash: second,
            fetch: transaction,
        }),
        Message::Fetch(Fetch { name: t.file.as_deref(), transaction }),
        Message::Lane(Lane {
            class: if first { Class::Sealed } else { Class::Rest },
            transaction,
            path: [None, Some(if third { Path::Direct } else { Path::Relay })][usize::from(fourth)],
            protection: [None, Some(if first { Protection::Sealed } else { Protection::Clear })]
                [usize::from(second)],
            suite: Some(port),
            lane_key: lane_key.clone(),
            token: token.clone(),
        }),
        Message::Tunnel(Tunnel { handle, transaction }),
        Message::Withdraw(Withdraw { handle, cause, transaction }),
        Message::Release(Release { handle }),
        Message::Address(Address { identifier, address, port, candidates: candidates.clone(), transaction }),
        Message::Resolve(Resolve { identifier, transaction }),
        Message::Ping(Ping { transaction }),
        Message::Status(Status {
            code: t.code.into(),
            text,
            transaction,
            retry_after,
            revision,
            digest: t.keys[0],
            relay: third,
            largest_transfer,
        }),
        Message::Accepted(Accepted { transaction, callee_password }),
        Message::CalleeAddress(CalleeAddress {
            address,
            password,
            encrypt_key,
            transaction,
            port: Some(port),
            candidates: candidates.clone(),
            handle: t.handle,
            callee_key: t.keys[1],
            callee_password,
            expires,
        }),
        Message::CallerNotice(CallerNotice {
            caller: callee,
            password,
            encrypt_key,
            transaction,
            handle: t.handle,
            caller_key: t.keys[2],
            callee_password,
            expires,
            group: [None, Some(identifier)][usize::from(second)],
        }),
        Message::StatusAnswer(StatusAnswer { acceptable: first, transaction, retry_after }),
        Message::TransferAnswer(TransferAnswer {
            accepted: second,
            answer: callee,
            transaction,
            cause,
            token: token.clone(),
            peer_token,
            offset,
            frame,
        }),
        Message::TransferDone(TransferDone { complete: third, transaction, cause }),
        Message::TunnelToken(TunnelToken {
            handle,
            token: token.unwrap_or(Secret::new([1; 32])),
            transaction,
        }),
        Message::Resolved(Resolved { address, port, candidates, transaction }),
        Message::NotRegistered(NotRegistered { transaction }),
    ];
    for denial in [Denial::NotPermitted, Denial::NotFound, Denial::NotConnected] {
        messages.push(Message::Denied(Denied { denial, transaction, cause, retry_after }));
    }
    messages
}

fn as_host(host: &Result<std::net::IpAddr, String>) -> Host<'_> {
    match host {
        Ok(address) => Host::Ip(*address),
        Err(name) => Host::Name(name),
    }
}

proptest! {
    #[test]
    fn what_is_encoded_parses_to_the_same(texts in texts()) {
        let mut out = [0; MAX_BYTES];
        for message in messages(&texts) {
            let length = message.encode(&mut out).unwrap();
            prop_assert_eq!(Message::parse(&out[..length]), Ok(message.clone()));
            prop_assert_eq!(message.encode(&mut out[..length - 1]), Err(EncodeError::TooSmall { needed: length }));
            if let Host::Ip(address) = as_host(&texts.hosts[0].0) && matches!(message, Message::Resolved(_)) {
                // An IPv4-mapped address is written in hexadecimal here and dotted by the standard library.
                let mapped = matches!(address, std::net::IpAddr::V6(v6) if v6.to_ipv4_mapped().is_some());
                let shown = String::from_utf8(out[..length].to_vec()).unwrap();
                prop_assert!(mapped || shown.contains(&format!("\nAddress:{address}\n")), "{}", shown);
            }
        }
    }

    #[test]
    fn registers_come_back_as_they_went(texts in texts(), kind in 0..4) {
        let [add, delete] = &texts.list;
        let change = match kind {
            0 => ListChange::Create(add),
            1 => ListChange::Add(add),
            2 => ListChange::Delete(delete),
            _ => ListChange::AddAndDelete { add, delete },
        };
        let register = Register { identifier: &texts.ids[0], change, revision: texts.longs[0], transaction: texts.numbers[0] };
        let (mut out, mut again) = ([0; MAX_BYTES], [0; MAX_BYTES]);
        let length = register.clone().encode(&mut out).unwrap();
        let message = Message::parse(&out[..length]).unwrap();
        let same = message.encode(&mut again).unwrap();
        prop_assert_eq!(&out[..length], &again[..same]);
        let Message::Register(read) = message else { panic!("not a REGISTER") };
        prop_assert_eq!((read.identifier, read.revision, read.transaction), (register.identifier, register.revision, register.transaction));
        let equal = |read: List<'_>, sent: &[String]| read.iter().eq(sent.iter().map(String::as_str));
        let same = match (read.change, change) {
            (ListChange::Create(read), ListChange::Create(sent))
            | (ListChange::Add(read), ListChange::Add(sent))
            | (ListChange::Delete(read), ListChange::Delete(sent)) => equal(read, sent),
            (ListChange::AddAndDelete { add: a, delete: d }, ListChange::AddAndDelete { add, delete }) => equal(a, add) && equal(d, delete),
            _ => false,
        };
        prop_assert!(same);
    }

    /// Bytes, texts of lines that mean something, and messages with some bytes changed: an error or a message that stands encoding again.
    #[test]
    fn no_input_panics(
        garbage in vec(any::<u8>(), 0..200),
        lines in vec(select(vec![
            "NOTIFY", "QUERY", "STATUS", "REGISTER", "Identifier:Ia", "Callee:Ib", "Accept:Add a", "Delete b", "Transaction:1", "Port:1",
            "Address:::1", "Candidate:::1 1", "Transfer Refused.", "Answer:broker", "Status:200 Done.", "Class:rest", "LANE", "ADDRESS", "", ":",
        ]), 0..8),
        texts in texts(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut out = [0; MAX_BYTES];
        let _ = Message::parse(&garbage);
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        if let Ok(message) = Message::parse(text.as_bytes()) {
            prop_assert!(message.encode(&mut out).is_ok());
        }
        for message in messages(&texts) {
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
