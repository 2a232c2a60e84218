//! The recordings by RTSP 1.0 (RFC 2326): DESCRIBE, SETUP, PLAY, TEARDOWN, over UDP or interleaved. rtsp-types reads and writes
//! the messages, ffmpeg makes the RTP, and this passes it on, so that packets go to the asking peer only.
//!
//! A recording plays from its beginning, at its pace: there is no pause and no seeking; HTTP has ranges for that.

mod session;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rtsp_types::headers::{self, CSEQ, PUBLIC, RtpLowerTransport, Transport, Transports};
use rtsp_types::{Message, Method, ParseError, Request, Response, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_io_timeout::TimeoutStream;

use super::shelf::Recording;
use super::visitors::Visitors;
use super::{Limits, Shelf, http};
use session::{Session, Way};

/// The longest request, in bytes.
const LONGEST: usize = 16 << 10;
/// How long a player may be silent while it plays, in seconds.
const TIMEOUT: u64 = 60;
/// Packets and answers on their way to the player.
const QUEUE: usize = 64;
/// After a connection could not be accepted.
const REST: Duration = Duration::from_millis(50);

type Answer = rtsp_types::ResponseBuilder;

/// Takes connections for ever.
pub(super) async fn serve(listener: TcpListener, shelf: Arc<Shelf>, limits: Limits) {
    let visitors = Visitors::new(limits);
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(REST).await;
            continue;
        };
        if let (Some(visit), Ok(local)) = (visitors.enter(peer.ip()), stream.local_addr()) {
            let player = Player { shelf: shelf.clone(), limits, peer, local, session: None };
            tokio::spawn(async move {
                // Whoever breaks off, breaks off.
                let _ = player.converse(stream).await;
                drop(visit);
            });
        }
    }
}

/// A connection.
struct Player {
    shelf: Arc<Shelf>,
    limits: Limits,
    peer: SocketAddr,
    local: SocketAddr,
    session: Option<Session>,
}

