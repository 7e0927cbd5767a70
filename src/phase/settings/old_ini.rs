//! What the two old INI dialects share: one section `[main]`, required keys, script directories by name.

use std::path::PathBuf;

use super::dialect::MAIN;
use super::{Dirs, LogFile, ScriptDir, python};
use crate::config::command;
use crate::config::ini::Ini;
use crate::config::section::Section;
use crate::error::{Error, Result};
use crate::phase::name::{PHASES, Phase};

/// Section `[main]` while it is being understood.
pub struct Main<'a> {
    ini: &'a Ini,
    section: Section<'a>,
    warnings: Vec<String>,
}

impl<'a> Main<'a> {
    pub fn new(ini: &'a Ini) -> Self {
        Self { ini, section: Section::new(ini, MAIN), warnings: Vec::new() }
    }

    /// A key that may be left out. An empty value is an error: to the updaters it was an empty text, which nothing can use.
    pub fn optional<T, E: std::fmt::Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<Option<T>> {
        if let Some(empty) = self.ini.get(MAIN, key)?.filter(|value| value.text.is_empty()) {
            let words =
                format!("{}:{}: {key}: it is empty; write a value, or take the line out", self.ini.file(), empty.line);
            return Err(Error::Usage(words));
        }
        self.section.read(key, read)
    }

    /// A key that must be there.
    pub fn required<T, E: std::fmt::Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<T> {
        self.optional(key, read)?.ok_or_else(|| self.section.lacks(&format!("section [main] lacks {key} =")))
    }

    pub fn path(&self, key: &'static str) -> Result<PathBuf> {
        self.required(key, path)
    }

    /// A directory of scripts.
    pub fn dir(&self, key: &'static str) -> Result<ScriptDir> {
        Ok(ScriptDir { path: self.path(key)?, named: true })
    }

    /// Those of the phases that have one in the old INI dialects: all but `reboot`, which is a command there.
    pub fn dirs(&self) -> Result<Dirs> {
        let mut phases = Vec::new();
        for phase in PHASES {
            if let Some(key) = dir_key(phase) {
                phases.push((phase, self.dir(key)?));
            }
        }
        Ok(Dirs { phases, ..Dirs::default() })
    }

    pub fn log(&self, level: &'static str, retention: &'static str) -> Result<LogFile> {
        Ok(LogFile {
            path: self.path("log")?,
            level: self.required(level, python::level)?,
            retention: self.required(retention, python::retention)?,
        })
    }

    pub fn reboot_cmd(&self) -> Result<Vec<String>> {
        self.required("reboot_cmd", command::words)
    }

    /// Something about a key that will hurt.
    pub fn warn(&mut self, key: &'static str, words: &str) -> Result<()> {
        let line = self.ini.get(MAIN, key)?.map_or_else(|| self.ini.section_line(MAIN), |value| value.line);
        self.warnings.push(format!("{}:{line}: {key}: {words}", self.ini.file()));
        Ok(())
    }

    /// All warnings: what nobody asked for as well.
    pub fn finish(mut self) -> Vec<String> {
        let ini = self.ini;
        self.warnings.extend(self.section.unknown().into_iter().map(|words| format!("{words} (it is not read)")));
        let others = ini.section_names().filter(|name| *name != MAIN);
        self.warnings.extend(others.map(|name| {
            format!("{}:{}: section [{name}] is not read; move its keys to [main]", ini.file(), ini.section_line(name))
        }));
        self.warnings
    }
}

/// The key of a phase's directory.
pub fn dir_key(phase: Phase) -> Option<&'static str> {
    match phase {
        Phase::NeedsUpdate => Some("needs_update.d"),
        Phase::PreUpdate => Some("pre_update.d"),
        Phase::Update => Some("update.d"),
        Phase::NeedsReboot => Some("needs_reboot.d"),
        Phase::PostUpdate => Some("post_update.d"),
        Phase::LockGet | Phase::Reboot | Phase::LockRelease => None,
    }
}

/// An absolute path: the updaters took others from their working directory, which cron and init do not agree on.
pub fn path(text: &str) -> std::result::Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.contains('\0') {
        return Err("it holds a character that no path has".into());
    }
    if path.is_absolute() { Ok(path) } else { Err(format!("{text} is no absolute path; write it from / on")) }
}
