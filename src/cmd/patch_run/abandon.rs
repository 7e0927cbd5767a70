//! `patch-run --abandon --reason TEXT`: the end of a run that cannot go on, instead of deleting its state file. A person answers for
//! the host; so the lock is given back, unless it is to protect the others still.

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::flag::record::Draft;
use crate::lock::client::remembered;
use crate::lock::name::{Note, quoted};
use crate::phase::name::Phase;
use crate::phase::settings::Level;
use crate::phase::table::Holds;

use super::driver::Driver;
use super::end::End;
use super::locking::Tries;

/// What becomes of the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It is given back.
    GivenBack,
    /// It stays held.
    Kept,
}

impl Driver<'_> {
    /// Ends the run. A lock that cannot be given back now keeps the run, which is in its last phase then.
    ///
    /// # Errors
    /// If that cannot be recorded.
    pub fn abandon(&mut self, reason: &Note, lock: Lock) -> Result<End> {
        self.tell(Level::Warning, format_args!("the run is abandoned by hand: {reason}"));
        self.record(&Draft::note("abandoned by hand").field("reason", reason.as_str()))?;
        if lock == Lock::Kept {
            for grant in self.grants() {
                // It is a person's from now on: the next run would be granted it again, and give it back at its end.
                let locks = grant.lock.clone().into();
                remembered::granted(self.paths, grant.kind, &locks, std::slice::from_ref(&grant))?;
                exit::out(format_args!(
                    "lock {} stays held by {} (grant {}), and no run begins until patch-lock release {} has given it back",
                    grant.lock,
                    grant.owner,
                    grant.number,
                    quoted(grant.lock.as_str())
                ));
            }
        } else if self.settings.lock.is_some() || self.holds() != Holds::Nothing {
            match self.give_back(Tries::One) {
                Ok(()) => {}
                Err(error) => {
                    self.write_state(Phase::LockRelease)?;
                    if matches!(error, Error::Unreachable { .. }) {
                        exit::out("the lock is given back at the next start that reaches its service");
                        return Ok(self.unreachable(&error));
                    }
                    exit::out("nothing of the run goes on; that the lock is given back is tried again at each start");
                    return Err(error);
                }
            }
        }
        self.forget(&format!("abandoned: {reason}"))?;
        exit::out("the run is forgotten; the next start asks whether there is anything to do");
        Ok(End::Done)
    }
}

/// Nothing to abandon.
pub fn nothing() -> Exit {
    exit::out("there is no run to abandon");
    Exit::Done
}
