//! The state table: from what is seen on disk to the steps that are due.
//!
//! Pure, and the only place where it is decided. The functions have the names of the model's (`tests/model/run_model.py`), which
//! explores every interleaving of ticks, boots, kills, power cuts, `touch` and `rm`; a test holds them against it over every state it
//! reaches. A change is made there first.

use std::fmt;

use super::state::State::{
    self, Ended, Ending, Expiring, Failed, Failing, Fetching, Installed, Installing, Ordered, Staged, Starting,
};
use super::state::Verdict;

/// What a tool sees under the host lock before it decides. Each field is a fact of its own, hence the flags.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Seen {
    /// `patchflag` is up.
    pub flag: bool,
    /// The last state in `patchlog`; `None` without one.
    pub log: Option<State>,
    /// `patchdone` is up.
    pub done: bool,
    /// A maintenance boot is ordered at init.
    pub trigger: bool,
    /// This boot is a maintenance boot.
    pub maintenance: bool,
    /// The host was booted since the order.
    pub booted: bool,
    /// What the dated log says of the confirmation.
    pub verdict: Option<Verdict>,
    /// Every lock of the configuration is held.
    pub held: bool,
}

/// Which mail a run ends with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Letter {
    /// Confirmed.
    Patched,
    /// A failure before, in or after the installation.
    Failed,
    /// Found in the middle of the installation.
    Interrupted,
    /// Nothing was changed.
    CalledOff,
    /// The run is over but for the release of its lock, and the lock service is away.
    NotReleased,
}

/// One step, on disk before the next begins. Each may be taken again without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// Record a state.
    Log(State),
    /// Order the maintenance boot at init.
    Trigger,
    /// Take that order back.
    Undo,
    /// Reboot.
    Reboot,
    /// Take the configured locks.
    Lock,
    /// Release the run's locks.
    Unlock,
    /// Lower the flag, if it is still up.
    Lower,
    /// Lower the flag; if there is nothing to lower the run was called off, and nothing is installed.
    LowerOrCallOff,
    /// Change the host.
    Install,
    /// Judge the patched host.
    Confirm,
    /// Raise `patchdone`.
    RaiseDone,
    /// Lower `patchdone`.
    LowerDone,
    /// Spool the run's mail.
    Mail(Letter),
    /// Give `patchlog` its dated name.
    Date,
}

const FAIL: [Step; 5] = [Step::Log(Failing), Step::Lower, Step::Mail(Letter::Failed), Step::Log(Failed), Step::Date];
const CALLED_OFF: [Step; 5] =
    [Step::Log(Ending), Step::Unlock, Step::Mail(Letter::CalledOff), Step::Log(Ended), Step::Date];
const EXPIRED: [Step; 7] = [
    Step::Log(Expiring),
    Step::Lower,
    Step::Log(Ending),
    Step::Unlock,
    Step::Mail(Letter::CalledOff),
    Step::Log(Ended),
    Step::Date,
];
const CONFIRMED: [Step; 3] = [Step::Unlock, Step::Mail(Letter::Patched), Step::LowerDone];
const REFUSED: [Step; 2] = [Step::Mail(Letter::Failed), Step::LowerDone];

/// A failure before or in the installation: the chain stops, the locks stay held.
pub fn steps_fail() -> Vec<Step> {
    FAIL.to_vec()
}

/// Called off by hand before the first change.
pub fn steps_called_off() -> Vec<Step> {
    CALLED_OFF.to_vec()
}

/// What follows from a verdict.
pub fn steps_verdict(verdict: Verdict) -> Vec<Step> {
    match verdict {
        Verdict::Ok => CONFIRMED.to_vec(),
        Verdict::Bad => REFUSED.to_vec(),
    }
}

/// `grab-patch`: fetch and stage.
pub fn steps_grab(s: Seen) -> Option<Vec<Step>> {
    let open = matches!(s.log, None | Some(Fetching));
    (s.flag && !s.done && open).then(|| vec![Step::Log(Fetching), Step::Log(Staged)])
}

/// `patch-lock`: take what the configuration names.
pub fn steps_lock(s: Seen) -> Option<Vec<Step>> {
    (s.flag && s.log == Some(Staged) && !s.held).then(|| vec![Step::Lock])
}

/// `patchit` at the normal level, in its window: order the maintenance boot.
pub fn steps_order(s: Seen) -> Option<Vec<Step>> {
    ready(s).then(|| vec![Step::Log(Ordered), Step::Trigger, Step::Reboot])
}

/// `patchit` where there is no maintenance boot (`install = live`): the same end of the road without the boot before it.
pub fn steps_live(s: Seen) -> Option<Vec<Step>> {
    ready(s).then(install)
}

