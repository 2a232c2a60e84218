//! The page for people.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use quick_xml::escape::escape;

use super::http::RECORDINGS;
use super::shelf::Item;

/// What stays as it is in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where a recording is: a path without host.
pub(super) fn path(name: &str) -> String {
    format!("{RECORDINGS}{}", utf8_percent_encode(name, PLAIN))
}

/// All recordings as HTML.
pub(super) fn index(title: &str, items: &[Item]) -> String {
    let title = escape(title);
    let mut page = format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title>\
         <style>body{{font:1em/1.5 system-ui,sans-serif;margin:2em auto;max-width:50em;padding:0 1em}}\
         table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3em .6em;\
         border-bottom:1px solid #8884;overflow-wrap:anywhere}}td+td,th+th{{text-align:right;white-space:nowrap}}\
         :root{{color-scheme:light dark}}</style></head>\n<body><h1>{title}</h1>\n"
    );
    if items.is_empty() {
        page.push_str("<p>Nothing has arrived yet.</p>\n");
    } else {
        page.push_str("<table><thead><tr><th>Recording<th>Size<th>State</thead>\n");
        for item in items {
            let state = item.arrived.map_or_else(
                || httpdate::fmt_http_date(item.modified),
                |there| format!("arriving, {} %", u128::from(there) * 100 / u128::from(item.size.max(1))),
            );
            // Writing to a String cannot fail.
            let _ = writeln!(
                page,
                "<tr><td><a href=\"{}\">{}</a><td>{}<td>{state}",
                path(&item.name),
                escape(&item.name),
                indicatif::HumanBytes(item.size)
            );
        }
        page.push_str("</table>\n");
    }
    page.push_str("</body></html>\n");
    page
}
