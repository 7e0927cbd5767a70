//! The directory, judged and open: what the child does there.

use super::errand::Hands;
use super::leftovers::{self, Part, Process};
use super::{Place, SUFFIX, is_same};
use crate::config::locking::Scope;
use crate::error::{Error, Result};
use crate::lock::wire::Grant;
use crate::sys::dir::Dir;
use crate::sys::{network_fs, proc_stat, replace};

/// A file of ours is a few hundred bytes.
const LIMIT: u64 = 64 << 10;

/// The directory.
#[derive(Debug)]
pub struct Open {
    pub(super) dir: Dir,
    place: Place,
    process: Process,
}

impl Place {
    /// Opens it.
    ///
    /// # Errors
    /// A directory that is not there is a mount that is not there: [`Error::Unreachable`], no reason to go on, and none to give up.
    /// [`Error::Usage`] if it should be shared and is not.
    pub fn open(self) -> Result<Open> {
        let dir = Dir::open(&self.dir).map_err(|error| self.away(error))?;
        if self.scope == Scope::Shared && !network_fs::is_shared(&dir).map_err(|error| self.away(error))? {
            return Err(Error::Usage(format!(
                "refusing {}: no other host sees it: it does not lie on a network file system; mount one there, or set scope = this-host \
                 if only this host's programs shall keep out of each other's way",
                self.shown.display()
            )));
        }
        let pid = i32::try_from(std::process::id()).unwrap_or_default();
        let start = proc_stat::of(pid).map(|me| me.start).unwrap_or_default();
        Ok(Open { dir, place: self, process: Process { pid, start } })
    }

    fn away(&self, error: Error) -> Error {
        match error {
            Error::Io { source, .. } => self.unreachable(source.to_string()),
            other => other,
        }
    }
}

impl Open {
    fn refuse(&self, name: &str, words: impl std::fmt::Display) -> Error {
        Error::refused(self.place.shown.join(name).display(), words)
    }

    fn own_name(&self, part: Part, grant: &Grant) -> String {
        leftovers::name(part, grant.host_id.as_deref().unwrap_or_default(), grant.number, self.process)
    }

    /// Removes what calls of this host have left here that were killed. Nothing depends on it: what cannot be removed stays.
    fn clear(&self, host: &str) {
        for name in self.dir.names().unwrap_or_default() {
            let Some(left) = leftovers::parse(&name, host) else { continue };
            if !leftovers::is_dead(left.process, proc_stat::of(left.process.pid)) {
                continue;
            }
            let is_ours = match left.part {
                Part::Draft => true,
                // It may be somebody else's, who took the lock while it was released, and could not be put back.
                Part::Released => self.read(&name).is_ok_and(|found| {
                    found.is_some_and(|found| found.host_id.as_deref() == Some(host) && found.number == left.number)
                }),
            };
            if is_ours {
                let _ = self.dir.remove(&name);
            }
        }
    }

    fn read(&self, name: &str) -> Result<Option<Grant>> {
        let Some(bytes) = self.dir.read(name, LIMIT).map_err(|error| self.place.away(error))? else { return Ok(None) };
        let grant = serde_json::from_slice(&bytes).map_err(|why| {
            self.refuse(
                name,
                format!("it is no lock of ours: {why}; look who wrote it, and remove it if nobody holds the lock"),
            )
        })?;
        Ok(Some(grant))
    }

    /// Somebody removed our file and another host took the lock between two looks.
    fn put_back(&self, aside: &str, name: &str) -> Result<bool> {
        if replace::rename_new(&self.dir, aside, &self.dir, name).map_err(|error| self.place.away(error))? {
            return Ok(false);
        }
        Err(self.refuse(
            name,
            format!("it was exchanged twice by hand while it was released; look at {aside} and {name} there"),
        ))
    }
}

impl Hands for Open {
    fn look(&mut self, name: &str) -> Result<Option<Grant>> {
        self.read(name)
    }

    fn place(&mut self, name: &str, grant: &Grant) -> Result<bool> {
        // Before, not after: whoever is killed at it has taken nothing.
        self.clear(grant.host_id.as_deref().unwrap_or_default());
        let mut text = serde_json::to_vec(grant).map_err(|why| Error::failed("write", name, why))?;
        text.push(b'\n');
        let draft = self.own_name(Part::Draft, grant);
        replace::create_shared(&self.dir, &draft, name, &text, 0o644).map_err(|error| self.place.away(error))
    }

    fn end(&mut self, name: &str, grant: &Grant) -> Result<bool> {
        let aside = self.own_name(Part::Released, grant);
        let away = |error| self.place.away(error);
        self.dir.remove(&aside).map_err(away)?;
        match replace::rename_new(&self.dir, name, &self.dir, &aside) {
            Ok(true) => {}
            Ok(false) => return Err(self.refuse(&aside, "it is in the way of a release; remove it")),
            Err(error) if error.is_missing() => return Ok(false),
            Err(error) => return Err(away(error)),
        }
        match self.read(&aside)? {
            Some(found) if is_same(&found, grant) => self.dir.remove(&aside).map_err(away).map(|_| true),
            _ => self.put_back(&aside, name),
        }
    }

    fn list(&mut self) -> Result<Vec<Grant>> {
        let names = self.dir.names().map_err(|error| self.place.away(error))?;
        let locks = names.iter().filter(|name| name.ends_with(SUFFIX) && !name.starts_with('.'));
        Ok(locks.map(|name| self.read(name)).collect::<Result<Vec<_>>>()?.into_iter().flatten().collect())
    }
}
