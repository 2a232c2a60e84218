//! `demo`: the whole way on this machine. A broker and three recorders, each with its own key, state and sockets, in one process.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use p2pgate::terminal::{Destination, Event};
use p2pgate_broker::{Options, Server};

use super::receive::ReceiveLoop;
use super::send::{Report, send};
use super::{allow, init};
use crate::cli::{self, Attribute, Demo};
use crate::failure::{Code, Failure};
use crate::node::Watch;

/// Made for this program with ffmpeg: six seconds of a test card, MPEG-2 video and a tone in a program stream.
const TEST_CARD: &[u8] = include_bytes!("../../media/test-card.mpg");

const CALLER: &str = "bedroom";
const CALLEE: &str = "living-room";
const STRANGER: &str = "stranger";

/// Runs it; fails if anything is not as it should be.
pub fn run(arguments: &Demo) -> Result<(), Failure> {
    let folder = tempfile::tempdir().map_err(|error| {
        Failure::new(
            Code::Local,
            format!("cannot make a temporary folder ({error}): set TMPDIR to one that can be written"),
        )
    })?;
    let recording = match &arguments.file {
        Some(file) => file.clone(),
        None => {
            let path = folder.path().join("test-card.mpg");
            fs::write(&path, TEST_CARD).map_err(|error| Failure::local("cannot write", &path, &error))?;
            path
        }
    };
    let stage = Stage::set(folder.path())?;
    let shown = stage.show(&recording);
    stage.clear()?;
    shown
}

/// A broker that runs.
struct Stage {
    folder: PathBuf,
    address: SocketAddr,
    key: String,
    stop: p2pgate_broker::Stop,
    running: thread::JoinHandle<Result<(), p2pgate_broker::Error>>,
}

impl Stage {
    fn set(folder: &Path) -> Result<Self, Failure> {
        let mut options = Options::new(folder.join("broker"));
        options.listen = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        options.grace = Duration::from_millis(500);
        let server = Server::bind(options).map_err(broker)?;
        let (address, key) = (server.local_addr(), server.public_key().to_string());
        let stop = server.stop_handle();
        say!("broker   listens at {address} with the key {key}");
        Ok(Self {
            folder: folder.to_owned(),
            address,
            key,
            stop,
            running: thread::spawn(move || server.run()),
        })
    }

    fn clear(self) -> Result<(), Failure> {
        self.stop.stop();
        match self.running.join() {
            Ok(ended) => ended.map_err(broker),
            Err(_) => Err(Failure::new(Code::Broker, "the broker's thread broke off: report this")),
        }
    }

    fn show(&self, recording: &Path) -> Result<(), Failure> {
        for name in [CALLER, CALLEE, STRANGER] {
            self.enrol(name)?;
        }
        allow::change(&cli::Allow {
            state: self.state(CALLEE),
            create: Some(CALLER.to_owned()),
            add: None,
            delete: None,
            fingerprints: false,
        })?;
        say(CALLEE, &format!("permits {CALLER} and nobody else (M1)"));

        let callee = Callee::start(self)?;
        let report = send(&self.sending(CALLER, recording), watch(CALLER, None))?;
        let received = callee.received()?;
        self.account(&report);
        let sent = fs::read(recording).map_err(|error| Failure::local("cannot read", recording, &error))?;
        let came = fs::read(&received).map_err(|error| Failure::local("cannot read", &received, &error))?;
        if sent != came {
            return Err(Failure::new(Code::Damaged, "what came is not what was sent: report this"));
        }
        say!("\nThe recording that {CALLEE} put together is bit-exact: {} bytes.\n", came.len());

        let events = callee.events();
        match send(&self.sending(STRANGER, recording), watch(STRANGER, None)) {
            Err(failure) if failure.code == Code::NotPermitted => {
                say(STRANGER, &format!("is refused: {failure}"))
            }
            Err(failure) => return Err(failure),
            Ok(_) => {
                return Err(Failure::new(
                    Code::Damaged,
                    "a recorder that is not on the list was let in: report this",
                ));
            }
        }
        if callee.events() != events {
            return Err(Failure::new(
                Code::Damaged,
                "the callee saw something of a stranger's call: report this",
            ));
        }
        say!(
            "\n{STRANGER} is not on {CALLEE}'s list: it learned no address, and {CALLEE} saw nothing of it."
        );
        callee.stop()
    }

    fn enrol(&self, name: &str) -> Result<(), Failure> {
        let ticket = p2pgate_broker::enrol(&self.folder.join("broker"), name).map_err(broker)?;
        let identity = init::enrol(&cli::Init {
            state: self.state(name),
            id: name.to_owned(),
            broker: self.address.to_string(),
            broker_key: self.key.clone(),
            ticket: Some(ticket.to_string()),
            tls: false,
            tls_ca: None,
            tls_cert: None,
            tls_key: None,
        })?;
        say(
            name,
            &format!(
                "has made its key {} and enrolled it with a one-time ticket (V5)",
                identity.secret.public_key()
            ),
        );
        Ok(())
    }

