//! The one who works at the desk: takes all that lies there, decides, writes it down in one go, then answers.
//!
//! Whoever comes while it writes is in the next batch. If it cannot write, the book goes back to what the store holds, and
//! everybody of the batch is told that nothing has happened; the next batch tries again, so that a full disk that was emptied
//! needs nobody's help.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::Terms;
use super::job::{Applied, Job, Look};
use crate::error::{Error, Result};
use crate::exit;
use crate::lock::book::Book;
use crate::lock::book::answer::{Notice, Outcome};
use crate::lock::book::queue::ConnectionId;
use crate::lock::book::time::Now;
use crate::lock::grant::{Event, Grant};
use crate::lock::server::counts::Counts;
use crate::lock::server::store::{Change, Store};
use crate::sys::clock;

/// The most requests that go to disk together.
const BATCH: usize = 1024;
/// How often the clerk looks whether something is overdue, and for history that is old enough to go.
const ROUND: Duration = Duration::from_mins(1);
/// The least time between two looks at a store that does not work.
const PAUSE: Duration = Duration::from_secs(1);

/// Is told of grants that have become overdue.
pub type Told = Box<dyn Fn(Vec<Grant>) + Send>;

/// See above.
pub struct Clerk {
    book: Book,
    store: Store,
    inbox: Receiver<Job>,
    listeners: HashMap<ConnectionId, oneshot::Sender<Notice>>,
    told: Told,
    counts: Arc<Counts>,
    keep_history: Option<Duration>,
    started: Instant,
    next_round: Duration,
    state: State,
    /// Why it cannot go on, if it cannot: the store is not in its place.
    gone: Option<Error>,
}

/// How the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Well,
    /// The last write failed; what is in the book is what the store holds.
    Failing,
    /// The store cannot even be read; nothing is decided before it can, and it is not looked at before this time.
    Lost(Duration),
}

/// What is done in memory and waits for the disk.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    notices: Vec<Notice>,
    answers: Vec<Box<dyn FnOnce() + Send>>,
}

impl Clerk {
    pub(super) fn new(
        mut store: Store,
        terms: Terms,
        inbox: Receiver<Job>,
        told: Told,
        counts: Arc<Counts>,
    ) -> Result<Self> {
        Ok(Self {
            book: Book::restore(store.load()?, terms.rules)?,
            store,
            inbox,
            listeners: HashMap::new(),
            told,
            counts,
            keep_history: terms.keep_history,
            started: Instant::now(),
            next_round: Duration::ZERO,
            state: State::Well,
            gone: None,
        })
    }

    /// Works until nobody can come any more, then closes the store.
    ///
    /// # Errors
    /// If the store was moved away or replaced: nothing is answered any more.
    pub fn work(mut self) -> Result<()> {
        while self.gone.is_none() {
            let first = match self.inbox.recv_timeout(self.pause()) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let jobs: Vec<Job> = first.into_iter().chain(self.inbox.try_iter().take(BATCH - 1)).collect();
            let now = self.now();
            self.batch(jobs, now);
            if self.next_round <= now.up {
                self.next_round = now.up.saturating_add(ROUND);
                self.round(now);
            }
        }
        self.is_gone();
        self.store.close();
        self.gone.map_or(Ok(()), Err)
    }

    /// Looks whether the store is known to be somewhere else: then this is the end.
    fn is_gone(&mut self) -> bool {
        self.gone = self.gone.take().or_else(|| self.store.must_end());
        self.gone.is_some()
    }

    fn now(&self) -> Now {
        Now { moment: clock::now(), up: self.started.elapsed() }
    }

    fn pause(&self) -> Duration {
        let up = self.started.elapsed();
        let at = self.book.alarm().map_or(self.next_round, |alarm| alarm.min(self.next_round));
        at.saturating_sub(up)
    }

    fn batch(&mut self, jobs: Vec<Job>, now: Now) {
        self.counts.batch(jobs.len());
        let is_lost = self.find_again(now);
        let mut batch = Batch::default();
        let mut looks: Vec<Look> = Vec::new();
        batch.take(self.book.tick(now));
        for job in jobs {
            match job {
                Job::HangUp(connection) => {
                    self.listeners.remove(&connection);
                    batch.take(self.book.hang_up(connection, now));
                }
                Job::Terms(terms) => {
                    self.keep_history = terms.keep_history;
                    batch.take(self.book.set_rules(terms.rules, now));
                }
                // Dropped, it is answered: not now.
                Job::Work(_) | Job::Look(_) if is_lost => {}
                Job::Work(work) => {
                    if let Some(applied) = work(&mut self.book, now) {
                        self.put(&mut batch, applied);
                    }
                }
                Job::Look(look) => looks.push(look),
                Job::Probe(reply) => looks.push(self.probe(reply)),
            }
        }
        self.settle(batch, now);
        for look in looks.into_iter().filter(|_| self.gone.is_none()) {
            look(&mut self.store);
        }
    }

