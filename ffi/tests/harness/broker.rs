//! A broker for the C harness, with the library itself: one static library. It keeps everything in memory and believes every ticket.

#![allow(missing_docs, clippy::missing_safety_doc, clippy::unwrap_used, clippy::expect_used)]

use p2pgate::broker::{Broker, Config, Event, Next, Stored};
use p2pgate::link::SecretKey;
use p2pgate::message::DepositId;
use std::collections::{BTreeMap, BTreeSet};

pub use p2pgate_ffi::*;

pub struct Hub {
    broker: Broker,
    held: BTreeMap<u64, Vec<u8>>,
    output: BTreeMap<u64, Vec<u8>>,
    joined: BTreeMap<u64, u64>,
    closing: BTreeSet<u64>,
    files: BTreeMap<DepositId, Vec<u8>>,
    /// The lanes that fill them.
    takes: BTreeMap<u64, DepositId>,
}

impl Hub {
    fn feed(&mut self, connection: u64, now: u64) {
        let mut bytes = self.held.remove(&connection).unwrap_or_default();
        if let Some(other) = self.joined.get(&connection) {
            self.output.entry(*other).or_default().append(&mut bytes);
            return;
        }
        if let Some(deposit) = self.takes.get(&connection) {
            let taken = self.broker.deposit_input(connection, &bytes, now);
            self.files.entry(*deposit).or_default().extend_from_slice(&bytes[..taken]);
            return self.events(now);
        }
        let input = self.broker.handle_input(connection, &mut bytes, now);
        bytes.drain(..input.consumed);
        if input.next != Next::Closed {
            self.held.insert(connection, bytes);
        }
        self.events(now);
    }

    fn events(&mut self, now: u64) {
        while let Some(event) = self.broker.poll_event() {
            match event {
                Event::Transmit(connection) => {
                    self.broker.poll_transmit(connection, self.output.entry(connection).or_default());
                }
                Event::Close(connection) => {
                    self.broker.poll_transmit(connection, self.output.entry(connection).or_default());
                    self.closing.insert(connection);
                }
                Event::Store(request, _) => self.broker.stored(request, Stored::Done, now),
                Event::Splice { first, second, .. } => {
                    self.joined.extend([(first, second), (second, first)]);
                    self.feed(first, now);
                    self.feed(second, now);
                }
                Event::Cut { first, second } => self.closing.extend([first, second]),
                Event::Log(_)
                | Event::DialResolver
                | Event::LookUp { .. }
                | Event::FindLease { .. }
                | Event::Reach { .. } => {}
                Event::Deposit { connection, deposit, start } => {
                    self.files.entry(deposit).or_default().truncate(start as usize);
                    self.takes.insert(connection, deposit);
                    self.feed(connection, now);
                }
                Event::Collect { connection, deposit, start, end } => {
                    let part = &self.files[&deposit][start as usize..end as usize];
                    self.output.entry(connection).or_default().extend_from_slice(part);
                    self.closing.insert(connection);
                }
            }
        }
    }
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_broker(public_key: *mut u8) -> *mut Hub {
    let broker = Broker::new(Config::default(), SecretKey::new([9; 32]), [8; 32]);
    // SAFETY: the harness gives 32 bytes.
    unsafe { public_key.cast::<[u8; 32]>().write(*broker.public_key().as_bytes()) };
    Box::into_raw(Box::new(Hub {
        broker,
        held: BTreeMap::new(),
        output: BTreeMap::new(),
        joined: BTreeMap::new(),
        closing: BTreeSet::new(),
        files: BTreeMap::new(),
        takes: BTreeMap::new(),
    }))
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_broker_end(hub: *mut Hub) {
    // SAFETY: it came from `harness_broker`, and this is its end.
    drop(unsafe { Box::from_raw(hub) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_connected(hub: *mut Hub, connection: u64, now: u64) {
    // SAFETY: it came from `harness_broker`.
    let hub = unsafe { &mut *hub };
    hub.broker.connected(connection, "198.51.100.1:5".parse().unwrap(), now);
    hub.events(now);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_disconnected(hub: *mut Hub, connection: u64, now: u64) {
    // SAFETY: it came from `harness_broker`.
    let hub = unsafe { &mut *hub };
    hub.broker.disconnected(connection, now);
    if let Some(other) = hub.joined.remove(&connection) {
        hub.joined.remove(&other);
        hub.closing.insert(other);
    }
    hub.events(now);
}

#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_input(
    hub: *mut Hub,
    connection: u64,
    bytes: *const u8,
    length: usize,
    now: u64,
) {
    // SAFETY: both are the harness's promise.
    let (hub, bytes) = unsafe { (&mut *hub, std::slice::from_raw_parts(bytes, length)) };
    hub.held.entry(connection).or_default().extend_from_slice(bytes);
    hub.feed(connection, now);
}

/// The next bytes for a connection; 0: none for now.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_output(hub: *mut Hub, connection: u64, out: *mut u8, room: usize) -> usize {
    // SAFETY: both are the harness's promise.
    let (hub, out) = unsafe { (&mut *hub, std::slice::from_raw_parts_mut(out, room)) };
    let queue = hub.output.entry(connection).or_default();
    let length = queue.len().min(out.len());
    out.iter_mut().zip(queue.drain(..length)).for_each(|(place, byte)| *place = byte);
    length
}

/// Whether the broker ends a connection; nothing comes from it any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn harness_closes(hub: *mut Hub, connection: u64) -> i32 {
    // SAFETY: it came from `harness_broker`.
    let hub = unsafe { &mut *hub };
    let empty = hub.output.get(&connection).is_none_or(Vec::is_empty);
    (empty && hub.closing.remove(&connection)).into()
}
