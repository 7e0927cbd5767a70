//! What lies in a script directory: what would run, in which order, and what would not.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::sys::stat::SFlag;

use super::judge::{Script, Whose};
use super::select::{Reason, select};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::links;
use crate::sys::user::User;

/// A script that was judged. It is judged again before it runs: one that runs before it may be a new version of both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the directory.
    pub name: String,
    /// Its path as the directory was named, which is the `$0` of the script. Inside the root.
    pub path: PathBuf,
    /// Whose it is, and who runs it.
    pub whose: Whose,
}

/// A directory, gone through.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listed {
    /// What would run, in its order.
    pub scripts: Vec<Entry>,
    /// What would not, and why.
    pub skipped: Vec<(PathBuf, Reason)>,
}

impl Listed {
    /// Puts the scripts of another directory among these: one order for all, by name. Of the same name, ours run first.
    pub fn merge(&mut self, other: Self) {
        self.scripts.extend(other.scripts);
        self.scripts.sort_by(|a, b| a.name.cmp(&b.name));
        self.skipped.extend(other.skipped);
    }
}

/// Judges a directory and every script in it. `None` means that there is no such directory: what that means is the caller's to know.
///
/// # Errors
/// [`Error::Refused`] with the first that is unfit and the remedy: to skip it would be agreeing without having been asked.
pub fn list(paths: &Paths, dir: &Path, whose: &Whose) -> Result<Option<Listed>> {
    let inside = paths.inside(dir);
    match std::fs::symlink_metadata(paths.at(&inside)) {
        Ok(_) => {}
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(why) => return Err(Error::io("look at", dir)(why)),
    }
    let real = links::resolve(paths.root(), &inside, whose.rule())?;
    let open = Dir::open_by(&paths.at(real), whose.rule())?;
    let names = select(open.names()?);
    let mut listed = Listed::default();
    for name in names.run {
        let path = inside.join(&name);
        // The first is what stands for bytes that are no text; a name is written into the log and the state line by line.
        if name.contains(|c: char| c == '\u{fffd}' || c.is_control()) {
            return Err(Error::refused(path.display(), "its name is not plain text; rename it"));
        }
        if is_directory(paths, &open, &name, &path, whose)? {
            listed.skipped.push((path, Reason::Directory));
            continue;
        }
        Script::judge(paths, &paths.at(&path), whose)?;
        listed.scripts.push(Entry { name, path, whose: whose.clone() });
    }
    listed.skipped.extend(names.skipped.into_iter().map(|(name, reason)| (inside.join(name), reason)));
    Ok(Some(listed))
}

/// Whether a name is a directory, or a link to one. A link that leads nowhere is a script that cannot be started, and told then.
fn is_directory(paths: &Paths, dir: &Dir, name: &str, path: &Path, whose: &Whose) -> Result<bool> {
    let kind = dir.look(name)?.map(|stat| SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()));
    if kind == Some(SFlag::S_IFLNK) {
        return Ok(links::resolve(paths.root(), path, whose.rule()).is_ok_and(|target| paths.at(target).is_dir()));
    }
    Ok(kind == Some(SFlag::S_IFDIR))
}

/// The directory of a user's own scripts that belongs to one of root's: `~user/dlm_engine_updater/pre_update.d`.
pub fn of_user(user: &User, name: &str) -> PathBuf {
    user.home.join("dlm_engine_updater").join(name)
}

