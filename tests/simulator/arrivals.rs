//! The reference model's judgement of recordings: who gets what, and who can read it.

use super::app::{BLOCK, MARK, class_of, fill};
use super::device::Device;
use super::model::Model;
use super::store::Store;
use p2pgate::message::DepositId;
use p2pgate::mpeg::Class;
use p2pgate::route::Attribute;
use p2pgate::terminal::SessionId;

impl Model {
    /// Bytes of recordings are readable only where their owner says so.
    pub fn on_the_wire(&self, through_broker: bool, bytes: &[u8]) {
        let marks = bytes.windows(40).filter(|window| window[..8] == MARK);
        for mark in marks {
            let number = |at: usize| u64::from_be_bytes(mark[at..at + 8].try_into().unwrap());
            let (id, block) = (number(8), number(16));
            // What was altered on its way, or is cut off there, is nobody's.
            let mut theirs = [0; 40];
            fill(id, block.wrapping_mul(BLOCK), &mut theirs);
            let Some(recording) = self.recordings.get(id as usize).filter(|_| theirs == *mark) else {
                continue;
            };
            let clear = matches!(recording.attribute, Attribute::Public | Attribute::Split)
                && class_of(recording.attribute, block * BLOCK) == Class::Rest;
            assert!(
                !through_broker && clear,
                "block {block} of recording {id}, {:?}, can be read on the way: {through_broker}",
                recording.attribute
            );
        }
    }

    pub fn offered(&self, index: usize, peer: &str, id: u64, size: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!(recording.to, index, "a recording is offered to whom it is for");
        assert_eq!(self.names[recording.from], peer, "by whom it is from");
        assert_eq!(recording.size, size);
    }

    /// Somebody asks for recordings: only who is permitted may.
    pub fn asked_for(&mut self, index: usize, peer: usize) {
        assert!(
            self.home(index, peer).on,
            "{} asks {} for recordings, which does not permit it",
            self.names[peer],
            self.names[index]
        );
        self.counted.fetched += 1;
    }

    /// The other end says that it has no such recording for who asked.
    pub fn has_none(&self, index: usize, peer: usize, id: u64) {
        let recording = self.recordings.get(id as usize);
        assert!(recording.is_none_or(|it| (it.from, it.to) != (peer, index)), "it has recording {id}");
    }

    /// Nothing is heard any more of who was struck off.
    pub fn may_hear(&self, index: usize, device: &Device, session: SessionId, _lying: bool) {
        let called = device.jobs.get(&session.number()).is_some_and(|job| job.tries < 9);
        let peer = device.terminal.as_ref().and_then(|terminal| terminal.peer(session));
        let peer = self.known(peer.expect("bytes come from somebody").as_str());
        assert!(
            called || self.home(index, peer).on,
            "bytes come from {}, who was struck off",
            self.names[peer]
        );
    }

    pub fn arrived(&mut self, index: usize, id: u64, offset: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!((recording.to, recording.size), (index, offset), "what has arrived is whole");
        self.arrived.insert(id);
    }

    pub fn recorded(&mut self, index: usize, id: u64) {
        assert!(self.arrived.contains(&id));
        self.recorded.insert((index, id));
    }

    pub fn delivered(&mut self, index: usize, id: u64) {
        let recording = &self.recordings[id as usize];
        assert_eq!(recording.from, index);
        assert!(self.recorded.contains(&(recording.to, id)), "what is said to be delivered is stored there");
        self.counted.delivered += 1;
    }

    pub fn deposited(&mut self, index: usize, id: DepositId, recording: u64, store: &Store) {
        let to = self.recordings[recording as usize].to;
        let key = self.deposits.get(&id).expect("what is acknowledged was opened").callee_key;
        self.pin(index, to, key);
        let deposit = self.deposits.get_mut(&id).unwrap();
        assert_eq!((deposit.caller, deposit.callee), (index, to));
        deposit.acknowledged = true;
        self.counted.deposited += 1;
        self.check_store(store);
    }

    pub fn withdraws(&mut self, deposit: &DepositId) {
        if let Some(deposit) = self.deposits.get_mut(deposit) {
            deposit.withdrawn = true;
        }
    }

    /// What should have been collected by its callee.
    pub fn pending(&self) -> impl Iterator<Item = (&DepositId, usize, usize)> {
        let kept = self.deposits.iter().filter(|(_, deposit)| deposit.acknowledged && !deposit.ended);
        kept.map(|(id, deposit)| (id, deposit.caller, deposit.callee))
    }

    pub fn pins_fit(&self, index: usize, other: usize) -> bool {
        let pin = self.lists[index].pins.get(&self.names[other]);
        let deceived = self.deceived.contains(&(index, other));
        pin.is_none_or(|pin| *pin == self.keys[other]) && !deceived && !self.has_moved(other)
    }

    /// Its key was replaced, and others may know the earlier one from a group.
    pub fn has_moved(&self, other: usize) -> bool {
        self.rekeyed.contains_key(&other) && self.joins(other)
    }

    /// It has been in a group: the broker may speak of one entry for it while the callee has struck that off, and has another, or knows an earlier key.
    pub fn joins(&self, member: usize) -> bool {
        self.joined.iter().any(|(_, other)| *other == member)
    }

    pub fn both_permit(&self, callee: usize, caller: usize) -> bool {
        self.home(callee, caller).on && self.broker(callee, caller).on
    }
}