impl Player {
    async fn converse(mut self, stream: TcpStream) -> io::Result<()> {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.slow));
        let (reader, mut writer) = tokio::io::split(Box::pin(stream));
        let (out, mut queue) = mpsc::channel::<Vec<u8>>(QUEUE);
        let talking = async move { self.talk(reader, out).await };
        let writing = async move {
            while let Some(bytes) = queue.recv().await {
                writer.write_all(&bytes).await?;
            }
            io::Result::Ok(())
        };
        tokio::pin!(writing);
        tokio::select! {
            () = talking => {}
            written = &mut writing => return written,
        }
        // What is queued is still written.
        writing.await
    }

    /// Takes requests until one says that it is over, or it is.
    async fn talk(&mut self, mut reader: impl AsyncRead + Unpin, out: mpsc::Sender<Vec<u8>>) {
        let mut buffer = Vec::new();
        loop {
            match Message::<Vec<u8>>::parse(&buffer) {
                Ok((message, length)) => {
                    // Anything else is a receiver's report, or an answer to nothing.
                    if let Message::Request(request) = message {
                        let over = *request.method() == Method::Teardown;
                        let answer = self.answer(&request, &out).await;
                        if out.send(serialize(&request, answer)).await.is_err() || over {
                            return;
                        }
                    }
                    buffer.drain(..length);
                }
                Err(ParseError::Incomplete(_)) if buffer.len() < LONGEST => {
                    let playing = self.session.as_mut().filter(|session| session.is_playing());
                    let patience = match playing {
                        Some(_) => Duration::from_secs(2 * TIMEOUT),
                        None => self.limits.idle,
                    };
                    let ended = async {
                        match playing {
                            Some(session) => session.ended().await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        read = tokio::time::timeout(patience, reader.read_buf(&mut buffer)) => match read {
                            Ok(Ok(1..)) => {}
                            _ => return,
                        },
                        // The recording is over, and with it the connection: that is how players notice.
                        () = ended => return,
                    }
                }
                Err(_) => return,
            }
        }
    }

    async fn answer(&mut self, request: &Request<Vec<u8>>, out: &mpsc::Sender<Vec<u8>>) -> (Answer, Vec<u8>) {
        let result = match request.method() {
            Method::Options | Method::GetParameter => Ok((ok(), Vec::new())),
            Method::Describe => self.describe(request).await,
            Method::Setup => self.set_up(request).await,
            Method::Play => self.play(request, out).await,
            Method::Teardown => self.session(request).map(|_| (ok(), Vec::new())),
            _ => Err(StatusCode::MethodNotAllowed),
        };
        let (answer, body) =
            result.unwrap_or_else(|status| (Response::builder(Version::V1_0, status), Vec::new()));
        (answer.header(PUBLIC, "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"), body)
    }

    async fn find(&self, request: &Request<Vec<u8>>) -> Result<Recording, StatusCode> {
        let uri = request.request_uri().ok_or(StatusCode::BadRequest)?;
        let name = uri.path_segments().and_then(|mut segments| segments.next()).unwrap_or_default();
        let name = percent_encoding::percent_decode_str(name).decode_utf8();
        let name = name.map_err(|_| StatusCode::NotFound)?.into_owned();
        let shelf = self.shelf.clone();
        http::blocking(move || shelf.find(&name)).await.map_err(|_| StatusCode::NotFound)
    }

    /// What there is to play: one stream, MPEG's own in RTP, of the fixed payload type 33.
    async fn describe(&self, request: &Request<Vec<u8>>) -> Result<(Answer, Vec<u8>), StatusCode> {
        let name = self.find(request).await?.item.name;
        let family = if self.local.is_ipv4() { "IP4" } else { "IP6" };
        let (own, any) = (self.local.ip(), if self.local.is_ipv4() { "0.0.0.0" } else { "::" });
        let text = format!(
            "v=0\r\no=- 1 1 IN {family} {own}\r\ns={name}\r\nc=IN {family} {any}\r\nt=0 0\r\n\
             m=video 0 RTP/AVP 33\r\na=rtpmap:33 MP2T/90000\r\na=control:stream\r\n"
        );
        let base = request.request_uri().map(ToString::to_string).unwrap_or_default();
        let answer = ok()
            .header(headers::CONTENT_TYPE, "application/sdp")
            .header(headers::CONTENT_BASE, format!("{}/", base.trim_end_matches('/')));
        Ok((answer, text.into_bytes()))
    }

    async fn set_up(&mut self, request: &Request<Vec<u8>>) -> Result<(Answer, Vec<u8>), StatusCode> {
        let recording = self.find(request).await?;
        if self.session.is_some() {
            return Err(StatusCode::MethodNotValidInThisState);
        }
        let wanted = request.typed_header::<Transports>().map_err(|_| StatusCode::BadRequest)?;
        let wanted = wanted.ok_or(StatusCode::BadRequest)?;
        for transport in wanted.iter() {
            let Transport::Rtp(rtp) = transport else { continue };
            let (way, said) = match rtp.lower_transport {
                Some(RtpLowerTransport::Tcp) => {
                    let (first, second) = rtp.params.interleaved.unwrap_or((0, Some(1)));
                    let second = second.unwrap_or(first.wrapping_add(1));
                    let said = format!("RTP/AVP/TCP;unicast;interleaved={first}-{second}");
                    (Way::Interleaved(first, second), said)
                }
                None | Some(RtpLowerTransport::Udp) if !rtp.params.multicast => {
                    let Some((first, second)) = rtp.params.client_port else { continue };
                    let second = second.unwrap_or(first.wrapping_add(1));
                    let Ok((way, server)) =
                        Way::datagrams(self.local.ip(), self.peer.ip(), (first, second)).await
                    else {
                        continue;
                    };
                    let said = format!(
                        "RTP/AVP;unicast;client_port={first}-{second};server_port={server}-{}",
                        server + 1
                    );
                    (way, said)
                }
                _ => continue,
            };
            let session = Session::new(recording, way).map_err(|_| StatusCode::InternalServerError)?;
            let answer = ok()
                .header(headers::TRANSPORT, said)
                .header(headers::SESSION, format!("{};timeout={TIMEOUT}", session.id()));
            self.session = Some(session);
            return Ok((answer, Vec::new()));
        }
        Err(StatusCode::UnsupportedTransport)
    }

    async fn play(
        &mut self,
        request: &Request<Vec<u8>>,
        out: &mpsc::Sender<Vec<u8>>,
    ) -> Result<(Answer, Vec<u8>), StatusCode> {
        let patience = self.limits.arrival;
        let session = self.session(request)?;
        session.play(patience, out.clone()).await.map_err(|_| StatusCode::InternalServerError)?;
        let answer = ok().header(headers::SESSION, session.id()).header(headers::RANGE, "npt=0.000-");
        Ok((answer, Vec::new()))
    }

    /// The connection's session, if it is the one that the request names.
    fn session(&mut self, request: &Request<Vec<u8>>) -> Result<&mut Session, StatusCode> {
        let named = request.header(&headers::SESSION).map(|id| id.as_str().to_owned());
        let named = named.ok_or(StatusCode::SessionNotFound)?;
        let id = named.split(';').next().unwrap_or_default().trim();
        self.session.as_mut().filter(|session| session.id() == id).ok_or(StatusCode::SessionNotFound)
    }
}

fn ok() -> Answer {
    Response::builder(Version::V1_0, StatusCode::Ok)
}

fn serialize(request: &Request<Vec<u8>>, (mut answer, body): (Answer, Vec<u8>)) -> Vec<u8> {
    if let Some(number) = request.header(&CSEQ) {
        answer = answer.header(CSEQ, number.as_str());
    }
    let mut bytes = Vec::new();
    // Writing to memory does not fail.
    let _ = answer.build(body).write(&mut bytes);
    bytes
}
