//! The tree on the patch server's own disk.
//!
//! Reading needs no lock: whatever is published is whole. What changes the tree needs [`Store::lock`]. The order of all
//! changes is the promise: files of the pool, then the directory of a cluster, then the history, then the pointer; and
//! backwards for what goes. So at any moment, and after a kill or a power cut at any call, what a pointer names is there.

pub mod confirm;
pub mod history;
pub mod prune;
pub mod publish;
pub mod verify;

use std::path::{Path, PathBuf};

use super::digest;
use super::manifest::{self, Cluster};
use super::pointer::{self, Pointer};
use super::pull;
use super::signature::{self, Verifier};
use super::tree::{self, Level};
use crate::error::{Error, Result};
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};
use crate::sys::trusted::is_plain_name;

/// Where files are kept while they are fetched; on the file system of the pool, out of every reader's sight.
const INCOMING: &str = ".incoming";

/// A tree.
#[derive(Debug)]
pub struct Store {
    tree: PathBuf,
}

impl Store {
    /// The tree at a path. It must be there: one that is not mounted must not be begun anew, its sequence numbers would be
    /// older than what hosts have seen.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is no such directory; [`Error::Refused`] if others can write to it.
    pub fn open(tree: &Path) -> Result<Self> {
        match Dir::open(tree) {
            Ok(_) => Ok(Self { tree: tree.to_path_buf() }),
            Err(error) if error.is_missing() => {
                let path = tree.display();
                Err(Error::Usage(format!(
                    "cannot use tree {path}: it is not there; mount it, or mkdir it for a new one"
                )))
            }
            Err(error) => Err(error),
        }
    }

    /// Keeps other writers out as long as the lock lives.
    ///
    /// # Errors
    /// [`Error::Busy`] if another one works.
    pub fn lock(&self) -> Result<Lock> {
        lockfile::try_take(&self.tree.join(".lock"))?
            .ok_or_else(|| Error::Busy(format!("another pull-cluster works on {}; try later", self.tree.display())))
    }

