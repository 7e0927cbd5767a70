//! What makes the tree shrink: clusters that nobody is given any more, then files of the pool that no cluster names.
//!
//! A cluster goes from sight by one rename before any of its files goes. A file of the pool goes only when every cluster of the
//! tree could be read and none names it.

use std::collections::HashSet;

use super::history::{self, Event};
use super::publish::Publisher;
use super::split;
use crate::cluster::manifest::{self, Cluster, is_sha256};
use crate::cluster::pointer::{self, Pointer};
use crate::cluster::tree::{self, Level};
use crate::cluster::unpack::remove_tree;
use crate::error::{Error, Result};
use crate::sys::clock::Moment;
use crate::sys::replace;
use crate::sys::trusted::is_plain_name;

/// How the names of what is not finished end.
const DRAFT: &str = ".draft";
/// How the names of what is being removed end.
const GONE: &str = ".gone";

impl Publisher<'_> {
    /// Removes what runs that were cut short have left of a release.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn sweep(&self, release: &str) -> Result<()> {
        let Some(dir) = self.store.dir(&format!("{release}/{}", tree::CLUSTERS))? else { return Ok(()) };
        let is_ours = |name: &&String| name.starts_with('.') && (name.ends_with(DRAFT) || name.ends_with(GONE));
        for name in dir.names()?.iter().filter(is_ours) {
            remove_tree(&dir, name)?;
        }
        Ok(())
    }

    /// Removes the clusters of a release that no pointer names, but for the newest `keep` of them, and confirmations of clusters
    /// that are gone.
    ///
    /// # Errors
    /// [`Error::Io`]; [`Error::Refused`] if a pointer or cluster cannot be read, for then nobody knows what is in use.
    pub fn retire(&self, release: &str, keep: u64, now: Moment) -> Result<()> {
        let mut spare = Vec::new();
        let named = self.named(release)?;
        for id in self.store.ids(release)? {
            if !named.contains(&id) {
                spare.push((self.manifest(release, &id)?.sequence, id));
            }
        }
        spare.sort();
        let keep = usize::try_from(keep).unwrap_or(usize::MAX);
        spare.truncate(spare.len().saturating_sub(keep));
        for (sequence, id) in spare {
            let event = Event { action: "remove", release, cluster: &id, sequence, confirmed_by: None, reason: None };
            history::record(self.store, self.lock, &event, now)?;
            let dir = self.store.make_dir(&format!("{release}/{}", tree::CLUSTERS))?;
            let gone = format!(".{id}{GONE}");
            if replace::rename_new(&dir, &id, &dir, &gone)? {
                remove_tree(&dir, &gone)?;
            }
        }
        self.forget_confirmations()
    }

    fn forget_confirmations(&self) -> Result<()> {
        let Some(dir) = self.store.dir(tree::CONFIRMED)? else { return Ok(()) };
        let mut known = HashSet::new();
        for release in self.store.releases()? {
            known.extend(self.store.ids(&release)?);
        }
        for id in dir.names()?.iter().filter(|id| is_plain_name(id) && !known.contains(*id)) {
            if dir.join(id).is_dir() {
                remove_tree(&dir, id)?;
            }
        }
        Ok(())
    }

    /// Removes the files of the pool that no cluster names.
    ///
    /// # Errors
    /// As [`Publisher::retire`].
    pub fn prune_pool(&self) -> Result<()> {
        let mut named = HashSet::new();
        for release in self.store.releases()? {
            for id in self.store.ids(&release)? {
                named.extend(self.manifest(&release, &id)?.files.into_iter().map(|file| file.sha256));
            }
        }
        let is_shelf = |name: &&String| name.len() == 2 && name.bytes().all(|b| b.is_ascii_hexdigit());
        for shelf in self.store.names(tree::POOL)?.iter().filter(is_shelf) {
            let Some(dir) = self.store.dir(&format!("{}/{shelf}", tree::POOL))? else { continue };
            let is_ours = |name: &String| is_sha256(name.trim_start_matches('.').trim_end_matches(DRAFT));
            for name in dir.names()?.iter().filter(|name| is_ours(name) && !named.contains(*name)) {
                dir.remove(name)?;
            }
        }
        Ok(())
    }

    /// The clusters that pointers name; a pointer that is there and cannot be read might name any.
    fn named(&self, release: &str) -> Result<HashSet<String>> {
        let mut named = HashSet::new();
        for level in [Level::Development, Level::Production] {
            let relative = tree::pointer(release, level);
            if let Some(bytes) = self.store.read(&relative, pointer::LIMIT)? {
                named.insert(Pointer::parse(&bytes, &relative)?.id);
            }
        }
        Ok(named)
    }

    fn manifest(&self, release: &str, id: &str) -> Result<Cluster> {
        let relative = tree::manifest(release, id);
        let bytes = self.store.read(&relative, manifest::LIMIT)?;
        let bytes = bytes.ok_or_else(|| {
            let dir = self.store.path(split(&relative).0);
            Error::refused(dir.display(), "it holds no cluster.json; put it back, or remove the directory")
        })?;
        Cluster::parse(&bytes)
    }
}
