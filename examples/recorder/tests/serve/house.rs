//! A folder that is served, and clients for it.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use p2pgate::link::SecretKey;
use p2pgate_recorder::cli;
use p2pgate_recorder::serve::{Device, Limits, Options, Serving};

pub const LOOPBACK: &str = "127.0.0.1:0";

pub struct House {
    pub folder: tempfile::TempDir,
    pub serving: Serving,
}

impl House {
    pub fn new() -> Self {
        Self::with(cli::Serve { serve: Some(LOOPBACK.parse().unwrap()), ..cli::Serve::default() }, |_| {})
    }

    pub fn bounded(setting: fn(&mut Limits)) -> Self {
        Self::with(cli::Serve { serve: Some(LOOPBACK.parse().unwrap()), ..cli::Serve::default() }, setting)
    }

    pub fn with(at: cli::Serve, setting: fn(&mut Limits)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut limits = Limits::default();
        setting(&mut limits);
        let options = Options {
            folder: folder.path().to_owned(),
            at,
            device: Device::of(&SecretKey::new(key()).public_key()),
            limits,
        };
        Self { folder, serving: Serving::start(options).unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Puts a recording there, whole.
    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Where `scheme` is served.
    pub fn url(&self, scheme: &str) -> String {
        let begin = format!("{scheme}://");
        self.serving.lines().iter().find(|line| line.starts_with(&begin)).unwrap().clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.url("http").trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    }

    pub fn ask(&self, request: &str) -> Answer {
        ask(self.address(), request)
    }

    pub fn get(&self, path: &str, headers: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n"))
    }
}

/// Another one for each house: several are there at once.
fn key() -> [u8; 32] {
    static HOUSES: AtomicU8 = AtomicU8::new(1);
    [HOUSES.fetch_add(1, Ordering::Relaxed); 32]
}

/// What came back: all there was until the connection's end.
#[derive(Debug)]
pub struct Answer {
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }
}

/// Sends a request as it is, with `Connection: close`, and reads to the end.
pub fn ask(address: SocketAddr, request: &str) -> Answer {
    let mut stream = open(address, request);
    let mut all = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut all);
    parse(&all)
}

pub fn open(address: SocketAddr, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let (first, rest) = request.split_once("\r\n").unwrap();
    stream.write_all(format!("{first}\r\nConnection: close\r\n{rest}").as_bytes()).unwrap();
    stream
}

pub fn parse(all: &[u8]) -> Answer {
    let end = all.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or_else(|| {
        panic!("no answer: {:?}", String::from_utf8_lossy(all));
    });
    Answer { head: String::from_utf8(all[..end].to_vec()).unwrap(), body: all[end + 4..].to_vec() }
}

/// Bytes that are nowhere the same.
pub fn content(length: usize) -> Vec<u8> {
    (0..length as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()
}

/// A client of others', if it is installed; says so if it is not.
pub fn client(program: &str) -> Option<Command> {
    let found = std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
    if !found {
        println!("skipped: {program} is not installed");
        return None;
    }
    let mut command = Command::new(program);
    command.stdin(Stdio::null());
    Some(command)
}

/// What a program prints; it has to go well.
pub fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    output.stdout
}

/// What ffprobe says of the streams at a URL: `codec_name=mpeg2video` and so on.
pub fn probe(url: &str, options: &[&str]) -> Option<String> {
    let mut command = client("ffprobe")?;
    command.args(["-v", "error", "-rw_timeout", "60000000"]).args(options);
    command.args(["-show_entries", "stream=codec_name,width,height", "-of", "default=nw=1"]).arg(url);
    Some(String::from_utf8(output(&mut command)).unwrap())
}

pub fn test_card() -> Vec<u8> {
    fs::read(Path::new(crate::common::TEST_CARD)).unwrap()
}
