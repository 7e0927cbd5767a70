//! Files that hold a secret: root's, and readable by nobody else.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::trusted;
use crate::error::{Error, Result};

/// A secret in memory, which nothing shows by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// Takes it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Gives it to who sends it.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// How many characters it has: what may be told of it.
    pub fn length(&self) -> usize {
        self.0.chars().count()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// A secret, a key or a chain of certificates is not larger.
const LIMIT: u64 = 1 << 20;

/// Reads a file that nobody but its owner may read, and the group that is root's: Puppet leaves its keys so.
///
/// # Errors
/// As [`trusted::read`]; [`Error::Refused`] if others may read it.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    let file = trusted::file(path)?;
    let stat = file.metadata().map_err(Error::io("look at", path))?;
    let strangers = if stat.gid() == 0 { 0o037 } else { 0o077 };
    if stat.mode() & strangers != 0 {
        return Err(Error::refused(
            path.display(),
            format!("others may read the secret; chmod 600 {}", path.display()),
        ));
    }
    trusted::read_all(file, path, LIMIT)
}

/// The first line of such a file.
///
/// # Errors
/// As [`read`]; [`Error::Refused`] if there is nothing in that line, or no text.
pub fn first_line(path: &Path) -> Result<String> {
    let text = String::from_utf8(read(path)?).map_err(|_| Error::refused(path.display(), "it is not UTF-8 text"))?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_string()),
        _ => Err(Error::refused(path.display(), "its first line is empty")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_in_memory_is_not_shown() {
        let hidden = Hidden::new("s3crét");
        assert_eq!((format!("{hidden:?}").as_str(), hidden.length(), hidden.reveal()), ("…", 6, "s3crét"));
    }

    #[test]
    fn the_group_that_is_roots_may_read_it_and_no_other() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("key");
        std::fs::write(&path, "s3cret\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o640)).unwrap();
        assert_eq!(first_line(&path).is_ok(), path.metadata().unwrap().gid() == 0);
        if nix::unistd::geteuid().is_root() {
            std::os::unix::fs::chown(&path, None, Some(4711)).unwrap();
            assert!(first_line(&path).is_err());
        }
    }

    /// W43: the file mode of the secret is never checked.
    #[test]
    fn w43_a_secret_that_others_may_read_is_refused_with_the_remedy() {
        let scratch = tempfile::tempdir().unwrap();
        let path = scratch.path().join("secret");
        std::fs::write(&path, "s3cret\nmore\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        assert_eq!(first_line(&path).unwrap(), "s3cret");
        for mode in [0o604, 0o644] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let words = first_line(&path).unwrap_err().to_string();
            assert!(words.contains("chmod 600") && !words.contains("s3cret"), "{words}");
        }
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        std::fs::write(&path, "\nx").unwrap();
        assert!(first_line(&path).is_err());
    }
}
