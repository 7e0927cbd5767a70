//! The dotenv file of DLM Engine Updater 1.0, and its environment. Pure.

mod keys;
mod text;

use std::path::PathBuf;
use std::time::Duration;

use super::old_ini::path;
use super::python::{self, YesNo};
use super::{
    Asking, Dialect, Dirs, Level, LogFile, Reboot, Repeat, ScriptDir, Settings, Tries, Unreleased, Wait, endpoint,
};
use crate::config::Lock;
use crate::config::locking::{Backoff, Kept, Secret, Service, Web, header};
use crate::error::Result;
use crate::lock::name::LockName;
use crate::phase::name::PHASES;
use crate::sys::secret::Hidden;
use keys::{Keys, NOOP, SECRET, USERS};

const SECOND: Duration = Duration::from_secs(1);

/// Understands a text with the environment that overrides it.
///
/// # Errors
/// [`crate::error::Error::Usage`] with file, line and key.
pub fn read(text: &str, file: &str, env: &[(String, String)]) -> Result<Settings> {
    let mut keys = Keys::join(text, file, env)?;
    let name = keys.required("main_api_lockname", LockName::new)?;
    let (wait, attempts) = waiting(&keys)?;
    let lock = lock(&mut keys, &name, wait)?;
    let base = keys.read("main_basedir", path)?.unwrap_or_else(|| "/etc/dlm_engine_updater".into());
    let log = LogFile {
        path: keys
            .read("main_log_file", path)?
            .unwrap_or_else(|| "/var/log/dlm_engine_updater/dlm_engine_updater.log".into()),
        level: keys.read("main_log_level", python::level)?.unwrap_or(Level::Debug),
        retention: keys.read("main_log_retention", |text| python::retention(whole_number(text)))?.unwrap_or(7),
    };
    let forgets = keys.read("main_resetstateonreleasefailure", |text| YesNo::Pydantic.read(text))?.unwrap_or(false);
    Ok(Settings {
        dialect: Dialect::Dotenv,
        file: file.into(),
        lock_name: name.to_string(),
        lock,
        wait,
        attempts,
        release: Tries {
            attempts: keys.read("main_releaseattempts", |text| python::count(whole_number(text), 1))?.unwrap_or(10),
            backoff: backoff(&keys, "main_releasebackoffbase", "main_releasebackoffmax", 1, 30)?,
        },
        unreleased: if forgets { Unreleased::Forgotten } else { Unreleased::Kept },
        log,
        local_lock: base.join("lock"),
        state: base.join("state"),
        dirs: dirs(base, keys.has("main_basedir")),
        reboot: Reboot::Scripts,
        users: keys.read(USERS, users)?.unwrap_or_default(),
        timeout: None,
        grace: 10 * SECOND,
        repeat: Repeat::Unfinished,
        needs_update: Asking::FirstYes,
        warnings: keys.warnings,
    })
}

/// The service; all of its keys are required even where `noop` leaves it alone.
fn lock(keys: &mut Keys, name: &LockName, wait: Wait) -> Result<Option<Lock>> {
    let (url, version) = keys.required("main_api_endpoint", endpoint::dlm_v2)?;
    if let Some(words) = endpoint::danger(&url, "the secret") {
        keys.warn_of("main_api_endpoint", &words);
    }
    let web = Web {
        urls: vec![url],
        secret: Some(Secret {
            id: keys.required("main_api_secretid", header)?,
            kept: Kept::Here(Hidden::new(keys.required(SECRET, str::parse::<String>)?)),
        }),
        ca_file: keys.read("main_api_ca", optional_path)?.flatten(),
        identity: None,
    };
    let pauses = backoff(keys, "main_acquirebackoffbase", "main_acquirebackoffmax", 10, 120)?;
    if keys.read(NOOP, |text| YesNo::Pydantic.read(text))?.unwrap_or(false) {
        keys.warn_of(NOOP, "no lock is taken: two hosts of a group may go down at once");
        return Ok(None);
    }
    Ok(Some(endpoint::lock(Service::Dlm(web, version), name, wait, pauses)))
}

fn waiting(keys: &Keys) -> Result<(Wait, Option<u32>)> {
    let waits = keys.read("main_wait", |text| YesNo::Pydantic.read(text))?.unwrap_or(false);
    let longest = keys.read("main_waitmax", |text| python::seconds(whole_number(text)))?.unwrap_or(3600 * SECOND);
    let attempts = keys
        .read("main_acquireattempts", |text| python::count(whole_number(text), 0))?
        .filter(|attempts| *attempts > 0);
    Ok(if waits { (Wait::UpTo(longest), attempts) } else { (Wait::No, None) })
}

fn backoff(keys: &Keys, base: &'static str, max: &'static str, first: u32, longest: u32) -> Result<Backoff> {
    Ok(Backoff {
        base: keys.read(base, python::fraction)?.unwrap_or(first * SECOND),
        max: keys.read(max, python::fraction)?.unwrap_or(longest * SECOND),
    })
}

fn dirs(base: PathBuf, named: bool) -> Dirs {
    let dir = |name: &str| ScriptDir { path: base.join(format!("{name}.d")), named: false };
    Dirs {
        phases: PHASES
            .into_iter()
            .filter(|phase| phase.has_scripts())
            .map(|phase| (phase, dir(phase.as_str())))
            .collect(),
        notify: Some(dir("ext_notify")),
        on_failure: Some(dir("on_failure")),
        before: Some(dir("phase_pre_hook")),
        behind: Some(dir("phase_post_hook")),
        base: Some(ScriptDir { path: base, named }),
    }
}

/// pydantic takes `5.0` for a whole number.
fn whole_number(text: &str) -> &str {
    match text.trim_end().split_once('.') {
        Some((number, zeros)) if !zeros.is_empty() && zeros.bytes().all(|b| b == b'0') => number,
        _ => text,
    }
}

/// An empty one is none.
fn optional_path(text: &str) -> std::result::Result<Option<PathBuf>, String> {
    if text.is_empty() { Ok(None) } else { path(text).map(Some) }
}

fn users(text: &str) -> std::result::Result<Vec<String>, String> {
    let list: Option<Vec<String>> =
        serde_json::from_str(text).map_err(|_| r#"it is no JSON list; write it like ["app","db"]"#.to_string())?;
    Ok(list.unwrap_or_default())
}

#[cfg(test)]
mod tests;
