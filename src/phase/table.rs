//! Which phase follows which, and where a run that was cut short goes on. Pure.
//!
//! ```text
//!                    no
//!  needs_update ───────────────> over
//!       │ yes
//!       v
//!    lock_get ── busy ─────────> asked again from needs_update
//!       │
//!       v
//!   pre_update ─> update ─> needs_reboot ── no ──> post_update ─> lock_release ─> over
//!                                │ yes                 ^
//!                                v                     │
//!                             reboot ···· boot ········┘
//! ```
//!
//! A phase that fails is the one that is next; the lock stays held.

use super::name::Phase;

/// What came of a phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is done; or the host is to be updated, to be rebooted.
    Yes,
    /// The host needs no update, no reboot.
    No,
}

/// What the record of the run knows of its lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Holds {
    /// Nothing is held.
    Nothing,
    /// The service was asked, and no record says what it answered.
    Perhaps,
    /// A grant.
    Lock,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// This phase.
    Phase(Phase),
    /// The run is over.
    Over,
}

/// What follows a phase.
pub fn next(phase: Phase, outcome: Outcome, holds: Holds) -> Next {
    use Phase::{LockGet, LockRelease, NeedsReboot, NeedsUpdate, PostUpdate, PreUpdate, Reboot, Update};
    Next::Phase(match (phase, outcome) {
        (NeedsUpdate, Outcome::Yes) => LockGet,
        // A run that began anew with a lock in its hands gives it back when there is nothing to do.
        (NeedsUpdate, Outcome::No) if holds != Holds::Nothing => LockRelease,
        (NeedsUpdate, Outcome::No) | (LockRelease, _) => return Next::Over,
        (LockGet, _) => PreUpdate,
        (PreUpdate, _) => Update,
        (Update, _) => NeedsReboot,
        (NeedsReboot, Outcome::Yes) => Reboot,
        (NeedsReboot, Outcome::No) | (Reboot, _) => PostUpdate,
        (PostUpdate, _) => LockRelease,
    })
}

/// A reboot that this run has ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordered {
    /// None.
    No,
    /// The host was booted since.
    Booted,
    /// It was not, and may still be.
    NotYet,
    /// It was not, and the time for it is over.
    Never,
    /// The same; and who was to tell the host was cut short, so perhaps nobody has.
    Unsaid,
}

/// How the last attempt at a phase ended, as far as the record knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// It is not known: the run is new, or was cut short.
    CutShort,
    /// The phase failed, and the run stopped there.
    Failed,
}

/// What is on disk when the driver starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// The phase that is next by the state file.
    pub state: Option<Phase>,
    /// What is known of the lock.
    pub holds: Holds,
    /// The reboot.
    pub ordered: Ordered,
    /// The last attempt.
    pub last: Last,
}

/// Who starts the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starter {
    /// cron, a timer, a person.
    Tick,
    /// init, once a boot.
    Boot,
}

/// How it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// A new run.
    Fresh,
    /// Nothing has been changed: what may be held is given back, and then a new run may begin.
    GiveUp,
    /// The run goes on here. No constraint on dates holds it.
    Resume(Phase),
    /// The reboot is under way.
    Await,
    /// The ordered reboot has not come in its time.
    NoBoot,
    /// There is nothing to do for who asked.
    Nothing,
}

/// Where to begin.
pub fn start(seen: Seen, starter: Starter) -> Start {
    use Phase::{LockGet, LockRelease, NeedsUpdate, PostUpdate, Reboot};
    match (seen.state, seen.holds) {
        // Before anything was changed: a run that may hold something it cannot use gives it back. One whose state file somebody
        // removed begins anew, and does not forget its lock.
        (Some(LockGet), Holds::Perhaps | Holds::Lock) | (None | Some(NeedsUpdate), Holds::Perhaps) => Start::GiveUp,
        (None | Some(NeedsUpdate | LockGet), _) if starter == Starter::Boot => Start::Nothing,
        (None | Some(NeedsUpdate), Holds::Lock) => Start::Resume(NeedsUpdate),
        (None | Some(NeedsUpdate | LockGet), _) => Start::Fresh,
        // While the state still says reboot, nobody has told the host to: that comes behind it.
        (Some(PostUpdate), _) if seen.ordered == Ordered::NotYet => Start::Await,
        (Some(PostUpdate), _) if seen.ordered == Ordered::Never => Start::NoBoot,
        (Some(PostUpdate), _) if seen.ordered == Ordered::Unsaid => Start::Resume(Reboot),
        (Some(Reboot | PostUpdate), _) if seen.ordered == Ordered::Booted => Start::Resume(PostUpdate),
        (Some(phase @ (PostUpdate | LockRelease)), _) => Start::Resume(phase),
        // What failed stays failed until the next tick: a boot proves nothing about it.
        (Some(_), _) if starter == Starter::Boot && seen.last == Last::Failed => Start::Nothing,
        (Some(phase), _) => Start::Resume(phase),
    }
}

/// Whether the lock must be asked for again before a resumed phase goes on: while the host is being changed it must be held.
/// Behind the reboot the host is brought back into service whatever the service says.
pub fn needs_lock(phase: Phase) -> bool {
    matches!(phase, Phase::PreUpdate | Phase::Update | Phase::NeedsReboot | Phase::Reboot)
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
