//! A whole tree that decides what root executes, made by another program: a git repository, a virtual environment.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Rule, directory};
use crate::error::{Error, Result};

/// Judges a directory, every directory above it, and all that is below it. Links may lead anywhere; they must be root's as well.
///
/// # Errors
/// [`Error::Refused`] names the first entry that others own or can change, and the remedy for all of them.
pub fn below(top: &Path) -> Result<()> {
    directory(top)?;
    let mut open = vec![top.to_path_buf()];
    while let Some(dir) = open.pop() {
        // Nobody else can exchange an entry of a directory that was judged: its path is as good as a descriptor.
        let entries = std::fs::read_dir(&dir).map_err(Error::io("read", &dir))?;
        for entry in entries {
            let entry = entry.map_err(Error::io("read", &dir))?;
            let path = entry.path();
            let seen = match entry.metadata() {
                // git and pip remove files of their own while we look.
                Err(why) if why.kind() == std::io::ErrorKind::NotFound => continue,
                other => other.map_err(Error::io("look at", &path))?,
            };
            judge(&seen).map_err(|(why, remedy)| {
                Error::refused(path.display(), format!("{why}; {remedy} {}", top.display()))
            })?;
            if seen.is_dir() {
                open.push(path);
            }
        }
    }
    Ok(())
}

fn judge(seen: &Metadata) -> std::result::Result<(), (String, &'static str)> {
    Rule::Root.owner(seen.uid()).map_err(|why| (why, "chown -R root"))?;
    let mode = seen.mode() & 0o7777;
    if !seen.is_symlink() && mode & 0o022 != 0 {
        return Err((format!("mode {mode:04o} lets others write"), "chmod -R go-w"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn one_file_deep_down_that_others_can_write_is_named_with_the_remedy_for_all() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        std::fs::write(deep.join("f"), "").unwrap();
        symlink("/tmp", deep.join("link")).unwrap();
        below(dir.path()).unwrap();
        std::fs::set_permissions(deep.join("f"), std::fs::Permissions::from_mode(0o664)).unwrap();
        let words = below(dir.path()).unwrap_err().to_string();
        let expected = format!("mode 0664 lets others write; chmod -R go-w {}", dir.path().display());
        assert!(words.contains("a/b/f") && words.ends_with(&expected), "{words}");
    }
}
