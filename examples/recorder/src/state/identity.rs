//! Who a recorder is: its identifier and key, and the broker it belongs to.

use std::collections::HashMap;

use base64ct::{Base64, Encoding};
use p2pgate::identifier::Identifier;
use p2pgate::link::{PublicKey, SecretKey};
use zeroize::Zeroizing;

/// A recorder's identity.
#[derive(Clone, Debug)]
pub struct Identity {
    /// What it is called.
    pub identifier: Identifier,
    /// Its static key: what it *is*.
    pub secret: SecretKey,
    /// The broker's address, `HOST:PORT`.
    pub broker: String,
    /// The broker's pinned key.
    pub broker_key: PublicKey,
    /// The broker is reached by TLS (V7).
    pub tls: bool,
}

impl Identity {
    /// The text of the file `identity`.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(Base64::encode_string(self.secret.to_bytes()));
        Zeroizing::new(format!(
            "Identifier:{}\nSecret Key:{}\nBroker:{}\nBroker Key:{}\n{}",
            self.identifier,
            *secret,
            self.broker,
            self.broker_key,
            if self.tls { "TLS:1\n" } else { "" }
        ))
    }

    /// Reads that text; `None` if it is damaged.
    pub fn parse(text: &str) -> Option<Self> {
        let values: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once(':')).collect();
        let mut secret = Zeroizing::new([0; 32]);
        if Base64::decode(values.get("Secret Key")?, secret.as_mut()).ok()?.len() != 32 {
            return None;
        }
        Some(Self {
            identifier: Identifier::new(values.get("Identifier")?).ok()?,
            secret: SecretKey::new(*secret),
            broker: (*values.get("Broker")?).to_owned(),
            broker_key: PublicKey::from_base64(values.get("Broker Key")?).ok()?,
            tls: values.contains_key("TLS"),
        })
    }
}
