//! The reference model's judgement of what devices hear: calls, grants, sessions, denials.

use super::device::Device;
use super::model::{Call, Model};
use p2pgate::link::PublicKey;
use p2pgate::message::Denial;
use p2pgate::terminal::{ClosedCause, Denied, Event, OfflineCause, SessionId};
use std::collections::BTreeSet;

/// How long a question, an answer or a connection may be on its way, with all latencies, milliseconds.
const FLIGHT: u64 = 60_000;
/// How long a grant may be used.
const GRANT: u64 = 60_000;

impl Model {
    pub fn calls(&mut self, caller: usize, callee: usize, session: u32, now: u64) {
        self.counted.calls += 1;
        self.calls.retain(|call| call.start + 3 * FLIGHT > now);
        self.calls.push(Call { caller, callee, session, start: now, permitted: false });
    }

    fn call_of(&self, caller: usize, session: u32) -> Option<&Call> {
        self.calls.iter().rev().find(|call| call.caller == caller && call.session == session)
    }

    pub fn session_event(&mut self, index: usize, device: &Device, event: Event, now: u64, lying: bool) {
        let peer =
            |session| device.terminal.as_ref().and_then(|it| it.peer(session)).map(|peer| peer.as_str());
        let clock = now + device.ahead;
        match event {
            Event::Asked { .. } => {
                let asks = self
                    .calls
                    .iter()
                    .any(|call| call.callee == index && self.broker(index, call.caller).was_on(call.start));
                assert!(asks || lying, "{} is asked for nobody whom it permits", self.names[index]);
            }
            Event::Expected { session } => {
                // None: it has ended since.
                let Some(caller) = peer(session).map(|peer| self.known(peer)) else { return };
                assert!(self.home(index, caller).on, "who is announced is on the list");
                self.waiting.insert((index, session.number()), clock + GRANT);
                *self.expected.entry((caller, index)).or_default() += 1;
            }
            Event::Unexpected { key_changed } => self.unexpected(index, key_changed, now, lying),
            Event::Permitted { session } => {
                let found = self
                    .calls
                    .iter_mut()
                    .rev()
                    .find(|it| it.caller == index && it.session == session.number());
                if let Some(call) = found {
                    call.permitted = true;
                }
            }
            Event::Granted { session } => {
                let pair = (
                    index,
                    self.call_of(index, session.number()).expect("who is granted something has asked").callee,
                );
                *self.told.entry(pair).or_default() += 1;
                let granted = self.granted.get(&pair).copied().unwrap_or(0);
                assert!(
                    self.told[&pair] <= granted || lying,
                    "nobody is granted what the broker did not grant"
                );
            }
            Event::Connected { session, .. } => self.connects(index, device, session, clock, lying),
            Event::DepositOffered { session, .. } => {
                let Some(call) = self.call_of(index, session.number()) else { return };
                assert!(self.broker(call.callee, index).was_on(call.start), "only who is permitted is asked");
            }
            Event::Denied { session, denial, retry_after } => {
                self.denied(index, session, denial, retry_after, now, lying);
            }
            Event::Collecting { session } => {
                let terminal = device.terminal.as_ref().unwrap();
                let Some(deposit) = terminal.deposit_of(session) else { return };
                let known = &self.deposits[deposit];
                assert_eq!(known.callee, index, "a deposit goes to its callee only");
                assert!(self.home(index, known.caller).on, "who is not on the list leaves nothing");
                assert!(!device.collected.contains(deposit), "a deposit is collected once");
            }
            Event::DepositWaiting { deposit, .. } => {
                let (caller, callee) = (self.deposits[&deposit].caller, self.deposits[&deposit].callee);
                assert_eq!(callee, index, "a deposit is told to its callee only");
                self.pin(index, caller, self.key_seen(device, caller));
            }
            Event::DepositCollected { deposit } => {
                assert!(self.deposits[&deposit].ended, "what is told to be collected is");
                assert_eq!(self.deposits[&deposit].caller, index, "and told to whom it concerns");
            }
            Event::Registered { revision } => self.registered(index, device, revision, now, lying),
            Event::Online { .. } => self.settled(index, device, now, lying),
            Event::Closed {
                session,
                cause: ClosedCause::Withdrawn | ClosedCause::Idle | ClosedCause::OtherEnd,
            } => {
                self.waiting.remove(&(index, session.number()));
            }
            _ => {}
        }
    }

