//! Directories that are named and are not there. To the updaters they held no scripts, so that a slip of the pen meant "nothing to do"
//! for ever (W26).

use std::path::Path;

use super::{Dialect, ScriptDir, Settings};
use crate::paths::Paths;

/// What is wrong with the directories.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// What a run must not begin with.
    pub errors: Vec<String>,
    /// What may be meant.
    pub warnings: Vec<String>,
}

/// Looks for each script directory. One that must be there and is not is an error; a default one of 1.0 that is not there is a
/// warning; what is no directory is an error in any case.
pub fn missing_dirs(settings: &Settings, paths: &Paths) -> Missing {
    let mut found = Missing::default();
    let file = settings.file.display();
    if let Some(base) = &settings.dirs.base
        && let Some(words) = no_base(settings, base, paths)
    {
        let list = if base.named { &mut found.errors } else { &mut found.warnings };
        list.push(words);
        return found;
    }
    for (_, dir) in settings.dirs.all() {
        let path = dir.path.display();
        match look(dir, paths) {
            Place::Wrong(why) => {
                found.errors.push(format!("{file}: cannot use {path} as a directory of scripts: {why}"));
            }
            Place::Missing if dir.named => {
                found.errors.push(format!("{file}: cannot find directory {path}; make it, empty if it has no scripts"));
            }
            // 1.0 had no such directories.
            Place::Missing if [&settings.dirs.before, &settings.dirs.behind].contains(&&Some(dir.clone())) => {}
            Place::Missing if settings.dialect == Dialect::Dotenv => {
                found.warnings.push(format!("{file}: there is no directory {path}: it counts as without scripts"));
            }
            Place::Directory | Place::Missing => {}
        }
    }
    found
}

/// What is wrong with a base directory of 1.0 that the file names and that is not there. Its local lock lies in it: a start that took
/// that would make the directory, and from then on nothing would be wrong with it but that it is empty.
pub fn missing_base(settings: &Settings, paths: &Paths) -> Option<String> {
    let base = settings.dirs.base.as_ref().filter(|base| base.named && settings.dialect == Dialect::Dotenv)?;
    no_base(settings, base, paths)
}

fn no_base(settings: &Settings, base: &ScriptDir, paths: &Paths) -> Option<String> {
    let (file, path) = (settings.file.display(), base.path.display());
    matches!(look(base, paths), Place::Missing)
        .then(|| format!("{file}: cannot find directory {path}, which holds the scripts; make it"))
}

/// What is under a name.
enum Place {
    Directory,
    Missing,
    Wrong(String),
}

fn look(dir: &ScriptDir, paths: &Paths) -> Place {
    let path: &Path = &paths.at(&dir.path);
    match path.metadata() {
        Ok(found) if found.is_dir() => Place::Directory,
        Ok(_) => Place::Wrong("it is none".into()),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Place::Missing,
        Err(why) => Place::Wrong(why.to_string()),
    }
}
