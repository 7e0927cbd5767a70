//! Reading the files of a tree, or of any other source, from afar: by HTTP, or from a directory (an NFS mount, a USB disk).
//!
//! What is read here is not believed: the caller has a digest or a signature for it. So no client certificate, no password
//! and no cookie ever travels, and the proxy that the environment names is used. Everything has an end: connecting,
//! answering, a body that stalls, a body that trickles, a body without end.
//!
//! A service that does not answer, answers 5xx, breaks off or trickles is [`Error::Unreachable`]; of a file that is not there
//! [`Error::is_missing`] is true; one that is not what it should be is [`Error::Failed`].

mod http;
mod local;
mod pace;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::digest::{Digests, Hasher};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::replace::Draft;

/// How long a server is waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For a connection, the TLS handshake included.
    pub connect: Duration,
    /// For the beginning of an answer, and for each next piece of it.
    pub answer: Duration,
    /// A body must bring `least` bytes in each such time.
    pub window: Duration,
    /// What each `window` must bring.
    pub least: u64,
}

impl Default for Patience {
    fn default() -> Self {
        let second = Duration::from_secs(1);
        Self { connect: 20 * second, answer: 60 * second, window: 60 * second, least: 60 << 10 }
    }
}

/// One place that files are read from.
#[derive(Debug)]
pub struct Transport {
    base: Base,
    patience: Patience,
}

#[derive(Debug)]
enum Base {
    Http(http::Client),
    Local(PathBuf),
}

/// What a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected<'a> {
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: &'a str,
}

impl Transport {
    /// A place: `http://…`, `https://…`, `file://…` or an absolute path below the root. Nothing is connected yet. For
    /// `https://` the system's bundle of authorities counts, or `ca_file` alone.
    ///
    /// # Errors
    /// [`Error::Usage`] if it is none of these; [`Error::Failed`] if there are no authorities to trust.
    pub fn new(base: &str, ca_file: Option<&Path>, paths: &Paths) -> Result<Self> {
        Self::patient(base, ca_file, paths, Patience::default())
    }

    /// The same, with a patience of one's own.
    ///
    /// # Errors
    /// As [`Transport::new`].
    pub fn patient(base: &str, ca_file: Option<&Path>, paths: &Paths, patience: Patience) -> Result<Self> {
        let scheme = base.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let base = match scheme.as_deref() {
            Some("http" | "https") => Base::Http(http::Client::new(base, ca_file, paths, patience)?),
            Some("file") => Base::Local(local::place(&base["file://".len()..], base, paths)?),
            Some(_) => return Err(Error::Usage(format!("cannot read {base}: write http://, https:// or a path"))),
            None => Base::Local(local::place(base, base, paths)?),
        };
        Ok(Self { base, patience })
    }

    /// Opens a file. `relative` is its path below the base, as it is on disk; empty means the base itself. No more than
    /// `limit` bytes will be read.
    ///
    /// # Errors
    /// [`Error::Unreachable`], [`Error::Failed`]; [`Error::is_missing`] is true of one that is not there.
    pub fn open(&self, relative: &str, limit: u64) -> Result<Body> {
        let (object, reader): (String, Box<dyn Read>) = match &self.base {
            Base::Http(client) => client.get(relative)?,
            Base::Local(dir) => local::open(dir, relative)?,
        };
        Ok(Body { object, reader: pace::Paced::new(reader, self.patience), limit, read: 0 })
    }

    /// Reads a file whole.
    ///
    /// # Errors
    /// As [`Transport::open`]; [`Error::Failed`] when it is larger than `limit`.
    pub fn read(&self, relative: &str, limit: u64) -> Result<Vec<u8>> {
        let mut body = self.open(relative, limit)?;
        let mut bytes = Vec::new();
        let mut block = vec![0; 1 << 16];
        loop {
            match body.next(&mut block)? {
                0 => return Ok(bytes),
                read => bytes.extend_from_slice(&block[..read]),
            }
        }
    }

    /// Fetches a file into a directory: the bytes go to a draft and their digest is taken on the way; when they are whole
    /// and what was expected they are on disk under `name`, mode 0644, else nothing is. `limit` counts when nothing is
    /// expected.
    ///
    /// # Errors
    /// As [`Transport::open`]; [`Error::Failed`] when it is larger, smaller or something else; [`Error::Io`].
    pub fn fetch_to(
        &self,
        relative: &str,
        dir: &Dir,
        name: &str,
        expected: Option<Expected>,
        limit: u64,
    ) -> Result<Digests> {
        let limit = expected.map_or(limit, |expected| expected.size);
        let mut body = self.open(relative, limit)?;
        let mut draft = Draft::begin(dir, name)?;
        let mut hasher = Hasher::default();
        let mut block = vec![0; 1 << 16];
        loop {
            let read = body.next(&mut block)?;
            if read == 0 {
                break;
            }
            hasher.update(&block[..read]);
            draft.write(&block[..read])?;
        }
        let digests = hasher.finish();
        if let Some(expected) = expected {
            compare(&digests, expected, &body.object)?;
        }
        draft.publish(0o644)?;
        Ok(digests)
    }
}

fn compare(found: &Digests, expected: Expected, object: &str) -> Result<()> {
    if found.size != expected.size {
        return Err(Error::failed("fetch", object, format!("it has {} bytes, not {}", found.size, expected.size)));
    }
    if found.sha256 != expected.sha256 {
        let why = format!("its sha256 is {}, not {}", found.sha256, expected.sha256);
        return Err(Error::failed("fetch", object, why));
    }
    Ok(())
}

/// An open file, read in order.
pub struct Body {
    object: String,
    reader: pace::Paced<Box<dyn Read>>,
    limit: u64,
    read: u64,
}

impl Body {
    /// The next bytes; 0 at the end.
    ///
    /// # Errors
    /// [`Error::Unreachable`] if it breaks off or trickles, [`Error::Failed`] if it is larger than the limit, [`Error::Io`]
    /// if a local disk fails.
    pub fn next(&mut self, block: &mut [u8]) -> Result<usize> {
        let read = loop {
            match self.reader.read(block) {
                Err(why) if why.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(|why| local_or_remote(&self.object, why))?,
            }
        };
        self.read += read as u64;
        if self.read > self.limit {
            return Err(Error::failed("fetch", &self.object, format!("it is larger than {} bytes", self.limit)));
        }
        Ok(read)
    }

    /// Where it comes from, for messages.
    pub fn object(&self) -> &str {
        &self.object
    }
}

/// The place is there, and has no such file.
fn missing(object: &str, words: &str) -> Error {
    Error::io("fetch", object)(std::io::Error::new(std::io::ErrorKind::NotFound, words))
}

fn local_or_remote(object: &str, why: std::io::Error) -> Error {
    if object.contains("://") { http::broken(object, &why) } else { local::broken(object, why) }
}

#[cfg(test)]
#[path = "transport/tests.rs"]
mod tests;
