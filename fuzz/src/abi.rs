//! Sequences of calls of the C ABI on a terminal's storage, with a broker behind it whose key the fuzzer has. Every result
//! is one that has a text; outputs are written on success only; memory is the sanitizer's to watch.

use crate::input::Input;
use core::mem::MaybeUninit;
use p2pgate::link::{Handshake, MaxRecord, Parsed, Preamble, Record, SecretKey, Transport, record};
use p2pgate_ffi::deposit::*;
use p2pgate_ffi::event::*;
use p2pgate_ffi::fetch::*;
use p2pgate_ffi::lists::*;
use p2pgate_ffi::result::*;
use p2pgate_ffi::terminal::*;
use p2pgate_ffi::transfer::*;
use p2pgate_ffi::transport::*;
use std::ffi::CStr;

const SESSIONS: usize = 2;
const PEERS: usize = 3;
const WORDS: usize = P2PGATE_CORE_WORDS + SESSIONS * P2PGATE_SESSION_WORDS + PEERS * P2PGATE_PEER_WORDS;
const MAX_RECORD: u16 = 1_024;

/// A link's other end.
struct Link {
    number: u32,
    sent: Vec<u8>,
    to: Vec<u8>,
    transport: Option<Transport>,
    shaken: bool,
}

struct World {
    // In a heap block of its very size, so that nothing can be written behind it unnoticed.
    storage: Box<[u64]>,
    now: u64,
    links: Vec<Link>,
    sessions: Vec<u32>,
    drawn: u8,
}

fn known(result: p2pgate_result_t) -> p2pgate_result_t {
    // SAFETY: the text is a constant.
    let text = unsafe { CStr::from_ptr(p2pgate_strerror(result)) };
    assert!(!text.to_bytes().starts_with(b"this library has no such"), "{result} has no text");
    result
}

fn broker() -> SecretKey {
    SecretKey::new([2; 32])
}

impl World {
    fn init(&mut self) -> p2pgate_result_t {
        let (key, seed, mut new_seed) = (broker().public_key(), [self.drawn; 32], [0; 32]);
        let config = p2pgate_config_t {
            struct_size: size_of::<p2pgate_config_t>(),
            identifier: c"Ia".as_ptr(),
            identifier_length: 2,
            secret_key: [1_u8; 32].as_ptr(),
            broker_key: key.as_bytes().as_ptr(),
            max_record: MAX_RECORD.into(),
            max_frame: 700,
            suite: 1,
            listen: 1,
            allow_loopback: 0,
            load_limit: 80,
            load_hysteresis: 10,
            load_sessions: 2,
        };
        let storage = self.storage.as_mut_ptr();
        // SAFETY: all of it is there.
        unsafe {
            p2pgate_terminal_init(
                storage,
                WORDS,
                SESSIONS,
                PEERS,
                &config,
                seed.as_ptr(),
                seed.as_ptr(),
                new_seed.as_mut_ptr(),
            )
        }
    }

    fn terminal(&mut self) -> *mut u64 {
        self.storage.as_mut_ptr()
    }

    fn events(&mut self) {
        for _ in 0..200 {
            let mut event = MaybeUninit::<p2pgate_event_t>::uninit();
            // SAFETY: the storage and the event are there.
            if known(unsafe { p2pgate_terminal_poll_event(self.terminal(), event.as_mut_ptr()) })
                != P2PGATE_OK
            {
                return;
            }
            // SAFETY: success has written it.
            let event = unsafe { event.assume_init() };
            if event.link != 0 && self.links.iter().all(|link| link.number != event.link) {
                let number = event.link;
                self.links.push(Link { number, sent: vec![], to: vec![], transport: None, shaken: false });
            }
            self.sessions.retain(|session| *session != event.session);
            self.sessions.push(event.session);
        }
        panic!("there is no end of events");
    }

