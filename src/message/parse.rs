//! From bytes to messages.

use super::lines::{Lines, Value, parse_number};
use super::name::Name;
use super::*;

type Parsed<T> = Result<T, ParseError>;

impl<'a> Message<'a> {
    /// Reads one message. Work is linear in its length and bounded by [`MAX_BYTES`].
    ///
    /// # Errors
    /// Which line breaks the protocol's form, and how.
    pub fn parse(message: &'a [u8]) -> Parsed<Self> {
        let lines = &mut Lines::new(message)?;
        match lines.next() {
            Some("HELLO") => hello(lines),
            Some("REGISTER") => register(lines),
            Some("QUERY") => query(lines),
            Some("REQUEST") => request(lines),
            Some("TRANSFER") => transfer(lines),
            Some("LANE") => lane(lines),
            Some("TUNNEL") => tunnel(lines),
            Some("WITHDRAW") => withdraw(lines),
            Some("RELEASE") => release(lines),
            Some("ADDRESS") => address(lines),
            Some("RESOLVE") => resolve(lines),
            Some("PING") => Ok(Self::Ping(Ping { transaction: further(lines)? })),
            Some("NOTIFY") => notify(lines),
            _ => Err(lines.fail("verb", Problem::Unknown)),
        }
    }

    /// The number that correlates question and answer.
    pub fn transaction(&self) -> Option<u32> {
        match self {
            Self::Hello(Hello { transaction, .. })
            | Self::Register(Register { transaction, .. })
            | Self::Query(Query { transaction, .. })
            | Self::StatusQuery(StatusQuery { transaction })
            | Self::Transfer(Transfer { transaction, .. })
            | Self::Lane(Lane { transaction, .. })
            | Self::Tunnel(Tunnel { transaction, .. })
            | Self::Address(Address { transaction, .. })
            | Self::Resolve(Resolve { transaction, .. })
            | Self::Ping(Ping { transaction })
            | Self::Status(Status { transaction, .. })
            | Self::Accepted(Accepted { transaction, .. })
            | Self::Denied(Denied { transaction, .. })
            | Self::CalleeAddress(CalleeAddress { transaction, .. })
            | Self::CallerNotice(CallerNotice { transaction, .. })
            | Self::StatusAnswer(StatusAnswer { transaction, .. })
            | Self::TransferAnswer(TransferAnswer { transaction, .. })
            | Self::TransferDone(TransferDone { transaction, .. })
            | Self::TunnelToken(TunnelToken { transaction, .. })
            | Self::Resolved(Resolved { transaction, .. })
            | Self::NotRegistered(NotRegistered { transaction }) => *transaction,
            Self::Request(_) | Self::Withdraw(_) | Self::Release(_) => None,
        }
    }
}

/// Reads all further lines; gives the one that nearly every message has.
fn further(lines: &mut Lines<'_>) -> Parsed<Option<u32>> {
    lines.further()?;
    lines.get(Name::Transaction, Value::u32)
}

// In the functions below, fields are read in the order written: the figure's own lines first, then `further`, then what that found.

fn hello<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Hello(Hello {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        transaction: further(lines)?,
        ticket: lines.get(Name::Ticket, Value::secret_text)?,
        listen: lines.flag(Name::Listen)?,
    }))
}

fn register<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Register(Register {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        change: list_change(lines)?,
        transaction: further(lines)?,
        revision: lines.get(Name::Revision, Value::u64)?,
    }))
}

fn list_change<'a>(lines: &mut Lines<'a>) -> Parsed<ListChange<List<'a>>> {
    let accept = lines.required(Name::Accept)?;
    let some = |text| match List::parse(text) {
        Ok(list) if list.is_empty() => Err(Problem::Empty),
        other => other,
    };
    if let Some(text) = accept.text.strip_prefix("Create ") {
        List::parse(text).map(ListChange::Create).map_err(|problem| accept.fail(problem))
    } else if let Some(text) = accept.text.strip_prefix("Delete ") {
        some(text).map(ListChange::Delete).map_err(|problem| accept.fail(problem))
    } else if let Some(text) = accept.text.strip_prefix("Add ") {
        let add = some(text).map_err(|problem| accept.fail(problem))?;
        // M4's last line has no colon of its own, only what its identifiers may have.
        let Some(text) = lines.next_after("Delete ") else { return Ok(ListChange::Add(add)) };
        let delete = some(text).map_err(|problem| lines.fail("Delete", problem))?;
        Ok(ListChange::AddAndDelete { add, delete })
    } else {
        Err(accept.fail(Problem::Choice))
    }
}

