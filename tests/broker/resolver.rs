//! P1, V2, V3: the address resolution server as a broker of its own kind, and the broker that asks it.

use crate::world::{World, has, key, source, value};
use p2pgate::broker::{Broker, Config, Lease, Name, What};
use std::net::IpAddr;

const QUERY: &str = "QUERY\nIdentifier:alice\nCallee:bob\nTransaction:7\n";

/// A broker and a resolver, and the link between them.
struct System {
    broker: World,
    resolver: World,
    link: Option<(u64, u64)>,
    /// The resolver's process is there.
    up: bool,
}

fn resolver(config: Config, leases: bool) -> World {
    World::of(Broker::resolver(config, key(201), [9; 32], key(200).public_key(), leases))
}

impl System {
    fn new(config: Config, leases: bool) -> Self {
        let mut broker = World::with(config.clone());
        broker.broker.use_resolver(key(201).public_key(), broker.now);
        broker.run();
        let mut system = Self { broker, resolver: resolver(config, leases), link: None, up: true };
        system.settle();
        system
    }

    /// Carries bytes until there are none.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            if self.broker.dials > 0 {
                self.broker.dials = 0;
                self.dial();
                continue;
            }
            let Some((here, there)) = self.link else { return };
            let out = std::mem::take(self.broker.raw.get_mut(&here).unwrap());
            let back = std::mem::take(self.resolver.raw.get_mut(&there).unwrap());
            if !out.is_empty() {
                self.resolver.feed(there, &out, 100);
            }
            if !back.is_empty() {
                self.broker.feed(here, &back, 100);
            }
            if self.broker.is_closed(here) || self.resolver.is_closed(there) {
                self.cut();
            } else if out.is_empty() && back.is_empty() {
                return;
            }
        }
        panic!("it never settles");
    }

    fn dial(&mut self) {
        let address = "192.0.2.1:7701".parse().unwrap();
        let here = self.broker.next_connection();
        self.broker.raw.insert(here, Vec::new());
        self.broker.broker.resolver_dialled(here, address, self.broker.now);
        self.broker.run();
        if !self.up {
            return self.broker.disconnect(here);
        }
        let there = self.resolver.connect(source(250));
        self.resolver.raw.insert(there, Vec::new());
        self.link = Some((here, there));
    }

    fn cut(&mut self) {
        if let Some((here, there)) = self.link.take() {
            self.broker.disconnect(here);
            self.resolver.disconnect(there);
        }
    }

    /// The resolver is killed; another starts on what its store has.
    fn restart(&mut self, leases: bool) {
        self.up = false;
        self.cut();
        let mut again = resolver(self.resolver.broker.config().clone(), leases);
        again.now = self.broker.now;
        for (name, address) in &self.resolver.store.resolved {
            again.broker.restore_resolved(name, address.clone(), 0, again.now).unwrap();
        }
        (again.store.resolved, again.store.keys) =
            (self.resolver.store.resolved.clone(), self.resolver.store.keys.clone());
        self.resolver = again;
        self.up = true;
    }

    fn pass(&mut self, milliseconds: u64) {
        for _ in 0..milliseconds.div_ceil(500) {
            self.broker.pass(500.min(milliseconds));
            self.resolver.pass(500.min(milliseconds));
            self.settle();
        }
    }

    /// Alice, and bob who permits her.
    fn pair(&mut self) -> (u64, u64) {
        let alice = self.broker.terminal("alice", 1);
        let bob = self.broker.callee("bob", 2, "alice");
        self.settle();
        (alice, bob)
    }

    /// What alice is told of bob: his addresses, or the cause of M9.
    fn ask(&mut self, alice: u64, bob: u64) -> Result<String, String> {
        self.broker.send(alice, QUERY);
        self.settle();
        self.answer(alice, bob)
    }

    fn answer(&mut self, alice: u64, bob: u64) -> Result<String, String> {
        for status in ["STATUS Acceptable.", "Request Accepted."] {
            let Some(question) = self.broker.texts(bob).pop() else {
                let answer = self.broker.text(alice);
                assert!(answer.starts_with("NOTIFY\nCallee not Found.\nTransaction:7\n"), "{answer}");
                return Err(value(&answer, "Cause").into());
            };
            let number = value(&question, "Transaction");
            self.broker.send(bob, &format!("NOTIFY\n{status}\nTransaction:{number}\n"));
        }
        let told = self.broker.texts(alice).pop().unwrap();
        let first = format!("{} {}", value(&told, "Callee Address"), value(&told, "Port"));
        let further = told.lines().filter_map(|line| line.strip_prefix("Candidate:"));
        Ok(std::iter::once(&*first).chain(further).collect::<Vec<_>>().join(", "))
    }

    fn tell(&mut self, bob: u64, lines: &str) {
        let answer = self.broker.ask(bob, &format!("ADDRESS\nIdentifier:bob\n{lines}\n"));
        assert!(answer.contains("Status:200"), "{answer}");
        self.settle();
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn p1_s801_s807_the_resolver_answers_or_says_that_it_has_none() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    // M23 came through the broker, which put in where bob's link comes from.
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
    system.tell(bob, "Address:198.51.100.7\nPort:1\nCandidate:2001:db8::7 2\nCandidate:0.0.0.0 3");
    let all = "198.51.100.7 1, 2001:db8::7 2, 203.0.113.2 3";
    assert_eq!(system.ask(alice, bob).as_deref(), Ok(all), "a changed address counts at once");
    let carol = system.broker.terminal("carol", 3);
    assert!(system.broker.ask(carol, "REGISTER\nIdentifier:carol\nAccept:Create alice\n").contains("200"));
    system.broker.send(alice, "QUERY\nIdentifier:alice\nCallee:carol\n");
    system.settle();
    let answer = system.broker.text(alice);
    assert!(answer.starts_with("NOTIFY\nCallee not Found.\n"), "{answer}");
    let resolved =
        system.resolver.logs.iter().filter(|log| matches!(log.what, What::Resolved { found: false, .. }));
    assert_eq!(resolved.count(), 1);
}