    /// Takes what a link has to send into a buffer of so many bytes.
    fn transmit(&mut self, at: usize, room: usize) {
        let (terminal, now) = (self.terminal(), self.now);
        let Some(link) = self.links.get_mut(at) else { return };
        let (mut out, mut length) = (vec![0_u8; room], usize::MAX);
        // SAFETY: all of it is there.
        let result = known(unsafe {
            p2pgate_terminal_poll_transmit(terminal, link.number, out.as_mut_ptr(), room, now, &mut length)
        });
        if result != P2PGATE_OK {
            return;
        }
        assert!(length > 0 && length <= room);
        link.sent.extend_from_slice(&out[..length]);
        self.shake(at);
    }

    /// The broker's half of the handshake, once its first message is there.
    fn shake(&mut self, at: usize) {
        self.drawn = self.drawn.wrapping_add(1);
        let link = &mut self.links[at];
        if link.shaken {
            return;
        }
        let Ok(Parsed::Complete(preamble, used)) = Preamble::parse(&link.sent) else { return };
        let Ok(Record::Complete(total)) = record(&link.sent[used..], MaxRecord::MIN) else { return };
        let mut message = link.sent[used..used + total].to_vec();
        link.shaken = true;
        let max = MaxRecord::new(4_096).unwrap();
        let Ok(mut handshake) = Handshake::control_responder(&preamble, &broker(), max, [self.drawn; 32])
        else {
            return;
        };
        if handshake.read(&mut message).is_err() {
            return;
        }
        let mut answer = [0; 512];
        let length = handshake.write(&[], &mut answer).unwrap();
        link.to.extend_from_slice(&answer[..length]);
        link.transport = handshake.finish().ok();
    }

    /// Hands in what waits for a link.
    fn deliver(&mut self, at: usize) {
        let (terminal, now) = (self.terminal(), self.now);
        for _ in 0..100 {
            let Some(link) = self.links.get_mut(at) else { return };
            if link.to.is_empty() {
                return;
            }
            let mut bytes = link.to.clone();
            let mut input = MaybeUninit::<p2pgate_input_t>::uninit();
            // SAFETY: all of it is there.
            let result = known(unsafe {
                p2pgate_terminal_handle_input(
                    terminal,
                    link.number,
                    bytes.as_mut_ptr(),
                    bytes.len(),
                    now,
                    input.as_mut_ptr(),
                )
            });
            if result != P2PGATE_OK {
                return;
            }
            // SAFETY: success has written it.
            let input = unsafe { input.assume_init() };
            assert!(input.consumed <= bytes.len() && input.need <= 2 + usize::from(MAX_RECORD).max(702));
            link.to = bytes.split_off(input.consumed);
            if input.step == P2PGATE_STEP_CLOSED {
                link.to.clear();
            }
            if input.consumed == 0 {
                return;
            }
        }
    }

    fn say(&mut self, at: usize, text: &[u8]) {
        let Some(transport) = self.links.get_mut(at).and_then(|link| link.transport.as_mut()) else { return };
        let mut sealed = vec![0; 4_000];
        if let Ok(length) = transport.seal(&text[..text.len().min(900)], &mut sealed) {
            self.links[at].to.extend_from_slice(&sealed[..length]);
            self.deliver(at);
        }
    }
}

pub fn check(input: &[u8]) {
    let mut input = Input(input);
    let storage = vec![0; WORDS].into_boxed_slice();
    let mut world = World { storage, now: 1_000, links: vec![], sessions: vec![0], drawn: 0 };
    for _ in 0..80 {
        if input.is_empty() {
            break;
        }
        act(&mut world, &mut input);
    }
    // SAFETY: the storage is there, whatever is in it.
    known(unsafe { p2pgate_terminal_deinit(world.terminal()) });
}

