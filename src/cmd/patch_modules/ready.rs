//! What there is to run of a module: judged and verified, all of them at once, before anything runs.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::Result as Outcome;
use crate::module::manifest::{Manifest, Module};
use crate::module::name::Name;
use crate::module::plan::{Plan, Step};
use crate::module::sum::{Entry, Kind};
use crate::module::tree::{self, Tree};
use crate::sys::trusted;

use super::requirements::made_of;
use super::site::Site;

/// A module, ready or not.
pub enum Ready {
    /// It has nothing of its own to run.
    Group,
    /// It was verified, and is started with these words.
    Program(Box<Tree>, Vec<OsString>),
    /// It cannot be run, and why.
    Unfit(String),
}

/// The name of the file in a virtual environment that says of which requirements it was made.
pub const MADE_OF: &str = "patch-requirements";

/// Runs `index.py`, and judges what it imports from beside its module.
const PYTHON: &str = include_str!("runner.py");

/// Gets the steps of a plan ready. What has nothing to run costs nothing.
///
/// # Errors
/// If the directory of the modules cannot be used.
pub fn all(site: &Site, manifest: &Manifest, plan: &Plan, unverified: bool) -> Outcome<Vec<Ready>> {
    let names: Vec<Name> = plan.steps.iter().map(|step| manifest.modules[step.module].name.clone()).collect();
    let trees = tree::read_all(&site.modules()?, &names, Site::threads());
    let one = |(step, tree): (&Step, Outcome<Option<Tree>>)| {
        let module = &manifest.modules[step.module];
        match tree {
            Err(error) => Ready::Unfit(error.to_string()),
            Ok(None) if module.checksum.is_none() && !module.children.is_empty() => Ready::Group,
            Ok(None) => Ready::Unfit("it has no directory".into()),
            Ok(Some(tree)) => ready(site, module, tree, unverified).unwrap_or_else(Ready::Unfit),
        }
    };
    Ok(plan.steps.iter().zip(trees).map(one).collect())
}

fn ready(site: &Site, module: &Module, tree: Tree, unverified: bool) -> Result<Ready, String> {
    match &module.checksum {
        None if !unverified => {
            let name = &module.name;
            return Err(format!(
                "its checksum in the manifest is null; look at it, then patch-modules checksum --write {name} (or --allow-unverified)"
            ));
        }
        Some(checksum) if *checksum != tree.checksum => {
            return Err(format!(
                "it is not what the manifest says; patch-modules verify {} tells what changed",
                module.name
            ));
        }
        _ => {}
    }
    Ok(match words(site, module, &tree)? {
        Some(words) => Ready::Program(Box::new(tree), words),
        None => Ready::Group,
    })
}

fn words(site: &Site, module: &Module, tree: &Tree) -> Result<Option<Vec<OsString>>, String> {
    let is_program = |entry: &Entry| entry.kind == Kind::Link || entry.mode & 0o100 != 0;
    match (tree.top("index"), tree.top("index.py")) {
        (Some(index), _) if index.kind == Kind::Directory => Err("index is a directory, not a program".into()),
        (Some(index), _) if !is_program(index) => Err("index is not executable; chmod +x it".into()),
        (Some(_), _) => Ok(Some(vec![site.paths.inside(&tree.path().join("index")).into_os_string()])),
        (None, Some(_)) => python(site, module, tree).map(Some),
        (None, None) if !module.children.is_empty() => Ok(None),
        (None, None) => Err("it has neither a program index nor index.py".into()),
    }
}

fn python(site: &Site, module: &Module, tree: &Tree) -> Result<Vec<OsString>, String> {
    let interpreter = match made_of(tree) {
        None => PathBuf::from("python3"),
        Some(wanted) => {
            let venv = venv(site, &module.name);
            let made_of = fs::read_to_string(site.paths.at(venv.join(MADE_OF))).unwrap_or_default();
            if made_of.trim() != wanted {
                let name = &module.name;
                return Err(format!(
                    "its virtual environment is missing or of other requirements; patch-modules setup {name}"
                ));
            }
            // What others could put in there would run as we do.
            trusted::below(&site.paths.at(&venv)).map_err(|error| error.to_string())?;
            venv.join("bin/python")
        }
    };
    // Isolated, and without writing compiled files into what was verified.
    Ok([interpreter.into_os_string(), "-I".into(), "-B".into(), "-c".into(), PYTHON.into()].into())
}

/// Where the virtual environment of a module is, outside of what is hashed.
pub fn venv(site: &Site, name: &Name) -> PathBuf {
    site.settings.state.join("venv").join(name.as_str())
}

/// The words of a health command: a program with a slash in its name is one of the module's own.
pub fn health(words: &[String], dir: &Path) -> Vec<OsString> {
    let mut words: Vec<OsString> = words.iter().map(OsString::from).collect();
    if let Some(first) = words.first_mut()
        && first.as_encoded_bytes().contains(&b'/')
    {
        *first = dir.join(&*first).into_os_string();
    }
    words
}
