//! From bytes to messages.

use super::lines::*;
use super::name::Name;
use super::*;

impl<'a> Message<'a> {
    /// Reads one message. Work is linear in its length and bounded by [`MAX_BYTES`].
    ///
    /// # Errors
    /// Which line breaks the protocol's form, and how.
    pub fn parse(message: &'a [u8]) -> Result<Self, ParseError> {
        Self::read(message, |verb, lines| match verb {
            "HELLO" => hello(lines),
            "REGISTER" => register(lines),
            "GROUP" => group(lines),
            "QUERY" => query(lines),
            "TUNNEL" => tunnel(lines),
            "ADDRESS" => address(lines),
            "RESOLVE" => resolve(lines),
            "DEPOSIT" => deposit::deposit(lines),
            "COLLECT" => deposit::collect(lines),
            "DEPOSITS" => deposit::deposits(lines),
            "PING" => Some(Self::Ping(Ping { transaction: further(lines) })),
            _ => told(verb, lines),
        })
    }

    /// As [`Message::parse`], of what a terminal is told: it carries no code for what only a broker is, which is an error of the same kind as what
    /// nobody knows.
    pub(crate) fn parse_told(message: &'a [u8]) -> Result<Self, ParseError> {
        Self::read(message, told)
    }

    fn read(
        message: &'a [u8],
        by_verb: fn(&str, &mut Lines<'a>) -> Option<Self>,
    ) -> Result<Self, ParseError> {
        let lines = &mut Lines::new(message)?;
        let message = match lines.next() {
            Some(verb) => by_verb(verb, lines),
            None => None,
        };
        match (message, lines.error) {
            (_, Some(error)) => Err(error),
            (Some(message), None) => Ok(message),
            // Whatever has a known first line is read or has left an error, so here there was none.
            (None, None) => Err(ParseError { line: 1, field: "verb", problem: Problem::Unknown }),
        }
    }

    /// The number that correlates question and answer.
    pub fn transaction(&self) -> Option<u32> {
        match self {
            Self::Hello(Hello { transaction, .. })
            | Self::DepositHello(Hello { transaction, .. }, _)
            | Self::Register(Register { transaction, .. })
            | Self::Group(Group { transaction, .. })
            | Self::Query(Query { transaction, .. })
            | Self::StatusQuery(StatusQuery { transaction })
            | Self::Transfer(Transfer { transaction, .. })
            | Self::Fetch(Fetch { transaction, .. })
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
            | Self::NotRegistered(NotRegistered { transaction })
            | Self::Withdraw(Withdraw { transaction, .. })
            | Self::DepositQuestion(DepositQuestion { transaction, .. })
            | Self::Deposit(Deposit { transaction, .. })
            | Self::DepositDeclined(DepositDeclined { transaction })
            | Self::DepositGoAhead(DepositGoAhead { transaction, .. })
            | Self::DepositKept(DepositKept { transaction, .. })
            | Self::Collect(Collect { transaction, .. })
            | Self::Collected(Collected { transaction, .. })
            | Self::Deposits(Deposits { transaction, .. })
            | Self::DepositedFor(DepositedFor { transaction, .. }) => *transaction,
            Self::Request(_) | Self::Release(_) | Self::Depositor(_) | Self::Delivered(_) => None,
        }
    }
}

// In the functions below, fields are read in the order written: the figure's own lines first, then `further`, then what that found.
// They give `None` when a line of the figure's is wrong; any error is in `lines`.

/// What a terminal is told, by the broker or by another terminal.
fn told<'a>(verb: &str, lines: &mut Lines<'a>) -> Option<Message<'a>> {
    match verb {
        "NOTIFY" => notify(lines),
        "QUERY" => status_query(lines),
        "REQUEST" => request(lines),
        "TRANSFER" => transfer(lines),
        "FETCH" => Some(Message::Fetch(Fetch {
            transaction: further(lines),
            name: lines.get(Name::Recording, file_name),
        })),
        "LANE" => lane(lines),
        "WITHDRAW" => withdraw(lines),
        "RELEASE" => release(lines),
        _ => None,
    }
}

fn hello<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let hello = Hello {
        identifier: lines.required(Name::Identifier, identifier)?,
        transaction: further(lines),
        ticket: lines.get(Name::Ticket, secret_text),
        listen: lines.flag(Name::Listen),
    };
    Some(match lines.get(Name::Frame, number_u32) {
        Some(frame) => Message::DepositHello(hello, frame),
        None => Message::Hello(hello),
    })
}

fn register<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Register(Register {
        identifier: lines.required(Name::Identifier, identifier)?,
        change: list_change(lines, Name::Accept)?,
        transaction: further(lines),
        revision: lines.get(Name::Revision, number_u64),
    }))
}

