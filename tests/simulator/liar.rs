//! A broker that lies: it says what a broker may say, but not what is true. Wrong addresses, keys of an attacker's, grants that are over.

use super::host;
use super::plan::Fault;
use super::rng::Rng;
use super::world::World;
use crate::tap::{Spoken, Tap};
use p2pgate::link::{Handle, SecretKey};
use p2pgate::message::{CallerNotice, Host, Message};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

/// The next texts that will be lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// The callee is where the attacker is.
    Address,
    /// So it is, and has the attacker's key.
    CalleeKey,
    /// The caller has the attacker's key.
    CallerKey,
    /// A caller who was announced before is announced again, as it was.
    OldGrant,
}

/// What a lying broker tells the attacker.
#[derive(Clone)]
pub struct EvilGrant {
    pub handle: Handle,
    pub caller: String,
    pub callee: String,
    pub psk: [u8; 32],
    pub password: String,
    pub callee_password: String,
}

#[derive(Default)]
pub struct Lies {
    armed: Vec<Lie>,
    pub grants: BTreeMap<Handle, EvilGrant>,
    /// Announcements that were made, by whom they were made to.
    announced: BTreeMap<String, String>,
    /// Callees that were told of the attacker in another's name.
    calls: Vec<EvilGrant>,
    /// Who asked for whom last.
    asked: BTreeMap<String, String>,
}

pub fn attacker() -> SecretKey {
    SecretKey::new([66; 32])
}

impl Lies {
    fn take(&mut self, lie: &[Lie]) -> Option<Lie> {
        let at = self.armed.iter().position(|armed| lie.contains(armed))?;
        Some(self.armed.remove(at))
    }

    fn edit(&mut self, spoken: &Spoken) -> Vec<String> {
        let same = vec![spoken.text.clone()];
        match Message::parse(spoken.text.as_bytes()) {
            Ok(Message::Query(query)) => {
                self.asked.insert(spoken.from.clone(), query.callee.to_owned());
                same
            }
            Ok(Message::CalleeAddress(mut told)) => {
                let Some(lie) = self.take(&[Lie::Address, Lie::CalleeKey]) else { return same };
                let grant = EvilGrant {
                    handle: told.handle.unwrap(),
                    caller: spoken.to.clone(),
                    callee: self.asked[&spoken.to].clone(),
                    psk: *told.encrypt_key.key().unwrap().expose(),
                    password: told.password.expose().to_owned(),
                    callee_password: told.callee_password.unwrap().expose().to_owned(),
                };
                self.grants.insert(grant.handle, grant);
                told.address = Host::parse("198.51.100.66").unwrap();
                told.port = Some(7_000);
                told.candidates = Default::default();
                if lie == Lie::CalleeKey {
                    told.callee_key = Some(*attacker().public_key().as_bytes());
                }
                vec![text_of(&Message::CalleeAddress(told.clone()))]
            }
            Ok(Message::CallerNotice(notice)) => {
                let earlier = self.announced.insert(spoken.to.clone(), spoken.text.clone());
                match self.take(&[Lie::CallerKey, Lie::OldGrant]) {
                    Some(Lie::CallerKey) => {
                        self.calls.push(EvilGrant {
                            handle: notice.handle.unwrap(),
                            caller: notice.caller.to_owned(),
                            callee: spoken.to.clone(),
                            psk: *notice.encrypt_key.key().unwrap().expose(),
                            password: notice.password.expose().to_owned(),
                            callee_password: String::new(),
                        });
                        let caller_key = Some(*attacker().public_key().as_bytes());
                        vec![text_of(&Message::CallerNotice(CallerNotice { caller_key, ..notice }))]
                    }
                    Some(Lie::OldGrant) => earlier.into_iter().chain(same).collect(),
                    _ => same,
                }
            }
            _ => same,
        }
    }
}

fn text_of(message: &Message<'_>) -> String {
    let mut text = [0; 2_048];
    let length = message.encode(&mut text).unwrap();
    String::from_utf8(text[..length].to_vec()).unwrap()
}

impl World {
    pub fn begin_to_lie(&mut self) {
        let lies = Rc::new(RefCell::new(Lies::default()));
        let told = lies.clone();
        self.listener.edit = Some(Box::new(move |spoken| told.borrow_mut().edit(spoken)));
        self.lies = Some(lies);
    }

    /// Reads and alters what the broker and a device say to each other.
    pub fn tap(&self, device: usize) -> Option<Tap> {
        let device = &self.devices[device];
        self.lying().then(|| Tap::new([device.name.clone(), "broker".into()], [device.secret, host::SECRET]))
    }

    /// Prepares a lie, and does what the last ones were for.
    pub fn lie(&mut self, rng: &mut Rng) {
        let Some(lies) = self.lies.clone() else { return };
        let lie = [Lie::Address, Lie::CalleeKey, Lie::CallerKey, Lie::OldGrant][rng.index(4)];
        lies.borrow_mut().armed.push(lie);
        self.after_lies(rng);
    }

    pub fn after_lies(&mut self, rng: &mut Rng) {
        let Some(lies) = self.lies.clone().filter(|_| self.plan.has(Fault::Liar)) else { return };
        let calls = std::mem::take(&mut lies.borrow_mut().calls);
        for grant in calls {
            self.call_as(&grant, rng.bytes());
        }
    }

    pub fn stop_lying(&mut self) {
        if let Some(lies) = &self.lies {
            lies.borrow_mut().armed.clear();
        }
    }
}