fn query<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    if lines.next_line_is("STATUS") {
        return Ok(Message::StatusQuery(StatusQuery { transaction: further(lines)? }));
    }
    Ok(Message::Query(Query {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        callee: lines.required(Name::Callee)?.identifier()?,
        transaction: further(lines)?,
    }))
}

fn request<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    let request = Request {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        password: lines.required(Name::Password)?.secret_text()?,
    };
    lines.further()?;
    Ok(Message::Request(request))
}

fn transfer<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Transfer(Transfer {
        caller: lines.required(Name::Caller)?.identifier()?,
        callee: lines.required(Name::Callee)?.identifier()?,
        size: lines.required(Name::Size)?.u64()?,
        transaction: further(lines)?,
        handle: lines.get(Name::Handle, Value::bytes)?,
        name: lines.get(Name::Recording, Value::file_name)?,
        source: lines.get(Name::Source, Value::source)?,
        hash: lines.flag(Name::Hash)?,
    }))
}

fn lane<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Lane(Lane {
        class: lines.required(Name::Class)?.choice([("sealed", Class::Sealed), ("rest", Class::Rest)])?,
        transaction: further(lines)?,
        path: lines
            .get(Name::Path, |path| path.choice([("direct", Path::Direct), ("relay", Path::Relay)]))?,
        protection: lines.get(Name::Protection, |protection| {
            protection.choice([("sealed", Protection::Sealed), ("clear", Protection::Clear)])
        })?,
        suite: lines.get(Name::Suite, Value::u16)?,
        lane_key: lines.get(Name::LaneKey, Value::secret)?,
        token: lines.get(Name::Token, Value::secret)?,
    }))
}

fn tunnel<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Tunnel(Tunnel {
        handle: lines.required(Name::Handle)?.bytes()?,
        transaction: further(lines)?,
    }))
}

fn withdraw<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    let handle = lines.required(Name::Handle)?.bytes()?;
    lines.further()?;
    Ok(Message::Withdraw(Withdraw { handle, cause: lines.get(Name::Cause, Value::text)? }))
}

fn release<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    let handle = lines.required(Name::Handle)?.bytes()?;
    lines.further()?;
    Ok(Message::Release(Release { handle }))
}

fn address<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Address(Address {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        address: lines.required(Name::Address)?.host()?,
        port: lines.required(Name::Port)?.u16()?,
        transaction: further(lines)?,
        candidates: lines.candidates(),
    }))
}

fn resolve<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Resolve(Resolve {
        identifier: lines.required(Name::Identifier)?.identifier()?,
        transaction: further(lines)?,
    }))
}

/// `NOTIFY`: its second line says what it is, by its name or by the whole of it.
fn notify<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    match lines.next_name() {
        Some(Name::Status) => return status(lines),
        Some(Name::CalleeAddress) => return callee_address(lines),
        Some(Name::CallerId) => return caller_notice(lines),
        Some(Name::Tunnel) => return tunnel_token(lines),
        Some(Name::Address) => return resolved(lines),
        _ => {}
    }
    match lines.next() {
        Some("Request Accepted.") => accepted(lines),
        Some("Permission Denied.") => denied(lines, Denial::NotPermitted),
        Some("Callee not Found.") => denied(lines, Denial::NotFound),
        Some("Callee not Connected.") => denied(lines, Denial::NotConnected),
        Some("STATUS Acceptable.") => status_answer(lines, true),
        Some("STATUS Busy.") => status_answer(lines, false),
        Some("Transfer Accepted.") => transfer_answer(lines, true),
        Some("Transfer Refused.") => transfer_answer(lines, false),
        Some("Transfer Complete.") => transfer_done(lines, true),
        Some("Transfer Failed.") => transfer_done(lines, false),
        Some("Not Registered.") => Ok(Message::NotRegistered(NotRegistered { transaction: further(lines)? })),
        _ => Err(lines.fail("notice", Problem::Unknown)),
    }
}

