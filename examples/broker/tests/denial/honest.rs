//! Honest terminals: alices that come, say hello, and ask for bob, who answers.

use crate::support::{PROGRAM, Served, Terminal, permit, secret_key, ticket, value};
use p2pgate::link::{Handshake, MaxRecord};
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

/// So many that none asks too often.
const ALICES: u8 = 60;

/// What honest terminals met with.
#[derive(Default)]
pub struct Times {
    /// From the first byte to the answered HELLO, and from QUERY to M11.
    pub links: Vec<Duration>,
    pub queries: Vec<Duration>,
    pub refused: usize,
}

impl Times {
    fn at(times: &mut [Duration], fraction: f64) -> f64 {
        times.sort_unstable();
        let place = ((times.len() as f64 * fraction) as usize).min(times.len().saturating_sub(1));
        times.get(place).map_or(0.0, |time| time.as_secs_f64() * 1e3)
    }

    /// A line about both.
    pub fn compare(quiet: &mut Self, under: &mut Self) -> String {
        let mut line = String::new();
        for (name, quiet, under) in
            [("query", &mut quiet.queries, &mut under.queries), ("link", &mut quiet.links, &mut under.links)]
        {
            let (before, during) = (Self::at(quiet, 0.99), Self::at(under, 0.99));
            line += &format!(
                "{name}: {} quiet, median {:.2} ms, p99 {before:.2} ms; {} meanwhile, median {:.2} ms, p99 {during:.2} ms: {:.1} times; ",
                quiet.len(),
                Self::at(quiet, 0.5),
                under.len(),
                Self::at(under, 0.5),
                during / before
            );
        }
        format!("{line}refused {}", under.refused)
    }
}

pub struct Household {
    next: u8,
}

/// A connection from 127.0.`net`.`host`.
pub fn connect_from(net: u8, host: u8, to: SocketAddr) -> std::io::Result<std::net::TcpStream> {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None)?;
    bind(&socket, &SocketAddr::from(([127, 0, net, host], 0)))?;
    connect(&socket, &to)?;
    let stream = std::net::TcpStream::from(socket);
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

impl Household {
    /// bob permits all alices; everybody is enrolled.
    pub fn enrol(served: &Served, data: &Path) -> Self {
        for alice in 1..=ALICES {
            drop(served.enrol(data, &format!("alice-{alice}"), alice));
        }
        let mut bob = served.enrol(data, "bob", 200);
        permit(&mut bob);
        let names: Vec<String> = (1..=ALICES).map(|alice| format!("alice-{alice}")).collect();
        let answer =
            bob.ask(&format!("REGISTER\nIdentifier:bob\nAccept:Create {}\nRevision:2\n", names.join(",")));
        assert!(answer.contains("Status:200"), "{answer}");
        assert!(Path::new(PROGRAM).exists() && !ticket(data, "guest").is_empty());
        Self { next: 0 }
    }

    /// One alice after the other, for so long.
    pub fn live(&mut self, served: &Served, time: Duration) -> Times {
        let mut bob = served.terminal("bob", 200);
        let stop = bob.stream.try_clone().unwrap();
        let mut times = Times::default();
        thread::scope(|scope| {
            scope.spawn(move || {
                while let Some(text) = bob.next() {
                    let answer = if text.starts_with("QUERY\nSTATUS") {
                        "STATUS Acceptable."
                    } else if text.contains("Caller ID:") {
                        "Request Accepted."
                    } else {
                        continue;
                    };
                    let number = value(&text, "Transaction").to_owned();
                    bob.send(&format!("NOTIFY\n{answer}\nTransaction:{number}\n"));
                }
            });
            let end = Instant::now() + time;
            while Instant::now() < end {
                self.next = self.next % ALICES + 1;
                if call(served, self.next, &mut times).is_none() {
                    times.refused += 1;
                }
                thread::sleep(Duration::from_millis(5));
            }
            stop.shutdown(std::net::Shutdown::Both).unwrap();
        });
        times
    }
}

/// A whole life of one alice's link, from an address of her own.
fn call(served: &Served, alice: u8, times: &mut Times) -> Option<()> {
    let started = Instant::now();
    let mut stream = connect_from(0, 100 + alice, served.address).ok()?;
    let mut ephemeral = [0; 32];
    getrandom::fill(&mut ephemeral).unwrap();
    let key = secret_key(alice);
    let mut handshake =
        Handshake::control_initiator(&key, &served.key, MaxRecord::new(8192).unwrap(), ephemeral);
    let mut buffer = [0; 1024];
    let length = handshake.write(&[], &mut buffer).unwrap();
    stream.write_all(&buffer[..length]).ok()?;
    let mut prefix = [0; 2];
    stream.read_exact(&mut prefix).ok()?;
    let mut record = prefix.to_vec();
    record.resize(2 + usize::from(u16::from_be_bytes(prefix)), 0);
    stream.read_exact(&mut record[2..]).ok()?;
    handshake.read(&mut record).ok()?;
    let mut link = Terminal::new(stream, handshake.finish().ok()?);
    let name = format!("alice-{alice}");
    link.try_send(&format!("HELLO\nIdentifier:{name}\n"))?;
    link.next().filter(|text| text.contains("Status:200"))?;
    times.links.push(started.elapsed());
    for _ in 0..3 {
        let asked = Instant::now();
        link.try_send(&format!("QUERY\nIdentifier:{name}\nCallee:bob\n"))?;
        link.next().filter(|text| text.contains("Request Accepted."))?;
        let told = link.next().filter(|text| text.contains("Callee Address:"))?;
        times.queries.push(asked.elapsed());
        link.try_send(&format!("RELEASE\nHandle:{}\n", value(&told, "Handle")))?;
    }
    Some(())
}
