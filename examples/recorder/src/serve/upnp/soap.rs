//! Calls of a service, and their results: SOAP 1.1 as UPnP uses it. quick-xml reads and writes it; it resolves no entities
//! but XML's own five, and reads nothing from elsewhere.

use hyper::StatusCode;
use quick_xml::events::{BytesText, Event};
use quick_xml::{Reader, Writer};
use std::collections::HashMap;
use std::io;

use super::{Service, XML};
use crate::serve::http::{self, Answer};

const ENVELOPE: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const ENCODING: &str = "http://schemas.xmlsoap.org/soap/encoding/";
const CONTROL: &str = "urn:schemas-upnp-org:control-1-0";

/// What went wrong with a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    InvalidAction,
    InvalidArguments,
    ActionFailed,
    NoSuchObject,
    UnsupportedSorting,
    InvalidConnection,
}

impl Fault {
    fn parts(self) -> (u16, &'static str) {
        match self {
            Self::InvalidAction => (401, "Invalid Action"),
            Self::InvalidArguments => (402, "Invalid Args"),
            Self::ActionFailed => (501, "Action Failed"),
            Self::NoSuchObject => (701, "No such object"),
            Self::UnsupportedSorting => (709, "Unsupported or invalid sort criteria"),
            Self::InvalidConnection => (706, "Invalid connection reference"),
        }
    }
}

pub(super) type Values = Vec<(&'static str, String)>;
pub(super) type Arguments = HashMap<String, String>;

/// The arguments of a call of `action`; `None` if `body` is none.
pub(super) fn arguments(body: &[u8], action: &str) -> Option<Arguments> {
    let mut reader = Reader::from_str(str::from_utf8(body).ok()?);
    let mut arguments = Arguments::new();
    // The elements that are open, outermost first: Envelope, Body, the action, an argument.
    let mut open: Vec<String> = Vec::new();
    let mut found = false;
    let is_call = |open: &[String]| open.len() >= 3 && open[1] == "Body" && open[2] == action;
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                open.push(start.local_name().as_ref().to_owned());
                found |= is_call(&open);
                if let ([_, _, _, name], true) = (&open[..], is_call(&open)) {
                    arguments.insert(name.clone(), String::new());
                }
            }
            Event::Empty(start) => {
                open.push(start.local_name().as_ref().to_owned());
                found |= is_call(&open);
                open.pop();
            }
            Event::End(_) => {
                open.pop();
            }
            Event::Text(text) => add(&mut arguments, &open, &text, is_call(&open)),
            Event::CData(text) => add(&mut arguments, &open, &text, is_call(&open)),
            Event::GeneralRef(reference) => {
                let text = match reference.resolve_char_ref().ok()? {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_xml_entity(&reference)?.to_owned(),
                };
                add(&mut arguments, &open, &text, is_call(&open));
            }
            Event::DocType(_) => return None,
            Event::Eof => return (found && open.is_empty()).then_some(arguments),
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
        }
    }
}

fn add(arguments: &mut Arguments, open: &[String], text: &str, is_call: bool) {
    if let ([_, _, _, name], true) = (open, is_call)
        && let Some(value) = arguments.get_mut(name)
    {
        value.push_str(text);
    }
}

/// The answer to a call that went well.
pub(super) fn result(service: Service, action: &str, values: &Values) -> Answer {
    envelope(StatusCode::OK, |body| {
        let element = body.create_element(format!("u:{action}Response"));
        let element = element.with_attribute(("xmlns:u", service.urn().as_str()));
        element.write_inner_content(|inner| {
            for (name, value) in values {
                inner.create_element(*name).write_text_content(BytesText::new(value))?;
            }
            Ok(())
        })?;
        Ok(())
    })
}

/// The answer to one that did not.
pub(super) fn fault(fault: Fault) -> Answer {
    let (code, text) = fault.parts();
    envelope(StatusCode::INTERNAL_SERVER_ERROR, |body| {
        body.create_element("s:Fault").write_inner_content(|inner| {
            inner.create_element("faultcode").write_text_content(BytesText::new("s:Client"))?;
            inner.create_element("faultstring").write_text_content(BytesText::new("UPnPError"))?;
            inner.create_element("detail").write_inner_content(|detail| {
                let error = detail.create_element("UPnPError").with_attribute(("xmlns", CONTROL));
                error.write_inner_content(|error| {
                    let code = code.to_string();
                    error.create_element("errorCode").write_text_content(BytesText::new(&code))?;
                    error.create_element("errorDescription").write_text_content(BytesText::new(text))?;
                    Ok(())
                })?;
                Ok(())
            })?;
            Ok(())
        })?;
        Ok(())
    })
}

fn envelope(status: StatusCode, write: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> Answer {
    let mut writer = Writer::new(Vec::new());
    let element = writer.create_element("s:Envelope");
    let element = element.with_attributes([("xmlns:s", ENVELOPE), ("s:encodingStyle", ENCODING)]);
    let written = element.write_inner_content(|envelope| {
        envelope.create_element("s:Body").write_inner_content(write)?;
        Ok(())
    });
    if written.is_err() {
        return http::text(StatusCode::INTERNAL_SERVER_ERROR, "the answer could not be written\n");
    }
    let text = String::from_utf8_lossy(&writer.into_inner()).into_owned();
    let mut answer = http::whole(XML, format!("<?xml version=\"1.0\" encoding=\"utf-8\"?>\n{text}"));
    *answer.status_mut() = status;
    // Asked for by UPnP.
    http::set(answer.headers_mut(), hyper::header::HeaderName::from_static("ext"), "");
    answer
}
