//! The directories in which a git repository keeps itself: usually one; more for a worktree, and where it borrows objects.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::paths::Paths;

/// A repository that borrows from one that borrows has to end somewhere, as for git.
const BORROWED: usize = 16;

/// All directories of the repository whose own is `git_dir`, as seen from inside the root.
///
/// # Errors
/// [`Error::Refused`] if they are too many, [`Error::Io`] if a file that names one cannot be read.
pub fn of(paths: &Paths, git_dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = vec![git_dir.to_path_buf()];
    // Of a worktree: the repository itself.
    if let Some(line) = lines(paths, &git_dir.join("commondir"))?.first() {
        found.push(plain(&git_dir.join(line)));
    }
    let mut next: Vec<PathBuf> = found.iter().map(|dir| dir.join("objects")).collect();
    while let Some(objects) = next.pop() {
        for line in lines(paths, &objects.join("info/alternates"))? {
            let borrowed = plain(&objects.join(line));
            if found.len() > BORROWED {
                return Err(Error::refused(git_dir.display(), "it borrows objects from too many repositories"));
            }
            if !found.contains(&borrowed) {
                found.push(borrowed.clone());
                next.push(borrowed);
            }
        }
    }
    Ok(found)
}

/// The lines of a file that need not be there.
fn lines(paths: &Paths, file: &Path) -> Result<Vec<PathBuf>> {
    let path = paths.at(file);
    let bytes = match std::fs::read(&path) {
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(Error::io("read", &path))?,
    };
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty() && line[0] != b'#');
    Ok(lines.map(|line| PathBuf::from(OsStr::from_bytes(line))).collect())
}

/// A path without `..`, by its text alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worktree_and_borrowed_objects_are_followed() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("main/.git/worktrees/w");
        let info = dir.path().join("main/.git/objects/info");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::create_dir_all(&info).unwrap();
        std::fs::write(own.join("commondir"), "../..\n").unwrap();
        std::fs::write(info.join("alternates"), "# from\n../../../other/objects\n/srv/third/objects\n").unwrap();
        let found = of(&Paths::system(), &own).unwrap();
        let expected = ["main/.git/worktrees/w", "main/.git", "other/objects"].map(|name| dir.path().join(name));
        assert_eq!(found[..3], expected);
        assert_eq!(found[3], Path::new("/srv/third/objects"));
    }
}