fn act(world: &mut World, input: &mut Input<'_>) {
    let (t, now) = (world.terminal(), world.now);
    let at = input.below(4);
    let link = world.links.get(at).map_or(at as u32, |link| link.number);
    let session = world.sessions.iter().rev().nth(at).copied().unwrap_or(at as u32);
    let mut out = vec![0_u8; 1 + usize::from(input.byte()) * 8];
    let (room, mut length, mut number) = (out.len(), usize::MAX, u32::MAX);
    // SAFETY, for all calls: the storage is there and nothing else uses it; what is given lives as long as the call.
    let result = unsafe {
        match input.below(34) {
            0 => {
                // What lives there already must have ended before.
                p2pgate_terminal_deinit(t);
                world.links.clear();
                world.init()
            }
            1 => p2pgate_terminal_connect(t, now),
            2 => p2pgate_terminal_link_opened(t, link, now),
            3 => p2pgate_terminal_link_closed(t, link, now),
            4 | 5 => {
                world.transmit(at, room);
                world.deliver(at);
                P2PGATE_OK
            }
            6 | 7 => {
                world.say(at, input.bytes());
                P2PGATE_OK
            }
            8 => {
                world
                    .links
                    .get_mut(at)
                    .into_iter()
                    .for_each(|link| link.to.extend_from_slice(input.counted()));
                world.deliver(at);
                P2PGATE_OK
            }
            9 => {
                world.now = now.saturating_add(input.number());
                p2pgate_terminal_handle_timeout(t, world.now)
            }
            10 => {
                let result = p2pgate_terminal_accepted(t, now, &mut number);
                if result == P2PGATE_OK {
                    world.links.push(Link {
                        number,
                        sent: vec![],
                        to: vec![],
                        transport: None,
                        shaken: true,
                    });
                }
                result
            }
            11 => {
                let callee = input.bytes();
                p2pgate_terminal_call(t, callee.as_ptr().cast(), callee.len(), now, &mut number)
            }
            12 => {
                let (name, key) = (input.bytes(), [input.byte(); 32]);
                let key = if key[0] == 0 { core::ptr::null() } else { key.as_ptr() };
                let entry =
                    p2pgate_entry_t { identifier: name.as_ptr().cast(), identifier_length: name.len(), key };
                let none = core::ptr::null();
                match input.below(3) {
                    0 => p2pgate_terminal_permit(t, &entry, 1, none, 0),
                    1 => p2pgate_terminal_permit(t, none, 0, &entry, 1),
                    _ => p2pgate_terminal_permit_create(t, &entry, 1),
                }
            }
            13 => {
                let blob = input.counted();
                match input.below(2) {
                    0 => p2pgate_terminal_restore(t, blob.as_ptr(), blob.len()),
                    _ => p2pgate_terminal_adopt_pins(t, blob.as_ptr(), blob.len()),
                }
            }
            14 => {
                let result = p2pgate_terminal_blob(t, out.as_mut_ptr(), room, &mut length);
                assert!(if result == P2PGATE_OK { length <= room } else { length == usize::MAX });
                result
            }
            15 => p2pgate_terminal_persisted(t),
            16 => {
                let ticket = input.bytes();
                p2pgate_terminal_enrol(t, ticket.as_ptr().cast(), ticket.len())
            }
            17 => {
                let address = p2pgate_address_t {
                    family: input.below(8) as u32,
                    port: input.number() as u32,
                    scope: input.number() as u32,
                    ip: [input.byte(); 16],
                };
                p2pgate_terminal_listen_at(t, &address, 1)
            }
            18 => p2pgate_terminal_set_load(t, input.number() as u32),
            19 => {
                let (name, source) = (input.bytes(), input.counted());
                let offer = p2pgate_offer_t {
                    struct_size: size_of::<p2pgate_offer_t>(),
                    name: name.as_ptr().cast(),
                    name_length: name.len(),
                    source: source.as_ptr(),
                    source_length: source.len(),
                    size: input.number(),
                    sealed_bytes: input.number(),
                    rest_bytes: input.number(),
                    sealed_way: input.below(6) as u32,
                    rest_way: input.below(6) as u32,
                    hash: input.below(2) as u32,
                    reserved: 0,
                };
                p2pgate_terminal_offer(t, session, &offer, now)
            }
            20 => p2pgate_terminal_offered(t, session, MaybeUninit::uninit().as_mut_ptr()),
            21 => p2pgate_terminal_accept(t, session, input.number(), now),
            22 => p2pgate_terminal_refuse(t, session, input.below(8) as u32, now),
            23 => p2pgate_terminal_stored(t, session, now),
            24 => p2pgate_terminal_not_stored(t, session, input.below(8) as u32, now),
            25 => p2pgate_terminal_abandon(t, session, input.below(8) as u32, now),
            26 => p2pgate_terminal_close(t, session),
            27 => {
                let piece = p2pgate_piece_t {
                    segment: input.number(),
                    offset: input.number(),
                    length: input.number() as usize,
                    class_: input.below(4) as u32,
                };
                let mut frame = MaybeUninit::uninit();
                p2pgate_terminal_seal(t, session, &piece, out.as_mut_ptr(), room, now, frame.as_mut_ptr())
            }
            28 => {
                let name = input.bytes();
                let (mut frame, buffer) = (MaybeUninit::uninit(), out.as_mut_ptr());
                let (name, length, frame) = (name.as_ptr().cast(), name.len(), frame.as_mut_ptr());
                p2pgate_terminal_seal_part(t, session, name, length, buffer, room, now, frame)
            }
            29 => {
                let source = input.counted();
                let (size, hash) = (input.number(), input.below(2) as u32);
                p2pgate_terminal_deposit(t, session, size, source.as_ptr(), source.len(), hash, now)
            }
            30 => match input.below(9) {
                4 => p2pgate_terminal_share(t, input.below(2) as u32),
                5 => {
                    let name = input.bytes();
                    p2pgate_terminal_fetch(t, session, name.as_ptr().cast(), name.len(), now)
                }
                6 => p2pgate_terminal_wanted(t, session, MaybeUninit::uninit().as_mut_ptr()),
                0 => p2pgate_terminal_list_deposits(t),
                1 => {
                    let (name, replace) = (input.bytes(), input.below(2) as u32);
                    let entries = ["Ib", "Ic"].map(|name| p2pgate_entry_t {
                        identifier: name.as_ptr().cast(),
                        identifier_length: name.len(),
                        key: core::ptr::null(),
                    });
                    let mut frame = MaybeUninit::uninit();
                    let frame = frame.as_mut_ptr();
                    let (add, remove) = (input.below(3), input.below(3));
                    let (name, length) = (name.as_ptr().cast(), name.len());
                    let (entries, buffer) = (entries.as_ptr(), out.as_mut_ptr());
                    p2pgate_terminal_group(
                        t, name, length, replace, entries, add, entries, remove, buffer, room, frame,
                    )
                }
                2 => {
                    let (name, port) = (input.bytes(), input.number() as u16);
                    let (name, length) = (name.as_ptr().cast(), name.len());
                    let mut frame = MaybeUninit::uninit();
                    let (buffer, frame) = (out.as_mut_ptr(), frame.as_mut_ptr());
                    p2pgate_terminal_announce(t, name, length, port, buffer, room, frame)
                }
                3 => p2pgate_terminal_collect_again(t),
                7 => p2pgate_terminal_is_admitted(t, session, MaybeUninit::uninit().as_mut_ptr()),
                _ => p2pgate_terminal_withdraw_deposit(t, [input.byte(); 16].as_ptr()),
            },
            31 => p2pgate_terminal_permitted(t, at, MaybeUninit::uninit().as_mut_ptr()),
            32 => p2pgate_terminal_peer(t, session, MaybeUninit::uninit().as_mut_ptr()),
            _ => {
                // A byte of the storage's guard is changed: an error from then on, nothing worse.
                p2pgate_terminal_deinit(t);
                world.storage[0] ^= input.number();
                p2pgate_terminal_status(t, MaybeUninit::uninit().as_mut_ptr())
            }
        }
    };
    known(result);
    world.events();
}
