//! The git repository in which the modules' directory is: its tags, and the content of a module at one of them. All by the system's
//! own git, which runs no hook and no helper of the repository for it, and whose index stays as it is.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::name::Name;
use super::version::{Tag, Version};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::process::{Finished, Job};
use crate::sys::trusted;

mod store;

/// git gets TERM after this time.
const TIME: Duration = Duration::from_mins(10);
const GRACE: Duration = Duration::from_secs(10);
/// What in a repository says that somebody is in the middle of something.
const UNDER_WAY: [(&str, &str); 5] = [
    ("MERGE_HEAD", "a merge"),
    ("rebase-merge", "a rebase"),
    ("rebase-apply", "a rebase"),
    ("CHERRY_PICK_HEAD", "a cherry-pick"),
    ("REVERT_HEAD", "a revert"),
];
/// The mode of a submodule in a tree.
const SUBMODULE: &str = "160000 ";

/// A repository, judged.
#[derive(Debug)]
pub struct Repo {
    root: PathBuf,
    /// The directory of the modules, as git is to see it.
    modules: PathBuf,
    /// The same below the top of the repository, with its slash, or nothing.
    prefix: String,
    git_dir: PathBuf,
}

impl Repo {
    /// Finds the repository of a directory, as seen from inside the root.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is no git or no repository, [`Error::Refused`] if others could change it.
    pub fn find(paths: &Paths, modules: &Path) -> Result<Self> {
        let mut repo = Self {
            root: paths.root().to_path_buf(),
            modules: modules.to_path_buf(),
            prefix: String::new(),
            git_dir: PathBuf::new(),
        };
        let found = repo.git(&["rev-parse", "--show-prefix", "--absolute-git-dir"])?;
        if found.text().contains("dubious ownership") {
            let why = "its git repository belongs to another user, who decides what git does there; chown -R root it";
            return Err(Error::refused(modules.display(), why));
        }
        if !found.is_success() {
            let why = format!("it must be in a git repository: {}", reason(&found));
            return Err(Error::failed("look for versions in", modules.display(), why));
        }
        let text = found.text();
        let mut lines = text.lines();
        repo.prefix = lines.next().unwrap_or_default().to_string();
        repo.git_dir = PathBuf::from(lines.next().unwrap_or_default());
        // Who can write there decides what git does, and what a tag holds: its configuration names programs, and nobody hashes its
        // packs again.
        for store in store::of(paths, &repo.git_dir)? {
            trusted::below(&paths.at(store))?;
        }
        Ok(repo)
    }

    /// Whether nobody is in the middle of something.
    ///
    /// # Errors
    /// [`Error::Refused`] that says of what.
    pub fn check_at_rest(&self, paths: &Paths) -> Result<()> {
        let is_there = |file: &str| paths.at(self.git_dir.join(file)).symlink_metadata().is_ok();
        match UNDER_WAY.iter().find(|(file, _)| is_there(file)) {
            Some((_, what)) => {
                let why = format!("{what} is under way in its repository; finish or abort it first");
                Err(Error::refused(self.modules.display(), why))
            }
            None => Ok(()),
        }
    }

