//! What is in a file, by its name or, where the name says nothing, by its first bytes.

use std::fs::File;
use std::os::unix::fs::FileExt;

/// A media type, and what UPnP calls a thing of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kind {
    /// For `Content-Type`.
    pub mime: &'static str,
    /// For `upnp:class`.
    pub class: &'static str,
}

const VIDEO: &str = "object.item.videoItem";
const AUDIO: &str = "object.item.audioItem.musicTrack";
const IMAGE: &str = "object.item.imageItem.photo";
const PROGRAM: &str = "video/mpeg";
const TRANSPORT: &str = "video/mp2t";

/// Never a type that a browser runs.
const UNKNOWN: Kind = Kind { mime: "application/octet-stream", class: "object.item" };

/// What is served, each once: media types.
pub(super) const SERVED: [&str; 19] = [
    PROGRAM,
    TRANSPORT,
    "video/mp4",
    "video/x-matroska",
    "video/webm",
    "video/x-msvideo",
    "video/quicktime",
    "video/h264",
    "video/h265",
    "audio/mpeg",
    "audio/mp4",
    "audio/aac",
    "audio/ac3",
    "audio/flac",
    "audio/ogg",
    "audio/wav",
    "image/jpeg",
    "image/png",
    UNKNOWN.mime,
];

impl Kind {
    /// What `file`, called `name`, is.
    pub(super) fn of(name: &str, file: &File) -> Self {
        let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension).to_ascii_lowercase();
        let (mime, class) = match extension.as_str() {
            "mpg" | "mpeg" | "mpe" | "vob" | "m2p" | "ps" | "mpv" | "m1v" | "m2v" => (PROGRAM, VIDEO),
            "ts" | "m2t" | "m2ts" | "mts" | "tp" | "trp" => (TRANSPORT, VIDEO),
            "mp4" | "m4v" => ("video/mp4", VIDEO),
            "mkv" => ("video/x-matroska", VIDEO),
            "webm" => ("video/webm", VIDEO),
            "avi" => ("video/x-msvideo", VIDEO),
            "mov" => ("video/quicktime", VIDEO),
            "h264" | "264" | "avc" => ("video/h264", VIDEO),
            "h265" | "265" | "hevc" => ("video/h265", VIDEO),
            "mp3" | "mp2" | "mpa" => ("audio/mpeg", AUDIO),
            "m4a" => ("audio/mp4", AUDIO),
            "aac" => ("audio/aac", AUDIO),
            "ac3" => ("audio/ac3", AUDIO),
            "flac" => ("audio/flac", AUDIO),
            "ogg" | "oga" => ("audio/ogg", AUDIO),
            "wav" => ("audio/wav", AUDIO),
            "jpg" | "jpeg" => ("image/jpeg", IMAGE),
            "png" => ("image/png", IMAGE),
            _ => return Self::by_content(file),
        };
        Self { mime, class }
    }

    fn by_content(file: &File) -> Self {
        const PACKET: usize = 188;
        let mut start = [0; 2 * PACKET + 1];
        if file.read_exact_at(&mut start, 0).is_err() {
            return UNKNOWN;
        }
        let mime = match start {
            [0, 0, 1, 0xba | 0xb3, ..] => PROGRAM,
            _ if start.iter().step_by(PACKET).all(|&byte| byte == 0x47) => TRANSPORT,
            _ => return UNKNOWN,
        };
        Self { mime, class: VIDEO }
    }
}