/// Judges the scripts of these users, with this name of a directory. A user who has no such directory has no scripts.
///
/// # Errors
/// As [`list`].
pub fn list_users(paths: &Paths, users: &[Arc<User>], name: &str) -> Result<Listed> {
    let mut all = Listed::default();
    for user in users {
        if let Some(listed) = list(paths, &of_user(user, name), &Whose::User(Arc::clone(user)))? {
            all.merge(listed);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    fn scripts(dir: &Path, names: &[&str]) {
        std::fs::create_dir_all(dir).unwrap();
        for name in names {
            std::fs::write(dir.join(name), "#!/bin/sh\n").unwrap();
            std::fs::set_permissions(dir.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
    }

    fn names(listed: &Listed) -> Vec<&str> {
        listed.scripts.iter().map(|entry| entry.name.as_str()).collect()
    }

    #[test]
    fn what_runs_is_told_from_what_does_not() {
        let scratch = tempfile::tempdir().unwrap();
        scripts(scratch.path(), &["20-b", "10-a", "10-a~", ".x"]);
        std::fs::create_dir(scratch.path().join("lib")).unwrap();
        symlink("lib", scratch.path().join("old")).unwrap();
        let listed = list(&Paths::system(), scratch.path(), &Whose::Root).unwrap().unwrap();
        assert_eq!(names(&listed), ["10-a", "20-b"]);
        assert_eq!(listed.scripts[0].path, scratch.path().join("10-a"));
        let why: Vec<_> = listed.skipped.iter().map(|(_, reason)| *reason).collect();
        assert_eq!(why, [Reason::Directory, Reason::Directory, Reason::Hidden, Reason::Leftover]);
    }

    #[test]
    fn w26_a_directory_that_is_not_there_is_not_an_empty_one() {
        let scratch = tempfile::tempdir().unwrap();
        let system = Paths::system();
        assert_eq!(list(&system, &scratch.path().join("none"), &Whose::Root).unwrap(), None);
        assert_eq!(list(&system, scratch.path(), &Whose::Root).unwrap(), Some(Listed::default()));
        symlink("none", scratch.path().join("dangling")).unwrap();
        assert!(list(&system, &scratch.path().join("dangling"), &Whose::Root).is_err());
        std::fs::write(scratch.path().join("file"), "").unwrap();
        assert!(list(&system, &scratch.path().join("file"), &Whose::Root).is_err());
    }

    #[test]
    fn w24_a_directory_that_others_can_write_is_refused_though_it_is_empty() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::set_permissions(scratch.path(), std::fs::Permissions::from_mode(0o775)).unwrap();
        let words = list(&Paths::system(), scratch.path(), &Whose::Root).unwrap_err().to_string();
        assert!(words.contains("mode 0775"), "{words}");
    }

    #[test]
    fn a_linked_directory_keeps_its_name_and_a_circle_in_it_is_refused() {
        let scratch = tempfile::tempdir().unwrap();
        scripts(&scratch.path().join("real"), &["a"]);
        let dir = scratch.path().join("update.d");
        symlink("real", &dir).unwrap();
        let listed = list(&Paths::system(), &dir, &Whose::Root).unwrap().unwrap();
        assert_eq!(listed.scripts[0].path, dir.join("a"));
        symlink("loop", scratch.path().join("real/loop")).unwrap();
        let words = list(&Paths::system(), &dir, &Whose::Root).unwrap_err().to_string();
        assert!(words.contains("update.d/loop") && words.contains("circle"), "{words}");
    }

    #[test]
    fn a_name_that_would_forge_a_line_or_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStrExt;
        for name in [&b"a\nb"[..], b"a\xff"] {
            let scratch = tempfile::tempdir().unwrap();
            std::fs::write(scratch.path().join(std::ffi::OsStr::from_bytes(name)), "").unwrap();
            let words = list(&Paths::system(), scratch.path(), &Whose::Root).unwrap_err().to_string();
            assert!(words.contains("rename it"), "{words}");
        }
    }

    #[test]
    fn w31_users_scripts_and_roots_run_in_one_order() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let scratch = tempfile::tempdir().unwrap();
        scripts(&scratch.path().join("root.d"), &["10-x", "30-x"]);
        let user =
            User { name: "app".into(), uid: 4711, gid: 4711, groups: vec![4711], home: scratch.path().join("app") };
        let his = of_user(&user, "pre_update.d");
        scripts(&his, &["10-x", "20-x"]);
        for path in [scratch.path().join("app"), his.clone(), his.join("10-x"), his.join("20-x")] {
            chown(path, Some(4711), None).unwrap();
        }
        let system = Paths::system();
        let mut all = list(&system, &scratch.path().join("root.d"), &Whose::Root).unwrap().unwrap();
        all.merge(list_users(&system, &[Arc::new(user)], "pre_update.d").unwrap());
        assert_eq!(names(&all), ["10-x", "10-x", "20-x", "30-x"]);
        let users: Vec<_> = all.scripts.iter().map(|entry| entry.whose.user().map(|user| user.uid)).collect();
        assert_eq!(users, [None, Some(4711), Some(4711), None]);
    }
}
