//! What `patch-run --check-config` says of a configuration: what was understood, and what will hurt.
//!
//! What is on the disk is looked at once, into [`Facts`]; the findings are a pure function of these and the settings. How many
//! scripts a directory holds, and which of them would be refused, is for the room that runs them to say.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::missing::{Missing, missing_dirs};
pub use super::shown::{Understood, understood};
use super::{Dialect, Dirs, Reboot, Settings, Wait};
use crate::config::values;
use crate::paths::Paths;
use crate::phase::name::Phase;

/// Where the command of a reboot is looked for: the path that scripts get.
const PATH: [&str; 6] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// What was found on the disk.
#[derive(Debug, Default)]
pub struct Facts {
    /// What is wrong with the directories.
    pub missing: Missing,
    /// How many scripts each phase's directory holds; one that cannot be read is not counted.
    pub scripts: Vec<(Phase, usize)>,
    /// Directories beside ours that are never looked into, and the names that were probably meant.
    pub strangers: Vec<(PathBuf, String)>,
    /// Whether the command of a reboot is there and can be run; nothing if there is none.
    pub reboots: Option<bool>,
    /// Whether the log has a directory to lie in.
    pub has_log_dir: bool,
    /// Whether something else than a file stands where the log is to be.
    pub log_is_no_file: bool,
}

impl Facts {
    /// Looks. `count` says how many scripts a directory (below the root) holds.
    pub fn gather(settings: &Settings, paths: &Paths, count: impl Fn(&Path) -> Option<usize>) -> Self {
        let dirs = &settings.dirs;
        let command = match &settings.reboot {
            Reboot::Command(words) | Reboot::ScriptsOr(words) => words.first(),
            Reboot::Scripts => None,
        };
        let log_dir = settings.log.path.parent().map(|dir| paths.at(dir));
        Self {
            missing: missing_dirs(settings, paths),
            scripts: dirs
                .phases
                .iter()
                .filter_map(|(phase, dir)| Some((*phase, count(&paths.at(&dir.path))?)))
                .collect(),
            strangers: strangers(dirs, paths),
            reboots: command.map(|program| is_program(program, paths)),
            has_log_dir: log_dir.is_some_and(|dir| dir.is_dir()),
            log_is_no_file: paths.at(&settings.log.path).symlink_metadata().is_ok_and(|found| !found.is_file()),
        }
    }
}

/// What will hurt, one sentence each: what the file says (its warnings), then what it leads to.
pub fn findings(settings: &Settings, facts: &Facts) -> Vec<String> {
    let mut found = settings.warnings.clone();
    found.extend(facts.missing.errors.iter().chain(&facts.missing.warnings).cloned());
    let file = settings.file.display();
    let mut say = |words: String| found.push(format!("{file}: {words}"));
    for (path, meant) in &facts.strangers {
        say(format!("nothing in {} is run; did you mean {meant}?", path.display()));
    }
    for words in empty_phases(settings, facts) {
        say(words);
    }
    if facts.reboots == Some(false) {
        let (Reboot::Command(words) | Reboot::ScriptsOr(words)) = &settings.reboot else { return found };
        let program = words.first().map(String::as_str).unwrap_or_default();
        say(format!("cannot find the command {program} that reboots; name it with its directory"));
    }
    if !facts.has_log_dir {
        say(format!(
            "the directory of the log {} is not there, and a run would make it; is its name right?",
            settings.log.path.display()
        ));
    }
    if facts.log_is_no_file {
        let path = settings.log.path.display();
        say(format!("the log {path} is no regular file, and no run begins before it is one or gone"));
    }
    if settings.dialect != Dialect::Ours && settings.lock_name.contains(['#', '?', '%']) {
        say(format!(
            "the updater put lock {} into its address as it is, and so asks for another one: no host of the group may still run it",
            settings.lock_name
        ));
    }
    if settings.lock.is_none() && settings.dialect == Dialect::Ours && settings.warnings.is_empty() {
        say("no lock is configured: two hosts of a group may go down at once".into());
    }
    if settings.lock.is_some() {
        match settings.wait {
            Wait::No => say("a run gives up at once if the lock is busy; let it wait".into()),
            Wait::UpTo(time) if settings.dialect != Dialect::Ours => {
                say(format!(
                    "a run gives up after {} s if the lock stays busy; in a large group that is short",
                    time.as_secs()
                ));
            }
            Wait::UpTo(_) | Wait::Forever => {}
        }
    }
    found
}

/// What a phase without scripts means. One whose directory is missing is said already.
fn empty_phases<'a>(settings: &'a Settings, facts: &'a Facts) -> impl Iterator<Item = String> + 'a {
    let empty = facts
        .scripts
        .iter()
        .filter(|(_, count)| *count == 0)
        .filter_map(|(phase, _)| Some((*phase, settings.dirs.get(*phase)?)));
    empty.filter_map(|(phase, dir)| {
        let dir = dir.path.display();
        match phase {
            Phase::NeedsUpdate => Some(format!("{dir} holds no script: nothing is ever updated")),
            Phase::Update => Some(format!("{dir} holds no script: a run updates nothing")),
            Phase::NeedsReboot => Some(format!("{dir} holds no script: every run reboots")),
            Phase::Reboot if settings.reboot == Reboot::Scripts => {
                Some(format!("{dir} holds no script: nothing reboots the host when it is needed"))
            }
            _ => None,
        }
    })
}

/// Directories beside ours whose names are nearly one of theirs.
fn strangers(dirs: &Dirs, paths: &Paths) -> Vec<(PathBuf, String)> {
    let known: Vec<PathBuf> = dirs.all().map(|(_, dir)| dir.path.components().collect()).collect();
    let names: Vec<&str> = known.iter().filter_map(|path| path.file_name()?.to_str()).collect();
    let mut bases: Vec<&Path> = known.iter().filter_map(|path| path.parent()).collect();
    bases.sort_unstable();
    bases.dedup();
    let mut found = Vec::new();
    for entry in bases.iter().filter_map(|base| std::fs::read_dir(paths.at(base)).ok()).flatten().flatten() {
        let path = paths.inside(&entry.path());
        let name = entry.file_name().to_string_lossy().into_owned();
        let meant = if known.contains(&path) || !entry.path().is_dir() { None } else { values::nearest(&name, &names) };
        found.extend(meant.map(|meant| (path, meant.to_string())));
    }
    found.sort_unstable();
    found
}

fn is_program(name: &str, paths: &Paths) -> bool {
    let can_run = |path: &Path| {
        paths.at(path).metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        Path::new(name).is_absolute() && can_run(Path::new(name))
    } else {
        PATH.iter().any(|dir| can_run(&Path::new(dir).join(name)))
    }
}

#[cfg(test)]
mod tests;