fn ready(s: Seen) -> bool {
    s.flag && s.log == Some(Staged) && s.held && !s.done
}

/// `not_after` has passed before the order was given to init.
pub fn steps_expire(s: Seen) -> Option<Vec<Step>> {
    let before = matches!(s.log, Some(Fetching | Staged));
    (s.flag && before && !s.done).then(|| EXPIRED.to_vec())
}

/// The same boot, a quarter of an hour after the order, and nobody at work: the order was not followed.
pub fn steps_late(s: Seen) -> Option<Vec<Step>> {
    (s.log == Some(Ordered) && s.flag && !s.booted).then(|| undo_then(s, &FAIL))
}

/// What is due whatever happened: `patchit` at any boot, and `patchit --finish` at any tick.
pub fn steps_finish(s: Seen) -> Option<Vec<Step>> {
    let due: &[Step] = match (s.log, s.flag) {
        (Some(Starting), _) => &FAIL,
        (Some(Failing), _) => &FAIL[1..],
        (Some(Expiring), _) => &EXPIRED[1..],
        (Some(Ending), _) => &CALLED_OFF[1..],
        (Some(Failed | Ended), _) => &[Step::Date],
        (Some(Installing), _) => &[Step::Mail(Letter::Interrupted), Step::Log(Failed), Step::Date],
        (Some(Installed), _) => &[Step::RaiseDone, Step::Date],
        _ if s.done => match s.verdict {
            None => &[Step::Confirm],
            Some(Verdict::Ok) => &CONFIRMED,
            Some(Verdict::Bad) => &REFUSED,
        },
        (Some(Fetching | Staged | Ordered), false) => &CALLED_OFF,
        // An order is good for one boot.
        (Some(Ordered), true) if s.booted && !s.maintenance => &FAIL,
        _ => &[],
    };
    let steps = undo_then(s, due);
    (!steps.is_empty()).then_some(steps)
}

/// A quarter of an hour at the release, and the lock service is still away: people are told, and the release is tried on.
pub fn steps_unreleased(s: Seen) -> Option<Vec<Step>> {
    let due = steps_finish(s)?.into_iter().find(|step| *step != Step::Undo);
    (due == Some(Step::Unlock)).then(|| vec![Step::Mail(Letter::NotReleased)])
}

/// `patchit` started by init. In a maintenance boot the last step is always to leave it.
pub fn steps_boot(s: Seen) -> Option<Vec<Step>> {
    if !s.maintenance {
        return steps_finish(s);
    }
    let mut steps = if s.flag && s.log == Some(Ordered) && s.booted {
        std::iter::once(Step::Undo).chain(install()).collect()
    } else {
        steps_finish(s).unwrap_or_default()
    };
    if steps.last() != Some(&Step::Reboot) {
        steps.push(Step::Reboot);
    }
    Some(steps)
}

/// A maintenance boot whose order no longer stands: nothing is installed, the run fails.
pub fn steps_stale_boot(s: Seen) -> Vec<Step> {
    let mut steps = undo_then(s, &FAIL);
    steps.push(Step::Reboot);
    steps
}

fn install() -> Vec<Step> {
    vec![
        Step::Log(Starting),
        Step::LowerOrCallOff,
        Step::Log(Installing),
        Step::Install,
        Step::Log(Installed),
        Step::RaiseDone,
        Step::Date,
        Step::Reboot,
    ]
}

/// The trigger goes before anything else: whatever dies afterwards, the next boot is a normal one.
fn undo_then(s: Seen, steps: &[Step]) -> Vec<Step> {
    let undo = s.trigger.then_some(Step::Undo);
    undo.into_iter().chain(steps.iter().copied()).collect()
}

impl fmt::Display for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Patched => "patched",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::CalledOff => "called-off",
            Self::NotReleased => "not-released",
        })
    }
}

/// What `patchit --explain` prints.
impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Log(state) => write!(f, "record state={state}"),
            Self::Trigger => f.write_str("order the maintenance boot at init"),
            Self::Undo => f.write_str("take the order back from init"),
            Self::Reboot => f.write_str("reboot"),
            Self::Lock => f.write_str("take the lock"),
            Self::Unlock => f.write_str("release the lock"),
            Self::Lower => f.write_str("lower patchflag"),
            Self::LowerOrCallOff => f.write_str("lower patchflag, which must still be up"),
            Self::Install => f.write_str("install the cluster"),
            Self::Confirm => f.write_str("confirm that the host works"),
            Self::RaiseDone => f.write_str("raise patchdone"),
            Self::LowerDone => f.write_str("lower patchdone"),
            Self::Mail(letter) => write!(f, "mail: {letter}"),
            Self::Date => f.write_str("give patchlog its dated name"),
        }
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
