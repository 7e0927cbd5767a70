//! `host_type`: who gets what, and where it goes.
//!
//! One line a host, `HOSTNAME-OR-GLOB development|production INSTALL_DIR`; the first line that matches counts. A host that no
//! line matches is none of this server's.

use std::path::{Component, Path, PathBuf};

use super::tree::Level;
use crate::error::{Error, Result};
use crate::sys::glob;

/// No fleet's list is larger.
pub const LIMIT: u64 = 16 << 20;

/// The whole list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostTypes {
    entries: Vec<Entry>,
}

/// One line of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// A host's name, or a pattern.
    pub pattern: String,
    /// What the host is.
    pub level: Level,
    /// Where its cluster goes; absolute, without `..`. Whether it lies where this host wants it is for the host to judge.
    pub install_dir: PathBuf,
    /// Counted from 1.
    pub line: usize,
}

impl HostTypes {
    /// Reads the list; `file` is for the messages. Empty lines and what follows a `#` do not count.
    ///
    /// # Errors
    /// [`Error::Refused`] with file and line for the first line that is wrong.
    pub fn parse(bytes: &[u8], file: &str) -> Result<Self> {
        let text = std::str::from_utf8(bytes).map_err(|_| Error::refused(file, "it is not UTF-8"))?;
        let mut entries = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.split('#').next().unwrap_or_default();
            if let Some(entry) =
                entry(line, index + 1).map_err(|why| Error::refused(format!("{file}:{}", index + 1), why))?
            {
                entries.push(entry);
            }
        }
        Ok(Self { entries })
    }

    /// The first line that matches a host's full name, or the part before its first dot.
    pub fn find(&self, host: &str) -> Option<&Entry> {
        let full = host.trim_end_matches('.');
        let short = full.split('.').next().unwrap_or(full);
        self.entries.iter().find(|entry| glob::fits(&entry.pattern, full) || glob::fits(&entry.pattern, short))
    }

    /// How many lines count.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no line counts.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn entry(line: &str, number: usize) -> std::result::Result<Option<Entry>, String> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let [pattern, level, install_dir] = words[..] else {
        return if words.is_empty() {
            Ok(None)
        } else {
            Err(format!("{} words; write HOSTNAME-OR-GLOB development|production INSTALL_DIR", words.len()))
        };
    };
    let may = |c: char| c.is_ascii_alphanumeric() || "._-*?".contains(c);
    if let Some(odd) = pattern.chars().find(|c| !may(*c)) {
        return Err(format!("{odd:?} cannot be in a host name or pattern ({pattern})"));
    }
    let directory = Path::new(install_dir);
    let is_plain = |c: Component| matches!(c, Component::RootDir | Component::Normal(_));
    if !directory.is_absolute() || !directory.components().all(is_plain) || directory.parent().is_none() {
        return Err(format!("{install_dir:?} is no absolute path of an install directory without .."));
    }
    Ok(Some(Entry { pattern: pattern.into(), level: level.parse()?, install_dir: directory.into(), line: number }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn list(text: &str) -> HostTypes {
        HostTypes::parse(text.as_bytes(), "host_type").unwrap()
    }

    #[test]
    fn the_first_line_that_matches_counts() {
        let list = list("# fleet\nweb01 development /var/lib/patch/a\n\nweb* production /var/lib/patch/b # rest\n");
        assert_eq!(list.find("web01").unwrap().level, Level::Development);
        assert_eq!(list.find("web02").unwrap().level, Level::Production);
        assert_eq!(list.find("web02").unwrap().line, 4);
        assert_eq!(list.find("db01"), None);
    }

    #[test]
    fn a_host_is_found_by_its_full_and_its_short_name_in_any_case() {
        let by_short = list("web01 development /p\n");
        assert!(by_short.find("WEB01.Example.ORG").is_some() && by_short.find("web01.").is_some());
        let by_full = list("*.example.org development /p\n");
        assert!(by_full.find("web01.example.org").is_some() && by_full.find("web01").is_none());
    }

    #[test]
    fn a_wrong_line_is_named_with_its_number() {
        for (line, word) in [
            ("web01 development", "2 words"),
            ("web01 staging /p", "neither development nor production"),
            ("web01 development p", "no absolute path"),
            ("web01 development /a/../b", "no absolute path"),
            ("web01 development /", "no absolute path"),
            ("we[b] development /p", "cannot be in a host name"),
            ("web01 development /p /q", "4 words"),
        ] {
            let words = HostTypes::parse(format!("a production /p\n{line}\n").as_bytes(), "f").unwrap_err().to_string();
            assert!(words.starts_with("refusing f:2: ") && words.contains(word), "{words}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_upset_it(bytes in proptest::collection::vec(any::<u8>(), 0..200), host in ".*") {
            if let Ok(list) = HostTypes::parse(&bytes, "f") {
                list.find(&host);
            }
        }
    }
}
