//! PCP and NAT-PMP: the router is the gateway of the default route.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;
use std::time::Duration;

use crab_nat::pcp::BaseMapRequest;
use crab_nat::{
    GATEWAY_PORT, GatewayAddress, InternetProtocol, PortMapping, PortMappingOptions, PortMappingType,
    TimeoutConfig, natpmp, pcp,
};
use tokio::runtime::{Builder, Runtime};

use super::{By, LEASE, Open, Way, address_towards};

/// Four words, 3.75 s in all: who knows the protocol answers at once, and UPnP is still to be asked.
const PATIENCE: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 3, max_retry_timeout: None };

/// Asks gateways.
pub(super) struct Asker(Runtime);

impl Asker {
    pub fn new() -> io::Result<Self> {
        Builder::new_current_thread().enable_all().build().map(Self)
    }

    /// By PCP, or else by NAT-PMP: some gateways that know this alone are silent to the other.
    pub fn open(&self, port: NonZeroU16, wanted: NonZeroU16) -> Result<Open, String> {
        let (router, here) = default_route().ok_or("there is no gateway to ask by PCP or NAT-PMP")?;
        let gateway = GatewayAddress::from(router);
        let options = PortMappingOptions {
            external_port: Some(wanted),
            lifetime_seconds: Some(LEASE.as_secs() as u32),
            timeout_config: Some(PATIENCE),
        };
        let inside = SocketAddr::new(here, port.get());
        let request = BaseMapRequest::new(gateway, here, InternetProtocol::Tcp, port);
        let by_pcp = match self.0.block_on(pcp::port_mapping(request, None, None, options)) {
            Ok(mapping) => return self.opened(mapping, inside),
            Err(error) => error,
        };
        let asked = natpmp::port_mapping(gateway, InternetProtocol::Tcp, port, options);
        match self.0.block_on(asked) {
            Ok(mapping) => self.opened(mapping, inside),
            Err(error) => Err(format!("the router opens no port by PCP ({by_pcp}) or NAT-PMP ({error})")),
        }
    }

    /// Asks again for what is open.
    pub fn renew(&self, mapping: &PortMapping, inside: SocketAddr) -> Result<Open, String> {
        let mut mapping = mapping.clone();
        self.0.block_on(mapping.renew()).map_err(|error| error.to_string())?;
        self.opened(mapping, inside)
    }

    fn opened(&self, mapping: PortMapping, inside: SocketAddr) -> Result<Open, String> {
        let address = match (mapping.mapping_type(), mapping.gateway()) {
            (PortMappingType::Pcp { external_ip, .. }, _) => external_ip.to_canonical(),
            (PortMappingType::NatPmp, gateway @ GatewayAddress::IpV4(_)) => {
                let asked = natpmp::external_address(gateway, Some(PATIENCE));
                let address = self.0.block_on(asked);
                address.map_err(|error| format!("the router doesn't say its address: {error}"))?.into()
            }
            (PortMappingType::NatPmp, GatewayAddress::IpV6(..)) => {
                return Err("NAT-PMP is for IPv4".to_owned());
            }
        };
        let outside = SocketAddr::new(address, mapping.external_port().get());
        let lease = Duration::from_secs(mapping.lifetime().into());
        Ok(Open { by: By::Gateway(Box::new(mapping)), outside, inside, lease })
    }

    pub fn close(&self, mapping: PortMapping) {
        let _ = self.0.block_on(mapping.try_drop());
    }
}

pub(super) fn way(mapping: &PortMapping) -> Way {
    match mapping.mapping_type() {
        PortMappingType::Pcp { .. } => Way::Pcp,
        PortMappingType::NatPmp => Way::NatPmp,
    }
}

/// The gateway, and this machine's address on the way there.
fn default_route() -> Option<(Ipv4Addr, IpAddr)> {
    let router = netdev::get_default_gateway().ok()?.ipv4.into_iter().next()?;
    let here = address_towards((router, GATEWAY_PORT).into()).ok()?;
    Some((router, here))
}
