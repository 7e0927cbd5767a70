//! The newest cluster that this host has taken, of each release: an older one offered later comes from an old copy of the tree.

use std::path::Path;

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::replace;

const NAME: &str = "sequence";
const LIMIT: u64 = 64 << 10;

/// The last sequence number that was remembered for a release; `None` before the first.
///
/// # Errors
/// [`Error::Refused`] if the file is damaged.
pub fn last(paths: &Paths, base: &Path, release: &str) -> Result<Option<u64>> {
    match Dir::open(&paths.at(base)) {
        Ok(dir) => Ok(find(&read(&dir)?, release)),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Remembers, durably, that this host has taken a cluster. A smaller number than the remembered one changes nothing.
///
/// # Errors
/// As [`last`]; [`Error::Io`].
pub fn remember(paths: &Paths, base: &Path, release: &str, sequence: u64) -> Result<()> {
    let dir = Dir::create(&paths.at(base), 0o755)?;
    let mut known = read(&dir)?;
    if find(&known, release).is_some_and(|last| last >= sequence) {
        return Ok(());
    }
    known.retain(|(name, _)| name != release);
    known.push((release.to_string(), sequence));
    known.sort();
    let lines: Vec<String> = known.iter().map(|(name, number)| format!("{name} {number}\n")).collect();
    replace::replace(&dir, NAME, lines.concat().as_bytes(), 0o644)
}

fn find(known: &[(String, u64)], release: &str) -> Option<u64> {
    known.iter().find(|(name, _)| name == release).map(|(_, number)| *number)
}

/// One line a release: `debian-12/amd64 7`.
fn read(dir: &Dir) -> Result<Vec<(String, u64)>> {
    let Some(bytes) = dir.read(NAME, LIMIT)? else { return Ok(Vec::new()) };
    let text = String::from_utf8_lossy(&bytes);
    let line = |line: &str| {
        let (release, number) = line.split_once(' ')?;
        Some((release.to_string(), number.parse().ok()?))
    };
    let lines: Option<Vec<_>> = text.lines().map(line).collect();
    lines.ok_or_else(|| {
        let why = "it is damaged; write RELEASE NUMBER into it, a line each, or remove it and any cluster is taken";
        Error::refused(dir.join(NAME).display(), why)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_greatest_number_of_each_release_is_remembered() {
        let root = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(root.path()).unwrap();
        let base = Path::new("/var/lib/patch");
        assert_eq!(last(&paths, base, "debian-12/amd64").unwrap(), None);
        for (release, number) in [("debian-12/amd64", 7), ("rocky-9/amd64", 2), ("debian-12/amd64", 6)] {
            remember(&paths, base, release, number).unwrap();
        }
        assert_eq!(last(&paths, base, "debian-12/amd64").unwrap(), Some(7));
        assert_eq!(last(&paths, base, "rocky-9/amd64").unwrap(), Some(2));
        std::fs::write(paths.at("/var/lib/patch/sequence"), "debian-12/amd64 seven\n").unwrap();
        assert!(matches!(last(&paths, base, "debian-12/amd64"), Err(Error::Refused { .. })), "damage is no zero");
    }
}