    fn put(&mut self, batch: &mut Batch, applied: Applied) {
        let Applied { events, notices, listener, answer } = applied;
        batch.events.extend(events);
        batch.notices.extend(notices);
        batch.answers.push(answer);
        self.listeners.extend(listener);
    }

    /// To disk, then out; or neither.
    fn settle(&mut self, batch: Batch, now: Now) {
        if matches!(self.state, State::Lost(_)) {
            return;
        }
        if !batch.events.is_empty() {
            let change = Change::of(&batch.events, self.book.ledger());
            if let Err(error) = self.store.write(&batch.events, &change) {
                return self.go_back(&error, now);
            }
            self.mend();
            self.counts.events(&batch.events);
        }
        // A waiter that leaves in this batch asks its listener after it has its answer: notices go first.
        self.send(batch.notices);
        for answer in batch.answers {
            answer();
        }
    }

    fn send(&mut self, notices: Vec<Notice>) {
        for notice in notices {
            let (Notice::Offer { connection, .. }
            | Notice::Lapsed { connection }
            | Notice::Replaced { connection }
            | Notice::Refused { connection, .. }) = notice;
            if let Some(listener) = self.listeners.remove(&connection) {
                // Who is gone does not accept, and the next is offered it.
                let _ = listener.send(notice);
            }
        }
    }

    /// What could not be written has not happened.
    fn go_back(&mut self, error: &Error, now: Now) {
        self.counts.failure();
        if self.is_gone() {
            return;
        }
        if self.state == State::Well {
            exit::warn(format_args!("{error}; nothing is granted or released until it can be written again"));
        }
        self.state = State::Failing;
        self.restore(now);
    }

    fn restore(&mut self, now: Now) {
        if self.is_gone() {
            self.state = State::Lost(now.up.saturating_add(PAUSE));
            return;
        }
        match self.store.recover().and_then(|stored| self.book.go_back(stored, now)) {
            Ok(Outcome { notices, .. }) => {
                self.state = State::Failing;
                self.send(notices);
            }
            Err(error) => {
                if !matches!(self.state, State::Lost(_)) {
                    exit::warn(format_args!("{error}; every request is refused until it can be read again"));
                }
                self.state = State::Lost(now.up.saturating_add(PAUSE));
            }
        }
    }

    /// Looks for a store that was lost. True if it still is.
    fn find_again(&mut self, now: Now) -> bool {
        if let State::Lost(until) = self.state
            && until <= now.up
        {
            self.restore(now);
        }
        matches!(self.state, State::Lost(_))
    }

    fn mend(&mut self) {
        if self.state != State::Well {
            self.state = State::Well;
            exit::note(format_args!("{} can be written again", self.store.path().display()));
        }
    }

    /// A store that worked last time is taken to work, if it is in its place.
    fn probe(&self, reply: oneshot::Sender<bool>) -> Look {
        let state = self.state;
        Box::new(move |store| {
            let is_well = match state {
                State::Well => store.is_in_place(),
                State::Failing => store.probe().is_ok(),
                State::Lost(_) => false,
            };
            let _ = reply.send(is_well);
        })
    }

    /// What is due by the time alone.
    fn round(&mut self, now: Now) {
        if self.find_again(now) || self.is_gone() {
            return;
        }
        let Outcome { answer, events, notices } = self.book.tell_overdue(now);
        if events.is_empty() {
            self.send(notices);
        } else {
            let change = Change::of(&events, self.book.ledger());
            match self.store.write(&events, &change) {
                Ok(()) => {
                    self.mend();
                    self.counts.events(&events);
                    self.send(notices);
                    (self.told)(answer);
                }
                Err(error) => self.go_back(&error, now),
            }
        }
        self.forget(now);
    }

    fn forget(&mut self, now: Now) {
        let Some(before) = self.keep_history.and_then(|keep| now.moment.checked_sub_signed(span(keep))) else { return };
        // In steps of milliseconds, a few a minute; what is left is for the next minute.
        for _ in 0..4 {
            if !self.store.prune(before).unwrap_or(false) {
                break;
            }
        }
    }
}

impl Batch {
    fn take(&mut self, outcome: Outcome<()>) {
        self.events.extend(outcome.events);
        self.notices.extend(outcome.notices);
    }
}

fn span(time: Duration) -> chrono::TimeDelta {
    chrono::TimeDelta::from_std(time).unwrap_or(chrono::TimeDelta::MAX)
}
