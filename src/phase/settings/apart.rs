//! The files that a run writes are each a file of its own: a local lock that is the state file too would empty it.

use std::path::{Path, PathBuf};

use super::Settings;
use crate::error::{Error, Result};

/// What stands in the configuration or is made beside it, with the words for it.
fn places(settings: &Settings) -> Vec<(&'static str, PathBuf)> {
    let beside = |path: &Path, ending: &str| {
        let mut name = path.as_os_str().to_os_string();
        name.push(ending);
        PathBuf::from(name)
    };
    vec![
        ("the configuration", settings.file.clone()),
        ("the state", settings.state.clone()),
        ("the record of the run beside the state", beside(&settings.state, ".run")),
        ("the local lock", settings.local_lock.clone()),
        ("the mark beside the local lock", beside(&settings.local_lock, ".worker")),
        ("the log", settings.log.path.clone()),
    ]
}

/// Whether each of them is another file.
///
/// # Errors
/// [`Error::Usage`] with the two that are one.
pub fn check(settings: &Settings) -> Result<()> {
    let places = places(settings);
    for (number, (what, path)) in places.iter().enumerate() {
        if let Some((other, _)) = places.iter().take(number).find(|(_, known)| known.components().eq(path.components()))
        {
            let (file, path) = (settings.file.display(), path.display());
            return Err(Error::Usage(format!("{file}: {path} is {other} and {what}; give each a file of its own")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::dlm_ini;
    use super::*;
    use crate::config::ini::Ini;

    const REST: &str = "log_level = INFO\nlog_retention = 1\nendpoint = https://dlm.example.com/api/v2/\nsecret_id = i\nsecret = s\n\
        lock_name = web\nneeds_update.d = /u/1\npre_update.d = /u/2\nupdate.d = /u/3\nneeds_reboot.d = /u/4\npost_update.d = /u/5\n\
        ext_notify.d = /u/6\nreboot_cmd = reboot\n";

    fn words(state: &str, lock: &str, log: &str) -> std::result::Result<(), String> {
        let text = format!("[main]\nstate = {state}\nlock = {lock}\nlog = {log}\n{REST}");
        let settings = dlm_ini::read(&Ini::parse(&text, "/f.ini").unwrap()).unwrap();
        check(&settings).map_err(|why| why.to_string())
    }

    #[test]
    fn two_files_that_are_one_are_refused_by_their_names() {
        words("/s/state", "/s/lock", "/s/log").unwrap();
        let why = words("/s/state", "/s//./state", "/s/log").unwrap_err();
        assert!(why.contains("/s//./state is the state and the local lock; give each a file of its own"), "{why}");
        assert!(words("/s/x", "/s/lock", "/s/x").unwrap_err().contains("is the state and the log"));
        assert!(words("/s/x", "/s/x.run", "/s/log").unwrap_err().contains("is the record of the run beside the state"));
        assert!(words("/f.ini", "/s/l", "/s/log").unwrap_err().contains("is the configuration and the state"));
        assert!(words("/s/x", "/s/l", "/s/l.worker").unwrap_err().contains("is the mark beside the local lock"));
    }
}
