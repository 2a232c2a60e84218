//! The bare-metal image in QEMU.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use crate::common::Stage;
use crate::modem::{CHANNELS, Modem};

/// How long anything may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// Set where the image has to be tested: then missing tools are a failure.
const REQUIRED: &str = "P2PGATE_FIRMWARE";
/// Which of the builds is tested.
const FLAVOUR: &str = "P2PGATE_FIRMWARE_FLAVOUR";

/// The image, built; `None`, and a line that says so, if the tools for it are not there.
pub fn built() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).as_deref()
}

pub fn flavour() -> String {
    std::env::var(FLAVOUR).unwrap_or_else(|_| "small".to_owned())
}

fn build() -> Option<PathBuf> {
    for tool in ["qemu-system-arm", "arm-none-eabi-gcc", "make", "/usr/bin/rustc"] {
        if !Command::new(tool).arg("--version").output().is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os(REQUIRED).is_none(), "there is no {tool}");
            println!("skipped: there is no {tool}; examples/firmware/run installs what is needed");
            return None;
        }
    }
    let sources = Command::new("/usr/bin/rustc").args(["--print", "sysroot"]).output().unwrap();
    let sources =
        Path::new(String::from_utf8(sources.stdout).unwrap().trim()).join("lib/rustlib/src/rust/library");
    if !sources.exists() {
        assert!(std::env::var_os(REQUIRED).is_none(), "there is no {}", sources.display());
        println!("skipped: there is no {}; examples/firmware/run installs what is needed", sources.display());
        return None;
    }
    let flavour = flavour();
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware");
    let status = Command::new("make")
        .args(["--silent", "-C", concat!(env!("CARGO_MANIFEST_DIR"), "/../firmware"), "all"])
        .arg(format!("FLAVOUR={flavour}"))
        .arg(format!("OUT={}", out.display()))
        .arg(format!("CARGO={}", std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())))
        .env_remove("RUSTC")
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .status();
    assert!(status.unwrap().success(), "the image does not build");
    Some(out.join(flavour).join("receiver.elf"))
}

/// A device that runs the image, until it is dropped.
pub struct Device {
    child: Child,
    said: Receiver<String>,
    pub modem: Modem,
}

impl Device {
    /// Makes what the device called ben has in its flash when it is sold: who may call it, who the broker is, and a ticket.
    pub fn provision(stage: &Stage, permitted: &[&str]) {
        let folder = stage.path("device");
        fs::create_dir(&folder).unwrap();
        let mut configuration =
            format!("identifier ben\nbroker {}\nbroker-key {}\n", stage.address, stage.key);
        for name in permitted {
            configuration += &format!("permit {name}\n");
        }
        fs::write(folder.join("configuration"), configuration).unwrap();
        let ticket = p2pgate_broker::enrol(&stage.path("broker"), "ben").unwrap();
        fs::write(folder.join("ticket"), ticket.as_bytes()).unwrap();
    }

    /// Switches it on.
    pub fn start(stage: &Stage, image: &Path) -> Self {
        let folder = stage.path("device");
        let paths: Vec<PathBuf> = (0..=CHANNELS).map(|number| stage.path(&format!("uart{number}"))).collect();
        let listeners: Vec<UnixListener> = paths
            .iter()
            .map(|path| {
                let _ = fs::remove_file(path);
                UnixListener::bind(path).unwrap()
            })
            .collect();
        let mut command = Command::new("qemu-system-arm");
        command.args(["-M", "mps2-an386", "-nographic", "-monitor", "none", "-icount", "shift=6"]);
        command.args(["-chardev", "stdio,id=host,signal=off"]);
        command.args(["-semihosting-config", "enable=on,target=native,chardev=host", "-kernel"]);
        command.arg(image);
        for path in &paths {
            command.arg("-serial").arg(format!("unix:{}", path.display()));
        }
        command.current_dir(&folder).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (saying, said) = mpsc::channel();
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                println!("  image: {line}");
                if saying.send(line).is_err() {
                    return;
                }
            }
        });
        let serials = listeners.iter().map(|listener| listener.accept().unwrap().0).collect();
        Self { child, said, modem: Modem::start(serials) }
    }

    /// Waits for a line that begins with `start`; gives what follows.
    pub fn says(&mut self, start: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = self.said.recv_timeout(left);
            let line = line.unwrap_or_else(|_| panic!("the image does not say {start:?}"));
            if let Some(rest) = line.strip_prefix(start) {
                return rest.trim().to_owned();
            }
        }
    }

    /// Waits for one of the image's figures, and prints it under the build's name.
    pub fn figure(&mut self, name: &str) -> u64 {
        let value = self.says(&format!("figure {name} ")).parse().unwrap();
        println!("figure {}_{name} {value}", flavour());
        value
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
