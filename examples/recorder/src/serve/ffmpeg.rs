//! ffmpeg as a child process: makes RTP (RFC 3550) of a recording, an MPEG transport stream in it (RFC 2250), at the pace at
//! which it is to be seen, without decoding the pictures it carries.
//!
//! The recording goes in by a pipe, so that no name of a sender's is ever read as one of ffmpeg's URLs, and what it may open
//! and take it for is told. It still reads what others have sent: as much trust as any player needs.

use std::io;
use std::process::Stdio;

use tokio::process::Command;

use super::Flow;
use crate::failure::{Code, Failure};

const FFMPEG: &str = "ffmpeg";
/// What a recording may be: nothing that leads to other files.
const FORMATS: &str = "mpeg,mpegts,mpegvideo,h264,hevc,matroska,webm,mov,mp4,avi,mp3,aac,ac3,flac,ogg,wav";

/// Whether it is installed.
pub(super) fn check() -> Result<(), Failure> {
    let version = std::process::Command::new(FFMPEG).arg("-version").stdin(Stdio::null()).output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Failure::new(Code::Local, "RTP and RTSP take ffmpeg, which does not run here: install it")),
    }
}

/// Sends all of `flow` to an `rtp:` URL. The child ends with this future.
pub(super) async fn send(mut flow: Flow, to: &str) -> io::Result<()> {
    let mut child = Command::new(FFMPEG)
        .args(["-hide_banner", "-nostdin", "-loglevel", "quiet"])
        .args(["-protocol_whitelist", "pipe", "-format_whitelist", FORMATS])
        .args(["-probesize", "2M", "-analyzeduration", "2M", "-fflags", "+genpts", "-re", "-i", "pipe:0"])
        .args(["-map", "0:v?", "-map", "0:a?", "-c", "copy"])
        .args(["-f", "rtp_mpegts", to])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let Some(mut input) = child.stdin.take() else { return Err(io::ErrorKind::BrokenPipe.into()) };
    let poured = tokio::io::copy(&mut flow, &mut input).await;
    drop(input);
    let status = child.wait().await?;
    poured?;
    if status.success() { Ok(()) } else { Err(io::Error::other("ffmpeg can make nothing of it")) }
}
