//! From messages to bytes.

use super::name::Name;
use super::writer::{Writer, is_text};
use super::*;

impl Message<'_> {
    /// Writes the message to the start of `out` and returns its length.
    ///
    /// # Errors
    /// [`EncodeError::TooSmall`] with the length needed, [`EncodeError::TooLong`], or the name of a value that would break the form. Nothing is cut
    /// short.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let w = &mut Writer::new(out);
        match self {
            Self::Register(message) => register(message.clone(), w),
            Self::Group(message) => group(message.clone(), w),
            Self::StatusQuery(message) => {
                w.line("QUERY");
                w.line("STATUS");
                w.transaction(message.transaction);
            }
            Self::Resolve(message) => {
                w.line("RESOLVE");
                w.identifier(Name::Identifier, message.identifier);
                w.transaction(message.transaction);
            }
            Self::CalleeAddress(message) => {
                w.line("NOTIFY");
                w.host(Name::CalleeAddress, message.address);
                w.secret_text(Name::Password, Some(message.password));
                w.secret_text(Name::EncryptKey, Some(message.encrypt_key));
                w.transaction(message.transaction);
                w.number(Name::Port, message.port);
                w.candidates(&message.candidates);
                w.binary(Name::Handle, message.handle.as_ref());
                w.binary(Name::CalleeKey, message.callee_key.as_ref());
                w.secret_text(Name::CalleePassword, message.callee_password);
                w.number(Name::Expires, message.expires);
            }
            Self::CallerNotice(message) => {
                w.line("NOTIFY");
                w.identifier(Name::CallerId, message.caller);
                w.secret_text(Name::Password, Some(message.password));
                w.secret_text(Name::EncryptKey, Some(message.encrypt_key));
                w.transaction(message.transaction);
                w.binary(Name::Handle, message.handle.as_ref());
                w.binary(Name::CallerKey, message.caller_key.as_ref());
                w.secret_text(Name::CalleePassword, message.callee_password);
                w.number(Name::Expires, message.expires);
                w.group(message.group);
            }
            Self::TunnelToken(message) => {
                w.line("NOTIFY");
                w.binary(Name::Tunnel, Some(&message.handle));
                w.secret(Name::Token, Some(&message.token));
                w.transaction(message.transaction);
            }
            Self::Resolved(message) => {
                w.line("NOTIFY");
                w.host(Name::Address, message.address);
                w.number(Name::Port, Some(message.port));
                w.candidates(&message.candidates);
                w.transaction(message.transaction);
            }
            Self::NotRegistered(message) => {
                w.notice("Not Registered.");
                w.transaction(message.transaction);
            }
            message => {
                if !deposit::write_told(message, w) {
                    message.write_said(w);
                }
            }
        }
        w.finish()
    }

    /// As [`Message::encode`], of what a terminal says: it carries no code for what only a broker does. Its lists go by [`Register::encode`] and [`Group::encode`].
    pub(crate) fn encode_said(&self, out: &mut [u8]) -> Result<usize, EncodeError> {
        let w = &mut Writer::new(out);
        self.write_said(w);
        w.finish()
    }

    fn write_said(&self, w: &mut Writer<'_>) {
        match self {
            Self::Hello(message) => hello(message, None, w),
            Self::DepositHello(message, frame) => hello(message, Some(*frame), w),
            Self::Query(message) => {
                w.line("QUERY");
                w.identifier(Name::Identifier, message.identifier);
                w.identifier(Name::Callee, message.callee);
                w.transaction(message.transaction);
            }
            Self::Request(message) => {
                w.line("REQUEST");
                w.identifier(Name::Identifier, message.identifier);
                w.secret_text(Name::Password, Some(message.password));
            }
            Self::Transfer(message) => {
                w.line("TRANSFER");
                w.identifier(Name::Caller, message.caller);
                w.identifier(Name::Callee, message.callee);
                w.number(Name::Size, Some(message.size));
                w.transaction(message.transaction);
                w.binary(Name::Handle, message.handle.as_ref());
                w.file_name(message.name);
                w.source(message.source.as_ref());
                w.flag(Name::Hash, message.hash);
                w.number(Name::Fetch, message.fetch);
            }
            Self::Fetch(message) => {
                w.line("FETCH");
                w.file_name(message.name);
                w.transaction(message.transaction);
            }
            Self::Lane(message) => lane(message, w),
            Self::Tunnel(message) => {
                w.line("TUNNEL");
                w.binary(Name::Handle, Some(&message.handle));
                w.transaction(message.transaction);
            }
            Self::Withdraw(message) => {
                w.line("WITHDRAW");
                w.binary(Name::Handle, Some(&message.handle));
                w.text(Name::Cause, message.cause);
                w.transaction(message.transaction);
            }
            Self::Release(message) => {
                w.line("RELEASE");
                w.binary(Name::Handle, Some(&message.handle));
            }
            Self::Address(message) => {
                w.line("ADDRESS");
                w.identifier(Name::Identifier, message.identifier);
                w.host(Name::Address, message.address);
                w.number(Name::Port, Some(message.port));
                w.candidates(&message.candidates);
                w.transaction(message.transaction);
            }
            Self::Ping(message) => {
                w.line("PING");
                w.transaction(message.transaction);
            }
            Self::Status(message) => status(message, w),
            Self::Accepted(message) => {
                w.notice("Request Accepted.");
                w.transaction(message.transaction);
                w.secret_text(Name::CalleePassword, message.callee_password);
            }
            Self::Denied(message) => {
                w.notice(match message.denial {
                    Denial::NotPermitted => "Permission Denied.",
                    Denial::NotFound => "Callee not Found.",
                    Denial::NotConnected => "Callee not Connected.",
                });
                w.transaction(message.transaction);
                w.text(Name::Cause, message.cause);
                w.number(Name::RetryAfter, message.retry_after);
            }
            Self::StatusAnswer(message) => {
                w.notice(if message.acceptable { "STATUS Acceptable." } else { "STATUS Busy." });
                w.transaction(message.transaction);
                w.number(Name::RetryAfter, message.retry_after);
            }
            Self::TransferAnswer(message) => {
                w.notice(if message.accepted { "Transfer Accepted." } else { "Transfer Refused." });
                w.identifier(Name::Answer, message.answer);
                w.transaction(message.transaction);
                w.text(Name::Cause, message.cause);
                w.secret(Name::Token, message.token.as_ref());
                w.secret(Name::PeerToken, message.peer_token.as_ref());
                w.number(Name::Offset, message.offset);
                w.number(Name::Frame, message.frame);
            }
            Self::TransferDone(message) => {
                w.notice(if message.complete { "Transfer Complete." } else { "Transfer Failed." });
                w.transaction(message.transaction);
                w.text(Name::Cause, message.cause);
            }
            message => deposit::write_said(message, w),
        }
    }
}

