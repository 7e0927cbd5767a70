//! What every subcommand begins with: the configuration, the service, the names of the locks.

use std::sync::Arc;

use crate::cmd::locking;
use crate::cmd::place::Place;
use crate::config::{self, Config};
use crate::error::{Error, Result};
use crate::lock::client::{self, Backend, Claim, Held, Kind, claim};
use crate::lock::name::{LockName, LockSet, Note};
use crate::paths::Paths;

/// The lock service of this host.
pub struct Service {
    pub paths: Paths,
    pub config: Arc<Config>,
    pub backend: Arc<dyn Backend>,
}

impl Service {
    /// Reads the configuration and opens the service.
    pub fn open(place: &Place) -> Result<Self> {
        let paths = place.paths()?;
        let config = Arc::new(place.config(&paths)?);
        Self::with(place, paths, config)
    }

    pub fn with(place: &Place, paths: Paths, config: Arc<Config>) -> Result<Self> {
        let lock = config.lock.as_ref().ok_or_else(claim::no_lock)?;
        let backend = Arc::from(client::open(lock, &paths, place.clock())?);
        Ok(Self { paths, config, backend })
    }

    pub fn kind(&self) -> Kind {
        self.backend.kind()
    }

    pub fn lock(&self) -> Result<&config::Lock> {
        self.config.lock.as_ref().ok_or_else(claim::no_lock)
    }

    /// The locks that were named, else those of the configuration.
    pub fn names(&self, named: &[LockName]) -> Result<LockSet> {
        if !named.is_empty() {
            return LockSet::new(named.iter().cloned());
        }
        self.lock()?.names.clone().ok_or_else(|| Error::Usage("name a lock, or set names = in section [lock]".into()))
    }

    pub fn claim(&self, locks: LockSet, reason: Option<Note>) -> Result<Claim> {
        claim::of_this_host(&self.config, &self.paths, locks, reason)
    }

    /// What the patch run of this host or its driver holds; it is not for hands to give back.
    pub fn held_by_run(&self) -> Result<Vec<Held>> {
        Ok([locking::of_chain(&self.paths)?, self.held_by_driver()?].concat())
    }

    /// What patch-run holds.
    pub fn held_by_driver(&self) -> Result<Vec<Held>> {
        locking::of_driver(&self.paths, &self.config)
    }
}

/// The grant of a lock at this kind of service.
pub fn find<'a>(held: &'a [Held], kind: Kind, lock: &LockName) -> Option<&'a Held> {
    held.iter().find(|held| held.kind == kind && held.lock == *lock)
}