    fn key_seen(&self, device: &Device, caller: usize) -> PublicKey {
        let listed = device.terminal.as_ref().into_iter().flat_map(|terminal| terminal.permitted());
        let mut seen = listed
            .filter(|(name, _)| name.as_str() == self.names[caller])
            .filter_map(|(_, key)| key.copied());
        seen.next().unwrap_or(self.keys[caller])
    }

    pub fn pin(&mut self, index: usize, peer: usize, key: PublicKey) {
        let name = self.names[peer].clone();
        // Of who comes by a group the key is kept as long as the list stays as it is: that is looked at in tests of its own.
        if !self.lists[index].names.contains(&name) && self.home(index, peer).on {
            if key != self.keys[peer] {
                self.deceived.insert((index, peer));
            }
            return;
        }
        let pinned = *self.lists[index].pins.entry(name).or_insert(key);
        assert_eq!(pinned, key, "{} takes another key for {}", self.names[index], self.names[peer]);
    }

    /// A peer link is up.
    fn connects(&mut self, index: usize, device: &Device, session: SessionId, clock: u64, lying: bool) {
        self.counted.connected += 1;
        let terminal = device.terminal.as_ref().unwrap();
        let (Some(peer), Some(key)) = (terminal.peer(session), terminal.peer_key(session).copied()) else {
            return;
        };
        let peer = self.known(peer.as_str());
        // What a device that is no more sent last may still be on its way.
        let now = clock - device.ahead;
        let earlier = self.changed[peer] + FLIGHT > now && self.rekeyed.get(&peer) == Some(&key);
        assert!(key == self.keys[peer] || earlier || lying, "nobody connects in another's name");
        self.pin(index, peer, key);
        if self.call_of(index, session.number()).is_some_and(|call| call.callee == peer)
            && device.jobs.contains_key(&session.number())
        {
            return;
        }
        let until = self.waiting.remove(&(index, session.number())).expect("a grant is used once");
        assert!(clock <= until, "a grant is used in its time");
        assert!(self.home(index, peer).on, "who was struck off does not come in");
        let pair = (peer, index);
        *self.connected.entry(pair).or_default() += 1;
        let told = self.told.get(&pair).copied().unwrap_or(0);
        assert!(self.connected[&pair] <= told || lying, "a grant works once, and for its two parties");
    }

    fn unexpected(&mut self, index: usize, key_changed: bool, now: u64, lying: bool) {
        let since = now.saturating_sub(FLIGHT);
        let mut others = 0..self.names.len();
        let reason = if key_changed {
            self.counted.key_changed += 1;
            others.any(|other| {
                let pinned = self.lists[index].pins.get(&self.names[other]);
                pinned.is_some_and(|pinned| {
                    self.enrolled.get(&other) != Some(pinned) || self.changed[other] >= since
                }) || self.has_moved(other)
            })
        } else {
            others.any(|other| {
                let unheard = self.lists[index].struck.contains_key(&self.names[other]);
                (!self.home(index, other).on || unheard || self.joins(other))
                    && self.broker(index, other).was_on(since)
            })
        };
        assert!(reason || lying, "{} is bothered by somebody whom it does not permit", self.names[index]);
    }

