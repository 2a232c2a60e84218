//! One end asks (FETCH), the other offers what is wanted, or refuses.

use super::{is_component, is_taken};
use crate::message;
use crate::terminal::event::{Event, SessionId};
use crate::terminal::machine::Machine;
use crate::terminal::session::{MAX_NAME, OfferAnswer, Open, TransferState};
use crate::terminal::{IDLE_MS, after};
use thiserror::Error;

/// What the other end asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted<'a> {
    /// The recording's name, one path component, not yet checked for what a file system makes of it. `None`: the list of recordings, in a form
    /// that the applications agree on; it is sent as a recording of any name is.
    pub name: Option<&'a str>,
}

/// The other end is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FetchError {
    /// There is no such session, or it is not open.
    #[error("the session is not open; call again")]
    NotOpen,
    /// The session has a transfer already.
    #[error("the session has a transfer under way; wait for its end")]
    Busy,
    /// The name is empty, no path component, or too long, be it for the records that the other end takes.
    #[error(
        "the name is not one path component of 1 to {MAX_NAME} bytes, or too long for the other end; check it"
    )]
    Name,
}

impl Machine<'_> {
    /// FETCH: asks the other end for a recording, or without a name for the list.
    pub(in crate::terminal) fn fetch(
        &mut self,
        id: SessionId,
        name: Option<&str>,
        now: u64,
    ) -> Result<(), FetchError> {
        let at = self.index(id).ok_or(FetchError::NotOpen)?;
        let number = self.core.next_transaction();
        let session = &mut self.sessions[at];
        let open = session.open_mut().ok_or(FetchError::NotOpen)?;
        open.transport().ok_or(FetchError::NotOpen)?;
        if open.transfer.state != TransferState::None {
            return Err(FetchError::Busy);
        }
        if name.is_some_and(|name| !is_component(name) || name.len() > MAX_NAME) {
            return Err(FetchError::Name);
        }
        open.transfer.begin(TransferState::Fetching, number, name.unwrap_or_default());
        open.outbox.offer = true;
        if !self.offer_fits(at) {
            if let Some(Open { transfer, outbox, .. }) = self.sessions[at].open_mut() {
                transfer.reset();
                outbox.offer = false;
            }
            return Err(FetchError::Name);
        }
        self.sessions[at].deadline = after(now, IDLE_MS);
        Ok(())
    }

    /// FETCH from the other end. Nobody gets anything unless the application shares.
    pub(super) fn wanted(&mut self, at: usize, fetch: &message::Fetch<'_>) -> bool {
        let (session, share) = (self.id(at), self.core.share);
        let Some(number) = fetch.transaction else { return false };
        let name = fetch.name.unwrap_or_default();
        if name.len() > MAX_NAME {
            return false;
        }
        let Some(Open { transfer, outbox, .. }) = self.sessions[at].open_mut() else { return false };
        if is_taken(transfer, outbox) {
            outbox.refuse_other = Some(number);
        } else if share {
            transfer.begin(TransferState::Wanted, number, name);
            self.core.emit(Event::Wanted { session });
        } else {
            outbox.answer = Some(OfferAnswer::Refuse { transaction: number, cause: "nothing is shared" });
        }
        true
    }
}
