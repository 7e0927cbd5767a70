//! Whether a script may be run, by root or by the user whose own it is.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::shebang;
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::links;
use crate::sys::trusted::{self, Rule};
use crate::sys::user::User;

/// Whose a script is: its file is his, and he is who runs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Root's, or ours where we are not root.
    Root,
    /// A user's own, below his home.
    User(Arc<User>),
}

impl Whose {
    /// The rule for everything on the way to the script.
    pub fn rule(&self) -> Rule {
        match self {
            Self::Root => Rule::Root,
            Self::User(user) => Rule::User(user.uid),
        }
    }

    /// The user to become, if there is one.
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Root => None,
            Self::User(user) => Some(user),
        }
    }
}

/// A script that was judged. As long as it lives, its file is open, so its inode cannot become another file's.
#[derive(Debug)]
pub struct Script {
    /// Where it is inside the root, no link on the way.
    pub program: PathBuf,
    file: File,
}

impl Script {
    /// Judges the script that a path leads to: a regular file of its owner's, executable, written by nobody else, and so all
    /// directories and links on the way.
    ///
    /// # Errors
    /// [`Error::Refused`] with the component at fault and the remedy.
    pub fn judge(paths: &Paths, path: &Path, whose: &Whose) -> Result<Self> {
        let program =
            links::resolve(paths.root(), &paths.inside(path), whose.rule()).map_err(|error| dangling(error, path))?;
        let file = trusted::file_by(&paths.at(&program), whose.rule())?;
        let stat = metadata(&file, path)?;
        if let Some(user) = whose.user().filter(|user| user.uid != stat.uid()) {
            let (is, name) = (stat.uid(), &user.name);
            let why = format!("it belongs to user {is}, and {name} would run it; chown {name} it, or take it away");
            return Err(Error::refused(path.display(), why));
        }
        if stat.mode() & 0o100 == 0 {
            return Err(Error::refused(path.display(), "it is not executable; chmod +x it, or take it away"));
        }
        Ok(Self { program, file })
    }

    /// Whether the path still leads to what was judged.
    ///
    /// # Errors
    /// [`Error::Refused`] if somebody has exchanged it since.
    pub fn check(&self, paths: &Paths) -> Result<()> {
        self.leads(&paths.at(&self.program))
    }

    /// Whether this path, its links followed, leads to what was judged.
    ///
    /// # Errors
    /// As [`Script::check`].
    pub fn leads(&self, path: &Path) -> Result<()> {
        let judged = metadata(&self.file, path)?;
        let now = std::fs::metadata(path).map_err(Error::io("look at", path))?;
        if (judged.dev(), judged.ino()) == (now.dev(), now.ino()) {
            return Ok(());
        }
        Err(Error::refused(path.display(), "it was exchanged while it was being judged; run this again"))
    }

    /// What is wrong with it, if it could not be started.
    pub fn why_not(&self) -> Option<String> {
        let mut head = [0; 256];
        let bytes = self.file.read_at(&mut head, 0).ok()?;
        shebang::fault(&head[..bytes])
    }
}

/// Of a link that leads to nothing, the link is at fault.
fn dangling(error: Error, path: &Path) -> Error {
    if error.is_missing() && path.is_symlink() {
        return Error::refused(path.display(), format!("it leads to nothing; take it away ({error})"));
    }
    error
}

