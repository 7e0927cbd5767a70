//! What a run says: a line a step.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use crate::exit;
use crate::module::manifest::Module;

/// How many modules ended how.
#[derive(Debug, Default, Clone, Copy)]
pub struct Counts {
    pub total: usize,
    pub applied: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} modules applied", self.applied, self.total)?;
        if self.failed > 0 {
            write!(f, ", {} failed", self.failed)?;
        }
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// A module with its version, for people.
pub fn title(module: &Module) -> String {
    let version = module.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    format!("{}{version}", module.name)
}

/// A module begins.
pub fn begins(module: &Module) {
    exit::out(format_args!("{}: begins", title(module)));
}

/// It has succeeded.
pub fn applied(module: &Module, took: Duration, counts: &Counts) {
    let ended = counts.applied + counts.failed + counts.skipped;
    exit::out(format_args!("{}: applied in {:.1} s ({ended} of {})", title(module), took.as_secs_f64(), counts.total));
}

/// It has not.
pub fn failed(module: &Module, why: &str, log: &Path) {
    let hint = if log.exists() { format!("; see {}", log.display()) } else { String::new() };
    exit::warn(format_args!("module {} failed: {why}{hint}", title(module)));
}

/// It was not run.
pub fn skipped(module: &Module, why: &str) {
    exit::out(format_args!("{}: skipped: {why}", title(module)));
}
