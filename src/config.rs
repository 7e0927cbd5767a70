//! The configuration, `patch-config(5)`: read once, whole, and strictly.
//!
//! Every tool reads every section, so that a slip of the pen in what `patchit` needs shows in the evening, when `grab-patch`
//! runs. An unknown section or key is an error that names the nearest one; a missing default file means all defaults, a
//! file that was named must be there.

pub mod command;
pub mod ini;
pub mod locking;
pub mod modules;
pub(crate) mod origin;
pub mod post;
pub mod run;
pub(crate) mod section;
mod sections;
pub mod values;

use std::path::Path;

pub use locking::Lock;
pub use modules::Modules;
pub use post::Relay;
pub use run::Run;
pub use sections::{ClusterSource, Grab, HostIdentity, Install, Mail, MailTls, Patchit, Preflight, Pull};

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::trusted;
use ini::Ini;
use section::Section;

/// A configuration file may not be larger than this.
const LIMIT: u64 = 1 << 20;

/// Everything that can be configured, with its defaults.
#[derive(Debug, Default)]
pub struct Config {
    /// `[host]`
    pub host: HostIdentity,
    /// `[grab]`
    pub grab: Grab,
    /// `[patchit]`
    pub patchit: Patchit,
    /// `[preflight]`
    pub preflight: Preflight,
    /// `[lock]`; without it there is no lock.
    pub lock: Option<Lock>,
    /// `[mail]`
    pub mail: Mail,
    /// `[run]`
    pub run: Run,
    /// `[modules]`
    pub modules: Modules,
    /// `[pull]`
    pub pull: Pull,
    /// `[cluster NAME]`, in the order of the file.
    pub clusters: Vec<ClusterSource>,
}

impl Config {
    /// Reads the named file, or the default one below the root.
    ///
    /// # Errors
    /// [`Error::Usage`] with file and line for whatever is wrong with it.
    pub fn load(named: Option<&Path>, paths: &Paths) -> Result<Self> {
        let default = paths.config();
        if named.is_none() && default.symlink_metadata().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Self::default());
        }
        let (text, file) = text(named.unwrap_or(&default))?;
        Self::parse(&text, &file)
    }

    /// What mail needs of a file that is wrong elsewhere: sections [host] and [mail]. It is by mail that people learn what is wrong.
    ///
    /// # Errors
    /// As [`Config::load`], if it is wrong there.
    pub fn load_for_mail(named: Option<&Path>, paths: &Paths) -> Result<Self> {
        let default = paths.config();
        let (text, file) = text(named.unwrap_or(&default))?;
        let ini = Ini::parse(&text, &file)?;
        let mut config = Self::default();
        for name in ini.section_names() {
            let mut section = Section::new(&ini, name);
            match name {
                "host" => config.host = HostIdentity::read(&mut section)?,
                "mail" => config.mail = Mail::read(&mut section)?,
                _ => continue,
            }
            section.finish()?;
        }
        Ok(config)
    }

    /// Understands the text of a configuration; `file` is for the messages.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let ini = Ini::parse(text, file)?;
        let mut config = Self::default();
        for name in ini.section_names() {
            let mut section = Section::new(&ini, name);
            match name.split_once(' ').map_or((name, ""), |(kind, rest)| (kind, rest.trim())) {
                ("host", "") => config.host = HostIdentity::read(&mut section)?,
                ("grab", "") => config.grab = Grab::read(&mut section)?,
                ("patchit", "") => config.patchit = Patchit::read(&mut section)?,
                ("preflight", "") => config.preflight = Preflight::read(&mut section)?,
                ("lock", "") => config.lock = Some(Lock::read(&mut section)?),
                ("mail", "") => config.mail = Mail::read(&mut section)?,
                ("run", "") => config.run = Run::read(&mut section)?,
                ("modules", "") => config.modules = Modules::read(&mut section)?,
                ("pull", "") => config.pull = Pull::read(&mut section)?,
                ("cluster", cluster) if !cluster.is_empty() => {
                    config.clusters.push(ClusterSource::read(cluster, &mut section)?);
                }
                _ => return Err(unknown_section(&ini, name)),
            }
            section.finish()?;
        }
        Ok(config)
    }
}

/// The text of a file, and its name for messages.
fn text(path: &Path) -> Result<(String, String)> {
    // Judged from the root on: a name relative to the working directory is made whole first.
    let path = &std::path::absolute(path).map_err(Error::io("find", path))?;
    let file = path.display().to_string();
    let bytes = trusted::read(path, LIMIT).map_err(|error| Error::Usage(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| Error::Usage(format!("cannot read {file}: it is not UTF-8")))?;
    Ok((text, file))
}

fn unknown_section(ini: &Ini, name: &str) -> Error {
    let known = ["host", "grab", "patchit", "preflight", "lock", "mail", "run", "modules", "pull", "cluster NAME"];
    let hint = values::nearest(name, &known).map(|near| format!("; did you mean [{near}]?")).unwrap_or_default();
    Error::Usage(format!("{}:{}: unknown section [{name}]{hint}", ini.file(), ini.section_line(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_configuration_is_all_defaults() {
        let config = Config::parse("", "f").unwrap();
        assert_eq!(config.grab.base, Path::new("/var/lib/patch"));
        assert_eq!(config.patchit.soak.as_secs(), 120);
    }

    #[test]
    fn a_misspelt_key_is_named_with_its_line_and_the_nearest_one() {
        let words = Config::parse("[patchit]\n\nsoack = 2m\n", "f.ini").unwrap_err().to_string();
        assert_eq!(words, "f.ini:3: unknown key soack in [patchit]; did you mean soak?");
    }

    #[test]
    fn a_misspelt_section_is_named_with_the_nearest_one() {
        let words = Config::parse("[patchti]\n", "f.ini").unwrap_err().to_string();
        assert_eq!(words, "f.ini:1: unknown section [patchti]; did you mean [patchit]?");
    }

    #[test]
    fn mail_gets_through_a_file_that_is_wrong_elsewhere() {
        use std::os::unix::fs::PermissionsExt;
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("config.ini");
        std::fs::write(&path, "[patchit]\nbogus = 1\n[mail]\nto = ops@example.org\n[what]\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        assert!(Config::load(Some(&path), &Paths::system()).is_err());
        assert_eq!(Config::load_for_mail(Some(&path), &Paths::system()).unwrap().mail.to, ["ops@example.org"]);
        std::fs::write(&path, "[mail]\ntoo = ops@example.org\n").unwrap();
        assert!(Config::load_for_mail(Some(&path), &Paths::system()).is_err());
    }

    #[test]
    fn a_default_key_is_no_stranger_in_any_section() {
        assert!(Config::parse("[DEFAULT]\nsite = oslo\n[mail]\nto = root@%(site)s\n", "f").is_ok());
    }

    #[test]
    fn a_symbolic_link_is_no_configuration() {
        let scratch = tempfile::tempdir().unwrap();
        let (real, link) = (scratch.path().join("real.ini"), scratch.path().join("link.ini"));
        std::fs::write(&real, "[host]\nname = web01\n").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        assert!(Config::load(Some(&real), &Paths::system()).is_ok());
        let error = Config::load(Some(&link), &Paths::system()).unwrap_err();
        assert!(matches!(error, Error::Usage(_)) && error.to_string().contains("symbolic link"), "{error}");
    }

    #[test]
    fn a_file_that_was_named_must_be_there() {
        let paths = Paths::system();
        let error = Config::load(Some(Path::new("/nonexistent.ini")), &paths).unwrap_err();
        assert!(matches!(error, Error::Usage(_)), "{error}");
    }
}
