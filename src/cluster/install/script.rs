//! Installing a script cluster: every unpacked archive's own program is run in its directory, in the order of names.
//!
//! The archives were unpacked at staging; before a program is run, everything beside it is compared with the listing that was
//! written then, and the archive with the signed list. The program is foreign code: it is never run for a question.

use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Deadline, Installer, Outcome, Plan, Site, dpkg, handle};
use crate::cluster::manifest::Cluster;
use crate::cluster::unpack::{self, Packing};
use crate::error::{Error, Result};
use crate::sys::dir::Dir;
use crate::sys::process::{Ended, Job};
use crate::sys::trusted;

/// Goes where the program lies and becomes it; this way it works inside another root as well.
const START: &str = "cd -- \"$1\" && exec \"./$2\"";

/// One script cluster on one host.
pub struct Script<'a> {
    site: Site<'a>,
    program: &'a str,
    run: &'a str,
}

/// Unpacks every archive of the cluster beside itself, and checks that each holds the program.
///
/// # Errors
/// As [`unpack::unpack`]; [`Error::Refused`] if there is no archive, or one without the program.
pub(super) fn unpack_all(dir: &Path, cluster: &Cluster, program: &str) -> Result<()> {
    let open = Dir::open(dir)?;
    for (archive, folder) in archives(cluster) {
        unpack::unpack(&dir.join(archive), &open, folder, program, unpack::Limits::default())?;
    }
    programs(dir, cluster, program).map(drop)
}

/// The archives of a cluster and the folders that they are unpacked to, in the order of names.
fn archives(cluster: &Cluster) -> Vec<(&str, &str)> {
    let mut found: Vec<(&str, &str)> = cluster
        .files
        .iter()
        .filter(|file| !file.path.contains('/'))
        .filter_map(|file| Some((file.path.as_str(), Packing::of(&file.path)?.1)))
        .collect();
    found.sort_unstable_by_key(|(_, folder)| *folder);
    found
}

/// Where the programs lie: at the top of an unpacked archive, or one folder down, for many archives hold one folder.
fn programs(dir: &Path, cluster: &Cluster, program: &str) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for (archive, folder) in archives(cluster) {
        let top = dir.join(folder);
        let mut candidates = vec![top.join(program)];
        let below = Dir::open(&top)?.names()?;
        candidates.extend(below.iter().map(|name| top.join(name).join(program)));
        let top_or_below: Vec<PathBuf> = match candidates.remove(0) {
            first if first.is_file() => vec![first],
            _ => candidates.into_iter().filter(|path| path.is_file()).collect(),
        };
        if top_or_below.is_empty() {
            let why = format!("it holds no program {program}, neither at its top nor one folder down");
            return Err(Error::refused(dir.join(archive).display(), why));
        }
        found.extend(top_or_below);
    }
    if found.is_empty() {
        return Err(Error::refused(dir.display(), "the cluster holds no archive"));
    }
    Ok(found)
}

impl<'a> Script<'a> {
    pub(super) fn new(site: Site<'a>, program: &'a str, run: &'a str) -> Self {
        Self { site, program, run }
    }

    /// Everything is there and is what was signed.
    fn check(&self) -> Result<Vec<PathBuf>> {
        self.site.verify(self.site.cluster.files.iter().map(|file| file.path.as_str()))?;
        let dir = self.site.dir()?;
        for (_, folder) in archives(self.site.cluster) {
            unpack::verify(&dir, folder)?;
        }
        let programs = programs(self.site.dir, self.site.cluster, self.program)?;
        for program in &programs {
            let mode = trusted::file(program)?.metadata().map_err(Error::io("look at", program))?.permissions().mode();
            if mode & 0o100 == 0 {
                return Err(Error::refused(program.display(), "it is not executable; stage the cluster again"));
            }
        }
        Ok(programs)
    }

    /// One after the other, within one deadline; the first that fails is the last.
    fn run_all(&self, programs: &[PathBuf], output: &File, deadline: Deadline) -> Result<Ended> {
        let start = Instant::now();
        for (number, program) in programs.iter().enumerate() {
            let left = deadline.after.saturating_sub(start.elapsed());
            let ended = match self.run_one(program, output, Deadline { after: left, ..deadline }) {
                Ok(ended) => ended,
                // Something was changed by the ones before it.
                Err(_) if number > 0 => Ended::Code(127),
                Err(error) => return Err(error),
            };
            if ended != Ended::Code(0) {
                return Ok(ended);
            }
        }
        Ok(Ended::Code(0))
    }

    fn run_one(&self, program: &Path, output: &File, deadline: Deadline) -> Result<Ended> {
        let (above, name) = trusted::split(program)?;
        let above = self.site.paths.inside(above);
        let argv = ["/bin/sh".as_ref(), "-c".as_ref(), START.as_ref(), "patchit".as_ref(), above.as_os_str(), name];
        let job = Job::new(argv)
            .env("PATCHFLAG_RUN", self.run)
            .env("PATCHFLAG_CLUSTER", &self.site.cluster.id)
            .inside(self.site.paths.root())
            .output(handle(output)?)
            .marked(self.site.paths.worker())
            .deadline(deadline.after, deadline.grace);
        Ok(job.run()?.ended)
    }

    fn mend(&self, output: &File, deadline: Deadline) -> Result<Ended> {
        if !dpkg::is_here(self.site.paths) {
            return Ok(Ended::Code(0));
        }
        dpkg::wait_until_free(self.site.paths, deadline.after)?;
        dpkg::configure(self.site.paths, handle(output)?, deadline)
    }
}

impl Installer for Script<'_> {
    fn dry_run(&self) -> Result<Plan> {
        self.check()?;
        let files = self.site.cluster.files.iter().map(|file| file.path.clone()).collect();
        Ok(Plan { files, needs: self.site.cluster.size(), ..Plan::default() })
    }

    fn install(&self, output: File, deadline: Deadline) -> Result<Outcome> {
        let programs = self.check()?;
        self.site.install(
            deadline,
            || self.run_all(&programs, &output, deadline),
            |deadline, _| self.mend(&output, deadline),
        )
    }

    fn repair(&self, output: File, deadline: Deadline) -> Result<Outcome> {
        self.site.repair(deadline, |deadline, _| self.mend(&output, deadline))
    }
}
