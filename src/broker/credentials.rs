//! What a caller and a callee get for one session (P12).

use crate::message::SecretText;
use zeroize::Zeroizing;

/// A grant's secrets (P12): 128 random bits a password, one a direction, and a key. They stay where they were made: what is moved leaves a copy.
#[derive(Default)]
pub(super) struct Credentials {
    pub password: Zeroizing<[u8; 16]>,
    pub callee_password: Zeroizing<[u8; 16]>,
    pub key: Zeroizing<[u8; 32]>,
}

/// [`Credentials`] as M11 and M12 have them.
pub(super) struct Texts {
    password: Zeroizing<[u8; 24]>,
    callee_password: Zeroizing<[u8; 24]>,
    key: Zeroizing<[u8; 44]>,
}

impl Texts {
    pub fn new() -> Self {
        Self {
            password: Zeroizing::new([0; 24]),
            callee_password: Zeroizing::new([0; 24]),
            key: Zeroizing::new([0; 44]),
        }
    }

    /// The two passwords, caller's first, and the key. The buffers have the sizes that base64 takes.
    pub fn fill(&mut self, credentials: &Credentials) -> Option<[SecretText<'_>; 3]> {
        Some([
            SecretText::of_bytes(&*credentials.password, &mut *self.password)?,
            SecretText::of_bytes(&*credentials.callee_password, &mut *self.callee_password)?,
            SecretText::of_bytes(&*credentials.key, &mut *self.key)?,
        ])
    }
}
