//! Bringing a found cluster to local disk, durably, and going on where an earlier attempt was cut short.
//!
//! Everything goes to `ID.part` beside the final directory; that gets its name when all of it is there, right and flushed. A file
//! that is there and right is not fetched again. Directories that we made carry a mark; none without it is ever removed.

use std::path::{Path, PathBuf};

use super::{Found, Server};
use crate::cluster::manifest::{self, Cluster, FileEntry};
use crate::cluster::signature::{self, Verifier};
use crate::cluster::transport::Expected;
use crate::cluster::unpack::remove_tree;
use crate::cluster::{digest, install, tree};
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::{replace, space, trusted};

/// In each directory that we made.
const MARK: &str = ".patchflag";
/// What a power cut can leave of it.
const MARK_DRAFT: &str = ".patchflag.draft";
/// The end of a directory's name while it is being filled.
const PART: &str = ".part";
/// So many clusters of earlier runs are kept beside the new one.
const KEPT: usize = 2;
/// An archive unpacks to about this many times its size; programs and packages do not compress better.
const UNPACKS_TO: u64 = 4;
/// What is left free beyond what is needed.
const SPARE: u64 = 16 << 20;

/// Fetches what this host needs of its cluster, checks it, and unpacks it. The answer is the cluster's own directory, as seen inside
/// the root.
///
/// # Errors
/// [`Error::Unreachable`] when the server was gone for too long: what has been fetched stays for the next attempt.
/// [`Error::Failed`], [`Error::Refused`] for what is wrong, [`Error::Io`] for the local disk.
pub fn download(found: &Found, server: &Server, paths: &Paths) -> Result<PathBuf> {
    let cluster = &found.cluster;
    let parent = Dir::create(&paths.at(&found.install_dir), 0o755)?;
    let part = format!("{}{PART}", cluster.id);
    let dir = begin(&parent, cluster, &part)?;
    replace::replace(&dir, tree::MANIFEST, &found.manifest, 0o644)?;
    replace::replace(&dir, &tree::signature(tree::MANIFEST), &found.signature, 0o644)?;
    fetch(&install::first_files(cluster), found, server, &dir)?;
    let needed = install::needed_files(paths, dir.path(), cluster)?;
    fetch(&needed.iter().map(String::as_str).collect::<Vec<_>>(), found, server, &dir)?;
    install::lay_out(dir.path(), cluster)?;
    if !replace::rename_new(&parent, &part, &parent, &cluster.id)? {
        let why = "somebody made it meanwhile; remove it";
        return Err(Error::failed("make", parent.join(&cluster.id).display(), why));
    }
    prune(&parent, &cluster.id)?;
    Ok(paths.inside(&parent.join(&cluster.id)))
}

/// Reads what was staged in a directory, and checks its signature once more.
///
/// # Errors
/// [`Error::Refused`] if it is not, or not any more, what was signed; [`Error::Io`].
pub fn staged(dir: &Path, verifier: &Verifier) -> Result<(Cluster, String)> {
    let bytes = trusted::read(&dir.join(tree::MANIFEST), manifest::LIMIT)?;
    let minisig = trusted::read(&dir.join(tree::signature(tree::MANIFEST)), signature::LIMIT)?;
    let cluster = Cluster::parse(&bytes)?;
    verifier.verify(&bytes, &minisig, &tree::manifest(&cluster.release, &cluster.id))?;
    Ok((cluster, digest::of_bytes(&bytes).sha256))
}

/// The directory to fill: a new one, or what an earlier attempt has left. A whole one that is there already is filled up: since it
/// was staged the host may have come to need more of it.
fn begin(parent: &Dir, cluster: &Cluster, part: &str) -> Result<Dir> {
    let whole = &cluster.id;
    if is_taken(parent, whole)? {
        if is_taken(parent, part)? {
            remove_ours(parent, part)?;
        }
        if !replace::rename_new(parent, whole, parent, part)? {
            return Err(Error::failed("make", parent.join(part).display(), "somebody made it meanwhile; remove it"));
        }
    } else {
        is_taken(parent, part)?;
    }
    let dir = Dir::create(&parent.join(part), 0o700)?;
    replace::replace(&dir, MARK, b"made by grab-patch\n", 0o644)?;
    Ok(dir)
}

