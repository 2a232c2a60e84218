//! ConnectionManager:1, as far as a server that sends by HTTP needs it.

use super::soap::{Arguments, Fault, Values};
use crate::serve::kind::SERVED;

pub(super) fn call(action: &str, arguments: &Arguments) -> Result<Values, Fault> {
    match action {
        "GetProtocolInfo" => {
            let source: Vec<String> = SERVED.iter().map(|mime| format!("http-get:*:{mime}:*")).collect();
            Ok(vec![("Source", source.join(",")), ("Sink", String::new())])
        }
        "GetCurrentConnectionIDs" => Ok(vec![("ConnectionIDs", "0".to_owned())]),
        "GetCurrentConnectionInfo" => match arguments.get("ConnectionID").map(String::as_str) {
            Some("0") => Ok(vec![
                ("RcsID", "-1".to_owned()),
                ("AVTransportID", "-1".to_owned()),
                ("ProtocolInfo", String::new()),
                ("PeerConnectionManager", String::new()),
                ("PeerConnectionID", "-1".to_owned()),
                ("Direction", "Output".to_owned()),
                ("Status", "OK".to_owned()),
            ]),
            Some(_) => Err(Fault::InvalidConnection),
            None => Err(Fault::InvalidArguments),
        },
        _ => Err(Fault::InvalidAction),
    }
}