    /// The tags of a module, the newest version first, and of one version the newest tag.
    ///
    /// # Errors
    /// [`Error::Failed`] if git cannot tell.
    pub fn tags<'n>(&self, name: &Name, all: &(impl Iterator<Item = &'n Name> + Clone)) -> Result<Vec<Tag>> {
        let pattern = format!("refs/tags/{name}-v*");
        let done = self.must("list the tags of", name, &["for-each-ref", "--format=%(refname:strip=2)", &pattern])?;
        let mut tags: Vec<Tag> = done.text().lines().filter_map(|tag| Tag::parse(tag, name, all.clone())).collect();
        tags.sort_by(|a, b| (&b.version, b.time, &b.text).cmp(&(&a.version, a.time, &a.text)));
        Ok(tags)
    }

    /// The newest tag of a version.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is none.
    pub fn tag_of<'n>(
        &self,
        name: &Name,
        version: &Version,
        all: &(impl Iterator<Item = &'n Name> + Clone),
    ) -> Result<Tag> {
        let found = self.tags(name, all)?.into_iter().find(|tag| tag.version == *version);
        found.ok_or_else(|| {
            let why = format!(
                "no tag {name}-v{version}-TIME is in the repository; see patch-modules versions {name}, or fetch tags"
            );
            Error::failed("find", format!("version {version} of {name}"), why)
        })
    }

    /// Puts what a tag holds of a module into an empty directory. `index` is a file that git may write to meanwhile. Both as seen from
    /// inside the root.
    ///
    /// # Errors
    /// [`Error::Failed`] if the tag points nowhere, or does not hold the module whole.
    pub fn check_out(&self, name: &Name, tag: &Tag, draft: &Path, index: &Path) -> Result<()> {
        let commit = format!("refs/tags/{}^{{commit}}", tag.text);
        if !self.git(&["cat-file", "-e", &commit])?.is_success() {
            let why = "it points to nothing that is here, or to no commit; fetch it again, or remove it";
            return Err(Error::failed("use", format!("tag {}", tag.text), why));
        }
        let tree = format!("{commit}:{}{name}", self.prefix);
        let kind = self.git(&["cat-file", "-t", &tree])?;
        if !kind.is_success() || kind.text().trim() != "tree" {
            let why = format!("the module is not in it: there is no directory {}{name}", self.prefix);
            return Err(Error::failed("use", format!("tag {}", tag.text), why));
        }
        let listed = self.must("read", name, &["ls-tree", "-r", &tree])?;
        if listed.text().lines().any(|line| line.starts_with(SUBMODULE)) {
            return Err(Error::failed(
                "use",
                format!("tag {}", tag.text),
                "the module holds a submodule; it must be complete",
            ));
        }
        for words in [&["read-tree", &tree][..], &["checkout-index", "--all", "--force"]] {
            let job = self.job(draft, words).env("GIT_INDEX_FILE", index).env("GIT_WORK_TREE", draft);
            let done = job.env("GIT_DIR", &self.git_dir).run().map_err(no_git)?;
            if !done.is_success() {
                return Err(Error::failed("check out", format!("tag {}", tag.text), reason(&done)));
            }
        }
        Ok(())
    }

    /// Tags what is committed of a module.
    ///
    /// # Errors
    /// [`Error::Failed`] if something of it is not committed, or the tag is there already.
    pub fn tag(&self, name: &Name, tag: &Tag) -> Result<()> {
        let changed = self.must("look at", name, &["status", "--porcelain", "--", name.as_str()])?;
        if let Some(line) = changed.text().lines().next() {
            return Err(Error::failed("tag", name, format!("it has changes that are not committed: {}", line.trim())));
        }
        let tree = format!("HEAD:{}{name}", self.prefix);
        if !self.git(&["cat-file", "-e", &tree])?.is_success() {
            return Err(Error::failed("tag", name, "it is not committed; git add and git commit it first"));
        }
        self.must("tag", name, &["tag", &tag.text, "HEAD"]).map(|_| ())
    }

    fn must(&self, verb: &'static str, name: &Name, words: &[&str]) -> Result<Finished> {
        let done = self.git(words)?;
        if done.is_success() { Ok(done) } else { Err(Error::failed(verb, name, reason(&done))) }
    }

    fn git(&self, words: &[&str]) -> Result<Finished> {
        self.job(&self.modules, words).run().map_err(no_git)
    }

    fn job(&self, dir: &Path, words: &[&str]) -> Job {
        let own = ["-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "gc.auto=0"];
        let first = [OsStr::new("git"), OsStr::new("-C"), dir.as_os_str()];
        let words = first.into_iter().chain(own.iter().chain(words).map(OsStr::new));
        Job::new(words).inside(&self.root).deadline(TIME, GRACE).env("GIT_TERMINAL_PROMPT", "0")
    }
}

fn no_git(error: Error) -> Error {
    if error.is_missing() { Error::failed("run", "git", "it is not there; install git") } else { error }
}

/// What git said, in one line.
fn reason(done: &Finished) -> String {
    let text = done.text();
    let line = text.lines().find(|line| line.starts_with("fatal: ") || line.starts_with("error: "));
    line.map_or_else(|| done.reason(), |line| line.split_once(": ").map_or(line, |(_, words)| words).to_string())
}
