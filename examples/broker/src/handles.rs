//! What other threads tell a running server: to stop, or to keep to other settings.

use crate::options::Options;
use crate::server::{Server, milliseconds, within_file_limit};
use crate::tls;
use mio::Waker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

/// Tells a [`Server`] to stop, from any thread.
#[derive(Clone)]
pub struct Stop {
    asked: Arc<AtomicBool>,
    waker: Arc<Waker>,
}

impl Stop {
    /// The server takes no more connections, lets queued answers and running lanes end within [`Options::grace`], and [`Server::run`] returns.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        self.wake();
    }

    pub(crate) fn new(waker: Waker) -> Self {
        Self { asked: Arc::default(), waker: Arc::new(waker) }
    }

    pub(crate) fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }

    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            tracing::error!(%error, "the server's loop cannot be woken");
        }
    }
}

/// Gives a [`Server`] other limits and certificates while it runs, from any thread.
#[derive(Clone)]
pub struct Reload {
    options: Sender<Options>,
    server: Stop,
}

impl Reload {
    pub(crate) fn new(options: Sender<Options>, server: Stop) -> Self {
        Self { options, server }
    }

    /// From now on the limits of these options count, and their certificates are read anew. Where it listens and keeps its data stays as it is.
    pub fn reload(&self, options: Options) {
        // A server that has ended needs no settings.
        if self.options.send(options).is_ok() {
            self.server.wake();
        }
    }
}

impl Server {
    /// Keeps to the settings that have come.
    pub(crate) fn take_settings(&mut self) {
        while let Ok(options) = self.reloads.1.try_recv() {
            let secured = options.tls.as_ref().map(|secured| tls::config(&secured.files)).transpose();
            match (self.doors.get_mut(1), secured) {
                (_, Err(error)) => {
                    tracing::error!(%error, "the settings stay as they were");
                    continue;
                }
                (Some(door), Ok(Some(config))) => door.tls = Some(config),
                (None, Ok(None)) => {}
                _ => tracing::warn!("listening with or without TLS takes a restart"),
            }
            let (config, pipe_pairs) = within_file_limit(options.config);
            self.max_connections = config.max_connections;
            self.max_pipe_pairs = pipe_pairs;
            self.lane_idle_ms = milliseconds(options.lane_idle);
            self.relay_rate = options.relay_rate;
            self.broker.set_config(config);
            tracing::info!("the settings are read anew");
        }
    }
}
