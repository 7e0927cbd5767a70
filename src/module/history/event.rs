//! The words of the history.

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A module was verified and is started.
    Begun,
    /// It has succeeded.
    Done,
    /// It has not.
    Failed,
    /// It was not started, because of another.
    Skipped,
    /// Its run was cut short; seen at the next start.
    Unfinished,
    /// A person took its content as right.
    Accepted,
    /// Its version is one to go back to.
    Safe,
    /// Another version is about to be put in its place.
    RollingBack,
    /// It has been.
    RolledBack,
    /// It has not been, and nothing is changed.
    NotRolledBack,
    /// The manifest has been told everything before this.
    Written,
}

/// All of them.
pub(super) const WORDS: [(Event, &str); 11] = [
    (Event::Begun, "begun"),
    (Event::Done, "done"),
    (Event::Failed, "failed"),
    (Event::Skipped, "skipped"),
    (Event::Unfinished, "unfinished"),
    (Event::Accepted, "accepted"),
    (Event::Safe, "safe"),
    (Event::RollingBack, "rolling-back"),
    (Event::RolledBack, "rolled-back"),
    (Event::NotRolledBack, "not-rolled-back"),
    (Event::Written, "written"),
];

impl Event {
    /// The word in the history.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(event, _)| *event == self).map_or("", |(_, word)| word)
    }

    /// From the word; `None` if it is not one of ours.
    pub fn from_word(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(event, _)| *event)
    }
}
