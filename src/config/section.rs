//! One section while it is being understood: keys are taken by name, and what nobody took is an error.

use std::cell::RefCell;
use std::fmt::Display;
use std::path::PathBuf;
use std::time::Duration;

use super::ini::{Ini, Value};
use super::values::{self, Window};
use crate::error::{Error, Result};

/// A section and the keys that it is known to have.
pub struct Section<'a> {
    ini: &'a Ini,
    name: &'a str,
    asked: RefCell<Vec<&'static str>>,
}

impl<'a> Section<'a> {
    pub fn new(ini: &'a Ini, name: &'a str) -> Self {
        Self { ini, name, asked: RefCell::new(Vec::new()) }
    }

    /// The raw value; an empty one counts as not set.
    pub fn value(&self, key: &'static str) -> Result<Option<Value>> {
        self.asked.borrow_mut().push(key);
        Ok(self.ini.get(self.name, key)?.filter(|value| !value.text.is_empty()))
    }

    /// A value understood by `read`, whose complaint gets file, line and key before it.
    pub fn read<T, E: Display>(
        &self,
        key: &'static str,
        read: impl FnOnce(&str) -> std::result::Result<T, E>,
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key)? else { return Ok(None) };
        read(&value.text).map(Some).map_err(|why| self.wrong(value.line, &format!("{key}: {why}")))
    }

    pub fn text(&self, key: &'static str) -> Result<Option<String>> {
        Ok(self.value(key)?.map(|value| value.text))
    }

    pub fn words(&self, key: &'static str) -> Result<Vec<String>> {
        Ok(values::words(&self.text(key)?.unwrap_or_default()))
    }

    /// Words that are names of stages.
    pub fn names(&self, key: &'static str) -> Result<Vec<String>> {
        let all = |text: &str| values::words(text).iter().map(|word| values::stage_name(word)).collect();
        Ok(self.read(key, all)?.unwrap_or_default())
    }

    pub fn path(&self, key: &'static str) -> Result<Option<PathBuf>> {
        self.read(key, |text| {
            let path = PathBuf::from(text);
            if path.is_absolute() { Ok(path) } else { Err(format!("{text} is no absolute path")) }
        })
    }

    pub fn duration(&self, key: &'static str, default: Duration) -> Result<Duration> {
        Ok(self.read(key, values::duration)?.unwrap_or(default))
    }

    /// One that must leave some time.
    pub fn time(&self, key: &'static str, default: Duration) -> Result<Duration> {
        let some = |text: &str| match values::duration(text)? {
            Duration::ZERO => Err(format!("{key} = {text} leaves no time at all")),
            time => Ok(time),
        };
        Ok(self.read(key, some)?.unwrap_or(default))
    }

    pub fn size(&self, key: &'static str, default: u64) -> Result<u64> {
        Ok(self.read(key, values::size)?.unwrap_or(default))
    }

    pub fn window(&self, key: &'static str) -> Result<Option<Window>> {
        self.read(key, Window::parse)
    }

    /// Keys that say nothing here: one of the section's own is an error, with `words` behind its name.
    pub fn useless(&self, keys: &[&'static str], words: &str) -> Result<()> {
        self.asked.borrow_mut().extend(keys);
        let mut found = self.ini.own_keys(self.name).filter(|(key, _)| keys.contains(key));
        found.next().map_or(Ok(()), |(key, line)| Err(self.wrong(line, &format!("key {key} {words}"))))
    }

    /// An error at the section's own header.
    pub fn lacks(&self, words: &str) -> Error {
        self.wrong(self.ini.section_line(self.name), words)
    }

    fn wrong(&self, line: usize, words: &str) -> Error {
        Error::Usage(format!("{}:{line}: {words}", self.ini.file()))
    }

    /// Every key of the section must have been asked for.
    pub fn finish(&self) -> Result<()> {
        self.unknown().into_iter().next().map_or(Ok(()), |words| Err(Error::Usage(words)))
    }

    /// What is wrong with each key that nobody asked for, in the order of the file.
    pub fn unknown(&self) -> Vec<String> {
        let asked = self.asked.borrow();
        let mut found: Vec<_> = self.ini.own_keys(self.name).filter(|(key, _)| !asked.contains(key)).collect();
        found.sort_unstable_by_key(|(_, line)| *line);
        let words = |(key, line): (&str, usize)| {
            let hint = values::nearest(key, &asked).map(|near| format!("; did you mean {near}?")).unwrap_or_default();
            format!("{}:{line}: unknown key {key} in [{}]{hint}", self.ini.file(), self.name)
        };
        found.into_iter().map(words).collect()
    }
}
