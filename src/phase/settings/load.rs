//! Which configuration file it is, and reading it.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::dialect::{self, Text};
use super::{Dialect, Settings, apart, dlm_ini, dotenv, foreman, ours};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::links;
use crate::sys::trusted::{self, Rule};

/// A configuration file may not be larger than this.
const LIMIT: u64 = 1 << 20;

/// By which of its names the tool was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CalledAs {
    /// Its own.
    PatchRun,
    /// That of DLM Engine Updater.
    DlmEngineUpdater,
    /// That of Foreman DLM Updater.
    ForemanDlmUpdater,
}

impl CalledAs {
    /// Reads the first argument of a process, with or without a directory before it.
    pub fn of(argv0: &OsStr) -> Self {
        match Path::new(argv0).file_name().and_then(OsStr::to_str).unwrap_or_default() {
            "dlm_engine_updater" => Self::DlmEngineUpdater,
            "foreman_dlm_updater" => Self::ForemanDlmUpdater,
            _ => Self::PatchRun,
        }
    }

    /// Its default files; the first that is there is read.
    fn files(self, paths: &Paths) -> Vec<PathBuf> {
        match self {
            Self::PatchRun => vec![paths.config()],
            Self::DlmEngineUpdater => vec![paths.dlm_env(), paths.dlm_config()],
            Self::ForemanDlmUpdater => vec![paths.foreman_config()],
        }
    }
}

/// Reads the configuration that is named, or the default one of the name by which the tool was called, in whichever dialect it is
/// written. `env` is the environment of the process, which overrides what 1.0's dotenv file says.
///
/// # Errors
/// [`Error::Usage`] with file, line and key for whatever is wrong with it.
pub fn load(called_as: CalledAs, named: Option<&Path>, paths: &Paths, env: &[(String, String)]) -> Result<Settings> {
    let Some(path) = choose(called_as, named, paths)? else { return without_a_file(called_as, paths, env) };
    let (text, access) = text(&path)?;
    let mut settings = understand(&text, &path, called_as, paths, env)?;
    follow_links(&mut settings, paths)?;
    apart::check(&settings)?;
    if access == Access::Others && holds_a_secret(settings.dialect) {
        let words = format!("others may read the secret in it; chmod 600 {}", path.display());
        settings.warnings.insert(0, format!("{}: {words}", path.display()));
    }
    if let (Dialect::DlmIni, None) = (settings.dialect, &settings.dirs.on_failure) {
        note_failure_dir(&mut settings, &path);
    }
    Ok(settings)
}

/// What a run writes lies where the links of root's above it lead: `/var/run` is one on most hosts.
fn follow_links(settings: &mut Settings, paths: &Paths) -> Result<()> {
    let follow = |path: &Path, rule| links::above(paths.root(), path, rule);
    settings.state = follow(&settings.state, Rule::Root)?;
    settings.local_lock = follow(&settings.local_lock, Rule::Root)?;
    settings.log.path = follow(&settings.log.path, Rule::Log)?;
    Ok(())
}

/// Understands a text in its dialect.
fn understand(
    text: &str,
    path: &Path,
    called_as: CalledAs,
    paths: &Paths,
    env: &[(String, String)],
) -> Result<Settings> {
    let file = path.display().to_string();
    match dialect::recognise(text, &file, called_as)? {
        Text::Dotenv => dotenv::read(text, &file, env),
        Text::Ini(ini, Dialect::DlmIni) => dlm_ini::read(&ini),
        Text::Ini(ini, Dialect::Foreman) => foreman::read(&ini),
        Text::Ini(..) => ours::read(text, &file, paths.inside(&paths.run_lock())),
    }
}

/// The file to read; nothing if none of the default ones is there.
fn choose(called_as: CalledAs, named: Option<&Path>, paths: &Paths) -> Result<Option<PathBuf>> {
    if let Some(named) = named {
        // Judged from the root on: a name relative to the working directory is made whole first.
        return std::path::absolute(named).map(Some).map_err(Error::io("find", named));
    }
    let is_missing =
        |path: &PathBuf| path.symlink_metadata().is_err_and(|why| why.kind() == std::io::ErrorKind::NotFound);
    Ok(called_as.files(paths).into_iter().find(|path| !is_missing(path)))
}

/// 1.0 can be told everything by its environment, and ours has a default for everything.
fn without_a_file(called_as: CalledAs, paths: &Paths, env: &[(String, String)]) -> Result<Settings> {
    let is_told = env.iter().any(|(name, _)| name.to_lowercase().starts_with("main_api_"));
    let files = called_as.files(paths);
    match (called_as, files.first()) {
        (CalledAs::PatchRun, Some(file)) => understand("", file, called_as, paths, env),
        (CalledAs::DlmEngineUpdater, Some(file)) if is_told => understand("", file, called_as, paths, env),
        _ => {
            let names: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            let names = names.join(" nor ");
            Err(Error::Usage(format!("cannot find a configuration: there is no {names}; name one with --cfg")))
        }
    }
}

/// Who may read a file besides its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    OwnerAlone,
    Others,
}

fn text(path: &Path) -> Result<(String, Access)> {
    let usage = |error: Error| Error::Usage(error.to_string());
    let file = trusted::file(path).map_err(usage)?;
    let mode = file.metadata().map_err(Error::io("look at", path))?.permissions().mode();
    let bytes = trusted::read_all(file, path, LIMIT).map_err(usage)?;
    let text = String::from_utf8(bytes)
        .map_err(|_| Error::Usage(format!("cannot read {}: it is not UTF-8", path.display())))?;
    Ok((text, if mode & 0o077 != 0 { Access::Others } else { Access::OwnerAlone }))
}

/// In ours, and for a client certificate, secrets are in files of their own.
fn holds_a_secret(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::DlmIni | Dialect::Dotenv)
}

/// The updater looked for `on_failure.d` in its working directory; a site that made one means it to run.
fn note_failure_dir(settings: &mut Settings, path: &Path) {
    let beside = path.with_file_name("on_failure.d");
    if beside.is_dir() {
        let words = format!("on_failure.d is not set, so {} is not run; set it to that", beside.display());
        settings.warnings.push(format!("{}: {words}", path.display()));
    }
}

#[cfg(test)]
mod tests;
