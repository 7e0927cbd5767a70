//! What an archive may hold: the judgement of names, kinds and amounts, without touching a file.
//!
//! An archive is signed before it comes here, so this is no wall against a stranger but one against a slip: what
//! unpacks as root at night must land in its own folder, be an ordinary file or folder, and fit.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;

/// Longest name of one component, `NAME_MAX` of limits.h.
const LONGEST_NAME: usize = 255;
/// Deepest nesting; real clusters have fewer than ten.
const DEEPEST: usize = 64;
/// Small archives may unpack to this much whatever their ratio: a few kilobytes of zeros are no bomb.
const HARMLESS: u64 = 64 << 20;

/// How much may come out of one archive.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Files and folders.
    pub entries: usize,
    /// Bytes of all files together.
    pub bytes: u64,
    /// Bytes that come out for each byte of the archive.
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { entries: 200_000, bytes: 16 << 30, ratio: 200 }
    }
}

/// What an entry says it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Anything else, by the name that a person gives it.
    Other(&'static str),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    File,
    Folder,
    /// A folder that stands above another entry and has had no entry of its own yet.
    Implied,
}

/// Watches over the unpacking of one archive.
pub struct Guard {
    limits: Limits,
    bytes_left: u64,
    seen: HashMap<String, Seen>,
    entries: usize,
}

impl Guard {
    /// For an archive of `size` bytes.
    pub fn new(limits: Limits, size: u64) -> Self {
        let by_ratio = size.saturating_mul(limits.ratio).max(HARMLESS);
        Self { limits, bytes_left: limits.bytes.min(by_ratio), seen: HashMap::new(), entries: 0 }
    }

    /// Judges the next entry. The answer is its path below the folder, free of surprises; `None` is the folder itself.
    ///
    /// # Errors
    /// Why the archive must be refused, naming the entry.
    pub fn admit(&mut self, raw: &[u8], kind: Kind) -> Result<Option<PathBuf>, String> {
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(format!("it holds more than {} entries", self.limits.entries));
        }
        let name = String::from_utf8_lossy(raw).into_owned();
        let parts = components(raw).map_err(|why| format!("entry {name:?} {why}"))?;
        if let Kind::Other(what) = kind {
            return Err(format!("entry {name:?} is {what}; only files and folders are unpacked"));
        }
        if parts.is_empty() {
            return if kind == Kind::Folder { Ok(None) } else { Err(format!("entry {name:?} has no name")) };
        }
        self.remember(&parts, kind).map_err(|why| format!("entry {name:?} {why}"))?;
        Ok(Some(parts.iter().collect()))
    }

    /// Counts bytes that have come out.
    ///
    /// # Errors
    /// When it is more than the archive may unpack to.
    pub fn grow(&mut self, bytes: u64) -> Result<(), String> {
        self.bytes_left = self
            .bytes_left
            .checked_sub(bytes)
            .ok_or_else(|| format!("it unpacks to more than {} times its size, or is too large", self.limits.ratio))?;
        Ok(())
    }

    /// Bytes that may still come out.
    pub fn bytes_left(&self) -> u64 {
        self.bytes_left
    }

    fn remember(&mut self, parts: &[&str], kind: Kind) -> Result<(), String> {
        for depth in 1..parts.len() {
            let above = parts[..depth].join("/");
            if *self.seen.entry(above).or_insert(Seen::Implied) == Seen::File {
                return Err("lies below an entry that is a file".into());
            }
        }
        let now = if kind == Kind::Folder { Seen::Folder } else { Seen::File };
        match self.seen.entry(parts.join("/")) {
            Entry::Vacant(free) => {
                free.insert(now);
                Ok(())
            }
            Entry::Occupied(mut taken) if *taken.get() == Seen::Implied && now == Seen::Folder => {
                taken.insert(now);
                Ok(())
            }
            Entry::Occupied(_) => Err("comes twice".into()),
        }
    }
}

/// The components of a name, `.` and a closing slash left out.
fn components(raw: &[u8]) -> Result<Vec<&str>, &'static str> {
    let name = std::str::from_utf8(raw).map_err(|_| "has a name that is not UTF-8")?;
    if name.starts_with('/') {
        return Err("has an absolute name");
    }
    if name.contains('\\') || name.chars().any(char::is_control) {
        return Err("has a backslash or a control character in its name");
    }
    let parts: Vec<&str> = name.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("has .. in its name");
    }
    if parts.len() > DEEPEST || parts.iter().any(|part| part.len() > LONGEST_NAME) {
        return Err("has a name that is too long or too deep");
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::{Component, Path};

    fn guard() -> Guard {
        Guard::new(Limits { entries: 1000, ..Limits::default() }, 1 << 20)
    }

    fn refusal(name: &str, kind: Kind) -> String {
        guard().admit(name.as_bytes(), kind).unwrap_err()
    }

    #[test]
    fn ordinary_names_pass() {
        let mut guard = guard();
        assert_eq!(guard.admit(b"./", Kind::Folder), Ok(None));
        assert_eq!(guard.admit(b"./a/b", Kind::File).unwrap().unwrap(), Path::new("a/b"));
        assert_eq!(guard.admit(b"a/", Kind::Folder).unwrap().unwrap(), Path::new("a"), "a folder after its file");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused_by_name() {
        for name in ["/etc/passwd", "../x", "a/../../x", "a\\..\\x", "a\nb", "a\0b"] {
            assert!(refusal(name, Kind::File).contains("name"), "{name:?}");
        }
    }

    #[test]
    fn links_and_devices_are_refused_by_what_they_are() {
        assert!(refusal("a", Kind::Other("a symbolic link")).contains("is a symbolic link"));
    }

    #[test]
    fn nothing_comes_twice_and_no_file_is_a_folder() {
        let mut guard = guard();
        guard.admit(b"a", Kind::File).unwrap();
        assert!(guard.admit(b"./a", Kind::File).unwrap_err().contains("twice"));
        assert!(guard.admit(b"a/b", Kind::File).unwrap_err().contains("below"));
        guard.admit(b"d/e", Kind::File).unwrap();
        assert!(guard.admit(b"d", Kind::File).unwrap_err().contains("twice"));
    }

    #[test]
    fn too_many_entries_and_too_many_bytes_are_refused() {
        let mut guard = Guard::new(Limits { entries: 2, bytes: 100, ratio: 1 }, 1);
        guard.grow(100).unwrap();
        assert!(guard.grow(1).is_err());
        guard.admit(b"a", Kind::File).unwrap();
        guard.admit(b"b", Kind::File).unwrap();
        assert!(guard.admit(b"c", Kind::File).unwrap_err().contains("more than 2"));
    }

    #[test]
    fn a_large_archive_is_bounded_by_its_own_size() {
        let mut guard = Guard::new(Limits { entries: 2, bytes: u64::MAX, ratio: 2 }, HARMLESS);
        assert!(guard.grow(2 * HARMLESS).is_ok());
        assert!(guard.grow(1).is_err());
    }

    proptest! {
        #[test]
        fn whatever_the_name_an_admitted_path_stays_below_the_folder(raw in proptest::collection::vec(
            prop_oneof![Just(b'/'), Just(b'.'), Just(b'a'), any::<u8>()], 0..40)) {
            if let Ok(Some(path)) = guard().admit(&raw, Kind::File) {
                prop_assert!(path.components().all(|part| matches!(part, Component::Normal(_))));
                prop_assert!(path.components().count() >= 1);
            }
        }
    }
}
