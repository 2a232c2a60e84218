//! Network namespaces of this test's own, and what lies between them.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A network namespace; it is gone once this is.
pub struct Space {
    holder: Child,
    pub address: String,
}

impl Space {
    fn new(address: &str) -> Option<Self> {
        let mut holder = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo there && exec cat"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        let _ = BufReader::new(holder.stdout.take()?).read_line(&mut line);
        let space = Self { holder, address: address.to_owned() };
        (line == "there\n").then_some(space)
    }

    /// What runs there. Where a command has its environment and arguments already, it stays as it is.
    pub fn inside(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg(format!("--net=/proc/{}/ns/net", self.holder.id()));
        inside.arg(command.get_program()).args(command.get_args());
        inside.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        inside
    }

    pub fn run(&self, words: &str) {
        let mut words = words.split(' ');
        let mut command = Command::new(words.next().unwrap());
        let output = self.inside(command.args(words)).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Four namespaces: broker, sender, and two places for the receiver.
pub struct Network {
    pub spaces: [Space; 4],
    shaper: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Network {
    /// `None`: this machine lets nobody make namespaces or TUN devices, or lacks the programs.
    pub fn new() -> Option<Self> {
        for program in ["nft", "tc", "ip", "nsenter", "python3"] {
            Command::new(program).arg("-V").output().ok()?;
        }
        let spaces = [1, 2, 3, 4].map(|host| Space::new(&format!("10.77.0.{host}")));
        let [Some(broker), Some(sender), Some(home), Some(away)] = spaces else { return None };
        let spaces = [broker, sender, home, away];
        let mut shaper = Command::new("python3")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/network/shaper.py"))
            .args(spaces.iter().map(|space| format!("{}={}", space.holder.id(), space.address)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .ok()?;
        let orders = shaper.stdin.take()?;
        let mut answers = BufReader::new(shaper.stdout.take()?);
        let mut line = String::new();
        let _ = answers.read_line(&mut line);
        let network = Self { spaces, shaper, orders, answers };
        (line == "ready\n").then_some(network)
    }

    /// Tells the shaper.
    pub fn order(&mut self, order: &str) {
        writeln!(self.orders, "{order}").unwrap();
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "{order}");
    }

    /// So many packets in a hundred get lost, wherever they arrive.
    pub fn lose(&self, percent: u32) {
        for space in &self.spaces {
            space.run("nft add table inet loss");
            space.run("nft flush table inet loss");
            space.run("nft add chain inet loss in { type filter hook input priority 0 ; }");
            if percent > 0 {
                space.run(&format!(
                    "nft add rule inet loss in iifname tun0 numgen random mod 100 < {percent} drop"
                ));
            }
        }
    }

    /// What leaves anywhere leaves so fast: a rate as `tc` writes it.
    pub fn slow(&self, rate: &str) {
        for space in &self.spaces {
            space.run(&format!("tc qdisc replace dev tun0 root tbf rate {rate} burst 16kb latency 200ms"));
        }
    }

    /// As at first.
    pub fn calm(&mut self) {
        self.order("delay 0 0");
        self.lose(0);
        self.slow("1gbit");
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = self.shaper.kill();
        let _ = self.shaper.wait();
    }
}
