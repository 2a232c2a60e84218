//! ContentDirectory:1: one container with all recordings in it, browsed.

use std::cmp::Ordering;
use std::io;
use std::net::SocketAddr;

use quick_xml::Writer;
use quick_xml::events::BytesText;

use super::features;
use super::soap::{Arguments, Fault, Values};
use crate::serve::http::{self, Ends, Site};
use crate::serve::page;
use crate::serve::shelf::Item;

const ROOT: &str = "0";
/// What an item's identifier begins with; its name follows.
const ITEM: &str = "r/";
/// Items in one answer.
const MOST: usize = 200;

const DIDL: &str = "urn:schemas-upnp-org:metadata-1-0/DIDL-Lite/";
const ELEMENTS: &str = "http://purl.org/dc/elements/1.1/";
const METADATA: &str = "urn:schemas-upnp-org:metadata-1-0/upnp/";

pub(super) async fn call(
    action: &str,
    arguments: &Arguments,
    site: &Site,
    ends: Ends,
) -> Result<Values, Fault> {
    match action {
        "Browse" => browse(arguments, site, ends.local).await,
        "GetSearchCapabilities" => Ok(vec![("SearchCaps", String::new())]),
        "GetSortCapabilities" => Ok(vec![("SortCaps", "dc:title,dc:date".to_owned())]),
        "GetSystemUpdateID" => {
            let items = list(site).await?;
            Ok(vec![("Id", site.shelf.version(&items).to_string())])
        }
        _ => Err(Fault::InvalidAction),
    }
}

async fn list(site: &Site) -> Result<Vec<Item>, Fault> {
    let shelf = site.shelf.clone();
    http::blocking(move || shelf.list()).await.map_err(|_| Fault::ActionFailed)
}

async fn browse(arguments: &Arguments, site: &Site, local: SocketAddr) -> Result<Values, Fault> {
    let argument = |name| arguments.get(name).map(|value: &String| value.trim());
    let number =
        |name| argument(name).and_then(|value| value.parse::<u32>().ok()).ok_or(Fault::InvalidArguments);
    // Televisions of old write ContainerID.
    let id = argument("ObjectID").or(argument("ContainerID")).ok_or(Fault::InvalidArguments)?;
    let (start, count) = (number("StartingIndex")? as usize, number("RequestedCount")? as usize);
    let mut items = list(site).await?;
    let version = site.shelf.version(&items).to_string();
    let name = id.strip_prefix(ITEM);
    let children = items.len();
    let (result, returned, total) = match argument("BrowseFlag") {
        Some("BrowseMetadata") if id == ROOT => {
            (didl(|writer| write_root(writer, &site.device.name, children)), 1, 1)
        }
        Some("BrowseMetadata") => {
            let item = items.iter().find(|item| name == Some(&item.name)).ok_or(Fault::NoSuchObject)?;
            (didl(|writer| write_item(writer, item, local)), 1, 1)
        }
        Some("BrowseDirectChildren") if id == ROOT => {
            sort(&mut items, argument("SortCriteria").unwrap_or_default())?;
            let count = if count == 0 { MOST } else { count.min(MOST) };
            let shown: Vec<Item> = items.into_iter().skip(start).take(count).collect();
            let result = didl(|writer| shown.iter().try_for_each(|item| write_item(writer, item, local)));
            (result, shown.len(), children)
        }
        Some("BrowseDirectChildren") => return Err(Fault::NoSuchObject),
        _ => return Err(Fault::InvalidArguments),
    };
    Ok(vec![
        ("Result", result.map_err(|_| Fault::ActionFailed)?),
        ("NumberReturned", returned.to_string()),
        ("TotalMatches", total.to_string()),
        ("UpdateID", version),
    ])
}

/// By `+dc:title`, `-dc:date` and so on, the first the most important.
fn sort(items: &mut [Item], criteria: &str) -> Result<(), Fault> {
    let keys: Vec<&str> = criteria.split(',').map(str::trim).filter(|key| !key.is_empty()).collect();
    for key in keys.iter().rev() {
        let by: fn(&Item, &Item) -> Ordering = match key.trim_start_matches(['+', '-']) {
            "dc:title" => |one, other| one.name.to_lowercase().cmp(&other.name.to_lowercase()),
            "dc:date" => |one, other| one.modified.cmp(&other.modified),
            _ => return Err(Fault::UnsupportedSorting),
        };
        if key.starts_with('-') {
            items.sort_by(|one, other| by(other, one));
        } else {
            items.sort_by(by);
        }
    }
    Ok(())
}

fn didl(write: impl FnOnce(&mut Writer<Vec<u8>>) -> io::Result<()>) -> io::Result<String> {
    let mut writer = Writer::new(Vec::new());
    let element = writer.create_element("DIDL-Lite");
    element
        .with_attributes([("xmlns", DIDL), ("xmlns:dc", ELEMENTS), ("xmlns:upnp", METADATA)])
        .write_inner_content(write)?;
    String::from_utf8(writer.into_inner()).map_err(io::Error::other)
}

fn write_root(writer: &mut Writer<Vec<u8>>, title: &str, children: usize) -> io::Result<()> {
    let children = children.to_string();
    let attributes = [
        ("id", ROOT),
        ("parentID", "-1"),
        ("restricted", "1"),
        ("searchable", "0"),
        ("childCount", &children),
    ];
    writer.create_element("container").with_attributes(attributes).write_inner_content(|inner| {
        inner.create_element("dc:title").write_text_content(BytesText::new(title))?;
        inner
            .create_element("upnp:class")
            .write_text_content(BytesText::new("object.container.storageFolder"))?;
        inner.create_element("upnp:storageUsed").write_text_content(BytesText::new("-1"))?;
        Ok(())
    })?;
    Ok(())
}

fn write_item(writer: &mut Writer<Vec<u8>>, item: &Item, local: SocketAddr) -> io::Result<()> {
    let id = format!("{ITEM}{}", item.name);
    let attributes = [("id", id.as_str()), ("parentID", ROOT), ("restricted", "1")];
    writer.create_element("item").with_attributes(attributes).write_inner_content(|inner| {
        inner.create_element("dc:title").write_text_content(BytesText::new(&item.name))?;
        inner.create_element("dc:date").write_text_content(BytesText::new(&date(item)))?;
        inner.create_element("upnp:class").write_text_content(BytesText::new(item.kind.class))?;
        let protocol = format!("http-get:*:{}:{}", item.kind.mime, features(item.arrived.is_some()));
        let size = item.size.to_string();
        inner
            .create_element("res")
            .with_attributes([("protocolInfo", protocol.as_str()), ("size", &size)])
            .write_text_content(BytesText::new(&format!("http://{local}{}", page::path(&item.name))))?;
        Ok(())
    })?;
    Ok(())
}

/// `2026-11-22T20:15:00Z` out of `Sun, 22 Nov 2026 20:15:00 GMT`.
fn date(item: &Item) -> String {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let text = httpdate::fmt_http_date(item.modified);
    let parts: Vec<&str> = text.split(' ').collect();
    let [_, day, month, year, time, _] = parts[..] else { return String::new() };
    let month = MONTHS.find(month).unwrap_or_default() / 3 + 1;
    format!("{year}-{month:02}-{day}T{time}Z")
}
