//! Installing a staged cluster, and asking beforehand what that would do.
//!
//! The two kinds differ in who does the work: the host's own apt from the cluster's packages, or the program that came with the
//! cluster. All else is the same for both and lies here: what is used is checked against the signed list first, how the host
//! looked is kept on disk, no service is started, input is closed, old configuration files stay, there is a deadline, and a
//! failure is followed by one attempt to leave a sound package database behind.
//!
//! An error of [`Installer::install`] means that nothing was changed; what happens after the first change is an [`Outcome`].

mod apt;
mod before;
mod changes;
mod dpkg;
pub mod policy;
mod script;
mod simulation;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

pub use changes::Change;
pub use dpkg::database_is_sound;

use super::digest;
use super::manifest::{Cluster, Kind};
use crate::error::{Error, Result};
use crate::paths::Paths;
use crate::sys::dir::Dir;
use crate::sys::process::Ended;
use crate::sys::trusted;
use before::Before;

/// The attempt to repair ends after this time, if the installation's own deadline is not sooner.
const REPAIR: Duration = Duration::from_mins(15);

/// When an installer is told to end (TERM), and how long it has until it is ended (KILL).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// From its start to TERM.
    pub after: Duration,
    /// From TERM to KILL.
    pub grace: Duration,
}

/// What an installation would do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Packages and versions; empty where the cluster's own program decides that.
    pub changes: Vec<Change>,
    /// Packages that have a newer version in the cluster and would stay as they are: held, pinned, or for want of a dependency.
    pub kept_back: Vec<String>,
    /// Files of the cluster that would be used, by their paths in it.
    pub files: Vec<String>,
    /// Room that it takes on the host's disk, in bytes; an estimate, rather too large.
    pub needs: u64,
}

/// What an installation, or a repair, has done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// How the installer ended; of a repair, how its first failing step did.
    pub ended: Ended,
    /// Packages that really have another version than before the installation began.
    pub changes: Vec<Change>,
    /// Configuration files that were kept as they are; the new ones lie beside them as `.dpkg-dist`, `.dpkg-new` or `.ucf-dist`.
    pub kept: Vec<String>,
    /// A repair was tried, and the package database was sound after it.
    pub repaired: bool,
    /// What is still wrong: with the package database, or with an installer that claims to be done and is not.
    pub problem: Option<String>,
    /// Anything else that a person should know.
    pub notes: Vec<String>,
}

impl Outcome {
    /// Whether everything went well.
    pub fn is_success(&self) -> bool {
        self.ended == Ended::Code(0) && self.problem.is_none()
    }
}

/// One staged cluster on one host.
pub trait Installer {
    /// Says what [`Installer::install`] would do, without network and without changing anything but a working directory of its
    /// own. Foreign code is not run.
    ///
    /// # Errors
    /// Why it must not be tried: files that are missing or not what was signed, packages that would be removed, broken
    /// dependencies.
    fn dry_run(&self) -> Result<Plan>;

    /// Installs. Output and errors go to the file.
    ///
    /// # Errors
    /// As [`Installer::dry_run`]; nothing was changed then.
    fn install(&self, output: File, deadline: Deadline) -> Result<Outcome>;

    /// After an installation that was cut short: makes the package database sound again and tells what has changed since that
    /// installation began.
    ///
    /// # Errors
    /// If the host cannot be looked at, or another package manager does not end.
    fn repair(&self, output: File, deadline: Deadline) -> Result<Outcome>;
}

/// The installer for a cluster that was staged in `dir`. `run` names the run to the cluster's own program.
///
/// # Errors
/// [`Error::Refused`] for a kind that this build does not install.
pub fn for_cluster<'a>(
    paths: &'a Paths,
    dir: &'a Path,
    cluster: &'a Cluster,
    run: &'a str,
) -> Result<Box<dyn Installer + 'a>> {
    let site = Site { paths, dir, cluster };
    match (cluster.kind, &cluster.program) {
        (Kind::Apt, _) => Ok(Box::new(apt::Apt::new(site))),
        (Kind::Script, Some(program)) => Ok(Box::new(script::Script::new(site, program, run))),
        (Kind::Script, None) => Err(Error::refused(dir.display(), "it is a script cluster without a program")),
        (Kind::Rpm, _) => Err(Error::refused(dir.display(), "this build does not install rpm clusters")),
    }
}

/// The files of a cluster that this host needs, by their paths in it; the index of packages, [`first_files`], must be in `dir`
/// already.
///
/// # Errors
/// As [`Installer::dry_run`].
pub fn needed_files(paths: &Paths, dir: &Path, cluster: &Cluster) -> Result<Vec<String>> {
    match cluster.kind {
        Kind::Apt => apt::Apt::new(Site { paths, dir, cluster }).needed_files(),
        Kind::Rpm | Kind::Script => Ok(cluster.files.iter().map(|file| file.path.clone()).collect()),
    }
}

