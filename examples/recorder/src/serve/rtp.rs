//! Every recording, as it arrives, by RTP to one address: unicast, or a multicast group of this network.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::sync::broadcast::error::RecvError;

use super::{Limits, Shelf, ffmpeg, http};

/// Sends one after another for ever.
pub(super) async fn push(to: SocketAddr, shelf: Arc<Shelf>, limits: Limits) {
    let mut newcomers = shelf.newcomers();
    // Seven packets of a transport stream, which fit an Ethernet frame; and no router passes a multicast on.
    let to = format!("rtp://{to}?pkt_size=1328&ttl=1");
    loop {
        let name = match newcomers.recv().await {
            Ok(name) => name,
            // Too many came during a long one: on with the next that is known.
            Err(RecvError::Lagged(_)) => continue,
            Err(RecvError::Closed) => return,
        };
        let (found, wanted) = (shelf.clone(), name.clone());
        let Ok(recording) = http::blocking(move || found.find(&wanted)).await else { continue };
        let size = recording.item.size;
        if let Err(error) = ffmpeg::send(recording.flow(0..size, limits.arrival), &to).await {
            eprintln!("p2pgate-recorder: {name} was not sent by RTP to its end: {error}");
        }
    }
}
