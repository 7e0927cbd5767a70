//! What each kind of lock service can do, and whether that is enough. Pure.

use super::kind::Kind;
use super::name::LockSet;
use crate::error::{Error, Result};

/// What a backend can do besides taking, showing and releasing one lock.
#[allow(clippy::struct_excessive_bools)] // each is a fact of its own
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    /// Waiting is a queue in order of arrival, and the service says when it is our turn.
    pub queue: bool,
    /// Several locks in one request, all or none.
    pub several: bool,
    /// The numbers of its grants grow and are never used twice; else they are counted on this host.
    pub numbers: bool,
    /// It keeps a history.
    pub history: bool,
    /// An administrator can end somebody's grant, with name and reason.
    pub force: bool,
    /// It is told until when the holder will be down.
    pub down_until: bool,
    /// It can be asked which locks there are.
    pub list: bool,
}

const BARE: Promises = Promises {
    queue: false,
    several: false,
    numbers: false,
    history: false,
    force: false,
    down_until: false,
    list: false,
};

impl Promises {
    /// What a kind can do besides taking, showing and releasing one lock.
    pub fn of(kind: Kind) -> Self {
        match kind {
            Kind::Lockd => Self {
                queue: true,
                several: true,
                numbers: true,
                history: true,
                force: true,
                down_until: true,
                list: true,
            },
            Kind::Etcd => {
                Self { queue: true, numbers: true, history: true, force: true, down_until: true, list: true, ..BARE }
            }
            Kind::Dlm | Kind::Dir => Self { list: true, ..BARE },
            Kind::Foreman | Kind::FleetLock => BARE,
        }
    }

    /// Whether these locks can be asked for in one request.
    ///
    /// # Errors
    /// [`Error::Usage`] if not, with the way out.
    pub fn meet(self, kind: Kind, locks: &LockSet) -> Result<()> {
        match locks.iter().count() {
            count if count > 1 && !self.several => Err(Error::Usage(format!(
                "backend {kind} can promise one lock at a time, not {count} together; name one, or use backend lockd"
            ))),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::kind::KINDS;
    use crate::lock::name::LockName;

    #[test]
    fn only_our_own_service_promises_several_locks_together() {
        let locks = |names: &[&str]| LockSet::new(names.iter().map(|name| LockName::new(name).unwrap())).unwrap();
        for kind in KINDS {
            let promises = Promises::of(kind);
            assert!(promises.meet(kind, &locks(&["web"])).is_ok());
            assert_eq!(promises.meet(kind, &locks(&["web", "db"])).is_ok(), kind == Kind::Lockd, "{kind}");
        }
    }
}
