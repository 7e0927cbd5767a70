//! What lies on the desk.

use tokio::sync::oneshot;

use super::Terms;
use crate::lock::book::Book;
use crate::lock::book::answer::Notice;
use crate::lock::book::queue::ConnectionId;
use crate::lock::book::time::Now;
use crate::lock::grant::Event;
use crate::lock::server::store::Store;

/// What becomes of a request whose client is gone before its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    /// It is done all the same: it takes nothing, and was meant.
    Apply,
    /// It is left out: nothing is granted to somebody who is gone.
    Skip,
}

/// Work on the book; `None`: it was left out.
pub type Work = Box<dyn FnOnce(&mut Book, Now) -> Option<Applied> + Send>;
/// A look into the store.
pub type Look = Box<dyn FnOnce(&mut Store) + Send>;

/// A request.
pub enum Job {
    /// The book is asked.
    Work(Work),
    /// A waiter's connection is closed. It is done whatever becomes of the others.
    HangUp(ConnectionId),
    /// Other terms.
    Terms(Terms),
    /// Something is to be read from the store.
    Look(Look),
    /// Whether the store can be written.
    Probe(oneshot::Sender<bool>),
}

/// Work that is done in memory, and neither on disk nor answered.
pub struct Applied {
    pub events: Vec<Event>,
    pub notices: Vec<Notice>,
    /// Where the waiter listens, if it waits.
    pub listener: Option<(ConnectionId, oneshot::Sender<Notice>)>,
    /// Dropped instead of called, it tells the other side that nothing has happened.
    pub answer: Box<dyn FnOnce() + Send>,
}
