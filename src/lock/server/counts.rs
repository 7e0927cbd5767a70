//! What the service counts since its start.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::lock::grant::{Change, Event};

/// Counters; they only grow.
#[derive(Debug, Default)]
pub struct Counts {
    /// Grants that began.
    pub granted: AtomicU64,
    /// Grants that their owners gave back.
    pub released: AtomicU64,
    /// Grants that somebody took.
    pub forced: AtomicU64,
    /// Grants that became overdue.
    pub overdue: AtomicU64,
    /// Batches of requests.
    pub batches: AtomicU64,
    /// Requests.
    pub requests: AtomicU64,
    /// Batches that could not be written.
    pub failures: AtomicU64,
    /// Credentials that were wrong.
    pub denied: AtomicU64,
    /// Connections that were taken.
    pub connections: AtomicU64,
    /// Connections that were too many.
    pub turned_away: AtomicU64,
}

impl Counts {
    /// A batch was taken up.
    pub fn batch(&self, requests: usize) {
        add(&self.batches, 1);
        add(&self.requests, requests);
    }

    /// A batch could not be written.
    pub fn failure(&self) {
        add(&self.failures, 1);
    }

    /// Events are on disk.
    pub fn events(&self, events: &[Event]) {
        for event in events {
            match event.change {
                Change::Granted { .. } => add(&self.granted, 1),
                Change::Released => add(&self.released, 1),
                Change::Forced { .. } => add(&self.forced, 1),
                Change::Overdue => add(&self.overdue, 1),
                Change::Down(_) => {}
            }
        }
    }

    /// One more of something.
    pub fn one(counter: &AtomicU64) {
        add(counter, 1);
    }
}

fn add(counter: &AtomicU64, count: usize) {
    counter.fetch_add(count as u64, Ordering::Relaxed);
}
