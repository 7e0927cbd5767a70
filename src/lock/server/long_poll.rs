//! One acquire from the question to the answer, however long that takes.

use std::time::Duration;

use tokio::sync::oneshot;

use super::desk::{Desk, Result, Unavailable};
use super::words::Reply;
use crate::lock::book::acquire::Ask;
use crate::lock::book::answer::{Notice, Refusal};
use crate::lock::book::queue::{ConnectionId, OFFER};
use crate::lock::name::{LockSet, Owner};
use crate::lock::wire;

/// An answer, or why it will never be granted like this.
pub type Answer = std::result::Result<wire::Acquired, Refusal>;

/// Asks, and waits up to `wait` for a turn, or until `ending` says that the service ends.
///
/// # Errors
/// [`Unavailable`].
pub async fn acquire(desk: &Desk, ask: Ask, wait: Duration, ending: impl Future<Output = ()>) -> Result<Answer> {
    if wait.is_zero() {
        return at_once(desk.acquire(ask).await?).ok_or(Unavailable);
    }
    let (owner, locks) = (ask.owner.clone(), ask.locks.clone());
    let (listener, mut word) = oneshot::channel();
    let line = Line { desk, connection: desk.new_connection(), is_open: true };
    let reply = desk.wait(ask, line.connection, listener).await?;
    if let Some(answer) = at_once(reply) {
        line.close();
        return Ok(answer);
    }
    let heard = tokio::select! {
        heard = &mut word => heard.ok(),
        () = tokio::time::sleep(wait) => None,
        () = ending => None,
    };
    match heard {
        Some(notice) => Ok(line.hear(notice)),
        None => line.leave(word, owner, locks).await,
    }
}

/// What there is to answer without waiting.
fn at_once(reply: Reply) -> Option<Answer> {
    match reply {
        Reply::Granted(grants) => Some(Ok(wire::Acquired::Granted { grants })),
        Reply::Busy(why) => Some(Ok(wire::Acquired::Busy { why })),
        Reply::Refused(refusal) => Some(Err(refusal)),
        Reply::Waiting => None,
    }
}

/// An open request of one that waits. If it is dropped, its client is gone.
struct Line<'a> {
    desk: &'a Desk,
    connection: ConnectionId,
    is_open: bool,
}

impl Line<'_> {
    /// What was sent to the waiter is its answer; its place is not ours to give up any more.
    fn hear(self, notice: Notice) -> Answer {
        self.close();
        match notice {
            // It was sent a moment ago.
            Notice::Offer { .. } => Ok(wire::Acquired::Offered { accept_within: OFFER.as_secs() }),
            Notice::Lapsed { .. } => Ok(wire::Acquired::Lapsed),
            Notice::Replaced { .. } => Ok(wire::Acquired::Replaced),
            Notice::Refused { refusal, .. } => Err(refusal),
        }
    }

    /// Nothing was sent in time. What is sent at the very last moment still counts.
    async fn leave(self, mut word: oneshot::Receiver<Notice>, owner: Owner, locks: LockSet) -> Result<Answer> {
        let standing = self.desk.leave(self.connection, owner, locks).await;
        if let Ok(notice) = word.try_recv() {
            return Ok(self.hear(notice));
        }
        self.close();
        standing.map(|standing| Ok(standing.waiting())).or(Err(Unavailable))
    }

    fn close(mut self) {
        self.is_open = false;
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.desk.hang_up(self.connection);
        }
    }
}
