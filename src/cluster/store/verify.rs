//! Checking a whole tree: every pointer, signature and digest.

use super::Store;
use crate::cluster::digest;
use crate::cluster::host_type::{self, HostTypes};
use crate::cluster::manifest::Cluster;
use crate::cluster::signature::Verifier;
use crate::cluster::tree::{self, HOST_TYPE, Level};
use crate::error::{Error, Result};

impl Store {
    /// Whether every file of a cluster lies in the pool and is what its name says.
    ///
    /// # Errors
    /// [`Error::Refused`] naming the first one that is not.
    pub fn check_files(&self, cluster: &Cluster) -> Result<()> {
        for file in &cluster.files {
            let relative = tree::pool(&file.sha256);
            let path = self.path(&relative);
            let refuse = |why: &str| {
                let why = format!("{why} (it is {} of cluster {}); pull again", file.path, cluster.id);
                Error::refused(path.display(), why)
            };
            let (above, name) = super::split(&relative);
            let open = self.dir(above)?.map(|dir| dir.file(name)).transpose()?.flatten();
            let open = open.ok_or_else(|| refuse("it is not in the pool"))?;
            let found = digest::of(open).map_err(Error::io("read", &path))?;
            if (&found.sha256, &found.md5, found.size) != (&file.sha256, &file.md5, file.size) {
                return Err(refuse("it is damaged"));
            }
        }
        Ok(())
    }

    /// Everything that is wrong with the tree, in words: one finding does not end the search for others.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be looked at.
    pub fn problems(&self, verifier: &Verifier) -> Result<Vec<String>> {
        let mut found = Vec::new();
        let mut note = |result: Result<()>| {
            if let Err(error) = result {
                found.push(error.to_string());
            }
        };
        note(self.host_types(verifier).map(|_| ()));
        for release in self.releases()? {
            for level in [Level::Development, Level::Production] {
                note(self.pointed(&release, level, verifier).map(|_| ()));
            }
            let ids = self.ids(&release);
            for id in ids.as_deref().unwrap_or_default() {
                let checked = self.cluster(&release, id, verifier).and_then(|(cluster, _)| self.check_files(&cluster));
                note(checked);
            }
            note(ids.map(drop));
        }
        Ok(found)
    }

    /// The list of hosts, the signature checked.
    ///
    /// # Errors
    /// [`Error::Failed`] if there is none, [`Error::Refused`] if it is wrong.
    pub fn host_types(&self, verifier: &Verifier) -> Result<HostTypes> {
        let path = self.path(HOST_TYPE);
        let bytes = self.signed(HOST_TYPE, host_type::LIMIT, verifier)?.ok_or_else(|| {
            let why = "it is not there; write it, then sign it with pull-cluster sign";
            Error::failed("read", path.display(), why)
        })?;
        HostTypes::parse(&bytes, &path.display().to_string())
    }
}
