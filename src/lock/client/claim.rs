//! Who asks: the owner's name, the host behind it, its boot.

use super::Claim;
use crate::boot::identity::BootIdentity;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::host;
use crate::lock::name::{HostId, LockSet, Note, Owner};
use crate::paths::Paths;

/// By which name this host asks: the configured owner, else its full name.
///
/// # Errors
/// [`Error::Usage`] if it cannot be told, or is one that every host has.
pub fn owner(config: &Config, paths: &Paths) -> Result<Owner> {
    match config.lock.as_ref().and_then(|lock| lock.owner.clone()) {
        Some(owner) => Ok(owner),
        None => Owner::new(&host::full_name::get(paths, config.host.name.as_deref())?),
    }
}

/// Which host it is.
///
/// # Errors
/// As [`host::id::get`].
pub fn host_id(paths: &Paths) -> Result<HostId> {
    HostId::new(&host::id::get(paths)?)
}

/// A claim of this host, in this boot.
///
/// # Errors
/// As [`owner`] and [`host_id`]; if the boot cannot be told.
pub fn of_this_host(config: &Config, paths: &Paths, locks: LockSet, reason: Option<Note>) -> Result<Claim> {
    let lock = config.lock.as_ref().ok_or_else(no_lock)?;
    lock.promises().meet(lock.kind(), &locks)?;
    let boot = Note::new(&BootIdentity::current(paths)?.to_string())?;
    Ok(Claim { owner: owner(config, paths)?, host_id: host_id(paths)?, boot, locks, reason })
}

/// What a patch run gives as its reason: its id.
///
/// # Errors
/// [`Error::Usage`] if it is no text of one line.
pub fn reason_of(run: &str) -> Result<Option<Note>> {
    Note::new(&format!("patch run {run}")).map(Some)
}

/// There is no default backend.
pub fn no_lock() -> Error {
    Error::Usage("no lock is configured; write section [lock] with backend =, see patch-config(5)".into())
}
