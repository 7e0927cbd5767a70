//! What the administrator says of each lock: slots, overdue, how many may wait.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::lock::name::LockName;

/// The terms of one lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// How many may hold it at once. Lowered below what is held, it takes nothing from anybody; nothing is granted until
    /// enough is given back.
    pub slots: NonZeroUsize,
    /// How long a grant may last until people are told; `None`: never.
    pub overdue: Option<Duration>,
    /// How many may wait for it.
    pub waiters: usize,
}

impl Default for Terms {
    fn default() -> Self {
        Self { slots: NonZeroUsize::MIN, overdue: None, waiters: 10_000 }
    }
}

/// The terms of all locks. One that was never defined has the default terms; whether it may be used at all is not decided here.
#[derive(Debug, Clone, Default)]
pub struct Rules(BTreeMap<LockName, Terms>);

impl Rules {
    /// Sets the terms of a lock.
    pub fn define(&mut self, lock: LockName, terms: Terms) {
        self.0.insert(lock, terms);
    }

    /// The terms of a lock.
    pub fn of(&self, lock: &LockName) -> Terms {
        self.0.get(lock).copied().unwrap_or_default()
    }

    /// The slots of a lock.
    pub fn slots(&self, lock: &LockName) -> usize {
        self.of(lock).slots.get()
    }
}
