//! Installing the packages of an apt cluster with the host's own apt, from local disk, with no network.
//!
//! apt is shown one source alone, the cluster's directory; its lists and caches lie in a directory of ours there, and of the
//! host's state it reads what matters: installed packages, holds, pins. The source is marked as trusted, for it was checked:
//! the index and every package that apt then wants are compared with the signed list just before they are used.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::before::Before;
use super::{Deadline, Installer, Outcome, Plan, Site, changes, dpkg, handle, simulation};
use crate::cluster::unpack::remove_tree;
use crate::error::{Error, Result};
use crate::sys::dir::Dir;
use crate::sys::process::{Ended, Job};
use crate::sys::replace;
use crate::sys::trusted::{self, is_plain_name};

/// The index of a cluster's packages.
pub const INDEX: &str = "Packages";
/// An index may not be larger.
const LIMIT: u64 = 256 << 20;
/// apt's working directory, in the cluster's. Hidden: no file of a cluster can have such a name.
const WORK: &str = ".apt";
/// The package that this program is in. It is never changed while it runs, nor are those built from the same source.
const OWN: &str = "patchflag";
/// apt waits so many seconds for another package manager to end.
const LOCK_TIMEOUT: u32 = 300;

/// One apt cluster on one host.
pub struct Apt<'a> {
    site: Site<'a>,
    /// Whether programs can be run without a network here.
    can_unshare: OnceCell<bool>,
}

impl<'a> Apt<'a> {
    pub(super) fn new(site: Site<'a>) -> Self {
        Self { site, can_unshare: OnceCell::new() }
    }

    /// The files that apt would install from, and the index.
    pub(super) fn needed_files(&self) -> Result<Vec<String>> {
        self.prepare()?;
        self.simulate()?;
        self.wanted()
    }

    fn wanted(&self) -> Result<Vec<String>> {
        let base = self.inside();
        let said = self.ask(&["--print-uris", "--yes", "dist-upgrade"])?;
        let mut files = simulation::wanted(&said, &base).map_err(|why| Error::refused(base.display(), why))?;
        let known: HashSet<&str> = self.site.cluster.files.iter().map(|file| file.path.as_str()).collect();
        if let Some(unknown) = files.iter().find(|name| !known.contains(name.as_str())) {
            let why = format!("its index names {unknown}, which is not in the signed list");
            return Err(Error::refused(base.display(), why));
        }
        files.insert(0, INDEX.into());
        Ok(files)
    }

    /// What apt would do; what must not be done is an error that names the packages.
    fn simulate(&self) -> Result<simulation::Simulation> {
        let native = dpkg::native(self.site.paths)?;
        let found = simulation::simulation(&self.ask(&["--simulate", "dist-upgrade"])?, &native);
        let refuse = |names: &[String], what: &str| {
            let why = format!("it would {what} {}; nobody is there to agree", names.join(", "));
            Err(Error::failed("install", format!("cluster {}", self.site.cluster.id), why))
        };
        if !found.removals.is_empty() {
            return refuse(&found.removals, "remove");
        }
        let own: Vec<String> = found.installs.iter().map(|c| c.package.clone()).filter(|name| is_own(name)).collect();
        if own.is_empty() { Ok(found) } else { refuse(&own, "change the running") }
    }

    /// Makes apt's working directory anew and lets apt read the index, which is checked before.
    fn prepare(&self) -> Result<()> {
        let base = self.inside();
        let is_plain = |part: std::path::Component| match part {
            std::path::Component::Normal(name) => name.to_str().is_some_and(is_plain_name),
            part => part == std::path::Component::RootDir,
        };
        if !base.components().all(is_plain) {
            let why = "apt needs a path of letters, digits and . _ + : ~ -; change it in host_type";
            return Err(Error::refused(base.display(), why));
        }
        self.site.verify([INDEX])?;
        let dir = self.site.dir()?;
        remove_tree(&dir, WORK)?;
        let work = Dir::create(&dir.join(WORK), 0o700)?;
        for part in ["lists/partial", "cache/archives/partial"] {
            Dir::create(&work.join(part), 0o700)?;
        }
        let source = format!("deb [trusted=yes] file:{} ./\n", base.display());
        replace::replace(&work, "sources.list", source.as_bytes(), 0o600)?;
        replace::replace(&work, "preferences", &self.preferences()?, 0o600)?;
        self.ask(&["update"]).map(drop)
    }

