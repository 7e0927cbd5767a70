//! What was understood, key by key, under the names that the dialect has for them. Secrets are counted, never shown. Pure.

use std::time::Duration;

use super::old_ini::dir_key;
use super::{Asking, Dialect, Level, Reboot, Repeat, ScriptDir, Settings, Unreleased, Wait};
use crate::config::locking::{DlmVersion, Kept, Service, Web};
use crate::lock::name::quoted;
use crate::phase::name::Phase;

/// A setting as it was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Understood {
    /// Its key, as the dialect calls it.
    pub key: &'static str,
    /// Its value, or what stands for a secret or for nothing.
    pub value: String,
}

const UNSET: &str = "unset";

/// Every setting, in the order of the manual.
pub fn understood(settings: &Settings) -> Vec<Understood> {
    let rows = match settings.dialect {
        Dialect::Ours => ours(settings),
        Dialect::DlmIni => dlm_ini(settings),
        Dialect::Dotenv => dotenv(settings),
        Dialect::Foreman => foreman(settings),
    };
    rows.into_iter().map(|(key, value)| Understood { key, value }).collect()
}

type Rows = Vec<(&'static str, String)>;

fn ours(s: &Settings) -> Rows {
    let base = s.dirs.base.as_ref();
    vec![
        ("[run] dir", dir(base)),
        ("[run] state", s.state.display().to_string()),
        ("[run] log", s.log.path.display().to_string()),
        ("[run] log_level", level(s.log.level).to_lowercase()),
        ("[run] log_retention", s.log.retention.to_string()),
        ("[run] wait", wait(s.wait)),
        ("[run] wait_attempts", s.attempts.map_or_else(|| "no limit".into(), |attempts| attempts.to_string())),
        ("[run] release_attempts", s.release.attempts.to_string()),
        ("[run] user_scripts", list(&s.users)),
        ("[run] script_timeout", s.timeout.map_or_else(|| UNSET.into(), time)),
        ("[run] script_grace", time(s.grace)),
        ("[run] repeat", if s.repeat == Repeat::All { "all" } else { "unfinished" }.into()),
        ("[run] needs_update", if s.needs_update == Asking::All { "all" } else { "first" }.into()),
        ("[run] reboot", reboot(&s.reboot)),
        ("[lock] backend", s.lock.as_ref().map_or_else(|| "no lock is taken".into(), |lock| lock.kind().to_string())),
        ("[lock] names", if s.lock_name.is_empty() { UNSET.into() } else { s.lock_name.clone() }),
        ("[lock] url", web(s).map_or_else(|| UNSET.into(), |web| web.urls.join(" "))),
        ("[lock] secret_file", secret(web(s))),
        (
            "[lock] owner",
            s.lock
                .as_ref()
                .and_then(|lock| lock.owner.as_ref())
                .map_or_else(|| "this host's full name".into(), ToString::to_string),
        ),
    ]
}

fn dlm_ini(s: &Settings) -> Rows {
    let mut rows = head(s, "log_level", "log_retention");
    rows.extend([
        ("endpoint", endpoint(s)),
        (
            "secret_id",
            web(s).and_then(|web| web.secret.as_ref()).map_or_else(|| UNSET.into(), |secret| secret.id.clone()),
        ),
        ("secret", secret(web(s))),
        ("ca", authority(s)),
        ("wait", (s.wait != Wait::No).to_string()),
        ("wait_max", longest(s.wait)),
    ]);
    rows.extend(phases(s));
    rows.extend([
        ("ext_notify.d", dir(s.dirs.notify.as_ref())),
        ("on_failure.d", dir(s.dirs.on_failure.as_ref())),
        ("reboot_cmd", reboot(&s.reboot)),
        ("user_script_users", list(&s.users)),
    ]);
    rows
}

fn foreman(s: &Settings) -> Rows {
    let mut rows = head(s, "loglevel", "logretention");
    let identity = web(s).and_then(|web| web.identity.as_ref());
    rows.extend([
        ("foreman_url", web(s).map_or_else(|| UNSET.into(), |web| web.urls.join(" "))),
        ("client_crt", identity.map_or_else(|| UNSET.into(), |identity| identity.certificate.display().to_string())),
        ("client_key", identity.map_or_else(|| UNSET.into(), |identity| identity.key.display().to_string())),
        ("ca", authority(s)),
    ]);
    rows.extend(phases(s));
    rows.push(("reboot_cmd", reboot(&s.reboot)));
    rows
}

fn dotenv(s: &Settings) -> Rows {
    let pauses = s.lock.as_ref().map(|lock| lock.backoff);
    let pause = |of: Option<Duration>| of.map_or_else(|| UNSET.into(), |pause| pause.as_secs_f64().to_string());
    vec![
        ("main_api_lockname", s.lock_name.clone()),
        ("main_api_endpoint", endpoint(s)),
        (
            "main_api_secretid",
            web(s).and_then(|web| web.secret.as_ref()).map_or_else(|| UNSET.into(), |secret| secret.id.clone()),
        ),
        ("main_api_secret", secret(web(s))),
        ("main_api_ca", authority(s)),
        ("main_api_noop", s.lock.is_none().to_string()),
        ("main_log_level", level(s.log.level).into()),
        ("main_log_retention", s.log.retention.to_string()),
        ("main_log_file", s.log.path.display().to_string()),
        ("main_basedir", dir(s.dirs.base.as_ref())),
        ("main_wait", (s.wait != Wait::No).to_string()),
        ("main_waitmax", longest(s.wait)),
        ("main_acquireattempts", s.attempts.unwrap_or(0).to_string()),
        ("main_acquirebackoffbase", pause(pauses.map(|pauses| pauses.base))),
        ("main_acquirebackoffmax", pause(pauses.map(|pauses| pauses.max))),
        ("main_releaseattempts", s.release.attempts.to_string()),
        ("main_releasebackoffbase", pause(Some(s.release.backoff.base))),
        ("main_releasebackoffmax", pause(Some(s.release.backoff.max))),
        ("main_resetstateonreleasefailure", (s.unreleased == Unreleased::Forgotten).to_string()),
        ("main_userscriptusers", list(&s.users)),
    ]
}

fn head(s: &Settings, level_key: &'static str, retention_key: &'static str) -> Rows {
    vec![
        ("log", s.log.path.display().to_string()),
        (level_key, level(s.log.level).into()),
        (retention_key, s.log.retention.to_string()),
        ("lock", s.local_lock.display().to_string()),
        ("state", s.state.display().to_string()),
        ("lock_name", s.lock_name.clone()),
    ]
}

fn phases(s: &Settings) -> impl Iterator<Item = (&'static str, String)> {
    let row = |(phase, script_dir): &(Phase, ScriptDir)| Some((dir_key(*phase)?, dir(Some(script_dir))));
    s.dirs.phases.iter().filter_map(row)
}

fn web(s: &Settings) -> Option<&Web> {
    match &s.lock.as_ref()?.service {
        Service::Lockd(web)
        | Service::Etcd(web)
        | Service::Dlm(web, _)
        | Service::Foreman(web)
        | Service::FleetLock(web) => Some(web),
        Service::Dir { .. } => None,
    }
}

fn endpoint(s: &Settings) -> String {
    match s.lock.as_ref().map(|lock| &lock.service) {
        Some(Service::Dlm(web, DlmVersion::V1)) => format!("{}/api/v1/", web.urls.join(" ")),
        Some(Service::Dlm(web, DlmVersion::V2)) => format!("{}/api/v2/", web.urls.join(" ")),
        _ => "not used".into(),
    }
}

fn secret(web: Option<&Web>) -> String {
    match web.and_then(|web| web.secret.as_ref()).map(|secret| &secret.kept) {
        Some(Kept::Here(hidden)) => format!("set, {} characters", hidden.length()),
        Some(Kept::InFile(path)) => path.display().to_string(),
        None => UNSET.into(),
    }
}

fn authority(s: &Settings) -> String {
    let file = web(s).and_then(|web| web.ca_file.as_ref());
    file.map_or_else(|| "the system's".into(), |path| path.display().to_string())
}

fn dir(of: Option<&ScriptDir>) -> String {
    of.map_or_else(|| UNSET.into(), |dir| dir.path.display().to_string())
}

fn list(words: &[String]) -> String {
    if words.is_empty() { UNSET.into() } else { words.join(", ") }
}

fn wait(of: Wait) -> String {
    match of {
        Wait::No => "no".into(),
        Wait::UpTo(longest) => time(longest),
        Wait::Forever => "yes".into(),
    }
}

fn longest(of: Wait) -> String {
    match of {
        Wait::No => "not used".into(),
        Wait::UpTo(longest) => longest.as_secs().to_string(),
        Wait::Forever => "no limit".into(),
    }
}

fn time(of: Duration) -> String {
    format!("{}s", of.as_secs())
}

fn level(of: Level) -> &'static str {
    match of {
        Level::Debug => "DEBUG",
        Level::Info => "INFO",
        Level::Warning => "WARNING",
        Level::Error => "ERROR",
        Level::Critical => "CRITICAL",
    }
}

fn reboot(of: &Reboot) -> String {
    let command = |words: &[String]| words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    match of {
        Reboot::Scripts => "the scripts of reboot.d".into(),
        Reboot::ScriptsOr(words) => format!("the scripts of reboot.d, or {}", command(words)),
        Reboot::Command(words) => command(words),
    }
}

/// A slash is plain here, and so is the hyphen of an option.
fn quote(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:@%+/=".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_string() } else { quoted(word) }
}
