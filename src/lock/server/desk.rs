//! The desk: where requests from all connections meet the one thread that owns the book and the store.
//!
//! A request is a piece of work on the book. What it answers comes back when the events that it led to are on disk, those of all
//! requests that were waiting together in one transaction; if they cannot be written, or the service ends, the answer is
//! [`Unavailable`] and nothing has happened. Nothing here knows HTTP.

mod clerk;
mod job;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::oneshot;

pub use clerk::{Clerk, Told};
pub use job::Orphan;

use super::access::Client;
use super::counts::Counts;
use super::legacy::{self, GivenBack, Whose};
use super::store::{Query, Store};
use super::words::{self, Reply, Standing};
use crate::error::Result as AnyResult;
use crate::lock::book::Book;
use crate::lock::book::acquire::{Ask, Poll, Wait};
use crate::lock::book::answer::{Acquired, Noted, Notice, Outcome, Released};
use crate::lock::book::queue::ConnectionId;
use crate::lock::book::release::Force;
use crate::lock::book::terms::Rules;
use crate::lock::book::time::Now;
use crate::lock::book::why::Why;
use crate::lock::grant::Number;
use crate::lock::name::{HostId, LockName, LockSet, Owner};
use crate::lock::wire;
use crate::sys::clock::Moment;
use job::{Applied, Job};

/// The service cannot do it now; nothing has happened. Asking again is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable;

/// What a request comes to.
pub type Result<T> = std::result::Result<T, Unavailable>;

/// What the configuration says to the desk.
#[derive(Debug, Clone)]
pub struct Terms {
    /// Slots, overdue, how many may wait.
    pub rules: Rules,
    /// How long the history of ended grants is kept; `None`: for ever.
    pub keep_history: Option<Duration>,
}

/// A way to the desk; clones lead to the same one. The desk ends when the last one is gone.
#[derive(Debug, Clone)]
pub struct Desk {
    jobs: mpsc::Sender<Job>,
    next: Arc<AtomicU64>,
    counts: Arc<Counts>,
}

impl Desk {
    /// A desk, and the clerk who is to work at it in a thread of its own. `told` is called with grants that have become overdue,
    /// once each, after that is on disk.
    ///
    /// # Errors
    /// If the store cannot be read, or contradicts itself.
    pub fn open(store: Store, terms: Terms, told: Told) -> AnyResult<(Self, Clerk)> {
        let (jobs, inbox) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let clerk = Clerk::new(store, terms, inbox, told, Arc::clone(&counts))?;
        Ok((Self { jobs, next: Arc::new(AtomicU64::new(1)), counts }, clerk))
    }