    /// The host's own pins, after one that holds our package: of several that fit, the first counts, `apt_preferences(5)`.
    fn preferences(&self) -> Result<Vec<u8>> {
        let mut text = format!("Package: {OWN} {OWN}-*\nPin: release *\nPin-Priority: -1\n\n").into_bytes();
        let path = self.site.paths.at("/etc/apt/preferences");
        match trusted::read(&path, 1 << 20) {
            Ok(theirs) => text.extend(theirs),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        Ok(text)
    }

    /// The cluster's directory as apt sees it.
    fn inside(&self) -> PathBuf {
        self.site.paths.inside(self.site.dir)
    }

    fn ask(&self, args: &[&str]) -> Result<String> {
        let object = format!("cluster {}", self.site.cluster.id);
        dpkg::ask(self.site.paths, Job::new(self.command(args)), "read, with apt,", &object)
    }

    /// Runs apt to change something.
    fn run(&self, args: &[&str], output: &File, deadline: Deadline) -> Result<Ended> {
        let job = dpkg::with_environment(Job::new(self.command(args))).inside(self.site.paths.root());
        let job = job.marked(self.site.paths.worker());
        Ok(job.output(handle(output)?).deadline(deadline.after, deadline.grace).run()?.ended)
    }

    fn command(&self, args: &[&str]) -> Vec<String> {
        let work = self.inside().join(WORK);
        let mut command: Vec<String> = Vec::new();
        if self.can_unshare() {
            command.extend(["unshare", "--net", "--"].map(String::from));
        }
        command.extend(["apt-get", "--quiet"].map(String::from));
        for option in options(&work) {
            command.extend(["-o".to_string(), option]);
        }
        command.extend(args.iter().map(ToString::to_string));
        command
    }

    /// A container may not be allowed to; then apt still knows no other source.
    fn can_unshare(&self) -> bool {
        *self.can_unshare.get_or_init(|| {
            let tried = Job::new(["unshare", "--net", "--", "true"]).inside(self.site.paths.root()).run();
            tried.is_ok_and(|done| done.is_success())
        })
    }

    fn plan(&self) -> Result<Plan> {
        self.prepare()?;
        let simulated = self.simulate()?;
        let files = self.wanted()?;
        self.site.verify(files.iter().map(String::as_str))?;
        let needs = self.room(&files)?;
        Ok(Plan { changes: simulated.installs, kept_back: simulated.kept_back, files, needs })
    }

    fn room(&self, files: &[String]) -> Result<u64> {
        let native = dpkg::native(self.site.paths)?;
        let text = trusted::read(&self.site.dir.join(INDEX), LIMIT)?;
        let index = simulation::index(&String::from_utf8_lossy(&text), &native);
        let new: Vec<(String, u64)> = files.iter().filter_map(|file| index.get(file).cloned()).collect();
        Ok(changes::room(Before::take(self.site.paths)?.packages(), &new))
    }

    /// Finishes what was begun, then puts dependencies right from the cluster.
    fn mend(&self, output: &File, deadline: Deadline, notes: &mut Vec<String>) -> Result<Ended> {
        dpkg::wait_until_free(self.site.paths, deadline.after)?;
        let configured = dpkg::configure(self.site.paths, handle(output)?, deadline)?;
        if let Err(error) = self.prepare().and_then(|()| self.verify_what_is_there()) {
            notes.push(format!("dependencies were not repaired: {error}"));
            return Ok(configured);
        }
        let fixed = self.run(&["--yes", "--no-remove", "--fix-broken", "install"], output, deadline)?;
        Ok(if configured == Ended::Code(0) { fixed } else { configured })
    }

    /// A repair may take any package that was fetched.
    fn verify_what_is_there(&self) -> Result<()> {
        let names = self.site.cluster.files.iter().map(|file| file.path.as_str());
        self.site.verify(names.filter(|name| self.site.dir.join(name).exists()))
    }
}

impl Installer for Apt<'_> {
    fn dry_run(&self) -> Result<Plan> {
        self.plan()
    }

    fn install(&self, output: File, deadline: Deadline) -> Result<Outcome> {
        let plan = self.plan()?;
        let mut outcome = self.site.install(
            deadline,
            || self.run(&["--yes", "--no-remove", "dist-upgrade"], &output, deadline),
            |deadline, notes| self.mend(&output, deadline, notes),
        )?;
        if !plan.kept_back.is_empty() {
            outcome
                .notes
                .push(format!("apt kept back {}: held, pinned, or a dependency is missing", plan.kept_back.join(", ")));
        }
        if outcome.is_success() {
            outcome.problem = undone(&plan, &outcome);
        }
        Ok(outcome)
    }

    fn repair(&self, output: File, deadline: Deadline) -> Result<Outcome> {
        self.site.repair(deadline, |deadline, notes| self.mend(&output, deadline, notes))
    }
}

/// What was planned and did not come about, though apt says that all went well: apt.conf(5) of this host can make it do less.
fn undone(plan: &Plan, outcome: &Outcome) -> Option<String> {
    let left: Vec<String> =
        plan.changes.iter().filter(|change| !outcome.changes.contains(change)).map(ToString::to_string).collect();
    (!left.is_empty()).then(|| format!("apt said that it was done, and this was not: {}", left.join(", ")))
}

fn is_own(package: &str) -> bool {
    package.strip_prefix(OWN).is_some_and(|rest| rest.is_empty() || rest.starts_with([':', '-']))
}

/// apt.conf(5), for every call.
fn options(work: &Path) -> Vec<String> {
    let at = |key: &str, name: &str| format!("{key}={}", work.join(name).display());
    let mut options = vec![
        at("Dir::Etc::sourcelist", "sources.list"),
        "Dir::Etc::sourceparts=/dev/null".into(),
        at("Dir::Etc::preferences", "preferences"),
        at("Dir::State::lists", "lists"),
        at("Dir::Cache", "cache"),
        // The directory is root's alone.
        "APT::Sandbox::User=root".into(),
        // A release that this one source does not have would be an error.
        "APT::Default-Release=".into(),
        "APT::Install-Recommends=false".into(),
        "APT::Install-Suggests=false".into(),
        "APT::Get::AutomaticRemove=false".into(),
        "Acquire::Languages=none".into(),
        format!("DPkg::Lock::Timeout={LOCK_TIMEOUT}"),
        "Dpkg::Use-Pty=0".into(),
    ];
    options.extend(dpkg::KEEP_OLD.map(|option| format!("Dpkg::Options::={option}")));
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_packages_are_told_from_others() {
        for own in ["patchflag", "patchflag:amd64", "patchflag-server"] {
            assert!(is_own(own), "{own}");
        }
        assert!(!is_own("patch") && !is_own("patchflags"));
    }
}
