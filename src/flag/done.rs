//! `/etc/patchdone`: installed, and not yet confirmed. It holds what confirmation needs, for the journal has its dated name by then.

use super::dated;
use crate::error::{Error, Result};
use crate::paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

const LIMIT: u64 = 64 << 10;

/// What confirmation needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// The run.
    pub run: String,
    /// The cluster that was installed.
    pub cluster: String,
    /// The boot in which it was installed; another one must have come since.
    pub boot: String,
    /// The level to be back at.
    pub level: String,
    /// The dated name of the journal, to which later records go.
    pub log: String,
    /// Who reboots.
    pub reboot: Reboot,
    /// Every grant that the run holds, as the journal spells them.
    pub grants: Vec<String>,
}

/// Who reboots the host after the installation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// `patchit`.
    Ours,
    /// The driver that called `patchit --no-reboot`.
    Driver,
}

impl Done {
    /// Raises the flag, with its text in it from the first moment.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn raise(&self, etc: &Dir) -> Result<()> {
        replace::replace(etc, paths::DONE, self.text().as_bytes(), 0o644)
    }

    /// Reads the flag; `None` if it is not up.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is not what we raise; it is left as it is.
    pub fn read(etc: &Dir) -> Result<Option<Self>> {
        let Some(bytes) = etc.read(paths::DONE, LIMIT)? else { return Ok(None) };
        let text = String::from_utf8_lossy(&bytes);
        Self::parse(&text).map(Some).map_err(|why| {
            let path = etc.join(paths::DONE);
            Error::refused(path.display(), format!("{why}; remove it if the host is as it should be"))
        })
    }

    fn text(&self) -> String {
        let reboot = match self.reboot {
            Reboot::Ours => "ours",
            Reboot::Driver => "driver",
        };
        let mut text = format!(
            "run={}\ncluster={}\nboot={}\nlevel={}\nlog={}\nreboot={reboot}\n",
            self.run, self.cluster, self.boot, self.level, self.log
        );
        for grant in &self.grants {
            text.push_str("grant=");
            text.push_str(grant);
            text.push('\n');
        }
        text
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let get = |key: &str| {
            let found = pairs.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_string());
            found.ok_or_else(|| format!("it has no {key}="))
        };
        let log = get("log")?;
        if !dated::is_dated(&log) {
            return Err(format!("log={log} is not the name of a dated journal"));
        }
        let reboot = match get("reboot")?.as_str() {
            "ours" => Reboot::Ours,
            "driver" => Reboot::Driver,
            other => return Err(format!("reboot={other} is not known")),
        };
        let grants = pairs.iter().filter(|(k, _)| *k == "grant").map(|(_, v)| (*v).to_string()).collect();
        Ok(Self {
            run: get("run")?,
            cluster: get("cluster")?,
            boot: get("boot")?,
            level: get("level")?,
            log,
            reboot,
            grants,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_raised_is_read_back() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        let done = Done {
            run: "R1".into(),
            cluster: "C1".into(),
            boot: "b/1".into(),
            level: "3".into(),
            log: "patchlog.261121".into(),
            reboot: Reboot::Ours,
            grants: vec!["lockd web 7".into()],
        };
        assert_eq!(Done::read(&etc).unwrap(), None);
        done.raise(&etc).unwrap();
        assert_eq!(Done::read(&etc).unwrap(), Some(done));
    }

    #[test]
    fn a_flag_that_would_send_records_elsewhere_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        let etc = Dir::open(scratch.path()).unwrap();
        let text = "run=R\ncluster=C\nboot=b\nlevel=3\nlog=passwd\nreboot=ours\n";
        std::fs::write(etc.join("patchdone"), text).unwrap();
        assert!(matches!(Done::read(&etc), Err(Error::Refused { .. })));
    }
}
