//! Whoever has every key: reads the texts of control and peer links on their way, and alters them if a test wants that.

use p2pgate::link::{
    Handle, Handshake, MaxRecord, Parsed, PeerGrant, Preamble, Psk, Record, SecretKey, Transport, record,
};
use p2pgate::message::Message;
use std::collections::HashMap;

/// A text that went from one to the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub from: String,
    pub to: String,
    pub text: String,
}

/// Given a text, the texts that go on in its place.
pub type Edit = Box<dyn FnMut(&Spoken) -> Vec<String>>;

/// What all taps share.
#[derive(Default)]
pub struct Listener {
    pub texts: Vec<Spoken>,
    pub edit: Option<Edit>,
    /// The key that callers prove instead of the grant's.
    pub wrong_psk: Option<[u8; 32]>,
    /// The static key that callers have instead of theirs.
    pub wrong_caller: Option<[u8; 32]>,
    psks: HashMap<Handle, [u8; 32]>,
    drawn: u64,
}

impl Listener {
    fn ephemeral(&mut self) -> [u8; 32] {
        self.drawn += 1;
        let mut bytes = [77; 32];
        bytes[..8].copy_from_slice(&self.drawn.to_be_bytes());
        bytes
    }

    fn hear(&mut self, from: &str, to: &str, text: &[u8]) -> Vec<String> {
        let text = String::from_utf8(text.to_vec()).unwrap();
        let grant = match Message::parse(text.as_bytes()) {
            Ok(Message::CallerNotice(notice)) => notice.handle.zip(notice.encrypt_key.key()),
            Ok(Message::CalleeAddress(address)) => address.handle.zip(address.encrypt_key.key()),
            _ => None,
        };
        if let Some((handle, key)) = grant {
            self.psks.insert(handle, *key.expose());
        }
        let spoken = Spoken { from: from.into(), to: to.into(), text };
        let texts = match &mut self.edit {
            Some(edit) => edit(&spoken),
            None => vec![spoken.text.clone()],
        };
        self.texts.push(spoken);
        texts
    }
}

pub struct Tap {
    pub names: [String; 2],
    secrets: [[u8; 32]; 2],
    held: [Vec<u8>; 2],
    stage: Stage,
}

#[allow(clippy::large_enum_variant)]
enum Stage {
    Start,
    /// Towards the end that connects, towards the other.
    Answer(Handshake, Handshake),
    Open(Transport, Transport),
    Raw,
}

const MAX: u16 = 17_000;

impl Tap {
    pub fn new(names: [String; 2], secrets: [[u8; 32]; 2]) -> Self {
        Self { names, secrets, held: Default::default(), stage: Stage::Start }
    }

    /// What one end wrote; gives what goes to each end.
    pub fn push(&mut self, side: usize, bytes: &[u8], listener: &mut Listener) -> [Vec<u8>; 2] {
        let mut out: [Vec<u8>; 2] = Default::default();
        self.held[side].extend(bytes);
        while self.step(side, &mut out, listener) {}
        out
    }