fn metadata(file: &File, path: &Path) -> Result<std::fs::Metadata> {
    file.metadata().map_err(Error::io("look at", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    fn root() -> (tempfile::TempDir, Paths, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let paths = Paths::below_root(dir.path()).unwrap();
        let scripts = paths.at("/etc/x.d");
        std::fs::create_dir_all(&scripts).unwrap();
        std::fs::create_dir_all(paths.at("/usr/bin")).unwrap();
        (dir, paths, scripts)
    }

    fn script(path: &Path, mode: u32) {
        std::fs::write(path, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn words(paths: &Paths, path: &Path) -> String {
        Script::judge(paths, path, &Whose::Root).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_script_of_roots_is_fit() {
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o755);
        let fit = Script::judge(&paths, &dir.join("a"), &Whose::Root).unwrap();
        assert_eq!(fit.program, Path::new("/etc/x.d/a"));
        fit.check(&paths).unwrap();
    }

    #[test]
    fn w25_what_is_not_executable_or_can_be_written_by_others_is_refused() {
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o644);
        assert!(words(&paths, &dir.join("a")).contains("not executable"));
        script(&dir.join("b"), 0o775);
        assert!(words(&paths, &dir.join("b")).contains("mode 0775"));
        std::fs::create_dir(dir.join("c")).unwrap();
        assert!(words(&paths, &dir.join("c")).contains("not a regular file"));
        nix::unistd::mkfifo(&dir.join("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(words(&paths, &dir.join("fifo")).contains("not a regular file"));
        std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o777)).unwrap();
        script(&dir.join("d"), 0o755);
        assert!(words(&paths, &dir.join("d")).contains("mode 0777"));
    }

    #[test]
    fn a_link_is_followed_inside_the_root_and_both_ends_are_judged() {
        let (_keep, paths, dir) = root();
        symlink("usr/bin", paths.at("/bin")).unwrap();
        script(&paths.at("/usr/bin/tool"), 0o755);
        symlink("/bin/tool", dir.join("a")).unwrap();
        assert_eq!(Script::judge(&paths, &dir.join("a"), &Whose::Root).unwrap().program, Path::new("/usr/bin/tool"));
        std::fs::set_permissions(paths.at("/usr/bin"), std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(words(&paths, &dir.join("a")).contains("mode 0777"));
    }

    #[test]
    fn a_strangers_link_is_refused_though_its_target_is_fit() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o755);
        symlink("a", dir.join("b")).unwrap();
        std::os::unix::fs::lchown(dir.join("b"), Some(4711), None).unwrap();
        assert!(words(&paths, &dir.join("b")).contains("user 4711"));
    }

    #[test]
    fn links_that_lead_nowhere_or_in_a_circle_are_errors() {
        let (_keep, paths, dir) = root();
        symlink("a", dir.join("a")).unwrap();
        symlink("../../../../nowhere", dir.join("b")).unwrap();
        assert!(words(&paths, &dir.join("a")).contains("circle"));
        assert!(words(&paths, &dir.join("b")).contains("b: it leads to nothing; take it away"));
    }

    #[test]
    fn w24_a_script_that_was_exchanged_is_noticed() {
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o755);
        let fit = Script::judge(&paths, &dir.join("a"), &Whose::Root).unwrap();
        script(&dir.join("b"), 0o755);
        std::fs::rename(dir.join("b"), dir.join("a")).unwrap();
        assert!(fit.check(&paths).is_err());
    }

    #[test]
    fn w31_a_users_script_is_his_own_and_nobody_elses() {
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let (_keep, paths, dir) = root();
        let user = User { name: "app".into(), uid: 4711, gid: 4711, groups: vec![4711], home: "/".into() };
        let his = Whose::User(Arc::new(user));
        script(&dir.join("a"), 0o755);
        let words = Script::judge(&paths, &dir.join("a"), &his).unwrap_err().to_string();
        assert!(words.contains("app would run it"), "{words}");
        std::os::unix::fs::chown(&dir, Some(4711), None).unwrap();
        std::os::unix::fs::chown(dir.join("a"), Some(4711), None).unwrap();
        Script::judge(&paths, &dir.join("a"), &his).unwrap();
        assert!(words_of(Script::judge(&paths, &dir.join("a"), &Whose::Root)).contains("user 4711"));
        std::os::unix::fs::chown(dir.join("a"), Some(4712), None).unwrap();
        assert!(words_of(Script::judge(&paths, &dir.join("a"), &his)).contains("user 4712"));
    }

    fn words_of(judged: Result<Script>) -> String {
        judged.unwrap_err().to_string()
    }
}
