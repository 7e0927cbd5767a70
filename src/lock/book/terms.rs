//! What the administrator says of each lock: slots, overdue, how many may wait.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::time::Duration;

use crate::lock::name::LockName;
use crate::sys::glob;

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

/// The terms of all locks: by name, else by the first pattern that the name fits, else the default terms. Whether a lock may be
/// used at all is not decided here.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    named: BTreeMap<LockName, Terms>,
    patterns: Vec<(String, Terms)>,
    rest: Terms,
}

impl Rules {
    /// The rules that a configuration has: patterns, of which the first that fits counts, and the terms of all other locks.
    pub fn new(patterns: Vec<(String, Terms)>, rest: Terms) -> Self {
        Self { named: BTreeMap::new(), patterns, rest }
    }

    /// Sets the terms of a lock.
    pub fn define(&mut self, lock: LockName, terms: Terms) {
        self.named.insert(lock, terms);
    }

    /// The terms of a lock.
    pub fn of(&self, lock: &LockName) -> Terms {
        let fitting = || self.patterns.iter().find(|(pattern, _)| glob::fits_exactly(pattern, lock.as_str()));
        self.named.get(lock).copied().or_else(|| fitting().map(|(_, terms)| *terms)).unwrap_or(self.rest)
    }

    /// The slots of a lock.
    pub fn slots(&self, lock: &LockName) -> usize {
        self.of(lock).slots.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_pattern_that_fits_counts() {
        let slots = |count| Terms { slots: NonZeroUsize::new(count).unwrap(), ..Terms::default() };
        let rules = Rules::new(vec![("web-eu".into(), slots(2)), ("web*".into(), slots(3))], slots(4));
        for (name, count) in [("web-eu", 2), ("web-us", 3), ("WEB-us", 4), ("db", 4)] {
            assert_eq!(rules.slots(&LockName::new(name).unwrap()), count, "{name}");
        }
    }
}
