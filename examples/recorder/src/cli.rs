//! What the user types.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use p2pgate::route::Selection;

/// Shares recordings with permitted recorders.
#[derive(Parser, Debug)]
#[command(
    name = "p2pgate-recorder",
    version,
    about,
    propagate_version = true,
    after_help = "Exit codes: 2 the command line or the input makes no sense, 3 not permitted, 4 the other recorder has no address, 5 it is offline, busy or out of \
                  reach, 6 refused (too large, over a limit, not shared, no such recording), 7 the broker is out of reach, 8 damaged, 9 a local file",
    arg_required_else_help = false
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Make this recorder's key and enrol it with the broker
    Init(Init),
    /// Show this recorder's identifier, fingerprint and broker
    Show(Show),
    /// Change or print the list of recorders that may call this one
    Allow(Allow),
    /// Say who is in a group of this recorder's, which others may put on their list as a whole
    Group(Group),
    /// Take recordings from permitted recorders
    Receive(Receive),
    /// Send a recording to another recorder
    Send(Send),
    /// List the recordings that another recorder shares
    List(List),
    /// Fetch a recording that another recorder shares
    Fetch(Fetch),
    /// Say, or print, how a recording travels when other recorders fetch it
    Attribute(AttributeOf),
    /// List what this recorder has left at the broker for others, or take it back
    Deposits(Deposits),
    /// Say what an MPEG recording is made of
    Inspect(Inspect),
    /// Play the eavesdropper on a split recording: what the pictures in clear show
    Leak(Leak),
    /// Part a recording into its I-pictures, or more with --select, and the rest
    Split(Split),
    /// Put the two parts of a recording together again
    Merge(Merge),
    /// Show the whole way on this machine: a broker, two recorders, and a third that is refused
    Demo(Demo),
}

/// `init`
#[derive(Args, Debug)]
pub struct Init {
    /// Folder for this recorder's key and list; must be new or empty, or hold an init that was cut off
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// This recorder's identifier: a phone number, a name; no comma, no control character
    #[arg(long)]
    pub id: String,
    /// The broker's address, HOST:PORT
    #[arg(long, value_name = "ADDR")]
    pub broker: String,
    /// The broker's key, as `p2pgate-broker serve` prints it
    #[arg(long, value_name = "KEY")]
    pub broker_key: String,
    /// The one-time ticket, as `p2pgate-broker enrol` prints it; `-`: read from standard input, so that it is in no list of processes
    #[arg(long, required_unless_present = "tls_cert")]
    pub ticket: Option<String>,
    /// Reach the broker by TLS, at the address that its second line says
    #[arg(long)]
    pub tls: bool,
    /// Trust these authorities for the broker's certificate, PEM [default: the system's]
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub tls_ca: Option<PathBuf>,
    /// Enrol by this certificate instead of a ticket; its common name is the identifier, PEM
    #[arg(long, value_name = "FILE", requires = "tls", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
}

/// `show`
#[derive(Args, Debug)]
pub struct Show {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
}

/// `allow`
#[derive(Args, Debug)]
pub struct Allow {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Replace the list by these (ID or ID=FINGERPRINT; '' empties it)
    #[arg(long, value_name = "ID,…", conflicts_with_all = ["add", "delete"])]
    pub create: Option<String>,
    /// Put these on the list (ID, or ID=FINGERPRINT to pin the key beforehand or to confirm a changed one)
    #[arg(long, value_name = "ID,…")]
    pub add: Option<String>,
    /// Take these off the list; sessions with them end at once
    #[arg(long, value_name = "ID,…")]
    pub delete: Option<String>,
    /// Print each entry as ID=FINGERPRINT where the key is pinned
    #[arg(long)]
    pub fingerprints: bool,
}

/// `group`
#[derive(Args, Debug)]
pub struct Group {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// What the group is called: NAME, or in full ID/NAME with this recorder's identifier, which is what others put on their list, and what is printed
    pub name: String,
    /// Make these the group
    #[arg(long, value_name = "ID,…", conflicts_with_all = ["add", "delete", "remove"])]
    pub create: Option<String>,
    /// Put these into the group
    #[arg(long, value_name = "ID,…", conflicts_with = "remove")]
    pub add: Option<String>,
    /// Take these out of the group; what they have open by it ends at once
    #[arg(long, value_name = "ID,…", conflicts_with = "remove")]
    pub delete: Option<String>,
    /// End the group
    #[arg(long)]
    pub remove: bool,
}

