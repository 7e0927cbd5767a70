//! Grants, and the events that make and end them: all that is ever stored.

use std::fmt;

use super::name::{HostId, LockName, Note, Owner};
use crate::sys::clock::Moment;

/// The number of a grant. Numbers only grow and none is used twice, so that a late word of an old holder cannot be taken for
/// one of the new. They are counted over all locks together: one counter survives where one for each name would pile up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number(pub u64);

/// The protocols of other services that joined our queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// dlmengine, v1 and v2.
    Dlm,
    /// The Foreman DLM plugin.
    Foreman,
    /// `FleetLock` v1.
    FleetLock,
}

/// What stands behind an owner's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A host that says which one it is, and in which of its boots.
    Host {
        /// Which host.
        id: HostId,
        /// Its boot when it was granted; a later boot of the host is still the same holder.
        boot: Note,
    },
    /// A client of a protocol that knows the owner's name alone.
    Legacy(Protocol),
}

impl Holder {
    /// Whether both are the same, as far as can be told. A clone of a host has its name and another id.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Host { id, .. }, Self::Host { id: other, .. }) => id == other,
            (Self::Legacy(_), Self::Legacy(_)) => true,
            _ => false,
        }
    }
}

/// One slot of one lock, held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Which lock.
    pub lock: LockName,
    /// The number that release asks for.
    pub number: Number,
    /// Who holds it.
    pub owner: Owner,
    /// What stands behind the name.
    pub holder: Holder,
    /// Since when.
    pub since: Moment,
    /// What for, if it was said.
    pub reason: Option<Note>,
    /// Until when the holder said that it would be down; forcing it off before then takes a second word.
    pub down_until: Option<Moment>,
    /// When people were told that it is overdue.
    pub told_overdue: Option<Moment>,
}

impl Grant {
    /// Whether the holder is where it said it would be: down.
    pub fn is_down(&self, moment: Moment) -> bool {
        self.down_until.is_some_and(|until| moment < until)
    }
}

/// What happened to a grant. Stored in order, the events are the history; applied in order, they are the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When.
    pub at: Moment,
    /// To which lock.
    pub lock: LockName,
    /// To which grant of it.
    pub number: Number,
    /// Whose.
    pub owner: Owner,
    /// What.
    pub change: Change,
}

/// The kinds of events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The grant began.
    Granted {
        /// To whom.
        holder: Holder,
        /// What for.
        reason: Option<Note>,
    },
    /// Its owner gave it back.
    Released,
    /// Somebody took it from its owner.
    Forced {
        /// Who.
        by: Note,
        /// Why.
        reason: Note,
    },
    /// The holder said until when it would be down, or that it is back.
    Down(Option<Moment>),
    /// People were told that it is held longer than is usual. Nothing else follows from that.
    Overdue,
}

/// What a store holds: enough to begin again after a restart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Stored {
    /// The highest number that was ever given, also when none of its time is held any more.
    pub last: Option<Number>,
    /// The grants that are held.
    pub grants: Vec<Grant>,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dlm => "dlm",
            Self::Foreman => "foreman",
            Self::FleetLock => "fleetlock",
        })
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host { id, .. } => write!(f, "host id {id}"),
            Self::Legacy(protocol) => write!(f, "a client of the {protocol} protocol"),
        }
    }
}
