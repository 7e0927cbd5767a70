//! The arguments that every tool has: where, by which configuration, and at which moment.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;
use crate::sys::clock::{self, Clock, Moment};

/// Where and when a tool works; the arguments may stand before or behind a subcommand. With `--now` alone it only says what it would do then.
#[derive(Debug, Clone, Args)]
pub struct Place {
    /// Configuration file, instead of /etc/patch/config.ini
    #[arg(long, global = true, value_name = "FILE", visible_alias = "cfg")]
    config: Option<PathBuf>,
    /// Work on the system below DIR; nothing is rebooted and nothing goes to syslog
    #[arg(long, global = true, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Decide as if it were this moment; alone it changes nothing, with --root it may
    #[arg(long, global = true, value_name = "RFC3339", value_parser = clock::parse)]
    now: Option<Moment>,
}

impl Place {
    /// The configuration file that was named.
    pub fn named(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    /// The paths to work on.
    ///
    /// # Errors
    /// If `--root` names no directory, or the machine's own root: below a root nothing is rebooted, and here it would be.
    pub fn paths(&self) -> Result<Paths> {
        let Some(root) = &self.root else { return Ok(Paths::system()) };
        let paths = Paths::below_root(root)?;
        if paths.is_system() {
            return Err(Error::Usage("--root / is this machine itself; leave the option out to work on it".into()));
        }
        exit::without_syslog();
        Ok(paths)
    }

    /// The clock to go by.
    pub fn clock(&self) -> Clock {
        self.now.map_or(Clock::System, Clock::Fixed)
    }

    /// Whether only words are wanted: a moment was named, and the root is this machine's.
    pub fn is_only_a_question(&self, paths: &Paths) -> bool {
        self.now.is_some() && paths.is_system()
    }

    /// The configuration that mail needs: of a file that is wrong elsewhere, what is right for it.
    ///
    /// # Errors
    /// As [`Config::load_for_mail`].
    pub fn mail_config(&self, paths: &Paths) -> Result<Config> {
        self.config(paths).or_else(|_| Config::load_for_mail(self.config.as_deref(), paths))
    }

    /// The configuration.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn config(&self, paths: &Paths) -> Result<Config> {
        Config::load(self.config.as_deref(), paths)
    }
}
