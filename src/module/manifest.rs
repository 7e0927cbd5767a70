//! `manifest.json`: which modules are wanted, and what each needs, `patch-manifest(5)`.
//!
//! Read whole and strictly: whoever holds a [`Manifest`] holds one whose names are all there and each there once, and in which
//! nothing needs itself. Every complaint says file, line and column. Changes leave everything else as it was written.

pub mod edit;
mod fields;
mod place;
mod quick;
mod read;

use std::collections::HashMap;
use std::time::Duration;

use super::graph::{self, Needs};
use super::name::Name;
use super::version::Version;
use crate::error::{Error, Result};
use crate::sys::clock::Moment;

/// A manifest is not larger.
pub const LIMIT: u64 = 16 << 20;

/// All modules, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// They refer to one another by their places here.
    pub modules: Vec<Module>,
    /// Where a run without names begins.
    pub entrypoint: Option<usize>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Module {
    /// The directory beside the manifest that holds it.
    pub name: Name,
    /// The version that is wanted.
    pub version: Option<Version>,
    /// What its directory must have, in lower-case hexadecimal.
    pub checksum: Option<String>,
    /// When it last succeeded.
    pub last_applied: Option<Moment>,
    /// The version to go back to.
    pub last_safe: Option<Version>,
    /// Whether it may run.
    pub enabled: bool,
    /// For people.
    pub description: Option<String>,
    /// The modules that it is made of; they run before it.
    pub children: Vec<usize>,
    /// The modules without which it cannot run.
    pub requires: Vec<usize>,
    /// It gets TERM after this time.
    pub timeout: Option<Duration>,
    /// What it may use.
    pub resources: Resources,
    /// The command that says whether it works after it was applied.
    pub health: Option<Vec<String>>,
    /// How many days it must have run before its version counts as safe.
    pub soak_days: Option<u32>,
}

/// Limits; `None` is no limit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Resources {
    /// Bytes.
    pub memory: Option<u64>,
    /// Hundredths of one processor.
    pub cpu: Option<u32>,
}

impl Manifest {
    /// Understands the text of a manifest; `file` is for the messages.
    ///
    /// # Errors
    /// [`Error::Usage`] with file, line and column of the first thing that is wrong.
    pub fn parse(text: &str, file: &str) -> Result<Self> {
        let quickly = quick::read(text).filter(|manifest| graph::circle(&manifest.needs()).is_none());
        quickly.map_or_else(|| Self::parse_with_places(text, file), Ok)
    }

    fn parse_with_places(text: &str, file: &str) -> Result<Self> {
        let (manifest, places) = read::read(text, file)?;
        if let Some(circle) = graph::circle(&manifest.needs()) {
            let names: Vec<&str> = circle.iter().map(|node| manifest.modules[*node].name.as_str()).collect();
            let words =
                format!("modules need one another in a circle: {}; remove one of these needs", place::way(&names));
            return Err(place::wrong(text, file, places[circle[0]], &words));
        }
        Ok(manifest)
    }

    /// What each module needs, by places: its children and what it requires.
    pub fn needs(&self) -> Needs {
        self.modules.iter().map(|module| module.children.iter().chain(&module.requires).copied()).collect()
    }

    /// The place of a module.
    ///
    /// # Errors
    /// [`Error::Usage`] with the nearest name, if there is no such module.
    pub fn find(&self, name: &str) -> Result<usize> {
        self.modules.iter().position(|module| module.name.as_str() == name).ok_or_else(|| {
            let names: Vec<&str> = self.modules.iter().map(|module| module.name.as_str()).collect();
            let hint = crate::config::values::nearest(name, &names).map(|near| format!("; did you mean {near}?"));
            Error::Usage(format!("there is no module {name} in the manifest{}", hint.unwrap_or_default()))
        })
    }

    /// The places of several modules.
    ///
    /// # Errors
    /// As [`Manifest::find`].
    pub fn find_all(&self, names: &[String]) -> Result<Vec<usize>> {
        if names.len() < 3 {
            return names.iter().map(|name| self.find(name)).collect();
        }
        let places: HashMap<&str, usize> =
            self.modules.iter().enumerate().map(|(at, module)| (module.name.as_str(), at)).collect();
        names.iter().map(|name| places.get(name.as_str()).map_or_else(|| self.find(name), |at| Ok(*at))).collect()
    }

    /// The names of all modules.
    pub fn names(&self) -> impl Iterator<Item = &Name> + Clone {
        self.modules.iter().map(|module| &module.name)
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
