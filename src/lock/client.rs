//! The other side of the wire: one trait for every lock service that a site may have.
//!
//! A backend says what it [`Promises`]; asking it for what it cannot do is a configuration error, found by [`Promises::meet`] when
//! the configuration is read, not at 2 a.m. What all of them promise: a grant is held over reboots until it is released, a service
//! that cannot be reached is [`Error::Unreachable`] and never "go on", and nothing is released that is not this owner's.
//!
//! Each call is one exchange with the service, with an end of its own; who wants to wait calls again.

pub mod claim;
mod dir;
mod dlm;
mod etcd;
mod fleetlock;
mod foreman;
pub mod held;
mod http;
mod lockd;
pub mod numbers;
pub mod pause;
pub mod remembered;
pub mod words;

use std::fmt;
use std::time::Duration;

pub use super::kind::Kind;
use super::name::{HostId, LockName, LockSet, Note, Owner};
pub use super::promises::Promises;
use super::wire;
use crate::config;
use crate::config::locking::Service;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::clock::{Clock, Moment};
pub use dir::errand;
pub use held::Held;

/// The configured lock service. Nothing is asked yet; what the configuration names (secrets, certificates) is read.
///
/// # Errors
/// [`Error::Usage`] if something that it names cannot be used.
pub fn open(lock: &config::Lock, paths: &Paths, clock: Clock) -> Result<Box<dyn Backend>> {
    Ok(match &lock.service {
        Service::Lockd(web) => Box::new(lockd::Lockd::new(web, paths, lock.timeout)?),
        Service::Dlm(web, version) => Box::new(dlm::Dlm::new(web, *version, paths, lock.timeout)?),
        Service::Foreman(web) => Box::new(foreman::Foreman::new(web, paths, lock.timeout)?),
        Service::FleetLock(web) => Box::new(fleetlock::FleetLock::new(web, paths, lock.timeout)?),
        Service::Etcd(web) => Box::new(etcd::Etcd::new(web, paths, lock.timeout, clock)?),
        Service::Dir { path, scope } => Box::new(dir::Directory::new(paths, path, *scope, lock.timeout, clock)),
    })
}

/// Who asks, for what.
#[derive(Debug, Clone)]
pub struct Claim {
    /// By which name.
    pub owner: Owner,
    /// Which host that is.
    pub host_id: HostId,
    /// In which of its boots.
    pub boot: Note,
    /// For which locks, all or none.
    pub locks: LockSet,
    /// What for: of a patch run, its id.
    pub reason: Option<Note>,
}

impl Claim {
    /// The lock of a claim for one, at a service that grants one at a time.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is for several.
    pub fn only_lock(&self) -> Result<&LockName> {
        let mut locks = self.locks.iter();
        match (locks.next(), locks.next()) {
            (Some(lock), None) => Ok(lock),
            _ => Err(Error::Usage("the lock service grants one lock at a time; name one".into())),
        }
    }
}

/// What has become of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// All of them are held.
    Granted(Vec<Held>),
    /// Not now.
    NotYet(NotYet),
}

/// Why it is not granted now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotYet {
    /// A sentence for people: who holds it, who is ahead.
    pub why: String,
    /// When to ask again. A service that pushes has waited by itself: at once.
    pub again: Again,
}

/// When to ask again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// At once: the service has kept the request open as long as it could, and knows our place in its queue.
    AtOnce,
    /// After a pause that grows, with full jitter: it knows no queue.
    Later,
}

/// What became of a grant that was to be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Released {
    /// It is free.
    Ended,
    /// It was not there any more: released before, or taken away by somebody.
    Absent,
}

/// A lock service.
pub trait Backend: fmt::Debug + Send + Sync {
    /// Which kind.
    fn kind(&self) -> Kind;

    /// What it can do.
    fn promises(&self) -> Promises {
        Promises::of(self.kind())
    }

    /// Asks for locks. What this owner holds already is granted again, with the number of then. A service that can keeps the
    /// request open for `wait`; [`Duration::ZERO`] asks and takes no place in a queue.
    ///
    /// # Errors
    /// [`Error::Unreachable`]; [`Error::Refused`] if it will never be granted like this, with the remedy; [`Error::Usage`] for
    /// what the credential may not do; [`Error::Busy`] if another process of this host waits in our place.
    fn acquire(&self, claim: &Claim, wait: Duration) -> Result<Answer>;

    /// Waits no longer; whoever is next must not wait for us. Where there is no queue there is no place to give up.
    ///
    /// # Errors
    /// [`Error::Unreachable`].
    fn withdraw(&self, claim: &Claim) -> Result<()> {
        let _ = claim;
        Ok(())
    }

    /// Gives a grant back, if it is still this owner's; never another one.
    ///
    /// # Errors
    /// As [`Backend::acquire`].
    fn release(&self, held: &Held) -> Result<Released>;

    /// The grant that this claim's owner has of a lock now, taken for the same reason where the service keeps reasons: what a
    /// tool that was killed between the answer and its record must find again.
    ///
    /// # Errors
    /// As [`Backend::acquire`].
    fn held(&self, claim: &Claim, lock: &LockName) -> Result<Option<Held>>;

    /// Says until when the holder will be down, or that it is back; whether the grant still stands. A backend that cannot be told
    /// looks only.
    ///
    /// # Errors
    /// As [`Backend::acquire`].
    fn down_until(&self, held: &Held, until: Option<Moment>) -> Result<bool>;

    /// Where a lock stands.
    ///
    /// # Errors
    /// As [`Backend::acquire`]; [`Error::Usage`] if the service cannot be asked without taking the lock.
    fn look(&self, lock: &LockName) -> Result<wire::Lock>;

    /// All locks that this credential may see.
    ///
    /// # Errors
    /// As [`Backend::acquire`]; [`Error::Usage`] if the service has no such list.
    fn list(&self) -> Result<Vec<wire::Lock>> {
        Err(words::cannot(self.kind(), "list its locks"))
    }

    /// Why the owner does not have the lock, in one sentence; told from which host, a clone learns that another one has its name.
    ///
    /// # Errors
    /// As [`Backend::look`].
    fn why(&self, lock: &LockName, owner: &Owner, host: Option<&HostId>) -> Result<String> {
        Ok(words::why(&self.look(lock)?, owner, host))
    }

    /// The last events of a lock, or of all, the newest first.
    ///
    /// # Errors
    /// As [`Backend::list`].
    fn history(&self, lock: Option<&LockName>, limit: u32) -> Result<Vec<wire::Event>> {
        let _ = (lock, limit);
        Err(words::cannot(self.kind(), "say what happened to its locks: it keeps no history"))
    }

    /// Ends somebody's grant.
    ///
    /// # Errors
    /// As [`Backend::list`]; [`Error::Refused`] if the holder is down as it said and that was not overruled.
    fn force_release(&self, order: &wire::Force) -> Result<Released>;
}
