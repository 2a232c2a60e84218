//! Connections: what comes in, what goes out, and when.

use crate::memory::{Out, Outcome, bytes_mut};
use crate::result::*;
use crate::sframe::p2pgate_range_t;
use crate::terminal::with;
use core::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use p2pgate::terminal::{LinkId, Step, TransmitError};

/// An IP address and port.
#[repr(C)]
pub struct p2pgate_address_t {
    /// 4 or 6; 0 where there is none.
    pub family: u32,
    /// The port, in the machine's byte order.
    pub port: u32,
    /// IPv6: the scope of a link-local address, else 0.
    pub scope: u32,
    /// The address, in network order: 4 bytes and zeros, or 16.
    pub ip: [u8; 16],
}

pub(crate) fn address_of(address: &p2pgate_address_t) -> Outcome<SocketAddr> {
    let port = u16::try_from(address.port).map_err(|_| P2PGATE_E_ARGUMENT)?;
    match address.family {
        4 => {
            let [a, b, c, d, ..] = address.ip;
            Ok(SocketAddr::from(([a, b, c, d], port)))
        }
        6 => Ok(SocketAddrV6::new(Ipv6Addr::from(address.ip), port, 0, address.scope).into()),
        _ => Err(P2PGATE_E_ARGUMENT),
    }
}

impl p2pgate_address_t {
    pub(crate) const NONE: Self = Self { family: 0, port: 0, scope: 0, ip: [0; 16] };

    pub(crate) fn new(address: SocketAddr) -> Self {
        let (family, ip) = match address.ip() {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                (4, [a, b, c, d, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])
            }
            IpAddr::V6(ip) => (6, ip.octets()),
        };
        let scope = if let SocketAddr::V6(address) = address { address.scope_id() } else { 0 };
        Self { family, port: address.port().into(), scope, ip }
    }
}

/// Nothing is done with fewer than `need` bytes at the front: read more.
pub const P2PGATE_STEP_NEED_MORE: u32 = 0;
/// Call again with what is left behind `consumed`.
pub const P2PGATE_STEP_PROGRESS: u32 = 1;
/// Keep the bytes and stop reading this link; try again after something else went on: an event taken, another link's input or output.
pub const P2PGATE_STEP_BLOCKED: u32 = 2;
/// `payload` of the bytes given is the recording's from `offset` on, opened in place. Take it, then call again with what is left behind `consumed`.
pub const P2PGATE_STEP_PAYLOAD: u32 = 3;
/// The link is over; P2PGATE_EVENT_CLOSE says so too.
pub const P2PGATE_STEP_CLOSED: u32 = 4;

/// `payload` of the bytes given is the identifier of the callee of a deposit of this terminal's, in answer to p2pgate_terminal_list_deposits. Take it, then
/// call again with what is left behind `consumed`.
pub const P2PGATE_STEP_DEPOSIT: u32 = 5;

/// How far p2pgate_terminal_handle_input got.
#[repr(C)]
pub struct p2pgate_input_t {
    /// P2PGATE_STEP_...
    pub step: u32,
    /// With P2PGATE_STEP_PAYLOAD: the session; else 0.
    pub session: u32,
    /// With P2PGATE_STEP_PAYLOAD: its first byte's place in the recording; with P2PGATE_STEP_DEPOSIT: the bytes of it that the broker keeps; else 0.
    pub offset: u64,
    /// So many bytes at the front are done with.
    pub consumed: usize,
    /// With P2PGATE_STEP_NEED_MORE: the bytes that are needed, never more than the link's largest record or frame with its length; else 0.
    pub need: usize,
    /// With P2PGATE_STEP_PAYLOAD and P2PGATE_STEP_DEPOSIT: where in the bytes given it is; else zeros.
    pub payload: p2pgate_range_t,
    /// With P2PGATE_STEP_DEPOSIT: the recording's length; else 0.
    pub size: u64,
    /// With P2PGATE_STEP_DEPOSIT: its number; else zeros.
    pub deposit: [u8; 16],
}

/// A connection came in: `link` gets its number. On an error close it.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_INCOMING_FULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_accepted(
    terminal: *mut u64,
    now: u64,
    link: *mut u32,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let out = Out::new(link)?;
            out.put(held.terminal.accepted(now).map_err(|_| P2PGATE_E_INCOMING_FULL)?.number());
            Ok(())
        })
    }
}