    /// What is counted.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Does a piece of work on the book. `orphan` says what if nobody waits for its answer any more when its turn comes.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn ask<T: Send + 'static>(
        &self,
        orphan: Orphan,
        work: impl FnOnce(&mut Book, Now) -> Outcome<T> + Send + 'static,
    ) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Work(Box::new(move |book, now| {
            if orphan == Orphan::Skip && reply.is_closed() {
                return None;
            }
            let Outcome { answer, events, notices } = work(book, now);
            Some(Applied { events, notices, listener: None, answer: answer_with(reply, answer) })
        })))?;
        answer.await.map_err(|_| Unavailable)
    }

    /// Asks for locks and does not wait.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn acquire(&self, ask: Ask) -> Result<Reply> {
        let (owner, locks) = (ask.owner.clone(), ask.locks.clone());
        self.ask(Orphan::Skip, move |book, now| {
            let Outcome { answer, events, notices } = book.acquire(Ask { wait: Wait::No, ..ask }, now);
            Outcome { answer: Reply::new(answer, book, &owner, &locks, now), events, notices }
        })
        .await
    }

    /// Asks for locks and takes a place in the queue; what is sent to the waiter comes by `listener`. The connection is one
    /// of [`Desk::new_connection`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn wait(&self, ask: Ask, connection: ConnectionId, listener: oneshot::Sender<Notice>) -> Result<Reply> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Work(Box::new(move |book, now| {
            if reply.is_closed() {
                return None;
            }
            let (owner, locks) = (ask.owner.clone(), ask.locks.clone());
            let Outcome { answer, events, notices } = book.acquire(Ask { wait: Wait::Open(connection), ..ask }, now);
            let listener = matches!(answer, Acquired::Waiting(_)).then_some((connection, listener));
            let answer = Reply::new(answer, book, &owner, &locks, now);
            Some(Applied { events, notices, listener, answer: answer_with(reply, answer) })
        })))?;
        answer.await.map_err(|_| Unavailable)
    }

    /// The wait on a connection is over without a word; where the waiter stands. What was sent to it before comes by its listener.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn leave(&self, connection: ConnectionId, owner: Owner, locks: LockSet) -> Result<Standing> {
        self.hang_up(connection);
        self.ask(Orphan::Skip, move |book, now| read(Standing::of(book, &owner, &locks, now))).await
    }

    /// A connection is gone, or its request is answered without a grant or an offer.
    pub fn hang_up(&self, connection: ConnectionId) {
        // Without a desk nobody waits any more.
        let _ = self.send(Job::HangUp(connection));
    }

    /// A number for a connection that was never used before.
    pub fn new_connection(&self) -> ConnectionId {
        ConnectionId(self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Asks for a lock as a client of a protocol that knows no waiting.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn poll(&self, poll: Poll) -> Result<legacy::Polled> {
        self.ask(Orphan::Skip, move |book, now| legacy::poll(book, poll, now)).await
    }

    /// See [`Book::withdraw`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn withdraw(&self, owner: Owner, host_id: HostId, locks: LockSet) -> Result<bool> {
        self.ask(Orphan::Apply, move |book, now| book.withdraw(&owner, &host_id, &locks, now)).await
    }

    /// See [`Book::release`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn release(&self, lock: LockName, owner: Owner, number: Number) -> Result<Released> {
        self.ask(Orphan::Apply, move |book, now| book.release(&lock, &owner, number, now)).await
    }

    /// See [`legacy::give_back`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn give_back(&self, lock: LockName, client: Arc<Client>, whose: Whose) -> Result<GivenBack> {
        self.ask(Orphan::Apply, move |book, now| legacy::give_back(book, &lock, &client, whose, now)).await
    }

    /// See [`Book::force_release`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn force_release(&self, force: Force) -> Result<Released> {
        self.ask(Orphan::Apply, move |book, now| book.force_release(force, now)).await
    }

    /// See [`Book::down_until`].
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn down_until(
        &self,
        lock: LockName,
        owner: Owner,
        number: Number,
        until: Option<Moment>,
    ) -> Result<Noted> {
        self.ask(Orphan::Apply, move |book, now| book.down_until(&lock, &owner, number, until, now)).await
    }

    /// Where a lock stands, as an owner sees it, on this host if that is said.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn why(&self, lock: LockName, owner: Owner, host: Option<HostId>) -> Result<Why> {
        self.ask(Orphan::Skip, move |book, now| read(book.why(&lock, &owner, host, now))).await
    }

    /// Where a lock stands.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn look(&self, lock: LockName) -> Result<wire::Lock> {
        self.ask(Orphan::Skip, move |book, now| read(words::lock(book, &lock, now))).await
    }

    /// The locks that are held or waited for, and the `defined` ones, as far as they are `allowed`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn list(
        &self,
        defined: Vec<LockName>,
        allowed: impl Fn(&LockName) -> bool + Send + 'static,
    ) -> Result<Vec<wire::Lock>> {
        self.ask(Orphan::Skip, move |book, now| {
            let mut locks = book.locks();
            locks.extend(defined);
            read(locks.iter().filter(|lock| allowed(lock)).map(|lock| words::lock(book, lock, now)).collect())
        })
        .await
    }

    /// Events, the newest first, of the locks that are `allowed`.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn history(
        &self,
        query: Query,
        allowed: impl Fn(&str) -> bool + Send + 'static,
    ) -> Result<Vec<wire::Event>> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Look(Box::new(move |store| {
            if !reply.is_closed()
                && let Ok(events) = store.history(&query, &allowed)
            {
                let _ = reply.send(events);
            }
        })))?;
        answer.await.map_err(|_| Unavailable)
    }

    /// Whether the store can be written.
    ///
    /// # Errors
    /// [`Unavailable`]: it cannot.
    pub async fn is_well(&self) -> Result<()> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Probe(reply))?;
        if answer.await.unwrap_or(false) { Ok(()) } else { Err(Unavailable) }
    }

    /// Sets the terms anew.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub fn set_terms(&self, terms: Terms) -> Result<()> {
        self.send(Job::Terms(terms))
    }

    fn send(&self, job: Job) -> Result<()> {
        self.jobs.send(job).map_err(|_| Unavailable)
    }
}

/// The answer to a question that changes nothing.
pub fn read<T>(answer: T) -> Outcome<T> {
    Outcome { answer, events: Vec::new(), notices: Vec::new() }
}

fn answer_with<T: Send + 'static>(reply: oneshot::Sender<T>, answer: T) -> Box<dyn FnOnce() + Send> {
    // A grant whose answer cannot be delivered stays: asking again answers it.
    Box::new(move || drop(reply.send(answer)))
}

#[cfg(test)]
mod tests;
