//! Installing what the journal names, and telling what came of it.

use std::fs::File;
use std::path::{Path, PathBuf};

use crate::cluster::install::{self, Change, Deadline, Outcome};
use crate::cluster::manifest::Cluster;
use crate::cluster::signature::Verifier;
use crate::cluster::{digest, fetch};
use crate::error::{Error, Result};
use crate::exit;
use crate::flag::record::Draft;
use crate::flag::run::Run;
use crate::paths;
use crate::sys::append;
use crate::sys::dir::Dir;
use crate::sys::replace;
use crate::sys::trusted;

use super::walk::Site;

/// How much of the installer's output the journal remembers.
const TAIL: usize = 40;
/// How much of the end of the output is read for that.
const TAIL_BYTES: u64 = 64 << 10;

/// What an installation did, for the journal.
pub struct Report {
    output: PathBuf,
    sha256: String,
    tail: String,
    outcome: Outcome,
}

impl Report {
    /// The record.
    pub fn draft(&self) -> Draft {
        let words = self.outcome.changes.iter().map(written).collect::<Vec<_>>().join("; ");
        Draft::note(&format!("the installer ended: {}", self.outcome.ended))
            .field("output", self.output.display().to_string())
            .field("output_sha256", &self.sha256)
            .field("changes", words)
            .field("kept", self.outcome.kept.join("\n"))
            .field("notes", self.outcome.notes.join("\n"))
            .maybe("repaired", self.outcome.repaired.then_some("yes"))
            .field("tail", &self.tail)
    }

    /// Whether it went well, or why not.
    pub fn verdict(&self) -> std::result::Result<(), String> {
        if self.outcome.is_success() {
            return Ok(());
        }
        let mut words = format!("the installer failed: {}", self.outcome.ended);
        if self.outcome.repaired {
            words.push_str("; the package database was repaired");
        }
        if let Some(problem) = &self.outcome.problem {
            words.push_str("; ");
            words.push_str(problem);
        }
        Err(words)
    }
}

/// `name old new`, a hyphen for a version that there is none of.
fn written(change: &Change) -> String {
    let version = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    format!("{} {} {}", change.package, version(&change.old), version(&change.new))
}

/// Installs the staged cluster.
///
/// # Errors
/// If it was not begun: what is staged is not what the journal says, or the output has no place to go.
pub fn install(site: &Site, run: &Run) -> Result<Report> {
    let (dir, cluster) = staged(site, run)?;
    let (output, path) = output_file(site, &run.id)?;
    let installer = install::for_cluster(site.paths, &dir, &cluster, &run.id)?;
    exit::note(format_args!("installing cluster {}", cluster.id));
    let outcome = installer.install(handle(&output, &path)?, deadline(site))?;
    report(site, &output, &path, outcome)
}

/// Whether what was staged is still there, and is still what was staged: asked before a boot is spent on it. Every file is looked
/// at again just before it is used.
///
/// # Errors
/// Why it could not be installed.
pub fn check(site: &Site, run: &Run) -> Result<()> {
    staged(site, run).map(drop)
}

/// Sets right what an interrupted installation left, and says in a line how that went.
pub fn repair(site: &Site, run: &Run) -> String {
    let outcome = staged(site, run).and_then(|(dir, cluster)| {
        let (output, _) = output_file(site, &run.id)?;
        install::for_cluster(site.paths, &dir, &cluster, &run.id)?.repair(output, deadline(site))
    });
    match outcome {
        Ok(Outcome { problem: None, changes, .. }) => format!("yes: {} packages have changed", changes.len()),
        Ok(Outcome { problem: Some(problem), .. }) => format!("no: {problem}"),
        Err(error) => format!("no: {error}"),
    }
}

/// In the place of [`repair`], when it was cut short too often.
pub fn left_as_it_is(site: &Site) -> String {
    let problem = install::database_is_sound(site.paths).err().map(|error| format!("; {error}"));
    format!("no: each attempt was cut short{}", problem.unwrap_or_default())
}

/// The room that was set aside at staging, for mails and records on a disk that the installer has filled.
pub fn give_room_back(site: &Site, etc: &Dir) {
    let spool = Dir::open(&site.paths.spool());
    replace::tidy(etc, paths::ROOM);
    let removed = etc.remove(paths::ROOM).and(spool).and_then(|spool| {
        replace::tidy(&spool, paths::ROOM);
        spool.remove(paths::ROOM)
    });
    match removed {
        Err(error) if !error.is_missing() => exit::warn(error),
        _ => {}
    }
}

fn deadline(site: &Site) -> Deadline {
    Deadline { after: site.config.patchit.deadline, grace: site.config.patchit.grace }
}

/// The directory and the signed list that the journal names, checked to be the ones that were staged.
fn staged(site: &Site, run: &Run) -> Result<(PathBuf, Cluster)> {
    let fact = |key: &'static str| {
        run.fact(key).ok_or_else(|| Error::failed("install", "the cluster", format!("the journal has no {key}=")))
    };
    let inside = Path::new(fact("install_dir")?);
    if !inside.starts_with(&site.config.grab.base) {
        let base = site.config.grab.base.display();
        return Err(Error::refused(inside.display(), format!("it does not lie below {base}, base in section [grab]")));
    }
    let dir = site.paths.at(inside);
    let verifier = Verifier::load(&site.paths.at(&site.config.grab.key))?;
    let (cluster, sha256) = fetch::staged(&dir, &verifier)?;
    if sha256 != fact("sha256")? {
        return Err(Error::refused(inside.display(), "its cluster.json is not the one that was staged"));
    }
    Ok((dir, cluster))
}

/// The file that the installer's output goes to, new or gone on with after a cut.
fn output_file(site: &Site, run: &str) -> Result<(File, PathBuf)> {
    let dir = Dir::create(&site.paths.outputs(), 0o755)?;
    let name = format!("{run}.log");
    Ok((append::output(&dir, &name, 0o640)?, dir.join(&name)))
}

fn handle(output: &File, path: &Path) -> Result<File> {
    output.try_clone().map_err(Error::io("open", path))
}

fn report(site: &Site, output: &File, path: &Path, outcome: Outcome) -> Result<Report> {
    output.sync_all().map_err(Error::io("flush", path))?;
    let found = digest::of(trusted::file(path)?).map_err(Error::io("read", path))?;
    Ok(Report { output: site.paths.inside(path), sha256: found.sha256, tail: tail(path)?, outcome })
}

fn tail(path: &Path) -> Result<String> {
    use std::io::{Read, Seek, SeekFrom};
    let mut file = trusted::file(path)?;
    let mut bytes = Vec::new();
    let read = |file: &mut File, bytes: &mut Vec<u8>| {
        let size = file.seek(SeekFrom::End(0))?;
        file.seek(SeekFrom::Start(size.saturating_sub(TAIL_BYTES)))?;
        file.take(TAIL_BYTES).read_to_end(bytes)
    };
    read(&mut file, &mut bytes).map_err(Error::io("read", path))?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    Ok(lines[lines.len().saturating_sub(TAIL)..].join("\n"))
}
