//! The phases by name.

use std::fmt;
use std::str::FromStr;

/// A phase, in the order in which a run goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Scripts are asked whether there is anything to do.
    NeedsUpdate,
    /// The lock is taken.
    LockGet,
    /// Scripts prepare the host.
    PreUpdate,
    /// Scripts update it.
    Update,
    /// Scripts are asked whether it must be rebooted.
    NeedsReboot,
    /// It is rebooted.
    Reboot,
    /// Scripts bring the host back into service.
    PostUpdate,
    /// The lock is given back.
    LockRelease,
}

/// All phases, in their order.
pub const PHASES: [Phase; 8] = [
    Phase::NeedsUpdate,
    Phase::LockGet,
    Phase::PreUpdate,
    Phase::Update,
    Phase::NeedsReboot,
    Phase::Reboot,
    Phase::PostUpdate,
    Phase::LockRelease,
];

impl Phase {
    /// Its name in the state file and the log, for scripts, and of its directory (`NAME.d`).
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NeedsUpdate => "needs_update",
            Self::LockGet => "lock_get",
            Self::PreUpdate => "pre_update",
            Self::Update => "update",
            Self::NeedsReboot => "needs_reboot",
            Self::Reboot => "reboot",
            Self::PostUpdate => "post_update",
            Self::LockRelease => "lock_release",
        }
    }

    /// Whether scripts belong to it.
    pub fn has_scripts(self) -> bool {
        !matches!(self, Self::LockGet | Self::LockRelease)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        PHASES.into_iter().find(|phase| phase.as_str() == text).ok_or_else(|| {
            let known: Vec<_> = PHASES.map(Phase::as_str).to_vec();
            format!("{text:?} is no phase; there are {}", known.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_is_read_by_the_name_it_is_written_with() {
        for phase in PHASES {
            assert_eq!(phase.to_string().parse(), Ok(phase));
        }
        assert!("updaet".parse::<Phase>().unwrap_err().contains("needs_update"));
    }
}
