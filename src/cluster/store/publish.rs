//! What makes the tree grow: files of the pool, clusters, pointers.

use std::io::ErrorKind;

use super::history::{self, Event};
use super::{INCOMING, Store, split};
use crate::cluster::digest::{self, Digests};
use crate::cluster::host_type;
use crate::cluster::manifest::Cluster;
use crate::cluster::pointer::Pointer;
use crate::cluster::signature::{self, Signer};
use crate::cluster::tree::{self, Level};
use crate::cluster::unpack::remove_tree;
use crate::error::{Error, Result};
use crate::exit;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::lockfile::Lock;
use crate::sys::replace;

/// Who may change the tree: it holds the lock and the key.
#[derive(Debug)]
pub struct Publisher<'a> {
    /// The tree.
    pub store: &'a Store,
    /// Its lock.
    pub lock: &'a Lock,
    /// Its key.
    pub signer: &'a Signer,
}

impl Publisher<'_> {
    /// An empty directory for what is being fetched; what an earlier run left in it is gone.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn incoming(&self) -> Result<Dir> {
        self.discard_incoming()?;
        Dir::create(&self.store.path(INCOMING), 0o700)
    }

    /// Removes it with what is in it.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn discard_incoming(&self) -> Result<()> {
        remove_tree(&Dir::open(&self.store.tree)?, INCOMING)
    }

    /// The directory of the pool that holds a digest.
    ///
    /// # Errors
    /// As [`Dir::create`].
    pub fn pool_dir(&self, sha256: &str) -> Result<Dir> {
        let relative = tree::pool(sha256);
        self.store.make_dir(split(&relative).0)
    }

    /// The digests of a pool file, read anew; `None` if there is none. One that is not what its name says is removed: only so
    /// can it be fetched again.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pooled(&self, sha256: &str) -> Result<Option<Digests>> {
        let dir = self.pool_dir(sha256)?;
        let found = match dir.file(sha256) {
            Ok(None) => return Ok(None),
            Ok(Some(file)) => digest::of(file).map_err(Error::io("read", dir.join(sha256)))?,
            Err(error) => return Err(error),
        };
        if found.sha256 == sha256 {
            return Ok(Some(found));
        }
        exit::warn(format!("{} is damaged; it is replaced", dir.join(sha256).display()));
        dir.remove(sha256)?;
        Ok(None)
    }

    /// Moves a file from the incoming directory to the pool.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pool(&self, incoming: &Dir, name: &str, sha256: &str) -> Result<()> {
        if self.pooled(sha256)?.is_some() {
            return incoming.remove(name).map(|_| ());
        }
        if replace::rename_new(incoming, name, &self.pool_dir(sha256)?, sha256)? {
            return Ok(());
        }
        Err(Error::failed("publish", incoming.join(name).display(), "somebody else works on the tree"))
    }

    /// Publishes a cluster to development: its directory, then a line of history, then the pointer. Its files must be in the
    /// pool.
    ///
    /// # Errors
    /// [`Error::Io`]; the old pointer then still stands.
    pub fn publish(&self, cluster: &Cluster, now: Moment) -> Result<()> {
        let bytes = cluster.to_bytes()?;
        let clusters = self.store.make_dir(&format!("{}/{}", cluster.release, tree::CLUSTERS))?;
        let draft = format!(".{}.draft", cluster.id);
        remove_tree(&clusters, &draft)?;
        let dir = Dir::create(&clusters.join(&draft), 0o755)?;
        let name = tree::manifest(&cluster.release, &cluster.id);
        let minisig = self.signer.sign(&bytes, &name, now)?;
        replace::replace(&dir, tree::MANIFEST, &bytes, 0o644)?;
        replace::replace(&dir, &tree::signature(tree::MANIFEST), minisig.as_bytes(), 0o644)?;
        if !replace::rename_new(&clusters, &draft, &clusters, &cluster.id)? {
            return Err(Error::failed("publish", format!("cluster {}", cluster.id), "there is one of this name"));
        }
        let pointer =
            Pointer { id: cluster.id.clone(), sequence: cluster.sequence, sha256: digest::of_bytes(&bytes).sha256 };
        let (release, sequence) = (cluster.release.as_str(), cluster.sequence);
        let event =
            Event { action: "publish", release, cluster: &cluster.id, sequence, confirmed_by: None, reason: None };
        history::record(self.store, self.lock, &event, now)?;
        self.point(release, Level::Development, &pointer, now)
    }

    /// Moves a pointer. A reader sees the old one or the new one, signed, at any moment.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn point(&self, release: &str, level: Level, pointer: &Pointer, now: Moment) -> Result<()> {
        self.exchange(&tree::pointer(release, level), pointer.to_string().as_bytes(), now)
    }

    /// Exchanges a signed file. A file and its signature are two names, so: first the signature file holds both signatures, then
    /// the file changes, then the new signature moves to the front. The old one stays behind it, for a reader that
    /// read the old file just before.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn exchange(&self, relative: &str, bytes: &[u8], now: Moment) -> Result<()> {
        let (above, name) = split(relative);
        let dir = self.store.make_dir(above)?;
        let minisig = tree::signature(name);
        let old = self.store.read(relative, host_type::LIMIT)?;
        let signatures = self.store.read(&tree::signature(relative), signature::LIMIT)?.unwrap_or_default();
        let verifier = self.signer.verifier()?;
        let old_fits = old.as_ref().and_then(|old| verifier.fitting(old, &signatures, relative).ok());
        if old.as_deref() == Some(bytes) {
            // Cut short after the file changed, or signed anew after a person changed it.
            return match old_fits {
                Some(fits) if signatures.starts_with(fits.as_bytes()) => Ok(()),
                Some(fits) => replace::replace(&dir, &minisig, fits.as_bytes(), 0o644),
                None => replace::replace(&dir, &minisig, self.signer.sign(bytes, relative, now)?.as_bytes(), 0o644),
            };
        }
        let new = self.signer.sign(bytes, relative, now)?;
        let old = old_fits.unwrap_or_default();
        replace::replace(&dir, &minisig, format!("{old}{new}").as_bytes(), 0o644)?;
        replace::replace(&dir, name, bytes, 0o644)?;
        if old.is_empty() {
            return Ok(());
        }
        replace::replace(&dir, &minisig, format!("{new}{old}").as_bytes(), 0o644)
    }

    /// Finishes an exchange that was cut short, so that minisign itself finds the signature that fits in front.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn settle(&self, relative: &str, now: Moment) -> Result<()> {
        let Some(bytes) = self.store.read(relative, host_type::LIMIT)? else { return Ok(()) };
        let signatures = self.store.read(&tree::signature(relative), signature::LIMIT)?.unwrap_or_default();
        match self.signer.verifier()?.fitting(&bytes, &signatures, relative) {
            Ok(_) => self.exchange(relative, &bytes, now),
            // Not ours: another key, or damage. To sign it would be to vouch for it.
            Err(_) => Ok(()),
        }
    }

    /// Puts bytes into the pool.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn pool_bytes(&self, bytes: &[u8]) -> Result<Digests> {
        let digests = digest::of_bytes(bytes);
        if self.pooled(&digests.sha256)?.is_none() {
            replace::replace(&self.pool_dir(&digests.sha256)?, &digests.sha256, bytes, 0o644)?;
        }
        Ok(digests)
    }
}

/// Whether the disk is full: then what was fetched must go at once, not wait for the next try.
pub fn is_full(error: &Error) -> bool {
    let full = |kind| matches!(kind, ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge);
    matches!(error, Error::Io { source, .. } if full(source.kind()))
}
