//! How a run of the driver ends, and the exit codes for it: the house's own, or those of the programs whose names it may have.

use crate::error::Error;
use crate::exit::Exit;

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The run is over, or there was nothing to do.
    Done,
    /// The host goes down.
    Rebooting,
    /// Somebody else holds the lock.
    NotYet(String),
    /// The lock service cannot be reached.
    Unreachable(String),
    /// A phase failed, or something that it needs.
    Failed(String),
    /// The command that reboots failed with this code.
    NotRebooted(i32),
    /// A signal ended it; the run goes on at the next start.
    Signal(i32),
}

/// Whose exit codes are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codes {
    /// The table of this suite.
    Ours,
    /// Those of `dlm_engine_updater` and `foreman_dlm_updater`: whatever is not done is 1.
    Theirs,
}

impl Codes {
    /// The code of an end.
    pub fn of(self, end: &End) -> Exit {
        match (end, self) {
            (End::Done | End::Rebooting, _) => Exit::Done,
            (End::Signal(signal), _) => Exit::Code(u8::try_from(128 + signal).unwrap_or(u8::MAX)),
            // Whoever had a command for it, and no scripts, answered with its code.
            (End::NotRebooted(code), Self::Theirs) => Exit::Code(u8::try_from(*code).unwrap_or(1)),
            (End::Failed(_) | End::NotRebooted(_), _) | (_, Self::Theirs) => Exit::Failed,
            (End::NotYet(_), Self::Ours) => Exit::NotYet,
            (End::Unreachable(_), Self::Ours) => Exit::Unreachable,
        }
    }

    /// The code of an error.
    pub fn of_error(self, error: &Error) -> Exit {
        match self {
            Self::Ours => Exit::from(error),
            Self::Theirs => Exit::Failed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn under_an_old_name_whatever_is_not_done_is_1() {
        let ends = [
            (End::Done, 0, 0),
            (End::Rebooting, 0, 0),
            (End::NotYet(String::new()), 75, 1),
            (End::Unreachable(String::new()), 69, 1),
            (End::Failed(String::new()), 1, 1),
            (End::NotRebooted(7), 1, 7),
            (End::Signal(15), 143, 143),
        ];
        for (end, ours, theirs) in ends {
            assert_eq!((Codes::Ours.of(&end).code(), Codes::Theirs.of(&end).code()), (ours, theirs), "{end:?}");
        }
        assert_eq!(Codes::Theirs.of_error(&Error::Usage(String::new())).code(), 1);
        assert_eq!(Codes::Ours.of_error(&Error::Usage(String::new())).code(), 2);
    }
}
