//! `config.ini` of Foreman DLM Updater. Pure.

use std::time::Duration;

use super::old_ini::{Main, path};
use super::{Asking, Dialect, Reboot, Repeat, Settings, Tries, Unreleased, Wait, endpoint};
use crate::config::ini::Ini;
use crate::config::locking::{Backoff, Identity, Service, Web};
use crate::config::origin;
use crate::error::Result;
use crate::lock::name::LockName;

const SECOND: Duration = Duration::from_secs(1);
/// It slept 60 seconds: the mean of full jitter of twice that. The first pauses are shorter.
const ASK: Backoff = Backoff { base: Duration::from_secs(5), max: Duration::from_mins(2) };
/// It tried once, and left the lock held if the network was away for a moment (W37).
const RELEASE: Tries =
    Tries { attempts: 10, backoff: Backoff { base: Duration::from_secs(2), max: Duration::from_secs(15) } };

/// Understands it.
///
/// # Errors
/// [`crate::error::Error::Usage`] with file, line and key.
pub fn read(ini: &Ini) -> Result<Settings> {
    let mut main = Main::new(ini);
    let name = main.required("lock_name", LockName::new)?;
    let url = main.required("foreman_url", origin::service)?;
    if url.starts_with("http:") {
        main.warn(
            "foreman_url",
            "over http:// no certificate is shown, so Foreman will not know this host; write https://",
        )?;
    }
    let web = Web {
        urls: vec![url],
        secret: None,
        ca_file: main.optional("ca", path)?,
        identity: Some(Identity { certificate: main.path("client_crt")?, key: main.path("client_key")? }),
    };
    Ok(Settings {
        dialect: Dialect::Foreman,
        file: ini.file().into(),
        lock_name: name.to_string(),
        lock: Some(endpoint::lock(Service::Foreman(web), &name, Wait::Forever, ASK)),
        wait: Wait::Forever,
        attempts: None,
        release: RELEASE,
        unreleased: Unreleased::Kept,
        log: main.log("loglevel", "logretention")?,
        local_lock: main.path("lock")?,
        state: main.path("state")?,
        dirs: main.dirs()?,
        reboot: Reboot::Command(main.reboot_cmd()?),
        users: Vec::new(),
        timeout: None,
        grace: 10 * SECOND,
        repeat: Repeat::Unfinished,
        needs_update: Asking::All,
        warnings: main.finish(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase::name::Phase;

    const WHOLE: &str = "[main]\nlog = /var/log/f.log\nlogretention = 7\nloglevel = DEBUG\nlock = /etc/f/file.lock\n\
        state = /etc/f/state\nlock_name = web\nforeman_url = https://foreman.example.com\nclient_crt = /c.pem\n\
        client_key = /k.pem\nneeds_update.d = /etc/f/needs_update.d/\npre_update.d = /etc/f/pre_update.d/\n\
        post_update.d = /etc/f/post_update.d/\nneeds_reboot.d = /etc/f/needs_reboot.d/\nupdate.d = /etc/f/update.d/\n\
        reboot_cmd = /usr/sbin/reboot\n";

    fn read(text: &str) -> Result<Settings> {
        super::read(&Ini::parse(text, "f.ini").unwrap())
    }

    #[test]
    fn the_configuration_of_its_own_page_is_understood() {
        let s = read(WHOLE).unwrap();
        assert_eq!(
            (s.dialect, s.wait, s.attempts, s.needs_update),
            (Dialect::Foreman, Wait::Forever, None, Asking::All)
        );
        assert_eq!(
            (s.log.retention, s.local_lock.to_str(), s.lock_name.as_str()),
            (7, Some("/etc/f/file.lock"), "web")
        );
        assert_eq!(s.reboot, Reboot::Command(vec!["/usr/sbin/reboot".into()]));
        assert!(s.dirs.get(Phase::Update).unwrap().named && s.dirs.get(Phase::Reboot).is_none());
        assert!(s.dirs.notify.is_none() && s.dirs.on_failure.is_none() && s.warnings.is_empty());
        let lock = s.lock.unwrap();
        assert!(lock.owner.is_none(), "its certificate says who it is");
        let Service::Foreman(web) = lock.service else { panic!() };
        assert_eq!((web.urls, web.ca_file.is_none()), (vec!["https://foreman.example.com".to_string()], true));
    }

    #[test]
    fn every_key_but_ca_is_required() {
        for line in WHOLE.lines().skip(1) {
            let key = line.split(' ').next().unwrap();
            let words = read(&WHOLE.replace(&format!("{line}\n"), "")).unwrap_err().to_string();
            assert_eq!(words, format!("f.ini:1: section [main] lacks {key} ="));
        }
    }

    #[test]
    fn what_it_never_read_is_named() {
        let s = read(&format!("{WHOLE}wait = true\nlog_level = INFO\n")).unwrap();
        assert_eq!(s.warnings.len(), 2);
        assert!(
            s.warnings[1].contains("f.ini:18: unknown key log_level in [main]; did you mean loglevel?"),
            "{:?}",
            s.warnings
        );
        let s = read(&WHOLE.replace("https:", "http:")).unwrap();
        assert!(s.warnings[0].starts_with("f.ini:8: foreman_url: "), "{:?}", s.warnings);
    }
}
