//! What the lock answers, and what goes out besides.

use std::fmt;
use std::time::Duration;

use super::queue::ConnectionId;
use super::release::DOWN_LIMIT;
use crate::lock::grant::{Event, Grant, Holder, Number};
use crate::lock::name::{LockName, Owner, quoted};
use crate::sys::clock::{Moment, stamp};

/// What a request led to. `events` are to be on disk, all or none and in their order, before `answer` or any of `notices` goes
/// out: the grants of several locks are one transaction.
#[must_use = "events that are not stored are promises that a restart breaks"]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome<T> {
    /// For the one who asked.
    pub answer: T,
    /// For the store.
    pub events: Vec<Event>,
    /// For others, whose connections are open.
    pub notices: Vec<Notice>,
}

/// A word to a waiter on its open connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// Its turn has come: asking again before `until` (service time) accepts.
    Offer {
        /// Where it waits.
        connection: ConnectionId,
        /// Until when the offer stands.
        until: Duration,
    },
    /// It did not accept in time and has lost its place.
    Lapsed {
        /// Where it waited.
        connection: ConnectionId,
    },
    /// The same client waits on a newer connection, or does not wait any more.
    Replaced {
        /// The older connection.
        connection: ConnectionId,
    },
    /// It waits no longer.
    Refused {
        /// Where it waited.
        connection: ConnectionId,
        /// Why.
        refusal: Refusal,
    },
}

/// The answer to an acquire or a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acquired {
    /// All of them are held, in the order of their names; those that were held before with their numbers of then.
    Granted(Vec<Grant>),
    /// It waits; the numbers are its places in the queues of the locks that it lacks, counted from 1.
    Waiting(Vec<(LockName, usize)>),
    /// They cannot be had now, and it did not want to wait.
    Busy,
    /// Never like this.
    Refused(Refusal),
}

/// The answer to a release.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Released {
    /// This grant is ended.
    Ended(Grant),
    /// There is no such grant: it was released before, or taken away. The history knows which.
    Absent,
    /// Nothing was released.
    Refused(Refusal),
}

/// The answer to a change of `down until`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Noted {
    /// It is written down.
    Done,
    /// There is no such grant.
    Absent,
    /// Nothing was written down.
    Refused(Refusal),
}

/// Why something is refused. Its words name the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The owner's name holds the lock, but it is not the same host.
    OtherHolder {
        /// Which lock.
        lock: LockName,
        /// The name that both go by.
        owner: Owner,
        /// Who has it.
        holder: Holder,
    },
    /// The owner's name waits for the lock, but it is not the same host.
    OtherWaiter {
        /// Which lock.
        lock: LockName,
        /// The name that both go by.
        owner: Owner,
        /// Who waits.
        holder: Holder,
    },
    /// As many wait as may.
    QueueFull {
        /// Which lock.
        lock: LockName,
        /// How many may wait.
        limit: usize,
    },
    /// Each would wait for the other for ever.
    Deadlock {
        /// Who asked.
        owner: Owner,
    },
    /// The grant is another owner's.
    NotYours {
        /// Which lock.
        lock: LockName,
        /// Which grant.
        number: Number,
        /// Whose it is.
        owner: Owner,
    },
    /// The grant was not taken through a legacy protocol, which could not say its number.
    NotLegacy {
        /// Which lock.
        lock: LockName,
        /// Which grant.
        number: Number,
    },
    /// The holder is down because it said so.
    Down {
        /// Who.
        owner: Owner,
        /// Until when.
        until: Moment,
    },
    /// It would be down for longer than [`DOWN_LIMIT`].
    DownTooLong {
        /// Who.
        owner: Owner,
    },
}

/// The command that frees a lock by force. What clients chose is quoted: the line is there to be pasted by root.
pub fn force_command(lock: &LockName, owner: &Owner) -> String {
    let (lock, owner) = (quoted(lock.as_str()), quoted(owner.as_str()));
    format!("patch-lock force-release {lock} --owner {owner} --by YOU --reason WHY")
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherHolder { lock, owner, holder } => write!(
                f,
                "refusing owner {owner}: {holder} holds lock {lock} under this name; if that host is gone: {}",
                force_command(lock, owner)
            ),
            Self::OtherWaiter { lock, owner, holder } => write!(
                f,
                "refusing owner {owner}: {holder} waits for lock {lock} under this name; give one of them another name"
            ),
            Self::QueueFull { lock, limit } => {
                write!(f, "cannot wait for lock {lock}: {limit} are waiting, which is as many as may; try later")
            }
            Self::Deadlock { owner } => write!(
                f,
                "refusing to let {owner} wait: it holds what the others wait for; release that first, or ask for all at once"
            ),
            Self::NotYours { lock, number, owner } => {
                write!(f, "refusing grant {number} of lock {lock}: it is {owner}'s")
            }
            Self::NotLegacy { lock, number } => write!(
                f,
                "refusing grant {number} of lock {lock}: it was not taken through this protocol; use patch-lock release"
            ),
            Self::Down { owner, until } => write!(
                f,
                "refusing to take the lock from {owner}: it said that it would be down until {}; \
                 --while-down if you know better",
                stamp(*until)
            ),
            Self::DownTooLong { owner } => write!(
                f,
                "refusing to note that {owner} will be down: that is more than {} days ahead; say it again nearer to then",
                DOWN_LIMIT.as_secs() / 86_400
            ),
        }
    }
}
