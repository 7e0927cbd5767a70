//! `[run]`: the eight phases, `patch-run(8)`.

use std::path::PathBuf;
use std::time::Duration;

use super::command;
use super::section::Section;
use super::values;
use crate::error::Result;

const SECOND: Duration = Duration::from_secs(1);

/// `[run]`.
#[derive(Debug)]
pub struct Run {
    /// Holds the script directories, `needs_update.d` and so on.
    pub dir: PathBuf,
    /// The state file.
    pub state: PathBuf,
    /// The log.
    pub log: PathBuf,
    /// What is less than this is not logged.
    pub log_level: Level,
    /// How many days of the log are kept besides today.
    pub log_retention: u32,
    /// How long to wait for a busy lock. Without it, as long as `[lock] wait_max` says.
    pub wait: Option<Wait>,
    /// How often to ask for a busy lock; without it there is no limit.
    pub wait_attempts: Option<u32>,
    /// How often a run tries to give the lock back.
    pub release_attempts: u32,
    /// Users whose own scripts run in `pre_update` and `post_update`.
    pub user_scripts: Vec<String>,
    /// A script gets TERM after this time; without it, never.
    pub script_timeout: Option<Duration>,
    /// What is between TERM and KILL.
    pub script_grace: Duration,
    /// What a resumed phase runs.
    pub repeat: Repeat,
    /// How `needs_update` is asked.
    pub needs_update: Asking,
    /// The command that reboots; else the scripts of `reboot.d`, or `shutdown -r now`.
    pub reboot: Option<Vec<String>>,
}

/// How long to wait for a busy lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Not at all: one try.
    No,
    /// No longer than this.
    UpTo(Duration),
    /// Until it is ours.
    Forever,
}

/// How much a line of the log matters, by the names of Python's logging.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For who looks for a fault.
    Debug,
    /// What happens.
    Info,
    /// What may hurt.
    Warning,
    /// What failed.
    Error,
    /// What stops the run.
    Critical,
}

/// What a resumed phase runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeat {
    /// Only the scripts that have not succeeded yet.
    Unfinished,
    /// All of them.
    All,
}

/// How the scripts of `needs_update` are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asking {
    /// The first yes is the answer.
    FirstYes,
    /// All are asked.
    All,
}

impl Default for Run {
    fn default() -> Self {
        Self {
            dir: "/etc/patch/run".into(),
            state: "/var/lib/patch/run/state".into(),
            log: "/var/log/patch-run.log".into(),
            log_level: Level::Info,
            log_retention: 30,
            wait: None,
            wait_attempts: None,
            release_attempts: 10,
            user_scripts: Vec::new(),
            script_timeout: None,
            script_grace: 10 * SECOND,
            repeat: Repeat::Unfinished,
            needs_update: Asking::FirstYes,
            reboot: None,
        }
    }
}

impl Run {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        let repeat = |text: &str| match text {
            "unfinished" => Ok(Repeat::Unfinished),
            "all" => Ok(Repeat::All),
            other => Err(format!("{other:?} is neither unfinished nor all")),
        };
        let asking = |text: &str| match text {
            "first" => Ok(Asking::FirstYes),
            "all" => Ok(Asking::All),
            other => Err(format!("{other:?} is neither first nor all")),
        };
        Ok(Self {
            dir: s.path("dir")?.unwrap_or(default.dir),
            state: s.path("state")?.unwrap_or(default.state),
            log: s.path("log")?.unwrap_or(default.log),
            log_level: s.read("log_level", level)?.unwrap_or(default.log_level),
            log_retention: s.read("log_retention", days)?.unwrap_or(default.log_retention),
            wait: s.read("wait", wait)?.flatten(),
            wait_attempts: s.read("wait_attempts", times)?,
            release_attempts: s.read("release_attempts", times)?.unwrap_or(default.release_attempts),
            user_scripts: s.words("user_scripts")?,
            script_timeout: s.read("script_timeout", some_time)?,
            script_grace: s.duration("script_grace", default.script_grace)?,
            repeat: s.read("repeat", repeat)?.unwrap_or(default.repeat),
            needs_update: s.read("needs_update", asking)?.unwrap_or(default.needs_update),
            reboot: s.read("reboot", command::words)?,
        })
    }
}

fn level(text: &str) -> std::result::Result<Level, String> {
    match text {
        "debug" => Ok(Level::Debug),
        "info" => Ok(Level::Info),
        "warning" => Ok(Level::Warning),
        "error" => Ok(Level::Error),
        "critical" => Ok(Level::Critical),
        other => Err(format!("{other:?} is none of debug, info, warning, error, critical")),
    }
}

