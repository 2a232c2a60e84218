//! What stands for the image's network stack: connects four of its UARTs as it says on the fifth. `examples/firmware/README.md` has the commands.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// UARTs that carry connections; the next one carries commands.
pub const CHANNELS: usize = 4;

/// Between an image's UARTs and the network.
pub struct Modem {
    shared: Arc<Shared>,
    address: SocketAddr,
}

struct Shared {
    /// To the image, the modem's own lines.
    lines: Mutex<UnixStream>,
    channels: Vec<Channel>,
    /// Connections that came and are not yet taken.
    waiting: Mutex<VecDeque<TcpStream>>,
    ended: AtomicBool,
}

/// A UART. Bytes are counted from the start, each way: so both sides know where one connection ends and the next begins.
struct Channel {
    serial: UnixStream,
    /// Bytes brought to the image.
    brought: AtomicU32,
    side: Mutex<Side>,
    free: Condvar,
}

/// The way from the image.
#[derive(Default)]
struct Side {
    stream: Option<TcpStream>,
    /// Bytes of the image's so far, and where the connection ends.
    passed: u32,
    until: Option<u32>,
    /// The image hasn't given up while the connection was being made.
    wanted: bool,
}

impl Modem {
    /// A modem on an image's UARTs.
    pub fn start(mut serials: Vec<UnixStream>) -> Self {
        let lines = serials.pop().unwrap();
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let channels = serials.into_iter().map(|serial| Channel {
            serial,
            brought: AtomicU32::new(0),
            side: Mutex::default(),
            free: Condvar::new(),
        });
        let shared = Arc::new(Shared {
            lines: Mutex::new(lines.try_clone().unwrap()),
            channels: channels.collect(),
            waiting: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        assert_eq!(shared.channels.len(), CHANNELS);
        for number in 0..CHANNELS {
            let shared = Arc::clone(&shared);
            thread::spawn(move || shared.take_from_image(number));
        }
        let ringing = Arc::clone(&shared);
        thread::spawn(move || ringing.ring(&listener));
        let commanded = Arc::clone(&shared);
        thread::spawn(move || {
            // A line that is cut short ends with the image.
            for line in BufReader::new(lines).lines().map_while(Result::ok) {
                commanded.obey(&line, address);
            }
        });
        Self { shared, address }
    }

    /// Gives the device something else to work on, or takes it away.
    pub fn work(&self, on: bool) {
        self.shared.say(&format!("WORK {}", u8::from(on)));
    }
}

impl Drop for Modem {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        for channel in &self.shared.channels {
            if let Some(stream) = channel.side.lock().unwrap().stream.take() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        }
    }
}

impl Shared {
    /// The image may be gone.
    fn say(&self, line: &str) {
        let _ = self.lines.lock().unwrap().write_all(format!("{line}\n").as_bytes());
    }

    fn ring(&self, listener: &TcpListener) {
        for stream in listener.incoming() {
            if self.ended.load(Ordering::SeqCst) {
                return;
            }
            self.waiting.lock().unwrap().push_back(stream.unwrap());
            self.say("RING");
        }
    }

    fn obey(self: &Arc<Self>, line: &str, address: SocketAddr) {
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            ["LISTEN"] => self.say(&format!("LISTENING {}", address.port())),
            ["CONNECT", channel, to] => {
                let (channel, to) = (channel.parse().unwrap(), to.to_owned());
                self.claim(channel);
                let shared = Arc::clone(self);
                thread::spawn(move || shared.connect(channel, to.parse().unwrap()));
            }
            ["ACCEPT", channel] => {
                let channel = channel.parse().unwrap();
                self.claim(channel);
                let stream = self.waiting.lock().unwrap().pop_front().unwrap();
                self.attach(channel, stream);
            }
            ["CLOSE", channel, written] => {
                let channel = &self.channels[channel.parse::<usize>().unwrap()];
                let mut side = channel.side.lock().unwrap();
                side.until = Some(written.parse().unwrap());
                side.wanted = false;
                channel.end_if_due(&mut side);
            }
            _ => panic!("the image says {line:?}"),
        }
    }

    /// Waits until the last connection's bytes have gone out.
    fn claim(&self, number: usize) {
        let channel = &self.channels[number];
        let side = channel.side.lock().unwrap();
        let mut side = channel.free.wait_while(side, |side| side.until.is_some()).unwrap();
        assert!(side.stream.is_none(), "channel {number} is in use");
        side.wanted = true;
    }

    fn connect(self: &Arc<Self>, number: usize, to: SocketAddr) {
        match TcpStream::connect_timeout(&to, Duration::from_secs(5)) {
            Ok(stream) if self.channels[number].side.lock().unwrap().wanted => {
                self.attach(number, stream);
                self.say(&format!("OPENED {number}"));
            }
            _ => self.closed(number),
        }
    }

    fn closed(&self, number: usize) {
        self.say(&format!("CLOSED {number} {}", self.channels[number].brought.load(Ordering::SeqCst)));
    }

    fn attach(self: &Arc<Self>, number: usize, stream: TcpStream) {
        stream.set_nodelay(true).unwrap();
        let mut reading = stream.try_clone().unwrap();
        self.channels[number].side.lock().unwrap().stream = Some(stream);
        let shared = Arc::clone(self);
        thread::spawn(move || {
            let channel = &shared.channels[number];
            let mut bytes = [0; 4096];
            while let Ok(length @ 1..) = reading.read(&mut bytes) {
                if (&channel.serial).write_all(&bytes[..length]).is_err() {
                    break;
                }
                channel.brought.fetch_add(length as u32, Ordering::SeqCst);
            }
            shared.closed(number);
        });
    }

    fn take_from_image(&self, number: usize) {
        let channel = &self.channels[number];
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = (&channel.serial).read(&mut bytes) {
            let stream = {
                let side = channel.side.lock().unwrap();
                side.stream.as_ref().map(|stream| stream.try_clone().unwrap())
            };
            // Without a stream they come too late: the other end has closed.
            if let Some(mut stream) = stream {
                let _ = stream.write_all(&bytes[..length]);
            }
            let mut side = channel.side.lock().unwrap();
            side.passed += length as u32;
            channel.end_if_due(&mut side);
        }
    }
}

impl Channel {
    /// Closes the connection once all that the image wrote has gone out. The image writes to no other before both sides have closed this one.
    fn end_if_due(&self, side: &mut Side) {
        if side.until.is_some_and(|until| side.passed >= until) {
            side.until = None;
            if let Some(stream) = side.stream.take() {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
            self.free.notify_all();
        }
    }
}