#[test]
fn p1_nobody_is_asked_for_who_is_not_permitted() {
    let mut system = System::new(Config::default(), false);
    let (_, bob) = system.pair();
    let mallory = system.broker.terminal("mallory", 5);
    system.broker.send(mallory, "QUERY\nIdentifier:mallory\nCallee:bob\n");
    let link = system.link.unwrap();
    assert!(system.broker.raw[&link.0].is_empty(), "nothing goes to the resolver");
    assert!(system.broker.text(mallory).starts_with("NOTIFY\nPermission Denied.\n"));
    assert!(system.broker.texts(bob).is_empty());
}

#[test]
fn p1_what_the_resolver_has_forgotten_it_is_told_again() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    // Its clock is put forward: that costs one query.
    system.resolver.now += 4 * 24 * 60 * 60 * 1_000;
    assert!(system.ask(alice, bob).unwrap_err().contains("no address"));
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
    // It starts without what it had: that costs none.
    system.resolver.store.resolved.clear();
    system.restart(false);
    system.pass(31_000);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
}

#[test]
fn p1_the_resolver_s_absence_is_m9_with_its_cause_and_never_a_hang() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    // It dies with a question before it.
    system.broker.send(alice, QUERY);
    system.up = false;
    system.cut();
    assert!(system.answer(alice, bob).unwrap_err().contains("away"));
    // While it is away terminals tell their address as ever.
    assert!(system.ask(alice, bob).unwrap_err().contains("away"));
    system.tell(bob, "Address:198.51.100.9\nPort:9");
    system.pass(60_000);
    assert!(system.ask(alice, bob).unwrap_err().contains("away"));
    system.broker.ask(bob, "PING\n");
    // It comes back, is told what it missed, and the next query goes through.
    system.restart(false);
    system.pass(31_000);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("198.51.100.9 9"));
    // One that takes the question and says nothing.
    let (_, there) = system.link.unwrap();
    system.broker.send(alice, QUERY);
    system.resolver.raw.get_mut(&there).unwrap().clear();
    let (here, _) = system.link.unwrap();
    system.broker.raw.get_mut(&here).unwrap().clear();
    system.broker.pass(2_999);
    assert!(system.broker.texts(alice).is_empty());
    system.broker.pass(1);
    assert!(system.answer(alice, bob).unwrap_err().contains("did not answer"));
    assert_eq!(system.broker.broker.counts().queries, 0);
}