    /// Texts can be said in between.
    pub fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(..))
    }

    /// What somebody in between says to one end.
    pub fn say(&mut self, to: usize, text: &str) -> Vec<u8> {
        let Stage::Open(a, b) = &mut self.stage else { panic!("the link is not open") };
        seal(if to == 0 { a } else { b }, text)
    }

    fn step(&mut self, side: usize, out: &mut [Vec<u8>; 2], listener: &mut Listener) -> bool {
        match std::mem::replace(&mut self.stage, Stage::Raw) {
            Stage::Start if side == 0 => self.start(out, listener),
            Stage::Answer(mut to_first, mut to_second) if side == 1 => {
                let max = MaxRecord::new(MAX).unwrap();
                let Ok(Record::Complete(total)) = record(&self.held[1], max) else {
                    self.stage = Stage::Answer(to_first, to_second);
                    return false;
                };
                let mut message: Vec<u8> = self.held[1].drain(..total).collect();
                let Ok(range) = to_second.read(&mut message) else { return false };
                let mut texts = vec![String::new()];
                if !range.is_empty() {
                    texts = listener.hear(&self.names[1], &self.names[0], &message[range]);
                }
                let Some(text) = texts.first() else { return false };
                let mut buffer = [0; 2_048];
                let Ok(length) = to_first.write(text.as_bytes(), &mut buffer) else { return false };
                out[0].extend(&buffer[..length]);
                self.stage = Stage::Open(to_first.finish().unwrap(), to_second.finish().unwrap());
                true
            }
            Stage::Open(mut a, mut b) => {
                let Ok(Record::Complete(total)) = record(&self.held[side], MaxRecord::new(MAX).unwrap())
                else {
                    self.stage = Stage::Open(a, b);
                    return false;
                };
                let mut message: Vec<u8> = self.held[side].drain(..total).collect();
                let (here, there) = if side == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
                let range = here.open(&mut message).unwrap();
                for text in listener.hear(&self.names[side], &self.names[1 - side], &message[range]) {
                    out[1 - side].extend(seal(there, &text));
                }
                self.stage = Stage::Open(a, b);
                true
            }
            Stage::Raw => {
                let held = std::mem::take(&mut self.held[side]);
                out[1 - side].extend(&held);
                false
            }
            other => {
                self.stage = other;
                false
            }
        }
    }

    fn start(&mut self, out: &mut [Vec<u8>; 2], listener: &mut Listener) -> bool {
        let (preamble, used) = match Preamble::parse(&self.held[0]) {
            Ok(Parsed::Complete(preamble, used)) => (preamble, used),
            Ok(Parsed::NeedMore(_)) => {
                self.stage = Stage::Start;
                return false;
            }
            Err(_) => return true,
        };
        if matches!(preamble, Preamble::Lane { .. }) {
            return true;
        }
        let Ok(Record::Complete(total)) = record(&self.held[0][used..], MaxRecord::MIN) else {
            self.stage = Stage::Start;
            return false;
        };
        let mut message: Vec<u8> = self.held[0].drain(..used + total).skip(used).collect();
        let [first, second] = self.secrets.map(SecretKey::new);
        let (max, mut buffer) = (MaxRecord::new(MAX).unwrap(), [0; 2_048]);
        let (to_first, to_second, length) = match preamble {
            Preamble::Control { max_record } => {
                let mut responder =
                    Handshake::control_responder(&preamble, &second, max, listener.ephemeral()).unwrap();
                responder.read(&mut message).unwrap();
                let mut initiator = Handshake::control_initiator(
                    &first,
                    &second.public_key(),
                    max_record,
                    listener.ephemeral(),
                );
                let length = initiator.write(&[], &mut buffer).unwrap();
                (responder, initiator, length)
            }
            Preamble::Peer { handle, .. } => {
                let (caller, callee) = (self.names[0].clone(), self.names[1].clone());
                // A grant that was altered on its way is known to neither.
                let Some(&psk) = listener.psks.get(&handle) else { return false };
                let (first_key, second_key) = (first.public_key(), second.public_key());
                let grant = |psk, remote| (handle, remote, Psk::new(psk));
                let (handle, remote, key) = grant(psk, first_key);
                let to_caller =
                    PeerGrant { handle, caller: &caller, callee: &callee, remote: &remote, psk: &key };
                let mut responder =
                    Handshake::peer_responder(&preamble, &second, &to_caller, max, listener.ephemeral())
                        .unwrap();
                let Ok(range) = responder.read(&mut message) else { return false };
                let texts = listener.hear(&caller, &callee, &message[range]);
                let Some(text) = texts.first() else { return false };
                let (_, remote, key) = grant(listener.wrong_psk.unwrap_or(psk), second_key);
                let own = SecretKey::new(listener.wrong_caller.unwrap_or(self.secrets[0]));
                let to_callee =
                    PeerGrant { handle, caller: &caller, callee: &callee, remote: &remote, psk: &key };
                let mut initiator =
                    Handshake::peer_initiator(&own, &to_callee, max, listener.ephemeral()).unwrap();
                let Ok(length) = initiator.write(text.as_bytes(), &mut buffer) else { return false };
                (responder, initiator, length)
            }
            Preamble::Lane { .. } => return true,
        };
        out[1].extend(&buffer[..length]);
        self.stage = Stage::Answer(to_first, to_second);
        true
    }
}

fn seal(transport: &mut Transport, text: &str) -> Vec<u8> {
    let mut buffer = vec![0; usize::from(MAX) + 2];
    let length = transport.seal(text.as_bytes(), &mut buffer).unwrap();
    buffer.truncate(length);
    buffer
}
