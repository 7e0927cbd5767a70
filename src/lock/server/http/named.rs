//! Names that a client says, judged: fit to be names, and its to say.

use super::Denied;
use crate::lock::name::{LockName, Owner};
use crate::lock::server::access::Client;

/// An owner that the client may act for.
///
/// # Errors
/// [`Denied`], with what is wrong with it.
pub fn owner_of(client: &Client, name: &str) -> Result<Owner, Denied> {
    let owner = Owner::new(name)?;
    client.may_act_for(&owner)?;
    Ok(owner)
}

/// A lock that the client may touch.
///
/// # Errors
/// [`Denied`], with what is wrong with it.
pub fn lock_of(client: &Client, name: &str) -> Result<LockName, Denied> {
    let lock = LockName::new(name)?;
    client.may_touch(&lock)?;
    Ok(lock)
}
