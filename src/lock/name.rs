//! Names that clients choose: of locks, of owners, of hosts; and the texts that people give as reasons.
//!
//! All of them end up in URLs, logs, mails and terminals, so what could be read as anything else is refused at the door: a
//! slash, `..`, control characters, marks that turn the direction of writing or cannot be seen, blanks at the ends.

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::sys::glob;

/// The longest name, in bytes: what every file system and protocol can carry.
pub const NAME_LIMIT: usize = 255;
/// The longest text of a reason, in bytes.
pub const NOTE_LIMIT: usize = 1024;
/// The most locks that one request may name.
pub const LOCKS_LIMIT: usize = 16;

/// The name of a lock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LockName(Arc<str>);

/// Who asks for a lock: by custom the host's full name. Host names know no case, so two owners that differ in nothing else are one;
/// each is shown as it was written. The exception are ids that know case ([`Owner::exact`]).
#[derive(Debug, Clone)]
pub struct Owner {
    text: Arc<str>,
    key: Arc<str>,
}

/// What tells two hosts of one name apart, such as `/etc/machine-id`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(Arc<str>);

/// A sentence of a person, never empty and on one line: a reason, or who gives it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Note(Arc<str>);

impl LockName {
    /// Takes a name that is fit for a lock.
    ///
    /// # Errors
    /// [`Error::Usage`] saying what is wrong with it.
    pub fn new(text: &str) -> Result<Self> {
        name("lock name", text).map(Self)
    }
}

impl Owner {
    /// Takes a name that is fit for an owner.
    ///
    /// # Errors
    /// [`Error::Usage`] saying what is wrong with it. `localhost` is wrong because every host has that name.
    pub fn new(text: &str) -> Result<Self> {
        let first = text.split('.').next().unwrap_or_default();
        if first.eq_ignore_ascii_case("localhost") {
            return Err(refusal("owner", text, "every host has this name; give the host one of its own"));
        }
        let text = name("owner", text)?;
        let folded = glob::folded(&text);
        // Most names are in lower case: one text is enough for these.
        let key = if folded == *text { Arc::clone(&text) } else { folded.into() };
        Ok(Self { text, key })
    }

    /// Takes an id to the letter: what differs in case alone is another owner. One without capitals is the same in both ways.
    ///
    /// # Errors
    /// As [`Owner::new`].
    pub fn exact(text: &str) -> Result<Self> {
        Self::new(text).map(|Self { text, .. }| Self { key: Arc::clone(&text), text })
    }