fn group<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Group(Group {
        identifier: lines.required(Name::Identifier, identifier)?,
        group: lines.required(Name::Group, identifier)?,
        change: list_change(lines, Name::Members)?,
        transaction: further(lines),
    }))
}

fn list_change<'a>(lines: &mut Lines<'a>, name: Name) -> Option<ListChange<List<'a>>> {
    let change = lines.required(name, |text| {
        if let Some(list) = text.strip_prefix("Create ") {
            List::parse(list).map(ListChange::Create)
        } else if let Some(list) = text.strip_prefix("Add ") {
            some(list).map(ListChange::Add)
        } else if let Some(list) = text.strip_prefix("Delete ") {
            some(list).map(ListChange::Delete)
        } else {
            Err(Problem::Choice)
        }
    })?;
    // M4's last line has no colon of its own, only what its identifiers may have.
    let delete = lines.peek().and_then(|line| line.strip_prefix("Delete "));
    let (ListChange::Add(add), Some(delete)) = (change, delete) else { return Some(change) };
    lines.next();
    match some(delete) {
        Ok(delete) => Some(ListChange::AddAndDelete { add, delete }),
        Err(problem) => {
            lines.fail("Delete", problem);
            None
        }
    }
}

fn some(list: &str) -> Result<List<'_>, Problem> {
    text(list).and_then(List::parse)
}

fn query<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    if lines.peek() == Some("STATUS") {
        return status_query(lines);
    }
    Some(Message::Query(Query {
        identifier: lines.required(Name::Identifier, identifier)?,
        callee: lines.required(Name::Callee, identifier)?,
        transaction: further(lines),
    }))
}

fn status_query<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let is_known = lines.next() == Some("STATUS");
    is_known.then(|| Message::StatusQuery(StatusQuery { transaction: further(lines) }))
}

fn request<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let request = Request {
        identifier: lines.required(Name::Identifier, identifier)?,
        password: lines.required(Name::Password, secret_text)?,
    };
    lines.further();
    Some(Message::Request(request))
}

fn transfer<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Transfer(Transfer {
        caller: lines.required(Name::Caller, identifier)?,
        callee: lines.required(Name::Callee, identifier)?,
        size: lines.required(Name::Size, number_u64)?,
        transaction: further(lines),
        handle: lines.get(Name::Handle, bytes),
        name: lines.get(Name::Recording, file_name),
        source: lines.get(Name::Source, source),
        hash: lines.flag(Name::Hash),
        fetch: lines.get(Name::Fetch, number_u32),
    }))
}

fn lane<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Lane(Lane {
        class: lines.required(Name::Class, |text| {
            choice(text, "sealed", "rest").map(|sealed| if sealed { Class::Sealed } else { Class::Rest })
        })?,
        transaction: further(lines),
        path: lines.get(Name::Path, |text| {
            choice(text, "direct", "relay").map(|direct| if direct { Path::Direct } else { Path::Relay })
        }),
        protection: lines.get(Name::Protection, |text| {
            choice(text, "sealed", "clear")
                .map(|sealed| if sealed { Protection::Sealed } else { Protection::Clear })
        }),
        suite: lines.get(Name::Suite, number_u16),
        lane_key: lines.get(Name::LaneKey, secret),
        token: lines.get(Name::Token, secret),
    }))
}

fn tunnel<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Tunnel(Tunnel {
        handle: lines.required(Name::Handle, bytes)?,
        transaction: further(lines),
    }))
}

fn withdraw<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Withdraw(Withdraw {
        handle: lines.required(Name::Handle, bytes)?,
        transaction: further(lines),
        cause: lines.get(Name::Cause, text),
    }))
}

fn release<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let handle = lines.required(Name::Handle, bytes)?;
    lines.further();
    Some(Message::Release(Release { handle }))
}

fn address<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Address(Address {
        identifier: lines.required(Name::Identifier, identifier)?,
        address: lines.required(Name::Address, host)?,
        port: lines.required(Name::Port, number_u16)?,
        transaction: further(lines),
        candidates: lines.candidates(),
    }))
}

fn resolve<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Resolve(Resolve {
        identifier: lines.required(Name::Identifier, identifier)?,
        transaction: further(lines),
    }))
}

/// `NOTIFY`: its second line says what it is, by its name or by the whole of it.
fn notify<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let name = lines.peek().and_then(|line| line.split_once(':')).and_then(|(name, _)| Name::find(name));
    match name {
        Some(Name::Status) => return status(lines),
        Some(Name::CalleeAddress) => return callee_address(lines),
        Some(Name::CallerId) => return caller_notice(lines),
        Some(Name::Tunnel) => return tunnel_token(lines),
        Some(Name::Address) => return resolved(lines),
        Some(Name::Deposit) => return deposit::go_ahead(lines),
        Some(Name::Depositor) => return deposit::depositor(lines),
        Some(Name::DepositedFor) => return deposit::deposited_for(lines),
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
        Some("Not Registered.") => {
            Some(Message::NotRegistered(NotRegistered { transaction: further(lines) }))
        }
        Some("Deposit Question.") => deposit::question(lines),
        Some("Deposit Declined.") => {
            Some(Message::DepositDeclined(DepositDeclined { transaction: further(lines) }))
        }
        Some("Deposit Kept.") => deposit::kept(lines),
        Some("Deposit Collected.") => deposit::delivered(lines),
        _ => {
            lines.fail("notice", Problem::Unknown);
            None
        }
    }
}