#[test]
fn p1_a_link_that_is_silent_is_found_out_and_made_anew() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    let (here, _) = system.link.unwrap();
    for _ in 0..40 {
        // Nothing gets through either way.
        system.broker.raw.get_mut(&here).unwrap().clear();
        system.broker.pass(1_000);
    }
    assert!(system.broker.is_closed(here));
    system.cut();
    system.pass(2_000);
    assert_ne!(system.link.unwrap().0, here);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
    // One over which all goes well lives.
    let link = system.link;
    system.pass(600_000);
    assert_eq!(system.link, link);
}

#[test]
fn p1_addresses_outlast_the_resolver_s_restart() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    system.restart(false);
    system.pass(1_000);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
}

#[test]
fn p1_entries_expire_unless_they_are_told_again() {
    let config = Config { address_lifetime_ms: 100_000, address_refresh_ms: 1_000_000, ..Config::default() };
    let mut system = System::new(config.clone(), false);
    let (alice, bob) = system.pair();
    for _ in 0..2 {
        system.pass(45_000);
        for link in [alice, bob] {
            system.broker.ask(link, "PING\n");
        }
    }
    assert!(system.ask(alice, bob).is_ok());
    system.pass(11_000);
    assert!(system.resolver.store.resolved.is_empty(), "it is forgotten on disk, too");
    assert!(system.ask(alice, bob).unwrap_err().contains("no address"));
    system.tell(bob, "Address:198.51.100.9\nPort:9");
    assert!(system.ask(alice, bob).is_ok());
    // The broker tells again of those that are here.
    let config = Config { address_refresh_ms: 40_000, ..config };
    let mut system = System::new(config, false);
    let (alice, bob) = system.pair();
    for _ in 0..5 {
        system.pass(45_000);
        for link in [alice, bob] {
            system.broker.ask(link, "PING\n");
        }
    }
    assert!(system.ask(alice, bob).is_ok());
}

