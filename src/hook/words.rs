//! What a script of the update driver is given: arguments and environment, as DLM Engine Updater has them. Pure.

use crate::sys::process::SAFE_PATH;
use crate::sys::user::User;

/// A truth as Python writes it, for scripts that compare it.
fn truth(is: bool) -> &'static str {
    if is { "True" } else { "False" }
}

/// Whether this host holds the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lock {
    /// It does.
    Held,
    /// It does not, or nobody can say.
    Free,
}

/// Whether the driver goes on after it has told of this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    /// There is more to do.
    Running,
    /// This was the last word.
    Done,
}

/// What the scripts of `ext_notify.d` and `on_failure.d` are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notice<'a> {
    /// The name of the lock.
    pub lock: &'a str,
    /// Whether it is held.
    pub held: Lock,
    /// Whether the driver goes on.
    pub driver: Driver,
    /// The phase, or `main`.
    pub phase: &'a str,
    /// The script that it is about, by its full path.
    pub script: Option<&'a str>,
    /// How that script ended.
    pub code: i32,
}

impl Notice<'_> {
    /// The six arguments: lock, held, running, phase, path or `none`, code.
    pub fn args(&self) -> [String; 6] {
        [
            self.lock.to_string(),
            truth(self.held == Lock::Held).to_string(),
            truth(self.driver == Driver::Running).to_string(),
            self.phase.to_string(),
            self.script.unwrap_or("none").to_string(),
            self.code.to_string(),
        ]
    }
}

/// The whole environment of a script that this user runs; `state` is the line in the state file.
pub fn environment(user: &User, lock: &str, state: &str) -> Vec<(&'static str, String)> {
    vec![
        ("PATH", SAFE_PATH.to_string()),
        ("USER", user.name.clone()),
        ("LOGNAME", user.name.clone()),
        ("HOME", user.home.to_string_lossy().into_owned()),
        ("DLM_ENGINE_UPDATER_LOCK_NAME", lock.to_string()),
        ("DLM_ENGINE_UPDATER_PHASE", state.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_has_six_words_as_python_writes_them() {
        let mut notice = Notice {
            lock: "e8",
            held: Lock::Held,
            driver: Driver::Running,
            phase: "update",
            script: Some("/etc/dlm_engine_updater/update.d/10-update"),
            code: 42,
        };
        assert_eq!(notice.args(), ["e8", "True", "True", "update", "/etc/dlm_engine_updater/update.d/10-update", "42"]);
        notice = Notice { held: Lock::Free, driver: Driver::Done, phase: "main", script: None, code: 0, ..notice };
        assert_eq!(notice.args(), ["e8", "False", "False", "main", "none", "0"]);
    }

    #[test]
    fn the_environment_has_six_names_and_no_more() {
        let user = User { name: "app".into(), uid: 1, gid: 1, groups: vec![], home: "/srv/app".into() };
        let env = environment(&user, "web", "post_update");
        let names: Vec<_> = env.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            ["PATH", "USER", "LOGNAME", "HOME", "DLM_ENGINE_UPDATER_LOCK_NAME", "DLM_ENGINE_UPDATER_PHASE"]
        );
        assert_eq!((env[1].1.as_str(), env[3].1.as_str(), env[5].1.as_str()), ("app", "/srv/app", "post_update"));
    }
}