/// `receive`
#[derive(Args, Debug)]
pub struct Receive {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Folder that received recordings go to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Address to listen at; port 0 takes a free one [default: any address, IPv6 and IPv4, at a free port]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address that callers are told instead (port forwarding); 0.0.0.0:PORT = wherever the broker sees this recorder, NAME:PORT = where the broker finds that
    /// domain name when somebody calls
    #[arg(long, value_name = "ADDR", value_parser = parse_announce)]
    pub announce: Option<Announce>,
    /// Have the router open a port for callers from outside (PCP, NAT-PMP or UPnP), and tell them of it; it is closed at the end, or within an hour
    #[arg(long, conflicts_with = "announce")]
    pub map_port: bool,
    /// Be busy from this processor load on, in per cent; 0 = always busy [default: busy by sessions only]
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    pub load_limit: Option<u8>,
    /// Be busy from this many sessions on
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u8).range(1..=8))]
    pub sessions: u8,
    /// Folder whose recordings the permitted recorders may list and fetch; without it they may fetch nothing.
    /// Shared are the files in it that aren't hidden, not those behind links or in folders below
    #[arg(long, value_name = "DIR")]
    pub share: Option<PathBuf>,
    /// End after one received recording
    #[arg(long)]
    pub once: bool,
    /// Who else may see what arrives.
    #[command(flatten)]
    pub serve: Serve,
}

/// `receive`: what is served from its folder, in clear, to whoever reaches the addresses
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct Serve {
    /// Serve --out, and what is still arriving, by HTTP and as a UPnP media server, for players: 127.0.0.1:8200 for this machine only.
    /// Whoever reaches ADDR can read every recording in the folder, in clear
    #[arg(long, value_name = "ADDR")]
    pub serve: Option<SocketAddr>,
    /// The same by RTSP (takes ffmpeg): 127.0.0.1:8554 for this machine only
    #[arg(long, value_name = "ADDR")]
    pub serve_rtsp: Option<SocketAddr>,
    /// The same by FTP, for reading, without a password: 127.0.0.1:2121 for this machine only
    #[cfg(feature = "ftp")]
    #[arg(long, value_name = "ADDR")]
    pub serve_ftp: Option<SocketAddr>,
    /// Send every recording, as it arrives, as an MPEG transport stream in RTP to this address (takes ffmpeg), in clear
    #[arg(long, value_name = "ADDR")]
    pub rtp: Option<SocketAddr>,
}

impl Serve {
    /// Whether anything is to be served at all.
    pub fn is_wanted(&self) -> bool {
        #[cfg(feature = "ftp")]
        let ftp = self.serve_ftp.is_some();
        #[cfg(not(feature = "ftp"))]
        let ftp = false;
        ftp || self.serve.is_some() || self.serve_rtsp.is_some() || self.rtp.is_some()
    }
}

/// `list`
#[derive(Args, Debug)]
pub struct List {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The recorder that shares
    #[arg(long, value_name = "ID")]
    pub from: String,
    /// Print JSON: an array of objects with name, size, attribute, and modified in seconds since 1970
    #[arg(long)]
    pub json: bool,
}

/// `fetch`
#[derive(Args, Debug)]
pub struct Fetch {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The recorder that shares
    #[arg(long, value_name = "ID")]
    pub from: String,
    /// The recording, as list names it
    pub name: String,
    /// Folder that it goes to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `attribute`
#[derive(Args, Debug)]
pub struct AttributeOf {
    /// The recording, in a folder that is or will be shared
    pub file: PathBuf,
    /// How it is to travel; without it, what is set is printed. What was never set is confidential
    #[arg(value_parser = kept_attributes())]
    pub attribute: Option<Attribute>,
    /// With split: which pictures are sealed; see docs/media-security.md for what the others show [default: intra]
    #[arg(long, value_name = "PICTURES", value_parser = selections())]
    pub select: Option<Selection>,
    /// With split: seal what is no video (sound, tables) like the I-pictures; else it goes in clear with P and B
    #[arg(long)]
    pub seal_rest: bool,
}

/// Where callers are told to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Announce {
    /// There.
    Address(SocketAddr),
    /// Where the broker finds this domain name then (V3).
    Name(String, u16),
}

fn parse_announce(text: &str) -> Result<Announce, String> {
    if let Ok(address) = text.parse() {
        return Ok(Announce::Address(address));
    }
    let wrong = || format!("{text} is no address: write ADDRESS:PORT or NAME:PORT");
    let (name, port) = text.rsplit_once(':').ok_or_else(wrong)?;
    match p2pgate::message::Host::parse(name) {
        Some(p2pgate::message::Host::Name(name)) => {
            Ok(Announce::Name(name.to_owned(), port.parse().map_err(|_| wrong())?))
        }
        _ => Err(wrong()),
    }
}

