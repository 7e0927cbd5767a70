//! The states of a run, as the journal spells them after `state=`.

use std::fmt;

/// Where a run stands. `Starting`, `Failing` and `Expiring` are intents: they are recorded *before* the flag is lowered, so that a
/// flag which is up at a later state is always a new order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// `grab-patch` is at work, or was cut short.
    Fetching,
    /// The cluster is unpacked, verified and dry-run; stages run here.
    Staged,
    /// A maintenance boot has been ordered; good for one boot.
    Ordered,
    /// About to lower the flag and install.
    Starting,
    /// Changing the host.
    Installing,
    /// Changed.
    Installed,
    /// About to lower the flag because of a failure.
    Failing,
    /// About to lower the flag because its time has passed.
    Expiring,
    /// Nothing was changed; on the way out.
    Ending,
    /// Over, with a failure.
    Failed,
    /// Over, nothing was changed.
    Ended,
}

impl State {
    /// Every state, in the order of a run.
    pub const ALL: [Self; 11] = [
        Self::Fetching,
        Self::Staged,
        Self::Ordered,
        Self::Starting,
        Self::Installing,
        Self::Installed,
        Self::Failing,
        Self::Expiring,
        Self::Ending,
        Self::Failed,
        Self::Ended,
    ];

    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Fetching => "fetching",
            Self::Staged => "staged",
            Self::Ordered => "ordered",
            Self::Starting => "starting",
            Self::Installing => "installing",
            Self::Installed => "installed",
            Self::Failing => "failing",
            Self::Expiring => "expiring",
            Self::Ending => "ending",
            Self::Failed => "failed",
            Self::Ended => "ended",
        }
    }

    /// The state of a word; an unknown word is none, and the journal that holds it is not ours to act on.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What the confirmation said, as the dated log spells it after `verdict=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The host is back and everything works that worked before.
    Ok,
    /// It is not.
    Bad,
}

impl Verdict {
    /// The word in the journal.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Bad => "bad",
        }
    }

    /// The verdict of a word.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Ok, Self::Bad].into_iter().find(|verdict| verdict.word() == word)
    }
}
