//! Where a path leads when links are allowed, each of them judged.
//!
//! A link is as good as whoever can change it: it must belong to whom the rule allows, and so must every directory that it lies in.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use super::trusted::{self, Rule};
use crate::error::{Error, Result};

/// As many links in a row as the kernel follows (`MAXSYMLINKS`).
const LINKS: usize = 40;

/// Follows the links of a path as a process inside `root` would, and judges each of them and the directory it lies in. Both the
/// path and the answer are as seen from inside.
///
/// # Errors
/// [`Error::Refused`] for a link that others could change or that leads in a circle, [`Error::Io`] where there is nothing.
pub fn resolve(root: &Path, path: &Path, rule: Rule) -> Result<PathBuf> {
    follow(root, path, rule, Missing::Fails)
}

/// The same for a file that is to be made, with directories above it that may still have to be made: the links of the directories that
/// are there are followed, as `/var/run` is one; the file itself stays as it is named.
///
/// # Errors
/// As [`resolve`], but that there is nothing is none.
pub fn above(root: &Path, path: &Path, rule: Rule) -> Result<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else { return Ok(path.to_path_buf()) };
    Ok(follow(root, dir, rule, Missing::WillBeMade)?.join(name))
}

/// What it means that there is nothing under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Missing {
    Fails,
    WillBeMade,
}

fn follow(root: &Path, path: &Path, rule: Rule, missing: Missing) -> Result<PathBuf> {
    let at = |inside: &Path| root.join(inside.strip_prefix("/").unwrap_or(inside));
    let mut walked = PathBuf::from("/");
    let mut ahead = names(path);
    let mut links = 0;
    while let Some(name) = ahead.pop_front() {
        if name == ".." {
            walked.pop();
            continue;
        }
        let next = walked.join(&name);
        let real = at(&next);
        let stat = match std::fs::symlink_metadata(&real) {
            Err(why) if why.kind() == ErrorKind::NotFound && missing == Missing::WillBeMade => {
                walked = next;
                continue;
            }
            other => other.map_err(Error::io("look at", &real))?,
        };
        if !stat.is_symlink() {
            walked = next;
            continue;
        }
        links += 1;
        if links > LINKS {
            return Err(Error::refused(path.display(), "its links lead in a circle; correct them"));
        }
        if let Err(why) = rule.owner(stat.uid()) {
            let why = format!("the link is a stranger's: {why}; chown -h root it if it is right");
            return Err(Error::refused(real.display(), why));
        }
        trusted::directory_by(&at(&walked), rule)?;
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
    use std::os::unix::fs::symlink;

    #[test]
    fn a_file_that_is_to_be_made_lies_where_the_links_above_it_lead() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(scratch.path().join("run")).unwrap();
        std::fs::create_dir_all(scratch.path().join("var")).unwrap();
        symlink("../run", scratch.path().join("var/run")).unwrap();
        let of = |path: &str| above(scratch.path(), Path::new(path), Rule::Root).unwrap();
        assert_eq!(of("/var/run/updater.lock"), Path::new("/run/updater.lock"));
        assert_eq!(of("/var/run/updater/a/lock"), Path::new("/run/updater/a/lock"));
        assert_eq!(of("/opt/updater/state"), Path::new("/opt/updater/state"));
        // A link in the file's own place is for whoever opens it.
        symlink("/etc/passwd", scratch.path().join("run/log")).unwrap();
        assert_eq!(of("/var/run/log"), Path::new("/run/log"));
    }

    #[test]
    fn a_path_is_followed_as_from_inside_the_root() {
        let scratch = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(scratch.path().join("srv/scripts")).unwrap();
        symlink("/srv/scripts", scratch.path().join("update.d")).unwrap();
        let real = resolve(scratch.path(), Path::new("/update.d"), Rule::Root).unwrap();
        assert_eq!(real, Path::new("/srv/scripts"));
    }

    #[test]
    fn a_circle_of_links_is_refused_and_names_what_was_asked_for() {
        let scratch = tempfile::tempdir().unwrap();
        symlink("b", scratch.path().join("a")).unwrap();
        symlink("a", scratch.path().join("b")).unwrap();
        let words = resolve(scratch.path(), Path::new("/a/x"), Rule::Root).unwrap_err().to_string();
        assert!(words.contains("/a/x") && words.contains("circle"), "{words}");
    }
}
