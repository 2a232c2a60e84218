//! UPnP IGD: the router is found by multicast.

use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::time::Duration;

use igd_next::{Gateway, PortMappingProtocol, SearchOptions, search_gateway};

use super::{By, LEASE, Open, address_towards};

/// How long routers may take to answer.
const SEARCH: Duration = Duration::from_secs(5);
const WHAT: &str = "p2pgate recorder";

pub(super) fn open(port: NonZeroU16, wanted: NonZeroU16) -> Result<Open, String> {
    let mut search = SearchOptions::default();
    search.timeout = Some(SEARCH);
    let gateway = search_gateway(search).map_err(|error| format!("no router answers: {error}"))?;
    let here = address_towards(gateway.addr).map_err(|error| format!("no way to the router: {error}"))?;
    let inside = SocketAddr::new(here, port.get());
    let seconds = LEASE.as_secs() as u32;
    let outside = match gateway.add_port(PortMappingProtocol::TCP, wanted.get(), inside, seconds, WHAT) {
        Ok(()) => wanted.get(),
        Err(_) => gateway
            .add_any_port(PortMappingProtocol::TCP, inside, seconds, WHAT)
            .map_err(|error| format!("the router opens no port: {error}"))?,
    };
    let address =
        gateway.get_external_ip().map_err(|error| format!("the router doesn't say its address: {error}"))?;
    Ok(Open { by: By::Igd(gateway), outside: SocketAddr::new(address, outside), inside, lease: LEASE })
}

pub(super) fn close(gateway: &Gateway, outside: u16) {
    let _ = gateway.remove_port(PortMappingProtocol::TCP, outside);
}
