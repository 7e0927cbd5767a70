//! Where patches come from. A source says what a cluster would be made of; what is done with that is for
//! [`super::pull`].

mod apt;
mod archive;
mod gpgv;

use super::manifest::Kind;
use super::transport::Transport;
use crate::config::ClusterSource;
use crate::error::Result;
use crate::paths::Paths;
use crate::sys::clock::Moment;
use crate::sys::dir::Dir;

/// What a cluster would be made of.
#[derive(Debug)]
pub struct Gathered {
    /// How it is installed.
    pub kind: Kind,
    /// Of an archive, the program in it.
    pub program: Option<String>,
    /// Its files.
    pub items: Vec<Item>,
    /// Where they are fetched from.
    pub transports: Vec<Transport>,
}

/// A file.
#[derive(Debug)]
pub struct Item {
    /// Its path in the cluster.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hexadecimal.
    pub sha256: String,
    /// Where its bytes are.
    pub origin: Origin,
}

/// Where bytes are.
#[derive(Debug)]
pub enum Origin {
    /// In an archive.
    Remote {
        /// Its place in [`Gathered::transports`].
        transport: usize,
        /// The path there.
        relative: String,
    },
    /// Here.
    Bytes(Vec<u8>),
    /// Fetched already.
    Incoming {
        /// The name in the incoming directory.
        name: String,
        /// Lower-case hexadecimal.
        md5: String,
    },
}

impl Gathered {
    /// How many packages, or files, a person would count: not the index of packages.
    pub fn parts(&self) -> usize {
        self.items.len() - usize::from(self.kind == Kind::Apt)
    }

    /// The bytes of it all.
    pub fn size(&self) -> u64 {
        self.items.iter().fold(0, |sum, item| sum.saturating_add(item.size))
    }
}

/// Asks the source. `incoming` is an empty directory for what has to be fetched to know it.
///
/// # Errors
/// [`crate::error::Error::Unreachable`], [`crate::error::Error::Failed`], [`crate::error::Error::Refused`].
pub fn gather(source: &ClusterSource, incoming: &Dir, paths: &Paths, now: Moment) -> Result<Gathered> {
    match source.kind.as_str() {
        "apt" => apt::gather(source, incoming, paths, now),
        _ => archive::gather(source, incoming, paths),
    }
}