/// The connection that P2PGATE_EVENT_CONNECT asked for is there. Unknown links are passed over.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_link_opened(
    terminal: *mut u64,
    link: u32,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.link_opened(LinkId::from_number(link), now);
            Ok(())
        })
    }
}

/// A connection could not be opened, or has ended and everything that it brought has been handed in. Unknown links are passed over.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_link_closed(
    terminal: *mut u64,
    link: u32,
    now: u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.link_closed(LinkId::from_number(link), now);
            Ok(())
        })
    }
}

/// Takes what arrived on a link, opening it in place: `bytes` change. `input` says what follows. A link that is unknown is over.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_handle_input(
    terminal: *mut u64,
    link: u32,
    bytes: *mut u8,
    length: usize,
    now: u64,
    input: *mut p2pgate_input_t,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (bytes, out) = (bytes_mut(bytes, length)?, Out::new(input)?);
            let input = held.terminal.handle_input(LinkId::from_number(link), bytes, now);
            let mut flat = p2pgate_input_t {
                step: P2PGATE_STEP_CLOSED,
                session: 0,
                offset: 0,
                consumed: input.consumed,
                need: 0,
                payload: p2pgate_range_t { start: 0, length: 0 },
                size: 0,
                deposit: [0; 16],
            };
            match input.step {
                Step::NeedMore(need) => (flat.step, flat.need) = (P2PGATE_STEP_NEED_MORE, need),
                Step::Progress => flat.step = P2PGATE_STEP_PROGRESS,
                Step::Blocked => flat.step = P2PGATE_STEP_BLOCKED,
                Step::Payload { session, offset, range } => {
                    flat.step = P2PGATE_STEP_PAYLOAD;
                    (flat.session, flat.offset, flat.payload) = (session.number(), offset, range.into());
                }
                Step::Deposit { deposit, size, kept, callee } => {
                    (flat.step, flat.deposit) = (P2PGATE_STEP_DEPOSIT, deposit);
                    (flat.size, flat.offset, flat.payload) = (size, kept, callee.into());
                }
                Step::Closed => {}
            }
            out.put(flat);
            Ok(())
        })
    }
}

/// Writes the next bytes for a link to `bytes`, and to `length` how many; P2PGATE_NOTHING: none for now. Call it until then, for every open link, after any
/// other call. P2PGATE_TRANSMIT_LENGTH(peers) bytes of room are always enough, 1200 for everything but a long list. On an error nothing is lost.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT, P2PGATE_E_ARGUMENT, P2PGATE_E_BUFFER, P2PGATE_E_TEXT_TOO_LONG, P2PGATE_E_LINK_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_poll_transmit(
    terminal: *mut u64,
    link: u32,
    bytes: *mut u8,
    room: usize,
    now: u64,
    length: *mut usize,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let (bytes, out) = (bytes_mut(bytes, room)?, Out::new(length)?);
            match held.terminal.poll_transmit(LinkId::from_number(link), bytes, now) {
                Ok(0) => Err(P2PGATE_NOTHING),
                Ok(written) => {
                    out.put(written);
                    Ok(())
                }
                Err(error) => Err(transmit_code(error)),
            }
        })
    }
}

pub(crate) const fn transmit_code(error: TransmitError) -> p2pgate_result_t {
    match error {
        TransmitError::BufferTooSmall { .. } => P2PGATE_E_BUFFER,
        TransmitError::TextTooLong => P2PGATE_E_TEXT_TOO_LONG,
        TransmitError::Closed => P2PGATE_E_LINK_CLOSED,
    }
}

/// When p2pgate_terminal_handle_timeout is to be called next, if nothing else is called before; P2PGATE_NOTHING: never.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_poll_timeout(
    terminal: *mut u64,
    deadline: *mut u64,
) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            let out = Out::new(deadline)?;
            out.put(held.terminal.poll_timeout().ok_or(P2PGATE_NOTHING)?);
            Ok(())
        })
    }
}

/// Time has passed.
///
/// Errors: P2PGATE_E_NULL, P2PGATE_E_STORAGE, P2PGATE_E_OBJECT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn p2pgate_terminal_handle_timeout(terminal: *mut u64, now: u64) -> p2pgate_result_t {
    // SAFETY: the caller's promise.
    unsafe {
        with(terminal, |held| {
            held.terminal.handle_timeout(now);
            Ok(())
        })
    }
}
