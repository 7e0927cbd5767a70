//! `config.ini` of DLM Engine Updater 0.4 and 0.5. Pure.

use std::time::Duration;

use super::old_ini::{Main, path};
use super::python::{self, YesNo};
use super::{Asking, Dialect, Reboot, Repeat, ScriptDir, Settings, Tries, Unreleased, Wait, endpoint};
use crate::config::ini::Ini;
use crate::config::locking::{Backoff, Kept, Secret, Service, Web, header};
use crate::config::values;
use crate::error::Result;
use crate::lock::name::LockName;
use crate::sys::secret::Hidden;

const SECOND: Duration = Duration::from_secs(1);
/// It slept 10 to 60 seconds, by chance. Full jitter of one minute means nearly as long; the first pauses are shorter.
const ASK: Backoff = Backoff { base: Duration::from_secs(5), max: Duration::from_mins(1) };
/// It tried ten times, 5 seconds apart: about as long.
const RELEASE: Tries =
    Tries { attempts: 10, backoff: Backoff { base: Duration::from_secs(2), max: Duration::from_secs(15) } };

/// Understands it.
///
/// # Errors
/// [`crate::error::Error::Usage`] with file, line and key.
pub fn read(ini: &Ini) -> Result<Settings> {
    let mut main = Main::new(ini);
    let name = main.required("lock_name", LockName::new)?;
    let (url, version) = main.required("endpoint", endpoint::dlm)?;
    if let Some(words) = endpoint::danger(&url, "the secret") {
        main.warn("endpoint", &words)?;
    }
    let web = Web {
        urls: vec![url],
        secret: Some(Secret {
            id: main.required("secret_id", header)?,
            kept: Kept::Here(Hidden::new(main.required("secret", str::parse::<String>)?)),
        }),
        ca_file: main.optional("ca", path)?,
        identity: None,
    };
    let waits = main.optional("wait", |text| YesNo::Configparser.read(text))?.unwrap_or(false);
    let wait_max = main.optional("wait_max", python::seconds)?.unwrap_or(3600 * SECOND);
    let wait = if waits { Wait::UpTo(wait_max) } else { Wait::No };
    let mut dirs = main.dirs()?;
    dirs.notify = Some(main.dir("ext_notify.d")?);
    dirs.on_failure = main.optional("on_failure.d", path)?.map(|path| ScriptDir { path, named: true });
    let users = |text: &str| Ok::<_, String>(values::words(text));
    Ok(Settings {
        dialect: Dialect::DlmIni,
        file: ini.file().into(),
        lock_name: name.to_string(),
        lock: Some(endpoint::lock(Service::Dlm(web, version), &name, wait, ASK)),
        wait,
        attempts: None,
        release: RELEASE,
        unreleased: Unreleased::Kept,
        log: main.log("log_level", "log_retention")?,
        local_lock: main.path("lock")?,
        state: main.path("state")?,
        dirs,
        reboot: Reboot::Command(main.reboot_cmd()?),
        users: main.optional("user_script_users", users)?.unwrap_or_default(),
        timeout: None,
        grace: 10 * SECOND,
        repeat: Repeat::Unfinished,
        needs_update: Asking::All,
        warnings: main.finish(),
    })
}

#[cfg(test)]
mod tests;