impl<L> Register<'_, L> {
    /// Writes M1–M4 with a list from anywhere, such as `permitted.iter()` over [`Identifier`](crate::identifier::Identifier)s,
    /// to the start of `out` and returns its length.
    ///
    /// # Errors
    /// As [`Message::encode`]. An empty list is refused unless it is `Create`'s.
    pub fn encode<I: AsRef<str>>(self, out: &mut [u8]) -> Result<usize, EncodeError>
    where
        L: IntoIterator<Item = I>,
    {
        let w = &mut Writer::new(out);
        register(self, w);
        w.finish()
    }
}

impl<L> Group<'_, L> {
    /// Writes `GROUP` with a list from anywhere to the start of `out` and returns its length.
    ///
    /// # Errors
    /// As [`Message::encode`]. An empty list is refused unless it is `Create`'s.
    pub fn encode<I: AsRef<str>>(self, out: &mut [u8]) -> Result<usize, EncodeError>
    where
        L: IntoIterator<Item = I>,
    {
        let w = &mut Writer::new(out);
        group(self, w);
        w.finish()
    }
}

fn hello(message: &Hello<'_>, frame: Option<u32>, w: &mut Writer<'_>) {
    w.line("HELLO");
    w.identifier(Name::Identifier, message.identifier);
    w.secret_text(Name::Ticket, message.ticket);
    w.flag(Name::Listen, message.listen);
    w.transaction(message.transaction);
    w.number(Name::Frame, frame);
}

fn register<I: AsRef<str>, L: IntoIterator<Item = I>>(message: Register<'_, L>, w: &mut Writer<'_>) {
    w.line("REGISTER");
    w.identifier(Name::Identifier, message.identifier);
    list_change(Name::Accept, message.change, w);
    w.transaction(message.transaction);
    w.number(Name::Revision, message.revision);
}

fn group<I: AsRef<str>, L: IntoIterator<Item = I>>(message: Group<'_, L>, w: &mut Writer<'_>) {
    w.line("GROUP");
    w.identifier(Name::Identifier, message.identifier);
    w.identifier(Name::Group, message.group);
    list_change(Name::Members, message.change, w);
    w.transaction(message.transaction);
}

fn list_change<I: AsRef<str>, L: IntoIterator<Item = I>>(
    name: Name,
    change: ListChange<L>,
    w: &mut Writer<'_>,
) {
    w.put(name.text());
    w.put(":");
    match change {
        ListChange::Create(list) => w.put_list("Create ", list, true),
        ListChange::Add(list) => w.put_list("Add ", list, false),
        ListChange::Delete(list) => w.put_list("Delete ", list, false),
        ListChange::AddAndDelete { add, delete } => {
            w.put_list("Add ", add, false);
            w.put_list("Delete ", delete, false);
        }
    }
}

fn lane(message: &Lane, w: &mut Writer<'_>) {
    w.line("LANE");
    w.value(Name::Class, if message.class == Class::Sealed { "sealed" } else { "rest" });
    w.transaction(message.transaction);
    if let Some(path) = message.path {
        w.value(Name::Path, if path == Path::Direct { "direct" } else { "relay" });
    }
    if let Some(protection) = message.protection {
        w.value(Name::Protection, if protection == Protection::Sealed { "sealed" } else { "clear" });
    }
    w.number(Name::Suite, message.suite);
    w.secret(Name::LaneKey, message.lane_key.as_ref());
    w.secret(Name::Token, message.token.as_ref());
}

fn status(message: &Status<'_>, w: &mut Writer<'_>) {
    let code = message.code.number();
    w.check(Name::Status, (100..=999).contains(&code) && is_text(message.text));
    w.line("NOTIFY");
    w.put("Status:");
    w.put_number(code.into());
    w.put(" ");
    w.line(message.text);
    w.transaction(message.transaction);
    w.number(Name::RetryAfter, message.retry_after);
    w.number(Name::Revision, message.revision);
    w.binary(Name::Digest, message.digest.as_ref());
    w.flag(Name::Relay, message.relay);
    w.number(Name::LargestTransfer, message.largest_transfer);
}
