//! Which host has confirmed which cluster: it was installed there, and the host is well.

use super::Store;
use crate::cluster::host_type::{self, HostTypes};
use crate::cluster::tree::{self, HOST_TYPE};
use crate::error::{Error, Result};
use crate::sys::clock::{Moment, stamp};
use crate::sys::replace;
use crate::sys::trusted::is_plain_name;

/// One confirmation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confirmation {
    /// Whose.
    pub host: String,
    /// When, as it was written.
    pub time: String,
}

impl Store {
    /// Writes down that a host has confirmed a cluster; `false` if that was known. Takes no lock: a host must not wait for a
    /// pull.
    ///
    /// # Errors
    /// [`Error::Usage`] for a name that is none; [`Error::Refused`] for a host that `host_type` does not know, or a cluster that is
    /// not in the tree.
    pub fn confirm(&self, host: &str, id: &str, now: Moment) -> Result<bool> {
        for (what, name) in [("host", host), ("cluster", id)] {
            if !is_plain_name(name) {
                return Err(Error::Usage(format!("cannot use {what} name {name:?}: it is no plain name")));
            }
        }
        let bytes = self.read(HOST_TYPE, host_type::LIMIT)?.unwrap_or_default();
        if HostTypes::parse(&bytes, HOST_TYPE)?.find(host).is_none() {
            return Err(Error::refused(format!("host {host}"), format!("no line of {HOST_TYPE} matches it")));
        }
        if !self.has_cluster(id)? {
            return Err(Error::refused(format!("cluster {id}"), "it is not in the tree"));
        }
        let dir = self.make_dir(&format!("{}/{id}", tree::CONFIRMED))?;
        replace::create(&dir, &host.to_ascii_lowercase(), format!("{}\n", stamp(now)).as_bytes(), 0o644)
    }

    fn has_cluster(&self, id: &str) -> Result<bool> {
        for release in self.releases()? {
            if self.ids(&release)?.iter().any(|known| known == id) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Who has confirmed a cluster.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn confirmations(&self, id: &str) -> Result<Vec<Confirmation>> {
        let mut all = Vec::new();
        for host in self.names(&format!("{}/{id}", tree::CONFIRMED))? {
            let bytes = self.read(&tree::confirmed(id, &host), 1024)?.unwrap_or_default();
            all.push(Confirmation { host, time: String::from_utf8_lossy(&bytes).trim().to_string() });
        }
        Ok(all)
    }
}