    /// By what it is compared, sorted and found.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Whether another spelling would be another owner.
    pub fn knows_case(&self) -> bool {
        glob::folded(&self.key) != *self.key
    }

    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Owner {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Owner {}

impl PartialOrd for Owner {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Owner {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(&other.key)
    }
}

impl Hash for Owner {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl HostId {
    /// Takes an id that is fit for a host.
    ///
    /// # Errors
    /// [`Error::Usage`] saying what is wrong with it.
    pub fn new(text: &str) -> Result<Self> {
        name("host id", text).map(Self)
    }
}

impl Note {
    /// Takes a sentence.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is empty, too long, or more than one line.
    pub fn new(text: &str) -> Result<Self> {
        let text = text.trim();
        check(text, NOTE_LIMIT).map_err(|why| refusal("text", text, &why))?;
        Ok(Self(text.into()))
    }
}

/// The locks of one request: at least one, each once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct LockSet(BTreeSet<LockName>);

impl LockSet {
    /// Takes names in any order; a name that comes twice counts once.
    ///
    /// # Errors
    /// [`Error::Usage`] if there are none or more than [`LOCKS_LIMIT`].
    pub fn new(names: impl IntoIterator<Item = LockName>) -> Result<Self> {
        let set: BTreeSet<_> = names.into_iter().take(LOCKS_LIMIT + 1).collect();
        match set.len() {
            0 => Err(Error::Usage("cannot acquire nothing: name a lock".into())),
            1..=LOCKS_LIMIT => Ok(Self(set)),
            _ => Err(Error::Usage(format!("cannot acquire more than {LOCKS_LIMIT} locks at once"))),
        }
    }

    /// In the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = &LockName> {
        self.0.iter()
    }

    /// Whether the lock is one of them.
    pub fn contains(&self, lock: &LockName) -> bool {
        self.0.contains(lock)
    }
}

impl From<LockName> for LockSet {
    fn from(lock: LockName) -> Self {
        Self(BTreeSet::from([lock]))
    }
}

fn name(what: &str, text: &str) -> Result<Arc<str>> {
    let dots = text == "." || text.contains("..");
    let verdict = match text {
        _ if text.contains('/') => Err("it holds a slash".into()),
        _ if dots => Err("it could be read as a directory".into()),
        _ => check(text, NAME_LIMIT),
    };
    verdict.map_err(|why| refusal(what, text, &why))?;
    Ok(text.into())
}

fn check(text: &str, limit: usize) -> std::result::Result<(), String> {
    if text.is_empty() {
        return Err("it is empty".into());
    }
    if text.len() > limit {
        return Err(format!("it is longer than {limit} bytes"));
    }
    if let Some(c) = text.chars().find(|&c| c.is_control() || is_unseen(c)) {
        return Err(format!("it holds the unprintable character {}", c.escape_unicode()));
    }
    if text.trim() != text {
        return Err("it begins or ends with a blank".into());
    }
    Ok(())
}

/// Characters that nobody sees, or that make others seem to stand elsewhere (Unicode, general category Cf and separators).
fn is_unseen(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// The text is shown escaped and cut: it may be a megabyte of anything.
fn refusal(what: &str, text: &str, why: &str) -> Error {
    let shown: String = text.chars().take(40).collect();
    Error::Usage(format!("refusing {what} {shown:?}: {why}"))
}

/// A word that a shell takes as it is, for commands that are shown to be pasted.
pub fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.,:@%+".contains(c);
    if text.chars().all(is_plain) && !text.starts_with('-') {
        return text.to_string();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

macro_rules! as_text {
    ($($name:ident)*) => {$(
        impl $name {
            /// As it was given.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

as_text!(LockName HostId Note);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_the_trade_are_taken() {
        for good in ["web", "web servers", "rack-3.example.com", "Kühlhaus", "a.b", &"x".repeat(NAME_LIMIT)] {
            assert!(LockName::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn names_that_could_be_read_as_something_else_are_refused() {
        let long = "x".repeat(NAME_LIMIT + 1);
        let megabyte = "x".repeat(1 << 20);
        let bad = [
            "",
            ".",
            "..",
            "../web",
            "a/b",
            "a..b",
            "a\0b",
            "a\nb",
            "\u{1b}[2J",
            " a",
            "a ",
            "a\u{202e}b",
            "\u{feff}a",
        ];
        for bad in bad.into_iter().chain([long.as_str(), megabyte.as_str()]) {
            let why = LockName::new(bad).unwrap_err().to_string();
            assert!(why.starts_with("refusing lock name ") && why.len() < 300, "{why}");
            assert!(Owner::new(bad).is_err() && HostId::new(bad).is_err());
        }
    }

    /// W1: hosts that resolve to `localhost` all "hold" the lock.
    #[test]
    fn localhost_is_no_owner() {
        for bad in ["localhost", "LOCALHOST", "localhost.localdomain", "localhost."] {
            assert!(Owner::new(bad).is_err(), "{bad}");
        }
        assert!(Owner::new("localhost-7").is_ok());
    }

    #[test]
    fn an_owner_knows_no_case_and_keeps_its_spelling() {
        let owner = |text| Owner::new(text).unwrap();
        let (one, other) = (owner("H1.Example.org"), owner("h1.eXAMPLE.ORG"));
        assert!(one == other && one.cmp(&other) == Ordering::Equal && one.key() == other.key());
        assert_eq!((one.to_string(), one.as_str()), ("H1.Example.org".into(), "H1.Example.org"));
        assert!(owner("KÜHL") == owner("kühl") && owner("h1") != owner("h2") && !one.knows_case());
        let exact = |text| Owner::exact(text).unwrap();
        assert!(exact("F2") != exact("f2") && exact("F2") != owner("F2") && exact("F2").knows_case());
        assert!(exact("f2") == owner("F2") && !exact("f2").knows_case(), "without capitals it is the same");
    }

    #[test]
    fn a_reason_is_one_line_that_says_something() {
        assert_eq!(Note::new(" disk died \n").unwrap().as_str(), "disk died");
        for bad in ["", "  ", "a\nb", &"x".repeat(NOTE_LIMIT + 1)] {
            assert!(Note::new(bad).is_err());
        }
    }

    #[test]
    fn a_set_of_locks_is_neither_empty_nor_endless() {
        let names = |n: usize| (0..n).map(|i| LockName::new(&format!("l{i}")).unwrap());
        assert!(LockSet::new(names(0)).is_err());
        assert!(LockSet::new(names(LOCKS_LIMIT)).is_ok());
        assert!(LockSet::new(names(LOCKS_LIMIT + 1)).is_err());
        assert_eq!(LockSet::new(names(2).chain(names(2))).unwrap().iter().count(), 2);
    }

    #[test]
    fn what_is_shown_to_be_pasted_is_safe_to_paste() {
        assert_eq!(quoted("web01.example.com"), "web01.example.com");
        assert_eq!(quoted("web; rm -rf ~"), "'web; rm -rf ~'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        assert_eq!(quoted("--while-down"), "'--while-down'");
    }

    proptest! {
        #[test]
        fn no_text_upsets_it(text in any::<String>()) {
            let _ = (LockName::new(&text), Owner::new(&text), Note::new(&text), quoted(&text));
        }
    }
}