/// `yes` is no time: it leaves that to `[lock] wait_max`.
fn wait(text: &str) -> std::result::Result<Option<Wait>, String> {
    match text {
        "yes" => Ok(None),
        "no" => Ok(Some(Wait::No)),
        time => match values::duration(time) {
            Ok(Duration::ZERO) => Err("it leaves no time at all; write no for one try".into()),
            Ok(time) => Ok(Some(Wait::UpTo(time))),
            Err(_) => Err(format!("{time:?} is neither yes nor no nor a duration like 90s, 15m, 2h or 40d")),
        },
    }
}

/// A century is longer than any log is kept, and no date is beyond the calendar then.
fn days(text: &str) -> std::result::Result<u32, String> {
    text.parse()
        .ok()
        .filter(|days| *days <= 36_500)
        .ok_or_else(|| format!("{text:?} is no number of days; write it like 30"))
}

fn times(text: &str) -> std::result::Result<u32, String> {
    text.parse()
        .ok()
        .filter(|times| *times > 0)
        .ok_or_else(|| format!("{text:?} is no number of tries; write it like 10"))
}

fn some_time(text: &str) -> std::result::Result<Duration, String> {
    match values::duration(text)? {
        Duration::ZERO => Err("it leaves no time at all; leave it out for no limit".into()),
        time => Ok(time),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn read(text: &str) -> Result<Run> {
        Config::parse(&format!("[run]\n{text}"), "f.ini").map(|config| config.run)
    }

    #[test]
    fn an_empty_section_is_all_defaults() {
        let run = read("").unwrap();
        assert_eq!((run.dir.to_str(), run.log_retention, run.release_attempts), (Some("/etc/patch/run"), 30, 10));
        assert!(run.wait.is_none() && run.wait_attempts.is_none(), "W35: nobody gives up by default");
        assert_eq!((run.repeat, run.needs_update), (Repeat::Unfinished, Asking::FirstYes));
    }

    #[test]
    fn every_key_is_read() {
        let run = read(
            "dir = /d\nstate = /s\nlog = /l\nlog_level = debug\nlog_retention = 7\nwait = 2h\nwait_attempts = 5\n\
             release_attempts = 3\nuser_scripts = app, db\nscript_timeout = 1h\nscript_grace = 30s\nrepeat = all\n\
             needs_update = all\nreboot = systemctl reboot\n",
        )
        .unwrap();
        assert_eq!(
            (run.log_level, run.wait, run.wait_attempts),
            (Level::Debug, Some(Wait::UpTo(7200 * SECOND)), Some(5))
        );
        assert_eq!((run.release_attempts, run.script_timeout, run.script_grace), (3, Some(3600 * SECOND), 30 * SECOND));
        assert_eq!((run.repeat, run.needs_update, run.log_retention), (Repeat::All, Asking::All, 7));
        assert_eq!(
            (run.user_scripts, run.reboot),
            (vec!["app".into(), "db".into()], Some(vec!["systemctl".into(), "reboot".into()]))
        );
    }

    /// W43: misspelt keys are ignored, bad values end in tracebacks.
    #[test]
    fn w43_every_key_with_a_wrong_value_is_named_with_its_line() {
        for (text, word) in [
            ("dir = run\n", "absolute"),
            ("state = state\n", "absolute"),
            ("log = run.log\n", "absolute"),
            ("log_level = loud\n", "none of"),
            ("log_retention = -1\n", "days"),
            ("log_retention = 99999999\n", "days"),
            ("wait = maybe\n", "neither"),
            ("wait = 0\n", "no time"),
            ("wait_attempts = 0\n", "tries"),
            ("release_attempts = x\n", "tries"),
            ("script_timeout = 0\n", "no time"),
            ("script_grace = soon\n", "duration"),
            ("repeat = yes\n", "unfinished"),
            ("needs_update = yes\n", "first"),
            ("reboot = shutdown 'now\n", "quote"),
        ] {
            let words = read(text).unwrap_err().to_string();
            let key = text.split(' ').next().unwrap();
            assert!(words.starts_with(&format!("f.ini:2: {key}: ")) && words.contains(word), "{words}");
        }
        assert_eq!(
            read("rebot = x\n").unwrap_err().to_string(),
            "f.ini:2: unknown key rebot in [run]; did you mean reboot?"
        );
        assert!(Config::parse("[runn]\n", "f").unwrap_err().to_string().contains("did you mean [run]?"));
    }
}
