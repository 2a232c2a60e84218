//! A UPnP AV MediaServer:1 (UPnP Device Architecture 1.0, ContentDirectory:1, ConnectionManager:1), with the DLNA headers that
//! televisions look for.
//!
//! There is no eventing: a subscription would let whoever asks have this machine connect to any URL (CVE-2020-12695).

mod directory;
mod manager;
mod soap;
mod ssdp;

use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::{HeaderMap, HeaderName};
use hyper::{Method, Request, StatusCode};
use p2pgate::link::PublicKey;
use quick_xml::escape::escape;
use sha2::{Digest, Sha256};

pub(super) use ssdp::announce;

use super::http::{self, Answer, Ends, Site};
use soap::Fault;

/// Where all of it is.
pub(super) const ROOT: &str = "/upnp/";
const DESCRIPTION: &str = "/upnp/device.xml";
const XML: &str = "text/xml; charset=\"utf-8\"";
/// The longest request to a service, in bytes.
const LONGEST_BODY: usize = 16 << 10;
const DEVICE_TYPE: &str = "urn:schemas-upnp-org:device:MediaServer:1";
/// What this software calls itself: operating system, UPnP version, product.
const SERVER: &str = concat!("Linux UPnP/1.0 p2pgate-recorder/", env!("CARGO_PKG_VERSION"));

const CONTENT_FEATURES: HeaderName = HeaderName::from_static("contentfeatures.dlna.org");
const GET_CONTENT_FEATURES: HeaderName = HeaderName::from_static("getcontentfeatures.dlna.org");
const TRANSFER_MODE: HeaderName = HeaderName::from_static("transfermode.dlna.org");

/// A service of the device.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Service {
    ContentDirectory,
    ConnectionManager,
}

impl Service {
    const EACH: [Self; 2] = [Self::ContentDirectory, Self::ConnectionManager];

    fn name(self) -> &'static str {
        match self {
            Self::ContentDirectory => "ContentDirectory",
            Self::ConnectionManager => "ConnectionManager",
        }
    }

    fn urn(self) -> String {
        format!("urn:schemas-upnp-org:service:{}:1", self.name())
    }

    fn description(self) -> &'static str {
        match self {
            Self::ContentDirectory => include_str!("ContentDirectory.xml"),
            Self::ConnectionManager => include_str!("ConnectionManager.xml"),
        }
    }
}

/// What a control point is told of this device. Not the recorder's identifier: that may be somebody's telephone number.
#[derive(Clone, Debug)]
pub struct Device {
    /// For people.
    pub name: String,
    /// The unique device name: `uuid:` and a UUID.
    pub udn: String,
}

impl Device {
    /// The same for the same recorder each time, and telling nothing of its key.
    pub fn of(key: &PublicKey) -> Self {
        let hash = Sha256::new().chain_update("p2pgate UPnP device").chain_update(key.as_bytes()).finalize();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        // Version 8, RFC 9562: of one's own making.
        id[6] = 0x80 | id[6] & 0x0f;
        id[8] = 0x80 | id[8] & 0x3f;
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        let host = rustix::system::uname();
        let host = host.nodename().to_string_lossy().into_owned();
        Self { name: format!("Recordings on {host}"), udn: format!("uuid:{}", parts.join("-")) }
    }
}

/// Answers what is asked below [`ROOT`].
pub(super) async fn answer(request: Request<Incoming>, site: &Site, ends: Ends) -> Answer {
    let path = request.uri().path().to_owned();
    let service = Service::EACH.into_iter().find(|service| path.contains(service.name()));
    match (request.method(), service) {
        (&Method::GET | &Method::HEAD, None) if path == DESCRIPTION => http::whole(XML, description(site)),
        (&Method::GET | &Method::HEAD, Some(service)) if path == scpd(service) => {
            http::whole(XML, service.description().to_owned())
        }
        (&Method::POST, Some(service)) if path == control(service) => {
            call(request, service, site, ends).await
        }
        (&Method::GET | &Method::HEAD | &Method::POST, _) => http::not_found(),
        _ => http::text(StatusCode::NOT_IMPLEMENTED, "there are no events here\n"),
    }
}