/// `send`
#[derive(Args, Debug, Clone)]
pub struct Send {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// The recorder to send to
    #[arg(long, value_name = "ID")]
    pub to: String,
    /// The recording
    pub file: PathBuf,
    /// How it is to travel
    #[arg(long = "as", value_enum, default_value_t = Attribute::Confidential)]
    pub attribute: Attribute,
    /// With auto: what is smaller goes through the broker, the rest direct (10M, 1GiB or bytes) [default: 16M]
    #[arg(long, value_name = "SIZE", value_parser = p2pgate_broker::size::parse)]
    pub relay_below: Option<u64>,
    /// With auto: table of kinds, lines of PATTERN confidential|public|split, and what of: split/SELECTION/seal-rest
    #[arg(long, value_name = "FILE")]
    pub kinds: Option<PathBuf>,
    /// With split: which pictures are sealed; see docs/media-security.md for what the others show [default: intra]
    #[arg(long, value_name = "PICTURES", value_parser = selections())]
    pub select: Option<Selection>,
    /// With split: seal what is no video (sound, tables) like the I-pictures; else it goes in clear with P and B
    #[arg(long)]
    pub seal_rest: bool,
    /// Let the authenticated end carry the recording's SHA-256
    #[arg(long)]
    pub hash: bool,
    /// If the other recorder is away: leave the recording at the broker, sealed to that recorder, which collects it once it is free
    /// [default: ask on a terminal, never otherwise]
    #[arg(long, value_enum, value_name = "WHEN")]
    pub deposit: Option<Deposit>,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

/// `deposits`
#[derive(Args, Debug)]
pub struct Deposits {
    /// This recorder's folder
    #[arg(long, value_name = "DIR")]
    pub state: PathBuf,
    /// Take this one back, as the list names it
    #[arg(long, value_name = "ID")]
    pub withdraw: Option<String>,
}

/// Whether the broker is to keep what the other recorder can't take now (P10).
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deposit {
    /// Ask the user
    Ask,
    /// Yes
    Always,
    /// No
    Never,
}

/// `inspect`
#[derive(Args, Debug)]
pub struct Inspect {
    /// The recording
    pub file: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// `leak`
#[derive(Args, Debug)]
pub struct Leak {
    /// The recording, MPEG-1 or MPEG-2
    pub file: PathBuf,
    /// Folder that leak.json and leak.png go to
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}

/// `split`
#[derive(Args, Debug)]
pub struct Split {
    /// The recording
    pub file: PathBuf,
    /// Which pictures are selected
    #[arg(long, value_name = "PICTURES", value_parser = selections(), default_value = Selection::Intra.name())]
    pub select: Selection,
    /// Where the selected pictures and whatever is undecided go
    #[arg(long, value_name = "A")]
    pub intra: PathBuf,
    /// Where the rest goes
    #[arg(long, value_name = "B")]
    pub rest: PathBuf,
}

/// `merge`
#[derive(Args, Debug)]
pub struct Merge {
    /// The part with the I-pictures
    #[arg(long, value_name = "A")]
    pub intra: PathBuf,
    /// The rest
    #[arg(long, value_name = "B")]
    pub rest: PathBuf,
    /// Where the recording goes
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
}

/// `demo`
#[derive(Args, Debug)]
pub struct Demo {
    /// A recording of your own instead of the one that ships with the program
    pub file: Option<PathBuf>,
}

/// How a recording travels (P8, V10).
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// Sealed, through the broker; direct and sealed where the broker relays nothing
    Confidential,
    /// In clear (authenticated), straight to the other recorder
    Public,
    /// I-pictures (more with --select) and whatever is undecided sealed through the broker, the rest in clear and direct
    Split,
    /// By the table of kinds, then by size
    Auto,
}

/// The attributes that are kept with a recording.
fn kept_attributes() -> impl TypedValueParser<Value = Attribute> {
    PossibleValuesParser::new(["confidential", "public", "split"])
        .map(|name| Attribute::from_str(&name, false).unwrap_or(Attribute::Confidential))
}

/// The names of the selections.
fn selections() -> impl TypedValueParser<Value = Selection> {
    PossibleValuesParser::new(Selection::EACH.map(Selection::name))
        .map(|name| Selection::from_name(&name).unwrap_or_default())
}
