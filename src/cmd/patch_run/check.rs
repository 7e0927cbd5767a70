//! `patch-run --check-config`: what the configuration means, and what in it will hurt.

use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::hook::{Whose, list};
use crate::lock::client;
use crate::paths::Paths;
use crate::phase::settings::check::{Facts, Understood, findings, understood};
use crate::phase::settings::{Dialect, Settings};
use crate::sys::clock::Clock;
use crate::sys::trusted::{self, Rule};

#[derive(Debug, Serialize)]
struct Report<'a> {
    file: String,
    dialect: String,
    settings: std::collections::BTreeMap<&'a str, &'a str>,
    findings: &'a [String],
}

/// Prints both. Exit 1 if anything will hurt.
///
/// # Errors
/// If they cannot be printed.
pub fn check(settings: &Settings, paths: &Paths, clock: Clock, json: bool) -> Result<Exit> {
    let rows = understood(settings);
    let mut found = findings(settings, &Facts::gather(settings, paths, |dir| count(paths, dir)));
    found.extend(unfit(settings, paths, clock));
    if json {
        print_json(settings, &rows, &found)?;
    } else {
        exit::out(format_args!("{}: {}", settings.file.display(), name(settings.dialect)));
        for row in &rows {
            exit::out(format_args!("  {} = {}", row.key, row.value));
        }
        for words in &found {
            exit::out(words);
        }
        if found.is_empty() {
            exit::out("nothing in it will hurt");
        }
    }
    Ok(if found.is_empty() { Exit::Done } else { Exit::Failed })
}

fn print_json(settings: &Settings, rows: &[Understood], found: &[String]) -> Result<()> {
    let report = Report {
        file: settings.file.display().to_string(),
        dialect: name(settings.dialect).to_string(),
        settings: rows.iter().map(|row| (row.key, row.value.as_str())).collect(),
        findings: found,
    };
    exit::out(serde_json::to_string(&report).map_err(|why| Error::failed("print", "the configuration", why))?);
    Ok(())
}

fn count(paths: &Paths, dir: &Path) -> Option<usize> {
    list::list(paths, &paths.inside(dir), &Whose::Root).ok().flatten().map(|listed| listed.scripts.len())
}

/// Directories and scripts that a run would refuse.
fn unfit(settings: &Settings, paths: &Paths, clock: Clock) -> Vec<String> {
    let dirs = settings.dirs.all().map(|(_, dir)| &dir.path);
    let mut found: Vec<String> =
        dirs.filter_map(|dir| list::list(paths, dir, &Whose::Root).err()).map(|error| error.to_string()).collect();
    match super::scripts::users(settings) {
        Err(error) => found.push(error.to_string()),
        Ok(users) => {
            let of_users = ["pre_update.d", "post_update.d"].map(|name| list::list_users(paths, &users, name));
            found.extend(of_users.into_iter().filter_map(Result::err).map(|error| error.to_string()));
        }
    }
    if let Some(lock) = &settings.lock {
        // Nobody is asked: only whether secret and certificates can be read, and are what they should be.
        found.extend(client::open(lock, paths, clock).err().map(|error| error.to_string()));
    }
    found.extend(
        [(&settings.state, Rule::Root), (&settings.local_lock, Rule::Root), (&settings.log.path, Rule::Log)]
            .into_iter()
            .filter_map(|(path, rule)| open_above(&paths.at(path), rule).err())
            .map(|error| error.to_string()),
    );
    found.dedup();
    found
}

/// Judges the directories above a file as far as they are there.
fn open_above(path: &Path, rule: Rule) -> Result<()> {
    let there = path.ancestors().skip(1).find(|dir| dir.symlink_metadata().is_ok());
    there.map_or(Ok(()), |dir| trusted::directory_by(dir, rule).map(drop))
}

fn name(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Ours => "patch-run",
        Dialect::DlmIni => "DLM Engine Updater 0.4 and 0.5",
        Dialect::Dotenv => "DLM Engine Updater 1.0",
        Dialect::Foreman => "Foreman DLM Updater",
    }
}