fn status<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    let (code, text) = lines.required(Name::Status, |value| {
        let (code, words) = value.split_once(' ').ok_or(Problem::Form)?;
        let code = number_u16(code)?;
        if (100..=999).contains(&code) { Ok((code.into(), text(words)?)) } else { Err(Problem::Number) }
    })?;
    Some(Message::Status(Status {
        code,
        text,
        transaction: further(lines),
        retry_after: lines.get(Name::RetryAfter, number_u32),
        revision: lines.get(Name::Revision, number_u64),
        digest: lines.get(Name::Digest, bytes),
        relay: lines.flag(Name::Relay),
        largest_transfer: lines.get(Name::LargestTransfer, number_u64),
    }))
}

fn accepted<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Accepted(Accepted {
        transaction: further(lines),
        callee_password: lines.get(Name::CalleePassword, secret_text),
    }))
}

fn denied<'a>(lines: &mut Lines<'a>, denial: Denial) -> Option<Message<'a>> {
    Some(Message::Denied(Denied {
        denial,
        transaction: further(lines),
        cause: lines.get(Name::Cause, text),
        retry_after: lines.get(Name::RetryAfter, number_u32),
    }))
}

fn callee_address<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::CalleeAddress(CalleeAddress {
        address: lines.required(Name::CalleeAddress, host)?,
        password: lines.required(Name::Password, secret_text)?,
        encrypt_key: lines.required(Name::EncryptKey, secret_text)?,
        transaction: further(lines),
        port: lines.get(Name::Port, number_u16),
        candidates: lines.candidates(),
        handle: lines.get(Name::Handle, bytes),
        callee_key: lines.get(Name::CalleeKey, bytes),
        callee_password: lines.get(Name::CalleePassword, secret_text),
        expires: lines.get(Name::Expires, number_u32),
    }))
}

fn caller_notice<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::CallerNotice(CallerNotice {
        caller: lines.required(Name::CallerId, identifier)?,
        password: lines.required(Name::Password, secret_text)?,
        encrypt_key: lines.required(Name::EncryptKey, secret_text)?,
        transaction: further(lines),
        handle: lines.get(Name::Handle, bytes),
        caller_key: lines.get(Name::CallerKey, bytes),
        callee_password: lines.get(Name::CalleePassword, secret_text),
        expires: lines.get(Name::Expires, number_u32),
        group: lines.get(Name::Group, identifier),
    }))
}

fn status_answer<'a>(lines: &mut Lines<'a>, acceptable: bool) -> Option<Message<'a>> {
    Some(Message::StatusAnswer(StatusAnswer {
        acceptable,
        transaction: further(lines),
        retry_after: lines.get(Name::RetryAfter, number_u32),
    }))
}

fn transfer_answer<'a>(lines: &mut Lines<'a>, accepted: bool) -> Option<Message<'a>> {
    Some(Message::TransferAnswer(TransferAnswer {
        accepted,
        answer: lines.required(Name::Answer, identifier)?,
        transaction: further(lines),
        cause: lines.get(Name::Cause, text),
        token: lines.get(Name::Token, secret),
        peer_token: lines.get(Name::PeerToken, secret),
        offset: lines.get(Name::Offset, number_u64),
        frame: lines.get(Name::Frame, number_u32),
    }))
}

fn transfer_done<'a>(lines: &mut Lines<'a>, complete: bool) -> Option<Message<'a>> {
    let (transaction, cause) = (further(lines), lines.get(Name::Cause, text));
    Some(match lines.get(Name::Deposit, bytes) {
        Some(deposit) => Message::Collected(Collected { complete, deposit, transaction, cause }),
        None => Message::TransferDone(TransferDone { complete, transaction, cause }),
    })
}

fn tunnel_token<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::TunnelToken(TunnelToken {
        handle: lines.required(Name::Tunnel, bytes)?,
        token: lines.required(Name::Token, secret)?,
        transaction: further(lines),
    }))
}

fn resolved<'a>(lines: &mut Lines<'a>) -> Option<Message<'a>> {
    Some(Message::Resolved(Resolved {
        address: lines.required(Name::Address, host)?,
        port: lines.required(Name::Port, number_u16)?,
        transaction: further(lines),
        candidates: lines.candidates(),
    }))
}