    fn denied(
        &mut self,
        index: usize,
        session: SessionId,
        denial: Denied,
        retry_after: Option<u32>,
        now: u64,
        lying: bool,
    ) {
        let Some(call) = self.call_of(index, session.number()) else { return };
        let (callee, start) = (call.callee, call.start);
        let access = self.broker(callee, index);
        let own = [30, 60].contains(&retry_after.unwrap_or(60)) || retry_after.is_none();
        match denial {
            Denied::Broker(Denial::NotFound | Denial::NotConnected) => {
                // Too many questions are refused whoever asks.
                let limits = retry_after.is_some() && !own || retry_after == Some(30);
                assert!(
                    access.was_on(start) || limits,
                    "{} learns something of {} without being on its list",
                    self.names[index],
                    self.names[callee]
                );
            }
            Denied::Broker(Denial::NotPermitted) => {
                let stayed = access.stayed_on(start) && self.home(callee, index).stayed_on(start);
                let same = self.changed[index] + FLIGHT < start && self.changed[callee] + FLIGHT < start;
                let pinned = self.lists[callee]
                    .pins
                    .get(&self.names[index])
                    .is_none_or(|pin| *pin == self.keys[index]);
                let heard = !self.lists[callee].struck.contains_key(&self.names[index]);
                let plain =
                    stayed && same && pinned && heard && !self.joins(index) && !call.permitted && !lying;
                assert!(
                    !plain,
                    "{} was denied {} though it is permitted",
                    self.names[index], self.names[callee]
                );
                assert!(retry_after.is_none());
            }
            Denied::KeyChanged => {
                self.counted.key_changed += 1;
                let pinned = self.lists[index].pins.get(&self.names[callee]);
                let changed = pinned.is_some_and(|pinned| *pinned != self.keys[callee]);
                assert!(
                    changed || lying || self.changed[callee] + FLIGHT > now || self.has_moved(callee),
                    "a key that is the same has not changed"
                );
            }
            _ => {}
        }
    }

    /// The broker has the list: deletions are forgotten, and who was put on again is bound to the key of that time.
    fn settled(&mut self, index: usize, device: &Device, now: u64, lying: bool) {
        if !device.terminal.as_ref().is_some_and(|terminal| terminal.is_registered()) {
            return;
        }
        let struck = std::mem::take(&mut self.lists[index].struck);
        let mine = self.enrolled.get(&index) == Some(&self.keys[index]);
        let served = self.served.get(&index).filter(|_| mine && !lying);
        for (name, since) in struck {
            let (Some(other), Some(bound)) =
                (self.index_of(&name), served.and_then(|served| served.get(name.as_str())))
            else {
                continue;
            };
            if self.changed[other] < since {
                let whose = &self.names[index];
                assert_eq!(bound.as_ref(), self.enrolled.get(&other), "{whose} has put {name} on again");
            }
        }
        self.refresh_wanted(now);
    }

    fn registered(&mut self, index: usize, device: &Device, revision: u64, now: u64, lying: bool) {
        self.settled(index, device, now, lying);
        let terminal = device.terminal.as_ref().unwrap();
        let name = self.names[index].as_str();
        let Some(served) =
            self.served.get(&index).filter(|_| self.enrolled.get(&index) == Some(&self.keys[index]))
        else {
            return;
        };
        if terminal.revision() == revision && terminal.is_registered() {
            let theirs: BTreeSet<String> = served.keys().map(|name| name.to_string()).collect();
            assert_eq!(theirs, self.lists[index].names, "what {name} was told to be registered is on disk");
        }
    }

    pub fn went_offline(&mut self, index: usize, cause: OfflineCause, now: u64) {
        self.last_offline.insert(index, cause);
        let enrolled = self.enrolled.get(&index) == Some(&self.keys[index]);
        // Nor does a HELLO from before a restart, which may be on its way for long.
        assert!(cause != OfflineCause::Displaced, "nobody listens in {}'s place", self.names[index]);
        if cause == OfflineCause::NotEnrolled {
            assert!(!enrolled || self.changed[index] + FLIGHT > now, "{} is enrolled", self.names[index]);
        }
    }

    /// Someone connects to an address: it may know it.
    pub fn knows_address(&self, index: usize, whose: Option<usize>, lying: bool) {
        let Some(whose) = whose else { return assert!(lying, "an address that is nobody's") };
        let told = self.told.get(&(index, whose)).copied().unwrap_or(0);
        assert!(told > 0 || lying, "{} knows the address of {}", self.names[index], self.names[whose]);
    }

    pub fn check_sessions(&self, index: usize, device: &Device) {
        let Some(terminal) = &device.terminal else { return };
        for (number, session) in &device.sessions {
            let (Some(peer), false) =
                (terminal.peer(*session), device.jobs.get(number).is_some_and(|job| job.tries < 9))
            else {
                continue;
            };
            let peer = self.known(peer.as_str());
            assert!(
                self.home(index, peer).on,
                "a session with {} is open, who was struck off",
                self.names[peer]
            );
        }
    }
}
