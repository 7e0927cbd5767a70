//! What a batch of events leaves behind: pure.

use std::collections::BTreeSet;

use crate::lock::book::ledger::Ledger;
use crate::lock::grant::{Event, Grant, Number};

/// What becomes of the rows of what is held.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Change {
    /// These are held no longer.
    pub ended: Vec<Number>,
    /// These are held, and new or changed.
    pub held: Vec<Grant>,
}

impl Change {
    /// What events that were applied to a ledger have changed in it.
    pub fn of(events: &[Event], ledger: &Ledger) -> Self {
        let touched: BTreeSet<_> = events.iter().map(|event| (event.number, &event.lock)).collect();
        let mut change = Self::default();
        for (number, lock) in touched {
            match ledger.numbered(lock, number) {
                Some(grant) => change.held.push(grant.clone()),
                None => change.ended.push(number),
            }
        }
        change
    }
}
