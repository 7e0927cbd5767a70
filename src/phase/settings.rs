//! What a run of the driver is told, whichever dialect its configuration is written in.
//!
//! Sites have four: section `[run]` of ours, and the files of the updaters that `patch-run` takes the place of, which are read as they
//! are. What a text means is pure; [`load`] finds and reads the file. Paths are as the file has them, seen from inside the root: who
//! uses one puts it below the root with [`Paths::at`](crate::paths::Paths::at).

mod apart;
pub mod check;
mod dialect;
mod dlm_ini;
mod dotenv;
mod endpoint;
mod foreman;
mod load;
pub mod missing;
mod old_ini;
mod ours;
pub mod python;
mod shown;

use std::path::PathBuf;
use std::time::Duration;

use super::name::Phase;
use crate::config;
use crate::config::locking::Backoff;
pub use crate::config::run::{Asking, Level, Repeat, Wait};
pub use load::{CalledAs, load};

/// In which of the configurations that sites have this one is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// Section `[run]` of our own.
    Ours,
    /// `config.ini` of DLM Engine Updater 0.4 and 0.5.
    DlmIni,
    /// The dotenv file of DLM Engine Updater 1.0.
    Dotenv,
    /// `config.ini` of Foreman DLM Updater.
    Foreman,
}

/// A configuration, understood.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Its dialect.
    pub dialect: Dialect,
    /// Where it was read: below the root, as it can be opened.
    pub file: PathBuf,
    /// What scripts are told that the lock is called, with blanks between several; empty if there is none.
    pub lock_name: String,
    /// The lock service and the locks of a run; without it no lock is taken.
    pub lock: Option<config::Lock>,
    /// How long to wait for a busy lock.
    pub wait: Wait,
    /// How often to ask for a busy lock; without it there is no limit.
    pub attempts: Option<u32>,
    /// How hard to try to give the lock back.
    pub release: Tries,
    /// What becomes of a run whose lock could not be given back.
    pub unreleased: Unreleased,
    /// The log.
    pub log: LogFile,
    /// The lock file that keeps a second driver out.
    pub local_lock: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The script directories.
    pub dirs: Dirs,
    /// How the host is rebooted.
    pub reboot: Reboot,
    /// The users whose own scripts run in `pre_update` and `post_update`.
    pub users: Vec<String>,
    /// A script gets TERM after this time; without it, never.
    pub timeout: Option<Duration>,
    /// What is between TERM and KILL.
    pub grace: Duration,
    /// What a resumed phase runs.
    pub repeat: Repeat,
    /// How `needs_update` is asked.
    pub needs_update: Asking,
    /// What will hurt, each with file and line: logged by a run, errors to `--check-config`.
    pub warnings: Vec<String>,
}

/// How often something is tried, and what is between the tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tries {
    /// At least one.
    pub attempts: u32,
    /// The pauses.
    pub backoff: Backoff,
}

/// What becomes of a run whose lock could not be given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreleased {
    /// It stays in `lock_release`, and the next start tries again.
    Kept,
    /// Its state is removed, and the lock stays held.
    Forgotten,
}

/// The driver's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub path: PathBuf,
    /// What is less than this is not written.
    pub level: Level,
    /// How many days are kept besides today.
    pub retention: u32,
}

/// A directory of scripts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptDir {
    /// Where it is.
    pub path: PathBuf,
    /// Whether it must be there: the configuration names it, or a run without it does nothing (W26).
    pub named: bool,
}

/// The script directories of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirs {
    /// Where they lie, in the dialects that name no single one.
    pub base: Option<ScriptDir>,
    /// Those of the phases.
    pub phases: Vec<(Phase, ScriptDir)>,
    /// Those that are told of each step.
    pub notify: Option<ScriptDir>,
    /// Those that are told of a failure.
    pub on_failure: Option<ScriptDir>,
    /// Those that run before the scripts of `pre_update` and `post_update`, in place of 1.0's plugins.
    pub before: Option<ScriptDir>,
    /// Those that run behind them.
    pub behind: Option<ScriptDir>,
}

impl Dirs {
    /// The directory of a phase.
    pub fn get(&self, phase: Phase) -> Option<&ScriptDir> {
        self.phases.iter().find(|(of, _)| *of == phase).map(|(_, dir)| dir)
    }

    /// All of them; those that belong to no phase have none.
    pub fn all(&self) -> impl Iterator<Item = (Option<Phase>, &ScriptDir)> {
        let others =
            self.notify.iter().chain(&self.on_failure).chain(&self.before).chain(&self.behind).map(|dir| (None, dir));
        self.phases.iter().map(|(phase, dir)| (Some(*phase), dir)).chain(others)
    }
}

/// How the host is rebooted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reboot {
    /// By the scripts of `reboot.d`.
    Scripts,
    /// By the scripts of `reboot.d`; if it holds none, by this command.
    ScriptsOr(Vec<String>),
    /// By a command, word by word.
    Command(Vec<String>),
}
