//! How a grant ends, and what a holder or a person says of one while it lasts.

use std::time::Duration;

use super::answer::{Noted, Outcome, Refusal, Released};
use super::queue::{Seq, Waiter};
use super::time::Now;
use super::{Book, Output};
use crate::lock::grant::{Change, Event, Grant, Holder, Number};
use crate::lock::name::{LockName, Note, Owner};
use crate::sys::clock::Moment;

/// The longest time ahead for which a holder may say that it will be down: longer ones only shield a grant from people.
pub const DOWN_LIMIT: Duration = Duration::from_hours(30 * 24);

/// Whether a grant is taken from a holder that is down because it said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhileDown {
    /// It is taken all the same.
    Force,
    /// It is left alone.
    Refuse,
}

/// A person's order to end somebody's grant.
#[derive(Debug, Clone)]
pub struct Force {
    /// Of which lock.
    pub lock: LockName,
    /// Whose.
    pub owner: Owner,
    /// Who orders it.
    pub by: Note,
    /// Why.
    pub reason: Note,
    /// What if the holder is down as it said.
    pub while_down: WhileDown,
}

impl Book {
    /// Ends the grant with this number if it is this owner's.
    pub fn release(&mut self, lock: &LockName, owner: &Owner, number: Number, now: Now) -> Outcome<Released> {
        self.step(now, |book, out| match book.owned(lock, owner, number) {
            Ok(Some(grant)) => book.end(grant, Change::Released, now, out),
            Ok(None) => Released::Absent,
            Err(refusal) => Released::Refused(refusal),
        })
    }

    /// Ends the grant that this owner got through a legacy protocol; these know no numbers. It ends its polling too.
    pub fn release_legacy(&mut self, lock: &LockName, owner: &Owner, now: Now) -> Outcome<Released> {
        self.step(now, |book, out| {
            book.forget_polling(lock, owner);
            match book.ledger.held_by(lock, owner).cloned() {
                None => Released::Absent,
                Some(grant) if matches!(grant.holder, Holder::Legacy(_)) => book.end(grant, Change::Released, now, out),
                Some(grant) => Released::Refused(Refusal::NotLegacy { lock: lock.clone(), number: grant.number }),
            }
        })
    }

    /// Ends an owner's grant by somebody's order. What is only offered is nobody's yet, and cannot be taken.
    pub fn force_release(&mut self, force: Force, now: Now) -> Outcome<Released> {
        self.step(now, |book, out| {
            let Some(grant) = book.ledger.meant(&force.lock, &force.owner).cloned() else { return Released::Absent };
            if let Some(until) = grant.down_until
                && grant.is_down(now.moment)
                && force.while_down == WhileDown::Refuse
            {
                return Released::Refused(Refusal::Down { owner: force.owner, until });
            }
            book.end(grant, Change::Forced { by: force.by, reason: force.reason }, now, out)
        })
    }

    /// The holder says until when it will be down, at most [`DOWN_LIMIT`] ahead; `None`: it is back.
    pub fn down_until(
        &mut self,
        lock: &LockName,
        owner: &Owner,
        number: Number,
        until: Option<Moment>,
        now: Now,
    ) -> Outcome<Noted> {
        let is_too_far = |until: Moment| (until - now.moment).to_std().is_ok_and(|ahead| ahead > DOWN_LIMIT);
        self.step(now, |book, out| match book.owned(lock, owner, number) {
            Ok(Some(_)) if until.is_some_and(is_too_far) => {
                Noted::Refused(Refusal::DownTooLong { owner: owner.clone() })
            }
            Ok(Some(grant)) => {
                if grant.down_until != until {
                    book.record(event(&grant, Change::Down(until), now), out);
                }
                Noted::Done
            }
            Ok(None) => Noted::Absent,
            Err(refusal) => Noted::Refused(refusal),
        })
    }

    /// The grants that have become overdue and of which nobody was told. Each is named once, also over restarts; that is all
    /// that ever happens to it.
    pub fn tell_overdue(&mut self, now: Now) -> Outcome<Vec<Grant>> {
        self.step(now, |book, out| {
            let untold = |grant: &&Grant| grant.told_overdue.is_none() && book.is_overdue(grant, now.moment);
            let overdue: Vec<Grant> = book.ledger.grants().filter(untold).cloned().collect();
            for grant in &overdue {
                book.record(event(grant, Change::Overdue, now), out);
            }
            overdue
        })
    }

    /// Whether a grant is held longer than its lock's terms call usual.
    pub fn is_overdue(&self, grant: &Grant, moment: Moment) -> bool {
        let held = moment.signed_duration_since(grant.since).to_std().unwrap_or_default();
        self.rules.of(&grant.lock).overdue.is_some_and(|limit| held > limit)
    }

    fn owned(&self, lock: &LockName, owner: &Owner, number: Number) -> Result<Option<Grant>, Refusal> {
        match self.ledger.numbered(lock, number) {
            Some(grant) if grant.owner == *owner || grant.owner.as_str() == owner.as_str() => Ok(Some(grant.clone())),
            Some(grant) => Err(Refusal::NotYours { lock: lock.clone(), number, owner: grant.owner.clone() }),
            None => Ok(None),
        }
    }

    fn end(&mut self, grant: Grant, change: Change, now: Now, out: &mut Output) -> Released {
        self.record(event(&grant, change, now), out);
        self.void_offers(&grant);
        Released::Ended(grant)
    }

    /// Who was offered the rest of what it lacked, and now lacks this as well, waits again.
    fn void_offers(&mut self, ended: &Grant) {
        let is_void = |waiter: &Waiter| waiter.offer.is_some() && waiter.locks.contains(&ended.lock);
        let waits = self.queue.of_owner(&ended.owner).filter(|(_, waiter)| is_void(waiter));
        let void: Vec<Seq> = waits.map(|(seq, _)| seq).collect();
        for seq in void {
            self.queue.change(seq, self.up, |waiter| waiter.offer = None);
        }
    }

    fn forget_polling(&mut self, lock: &LockName, owner: &Owner) {
        let polls =
            self.queue.of_owner(owner).filter(|(_, w)| matches!(w.holder, Holder::Legacy(_)) && w.locks.contains(lock));
        let polls: Vec<Seq> = polls.map(|(seq, _)| seq).collect();
        for seq in polls {
            self.queue.remove(seq);
        }
    }
}

fn event(grant: &Grant, change: Change, now: Now) -> Event {
    Event { at: now.moment, lock: grant.lock.clone(), number: grant.number, owner: grant.owner.clone(), change }
}
