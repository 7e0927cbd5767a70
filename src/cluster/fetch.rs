//! A host's side of the tree: finds out which cluster is this host's, and brings it to local disk.
//!
//! Nothing that the server says is believed without a signature of the key that this host has: not the list of hosts, not which
//! cluster is meant, not what it holds; and every file must have the digest that the signed list says. What is unreachable is
//! tried again for a while; what is wrong is not.

mod download;
mod place;
mod retry;
mod sequence;

use std::path::{Path, PathBuf};

pub use download::{download, staged};
pub use retry::{Clock, RealTime, Retry};
pub use sequence::remember as remember_sequence;

use super::digest;
use super::host_type::{self, HostTypes};
use super::manifest::{self, Cluster};
use super::pointer::{self, Pointer};
use super::signature::{self, Verifier};
use super::transport::Transport;
use super::tree::{self, Level};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::trusted::is_plain_name;

/// Where clusters come from, and what this host believes.
pub struct Server<'a> {
    /// The tree.
    pub transport: &'a Transport,
    /// This host's own copy of the public key.
    pub verifier: &'a Verifier,
    /// How long what is unreachable is tried.
    pub retry: &'a Retry<'a>,
}

/// Who asks.
pub struct Asker<'a> {
    /// Where everything lies.
    pub paths: &'a Paths,
    /// This host.
    pub host: &'a Host,
    /// `[grab] base`, as seen inside the root.
    pub base: &'a Path,
    /// The moment to judge at.
    pub now: Moment,
    /// `cluster=ID` of the order: this one instead of the one that the host's level gets.
    pub wanted: Option<&'a str>,
}

/// The cluster of this host, not yet fetched.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is.
    pub cluster: Cluster,
    /// The bytes of `cluster.json`, as they were signed.
    pub manifest: Vec<u8>,
    /// Its signature.
    pub signature: Vec<u8>,
    /// The digest of `cluster.json`: which cluster this is, in one word.
    pub sha256: String,
    /// Where it goes, as seen inside the root: the directory of `host_type`, in which the cluster gets one of its own.
    pub install_dir: PathBuf,
    /// What this host is.
    pub level: Level,
}

/// Finds this host's cluster.
///
/// # Errors
/// [`Error::Failed`] if the host is not in the list, or its level has no cluster yet; [`Error::Io`] if a file is not there; [`Error::Refused`] for whatever is not signed, is for another
/// release, expired, older than what this host had, mixed, or would go where it must not; [`Error::Unreachable`].
pub fn find(server: &Server, asker: &Asker) -> Result<Found> {
    let release = format!("{}/{}", asker.host.os, asker.host.arch);
    let (types, _) = server.signed(tree::HOST_TYPE, host_type::LIMIT)?;
    let types = HostTypes::parse(&types, tree::HOST_TYPE)?;
    let name = &asker.host.name;
    let entry = types.find(name).ok_or_else(|| {
        let line = format!("{name} production {}/cluster", asker.base.display());
        Error::failed("find", format!("host {name}"), format!("it is not in host_type; add a line there like: {line}"))
    })?;
    place::judge(&entry.install_dir, asker.base)?;
    if entry.install_dir.starts_with(asker.paths.inside(&asker.paths.offline_update())) {
        return Err(Error::refused(entry.install_dir.display(), "this name has another use; correct it in host_type"));
    }

    let path = tree::pointer(&release, entry.level);
    let (bytes, _) = server.signed(&path, pointer::LIMIT).map_err(|error| nothing_yet(error, &release, entry.level))?;
    let pointer = Pointer::parse(&bytes, &path)?;
    let id = asker.wanted.unwrap_or(&pointer.id);
    if !is_plain_name(id) {
        return Err(Error::Usage(format!(
            "cluster={id:?} in the order is no id of a cluster; write one like {}",
            pointer.id
        )));
    }
    let path = tree::manifest(&release, id);
    let (manifest, signature) = server.signed(&path, manifest::LIMIT)?;
    let cluster = Cluster::parse(&manifest)?;
    let sha256 = digest::of_bytes(&manifest).sha256;
    fits(&cluster, &sha256, id, &pointer, entry.level)?;
    let last = sequence::last(asker.paths, asker.base, &release)?;
    manifest::judge(&cluster, &release, asker.now, last)?;
    Ok(Found { cluster, manifest, signature, sha256, install_dir: entry.install_dir.clone(), level: entry.level })
}

/// A level without its pointer is one that was never given a cluster; a person has to do that first.
fn nothing_yet(error: Error, release: &str, level: Level) -> Error {
    if !error.is_missing() {
        return error;
    }
    let todo = match level {
        Level::Production => format!("nothing was promoted to production yet; pull-cluster promote {release}"),
        Level::Development => format!("nothing was published to development yet; pull-cluster pull {release}"),
    };
    Error::failed("find", format!("a cluster of {release}"), format!("{todo} on the patch server ({error})"))
}

/// Whether what was read belongs together.
fn fits(cluster: &Cluster, sha256: &str, id: &str, pointer: &Pointer, level: Level) -> Result<()> {
    let refuse = |why: String| Err(Error::refused(format!("cluster {id}"), why));
    if cluster.id != id {
        return refuse(format!("its cluster.json is that of {}; the tree is mixed from several copies", cluster.id));
    }
    if id == pointer.id && (sha256 != pointer.sha256 || cluster.sequence != pointer.sequence) {
        return refuse(format!("it is not the one that {level} names; the tree is mixed from several copies"));
    }
    if cluster.sequence > pointer.sequence {
        return refuse(format!("{level} is only at {}; promote it on the patch server first", pointer.id));
    }
    Ok(())
}

impl Server<'_> {
    /// A file of the tree and its signature, checked before anything is done with it.
    fn signed(&self, path: &str, limit: u64) -> Result<(Vec<u8>, Vec<u8>)> {
        let read = |path: &str, limit| self.retry.run(|| self.transport.read(path, limit));
        let bytes = read(path, limit)?;
        let minisig = read(&tree::signature(path), signature::LIMIT).map_err(|error| {
            if error.is_missing() { Error::refused(path, format!("it is not signed ({error})")) } else { error }
        })?;
        self.verifier.verify(&bytes, &minisig, path)?;
        Ok((bytes, minisig))
    }
}