#[test]
fn p1_a_revoked_terminal_s_address_is_nobody_s() {
    let mut system = System::new(Config::default(), false);
    let (alice, _) = system.pair();
    system.broker.revoke("bob");
    system.settle();
    assert!(system.resolver.store.resolved.is_empty());
    let bob = system.broker.terminal("bob", 12);
    assert!(system.broker.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Create alice\n").contains("200"));
    assert!(system.ask(alice, bob).is_err());
}

#[test]
fn p1_an_address_on_its_way_to_disk_does_not_outlast_its_terminal_s_key() {
    let mut resolver = resolver(Config::default(), false);
    let eve = resolver.terminal("eve", 6);
    resolver.hold = true;
    resolver.send(eve, "ADDRESS\nIdentifier:eve\nAddress:198.51.100.66\nPort:66\n");
    resolver.revoke("eve");
    resolver.hold = false;
    resolver.release();
    assert!(resolver.store.resolved.is_empty());
    let again = resolver.terminal("eve", 7);
    assert_eq!(resolver.ask(again, "RESOLVE\nIdentifier:eve\n"), "NOTIFY\nNot Registered.\n");
}

#[test]
fn p1_only_the_broker_s_key_may_ask() {
    let mut system = System::new(Config::default(), false);
    let (_, _) = system.pair();
    assert_eq!(system.resolver.store.resolved.len(), 1);
    // A stranger: not even in.
    let stranger = system.resolver.dial(&key(77), source(77), 4_096);
    assert!(system.resolver.ask(stranger, "HELLO\nIdentifier:broker\n").contains("Status:401"));
    assert!(system.resolver.is_closed(stranger));
    // A terminal that is enrolled there: for itself only.
    let eve = system.resolver.terminal("eve", 6);
    for text in ["RESOLVE\nIdentifier:bob\n", "RESOLVE\nIdentifier:eve\n"] {
        assert_eq!(system.resolver.ask(eve, text), "NOTIFY\nNot Registered.\n");
    }
    let forged = "ADDRESS\nIdentifier:bob\nAddress:198.51.100.66\nPort:66\n";
    assert!(system.resolver.ask(eve, forged).contains("Status:403"));
    assert!(!system.resolver.store.resolved.values().any(|it| it.to_string().contains("66")));
    // It is no broker.
    for (text, answer) in [
        ("REGISTER\nIdentifier:eve\nAccept:Create bob\n", "Status:403"),
        ("GROUP\nIdentifier:eve\nGroup:eve/a\nMembers:Create bob\n", "Status:403"),
        ("QUERY\nIdentifier:eve\nCallee:bob\n", "Permission Denied."),
        ("PING\n", "Status:200"),
    ] {
        assert!(system.resolver.ask(eve, text).contains(answer), "{text}");
    }
    system.resolver.send(eve, "TUNNEL\nHandle:AAAAAAAAAAAAAAAAAAAAAA==\n");
    assert!(system.resolver.is_closed(eve));
}

#[test]
fn p1_another_resolver_than_the_pinned_one_is_not_asked() {
    let mut system = System::new(Config::default(), false);
    system.up = false;
    system.cut();
    let config = system.resolver.broker.config().clone();
    system.resolver = World::of(Broker::resolver(config, key(99), [9; 32], key(200).public_key(), false));
    system.up = true;
    let (alice, bob) = system.pair();
    system.pass(120_000);
    for link in [alice, bob] {
        assert!(system.broker.is_closed(link) || system.broker.broker.counts().connections > 0);
    }
    let alice = system.broker.terminal("alice", 1);
    let bob = system.broker.terminal("bob", 2);
    assert!(system.ask(alice, bob).unwrap_err().contains("away"));
    assert!(system.resolver.store.resolved.is_empty());
}

#[test]
fn v2_a_terminal_tells_the_resolver_itself() {
    let mut system = System::new(Config::default(), false);
    let alice = system.broker.terminal("alice", 1);
    let bob = system.broker.terminal("bob", 2);
    assert!(system.broker.ask(bob, "REGISTER\nIdentifier:bob\nAccept:Create alice\n").contains("200"));
    assert!(system.ask(alice, bob).is_err());
    let direct = system.resolver.terminal("bob", 2);
    let told = "ADDRESS\nIdentifier:bob\nAddress:0.0.0.0\nPort:7800\nCandidate:10.0.0.2 7800\n";
    assert!(system.resolver.ask(direct, told).contains("Status:200"));
    system.resolver.disconnect(direct);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800, 10.0.0.2 7800"));
    // Its operator's word ends that.
    system.resolver.revoke("bob");
    assert!(system.ask(alice, bob).is_err());
}

#[test]
fn v2_who_assigned_the_address_knows_better() {
    let mut system = System::new(Config::default(), true);
    let (alice, bob) = system.pair();
    let mut ask = |lease| {
        system.broker.send(alice, QUERY);
        system.settle();
        assert!(system.broker.texts(bob).is_empty());
        let (request, name) = system.resolver.leases.pop().unwrap();
        assert_eq!(&*name, "bob");
        system.resolver.broker.found_lease(request, lease, system.resolver.now);
        system.resolver.run();
        system.settle();
        system.answer(alice, bob)
    };
    let lease = |address, port| Some(Lease { address: ip(address), port });
    assert_eq!(ask(lease("198.51.100.20", Some(5))).as_deref(), Ok("198.51.100.20 5"));
    // It moves, and its port is the one that it told.
    assert_eq!(ask(lease("2001:db8::20", None)).as_deref(), Ok("2001:db8::20 7800"));
    // Nobody has assigned it any: what it told.
    assert_eq!(ask(None).as_deref(), Ok("203.0.113.2 7800"));
}

#[test]
fn v3_a_domain_name_is_looked_up_when_it_is_wanted() {
    for resolver in [false, true] {
        let mut system = System::new(Config::default(), false);
        if !resolver {
            // V1: the broker's own table.
            system = System { broker: World::new(), ..system };
            system.link = None;
        }
        let (alice, bob) = system.pair();
        let name = "Address:home.example\nPort:5\nCandidate:192.0.2.9 6\nCandidate:home.example 7\nCandidate:b.example 8";
        system.tell(bob, name);
        let mut ask = |addresses: &[(&str, &[&str])]| {
            system.broker.send(alice, QUERY);
            system.settle();
            assert!(system.broker.texts(bob).is_empty(), "the callee hears nothing until it is found");
            let (request, names) = system.broker.lookups.pop().unwrap();
            assert_eq!(names, ["home.example", "b.example"].map(Name::from));
            let found: Vec<(Name, Vec<IpAddr>)> = addresses
                .iter()
                .map(|(name, found)| (Name::from(*name), found.iter().map(|it| ip(it)).collect()))
                .collect();
            system.broker.broker.looked_up(request, &found, system.broker.now);
            system.broker.run();
            system.answer(alice, bob)
        };
        let found =
            ask(&[("home.example", &["198.51.100.1", "2001:db8::1"]), ("b.example", &["198.51.100.2"])]);
        let all = "198.51.100.1 5, 2001:db8::1 5, 192.0.2.9 6, 198.51.100.1 7, 2001:db8::1 7";
        assert_eq!(found.as_deref(), Ok(all), "five at most");
        // Looked up anew each time.
        assert_eq!(ask(&[("b.example", &["198.51.100.3"])]).as_deref(), Ok("192.0.2.9 6, 198.51.100.3 8"));
        system.tell(bob, "Address:home.example\nPort:5");
        system.broker.send(alice, QUERY);
        system.settle();
        let (request, _) = system.broker.lookups.pop().unwrap();
        system.broker.broker.looked_up(request, &[], system.broker.now);
        system.broker.run();
        assert!(system.answer(alice, bob).unwrap_err().contains("domain name"));
        // One that is never answered, and an answer that comes too late.
        system.broker.send(alice, QUERY);
        system.settle();
        let (request, _) = system.broker.lookups.pop().unwrap();
        system.broker.pass(5_000);
        assert!(system.answer(alice, bob).unwrap_err().contains("in time"));
        let found = [(Name::from("home.example"), vec![ip("198.51.100.1")])];
        system.broker.broker.looked_up(request, &found, system.broker.now);
        system.broker.run();
        assert!(system.broker.texts(alice).is_empty() && system.broker.texts(bob).is_empty());
        assert_eq!(system.broker.broker.counts().queries, 0);
    }
}

#[test]
fn p1_what_the_resolver_could_not_store_is_told_again() {
    let mut system = System::new(Config::default(), false);
    let (alice, bob) = system.pair();
    system.resolver.store.broken = true;
    system.tell(bob, "Address:198.51.100.9\nPort:9");
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("203.0.113.2 7800"));
    system.resolver.store.broken = false;
    system.pass(10_500);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("198.51.100.9 9"));
}

