//! Names of received files: a sender proposes one, and nothing it writes can lead out of the folder.

/// Longest file name, in bytes, on the file systems in use.
const LONGEST: usize = 255;
/// Room kept for ` (9999)`, so that a second recording of the same name still fits.
const NUMBER_ROOM: usize = 7;
/// What a recording is called whose proposed name has nothing usable in it.
const NAMELESS: &str = "recording";

/// A safe file name made of the sender's: the last path component, without control characters, line separators, what no XML
/// may hold, characters that some file system reserves, text direction overrides, leading dots, trailing dots and spaces; never the name
/// of a Windows device; at most 248 bytes of UTF-8.
pub fn sanitise(proposed: &str) -> String {
    let last = proposed.rsplit(['/', '\\']).next().unwrap_or_default();
    let clean: String = last.chars().map(|c| if is_unsafe(c) { '_' } else { c }).collect();
    let name = clean.trim_start_matches(['.', ' ']).trim_end_matches(['.', ' ']);
    if name.is_empty() {
        return NAMELESS.to_owned();
    }
    let name = shorten(name, LONGEST - NUMBER_ROOM);
    if is_device(&name) { format!("_{name}") } else { name }
}

/// The `number`th name to try for a file called `name`: itself, then `STEM (1).EXTENSION` and so on.
pub fn numbered(name: &str, number: u32) -> String {
    if number == 0 {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    format!("{stem} ({number}){extension}")
}

/// The hidden name under which an unfinished recording is kept; `tag` tells recordings of one name apart.
pub fn partial(name: &str, tag: &str) -> String {
    let room = LONGEST - ".".len() - ".part-".len() - tag.len();
    format!(".{}.part-{tag}", shorten(name, room))
}

/// The name as a terminal may show it: what it might obey, or what turns the direction of writing, is `\u{fffd}`.
pub fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c }).collect()
}

fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_unsafe(c: char) -> bool {
    let is_separator = matches!(c, '\u{2028}' | '\u{2029}' | '\u{fffe}' | '\u{ffff}');
    c.is_control() || matches!(c, '<' | '>' | ':' | '"' | '|' | '?' | '*') || is_separator || is_direction(c)
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or_default().trim_end().to_ascii_uppercase();
    match stem.as_str() {
        "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$" => true,
        _ => {
            let digit = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
            digit.is_some_and(|digit| {
                let mut chars = digit.chars();
                matches!(chars.next(), Some('0'..='9' | '¹' | '²' | '³')) && chars.next().is_none()
            })
        }
    }
}

/// The name without and with its extension (dot included; empty if there is none, or none worth keeping).
fn split_extension(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= 16 => name.split_at(at),
        _ => (name, ""),
    }
}

/// At most `room` bytes of `name`, its extension kept.
fn shorten(name: &str, room: usize) -> String {
    if name.len() <= room {
        return name.to_owned();
    }
    let (stem, extension) = split_extension(name);
    let mut end = room.saturating_sub(extension.len()).min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}{extension}", &stem[..end])
}