fn status<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    let status = lines.required(Name::Status)?;
    let (code, text) = status.text.split_once(' ').ok_or_else(|| status.fail(Problem::Form))?;
    let code = parse_number(code)
        .filter(|code| (100..=999).contains(code))
        .and_then(|code| u16::try_from(code).ok());
    Ok(Message::Status(Status {
        code: code.ok_or_else(|| status.fail(Problem::Number))?.into(),
        text: Some(text).filter(|text| !text.is_empty()).ok_or_else(|| status.fail(Problem::Empty))?,
        transaction: further(lines)?,
        retry_after: lines.get(Name::RetryAfter, Value::u32)?,
        revision: lines.get(Name::Revision, Value::u64)?,
        digest: lines.get(Name::Digest, Value::bytes)?,
        relay: lines.flag(Name::Relay)?,
        largest_transfer: lines.get(Name::LargestTransfer, Value::u64)?,
    }))
}

fn accepted<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Accepted(Accepted {
        transaction: further(lines)?,
        callee_password: lines.get(Name::CalleePassword, Value::secret_text)?,
    }))
}

fn denied<'a>(lines: &mut Lines<'a>, denial: Denial) -> Parsed<Message<'a>> {
    Ok(Message::Denied(Denied {
        denial,
        transaction: further(lines)?,
        cause: lines.get(Name::Cause, Value::text)?,
        retry_after: lines.get(Name::RetryAfter, Value::u32)?,
    }))
}

fn callee_address<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::CalleeAddress(CalleeAddress {
        address: lines.required(Name::CalleeAddress)?.host()?,
        password: lines.required(Name::Password)?.secret_text()?,
        encrypt_key: lines.required(Name::EncryptKey)?.secret_text()?,
        transaction: further(lines)?,
        port: lines.get(Name::Port, Value::u16)?,
        candidates: lines.candidates(),
        handle: lines.get(Name::Handle, Value::bytes)?,
        callee_key: lines.get(Name::CalleeKey, Value::bytes)?,
        callee_password: lines.get(Name::CalleePassword, Value::secret_text)?,
        expires: lines.get(Name::Expires, Value::u32)?,
    }))
}

fn caller_notice<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::CallerNotice(CallerNotice {
        caller: lines.required(Name::CallerId)?.identifier()?,
        password: lines.required(Name::Password)?.secret_text()?,
        encrypt_key: lines.required(Name::EncryptKey)?.secret_text()?,
        transaction: further(lines)?,
        handle: lines.get(Name::Handle, Value::bytes)?,
        caller_key: lines.get(Name::CallerKey, Value::bytes)?,
        callee_password: lines.get(Name::CalleePassword, Value::secret_text)?,
        expires: lines.get(Name::Expires, Value::u32)?,
    }))
}

fn status_answer<'a>(lines: &mut Lines<'a>, acceptable: bool) -> Parsed<Message<'a>> {
    Ok(Message::StatusAnswer(StatusAnswer {
        acceptable,
        transaction: further(lines)?,
        retry_after: lines.get(Name::RetryAfter, Value::u32)?,
    }))
}

fn transfer_answer<'a>(lines: &mut Lines<'a>, accepted: bool) -> Parsed<Message<'a>> {
    Ok(Message::TransferAnswer(TransferAnswer {
        accepted,
        answer: lines.required(Name::Answer)?.identifier()?,
        transaction: further(lines)?,
        cause: lines.get(Name::Cause, Value::text)?,
        token: lines.get(Name::Token, Value::secret)?,
        peer_token: lines.get(Name::PeerToken, Value::secret)?,
        offset: lines.get(Name::Offset, Value::u64)?,
        frame: lines.get(Name::Frame, Value::u32)?,
    }))
}

fn transfer_done<'a>(lines: &mut Lines<'a>, complete: bool) -> Parsed<Message<'a>> {
    Ok(Message::TransferDone(TransferDone {
        complete,
        transaction: further(lines)?,
        cause: lines.get(Name::Cause, Value::text)?,
    }))
}

fn tunnel_token<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::TunnelToken(TunnelToken {
        handle: lines.required(Name::Tunnel)?.bytes()?,
        token: lines.required(Name::Token)?.secret()?,
        transaction: further(lines)?,
    }))
}

fn resolved<'a>(lines: &mut Lines<'a>) -> Parsed<Message<'a>> {
    Ok(Message::Resolved(Resolved {
        address: lines.required(Name::Address)?.host()?,
        port: lines.required(Name::Port)?.u16()?,
        transaction: further(lines)?,
        candidates: lines.candidates(),
    }))
}
