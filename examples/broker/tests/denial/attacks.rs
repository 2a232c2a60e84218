//! What those do who want nobody to be served.

use crate::honest::connect_from;
use crate::support::{Served, Terminal, secret_key};
use p2pgate::link::{Handshake, MaxRecord};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Addresses that a crowd comes from.
const SOURCES: usize = 200;
/// New connections of a crowd in a second, at most.
const RATE: u64 = 2_000;
/// Threads, and enrolled terminals, of a flood.
const FLOOD: u8 = 4;

/// Preamble and message 1. The key in it is nobody's; it can be sent any number of times.
pub fn message_1(served: &Served) -> Vec<u8> {
    let key = secret_key(250);
    let mut handshake =
        Handshake::control_initiator(&key, &served.key, MaxRecord::new(8192).unwrap(), [7; 32]);
    let mut buffer = vec![0; 1024];
    let length = handshake.write(&[], &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}

/// Connections that hold on. Whoever is closed comes again.
pub struct Crowd {
    address: SocketAddr,
    members: Vec<Option<(TcpStream, usize)>>,
    opening: Vec<u8>,
    slowly: bool,
    opened: u64,
}

impl Crowd {
    pub fn new(address: SocketAddr, count: usize, opening: &[u8], slowly: bool) -> Self {
        let members = (0..count).map(|_| None).collect();
        Self { address, members, opening: opening.to_vec(), slowly, opened: 0 }
    }

    /// Until it is over; what came of it. `there` once each has come once.
    pub fn stay(mut self, there: &AtomicBool, over: &AtomicBool) -> String {
        let started = Instant::now();
        let mut spoke = Instant::now();
        let mut most = 0;
        while !over.load(Ordering::Relaxed) {
            let speak = self.slowly && spoke.elapsed() >= Duration::from_secs(1);
            if speak {
                spoke = Instant::now();
            }
            let mut open = 0;
            for place in 0..self.members.len() {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let alive = match &mut self.members[place] {
                    Some((stream, said)) => {
                        if speak && *said < self.opening.len() {
                            let _ = stream.write(&self.opening[*said..=*said]);
                            *said += 1;
                        }
                        matches!(stream.read(&mut [0; 256]), Ok(1..)) || is_open(stream)
                    }
                    None => false,
                };
                if alive {
                    open += 1;
                    continue;
                }
                self.members[place] = None;
                while started.elapsed().as_micros() < u128::from(self.opened * 1_000_000 / RATE) {
                    thread::sleep(Duration::from_micros(200));
                }
                // Not all are taken at once: the system's queue is short.
                let Ok(mut stream) = connect_from(2, 1 + (place % SOURCES) as u8, self.address) else {
                    continue;
                };
                self.opened += 1;
                if !self.slowly {
                    let _ = stream.write_all(&self.opening);
                }
                if stream.set_nonblocking(true).is_ok() {
                    self.members[place] = Some((stream, 0));
                    open += 1;
                }
            }
            most = most.max(open);
            there.store(true, Ordering::Relaxed);
            thread::sleep(Duration::from_millis(20));
        }
        format!("{most} at a time, {} in all from {SOURCES} addresses", self.opened)
    }
}

fn is_open(stream: &TcpStream) -> bool {
    matches!(stream.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// As many as the broker answers.
pub fn handshakes(served: &Served, there: &AtomicBool, over: &AtomicBool) -> String {
    let opening = message_1(served);
    let (done, count) = (&AtomicUsize::new(0), &AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..FLOOD {
            let opening = &opening;
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut streams: Vec<TcpStream> = (0..16)
                        .filter_map(|host| connect_from(3 + number, 1 + host, served.address).ok())
                        .filter(|mut stream| stream.write_all(opening).is_ok())
                        .collect();
                    for stream in &mut streams {
                        let answered = matches!(stream.read(&mut [0; 256]), Ok(1..));
                        done.fetch_add(usize::from(answered), Ordering::Relaxed);
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                    there.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    format!("{} of {} answered", done.load(Ordering::Relaxed), count.load(Ordering::Relaxed))
}

/// Enrolled terminals that say the same as fast as they can, sixteen without waiting for an answer.
pub fn texts(
    served: &Served,
    data: &Path,
    there: &AtomicBool,
    over: &AtomicBool,
    text: impl Fn(&str, usize) -> String + Sync,
) -> String {
    let (sent, refused) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..FLOOD {
            let (sent, refused, text) = (&sent, &refused, &text);
            let name = format!("mallory-{number}");
            let mut link = served.enrol(data, &name, 210 + number);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    for _ in 0..16 {
                        let count = sent.fetch_add(1, Ordering::Relaxed);
                        if link.try_send(&text(&name, count)).is_none() {
                            return;
                        }
                    }
                    for _ in 0..16 {
                        let Some(answer) = link.next() else { return };
                        refused.fetch_add(
                            usize::from(answer.contains("Status:429") || answer.contains("Retry After")),
                            Ordering::Relaxed,
                        );
                    }
                    there.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    format!("{} sent, {} told to wait", sent.load(Ordering::Relaxed), refused.load(Ordering::Relaxed))
}

/// Enrolled terminals that ask and never read; who is closed comes again.
pub fn unread(served: &Served, data: &Path, there: &AtomicBool, over: &AtomicBool) -> String {
    let (sent, closed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for number in 0..FLOOD {
            let (sent, closed) = (&sent, &closed);
            let name = format!("mallory-{number}");
            drop(served.enrol(data, &name, 210 + number));
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    let mut link: Terminal = served.terminal(&name, 210 + number);
                    while !over.load(Ordering::Relaxed) && link.try_send("PING\n").is_some() {
                        sent.fetch_add(1, Ordering::Relaxed);
                    }
                    closed.fetch_add(1, Ordering::Relaxed);
                    there.store(true, Ordering::Relaxed);
                }
            });
        }
    });
    format!("{} sent, {} links closed", sent.load(Ordering::Relaxed), closed.load(Ordering::Relaxed))
}
