//! The full name of a host: what it is called among all others.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::process::Job;

/// A resolver that does not answer is not waited for any longer.
const PATIENCE: Duration = Duration::from_secs(15);

/// The configured name if it has a dot in it, else what `hostname -f` says: the system's own tool, which asks whatever the system
/// asks (a static program of ours would not see LDAP). Below another root only that root's files say it.
///
/// # Errors
/// [`Error::Usage`] if it cannot be told, or is one that every host has.
pub fn get(paths: &Paths, configured: Option<&str>) -> Result<String> {
    if let Some(name) = configured.filter(|name| name.contains('.')) {
        return judge(name);
    }
    if !paths.is_system() {
        return judge(&super::name(paths, configured)?);
    }
    let asked = Job::new(["hostname", "-f"]).deadline(PATIENCE, Duration::from_secs(1)).run();
    match asked {
        Ok(done) if done.is_success() => judge(done.text().trim()),
        Ok(done) => Err(unknown(&done.reason())),
        Err(why) => Err(unknown(&why.to_string())),
    }
}

fn judge(name: &str) -> Result<String> {
    let first = name.split('.').next().unwrap_or_default();
    if name.is_empty() || first.eq_ignore_ascii_case("localhost") || name.contains(char::is_whitespace) {
        return Err(unknown(&format!("it would be {name:?}")));
    }
    Ok(name.to_ascii_lowercase())
}

fn unknown(why: &str) -> Error {
    Error::Usage(format!("cannot tell the full name of this host: {why}; set owner = in section [lock]"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// W1: hosts that resolve to `localhost` all "hold" the lock.
    #[test]
    fn w1_a_name_that_every_host_has_is_refused_with_the_way_out() {
        for bad in ["localhost", "localhost.localdomain", "LOCALHOST.", ""] {
            let error = judge(bad).unwrap_err();
            assert!(matches!(&error, Error::Usage(words) if words.contains("owner =")), "{error}");
        }
        assert_eq!(judge("Web01.example.org").unwrap(), "web01.example.org");
    }

    #[test]
    fn a_configured_full_name_wins() {
        assert_eq!(get(&Paths::system(), Some("web01.example.org")).unwrap(), "web01.example.org");
    }
}
