//! Why somebody waits: who holds the lock, since when, who is ahead, and what would change it.

use std::fmt;

use super::Book;
use super::answer::force_command;
use super::time::Now;
use crate::lock::grant::{Grant, Holder};
use crate::lock::name::{HostId, LockName, Owner};
use crate::sys::clock::stamp;

/// One who holds the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holding {
    /// What it holds.
    pub grant: Grant,
    /// It is down, as it said it would be.
    pub is_down: bool,
    /// It holds it longer than is usual.
    pub is_overdue: bool,
}

/// One who waits for the lock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Who.
    pub owner: Owner,
    /// Whether it is connected, or due to poll.
    pub is_present: bool,
    /// Whether a slot is offered to it at this moment.
    pub is_offered: bool,
    /// The other locks that it lacks.
    pub lacks: Vec<LockName>,
}

/// Where a lock stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// How many may hold it at once.
    pub slots: usize,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Holding>,
    /// Who waits, in order of arrival.
    pub queue: Vec<Waiting>,
}

/// Where a lock stands, seen by one owner. As [`fmt::Display`] it is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// Which lock.
    pub lock: LockName,
    /// Who asks.
    pub owner: Owner,
    /// Which host that is, if it is said.
    pub host: Option<HostId>,
    /// How many may hold it at once.
    pub slots: usize,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Holding>,
    /// Who waits, in order of arrival.
    pub queue: Vec<Waiting>,
}

impl Why {
    /// The place of the one who asks, counted from 1; `None` if it does not wait.
    pub fn position(&self) -> Option<usize> {
        self.queue.iter().position(|waiting| waiting.owner == self.owner).map(|at| at + 1)
    }

    /// Those that are ahead of the one who asks: all, if it does not wait.
    pub fn ahead(&self) -> &[Waiting] {
        let count = self.position().map_or(self.queue.len(), |position| position - 1);
        self.queue.get(..count).unwrap_or_default()
    }
}

/// Where a lock stands, without the names of those who wait: what each of ten thousand waiters is told again and again. As
/// [`fmt::Display`] it is one line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief {
    /// Which lock.
    pub lock: LockName,
    /// Who holds it, the oldest grant first.
    pub holders: Vec<Holding>,
    /// The place of the one who asks, counted from 1; `None` if it does not wait.
    pub place: Option<usize>,
    /// How many are ahead of it.
    pub ahead: usize,
}

impl Book {
    /// Says in short where a lock stands.
    pub fn brief(&self, lock: &LockName, owner: &Owner, now: Now) -> Brief {
        let own = self.queue.of_owner(owner).find(|(_, waiter)| waiter.locks.contains(lock));
        let place = own.map(|(seq, _)| self.queue.place_of(lock, seq));
        Brief {
            lock: lock.clone(),
            holders: self.ledger.holders(lock).iter().map(|grant| self.holding(grant, now)).collect(),
            place,
            ahead: place.map_or(self.queue.length(lock), |place| place - 1),
        }
    }

    fn holding(&self, grant: &Grant, now: Now) -> Holding {
        Holding {
            grant: grant.clone(),
            is_down: grant.is_down(now.moment),
            is_overdue: self.is_overdue(grant, now.moment),
        }
    }

    /// Says where a lock stands.
    pub fn why(&self, lock: &LockName, owner: &Owner, host: Option<HostId>, now: Now) -> Why {
        let State { slots, holders, queue } = self.state(lock, now);
        Why { lock: lock.clone(), owner: owner.clone(), host, slots, holders, queue }
    }

    /// Where a lock stands, seen by nobody in particular.
    pub fn state(&self, lock: &LockName, now: Now) -> State {
        let waiters = self.queue.of_lock(lock).map(|(_, waiter)| {
            let missing = self.ledger.missing(&waiter.owner, &waiter.holder, &waiter.locks);
            Waiting {
                owner: waiter.owner.clone(),
                is_present: waiter.is_present(now.up),
                is_offered: waiter.offer.is_some(),
                lacks: missing.filter(|other| *other != lock).cloned().collect(),
            }
        });
        State {
            slots: self.rules.slots(lock),
            holders: self.ledger.holders(lock).iter().map(|grant| self.holding(grant, now)).collect(),
            queue: waiters.collect(),
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock {} ", self.lock)?;
        if let Some(own) = self.holders.iter().find(|holding| holding.grant.owner == self.owner) {
            write!(f, "is held by {own}; ")?;
            return match &self.host {
                Some(host) if !is_of(&own.grant.holder, host) => write!(
                    f,
                    "that is {}, and not you (host id {host}); if that one is gone: {}",
                    own.grant.holder,
                    force_command(&self.lock, &own.grant.owner)
                ),
                _ => write!(f, "you are {}", self.owner),
            };
        }
        write_holders(f, &self.holders)?;
        self.write_ahead(f)?;
        self.write_change(f)
    }
}

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lock {} ", self.lock)?;
        write_holders(f, &self.holders)?;
        match self.ahead {
            0 => f.write_str("; nobody is ahead"),
            count => write!(f, "; {count} ahead"),
        }
    }
}

fn is_of(holder: &Holder, host: &HostId) -> bool {
    matches!(holder, Holder::Host { id, .. } if id == host)
}

fn write_holders(f: &mut fmt::Formatter<'_>, holders: &[Holding]) -> fmt::Result {
    if holders.is_empty() {
        f.write_str("is free")?;
    }
    for (index, holding) in holders.iter().enumerate() {
        write!(f, "{}{holding}", if index == 0 { "is held by " } else { ", " })?;
    }
    Ok(())
}

impl Why {
    fn write_ahead(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ahead() {
            [] => f.write_str("; nobody is ahead"),
            [first] => write!(f, "; ahead: {first}"),
            [first, rest @ ..] => write!(f, "; ahead: {first} and {} more", rest.len()),
        }
    }

    fn write_change(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.holders.len() < self.slots {
            let own = self.position().and_then(|position| self.queue.get(position - 1));
            return match own.and_then(|own| own.lacks.first()) {
                Some(other) => write!(f, "; you lack lock {other} as well"),
                None if self.ahead().is_empty() => f.write_str("; it can be acquired"),
                None => f.write_str("; it is theirs first"),
            };
        }
        match self.holders.iter().find(|holding| holding.is_overdue) {
            Some(Holding { grant, .. }) => {
                write!(
                    f,
                    "; free when released; if {} is lost: {}",
                    grant.owner,
                    force_command(&self.lock, &grant.owner)
                )
            }
            None => f.write_str("; free when released"),
        }
    }
}

impl fmt::Display for Holding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Grant { owner, number, since, down_until, .. } = &self.grant;
        write!(f, "{owner} since {} (grant {number}", stamp(*since))?;
        if let Some(until) = down_until.filter(|_| self.is_down) {
            write!(f, ", down until {}", stamp(until))?;
        }
        f.write_str(if self.is_overdue { ", overdue)" } else { ")" })
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.owner)?;
        match (self.is_offered, self.is_present, self.lacks.first()) {
            (true, _, _) => f.write_str(" (offered now)"),
            (_, false, _) => f.write_str(" (away)"),
            (_, _, Some(other)) => write!(f, " (lacks {other})"),
            _ => Ok(()),
        }
    }
}