    /// The full path of a name in the tree.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.tree.join(relative)
    }

    /// A directory of the tree; `None` if it is not there.
    fn dir(&self, relative: &str) -> Result<Option<Dir>> {
        match Dir::open(&self.path(relative)) {
            Ok(dir) => Ok(Some(dir)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn make_dir(&self, relative: &str) -> Result<Dir> {
        Dir::create(&self.path(relative), 0o755)
    }

    /// A file of the tree; `None` if it is not there.
    ///
    /// # Errors
    /// As [`Dir::read`].
    pub fn read(&self, relative: &str, limit: u64) -> Result<Option<Vec<u8>>> {
        let (dir, name) = split(relative);
        match self.dir(dir)? {
            Some(dir) => dir.read(name, limit),
            None => Ok(None),
        }
    }

    /// The names in a directory of the tree that are not hidden.
    fn names(&self, relative: &str) -> Result<Vec<String>> {
        let Some(dir) = self.dir(relative)? else { return Ok(Vec::new()) };
        Ok(dir.names()?.into_iter().filter(|name| is_plain_name(name)).collect())
    }

    /// The releases that have clusters.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn releases(&self) -> Result<Vec<String>> {
        // What else lies in the tree (a web server's pages, lost+found) is nobody's business here: only what is found to be
        // a release is judged, when it is opened.
        let mut found = Vec::new();
        for entry in walkdir::WalkDir::new(&self.tree).min_depth(2).max_depth(2).sort_by_file_name() {
            let Ok(entry) = entry else { continue };
            let release = entry.path().strip_prefix(&self.tree).ok().and_then(Path::to_str).unwrap_or_default();
            if tree::is_release(release) && entry.path().join(tree::CLUSTERS).is_dir() {
                found.push(release.to_string());
            }
        }
        Ok(found)
    }

    /// The ids of a release's clusters, sorted by name.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn ids(&self, release: &str) -> Result<Vec<String>> {
        self.names(&format!("{release}/{}", tree::CLUSTERS))
    }

    /// A file with its signature checked; `None` if it is not there.
    fn signed(&self, relative: &str, limit: u64, verifier: &Verifier) -> Result<Option<Vec<u8>>> {
        let Some(bytes) = self.read(relative, limit)? else { return Ok(None) };
        let minisig = self.read(&tree::signature(relative), signature::LIMIT)?.unwrap_or_default();
        verifier.verify(&bytes, &minisig, relative)?;
        Ok(Some(bytes))
    }

    /// What a level points to, the signature checked; `None` if it points to nothing.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is damaged.
    pub fn pointer(&self, release: &str, level: Level, verifier: &Verifier) -> Result<Option<Pointer>> {
        let relative = tree::pointer(release, level);
        let bytes = self.signed(&relative, pointer::LIMIT, verifier)?;
        bytes.map(|bytes| Pointer::parse(&bytes, &relative)).transpose()
    }

    /// A cluster with the digest of its `cluster.json`, the signature checked.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is damaged, [`Error::Failed`] if it is not there.
    pub fn cluster(&self, release: &str, id: &str, verifier: &Verifier) -> Result<(Cluster, String)> {
        let relative = tree::manifest(release, id);
        let bytes = self
            .signed(&relative, manifest::LIMIT, verifier)?
            .ok_or_else(|| Error::failed("use", format!("cluster {id} of {release}"), "it is not in the tree"))?;
        let cluster = Cluster::parse(&bytes)?;
        if cluster.id != id || cluster.release != release {
            let why = format!("it is cluster {} of {}, in the wrong place", cluster.id, cluster.release);
            return Err(Error::refused(relative, why));
        }
        Ok((cluster, digest::of_bytes(&bytes).sha256))
    }

    /// The cluster that a level points to, all of it checked but the pool; `None` if it points to nothing.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Failed`].
    pub fn pointed(&self, release: &str, level: Level, verifier: &Verifier) -> Result<Option<(Pointer, Cluster)>> {
        let Some(pointer) = self.pointer(release, level, verifier)? else { return Ok(None) };
        let (cluster, sha256) = self.cluster(release, &pointer.id, verifier)?;
        if sha256 != pointer.sha256 || cluster.sequence != pointer.sequence {
            let why = format!("it does not fit the cluster {} that it names; the tree is mixed", pointer.id);
            return Err(Error::refused(tree::pointer(release, level), why));
        }
        Ok(Some((pointer, cluster)))
    }

    /// The highest sequence number that anything in the tree remembers of a release, whether it can still be trusted or not: a
    /// number must never be used again, and one that is skipped does no harm.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sequence(&self, release: &str) -> Result<u64> {
        let mut highest = history::sequence(self, release)?;
        for level in [Level::Development, Level::Production] {
            let relative = tree::pointer(release, level);
            let bytes = self.read(&relative, pointer::LIMIT)?.unwrap_or_default();
            highest = highest.max(Pointer::parse(&bytes, &relative).map_or(0, |pointer| pointer.sequence));
        }
        for id in self.ids(release)? {
            let bytes = self.read(&tree::manifest(release, &id), manifest::LIMIT)?.unwrap_or_default();
            highest = highest.max(Cluster::parse(&bytes).map_or(0, |cluster| cluster.sequence));
        }
        Ok(highest)
    }

    /// The newest id that anything in the tree remembers, of any release: the history, pointers, clusters, confirmations.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn newest_id(&self) -> Result<Option<Moment>> {
        let mut ids = history::ids(self)?;
        ids.extend(self.names(tree::CONFIRMED)?);
        for release in self.releases()? {
            ids.extend(self.ids(&release)?);
            for level in [Level::Development, Level::Production] {
                let relative = tree::pointer(&release, level);
                let bytes = self.read(&relative, pointer::LIMIT)?.unwrap_or_default();
                ids.extend(Pointer::parse(&bytes, &relative).map(|pointer| pointer.id));
            }
        }
        Ok(ids.iter().filter_map(|id| pull::time_of(id)).max())
    }
}

/// A path of the tree in directory and name.
fn split(relative: &str) -> (&str, &str) {
    relative.rsplit_once('/').unwrap_or(("", relative))
}
