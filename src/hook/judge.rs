//! Whether a script may be run by root.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::trusted;

/// As many links in a row as the kernel follows (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// A script that was judged. As long as it lives, its file is open, so its inode cannot become another file's.
#[derive(Debug)]
pub struct Script {
    /// Where it is inside the root, no link on the way.
    pub program: PathBuf,
    file: File,
}

impl Script {
    /// Judges the script that a name of a directory leads to: root's own, regular, executable, written by nobody else,
    /// and so all directories and links on the way.
    ///
    /// # Errors
    /// [`Error::Refused`] with the component at fault and the remedy.
    pub fn judge(paths: &Paths, path: &Path) -> Result<Self> {
        let program = resolve(paths, &paths.inside(path))?;
        let file = trusted::file(&paths.at(&program))?;
        let mode = metadata(&file, path)?.mode();
        if mode & 0o111 == 0 {
            return Err(Error::refused(path.display(), "it is not executable; chmod +x it, or take it away"));
        }
        Ok(Self { program, file })
    }

    /// Whether the path still leads to what was judged.
    ///
    /// # Errors
    /// [`Error::Refused`] if somebody has exchanged it since.
    pub fn check(&self, paths: &Paths) -> Result<()> {
        let path = paths.at(&self.program);
        let judged = metadata(&self.file, &path)?;
        let now = std::fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
        if (judged.dev(), judged.ino()) == (now.dev(), now.ino()) {
            return Ok(());
        }
        Err(Error::refused(path.display(), "it was exchanged while it was being judged; run this again"))
    }
}

fn metadata(file: &File, path: &Path) -> Result<std::fs::Metadata> {
    file.metadata().map_err(Error::io("look at", path))
}

/// Follows the links of a path as a process inside the root would, and judges each of them and the directory it lies in.
fn resolve(paths: &Paths, path: &Path) -> Result<PathBuf> {
    let mut walked = PathBuf::from("/");
    let mut ahead = names(path);
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            walked.pop();
            continue;
        }
        let next = walked.join(&name);
        let real = paths.at(&next);
        let stat = std::fs::symlink_metadata(&real).map_err(Error::io("look at", &real))?;
        if !stat.is_symlink() {
            walked = next;
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Error::refused(path.display(), "its links lead in a circle; correct them"));
        }
        if stat.uid() != 0 && stat.uid() != nix::unistd::geteuid().as_raw() {
            let why = format!("the link belongs to user {}, not to root; chown -h root it if it is right", stat.uid());
            return Err(Error::refused(real.display(), why));
        }
        trusted::directory(&paths.at(&walked))?;
        let target = std::fs::read_link(&real).map_err(Error::io("read", &real))?;
        if target.is_absolute() {
            walked = PathBuf::from("/");
        }
        let mut new = names(&target);
        new.append(&mut ahead);
        ahead = new;
    }
    Ok(walked)
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component| match component {
        Component::Normal(name) => Some(name.to_os_string()),
        Component::ParentDir => Some("..".into()),
        _ => None,
    };
    path.components().filter_map(name).collect()
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
        Script::judge(paths, path).unwrap_err().to_string()
    }

    #[test]
    fn a_plain_script_of_roots_is_fit() {
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o755);
        let fit = Script::judge(&paths, &dir.join("a")).unwrap();
        assert_eq!(fit.program, Path::new("/etc/x.d/a"));
        fit.check(&paths).unwrap();
    }

    #[test]
    fn what_is_not_executable_or_can_be_written_by_others_is_refused() {
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
        assert_eq!(Script::judge(&paths, &dir.join("a")).unwrap().program, Path::new("/usr/bin/tool"));
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
        assert!(Script::judge(&paths, &dir.join("b")).unwrap_err().is_missing());
    }

    #[test]
    fn a_script_that_was_exchanged_is_noticed() {
        let (_keep, paths, dir) = root();
        script(&dir.join("a"), 0o755);
        let fit = Script::judge(&paths, &dir.join("a")).unwrap();
        script(&dir.join("b"), 0o755);
        std::fs::rename(dir.join("b"), dir.join("a")).unwrap();
        assert!(fit.check(&paths).is_err());
    }
}