/// The files that have to be there before it can be told which others are needed.
pub fn first_files(cluster: &Cluster) -> Vec<&str> {
    match cluster.kind {
        Kind::Apt => vec![apt::INDEX],
        Kind::Rpm | Kind::Script => Vec::new(),
    }
}

/// What is left to do when all needed files are in `dir`: a script cluster is unpacked.
///
/// # Errors
/// As [`super::unpack::unpack`].
pub fn lay_out(dir: &Path, cluster: &Cluster) -> Result<()> {
    match &cluster.program {
        Some(program) => script::unpack_all(dir, cluster, program),
        None => Ok(()),
    }
}

/// What every installer works on.
#[derive(Clone, Copy)]
struct Site<'a> {
    paths: &'a Paths,
    dir: &'a Path,
    cluster: &'a Cluster,
}

impl Site<'_> {
    fn dir(&self) -> Result<Dir> {
        Dir::open(self.dir)
    }

    /// Checks files against the signed list, by what is open.
    fn verify<'n>(&self, names: impl IntoIterator<Item = &'n str>) -> Result<()> {
        for name in names {
            let path = self.dir.join(name);
            let refuse = |why: &str| Error::refused(path.display(), why);
            let Some(entry) = self.cluster.files.iter().find(|file| file.path == name) else {
                return Err(refuse("it is not in the signed list of the cluster"));
            };
            let file = match trusted::file(&path) {
                Err(error) if error.is_missing() => {
                    return Err(refuse("it is needed and not there; stage the cluster again"));
                }
                other => other?,
            };
            let found = digest::of(file).map_err(Error::io("read", &path))?;
            if found.sha256 != entry.sha256 || found.size != entry.size {
                return Err(refuse("it is not what was signed; stage the cluster again"));
            }
        }
        Ok(())
    }

    /// Runs an installation with everything around it that does not depend on the kind.
    fn install(
        &self,
        deadline: Deadline,
        work: impl FnOnce() -> Result<Ended>,
        mend: impl FnOnce(Deadline, &mut Vec<String>) -> Result<Ended>,
    ) -> Result<Outcome> {
        let before = Before::take(self.paths)?;
        before.save(&self.dir()?)?;
        policy::raise(self.paths)?;
        let ended = match work() {
            Ok(ended) => ended,
            Err(error) => {
                policy::undo(self.paths)?;
                return Err(error);
            }
        };
        let mut notes = Vec::new();
        let failed = ended != Ended::Code(0);
        if failed {
            let mended = mend(shorter(deadline), &mut notes);
            note(&mut notes, mended.map(drop));
        }
        note(&mut notes, policy::undo(self.paths));
        Ok(self.outcome(ended, failed, Some(&before), notes))
    }

    /// Runs a repair with everything around it.
    fn repair(
        &self,
        deadline: Deadline,
        mend: impl FnOnce(Deadline, &mut Vec<String>) -> Result<Ended>,
    ) -> Result<Outcome> {
        let mut notes = Vec::new();
        let before = Before::load(&self.dir()?).unwrap_or_else(|error| {
            notes.push(error.to_string());
            None
        });
        policy::raise(self.paths)?;
        let ended = mend(shorter(deadline), &mut notes);
        let undone = policy::undo(self.paths);
        let ended = ended?;
        note(&mut notes, undone);
        Ok(self.outcome(ended, true, before.as_ref(), notes))
    }

    fn outcome(&self, ended: Ended, was_repaired: bool, before: Option<&Before>, mut notes: Vec<String>) -> Outcome {
        let problem = database_is_sound(self.paths).err().map(|error| error.to_string());
        let changes = before.map_or_else(|| Ok(Vec::new()), |before| before.changes(self.paths));
        let changes = changes.unwrap_or_else(|error| {
            notes.push(error.to_string());
            Vec::new()
        });
        let kept = before.map(|before| before.kept(self.paths)).unwrap_or_default();
        Outcome { ended, changes, kept, repaired: was_repaired && problem.is_none(), problem, notes }
    }
}

fn shorter(deadline: Deadline) -> Deadline {
    Deadline { after: deadline.after.min(REPAIR), ..deadline }
}

/// After the first change an error is something to tell, not something to stop at.
fn note(notes: &mut Vec<String>, result: Result<()>) {
    if let Err(error) = result {
        notes.push(error.to_string());
    }
}

/// Another handle of the same output.
fn handle(output: &File) -> Result<File> {
    output.try_clone().map_err(Error::io("write", "the installer's output"))
}
