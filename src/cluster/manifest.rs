//! `cluster.json`: what a cluster is, `patch-cluster(5)`.
//!
//! Whoever holds a [`Cluster`] holds one that was judged whole: its paths lead nowhere else, its numbers add up. That it is
//! genuine is for [`super::signature`], that it suits this host for [`judge`].

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use super::tree::{MANIFEST, is_plain_path, is_release};
use crate::error::{Error, Result};
use crate::sys::clock::{self, Moment};
use crate::sys::trusted::is_plain_name;

/// The format that is written, and the newest that is understood.
pub const FORMAT: u32 = 1;
/// A `cluster.json` is not larger.
pub const LIMIT: u64 = 64 << 20;
/// The kinds that a host can install.
pub const INSTALLABLE: [Kind; 2] = [Kind::Script, Kind::Apt];

/// How a cluster is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Debian packages with their index, installed by apt from local disk.
    Apt,
    /// RPM packages with their index.
    Rpm,
    /// One archive that holds a program which installs the rest of it.
    Script,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Apt => "apt",
            Self::Rpm => "rpm",
            Self::Script => "script",
        })
    }
}

/// A frozen set of patches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// [`FORMAT`].
    pub format: u32,
    /// For people.
    pub name: String,
    /// The UTC time of the pull: `20261121T020007Z`.
    pub id: String,
    /// Grows by one for each cluster of the release, and is never used again.
    pub sequence: u64,
    /// RFC 3339; after it a host refuses the cluster.
    pub expires: String,
    /// `debian-12/amd64`
    pub release: String,
    /// How it is installed.
    pub kind: Kind,
    /// Of a script cluster, the program in its archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    /// What it is made of.
    pub files: Vec<FileEntry>,
    /// What its source says it mends: `DSA-5000-1`, `CVE-2026-1`.
    #[serde(default)]
    pub advisories: Vec<String>,
}

/// A file of a cluster; its bytes lie in the pool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Relative to the unpacked cluster.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal; what trust rests on.
    pub sha256: String,
    /// Lower-case hexadecimal; whether it changed.
    pub md5: String,
}

/// The only field that every future format must have.
#[derive(Deserialize)]
struct Numbered {
    format: u32,
}

impl Cluster {
    /// Reads and judges a `cluster.json`.
    ///
    /// # Errors
    /// [`Error::Refused`] with the first thing that is wrong.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let refuse = |why: String| Error::refused(MANIFEST, why);
        let Numbered { format } = serde_json::from_slice(bytes).map_err(|why| refuse(why.to_string()))?;
        if format > FORMAT {
            let why = format!(
                "its format {format} is newer than this version understands ({FORMAT}); upgrade patchflag here"
            );
            return Err(refuse(why));
        }
        let cluster: Self = serde_json::from_slice(bytes).map_err(|why| refuse(why.to_string()))?;
        cluster.check().map_err(refuse)?;
        Ok(cluster)
    }

    /// The file as it is signed and published.
    ///
    /// # Errors
    /// [`Error::Refused`] if it is one that [`Cluster::parse`] would not take.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        self.check().map_err(|why| Error::refused(MANIFEST, why))?;
        let mut bytes = serde_json::to_vec_pretty(self).map_err(|why| Error::failed("write", MANIFEST, why))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// The bytes of all its files together.
    pub fn size(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// Whether it is made of just these files, given as path, size and sha256, in any order: then it did not change.
    pub fn has_content<'a>(
        &self,
        kind: Kind,
        program: Option<&str>,
        files: impl Iterator<Item = (&'a str, u64, &'a str)>,
    ) -> bool {
        let mut theirs: Vec<_> = files.collect();
        let mut ours: Vec<_> = self.files.iter().map(|f| (f.path.as_str(), f.size, f.sha256.as_str())).collect();
        theirs.sort_unstable();
        ours.sort_unstable();
        self.kind == kind && self.program.as_deref() == program && ours == theirs
    }

    fn check(&self) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("format {} is unknown", self.format));
        }
        if !is_plain_name(&self.id) {
            return Err(format!("id {:?} is no plain name", self.id));
        }
        if self.name.is_empty() || self.name.len() > 200 || self.name.chars().any(char::is_control) {
            return Err("its name is empty, long or holds control characters".into());
        }
        if !is_release(&self.release) {
            return Err(format!("release {:?} is not like debian-12/amd64", self.release));
        }
        clock::parse(&self.expires).map_err(|why| format!("expires: {why}"))?;
        match (&self.program, self.kind) {
            (Some(program), Kind::Script) if is_plain_path(program) => {}
            (None, Kind::Apt | Kind::Rpm) => {}
            _ => return Err("a script cluster has a program with a plain path, other kinds have none".into()),
        }
        if let Some(odd) = self.advisories.iter().find(|name| !is_plain_name(name)) {
            return Err(format!("advisory {odd:?} is no plain name"));
        }
        self.check_files()
    }

    fn check_files(&self) -> std::result::Result<(), String> {
        if self.files.is_empty() {
            return Err("it has no files".into());
        }
        let mut names = HashSet::new();
        let mut total = 0u64;
        for file in &self.files {
            let path = &file.path;
            if !is_plain_path(path) {
                return Err(format!("path {path:?} is not plain and relative"));
            }
            if !names.insert(path.as_str()) {
                return Err(format!("path {path:?} is there twice"));
            }
            if !is_sha256(&file.sha256) || !is_hex(&file.md5, 32) {
                return Err(format!("the digests of {path:?} are not lower-case hexadecimal"));
            }
            total =
                total.checked_add(file.size).filter(|sum| i64::try_from(*sum).is_ok()).ok_or("its sizes overflow")?;
        }
        let is_below_a_file = |path: &str| path.match_indices('/').any(|(end, _)| names.contains(&path[..end]));
        match names.iter().find(|path| is_below_a_file(path)) {
            Some(path) => Err(format!("path {path:?} lies below a file")),
            None => Ok(()),
        }
    }
}

/// Whether this is a SHA-256 as we write it.
pub fn is_sha256(text: &str) -> bool {
    is_hex(text, 64)
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether a host may take this cluster: it is for its release, of a kind that it can install, not expired, and not older
/// than the last one that it took (the same one again is right).
///
/// # Errors
/// [`Error::Refused`] that says what to do.
pub fn judge(cluster: &Cluster, release: &str, now: Moment, last_sequence: Option<u64>) -> Result<()> {
    let refuse = |why: String| Err(Error::refused(format!("cluster {}", cluster.id), why));
    if cluster.release != release {
        let theirs = &cluster.release;
        return refuse(format!(
            "it is for {theirs} and this host is {release}; publish one with pull-cluster pull {release}"
        ));
    }
    if !INSTALLABLE.contains(&cluster.kind) {
        return refuse(format!(
            "this version cannot install clusters of kind {}; upgrade patchflag here",
            cluster.kind
        ));
    }
    if clock::parse(&cluster.expires)? <= now {
        let (expires, now) = (&cluster.expires, clock::stamp(now));
        return refuse(format!(
            "it expired at {expires} (here it is {now}); pull and promote a new one on the patch server"
        ));
    }
    match last_sequence {
        Some(last) if cluster.sequence < last => refuse(format!(
            "its sequence number {} is older than {last}, which this host had already; look for an old copy of the tree",
            cluster.sequence
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