    fn sending(&self, name: &str, recording: &Path) -> cli::Send {
        cli::Send {
            state: self.state(name),
            to: CALLEE.to_owned(),
            file: recording.to_owned(),
            attribute: Attribute::Split,
            relay_below: None,
            kinds: None,
            select: None,
            seal_rest: false,
            hash: true,
            deposit: Some(cli::Deposit::Never),
            json: false,
        }
    }

    /// Who saw what.
    fn account(&self, report: &Report) {
        let Report { bytes, direct_clear, direct_sealed, relay_sealed, pictures, .. } = *report;
        say!(
            "\nWho saw what of the {bytes} bytes ({} I, {} P and {} B pictures):",
            pictures.i,
            pictures.p,
            pictures.b
        );
        say!(
            "  through the broker, sealed  {relay_sealed:>9}  I-pictures and whatever is undecided; the broker saw ciphertext and sizes"
        );
        say!(
            "  direct, in clear            {direct_clear:>9}  P and B pictures and sound; the network between the two could read them"
        );
        say!("  direct, sealed              {direct_sealed:>9}");
    }

    fn state(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The recorder that receives, in a thread of its own.
struct Callee {
    events: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    received: mpsc::Receiver<PathBuf>,
    running: thread::JoinHandle<Result<(), Failure>>,
}

impl Callee {
    fn start(stage: &Stage) -> Result<Self, Failure> {
        let events = Arc::new(AtomicUsize::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let arguments = cli::Receive {
            state: stage.state(CALLEE),
            out: stage.folder.join("received"),
            listen: Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))),
            announce: None,
            load_limit: None,
            share: None,
            sessions: 1,
            map_port: false,
            once: false,
            serve: cli::Serve::default(),
        };
        let mut receiver = ReceiveLoop::start_watched(&arguments, watch(CALLEE, Some(events.clone())))?;
        say(CALLEE, &format!("receives at {}", receiver.address));
        let (sender, received) = mpsc::channel();
        let stopped = stop.clone();
        let running = thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                if let Some(received) = receiver.turn(Duration::from_millis(50))? {
                    // The stage waits for it, or has fallen already.
                    let _ = sender.send(received.path);
                }
            }
            Ok(())
        });
        Ok(Self { events, stop, received, running })
    }

    /// What the recorder was told of so far, connections to it included.
    fn events(&self) -> usize {
        // Whatever the last session still has to say is said by then.
        thread::sleep(Duration::from_millis(300));
        self.events.load(Ordering::Relaxed)
    }

    fn received(&self) -> Result<PathBuf, Failure> {
        self.received.recv_timeout(Duration::from_secs(30)).map_err(|_| {
            Failure::new(Code::NotReachable, "the receiving recorder has stored nothing: report this")
        })
    }

    fn stop(self) -> Result<(), Failure> {
        self.stop.store(true, Ordering::Relaxed);
        self.running
            .join()
            .unwrap_or_else(|_| Err(Failure::new(Code::Local, "the receiving thread broke off: report this")))
    }
}

/// Prints a recorder's steps as they happen, and counts them.
fn watch(name: &'static str, count: Option<Arc<AtomicUsize>>) -> Option<Watch> {
    Some(Box::new(move |event| {
        if let Some(count) = &count {
            count.fetch_add(1, Ordering::Relaxed);
        }
        if let Some(text) = words(event) {
            say(name, &text);
        }
    }))
}

fn say(name: &str, text: &str) {
    say!("{name:<12} {text}");
}

/// A step in words, with the rows and steps of the source document.
fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Connect { to: Destination::Broker, .. } => "connects to the broker".to_owned(),
        Event::Connect { to: Destination::Address(address), .. } => format!("connects straight to {address}"),
        Event::Online { relay } => {
            format!(
                "is online: broker and recorder have proven their keys{}",
                if *relay { "; the broker relays" } else { "" }
            )
        }
        Event::AddressKnown => "has told the broker where it listens (M23)".to_owned(),
        Event::Registered { revision } => format!("has its list registered, number {revision} (M5)"),
        Event::Asked { acceptable } => {
            format!(
                "was asked whether it is free (M15) and said {}",
                if *acceptable { "yes (M16)" } else { "no (M16)" }
            )
        }
        Event::Expected { .. } => format!("is told that {CALLER} will call, with password and key (M12)"),
        Event::Permitted { .. } => "has its query accepted (M6, M7)".to_owned(),
        Event::Granted { .. } => format!("is told {CALLEE}'s address, password and key (M11)"),
        Event::Connected { tunnel, .. } => {
            let way = if *tunnel { "through the broker" } else { "direct" };
            format!("has the peer link, {way}: each end has proven itself to the other (M13, M14)")
        }
        Event::Offered { .. } => format!("is offered a recording by {CALLER} (M17)"),
        Event::Ready { offset, .. } => format!("has the lanes open and sends from byte {offset} on (M18)"),
        Event::Arrived { .. } => "has every byte, and the lanes' authenticated ends agree".to_owned(),
        Event::Delivered { .. } => format!("hears that {CALLEE} has stored the recording"),
        _ => return None,
    })
}

fn broker(error: p2pgate_broker::Error) -> Failure {
    Failure::new(Code::Broker, format!("the broker: {error}"))
}
