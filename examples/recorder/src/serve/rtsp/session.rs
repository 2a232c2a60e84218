//! A recording that is played to somebody: ffmpeg's packets come in on loopback and go out the way that was agreed on.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::serve::ffmpeg;
use crate::serve::shelf::Recording;

/// The longest packet, in bytes.
const PACKET: usize = 2048;
/// Lower ports are servers', not players'.
const FIRST_PORT: u16 = 1024;
/// Attempts to find two free ports side by side.
const ATTEMPTS: usize = 64;
/// ffmpeg has ended: what it sent last has long come by then.
const LAST: Duration = Duration::from_millis(100);

/// How the packets go to the player: RTP and RTCP.
#[derive(Debug)]
pub(super) enum Way {
    /// Within the RTSP connection, on these channels.
    Interleaved(u8, u8),
    /// As datagrams; each socket is connected to the player's port.
    Datagrams(UdpSocket, UdpSocket),
}

impl Way {
    /// To these ports of the peer, from two of `own`: the first of which is given.
    pub(super) async fn datagrams(own: IpAddr, peer: IpAddr, ports: (u16, u16)) -> io::Result<(Self, u16)> {
        if ports.0 < FIRST_PORT || ports.1 < FIRST_PORT {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let (rtp, rtcp, port) = pair(own).await?;
        rtp.connect((peer, ports.0)).await?;
        rtcp.connect((peer, ports.1)).await?;
        Ok((Self::Datagrams(rtp, rtcp), port))
    }

    /// A packet that the network does not take is lost, as packets are. `Err`: nobody is there any more.
    async fn send(&self, control: bool, packet: &[u8], out: &mpsc::Sender<Vec<u8>>) -> Result<(), ()> {
        match self {
            Self::Interleaved(rtp, rtcp) => {
                let Ok(length) = u16::try_from(packet.len()) else { return Ok(()) };
                let mut framed = vec![b'$', if control { *rtcp } else { *rtp }];
                framed.extend_from_slice(&length.to_be_bytes());
                framed.extend_from_slice(packet);
                out.send(framed).await.map_err(|_| ())
            }
            Self::Datagrams(rtp, rtcp) => {
                let _ = if control { rtcp } else { rtp }.send(packet).await;
                Ok(())
            }
        }
    }
}

/// What was set up.
#[derive(Debug)]
pub(super) struct Session {
    id: String,
    ready: Option<(Recording, Way)>,
    playing: Option<JoinHandle<()>>,
}

impl Session {
    pub(super) fn new(recording: Recording, way: Way) -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let id = format!("{:016x}", u64::from_be_bytes(random));
        Ok(Self { id, ready: Some((recording, way)), playing: None })
    }

    pub(super) fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn is_playing(&self) -> bool {
        self.playing.is_some()
    }

    /// Begins; a session that plays already plays on.
    pub(super) async fn play(&mut self, patience: Duration, out: mpsc::Sender<Vec<u8>>) -> io::Result<()> {
        if let Some((recording, way)) = self.ready.take() {
            let (rtp, rtcp, port) = pair(Ipv4Addr::LOCALHOST.into()).await?;
            self.playing = Some(tokio::spawn(async move {
                let size = recording.item.size;
                let flow = recording.flow(0..size, patience);
                let to = format!("rtp://127.0.0.1:{port}?pkt_size=1328");
                tokio::select! {
                    () = pass_on([rtp, rtcp], &way, &out) => {}
                    () = async {
                        // A recording that it cannot read ends like one that is over.
                        let _ = ffmpeg::send(flow, &to).await;
                        tokio::time::sleep(LAST).await;
                    } => {}
                }
            }));
        }
        Ok(())
    }

    /// Waits until it is over.
    pub(super) async fn ended(&mut self) {
        if let Some(playing) = &mut self.playing {
            let _ = playing.await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(playing) = &self.playing {
            playing.abort();
        }
    }
}

/// Passes on until nobody is there any more.
async fn pass_on([rtp, rtcp]: [UdpSocket; 2], way: &Way, out: &mpsc::Sender<Vec<u8>>) {
    let (mut packet, mut report) = ([0; PACKET], [0; PACKET]);
    loop {
        let sent = tokio::select! {
            received = rtp.recv(&mut packet) => match received {
                Ok(length) => way.send(false, &packet[..length], out).await,
                Err(_) => Ok(()),
            },
            received = rtcp.recv(&mut report) => match received {
                Ok(length) => way.send(true, &report[..length], out).await,
                Err(_) => Ok(()),
            },
        };
        if sent.is_err() {
            return;
        }
    }
}

/// Two ports side by side, the first even (RFC 3550, section 11).
async fn pair(address: IpAddr) -> io::Result<(UdpSocket, UdpSocket, u16)> {
    for _ in 0..ATTEMPTS {
        let first = UdpSocket::bind(SocketAddr::new(address, 0)).await?;
        let port = first.local_addr()?.port();
        if port % 2 == 0
            && let Ok(second) = UdpSocket::bind(SocketAddr::new(address, port + 1)).await
        {
            return Ok((first, second, port));
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}