/// Whether there is something of ours under a name; something that is not ours is an error.
fn is_taken(parent: &Dir, name: &str) -> Result<bool> {
    if !parent.has(name)? {
        return Ok(false);
    }
    if is_ours(parent, name)? {
        return Ok(true);
    }
    Err(Error::refused(parent.join(name).display(), "grab-patch did not make it, and needs the name; move it away"))
}

/// A directory with our mark, or one that was made just before the power went.
fn is_ours(parent: &Dir, name: &str) -> Result<bool> {
    match Dir::open(&parent.join(name)) {
        Ok(dir) => Ok(dir.has(MARK)? || dir.names()?.iter().all(|name| name == MARK_DRAFT)),
        Err(Error::Refused { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Fetches those of the files that are not there yet.
fn fetch(names: &[&str], found: &Found, server: &Server, dir: &Dir) -> Result<()> {
    let mut missing = Vec::new();
    for name in names {
        let entry = found.cluster.files.iter().find(|file| file.path == *name);
        let entry = entry.ok_or_else(|| Error::refused(*name, "it is not in the signed list of the cluster"))?;
        if !is_right(dir, entry)? {
            missing.push(entry);
        }
    }
    make_sure_of_room(&missing, &found.cluster, dir)?;
    for entry in missing {
        let (folder, name) = match entry.path.rsplit_once('/') {
            Some((folder, name)) => (Dir::create(&dir.join(folder), 0o755)?, name),
            None => (Dir::open(dir.path())?, entry.path.as_str()),
        };
        let expected = Expected { size: entry.size, sha256: &entry.sha256 };
        let source = tree::pool(&entry.sha256);
        server.retry.run(|| server.transport.fetch_to(&source, &folder, name, Some(expected), entry.size))?;
    }
    Ok(())
}

fn is_right(dir: &Dir, entry: &FileEntry) -> Result<bool> {
    let path = dir.join(&entry.path);
    let file = match trusted::file(&path) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Ok(false),
        Err(error) => return Err(error),
    };
    let size = file.metadata().map_err(Error::io("look at", &path))?.len();
    Ok(size == entry.size && digest::of(file).map_err(Error::io("read", &path))?.sha256 == entry.sha256)
}

fn make_sure_of_room(missing: &[&FileEntry], cluster: &Cluster, dir: &Dir) -> Result<()> {
    if missing.is_empty() {
        return Ok(());
    }
    let bytes = missing.iter().fold(0u64, |sum, entry| sum.saturating_add(entry.size));
    let unpacked = if cluster.program.is_some() { cluster.size().saturating_mul(UNPACKS_TO) } else { 0 };
    let needed = bytes.saturating_add(unpacked).saturating_add(SPARE);
    let free = space::free(dir.path())?.bytes;
    if needed <= free {
        return Ok(());
    }
    let mib = |bytes: u64| bytes.div_ceil(1 << 20);
    let why =
        format!("it needs {} MiB in {} and there are {}; make room", mib(needed), dir.path().display(), mib(free));
    Err(Error::failed("fetch", format!("cluster {}", cluster.id), why))
}

/// Removes what earlier runs have left beyond the last few. That one cannot be removed is no reason to fail.
fn prune(parent: &Dir, current: &str) -> Result<()> {
    let mut old = Vec::new();
    for name in parent.names()? {
        let is_marked = || Dir::open(&parent.join(&name)).and_then(|dir| dir.has(MARK)).unwrap_or(false);
        if name != current && is_marked() {
            old.push(name);
        }
    }
    // Ids are moments, so that names are in their order; parts are of no use once another cluster is whole.
    let (parts, whole): (Vec<_>, Vec<_>) = old.into_iter().partition(|name| name.ends_with(PART));
    let beyond = whole.len().saturating_sub(KEPT);
    for name in parts.iter().chain(&whole[..beyond]) {
        if let Err(error) = remove_ours(parent, name) {
            exit::note(error);
        }
    }
    Ok(())
}

/// Removes the mark last: what is cut short stays ours.
fn remove_ours(parent: &Dir, name: &str) -> Result<()> {
    let dir = Dir::open(&parent.join(name))?;
    for name in dir.names()?.iter().filter(|name| *name != MARK) {
        let is_folder = dir.look(name)?.is_some_and(|stat| stat.st_mode & 0o170_000 == 0o040_000);
        if is_folder { remove_tree(&dir, name)? } else { dir.remove(name).map(drop)? }
    }
    remove_tree(parent, name)
}
