//! `setup`: the virtual environments of modules in Python, each made beside its place and put there whole.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::error::{Error, Result};
use crate::exit::{self, Exit};
use crate::module::manifest::Module;
use crate::module::tree::Tree;
use crate::sys::dir::Dir;
use crate::sys::process::{Finished, Job};
use crate::sys::{replace, trusted};

use super::heal;
use super::ready::{MADE_OF, venv};
use super::requirements::made_of;
use super::site::Site;
use super::work::{self, GRACE};

/// pip gets TERM after this time.
const TIME: Duration = Duration::from_hours(1);
/// A look at a virtual environment takes no longer.
const LOOK: Duration = Duration::from_mins(1);
/// Fails where the packages are those of another Python.
const HAS_PACKAGES: &str = "import os, sys, sysconfig; sys.exit(not os.path.isdir(sysconfig.get_path('purelib')))";

/// Makes what is missing, what is of other requirements or of another Python, and what others could change.
///
/// # Errors
/// If there is no python3, or the requirements cannot be had; what was there before still is.
pub fn setup(site: &Site, names: &[String]) -> Result<Exit> {
    let _open = heal::open(site)?;
    let (_, manifest) = site.manifest()?;
    let chosen: Vec<usize> =
        if names.is_empty() { (0..manifest.modules.len()).collect() } else { manifest.find_all(names)? };
    let place = site.modules()?;
    let mut exit = Exit::Done;
    for module in chosen.into_iter().map(|at| &manifest.modules[at]) {
        let Some(tree) = place.read(&module.name)? else { continue };
        if let Err(error) = make(site, module, &tree) {
            exit::warn(error);
            exit = Exit::Failed;
        }
    }
    Ok(exit)
}

fn make(site: &Site, module: &Module, tree: &Tree) -> Result<()> {
    let name = &module.name;
    let (Some(made_of), true) = (made_of(tree), tree.top("index.py").is_some()) else {
        return Ok(());
    };
    // What pip installs runs as we do: requirements that nobody has taken as right are not fetched.
    if module.checksum.as_deref() != Some(&tree.checksum) {
        let why = "it is not what the manifest says; see patch-modules verify, or patch-modules checksum --write";
        return Err(Error::failed("set up", name, why));
    }
    let inside = venv(site, name);
    let (above, last) = trusted::split(&inside)?;
    let above = Dir::create(&site.paths.at(above), 0o755)?;
    let old = std::fs::read_to_string(site.paths.at(&inside).join(MADE_OF)).unwrap_or_default();
    if old.trim() == made_of && is_sound(site, &inside) {
        exit::out(format_args!("{name}: its virtual environment is up to date"));
        return Ok(());
    }
    let draft = inside.with_file_name(format!(".{name}.draft"));
    replace::remove_tree(&site.paths.at(&draft))?;
    let mark = work::mark(site, name.as_str());
    let built = build(site, &draft, &site.paths.inside(tree.path()), &mark).and_then(|()| {
        tree.check()?;
        replace::flush_tree(&site.paths.at(&draft))?;
        let dir = Dir::open(&site.paths.at(&draft))?;
        replace::replace(&dir, MADE_OF, format!("{made_of}\n").as_bytes(), 0o644)?;
        replace::exchange_tree(&above, &format!(".{name}.draft"), &last.to_string_lossy())
    });
    let left = replace::remove_tree(&site.paths.at(&draft));
    built.and(left).map_err(|error| Error::failed("set up", name, error))?;
    exit::out(format_args!("{name}: its virtual environment is made of requirements.txt"));
    Ok(())
}

/// Whether a virtual environment still works: the system may have got another Python since it was made.
fn is_sound(site: &Site, venv: &Path) -> bool {
    let words = [venv.join("bin/python"), "-I".into(), "-c".into(), HAS_PACKAGES.into()];
    let is_ours = trusted::below(&site.paths.at(venv)).is_ok();
    is_ours
        && Job::new(&words).inside(site.paths.root()).deadline(LOOK, GRACE).run().is_ok_and(|done| done.is_success())
}

/// Makes a virtual environment; what the requirements name by a relative path is looked for in the module.
fn build(site: &Site, draft: &Path, module: &Path, mark: &Path) -> Result<()> {
    run(site, &["python3".into(), "-I".into(), "-m".into(), "venv".into(), draft.to_path_buf()], Path::new("/"), mark)?;
    let pip = [draft.join("bin/python"), "-I".into(), "-m".into(), "pip".into(), "install".into()];
    let how = ["--disable-pip-version-check", "--no-input", "-q", "-r"].map(PathBuf::from);
    let words: Vec<PathBuf> = pip.into_iter().chain(how).chain([module.join("requirements.txt")]).collect();
    run(site, &words, module, mark)
}

fn no_python(error: Error) -> Error {
    if error.is_missing() {
        return Error::failed("run", "python3", "it is not there; install python3 and python3-venv");
    }
    error
}

fn run(site: &Site, words: &[PathBuf], dir: &Path, mark: &Path) -> Result<()> {
    // If we are killed it goes on, and writes where the next start would.
    let mut job = Job::new(words).inside(site.paths.root()).deadline(TIME, GRACE).marked(mark.to_path_buf());
    // chroot(8) begins at its own root, and would not find the directory.
    if site.paths.is_system() {
        job = job.dir(dir);
    }
    for key in ["PIP_INDEX_URL", "PIP_CONFIG_FILE", "PIP_CERT", "HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy"] {
        if let Some(value) = std::env::var_os(key) {
            job = job.env(key, value);
        }
    }
    let done: Finished = job.run().map_err(no_python)?;
    if done.is_success() {
        return Ok(());
    }
    let command = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    Err(Error::failed("run", command, done.reason()))
}
