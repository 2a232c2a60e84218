//! The signals that end a process, for one that has something to put in order first.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use tokio::signal::unix::{SignalKind, signal};

use crate::failure::{Code, Failure};

/// Whether one has come.
pub(super) struct Ended(Arc<AtomicI32>);

impl Ended {
    /// Which.
    pub(super) fn by(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|signal| *signal != 0)
    }
}

/// Takes SIGINT and SIGTERM from now on: the first one is told, the second ends the process at once.
pub(super) fn heed() -> Result<Ended, Failure> {
    let told = Arc::new(AtomicI32::new(0));
    let tell = told.clone();
    let start = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let (mut interrupted, mut terminated) = {
            let _within = runtime.enter();
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
        };
        std::thread::Builder::new().name("signals".into()).spawn(move || {
            runtime.block_on(async {
                loop {
                    let kind = tokio::select! {
                        _ = interrupted.recv() => SignalKind::interrupt(),
                        _ = terminated.recv() => SignalKind::terminate(),
                    };
                    if tell.swap(kind.as_raw_value(), Ordering::Relaxed) != 0 {
                        std::process::exit(128 + kind.as_raw_value());
                    }
                }
            });
        })
    };
    start().map_err(|error: io::Error| {
        Failure::new(Code::Local, format!("the system lets no signals be taken ({error}): check its limits"))
    })?;
    Ok(Ended(told))
}