fn scpd(service: Service) -> String {
    format!("{ROOT}{}.xml", service.name())
}

fn control(service: Service) -> String {
    format!("{ROOT}{}", service.name())
}

async fn call(request: Request<Incoming>, service: Service, site: &Site, ends: Ends) -> Answer {
    // The header makes a browser ask before it lets a page elsewhere send this.
    let action = http::value(request.headers(), &HeaderName::from_static("soapaction")).unwrap_or_default();
    let Some((urn, action)) = action.trim_matches('"').split_once('#') else {
        return http::text(StatusCode::BAD_REQUEST, "there is no SOAPAction\n");
    };
    if urn != service.urn() {
        return soap::fault(Fault::InvalidAction);
    }
    let action = action.to_owned();
    let body = Limited::new(request.into_body(), LONGEST_BODY).collect();
    let body = match tokio::time::timeout(site.limits().idle, body).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(_)) => return http::text(StatusCode::PAYLOAD_TOO_LARGE, "the request is too long\n"),
        Err(_) => return http::text(StatusCode::REQUEST_TIMEOUT, "the request does not come\n"),
    };
    let Some(arguments) = soap::arguments(&body, &action) else {
        return http::text(StatusCode::BAD_REQUEST, "this is no call of that action\n");
    };
    let result = match service {
        Service::ContentDirectory => directory::call(&action, &arguments, site, ends).await,
        Service::ConnectionManager => manager::call(&action, &arguments),
    };
    match result {
        Ok(values) => soap::result(service, &action, &values),
        Err(fault) => soap::fault(fault),
    }
}

/// What the device is and where its services are.
fn description(site: &Site) -> String {
    let services: String = Service::EACH
        .into_iter()
        .map(|service| {
            format!(
                "<service><serviceType>{}</serviceType><serviceId>urn:upnp-org:serviceId:{}</serviceId>\
                 <SCPDURL>{}</SCPDURL><controlURL>{}</controlURL><eventSubURL></eventSubURL></service>",
                service.urn(),
                service.name(),
                scpd(service),
                control(service)
            )
        })
        .collect();
    format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
         <root xmlns=\"urn:schemas-upnp-org:device-1-0\" xmlns:dlna=\"urn:schemas-dlna-org:device-1-0\">\
         <specVersion><major>1</major><minor>0</minor></specVersion><device>\
         <dlna:X_DLNADOC>DMS-1.50</dlna:X_DLNADOC><deviceType>{DEVICE_TYPE}</deviceType>\
         <friendlyName>{}</friendlyName><manufacturer>p2pgate</manufacturer>\
         <modelName>p2pgate-recorder</modelName><modelNumber>{}</modelNumber><UDN>{}</UDN>\
         <serviceList>{services}</serviceList><presentationURL>/</presentationURL></device></root>\n",
        escape(&site.device.name),
        env!("CARGO_PKG_VERSION"),
        escape(&site.device.udn),
    )
}

/// The fourth field of DLNA's protocol information: whether bytes can be sought, and that it may be streamed, taken in the
/// background and kept waiting; what still arrives grows at its end.
fn features(arriving: bool) -> &'static str {
    if arriving {
        "DLNA.ORG_OP=00;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=05700000000000000000000000000000"
    } else {
        "DLNA.ORG_OP=01;DLNA.ORG_CI=0;DLNA.ORG_FLAGS=01700000000000000000000000000000"
    }
}

/// What DLNA wants in the answer to a request for a recording.
pub(super) fn streaming_headers(request: &HeaderMap, answer: &mut HeaderMap, arriving: bool) {
    if http::value(request, &GET_CONTENT_FEATURES) == Some("1") {
        http::set(answer, CONTENT_FEATURES, features(arriving));
    }
    if let Some(mode @ ("Streaming" | "Background" | "Interactive")) = http::value(request, &TRANSFER_MODE) {
        http::set(answer, TRANSFER_MODE, mode);
    }
}
