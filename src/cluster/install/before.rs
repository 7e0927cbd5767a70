//! How a host looked before its installation, kept on disk: a run that is cut short must still be able to say what changed.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::changes::{self, Change, Packages, RPM_FORMAT, rpm_packages};
use super::dpkg;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::process::Job;
use crate::sys::replace;

const NAME: &str = ".before";
const LIMIT: u64 = 64 << 20;
/// What dpkg(1) and ucf(1) call the version of a configuration file that they did not put in place.
const LAID_BESIDE: [&str; 3] = [".dpkg-dist", ".dpkg-new", ".ucf-dist"];

/// Packages, and new configuration files that were laid beside old ones.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Before {
    packages: Packages,
    /// Modification time and inode: a file that is written again counts again.
    beside: BTreeMap<String, (i64, u64)>,
}

impl Before {
    /// Looks.
    ///
    /// # Errors
    /// As [`dpkg::packages`].
    pub fn take(paths: &Paths) -> Result<Self> {
        Ok(Self { packages: inventory(paths)?, beside: beside(paths) })
    }

    /// Keeps it in the cluster's directory.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn save(&self, dir: &Dir) -> Result<()> {
        let bytes = serde_json::to_vec(self).map_err(|why| Error::failed("write", dir.join(NAME).display(), why))?;
        replace::replace(dir, NAME, &bytes, 0o600)
    }

    /// What was kept there; `None` if no installation has begun.
    ///
    /// # Errors
    /// [`Error::Failed`] if it is damaged.
    pub fn load(dir: &Dir) -> Result<Option<Self>> {
        let Some(bytes) = dir.read(NAME, LIMIT)? else { return Ok(None) };
        serde_json::from_slice(&bytes).map(Some).map_err(|why| Error::failed("read", dir.join(NAME).display(), why))
    }

    /// Which packages have another version since.
    ///
    /// # Errors
    /// As [`dpkg::packages`].
    pub fn changes(&self, paths: &Paths) -> Result<Vec<Change>> {
        Ok(changes::compare(&self.packages, &inventory(paths)?))
    }

    /// Configuration files that were kept as they are since, by their names inside the root.
    pub fn kept(&self, paths: &Paths) -> Vec<String> {
        let now = beside(paths);
        let new = now.into_iter().filter(|(name, stamp)| self.beside.get(name) != Some(stamp));
        let mut kept: Vec<String> = new.filter_map(|(name, _)| Some(kept_name(&name)?.to_string())).collect();
        kept.dedup();
        kept
    }

    /// The packages.
    pub fn packages(&self) -> &Packages {
        &self.packages
    }
}

fn kept_name(name: &str) -> Option<&str> {
    LAID_BESIDE.iter().find_map(|end| name.strip_suffix(end))
}

/// Only below /etc: configuration files elsewhere are against the policy of every distribution.
fn beside(paths: &Paths) -> BTreeMap<String, (i64, u64)> {
    let entries = walkdir::WalkDir::new(paths.etc()).into_iter().filter_map(std::result::Result::ok);
    entries
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| kept_name(name).is_some()))
        .filter_map(|entry| {
            let stat = entry.metadata().ok()?;
            Some((paths.inside(entry.path()).display().to_string(), (stat.mtime(), stat.ino())))
        })
        .collect()
}

/// By the package manager that this host has; a host with none has no packages.
fn inventory(paths: &Paths) -> Result<Packages> {
    if dpkg::is_here(paths) {
        return dpkg::packages(paths);
    }
    if ["/usr/bin/rpm", "/bin/rpm"].iter().any(|rpm| paths.at(Path::new(rpm)).exists()) {
        let job = Job::new(["rpm", "-qa", "--queryformat", RPM_FORMAT]);
        return Ok(rpm_packages(&dpkg::ask(paths, job, "list", "the installed packages")?));
    }
    Ok(Packages::new())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_configuration_file_beside_an_old_one_is_noticed_once() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(root.path()).unwrap();
        std::fs::create_dir_all(paths.at("/etc/app")).unwrap();
        std::fs::write(paths.at("/etc/app/old.conf.dpkg-dist"), "").unwrap();
        let dir = Dir::open(root.path()).unwrap();
        Before::take(&paths).unwrap().save(&dir).unwrap();
        std::fs::write(paths.at("/etc/app/a.conf.ucf-dist"), "").unwrap();
        std::fs::write(paths.at("/etc/app/b.conf.dpkg-dist"), "").unwrap();
        let before = Before::load(&dir).unwrap().unwrap();
        assert_eq!(before.kept(&paths), ["/etc/app/a.conf", "/etc/app/b.conf"]);
        assert_eq!(before.changes(&paths).unwrap(), []);
    }
}
