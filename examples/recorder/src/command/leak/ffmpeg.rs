//! ffmpeg as the eavesdropper's decoder.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::failure::{Code, Failure};

/// ffmpeg's name of itself and its version; `None` if it is not installed.
pub fn version() -> Option<String> {
    let output = Command::new("ffmpeg").arg("-version").stdin(Stdio::null()).output().ok()?;
    let said = String::from_utf8_lossy(&output.stdout);
    let line = said.lines().next()?;
    Some(line.split(" Copyright").next().unwrap_or(line).to_owned())
}

/// The first video of a program or transport stream, as an elementary stream.
pub fn demux(recording: &Path) -> Result<Vec<u8>, Failure> {
    let mut command = ffmpeg();
    command.arg("-i").arg(local(recording));
    command.args(["-map", "0:v:0", "-c", "copy", "-copyinkf", "-f", "mpeg2video", "pipe:1"]);
    let output = command.output().map_err(cannot_run)?;
    if output.stdout.is_empty() {
        return Err(failed(&format!("found no video in {}", recording.display()), &output.stderr));
    }
    Ok(output.stdout)
}

/// The luma of a stream's pictures, in display order.
pub struct Luma {
    child: Child,
    out: ChildStdout,
    picture: Vec<u8>,
}

impl Luma {
    /// Decodes an elementary stream; all pictures come out in this size.
    pub fn of(stream: &Path, (width, height): (usize, usize)) -> Result<Self, Failure> {
        let mut command = ffmpeg();
        command.args(["-f", "mpegvideo", "-i"]).arg(local(stream));
        // Times by number: each picture comes out once, however long it is to be shown.
        let filter = format!(
            "scale={width}:{height},format=yuv420p|yuv422p|yuv444p,extractplanes=y,setpts=N/FRAME_RATE/TB"
        );
        command.args(["-map", "0:v:0", "-vf", &filter, "-f", "rawvideo", "-pix_fmt", "gray", "pipe:1"]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(cannot_run)?;
        let Some(out) = child.stdout.take() else { return Err(cannot_run(io::Error::other("no output"))) };
        Ok(Self { child, out, picture: vec![0; width * height] })
    }

    /// The next picture; `None` after the last.
    pub fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        match self.out.read_exact(&mut self.picture) {
            Ok(()) => Ok(Some(&self.picture)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(cannot_run(error)),
        }
    }
}

impl Drop for Luma {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Writes a PNG of the picture with this number of each of some streams, side by side.
pub fn side_by_side(streams: &[&Path], number: usize, out: &Path) -> Result<(), Failure> {
    let mut command = ffmpeg();
    let mut graph = String::new();
    for (index, stream) in streams.iter().enumerate() {
        command.args(["-f", "mpegvideo", "-i"]).arg(local(stream));
        graph += &format!("[{index}:v]select=eq(n\\,{number}),setpts=0[v{index}];");
    }
    graph += &(0..streams.len()).map(|index| format!("[v{index}]")).collect::<String>();
    graph += &format!("hstack=inputs={}", streams.len());
    command.args(["-filter_complex", &graph, "-frames:v", "1", "-c:v", "png", "-f", "image2"]);
    let output = command.args(["-update", "1", "-y"]).arg(local(out)).output().map_err(cannot_run)?;
    if output.status.success() && out.exists() {
        Ok(())
    } else {
        Err(failed(&format!("could not write {}", out.display()), &output.stderr))
    }
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin"]).stdin(Stdio::null());
    command
}

/// A path that is taken for no option and no address.
fn local(path: &Path) -> OsString {
    let mut name = OsStr::new("file:").to_owned();
    name.push(path);
    name
}

fn cannot_run(error: io::Error) -> Failure {
    Failure::new(Code::Local, format!("ffmpeg cannot be run: {error}; install it anew"))
}

fn failed(what: &str, stderr: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(stderr);
    let line = said.lines().last().unwrap_or("it does not say why");
    Failure::new(Code::Local, format!("ffmpeg {what}: {line}"))
}
