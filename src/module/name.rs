//! Names of modules: each is the name of a directory, a word in messages and a part of a git tag.

use std::fmt;

/// A longer one would not fit into a tag's file name with version and time.
const LONGEST: usize = 100;

/// The name of a module: one component of a path, in portable characters, which neither hides nor looks like an option.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(String);

impl Name {
    /// Judges a name.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let is_portable = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        let wrong = |why: &str| Err(format!("{text:?} is no name for a module: {why}"));
        if text.is_empty() {
            return wrong("it is empty");
        }
        if text.len() > LONGEST {
            return wrong("it is longer than 100 bytes");
        }
        if text.contains('/') || text == ".." {
            return wrong("it must name a directory beside the manifest, without / and ..");
        }
        if text.starts_with(['.', '-']) {
            return wrong("it begins with a dot or a hyphen");
        }
        if !text.bytes().all(is_portable) {
            return wrong("use letters, digits, dots, hyphens and underscores");
        }
        // Rules of git-check-ref-format(1) that the characters leave open: the name begins a tag.
        if text.contains("..") {
            return wrong("two dots in a row cannot be in a git tag");
        }
        Ok(Self(text.to_string()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_component_that_leads_nowhere_else() {
        for good in ["adblock", "all_services", "a-v1", "x.y", "7zip", "a-v2-20240101"] {
            assert_eq!(Name::new(good).unwrap().as_str(), good);
        }
        for bad in
            ["", ".", "..", "../x", "/etc", "a/b", ".git", "-rf", "a b", "ä", "a\0", "a\n", "a..b", &"x".repeat(101)]
        {
            assert!(Name::new(bad).unwrap_err().contains("no name for a module"), "{bad:?}");
        }
    }
}
