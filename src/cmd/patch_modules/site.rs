//! Where a run works: the manifest, the directory of the modules, the state. The manifest is judged and its signature checked before
//! a word of it is believed.

use std::path::{Path, PathBuf};

use crate::cluster::signature::{self, Verifier};
use crate::config::Modules;
use crate::error::{Error, Result};
use crate::flag::journal::new_run_id;
use crate::module::history::History;
use crate::module::manifest::{self, Manifest, Module};
use crate::module::tree;
use crate::paths::Paths;
use crate::sys::clock::{Clock, Moment};
use crate::sys::dir::Dir;
use crate::sys::lockfile::{self, Lock};
use crate::sys::trusted;

use super::super::place::Place;

/// What one start of the tool goes by.
pub struct Site {
    pub paths: Paths,
    pub clock: Clock,
    pub settings: Modules,
    /// `--now` without `--root`: only words are wanted.
    pub only_words: bool,
    manifest: PathBuf,
}

/// What only one start at a time may have.
pub struct Open {
    pub history: History,
    pub state: Dir,
    pub run: String,
    /// Held as long as this is.
    pub lock: Lock,
}

impl Site {
    /// Reads the configuration.
    ///
    /// # Errors
    /// As [`Place::config`]; if `dir` cannot be made an absolute path.
    pub fn open(place: &Place, dir: Option<&Path>) -> Result<Self> {
        let paths = place.paths()?;
        let mut settings = place.config(&paths)?.modules;
        if let Some(dir) = dir {
            let whole = std::path::absolute(dir).map_err(Error::io("find", dir))?;
            settings.dir = if paths.is_system() { whole } else { dir.to_path_buf() };
            settings.manifest = None;
        }
        // The history goes by its name: one directory must not have two, with a slash at the end and without.
        settings.dir = settings.dir.components().collect();
        let manifest = settings.manifest.clone().unwrap_or_else(|| settings.dir.join("manifest.json"));
        let (clock, only_words) = (place.clock(), place.is_only_a_question(&paths));
        Ok(Self { paths, clock, settings, only_words, manifest })
    }

    /// The moment to write down.
    pub fn now(&self) -> Moment {
        self.clock.now()
    }

    /// The log of a module's output.
    pub fn log(&self, module: &Module) -> PathBuf {
        self.paths.at(self.settings.log.join(format!("{}.log", module.name)))
    }

    /// Where the manifest is.
    pub fn manifest_path(&self) -> PathBuf {
        self.paths.at(&self.manifest)
    }

    /// The name of the manifest in messages.
    pub fn manifest_name(&self) -> String {
        self.manifest_path().display().to_string()
    }

    /// Whether the manifest is signed, and so only its signer can change it.
    pub fn is_signed(&self) -> bool {
        self.settings.public_key.is_some()
    }

    /// Reads, judges and understands the manifest.
    ///
    /// # Errors
    /// [`Error::Usage`] for whatever is wrong in it, [`Error::Refused`] if others could have written it or its signature does not fit.
    pub fn manifest(&self) -> Result<(String, Manifest)> {
        let path = self.manifest_path();
        let bytes = trusted::read(&path, manifest::LIMIT).map_err(|error| missing(error, &path))?;
        if let Some(key) = &self.settings.public_key {
            self.check_signature(key, &bytes)?;
        }
        let name = self.manifest_name();
        let text =
            String::from_utf8(bytes).map_err(|_| Error::Usage(format!("cannot read {name}: it is not UTF-8")))?;
        let manifest = Manifest::parse(&text, &name)?;
        Ok((text, manifest))
    }

    fn check_signature(&self, key: &Path, bytes: &[u8]) -> Result<()> {
        let name = self.manifest.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let path = self.manifest_path().with_file_name(format!("{name}.minisig"));
        let signature = trusted::read(&path, signature::LIMIT).map_err(|error| {
            let why = "the manifest must be signed here (public_key in [modules]): minisign -Sm the manifest";
            if error.is_missing() { Error::failed("read", path.display(), why) } else { error }
        })?;
        Verifier::load(&self.paths.at(key))?.verify(bytes, &signature, &name)
    }

    /// The directory of the modules.
    ///
    /// # Errors
    /// As [`tree::Place::open`].
    pub fn modules(&self) -> Result<tree::Place> {
        tree::Place::open(&self.paths.at(&self.settings.dir))
    }

    /// What the directory of the modules is called in the history.
    pub fn place_name(&self) -> String {
        self.settings.dir.display().to_string()
    }

    /// The directory of the state.
    pub fn state_path(&self) -> PathBuf {
        self.paths.at(&self.settings.state)
    }

    /// Takes the lock and opens the history.
    ///
    /// # Errors
    /// [`Error::Busy`] if another start is at work.
    pub fn lock(&self) -> Result<Open> {
        if self.only_words {
            let why = "--now without --root changes nothing; leave it out, or ask with --dry-run";
            return Err(Error::Usage(why.into()));
        }
        let path = self.state_path().join("lock");
        let Some(lock) = lockfile::try_take(&path)? else {
            return Err(Error::Busy(format!("another patch-modules is at work: it holds {}", path.display())));
        };
        let state = Dir::open(&self.state_path())?;
        let run = new_run_id(self.now());
        let history = History::open(&state, &self.place_name(), &run)?;
        Ok(Open { history, state, run, lock })
    }

    /// How many threads are worth it for hashing.
    pub fn threads() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).min(16)
    }
}

impl Open {
    /// Where the records of known checksums are.
    ///
    /// # Errors
    /// As [`Dir::create`].
    pub fn known(&self) -> Result<Dir> {
        Dir::create(&self.state.join("known"), 0o755)
    }
}

fn missing(error: Error, path: &Path) -> Error {
    if error.is_missing() {
        let why = "it is not there; name its directory with --dir, or with dir = in section [modules]";
        return Error::Usage(format!("cannot read {}: {why}", path.display()));
    }
    error
}
