//! Section `[run]` of our own configuration. Pure.

use std::time::Duration;

use super::{Dialect, Dirs, LogFile, Reboot, ScriptDir, Settings, Tries, Unreleased, Wait};
use crate::config::Config;
use crate::config::locking::Backoff;
use crate::error::Result;
use crate::phase::name::{PHASES, Phase};

/// Between two tries to give the lock back, where `[lock]` says nothing.
const RELEASE: Backoff = Backoff { base: Duration::from_secs(1), max: Duration::from_secs(30) };

/// Understands a whole configuration; `local_lock` is the lock file against a second run.
///
/// # Errors
/// [`crate::error::Error::Usage`] with file, line and key.
pub fn read(text: &str, file: &str, local_lock: std::path::PathBuf) -> Result<Settings> {
    let Config { run, lock, .. } = Config::parse(text, file)?;
    let mut warnings = Vec::new();
    if lock.as_ref().is_some_and(|lock| lock.names.is_none()) {
        warnings.push(format!("{file}: section [lock] has no names =, so a run takes no lock"));
    }
    let lock = lock.filter(|lock| lock.names.is_some());
    let names = lock.as_ref().and_then(|lock| lock.names.as_ref());
    let lock_name = names.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let longest = lock.as_ref().and_then(|lock| lock.wait_max);
    let must = |phase| matches!(phase, Phase::NeedsUpdate | Phase::Update);
    let dir = |name: &str, named| ScriptDir { path: run.dir.join(format!("{name}.d")), named };
    let shutdown = || ["shutdown", "-r", "now"].map(str::to_string).to_vec();
    Ok(Settings {
        dialect: Dialect::Ours,
        file: file.into(),
        lock_name: lock_name.unwrap_or_default(),
        lock,
        wait: run.wait.unwrap_or(longest.map_or(Wait::Forever, Wait::UpTo)),
        attempts: run.wait_attempts,
        release: Tries { attempts: run.release_attempts, backoff: RELEASE },
        unreleased: Unreleased::Kept,
        log: LogFile { path: run.log, level: run.log_level, retention: run.log_retention },
        local_lock,
        state: run.state,
        dirs: Dirs {
            base: Some(ScriptDir { path: run.dir.clone(), named: true }),
            phases: PHASES
                .into_iter()
                .filter(|phase| phase.has_scripts())
                .map(|phase| (phase, dir(phase.as_str(), must(phase))))
                .collect(),
            notify: Some(dir("ext_notify", false)),
            on_failure: Some(dir("on_failure", false)),
            before: Some(dir("phase_pre_hook", false)),
            behind: Some(dir("phase_post_hook", false)),
        },
        reboot: run.reboot.map_or_else(|| Reboot::ScriptsOr(shutdown()), Reboot::Command),
        users: run.user_scripts,
        timeout: run.script_timeout,
        grace: run.script_grace,
        repeat: run.repeat,
        needs_update: run.needs_update,
        warnings,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::settings::check::understood;

    const LOCK: &str =
        "[lock]\nbackend = lockd\nurl = https://x:1\nsecret_id = a\nsecret_file = /etc/patch/lock.secret\n";

    fn read(text: &str) -> Settings {
        super::read(text, "f.ini", "/run/patch/run".into()).unwrap()
    }

    /// W35: the defaults give up.
    #[test]
    fn w35_a_run_waits_without_end_unless_it_is_told_otherwise() {
        let with = |lock: &str, run: &str| read(&format!("{LOCK}names = web db\n{lock}[run]\n{run}")).wait;
        let second = Duration::from_secs(1);
        assert_eq!(with("", ""), Wait::Forever);
        assert_eq!(with("wait_max = 1h\n", "wait = yes\n"), Wait::UpTo(3600 * second));
        assert_eq!(with("wait_max = 1h\n", "wait = 2h\n"), Wait::UpTo(7200 * second));
        assert_eq!(with("", "wait = no\n"), Wait::No);
    }

    #[test]
    fn the_locks_of_a_run_are_those_of_section_lock() {
        let s = read(&format!("{LOCK}names = web db\n"));
        assert_eq!((s.lock_name.as_str(), s.lock.is_some(), s.warnings.len()), ("db web", true, 0));
        let s = read(LOCK);
        assert!(s.lock.is_none() && s.warnings[0].contains("[lock] has no names"));
        assert!(read("").lock.is_none());
    }

    #[test]
    fn everything_lies_below_one_directory() {
        let s = read("[run]\ndir = /srv/run\n");
        assert_eq!(s.dirs.get(Phase::PostUpdate).unwrap().path.to_str(), Some("/srv/run/post_update.d"));
        assert!(s.dirs.get(Phase::Update).unwrap().named && !s.dirs.get(Phase::Reboot).unwrap().named);
        assert_eq!(s.dirs.on_failure.as_ref().unwrap().path.to_str(), Some("/srv/run/on_failure.d"));
        assert_eq!(s.local_lock.to_str(), Some("/run/patch/run"));
        assert!(matches!(s.reboot, Reboot::ScriptsOr(ref words) if words.join(" ") == "shutdown -r now"));
        assert!(
            understood(&s).iter().any(|row| row.key == "[run] reboot" && row.value.ends_with("or shutdown -r now"))
        );
    }

    #[test]
    fn a_slip_in_any_section_is_an_error() {
        assert!(super::read("[run]\nrebot = x\n", "f", "/l".into()).is_err());
        assert!(super::read("[grab]\nserver = x\n", "f", "/l".into()).is_err());
    }
}