#[test]
fn p1_a_resolver_s_table_is_bounded() {
    let mut system = System::new(Config { max_addresses: 1, ..Config::default() }, false);
    let (alice, bob) = system.pair();
    let carol = system.broker.callee("carol", 3, "alice");
    system.settle();
    assert_eq!(system.resolver.store.resolved.len(), 1);
    assert!(system.broker.logs.iter().any(|log| log.what == What::ResolverRefused(413)));
    system.tell(bob, "Address:198.51.100.9\nPort:9");
    system.pass(20_500);
    assert_eq!(system.ask(alice, bob).as_deref(), Ok("198.51.100.9 9"), "one that is known may change");
    assert!(!system.broker.is_closed(carol));
}

#[test]
fn p1_callers_and_callees_that_go_while_the_resolver_is_asked_leave_nothing() {
    for who in [0, 1, 2] {
        let mut system = System::new(Config::default(), false);
        let (alice, bob) = system.pair();
        system.broker.send(alice, QUERY);
        match who {
            0 => system.broker.disconnect(alice),
            1 => system.broker.disconnect(bob),
            _ => system.broker.revoke("bob"),
        }
        system.settle();
        assert_eq!(system.broker.broker.counts().queries, 0, "{who}");
        if who > 0 {
            let answer = system.broker.text(alice);
            let denied = if who == 1 { "Callee not Connected." } else { "Permission Denied." };
            assert!(answer.contains(denied) && has(&answer, "Cause"), "{answer}");
        }
    }
}
