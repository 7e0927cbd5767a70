//! Apt clusters: the newest packages of some suites of Debian archives, with an index of their own.
//!
//! The chain of trust is the archive's: gpgv checks `InRelease`, that has the digests of the indices, those have the digests of
//! the packages. A link of it that does not hold ends the pull.

use std::fs::File;
use std::io::{Read, Seek};
use std::time::Duration;

use flate2::read::MultiGzDecoder;

use super::{Gathered, Item, Origin, gpgv};
use crate::cluster::debian::choice::{Choice, INDEX};
use crate::cluster::debian::control::stanzas;
use crate::cluster::debian::suite::{Index, Suite};
use crate::cluster::digest;
use crate::cluster::manifest::Kind;
use crate::cluster::transport::Transport;
use crate::config::ClusterSource;
use crate::error::{Error, Result};
use crate::exit;
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;
use crate::sys::process::{self, Job};

/// An index, unpacked, is not larger; the largest of Debian's is 60 MB.
const INDEX_LIMIT: u64 = 1 << 30;

/// Finds out what the newest packages are; none of them is fetched yet.
pub fn gather(source: &ClusterSource, incoming: &Dir, paths: &Paths, now: Moment) -> Result<Gathered> {
    let archives = Archives::of(source, paths)?;
    let (_, architecture) = source.release.split_once('/').unwrap_or_default();
    let mut choice = Choice::default();
    for (name, archive) in &archives.suites {
        let transport = &archives.transports[*archive];
        let suite = suite(transport, name, source, incoming, paths)?;
        suite.judge(name, now)?;
        for component in &source.components {
            for (path, index) in suite.packages(name, component, architecture)? {
                let text = packages(transport, name, &suite, &path, &index)?;
                let all = stanzas(&text, &format!("{name}/{path}"))?;
                choice.add(&all, &source.packages, architecture, *archive)?;
            }
        }
    }
    for glob in choice.unmatched(&source.packages) {
        exit::warn(format!("{}: no package of the suites fits {glob}", source.release));
    }
    let items = items(&choice);
    if items.len() == 1 {
        let why = "no package fits; look at suites, components and packages";
        return Err(Error::failed("pull", &source.release, why));
    }
    Ok(Gathered { kind: Kind::Apt, program: None, items, transports: archives.transports })
}

/// The archives, each once, and which suite lies in which.
struct Archives {
    transports: Vec<Transport>,
    suites: Vec<(String, usize)>,
}

impl Archives {
    /// A suite may name an archive of its own, `SUITE@URL`; without one it lies in `source`.
    fn of(source: &ClusterSource, paths: &Paths) -> Result<Self> {
        let mut bases: Vec<&str> = Vec::new();
        let mut suites = Vec::new();
        for word in &source.suites {
            let (name, base) = word.split_once('@').unwrap_or((word, &source.source));
            let place = bases.iter().position(|known| *known == base).unwrap_or(bases.len());
            if place == bases.len() {
                bases.push(base);
            }
            suites.push((name.to_string(), place));
        }
        let open = |base: &&str| Transport::new(base, source.ca_file.as_deref(), paths);
        Ok(Self { transports: bases.iter().map(open).collect::<Result<_>>()?, suites })
    }
}

fn suite(transport: &Transport, name: &str, source: &ClusterSource, incoming: &Dir, paths: &Paths) -> Result<Suite> {
    let path = format!("dists/{name}/InRelease");
    let signed = transport.read(&path, gpgv::LIMIT)?;
    let object = format!("{path} of the archive");
    let text = gpgv::signed_text(&signed, incoming, &source.keyring, paths, &object)?;
    Suite::parse(&text, &object)
}

/// The text of an index, its digest checked before anything else is done with it.
fn packages(transport: &Transport, name: &str, suite: &Suite, path: &str, index: &Index) -> Result<String> {
    let plain = format!("dists/{name}/{path}");
    let hashed = suite.by_hash(path, index).map(|hashed| format!("dists/{name}/{hashed}"));
    let bytes = match hashed.map(|hashed| transport.read(&hashed, index.size)) {
        // A mirror may lack what its list promises; the digest counts either way.
        None | Some(Err(Error::Failed { .. })) => transport.read(&plain, index.size)?,
        Some(Err(error)) if error.is_missing() => transport.read(&plain, index.size)?,
        Some(other) => other?,
    };
    if digest::of_bytes(&bytes).sha256 != index.sha256 {
        let why = "it is not what the signed list says; the mirror is being updated, or it is damaged";
        return Err(Error::refused(format!("{plain} of the archive"), why));
    }
    let unpacked = match path.rsplit_once('.').map(|(_, packing)| packing) {
        Some("gz") => limited(MultiGzDecoder::new(bytes.as_slice())),
        Some("xz") => limited(unpacked_by_xz(&bytes)?),
        _ => Ok(bytes),
    };
    let unpacked = unpacked.map_err(|why| Error::refused(format!("{plain} of the archive"), why))?;
    String::from_utf8(unpacked).map_err(|_| Error::refused(format!("{plain} of the archive"), "it is not UTF-8"))
}

fn limited(unpacking: impl Read) -> std::io::Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    unpacking.take(INDEX_LIMIT + 1).read_to_end(&mut unpacked)?;
    if unpacked.len() as u64 > INDEX_LIMIT {
        return Err(std::io::Error::other(format!("it unpacks to more than {INDEX_LIMIT} bytes")));
    }
    Ok(unpacked)
}

/// Some suites have no other packing. The system's own xz(1), which dpkg needs anyway, unpacks it.
fn unpacked_by_xz(bytes: &[u8]) -> Result<File> {
    let mut unpacked = process::in_memory(&[])?;
    let sink = unpacked.try_clone().map_err(Error::io("make memory for", "an index"))?;
    let limit = Duration::from_mins(5);
    let done = Job::new(["xz", "--decompress", "--stdout"])
        .input(process::in_memory(bytes)?)
        .output(sink)
        .deadline(limit, Duration::from_secs(5))
        .run()?;
    if !done.is_success() {
        return Err(Error::failed("unpack", "an index of the archive", format!("xz: {}", done.ended)));
    }
    unpacked.rewind().map_err(Error::io("read", "an unpacked index"))?;
    Ok(unpacked)
}

/// The packages and their index.
fn items(choice: &Choice) -> Vec<Item> {
    let index = choice.index().into_bytes();
    let digests = digest::of_bytes(&index);
    let index = Item { path: INDEX.into(), size: digests.size, sha256: digests.sha256, origin: Origin::Bytes(index) };
    let packages = choice.packages().map(|package| Item {
        path: package.path.clone(),
        size: package.size,
        sha256: package.sha256.clone(),
        origin: Origin::Remote { transport: package.archive, relative: package.filename.clone() },
    });
    std::iter::once(index).chain(packages).collect()
}
