//! `[modules]`: the manifest of modules and where they are, `patch-modules(8)`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::section::Section;
use crate::error::Result;

const HOUR: Duration = Duration::from_hours(1);
/// More at once than this is a slip of the pen.
const MOST_JOBS: usize = 64;

/// `[modules]`.
#[derive(Debug, Clone)]
pub struct Modules {
    /// Holds the directories of the modules.
    pub dir: PathBuf,
    /// The manifest; else `manifest.json` in `dir`.
    pub manifest: Option<PathBuf>,
    /// The manifest counts only with a signature of this key, in minisign's format.
    pub public_key: Option<PathBuf>,
    /// Where the history is, and what else outlives a run.
    pub state: PathBuf,
    /// Where the modules' output is kept, a file each.
    pub log: PathBuf,
    /// How many modules work at once.
    pub jobs: NonZeroUsize,
    /// A module without a `timeout` of its own gets TERM after this time.
    pub timeout: Duration,
}

impl Default for Modules {
    fn default() -> Self {
        Self {
            dir: "/usr/local/lib/patch/modules".into(),
            manifest: None,
            public_key: None,
            state: "/var/lib/patch/modules".into(),
            log: "/var/log/patch/modules".into(),
            jobs: NonZeroUsize::MIN,
            timeout: HOUR,
        }
    }
}

impl Modules {
    pub(super) fn read(s: &mut Section) -> Result<Self> {
        let default = Self::default();
        Ok(Self {
            dir: s.path("dir")?.unwrap_or(default.dir),
            manifest: s.path("manifest")?,
            public_key: s.path("public_key")?,
            state: s.path("state")?.unwrap_or(default.state),
            log: s.path("log")?.unwrap_or(default.log),
            jobs: s.read("jobs", jobs)?.unwrap_or(default.jobs),
            timeout: s.time("timeout", default.timeout)?,
        })
    }
}

/// How many at once; the argument `--jobs` as well.
///
/// # Errors
/// What is wrong, with an example.
pub fn jobs(text: &str) -> std::result::Result<NonZeroUsize, String> {
    let number = text.parse().ok().filter(|number: &NonZeroUsize| number.get() <= MOST_JOBS);
    number.ok_or_else(|| format!("{text:?} is no number of modules at once; write one from 1 to {MOST_JOBS}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn every_key_is_read_and_a_wrong_value_is_named_with_its_line() {
        let text =
            "[modules]\ndir = /m\nmanifest = /m.json\npublic_key = /k\nstate = /s\nlog = /l\njobs = 4\ntimeout = 10m\n";
        let modules = Config::parse(text, "f.ini").unwrap().modules;
        assert_eq!((modules.jobs.get(), modules.timeout, modules.dir.to_str()), (4, HOUR / 6, Some("/m")));
        for (text, word) in [
            ("jobs = 0", "at once"),
            ("jobs = 1000", "at once"),
            ("timeout = 0", "no time"),
            ("dir = m", "absolute"),
            ("job = 1", "jobs?"),
        ] {
            let words = Config::parse(&format!("[modules]\n{text}\n"), "f.ini").unwrap_err().to_string();
            assert!(words.starts_with("f.ini:2: ") && words.contains(word), "{words}");
        }
    }
}
